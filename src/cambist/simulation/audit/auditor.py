"""The auditor: reads each command that went in and each event that was told, and says the first thing that cannot be.

Decides nothing of its own: it is written from docs/rules.md, from neither the kernel nor the twin, and knows no state but what follows from commands and
events. After every command it has checked who may, what may be refused, price and time priority, every amount, fee and posting, and the sums that must
hold; now and then it holds its own books against the tables, which is what views and snapshots tell.

What it leaves out is said in `docs/simulator.md`.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from cambist.messages import (
    CONFIGURE, COUNTED_ONCE, FACTS, FIELDS, GROUP_MORE, LAYOUT, MAX_AMOUNT, RECORD_BYTES, AccountKind, Event, Kind, Liquidity, OrderState, Reason, Side,
    TriggerOn,
)
from cambist.simulation.audit.affairs import MOVES, Affairs
from cambist.simulation.audit.order_answers import SHUT, Entry
from cambist.simulation.audit.quotes import OF_QUOTES, Dealing
from cambist.simulation.audit.figures import Figures, Row, Wrong, charge
from cambist.simulation.audit.preamble import DUPLICATE, Gate
from cambist.simulation.audit.trading import Books
from cambist.simulation.workload import Told, told

K, R, E = Kind, Reason, Event
NOT_SAID = {R.CAPACITY, R.ANSWER_QUOTA, R.SWEEPING, R.OVERFLOW, R.NETTING, R.EXPOSURE, R.NO_RATE, R.DUPLICATE_ORDER}       # not predicted
HELD_KINDS = CONFIGURE | {K.NET, K.SETTLE, K.HALT, K.RESUME, K.KILL, K.REVIVE, K.KILL_ALL, K.REVIVE_ALL, K.SESSION, K.KILL_TRADER, K.REVIVE_TRADER,
                          K.CHANGE_TERMS, K.CHANGE_DIGITS, K.MANUAL_CREDIT}
OWN = {E.REFERENCE, E.APPROVED, E.DENIED, E.CHILD_CHANGED, E.CHILD_FILL, E.CUT_OFF, E.ALERT, E.SETTLED, E.TRANSFERRED}       # never of work before a command
IDS = {E.ORDER_ACCEPTED, E.REQUEST_OPENED, E.QUOTED, E.CHILD_OPENED, E.OBLIGATION, E.HELD}      # each takes the account's next number
CHECKED_TABLES = ("balances", "credit", "positions", "orders")
_KNOWN = {int(kind): kind for kind in Kind}


def read(data: bytes, at: int) -> Row:
    """One command by the names of its kind."""
    kind = _KNOWN[int.from_bytes(data[at:at + 2], "little")]
    values = np.frombuffer(data, LAYOUT[kind], 1, at)[0].item()
    return Row(**dict(zip(FIELDS[kind], values, strict=True)))


class Auditor:
    """`entry` for each entry, in order; `compare` with tables when one likes. Raises Wrong."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.books = Books(self.figures)
        self.dealing = Dealing(self.figures, self.books)
        self.affairs = Affairs(self.figures)
        self.gate = Gate(self.figures)
        self.now = self.sequence = self.commands = self._looked = 0
        self._ordinal = 0                               # of account 0
        self._released: Row | None = None               # a held command that runs in this one
        self._expects: dict[int, int | None] = {}       # by sequence
        entry = self.may = Entry(self.figures, self.books)
        books = self.books
        self._of_orders: dict[int, Callable[[Told, Row], None]] = {
            E.LEVEL: lambda e, c: books.level(e), E.ORDER_ACCEPTED: lambda e, c: books.accepted(e, c, self.now), E.BOOK_QUOTED: books.quoted,
            E.ORDER_CANCELLED: lambda e, c: books.cancelled(e, self.now), E.ORDER_AMENDED: books.amended, E.ORDER_REDUCED: lambda e, c: books.reduced(e),
            E.ORDER_TRIGGERED: lambda e, c: books.triggered(e, self.now), E.ORDER_MOVED: lambda e, c: books.moved(e),
            E.FEE_CHARGED: lambda e, c: books.charged(e), E.SESSION_CHANGED: lambda e, c: books.session_changed(e, self.now),
            E.UNCROSSED: lambda e, c: books.uncrossed(e, self.now), E.INDICATIVE: lambda e, c: books.indicative(e, self.now)}
        self._refused: dict[int, Callable[[Row, int], int | None]] = {
            K.NEW_ORDER: entry.new_order, K.AMEND_ORDER: entry.amend, K.MASS_QUOTE: entry.mass_quote, K.CANCEL_SOME: entry.cancel_some,
            K.SESSION: entry.session, K.MANUAL_CREDIT: self.affairs.refuses_credit, K.REQUEST_QUOTE: self.dealing.refuses_request,
            K.QUOTE: self.dealing.refuses_quote, K.TRANSFER: self.affairs.refuses_transfer, K.CANCEL_ORDER: entry.cancel, K.CANCEL_ALL: lambda c, now: 0,
            K.CANCEL_REQUEST: self._no_request, K.WITHDRAW_QUOTE: self._no_quote, K.ACCEPT_QUOTE: self._no_trade, K.SETTLE: self._no_settlement,
            K.KILL: lambda c, now: 0, K.KILL_ALL: lambda c, now: 0, K.REVIVE: lambda c, now: 0, K.HALT: lambda c, now: 0, K.APPROVE: self._no_release,
            K.DENY: self._no_denial}

    # ---------------------------------------------------------------------------------------------------------------------- an entry
    def entry(self, first: int, time: int, records: bytes, events: np.ndarray, skipped: Collection[int] = ()) -> None:
        """`skipped`: sequences that a decision of the log leaves out."""
        if first != self.sequence + 1 or time < self.now:
            raise Wrong(f"sequence {first} at {time} after {self.sequence} at {self.now}")
        self.now = time
        rows, at, start, count = told(events), 0, 0, len(records) // RECORD_BYTES
        while start < count:
            stop = start + 1
            while stop < count and records[(stop - 1) * RECORD_BYTES + 2] & GROUP_MORE:
                stop += 1
            self.sequence, end = first + stop - 1, at
            while end < len(rows) and first + start <= rows[end].sequence <= self.sequence:
                end += 1
            try:
                self._commands(first + start, [records[i * RECORD_BYTES:(i + 1) * RECORD_BYTES] for i in range(start, stop)], rows[at:end], skipped)
            except Wrong as fault:
                kind = int.from_bytes(records[start * RECORD_BYTES:start * RECORD_BYTES + 2], "little")
                raise Wrong(f"sequence {first + start}, {_KNOWN[kind].name if kind in _KNOWN else kind}: {fault}") from fault
            at, start = end, stop
        if at != len(rows):
            raise Wrong(f"an event of sequence {rows[at].sequence} stands out of its order in the entry of {first}")

    def _commands(self, first: int, data: list[bytes], events: list[Told], skipped: Collection[int]) -> None:
        """One command, or a group of them."""
        known = [(first + i, each, read(each, 0)) for i, each in enumerate(data) if int.from_bytes(each[:2], "little") in _KNOWN]
        if not known:
            return
        rows = {number: (each, c) for number, each, c in known}
        self.commands += len(known)
        self._expects, self._released, waiting = {}, None, True
        for i, e in enumerate(events):
            bytes_of, c = rows.get(e.sequence) or known[0][1:]
            if waiting and self._is_own(e, c):
                waiting = False
                self._predict_all(known, skipped)
            self.books.following = events[i + 1] if i + 1 < len(events) else None
            self._event(e, c, bytes_of)
        if waiting:
            self._predict_all(known, skipped)
            for _, _, c in known:
                if (why := self._expects.get(known[0][0])) and c.kind != K.TICK:
                    raise Wrong(f"nothing was told; right would be {_name(why)}")
        self.books.end(self.now)
        self.dealing.end()
        self.affairs.end()
        self.figures.check()

    def _predict_all(self, known: list[tuple[int, bytes, Row]], skipped: Collection[int]) -> None:
        for number, _, c in known:
            self._expects[number] = self._predict(c, len(known) > 1, number in skipped)

    def _is_own(self, e: Told, c: Row) -> bool:
        """Whether an event is the command's own, and no more of the work before it."""
        if e.command or e.kind in OWN:
            return True
        return e.kind == E.QUOTE_ENDED and e.reason not in (R.EXPIRED, R.LOST)

    def _predict(self, c: Row, grouped: bool, skipped: bool) -> int | None:
        """0: it is done; DUPLICATE; a reason; None: not said here."""
        if not self.figures.cell.get("started"):
            return None
        why, decide = self.gate.passes(c, self.now, skipped), self._refused.get(c.kind)
        if c.kind in FACTS and not why:
            if c.kind == K.SOURCE_PRICE:
                self._priced(c)
            return R.MINT if c.kind == K.DEPOSIT and self.figures.actors[c.actor].person else None
        return why or (decide(c, self.now) if decide is not None and not grouped else None)

    # ---------------------------------------------------------------------------------------------------------------------- an event
    def _event(self, e: Told, c: Row, data: bytes) -> None:
        kind = e.kind
        run = self._released or c
        if kind in IDS:
            self._next_id(e, e.id)
        elif kind == E.BOOK_QUOTED:
            for number in filter(None, (e.id, e.other)):
                self._next_id(e, number)
        expected = self._expects.get(e.sequence)
        if kind == E.REFUSED:
            self._check_refused(e, expected)
        elif kind == E.DUPLICATE:
            if expected not in (DUPLICATE, None) or (expected is None and self._released is None):
                raise Wrong(f"it is called a duplicate; right would be {_name(expected)}")
        else:
            if e.command and self._released is None and expected not in (0, None):
                raise Wrong(f"it is done ({E(kind).name}); right would be {_name(expected)}")
            self._told(e, run, data)

    def _check_refused(self, e: Told, expected: int | None) -> None:
        if self._released is None and e.reason not in NOT_SAID and expected is not None and expected != e.reason:
            raise Wrong(f"refused as {_name(e.reason)}; right would be {_name(expected)}")

    def _told(self, e: Told, c: Row, data: bytes) -> None:
        kind = e.kind
        if kind in self._of_orders:
            self._of_orders[kind](e, c)
        elif kind == E.FILLED:
            self.dealing.filled(e, c, self.now) if e.liquidity == Liquidity.QUOTE else self.books.filled(e, self.now)
        elif kind in OF_QUOTES:
            self._quotes(e, c)
        elif kind in MOVES:
            MOVES[kind](self.affairs, e, c)
            self._counted(e, c)
        else:
            self._other(e, c, data)

    def _quotes(self, e: Told, c: Row) -> None:
        dealing, kind, now = self.dealing, e.kind, self.now
        if kind == E.REQUEST_OPENED:
            dealing.opened(e, c, now)
        elif kind == E.REQUEST_INVITED:
            dealing.invited(e)
        elif kind == E.QUOTED:
            dealing.quoted(e, c, now, self._released.lapse if self._released is not None else 0)
        elif kind == E.QUOTE_SHOWN:
            dealing.shown(e)
        elif kind == E.QUOTE_ENDED:
            dealing.quote_ended(e, now)
        else:
            dealing.request_ended(e, now)

    def _other(self, e: Told, c: Row, data: bytes) -> None:
        kind, affairs = e.kind, self.affairs
        if kind == E.DONE:
            self._done(e, c, data)
        elif kind == E.HELD:
            self._held(e, c, data)
        elif kind == E.APPROVED:
            self._approved(e, c)
        elif kind in (E.DENIED, E.HELD_EXPIRED):
            held = affairs.held.pop(e.id, None)
            if held is None or (kind == E.HELD_EXPIRED and held.lapse > self.now):
                raise Wrong(f"a held command ends that is not held, or too early: {e}")
        elif kind == E.REFERENCE:
            self._reference(e)
        elif kind == E.CUT_OFF:
            affairs.cut_off(e)
        elif kind == E.OBLIGATION:
            affairs.obligation(e)
        elif kind == E.SETTLED:
            affairs.settled(e)
        elif kind == E.CHILD_CHANGED:
            affairs.child_changed(e)
        elif kind == E.ALERT and e.reason in (R.OVERFILL, R.UNMATCHED):
            affairs.child_alert(e, c)
            self._counted(e, c)
        elif kind == E.ALERT and e.reason in (R.DAILY_LOSS, R.EXECUTIONS):
            affairs.killed(e.id)
        elif kind == E.PROTECTED:
            self.figures.frozen[e.account, e.instrument] = 1
        elif kind == E.SWEPT and e.id == 4:
            self.figures.accounts[e.account].some = None
        elif kind == E.SWEPT and e.id == 0:
            row = self.figures.accounts[e.account]
            row.dead_lapsed = row.may_die_below = 0
        elif kind in (E.TERMS_CHANGED, E.DIGITS_CHANGED):
            raise Wrong("terms or digits are changed, which nobody asked for in a simulated house")

    def _counted(self, e: Told, c: Row) -> None:
        """A fact that moved something counts from now on."""
        if c.kind in COUNTED_ONCE and self.gate.source(c) not in self.gate._facts:
            self.gate.count(c, self.now)

    def _next_id(self, e: Told, number: int) -> None:
        """Ids are the account's own numbers, one after the other."""
        row = self.figures.accounts.get(e.account)
        ordinal = 1 + (row.ordinal if row is not None else self._ordinal)
        right = self.figures.cell["cell"] << 56 | e.account << 32 | ordinal
        if number != (right if right < 1 << 63 else right - (1 << 64)):
            raise Wrong(f"{E(e.kind).name} of account {e.account} has the id {number}; right would be {right}, its number {ordinal}")
        if row is not None:
            row.ordinal = ordinal
            if row.dead_man and row.dead_man <= self.now and not row.dead_below:
                row.dead_below = ordinal
        else:
            self._ordinal = ordinal

    def _done(self, e: Told, c: Row, data: bytes) -> None:
        if c.kind == K.START:
            self.figures.cell["started"] = 1
        elif c.kind in (K.APPROVE, K.DENY):
            return
        elif self._released is None and self.figures.cell.get("started") and c.kind in HELD_KINDS:
            actor = self.figures.actors[c.actor]
            if self.figures.authority.get((actor.role, c.kind), (0, 0))[1]:
                raise Wrong("it was done at once; it needs a second person")
        self.affairs.done(e, c, self.now)

    # ------------------------------------------------------------------------------------------------------------------------ people
    def _held(self, e: Told, c: Row, data: bytes) -> None:
        actor = self.figures.actors[c.actor]
        self.affairs.held[e.id] = Row(command=c, data=data, person=actor.person, lapse=e.other, account=e.account)

    def _no_release(self, c: Row, now: int) -> int:
        held, person = self.affairs.held.get(c.held), self.figures.actors[c.actor].person
        if held is None or held.lapse <= now:
            return R.UNKNOWN_HELD
        digest = hashlib.sha256(held.data).digest()
        words = tuple(int.from_bytes(digest[8 * i:8 * i + 8], "big", signed=True) for i in range(4))
        for reason, holds in ((R.NOT_A_PERSON, not person), (R.SAME_PERSON, person == held.person),
                              (R.WRONG_DIGEST, words != (c.digest0, c.digest1, c.digest2, c.digest3))):
            if holds:
                return reason
        return 0

    def _no_denial(self, c: Row, now: int) -> int:
        held = self.affairs.held.get(c.held)
        return R.UNKNOWN_HELD if held is None or held.lapse <= now else 0 if self.figures.actors[c.actor].person else R.NOT_A_PERSON

    def _approved(self, e: Told, c: Row) -> None:
        held = self.affairs.held.pop(e.id, None)
        if held is None or c.kind != K.APPROVE or c.held != e.id:
            raise Wrong(f"a command is approved that is not held: {e}")
        if (why := self._expects.get(e.sequence)):
            raise Wrong(f"a held command is approved; right would be {_name(why)}")
        run: Row = held.command
        run.lapse = held.lapse
        self._released = run

    # -------------------------------------------------------------------------------------------------------------------- refusals
    def _no_request(self, c: Row, now: int) -> int:
        request = self.dealing.requests.get(c.request)
        if request is None or request.account != c.account:
            return R.UNKNOWN_REQUEST
        return R.REQUEST_CLOSED if request.filled or request.expires <= now else 0

    def _no_quote(self, c: Row, now: int) -> int:
        quote = self.dealing.quotes.get(c.quote)
        if quote is None or quote.account != c.account:
            return R.UNKNOWN_QUOTE
        return R.REQUEST_CLOSED if quote.request.filled or quote.request.expires <= now else 0

    def _no_trade(self, c: Row, now: int) -> int:
        request, f = self.dealing.requests.get(c.request), self.figures
        if request is None or request.account != c.account:
            return R.UNKNOWN_REQUEST
        if request.filled or request.expires <= now:
            return R.REQUEST_CLOSED
        terms = request.terms
        for reason, holds in ((R.HALTED, terms.halted), (R.SESSION, terms.session in SHUT),
                              (R.RESTRICTED, f.is_barred(c.account, c.actor, terms.number)),
                              (R.BAD_SIDE, c.side > 1 or (request.side != Side.TWO_WAY and c.side != request.side)),
                              (R.BAD_PRICE, not 1 <= c.limit_price <= MAX_AMOUNT), (R.UNKNOWN_QUOTE, c.quote and c.quote not in request.quotes),
                              (R.POSITION, f.over_position(c.account, terms.number, c.side, request.quantity))):
            if holds:
                return reason
        buy, fees = c.side == Side.BUY, f.schedule(c.account, terms.number)

        def price(quote: Row) -> int:
            return quote.ask if buy else quote.bid
        live = [q for q in request.quotes.values() if q.expires > now and price(q) and (price(q) <= c.limit_price if buy else price(q) >= c.limit_price)]
        live.sort(key=lambda q: (q.id != c.quote, price(q) if buy else -price(q)))
        for quote in live:
            amount = terms.amount(request.quantity, price(quote))
            if not self._fails(quote.account, terms, not buy, request.quantity, amount, 0):
                why = self._short(c.account, terms, buy, request.quantity, amount, charge(amount, fees.rfq, fees.minimum))
                return why
        return R.NO_QUOTE

    def _fails(self, dealer: int, terms: Any, buys: bool, quantity: int, amount: int, charge: int) -> int:
        row = self.figures.accounts[dealer]
        if row.killed:
            return R.KILLED
        if not row.enabled:
            return R.ACCOUNT_DISABLED
        if self.figures.over_position(dealer, terms.number, Side.BUY if buys else Side.SELL, quantity):
            return R.POSITION
        return self._short(dealer, terms, buys, quantity, amount, charge)

    def _short(self, account: int, terms: Any, buys: bool, quantity: int, amount: int, charge: int) -> int:
        if terms.prefunded:
            asset, needed = (terms.quote, amount + charge) if buys else (terms.base, quantity)
            return R.INSUFFICIENT if self.figures.free(account, asset) < needed else 0
        line = self.figures.line(account, terms.quote)
        return R.CREDIT if line is None or amount > self.figures.room(account, terms.quote) else 0

    def _no_settlement(self, c: Row, now: int) -> int:
        f, row = self.figures, self.affairs.obligations.get(c.obligation)
        if row is None:
            return R.UNKNOWN_OBLIGATION
        if row.amount < 0:
            short = f.balances[row.account, row.asset].available < -row.amount
            return 0 if not short else R.UNCOVERED if f.kind(row.account) == AccountKind.DESK else R.INSUFFICIENT
        if any(other.account == row.account and other.amount < 0 for other in self.affairs.obligations.values()):
            return R.UNPAID
        return R.HOUSE_UNCOVERED if f.balances[f.single_account(AccountKind.HOUSE), row.asset].available < row.amount else 0

    def _priced(self, c: Row) -> None:
        source, terms = self.figures.sources.get((c.instrument, c.source)), self.figures.instruments.get(c.instrument)
        if source is not None and source.enabled and terms is not None and 1 <= c.price <= terms.max_price:
            source.price, source.at = c.price, self.now

    def _reference(self, e: Told) -> None:
        right = self.figures.reference(e.instrument, self.now)
        terms = self.figures.instruments[e.instrument]
        if e.price != right or right == terms.told:
            raise Wrong(f"the reference of instrument {e.instrument} is told as {e.price} after {terms.told}; right would be {right}")
        terms.told = right
        self.books.moving[e.instrument] = None
        self.books.priced(terms, TriggerOn.INDEX, right)

    # -------------------------------------------------------------------------------------------------------------------- tables
    def compare(self, tables: Mapping[str, tuple[int, tuple[str, ...], np.ndarray]]) -> None:
        """Own books against what views tell. Raises Wrong at the first difference."""
        self.dealing.overdue(self._looked)              # what was over when the last look was taken has had its turn since, also after a long silence
        self.books.overdue(self._looked)
        self._looked = self.now
        f = self.figures
        seen = {(r[0], r[1]): tuple(r[2:6]) for r in _rows(tables, "balances", "account", "asset", "available", "held", "unsettled", "due")}
        for key, balance in f.balances.items():
            if seen.pop(key, (0, 0, 0, 0)) != balance.figures():
                raise Wrong(f"account {key[0]} asset {key[1]}: the house tells of {_of(tables, key)}; right would be {balance.figures()}")
        for key, figures in seen.items():
            if any(figures):
                raise Wrong(f"account {key[0]} asset {key[1]} has {figures} out of nothing")
        for account, asset, *figures in _rows(tables, "credit", "taker", "asset", "reserved", "traded", "netted", "quoted"):
            line = f.credit[account, asset]
            if (account, asset) in self.affairs.doubtful and figures[1] + figures[2] <= line.traded + line.netted:
                line.traded, line.netted = figures[1], figures[2]       # a cut-off found nothing to net, and told nobody
            if tuple(figures) != (line.reserved, line.traded, line.netted, line.quoted):
                raise Wrong(f"credit of account {account} asset {asset}: reserved, traded, netted, quoted are told as {figures}; right would be "
                            f"{[line.reserved, line.traded, line.netted, line.quoted]}")
        for account, instrument, *figures in _rows(tables, "positions", "account", "instrument", "net", "open_buy", "open_sell"):
            key = account, instrument
            if tuple(figures) != (f.net[key], f.open_buy[key], f.open_sell[key]):
                raise Wrong(f"position of account {account} in instrument {instrument} is told as {figures}; right would be "
                            f"{[f.net[key], f.open_buy[key], f.open_sell[key]]}")
        self._compare_orders(tables)

    def _compare_orders(self, tables: Mapping[str, tuple[int, tuple[str, ...], np.ndarray]]) -> None:
        names = ("id", "instrument", "side", "leaves", "held", "quantity", "prevented", "state", "price")
        orders = {r[0]: (*r[1:-1], r[-1] if r[-2] == OrderState.BOOK else 0) for r in _rows(tables, "orders", *names)}
        mine = {o.id: (o.instrument, o.side, o.leaves, o.hold, o.quantity, o.prevented, o.state, o.price if o.state == OrderState.BOOK else 0)
                for o in self.books.orders.values()}
        if orders != mine:
            odd = next(iter(sorted(orders.keys() ^ mine.keys())), None) or next(number for number in mine if orders[number] != mine[number])
            raise Wrong(f"order {odd}: {', '.join(names[1:])} are told as {orders.get(odd)}; right would be {mine.get(odd)}")


def _rows(tables: Mapping[str, Any], name: str, *wanted: str) -> list[list[int]]:
    _, columns, matrix = tables[name]
    return matrix[:, [columns.index(column) for column in wanted]].tolist()


def _of(tables: Mapping[str, Any], key: tuple[int, int]) -> tuple[int, ...]:
    return next((tuple(r[2:]) for r in _rows(tables, "balances", "account", "asset", "available", "held", "unsettled", "due") if (r[0], r[1]) == key), ())


def _name(why: int | None) -> str:
    return "unknown" if why is None else "done" if why == 0 else "a duplicate" if why == DUPLICATE else Reason(why).name
