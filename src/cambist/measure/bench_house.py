"""A house of any size for benchmarks, as plain commands: so many instruments and accounts, every limit on and out of the way, money everywhere.

Decides nothing that is measured. Accounts are spoken for by a few gateway keys, as at a broker; each has business in HOMES instruments.
"""
from typing import NamedTuple

import numpy as np

from cambist.core.cell import Cell
from cambist.messages import COMMAND, LAYOUT, NUMBERED, AccountKind, Event, Kind, Scope, Settlement, identifier

K = Kind
KEYS, HOMES, ASSETS, DEALERS = 64, 4, 8, 2              # gateway keys; instruments an account trades; assets, of which the first is the quote asset
ADMIN, GATEWAY = 1, 2                                   # roles
HOUSE, FEES, SUSPENSE, DEFICIT, CUSTODY, FIRST_DEALER = 1, 2, 3, 4, 5, 6
FIRST_CLIENT = FIRST_DEALER + DEALERS
LONG, PLENTY, RICH = 10**18, 2_000_000_000, 10**15
LOT, TICK, REFERENCE, MOST_TICKS = 100, 5, 167_520, 1 << 16
ENTRY = 4096


class Size(NamedTuple):
    instruments: int
    accounts: int
    resting: int                                        # orders in the book


def rows(kind: Kind, count: int, **fields) -> np.ndarray:
    """`count` commands of a kind; each field one value or an array."""
    out = np.zeros(count, LAYOUT[kind])
    out["kind"] = kind
    for name, value in fields.items():
        out[name] = value
    return out.view(COMMAND)


