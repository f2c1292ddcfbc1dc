"""Words for staff: a command field by field, an event in a sentence, a moment and a span of time.

Decides how every field of every command reads (who, which account, which price) and in what tone an event is told. It must not know where a record
was kept, nor who looks. What it cannot name it shows as the number it is, never as nothing.
"""
from collections.abc import Mapping
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed, client_id
from cambist.messages import (
    BY_QUOTE, FACTS, FIELDS, PEGGED, REDUCE_ONLY, AccountKind, ChildState, Event, Kind, Link, OrderType, PostOnly, Reason, Scope, SelfTrade,
    SelfTradeScope, Session, Settlement, Side, TimeInForce, Trigger, TriggerOn,
)
from cambist.units import format_duration, format_units

Row = Mapping[str, Any]
SECOND, MILLI, MICRO = 10**9, 10**6, 10**3
DAY = 86_400


class Field(NamedTuple):
    """One field of a command: its name on the wire, the number there, and what that says."""
    name: str
    value: int
    words: str


class Said(NamedTuple):
    """An event or a command in words: a sentence, the facts beside it, and a tone: plain, good, bad or alert."""
    text: str
    facts: tuple[tuple[str, str], ...]
    tone: str


# ---------------------------------------------------------------------------------------------------------------- numbers
def grouped(decimal: str) -> str:
    """A decimal with its thousands apart: 1234567.5 is 1,234,567.5."""
    sign, body = ("-", decimal[1:]) if decimal.startswith("-") else ("", decimal)
    whole, point, part = body.partition(".")
    return f"{sign}{int(whole or '0'):,}{point}{part}"


