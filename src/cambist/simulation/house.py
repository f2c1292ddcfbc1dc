"""The house in one thread: the real desk, executors and settlement clerk around any engine, with simulated venues, clients and dealers, under a virtual clock.

Decides who is told what and when time moves; nothing of what they answer. Each actor hears its own account's stream, numbered and stripped as the door would
send it, or the whole stream if it is a service of the house; none sees the engine. The same engine, design, seed and feeds give the same log, byte for byte.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from cambist.configure import Names, configure
from cambist.design import accounts, kinds, units_of
from cambist.desk.execution import Elapsed
from cambist.desk.hedging import Hedger, hedger_settings
from cambist.desk.quoting import Heard, Outgoing, Quoter, Sender, desk_aims, desk_sources, desk_terms, pricing_settings, quoter_settings
from cambist.desk.settling import SettlementClerk
from cambist.feeds.streams import ALL, PUBLIC, Streams, account_row
from cambist.log.entry import SideSection
from cambist.messages import EVENT, AccountKind, Event, Kind, Side, command
from cambist.sections import Custody, Design, Desk
from cambist.simulation.invariants import PublicBook, invariants
from cambist.venues.executor import PricePoster, VenueExecutor, posting
from cambist.venues.noise import Noise
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.venue import PPM, BookUpdate, Intent, Report, Terms

MS, SECOND = 1_000_000, 1_000_000_000
START = 1_700_000_000 * SECOND
TICK_NS = 50 * MS                               # the longest step of time, and the shortest
LEAST_NS = 10_000
ROUNDS_MOST = 1_000                             # of answers to answers at one moment; more is a quarrel, and our bug
KEPT = 10_000                                   # effects and explanations remembered
FUNDS = {"BTC": "200", "USD": "20000000", "XRP": "8000000"}      # what each account, and the desk at each venue, begins with
MIDS = {"BTC": "60000", "XRP": "0.5", "ETH": "3000"}             # where a made-up market begins, by base
Row = np.void


class Engine(Protocol):
    """A core or a twin; a node through its door looks the same once its answers are collected."""
    def apply(self, records: np.ndarray, time: int) -> np.ndarray: ...
    def tables(self) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]: ...


class BrokenHouse(AssertionError):
    """An invariant does not hold: says which, when, and after which command."""


class Said(NamedTuple):
    """What an actor wanted a person to know."""
    at: int
    by: str
    what: Any


class Venue:
    """An outside market, its executor, and the requests on their way to it."""

    def __init__(self, name: str, market: SimulatedVenue, executor: VenueExecutor) -> None:
        self.name, self.market, self.executor = name, market, executor
        self.queue: list[Intent] = []


class OutsideDealer:
    """A dealer that answers every invitation around the last mid it heard."""

    def __init__(self, sender: Sender, terms: Mapping[int, Terms], spread_ppm: int, ttl_ns: int = 5 * SECOND) -> None:
        self.account, self.spread_ppm, self.ttl_ns = sender.account, spread_ppm, ttl_ns
        self._sender, self._terms, self._mids = sender, terms, dict[int, int]()

    def hear(self, book: BookUpdate) -> None:
        self._mids[book.instrument] = (book.bids[0][0] + book.asks[0][0]) // 2

    def step(self, row: Row, now: int) -> list[np.ndarray]:
        number = int(row["instrument"])
        if row["kind"] != Event.REQUEST_INVITED or number not in self._mids:
            return []
        mid, tick, side = self._mids[number], self._terms[number].quote_tick, row["side"]
        away = mid * self.spread_ppm // PPM
        bid = (mid - away) // tick * tick if side != Side.BUY else 0
        ask = -(-(mid + away) // tick) * tick if side != Side.SELL else 0
        return [self._sender.command(Kind.QUOTE, now, request=int(row["id"]), bid=bid, ask=ask, ttl=self.ttl_ns)]


class Shown(NamedTuple):
    """A live quote as its client sees it."""
    quote: int
    bid: int
    ask: int
    lapses: int


class Request:
    """A client's request: what was asked, what is shown, and how it ended."""

    def __init__(self, instrument: int, side: Side, quantity: int, choose: Callable[[list[Shown]], Shown | None] | None, wait_ns: int) -> None:
        self.instrument, self.side, self.quantity, self.choose, self.wait_ns = instrument, side, quantity, choose, wait_ns
        self.number = self.decide_at = self.reason = 0
        self.quotes: dict[int, Shown] = {}
        self.filled: dict[str, int] | None = None
        self.refused: list[int] = []