class BenchHouse:
    """A started cell of a size, and what its next ids and numbers will be."""

    def __init__(self, size: Size, now: int):
        self.size, self.now = size, now
        self.ordinals = np.zeros(FIRST_CLIENT + size.accounts, np.int64)      # given so far, by account
        self.numbers = np.zeros(KEYS + 2, np.int64)                           # sent so far, by key
        self.cell = Cell(self._capacity())
        for records in (self._genesis(), *self._money(), self._prices()):
            self.send(records)

    def _capacity(self) -> dict[str, int]:
        s = self.size
        spread = s.instruments * (MOST_TICKS // 64 + MOST_TICKS // 4096 + 3)
        positions = 2 * (s.accounts * min(HOMES, s.instruments) + 64)
        return {"assets": ASSETS, "accounts": FIRST_CLIENT + s.accounts, "actors": KEYS + 2, "instruments": s.instruments, "venues": 1,
                "positions": positions, "credit": 16, "orders": s.resting + s.resting // 8 + 65_536, "pages": max(40 * s.instruments, MOST_TICKS // 64) + 64,
                "words": spread + 64, "requests": 4_096, "quotes": 8_192, "children": 1, "obligations": 64, "held": 1, "answers": 8_192,
                "facts": 2 * ENTRY, "events": 1 << 14}

    def _genesis(self) -> np.ndarray:
        s, n = self.size, self.size.instruments
        clients = np.arange(FIRST_CLIENT, FIRST_CLIENT + s.accounts)
        account = {"rate_limit": PLENTY, "max_open": PLENTY, "answer_quota": 0, "enabled": 1}
        own = [AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT, AccountKind.CUSTODY, *[AccountKind.DEALER] * DEALERS]
        instrument = np.arange(1, n + 1)
        parts = [
            rows(K.CONFIGURE_CELL, 1, cell=1, answer_window=1, fact_window=1, rfq_window=1, approval_window=1, max_ttl=10**11),
            rows(K.CONFIGURE_ASSET, ASSETS, asset=np.arange(1, ASSETS + 1), approval_above=-1, quote_approval_above=-1, enabled=1),
            rows(K.CONFIGURE_ACCOUNT, len(own), account=np.arange(1, len(own) + 1), account_kind=own, dealer=np.equal(own, AccountKind.DEALER), **account),
            rows(K.CONFIGURE_ACCOUNT, s.accounts, account=clients, account_kind=AccountKind.CLIENT, entity=clients, **account),
            rows(K.CONFIGURE_ACTOR, 1, number=1, role=ADMIN, enabled=1),
            rows(K.CONFIGURE_ACTOR, KEYS, number=np.arange(2, KEYS + 2), role=GATEWAY, enabled=1),
            rows(K.CONFIGURE_AUTHORITY, len(K), role=ADMIN, command=list(K), scope=Scope.ALL),
            rows(K.CONFIGURE_AUTHORITY, len(K), role=GATEWAY, command=list(K), scope=Scope.ALL),
            rows(K.CONFIGURE_INSTRUMENT, n, instrument=instrument, base=self.base(instrument), quote=1, lot=LOT, book_tick=TICK, quote_tick=1, min_price=TICK,
                 max_price=TICK * MOST_TICKS, amount_num=1, amount_den=1_000, settlement=Settlement.PREFUNDED),
            rows(K.CONFIGURE_LIMITS, n, instrument=instrument, max_quantity=10**9, max_notional=10**15, collar_ppm=990_000, max_position=RICH, min_sources=1,
                 max_age=LONG),
            rows(K.CONFIGURE_FEES, n, instrument=instrument, maker_ppm=100, taker_ppm=250, rfq_ppm=100),
            rows(K.CONFIGURE_SOURCE, n, instrument=instrument, source=1, enabled=1),
            rows(K.CONFIGURE_CREDIT, DEALERS, account=np.arange(FIRST_DEALER, FIRST_CLIENT), giver=HOUSE, asset=1, limit=RICH, quoting_limit=RICH),
            rows(K.START, 1)]
        return np.concatenate(parts)

    def _money(self) -> list[np.ndarray]:
        """Deposits of the quote asset and of the base assets of each account's instruments; of every asset for dealers."""
        clients = np.arange(FIRST_CLIENT, FIRST_CLIENT + self.size.accounts)
        dealers = np.arange(FIRST_DEALER, FIRST_CLIENT)
        pairs = [(clients, 1), *((clients, self.base(self.home(clients, j))) for j in range(min(HOMES, self.size.instruments))),
                 *((dealers, asset) for asset in range(1, ASSETS + 1))]
        return [rows(K.DEPOSIT, len(who), account=who, actor=1, id_lo=np.arange(1, len(who) + 1) + (k << 32), custody=CUSTODY, asset=asset, amount=10**11)
                for k, (who, asset) in enumerate(pairs)]

    def _prices(self) -> np.ndarray:
        return rows(K.SOURCE_PRICE, self.size.instruments, actor=1, instrument=np.arange(1, self.size.instruments + 1), source=1, price=REFERENCE)

    def base(self, instrument):
        """The base asset of an instrument."""
        return 2 + instrument % (ASSETS - 1)

    def home(self, account, j):
        """The j-th instrument of an account."""
        return 1 + (account * HOMES + j) % self.size.instruments

    def numbered(self, records: np.ndarray) -> np.ndarray:
        """Give each command a key and that key's next number."""
        key = 2 + np.arange(len(records)) % KEYS
        records["flags"], records["actor"] = NUMBERED, key
        records["id_lo"] = self.numbers[key - 1] + 1 + np.arange(len(records)) // KEYS
        np.add.at(self.numbers, key - 1, 1)
        return records

    def ids(self, account: np.ndarray) -> np.ndarray:
        """The ids of things that accounts make in this order."""
        order = np.argsort(account, kind="stable")
        ranked = account[order]
        first = np.r_[0, np.nonzero(np.diff(ranked))[0] + 1] if len(ranked) else np.zeros(0, int)
        nth = np.empty(len(account), np.int64)
        nth[order] = np.arange(len(ranked)) - np.repeat(first, np.diff(np.r_[first, len(ranked)]))
        out = identifier(1, 0, 0) | (account.astype(np.int64) << 32) | (self.ordinals[account] + 1 + nth)
        np.add.at(self.ordinals, account, 1)
        return out

    def send(self, records: np.ndarray) -> None:
        """Apply what is not measured; nothing of it may be refused."""
        for start in range(0, len(records), ENTRY):
            self.now += 1_000_000
            for events in self.cell.run(records[start:start + ENTRY], self.now):
                refused = events[events["kind"] == Event.REFUSED]
                if len(refused):
                    raise RuntimeError(f"the benchmark's house refused {len(refused)} of its own commands, first reason {refused['reason'][0]}")
