"""The whole house as a newcomer starts it: each process killed in turn and back, all ended together, and nothing left behind by a supervisor that is killed."""
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cambist.door.client_shell import Client
from cambist.messages import Event, Kind, Reason, Side, command

from tests.ports import free_ports
from tests.process.node_process import ACCOUNT, DEMO, INSTRUMENT, KEY, OPEN_SECONDS, NodeProcess, Started, cambist

pytestmark = pytest.mark.process
PARTS = ("node", "follower", "gateway", "native", "portal", "console", "desk", "world")
END_SECONDS = 10.0                                      # for all of them to end when they are asked to
ORPHAN_SECONDS = 15.0                                   # for all of them to end when nobody is left to ask


class HouseProcess(Started):
    """`cambist run` in a directory, at ports of its own."""

    def __init__(self, directory: Path, base_port: int, *more: str):
        self.directory, self.base_port, self.door = directory, base_port, str(directory / "door.sock")
        super().__init__(directory.with_name(f"{directory.name}.said"), "run", "--plain", "--design", DEMO, "--directory", directory,
                         "--base-port", base_port, *more)

    def parts(self) -> dict[str, dict[str, Any]]:
        """processes.json, of this run alone."""
        path = self.directory / "processes.json"
        told = json.loads(path.read_text()) if path.exists() else {"supervisor": 0, "parts": []}
        return {part["name"]: part for part in told["parts"]} if told["supervisor"] == self.process.pid else {}

    def wait_ready(self, *names: str, seconds: float = OPEN_SECONDS) -> dict[str, dict[str, Any]]:
        deadline = time.monotonic() + seconds
        while not (parts := self.parts()) or any(part["state"] != "ready" for part in parts.values() if not names or part["name"] in names):
            assert self.process.poll() is None and time.monotonic() < deadline, f"{parts}\n{self.output()}\n{self.logs()}"
            time.sleep(0.05)
        return parts

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-2_000:]}" for path in sorted((self.directory / "log-of-parts").glob("*.log")))


def alive(pid: int) -> bool:
    """Whether it is there, and no zombie that its parent has yet to see."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def trade(client: Client, number: int) -> None:
    """acme asks for 2 BTC and takes the best quote, once there are prices enough to quote and to trade."""
    deadline, tried = time.monotonic() + 30, 0
    while True:
        tried += 1
        now = time.time_ns()
        stamp = {"actor": KEY["acme-bot"], "account": ACCOUNT["acme"], "id_hi": now, "expires": now + 30_000_000_000}
        opened = client.submit_and_wait(command(Kind.REQUEST_QUOTE, instrument=INSTRUMENT["BTC/USD"], side=Side.BUY, quantity=2 * 10**8, ttl=10**10,
                                                id_lo=1, **stamp)).events
        assert opened is not None
        time.sleep(0.5)
        if opened["kind"][0] == Event.REQUEST_OPENED:
            taken = client.submit_and_wait(command(Kind.ACCEPT_QUOTE, side=Side.BUY, request=int(opened["id"][0]), quote=0, limit_price=10**7, id_lo=2,
                                                   **stamp)).events
            assert taken is not None
            if (taken["kind"] == Event.FILLED).any():
                return
            opened = taken
        why = [Reason(int(reason)).name for reason in np.atleast_1d(opened["reason"])]
        assert time.monotonic() < deadline, f"trade {number} was refused {tried} times, last {why}"


def flat(client: Client) -> None:
    """The desk's hedge came back from the venues, and the books prove."""
    deadline = time.monotonic() + 30
    while True:
        desk = client.read("account", account=ACCOUNT["desk"])[1]
        net = {row["instrument"]: row["net"] for row in desk["positions"]}.get(INSTRUMENT["BTC/USD"], 0)
        if abs(net) < 10**7 and all(child["state"] == 5 for child in desk["children"]):         # less than is worth hedging
            break
        assert time.monotonic() < deadline, (net, desk["children"])
        time.sleep(0.1)
    assert client.read("custody")[1]["holds"]


