"""Section 11 of the rules: the twin's state as tables of int64, in the order and with the columns that are hashed and kept in snapshots."""
from collections.abc import Callable
from functools import cache
from operator import attrgetter

import numpy as np

from cambist.messages import NUMBER_WINDOW, OrderState
from cambist.simulation.twin.model import State

VERSION = 1
TRADING = ("rate_cancels trade_group self_trade_scope max_waiting cancel_reserve max_executions execution_window duplicate_window tier fee_instrument "
           "executed_window executed dup_instrument dup_side dup_price dup_quantity dup_at dead_man")
SOME = "some_instrument some_side some_below some_cursor"
SESSION = "session next_session auction_ends indicative_at ending uncross"
BAND = ("band_ppm band_window auction indicative anchor anchor_window book_last last_low last_high index_low index_high mark_low mark_high "
        "peg_bid peg_ask peg_work peg_cursor")
ORDER = ("id account quantity leaves held fee_ppm self_trade post_only state order_type time_in_force actor sequence worst display shown prevented fee_min "
         "options trigger trigger_on trigger_price distance offset good_till link mate parent quoted value")
EXPOSURE = "gross_limit net_limit loss_limit gross net open cash day base"
COLUMNS: dict[str, str] = {
    "cell": "time sequence started cell answer_window fact_window rfq_window approval_window max_ttl cycle killed_all kill_sweep cut_off matches "
            "trader_account trader_cursor change_asset change_digits change_stage change_next ordinal",
    "assets": "asset digits approval_above enabled quote_approval_above rate_num rate_den",
    "accounts": "account kind entity dealer rate_limit max_open answer_quota enabled killed ordinal dying_below sweep sweep_reason rate_second rate_count "
                f"failed cycle {TRADING} some_place {SOME}",
    "dealers": "place account",
    "actors": "actor account person role enabled highest killed sweep roams",
    "numbers": "actor number sequence",
    "authority": "role command scope second_person",
    "instruments": "instrument base quote lot book_tick quote_tick min_price max_price amount_num amount_den settlement max_quantity max_notional "
                   "collar_ppm max_position min_sources max_age maker_ppm taker_ppm rfq_ppm halted sweep last reference "
                   f"{SESSION} over {BAND}",
    "sources": "instrument source enabled price posted_at",
    "venues": "venue account enabled",
    "stops": "venue instrument",
    "balances": "account asset available held unsettled due short_limit",
    "positions": "account instrument net open_buy open_sell limit value",
    "credit": "giver taker asset limit quoting_limit reserved traded netted quoted",
    "orders": f"instrument side price place {ORDER}",
    "requests": "id account instrument side quantity state expires",
    "quotes": "id request place account bid ask expires reserve",
    "children": "id account instrument venue side time_in_force price quantity filled held state cum parent ends",
    "obligations": "id account asset amount cycle",
    "held": "id account sequence person lapse " + " ".join(f"w{i}" for i in range(16)),
    "answers": "account id_hi id_lo sequence accepted_at",
    "facts": "source id_hi id_lo sequence accepted_at",
    "flows": "asset cause amount",
    "tiers": "instrument tier maker_ppm taker_ppm rfq_ppm minimum",
    "schedules": "instrument slot offset period session next duration enabled due",
    "protections": "account instrument quantity delta window frozen bucket " + " ".join([f"b{i}" for i in range(8)] + [f"s{i}" for i in range(8)]),
    "exposures": f"account {EXPOSURE}",
    "restrictions": "account actor instrument",
}


def place(queue: list[int], number: int) -> int:
    return queue.index(number) + 1 if number in queue else 0


@cache
def getter(names: str) -> Callable[[object], tuple[int, ...]]:
    return attrgetter(*names.split())


def fields(row: object, names: str) -> tuple[int, ...]:
    return getter(names)(row)


