"""Views over small tables written by hand, in the layout of docs/rules.md section 11."""
import hashlib

import msgspec
import numpy as np
import pytest

from cambist.feeds import views
from cambist.feeds.views import BadArgument, UnknownView, answer
from cambist.messages import EVENT, AccountKind, Event, Kind, OrderState, command

COLUMNS = {
    "cell": "time sequence started cell answer_window fact_window rfq_window approval_window max_ttl cycle killed_all kill_sweep cut_off matches ordinal",
    "assets": "asset digits approval_above enabled quote_approval_above",
    "dealers": "place account",
    "venues": "venue account enabled",
    "accounts": "account kind entity dealer rate_limit max_open answer_quota enabled killed ordinal dying_below sweep sweep_reason rate_second rate_count "
                "failed cycle",
    "actors": "actor account person role enabled highest",
    "numbers": "actor number sequence",
    "instruments": "instrument base quote lot book_tick quote_tick min_price max_price amount_num amount_den settlement max_quantity max_notional collar_ppm "
                   "max_position min_sources max_age maker_ppm taker_ppm rfq_ppm halted sweep last reference",
    "sources": "instrument source enabled price posted_at",
    "balances": "account asset available held unsettled due short_limit",
    "positions": "account instrument net open_buy open_sell limit",
    "credit": "giver taker asset limit quoting_limit reserved traded netted quoted",
    "orders": "instrument side price place id account quantity leaves held fee_ppm self_trade post_only state shown",
    "requests": "id account instrument side quantity state expires",
    "quotes": "id request place account bid ask expires reserve",
    "children": "id account instrument venue side time_in_force price quantity filled held state cum parent ends",
    "obligations": "id account asset amount cycle",
    "held": "id account sequence person lapse " + " ".join(f"w{i}" for i in range(16)),
    "answers": "account id_hi id_lo sequence accepted_at",
    "protections": "account instrument quantity delta window frozen",
    "exposures": "account gross_limit net_limit loss_limit gross net open cash day base",
    "restrictions": "account actor instrument",
}


def tables(**rows):
    """Tables with these rows, each a dict of what is not zero."""
    made = {}
    for name, text in COLUMNS.items():
        columns = tuple(text.split())
        made[name] = (1, columns, np.array([[row.get(c, 0) for c in columns] for row in rows.get(name, ())], np.int64).reshape(-1, len(columns)))
    return made


def asked(view, of, results=lambda sequence: (), facts=None, **argument):
    return msgspec.json.decode(answer(view, msgspec.json.encode(argument) if argument else b"", of, results, facts))


CLIENT, CUSTODY = dict(account=1, kind=AccountKind.CLIENT), dict(account=2, kind=AccountKind.CUSTODY)


def test_status_counts_what_the_design_made_and_carries_the_nodes_words():
    told = asked("status", tables(cell=[dict(sequence=9)], accounts=[{}, {}]), facts={"room": 5})
    assert told["cell"]["sequence"] == 9 and told["rows"]["accounts"] == 2 and told["room"] == 5
    assert asked("rows", tables(cell=[{}], orders=[{}, {}]))["rows"]["orders"] == 2


LOOKS_AT = {
    "status": ({}, {"cell", *views.OF_DESIGN}), "account": ({"account": 1}, {"accounts", "credit", *views.OF_ACCOUNT}),
    "book": ({"instrument": 1}, {"instruments", "orders"}), "instruments": ({}, {"assets", "instruments", "sources"}), "held": ({}, {"held"}),
    "controls": ({}, {"actors", *views.OF_CONTROL}),
    "obligations": ({}, {"obligations"}), "children": ({}, {"children"}), "custody": ({}, {"accounts", "balances", "assets"}),
    "numbers": ({"actor": 1}, {"actors"}), "answer": ({"account": 1, "id_hi": 1, "id_lo": 1}, {"answers"}),
}


@pytest.mark.parametrize("view", [name for name in views.VIEWS if name != "rows"])
def test_a_view_looks_at_no_table_but_its_own(view):
    argument, names = LOOKS_AT[view]
    of = tables(cell=[{}], accounts=[CLIENT], instruments=[dict(instrument=1)], actors=[dict(actor=1)])
    asked(view, {name: of[name] for name in names}, **argument)
    if view == "answer":
        asked(view, {}, sequence=1)
        asked(view, {"numbers": of["numbers"]}, actor=1, number=1)


