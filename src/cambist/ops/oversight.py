"""What a person has to see: what is stopped, what waits for a second person, and what the house does not know now.

Decides, from the tables of the state and from events, which of them are latched, open or doubtful, and in what words. It must not know how they were read,
nor send anything. What could not be read is itself something unknown, never an empty list.
"""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed
from cambist.messages import ChildState, Kind, Reason, Session
from cambist.ops.price_parts import PriceParts, read_parts
from cambist.ops.wording import Field, at_price, child_state_words, clock, command_says, fields_in_words, kind_words, money, size, span, who

Row = Mapping[str, Any]
PENDING_NS = 5 * 10**9                          # a child order whose venue has said nothing for so long is doubtful
ALERTS_MOST = 100


# ----------------------------------------------------------------------------------------------------------------- latches
class Latch(NamedTuple):
    """Something does not trade as it always does. `what`: all, account, key, instrument, session or protection; `name`: whose."""
    what: str
    name: str
    words: str


def latches(cell: Row | None, instruments: Sequence[Row], accounts: Iterable[Row], words: Dictionary, controls: Mapping[str, Any] | None = None) -> list[Latch]:
    """Everything stopped now, the widest first; then what is called to an auction or closed, and quotes that were withdrawn by protection. `controls`: the view
    of that name."""
    found = []
    if cell and cell["killed_all"]:
        found.append(Latch("all", "", "Kill switch: all trading is stopped"))
    for row in accounts:
        if row["killed"]:
            name = words.account_name(row["account"])
            found.append(Latch("account", name, f"Account {name} is stopped by the kill switch"))
    for row in (controls or {}).get("actors", ()):
        if row.get("killed"):
            name = words.actor_name(row["actor"])
            found.append(Latch("key", name, f"Key {name} is stopped by the kill switch"))
    for row in instruments:
        if row["halted"]:
            listed = words.listed_by_number(row["instrument"])
            name = listed.name if listed else f"#{row['instrument']}"
            found.append(Latch("instrument", name, f"{name} is halted"))
    for row in instruments:
        if row.get("session", Session.CONTINUOUS) != Session.CONTINUOUS:
            listed = words.listed_by_number(row["instrument"])
            name = listed.name if listed else f"#{row['instrument']}"
            found.append(Latch("session", name, f"{name}: {session_words(row)}"))
    for row in (controls or {}).get("protections", ()):
        if row["frozen"]:
            name = protection_name(row, words)
            found.append(Latch("protection", name, f"Quotes of {name} are withdrawn by protection"))
    return found


def session_words(row: Row) -> str:
    """The session of a row of instruments, for people: "volatility auction until 14:03:07"."""
    session, ends = Session(row.get("session", Session.CONTINUOUS)), row.get("auction_ends", 0)
    until = f" until {clock(ends)[:8]}" if ends else ", until somebody ends it" if session in (Session.AUCTION, Session.VOLATILITY) else ""
    said = {Session.VOLATILITY: "volatility auction", Session.AUCTION: f"auction for {'the close' if row.get('next_session') == Session.CLOSED else 'trading'}",
            Session.PRE_OPEN: "pre-open", Session.CANCEL_ONLY: "only cancels are taken", Session.CLOSED: "closed"}.get(session, "continuous")
    return f"{said}{until}"


def protection_name(row: Row, words: Dictionary) -> str:
    """Whose protection, and where: "b2 BTC/USD"."""
    listed = words.listed_by_number(row["instrument"])
    return f"{words.account_name(row['account'])} {listed.name if listed else row['instrument']}"


# ------------------------------------------------------------------------------------------------------------------- held
class Held(NamedTuple):
    """A command that waits, as it is shown: the very bytes in hex, every field in words, and the digest an approval signs. Times in ns, log time."""
    number: int
    id: str
    sequence: int
    kind: int
    what: str
    text: str
    account: str
    asked_by: str
    key: str
    person: str
    lapses: int
    fields: tuple[Field, ...]
    record: str
    sha256: str
    request: int
    parts: PriceParts | None


