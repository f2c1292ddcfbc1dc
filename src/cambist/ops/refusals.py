"""Why a command was refused: the check that said no, the limit it held, and what was asked, side by side.

Decides how each reason is explained from the design and the command itself. It must not know the state as it was then: what only the state knew (a balance, a
position, a line already used) is named as such and never made up.
"""
from collections.abc import Mapping

from cambist.design import accounts
from cambist.dictionary import Dictionary, Listed
from cambist.messages import FLOATING, Kind, Reason, Side
from cambist.ops.wording import at_price, kind_words, moment, money, size, span, trimmed, who
from cambist.sections import Instrument
from cambist.units import PPM, OutOfRange, format_units

R = Reason
# (the check in words, the section of docs/rules.md that orders it)
CHECKS: dict[Reason, str] = {
    R.UNKNOWN_KIND: "no command has this number",
    R.UNDEFINED_BITS: "bits were set that mean nothing in this kind",
    R.BAD_GROUP: "the group was not whole",
    R.NOT_STARTED: "the cell had not started",
    R.ALREADY_STARTED: "the cell had started already",
    R.SKIPPED: "this command stopped the core, and the house decided not to apply it; a person looks at why",
    R.UNKNOWN_ACTOR: "no key has this number",
    R.ACTOR_DISABLED: "the key is switched off",
    R.NOT_ALLOWED: "the key's role may not send this kind",
    R.UNKNOWN_ACCOUNT: "no account has this number",
    R.FOREIGN_ACCOUNT: "the account is not one this key may name",
    R.ACCOUNT_DISABLED: "the account is switched off",
    R.NO_ID: "the command carried no id",
    R.EXPIRED: "the command came after the moment until which it was to count",
    R.EXPIRY_TOO_FAR: "the command's expiry lies beyond the answer window",
    R.NUMBER_GAP: "a number was left out",
    R.NUMBER_OLD: "the number is older than the window of numbered answers",
    R.ANSWER_QUOTA: "the account has as many answered commands alive as it may",
    R.RATE: "the account sent more in one second than it may",
    R.KILLED: "the account is stopped by the kill switch",
    R.KILLED_ALL: "everything is stopped by the kill switch",
    R.HALTED: "the instrument is halted",
    R.SWEEPING: "a mass cancel is still being worked off",
    R.UNKNOWN_INSTRUMENT: "no instrument has this number",
    R.UNKNOWN_ASSET: "no asset has this number",
    R.BAD_SIDE: "the side is none that fits",
    R.BAD_TYPE: "the type of order is none there is",
    R.BAD_TIME_IN_FORCE: "the time in force is none that fits",
    R.BAD_SELF_TRADE: "the self-trade rule is none there is",
    R.BAD_PRICE: "the price is outside the instrument's range",
    R.OFF_TICK: "the price is not on the tick",
    R.BAD_QUANTITY: "the quantity is not above zero",
    R.OFF_LOT: "the quantity is not a whole number of lots",
    R.BAD_TTL: "the time to stand is outside its range",
    R.BAD_AMOUNT: "the amount is outside its range",
    R.OVERFLOW: "the result would be beyond the largest amount",
    R.MAX_QUANTITY: "larger than one order may be",
    R.MAX_NOTIONAL: "worth more than one order may be",
    R.NO_REFERENCE: "too few fresh price sources to know a reference",
    R.COLLAR: "the price is too far from the reference",
    R.OPEN_ORDERS: "the account has as many open as it may",
    R.POSITION: "the position could become larger than its limit",
    R.INSUFFICIENT: "not enough is available",
    R.CREDIT: "the credit line is not long enough",
    R.QUOTING_LINE: "the live quotes would come to more than the quoting line",
    R.UNCOVERED: "the desk may not pay out what it is short of",
    R.INVENTORY: "the desk would be shorter than its inventory limit",
    R.CAPACITY: "a table of the cell is full",
    R.UNKNOWN_ORDER: "no such order of this account is open",
    R.POST_ONLY: "it would have traded at once, and was to rest only",
    R.UNFILLABLE: "it could not be filled whole",
    R.UNKNOWN_REQUEST: "no such request is known",
    R.REQUEST_CLOSED: "the request was over",
    R.NOT_A_DEALER: "the account is not invited to quote",
    R.OWN_REQUEST: "nobody quotes their own request",
    R.CROSSED_QUOTE: "the bid was above the ask",
    R.WRONG_SIDES: "a side was given that was not asked for, or one that was asked for is missing",
    R.UNKNOWN_QUOTE: "no such quote of this request is known",
    R.NO_QUOTE: "no live quote within the client's limit could be traded",
    R.UNKNOWN_VENUE: "no such venue is in use",
    R.VENUE_FUNDS: "not enough lies at the venue",
    R.VENUE_STOPPED: "the instrument is stopped at this venue until a person has looked",
    R.UNKNOWN_CHILD: "no such child order is open",
    R.CHILD_OVER: "the child order is over",
    R.UNKNOWN_SOURCE: "no such price source is enabled",
    R.NOT_CUSTODY: "the account is no place of custody",
    R.NETTING: "the last cut-off is still being worked off",
    R.UNKNOWN_OBLIGATION: "no such obligation is open",
    R.HOUSE_UNCOVERED: "the house has not yet received what it must deliver",
    R.UNPAID: "the receiver still owes",
    R.UNKNOWN_HELD: "nothing is held under this id any more",
    R.SAME_PERSON: "nobody approves their own: this needs another person",
    R.NOT_A_PERSON: "a service cannot approve",
    R.WRONG_DIGEST: "what was approved is not what is held",
    R.BAD_VALUE: "a value is outside its range",
    R.BAD_NUMBER: "the number is neither known nor the next",
    R.IMMUTABLE: "a field may not change once given",
    R.SESSION: "not in this session of the instrument",
    R.FROZEN: "market-maker protection has tripped and was not reset",
    R.NOT_HALTED: "precision changes only while nothing trades",
    R.IN_USE: "something still stands that the change would concern",
    R.BAD_SESSION: "no way leads to this session from the one there is",
    R.BAD_TRIGGER: "the trigger is out of range, was reached already, or does not go with this kind of order",
    R.BAD_DISPLAY: "the quantity to show is none that fits",
    R.BAD_LINK: "the orders of the group are none of the groups there are",
    R.UNAMENDABLE: "an order that waits, is pegged, linked or quoted is not amended: cancel it and send another",
    R.DUPLICATE_ORDER: "the same order as the one before, too soon after it",
    R.RESTRICTED: "the account or the key may not trade this instrument",
    R.EXPOSURE: "the exposure of the account could become larger than its limit",
    R.WAITING_ORDERS: "the account has as many waiting orders in this instrument as it may",
    R.FLOATING: "the instrument has as many pegged and trailing orders as it takes",
    R.REDUCE_ONLY: "it would not only reduce the position",
    R.TRADER_KILLED: "the key is stopped by the kill switch",
    R.NO_RATE: "the quote asset has no rate in the numeraire, so exposure cannot be known",
    R.MINT: "custody has not brought this much that nobody owns",
}


