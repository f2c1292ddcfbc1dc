"""What the house said about orders, as answers of the API: what a command did to its order, and the orders that stand.

Decides the words of orders as `replies.py` does for the rest. It must not know a socket or a clock, and tells nothing of an account but the asker's own.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed
from cambist.gateways import api, order_api
from cambist.gateways.operations import Session
from cambist.messages import PEGGED, REDUCE_ONLY, Event, Link, Liquidity, OrderState, OrderType, Reason, SelfTrade, Side, TimeInForce, Trigger, TriggerOn

Row = Mapping[str, int]
E = Event
OWN_DOING = frozenset({Reason.IMMEDIATE, Reason.SELF_TRADE, Reason.BAND, Reason.REDUCE_ONLY, Reason.LINKED})    # why its rest goes by its own command
TOOK = frozenset({Liquidity.TAKER, Liquidity.TAKER_BY_QUOTE})
WAITS = frozenset({"at_open", "at_close"})


class Told(NamedTuple):
    """What an answer may speak of: the first event that echoes the command, those that follow it, and the first of each command of a group."""
    head: Row
    after: Sequence[Row]
    heads: Sequence[Row]
    asked: Any
    session: Session
    words: Dictionary
    listed: Listed | None

    @property
    def instrument(self) -> Listed:
        assert self.listed is not None, "what was accepted is of an instrument that is listed"
        return self.listed


def in_order(asked: Any, words: Dictionary) -> list[tuple[str, Any]]:
    """Path and part of each command of a group, in the order they were sent."""
    if (quotes := getattr(asked, "quotes", None)) is not None:
        return sorted(((f"$.quotes[{i}]", quote) for i, quote in enumerate(quotes)), key=lambda each: words.listed(each[1].instrument).number)
    return [(f"$.orders[{i}]", leg) for i, leg in enumerate(asked.orders)]


# ------------------------------------------------------------------------------------------------------------------------------------- from events
def _order(told: Told) -> order_api.OrderAnswer:
    leg = told.asked if isinstance(told.asked, order_api.OrderNew) else None
    return _answered(told, told.head, _until_next_echo(told.after, ()), leg, child=False)


def _list(told: Told) -> order_api.ListAnswer:
    """All of a list are accepted before the first begins, and what each did then follows."""
    ids = {(head["id_hi"], head["id_lo"]) for head in told.heads}
    after = _until_next_echo(told.after, ids)
    links = ("oco", "oco") if told.asked.kind == "oco" else ("parent", "child", "child")
    return order_api.ListAnswer(orders=[_answered(told, head, after, leg, child=link == "child")
                                        for head, leg, link in zip(told.heads, told.asked.orders, links, strict=False)])


def _until_next_echo(rows: Sequence[Row], but: Any) -> list[Row]:
    """What came before another command of the account was answered."""
    found = []
    for row in rows:
        if row["command"] and (row["id_hi"], row["id_lo"]) not in but:
            break
        found.append(row)
    return found


def _answered(told: Told, head: Row, after: Sequence[Row], leg: order_api.Leg | None, child: bool) -> order_api.OrderAnswer:
    """What its own command did to it: fills as the taker, and why its rest went. What others did comes later, without an echo, or as the maker."""
    words, listed = told.words, told.instrument
    fills, leaves, reason, taken = [], head["leaves"], None, False
    for row in after:
        if row["id"] != head["id"] or row is head:
            continue
        if row["kind"] == E.FILLED and row["liquidity"] in TOOK:
            fills.append(_fill(row, words, listed))
            reason = None
        elif row["kind"] == E.FEE_CHARGED:
            fills[-1:] = [_charged(fill, row, words) for fill in fills[-1:]]
            continue
        elif row["kind"] in (E.ORDER_REDUCED, E.ORDER_CANCELLED) and row["reason"] in OWN_DOING:
            reason = Reason(row["reason"]).name
        else:
            break
        leaves, taken = row["leaves"], True
    waits = not taken and leg is not None and (child or leg.trigger is not None or leg.time_in_force in WAITS)
    status = "waiting" if waits else "open" if leaves else "cancelled" if reason else "filled"
    by_quote = getattr(leg, "quote_quantity", None)
    sizes: Any = {"quantity": None, "leaves": None} if by_quote else {"quantity": words.quantity_out(head["quantity"], listed),
                                                                     "leaves": words.quantity_out(leaves, listed)}
    return order_api.OrderAnswer(order=words.opaque.text("order", head["id"]), instrument=listed.symbol, status=status, side=said_side(head["side"]),
                                 price=priced(head["price"], listed, words), **sizes, quote_quantity=by_quote,
                                 trigger_price=priced(head["other"], listed, words) if head["kind"] == E.ORDER_ACCEPTED else None, fills=fills, reason=reason)


def _fill(row: Row, words: Dictionary, listed: Listed) -> order_api.Fill:
    liquidity: Any = words.liquidity_name(row["liquidity"])
    return order_api.Fill(match=words.opaque.text("match", row["other"]), price=words.price_out(row["price"], listed),
                          quantity=words.quantity_out(row["quantity"], listed), amount=words.amount_out(row["amount"], listed.quote),
                          fee=words.amount_out(row["fee"], listed.quote), fee_asset=words.asset_name(listed.quote), liquidity=liquidity)


def _charged(fill: order_api.Fill, row: Row, words: Dictionary) -> order_api.Fill:
    """Its fee was paid in another asset."""
    fill.fee, fill.fee_asset = words.amount_out(row["amount"], row["other"]), words.asset_name(row["other"])
    return fill


def fee_of(head: Row, after: Sequence[Row], words: Dictionary, listed: Listed) -> tuple[str, str]:
    """Amount and asset of the fee of a FILLED that was accepted."""
    for row in _until_next_echo(after, ()):
        if row["kind"] == E.FEE_CHARGED and row["id"] == head["id"]:
            return words.amount_out(row["amount"], row["other"]), words.asset_name(row["other"])
    return words.amount_out(head["fee"], listed.quote), words.asset_name(listed.quote)


def _mass_quoted(told: Told) -> order_api.MassQuoted:
    return order_api.MassQuoted(quotes=[_book_quoted(head, told.words) for head in told.heads])


def _book_quoted(head: Row, words: Dictionary) -> order_api.BookQuoted:
    listed = words.listed_by_number(head["instrument"])
    assert listed is not None, "what was accepted is of an instrument that is listed"
    sizes = {f"{side}_quantity": words.quantity_out(head[name], listed) if head[name] else None for side, name in (("bid", "quantity"), ("ask", "leaves"))}
    return order_api.BookQuoted(instrument=listed.symbol, **{f"{side}_order": words.opaque.text("order", head[name]) if head[name] else None
                                                             for side, name in (("bid", "id"), ("ask", "other"))},
                                bid=priced(head["price"], listed, words), ask=priced(head["amount"], listed, words), **sizes)


def _cancelled(told: Told) -> order_api.OrderCancelled:
    return order_api.OrderCancelled(order=told.words.opaque.text("order", told.head["id"]),
                                    cancelled=told.words.quantity_out(told.head["quantity"], told.instrument))


TOLD: dict[str, Callable[[Told], api.Told]] = {
    "order.new": _order,
    "order.amend": _order,
    "list.new": _list,
    "order.cancel": _cancelled,
    "order.cancel_all": lambda told: api.Done(),
    "dead_man.set": lambda told: order_api.DeadManSet(cancels_after_ms=told.asked.ttl_ms),
    "quote.mass": _mass_quoted,
    "protection.reset": lambda told: api.Done(),
}


# -------------------------------------------------------------------------------------------------------------------------- from the view `account`
def orders(view: Mapping[str, Any], words: Dictionary, instrument: Listed | None) -> order_api.Orders:
    """Of one instrument, or of all."""
    told = [order(row, words, one) for row in view["orders"] if (one := words.listed_by_number(row["instrument"])) is not None
            and (instrument is None or instrument.number == one.number)]
    return order_api.Orders(orders=told, more=bool(view["more"]))


def order(row: Row, words: Dictionary, listed: Listed) -> order_api.Order:
    """One row of the table of orders."""
    state, kind, trigger, link = OrderState(row["state"]), OrderType(row["order_type"]), Trigger(row["trigger"]), Link(row["link"])
    said: Any = {name: each.name.lower() for name, each in (
        ("state", state), ("type", kind), ("time_in_force", TimeInForce(row["time_in_force"])), ("self_trade", SelfTrade(row["self_trade"])))}
    waits: Any = {"trigger": trigger.name.lower(), "trigger_on": TriggerOn(row["trigger_on"]).name.lower(),
                  "trigger_price": words.price_out(row["trigger_price"], listed), "distance": priced(row["distance"], listed, words)} if trigger else {}
    linked: Any = {"link": link.name.lower(), "linked_to": _linked(row, words)} if link else {}
    return order_api.Order(
        order=words.opaque.text("order", row["id"]), instrument=listed.symbol, side=said_side(row["side"]), **said, **waits, **linked,
        price=words.price_out(row["price"] if state is OrderState.BOOK else row["worst"], listed),
        limit=words.price_out(row["worst"], listed) if kind in PEGGED else None,
        quantity=words.quantity_out(row["quantity"], listed), filled=words.quantity_out(row["quantity"] - row["leaves"], listed),
        leaves=words.quantity_out(row["leaves"], listed), prevented=words.quantity_out(row["prevented"], listed), good_till=row["good_till"] or None,
        post_only=POST_ONLY[row["post_only"]], display=words.quantity_out(row["display"], listed) if row["display"] else None,
        reduce_only=bool(row["options"] & REDUCE_ONLY), offset=words.price_out(row["offset"], listed) if kind in PEGGED else None, quoted=bool(row["quoted"]))


POST_ONLY: Any = ("no", "reject", "slide")


def _linked(row: Row, words: Dictionary) -> str | None:
    """The other of its pair; of a child without one, its parent."""
    other = row["mate"] or row["parent"]
    return words.opaque.text("order", other) if other else None


# ------------------------------------------------------------------------------------------------------------------------------------------ words
def priced(price: int, listed: Listed, words: Dictionary) -> str | None:
    """0 says none."""
    return words.price_out(price, listed) if price else None


def said_side(side: int) -> Any:
    return Side(side).name.lower()