class SimulatedClient:
    """Asks, waits a little, and accepts the quote it chooses (by default the best for it)."""

    def __init__(self, sender: Sender) -> None:
        self.account, self._sender = sender.account, sender
        self._asked: dict[int, Request] = {}            # by the id given
        self.requests: dict[int, Request] = {}          # by the request's number
        self.events: deque[dict[str, int]] = deque(maxlen=KEPT)

    def ask(self, request: Request, ttl_ns: int, now: int) -> np.ndarray:
        record = self._sender.command(Kind.REQUEST_QUOTE, now, instrument=request.instrument, side=request.side, quantity=request.quantity, ttl=ttl_ns)
        self._asked[int(record["id_lo"][0])] = request
        return record

    def step(self, row: Row | None, now: int) -> list[np.ndarray]:
        if row is not None:
            self._hear(row, now)
        return [self._accept(one, now) for one in self.requests.values() if one.decide_at and now >= one.decide_at and self._chosen(one)]

    def _hear(self, row: Row, now: int) -> None:
        told = {name: int(row[name]) for name in EVENT.names or ()}
        self.events.append(told)
        kind, number, given = told["kind"], told["id"], told["id_lo"] if told["id_hi"] == self._sender.session else 0
        if kind == Event.REQUEST_OPENED and given in self._asked:
            one = self.requests[number] = self._asked[given]
            one.number, one.decide_at = number, now + one.wait_ns
        elif kind == Event.REFUSED and given in self._asked:
            one = self._asked[given]
            one.refused.append(told["reason"])
            one.decide_at = now + one.wait_ns if one.number and not one.reason else 0
        elif kind == Event.QUOTE_SHOWN and told["other"] in self.requests:
            self.requests[told["other"]].quotes[number] = Shown(number, told["price"], told["amount"], told["leaves"])
        elif kind == Event.QUOTE_ENDED and told["other"] in self.requests:
            self.requests[told["other"]].quotes.pop(number, None)
        elif kind == Event.FILLED and given in self._asked:
            self._asked[given].filled = told
        elif kind == Event.REQUEST_ENDED and number in self.requests:
            self.requests[number].reason, self.requests[number].decide_at = told["reason"], 0

    def _chosen(self, one: Request) -> Shown | None:
        side = Side.BUY if one.side == Side.TWO_WAY else one.side
        live = [s for s in one.quotes.values() if (s.ask if side == Side.BUY else s.bid)]
        if one.choose is not None:
            return one.choose(live)
        return min(live, key=lambda s: s.ask if side == Side.BUY else -s.bid, default=None)

    def _accept(self, one: Request, now: int) -> np.ndarray:
        chosen = self._chosen(one)
        assert chosen is not None
        side = Side.BUY if one.side == Side.TWO_WAY else one.side
        record = self._sender.command(Kind.ACCEPT_QUOTE, now, side=side, request=one.number, quote=chosen.quote,
                                      limit_price=chosen.ask if side == Side.BUY else chosen.bid)
        self._asked[int(record["id_lo"][0])], one.decide_at = one, 0
        return record


