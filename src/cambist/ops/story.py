"""The whole story of one thing: every command and event that touches an order, a request, a quote, a child order, an obligation, a held command or a
place in the log, and what followed from it.

Decides which events belong to a story and in what order they are told. It must not know where they are kept: `tell` is a generator that asks questions
(Find, Window, Read) and is given answers, so that the log on disk and a running node's read model tell the same story. Bounded: STEPS_MOST commands.

    request -> invitations -> quotes, with the parts of their prices -> accept -> fills -> hedges -> netting -> settlement
"""
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from cambist.dictionary import Dictionary, Listed
from cambist.messages import Event, Kind, Liquidity, Reason, Side
from cambist.opaque import PREFIXES
from cambist.ops.price_parts import PriceParts, read_parts
from cambist.ops.refusals import why
from cambist.ops.wording import Field, about_what, command_says, event_says, fields_in_words, who

Row: TypeAlias = dict[str, Any]                 # one event by the names of EVENT, and `time`, its log time in ns
STEPS_MOST = 256                                # commands in one story
EVENTS_MOST = 24                                # events told of one command; the rest are counted
HEDGES_MOST = 32                                # child orders that follow one fill
HEDGE_NS = 60 * 10**9                           # how long after a fill its hedge is looked for
HELD_MOST = 64                                  # held quotes looked at for one request
WINDOW_MOST = 1_000                             # events of one answer
SESSIONS = (Event.SESSION_CHANGED, Event.UNCROSSED)
SESSIONS_MOST = 16                              # changes of session told of one order
MADE_BY = {Event.ORDER_ACCEPTED: "order", Event.BOOK_QUOTED: "order", Event.REQUEST_OPENED: "request", Event.REQUEST_INVITED: "request",
           Event.QUOTED: "quote", Event.QUOTE_SHOWN: "quote", Event.CHILD_OPENED: "child", Event.OBLIGATION: "obligation", Event.HELD: "held"}


# -------------------------------------------------------------------------------------------------------------- questions
class Find(NamedTuple):
    """Every event that names one of these ids, as what it is about or as the other; oldest first. `kinds`: only those."""
    ids: tuple[int, ...]
    kinds: tuple[int, ...] = ()


class Window(NamedTuple):
    """Events of these kinds from `since` until before `until` (log time; None: no end), of an account and an instrument (0: any); oldest first."""
    since: int
    until: int | None
    kinds: tuple[int, ...]
    account: int = 0
    instrument: int = 0


class Read(NamedTuple):
    """What was recorded at these sequences: a list of Record, those that are there."""
    sequences: tuple[int, ...]


class Reference(NamedTuple):
    """The core's reference of an instrument just before a sequence: a price, or None where it is not kept."""
    instrument: int
    sequence: int


class Record(NamedTuple):
    """A command as it was recorded: log time in ns, its kind and fields by name, its attachment, its stamps (monotonic ns) or None, and its events."""
    sequence: int
    time: int
    kind: int
    fields: Mapping[str, int]
    attachment: str | None
    stamps: Mapping[str, int] | None
    events: Sequence[Row]


Question: TypeAlias = Find | Window | Read | Reference


class Source(Protocol):
    """Where the answers come from."""
    def find(self, ids: tuple[int, ...], kinds: tuple[int, ...]) -> list[Row]: ...
    def window(self, asked: Window) -> list[Row]: ...
    def records(self, sequences: tuple[int, ...]) -> list[Record]: ...
    def reference(self, instrument: int, sequence: int) -> int | None: ...


# ----------------------------------------------------------------------------------------------------------------- answers
class Subject(NamedTuple):
    """What is asked about: a kind of id, or "sequence", or "number" for an id whose kind is not known; and the number."""
    kind: str
    number: int


class UnknownSubject(ValueError):
    """The text names nothing there could be a story of; says what would."""


class Line(NamedTuple):
    """One event of a step."""
    text: str
    facts: tuple[tuple[str, str], ...]
    tone: str


class Step(NamedTuple):
    """One command and what followed from it. `after`: ns of log time since the step before. `why`: of a refusal, the check and its limits."""
    sequence: int
    time: int
    after: int
    who: str
    text: str
    tone: str
    lines: tuple[Line, ...]
    more: int
    fields: tuple[Field, ...]
    parts: PriceParts | None
    why: tuple[str, ...]


class Story(NamedTuple):
    """`ids`: (kind, opaque text) of everything the story is about. `records`: as read, for whoever measures. `told`: the events it was made of."""
    title: str
    subject: str
    steps: tuple[Step, ...]
    ids: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    records: Mapping[int, Record]
    told: tuple[Row, ...]


