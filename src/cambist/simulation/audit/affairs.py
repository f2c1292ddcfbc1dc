"""The auditor's account of everything that is no trade: configuration, money in and out, child orders, settlement, kill switches, second persons.

Rules, sections 3, 6, 8, 9.
"""
from __future__ import annotations

from typing import Any

from cambist.messages import CONFIGURE, MAX_AMOUNT, AccountKind, ChildState, Event, Kind, Reason, Session, Side
from cambist.simulation.audit.figures import Figures, Row, Terms, Wrong
from cambist.simulation.workload import Told

K, R = Kind, Reason
TRADING = ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "duplicate_window", "tier",
           "fee_instrument")


def configure(f: Figures, c: Row) -> None:
    """A configure command was answered DONE: this is how things are from now on."""
    kind = Kind(c.kind)
    if kind is K.CONFIGURE_CELL:
        f.cell = {name: getattr(c, name) for name in ("cell", "answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl")}
    elif kind is K.CONFIGURE_ASSET:
        f.assets[c.asset] = Row(digits=c.digits, approval_above=c.approval_above, enabled=c.enabled, quote_approval_above=c.quote_approval_above)
    elif kind is K.CONFIGURE_ACCOUNT:
        known = f.accounts.get(c.account)
        row = f.accounts[c.account] = known or Row(killed=0, dying_below=0, ordinal=0, rate_second=-1, rate_count=0, rate_cancels=0, dead_man=0,
                                                     dead_below=0, dead_lapsed=0, may_die_below=0, some=None, **dict.fromkeys(TRADING, 0))
        row.__dict__.update(kind=c.account_kind, entity=c.entity, dealer=c.dealer, rate_limit=c.rate_limit, max_open=c.max_open, enabled=c.enabled)
        f.single.setdefault(c.account_kind, c.account)
        if c.dealer and c.account not in f.dealers:
            f.dealers.append(c.account)
    elif kind is K.CONFIGURE_ACTOR:
        known = f.actors.get(c.number)
        f.actors[c.number] = Row(account=c.account, person=c.person, role=c.role, enabled=c.enabled, killed=known.killed if known else 0)
    elif kind is K.CONFIGURE_AUTHORITY:
        f.authority[c.role, c.command] = (c.scope, c.second_person)
    elif kind is K.CONFIGURE_INSTRUMENT:
        if c.instrument not in f.instruments:
            f.instruments[c.instrument] = Terms(number=c.instrument, base=c.base, quote=c.quote, lot=c.lot, book_tick=c.book_tick, quote_tick=c.quote_tick,
                                                min_price=c.min_price, max_price=c.max_price, amount_num=c.amount_num, amount_den=c.amount_den,
                                                settlement=c.settlement, halted=0, max_quantity=0, max_notional=0, collar_ppm=0, max_position=0, min_sources=0,
                                                max_age=0, maker_ppm=0, taker_ppm=0, rfq_ppm=0, told=0, band_ppm=0, window=0, auction=0, indicative=0,
                                                session=0, next=0, ends=0, ending=False, uncross=0, anchor=0, anchor_window=0, book_last=0)
    else:
        _lines(f, kind, c)


