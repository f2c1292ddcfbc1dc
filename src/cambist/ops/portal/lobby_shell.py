"""What all pages of the portal share: who asks, the banner, the instrument of the page, the head of its market.

Decides what a page may take for granted. `as_fault` turns a wrong text into a refusal of the page.
"""
import contextlib
from collections.abc import Iterator
from typing import Any

from cambist.dictionary import Listed, Wrong
from cambist.messages import Session
from cambist.ops.portal.reach_shell import Reach, Trader
from cambist.ops.web.guards import Ask, Fault
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.pages import Pages
from cambist.units import format_units

CHART_POINTS = 300


@contextlib.contextmanager
def as_fault(status: int = 422) -> Iterator[None]:
    """A Wrong inside becomes a Fault with its code and words."""
    try:
        yield
    except Wrong as wrong:
        raise Fault(status, wrong.code, f"{wrong.message[:1].upper()}{wrong.message[1:]}.") from None


class Lobby:
    """`key` makes the ids of forms."""

    def __init__(self, reach: Reach, pages: Pages, hub: Hub, key: bytes) -> None:
        self.reach, self.pages, self.hub, self.key = reach, pages, hub, key

    def trader(self, ask: Ask) -> Trader:
        """Raises Fault NOT_A_CLIENT when the running design no longer lets this person trade for a client."""
        found = self.reach.trader(ask.signed_in.person)
        if found is None:
            raise Fault(403, "NOT_A_CLIENT", "You have no key for a client's account any more.")
        return found

    def instrument(self, ask: Ask) -> Listed:
        """Named by ?instrument=, else the first. Raises Fault UNKNOWN_INSTRUMENT."""
        named = ask.query.get("instrument", "")
        with as_fault(404):
            return self.reach.dictionary.listed(named) if named else self.reach.dictionary.instruments[0]

    def status(self, trader: Trader) -> dict[str, Any]:
        """What stops trading now, and what is unknown."""
        reach = self.reach
        names = [one.name for one in reach.words.instruments if one.number in reach.latches.halted] if reach.words else []
        return {"connected": reach.link.connected, "killed_all": reach.latches.killed_all, "halted": names, "killed": reach.killed(trader.account),
                "floors": [floor for one in reach.words.instruments if (floor := self.floor(one))["session"] != "continuous"] if reach.words else [],
                "unknown": reach.sent.unknown(trader.account)}

    def floor(self, one: Listed) -> dict[str, Any]:
        """The session of an instrument in words, with the auction as it stands."""
        words, tape = self.reach.dictionary, self.reach.market.tape(one.number)
        price, quantity, surplus = tape.indicative or (0, 0, 0)
        return {"name": one.name, "symbol": one.symbol, "session": tape.session.name.lower().replace("_", "-"), "ends": tape.ends,
                "auction": tape.session in (Session.AUCTION, Session.VOLATILITY), "next": tape.next.name.lower().replace("_", "-"),
                "price": words.price_out(price, one) if price else None, "quantity": words.quantity_out(quantity, one) if price else None,
                "surplus": words.quantity_out(surplus, one) if price else None, "base": words.asset_name(one.base)}

    def common(self, ask: Ask, trader: Trader) -> dict[str, str]:
        """The fragments of every page."""
        return {"banner": self.pages.draw("banner.html", ask, status=self.status(trader))}

    def page(self, template: str, ask: Ask, trader: Trader, **values: Any) -> str:
        return self.pages.draw(template, ask, trader=trader, status=self.status(trader), **values)

    def head(self, one: Listed) -> dict[str, Any]:
        """The market of one instrument at a glance; `points` for a chart: seconds, prices."""
        words, tape = self.reach.dictionary, self.reach.market.tape(one.number)
        bid, ask = tape.best
        points = list(tape.series)[-CHART_POINTS:]
        increment = one.terms.price_increment
        digits = len(increment.partition(".")[2])
        scale = float(increment)
        last = tape.trades[0] if tape.trades else None
        first = points[0][1] if points else 0
        moved = (tape.reference - first) * 10_000 // first if first and tape.reference else 0
        return {"name": one.name, "symbol": one.symbol, "quote": words.asset_name(one.quote),
                "reference": words.price_out(tape.reference, one) if tape.reference else None,
                "sources": tape.sources, "bid": words.price_out(bid, one) if bid else None, "ask": words.price_out(ask, one) if ask else None,
                "last": words.price_out(last.price, one) if last else None, "halted": one.number in self.reach.latches.halted,
                "floor": self.floor(one),
                "moved": format_units(moved, 2), "points": ([at for at, _ in points], [round(price * scale, digits) for _, price in points])}
