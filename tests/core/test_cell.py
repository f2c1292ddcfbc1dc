"""A cell moved and restarted: what its tables say is all there is, and a cell made from them goes on as the first would have."""
import numpy as np
import pytest

from cambist.core import tables
from cambist.core.cell import Cell
from cambist.core.layout import MIN_EVENTS
from cambist.messages import EVENT, Event, Kind, Reason, command
from tests.scenarios import (
    ACME, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BUY, DEALER_A, DEALER_B, DESK, KEY_OF, ONE_BTC, ONE_XRP, OPERATIONS, PRICE, RISK_ONE, SECOND, SELL, USD,
    WALLET, XRP_PRICE, XRPUSD, Scenario, digests, scenario,
)

K, R = Kind, Reason
SIZES = {"accounts": 32, "actors": 32, "orders": 256, "pages": 64, "words": 1 << 16, "requests": 32, "quotes": 64, "children": 32, "obligations": 64,
         "held": 32, "answers": 1 << 15, "facts": 256, "positions": 128, "credit": 64, "events": MIN_EVENTS}


@pytest.fixture
def s() -> Scenario:
    return scenario(lambda: Cell(SIZES), audit=False)


def same(one, other) -> bool:
    return list(one) == list(other) and all(one[n][:2] == other[n][:2] and np.array_equal(one[n][2], other[n][2]) for n in one)


def restart(s: Scenario, **sizes: int) -> None:
    before = s.engine.tables()
    s.engine = Cell.load(before, {**SIZES, **sizes})
    assert same(before, s.engine.tables())


def goes_on(s: Scenario, *steps) -> None:
    """Every step gives the same events and tables on the cell as it is and on one made from its tables now."""
    ids, now, original = s.ids, s.now, s.engine
    copy = Cell.load(s.engine.tables(), SIZES)
    told = []
    for engine in (original, copy):
        s.engine, s.ids, s.now, s.history = engine, ids, now, []
        for step in steps:
            step(s)
        told.append(s.history)
    assert told[0] == told[1] and told[0]
    assert same(original.tables(), copy.tables())


