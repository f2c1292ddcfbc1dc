"""A client's trading program in the demo: now and then a request for quotes, of which it takes the best, and now and then a small order.

Decides what it asks of the API, from a seed. It must not know a socket, a clock or a key: it is told its account's events, the answers to what it asked and
the time, and answers with calls. It trades back towards nothing, so that it never needs more than it was given.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cambist.venues.noise import PPM, Noise
from cambist.world.tradables import Ask, Mids, Tradable, away

MS, SECOND = 1_000_000, 1_000_000_000

GONE = {"NO_QUOTE", "UNKNOWN_QUOTE"}            # the quote that was chosen lapsed or was replaced before it was taken


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a client behaves. Amounts in whole units of the quote asset; rates in ppm of occasions."""
    pause_least_ns: int = 5 * SECOND
    pause_most_ns: int = 15 * SECOND
    requests: tuple[str, ...] = ()              # symbols it asks quotes for
    orders: tuple[str, ...] = ()                # symbols it sends orders in
    order_ppm: int = 300_000                    # how often an order instead of a request
    two_way_ppm: int = 200_000
    in_quote_ppm: int = 300_000                 # requests sized in the quote asset
    declines_ppm: int = 100_000                 # how often it takes no quote at all
    request_least: int = 5_000
    request_most: int = 150_000
    order_least: int = 500
    order_most: int = 5_000
    reach_ppm: int = 3_000                      # how far beyond the mid an order's limit lies
    ttl_ms: int = 10_000
    thinks_ns: int = 1_200 * MS                 # before it takes a quote
    lean_worth: int = 2_000_000                 # a position of so much is traded back for sure


class _Asking:
    """The request it has open."""
    __slots__ = ("decide_at", "expires", "quotes", "request", "side")

    def __init__(self, told: Mapping[str, Any], decide_at: int) -> None:
        self.request, self.side, self.expires, self.decide_at = told["request"], told["side"], told["expires"], decide_at
        self.quotes: dict[str, Mapping[str, Any]] = {}


