"""Section 12 of the rules, MASS_QUOTE: both sides of a maker's quote in the book, replaced as a unit."""
import pickle

from cambist.messages import MAX_AMOUNT, Event, Kind, Reason, SelfTrade, Side
from cambist.simulation.twin.control_rules import check_exposure
from cambist.simulation.twin.fee_rules import hold_ppm, schedule
from cambist.simulation.twin.model import Command, Instrument, Order, State
from cambist.simulation.twin.order_rules import check_who_and_where, funds
from cambist.simulation.twin.session_rules import gathers
from cambist.simulation.twin.shape_rules import lots, price_and_tick
from cambist.simulation.twin.standing_rules import depart, hold_of, meets_a_level, set_hold, stand, tell_level
from cambist.simulation.twin.trade_rules import quote_orders

R = Reason


def sides(c: Command) -> list[tuple[int, int, int]]:
    """(side, price, quantity) of those given, bid first."""
    both = ((Side.BUY, c["bid"], c["bid_quantity"]), (Side.SELL, c["ask"], c["ask_quantity"]))
    return [side for side in both if side[1:] != (0, 0)]


def take_out(t: State, account: int, instrument: int) -> list[Order]:
    """The orders of the quote that stands are gone, without a word."""
    old = quote_orders(t, account, instrument)
    for order in old:
        depart(t, order)
        set_hold(t, order, 0)
        if order.value:
            t.exposures[account].open -= order.value
    return old


def check_mass_quote(t: State, c: Command) -> Reason:
    if reason := check_who_and_where(t, c):
        return reason
    row = t.protections.get((c.account, c.instrument))
    if row is not None and row.frozen:
        return R.FROZEN
    if c["self_trade"] > max(SelfTrade):
        return R.BAD_SELF_TRADE
    without = pickle.loads(pickle.dumps(t))     # the world as it would be without the quote that stands
    take_out(without, c.account, c.instrument)
    return check_given(without, c, without.instruments[c.instrument])


def check_given(t: State, c: Command, ins: Instrument) -> Reason:
    given, ppm, minimum = sides(c), hold_ppm(t, c.account, ins), schedule(t, c.account, ins).minimum
    holds = {}
    for side, price, quantity in given:
        if reason := price_and_tick(ins, price, ins.book_tick) or lots(ins, quantity) or t.collar(ins, side, price):
            return reason
        amount, holds[side] = ins.amount_up(quantity, price), hold_of(ins, side, quantity, price, ppm, minimum)
        if amount > MAX_AMOUNT or holds[side] > MAX_AMOUNT:
            return R.OVERFLOW
        if amount > ins.max_notional:
            return R.MAX_NOTIONAL
    if len(given) == 2 and c["bid"] >= c["ask"]:
        return R.CROSSED_QUOTE
    if given and len(t.account_orders(c.account)) + len(given) > t.accounts[c.account].max_open:
        return R.OPEN_ORDERS
    for side, _, quantity in given:
        if t.breaks_position(c.account, ins, side, quantity):
            return R.POSITION
    for side, price, quantity in given:
        if reason := check_exposure(t, c.account, ins, side, ins.amount_up(quantity, price)):
            return reason
    return check_funds(t, c, ins, holds) or check_not_taking(t, ins, given)


def check_funds(t: State, c: Command, ins: Instrument, holds: dict[int, int]) -> Reason:
    if not ins.prefunded:
        return funds(t, c.account, ins, Side.BUY, sum(holds.values())) if holds else R.NONE
    for side, hold in holds.items():
        if reason := funds(t, c.account, ins, side, hold):
            return reason
    return R.NONE


def check_not_taking(t: State, ins: Instrument, given: list[tuple[int, int, int]]) -> Reason:
    takes = not gathers(ins) and any(meets_a_level(t, ins, side, price) for side, price, _ in given)
    return R.POST_ONLY if takes else R.NONE


def mass_quote(t: State, c: Command) -> None:
    ins = t.instruments[c.instrument]
    old = {order.side: order.price for order in take_out(t, c.account, c.instrument)}
    made: dict[int, Order] = {}
    for side, price, quantity in sides(c):
        order = Order(t.new_id(c.account), c.account, ins.number, side, price, quantity, quantity, hold_ppm(t, c.account, ins), c["self_trade"], 0,
                      actor=c["actor"], sequence=c.sequence, worst=price, fee_min=schedule(t, c.account, ins).minimum, quoted=1)
        stand(t, order, 0)
        made[side] = order
    bid, ask = (made[side].id if side in made else 0 for side in (Side.BUY, Side.SELL))
    t.echo(c, Event.BOOK_QUOTED, c.account, instrument=ins.number, id=bid, other=ask, price=c["bid"], amount=c["ask"], quantity=c["bid_quantity"],
           leaves=c["ask_quantity"])
    for side in (Side.BUY, Side.SELL):
        for price in ([old[side]] if side in old else []) + ([made[side].price] if side in made else []):
            tell_level(t, ins.number, side, price)


HANDLERS = {Kind.MASS_QUOTE: (check_mass_quote, mass_quote)}
