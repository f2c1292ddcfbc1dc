"""What everybody in the simulated house wants: clients, dealers, staff, feeds and the custodian, each from what its own stream told it and a seed.

Decides which command comes next, mostly one that means something and now and then one that must be refused. It must not know how a command reaches the
house, what the log holds or what the kernel thinks: a trader hears events, nothing else.
"""
from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cambist.design import Design
from cambist.desk.quoting import desk_terms
from cambist.messages import (
    BY_QUOTE, COMMAND, EVENT, LAYOUT, MAX_AMOUNT, REDUCE_ONLY, Event, Kind, Link, OrderType, PostOnly, Reason, Session, Side, TimeInForce, Trigger, identifier,
)

K, E = Kind, Event
SECOND = 1_000_000_000
Fields = dict[str, int]
Ask = tuple[Kind, Fields]
KEPT = 200                                      # things remembered of each sort; older ones are let go of


class Told(NamedTuple):
    """One event, field by field as on the wire."""
    kind: int
    reason: int
    side: int
    liquidity: int
    command: int
    account: int
    instrument: int
    sequence: int
    id: int
    other: int
    price: int
    quantity: int
    leaves: int
    amount: int
    fee: int
    id_hi: int
    id_lo: int


assert Told._fields == EVENT.names


def told(events: np.ndarray) -> list[Told]:
    return [Told._make(row) for row in events.tolist()]


def record(kind: Kind, fields: Mapping[str, int]) -> np.ndarray:
    """One command of shape (1,). The fields are the simulator's own and fit."""
    row = np.zeros(1, LAYOUT[kind])
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row.view(COMMAND)


def digest_words(data: bytes) -> Fields:
    """What a person signs who approves these 128 bytes."""
    digest = hashlib.sha256(data).digest()
    return {f"digest{i}": int.from_bytes(digest[8 * i:8 * i + 8], "big", signed=True) for i in range(4)}


NOT_PLAIN = {"special", "together", "mass_quote", "mass_quotes"}       # what a plain market has none of
STOPPING = (Reason.KILLED, Reason.KILLED_ALL, Reason.TRADER_KILLED)


class Listing(NamedTuple):
    """An instrument as a trader knows it."""
    number: int
    mid: int
    tick: int
    quote_tick: int
    lot: int
    large: int                                  # lots
    amount: Callable[[int, int], int]           # of a quantity at a price