def read_subject(text: str, words: Dictionary) -> Subject:
    """An opaque id, "@123" for a place in the log, or a whole number for an id inside. Raises UnknownSubject."""
    text = text.strip()
    if text.startswith("@") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 20:
        return Subject("sequence", int(text[1:]))
    body = text.removeprefix("-")
    if body.isascii() and body.isdigit() and len(body) <= 19 and -(1 << 63) <= int(text) < 1 << 63:
        return Subject("number", int(text))
    found = words.opaque.read(text)
    if found is None:
        prefixes = ", ".join(f"{p}_..." for p in PREFIXES.values())
        raise UnknownSubject(f"{text[:40]!r} is no id of this house: one looks like {prefixes}, or is a place in the log such as @123, or a whole number")
    return Subject(*found)


def answer(question: Question, source: Source) -> Any:
    """One question put to a source."""
    match question:
        case Find(ids, kinds): return source.find(ids, kinds)
        case Window(): return source.window(question)
        case Read(sequences): return source.records(sequences)
        case Reference(instrument, sequence): return source.reference(instrument, sequence)


def tell_from(subject: Subject, words: Dictionary, source: Source) -> Story:
    """The story, from a source that answers at once."""
    telling = tell(subject, words)
    question = next(telling)
    while True:
        try:
            question = telling.send(answer(question, source))
        except StopIteration as done:
            return done.value


# ------------------------------------------------------------------------------------------------------------------- telling
Asking: TypeAlias = Generator[Question, Any, Any]


def tell(subject: Subject, words: Dictionary) -> Generator[Question, Any, Story]:
    """Asks what it needs to know, and returns the story. Nothing known: a story without steps, and a note."""
    thread = _Thread(words)
    yield from thread.begin(subject)
    sequences = sorted({row["sequence"] for row in thread.rows.values()} | thread.sequences)
    if len(sequences) > STEPS_MOST:
        thread.notes.append(f"{len(sequences)} commands touch it; the first {STEPS_MOST} are told")
    records = {r.sequence: r for r in (yield Read(tuple(sequences[:STEPS_MOST])))}
    steps, before = [], 0
    for record in records.values():
        reference = None
        if any(row["kind"] == Event.REFUSED and row["reason"] == Reason.COLLAR for row in record.events):
            about = thread.instrument_of(record)
            reference = (yield Reference(about.number, record.sequence)) if about else None
        steps.append(_step(record, thread, words, before, reference))
        before = record.time
    told = tuple(sorted(thread.rows.values(), key=lambda row: row["sequence"]))
    title = thread.title or ("nothing is known of it" if not steps else steps[0].text)
    if not steps:
        thread.notes.append("no command or event names it: it may be of another house, or older than what is kept here")
    ids = tuple((kind, words.opaque.text(kind, number)) for number, kind in thread.ids.items())  # type: ignore[arg-type]
    shown = f"@{subject.number}" if subject.kind == "sequence" else dict((n, t) for (n, _), (_, t) in zip(thread.ids.items(), ids, strict=True)).get(
        subject.number, str(subject.number))
    return Story(title, shown, tuple(steps), ids, tuple(thread.notes), records, told)


