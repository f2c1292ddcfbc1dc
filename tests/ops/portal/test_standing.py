"""The statement: balances, positions, credit, what is due, fees."""
from cambist.ops.portal import standing

from tests.ops.portal.words_of_demo import BTC_USD, WORDS
from tests.process.house_on_disk import ASSET


def test_every_asset_has_a_line_and_they_add_up():
    account = {"balances": [{"asset": ASSET["USD"], "available": 5_000_000, "held": 1_000_000, "unsettled": -2_500_000, "due": 500_000}]}
    lines = {line["asset"]: line for line in standing.balances(account, WORDS)}
    assert set(lines) == set(WORDS.design.assets) and lines["BTC"]["zero"] and not lines["USD"]["zero"]
    assert (lines["USD"]["available"], lines["USD"]["unsettled"], lines["USD"]["total"]) == ("5.000000", "-2.500000", "4.000000")


def test_a_position_is_worth_what_the_reference_says():
    account = {"positions": [{"instrument": BTC_USD, "net": -10**8, "open_buy": 0, "open_sell": 10**7, "limit": 150 * 10**8}]}
    line, = standing.positions(account, WORDS, {BTC_USD: 631_205})
    assert (line["net"], line["worth"], line["limit"]) == ("-1.00000000", "-63120.500000", "150.00000000")
    assert standing.positions(account, WORDS, {})[0]["worth"] is None


def test_credit_says_what_uses_it():
    row = {"asset": ASSET["USD"], "limit": 10_000_000, "reserved": 1_000_000, "traded": 7_000_000, "netted": 500_000, "quoting_limit": 0, "quoted": 0}
    line, = standing.credit({"credit": [row]}, WORDS)
    assert (line["used"], line["free"], line["percent"], line["tone"], line["permille"]) == ("8.500000", "1.500000", "85.0", "warn", 850)
    none, = standing.credit({"credit": [row | {"limit": 0}]}, WORDS)
    assert none["percent"] == "0.0"


def test_who_owes_whom():
    rows = [{"id": 1, "account": 7, "asset": ASSET["USD"], "amount": -5, "cycle": 3}, {"id": 2, "account": 7, "asset": ASSET["BTC"], "amount": 5, "cycle": 3}]
    assert [line["who"] for line in standing.obligations({"obligations": rows}, WORDS)] == ["you deliver", "the house delivers"]


def test_only_requests_that_stand_are_listed():
    rows = [{"id": n, "account": 7, "instrument": BTC_USD, "side": 2, "quantity": 10**8, "state": state, "expires": until}
            for n, (state, until) in enumerate([(1, 100), (1, 10), (2, 100)], 1)]
    assert [line["until"] for line in standing.live_requests({"requests": rows}, WORDS, 50)] == [100]


def test_fees_are_in_the_quote_asset():
    line, = standing.fees([{"instrument": BTC_USD, "fee": 1_500_000, "count": 3}], WORDS)
    assert (line["fee"], line["fills"], line["asset"]) == ("1.500000", 3, "USD")
