"""What must hold after every step, seen only in the tables of section 11 of the rules and in what was told. It knows neither the kernel nor the twin."""
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from cambist.messages import CONFIGURE, EVENT, FACTS, NAMES_ACCOUNT, AccountKind, ChildState, Event, Kind, OrderState, Session, Settlement, Side

Tables = dict[str, tuple[int, tuple[str, ...], np.ndarray]]
LEVEL_FIELDS = ("kind", "instrument", "side", "price", "quantity", "leaves", "sequence")
MAY_BE_NEGATIVE = {AccountKind.DEFICIT, AccountKind.CUSTODY, AccountKind.SUSPENSE}      # a fact may force these below zero


def rows(tables: Tables, name: str) -> Iterator[dict[str, int]]:
    """The rows of one table as dicts by column."""
    _, columns, matrix = tables[name]
    for row in matrix.tolist():
        yield dict(zip(columns, row, strict=True))


def invariants(tables: Tables, desk_forced: bool = False) -> list[str]:
    """Every broken rule in words; empty when all hold. `desk_forced`: a fact (a hedge's fill, a reversal) or a lowered short limit may have taken the desk
    beyond its short limit, so that is not looked at."""
    return [*ledger(tables), *holds(tables), *lines(tables), *positions(tables), *quantities(tables), *books(tables), *signs(tables, desk_forced)]


def strangers(tables: Tables, records: np.ndarray, events: np.ndarray, before: Tables | None = None) -> Iterator[str]:
    """The ids of a request, told to an account that it does not belong to. The tables are those after these records, and, where a key may have got another
    account meanwhile, those before."""
    first = next(rows(tables, "cell"))["sequence"] - len(records) + 1
    own: dict[int, set[int]] = defaultdict(set)
    for r in (*rows(tables, "actors"), *(rows(before, "actors") if before else ())):
        own[r["actor"]].add(r["account"])
    released = {int(e["sequence"]): int(e["account"]) for e in events[events["kind"] == Event.APPROVED]}      # whose held command ran there
    for e in events[(events["account"] > 0) & ((events["id_hi"] != 0) | (events["id_lo"] != 0))]:
        told, at = int(e["account"]), int(e["sequence"])
        c = records[at - first]
        if int(c["kind"]) in FACTS or (at in released and e["kind"] == Event.REFUSED):
            continue                                    # a fact's id is its source's; what was held and is refused after all is told to who sent it
        named = {int(c["account"])} if int(c["kind"]) in NAMES_ACCOUNT - CONFIGURE else set()
        owners = {released.get(at, 0), *named, *(own[int(c["actor"])] if not named or e["kind"] == Event.REFUSED else ())}
        if told not in owners:
            yield f"{Event(int(e['kind'])).name} tells account {told} the ids of a {Kind(int(c['kind'])).name} of {sorted(owners)}"


def ledger(tables: Tables) -> Iterator[str]:
    kinds = {r["account"]: r["kind"] for r in rows(tables, "accounts")}
    gap: dict[tuple[str, int], int] = defaultdict(int)
    for r in rows(tables, "balances"):
        sign = 1 if kinds[r["account"]] == AccountKind.CUSTODY else -1
        gap["custody less ownership", r["asset"]] += sign * (r["available"] + r["held"])
        gap["sum of unsettled", r["asset"]] += r["unsettled"]
        gap["sum of due", r["asset"]] += r["due"]
    owed: dict[tuple[int, int], int] = defaultdict(int)
    for r in rows(tables, "obligations"):
        owed[r["account"], r["asset"]] += r["amount"]
    house = next((a for a, kind in kinds.items() if kind == AccountKind.HOUSE), 0)
    for r in rows(tables, "balances"):
        if r["account"] != house and r["due"] != owed[r["account"], r["asset"]]:
            yield f"account {r['account']} asset {r['asset']}: due {r['due']} is not its obligations {owed[r['account'], r['asset']]}"
    for (what, asset), value in sorted(gap.items()):
        if value:
            yield f"asset {asset}: {what} is {value}"