def why(reason: int, kind: int, fields: Mapping[str, int], words: Dictionary, time: int, listed: Listed | None = None,
        reference: int | None = None) -> list[str]:
    """The check, then its limit and what was asked, a line each. `reference`: the core's reference price then, None where it is not known here."""
    found = Reason(reason) if reason in Reason._value2member_map_ else None
    lines = [CHECKS.get(found, f"reason {reason}") if found else f"reason {reason}"]
    about = words.listed_by_number(fields.get("instrument", 0)) or listed
    row = words.design.instruments.get(about.name) if about else None
    if about and row and found:
        lines += _of_instrument(found, fields, words, about, row, reference)
    return lines + (_of_account(found, kind, fields, words, about) + _of_sender(found, kind, fields, words, time) if found else [])


def _of_instrument(reason: Reason, fields: Mapping[str, int], words: Dictionary, about: Listed, row: Instrument, reference: int | None) -> list[str]:
    limits, base, quote = row.limits, words.asset_name(about.base), words.asset_name(about.quote)
    prices = [fields[n] for n in ("price", "bid", "ask", "limit_price") if fields.get(n)]
    asked = f"asked: {' and '.join(at_price(p, about, words) for p in prices)}"
    quantity = fields.get("quantity", 0)
    match reason:
        case R.OFF_TICK: return [f"ticks: {row.book_tick} in the book, {row.quote_tick} for quotes", asked]
        case R.BAD_PRICE: return [f"range: {row.min_price} to {row.max_price}", asked]
        case R.OFF_LOT: return [f"lot: {row.lot} {base}", f"asked: {size(quantity, about, words)}"]
        case R.MAX_QUANTITY: return [f"limit: {limits.max_quantity if limits else '0'} {base}", f"asked: {size(quantity, about, words)}"]
        case R.MAX_NOTIONAL if limits:
            return [f"limit: {limits.max_notional} {quote}", *([f"asked: {_worth(quantity, max(prices), words, about)}"] if prices and quantity else [])]
        case R.COLLAR if limits:
            share = trimmed(format_units(limits.collar_ppm, 4))
            return [f"limit: {share} % either side of the reference", *_band(limits.collar_ppm, reference, about, words), asked]
        case R.NO_REFERENCE if limits:
            return [f"needed: {limits.min_sources} of {', '.join(row.sources)} no older than {span(limits.max_age)}"]
        case R.BAD_TTL if "ttl" in fields: return [f"limit: {span(words.design.cell.max_ttl)}", f"asked: {span(fields['ttl'])}"]
        case R.BAD_TTL if fields.get("good_till"): return [f"asked: until {moment(fields['good_till'])}"]
        case R.BAD_TRIGGER if fields.get("trigger_price"): return [f"asked: {at_price(fields['trigger_price'], about, words)}"]
        case R.BAD_DISPLAY: return [f"lot: {row.lot} {base}", f"asked: {size(fields.get('display', 0), about, words)} of {size(quantity, about, words)}"]
        case R.UNFILLABLE if fields.get("minimum"): return [f"asked: at least {size(fields['minimum'], about, words)} at once"]
        case R.FLOATING: return [f"limit: {FLOATING} in {about.name}"]
    return []


