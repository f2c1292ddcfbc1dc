"""An outside dealer: answers invitations around the venues' mid, and keeps a small two-sided book of limit orders.

Decides what such a dealer asks of the API, one call at a time. It must not know a socket, a clock or a key: it is told its account's events, the answers to
what it asked and the time, and answers with calls.

Everything it has open is of this life: it begins by cancelling what an earlier one left, and begins anew when an outcome stays unknown.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cambist.world.tradables import Ask, Mids, Tradable, away

MS, SECOND = 1_000_000, 1_000_000_000
CLOSED, OVER = {"UNKNOWN_REQUEST", "REQUEST_CLOSED"}, {"LOST", "FILLED"}
REQUESTS_MOST = 256                             # open invitations looked at; a further one is left to others


class DealerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a dealer behaves. Amounts in whole units of the quote asset."""
    spread_ppm: int = 400                       # half of it, of a quote
    ttl_ns: int = 5 * SECOND
    requote_ppm: int = 150                      # a quote this far from where it would be now is replaced
    most: int = 2_000_000                       # a larger request is left to others
    books: tuple[str, ...] = ()                 # symbols in which it keeps limit orders
    levels: int = 3                             # a side
    level_worth: int = 25_000
    order_spread_ppm: int = 600                 # half of it, of the best level
    level_ppm: int = 300                        # between levels
    amend_ppm: int = 120                        # an order this far from where it would be now is moved
    pace_ns: int = 400 * MS                     # between two changes of orders
    again_ns: int = 3 * SECOND                  # after an order was refused
    skew_worth: int = 2_000_000                 # a position of so much moves its prices by its whole spread


class _Slot:
    """A place in its book: an order, or none, or one that is being asked for."""
    __slots__ = ("again", "busy", "level", "order", "price", "side", "symbol")

    def __init__(self, symbol: str, side: str, level: int) -> None:
        self.symbol, self.side, self.level = symbol, side, level
        self.order, self.price, self.again, self.busy = "", 0, 0, False


class _Invitation:
    __slots__ = ("ask", "asked", "bid", "expires", "quantity", "request", "side", "symbol", "until")

    def __init__(self, told: Mapping[str, Any], quantity: int) -> None:
        self.request, self.symbol, self.side, self.expires, self.quantity = told["request"], told["instrument"], told["side"], told["expires"], quantity
        self.bid = self.ask = self.until = 0            # of the quote that stands, and when it lapses
        self.asked = False