def test_each_part_is_killed_in_turn_and_comes_back_and_all_end_together(tmp_path):
    with HouseProcess(tmp_path / "house", free_ports()) as house:
        before = house.wait_ready()
        assert list(before) == list(PARTS) and all(part["restarts"] == 0 for part in before.values())
        house.wait_for("Ctrl-C ends it")
        assert "password  ada" in house.output() and f"http://127.0.0.1:{house.base_port + 2}" in house.output()
        for number, name in enumerate(reversed(PARTS)):
            with Client(house.door) as client:
                trade(client, number)
            old = house.parts()
            os.kill(old[name]["pid"], signal.SIGKILL)
            deadline = time.monotonic() + 30
            while (now := house.parts())[name]["pid"] in (0, old[name]["pid"]) or now[name]["state"] != "ready":
                assert time.monotonic() < deadline, f"{name} did not come back: {now}\n{house.output()}\n{house.logs()}"
                time.sleep(0.05)
            assert now[name]["restarts"] == 1 and {n: p["pid"] for n, p in now.items() if n != name} == {n: p["pid"] for n, p in old.items() if n != name}
        with Client(house.door) as client:
            trade(client, len(PARTS))
            flat(client)
        pids, began = [part["pid"] for part in house.parts().values()], time.monotonic()
        assert house.stop() == 0 and time.monotonic() - began < END_SECONDS
        wait_gone(pids, 0.5)
        told = json.loads((house.directory / "processes.json").read_text())
        assert told["over"] and {part["state"] for part in told["parts"]} == {"ended"}
    assert cambist("verify", house.directory).returncode == 0


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_run_starts_at_once(tmp_path):
    with HouseProcess(tmp_path / "house", free_ports()) as house:
        pids = [part["pid"] for part in house.wait_ready().values()]
        house.kill()
        with HouseProcess(tmp_path / "house", house.base_port) as again:
            wait_gone(pids, ORPHAN_SECONDS)
            again.wait_ready()
            again.wait_for("Ctrl-C ends it")
            assert again.stop(signal.SIGINT) == 0


def test_a_second_run_is_refused_in_one_line(tmp_path):
    with HouseProcess(tmp_path / "house", free_ports(), "--without", "follower,gateway,portal,console,desk,world") as house:
        house.wait_ready()
        words = ("run", "--plain", "--design", DEMO, "--base-port")
        second = cambist(*words, free_ports(), "--directory", house.directory)
        assert second.returncode == 1 and second.stdout == "" and second.stderr.count("\n") == 1
        assert f"another `cambist run` (process {house.process.pid})" in second.stderr
        assert house.stop() == 0
    with NodeProcess(tmp_path / "node").wait_open():
        second = cambist(*words, free_ports(), "--directory", tmp_path / "node")
        assert second.returncode == 1 and "is open in another process" in second.stderr and second.stderr.count("\n") == 1


def test_a_desk_without_a_world_says_so_and_lives(tmp_path):
    with HouseProcess(tmp_path / "house", free_ports(), "--without", "gateway,portal,console,world") as house:
        house.wait_ready()
        deadline = time.monotonic() + 10
        while (desk := house.parts()["desk"])["line"] != "no venue shows a price (kestrel, osprey): nothing is quoted":
            assert time.monotonic() < deadline, desk
            time.sleep(0.05)
        with Client(house.door) as client:              # funded all the same, and once
            told = client.read("account", account=ACCOUNT["acme"])[1]["balances"]
            assert {row["available"] for row in told if row["asset"] == 1} == {200 * 10**8}
        os.kill(desk["pid"], signal.SIGKILL)
        while house.parts()["desk"]["restarts"] != 1 or house.parts()["desk"]["state"] != "ready":
            assert time.monotonic() < deadline + 20, house.parts()
            time.sleep(0.05)
        with Client(house.door) as client:
            assert client.read("account", account=ACCOUNT["acme"])[1]["balances"] == told
        assert house.stop() == 0


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path):
    base_port = free_ports()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", base_port + 3))
        other.listen()
        refused = cambist("run", "--plain", "--design", DEMO, "--directory", tmp_path / "house", "--base-port", base_port)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert f"the console cannot listen at 127.0.0.1:{base_port + 3}" in refused.stderr and "--base-port" in refused.stderr
    assert not (tmp_path / "house" / "log").exists()
