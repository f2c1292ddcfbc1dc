"""A whole house under load from outside, each of its processes killed in turn: all come back, nothing acknowledged is lost, nothing counts twice, what was
unknown gets a definite answer, every private stream is whole, and the desk ends flat.
"""
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cambist.client import Client as PublicClient
from cambist.credentials_shell import Secrets
from cambist.design import read_design
from cambist.dictionary import Dictionary, read_client_id
from cambist.door.client_shell import Client
from cambist.door.protocol import Role
from cambist.log.disk_shell import RealDisk
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.messages import COMMAND, EVENT, ChildState, Event, Kind, Reason
from cambist.opaque import IdKind, Opaque

from tests.ports import free_ports
from tests.process.house_traders import LIVES_NS, PATIENCE, Answer, Market, RestTrader, SocketTrader, Trader
from tests.process.node_process import ACCOUNT, DEMO, INSTRUMENT, NAMES, cambist, seed_of_this_run
from tests.process.test_house import PARTS, HouseProcess

pytestmark = pytest.mark.process
BACK_SECONDS = 60.0                                     # for a killed process to serve again, on a busy machine
FLAT_SECONDS = 60.0
WORTH_HEDGING = 5_000 * 10**6                           # units of USD: the demo's hedge_above
KIND = {"order.new": Kind.NEW_ORDER, "order.amend": Kind.AMEND_ORDER, "order.cancel": Kind.CANCEL_ORDER,
        "request.new": Kind.REQUEST_QUOTE, "request.accept": Kind.ACCEPT_QUOTE}
TOLD: dict[str, tuple[IdKind, str]] = {                 # what an answer names, and where the event that answers the command has it
    "order.new": ("order", "id"), "order.amend": ("order", "id"), "order.cancel": ("order", "id"), "request.new": ("request", "id"),
    "request.accept": ("match", "other")}
FORGETS = {Reason.EXPIRED, Reason.EXPIRY_TOO_FAR, Reason.ANSWER_QUOTA}      # refused and not remembered: the same id may come again
Id = tuple[int, int, int]                               # account, upper and lower half


# -------------------------------------------------------------------------------------------------------------------------- while it lives
def traders_of(house: HouseProcess, market: Market, rng: random.Random, per_second: float) -> list[Trader]:
    """Two keys over WebSocket, and one of them over REST too: its account is followed twice."""
    def private(key: str) -> Path:
        return house.directory / "secrets" / "private" / f"{key}.pem"

    def of(key: str, account: str, share: float) -> tuple:
        return key, account, private(key), market, random.Random(rng.getrandbits(48)), per_second * share

    rest, websocket = f"http://127.0.0.1:{house.base_port}", f"ws://127.0.0.1:{house.base_port + 1}/v1/ws"
    return [SocketTrader(websocket, *of("acme-bot", "acme", 1.0)), SocketTrader(websocket, *of("borea-bot", "borea", 1.0)),
            RestTrader(rest, *of("acme-bot", "acme", 0.5))]


