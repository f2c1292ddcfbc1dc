"""The pages of orders: place, watch, cancel, stop; the ladder, the last trades and the chart of an instrument.

Decides what each page shows and which command each form sends. What an order is, is `ordering.py`; what the ladder is, `market.py`.
"""
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cambist.dictionary import Listed, Wrong
from cambist.messages import Event, Kind, Side
from cambist.ops.portal.lobby_shell import Lobby, as_fault
from cambist.ops.portal.ordering import (
    BEGIN, FIELDS, LASTS, MORE, POST_ONLY, TRIGGERS, TRIGGERS_ON, TYPES, Life, facts, life, open_orders, read_order, trimmed,
)
from cambist.ops.portal.reach_shell import Trader
from cambist.ops.portal.sending import became, reason_words
from cambist.ops.web.application_shell import Route
from cambist.ops.web.guards import Ask, Fault, Reply, only, see_other
from cambist.ops.web.sign_in_shell import need_fresh

CHOICES = {"types": TYPES, "lasts": LASTS, "triggers": TRIGGERS, "triggers_on": TRIGGERS_ON, "post_onlys": POST_ONLY}
SHOWN_ORDERS, SHOWN_TRADES, SHOWN_LIVES = 100, 18, 10


class OrderPages:
    def __init__(self, lobby: Lobby) -> None:
        self._lobby, self._reach = lobby, lobby.reach

    def routes(self) -> tuple[Route, ...]:
        return (Route("GET", "/orders", self.page), Route("POST", "/orders", self.place), Route("GET", "/live/orders", self.live),
                Route("GET", "/orders/{id:str}", self.one), Route("POST", "/orders/{id:str}/cancel", self.cancel),
                Route("POST", "/orders/cancel-all", self.cancel_all), Route("GET", "/stop", self.stop_page), Route("POST", "/stop", self.stop))

    # -------------------------------------------------------------------------------------------------------------------------------- the page
    async def page(self, ask: Ask) -> Reply:
        """?instrument= whose market; ?told= the id of what was just sent; fields of the form fill it in."""
        trader = self._lobby.trader(ask)
        named = self._lobby.instrument(ask)
        fields = dict.fromkeys(FIELDS, "") | BEGIN | {name: ask.query[name] for name in FIELDS if name in ask.query}
        fields["instrument"] = named.symbol
        return Reply(await self._draw(ask, trader, named, fields, None))

    async def _draw(self, ask: Ask, trader: Trader, named: Listed, fields: Mapping[str, str], wrong: Wrong | None) -> str:
        words = self._reach.dictionary
        again = fields.get("id", "")
        return self._lobby.page("orders.html", ask, trader, named=named, instruments=words.instruments, fields=fields, wrong=wrong,
                                **{of: [(name, told) for name, (told, _) in choices.items()] for of, choices in CHOICES.items()},
                                more=any(fields.get(name) for name in MORE), base=words.asset_name(named.base),
                                quote=words.asset_name(named.quote), form_id=again if wrong and len(again) == 32 else secrets.token_hex(16),
                                told=self._told(ask, trader),
                                told_id=ask.query.get("told", "") if not wrong else "", **await self._parts(trader, named))

    async def _parts(self, trader: Trader, named: Listed) -> dict[str, Any]:
        words = self._reach.dictionary
        account = await self._reach.account(trader.account)
        orders = open_orders(account, words)
        for order in orders[:SHOWN_ORDERS]:
            order["form_id"] = self._reach.form_id(self._lobby.key, trader.account, "cancel", order["number"])
        return {"orders": orders[:SHOWN_ORDERS], "more_orders": max(0, len(orders) - SHOWN_ORDERS), "market": self._lobby.head(named),
                "ladder": self._ladder(named), "trades": self._trades(named), "lives": self._lives(trader),
                "all_id": self._reach.form_id(self._lobby.key, trader.account, "cancel all", *(order["number"] for order in orders))}

    async def live(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        named = self._lobby.instrument(ask)
        draw = self._lobby.pages.draw

        async def render() -> dict[str, str]:
            parts = await self._parts(trader, named)
            return {**self._lobby.common(ask, trader), "open-orders": draw("open_orders.html", ask, named=named, **parts),
                    "market": draw("market_head.html", ask, market=parts["market"]), "chart-box": draw("chart_data.html", ask, market=parts["market"]),
                    "ladder": draw("ladder.html", ask, **parts), "trades": draw("trades.html", ask, **parts), "lives": draw("lives.html", ask, **parts),
                    "told": draw("told.html", ask, told=self._told(ask, trader))}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}", f"market:{named.number}"}), render)

    def _ladder(self, named: Listed) -> dict[str, Any]:
        words = self._reach.dictionary
        bids, asks = self._reach.market.tape(named.number).ladder()

        def told(levels):
            return [{"price": words.price_out(level.price, named), "quantity": words.quantity_out(level.quantity, named), "orders": level.orders,
                     "total": words.quantity_out(level.total, named), "share": level.share * 10} for level in levels]
        spread = words.price_out(asks[0].price - bids[0].price, named) if bids and asks else None
        return {"bids": told(bids), "asks": told(asks), "spread": spread, "blank_bids": 10 - len(bids), "blank_asks": 10 - len(asks)}

    def _trades(self, named: Listed) -> list[dict[str, Any]]:
        words = self._reach.dictionary
        trades = list(self._reach.market.tape(named.number).trades)[:SHOWN_TRADES]
        return [{"time": trade.time, "price": words.price_out(trade.price, named), "quantity": words.quantity_out(trade.quantity, named),
                 "side": Side(trade.side).name.lower() if trade.side is not None else ""} for trade in trades]

    def _lives(self, trader: Trader) -> list[dict[str, Any]]:
        """The last orders, open or over."""
        rows = self._reach.history.events(account=trader.account, kinds=(Event.ORDER_ACCEPTED,), limit=SHOWN_LIVES)
        found = (life(self._reach.history.about(row["id"]), self._reach.dictionary, trader.account) for row in rows)
        return [self._life(one) for one in found if one is not None]

    def _life(self, one: Life) -> dict[str, Any]:
        words, listed = self._reach.dictionary, one.listed
        quantity = words.amount_out(one.quantity, listed.quote) if one.by_quote else words.quantity_out(one.quantity, listed)
        return {"id": words.opaque.text("order", one.number), "instrument": listed.name, "side": one.side.name.lower(), "opened": one.opened,
                "state": one.state, "price": words.price_out(one.price, listed), "quantity": quantity,
                "sized_in": words.asset_name(listed.quote if one.by_quote else listed.base),
                "trigger": words.price_out(one.trigger, listed) if one.trigger else None,
                "linked": words.opaque.text("order", one.linked) if one.linked else "",
                "filled": words.quantity_out(one.filled, listed), "leaves": words.quantity_out(one.leaves, listed),
                "average": words.price_out(one.average, listed) if one.average else None, "amount": words.amount_out(one.amount, listed.quote),
                "fee": words.amount_out(one.fee, listed.quote), "base": words.asset_name(listed.base), "quote": words.asset_name(listed.quote),
                "reason": one.reason}

    def _told(self, ask: Ask, trader: Trader) -> Any:
        """What became of the command ?told= names."""
        with as_fault(404):
            sent = self._reach.find(trader, ask.query.get("told", ""))
        if sent is None:
            return None
        answer = self._reach.answer(sent)
        told = became(sent, answer, self._reach.dictionary)
        if answer and answer[0]["kind"] == Event.ORDER_ACCEPTED:
            one = life(self._reach.history.about(answer[0]["id"]), self._reach.dictionary, trader.account)
            return told._replace(words=f"{told.words} {self._filled(one)}") if one else told
        return told

    def _filled(self, one: Life) -> str:
        """How far an order got, for a person."""
        words, base = self._reach.dictionary, self._reach.dictionary.asset_name(one.listed.base)
        if not one.filled:
            return {"open": "It stands in the book, or waits for its auction.", "waiting": "It waits for its trigger.",
                    "cancelled": "Nothing could be traded; it is cancelled."}.get(one.state, "")
        did = f"{trimmed(words.quantity_out(one.filled, one.listed))} {base} filled at {trimmed(words.price_out(one.average, one.listed))} on average"
        rest = {"open": "; the rest stands in the book", "part filled": "; the rest is cancelled"}
        return f"{did}{rest.get(one.state, '')}."

    # --------------------------------------------------------------------------------------------------------------------------------- one order
    async def one(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        with as_fault(404):
            number = self._reach.dictionary.id_in("order", ask.values["id"])
        events = [row for row in self._reach.history.about(number) if row["account"] == trader.account]
        found = life(events, self._reach.dictionary, trader.account)
        if found is None:
            raise Fault(404, "UNKNOWN_ORDER", "You have no such order.")
        words = self._reach.dictionary
        steps = [_step(words.told(row, row["time"]), row["reason"], words.asset_name(found.listed.quote)) for row in events]
        form_id = self._reach.form_id(self._lobby.key, trader.account, "cancel", number) if found.stands else ""
        account = await self._reach.account(trader.account) if found.stands else {"orders": ()}
        known = next((facts(row, words) for row in account["orders"] if row["id"] == number), [])
        return Reply(self._lobby.page("order.html", ask, trader, one=self._life(found), steps=steps, form_id=form_id, facts=known))

    # ----------------------------------------------------------------------------------------------------------------------------------- sending
    async def place(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        fields = only(ask.form, *FIELDS, "id")
        try:
            order = read_order(fields, self._reach.dictionary, self._reach.clock())
        except Wrong as wrong:
            known = self._reach.dictionary.instruments
            named = next((one for one in known if fields["instrument"] in (one.symbol, one.name)), known[0])
            return Reply(await self._draw(ask, trader, named, fields, wrong), 422)
        sent = await self._reach.send(trader, Kind.NEW_ORDER, fields["id"], order.words, **order.fields)
        answer = self._reach.answer(sent)
        again = {name: fields[name] for name in FIELDS[1:]} if answer and answer[0]["kind"] == Event.REFUSED else {}       # to be put right and sent again
        return see_other(f"/orders?{urlencode({'instrument': order.listed.symbol, 'told': sent.id, **again})}")

    async def cancel(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        fields = only(ask.form, "id", "instrument")
        with as_fault(404):
            number = self._reach.dictionary.id_in("order", ask.values["id"])
        sent = await self._reach.send(trader, Kind.CANCEL_ORDER, fields["id"], "Cancel the order", order=number)
        return see_other(f"/orders?{self._instrument(fields)}told={sent.id}")

    async def cancel_all(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        fields = only(ask.form, "id", "instrument")
        sent = await self._reach.send(trader, Kind.CANCEL_ALL, fields["id"], "Cancel all orders")
        return see_other(f"/orders?{self._instrument(fields)}told={sent.id}")

    def _instrument(self, fields: Mapping[str, str]) -> str:
        if not fields["instrument"]:
            return ""
        with as_fault():
            return f"instrument={self._reach.dictionary.listed(fields['instrument']).symbol}&"

    async def stop_page(self, ask: Ask) -> Reply:
        """Stopping all trading of the account: the password first."""
        trader = self._lobby.trader(ask)
        if again := need_fresh(ask, "/stop"):
            return again
        await self._reach.account(trader.account, at_once=True)
        return Reply(self._lobby.page("stop.html", ask, trader, form_id=secrets.token_hex(16)))

    async def stop(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        if again := need_fresh(ask, "/stop"):
            return again
        fields = only(ask.form, "id", "account")
        if fields["account"].strip() != trader.account_name:
            raise Fault(422, "NOT_CONFIRMED", f"To stop trading, type the account's name: {trader.account_name}.")
        sent = await self._reach.send(trader, Kind.KILL, fields["id"], f"Stop all trading of {trader.account_name}")
        return see_other(f"/sent/{sent.id}")


def _step(told: Mapping[str, Any], reason: int, quote: str) -> dict[str, Any]:
    """One event of an order, every column filled in. `unit` is said where it is not the base asset."""
    name = next((name for name in ("quantity", "cancelled", "prevented", "quote_quantity", "quote_cancelled") if told.get(name)), "")
    return {"time": told["time"], "event": told["event"], "quantity": told.get(name), "unit": quote if name.startswith("quote_") else "",
            "price": told.get("price"), "fee": told.get("fee"),
            "words": reason_words(reason)[1] if reason else "", "reason": told.get("reason", "")}