def held_for(instrument: dict[str, int], side: int) -> int:
    return instrument["quote"] if side == Side.BUY else instrument["base"]


def holds(tables: Tables) -> Iterator[str]:
    """Held equals the sum of its reasons: prefunded orders of owners, child orders of custody."""
    instruments = {r["instrument"]: r for r in rows(tables, "instruments")}
    venues = {r["venue"]: r["account"] for r in rows(tables, "venues")}
    reasons: dict[tuple[int, int], int] = defaultdict(int)
    for r in rows(tables, "orders"):
        instrument = instruments[r["instrument"]]
        if instrument["settlement"] == Settlement.PREFUNDED:
            reasons[r["account"], held_for(instrument, r["side"])] += r["held"]
    for r in rows(tables, "children"):
        reasons[venues[r["venue"]], held_for(instruments[r["instrument"]], r["side"])] += r["held"]
    found = {(r["account"], r["asset"]): r["held"] for r in rows(tables, "balances")}
    for key in sorted(reasons.keys() | found.keys()):
        if reasons.get(key, 0) != found.get(key, 0):
            yield f"account {key[0]} asset {key[1]}: held {found.get(key, 0)} is not the sum of its reasons {reasons.get(key, 0)}"


def lines(tables: Tables) -> Iterator[str]:
    instruments = {r["instrument"]: r for r in rows(tables, "instruments")}
    reserved: dict[tuple[int, int], int] = defaultdict(int)
    quoted: dict[tuple[int, int], int] = defaultdict(int)
    for r in rows(tables, "orders"):
        if instruments[r["instrument"]]["settlement"] == Settlement.ON_CREDIT:
            reserved[r["account"], instruments[r["instrument"]]["quote"]] += r["held"]
    requests = {r["id"]: r for r in rows(tables, "requests")}
    for r in rows(tables, "quotes"):
        if r["request"] not in requests:
            yield f"quote {r['id']}: its request {r['request']} is gone"
            continue
        quoted[r["account"], instruments[requests[r["request"]]["instrument"]]["quote"]] += r["reserve"]
    for r in rows(tables, "credit"):
        key = r["taker"], r["asset"]
        for what, total in (("reserved", reserved.pop(key, 0)), ("quoted", quoted.pop(key, 0))):
            if r[what] != total:
                yield f"credit of account {key[0]} asset {key[1]}: {what} {r[what]} is not the sum of its reasons {total}"
        if r["traded"] < 0 or r["netted"] < 0:
            yield f"credit of account {key[0]} asset {key[1]}: traded {r['traded']} or netted {r['netted']} is negative"
    for key in [*reserved, *quoted]:
        yield f"account {key[0]} asset {key[1]}: orders or quotes use a credit row that does not exist"


def positions(tables: Tables) -> Iterator[str]:
    """Open quantities are those of standing orders (of two linked ones the first) and living children; net sums to the hedges, which the outside carries."""
    open_quantity: dict[tuple[int, int, str], int] = defaultdict(int)
    for r in rows(tables, "orders"):
        if not r.get("mate") or r["id"] < r["mate"]:
            open_quantity[r["account"], r["instrument"], "open_buy" if r["side"] == Side.BUY else "open_sell"] += r["leaves"]
    for r in rows(tables, "children"):
        if r["state"] != ChildState.DONE:
            open_quantity[r["account"], r["instrument"], "open_buy" if r["side"] == Side.BUY else "open_sell"] += r["quantity"] - r["filled"]
    for r in rows(tables, "positions"):
        for what in ("open_buy", "open_sell"):
            total = open_quantity.pop((r["account"], r["instrument"], what), 0)
            if r[what] != total:
                yield f"position of account {r['account']} instrument {r['instrument']}: {what} {r[what]} is not the sum of its reasons {total}"
    for key, total in open_quantity.items():
        if total:
            yield f"position of account {key[0]} instrument {key[1]}: {key[2]} misses {total}"