def _worth(quantity: int, price: int, words: Dictionary, about: Listed) -> str:
    try:
        return f"{size(quantity, about, words)} at {at_price(price, about, words)} is {money(words.amount_of(quantity, price, about), about.quote, words)}"
    except OutOfRange:
        return "beyond the largest amount there is"


def _band(ppm: int, reference: int | None, about: Listed, words: Dictionary) -> list[str]:
    if reference is None:
        return ["the reference then is not kept here: `cambist explain` reads it from the log"]
    band = reference * ppm // PPM
    return [f"reference then: {at_price(reference, about, words)}, so {at_price(reference - band, about, words)} to {at_price(reference + band, about, words)}"]


def _of_account(reason: Reason, kind: int, fields: Mapping[str, int], words: Dictionary, about: Listed | None) -> list[str]:
    name = words.account_name(fields.get("account", 0))
    path_row = accounts(words.design).get(name)
    row = path_row[1] if path_row else None
    credit, quoting, shorts = (getattr(row, n, {}) for n in ("credit", "quoting", "shorts"))
    quote = words.asset_name(about.quote) if about else ""
    match reason:
        case R.RATE if row: return [f"limit: {row.rate_limit} a second for {name}"]
        case R.OPEN_ORDERS if row: return [f"limit: {row.max_open} open for {name}"]
        case R.ANSWER_QUOTA if row: return [f"limit: {row.answer_quota} answers of {name} within {span(words.design.cell.answer_window)}"]
        case R.POSITION if about:
            own = getattr(row, "positions", {}).get(about.name)
            limits = words.design.instruments[about.name].limits
            limit = own if own is not None else limits.max_position if limits else "0"
            asked = [f"asked: {size(fields['quantity'], about, words)}"] if fields.get("quantity") else []
            return [f"limit: {limit} {words.asset_name(about.base)} either way for {name}", *asked, "position and open orders then: only the state knew"]
        case R.CREDIT: return [f"credit line of {name}: {credit.get(quote, '0')} {quote}", "used then: only the state knew"]
        case R.QUOTING_LINE: return [f"quoting line of {name}: {quoting.get(quote, '0')} {quote}", "live quotes then: only the state knew"]
        case R.INVENTORY: return [f"inventory limits of {name}: {', '.join(f'{text} {asset}' for asset, text in shorts.items()) or 'none'}"]
        case R.INSUFFICIENT | R.UNCOVERED:
            asked = [f"asked: {money(fields['amount'], fields['asset'], words)}"] if kind == Kind.TRANSFER else []
            return [*asked, f"available to {name} then: only the state knew"]
        case R.WAITING_ORDERS if row: return [f"limit: {row.max_waiting} waiting in one instrument for {name}"]
        case R.DUPLICATE_ORDER if row: return [f"limit: {span(row.duplicate_window)} between two that are alike, for {name}"]
        case R.EXPOSURE if row and row.exposure:
            limits = [f"{word} {limit}" for word, limit in (("gross", row.exposure.gross), ("net", row.exposure.net)) if limit != "0"]
            return [f"limit of {name}: {', '.join(limits)}", "exposure then: only the state knew"]
        case R.RESTRICTED: return [f"barred for {name}: {', '.join(getattr(row, 'restricted', ())) or 'nothing: it is the key that is barred'}"]
        case R.FROZEN if row and about and (own := row.protection.get(about.name)):
            return [f"protection of {name}: {own.quantity} traded, {own.delta} either way, within {span(own.window)}", "a reset lets it quote again"]
        case R.VENUE_FUNDS | R.VENUE_STOPPED: return [f"venue: {words.venue_name(fields.get('venue', 0))}"]
        case R.BAD_SIDE: return [f"asked: {fields.get('side')}; there are {', '.join(f'{s.value} {s.name.lower()}' for s in Side)}"]
    return []