class House:
    """`turn` moves time to the next thing that happens and lets everyone answer until all is quiet; `run(until)` does so again and again."""

    def __init__(self, engine: Engine, design: Design, seed: int, feeds: Mapping[int, Iterable[BookUpdate]] | None = None, *, start: int = START,
                 venues: Mapping[str, SimulatedSettings] | None = None, dealer_spread_ppm: int = 1_500, funds: Mapping[str, str] | None = None,
                 audit: bool = True, genesis: tuple[np.ndarray, bytes] | None = None) -> None:
        self.engine, self.design, self.now, self.audit = engine, design, start, audit
        made_from = configure(design)
        self.names: Names = made_from.names
        self.terms = desk_terms(design, self.names)
        self.sequence = 0
        self.streams = Streams(lambda sequence: ())     # everyone reads at once, so the ring is enough
        self.log: list[tuple[int, np.ndarray]] = []
        self.said: deque[Said] = deque(maxlen=KEPT)
        self.explanations: dict[tuple[int, int], bytes] = {}
        self._inbox: list[np.ndarray] = []
        self._side = SideSection()                      # the attachments of what is in the inbox
        self._cursors: dict[str, int] = {}
        self._life = design.cell.answer_window // 2
        self._session = 0
        self._clock_at = 0
        self.public = PublicBook()
        self._apply(*(genesis or (np.concatenate(made_from.records), b"")))
        self._fund(FUNDS if funds is None else funds)
        self._make_desk()
        self._make_outside(seed, dict(venues or {}), dealer_spread_ppm)
        made = feeds if feeds is not None else {n: wandering(self.terms[n], mid_of(design, self.terms[n]), seed + n, start) for n in self._listed()}
        self._feeds = {number: iter(books) for number, books in made.items()}
        self._next_book = {number: book for number, feed in self._feeds.items() if (book := next(feed, None)) is not None}

    # -------------------------------------------------------------------------------------------------------------------- makers
    def _key(self, kind: Kind, account: str = "", near: str = "") -> int:
        """A key whose role may send this kind: a service's for the account, of the house for none, best one named after `near`."""
        roles = self.design.roles
        able = [name for name, key in self.design.keys.items() if key.account == account and not key.person
                and any(kind in kinds(words) for words in (roles[key.role].own, roles[key.role].entity, roles[key.role].all))]
        if not able:
            raise ValueError(f"no service key may send {kind.name} for {account or 'the house'}: declare one under keys")
        return self.names["actors"][next((name for name in able if near and near in name), able[0])]

    def sender(self, kind: Kind, account: str = "") -> Sender:
        self._session += 1
        return Sender(self._key(kind, account), self.names["accounts"][account] if account else 0, self._session << 32, self._life)

    def _make_desk(self) -> None:
        design, names = self.design, self.names
        desk = next(iter(design.house.desks))
        sender, sources, aims = self.sender(Kind.QUOTE, desk), desk_sources(design, names), desk_aims(design, names, desk)
        self.desk = sender.account
        self.quoter = Quoter(sender, self.terms, sources, aims, quoter_settings(design, names))
        most = max((len(named) for named in sources.values()), default=2)
        self.hedger = Hedger(sender, self.terms, sources, aims, hedger_settings(design, names, pricing_settings(design, most)))
        self.clerk = SettlementClerk(self.sender(Kind.SETTLE))
        self._clock = self._key(Kind.TICK)

    def _make_outside(self, seed: int, settings: dict[str, SimulatedSettings], spread_ppm: int) -> None:
        design, names = self.design, self.names
        sources = {row.venue: name for name, row in design.sources.items() if row.kind == "venue"}
        self.venues: dict[str, Venue] = {}
        for name, row in design.venues.items():
            terms = {names["instruments"][listed]: self.terms[names["instruments"][listed]] for listed in row.symbols}
            chosen = settings.get(name) or SimulatedSettings(fee_ppm=row.taker_ppm, maker_fee_ppm=row.maker_ppm)
            market = SimulatedVenue(name, terms.values(), chosen, Noise(seed).branch(names["venues"][name]).word())
            posts = posting(design, names, sources[name]) if name in sources else None
            actor = self._key(Kind.CHILD_ACKED, near=name)
            self.venues[name] = Venue(name, market, VenueExecutor(names["venues"][name], market.capabilities, self.terms, actor, posts))
        self.posters = [PricePoster(posting(design, names, name), self.terms, self._key(Kind.SOURCE_PRICE, near=name))
                        for name, row in design.sources.items() if row.kind == "recorded"]
        self.dealers = {name: OutsideDealer(self.sender(Kind.QUOTE, name), self.terms, spread_ppm + 100 * i) for i, name in enumerate(design.dealers)}
        self.clients = {name: SimulatedClient(self.sender(Kind.REQUEST_QUOTE, name)) for name in design.clients}

    def _listed(self) -> list[int]:
        return sorted({self.names["instruments"][name] for row in self.design.venues.values() for name in row.symbols})

    def _fund(self, funds: Mapping[str, str]) -> None:
        """Deposits for clients and dealers at the first wallet or bank that keeps the asset, for the desk at every venue."""
        actor, records = self._key(Kind.DEPOSIT), []
        custody = {name: row for name, (_, row) in accounts(self.design).items() if isinstance(row, Custody)}
        for name, (_, row) in accounts(self.design).items():
            for asset, text in funds.items():
                if isinstance(row, Custody) or asset not in self.design.assets:
                    continue
                places = [at for at, its in custody.items() if asset in its.assets and (its.kind == "venue") == isinstance(row, Desk)]
                for at in places if isinstance(row, Desk) else places[:1]:
                    records.append(command(Kind.DEPOSIT, actor=actor, account=self.names["accounts"][name], id_lo=len(records) + 1,
                                           custody=self.names["accounts"][at], asset=self.names["assets"][asset], amount=units_of(self.design, asset, text)))
        if records:
            self._apply(np.concatenate(records))

    # ---------------------------------------------------------------------------------------------------------------------- time
    def run(self, until: int, enough: Callable[[], bool] | None = None) -> bool:
        """To `until`, or until it is enough. True if it was."""
        while self.now < until:
            self.turn()
            if enough is not None and enough():
                return True
        return False

    def turn(self) -> None:
        now = self.now = self._next_moment()
        for number, book in list(self._next_book.items()):
            while book is not None and book.time <= now:
                self._market_moved(book)
                book = next(self._feeds[number], None)
            if book is None:
                del self._next_book[number]
            else:
                self._next_book[number] = book
        for venue in self.venues.values():
            self._step_venue(venue)
        if now - self._clock_at >= 2 * TICK_NS:
            self._clock_at = now
            self._inbox.append(command(Kind.TICK, actor=self._clock))
        self._desk(Elapsed())
        self._clerk(None)
        for client in self.clients.values():
            self._inbox += client.step(None, now)
        self._until_quiet()

    def _next_moment(self) -> int:
        dues = [self.now + TICK_NS, *(book.time for book in self._next_book.values())]
        for venue in self.venues.values():
            dues += [due for due in (venue.market.next_event(self.now), venue.executor.next_event(self.now)) if due is not None]
        if (due := self.hedger.next_event(self.now)) is not None:
            dues.append(due)
        return max(self.now + LEAST_NS, min(dues))

    def _market_moved(self, book: BookUpdate) -> None:
        for venue in self.venues.values():
            if book.instrument in venue.market._terms:
                venue.market.follow(book)
        for dealer in self.dealers.values():
            dealer.hear(book)
        for poster in self.posters:
            self._inbox += poster.step(book, self.now)

    def _step_venue(self, venue: Venue) -> None:
        intents, venue.queue = venue.queue, []
        reports: list[Report | None] = [None, *venue.market.step(self.now, intents)]
        for report in reports:
            self._executor(venue, report)
            if isinstance(report, BookUpdate):
                self._desk(Heard(venue.name, report))

    # -------------------------------------------------------------------------------------------------------------------- actors
    def submit(self, outgoing: Iterable[Outgoing | np.ndarray]) -> None:
        """Commands for the next entry, in their order."""
        for one in outgoing:
            if isinstance(one, Outgoing):
                if one.attachment:
                    self.explanations[int(one.record["id_hi"][0]), int(one.record["id_lo"][0])] = one.attachment
                    if len(self.explanations) > KEPT:
                        del self.explanations[next(iter(self.explanations))]
                    one.record["attachment"] = self._side.add(one.attachment)
                self._inbox.append(one.record)
            else:
                self._inbox.append(one)

    def request(self, client: str, instrument: str, side: Side, quantity: int, ttl_ns: int = 10 * SECOND, *, wait_ns: int = 500 * MS,
                choose: Callable[[list[Shown]], Shown | None] | None = None) -> Request:
        """A client asks; it accepts after `wait_ns` what it then chooses."""
        one = Request(self.names["instruments"][instrument], side, quantity, choose, wait_ns)
        self.submit([self.clients[client].ask(one, ttl_ns, self.now)])
        return one

    def by_desk(self, live: list[Shown]) -> Shown | None:
        """A client's choice: the desk's quote, whatever it is."""
        return next((one for one in live if one.quote >> 32 & 0xFFFFFF == self.desk), None)

    def net(self) -> None:
        self.submit(self.clerk.net(self.now))

    def _desk(self, event: Row | Heard | Elapsed) -> None:
        for step in (self.quoter.step, self.hedger.step):
            out, effects = step(event, self.now)
            self.submit(out)
            self.said += [Said(self.now, "desk", effect) for effect in effects]

    def _clerk(self, row: Row | None) -> None:
        out, effects = self.clerk.step(row, self.now)
        self.submit(out)
        self.said += [Said(self.now, "clerk", effect) for effect in effects]

    def _executor(self, venue: Venue, event: Row | Report | None) -> None:
        turn = venue.executor.step(event, self.now)
        self.submit(turn.facts)
        venue.queue += turn.intents
        self.said += [Said(self.now, venue.name, call) for call in turn.calls]

    # ------------------------------------------------------------------------------------------------------------------- the log
    def _until_quiet(self) -> None:
        """Entry after entry, until nobody has an answer left."""
        for _ in range(ROUNDS_MOST):
            if self._inbox:
                records, self._inbox = np.concatenate(self._inbox), []
                side, self._side = bytes(self._side), SideSection()
                self._apply(records, side)
                self._tell()
            elif any(venue.queue for venue in self.venues.values()):
                for venue in self.venues.values():
                    self._step_venue(venue)
            else:
                return
        raise BrokenHouse(f"at {self.now} the actors answered one another {ROUNDS_MOST} times without end")

    def _apply(self, records: np.ndarray, side: bytes = b"") -> None:
        first = self.sequence + 1
        self.sequence += len(records)
        whole = getattr(self.engine, "apply_with", None)        # an engine with a log keeps attachments; a bare core has nothing to keep them in
        events = whole(records, self.now, side) if whole else self.engine.apply(records, self.now)
        self.log.append((self.now, records))
        self.streams.add(first, self.sequence, self.now, events)
        wrong = self.public.hear(events)
        if self.audit and (broken := [*wrong, *invariants(tables := self.engine.tables()), *self.public.differs(tables)]):
            told = ", ".join(Kind(int(kind)).name for kind in records["kind"][-8:])
            raise BrokenHouse(f"at {self.now}, after sequence {self.sequence} ({told}): " + "; ".join(broken))

    def _tell(self) -> None:
        """Everyone reads its own stream to the end."""
        for row in self._fresh("desk", account_row(self.desk)):
            self._desk(row)
        for row in self._fresh("desk, public", PUBLIC):
            if row["kind"] == Event.REFERENCE:
                self._desk(row)
        for name, dealer in self.dealers.items():
            for row in self._fresh(name, account_row(dealer.account)):
                self._inbox += dealer.step(row, self.now)
        for name, client in self.clients.items():
            for row in self._fresh(name, account_row(client.account)):
                self._inbox += client.step(row, self.now)
        for row in self._fresh("house", ALL):
            for venue in self.venues.values():
                self._executor(venue, row)
            self._clerk(row)

    def _fresh(self, reader: str, stream: int) -> Iterator[Row]:
        while (number := self._cursors.get(reader, 1)) <= self.streams.last_number(stream):
            batch = self.streams.read(stream, number)
            self._cursors[reader] = batch.first + len(batch.events)
            yield from batch.events

    # ------------------------------------------------------------------------------------------------------------------- reading
    def rows(self, table: str, **where: int) -> list[dict[str, int]]:
        """The rows of a table of section 11 whose columns have these values."""
        _, columns, matrix = self.engine.tables()[table]
        made = (dict(zip(columns, (int(v) for v in row), strict=True)) for row in matrix)
        return [row for row in made if all(row[name] == value for name, value in where.items())]

    def position(self, account: int, instrument: int) -> int:
        return sum(row["net"] for row in self.rows("positions", account=account, instrument=instrument))

    def stranded(self) -> dict[int, int]:
        """What facts brought that matched nothing, by asset: empty unless a venue did what nobody asked."""
        suspense = {row["account"] for row in self.rows("accounts", kind=AccountKind.SUSPENSE)}
        return {row["asset"]: row["available"] for row in self.rows("balances") if row["account"] in suspense and row["available"]}


