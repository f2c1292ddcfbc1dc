"""The cell that the adapter runs: one instrument, prices 1 to 2**24, and its image, the pages of memory that are not zero. Limits are wide open."""
import numpy as np

from cambist.core.cell import PAGE_BYTES, Cell
from cambist.measure.bench_house import rows
from cambist.messages import AccountKind, Kind, Scope, Settlement

ORDERS, PAGES = 1 << 17, 1 << 15                # that may rest at once; that may be in use, of 64 prices each
MOST_TICKS = 1 << 24
K = Kind
ADMIN, TRADER, HOUSE, FEES, SUSPENSE, DEFICIT, CUSTODY, BUYER, SELLER = 1, 2, 1, 2, 3, 4, 5, 6, 7
BOOK, QUOTE, BASE = 1, 1, 2
PLENTY, RICH, LONG = 2_000_000_000, 10**15, 10**18
SIZES = {"assets": 2, "accounts": 8, "actors": 2, "dealers": 1, "instruments": 1, "venues": 1, "positions": 16, "credit": 1, "orders": ORDERS,
         "pages": PAGES, "words": MOST_TICKS // 64 + MOST_TICKS // 4096 + MOST_TICKS // 262_144 + 1, "requests": 1, "quotes": 1, "children": 1,
         "obligations": 1, "held": 1, "answers": 4096, "facts": 256, "events": 2048}


def _genesis() -> np.ndarray:
    own = [AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT, AccountKind.CUSTODY, AccountKind.CLIENT, AccountKind.CLIENT]
    return np.concatenate([
        rows(K.CONFIGURE_CELL, 1, cell=1, answer_window=1, fact_window=1, rfq_window=1, approval_window=1, max_ttl=10**11),
        rows(K.CONFIGURE_ASSET, 2, asset=[QUOTE, BASE], approval_above=-1, quote_approval_above=-1, enabled=1),
        rows(K.CONFIGURE_ACCOUNT, len(own), account=np.arange(1, len(own) + 1), account_kind=own, rate_limit=PLENTY, max_open=PLENTY, enabled=1,
             entity=np.where(np.equal(own, AccountKind.CLIENT), np.arange(1, len(own) + 1), 0)),
        rows(K.CONFIGURE_ACTOR, 2, number=[1, 2], role=[ADMIN, TRADER], enabled=1),
        rows(K.CONFIGURE_AUTHORITY, len(K), role=ADMIN, command=list(K), scope=Scope.ALL),
        rows(K.CONFIGURE_AUTHORITY, len(K), role=TRADER, command=list(K), scope=Scope.ALL),
        rows(K.CONFIGURE_INSTRUMENT, 1, instrument=BOOK, base=BASE, quote=QUOTE, lot=1, book_tick=1, quote_tick=1, min_price=1, max_price=MOST_TICKS,
             amount_num=1, amount_den=1, settlement=Settlement.PREFUNDED),
        rows(K.CONFIGURE_LIMITS, 1, instrument=BOOK, max_quantity=(1 << 32) - 1, max_notional=RICH, collar_ppm=0, max_position=RICH, min_sources=1,
             max_age=LONG),
        rows(K.CONFIGURE_FEES, 1, instrument=BOOK, maker_ppm=100, taker_ppm=250, rfq_ppm=100),
        rows(K.START, 1)])


def matching_cell(sizes: dict[str, int] | None = None) -> Cell:
    """A started cell: one account that buys and one that sells, rich in both assets; nothing refused."""
    cell = Cell({**SIZES, **(sizes or {})})
    accounts = np.array([BUYER, SELLER])
    money = [rows(K.DEPOSIT, 2, account=accounts, actor=ADMIN, id_lo=accounts + 8 * asset, custody=CUSTODY, asset=asset, amount=10**17)
             for asset in (QUOTE, BASE)]
    for records in (_genesis(), *money):
        events = cell.apply(records, 1_000_000_000)
        if events["reason"].any():
            raise RuntimeError(f"the benchmark's house refused a command of its own: reason {events['reason'].max()}")
    return cell


def image(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The places (in pages) and the words of the pages of a cell's memory that are not zero."""
    pages = np.frombuffer(cell.block, np.int64).reshape(-1, PAGE_BYTES // 8)
    used = np.nonzero(pages.any(axis=1))[0]
    return used.astype(np.int64), pages[used].copy()
