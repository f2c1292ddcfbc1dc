"""What `cambist bench core` says of a replay: a log of the asked size, all of it read and applied."""
from pathlib import Path

from cambist.measure.flow import bench_desk
from cambist.measure.replay_bench import replay_from_disk

NOW = 1_700_000_000_000_000_000


def test_every_command_of_the_log_is_applied():
    found = replay_from_disk(bench_desk(Path("desks/demo.toml")), 400, 7, NOW)
    assert found["commands"] == 400 and found["ns_per_command"] >= found["of_it_reading_and_checking_ns"] > 0
