"""docs/orders.md, line by line: every example is run, and what it says after `=` must be so. On every engine of `engines.ENGINES`."""
import re
from pathlib import Path

import pytest

from cambist.messages import Event, Kind, Reason, SelfTrade, Session
from tests.core.engines import ENGINES
from tests.core.market import BY_QUOTE, REDUCE_ONLY, TENTH, Market, at, market
from tests.scenarios import ACME, BOLT, BTCUSD, BUY, DEALER_A, KEY_OF, ONE_BTC, ONE_USD, SECOND, SELL

PAGE = (Path(__file__).parents[2] / "docs" / "orders.md").read_text()
EXAMPLES = [(PAGE[:found.start()].count("\n") + 1, found[1].strip().splitlines())
            for found in re.finditer(r"```example\n(.*?)```", PAGE, re.DOTALL)]
WHO = {"acme": ACME, "bolt": BOLT, "dealer": DEALER_A}
FLAGS = {
    "ioc": {"time_in_force": 1}, "fok": {"time_in_force": 2}, "day": {"time_in_force": 3}, "auction": {"time_in_force": 5}, "at-open": {"time_in_force": 6},
    "at-close": {"time_in_force": 7}, "post-only": {"post_only": 1}, "slide": {"post_only": 2}, "primary": {"order_type": 2}, "opposite": {"order_type": 3},
    "midpoint": {"order_type": 4}, "reduce-only": {"options": REDUCE_ONLY}, "by-quote": {"options": BY_QUOTE}, "index": {"trigger_on": 1},
    "mark": {"trigger_on": 2}, "on": {}, **{mode.name.lower().replace("_", "-"): {"self_trade": mode} for mode in SelfTrade}}
NUMBERS = {
    "at": lambda v: {"price": at(v)}, "stop": lambda v: {"trigger": 1, "trigger_price": at(v)}, "trailing": lambda v: {"trigger": 3, "trigger_price": at(v)},
    "take-profit": lambda v: {"trigger": 2, "trigger_price": at(v)}, "display": lambda v: {"display": coins(v)},
    "minimum": lambda v: {"minimum": coins(v)}, "offset": lambda v: {"offset": at(v)}}


def coins(btc: float) -> int:
    return round(btc * ONE_BTC)


class Page:
    def __init__(self, m: Market) -> None:
        self.m, self.labels = m, {}

    def order(self, text: str) -> dict[str, int]:
        """`acme sells 0.2 at 60000 display 0.1`: the fields of the command."""
        words = text.split()
        fields = {"account": WHO[words[0]], "instrument": BTCUSD, "side": {"buys": BUY, "sells": SELL}[words[1]], "quantity": coins(float(words[2]))}
        rest = iter(words[3:])
        for word in rest:
            if word == "till":
                fields |= {"time_in_force": 4, "good_till": self.m.now + round(float(next(rest)) * SECOND)}
            elif word in NUMBERS:
                value = float(next(rest))
                fields |= NUMBERS[word](value) if word != "at" else {"price": round(value * 100)} if value * 100 % 1 == 0 else {"price": round(value * 100) + 1}
            else:
                fields |= FLAGS[word]
        if "price" not in fields:
            fields["order_type"] = 1
        if fields.get("options") == BY_QUOTE:
            fields["quantity"] = round(float(words[2]) * ONE_USD)
        return fields

    def name(self, labels: str) -> None:
        ids = [e["id"] for e in self.m.events if e["kind"] == Event.ORDER_ACCEPTED]
        self.labels |= dict(zip((label.strip() for label in labels.split(",")), ids, strict=False))

    def send(self, line: str) -> None:
        m = self.m
        line, _, labels = line.partition(" as ")
        if found := re.fullmatch(r"(oco|oto|bracket): (.+)", line):
            links = {"oco": (1, 1), "oto": (2, 3), "bracket": (2, 3, 3)}[found[1]]
            orders = [self.order(part) | {"link": link} for part, link in zip(found[2].split(" + "), links, strict=True)]
            m.apply(*[m.build(Kind.NEW_ORDER, KEY_OF[o["account"]], flags=2 if i + 1 < len(orders) else 0, **o) for i, o in enumerate(orders)])
        elif found := re.fullmatch(r"(\w+) quotes ([\d.]+) at ([\d.]+) / ([\d.]+) at ([\d.]+)", line):
            bid_quantity, bid, ask_quantity, ask = map(float, found.groups()[1:])
            m.mass_quote(WHO[found[1]], bid, bid_quantity * 10, ask, ask_quantity * 10)
        elif re.match(r"\w+ (buys|sells) ", line):
            fields = self.order(line)
            m.do(Kind.NEW_ORDER, KEY_OF[fields["account"]], **fields)
        else:
            self.other(line)
        self.name(labels)

    def other(self, line: str) -> None:
        m, words = self.m, line.split()
        match words[0]:
            case "tick": m.work()
            case "wait": m.advance(float(words[1])), m.work()
            case "trade": m.trade(float(words[2]))
            case "price": m.index(float(words[1]))
            case "band": m.band(float(words[1]))
            case "cancel": m.cancel(ACME, self.labels[words[1]])
            case "amend": m.amend(ACME, self.labels[words[1]], at(float(words[5])), coins(float(words[3])))
            case "dead": m.do(Kind.DEAD_MAN, KEY_OF[WHO[words[3]]], account=WHO[words[3]], ttl=round(float(words[5]) * SECOND))
            case "session": m.session(Session[words[1]], Session[words[3]] if len(words) > 2 else 0)
            case _: raise AssertionError(f"no such line: {line}")

    def holds(self, claim: str) -> None:
        m, words = self.m, claim.split()
        if words[0] == "book":
            sides = [[] if side.strip() == "none" else levels(side) for side in claim.removeprefix("book").split("|")]
            assert [list(side) for side in m.book()] == sides
        elif words[0] == "refused":
            assert Reason(m.find(Event.REFUSED)[0]["reason"]).name == words[1], m.told()
        elif words[0] == "session":
            assert m.session_now() == words[1]
        elif words[1] == "fills":
            assert m.fills(WHO[words[0]]) == levels(claim.partition("fills")[2])
        else:
            assert m.state(self.labels[words[0]]) == words[2]


def levels(text: str) -> list[tuple[float, float]]:
    """`60000 x 0.2, 60100 x 0.1`: (dollars, tenths)."""
    return [(float(price), float(quantity) * ONE_BTC / TENTH) for price, quantity in (part.split(" x ") for part in text.split(","))]


def test_there_are_examples():
    assert len(EXAMPLES) > 15 and all(any(line.startswith("=") for line in lines) for _, lines in EXAMPLES)


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize(("line", "lines"), EXAMPLES, ids=[f"line {line}" for line, _ in EXAMPLES])
def test_an_example_of_the_page_is_so(engine, line, lines):
    page = Page(market(engine))
    for text in lines:
        try:
            page.holds(text[2:]) if text.startswith("= ") else page.send(text)
        except AssertionError as error:
            raise AssertionError(f"docs/orders.md, the example at line {line}: {text!r}: {error}") from error
