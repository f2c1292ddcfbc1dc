"""Bad records of every kind: each is refused with a code and changes nothing but what section 2 of the rules says is remembered."""
import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.messages import (
    ARGUMENTS, ARGUMENT_WORDS, COMMAND, COUNTED_ONCE, FACTS, GROUP_MORE, LAYOUT, MASKS, MAX_AMOUNT, NAMES_ACCOUNT, NAMES_INSTRUMENT, NUMBERED, Event, Kind,
    Reason, Scope, Session, command,
)
from tests.core.market import grant_more
from tests.scenarios import (
    ACME, ACME_KEY, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_FEES, BTCUSD_LIMITS, BTCUSD_MADE, CELL, CUSTODIAN, DEALER_A, DESK, DESK_KEY, HOUSE, KEY_OF, KRAKEN,
    ONE_BTC, ONE_USD, ONE_XRP, OPERATIONS, PRICE, RISK_ONE, RISK_TWO, SECOND, SETTLER, USD, VENUE, WALLET, XRP_PRICE, XRPUSD, scenario,
)

K, R = Kind, Reason
SIZES = {"accounts": 32, "actors": 32, "orders": 256, "pages": 64, "words": 1 << 17, "requests": 32, "quotes": 64, "children": 32, "obligations": 64,
         "held": 32, "answers": 1 << 15, "facts": 256, "positions": 128, "credit": 64}
EDGES = (0, -1, 1, MAX_AMOUNT, MAX_AMOUNT + 1, 2**63 - 1, -2**63, 999, 255)
MAY_CHANGE = {"answers", "numbers"}             # and in `cell` time and sequence, in `actors` the highest number, in `accounts` the rate