class _Thread:
    """The ids a story is about and the events that touch them. Each method asks, and adds what it learns."""

    def __init__(self, words: Dictionary) -> None:
        self.words = words
        self.ids: dict[int, str] = {}           # id -> kind, in the order they came up
        self.rows: dict[tuple, Row] = {}
        self.sequences: set[int] = set()
        self.notes: list[str] = []
        self.title = ""
        self.about: Listed | None = None

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Keeps events, each once."""
        rows = list(rows)
        for row in rows:
            self.rows[row["sequence"], row["kind"], row["account"], row["id"], row["other"], row["price"], row["quantity"]] = row
            if self.about is None and row["instrument"]:
                self.about = self.words.listed_by_number(row["instrument"])
        return rows

    def instrument_of(self, record: Record) -> Listed | None:
        number = record.fields.get("instrument", 0) or next((row["instrument"] for row in record.events if row["instrument"]), 0)
        return self.words.listed_by_number(number) or self.about

    # -- from the subject to its kind
    def begin(self, subject: Subject) -> Asking:
        kind, number = subject
        if kind == "sequence":
            yield from self.at(number)
        elif kind == "match":
            yield from self.match(number)
        else:
            rows = yield Find((number,))
            found = kind if kind != "number" else _kind_of(number, rows)
            if found is None:
                self.take(rows)
                return
            if rows:
                yield from self.of_kind(found, number, rows)

    def at(self, sequence: int) -> Asking:
        """The place itself, and the story of what it was about."""
        records = yield Read((sequence,))
        for record in records:
            self.sequences.add(sequence)
            named = [record.fields[name] for name in about_what(record.kind) if record.fields.get(name)]
            made = [row["id"] for row in record.events if row["kind"] in MADE_BY]
            for number in dict.fromkeys([*named, *made]):
                rows = yield Find((number,))
                if (kind := _kind_of(number, rows)) and number not in self.ids:
                    yield from self.of_kind(kind, number, rows)
                    return

    def of_kind(self, kind: str, number: int, rows: list[Row]) -> Asking:
        self.ids[number] = kind
        self.take(rows)
        match kind:
            case "request": yield from self.request(number, rows)
            case "quote": yield from self.quote(number, rows)
            case "order": yield from self.order(number, rows)
            case "child": yield from self.child(number, rows)
            case "obligation": self.obligation(rows)
            case "held": yield from self.held(number, rows)

    # -- requests
    def quote(self, number: int, rows: list[Row]) -> Asking:
        request = next((row["other"] for row in rows if row["kind"] in (Event.QUOTED, Event.QUOTE_SHOWN, Event.QUOTE_ENDED)), 0)
        if request and request not in self.ids:
            more = yield Find((request,))
            yield from self.of_kind("request", request, more)

    def request(self, number: int, rows: list[Row]) -> Asking:
        opened = next((row for row in rows if row["kind"] == Event.REQUEST_OPENED), None)
        quotes = tuple(dict.fromkeys(row["id"] for row in rows if row["kind"] == Event.QUOTED))
        self.ids |= dict.fromkeys(quotes, "quote")
        if quotes:
            rows = rows + self.take((yield Find(quotes)))
        if opened:
            said = event_says(opened, self.words)
            self.title = f"{said.text} in {self.about.name}" if self.about else said.text
            ended = max((row["time"] for row in rows if row["kind"] == Event.REQUEST_ENDED), default=opened["other"])
            yield from self.proposals(number, opened, ended + 1)
        for fill in [row for row in rows if row["kind"] == Event.FILLED and row["liquidity"] == Liquidity.QUOTE and row["id"] in quotes and not row["command"]]:
            yield from self.after_fill(fill, next((row for row in rows if row["kind"] == Event.FILLED and row["id"] == fill["id"] and row["command"]), fill))

    def proposals(self, request: int, opened: Row, until: int) -> Asking:
        """Held quotes of this request, and who decided: the record alone says which request a held command is for."""
        waiting = [row for row in (yield Window(opened["time"], until, (Event.HELD,))) if row["command"] == Kind.QUOTE][:HELD_MOST]
        if not waiting:
            return
        records = {r.sequence: r for r in (yield Read(tuple(row["sequence"] for row in waiting)))}
        mine = tuple(row["id"] for row in waiting if (r := records.get(row["sequence"])) and r.fields.get("request") == request)
        self.ids |= dict.fromkeys(mine, "held")
        if mine:
            self.take((yield Find(mine)))

    def after_fill(self, dealer: Row, client: Row) -> Asking:
        """What a dealer's fill led to: the desk's hedge, and the obligations of both when the cut-off came."""
        if self.words.account_name(dealer["account"]) in self.words.design.house.desks:
            yield from self.hedge(dealer)
        row = self.words.design.instruments.get(self.about.name) if self.about else None
        if row and row.settlement == "on_credit":
            yield from self.netting(client["time"], (client["account"], dealer["account"]))

    def hedge(self, fill: Row) -> Asking:
        """The desk trades its position away, not a trade: these are its child orders after the fill, on the same side as the client's, until they cover it."""
        side = Side.SELL if fill["side"] == Side.BUY else Side.BUY
        opened = [row for row in (yield Window(fill["time"], fill["time"] + HEDGE_NS, (Event.CHILD_OPENED,), fill["account"], fill["instrument"]))
                  if row["sequence"] > fill["sequence"] and row["side"] == side][:HEDGES_MOST]
        covered = 0
        for row in opened:
            if covered >= fill["quantity"]:
                break
            self.ids[row["id"]] = "child"
            rows = self.take((yield Find((row["id"],))))
            covered += sum(r["quantity"] for r in rows if r["kind"] == Event.CHILD_FILL and r["id"] == row["id"])
        if opened:
            self.notes.append("The desk hedges its position, not a single trade: these are the child orders it opened after this fill, until they covered it.")
        else:
            self.notes.append("No child order of the desk followed on this side: its position already covered the trade, or was left open within limits.")

    def netting(self, since: int, parties: tuple[int, int]) -> Asking:
        cut = next(iter((yield Window(since, None, (Event.CUT_OFF,)))), None)
        if cut is None or self.about is None:
            self.notes.append("Not settled yet: it settles on credit, and no cut-off has come since.")
            return
        self.take([cut])
        for account in dict.fromkeys(parties):
            made = [row for row in (yield Window(cut["time"], None, (Event.OBLIGATION,), account))
                    if row["quantity"] == cut["id"] and row["other"] in (self.about.base, self.about.quote)]
            for row in made:
                self.ids[row["id"]] = "obligation"
            if made:
                self.take((yield Find(tuple(row["id"] for row in made))))
        self.notes.append("Obligations are netted per account and asset: they include the account's other trades of the same cycle.")

    # -- the others
    def order(self, number: int, rows: list[Row]) -> Asking:
        accepted = next((row for row in rows if row["kind"] in (Event.ORDER_ACCEPTED, Event.BOOK_QUOTED)), None)
        if accepted:
            self.title = event_says(accepted, self.words).text
            if accepted["kind"] == Event.ORDER_ACCEPTED:
                yield from self.list_of(number, accepted)
            yield from self.sessions(number, accepted, rows)
        fills = [row for row in rows if row["kind"] == Event.FILLED]
        row = self.words.design.instruments.get(self.about.name) if self.about else None
        if fills and row and row.settlement == "on_credit":
            yield from self.netting(fills[0]["time"], (fills[0]["account"], fills[0]["account"]))

    def list_of(self, number: int, accepted: Row) -> Asking:
        """The other orders of its list, accepted in the same moment: each but the first names the first of its pair, or its parent."""
        together = [row for row in (yield Window(accepted["time"], accepted["time"] + 1, (Event.ORDER_ACCEPTED,), accepted["account"], accepted["instrument"]))]
        mine, grown = {number} | ({accepted["amount"]} - {0}), True
        while grown:
            more = {row["id"] for row in together if row["amount"] in mine} | {row["amount"] for row in together if row["id"] in mine} - {0}
            grown = not more <= mine
            mine |= more
        if len(mine) > 1:
            self.ids |= dict.fromkeys(sorted(mine), "order")
            self.take((yield Find(tuple(sorted(mine)))))
            self.notes.append(f"It is one of a list of {len(mine)} orders.")

    def sessions(self, number: int, accepted: Row, rows: list[Row]) -> Asking:
        """What its instrument went through while it stood: why it waited, and at which price an auction ended."""
        last = max(rows, key=lambda row: row["sequence"])
        over = last["kind"] == Event.ORDER_CANCELLED or (last["kind"] == Event.FILLED and not last["leaves"])
        found = yield Window(accepted["time"], last["time"] + 1 if over else None, SESSIONS, 0, accepted["instrument"])
        self.take([row for row in found if row["sequence"] > accepted["sequence"]][:SESSIONS_MOST])

    def match(self, number: int) -> Asking:
        rows = self.take([row for row in (yield Find((number,), (int(Event.FILLED),))) if row["other"] == number and row["kind"] == Event.FILLED])
        for row in rows:
            kind = "quote" if row["liquidity"] == Liquidity.QUOTE else "order"
            if row["id"] not in self.ids:
                more = yield Find((row["id"],))
                yield from self.of_kind(kind, row["id"], more)

    def child(self, number: int, rows: list[Row]) -> Asking:
        """A child order, and the fill of the desk that last came before it."""
        opened = next((row for row in rows if row["kind"] == Event.CHILD_OPENED), None)
        if opened is None:
            return
        self.title = f"{event_says(opened, self.words).text} for {self.words.account_name(opened['account'])}"
        fills = yield Window(opened["time"] - HEDGE_NS, opened["time"] + 1, (Event.FILLED,), opened["account"], opened["instrument"])
        before = [row for row in fills if row["sequence"] < opened["sequence"]]
        if before:
            self.take(before[-1:])
            kind = "quote" if before[-1]["liquidity"] == Liquidity.QUOTE else "order"
            self.ids[before[-1]["id"]] = kind
            trade = self.words.opaque.text(kind, before[-1]["id"])
            self.notes.append(f"The desk hedges its position. The last trade before this child order was {kind} {trade}.")

    def obligation(self, rows: list[Row]) -> None:
        made = next((row for row in rows if row["kind"] == Event.OBLIGATION), None)
        if made:
            self.title = f"cycle {made['quantity']}: {event_says(made, self.words).text}"

    def held(self, number: int, rows: list[Row]) -> Asking:
        """What is held, and what it is about: a request keeps its own story."""
        asked = next((row for row in rows if row["kind"] == Event.HELD), None)
        if asked is None:
            return
        for record in (yield Read((asked["sequence"],))):
            self.title = f"{who(record.fields.get('actor', 0), self.words)} {command_says(record.kind, record.fields, self.words, self.about)}: held"
            request = record.fields.get("request", 0)
            if request and request not in self.ids:
                yield from self.of_kind("request", request, (yield Find((request,))))


