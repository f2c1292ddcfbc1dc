"""The workload: the demo desk with its limits on and raised, a hundred clients, and a flow of orders and requests made once from a seed.

Decides which commands a benchmark sends; the ids in cancels and accepts are learned by applying the flow to a cell while it is made.
"""
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.configure import configure
from cambist.core.cell import Cell
from cambist.design import Design, build_design
from cambist.messages import COMMAND, LAYOUT, NUMBERED, Event, Kind, SelfTrade, Side, TimeInForce, identifier
from cambist.venues.noise import Noise

CLIENTS, PLENTY, ENOUGH = 100, 2_000_000_000, "1000000000"
MID, TICKS = 460_000, 5                         # BTC/USD-PF in increments of 0.1: 46,000.0; a book tick is 0.5
LOT_UNITS = 10_000
CHUNK = 5_000
OPEN_AT_MOST = 30_000                           # orders at rest: the demo desk's own tables have room for 65,536


class Desk(NamedTuple):
    """The benchmark's desk: design, genesis, and the numbers of its accounts and keys."""
    design: Design
    records: np.ndarray
    accounts: np.ndarray                        # of the clients
    keys: np.ndarray
    names: dict[str, dict[str, int]]
    instrument: int


def bench_tables(design_file: Path) -> dict[str, Any]:
    """The demo desk's design, every limit still checked but out of the way, and CLIENTS more clients with a key each."""
    data = tomllib.loads(design_file.read_text())
    for group in ("clients", "dealers"):
        for row in data[group].values():
            row.update(rate_limit=PLENTY, max_open=PLENTY, credit={"USD": ENOUGH}, answer_quota=2048)
            row.pop("positions", None)
            if group == "dealers":
                row["quoting"] = {"USD": ENOUGH}
    desk = data["house"]["desks"]["desk"]
    desk.update(credit={"USD": ENOUGH}, quoting={"USD": ENOUGH}, answer_quota=2048)
    desk.pop("positions", None)
    for row in data["instruments"].values():
        row["limits"].update(max_position=ENOUGH, max_age="1h")
    for i in range(CLIENTS):
        data["clients"][f"m{i}"] = {"entity": "acme", "rate_limit": PLENTY, "max_open": PLENTY, "answer_quota": 16, "credit": {"USD": ENOUGH}}
        data["keys"][f"m{i}"] = {"role": "client", "service": "bench", "account": f"m{i}", "scopes": ["read", "trade"]}
    return data


def bench_desk(design_file: Path) -> Desk:
    return desk_of(bench_tables(design_file))


def desk_of(tables: dict[str, Any]) -> Desk:
    design = build_design(tables, "the bench desk")
    records, names = configure(design)
    accounts = np.array([names["accounts"][f"m{i}"] for i in range(CLIENTS)])
    keys = np.array([names["actors"][f"m{i}"] for i in range(CLIENTS)])
    return Desk(design, np.concatenate(records), accounts, keys, {k: dict(v) for k, v in names.items()}, names["instruments"]["BTC/USD-PF"])


def opening(desk: Desk) -> np.ndarray:
    """Deposits for every client and a price from each source: what the flow needs before it begins."""
    names, rows = desk.names, []
    for account in (*desk.accounts.tolist(), names["accounts"]["b2"], names["accounts"]["c3"]):
        for asset, custody in (("BTC", "btc-wallet"), ("USD", "usd-bank")):
            row = np.zeros(1, LAYOUT[Kind.DEPOSIT])
            row["kind"], row["account"], row["actor"], row["id_lo"] = Kind.DEPOSIT, account, names["actors"]["custodian"], len(rows) + 1
            row["custody"], row["asset"], row["amount"] = names["accounts"][custody], names["assets"][asset], 10**15
            rows.append(row.view(COMMAND))
    for instrument in names["instruments"].values():
        for source, number in names["sources"].items():
            row = np.zeros(1, LAYOUT[Kind.SOURCE_PRICE])
            row["kind"], row["actor"], row["instrument"] = Kind.SOURCE_PRICE, names["actors"][f"feed-{source}"], instrument
            row["source"], row["price"] = number, MID if instrument != names["instruments"]["XRP/USD"] else 200_000
            rows.append(row.view(COMMAND))
    return np.concatenate(rows)


def fresh_cell(desk: Desk, now: int) -> Cell:
    """A started cell with money in it, its memory touched: what is measured is a desk that has been running."""
    cell = Cell(msgspec.structs.asdict(desk.design.capacity))
    cell.touch()
    for records in (desk.records, opening(desk)):
        refused = cell.apply(records, now)
        refused = refused[refused["kind"] == Event.REFUSED]
        if len(refused):
            raise RuntimeError(f"the bench desk refused {len(refused)} of its own commands, first reason {refused['reason'][0]}")
    return cell