def held_shown(row: Row, attachment: str | None, words: Dictionary, listed: Listed | None = None) -> Held:
    """A row of the view `held`. `listed`: the instrument of the request that a held quote is for."""
    fields = {name: int(value) for name, value in row["fields"].items()}
    kind, account = fields.get("kind", 0), int(row["account"])
    actor, person = fields.get("actor", 0), int(row["person"])
    return Held(int(row["id"]), words.opaque.text("held", int(row["id"])), int(row["sequence"]), kind, kind_words(kind),
                command_says(kind, fields, words, listed), words.account_name(account) if account else "the house", who(actor, words), words.actor_name(actor),
                words.person_name(person) if person else "", int(row["lapse"]), tuple(fields_in_words(kind, fields, words, listed)), row["record"],
                row["sha256"], fields.get("request", 0) if kind == Kind.QUOTE else 0, read_parts(attachment, words))


def hex_rows(record: str) -> list[tuple[str, str]]:
    """128 bytes as rows of 16, each with its offset."""
    return [(f"{i // 2:03}", " ".join(record[i:i + 32][k:k + 4] for k in range(0, 32, 4))) for i in range(0, len(record), 32)]


def digest_words(sha256: str) -> dict[str, int]:
    """The four words of APPROVE: the digest that was shown, read as big-endian signed integers. Raises ValueError for another text."""
    data = bytes.fromhex(sha256)
    if len(data) != 32:
        raise ValueError(f"a digest of {len(data)} bytes; right would be 32")
    return {f"digest{i}": int.from_bytes(data[8 * i:8 * i + 8], "big", signed=True) for i in range(4)}


# ---------------------------------------------------------------------------------------------------------------- unknown
class Doubt(NamedTuple):
    """Something the house does not know. `kind`: child, source, reference, fact, answer, venue or command. `since`: ns of log time, 0 where nobody can tell."""
    kind: str
    subject: str
    text: str
    since: int
    link: str


def child_doubts(children: Iterable[Row], opened: Mapping[int, int], now: int, words: Dictionary) -> list[Doubt]:
    """Child orders whose fate only the venue knows: unknown, closing, or pending too long. `opened`: log time by child id, where it is known."""
    found = []
    for row in children:
        state, since = row["state"], opened.get(row["id"], 0)
        late = state == ChildState.PENDING and since and now - since > PENDING_NS
        if state in (ChildState.UNKNOWN, ChildState.CLOSING) or late:
            listed = words.listed_by_number(row["instrument"])
            left = size(row["quantity"] - row["filled"], listed, words)
            told = words.opaque.text("child", row["id"])
            found.append(Doubt("child", f"{words.venue_name(row['venue'])}: {left} open", child_state_words(state), since, told))
    return found


def price_doubts(instruments: Iterable[Row], sources: Iterable[Row], now: int, words: Dictionary) -> list[Doubt]:
    """Sources that say nothing fresh, and instruments with too few of them to have a reference."""
    ages = {row["instrument"]: row["max_age"] for row in instruments}
    needed = {row["instrument"]: row["min_sources"] for row in instruments}
    fresh: dict[int, int] = dict.fromkeys(ages, 0)
    found = []
    for row in sources:
        number, most = row["instrument"], ages.get(row["instrument"], 0)
        if not row["enabled"]:
            continue
        if row["price"] and now - row["posted_at"] <= most:
            fresh[number] = fresh.get(number, 0) + 1
            continue
        listed = words.listed_by_number(number)
        text = f"last said {at_price(row['price'], listed, words)}, {span(now - row['posted_at'])} ago; older than {span(most)} is not used" if row["price"] \
            else "has never posted a price"
        found.append(Doubt("source", f"{words.source_name(row['source'])} for {listed.name if listed else number}", text, row["posted_at"], ""))
    for number, count in fresh.items():
        listed = words.listed_by_number(number)
        if count < needed[number]:
            found.insert(0, Doubt("reference", listed.name if listed else f"#{number}",
                                  f"no reference price: {count} of {needed[number]} sources are fresh; every order with a collar is refused", 0, ""))
    return found