class Living:
    """A world with one of everything, and a good record of every kind."""

    def __init__(self) -> None:
        s = self.s = scenario(lambda: Cell(SIZES), audit=False)
        order = s.order(ACME, 0, ONE_BTC, PRICE)
        s.order(BOLT, 0, 100 * ONE_XRP, XRP_PRICE, XRPUSD)
        s.order(ACME, 1, 100 * ONE_XRP, XRP_PRICE, XRPUSD)
        s.net()
        s.tick(1), s.tick()
        obligation = next(r["id"] for r in s.rows("obligations") if r["amount"] < 0 and r["account"] == BOLT)
        request = s.request(ACME, 0, ONE_BTC)
        quote = s.quote(DEALER_A, request, ask=PRICE)
        child = s.child(0, ONE_BTC // 10, PRICE)
        s.do(K.CONFIGURE_LIMITS, RISK_ONE, instrument=BTCUSD, **BTCUSD_LIMITS)
        held = s.one(Event.HELD)["id"]
        grant_more(s)
        s.do(K.CONFIGURE_ASSET, ADMIN, asset=4, digits=0, approval_above=-1, quote_approval_above=-1, enabled=1)
        s.deposit(WALLET, 4, 46_000)                    # nobody owns them yet
        s.do(K.CONFIGURE_ASSET, ADMIN, asset=5, digits=2, approval_above=-1, quote_approval_above=-1, enabled=0)
        s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=3, **{**BTCUSD_MADE, "base": BTC, "quote": 4})
        s.do(K.HALT, RISK_ONE, instrument=3)
        s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=13, account_kind=1, entity=11, max_open=1, answer_quota=1, enabled=1)
        s.do(K.CONFIGURE_PROTECTION, ADMIN, account=ACME, instrument=BTCUSD, quantity=ONE_BTC, window=SECOND)
        order_fields = {"account": ACME, "instrument": BTCUSD, "price": PRICE - 1_000, "quantity": ONE_BTC // 10}
        money = {"asset": USD, "amount": ONE_USD}
        self.good: dict[Kind, tuple[int, dict[str, int]]] = {
            K.TICK: (ADMIN, {}), K.CONFIGURE_CELL: (ADMIN, CELL), K.CONFIGURE_ASSET: (ADMIN, {"asset": BTC, "digits": 8, "approval_above": -1, "enabled": 1}),
            K.CONFIGURE_ACCOUNT: (ADMIN, {"account": ACME, "account_kind": 1, "entity": 10, "max_open": 100, "answer_quota": 2_000, "enabled": 1}),
            K.CONFIGURE_ACTOR: (ADMIN, {"account": ACME, "number": ACME_KEY, "role": 1, "enabled": 1}),
            K.CONFIGURE_AUTHORITY: (ADMIN, {"role": 1, "command": K.QUOTE, "scope": Scope.OWN}),
            K.CONFIGURE_INSTRUMENT: (ADMIN, {"instrument": BTCUSD, **BTCUSD_MADE}), K.CONFIGURE_LIMITS: (ADMIN, {"instrument": BTCUSD, **BTCUSD_LIMITS}),
            K.CONFIGURE_FEES: (ADMIN, {"instrument": BTCUSD, **BTCUSD_FEES}), K.CONFIGURE_VENUE: (ADMIN, {"account": KRAKEN, "venue": VENUE, "enabled": 1}),
            K.CONFIGURE_CREDIT: (ADMIN, {"account": ACME, "giver": HOUSE, "asset": USD, "limit": 10**11, "quoting_limit": 10**12}),
            K.CONFIGURE_POSITION: (ADMIN, {"account": ACME, "instrument": BTCUSD, "limit": 0}),
            K.CONFIGURE_SHORT: (ADMIN, {"account": DESK, "asset": BTC, "limit": ONE_BTC}),
            K.CONFIGURE_SOURCE: (ADMIN, {"instrument": BTCUSD, "source": 1, "enabled": 1}), K.START: (ADMIN, {}), K.NEW_ORDER: (ACME_KEY, order_fields),
            K.CANCEL_ORDER: (ACME_KEY, {"account": ACME, "order": order}),
            K.AMEND_ORDER: (ACME_KEY, {"account": ACME, "order": order, "price": PRICE, "quantity": ONE_BTC // 2}), K.CANCEL_ALL: (ACME_KEY, {"account": ACME}),
            K.REQUEST_QUOTE: (ACME_KEY, {"account": ACME, "instrument": BTCUSD, "quantity": ONE_BTC, "ttl": SECOND}),
            K.CANCEL_REQUEST: (ACME_KEY, {"account": ACME, "request": request}),
            K.QUOTE: (KEY_OF[DEALER_A], {"account": DEALER_A, "request": request, "ask": PRICE, "ttl": SECOND}),
            K.WITHDRAW_QUOTE: (KEY_OF[DEALER_A], {"account": DEALER_A, "quote": quote}),
            K.ACCEPT_QUOTE: (ACME_KEY, {"account": ACME, "request": request, "quote": quote, "limit_price": PRICE}),
            K.DEPOSIT: (CUSTODIAN, {"account": ACME, "custody": WALLET, **money}),
            K.REVERSE_DEPOSIT: (CUSTODIAN, {"account": ACME, "custody": WALLET, **money}),
            K.MOVE_CUSTODY: (CUSTODIAN, {"account": WALLET, "custody": KRAKEN, **money}), K.TRANSFER: (OPERATIONS, {"account": ACME, "to": BOLT, **money}),
            K.SOURCE_PRICE: (CUSTODIAN, {"instrument": BTCUSD, "source": 1, "price": PRICE}),
            K.NEW_CHILD: (DESK_KEY, {**order_fields, "account": DESK, "venue": VENUE}), K.CANCEL_CHILD: (DESK_KEY, {"account": DESK, "child": child}),
            K.CHILD_ACKED: (CUSTODIAN, {"child": child, "venue": VENUE}),
            K.CHILD_FILLED: (CUSTODIAN, {"instrument": BTCUSD, "child": child, "venue": VENUE, "price": PRICE, "quantity": ONE_BTC // 10}),
            K.CHILD_CLOSED: (CUSTODIAN, {"child": child, "venue": VENUE}), K.CHILD_UNKNOWN: (CUSTODIAN, {"child": child, "venue": VENUE}), K.NET: (SETTLER, {}),
            K.SETTLE: (SETTLER, {"obligation": obligation}), K.HALT: (RISK_ONE, {"instrument": BTCUSD}), K.RESUME: (RISK_ONE, {"instrument": BTCUSD}),
            K.KILL: (RISK_ONE, {"account": ACME}), K.REVIVE: (RISK_ONE, {"account": ACME}), K.KILL_ALL: (RISK_ONE, {}), K.REVIVE_ALL: (RISK_ONE, {}),
            K.APPROVE: (RISK_TWO, {"held": held}), K.DENY: (RISK_TWO, {"held": held}),
            K.CONFIGURE_RESTRICTION: (ADMIN, {"account": ACME, "instrument": BTCUSD, "barred": 1}),
            K.CONFIGURE_TRADING: (ADMIN, {"account": ACME, "trade_group": 7, "self_trade_scope": 1}),
            K.CONFIGURE_TIER: (ADMIN, {"instrument": BTCUSD, "tier": 1, "maker_ppm": -10, "taker_ppm": 100, "rfq_ppm": 50, "minimum": 1}),
            K.CONFIGURE_BAND: (ADMIN, {"instrument": BTCUSD, "band_ppm": 100_000, "window": SECOND, "auction": SECOND}),
            K.CONFIGURE_SCHEDULE: (ADMIN, {"instrument": BTCUSD, "slot": 1, "period": 60 * SECOND, "session": Session.AUCTION, "next": Session.CONTINUOUS,
                                           "duration": SECOND, "enabled": 1}),
            K.CONFIGURE_PROTECTION: (ADMIN, {"account": ACME, "instrument": BTCUSD, "quantity": ONE_BTC, "window": SECOND}),
            K.CONFIGURE_EXPOSURE: (ADMIN, {"account": 13, "gross": 10**9}), K.CANCEL_SOME: (ACME_KEY, {"account": ACME, "instrument": BTCUSD}),
            K.MASS_QUOTE: (ACME_KEY, {"account": ACME, "instrument": BTCUSD, "bid": PRICE - 2_000, "bid_quantity": ONE_BTC // 10}),
            K.RESET_PROTECTION: (ACME_KEY, {"account": ACME, "instrument": BTCUSD}), K.DEAD_MAN: (ACME_KEY, {"account": ACME, "ttl": SECOND}),
            K.MANUAL_CREDIT: (RISK_ONE, {"account": ACME, "asset": 4, "amount": 46_000}),
            K.SESSION: (RISK_ONE, {"instrument": BTCUSD, "session": Session.CANCEL_ONLY}), K.KILL_TRADER: (RISK_ONE, {"number": ACME_KEY}),
            K.REVIVE_TRADER: (RISK_ONE, {"number": ACME_KEY}),
            K.CHANGE_TERMS: (RISK_ONE, {"instrument": 3, "price_factor": 1, "lot": 10, **{name: BTCUSD_MADE[name] for name in (
                "book_tick", "quote_tick", "min_price", "max_price")}}),
            K.CHANGE_DIGITS: (RISK_ONE, {"asset": 5, "digits": 4})}
        self.before = s.engine.tables()

    def record(self, kind: Kind, **changes: int) -> np.ndarray:
        actor, fields = self.good[kind]
        return self.s.build(kind, **{"actor": actor, **fields, **changes})

    def try_one(self, record: np.ndarray) -> Reason | None:
        """Its refusal, after looking that it changed nothing; None when it was not refused, and then the world is as before again."""
        self.s.apply(record)
        refusals = self.s.find(Event.REFUSED)
        if not refusals:
            self.s.engine = Cell.load(self.before, SIZES)
            return None
        assert len(self.s.events) == 1, self.s.told()
        assert differing(self.before, self.s.engine.tables()) == []
        return Reason(refusals[0]["reason"])


def differing(before, after) -> list[str]:
    """Tables that differ, apart from what is remembered of any request."""
    out = []
    for name, (_, columns, matrix) in before.items():
        if name in MAY_CHANGE:
            continue
        ignored = {"cell": {"time", "sequence"}, "actors": {"highest"}, "accounts": {"rate_second", "rate_count"}}.get(name, set())
        kept = [i for i, c in enumerate(columns) if c not in ignored]
        if matrix.shape != after[name][2].shape or not np.array_equal(matrix[:, kept], after[name][2][:, kept]):
            out.append(name)
    return out


@pytest.fixture(scope="module")
def living() -> Living:
    return Living()


def edges_of(kind: Kind):
    """(field, value) for every field of the kind and its head at every edge that fits."""
    names = [name for name, _ in ARGUMENTS[kind]] + ["account", "instrument", "actor", "flags", "id_hi", "id_lo", "expires"]
    for name in names:
        limits = np.iinfo(LAYOUT[kind][name])
        for value in EDGES:
            if limits.min <= value <= limits.max:
                yield name, value


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.name)
def test_a_good_record_is_taken(living, kind):
    """Otherwise the next test proves little."""
    wanted = {K.START: R.ALREADY_STARTED, K.APPROVE: R.WRONG_DIGEST, K.CHANGE_DIGITS: R.IN_USE}.get(kind)      # a command is held
    assert living.try_one(living.record(kind)) == wanted


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.name)
def test_every_field_at_every_edge(living, kind):
    """Taken or refused; whatever is refused has one event, a known code, and changed nothing."""
    refused = 0
    for name, value in edges_of(kind):
        record = living.record(kind)
        record.view(LAYOUT[kind])[name] = value
        if name != "flags" or not value & GROUP_MORE:
            refused += living.try_one(record) is not None
    assert refused >= 10


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.name)
def test_bits_outside_the_layout(living, kind):
    for word in range(ARGUMENT_WORDS):
        stray = ~int(MASKS[kind][word])
        for bit in range(64):
            if stray >> bit & 1 and (bit in (0, 7, 31, 63) or word == 0):
                record = living.record(kind)
                record[f"a{word}"] |= np.int64((1 << bit) - (1 << 64) if bit == 63 else 1 << bit)
                assert living.try_one(record) == R.UNDEFINED_BITS
    for field in ("account",) * (kind not in NAMES_ACCOUNT) + ("instrument",) * (kind not in NAMES_INSTRUMENT):
        assert living.try_one(living.record(kind, **{field: 1})) == R.UNDEFINED_BITS
    for flags in (4, 1 << 15, NUMBERED | 8):
        record = living.record(kind)
        record["flags"] = flags
        assert living.try_one(record) == R.UNDEFINED_BITS
    if kind in FACTS or kind is K.TICK:
        assert living.try_one(living.record(kind, expires=1)) == R.UNDEFINED_BITS
        wrong = {"id_hi": 0, "id_lo": 0} if kind in COUNTED_ONCE else {"id_lo": 5}
        assert living.try_one(living.record(kind, **wrong)) == R.UNDEFINED_BITS


def test_kinds_that_are_not(living):
    for number in (0, 2, 8, 39, 49, 55, 63, 89, 103, 127, 128, 255, 65_535):
        record = living.record(K.TICK)
        record["kind"] = number
        assert living.try_one(record) == R.UNKNOWN_KIND


CODES = [
    (K.NEW_ORDER, {"side": 2}, R.BAD_SIDE), (K.NEW_ORDER, {"order_type": 9}, R.BAD_TYPE), (K.NEW_ORDER, {"time_in_force": 8}, R.BAD_TIME_IN_FORCE),
    (K.NEW_ORDER, {"self_trade": 4}, R.BAD_SELF_TRADE), (K.NEW_ORDER, {"post_only": 3}, R.BAD_VALUE), (K.NEW_ORDER, {"price": -100}, R.BAD_PRICE),
    (K.NEW_ORDER, {"price": PRICE + 1}, R.OFF_TICK), (K.NEW_ORDER, {"quantity": 0}, R.BAD_QUANTITY), (K.NEW_ORDER, {"quantity": -1_000}, R.BAD_QUANTITY),
    (K.NEW_ORDER, {"quantity": 1_001}, R.OFF_LOT), (K.NEW_ORDER, {"quantity": 2**62 // 1_000 * 1_000}, R.MAX_QUANTITY),
    (K.NEW_ORDER, {"instrument": 9}, R.UNKNOWN_INSTRUMENT), (K.NEW_ORDER, {"account": BOLT}, R.FOREIGN_ACCOUNT),
    (K.NEW_ORDER, {"account": 99}, R.UNKNOWN_ACCOUNT), (K.NEW_ORDER, {"actor": 99}, R.UNKNOWN_ACTOR), (K.NEW_ORDER, {"id_lo": 0, "id_hi": 0}, R.NO_ID),
    (K.NEW_ORDER, {"expires": 1}, R.EXPIRED), (K.NEW_ORDER, {"expires": 2**62}, R.EXPIRY_TOO_FAR),
    (K.NEW_ORDER, {"flags": NUMBERED, "id_lo": 7}, R.NUMBER_GAP), (K.CANCEL_ORDER, {"order": 12345}, R.UNKNOWN_ORDER),
    (K.AMEND_ORDER, {"order": -1}, R.UNKNOWN_ORDER), (K.AMEND_ORDER, {"quantity": 1_001}, R.OFF_LOT), (K.AMEND_ORDER, {"price": 2**62}, R.BAD_PRICE),
    (K.AMEND_ORDER, {"quantity": -2**63}, R.BAD_QUANTITY), (K.REQUEST_QUOTE, {"side": 3}, R.BAD_SIDE), (K.REQUEST_QUOTE, {"ttl": 2**62}, R.BAD_TTL),
    (K.REQUEST_QUOTE, {"ttl": 0}, R.BAD_TTL), (K.CANCEL_REQUEST, {"request": 1}, R.UNKNOWN_REQUEST), (K.QUOTE, {"ask": -1}, R.BAD_PRICE),
    (K.QUOTE, {"bid": PRICE}, R.WRONG_SIDES), (K.QUOTE, {"request": 1}, R.UNKNOWN_REQUEST), (K.WITHDRAW_QUOTE, {"quote": 1}, R.UNKNOWN_QUOTE),
    (K.ACCEPT_QUOTE, {"limit_price": 0}, R.BAD_PRICE), (K.ACCEPT_QUOTE, {"side": 1}, R.BAD_SIDE), (K.ACCEPT_QUOTE, {"quote": 7}, R.UNKNOWN_QUOTE),
    (K.ACCEPT_QUOTE, {"limit_price": PRICE - 1}, R.NO_QUOTE), (K.DEPOSIT, {"amount": 0}, R.BAD_AMOUNT), (K.DEPOSIT, {"amount": MAX_AMOUNT}, R.OVERFLOW),
    (K.DEPOSIT, {"amount": MAX_AMOUNT + 1}, R.BAD_AMOUNT), (K.DEPOSIT, {"asset": 0}, R.UNKNOWN_ASSET), (K.DEPOSIT, {"custody": BOLT}, R.NOT_CUSTODY),
    (K.REVERSE_DEPOSIT, {"amount": -1}, R.BAD_AMOUNT), (K.MOVE_CUSTODY, {"custody": WALLET}, R.BAD_VALUE), (K.TRANSFER, {"to": ACME}, R.BAD_VALUE),
    (K.TRANSFER, {"to": -1}, R.UNKNOWN_ACCOUNT), (K.TRANSFER, {"amount": MAX_AMOUNT}, R.INSUFFICIENT), (K.TRANSFER, {"amount": -ONE_USD}, R.BAD_AMOUNT),
    (K.SOURCE_PRICE, {"source": 8}, R.UNKNOWN_SOURCE), (K.SOURCE_PRICE, {"price": 0}, R.BAD_PRICE), (K.NEW_CHILD, {"venue": 9}, R.UNKNOWN_VENUE),
    (K.NEW_CHILD, {"price": -1}, R.BAD_PRICE), (K.CANCEL_CHILD, {"child": 1}, R.UNKNOWN_CHILD), (K.CHILD_FILLED, {"venue": -1}, R.UNKNOWN_VENUE),
    (K.CHILD_FILLED, {"price": MAX_AMOUNT, "quantity": MAX_AMOUNT}, R.OVERFLOW), (K.CHILD_FILLED, {"fee": -1}, R.BAD_AMOUNT),
    (K.CHILD_FILLED, {"quantity": MAX_AMOUNT + 1}, R.BAD_QUANTITY), (K.CHILD_ACKED, {"venue": 0}, R.UNKNOWN_VENUE),
    (K.SETTLE, {"obligation": 1}, R.UNKNOWN_OBLIGATION), (K.HALT, {"cancel": 2}, R.BAD_VALUE), (K.RESUME, {"instrument": 0}, R.UNKNOWN_INSTRUMENT),
    (K.KILL, {"account": 0}, R.UNKNOWN_ACCOUNT), (K.APPROVE, {"held": 1}, R.UNKNOWN_HELD), (K.APPROVE, {"actor": RISK_ONE}, R.SAME_PERSON),
    (K.DENY, {"held": 0}, R.UNKNOWN_HELD), (K.CONFIGURE_CELL, {"max_ttl": 10**18 + 1}, R.BAD_VALUE), (K.CONFIGURE_CELL, {"cell": 3}, R.IMMUTABLE),
    (K.CONFIGURE_ASSET, {"asset": 9}, R.BAD_NUMBER), (K.CONFIGURE_ASSET, {"approval_above": MAX_AMOUNT + 1}, R.BAD_VALUE),
    (K.CONFIGURE_ASSET, {"quote_approval_above": MAX_AMOUNT + 1}, R.BAD_VALUE), (K.CONFIGURE_ASSET, {"quote_approval_above": -2}, R.BAD_VALUE),
    (K.CONFIGURE_ACCOUNT, {"account_kind": 2}, R.IMMUTABLE), (K.CONFIGURE_ACCOUNT, {"account": 15}, R.BAD_NUMBER),
    (K.CONFIGURE_ACTOR, {"account": 90}, R.UNKNOWN_ACCOUNT), (K.CONFIGURE_AUTHORITY, {"command": 5}, R.BAD_VALUE),
    (K.CONFIGURE_INSTRUMENT, {"base": 99}, R.UNKNOWN_ASSET), (K.CONFIGURE_INSTRUMENT, {"amount_den": MAX_AMOUNT + 1}, R.BAD_VALUE),
    (K.CONFIGURE_INSTRUMENT, {"amount_num": MAX_AMOUNT}, R.OVERFLOW), (K.CONFIGURE_LIMITS, {"max_quantity": MAX_AMOUNT}, R.OVERFLOW),
    (K.CONFIGURE_FEES, {"rfq_ppm": -1}, R.BAD_VALUE), (K.CONFIGURE_VENUE, {"account": ACME}, R.NOT_CUSTODY),
    (K.CONFIGURE_CREDIT, {"giver": ACME}, R.BAD_VALUE), (K.CONFIGURE_POSITION, {"instrument": 9}, R.UNKNOWN_INSTRUMENT),
    (K.CONFIGURE_SHORT, {"account": ACME}, R.BAD_VALUE), (K.CONFIGURE_SOURCE, {"source": 9}, R.BAD_VALUE),
]


@pytest.mark.parametrize("kind, changes, code", CODES, ids=lambda x: x.name if isinstance(x, Kind | Reason) else "-".join(map(str, x)))
def test_codes(living, kind, changes, code):
    assert living.try_one(living.record(kind, **changes)) == code


@pytest.mark.parametrize("records", [np.zeros(3, np.int64), np.zeros((2, 2), COMMAND), np.zeros(2, LAYOUT[K.TICK])], ids=["numbers", "two dimensions",
                                                                                                                          "one kind's layout"])
def test_what_is_no_array_of_commands_is_no_entry(records):
    with pytest.raises(TypeError):
        Cell(SIZES).apply(records, 1)


def test_an_empty_entry_is_nothing():
    assert len(Cell(SIZES).apply(np.zeros(0, COMMAND), 1)) == 0
    with pytest.raises(ValueError):
        command(K.NEW_ORDER, side=256)