def test_account_tells_its_own_rows_only():
    of = tables(accounts=[CLIENT, CUSTODY], balances=[dict(account=1, asset=1, available=5), dict(account=2, asset=1, available=5)],
                positions=[dict(account=1, instrument=1, net=2)],
                orders=[dict(id=7, account=1), dict(id=8, account=2)], credit=[dict(giver=4, taker=1, asset=1)])
    told = asked("account", of, account=1)
    assert [b["available"] for b in told["balances"]] == [5] and [o["id"] for o in told["orders"]] == [7]
    assert len(told["positions"]) == len(told["credit"]) == 1 and told["requests"] == [] and told["more"] is False


def test_account_tells_what_limits_it_and_controls_tell_that_of_all():
    of = tables(accounts=[CLIENT], actors=[dict(actor=4, killed=1)], protections=[dict(account=1, instrument=2, frozen=1), dict(account=2, instrument=2)],
                exposures=[dict(account=1, gross=5)], restrictions=[dict(account=1, instrument=3), dict(actor=4, instrument=3)])
    told = asked("account", of, account=1)
    assert [p["frozen"] for p in told["protections"]] == [1] and told["exposures"][0]["gross"] == 5 and [r["instrument"] for r in told["restrictions"]] == [3]
    told = asked("controls", of)
    assert len(told["protections"]) == len(told["restrictions"]) == 2 and told["actors"][0]["actor"] == 4


def test_a_book_shows_what_is_shown_and_nothing_that_waits():
    of = tables(instruments=[dict(instrument=1)], orders=[
        dict(instrument=1, side=0, price=7, id=1, leaves=9, shown=2), dict(instrument=1, side=0, price=7, place=1, id=2, leaves=3, shown=3),
        dict(instrument=1, side=1, price=9, id=3, leaves=5, shown=5, state=OrderState.WAITING),
        dict(instrument=1, side=1, price=0, id=4, leaves=5, shown=5, state=OrderState.ASLEEP)])
    assert asked("book", of, instrument=1) == {"bids": [[7, 5, 2]], "asks": []}


def test_lists_have_a_maximum_and_say_so(monkeypatch):
    monkeypatch.setattr(views, "MAX_ROWS", 3)
    told = asked("account", tables(accounts=[CLIENT], orders=[dict(id=i, account=1) for i in range(1, 6)]), account=1)
    assert len(told["orders"]) == 3 and told["more"] is True


def test_an_answer_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(views, "MAX_ANSWER", 100)
    with pytest.raises(BadArgument, match="ask for less"):
        asked("instruments", tables(instruments=[dict(instrument=1)]))


def test_held_shows_the_bytes_and_the_digest_to_sign():
    record = command(Kind.HALT, instrument=3, actor=1, id_lo=5).tobytes()
    row = dict(id=11, account=0, sequence=4, person=2, lapse=99) | {f"w{i}": w for i, w in enumerate(np.frombuffer(record, np.int64).tolist())}
    [told] = asked("held", tables(held=[row]))["held"]
    assert bytes.fromhex(told["record"]) == record and told["sha256"] == hashlib.sha256(record).hexdigest() and told["kind"] == "HALT"
    assert b"".join(w.to_bytes(8, "big", signed=True) for w in told["digest"]).hex() == told["sha256"] and "w0" not in told


def test_custody_equals_ownership_is_proven_per_asset():
    big = (1 << 62) - 1
    of = tables(assets=[dict(asset=1), dict(asset=2)], accounts=[CLIENT, CUSTODY, dict(account=3, kind=AccountKind.DESK)],
                balances=[dict(account=1, asset=1, available=big, held=big), dict(account=2, asset=1, available=big, held=big),
                          dict(account=1, asset=2, available=5, unsettled=-3),
                          dict(account=3, asset=2, available=-1, unsettled=3), dict(account=2, asset=2, available=4)])
    told = asked("custody", of)
    assert told["holds"] and told["assets"][0]["custody"] == told["assets"][0]["ownership"] == 2 * big
    assert told["assets"][1] == {"asset": 2, "custody": 4, "ownership": 4, "unsettled": 0, "due": 0, "holds": True}


def test_custody_that_differs_is_said():
    of = tables(assets=[dict(asset=1)], accounts=[CLIENT, CUSTODY], balances=[dict(account=1, asset=1, available=5), dict(account=2, asset=1, available=4)])
    assert asked("custody", of)["holds"] is False


def test_numbers_give_the_highest():
    assert asked("numbers", tables(actors=[dict(actor=3, highest=17)]), actor=3) == {"actor": 3, "highest": 17}


def results_of(*entries):
    return lambda sequence: (e for e in entries if e[1] >= sequence)