def fact_doubts(alerts: Sequence[Row], words: Dictionary) -> list[Doubt]:
    """Facts that matched nothing, and other calls for a person: newest first, at most ALERTS_MOST."""
    found = []
    for row in alerts[:ALERTS_MOST]:
        reason = Reason(row["reason"]) if row["reason"] in Reason._value2member_map_ else Reason.NONE
        subject, text = _alert_words(row, reason, words)
        child = _unanswered(row, reason)
        link = words.opaque.text("child", row["id"]) if child else f"@{row['sequence']}"
        found.append(Doubt("answer" if child else "fact", subject, text, row["time"], link))
    return found


def _unanswered(row: Row, reason: Reason) -> bool:
    """Whether an alert is of a child order of ours whose answer never came: it names the instrument, and nothing is in suspense."""
    return reason is Reason.UNMATCHED and bool(row["instrument"]) and not row["amount"] and bool(row["id"] >> 32)


def _alert_words(row: Row, reason: Reason, words: Dictionary) -> tuple[str, str]:
    listed = words.listed_by_number(row["instrument"])
    match reason:
        case Reason.UNMATCHED if _unanswered(row, reason):
            return f"{words.venue_name(row['other'])}, {listed.name if listed else ''}", "an answer to a child order never came; its story says what it is now"
        case Reason.UNMATCHED if listed or row["command"] in _CHILD_FACTS or row["id"] >> 32:
            where = words.venue_name(row["other"])
            extra = f"; {size(row['amount'], listed, words)} lie in suspense, and the instrument is stopped there" if row["amount"] and listed else ""
            return f"{where}{f', {listed.name}' if listed else ''}", f"the venue reports what matches no child order of ours{extra}"
        case Reason.UNMATCHED:
            return words.account_name(row["id"]), f"{money(row['amount'], row['other'], words)} came for an account that cannot take it: in suspense"
        case Reason.OVERFILL:
            extra = size(row["amount"], listed, words)
            return words.venue_name(row["other"]), f"the venue filled more than was ordered: {extra} lie in suspense, and the instrument is stopped there"
        case Reason.INSUFFICIENT: return "deficit", f"a deposit was taken back that was spent: {money(row['amount'], row['other'], words)} are missing"
        case Reason.CAPACITY: return words.account_name(row["id"]), "the table of obligations had no room: this account is not netted yet"
        case Reason.DAILY_LOSS | Reason.EXECUTIONS:
            what = "lost more in a day than it may" if reason is Reason.DAILY_LOSS else "executed more often than it may"
            return words.account_name(row["id"]), f"{what}: it is stopped, and somebody must let it trade again"
        case Reason.SWEEPING | Reason.BAD_SESSION if (at := words.listed_by_number(row["id"])) is not None:
            return at.name, f"a session that was due by the schedule did not come: {reason.name.lower().replace('_', ' ')}"
        case Reason.FACT_REPEATED_LATE: return "facts", "the table of facts let go of a young one: a repeat might count twice; make it larger"
    return f"#{row['id']}", reason.name.lower().replace("_", " ")


_CHILD_FACTS = {Kind.CHILD_ACKED, Kind.CHILD_FILLED, Kind.CHILD_CLOSED, Kind.CHILD_UNKNOWN}


def stop_doubts(stopped: int) -> list[Doubt]:
    """How many pairs of venue and instrument are stopped until a person has looked."""
    return [Doubt("venue", f"{stopped} stopped", "an instrument at a venue takes no child order until what did not match is cleared", 0, "")] if stopped else []