def order_flow(desk: Desk, count: int, seed: int, now: int, cell: Cell | None = None, clients: int = CLIENTS) -> np.ndarray:
    """`count` numbered commands of the first `clients`: new orders (one in seven trades at once), cancels and amends (8 to 1) around a walking mid; about
    OPEN_AT_MOST rest."""
    cell, noise = cell or fresh_cell(desk, now), np.random.default_rng(Noise(seed).word())
    numbers, open_ids, parts, mid = np.zeros(CLIENTS, np.int64), np.zeros(0, np.int64), [], MID
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        part = _chunk(desk, size, noise, numbers, open_ids, mid, clients)
        mid += int(noise.integers(-4, 5)) * TICKS
        events = cell.apply(part, now)
        accepted = events["id"][events["kind"] == Event.ORDER_ACCEPTED]
        ended = events["id"][((events["kind"] == Event.FILLED) & (events["leaves"] == 0)) | (events["kind"] == Event.ORDER_CANCELLED)]
        open_ids = np.setdiff1d(np.concatenate([open_ids, accepted]), ended)
        parts.append(part)
    return np.concatenate(parts)


def _chunk(desk: Desk, size: int, noise: np.random.Generator, numbers: np.ndarray, open_ids: np.ndarray, mid: int,
           clients: int) -> np.ndarray:
    rows = np.zeros(size, COMMAND)
    dice = noise.random(size)
    fresh = 0.55 if len(open_ids) < OPEN_AT_MOST else 0.45
    if len(open_ids) < size:
        dice *= fresh
    who = noise.integers(0, clients, size)
    taken = noise.permutation(len(open_ids))[:size] if len(open_ids) >= size else np.zeros(size, np.int64)
    new, side = dice < fresh, noise.integers(0, 2, size)
    away = np.where(dice < 0.08, -noise.integers(1, 8, size), noise.integers(1, 400, size)) * TICKS
    order, cancel, amend = (rows.view(LAYOUT[k]) for k in (Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.AMEND_ORDER))
    quantity = noise.integers(1, 100, size) * LOT_UNITS
    price = mid + np.where(side == Side.BUY, -away, away)
    ids = open_ids[taken] if len(open_ids) >= size else np.zeros(size, np.int64)
    who = np.where(new, who, np.searchsorted(desk.accounts, (ids >> 32) & 0xFFFFFF) if len(open_ids) >= size else who)
    rows["kind"] = np.where(new, Kind.NEW_ORDER, np.where(dice < 0.94, Kind.CANCEL_ORDER, Kind.AMEND_ORDER))
    rows["flags"], rows["account"], rows["actor"] = NUMBERED, desk.accounts[who], desk.keys[who]
    rows["instrument"][new] = desk.instrument
    order["side"][new], order["price"][new], order["quantity"][new] = side[new], price[new], quantity[new]
    order["time_in_force"][new], order["self_trade"][new] = np.where(dice < 0.02, TimeInForce.IOC, TimeInForce.GTC)[new], SelfTrade.CANCEL_OLDEST
    change = rows["kind"] == Kind.AMEND_ORDER
    cancel["order"][~new] = ids[~new]
    amend["price"][change], amend["quantity"][change] = price[change], quantity[change]
    for k in range(CLIENTS):
        mine = np.nonzero(who == k)[0]
        rows["id_lo"][mine] = numbers[k] + 1 + np.arange(len(mine))
        numbers[k] += len(mine)
    return rows


def request_flow(desk: Desk, count: int) -> np.ndarray:
    """`count` RFQs on credit, each a request, two dealers' quotes and an accept: 4 numbered commands."""
    rows = np.zeros(4 * count, COMMAND)
    k = np.arange(count)
    who, nth = k % CLIENTS, k // CLIENTS
    account, names = desk.accounts[who], desk.names
    ids = np.array([identifier(desk.design.cell.number, int(a), int(n) + 1) for a, n in zip(account, nth, strict=True)])
    rows["flags"] = NUMBERED
    rows["instrument"][0::4] = names["instruments"]["BTC/USD"]
    ask, bid1, bid2, accept = (rows[i::4] for i in range(4))
    for part, kind in ((ask, Kind.REQUEST_QUOTE), (bid1, Kind.QUOTE), (bid2, Kind.QUOTE), (accept, Kind.ACCEPT_QUOTE)):
        part["kind"] = kind
    for part in (ask, accept):
        part["account"], part["actor"] = account, desk.keys[who]
    ask["id_lo"], accept["id_lo"] = 2 * nth + 1, 2 * nth + 2
    for part, dealer in ((bid1, "b2"), (bid2, "c3")):
        part["account"], part["actor"], part["id_lo"] = names["accounts"][dealer], names["actors"][dealer], k + 1
    request, quote, taken = rows.view(LAYOUT[Kind.REQUEST_QUOTE]), rows.view(LAYOUT[Kind.QUOTE]), rows.view(LAYOUT[Kind.ACCEPT_QUOTE])
    request["quantity"][0::4], request["ttl"][0::4] = 100 * LOT_UNITS, 10_000_000_000
    for i, price in ((1, MID + 30), (2, MID + 31)):
        quote["request"][i::4], quote["ask"][i::4], quote["ttl"][i::4] = ids, price, 5_000_000_000
    taken["request"][3::4], taken["limit_price"][3::4] = ids, MID + 100
    return rows