def mid_of(design: Design, terms: Terms) -> int:
    """Where a made-up market of this instrument begins, in price increments on the book's tick."""
    places = len(terms.price_increment.partition(".")[2])
    increment = int(terms.price_increment.replace(".", ""))
    base = design.instruments[terms.name].base
    whole, _, part = MIDS.get(base, "100").partition(".")
    return int(whole + part.ljust(places, "0")[:places]) // increment // terms.book_tick * terms.book_tick


def wandering(terms: Terms, mid: int, seed: int, start: int, every_ns: int = 100 * MS, step_ppm: int = 30, depth: int = 10,
              worth: int = 100_000) -> Iterator[BookUpdate]:
    """A market that wanders: each book's mid at most `step_ppm` from the last, a spread of two ticks, levels worth about `worth` whole units of quote each."""
    noise, tick, at = Noise(seed), terms.book_tick, start
    one = 10 ** len(terms.base_unit.partition(".")[2])
    increments = 10 ** len(terms.price_increment.partition(".")[2]) // int(terms.price_increment.replace(".", ""))
    while True:
        at += every_ns
        reach = max(mid * step_ppm // PPM, tick)
        mid = min(max(mid + noise.between(-reach, reach), terms.min_price + (depth + 2) * tick), terms.max_price - (depth + 2) * tick)
        centre = mid // tick * tick
        size = max(worth * one * increments // mid, terms.lot)
        sides = [tuple((centre + towards * tick * (1 + level), noise.between(size // 2, size) // terms.lot * terms.lot or terms.lot) for level in range(depth))
                 for towards in (-1, 1)]
        yield BookUpdate(terms.number, at, sides[0], sides[1])
