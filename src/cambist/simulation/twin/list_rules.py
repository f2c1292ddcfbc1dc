"""Section 12 of the rules, order lists: which groups of orders there are, and how one is accepted whole."""
from cambist.messages import Kind, Link, OrderState, OrderType, Reason, TimeInForce
from cambist.simulation.twin.model import Command, Order, State
from cambist.simulation.twin.order_rules import accept_order, begin, check_new_order
from cambist.simulation.twin.shape_rules import LASTING, is_market

R = Reason
SHAPES = ((Link.OCO, Link.OCO), (Link.PARENT, Link.CHILD), (Link.PARENT, Link.CHILD, Link.CHILD))


def is_list(commands: list[Command]) -> bool:
    return commands[0].kind == Kind.NEW_ORDER


def well_formed(commands: list[Command]) -> bool:
    if tuple(c["link"] for c in commands) not in SHAPES:
        return False
    if len({(c.account, c.instrument, c["quantity"]) for c in commands}) > 1 or not all(fits(c) for c in commands):
        return False
    first, *others = commands
    same_side = first["link"] == Link.OCO
    if any((c["side"] == first["side"]) != same_side for c in others):
        return False
    pair = commands if same_side else others
    return len(pair) == 1 or may_be_oco(*pair)


def fits(c: Command) -> bool:
    in_force = c["time_in_force"] in LASTING or (is_market(c) and c["time_in_force"] == TimeInForce.IOC)
    if c["order_type"] not in (OrderType.LIMIT, OrderType.MARKET) or not in_force or c["display"] or c["minimum"]:
        return False
    return not (c["post_only"] and c["link"] == Link.CHILD)


def may_be_oco(one: Command, other: Command) -> bool:
    waits = [c for c in (one, other) if c["trigger"]]
    return len(waits) == 2 or (len(waits) == 1 and not any(is_market(c) for c in (one, other) if not c["trigger"]))


def linked_to(commands: list[Command], accepted: list[Order]) -> tuple[Order | None, Order | None]:
    """The mate and the parent, of those accepted before, of the next order of the list."""
    link, place = commands[len(accepted)]["link"], len(accepted)
    if link == Link.CHILD:
        return (accepted[1] if place == 2 else None), accepted[0]
    return (accepted[0] if place == 1 else None), None


def check_and_accept(t: State, commands: list[Command]) -> tuple[list[Order], Reason]:
    """Each in turn; the orders accepted, and why the next one was not."""
    accepted: list[Order] = []
    for c in commands:
        t.emitting = c.sequence
        mate, parent = linked_to(commands, accepted)
        if reason := check_new_order(t, c, True, mate, parent):
            return accepted, reason
        accepted.append(accept_order(t, c, mate, parent))
    return accepted, R.NONE


def begin_all(t: State, commands: list[Command], orders: list[Order]) -> None:
    """Each in turn that still stands, and that its parent has not woken already."""
    for c, order in zip(commands, orders, strict=True):
        t.emitting = c.sequence
        if order.id in t.orders and order.state == OrderState.ASLEEP:
            begin(t, order)
