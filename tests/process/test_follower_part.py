"""The follower of a house: started with it, signing and writing snapshots without anyone asking, killed, and back where it stopped."""
import os
import signal
import time

import pytest

from cambist.door.client_shell import Client
from cambist.messages import Event, Kind, command

from tests.ports import free_ports
from tests.process.node_process import ACCOUNT, KEY, cambist
from tests.process.test_house import HouseProcess

pytestmark = pytest.mark.process
ALONE = ("--without", "gateway,native,portal,console,desk,world", "--origin", "exchange.example/log")
SIGNED_SECONDS, SAVED_SECONDS = 60, 75                  # the promise: heads at least every minute; snapshots at most a minute apart, and written


def wait_for(holds, seconds, house):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{house.output()}\n{house.logs()}"
        time.sleep(0.1)
    return found


def cancelled(client, number):
    """Something for the log."""
    now = time.time_ns()
    stamp = {"actor": KEY["acme-bot"], "account": ACCOUNT["acme"], "id_hi": now, "id_lo": number, "expires": now + 10**10}
    told = client.submit_and_wait(command(Kind.CANCEL_ALL, **stamp)).events
    assert told is not None and told["kind"][0] == Event.DONE


def test_a_house_signs_heads_and_keeps_snapshots_by_itself_also_after_its_follower_was_killed(tmp_path):
    with HouseProcess(tmp_path / "house", free_ports(), *ALONE) as house:
        house.wait_ready()
        checkpoint, snapshots = house.directory / "transparency" / "public" / "checkpoint", house.directory / "snapshots"

        def size():
            lines = checkpoint.read_text().split("\n") if checkpoint.exists() else ()
            return int(lines[1]) if lines and lines[0] == "exchange.example/log" else 0
        with Client(house.door) as client:
            cancelled(client, 1)
            first = wait_for(size, SIGNED_SECONDS, house)
            before = house.parts()
            os.kill(before["follower"]["pid"], signal.SIGKILL)
            wait_for(lambda: (now := house.parts()["follower"])["restarts"] == 1 and now["state"] == "ready", 30, house)
            assert house.parts()["node"]["pid"] == before["node"]["pid"]
            cancelled(client, 2)
            wait_for(lambda: size() > first, SIGNED_SECONDS, house)
            wait_for(lambda: snapshots.exists() and any(snapshots.iterdir()), SAVED_SECONDS, house)
        second = cambist("follow", house.directory)     # by hand there is nothing left to do
        assert second.returncode == 1 and second.stderr.count("\n") == 1 and "is locked" in second.stderr
        assert house.stop() == 0
    assert cambist("verify", house.directory).returncode == 0
    assert cambist("replay", house.directory).returncode == 0
