"""Section 11 of the rules: the twin's state as tables of int64, in the order and with the columns that are hashed and kept in snapshots."""
import numpy as np

from cambist.messages import NUMBER_WINDOW
from cambist.simulation.twin.model import State

VERSION = 1
COLUMNS: dict[str, str] = {
    "cell": "time sequence started cell answer_window fact_window rfq_window approval_window max_ttl cycle killed_all kill_sweep cut_off matches ordinal",
    "assets": "asset digits approval_above enabled quote_approval_above",
    "accounts": "account kind entity dealer rate_limit max_open answer_quota enabled killed ordinal dying_below sweep sweep_reason rate_second rate_count "
                "failed cycle",
    "dealers": "place account",
    "actors": "actor account person role enabled highest",
    "numbers": "actor number sequence",
    "authority": "role command scope second_person",
    "instruments": "instrument base quote lot book_tick quote_tick min_price max_price amount_num amount_den settlement max_quantity max_notional "
                   "collar_ppm max_position min_sources max_age maker_ppm taker_ppm rfq_ppm halted sweep last reference",
    "sources": "instrument source enabled price posted_at",
    "venues": "venue account enabled",
    "stops": "venue instrument",
    "balances": "account asset available held unsettled due short_limit",
    "positions": "account instrument net open_buy open_sell limit",
    "credit": "giver taker asset limit quoting_limit reserved traded netted quoted",
    "orders": "instrument side price place id account quantity leaves held fee_ppm self_trade post_only",
    "requests": "id account instrument side quantity state expires",
    "quotes": "id request place account bid ask expires reserve",
    "children": "id account instrument venue side time_in_force price quantity filled held state cum parent ends",
    "obligations": "id account asset amount cycle",
    "held": "id account sequence person lapse " + " ".join(f"w{i}" for i in range(16)),
    "answers": "account id_hi id_lo sequence accepted_at",
    "facts": "source id_hi id_lo sequence accepted_at",
    "flows": "asset cause amount",
}


def place(queue: list[int], number: int) -> int:
    return queue.index(number) + 1 if number in queue else 0


def fields(row: object, names: str) -> tuple[int, ...]:
    return tuple(int(getattr(row, name)) for name in names.split())


def rows(t: State) -> dict[str, list[tuple[int, ...]]]:
    cell = t.cell
    out: dict[str, list[tuple[int, ...]]] = {}
    out["cell"] = [(t.time, t.sequence, *fields(cell, "started cell answer_window fact_window rfq_window approval_window max_ttl cycle killed_all "
                                                      "kill_sweep cut_off matches ordinal"))]
    out["assets"] = [(n, *fields(a, "digits approval_above enabled quote_approval_above")) for n, a in t.assets.items()]
    out["accounts"] = [(n, *fields(a, "kind entity dealer rate_limit max_open answer_quota enabled killed ordinal dying_below"),
                        place(t.account_sweeps, n), *fields(a, "sweep_reason rate_second rate_count failed cycle")) for n, a in t.accounts.items()]
    out["dealers"] = [(i + 1, account) for i, account in enumerate(t.dealers)]
    out["actors"] = [(n, *fields(a, "account person role enabled highest")) for n, a in t.actors.items()]
    out["numbers"] = [(actor, number, s) for (actor, number), s in t.numbers.items() if number > t.actors[actor].highest - NUMBER_WINDOW]
    out["authority"] = [(*key, *value) for key, value in t.authority.items() if any(value)]
    out["instruments"] = [(n, *fields(i, "base quote lot book_tick quote_tick min_price max_price amount_num amount_den settlement max_quantity "
                                         "max_notional collar_ppm max_position min_sources max_age maker_ppm taker_ppm rfq_ppm halted"),
                           place(t.instrument_sweeps, n), i.last, i.reference) for n, i in t.instruments.items()]
    out["sources"] = [(*key, *fields(s, "enabled price posted_at")) for key, s in t.sources.items()]
    out["venues"] = [(n, v.account, v.enabled) for n, v in t.venues.items()]
    out["stops"] = list(t.stops)
    out["balances"] = [(*key, *values) for key, b in t.balances.items() if any(values := fields(b, "available held unsettled due short_limit"))]
    out["positions"] = [(*key, *values) for key, p in t.positions.items() if any(values := fields(p, "net open_buy open_sell limit"))]
    out["credit"] = [(*key, *fields(r, "limit quoting_limit reserved traded netted quoted")) for key, r in t.credits.items()]
    out["orders"] = [(instrument, side, price, i, *fields(o, "id account quantity leaves held fee_ppm self_trade post_only"))
                     for (instrument, side), book in t.books.items() for price, level in book.items() for i, o in enumerate(level)]
    out["requests"] = [fields(r, "id account instrument side quantity state expires") for r in t.requests.values()]
    out["quotes"] = [(q.id, q.request, t.requests[q.request].quotes.index(q.id), *fields(q, "account bid ask expires reserve")) for q in t.quotes.values()]
    out["children"] = [fields(c, COLUMNS["children"]) for c in t.children.values()]
    out["obligations"] = [fields(o, COLUMNS["obligations"]) for o in t.obligations.values()]
    out["held"] = [(*fields(h, "id account sequence person lapse"), *np.frombuffer(h.record, "<i8").tolist()) for h in t.held.values()]
    out["answers"] = [(account, *key, sequence, at) for account, kept in t.answers.items() for key, (sequence, at) in kept.items()
                      if at + cell.answer_window > t.time]
    out["facts"] = [(*key, sequence, at) for key, (sequence, at) in t.facts.items() if at + cell.fact_window > t.time]
    out["flows"] = [(*key, amount) for key, amount in t.flows.items() if amount]
    return out


def tables(t: State) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
    found = rows(t)
    out = {}
    for name, columns in COLUMNS.items():
        names = tuple(columns.split())
        out[name] = (VERSION, names, np.array(sorted(found[name]), dtype=np.int64).reshape(-1, len(names)))
    return out
