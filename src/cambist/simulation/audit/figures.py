"""What the auditor keeps: terms, accounts, money, credit and positions, each changed only by a posting that a rule names.

Decides the arithmetic of docs/rules.md and the sums that must always hold. It must not know an event, nor the core: whole numbers of Python, exact.
"""
from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from cambist.messages import MAX_AMOUNT, AccountKind, SelfTradeScope, Settlement, Side

MILLION = 1_000_000


class Wrong(Exception):
    """What was told cannot be, by the rules. Says what, and what would be right."""


def up(a: int, b: int) -> int:
    return -(-a // b)


def fee(amount: int, ppm: int) -> int:
    return amount * ppm // MILLION


def fee_up(amount: int, ppm: int) -> int:
    return up(amount * ppm, MILLION)


def charge(amount: int, ppm: int, minimum: int) -> int:
    """What a trade of this amount costs; negative: a rebate."""
    return -fee(amount, -ppm) if ppm < 0 else min(amount, max(fee(amount, ppm), minimum))


class Row:
    """Named whole numbers."""
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __repr__(self) -> str:
        return repr(self.__dict__)


class Terms(Row):
    """An instrument as it was configured."""
    def amount(self, quantity: int, price: int) -> int:
        return quantity * price * self.amount_num // self.amount_den

    def amount_up(self, quantity: int, price: int) -> int:
        return up(quantity * price * self.amount_num, self.amount_den)

    @property
    def prefunded(self) -> bool:
        return self.settlement == Settlement.PREFUNDED

    def held_asset(self, side: int) -> int:
        """Of what an order holds; on credit out of the line of the quote asset."""
        return self.quote if side == Side.BUY or not self.prefunded else self.base

    def hold(self, side: int, leaves: int, price: int, ppm: int, minimum: int, by_quote: int = 0) -> int:
        """How much an open order may cost. `minimum`: of its fee, while nothing of it has traded; `by_quote`: the leaves are of the quote asset."""
        if not self.prefunded:
            return leaves if by_quote else self.amount_up(leaves, price)
        if side == Side.SELL:
            return self.lots(leaves, price) if by_quote else leaves
        amount = leaves if by_quote else self.amount_up(leaves, price)
        return amount + fee_up(amount, ppm) + minimum if leaves else 0

    def lots(self, amount: int, price: int) -> int:
        """The largest multiple of the lot that costs at most this at the price."""
        if price <= 0:
            return 0
        most = ((amount + 1) * self.amount_den - 1) // (price * self.amount_num)
        return most - most % self.lot


class Balance:
    """One account's money of one asset."""
    __slots__ = ("available", "due", "held", "unsettled")

    def __init__(self) -> None:
        self.available = self.held = self.unsettled = self.due = 0

    def figures(self) -> tuple[int, int, int, int]:
        return self.available, self.held, self.unsettled, self.due


class Figures:
    """All of it. Every change of money goes through `post`, so the sums are known at every moment."""

    def __init__(self) -> None:
        self.cell: dict[str, int] = {}
        self.assets: dict[int, Row] = {}
        self.accounts: dict[int, Row] = {}
        self.actors: dict[int, Row] = {}
        self.authority: dict[tuple[int, int], tuple[int, int]] = {}
        self.instruments: dict[int, Terms] = {}
        self.venues: dict[int, Row] = {}
        self.sources: dict[tuple[int, int], Row] = {}
        self.dealers: list[int] = []
        self.balances: dict[tuple[int, int], Balance] = defaultdict(Balance)
        self.shorts: dict[tuple[int, int], int] = defaultdict(int)
        self.credit: dict[tuple[int, int], Row] = {}                    # (account, asset)
        self.net: dict[tuple[int, int], int] = defaultdict(int)
        self.open_buy: dict[tuple[int, int], int] = defaultdict(int)
        self.open_sell: dict[tuple[int, int], int] = defaultdict(int)
        self.limits: dict[tuple[int, int], int] = {}
        self.single: dict[int, int] = {}                # kind -> the account of that kind
        self.tiers: dict[tuple[int, int], Row] = {}     # (instrument, tier)
        self.frozen: dict[tuple[int, int], int] = {}    # (account, instrument) with market-maker protection
        self.barred: set[tuple[int, int, int]] = set()  # (account, actor, instrument)
        self._sums: dict[tuple[int, int], int] = defaultdict(int)      # (0 custody less ownership, 1 unsettled, 2 due; asset)
        self._touched: dict[tuple[int, int], None] = {}

    # ---------------------------------------------------------------------------------------------------------------------- money
    def post(self, account: int, asset: int, *, available: int = 0, held: int = 0, unsettled: int = 0, due: int = 0) -> None:
        balance = self.balances[account, asset]
        balance.available += available
        balance.held += held
        balance.unsettled += unsettled
        balance.due += due
        sign = 1 if self.accounts[account].kind == AccountKind.CUSTODY else -1
        self._sums[0, asset] += sign * (available + held)
        self._sums[1, asset] += unsettled
        self._sums[2, asset] += due
        self._touched[account, asset] = None

    def single_account(self, kind: AccountKind) -> int:
        return self.single[kind]

    def free(self, account: int, asset: int) -> int:
        """What an account may still use, its short limit counted."""
        return self.balances[account, asset].available + (self.shorts[account, asset] if self.kind(account) == AccountKind.DESK else 0)

    def kind(self, account: int) -> int:
        return self.accounts[account].kind

    def line(self, account: int, asset: int) -> Row | None:
        return self.credit.get((account, asset))

    def room(self, account: int, asset: int) -> int:
        """What is left of a credit line; -1 without one."""
        line = self.credit.get((account, asset))
        return -1 if line is None else line.limit - line.reserved - line.traded - line.netted

    def schedule(self, account: int, instrument: int) -> Row:
        """The fees of an account at an instrument."""
        terms = self.instruments[instrument]
        return self.tiers.get((instrument, self.accounts[account].tier)) or Row(maker=terms.maker_ppm, taker=terms.taker_ppm, rfq=terms.rfq_ppm, minimum=0)

    def strangers(self, one: int, other: int) -> bool:
        """Whether two accounts may trade together in the book."""
        if one == other:
            return False
        a, b = self.accounts[one], self.accounts[other]
        scope = max(a.self_trade_scope, b.self_trade_scope)
        if scope >= SelfTradeScope.GROUP and a.trade_group and a.trade_group == b.trade_group:
            return False
        return not (scope == SelfTradeScope.ENTITY and a.entity and a.entity == b.entity)

    def is_barred(self, account: int, actor: int, instrument: int) -> bool:
        return (account, 0, instrument) in self.barred or (0, actor, instrument) in self.barred

    # ------------------------------------------------------------------------------------------------------------------ positions
    def over_position(self, account: int, instrument: int, side: int, quantity: int, less: int = 0) -> bool:
        """Whether so much more on this side is beyond the limit; `less`: open quantity of its own that it replaces."""
        limit = self.limits.get((account, instrument)) or self.instruments[instrument].max_position
        key = account, instrument
        if not limit:
            return False
        if side == Side.BUY:
            return self.net[key] + self.open_buy[key] - less + quantity > limit
        return -(self.net[key] - (self.open_sell[key] - less) - quantity) > limit

    def rest(self, account: int, instrument: int, side: int, quantity: int) -> None:
        (self.open_buy if side == Side.BUY else self.open_sell)[account, instrument] += quantity

    # ----------------------------------------------------------------------------------------------------------------- references
    def reference(self, instrument: int, now: int) -> int:
        """The median of the fresh sources, 0 for none."""
        terms = self.instruments[instrument]
        fresh = sorted(row.price for (number, _), row in self.sources.items() if number == instrument and row.enabled and row.price
                       and now - row.at <= terms.max_age)
        if len(fresh) < max(1, terms.min_sources):
            return 0
        middle = len(fresh) // 2
        return fresh[middle] if len(fresh) % 2 else (fresh[middle - 1] + fresh[middle]) // 2

    # ------------------------------------------------------------------------------------------------------------------- invariants
    def check(self) -> None:
        """After every command: what must hold of all money. Only what was touched can have changed."""
        if not self._touched:
            return
        for (what, asset), value in self._sums.items():
            if value:
                raise Wrong(f"asset {asset}: {('custody less ownership', 'the sum of unsettled', 'the sum of due')[what]} is {value}; right would be 0")
        for account, asset in self._touched:
            balance, kind = self.balances[account, asset], self.kind(account)
            if balance.held < 0 or max(map(abs, balance.figures())) > MAX_AMOUNT:
                raise Wrong(f"account {account} asset {asset}: held {balance.held} of {balance.figures()}")
            if balance.available < 0 and kind in (AccountKind.CLIENT, AccountKind.DEALER, AccountKind.FEES):
                raise Wrong(f"account {account} asset {asset}: available is {balance.available}; right would be 0 at least")
        self._touched.clear()
