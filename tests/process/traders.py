"""Clients under fire: each sends real commands, writes down what it was answered, and asks again with the same bytes whatever it does not know.

They are threads of the test with connections of their own; a broken connection is nothing special to them.
"""
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cambist.door.client import Asked, ProtocolFault
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import Code, Role, StreamKind
from cambist.messages import EVENT, NUMBERED, Event, Kind, OrderType, Side, command

from tests.process.node_process import ACCOUNT, ASSET, INSTRUMENT, KEY, SOURCE

K = Kind
PRICE = 600_000                                         # of BTC/USD, in increments of 0.1 USD; the book's tick is 5 of them, the lot 0.0001 BTC
LOT = 10_000
LIVES_NS = 55_000_000_000                               # how long a command with an id may be asked again: within the answer window of 60 s
AGAIN_SECONDS = 1.0                                     # without an answer for so long on a living connection, the same bytes go out again
LATER = (Code.OVERLOAD, Code.CLOSING, Code.STOPPED, Code.NOT_YET)


class Key(NamedTuple):
    """What makes a command the same again."""
    actor: int
    account: int
    kind: int
    numbered: bool
    id_hi: int
    id_lo: int


def key_of(row: np.void) -> Key:
    return Key(int(row["actor"]), int(row["account"]), int(row["kind"]), bool(row["flags"] & NUMBERED), int(row["id_hi"]), int(row["id_lo"]))


def echoes(events: np.ndarray, key: Key) -> np.ndarray:
    """The events of its account that answer a command, without the log's sequence, which only the house is told."""
    mine = events[(events["account"] == key.account) & (events["command"] == key.kind) & (events["id_hi"] == key.id_hi) & (events["id_lo"] == key.id_lo)
                  & (events["kind"] != Event.DUPLICATE)].copy()
    mine["sequence"] = 0
    return mine


class Listening(threading.Thread):
    """A connection that is made again whenever it breaks, and one stream read from where it was left: without a gap, without a repeat."""
    def __init__(self, path: str, stream: StreamKind, account: int = 0, role: Role = Role.GATEWAY):
        super().__init__(daemon=True)
        self.path, self.stream, self.account, self.role = path, stream, account, role
        self.ending = threading.Event()
        self.cursor = 1
        self.heard: list[np.ndarray] = []
        self.fault: BaseException | None = None
        self.connections = 0

    def run(self) -> None:
        try:
            while not self.ending.is_set():
                try:
                    with Client(self.path, self.role, timeout=5.0) as client:
                        subscription = client.subscribe(self.stream, self.account, self.cursor)
                        self.connections += 1
                        self.talk(client, subscription)
                except (OSError, ProtocolFault):
                    time.sleep(0.02)
                except RefusedByDoor as refused:
                    if refused.code not in LATER:
                        raise
                    time.sleep(0.02)
        except BaseException as fault:  # noqa: BLE001  looked at by the test
            self.fault = fault

    def batches(self, client: Client, subscription, seconds: float):
        """Each batch exactly once, also over connections."""
        for batch in client.batches(subscription, seconds):
            assert batch.first == self.cursor, f"number {batch.first} of a stream where {self.cursor} is next"
            self.cursor += len(batch.events)
            self.heard.append(batch.events)
            yield batch.events

    def talk(self, client: Client, subscription) -> None:
        while not self.ending.is_set():
            for _ in self.batches(client, subscription, 0.1):
                pass

    def all_heard(self) -> np.ndarray:
        return np.concatenate([np.empty(0, EVENT), *self.heard])