def event(**fields):
    row = np.zeros(1, EVENT)
    for name, value in fields.items():
        row[name] = value
    return row


def test_answer_is_found_by_sequence_by_number_and_by_id():
    events = np.concatenate([event(kind=Event.ORDER_ACCEPTED, sequence=4, account=1, id=8), event(kind=Event.FILLED, sequence=5, account=1),
                             event(kind=Event.FILLED, sequence=5, account=2)])
    of = tables(answers=[dict(account=1, id_hi=1, id_lo=2, sequence=5)], numbers=[dict(actor=3, number=7, sequence=4)])
    results = results_of((1, 3, 70, events[:0]), (4, 6, 80, events))
    assert [e["event"] for e in asked("answer", of, results, sequence=4)["events"]] == ["ORDER_ACCEPTED"]
    assert [e["id"] for e in asked("answer", of, results, actor=3, number=7)["events"]] == [8]
    assert asked("answer", of, results, sequence=5, account=2)["events"][0]["account"] == 2
    told = asked("answer", of, results, account=1, id_hi=1, id_lo=2)
    assert told["known"] and told["time"] == 80 and [e["sequence"] for e in told["events"]] == [0] and "sequence" not in told


def test_an_answer_nobody_remembers_is_unknown():
    assert asked("answer", tables(), account=1, id_hi=1, id_lo=2) == {"known": False, "time": 0, "events": []}


@pytest.mark.parametrize(("view", "argument"), [
    ("book", {}), ("book", {"instrument": 9}),
    ("account", {}), ("account", {"account": 9}), ("account", {"account": "1"}), ("account", {"account": True}), ("status", {"x": 1}), ("numbers", {}),
    ("numbers", {"actor": 1}), ("answer", {}), ("answer", {"account": 1, "id_lo": 1}), ("answer", {"sequence": 1, "actor": 2}),
])
def test_an_argument_that_does_not_fit_is_refused(view, argument):
    with pytest.raises(BadArgument):
        asked(view, tables(), **argument)


@pytest.mark.parametrize("argument", [b"[]", b"{", b"1", b"\xff"])
def test_an_argument_that_is_no_object_is_refused(argument):
    with pytest.raises(BadArgument):
        answer("status", argument, tables())


def test_an_unknown_view_names_those_there_are():
    with pytest.raises(UnknownView, match="custody"):
        answer("secrets", b"", tables())


def test_obligations_and_children_may_be_narrowed_to_an_account():
    of = tables(obligations=[dict(id=1, account=1, amount=-5), dict(id=2, account=2, amount=5)], children=[dict(id=3, account=4)])
    assert [o["id"] for o in asked("obligations", of)["obligations"]] == [1, 2]
    assert [o["id"] for o in asked("obligations", of, account=2)["obligations"]] == [2]
    assert asked("children", of, account=9) == {"children": []}


def test_a_book_is_its_levels_best_first():
    of = tables(instruments=[dict(instrument=1), dict(instrument=2)], orders=[
        dict(instrument=1, side=0, price=-5, id=1, shown=4), dict(instrument=1, side=0, price=7, place=0, id=2, shown=1),
        dict(instrument=1, side=0, price=7, place=1, id=3, shown=9), dict(instrument=1, side=1, price=9, id=4, shown=2),
        dict(instrument=1, side=1, price=8, id=5, shown=3), dict(instrument=2, side=1, price=1, id=6, shown=1)])
    assert asked("book", of, instrument=1) == {"bids": [[7, 10, 2], [-5, 4, 1]], "asks": [[8, 3, 1], [9, 2, 1]]}
    assert asked("book", tables(instruments=[dict(instrument=1)]), instrument=1) == {"bids": [], "asks": []}


def test_a_book_has_a_maximum(monkeypatch):
    monkeypatch.setattr(views, "MAX_LEVELS", 2)
    of = tables(instruments=[dict(instrument=1)], orders=[dict(instrument=1, side=i % 2, price=i, id=i, shown=1) for i in range(1, 9)])
    assert asked("book", of, instrument=1) == {"bids": [[8, 1, 1], [6, 1, 1]], "asks": [[1, 1, 1], [3, 1, 1]]}


def test_views_of_the_log_are_not_answered_from_the_state():
    for view in views.LOG_VIEWS:
        with pytest.raises(UnknownView, match="view of the log"):
            asked(view, tables())
    with pytest.raises(BadArgument):
        asked("record", tables(), order=1)


def test_instruments_come_with_assets_and_sources():
    assert set(asked("instruments", tables(instruments=[dict(instrument=1)]))) == {"assets", "instruments", "sources"}