def _kind_of(number: int, rows: list[Row]) -> str | None:
    """What an id is of, by the event that made it; else by the first that is about it."""
    for row in rows:
        if (row["id"] == number or (row["kind"] == Event.BOOK_QUOTED and row["other"] == number)) and row["kind"] in MADE_BY:
            return MADE_BY[Event(row["kind"])]
    for row in rows:
        if row["kind"] == Event.REFUSED and row["id"] == number and row["command"] in Kind._value2member_map_:
            named = about_what(row["command"])
            return named[0] if named else None
    return None


# ---------------------------------------------------------------------------------------------------------------------- steps
def _step(record: Record, thread: _Thread, words: Dictionary, before: int, reference: int | None) -> Step:
    about = thread.instrument_of(record)
    caused = _caused(record, thread)
    shown = [row for row in record.events if caused or row["id"] in thread.ids or row["other"] in thread.ids or row["kind"] == Event.CUT_OFF
             or (row["kind"] in SESSIONS and about is not None and row["instrument"] == about.number)]
    quiet = _QUIET if record.sequence in thread.sequences else {*_QUIET, int(Event.SWEPT)}
    said = [event_says({**row, "time": record.time}, words) for row in shown if row["kind"] not in quiet]
    lines = tuple(Line(*one) for one in said[:EVENTS_MOST])
    refused = next((row for row in shown if row["kind"] == Event.REFUSED), None)
    reasons = tuple(why(refused["reason"], record.kind, record.fields, words, record.time, about, reference)) if refused else ()
    tones = {line.tone for line in lines}
    tone = next((t for t in ("alert", "bad", "good") if t in tones), "plain")
    actor = who(record.fields.get("actor", 0), words) if caused else "the house"
    text = command_says(record.kind, record.fields, words, about) if caused else "works off what was due"
    fields = tuple(fields_in_words(record.kind, record.fields, words, about)) if caused else ()
    parts = read_parts(record.attachment, words) if record.kind == Kind.QUOTE else None
    return Step(record.sequence, record.time, record.time - before if before else 0, actor, text, tone, lines, len(said) - len(lines), fields, parts, reasons)