def special(s: Scenario) -> None:
    """Controls, and orders of every kind, in the book and outside of it."""
    for kind, fields in ((K.CONFIGURE_TIER, {"instrument": BTCUSD, "tier": 1, "maker_ppm": 10, "taker_ppm": 20, "rfq_ppm": 30, "minimum": 5}),
                         (K.CONFIGURE_SCHEDULE, {"instrument": BTCUSD, "slot": 3, "offset": 0, "period": 10**15, "session": 1, "enabled": 1}),
                         (K.CONFIGURE_PROTECTION, {"account": DEALER_A, "instrument": BTCUSD, "quantity": 100 * ONE_BTC, "delta": 0, "window": 8 * SECOND}),
                         (K.CONFIGURE_EXPOSURE, {"account": DEALER_B, "gross": 10**15, "net": 0, "loss": 0}),
                         (K.CONFIGURE_RESTRICTION, {"account": DEALER_B, "instrument": XRPUSD, "barred": 1})):
        s.do(kind, ADMIN, **fields)
        assert s.kinds() == [Event.DONE]
    tenth = ONE_BTC // 10
    s.order(BOLT, SELL, tenth, PRICE + 700), s.order(ACME, BUY, tenth, PRICE + 700)                              # somebody has traded
    for i, more in enumerate(({"order_type": 1, "price": 0, "trigger": 1, "trigger_price": PRICE - 5_000}, {"order_type": 2, "offset": 100},
                              {"display": tenth // 10}, {"time_in_force": 4, "good_till": s.now + 3_000 * SECOND}, {"time_in_force": 3}, {"time_in_force": 7},
                              {"order_type": 1, "price": 0, "trigger": 3, "trigger_price": 50_000}, {"options": 1, "quantity": tenth // 2},
                              {"trigger": 2, "trigger_on": 1, "trigger_price": PRICE + 9_000, "price": PRICE + 9_000})):
        s.order(ACME, SELL, **{"quantity": tenth, "price": PRICE + 900 + 100 * i} | more)
        assert Event.ORDER_ACCEPTED in s.kinds(), (i, s.told())
    s.do(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=BTCUSD, bid=PRICE - 900, bid_quantity=tenth, ask=PRICE + 900, ask_quantity=tenth)
    legs = ({"side": BUY, "price": PRICE - 1_000, "link": 2}, {"side": SELL, "price": PRICE + 2_000, "link": 3},
            {"side": SELL, "order_type": 1, "price": 0, "trigger": 1, "trigger_price": PRICE - 4_000, "link": 3})
    s.apply(*[s.build(K.NEW_ORDER, KEY_OF[ACME], account=ACME, instrument=BTCUSD, quantity=tenth, flags=2 * (i < 2), **leg) for i, leg in enumerate(legs)])
    assert len(s.find(Event.ORDER_ACCEPTED)) == 3, s.told()
    s.do(K.DEAD_MAN, KEY_OF[BOLT], account=BOLT, ttl=2_000 * SECOND)


def busy(s: Scenario) -> Scenario:
    """Something in every table, with queues and timers at work."""
    special(s)
    for i in range(30):
        s.order(ACME, BUY, ONE_BTC // 100, PRICE - 100 * (i % 7), self_trade=i % 4)
        s.order(BOLT, SELL, ONE_BTC // 50, PRICE + 100 * (1 + i % 5), post_only=i % 2)
    s.amend(ACME, s.rows("orders", account=ACME)[3]["id"], PRICE - 300, ONE_BTC // 2)
    s.order(ACME, SELL, 100 * ONE_XRP, XRP_PRICE, XRPUSD), s.order(BOLT, BUY, 60 * ONE_XRP, XRP_PRICE, XRPUSD)
    one, two = s.request(ACME, BUY, ONE_BTC), s.request(BOLT, 2, ONE_BTC)
    for dealer in (DEALER_B, DEALER_A, DESK):
        s.quote(dealer, one, ask=PRICE + dealer), s.quote(dealer, two, bid=PRICE - 5, ask=PRICE + 5)
    s.accept(ACME, one, BUY, PRICE * 2)
    child = s.child(BUY, ONE_BTC // 10, PRICE)
    s.closed(s.child(BUY, ONE_BTC // 10, PRICE), 0)
    s.child_filled(child, SELL, 1_000, PRICE)
    s.do(K.CONFIGURE_LIMITS, RISK_ONE, instrument=BTCUSD, **BTCUSD_LIMITS)
    s.do(K.HALT, RISK_ONE, flags=1, id_lo=1, expires=0, instrument=XRPUSD, cancel=1)
    s.net()
    s.do(K.CANCEL_SOME, KEY_OF[DEALER_A], account=DEALER_A, instrument=0, side=1)
    s.cancel_all(ACME), s.cancel_all(BOLT)
    return s


def test_a_world_with_nothing_to_sweep_restarts(s):
    """Found by the first random flow: a restart failed whenever no sweep was running."""
    s.order(ACME, BUY, ONE_BTC, PRICE)
    restart(s)
    s.order(BOLT, SELL, ONE_BTC, PRICE)
    assert len(s.find(Event.FILLED)) == 2


def test_before_start_and_empty():
    cell = Cell(SIZES)
    assert same(cell.tables(), Cell.load(cell.tables(), SIZES).tables())
    assert (cell.sequence, cell.time) == (0, 0)


def test_a_busy_world_round_trips(s):
    busy(s)
    restart(s)
    restart(s, orders=512, accounts=64, answers=1 << 16, facts=512, words=1 << 17, pages=128)      # other sizes, the same rows
    assert s.engine.sequence == s.row("cell")["sequence"] and s.engine.time == s.now


def test_queues_of_sweeps_and_timers_go_on(s):
    busy(s)
    goes_on(s, *[lambda s: s.tick()] * 6, lambda s: s.tick(6), lambda s: s.tick(20), lambda s: s.tick(700), lambda s: s.tick(3_600))


def test_a_sweep_in_the_middle_goes_on(s):
    busy(s)
    s.do(K.KILL_ALL, RISK_ONE)
    goes_on(s, lambda s: s.do(K.REVIVE_ALL, RISK_ONE), lambda s: s.do(K.RESUME, RISK_ONE, instrument=XRPUSD), *[lambda s: s.tick()] * 8)


def test_time_priority_and_order_ids_go_on(s):
    busy(s)
    goes_on(s, lambda s: s.do(K.REVIVE, RISK_ONE, account=ACME), *[lambda s: s.tick()] * 5, lambda s: s.deposit(DEALER_A, BTC, 9 * ONE_BTC),
            lambda s: s.order(DEALER_A, SELL, ONE_BTC, PRICE - 600), lambda s: s.order(DEALER_A, BUY, ONE_BTC, PRICE + 600))


def test_duplicates_are_known_after_a_restart(s):
    order = s.build(K.NEW_ORDER, 2, account=ACME, instrument=BTCUSD, price=PRICE, quantity=1_000)
    fact = s.build(K.DEPOSIT, 12, account=ACME, custody=WALLET, asset=USD, amount=5)
    numbered = command(K.HALT, actor=RISK_ONE, flags=1, id_lo=1, instrument=XRPUSD)
    first = [s.apply(record)[0]["sequence"] for record in (order, fact, numbered)]
    restart(s)
    for record, sequence in zip((order, fact, numbered), first, strict=True):
        s.apply(record)
        assert s.one(Event.DUPLICATE)["other"] == sequence


def test_what_is_held_can_be_approved_after_a_restart(s):
    record = s.build(K.CONFIGURE_LIMITS, RISK_ONE, instrument=BTCUSD, **BTCUSD_LIMITS)
    s.apply(record)
    held = s.one(Event.HELD)["id"]
    restart(s)
    s.do(K.APPROVE, 9, held=held, **digests(record))
    assert s.kinds() == [Event.APPROVED, Event.DONE, Event.DONE]


def test_a_released_command_that_is_refused_says_what_it_named(s):
    """Found by the random flows: the refusal of a released SETTLE named nothing."""
    s.do(K.CONFIGURE_AUTHORITY, ADMIN, role=5, command=K.SETTLE, scope=3, second_person=1)
    s.order(ACME, SELL, 100 * ONE_XRP, XRP_PRICE, XRPUSD), s.order(BOLT, BUY, 60 * ONE_XRP, XRP_PRICE, XRPUSD)
    s.net(), s.tick()
    due = next(r["id"] for r in s.rows("obligations", account=BOLT) if r["amount"] < 0)
    record = s.build(K.SETTLE, OPERATIONS, obligation=due)
    s.apply(record)
    held = s.one(Event.HELD)["id"]
    s.do(K.CONFIGURE_ACTOR, ADMIN, number=OPERATIONS, person=103, role=5, enabled=0)
    s.approve(held, record)
    assert (s.refused(), s.one(Event.REFUSED)["id"]) == (R.ACTOR_DISABLED, due)


def test_a_table_that_is_too_small_for_the_rows(s):
    s.order(ACME, BUY, 1_000, PRICE), s.order(ACME, BUY, 1_000, PRICE)
    rows = s.engine.tables()
    for sizes in ({"orders": 1}, {"accounts": 11}, {"facts": 2}):
        with pytest.raises(ValueError, match=f"table '{next(iter(sizes))}' has room for"):
            Cell.load(rows, {**SIZES, **sizes})


def test_tables_of_another_version(s):
    rows = s.engine.tables()
    version, columns, matrix = rows["orders"]
    wrong = ({"orders": (version + 1, columns, matrix)}, {"orders": (version, columns[1:], matrix)})
    for change in wrong:
        with pytest.raises(ValueError, match="'orders' is not of version"):
            Cell.load({**rows, **change}, SIZES)
    with pytest.raises(ValueError, match="'flows'"):
        Cell.load({n: t for n, t in rows.items() if n != "flows"}, SIZES)
    assert tables.VERSION == version


def test_rows_are_ascending_and_complete(s):
    for name, (_, columns, matrix) in busy(s).engine.tables().items():
        assert matrix.dtype == np.int64 and matrix.shape[1] == len(columns) and matrix.flags["C_CONTIGUOUS"]
        assert [tuple(r) for r in matrix.tolist()] == sorted(tuple(r) for r in matrix.tolist()), name
        assert len(matrix) > 0, f"the busy world has nothing in {name}"


def test_a_row_by_name_and_a_name_that_is_none(s):
    assert s.engine.row("accounts", ACME)["kind"] == 1
    with pytest.raises(KeyError, match="no table 'nothing'"):
        s.engine.row("nothing", 0)


def test_views_of_events_are_good_until_the_next_step(s):
    records = np.concatenate([s.build(K.TICK, 999)] * 5_000)
    parts = [len(part) for part in s.engine.run(records, s.now)]
    assert sum(parts) == 5_000 and max(parts) <= MIN_EVENTS
    assert s.engine.apply(records[:3], s.now, batch=1).dtype == EVENT


def test_the_clock_of_the_log_never_runs_back(s):
    s.engine.apply(s.build(K.TICK, OPERATIONS), s.now - 5 * SECOND)
    assert s.engine.time == s.now