def _lines(f: Figures, kind: Kind, c: Row) -> None:
    if kind is K.CONFIGURE_LIMITS:
        f.instruments[c.instrument].__dict__.update({name: getattr(c, name) for name in ("max_quantity", "max_notional", "collar_ppm", "max_position",
                                                                                       "min_sources", "max_age")})
    elif kind is K.CONFIGURE_FEES:
        f.instruments[c.instrument].__dict__.update(maker_ppm=c.maker_ppm, taker_ppm=c.taker_ppm, rfq_ppm=c.rfq_ppm)
    elif kind is K.CONFIGURE_TRADING:
        f.accounts[c.account].__dict__.update({name: getattr(c, name) for name in TRADING})
    elif kind is K.CONFIGURE_TIER:
        f.tiers[c.instrument, c.tier] = Row(maker=c.maker_ppm, taker=c.taker_ppm, rfq=c.rfq_ppm, minimum=c.minimum)
    elif kind is K.CONFIGURE_BAND:
        f.instruments[c.instrument].__dict__.update({name: getattr(c, name) for name in ("band_ppm", "window", "auction", "indicative")})
    elif kind is K.CONFIGURE_PROTECTION:
        f.frozen.setdefault((c.account, c.instrument), 0)
    elif kind is K.CONFIGURE_RESTRICTION:
        (f.barred.add if c.barred else f.barred.discard)((c.account, c.number, c.instrument))
    elif kind is K.CONFIGURE_VENUE:
        f.venues[c.venue] = Row(account=c.account, enabled=c.enabled)
    elif kind is K.CONFIGURE_CREDIT:
        line = f.credit.setdefault((c.account, c.asset), Row(limit=0, quoting_limit=0, reserved=0, traded=0, netted=0, quoted=0))
        line.limit, line.quoting_limit = c.limit, c.quoting_limit
    elif kind is K.CONFIGURE_POSITION:
        f.limits[c.account, c.instrument] = c.limit
    elif kind is K.CONFIGURE_SHORT:
        f.shorts[c.account, c.asset] = c.limit
    elif kind is K.CONFIGURE_SOURCE:
        known = f.sources.get((c.instrument, c.source))
        f.sources[c.instrument, c.source] = Row(enabled=c.enabled, price=known.price if known else 0, at=known.at if known else 0)