def trimmed(decimal: str) -> str:
    """The same without the zeros that say nothing: 2.00000000 is 2, 0.50 is 0.5."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal


def span(ns: int) -> str:
    """How long: 1.25 ms, 3.2 s, 2 h 5 m. Three digits or so, for people."""
    sign, ns = ("-" if ns < 0 else ""), abs(ns)
    if ns < MILLI:
        return f"{sign}{format_units(ns, 3)} us" if ns >= MICRO else f"{sign}{ns} ns"
    if ns < SECOND:
        return f"{sign}{format_units(ns // 10_000, 2)} ms"
    if ns < 100 * SECOND:
        return f"{sign}{format_units(ns // 10**7, 2)} s"
    minutes = ns // (60 * SECOND)
    return f"{sign}{minutes} m {ns // SECOND % 60} s" if minutes < 120 else f"{sign}{minutes // 60} h {minutes % 60} m"


def clock(ns: int) -> str:
    """Time of day, UTC, to the millisecond: 14:03:07.250."""
    seconds, rest = divmod(ns, SECOND)
    day = seconds % DAY
    return f"{day // 3600:02}:{day // 60 % 60:02}:{day % 60:02}.{rest // MILLI:03}"


def moment(ns: int) -> str:
    """Date and time, UTC: 2026-01-31 14:03:07.250. Civil date by days since 1970-01-01 (Howard Hinnant's days_from_civil, inverted)."""
    days = ns // (DAY * SECOND) + 719_468
    era, doe = divmod(days, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return f"{yoe + era * 400 + (month <= 2):04}-{month:02}-{doy - (153 * mp + 2) // 5 + 1:02} {clock(ns)}"


# --------------------------------------------------------------------------------------------------------------- commands
_ENUMS: dict[str, Any] = {"side": Side, "order_type": OrderType, "time_in_force": TimeInForce, "self_trade": SelfTrade, "account_kind": AccountKind,
                          "scope": Scope, "settlement": Settlement, "command": Kind, "why": Reason, "post_only": PostOnly, "trigger": Trigger,
                          "trigger_on": TriggerOn, "link": Link, "session": Session, "next": Session, "self_trade_scope": SelfTradeScope}
_NAMES = {"account": "accounts", "actor": "actors", "asset": "assets", "custody": "accounts", "to": "accounts", "giver": "accounts", "venue": "venues",
          "source": "sources", "person": "people", "role": "roles", "entity": "legal_entities", "number": "actors", "base": "assets", "decider": "people"}
_IDS = {"order", "request", "child", "obligation", "held"}
_SWITCHES = {"enabled", "dealer", "second_person", "cancel", "barred"}
_TIMES = {"received", "expires", "source_time", "good_till"}
_SPANS = {"ttl", "answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl", "max_age", "duration", "period", "window", "auction", "indicative",
          "execution_window", "duplicate_window"}
_PRICES = {"price", "bid", "ask", "limit_price", "book_tick", "quote_tick", "min_price", "max_price", "trigger_price"}
_QUANTITIES = {"quantity", "cum_quantity", "max_quantity", "max_position", "lot", "display", "minimum", "bid_quantity", "ask_quantity", "delta"}
ZERO_SAYS = {"decider": "nobody is named", "account": "none", "instrument": "none", "expires": "never", "received": "not told", "attachment": "none",
             "flags": "none", "person": "no person: a service", "bid": "not given", "ask": "not given", "quote": "the best", "max_position": "no limit",
             "rate_limit": "no limit", "parent": "none", "collar_ppm": "no collar", "trigger": "none", "trigger_price": "none", "display": "all of it",
             "minimum": "none", "good_till": "not told", "offset": "none", "link": "none", "options": "none", "trade_group": "none", "max_waiting": "no limit",
             "cancel_reserve": "none", "max_executions": "not watched", "duplicate_window": "not watched", "fee_instrument": "the quote asset",
             "band_ppm": "no band", "gross": "no limit", "net": "no limit", "loss": "no limit", "delta": "not watched"}


def fields_in_words(kind: int, fields: Mapping[str, int], words: Dictionary, listed: Listed | None = None) -> list[Field]:
    """Every field of a command, in the order of its 128 bytes. `listed`: the instrument it is about, where the record does not name it itself."""
    about = words.listed_by_number(fields.get("instrument", 0)) or listed
    return [Field(name, value, _field(kind, name, value, fields, words, about)) for name, value in fields.items()]


def _field(kind: int, name: str, value: int, fields: Mapping[str, int], words: Dictionary, about: Listed | None) -> str:
    if name == "kind":
        return kind_words(value)
    if not value and name in ZERO_SAYS:
        return ZERO_SAYS[name]
    if name == "options":
        known = [word for bit, word in ((REDUCE_ONLY, "reduce only"), (BY_QUOTE, "by quote")) if value & bit]
        return ", ".join([*known, *([f"#{value}"] if value & ~(REDUCE_ONLY | BY_QUOTE) else [])])
    if name == "side" and kind == Kind.CANCEL_SOME and value == Side.TWO_WAY:
        return "both"
    if name == "offset" and kind == Kind.CONFIGURE_SCHEDULE:
        return format_duration(value)
    if name in ("id_hi", "id_lo"):
        return client_id(fields["id_hi"], fields["id_lo"])[:16 if name == "id_hi" else None][0 if name == "id_hi" else 16:]
    if name in _IDS or (name == "quote" and kind in (Kind.WITHDRAW_QUOTE, Kind.ACCEPT_QUOTE)):
        return words.opaque.text(name, value)  # type: ignore[arg-type]
    if name in _ENUMS:
        return _member(_ENUMS[name], value)
    if name in _NAMES or name == "quote":
        return words.name(_NAMES.get(name, "assets"), value)
    if name in _SWITCHES:
        return "yes" if value == 1 else "no" if value == 0 else str(value)
    if name in _TIMES:
        return moment(value)
    if name in _SPANS:
        return format_duration(value)
    return _amount(kind, name, value, fields, words, about)


def _amount(kind: int, name: str, value: int, fields: Mapping[str, int], words: Dictionary, about: Listed | None) -> str:
    """Prices, quantities and money, each in the unit that its kind gives it."""
    if name == "instrument":
        return about.name if about else f"#{value}"
    if name == "fee_instrument":
        return words.name("instruments", value)
    if name == "quantity" and fields.get("options", 0) & BY_QUOTE and about:
        return money(value, about.quote, words)
    if (name in _PRICES or (name == "offset" and kind == Kind.NEW_ORDER)) and about:
        return grouped(words.price_out(value, about))
    if name in _QUANTITIES and about:
        return f"{grouped(trimmed(words.quantity_out(value, about)))} {words.asset_name(about.base)}"
    if name == "limit" and kind == Kind.CONFIGURE_POSITION and about:
        return f"{grouped(trimmed(words.quantity_out(value, about)))} {words.asset_name(about.base)}"
    if (name in ("fee", "max_notional", "quote_approval_above") and about) or (name == "minimum" and kind == Kind.CONFIGURE_TIER and about):
        return money(value, about.quote, words)
    if name in ("amount", "limit", "quoting_limit", "approval_above", "quote_approval_above") and "asset" in fields:
        return "never" if value == -1 else money(value, fields["asset"], words)
    if name.endswith("_ppm"):
        return f"{trimmed(format_units(value, 4))} %"
    return f"{value:,}"


def _member(names: Any, value: int) -> str:
    return names(value).name.lower().replace("_", " ") if value in names._value2member_map_ else f"#{value}"


def kind_words(kind: int) -> str:
    return Kind(kind).name.lower().replace("_", " ") if kind in Kind._value2member_map_ else f"unknown kind {kind}"


def money(amount: int, asset: int, words: Dictionary) -> str:
    """1,250.50 USD: trailing zeros gone beyond two decimals."""
    text = words.amount_out(amount, asset)
    whole, _, part = text.partition(".")
    kept = part.rstrip("0")
    return f"{grouped(whole + ('.' + kept.ljust(min(2, len(part)), '0') if part else ''))} {words.asset_name(asset)}"


def size(quantity: int, listed: Listed | None, words: Dictionary) -> str:
    return f"{grouped(trimmed(words.quantity_out(quantity, listed)))} {words.asset_name(listed.base)}" if listed else f"{quantity:,}"


def at_price(price: int, listed: Listed | None, words: Dictionary) -> str:
    return grouped(words.price_out(price, listed)) if listed else f"{price:,}"


def who(actor: int, words: Dictionary) -> str:
    """The key, and the person or service that holds it."""
    if not actor:
        return "the design"                     # the genesis is no key's
    name = words.actor_name(actor)
    key = words.design.keys.get(name)
    if key is None:
        return name
    holder = key.person or key.service
    return f"{holder} ({key.role})" if holder in ("", name) else f"{holder} ({key.role}, key {name})"


def command_says(kind: int, fields: Mapping[str, int], words: Dictionary, listed: Listed | None = None) -> str:
    """One command in a sentence without its subject: "asks for a quote: buy 2 BTC of BTC/USD"."""
    f, about = fields, words.listed_by_number(fields.get("instrument", 0)) or listed
    name, account = about.name if about else "", words.account_name(f["account"]) if f.get("account") else ""
    side = _member(Side, f["side"]) if "side" in f else ""
    match kind:
        case Kind.REQUEST_QUOTE: return f"asks for a quote for {account}: {side} {size(f['quantity'], about, words)} in {name}"
        case Kind.QUOTE: return f"quotes for {account}: {_two(f['bid'], f['ask'], about, words)}, standing {format_duration(f['ttl'])}"
        case Kind.ACCEPT_QUOTE: return f"accepts for {account}: {side}s within {at_price(f['limit_price'], about, words)}"
        case Kind.NEW_ORDER: return f"orders for {account}: {side} {order_words(f, about, words)} in {name}"
        case Kind.MASS_QUOTE:
            sides = [f"{word} {size(f[f'{word}_quantity'], about, words)} at {at_price(f[word], about, words)}" for word in ("bid", "ask") if f[word]]
            return f"quotes in the book of {name} for {account}: {', '.join(sides) or 'nothing'}"
        case Kind.CANCEL_SOME:
            what = "all that buy" if f["side"] == Side.BUY else "all that sell" if f["side"] == Side.SELL else "all"
            return " ".join([f"cancels {what}", *([f"in {name}"] if name else []), f"for {account}"])
        case Kind.DEAD_MAN: return f"has all orders of {account} cancelled unless heard of within {span(f['ttl'])}" if f["ttl"] else \
            f"takes back the dead man of {account}"
        case Kind.SESSION:
            then = f", for {_member(Session, f['next'])}" if f["session"] == Session.AUCTION else ""
            lasting = f", for {span(f['duration'])}" if f["duration"] else ""
            return f"calls {_member(Session, f['session'])} in {name}{then}{lasting}"
        case Kind.KILL_TRADER | Kind.REVIVE_TRADER: return f"{'stops' if kind == Kind.KILL_TRADER else 'revives'} the key {words.actor_name(f['number'])}"
        case Kind.MANUAL_CREDIT: return f"credits {account} with {money(f['amount'], f['asset'], words)} out of suspense"
        case Kind.CHANGE_TERMS: return f"changes ticks, lot and range of {name}"
        case Kind.CHANGE_DIGITS: return f"counts {words.asset_name(f['asset'])} with {f['digits']} digits from now on"
        case Kind.NEW_CHILD:
            limit = at_price(f["price"], about, words)
            return f"sends a child order to {words.venue_name(f['venue'])}: {side} {size(f['quantity'], about, words)}, limit {limit}"
        case Kind.CHILD_FILLED:
            return f"reports a fill at {words.venue_name(f['venue'])}: {size(f['quantity'], about, words)} at {at_price(f['price'], about, words)}"
        case Kind.TRANSFER: return f"transfers {money(f['amount'], f['asset'], words)} from {account} to {words.account_name(f['to'])}"
        case Kind.TICK: return "time passes"
    said, own = kind_words(kind), f"in {name}" if f.get("instrument") else ""
    return " ".join(w for w in (f"reports {said}" if kind in FACTS else f"sends {said}", own, f"for {account}" if account else "") if w)


def order_words(f: Mapping[str, int], about: Listed | None, words: Dictionary) -> str:
    """What an order may trade at, when it begins, how it trades and when it ends: "2 BTC at 60,000 stop 59,500 on mark, post only, gtc"."""
    by_quote, kind = f["options"] & BY_QUOTE and about is not None, f["order_type"]
    parts = [money(f["quantity"], about.quote, words) if by_quote and about else size(f["quantity"], about, words)]
    if kind == OrderType.LIMIT:
        parts.append(f"at {at_price(f['price'], about, words)}")
    elif kind in PEGGED:
        offset = f" {at_price(f['offset'], about, words)} away" if f["offset"] else ""
        parts.append(f"pegged to the {_member(OrderType, kind)}{offset}, at worst {at_price(f['price'], about, words)}")
    else:
        parts.append("at the market")
    if f["trigger"]:
        parts.append(f"{_member(Trigger, f['trigger'])} {at_price(f['trigger_price'], about, words)} on {_member(TriggerOn, f['trigger_on'])}")
    how = [word for word, said in (("post only", f["post_only"] == PostOnly.REJECT), ("post only, sliding", f["post_only"] == PostOnly.SLIDE),
                                   ("reduce only", f["options"] & REDUCE_ONLY)) if said]
    how += [f"{name} {size(f[name], about, words)}" for name in ("display", "minimum") if f[name]]
    how.append(_member(TimeInForce, f["time_in_force"]) + (f" {moment(f['good_till'])}" if f["good_till"] else ""))
    if f["link"]:
        how.append(f"{_member(Link, f['link'])} of a list")
    return ", ".join([" ".join(parts), *how])


def _two(bid: int, ask: int, about: Listed | None, words: Dictionary) -> str:
    return " / ".join([*([f"bid {at_price(bid, about, words)}"] if bid else []), *([f"ask {at_price(ask, about, words)}"] if ask else [])])


# ----------------------------------------------------------------------------------------------------------------- events
_TEXTS: dict[Event, str] = {
    Event.REFUSED: "refused: {reason}",
    Event.DUPLICATE: "heard before: the first answer stands",
    Event.HELD: "held for a second person",
    Event.DONE: "done",
    Event.ALERT: "a person is called: {reason}",
    Event.ORDER_ACCEPTED: "order of {account} accepted: {quantity} at {price}",
    Event.ORDER_CANCELLED: "order of {account} cancelled ({reason}): {cancelled} left",
    Event.ORDER_AMENDED: "order of {account} amended: {quantity} at {price}, {leaves} open",
    Event.ORDER_REDUCED: "order of {account} reduced by {prevented} ({reason})",
    Event.ORDER_MOVED: "pegged order of {account} moved to {price}",
    Event.ORDER_TRIGGERED: "order of {account} triggered: {leaves} at {price} or better",
    Event.BOOK_QUOTED: "{account} quotes in the book: {prices}",
    Event.FEE_CHARGED: "fee of {account}: {amount}",
    Event.PROTECTED: "quotes of {account} withdrawn by its own protection: {quantity} traded in the window",
    Event.SESSION_CHANGED: "session is now {session}",
    Event.INDICATIVE: "the auction would trade {quantity} at {price}",
    Event.UNCROSSED: "the auction trades {quantity} at {price}",
    Event.TERMS_CHANGED: "ticks and lot changed: a price increment is {price_factor} times finer",
    Event.DIGITS_CHANGED: "{asset} is counted with {digits} digits now",
    Event.REQUEST_OPENED: "request of {account} opened: {side} {quantity}",
    Event.REQUEST_INVITED: "{account} invited to quote",
    Event.QUOTED: "quote of {account} is live: {prices}",
    Event.QUOTE_SHOWN: "quote shown to {account}: {prices}",
    Event.QUOTE_ENDED: "quote ended for {account}: {reason}",
    Event.REQUEST_ENDED: "request ended for {account}: {reason}",
    Event.DEPOSITED: "{account} credited {amount}",
    Event.DEPOSIT_REVERSED: "deposit of {account} reversed: {amount}",
    Event.CUSTODY_MOVED: "custody moved: {amount}",
    Event.TRANSFERRED: "{account} received {amount}",
    Event.REFERENCE: "reference now {price}",
    Event.CHILD_OPENED: "child order opened at {venue}: {quantity} at {price}",
    Event.CHILD_CHANGED: "child order is {state}, {leaves} open",
    Event.CHILD_FILL: "hedged at {venue}: {quantity} at {price}",
    Event.CHILD_CANCEL_ASKED: "cancel asked of {venue}",
    Event.CUT_OFF: "cut-off {cycle}",
    Event.OBLIGATION: "{account} {owes} {amount}",
    Event.SETTLED: "settled: {account} {paid} {amount}",
    Event.SWEPT: "mass action worked off: {swept}",
    Event.APPROVED: "approved by {by}",
    Event.DENIED: "denied by {by}",
    Event.HELD_EXPIRED: "lapsed: nobody decided in time",
}
_BAD = {Event.REFUSED, Event.DENIED, Event.HELD_EXPIRED}
_GOOD = {Event.FILLED, Event.CHILD_FILL, Event.SETTLED, Event.APPROVED}
_SPENT = ("quote_quantity", "quote_leaves", "quote_cancelled")          # of an order by quote quantity
_SIZES = {"quantity", "leaves", "cancelled", "prevented", "bid_quantity", "ask_quantity", "surplus", "delta", "lot"}


def event_says(row: Row, words: Dictionary) -> Said:
    """An event in a sentence, and all its facts. The row has the fields of EVENT, and `time`."""
    told = words.told_to_staff(row, int(row["time"]))       # type: ignore[arg-type]
    event = Event(int(row["kind"])) if row["kind"] in Event._value2member_map_ else None
    about = words.listed_by_number(int(row["instrument"]))
    shown = {name: _shown(name, value, row, about, words) for name, value in told.items()}
    facts = tuple((name, text) for name, text in shown.items() if name not in ("event", "time", "sequence", "client_id", "command", "account") and text)
    if event is None:
        return Said(f"event {row['kind']}", facts, "plain")
    tone = "alert" if event is Event.ALERT else "bad" if event in _BAD else "good" if event in _GOOD else "plain"
    if event is Event.FILLED:
        verb = "bought" if row["side"] == Side.BUY else "sold"
        fee = f", fee {money(int(row['fee']), about.quote, words)}" if row["fee"] and about else ""
        how = words.liquidity_name(int(row["liquidity"]))
        return Said(f"{shown['account']} {verb} {shown['quantity']} at {shown['price']} ({how}){fee}", facts, tone)
    if event.name == "LEVEL":
        return Said(f"book {shown['side']} {shown['price']}: {shown['quantity']}", facts, tone)
    if event is Event.ALERT and row["reason"] in (Reason.DAILY_LOSS, Reason.EXECUTIONS):
        return Said(f"a person is called: {shown['reason']} of {words.account_name(int(row['id']))}, which is stopped", facts, tone)
    amount = int(row["amount"])
    extra = {"owes": "owes" if amount < 0 else "is owed", "paid": "paid" if amount < 0 else "received", "prices": _two(int(row["price"]), amount, about, words)}
    spent = {name.removeprefix("quote_"): shown[name] for name in _SPENT if name in shown}
    return Said(_TEXTS[event].format_map(_Blank({**spent, **shown, **extra})), facts, tone)


class _Blank(dict):
    """What an event does not tell is "none" in its sentence."""
    def __missing__(self, key: str) -> str:
        return "none"


def _shown(name: str, value: Any, row: Row, about: Listed | None, words: Dictionary) -> str:
    if value is None or value == "":
        return ""
    if name in ("expires", "lapses"):
        return clock(int(value))
    if name in _SPENT and about:
        return f"{grouped(trimmed(value))} {words.asset_name(about.quote)}"
    if name in _SIZES and about:
        return f"{grouped(trimmed(value))} {words.asset_name(about.base)}"
    if name in ("price", "bid", "ask", "trigger", "anchor"):
        return grouped(value)
    if name == "ends":
        return clock(int(value)) if value else ""
    if name in ("amount", "fee", "deficit") and isinstance(value, str):
        asset = about.quote if about and row["kind"] != Event.FEE_CHARGED else int(row["other"])
        owed = row["kind"] in (Event.OBLIGATION, Event.SETTLED)
        return money(abs(int(row["amount"])) if owed else int(row["fee" if name != "amount" else "amount"]), asset, words)
    return str(value).replace("_", " ").lower() if name in ("reason", "state", "side", "liquidity", "session", "next") else str(value)


def about_what(kind: int) -> tuple[str, ...]:
    """The names a kind of command has for what it is about, of those that are ids."""
    if kind not in Kind._value2member_map_:
        return ()
    return tuple(n for n in FIELDS[Kind(kind)] if n in _IDS or (n == "quote" and kind in (Kind.WITHDRAW_QUOTE, Kind.ACCEPT_QUOTE)))


def child_state_words(state: int) -> str:
    return {ChildState.PENDING: "pending: the venue has said nothing yet", ChildState.WORKING: "working",
            ChildState.UNKNOWN: "unknown: an answer never came, and all of it counts as exposure",
            ChildState.CLOSING: "closing: the venue closed it and still owes us fills", ChildState.DONE: "done"}.get(ChildState(state), str(state))
