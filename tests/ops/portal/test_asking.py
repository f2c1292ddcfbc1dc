"""Requests: forms read, amounts turned into sizes, quotes ranked, a request told from its events."""
import pytest

from cambist.dictionary import Wrong
from cambist.messages import Event, Kind, Liquidity, Reason, Side
from cambist.ops.portal.asking import asked, lives, nearest_life, read_request

from tests.ops.portal.words_of_demo import ACME, BTC_USD, SECOND, WORDS, row

FORM = {"instrument": "BTC-USD", "side": "buy", "size": "0.5", "size_in": "base", "stands": "30"}
AT = {BTC_USD: 631_205}                                 # 63,120.5
BTC = 10**8


def test_a_size_in_base_is_the_size():
    wanted = read_request(FORM, WORDS, AT)
    assert (wanted.quantity, wanted.side, wanted.ttl, wanted.worth) == (BTC // 2, Side.BUY, 30 * SECOND, 31_560_250_000)


def test_an_amount_of_the_quote_asset_is_rounded_down_to_the_lot():
    wanted = read_request(FORM | {"size": "10,000", "size_in": "quote"}, WORDS, AT)
    assert wanted.quantity == 15_840_000 and wanted.quantity % 10_000 == 0        # 0.1584 BTC, the lot is 0.0001
    assert wanted.worth <= 10_000 * 10**6 and wanted.given == 10_000 * 10**6


@pytest.mark.parametrize("changed, code, path", [
    ({"instrument": "ETH-USD"}, "UNKNOWN_INSTRUMENT", "instrument"), ({"side": ""}, "BAD_SIDE", "side"), ({"side": "<b>"}, "BAD_SIDE", "side"),
    ({"size": ""}, "BAD_QUANTITY", "size"), ({"size": "0"}, "BAD_QUANTITY", "size"), ({"size": "-1"}, "BAD_QUANTITY", "size"),
    ({"size": "1e3"}, "BAD_QUANTITY", "size"), ({"size": "nan"}, "BAD_QUANTITY", "size"), ({"size": "0.00005"}, "OFF_LOT", "size"),
    ({"size": "0.000000001"}, "BAD_QUANTITY", "size"), ({"size": "9" * 60}, "BAD_QUANTITY", "size"), ({"size": "<script>"}, "BAD_QUANTITY", "size"),
    ({"size": "6", "size_in": "quote"}, "OFF_LOT", "size"), ({"size_in": "gold"}, "BAD_SIZE_IN", "size_in"), ({"stands": "31"}, "BAD_TTL", "stands"),
    ({"stands": "0"}, "BAD_TTL", "stands"), ({"size": "5", "size_in": "quote", "instrument": "XRP-USD"}, "NO_REFERENCE", "size")])
def test_what_cannot_be_asked_is_refused_by_field(changed, code, path):
    with pytest.raises(Wrong) as wrong:
        read_request(FORM | changed, WORDS, AT)
    assert (wrong.value.code, wrong.value.path) == (code, path) and wrong.value.message


def test_a_request_stands_as_long_as_the_design_lets_it():
    most = WORDS.design.cell.max_ttl // SECOND
    assert lives(WORDS) == [s for s in (10, 15, 20, 30, 45, 60) if s <= most]


def test_to_ask_again_begins_with_the_offered_time_nearest_to_the_last():
    assert [nearest_life(WORDS, ns) for ns in (10 * SECOND, 20 * SECOND, 16 * SECOND, SECOND, 10**6 * SECOND)] == [10, 20, 15, 10, lives(WORDS)[-1]]
    assert nearest_life(WORDS, 25 * SECOND) == 20       # of two as near, the shorter


# ---------------------------------------------------------------------------------------------------------------------------------- one request
def opened(side: Side = Side.BUY) -> dict[str, int]:
    return row(Event.REQUEST_OPENED, 100, id=1, side=side, quantity=BTC, other=100 + 30 * SECOND)


def shown(quote: int, time: int, bid: int = 0, ask: int = 0, until: int = 5 * SECOND, **more: int) -> dict[str, int]:
    return row(Event.QUOTE_SHOWN, time, id=quote, other=1, price=bid, amount=ask, quantity=BTC, leaves=until, **more)


def test_the_best_quote_is_the_lowest_ask_the_highest_bid_and_of_equals_the_first():
    one = asked([opened(Side.TWO_WAY), shown(11, 101, 90, 110), shown(12, 102, 95, 112), shown(13, 103, 95, 110)], WORDS, ACME)
    assert one.best(Side.BUY, 200).number == 11 and one.best(Side.SELL, 200).number == 12
    assert one.best(Side.BUY, 6 * SECOND) is None and one.is_open(200) and not one.is_open(31 * SECOND)


def test_a_quote_that_is_over_is_no_candidate_and_its_line_is_taken_by_the_next():
    events = [opened(), shown(11, 101, ask=110), shown(12, 102, ask=111), row(Event.QUOTE_ENDED, 103, id=11, other=1, reason=Reason.WITHDRAWN)]
    one = asked(events, WORDS, ACME)
    assert [line.ended for line in one.lines] == ["WITHDRAWN", ""] and one.best(Side.BUY, 200).number == 12
    after = asked([*events, shown(13, 104, ask=105)], WORDS, ACME)
    assert [line.number for line in after.lines] == [13, 12] and after.best(Side.BUY, 200).number == 13


def test_a_trade_is_told_with_amount_and_fee():
    events = [opened(), shown(11, 101, ask=110),
              row(Event.FILLED, 102, id=11, other=77, side=Side.BUY, price=110, quantity=BTC, amount=11, fee=1, liquidity=Liquidity.QUOTE),
              row(Event.REQUEST_ENDED, 102, id=1, reason=Reason.FILLED)]
    one = asked(events, WORDS, ACME)
    assert one.state == "filled" and (one.done.price, one.done.amount, one.done.fee, one.done.match) == (110, 11, 1, 77) and not one.is_open(103)


@pytest.mark.parametrize("reason, state", [(Reason.USER, "cancelled"), (Reason.EXPIRED, "lapsed"), (Reason.LOST, "ended")])
def test_how_it_ended(reason, state):
    assert asked([opened(), row(Event.REQUEST_ENDED, 105, id=1, reason=reason)], WORDS, ACME).state == state


def test_a_refused_acceptance_is_told_in_words_and_changes_nothing():
    one = asked([opened(), row(Event.REFUSED, 105, id=1, reason=Reason.CREDIT, command=Kind.ACCEPT_QUOTE)], WORDS, ACME)
    assert one.state == "open" and one.refusals[0][1] == "CREDIT" and "credit" in one.refusals[0][2]


def test_another_accounts_request_is_none_of_ours():
    assert asked([opened()], WORDS, ACME + 1) is None
    assert asked([opened(), shown(11, 101, ask=110, account=ACME + 1)], WORDS, ACME).lines == ()