def quantities(tables: Tables) -> Iterator[str]:
    for r in rows(tables, "orders"):
        if not 0 < r["leaves"] <= r["quantity"]:
            yield f"order {r['id']}: leaves {r['leaves']} of {r['quantity']}"
        if r.get("state", OrderState.BOOK) == OrderState.BOOK and not 0 < r.get("shown", r["leaves"]) <= r["leaves"]:
            yield f"order {r['id']}: shows {r['shown']} of {r['leaves']}"
    for r in rows(tables, "children"):
        if not 0 <= r["filled"] <= r["quantity"]:
            yield f"child {r['id']}: filled {r['filled']} of {r['quantity']}"


def books(tables: Tables) -> Iterator[str]:
    """In continuous trading no two orders rest that could trade."""
    continuous = {r["instrument"] for r in rows(tables, "instruments") if r.get("session", Session.CONTINUOUS) == Session.CONTINUOUS}
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for r in rows(tables, "orders"):
        i, price = r["instrument"], r["price"]
        if r.get("state", OrderState.BOOK) != OrderState.BOOK or i not in continuous:
            continue
        if r["side"] == Side.BUY:
            bids[i] = max(price, bids.get(i, price))
        else:
            asks[i] = min(price, asks.get(i, price))
    for i in sorted(bids.keys() & asks.keys()):
        if bids[i] >= asks[i]:
            yield f"instrument {i}: the book is crossed, bid {bids[i]} and ask {asks[i]}"


class PublicBook:
    """The books as a reader has them who was told every LEVEL and nothing else."""

    def __init__(self) -> None:
        self.levels: dict[tuple[int, int, int], tuple[int, int]] = {}       # (instrument, side, price) -> quantity, orders

    def hear(self, events: np.ndarray) -> list[str]:
        """Apply the LEVELs of some events; what is wrong with them in themselves."""
        wrong = []
        for e in events[events["kind"] == Event.LEVEL]:
            level, told = (int(e["instrument"]), int(e["side"]), int(e["price"])), (int(e["quantity"]), int(e["leaves"]))
            if any(e[name] for name in EVENT.names or () if name not in LEVEL_FIELDS):
                wrong.append(f"level {level}: says more than what the level is: {e}")
            if min(told) < 0 or (told[0] == 0) != (told[1] == 0) or told == self.levels.get(level, (0, 0)):
                wrong.append(f"level {level}: told as {told} after {self.levels.get(level, (0, 0))}")
            if told == (0, 0):
                self.levels.pop(level, None)
            else:
                self.levels[level] = told
        return wrong

    def differs(self, tables: Tables) -> Iterator[str]:
        """Where it is not the table of orders."""
        true: dict[tuple[int, int, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for r in rows(tables, "orders"):
            if r.get("state", OrderState.BOOK) == OrderState.BOOK:
                level = r["instrument"], r["side"], r["price"]
                quantity, orders = true[level]
                true[level] = quantity + r.get("shown", r["leaves"]), orders + 1
        for level in sorted(true.keys() | self.levels.keys()):
            if (seen := self.levels.get(level, (0, 0))) != true.get(level, (0, 0)):
                yield f"level {level}: the public was told {seen}, and there is {true.get(level, (0, 0))}"


def signs(tables: Tables, desk_forced: bool) -> Iterator[str]:
    kinds = {r["account"]: r["kind"] for r in rows(tables, "accounts")}
    for r in rows(tables, "balances"):
        kind = kinds[r["account"]]
        if r["held"] < 0:
            yield f"account {r['account']} asset {r['asset']}: held {r['held']} is negative"
        if kind in MAY_BE_NEGATIVE or (kind == AccountKind.DESK and desk_forced):
            continue
        floor = -r["short_limit"] if kind == AccountKind.DESK else 0
        if r["available"] < floor:
            yield f"account {r['account']} asset {r['asset']}: available {r['available']} is below {floor}"
