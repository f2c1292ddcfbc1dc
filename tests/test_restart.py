"""A killed node is ready again in ten seconds: from a snapshot, with what came after it applied again."""
from pathlib import Path

import pytest

from cambist.measure.restart_bench import bench_restart

DESIGN = Path(__file__).resolve().parents[1] / "desks" / "demo.toml"
READY_SECONDS = 10.0


@pytest.mark.compiled
def test_ready_with_fifty_thousand_orders_at_rest():
    found = bench_restart(DESIGN, quick=True)
    assert found["orders_at_rest"] > 50_000 and min(found["ready_s"]) < READY_SECONDS


@pytest.mark.compiled
@pytest.mark.hunt
def test_ready_with_a_million_orders_at_rest():
    found = bench_restart(DESIGN, quick=False)
    print(found)
    assert found["orders_at_rest"] > 1_000_000 and found["behind_the_snapshot"] > 200_000 and min(found["ready_s"]) < READY_SECONDS