class Affairs:
    """Child orders, obligations and held commands; the postings of facts."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.children: dict[int, Row] = {}
        self.obligations: dict[int, Row] = {}
        self.held: dict[int, Row] = {}
        self.cycle = 0
        self.netted_in: dict[int, int] = {}             # account -> cycle of its last OBLIGATION
        self.doubtful: set[tuple[int, int]] = set()     # credit that a cut-off may have turned without an event, for want of anything to net
        self._sent = 0                                  # what the first of a transfer's two events moved

    # ----------------------------------------------------------------------------------------------------------------------- money
    def deposited(self, e: Told, c: Row) -> None:
        if (c.kind, e.id, e.other, e.amount) != (K.DEPOSIT, c.custody, c.asset, c.amount):
            raise Wrong(f"a deposit is told that did not happen: {e}")
        if self.figures.actors[c.actor].person:
            raise Wrong(f"a person says what custody brought: {e}")
        owner = self.figures.accounts[c.account]
        right = self.figures.single_account(AccountKind.SUSPENSE) if not owner.enabled or owner.kind == AccountKind.CUSTODY else c.account
        if e.account != right:
            raise Wrong(f"a deposit for account {c.account} goes to {e.account}; right would be {right}")
        self.figures.post(c.custody, c.asset, available=c.amount)
        self.figures.post(right, c.asset, available=c.amount)

    def reversed(self, e: Told, c: Row) -> None:
        if (c.kind, e.id, e.other, e.amount) != (K.REVERSE_DEPOSIT, c.custody, c.asset, c.amount):
            raise Wrong(f"a reversal is told that did not happen: {e}")
        f, owner = self.figures, e.account
        desk = f.kind(owner) == AccountKind.DESK or owner != c.account
        taken = c.amount if desk else min(max(f.balances[owner, c.asset].available, 0), c.amount)
        if e.fee != c.amount - taken:
            raise Wrong(f"a reversal of {c.amount} leaves a deficit of {e.fee}; right would be {c.amount - taken}")
        f.post(c.custody, c.asset, available=-c.amount)
        f.post(owner, c.asset, available=-taken)
        if c.amount - taken:
            f.post(f.single_account(AccountKind.DEFICIT), c.asset, available=taken - c.amount)

    def custody_moved(self, e: Told, c: Row) -> None:
        if (c.kind, e.id, e.other, e.amount) != (K.MOVE_CUSTODY, c.custody, c.asset, c.amount):
            raise Wrong(f"a move of custody is told that did not happen: {e}")
        if e.account == c.account:
            self.figures.post(c.account, c.asset, available=-c.amount)
            self.figures.post(c.custody, c.asset, available=c.amount)

    def transferred(self, e: Told, c: Row) -> None:
        first, by_hand = not self._sent, c.kind == K.MANUAL_CREDIT
        giver, taker = (self.figures.single_account(AccountKind.SUSPENSE), c.account) if by_hand else (c.account, getattr(c, "to", 0))
        account, other, amount = (giver, taker, -c.amount) if first else (taker, giver, c.amount)
        if c.kind not in (K.TRANSFER, K.MANUAL_CREDIT) or (e.account, e.id, e.other, e.amount) != (account, other, c.asset, amount):
            raise Wrong(f"a transfer is told that did not happen: {e}")
        above = self.figures.assets[c.asset].approval_above
        if first and not by_hand and not c.__dict__.get("lapse") and 0 <= above < c.amount:
            raise Wrong(f"{c.amount} of asset {c.asset} are transferred at once; above {above} a second person decides")
        self._sent = c.amount if first else 0
        self.figures.post(e.account, c.asset, available=e.amount)
        if first and self.figures.balances[e.account, c.asset].available < 0:
            raise Wrong(f"account {e.account} transfers {c.amount} of asset {c.asset}, which it does not have")

    def refuses_credit(self, c: Row, now: int) -> int:
        """By hand only what was found in SUSPENSE is given: the mint guard."""
        f, kind = self.figures, self.figures.kind(c.account)
        asset, suspense = f.assets.get(c.asset), f.single_account(AccountKind.SUSPENSE)
        for reason, holds in ((R.NOT_CUSTODY, kind == AccountKind.CUSTODY), (R.BAD_VALUE, kind == AccountKind.SUSPENSE),
                              (R.UNKNOWN_ASSET, asset is None or not asset.enabled), (R.BAD_AMOUNT, not 1 <= c.amount <= MAX_AMOUNT),
                              (R.MINT, f.balances[suspense, c.asset].available < c.amount)):
            if holds:
                return reason
        return 0

    def refuses_transfer(self, c: Row, now: int) -> int:
        f = self.figures
        if c.to not in f.accounts or not c.to:
            return R.UNKNOWN_ACCOUNT
        custody = AccountKind.CUSTODY in (f.kind(c.account), f.kind(c.to))
        asset = f.assets.get(c.asset)
        for reason, holds in ((R.NOT_CUSTODY, custody), (R.BAD_VALUE, c.to == c.account), (R.UNKNOWN_ASSET, asset is None or not asset.enabled),
                              (R.BAD_AMOUNT, not 1 <= c.amount <= MAX_AMOUNT), (R.ACCOUNT_DISABLED, not f.accounts[c.to].enabled),
                              (R.UNCOVERED if f.kind(c.account) == AccountKind.DESK else R.INSUFFICIENT,
                               f.balances[c.account, c.asset].available < c.amount)):
            if holds:
                return reason
        return 0

    # -------------------------------------------------------------------------------------------------------------------- settlement
    def cut_off(self, e: Told) -> None:
        self.cycle += 1
        if e.id != self.cycle:
            raise Wrong(f"cut-off {e.id}; right would be {self.cycle}")
        self.doubtful |= {key for key, line in self.figures.credit.items() if line.traded or line.netted}

    def obligation(self, e: Told) -> None:
        f, balance = self.figures, self.figures.balances[e.account, e.other]
        if e.amount != balance.unsettled or not e.amount or e.id in self.obligations:
            raise Wrong(f"account {e.account} is netted at {e.amount} of asset {e.other}; unsettled is {balance.unsettled}")
        house = f.single_account(AccountKind.HOUSE)
        f.post(e.account, e.other, unsettled=-e.amount, due=e.amount)
        f.post(house, e.other, unsettled=e.amount, due=-e.amount)
        self.obligations[e.id] = Row(account=e.account, asset=e.other, amount=e.amount)
        if self.netted_in.get(e.account) != e.quantity:
            self.netted_in[e.account] = e.quantity
            for (account, asset), line in f.credit.items():
                if account == e.account:
                    line.netted, line.traded = line.netted + line.traded, 0
                    self.doubtful.discard((account, asset))

    def settled(self, e: Told) -> None:
        row, f = self.obligations.pop(e.id, None), self.figures
        if row is None or (e.account, e.other, e.amount) != (row.account, row.asset, row.amount):
            raise Wrong(f"an obligation is settled that is not open, or another one: {e}")
        house = f.single_account(AccountKind.HOUSE)
        f.post(row.account, row.asset, available=row.amount, due=-row.amount)
        f.post(house, row.asset, available=-row.amount, due=row.amount)
        if row.amount < 0 and f.balances[row.account, row.asset].available < 0:
            raise Wrong(f"account {row.account} pays {-row.amount} of asset {row.asset}, which it does not have")
        if row.amount > 0 and (f.balances[house, row.asset].available < 0 or any(o.account == row.account and o.amount < 0 for o in self.obligations.values())):
            raise Wrong(f"account {row.account} is paid {row.amount} of asset {row.asset} before it has paid, or before the house has it")
        if not any(other.account == row.account for other in self.obligations.values()):
            for (account, _), line in f.credit.items():
                if account == row.account:
                    line.netted = 0

    # ---------------------------------------------------------------------------------------------------------------------- children
    def child_opened(self, e: Told, c: Row) -> None:
        terms = self.figures.instruments[e.instrument]
        if c.kind != K.NEW_CHILD or (e.account, e.side, e.price, e.quantity, e.other) != (c.account, c.side, c.price, c.quantity, c.venue):
            raise Wrong(f"a child is opened that was not asked for: {e}")
        child = self.children[e.id] = Row(id=e.id, account=e.account, terms=terms, side=e.side, price=e.price, quantity=e.quantity, filled=0, hold=0, cum=0,
                                          state=ChildState.PENDING, venue=e.other, custody=self.figures.venues[e.other].account)
        self.figures.rest(child.account, terms.number, child.side, child.quantity)
        self._hold(child)
        if self.figures.balances[child.custody, child_asset(child)].available < 0:
            raise Wrong(f"child {e.id} holds more than venue {e.other} has")

    def _hold(self, child: Row) -> None:
        leaves = 0 if child.state == ChildState.DONE else child.quantity - child.filled
        wanted = child.terms.amount_up(leaves, child.price) if child.side == Side.BUY else leaves
        change, child.hold = wanted - child.hold, wanted
        self.figures.post(child.custody, child_asset(child), available=-change, held=change)

    def child_filled(self, e: Told, c: Row) -> None:
        child = self.children.get(e.id)
        if child is None or c.kind != K.CHILD_FILLED or (e.id, e.price, e.fee) != (c.child, c.price, c.fee):
            raise Wrong(f"a child is filled that is not there, or otherwise than the venue said: {e}")
        right = min(c.quantity, child.quantity - child.filled)
        amount = child.terms.amount(right, c.price)
        if (e.quantity, e.amount) != (right, amount) or child.state == ChildState.DONE:
            raise Wrong(f"child {e.id} is filled {e.quantity} for {e.amount}; right would be {right} for {amount}")
        child.filled += right
        sign = 1 if child.side == Side.BUY else -1
        self.figures.rest(child.account, child.terms.number, child.side, -right)
        self.figures.net[child.account, child.terms.number] += sign * right
        self._hold(child)
        self._outside(child.account, child.custody, child.terms, sign * right, -sign * amount - c.fee)

    def _outside(self, owner: int, custody: int, terms: Terms, base: int, quote: int) -> None:
        for account in (owner, custody):
            self.figures.post(account, terms.base, available=base)
            self.figures.post(account, terms.quote, available=quote)

    def child_alert(self, e: Told, c: Row) -> None:
        """What a venue filled and nobody had asked for goes to suspense."""
        if c.kind != K.CHILD_FILLED:
            return
        f, terms = self.figures, self.figures.instruments[c.instrument]
        rest = e.amount
        if not 0 < rest <= c.quantity:
            raise Wrong(f"{rest} of a fill of {c.quantity} are in suspense")
        amount = terms.amount(c.quantity, c.price) - terms.amount(c.quantity - rest, c.price)
        sign, charge = (1 if c.side == Side.BUY else -1), (c.fee if rest == c.quantity else 0)
        self._outside(f.single_account(AccountKind.SUSPENSE), f.venues[c.venue].account, terms, sign * rest, -sign * amount - charge)

    def child_changed(self, e: Told) -> None:
        child = self.children.get(e.id)
        if child is None:
            raise Wrong(f"a child changes that is not there: {e}")
        if child.state == ChildState.DONE:
            raise Wrong(f"child {e.id} is done, and changes: {e}")
        if e.other == ChildState.DONE:
            self.figures.rest(child.account, child.terms.number, child.side, child.filled - child.quantity)
        child.state = e.other
        self._hold(child)

    # ------------------------------------------------------------------------------------------------------------------------ people
    def done(self, e: Told, c: Row, now: int) -> None:
        """The answer to what changes a switch."""
        f, kind = self.figures, c.kind
        if kind in CONFIGURE:
            configure(f, c)
        elif kind in (K.CANCEL_ALL, K.KILL):
            row = f.accounts[c.account]
            row.dying_below, row.killed = row.ordinal + 1, 1 if kind == K.KILL else row.killed
        elif kind == K.CANCEL_SOME:
            row = f.accounts[c.account]
            row.some = (c.instrument, c.side, row.ordinal + 1)
        elif kind == K.DEAD_MAN:
            row = f.accounts[c.account]
            if row.dead_man and row.dead_man <= now:    # it may have come already, and nothing been cancelled yet
                row.dead_lapsed = row.dead_below or row.ordinal + 1
            row.dead_man, row.dead_below = now + c.ttl if c.ttl else 0, 0
        elif kind == K.RESET_PROTECTION:
            f.frozen[c.account, c.instrument] = 0
        elif kind in (K.KILL_TRADER, K.REVIVE_TRADER):
            f.actors[c.number].killed = int(kind == K.KILL_TRADER)
        elif kind == K.SESSION:
            terms = f.instruments[c.instrument]
            terms.ending = ends_an_auction(terms, c.session)
        elif kind == K.REVIVE:
            f.accounts[c.account].killed = 0
        elif kind in (K.KILL_ALL, K.REVIVE_ALL):
            f.cell["killed_all"] = int(kind == K.KILL_ALL)
        elif kind in (K.HALT, K.RESUME):
            f.instruments[c.instrument].halted = int(kind == K.HALT)

    def killed(self, account: int) -> None:
        """By a rule, not by a command."""
        row = self.figures.accounts[account]
        row.killed, row.dying_below = 1, row.ordinal + 1

    def end(self) -> None:
        if self._sent:
            raise Wrong("a transfer was told to its sender and not to its receiver")


def ends_an_auction(terms: Terms, session: int) -> bool:
    """Whether SESSION to this one makes the auction that is called end."""
    if session == Session.CONTINUOUS:
        return terms.session in (Session.AUCTION, Session.VOLATILITY)
    return session == Session.CLOSED and terms.session == Session.AUCTION and terms.next == Session.CLOSED


def child_asset(child: Row) -> int:
    return child.terms.quote if child.side == Side.BUY else child.terms.base


MOVES: dict[int, Any] = {Event.DEPOSITED: Affairs.deposited, Event.DEPOSIT_REVERSED: Affairs.reversed, Event.CUSTODY_MOVED: Affairs.custody_moved,
         Event.TRANSFERRED: Affairs.transferred, Event.CHILD_OPENED: Affairs.child_opened, Event.CHILD_FILL: Affairs.child_filled}
