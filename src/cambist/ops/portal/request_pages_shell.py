"""The pages of requests: ask for a quote, see the quotes live, take one, give it up.

Decides what each page shows and which command each form sends. What a request is and which quote is best is `asking.py`.
"""
import secrets
from collections.abc import Mapping

from cambist.dictionary import Wrong
from cambist.messages import Event, Kind, Reason, Side
from cambist.ops.portal.asking import Asked, Wanted, asked, lives, nearest_life, read_request
from cambist.ops.portal.lobby_shell import Lobby, as_fault
from cambist.ops.portal.ordering import trimmed
from cambist.ops.portal.reach_shell import Trader
from cambist.ops.portal.sending import SENT
from cambist.ops.web.application_shell import Route
from cambist.ops.web.guards import Ask, Fault, Reply, only, see_other

FIELDS = ("instrument", "side", "size", "size_in", "stands")
EMPTY = {"instrument": "", "side": "buy", "size": "", "size_in": "base", "stands": ""}
RECENT, USUAL_S = 12, 30


class RequestPages:
    def __init__(self, lobby: Lobby) -> None:
        self._lobby, self._reach = lobby, lobby.reach

    def routes(self) -> tuple[Route, ...]:
        return (Route("GET", "/request", self.form), Route("POST", "/request", self.send), Route("GET", "/request/preview", self.preview),
                Route("GET", "/live/request", self.live_form), Route("GET", "/requests/{id:str}", self.one),
                Route("GET", "/live/requests/{id:str}", self.live_one), Route("POST", "/requests/{id:str}/accept", self.accept),
                Route("POST", "/requests/{id:str}/cancel", self.cancel))

    # ------------------------------------------------------------------------------------------------------------------------------- asking
    async def form(self, ask: Ask) -> Reply:
        """A new request; what the address names of its fields is filled in."""
        trader = self._lobby.trader(ask)
        fields = dict(EMPTY) | {name: ask.query[name] for name in FIELDS if name in ask.query}
        return Reply(self._draw(ask, trader, fields, None))

    async def send(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        fields = only(ask.form, *FIELDS, "id")
        try:
            wanted = self._read(fields)
        except Wrong as wrong:
            return Reply(self._draw(ask, trader, fields, wrong), 422)
        sent = await self._reach.send(trader, Kind.REQUEST_QUOTE, fields["id"], self._words(wanted), instrument=wanted.listed.number, side=wanted.side,
                                      quantity=wanted.quantity, ttl=wanted.ttl)
        for row in self._reach.answer(sent):
            if row["kind"] == Event.REQUEST_OPENED:
                return see_other(f"/requests/{self._reach.dictionary.opaque.text('request', row['id'])}")
        return see_other(f"/sent/{sent.id}")

    async def preview(self, ask: Ask) -> Reply:
        """What the form would send, before it is sent."""
        self._lobby.trader(ask)
        fields = {name: ask.query.get(name, "") for name in FIELDS}
        wanted, wrong = None, None
        if fields["size"].strip():
            try:
                wanted = self._read(fields)
            except Wrong as found:
                wrong = found
        return Reply(self._lobby.pages.draw("preview.html", ask, wanted=self._shown(wanted) if wanted else None, wrong=wrong))

    def _read(self, fields: Mapping[str, str]) -> Wanted:
        return read_request(fields, self._reach.dictionary, self._reach.references())

    def _words(self, wanted: Wanted) -> str:
        words = self._reach.dictionary
        what = {Side.BUY: "buy", Side.SELL: "sell", Side.TWO_WAY: "buy or sell"}[wanted.side]
        return f"Request to {what} {trimmed(words.quantity_out(wanted.quantity, wanted.listed))} {words.asset_name(wanted.listed.base)}"

    def _shown(self, wanted: Wanted) -> dict[str, object]:
        words, listed = self._reach.dictionary, wanted.listed
        return {"quantity": words.quantity_out(wanted.quantity, listed), "base": words.asset_name(listed.base), "quote": words.asset_name(listed.quote),
                "worth": words.amount_out(wanted.worth, listed.quote) if wanted.worth else None,
                "reference": words.price_out(wanted.reference, listed) if wanted.reference else None, "given": bool(wanted.given)}

    def _draw(self, ask: Ask, trader: Trader, fields: Mapping[str, str], wrong: Wrong | None, shown: Asked | None = None) -> str:
        words = self._reach.dictionary
        named = next((one for one in words.instruments if fields["instrument"] in (one.symbol, one.name)), words.instruments[0])
        stands = lives(words)
        usual = str(max(s for s in stands if s <= USUAL_S or s == stands[0]))
        drawn = {"fields": {**fields, "instrument": named.symbol, "stands": fields["stands"] or usual}, "wrong": wrong, "stands": stands,
                 "instruments": words.instruments, "named": named, "base": words.asset_name(named.base), "quote": words.asset_name(named.quote),
                 "form_id": fields.get("id") if wrong and len(fields.get("id", "")) == 32 else secrets.token_hex(16),
                 "recents": self._recents(trader), "market": self._lobby.head(named)}
        if shown is None:
            return self._lobby.page("request.html", ask, trader, **drawn, one=None)
        return self._lobby.page("request.html", ask, trader, **drawn, one=self._one(ask, trader, shown))

    async def live_form(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        named = self._lobby.instrument(ask)

        async def render() -> dict[str, str]:
            return {**self._lobby.common(ask, trader), "recents": self._lobby.pages.draw("recents.html", ask, recents=self._recents(trader)),
                    "market": self._lobby.pages.draw("market_head.html", ask, market=self._lobby.head(named))}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}", f"market:{named.number}"}), render)

    def _recents(self, trader: Trader) -> list[dict[str, object]]:
        words = self._reach.dictionary
        rows = self._reach.history.events(account=trader.account, kinds=(Event.REQUEST_OPENED,), limit=RECENT)
        made = [found for row in rows if (found := self._asked(trader, row["id"])) is not None]
        return [self._line(one, words) for one in made]

    def _line(self, one: Asked, words) -> dict[str, object]:
        now = self._reach.clock()
        state = "open" if one.is_open(now) else "lapsed" if one.state == "open" else one.state
        return {"id": words.opaque.text("request", one.number), "time": one.opened, "instrument": one.listed.name, "side": one.side.name.lower(),
                "quantity": words.quantity_out(one.quantity, one.listed), "state": state, "until": one.until,
                "price": words.price_out(one.done.price, one.listed) if one.done else None, "did": one.done.side.name.lower() if one.done else ""}

    # --------------------------------------------------------------------------------------------------------------------------- one request
    def _asked(self, trader: Trader, number: int) -> Asked | None:
        history = self._reach.history
        rows = [row for row in history.about(number) if row["account"] == trader.account]
        for end in [row for row in rows if row["kind"] == Event.REQUEST_ENDED and row["reason"] == Reason.FILLED]:
            rows += [row for row in history.of_sequence(end["sequence"]) if row["kind"] == Event.FILLED and row["account"] == trader.account]
        return asked(sorted(rows, key=lambda row: row["number"]), self._reach.dictionary, trader.account)

    def _found(self, ask: Ask, trader: Trader) -> Asked:
        """The request of the address, if it is this account's. Raises Fault UNKNOWN_REQUEST."""
        with as_fault(404):
            number = self._reach.dictionary.id_in("request", ask.values["id"])
        found = self._asked(trader, number)
        if found is None:
            raise Fault(404, "UNKNOWN_REQUEST", "You have no such request.")
        return found

    async def one(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        found = self._found(ask, trader)
        words = self._reach.dictionary
        fields = {"instrument": found.listed.symbol, "side": found.side.name.lower(), "size": trimmed(words.quantity_out(found.quantity, found.listed)),
                  "size_in": "base", "stands": str(nearest_life(words, found.until - found.opened))}
        return Reply(self._draw(ask, trader, fields, None, found))

    async def live_one(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        found = self._found(ask, trader)

        async def render() -> dict[str, str]:
            one = self._found(ask, trader)
            return {**self._lobby.common(ask, trader), "quotes": self._lobby.pages.draw("quotes.html", ask, one=self._one(ask, trader, one)),
                    "recents": self._lobby.pages.draw("recents.html", ask, recents=self._recents(trader)),
                    "market": self._lobby.pages.draw("market_head.html", ask, market=self._lobby.head(one.listed))}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}", f"market:{found.listed.number}"}), render)

    def _one(self, ask: Ask, trader: Trader, one: Asked) -> dict[str, object]:
        """All that the panel of quotes shows."""
        words, listed, now = self._reach.dictionary, one.listed, self._reach.clock()
        best = {side: one.best(side, now) for side in (Side.BUY, Side.SELL)}
        lines = [{"number": place, "id": words.opaque.text("quote", offer.number), "live": offer.live(now), "until": offer.until, "ended": offer.ended,
                  "sides": [self._take(trader, one, offer, side, best[side] is offer) for side in one.sides]} for place, offer in enumerate(one.lines, 1)]
        done = one.done
        return {**self._line(one, words), "is_open": one.is_open(now), "base": words.asset_name(listed.base), "quote": words.asset_name(listed.quote),
                "sides": [side.name.lower() for side in one.sides], "lines": lines, "live": sum(line["live"] for line in lines),
                "cancel_id": self._reach.form_id(self._lobby.key, trader.account, "cancel request", one.number) if one.is_open(now) else "",
                "refusals": [{"time": at, "code": code, "words": why} for at, code, why in one.refusals][-3:],
                "waiting": [sent for sent in self._reach.sent.unknown(trader.account) if sent.kind == Kind.ACCEPT_QUOTE and sent.state == SENT],
                "done": {"time": done.time, "side": done.side.name.lower(), "quantity": words.quantity_out(done.quantity, listed),
                         "price": words.price_out(done.price, listed), "amount": words.amount_out(done.amount, listed.quote),
                         "fee": words.amount_out(done.fee, listed.quote), "match": words.opaque.text("match", done.match),
                         "total": words.amount_out(done.amount + (done.fee if done.side is Side.BUY else -done.fee), listed.quote)} if done else None}

    def _take(self, trader: Trader, one: Asked, offer, side: Side, best: bool) -> dict[str, object]:
        """One side of one quote, with what its button sends."""
        words = self._reach.dictionary
        price = offer.ask if side is Side.BUY else offer.bid
        able = price > 0 and offer.live(self._reach.clock()) and one.state == "open"
        return {"side": side.name.lower(), "price": words.price_out(price, one.listed) if price else None, "best": best, "able": able,
                "worth": words.amount_out(words.amount_of(offer.quantity, price, one.listed), one.listed.quote) if price else None,
                "form_id": self._reach.form_id(self._lobby.key, trader.account, "accept", offer.number, int(side)) if able else ""}

    async def accept(self, ask: Ask) -> Reply:
        """Takes a quote at the price that was shown, or a better one, never a worse."""
        trader = self._lobby.trader(ask)
        fields = only(ask.form, "id", "quote", "side", "price")
        found = self._found(ask, trader)
        words = self._reach.dictionary
        side = {"buy": Side.BUY, "sell": Side.SELL}.get(fields["side"])
        if side is None:
            raise Fault(422, "BAD_SIDE", "Choose to buy or to sell.")
        with as_fault(422):
            quote = words.id_in("quote", fields["quote"], "quote")
            limit = words.price_in(fields["price"], found.listed, "price")
        size = trimmed(words.quantity_out(found.quantity, found.listed))
        what = f"{side.name.capitalize()} {size} {words.asset_name(found.listed.base)} at {words.price_out(limit, found.listed)}"
        sent = await self._reach.send(trader, Kind.ACCEPT_QUOTE, fields["id"], what, request=found.number, quote=quote, side=side, limit_price=limit)
        return see_other(f"/requests/{ask.values['id']}" if sent.state != SENT else f"/sent/{sent.id}")

    async def cancel(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        fields = only(ask.form, "id")
        found = self._found(ask, trader)
        sent = await self._reach.send(trader, Kind.CANCEL_REQUEST, fields["id"], "Cancel the request", request=found.number)
        return see_other(f"/requests/{ask.values['id']}" if sent.state != SENT else f"/sent/{sent.id}")