def _of_sender(reason: Reason, kind: int, fields: Mapping[str, int], words: Dictionary, time: int) -> list[str]:
    key = words.design.keys.get(words.actor_name(fields.get("actor", 0)))
    window = words.design.cell.answer_window
    match reason:
        case R.NOT_ALLOWED if key:
            return [f"role {key.role} may not send {kind_words(kind)}, or not for this account", f"sent by {who(fields['actor'], words)}"]
        case R.FOREIGN_ACCOUNT if key:
            return [f"{who(fields['actor'], words)} is for {key.account or 'no account'}, and named {words.account_name(fields.get('account', 0))}"]
        case R.EXPIRED: return [f"it was to count until {moment(fields.get('expires', 0))}, and log time was {moment(time)}"]
        case R.EXPIRY_TOO_FAR:
            until = fields.get("expires", 0)
            return [f"window: {span(window)}", f"asked: until {moment(until)}, {span(until - time)} ahead"]
        case R.TRADER_KILLED: return [f"stopped: {who(fields.get('actor', 0), words)}"]
        case R.RESTRICTED if key and key.restricted: return [f"barred for the key {words.actor_name(fields['actor'])}: {', '.join(key.restricted)}"]
        case R.SAME_PERSON | R.NOT_A_PERSON: return [f"decided by {who(fields.get('actor', 0), words)}"]
    return []