class Trader(Listening):
    """One key at one account. `make(trader)` gives the next commands; `unknown` are those without an answer, `answers` what the others were told."""
    def __init__(self, path: str, key: str, account: str, make: Callable[["Trader"], list[np.ndarray]], rng: random.Random, per_second: float = 100.0):
        super().__init__(path, StreamKind.ACCOUNT, ACCOUNT[account])
        self.actor, self.make, self.rng, self.pause = KEY[key], make, rng, 1.0 / per_second
        self.quiet = threading.Event()                  # no new commands: only what is unknown
        self.number = 0
        self.fresh: list[np.ndarray] = []               # heard and not yet looked at by `make`
        self.unknown: dict[Key, Asked] = {}
        self.sent: dict[Key, bytes] = {}
        self.answers: dict[Key, np.ndarray] = {}
        self.asked_again: set[Key] = set()

    def next_id(self) -> dict[str, int]:
        self.number += 1
        return {"id_hi": 1_000_000 + self.actor, "id_lo": self.number, "expires": time.time_ns() + LIVES_NS}

    def next_number(self) -> dict[str, int]:
        self.number += 1
        return {"flags": NUMBERED, "id_lo": self.number}

    def command(self, kind: Kind, **fields: int) -> np.ndarray:
        return command(kind, actor=self.actor, account=self.account, **fields)

    def talk(self, client: Client, subscription) -> None:
        pause = self.pause
        while not self.ending.is_set():
            if not self.unknown and not self.quiet.is_set():
                made = self.make(self)
                for record in made:
                    asked = Asked(record)
                    self.unknown[key_of(asked.record[0])] = asked
                pause = self.pause * max(len(made), 1)
            for key, asked in self.unknown.items():     # written down before it is sent: an answer to what was never asked would be a fault
                if key in self.sent:
                    self.asked_again.add(key)
                self.sent[key] = asked.record.tobytes()
            if self.unknown:
                client.submit(np.concatenate([asked.record for asked in self.unknown.values()]))
            again = time.monotonic() + AGAIN_SECONDS
            while time.monotonic() < again:
                for events in self.batches(client, subscription, 0.05):
                    self.fresh.append(events)
                    for key in list(self.unknown):
                        self._hear(client, key, events)
                    if not self.unknown:
                        break
                if not self.unknown:
                    break
            if self.unknown:
                continue
            self.ending.wait(pause)

    def _hear(self, client: Client, key: Key, events: np.ndarray) -> None:
        answer = echoes(events, key)
        if not len(answer):
            mine = events[(events["command"] == key.kind) & (events["id_hi"] == key.id_hi) & (events["id_lo"] == key.id_lo)]
            if not len(mine):
                return
            asked = self.unknown[key]
            if key.kind == K.DEPOSIT:                   # a fact counted once: its DUPLICATE names the first, there is no view by id
                return self._settle(key, None)
            found = asked.found(client.read("answer", **asked.question())[1])
            assert found is not None, f"a DUPLICATE of {key}, and the house does not know the first answer"
            answer = echoes(found, key)
        self._settle(key, answer)

    def _settle(self, key: Key, answer: np.ndarray | None) -> None:
        del self.unknown[key]
        if answer is not None:
            self.answers[key] = answer
        else:
            self.answers[key] = np.empty(0, EVENT)

    def of_kind(self, *kinds: Event) -> list[np.void]:
        """What was heard since the last time, of these kinds."""
        fresh, self.fresh = self.fresh, []
        return [event for events in fresh for event in events if event["kind"] in kinds]


def order(trader: Trader, ids: dict[str, int], instrument: str) -> np.ndarray:
    side = trader.rng.choice((Side.BUY, Side.SELL))
    price = PRICE + 5 * trader.rng.randint(-200, 200)
    return trader.command(K.NEW_ORDER, instrument=INSTRUMENT[instrument], side=side, order_type=OrderType.LIMIT, price=price,
                          quantity=LOT * trader.rng.randint(1, 20), **ids)


def numbered_orders(trader: Trader) -> list[np.ndarray]:
    """Orders and their cancellations in a numbered session, some in one go: later numbers count on the earlier ones."""
    mine = [int(event["id"]) for event in trader.of_kind(Event.ORDER_ACCEPTED) if event["id_hi"] == 0]
    made = [order(trader, trader.next_number(), trader.rng.choice(("BTC/USD", "BTC/USD-PF"))) for _ in range(trader.rng.randint(1, 12))]
    made += [trader.command(K.CANCEL_ORDER, order=each, **trader.next_number()) for each in mine if trader.rng.random() < 0.9]
    return made