_QUIET = {int(Event.REFERENCE), *(int(e) for name, e in Event.__members__.items() if name == "LEVEL")}


def _caused(record: Record, thread: _Thread) -> bool:
    """Whether the command itself is about the story, or only came when something of it was due."""
    if record.sequence in thread.sequences or record.kind == Kind.NET:
        return True
    named = {record.fields.get(name, 0) for name in about_what(record.kind)}
    mine = {row["id"] for row in record.events if row["command"] == record.kind and (row["id_hi"], row["id_lo"]) == _id(record)}
    return bool((named | mine) & thread.ids.keys())


def _id(record: Record) -> tuple[int, int]:
    return record.fields.get("id_hi", 0), record.fields.get("id_lo", 0)


def in_plain_data(story: Story) -> dict[str, Any]:
    """The story as JSON may carry it."""
    return {"subject": story.subject, "title": story.title, "ids": [{"kind": kind, "id": text} for kind, text in story.ids], "notes": list(story.notes),
            "steps": [_plain_step(step) for step in story.steps]}


def _plain_step(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"sequence": step.sequence, "time": step.time, "after_ns": step.after, "who": step.who, "text": step.text, "tone": step.tone,
                            "events": [{"text": line.text, **dict(line.facts)} for line in step.lines], "more": step.more,
                            "fields": [{"name": n, "value": v, "words": w} for n, v, w in step.fields]}
    if step.parts:
        told["price"] = {**step.parts._asdict(), "parts": [p._asdict() for p in step.parts.parts], "inputs": [i._asdict() for i in step.parts.inputs]}
    return told | ({"why": list(step.why)} if step.why else {})
