"""Which benchmark a name means, and how its figures are printed: JSON whole, or a few lines for a person."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

BENCHES = ("core", "log", "door", "rfq", "gateway", "restart")


def _bench(what: str) -> Callable[[Path, bool], dict[str, Any]]:
    if what == "core":
        from cambist.measure.core_bench import bench_core as run
    elif what == "log":
        from cambist.measure.log_bench import bench_log as run
    elif what == "door":
        from cambist.measure.door_bench import bench_door as run
    elif what == "gateway":
        from cambist.measure.gateway_bench import bench_gateway as run
    elif what == "restart":
        from cambist.measure.restart_bench import bench_restart as run
    else:
        from cambist.measure.rfq_bench import bench_rfq as run
    return run


def run_bench(what: str, *, as_json: bool, quick: bool, design_file: Path = Path("desks/demo.toml")) -> int:
    if what not in BENCHES:
        raise ValueError(f"no bench {what!r}; there are {', '.join(BENCHES)}")
    found = _bench(what)(design_file, quick)
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _lines(found, 0)
    return 0


def _lines(value: Any, depth: int, name: str = "") -> None:
    """Nested figures, indented."""
    if isinstance(value, dict):
        flat = all(not isinstance(v, dict | list) for v in value.values())
        if flat and depth:
            print(f"{'  ' * depth}{name}: " + "  ".join(f"{k} {v}" for k, v in value.items()))
            return
        if name:
            print(f"{'  ' * depth}{name}")
        for key, each in value.items():
            _lines(each, depth + 1, key)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            _lines(each, depth, f"{name} {i + 1}")
    else:
        print(f"{'  ' * depth}{name}: {value}")