def orders_with_ids(trader: Trader) -> list[np.ndarray]:
    mine = [int(event["id"]) for event in trader.of_kind(Event.ORDER_ACCEPTED) if event["id_hi"] == 1_000_000 + trader.actor]
    made = [order(trader, trader.next_id(), "BTC/USD") for _ in range(trader.rng.randint(1, 6))]
    return made + [trader.command(K.CANCEL_ORDER, order=each, **trader.next_id()) for each in mine if trader.rng.random() < 0.9]


def numbered_transfers(trader: Trader) -> list[np.ndarray]:
    trader.fresh = []
    return [trader.command(K.TRANSFER, to=ACCOUNT["acme"], asset=ASSET["USD"], amount=trader.rng.randint(1, 10**7), **trader.next_number())
            for _ in range(trader.rng.randint(1, 4))]


def asks_and_takes(trader: Trader) -> list[np.ndarray]:
    """Transfers, requests for quotes, and quotes accepted while they live."""
    made = [trader.command(K.ACCEPT_QUOTE, side=Side.BUY, request=int(shown["other"]), quote=int(shown["id"]), limit_price=int(shown["amount"]),
                           **trader.next_id()) for shown in trader.of_kind(Event.QUOTE_SHOWN)[-2:]]
    made.append(trader.command(K.TRANSFER, to=ACCOUNT["borea"], asset=ASSET["USD"], amount=trader.rng.randint(1, 10**7), **trader.next_id()))
    made.append(trader.command(K.REQUEST_QUOTE, instrument=INSTRUMENT["BTC/USD"], side=Side.BUY, quantity=LOT * trader.rng.randint(1, 100), ttl=2 * 10**9,
                               **trader.next_id()))
    return made


def quotes(trader: Trader) -> list[np.ndarray]:
    return [trader.command(K.QUOTE, request=int(asked["id"]), ask=PRICE + trader.rng.randint(1, 500), ttl=2 * 10**9, **trader.next_id())
            for asked in trader.of_kind(Event.REQUEST_INVITED)[-4:]]


def deposits(asset: str, custody: str, amount: int) -> Callable[[Trader], list[np.ndarray]]:
    """Facts that count once, however often they are told."""
    def make(trader: Trader) -> list[np.ndarray]:
        trader.fresh, trader.number = [], trader.number + 1
        return [trader.command(K.DEPOSIT, custody=ACCOUNT[custody], asset=ASSET[asset], amount=amount, id_hi=2_000_000 + trader.account, id_lo=trader.number)]
    return make


class Feeds(threading.Thread):
    """Two sources post a price now and then: nobody waits for an answer."""
    def __init__(self, path: str):
        super().__init__(daemon=True)
        self.path, self.ending = path, threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                with Client(self.path, Role.SERVICE, timeout=5.0) as client:
                    while not self.ending.is_set():
                        client.submit(np.concatenate([command(K.SOURCE_PRICE, actor=KEY[f"feed-{name}"], instrument=INSTRUMENT[pair], source=SOURCE[name],
                                                              price=PRICE, source_time=time.time_ns())
                                                      for name in ("kestrel", "osprey") for pair in ("BTC/USD", "BTC/USD-PF")]))
                        self.ending.wait(0.3)
            except (OSError, ProtocolFault, RefusedByDoor):
                time.sleep(0.02)


def crowd(path: str, rng: random.Random) -> list[Trader]:
    """Every way of asking: numbered and with ids, requests and facts, orders, transfers and quotes. One numbered session an account, so that a number tells."""
    def own() -> random.Random:
        return random.Random(rng.getrandbits(48))
    return [Trader(path, "acme-bot", "acme", numbered_orders, own(), 400.0), Trader(path, "borea-bot", "borea", orders_with_ids, own(), 90.0),
            Trader(path, "bo", "borea", numbered_transfers, own(), 40.0), Trader(path, "ada", "acme", asks_and_takes, own(), 60.0),
            Trader(path, "b2", "b2", quotes, own(), 100.0), Trader(path, "custodian", "acme", deposits("BTC", "btc-wallet", 10**8), own(), 5.0),
            Trader(path, "custodian", "borea", deposits("USD", "usd-bank", 10**11), own(), 5.0)]