def wait_until(holds: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def kill(house: HouseProcess, names: tuple[str, ...], traders: list[Trader]) -> float:
    """kill -9 of them at once, until each serves again and every trader was told yes once more. Seconds that took."""
    before, began = house.parts(), time.monotonic()
    for name in names:
        os.kill(before[name]["pid"], signal.SIGKILL)
    for name in names:
        wait_until(lambda name=name: house.parts()[name]["pid"] not in (0, before[name]["pid"]) and house.parts()[name]["state"] == "ready", BACK_SECONDS,
                   lambda name=name: f"{name} did not come back: {house.parts()}\n{house.output()}\n{house.logs()}")
    took = time.monotonic() - began
    done = [trader.ledger.done for trader in traders]
    wait_until(lambda: all(now.ledger.done > then for now, then in zip(traders, done, strict=True)), BACK_SECONDS,
               lambda: f"after {names} the house serves and somebody was told yes no more: {[(t.name, t.fault) for t in traders]}\n{house.logs()}")
    after = house.parts()
    others = [name for name in PARTS if name not in names]
    assert [after[name]["pid"] for name in others] == [before[name]["pid"] for name in others], f"more than {names} died:\n{house.output()}\n{house.logs()}"
    assert [trader.fault for trader in traders] == [None] * len(traders)
    return took


def settle(house: HouseProcess, traders: list[Trader]) -> None:
    """Nothing new; everything unknown is asked again until it is known, and everyone hears where its stream stands."""
    for trader in traders:
        trader.quiet.set()
    wait_until(lambda: all(trader.settled for trader in traders), LIVES_NS / 1e9,
               lambda: f"still unknown: {[(t.name, t.fault, {i: t.ledger.asked[i] for i in t.ledger.unknown}) for t in traders]}\n{house.logs()}")
    for trader in traders:
        with PublicClient(f"http://127.0.0.1:{house.base_port}", trader.key, trader.pem) as client:
            stands = client.read_events(0)["cursor"]
        wait_until(lambda trader=trader, stands=stands: trader.cursor >= stands or trader.fault is not None, 30,
                   lambda trader=trader, stands=stands: f"{trader.name} heard up to {trader.cursor} of {stands}")


def flat(house: HouseProcess) -> None:
    """Of each pair the desk holds less than is worth hedging, within its limits; nothing is open at a venue; custody equals ownership."""
    deadline = time.monotonic() + FLAT_SECONDS
    hedged = (INSTRUMENT["BTC/USD"], INSTRUMENT["XRP/USD"])
    with Client(house.door, Role.OBSERVER) as client:
        while True:
            desk = client.read("account", account=ACCOUNT["desk"])[1]
            listed = {row["instrument"]: row for row in client.read("instruments")[1]["instruments"]}
            worth = {row["instrument"]: abs(row["net"]) * listed[row["instrument"]]["reference"] * listed[row["instrument"]]["amount_num"]
                     // listed[row["instrument"]]["amount_den"] for row in desk["positions"] if row["instrument"] in hedged}
            open_children = [child for child in desk["children"] if child["state"] != ChildState.DONE]
            if all(value < WORTH_HEDGING for value in worth.values()) and not open_children:
                break
            assert time.monotonic() < deadline, f"the desk is not flat: {worth}, {open_children}\n{house.logs()}"
            time.sleep(0.05)
        assert all(abs(row["net"]) <= row["limit"] for row in desk["positions"] if row["limit"])
        assert client.read("custody")[1]["holds"]


# -------------------------------------------------------------------------------------------------------------------------- what is left on disk
class Recorded(NamedTuple):
    """A stopped house's log and results: each command by its id with all its sequences, every event with its log time."""
    commands: dict[Id, list[tuple[int, int]]]           # sequence, kind
    events: np.ndarray
    times: np.ndarray
    starts: np.ndarray

    def events_of(self, sequence: int) -> np.ndarray:
        return self.events[self.starts[sequence]:self.starts[sequence + 1]]

    def row(self, at: int) -> dict[str, int]:
        return dict(zip(EVENT.names or (), self.events[at].item(), strict=True))


def recorded(directory: Path) -> Recorded:
    commands: dict[Id, list[tuple[int, int]]] = {}
    for chunk in Replay(RealDisk(), f"{directory}/log", unproven=True).chunks():
        for entry in chunk:
            for i, row in enumerate(np.frombuffer(entry.records, COMMAND)):
                if row["id_hi"] or row["id_lo"]:
                    commands.setdefault((int(row["account"]), int(row["id_hi"]), int(row["id_lo"])), []).append((entry.first_sequence + i, int(row["kind"])))
    kept = [(entry.time, np.frombuffer(entry.events, EVENT)) for entry in ResultsReader(RealDisk(), f"{directory}/results").read(1)]
    events = np.concatenate([events for _, events in kept])
    return Recorded(commands, events, np.repeat([at for at, _ in kept], [len(events) for _, events in kept]),
                    np.searchsorted(events["sequence"], np.arange(int(events["sequence"][-1]) + 2)))


def outcomes(log: Recorded, key: Id) -> Iterator[tuple[int, int, np.ndarray]]:
    """Sequence, kind, and the events that answer each command of this id."""
    account, id_hi, id_lo = key
    for sequence, kind in log.commands.get(key, ()):
        events = log.events_of(sequence)
        yield sequence, kind, events[(events["account"] == account) & (events["command"] == kind) & (events["id_hi"] == id_hi) & (events["id_lo"] == id_lo)]


def check_command(trader: Trader, client_id: str, answer: Answer, log: Recorded, words: Dictionary) -> int:
    """It counted once, with the answer that was told, if it was acknowledged, and not at all if it was refused; every other time it was a DUPLICATE. How
    often it is in the log."""
    key = (ACCOUNT[trader.account], *read_client_id(client_id))
    asked, counted, first, found = trader.ledger.asked[client_id], [], 0, list(outcomes(log, key))
    for sequence, kind, events in found:
        what = f"{client_id} ({asked.name}), told {answer}, {len(found)} times in the log, at {sequence}: {events}"
        assert kind == KIND[asked.name] and len(events), what
        if events["kind"][0] == Event.DUPLICATE:
            assert first and events["other"].tolist() == [first], what
        elif events["kind"][0] == Event.REFUSED:
            if events["reason"][0] in FORGETS:
                continue
            assert answer.code == Reason(int(events["reason"][0])).name, what
            first = first or sequence
        else:
            named, where = TOLD[asked.name]
            assert answer.body.get(named) == words.opaque.text(named, int(events[where][0])), what
            counted.append(sequence)
            first = first or sequence
    assert len(counted) == (not answer.code), f"{client_id} ({asked.name}), told {answer}, {len(found)} times in the log, counted at {counted}"
    return len(found)


def check_stream(trader: Trader, words: Dictionary, log: Recorded) -> None:
    """What it heard is the account's stream as the results tell it, from the first number on."""
    mine = np.flatnonzero(log.events["account"] == ACCOUNT[trader.account])[:len(trader.heard)]
    assert len(mine) == len(trader.heard), f"{trader.name} heard {len(trader.heard)} events, and there are {len(mine)}"
    for number, (heard, at) in enumerate(zip(trader.heard, mine, strict=True), 1):
        assert heard == {"cursor": number, **words.told(log.row(at), int(log.times[at]))}, f"{trader.name}, number {number}"


def check_and_count(house: HouseProcess, traders: list[Trader]) -> str:
    log = recorded(house.directory)
    words = Dictionary(read_design(DEMO.read_text(), "demo"), NAMES, Opaque(Secrets(house.directory).ids_key))
    told, no, again, there, duplicate = Counter[str](), Counter[str](), 0, 0, 0
    for trader in traders:
        for client_id, answer in trader.ledger.answers.items():
            times = check_command(trader, client_id, answer, log, words)
            told[trader.ledger.asked[client_id].name] += not answer.code
            no[answer.code] += bool(answer.code)
            again += client_id in trader.ledger.asked_again
            there += client_id in trader.ledger.asked_again and times > 1
            duplicate += times > 1
        check_stream(trader, words, log)
    assert all(trader.ledger.done for trader in traders)
    return (f"{sum(told.values())} commands acknowledged {dict(told)}, {sum(no.values())} refused {dict(+no)}, {again} unknown and asked again, "
            f"{there} of them were there already; {duplicate} in the log more than once, all DUPLICATE; "
            f"{sum(len(trader.heard) for trader in traders)} private events, {sum(trader.breaks for trader in traders)} breaks told to a follower")


# -------------------------------------------------------------------------------------------------------------------------- the tests
def kill_under_load(directory: Path, rng: random.Random, rounds: Sequence[tuple[str, ...]], per_second: float) -> None:
    took: dict[str, float] = {}
    house = HouseProcess(directory, free_ports())
    with house:
        house.wait_ready()
        house.wait_for("Ctrl-C ends it")
        market = Market(f"http://127.0.0.1:{house.base_port}")
        traders = traders_of(house, market, rng, per_second)
        for thread in (market, *traders):
            thread.start()
        try:
            for names in rounds:
                time.sleep(rng.uniform(0.5, 2.5))
                took["+".join(names)] = max(took.get("+".join(names), 0.0), kill(house, names, traders))
            time.sleep(1.0)
            settle(house, traders)
        finally:
            for thread in (market, *traders):
                thread.ending.set()
            for thread in (market, *traders):
                thread.join(3 * PATIENCE)
        assert [trader.fault for trader in traders] == [None] * len(traders)
        flat(house)
        assert house.stop() == 0, house.output()
    counts = check_and_count(house, traders)
    looked = cambist("verify", directory)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    back = ", ".join(f"{name} {seconds:.1f}" for name, seconds in took.items())
    print(f"{len(rounds)} kills under load, back within seconds: {back}; {counts}")


def test_each_process_is_killed_under_load_and_nothing_is_lost_or_doubled(tmp_path):
    rng = random.Random(seed_of_this_run())
    kill_under_load(tmp_path / "house", rng, [(name,) for name in (*PARTS, "node", "gateway")], per_second=25.0)


@pytest.mark.hunt
def test_killed_twenty_times_one_or_two_at_once(tmp_path):
    rng = random.Random(seed_of_this_run())
    rounds = [tuple(rng.sample(PARTS, rng.choice((1, 1, 2)))) for _ in range(18)] + [("node", "gateway"), ("gateway", "world")]
    kill_under_load(tmp_path / "house", rng, rounds, per_second=30.0)