class OutsideMaker:
    """`begin` with the account as the API tells it, `step` with an event or None for time alone, `answered` with what became of a call."""

    def __init__(self, tradables: Mapping[str, Tradable], mids: Mids, settings: DealerSettings) -> None:
        self.settings, self._tradables, self._mids = settings, tradables, mids
        self._slots: list[_Slot] = []
        self._invited: dict[str, _Invitation] = {}
        self._net: dict[str, int] = {}
        self._next = self._begin_at = 0
        self._begun = self._beginning = False           # its book is empty and known to be; it is being emptied

    def begin(self, account: Mapping[str, Any], now: int) -> list[Ask]:
        """A new connection, or a new life: what was open is cancelled, and the book made again."""
        self._net = {row["instrument"]: self._quantity(row["instrument"], row["net"]) for row in account["positions"] if row["instrument"] in self._tradables}
        self._slots = [_Slot(symbol, side, level) for symbol in self.settings.books if symbol in self._tradables
                       for level in range(self.settings.levels) for side in ("buy", "sell")]
        self._invited.clear()
        return self._begin_anew(now)

    def _begin_anew(self, now: int) -> list[Ask]:
        self._begun, self._beginning, self._next = False, True, now
        for slot in self._slots:
            slot.order, slot.price, slot.busy = "", 0, False
        return [Ask("order.cancel_all", {}, "begin")]

    def step(self, event: Mapping[str, Any] | None, now: int) -> list[Ask]:
        if event is not None:
            self._hear(event)
        out = [ask for one in list(self._invited.values()) for ask in self._quote(one, now)]
        if not self._begun and not self._beginning and now >= self._begin_at:
            out += self._begin_anew(now)
        elif self._begun and now >= self._next and (ask := self._keep_book(now)) is not None:
            self._next = now + self.settings.pace_ns
            out.append(ask)
        return out

    def answered(self, ask: Ask, told: Mapping[str, Any] | None, code: str, now: int) -> list[Ask]:
        """`told` is the answer's body, or None and `code` says why not."""
        about = ask.about
        if about == "begin":
            self._begun, self._beginning, self._begin_at = told is not None, False, now + self.settings.again_ns
        elif isinstance(about, _Invitation):
            about.asked = False
            if code in CLOSED:
                self._invited.pop(about.request, None)
            elif told is None:                          # refused: not again before the market or time says something new
                about.until = now + self.settings.ttl_ns
        elif isinstance(about, _Slot):
            return self._placed(about, ask, told, code, now)
        return []

    def next_due(self, now: int) -> int:
        return now + self.settings.pace_ns

    # ---------------------------------------------------------------------------------------------------------------- events
    def _quantity(self, symbol: str, text: str) -> int:
        return self._tradables[symbol].quantity_in(text)

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind, symbol = event["event"], event.get("instrument", "")
        if kind == "request_invited" and symbol in self._tradables and len(self._invited) < REQUESTS_MOST:
            self._invited[event["request"]] = _Invitation(event, self._quantity(symbol, event["quantity"]))
        elif kind == "request_ended" or (kind == "quote_ended" and event.get("reason") in OVER):
            self._invited.pop(event["request"], None)
        elif kind == "quote_ended" and event.get("reason") != "REPLACED" and (one := self._invited.get(event.get("request", ""))):
            one.until = 0                               # it lapsed: another may be given
        elif kind == "filled" and symbol in self._tradables:
            quantity = self._quantity(symbol, event["quantity"])
            self._net[symbol] = self._net.get(symbol, 0) + (quantity if event["side"] == "buy" else -quantity)
            if "order" in event and not int(event["leaves"].replace(".", "")):
                self._gone(event["order"])
        elif kind == "order_cancelled":
            self._gone(event["order"])

    def _gone(self, order: str) -> None:
        for slot in self._slots:
            if slot.order == order:
                slot.order, slot.price = "", 0

    # ---------------------------------------------------------------------------------------------------------------- quotes
    def _leaning(self, symbol: str, mid: int) -> int:
        """The mid as this dealer would have it: below the market when it holds much, above when it owes."""
        held = self._tradables[symbol].worth(self._net.get(symbol, 0), mid)
        most, spread = self.settings.skew_worth, self.settings.spread_ppm
        return mid - away(mid, max(-most, min(held, most)) * spread // most)

    def _quote(self, one: _Invitation, now: int) -> list[Ask]:
        mid, settings = self._mids.get(one.symbol, 0), self.settings
        if now >= one.expires:
            del self._invited[one.request]
            return []
        tradable = self._tradables[one.symbol]
        if one.asked or not mid or tradable.worth(one.quantity, mid) > settings.most:
            return []
        middle, tick = self._leaning(one.symbol, mid), tradable.terms.quote_tick
        bid = tradable.bid_below(middle - away(mid, settings.spread_ppm), tick) if one.side != "buy" else 0
        ask = tradable.ask_above(middle + away(mid, settings.spread_ppm), tick) if one.side != "sell" else 0
        still = all(abs(new - old) * 1_000_000 <= settings.requote_ppm * mid for new, old in ((bid, one.bid), (ask, one.ask)))
        if now < one.until and still:
            return []
        one.bid, one.ask, one.until, one.asked = bid, ask, now + settings.ttl_ns, True
        body: dict[str, Any] = {"request": one.request, "ttl_ms": settings.ttl_ns // MS}
        body |= ({"bid": tradable.price_out(bid)} if bid else {}) | ({"ask": tradable.price_out(ask)} if ask else {})
        return [Ask("quote.new", body, one)]

    # ------------------------------------------------------------------------------------------------------------------ book
    def _target(self, slot: _Slot) -> int:
        tradable, mid = self._tradables[slot.symbol], self._mids[slot.symbol]
        middle, far = self._leaning(slot.symbol, mid), away(mid, self.settings.order_spread_ppm + slot.level * self.settings.level_ppm)
        tick = tradable.terms.book_tick
        return tradable.bid_below(middle - far, tick) if slot.side == "buy" else tradable.ask_above(middle + far, tick)

    def _keep_book(self, now: int) -> Ask | None:
        """The one change that matters most: an empty place, then the order furthest from where it would be."""
        able = [slot for slot in self._slots if not slot.busy and now >= slot.again and self._mids.get(slot.symbol)]
        empty = next((slot for slot in able if not slot.order), None)
        if empty is not None:
            empty.busy, empty.price = True, self._target(empty)
            tradable = self._tradables[empty.symbol]
            quantity = tradable.quantity_for(self.settings.level_worth, self._mids[empty.symbol])
            return Ask("order.new", {"instrument": empty.symbol, "side": empty.side, "quantity": tradable.quantity_out(quantity),
                                     "price": tradable.price_out(empty.price), "post_only": "reject"}, empty)
        far = [(abs(self._target(slot) - slot.price) * 1_000_000 // self._mids[slot.symbol], i) for i, slot in enumerate(able)]
        if not far or max(far)[0] < self.settings.amend_ppm:
            return None
        slot = able[max(far)[1]]
        slot.busy, slot.price = True, self._target(slot)
        tradable = self._tradables[slot.symbol]
        quantity = tradable.quantity_for(self.settings.level_worth, self._mids[slot.symbol])
        return Ask("order.amend", {"order": slot.order, "price": tradable.price_out(slot.price), "quantity": tradable.quantity_out(quantity)}, slot)

    def _placed(self, slot: _Slot, ask: Ask, told: Mapping[str, Any] | None, code: str, now: int) -> list[Ask]:
        slot.busy = False
        if told is not None:
            if ask.operation == "order.new" and told.get("status") == "open":
                slot.order = told["order"]
            return []
        slot.again, slot.price = now + self.settings.again_ns, 0
        if code == "UNKNOWN":                           # an order may stand that is not known here
            return self._begin_anew(now)
        if code == "UNKNOWN_ORDER":                     # it was filled meanwhile
            slot.order = ""
        elif code == "BAD_QUANTITY":                    # more of it was filled than it would now be in all
            order, slot.order = slot.order, ""
            return [Ask("order.cancel", {"order": order})]
        return []