class DemoClient:
    """`begin` with the account as the API tells it, `step` with an event or None for time alone, `answered` with what became of a call. One thing at a time."""

    def __init__(self, tradables: Mapping[str, Tradable], mids: Mids, settings: ClientSettings, seed: int) -> None:
        self.settings, self._tradables, self._mids, self._noise = settings, tradables, mids, Noise(seed)
        self._net: dict[str, int] = {}
        self._open: _Asking | None = None
        self._shown: dict[str, list[Mapping[str, Any]]] = {}    # quotes that came before the answer to their request
        self._busy, self._next = False, 0

    def begin(self, account: Mapping[str, Any], now: int) -> list[Ask]:
        """A new connection, or a new life. A request that an earlier one left open lapses by itself."""
        self._net = {row["instrument"]: self._tradables[row["instrument"]].quantity_in(row["net"]) for row in account["positions"]
                     if row["instrument"] in self._tradables}
        self._open, self._busy = None, False
        self._shown.clear()
        self._next = now + self._noise.between(0, self.settings.pause_least_ns)
        return []

    def step(self, event: Mapping[str, Any] | None, now: int) -> list[Ask]:
        if event is not None:
            self._hear(event, now)
        if self._busy:
            return []
        if self._open is not None:
            return self._decide(self._open, now) if now >= self._open.decide_at else []
        return self._something(now) if now >= self._next else []

    def answered(self, ask: Ask, told: Mapping[str, Any] | None, code: str, now: int) -> list[Ask]:
        """`told` is the answer's body, or None and `code` says why not: whatever it was, it comes back later with something new."""
        self._busy = False
        if ask.operation == "request.new" and told is not None and "request" in told:
            self._open = _Asking(told, now + self.settings.thinks_ns)
            for quote in self._shown.pop(told["request"], ()):
                self._open.quotes[quote["quote"]] = quote
        elif ask.operation == "request.accept" and code in GONE and self._open is not None:
            self._open.decide_at = now + self.settings.thinks_ns         # then the next one
        else:
            self._rest(now)
        self._shown.clear()
        return []

    def next_due(self, now: int) -> int:
        return max(now, self._open.decide_at if self._open is not None else self._next)

    def _rest(self, now: int) -> None:
        self._open = None
        self._next = now + self._noise.between(self.settings.pause_least_ns, self.settings.pause_most_ns)

    # ---------------------------------------------------------------------------------------------------------------- events
    def _hear(self, event: Mapping[str, Any], now: int) -> None:
        kind, symbol = event["event"], event.get("instrument", "")
        if kind == "filled" and symbol in self._tradables:
            quantity = self._tradables[symbol].quantity_in(event["quantity"])
            self._net[symbol] = self._net.get(symbol, 0) + (quantity if event["side"] == "buy" else -quantity)
        one = self._open
        if kind == "quote_shown":
            if one is not None and event["request"] == one.request:
                one.quotes[event["quote"]] = event
            elif self._busy:
                self._shown.setdefault(event["request"], []).append(event)
        elif one is not None and kind == "quote_ended":
            one.quotes.pop(event["quote"], None)
        elif one is not None and kind == "request_ended" and event["request"] == one.request and not self._busy:
            self._rest(now)

    # --------------------------------------------------------------------------------------------------------------- trading
    def _drawn(self, symbols: tuple[str, ...]) -> str:
        able = [symbol for symbol in symbols if symbol in self._tradables and self._mids.get(symbol)]
        return able[self._noise.below(len(able))] if able else ""

    def _side(self, symbol: str, mid: int) -> str:
        """Either, and the more surely back towards nothing the more it holds or owes."""
        most = self.settings.lean_worth
        held = max(-most, min(self._tradables[symbol].worth(self._net.get(symbol, 0), mid), most))
        return "buy" if self._noise.happens((PPM - held * PPM // most) // 2) else "sell"

    def _something(self, now: int) -> list[Ask]:
        settings = self.settings
        ordering = self._noise.happens(settings.order_ppm)
        symbol = self._drawn(settings.orders if ordering else settings.requests)
        if not symbol:
            self._rest(now)
            return []
        self._busy = True
        tradable, mid = self._tradables[symbol], self._mids[symbol]
        side = self._side(symbol, mid)
        if ordering:
            worth, far = self._noise.between(settings.order_least, settings.order_most), away(mid, settings.reach_ppm)
            tick = tradable.terms.book_tick
            price = tradable.ask_above(mid + far, tick) if side == "buy" else tradable.bid_below(mid - far, tick)
            return [Ask("order.new", {"instrument": symbol, "side": side, "quantity": tradable.quantity_out(tradable.quantity_for(worth, mid)),
                                      "price": tradable.price_out(price), "time_in_force": "ioc"})]
        worth = self._noise.between(settings.request_least, settings.request_most)
        body = {"instrument": symbol, "side": "two_way" if self._noise.happens(settings.two_way_ppm) else side, "ttl_ms": settings.ttl_ms}
        if self._noise.happens(settings.in_quote_ppm):
            return [Ask("request.new", body | {"quote_quantity": str(worth)})]
        return [Ask("request.new", body | {"quantity": tradable.quantity_out(tradable.quantity_for(worth, mid))})]

    def _decide(self, one: _Asking, now: int) -> list[Ask]:
        """The best quote that lives; without one it waits until its request is over."""
        if now >= one.expires:
            self._rest(now)
            return []
        side = one.side if one.side != "two_way" else ("buy", "sell")[self._noise.below(2)]
        name, best = ("ask", min) if side == "buy" else ("bid", max)
        live = [quote for quote in one.quotes.values() if quote.get(name) and quote["expires"] > now]
        if not live:
            one.decide_at = now + self.settings.thinks_ns
            return []
        if self._noise.happens(self.settings.declines_ppm):
            self._busy = True
            return [Ask("request.cancel", {"request": one.request})]
        places = len(live[0][name])                     # decimals of one instrument have the same places, so padded texts are in their order
        chosen = best(live, key=lambda quote: quote[name].rjust(places + 20, "0"))
        self._busy = True
        return [Ask("request.accept", {"request": one.request, "side": side, "limit_price": chosen[name], "quote": chosen["quote"]})]