class Market:
    """What all know: instruments, accounts, keys, and where prices wander."""
    def __init__(self, design: Design, names: Mapping[str, Mapping[str, int]], chance: random.Random, plain: bool = False) -> None:
        self.design, self.names, self.chance, self.plain = design, names, chance, plain
        self.cell = design.cell.number
        self.accounts, self.keys, self.assets, self.sources = (names[table] for table in ("accounts", "actors", "assets", "sources"))
        self.listings: dict[int, Listing] = {}
        self.crowd: tuple[int, int, int] = 0, 0, 0  # where many orders are being cancelled: instrument, side, how many others still take from it
        self.mids: dict[int, int] = {}
        for number, terms in desk_terms(design, names).items():
            mid = {"BTC": 600_000, "XRP": 50_000}.get(design.instruments[terms.name].base, terms.min_price * 1000) // terms.book_tick * terms.book_tick
            self.listings[number] = Listing(number, mid, terms.book_tick, terms.quote_tick, terms.lot, 30_000 if mid > 100_000 else 8_000,
                                            lambda quantity, price, terms=terms: quantity * price * terms.amount_num // terms.amount_den)
            self.mids[number] = mid

    def wander(self, number: int) -> int:
        one = self.listings[number]
        step = one.tick * self.chance.randint(-6, 6)
        self.mids[number] = min(max(self.mids[number] + step, one.mid * 98 // 100), one.mid * 102 // 100)
        return self.mids[number]


class Trader:
    """An account's program: orders, and what belongs to its role. `hear` its stream; `next` is what it wants now."""
    VERBS: Mapping[str, float] = {}

    def __init__(self, market: Market, account: str, key: str, chance: random.Random) -> None:
        self.market, self.account, self.actor, self.chance = market, market.accounts[account], market.keys[key], chance
        self.name = account
        self.orders: dict[int, tuple[int, int, int, int]] = {}          # id -> instrument, side, price, leaves
        self.requests: dict[int, tuple[int, int, int]] = {}             # id -> instrument, side, lapses
        self.shown: dict[int, tuple[int, int, int]] = {}                # quote -> request, bid, ask
        self.invited: dict[int, tuple[int, int, int]] = {}              # request -> instrument, side, lapses
        self.quotes: dict[int, int] = {}                                # own quote -> request
        self.calm = False                                               # faults are over: nothing that stops anyone
        self.stopped = False                                            # a kill switch was met, or others have their turn: it waits a little
        self._crowd: list[Ask] = []                                     # what it has made up its mind to send next
        self._offered: tuple[int, int, int] = 0, 0, 0                   # and what all see once it has sent the last of it
        self._verbs = [(getattr(self, name), weight) for name, weight in self.VERBS.items() if not (market.plain and name in NOT_PLAIN)]

    def next(self, now: int) -> Ask | list[Ask] | None:
        """A list stands in one group."""
        if self.stopped:
            return None
        if self._crowd:
            return self._crowd_next()
        if self.market.crowd[2] and self.chance.random() < 0.6:
            return self._take_crowd()
        verbs, weights = zip(*self._verbs, strict=True)
        return self.chance.choices(verbs, weights)[0](now)

    # ---------------------------------------------------------------------------------------------------------------------- hearing
    def hear(self, e: Told) -> None:
        kind = e.kind
        if kind in (E.ORDER_ACCEPTED, E.ORDER_AMENDED):
            _keep(self.orders, e.id, (e.instrument, e.side, e.price, e.leaves))
        elif kind in (E.FILLED, E.ORDER_REDUCED):
            if e.id in self.orders:
                self.orders[e.id] = (*self.orders[e.id][:3], e.leaves)
                if not e.leaves:
                    del self.orders[e.id]
        elif kind == E.ORDER_CANCELLED:
            self.orders.pop(e.id, None)
        elif kind == E.BOOK_QUOTED:
            for number, side, price, quantity in ((e.id, 0, e.price, e.quantity), (e.other, 1, e.amount, e.leaves)):
                if number:
                    _keep(self.orders, number, (e.instrument, side, price, quantity))
        elif kind == E.REQUEST_OPENED:
            _keep(self.requests, e.id, (e.instrument, e.side, e.other))
        elif kind == E.QUOTE_SHOWN:
            _keep(self.shown, e.id, (e.other, e.price, e.amount))
        elif kind == E.REQUEST_INVITED:
            _keep(self.invited, e.id, (e.instrument, e.side, e.other))
        elif kind == E.QUOTED:
            _keep(self.quotes, e.id, e.other)
        elif kind == E.QUOTE_ENDED:
            self.quotes.pop(e.id, None)
            self.shown.pop(e.id, None)
        elif kind == E.REQUEST_ENDED:
            self.requests.pop(e.id, None)
            self.invited.pop(e.id, None)
        if kind == E.REFUSED and e.reason in STOPPING:
            self.stopped = True

    # ---------------------------------------------------------------------------------------------------------------------- choosing
    def _listing(self) -> Listing:
        listings = self.market.listings
        return listings[self.chance.choice((*listings, 3 if 3 in listings else 1))]

    def _price(self, one: Listing, spread: int = 10) -> int:
        r = self.chance
        price = self.market.mids[one.number] // one.tick * one.tick + one.tick * r.randint(-spread, spread)
        return price if r.random() < 0.98 else r.choice((price + 1, 0, price * 2, -price, one.mid * 107 // 100 // one.tick * one.tick))

    def _quantity(self, one: Listing) -> int:
        r = self.chance
        lots = r.choice((r.randint(1, 20), r.randint(1, one.large), 10, 10))
        return lots * one.lot + (r.choice((1, -7)) if r.random() < 0.01 else 0)

    def _ask(self, kind: Kind, **fields: int) -> Ask:
        return kind, {"account": self.account, "actor": self.actor, **fields}

    def order(self, now: int) -> Ask:
        r, one = self.chance, self._listing()
        market = r.random() < 0.07
        tif = r.choice((0, 0, 0, 0, 0, 1, 2))
        return self._ask(K.NEW_ORDER, instrument=one.number, side=r.randint(0, 1), order_type=OrderType.MARKET if market else OrderType.LIMIT,
                         time_in_force=min(tif, 1) if market else tif, self_trade=r.randint(0, 3), post_only=int(r.random() < 0.08 and not tif and not market),
                         price=0 if market else self._price(one), quantity=self._quantity(one))

    def cancel(self, now: int) -> Ask | None:
        if not self.orders or self.chance.random() < 0.05:
            return self._ask(K.CANCEL_ORDER, order=self._guess())
        return self._ask(K.CANCEL_ORDER, order=self.chance.choice(list(self.orders)))

    def _guess(self) -> int:
        other = self.chance.choice((self.account, 1, 2, 3, 4))
        return identifier(self.market.cell, other, self.chance.randint(1, 50))

    def amend(self, now: int) -> Ask | None:
        if not self.orders:
            return None
        r = self.chance
        number = r.choice(list(self.orders))
        instrument, _, price, leaves = self.orders[number]
        one = self.market.listings[instrument]
        price += one.tick * r.choice((0, 0, 1, -1, 3, -3, 8, -8))
        return self._ask(K.AMEND_ORDER, order=number, price=price, quantity=max(one.lot, leaves + one.lot * r.randint(-15, 12)))

    def special(self, now: int) -> Ask:
        """An order that is more than a plain one; a few of them fit together badly and are refused."""
        r, one = self.chance, self._listing()
        fields: Fields = {"instrument": one.number, "side": r.randint(0, 1), "self_trade": r.randint(0, 3), "price": self._price(one),
                          "quantity": self._quantity(one)}
        fields.update(r.choice((self._stop, self._stop, self._trailing, self._peg, self._iceberg, self._good_till, self._for_auction, self._by_quote,
                                self._minimum, self._slides, self._reduces))(one, fields, now))
        return self._ask(K.NEW_ORDER, **fields)

    def _stop(self, one: Listing, fields: Fields, now: int) -> Fields:
        r = self.chance
        trigger, market = r.choice((Trigger.STOP, Trigger.TAKE_PROFIT)), r.random() < 0.5
        rising = (trigger == Trigger.STOP) == (fields["side"] == Side.BUY)
        away = r.randint(1, 12) * one.tick * (1 if rising else -1)
        price = self.market.mids[one.number] // one.tick * one.tick + away
        return {"trigger": trigger, "trigger_on": r.randint(0, 2), "trigger_price": price, "order_type": int(market), "time_in_force": r.choice((0, 0, 1)),
                "price": 0 if market else price + r.randint(-5, 5) * one.tick}

    def _trailing(self, one: Listing, fields: Fields, now: int) -> Fields:
        return {"trigger": Trigger.TRAILING, "trigger_on": self.chance.randint(0, 2), "trigger_price": self.chance.randint(1, 20) * one.tick, "order_type": 1,
                "price": 0}

    def _peg(self, one: Listing, fields: Fields, now: int) -> Fields:
        return {"order_type": self.chance.choice((OrderType.PRIMARY, OrderType.OPPOSITE, OrderType.MIDPOINT)), "offset": self.chance.randint(0, 4) * one.tick,
                "price": self._price(one, 25)}

    def _iceberg(self, one: Listing, fields: Fields, now: int) -> Fields:
        lots = self.chance.randint(2, 40)
        return {"quantity": lots * one.lot, "display": self.chance.randint(1, max(1, lots // 2)) * one.lot}

    def _good_till(self, one: Listing, fields: Fields, now: int) -> Fields:
        day = self.chance.random() < 0.2
        return {"time_in_force": TimeInForce.DAY if day else TimeInForce.GTD, "good_till": 0 if day else now + self.chance.randint(-1, 60) * SECOND // 10}

    def _for_auction(self, one: Listing, fields: Fields, now: int) -> Fields:
        return {"time_in_force": self.chance.choice((TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE))}

    def _by_quote(self, one: Listing, fields: Fields, now: int) -> Fields:
        terms = one.amount
        return {"order_type": 1, "price": 0, "options": BY_QUOTE, "self_trade": self.chance.randint(0, 2), "time_in_force": self.chance.randint(0, 1),
                "quantity": terms(fields["quantity"], self.market.mids[one.number]) + self.chance.randint(0, 99)}

    def _minimum(self, one: Listing, fields: Fields, now: int) -> Fields:
        lots = self.chance.randint(2, 30)
        return {"quantity": lots * one.lot, "minimum": self.chance.randint(1, lots) * one.lot, "time_in_force": self.chance.choice((0, 1))}

    def _slides(self, one: Listing, fields: Fields, now: int) -> Fields:
        return {"post_only": PostOnly.SLIDE}

    def _reduces(self, one: Listing, fields: Fields, now: int) -> Fields:
        return {"options": REDUCE_ONLY, "time_in_force": self.chance.choice((0, 1))}

    def together(self, now: int) -> list[Ask]:
        """Two that cancel one another, a parent with its child, or with two of them."""
        r, one = self.chance, self._listing()
        side, quantity, mid = r.randint(0, 1), r.randint(1, 20) * one.lot, self.market.mids[one.number] // one.tick * one.tick
        up = 1 if side == Side.BUY else -1

        def leg(link: Link, side: int, price: int, trigger: int = 0) -> Ask:
            return self._ask(K.NEW_ORDER, instrument=one.number, side=side, quantity=quantity, link=link, price=price, self_trade=r.randint(0, 3),
                             **({"trigger": Trigger.STOP, "trigger_price": trigger} if trigger else {}))
        parent = leg(Link.PARENT, side, mid + up * one.tick * r.randint(-4, 6))
        takes, stops = mid + up * one.tick * r.randint(2, 12), mid - up * one.tick * r.randint(3, 12)
        child, guard = leg(Link.CHILD, 1 - side, takes), leg(Link.CHILD, 1 - side, stops - up * one.tick * 4, stops)
        rests = leg(Link.OCO, side, mid - up * one.tick * r.randint(0, 9))
        breaks = leg(Link.OCO, side, mid + up * one.tick * 15, mid + up * one.tick * r.randint(1, 9))
        return r.choice(([rests, breaks], [parent, child], [parent, child, guard], [parent, guard]))

    def cancel_some(self, now: int) -> Ask:
        return self._ask(K.CANCEL_SOME, instrument=self.chance.choice((0, *self.market.listings)), side=self.chance.randint(0, 2))

    def dead_man(self, now: int) -> Ask:
        return self._ask(K.DEAD_MAN, ttl=self.chance.choice((0, 1, 2, 30, 60)) * SECOND // 10)

    def crowd(self, now: int) -> Ask:
        """So many orders near the middle that cancelling all of them takes more than one command."""
        r, one = self.chance, self._listing()
        side, mid = r.randint(0, 1), self.market.mids[one.number] // one.tick * one.tick
        self._offered = one.number, side, 10
        self._crowd = [self._ask(K.CANCEL_ALL), *(self._ask(K.NEW_ORDER, instrument=one.number, side=side, self_trade=1, quantity=one.lot,
                                                            price=mid + (1 if side else -1) * one.tick * r.randint(1, 9)) for _ in range(60))]
        return self._crowd_next()

    def _crowd_next(self) -> Ask:
        """After the last it keeps still, for with each command of anybody 16 of them are gone."""
        ask = self._crowd.pop()
        if not self._crowd:
            self.market.crowd, self.stopped = self._offered, True
        return ask

    def _take_crowd(self) -> Ask:
        """All that stands there, while they are being cancelled."""
        number, side, left = self.market.crowd
        self.market.crowd, one = (number, side, left - 1), self.market.listings[number]
        price = self.market.mids[number] // one.tick * one.tick + (12 if side else -12) * one.tick
        return self._ask(K.NEW_ORDER, instrument=number, side=1 - side, time_in_force=TimeInForce.IOC, self_trade=self.chance.randint(0, 3), price=price,
                         quantity=one.lot * one.large)

    def cancel_all(self, now: int) -> Ask:
        return self._ask(K.CANCEL_ALL)


class ClientTrader(Trader):
    VERBS = {"order": 22, "cancel": 5, "amend": 6, "cancel_all": 0.25, "request": 6, "accept": 6, "cancel_request": 0.4, "transfer": 2,
             "kill": 0.01, "crowd": 0.2, "special": 9, "together": 2, "cancel_some": 0.2, "dead_man": 0.3}

    def request(self, now: int) -> Ask:
        r, one = self.chance, self._listing()
        return self._ask(K.REQUEST_QUOTE, instrument=one.number, side=r.randint(0, 2), quantity=self._quantity(one), ttl=r.choice((1, 3, 8, 20)) * SECOND)

    def accept(self, now: int) -> Ask | None:
        r = self.chance
        if not self.shown:
            return None
        quote = r.choice(list(self.shown))
        request, bid, ask = self.shown[quote]
        side = Side.BUY if ask and (not bid or r.random() < 0.5) else Side.SELL
        limit = MAX_AMOUNT if side == Side.BUY else 1
        if r.random() < 0.5:
            limit = ask if side == Side.BUY else bid
        return self._ask(K.ACCEPT_QUOTE, request=request, quote=quote if r.random() < 0.4 else 0, side=side, limit_price=limit)

    def cancel_request(self, now: int) -> Ask | None:
        return self._ask(K.CANCEL_REQUEST, request=self.chance.choice(list(self.requests))) if self.requests else None

    def transfer(self, now: int) -> Ask:
        r, names = self.chance, self.market.accounts
        to = names[r.choice([name for name in (*self.market.design.clients, *self.market.design.dealers) if name != self.name])]
        asset = r.choice(list(self.market.assets))
        digits = self.market.design.assets[asset].digits
        whole = r.choice((1, 1, 2, 6)) if asset == "BTC" else r.choice((1, 100, 20_000, 300_000))
        return self._ask(K.TRANSFER, to=to, asset=self.market.assets[asset], amount=whole * 10**digits + r.randint(0, 9))

    def kill(self, now: int) -> Ask | None:
        return None if self.calm else self._ask(K.KILL)


class DealerTrader(Trader):
    VERBS = {"order": 14, "cancel": 4, "amend": 4, "cancel_all": 0.15, "quote": 12, "withdraw": 1, "crowd": 0.15, "special": 5,
             "mass_quote": 5, "mass_quotes": 1, "reset_protection": 0.4, "cancel_some": 0.2, "dead_man": 0.2}

    def mass_quote(self, now: int, number: int = 0) -> Ask:
        r = self.chance
        one = self.market.listings[number] if number else self._listing()
        mid, mode = self.market.mids[one.number] // one.tick * one.tick, r.random()
        bid, ask = mid - one.tick * r.randint(0, 9), mid + one.tick * r.randint(0 if mode > 0.95 else 1, 9)
        bids, asks = self._quantity(one), self._quantity(one)
        if mode < 0.1:
            bid = bids = 0
        if mode < 0.05 or 0.1 < mode < 0.15:
            ask = asks = 0
        return self._ask(K.MASS_QUOTE, instrument=one.number, bid=bid, bid_quantity=bids, ask=ask, ask_quantity=asks, self_trade=r.randint(0, 3))

    def mass_quotes(self, now: int) -> list[Ask]:
        return [self.mass_quote(now, number) for number in sorted(self.market.listings)]

    def reset_protection(self, now: int) -> Ask:
        return self._ask(K.RESET_PROTECTION, instrument=self.chance.choice(list(self.market.listings)))

    def quote(self, now: int) -> Ask | None:
        self.invited = {number: row for number, row in self.invited.items() if row[2] > now - SECOND}
        if not self.invited:
            return None
        r = self.chance
        number = r.choice(list(self.invited))
        instrument, side, _ = self.invited[number]
        one = self.market.listings[instrument]
        mid = self.market.mids[instrument] // one.quote_tick * one.quote_tick
        bid, ask = (mid - mid * away // 1_000_000 // one.quote_tick * one.quote_tick for away in (r.randint(0, 500), -r.randint(0, 500)))
        if r.random() < 0.02:
            bid, ask = ask + one.quote_tick, bid
        side = side if r.random() < 0.98 else r.randint(0, 2)
        return self._ask(K.QUOTE, request=number, bid=bid if side != Side.BUY else 0, ask=ask if side != Side.SELL else 0,
                         ttl=r.choice((1, 2, 5, 20)) * SECOND // r.choice((1, 1, 10)))

    def withdraw(self, now: int) -> Ask | None:
        return self._ask(K.WITHDRAW_QUOTE, quote=self.chance.choice(list(self.quotes))) if self.quotes else None


class Staff:
    """People and services of the house: they hear everything, and act for nobody's account."""
    def __init__(self, market: Market, chance: random.Random, find: Callable[[Told], bytes | None]) -> None:
        self.market, self.chance, self._find = market, chance, find
        self.held: dict[int, tuple[int, bytes]] = {}                    # id -> account it is told to, bytes
        self.obligations: dict[int, int] = {}                           # id -> amount
        self.sessions: dict[int, int] = {}                              # instrument -> its session
        self.latched: dict[str, int] = {}                               # what was stopped: to be started again
        self.calm = False
        self.strangers = {market.keys["acme-bot"]}      # keys of others that it uses where they must be refused
        self.facts = 0

    def hear(self, e: Told) -> None:
        kind = e.kind
        if kind == E.HELD and (data := self._find(e)) is not None:
            _keep(self.held, e.id, (e.account, data))
        elif kind in (E.APPROVED, E.DENIED, E.HELD_EXPIRED):
            self.held.pop(e.id, None)
        elif kind == E.OBLIGATION:
            _keep(self.obligations, e.id, e.amount)
        elif kind == E.SETTLED:
            self.obligations.pop(e.id, None)
        elif kind == E.SESSION_CHANGED:
            self.sessions[e.instrument] = e.id

    def _key(self, *names: str) -> int:
        return self.market.keys[self.chance.choice(names)]

    def _ask(self, kind: Kind, key: int, **fields: int) -> Ask:
        return kind, {"actor": key, **fields}

    # ------------------------------------------------------------------------------------------------------------------------ facts
    def prices(self, now: int) -> list[Ask]:
        """Every source speaks for every instrument, or only one of them does."""
        r, market = self.chance, self.market
        out = []
        for name, source in market.sources.items():
            if market.design.sources[name].kind == "venue" and r.random() < 0.7:
                continue                                # its executor posts what it sees
            for number, one in market.listings.items():
                if r.random() < 0.85:
                    mid = market.mids[number] + one.quote_tick * r.randint(-3, 3)
                    out.append(self._ask(K.SOURCE_PRICE, market.keys[f"feed-{name}"], instrument=number, source=source, price=mid, source_time=now))
        for number in market.listings:
            market.wander(number)
        return out

    def funds(self) -> list[Ask]:
        """What everyone begins with."""
        market, out = self.market, []
        for name in (*market.design.clients, *market.design.dealers, *market.design.house.desks):
            for asset, whole in (("BTC", 300), ("USD", 9_000_000), ("XRP", 4_000_000)):
                for custody, row in market.design.house.custody.items():
                    if asset in row.assets and (row.kind == "venue") == (name in market.design.house.desks):
                        self.facts += 1
                        out.append(self._ask(K.DEPOSIT, market.keys["custodian"], account=market.accounts[name], custody=market.accounts[custody], id_hi=11,
                                             id_lo=self.facts, asset=market.assets[asset], amount=whole * 10**market.design.assets[asset].digits))
        return out

    def deposit(self, now: int) -> Ask:
        r, market = self.chance, self.market
        asset = r.choice(list(market.assets))
        account = r.choice([*market.design.clients, *market.design.dealers, *market.design.house.desks])
        custody = r.choice([name for name, row in market.design.house.custody.items() if asset in row.assets])
        self.facts += 1
        whole = r.randint(1, 40) if asset == "BTC" else r.randint(1, 900_000)
        amount = whole * 10**market.design.assets[asset].digits // r.choice((1, 7, 900))
        reverses = r.random() < 0.3
        if reverses and r.random() < 0.4:
            amount = 60 * whole * 10**market.design.assets[asset].digits        # mostly more than there is: somebody has the hole
        return self._ask(K.REVERSE_DEPOSIT if reverses else K.DEPOSIT, market.keys["custodian"], account=market.accounts[account],
                         custody=market.accounts[custody], asset=market.assets[asset], amount=amount, id_hi=11, id_lo=self.facts)

    def move(self, now: int) -> Ask:
        r, market = self.chance, self.market
        asset = r.choice(list(market.assets))
        places = [name for name, row in market.design.house.custody.items() if asset in row.assets]
        one, other = r.sample(places, 2)
        self.facts += 1
        return self._ask(K.MOVE_CUSTODY, market.keys["custodian"], account=market.accounts[one], custody=market.accounts[other], asset=market.assets[asset],
                         amount=r.randint(1, 10**market.design.assets[asset].digits), id_hi=11, id_lo=self.facts)

    # ----------------------------------------------------------------------------------------------------------------------- people
    def decide(self, now: int) -> Ask | None:
        r = self.chance
        if not self.held:
            return None
        number = r.choice(list(self.held))
        data = self.held[number][1]
        key = self._key("ines", "oskar", "rhea", "tomas", "mara")
        if r.random() < 0.15:
            return self._ask(K.DENY, key, held=number)
        words = digest_words(data)
        if r.random() < 0.2:
            words["digest1"] ^= 4
        return self._ask(K.APPROVE, key, held=number, **words)

    def latch(self, now: int) -> Ask | None:
        """Stop something; or what was stopped before is started again."""
        r, market = self.chance, self.market
        if self.latched and (self.calm or len(self.latched) > 1 or r.random() < 0.8):
            name = r.choice(list(self.latched))
            kind = name.split()[0]
            number = self.latched.pop(name)
            key = self._key("ines", "oskar")
            if kind == "halt":
                return self._ask(K.RESUME, key, instrument=number)
            if kind == "trader":
                return self._ask(K.REVIVE_TRADER, key, number=number)
            return self._ask(K.REVIVE, key, account=number) if kind == "kill" else self._ask(K.REVIVE_ALL, key)
        if self.calm:
            return None
        dice = r.random()
        if dice < 0.5:
            number = r.choice(list(market.listings))
            self.latched[f"halt {number}"] = number
            return self._ask(K.HALT, self._key("ines", "oskar", "mara", "rhea"), instrument=number, cancel=r.randint(0, 1))
        if dice < 0.88:
            number = market.accounts[r.choice([*market.design.clients, *market.design.dealers])]
            self.latched[f"kill {number}"] = number
            return self._ask(K.KILL, self._key("ines", "oskar"), account=number)
        self.latched["all -"] = 0
        return self._ask(K.KILL_ALL, self._key("ines", "oskar", "mara"))

    def restart(self, now: int) -> list[Ask]:
        """Everything that may be stopped is started again; each still needs its second person."""
        market, key = self.market, self.market.keys["ines"]
        accounts = [*market.design.clients, *market.design.dealers, *market.design.house.desks]
        return [self._ask(K.REVIVE_ALL, key), *(self._ask(K.REVIVE, key, account=market.accounts[name]) for name in accounts),
                *(self._ask(K.RESUME, key, instrument=number) for number in market.listings),
                *(self._ask(K.REVIVE_TRADER, key, number=market.keys[name]) for name in ("acme-bot", "borea-bot", "b2", "c3"))]

    def session(self, now: int) -> Ask | None:
        """Orders gather, or nothing goes on; then an auction brings trading back."""
        if self.calm:
            return None
        r, market = self.chance, self.market
        number = r.choice(list(market.listings))
        asked = self.sessions.get(number, Session.CONTINUOUS)
        session, following, lasts = Session.AUCTION, Session.CONTINUOUS, r.choice((0, 5, 10, 20)) * SECOND // 10
        if asked == Session.CONTINUOUS and r.random() < 0.6:
            session = r.choice((Session.PRE_OPEN, Session.CANCEL_ONLY, Session.CLOSED, Session.AUCTION))
            following, lasts = (Session.CLOSED, SECOND) if session == Session.AUCTION else (Session.CONTINUOUS, 0)
        elif asked in (Session.AUCTION, Session.VOLATILITY):
            session, lasts = Session.CONTINUOUS, 0
        return self._ask(K.SESSION, self._key("ines", "oskar", "mara"), instrument=number, session=session,
                         next=following if session == Session.AUCTION else 0, duration=lasts)

    def credit(self, now: int) -> Ask:
        r, market = self.chance, self.market
        asset = r.choice(list(market.assets))
        return self._ask(K.MANUAL_CREDIT, self._key("mara", "tomas"), account=market.accounts[r.choice([*market.design.clients, *market.design.dealers])],
                         asset=market.assets[asset], amount=r.choice((1, 10**4, 10**9)))

    def trader(self, now: int) -> Ask:
        """One key may send nothing risky, and what it sent is cancelled; or it may again."""
        r, market = self.chance, self.market
        name = r.choice(("acme-bot", "borea-bot", "b2", "c3"))
        if self.calm or f"trader {name}" in self.latched:
            self.latched.pop(f"trader {name}", None)
            return self._ask(K.REVIVE_TRADER, self._key("ines", "oskar"), number=market.keys[name])
        self.latched[f"trader {name}"] = market.keys[name]
        return self._ask(K.KILL_TRADER, self._key("ines", "oskar"), number=market.keys[name])

    def configure(self, now: int) -> Ask:
        r, market = self.chance, self.market
        key, number = market.keys["mara-config"], r.choice(list(market.listings))
        if r.random() < 0.5:
            return self._ask(K.CONFIGURE_FEES, key, instrument=number, maker_ppm=r.choice((0, 100, 333)), taker_ppm=r.choice((200, 250, 777)),
                             rfq_ppm=r.choice((50, 100, 123)))
        account = market.accounts[r.choice([*market.design.clients, *market.design.dealers])]
        return self._ask(K.CONFIGURE_CREDIT, key, account=account, giver=market.accounts["house"],
                         asset=market.assets["USD"], limit=r.choice((10**12, 10**13, 5 * 10**10)), quoting_limit=r.choice((10**12, 10**13)))

    def foreign(self, now: int) -> Ask:
        """What must be refused: a key that acts for another's account."""
        market = self.market
        return self._ask(K.CANCEL_ALL, market.keys["acme-bot"], account=market.accounts["borea"])

    def net(self, now: int) -> Ask:
        return self._ask(K.NET, self._key("settlement", "settlement", "mara"))

    def settle(self, now: int) -> Ask | None:
        if not self.obligations:
            return None
        some = list(self.obligations)
        pays = [number for number, amount in self.obligations.items() if amount < 0]
        return self._ask(K.SETTLE, self.market.keys["settlement"], obligation=self.chance.choice(pays if pays and self.chance.random() < 0.9 else some))

    VERBS = {"deposit": 1.5, "move": 0.4, "decide": 4, "latch": 0.7, "configure": 0.6, "net": 1.5, "settle": 4, "foreign": 0.3, "session": 0.8,
             "credit": 0.3, "trader": 0.15}

    def next(self, now: int) -> Ask | None:
        if self.latched and self.chance.random() < 0.25:
            return self.latch(now)
        if self.held and self.chance.random() < 0.25:
            return self.decide(now)
        return getattr(self, self.chance.choices(list(self.VERBS), list(self.VERBS.values()))[0])(now)


def _keep(kept: dict[int, Any], number: int, what: Any) -> None:
    kept[number] = what
    if len(kept) > KEPT:
        del kept[next(iter(kept))]