def rows(t: State) -> dict[str, list[tuple[int, ...]]]:
    cell = t.cell
    out: dict[str, list[tuple[int, ...]]] = {}
    out["cell"] = [(t.time, t.sequence, *fields(cell, "started cell answer_window fact_window rfq_window approval_window max_ttl cycle killed_all "
                                                      "kill_sweep cut_off matches trader_account trader_cursor change_asset change_digits change_stage "
                                                      "change_next ordinal"))]
    out["assets"] = [(n, *fields(a, "digits approval_above enabled quote_approval_above rate_num rate_den")) for n, a in t.assets.items()]
    out["accounts"] = [(n, *fields(a, "kind entity dealer rate_limit max_open answer_quota enabled killed ordinal dying_below"),
                        place(t.account_sweeps, n), *fields(a, "sweep_reason rate_second rate_count failed cycle"), *fields(a, TRADING),
                        place(t.partial_sweeps, n), *fields(a, SOME)) for n, a in t.accounts.items()]
    out["dealers"] = [(i + 1, account) for i, account in enumerate(t.dealers)]
    out["actors"] = [(n, *fields(a, "account person role enabled highest killed"), place(t.trader_sweeps, n), a.roams) for n, a in t.actors.items()]
    out["numbers"] = [(actor, number, s) for (actor, number), s in t.numbers.items() if number > t.actors[actor].highest - NUMBER_WINDOW]
    out["authority"] = [(*key, *value) for key, value in t.authority.items() if any(value)]
    out["instruments"] = [(n, *fields(i, "base quote lot book_tick quote_tick min_price max_price amount_num amount_den settlement max_quantity "
                                         "max_notional collar_ppm max_position min_sources max_age maker_ppm taker_ppm rfq_ppm halted"),
                           place(t.instrument_sweeps, n), i.last, i.reference, *fields(i, SESSION), place(t.session_sweeps, n),
                           *fields(i, BAND)) for n, i in t.instruments.items()]
    out["sources"] = [(*key, *fields(s, "enabled price posted_at")) for key, s in t.sources.items()]
    out["venues"] = [(n, v.account, v.enabled) for n, v in t.venues.items()]
    out["stops"] = list(t.stops)
    out["balances"] = [(*key, *values) for key, b in t.balances.items() if any(values := fields(b, "available held unsettled due short_limit"))]
    out["positions"] = [(*key, *values) for key, p in t.positions.items() if any(values := fields(p, "net open_buy open_sell limit value"))]
    out["credit"] = [(*key, *fields(r, "limit quoting_limit reserved traded netted quoted")) for key, r in t.credits.items()]
    out["orders"] = [(instrument, side, price, i, *fields(o, ORDER))
                     for (instrument, side), book in t.books.items() for price, level in book.items() for i, o in enumerate(level)]
    out["orders"] += [(o.instrument, o.side, o.worst, place(t.entries.get(o.instrument, []), o.id), *fields(o, ORDER))
                      for o in t.orders.values() if o.state != OrderState.BOOK]
    out["requests"] = [fields(r, "id account instrument side quantity state expires") for r in t.requests.values()]
    out["quotes"] = [(q.id, q.request, t.requests[q.request].quotes.index(q.id), *fields(q, "account bid ask expires reserve")) for q in t.quotes.values()]
    out["children"] = [fields(c, COLUMNS["children"]) for c in t.children.values()]
    out["obligations"] = [fields(o, COLUMNS["obligations"]) for o in t.obligations.values()]
    out["held"] = [(*fields(h, "id account sequence person lapse"), *np.frombuffer(h.record, "<i8").tolist()) for h in t.held.values()]
    out["answers"] = [(account, *key, sequence, at) for account, kept in t.answers.items() for key, (sequence, at) in kept.items()
                      if at + cell.answer_window > t.time]
    out["facts"] = [(*key, sequence, at) for key, (sequence, at) in t.facts.items() if at + cell.fact_window > t.time]
    out["flows"] = [(*key, amount) for key, amount in t.flows.items() if amount]
    out["tiers"] = [(*key, *fields(r, "maker_ppm taker_ppm rfq_ppm minimum")) for key, r in t.tiers.items()]
    out["schedules"] = [(*key, *fields(r, "offset period session next duration enabled due")) for key, r in t.schedules.items()]
    out["protections"] = [(*key, *fields(r, "quantity delta window frozen bucket"), *r.bought, *r.sold) for key, r in t.protections.items()]
    out["exposures"] = [(n, *fields(r, EXPOSURE)) for n, r in t.exposures.items()]
    out["restrictions"] = list(t.restrictions)
    return out


def tables(t: State) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
    found = rows(t)
    out = {}
    for name, columns in COLUMNS.items():
        names = tuple(columns.split())
        out[name] = (VERSION, names, np.array(sorted(found[name]), dtype=np.int64).reshape(-1, len(names)))
    return out
