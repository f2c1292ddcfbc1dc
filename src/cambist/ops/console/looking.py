"""The pages that only look: blotter, positions and limits, what is unknown, latencies, one trade's story, the design.

Decides what each shows and how it is cut into parts. It changes nothing and sends nothing.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from cambist.design import DesignError, read_design, units_of
from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.messages import ChildState, Event, OrderState, Side
from cambist.ops import budgets
from cambist.ops.console.differences import differences
from cambist.ops.console.frame import Drawn, Frame, Page
from cambist.ops.console.watch_shell import GONE
from cambist.ops.oversight import Doubt, child_doubts, fact_doubts, price_doubts, stop_doubts
from cambist.ops.story import UnknownSubject, read_subject
from cambist.ops.web.guards import Ask, Fault, Reply, only, see_other
from cambist.ops.wording import Said, event_says, grouped, money, size, span
from cambist.units import format_duration, format_units

E = Event
KINDS: dict[str, tuple[str, tuple[Event, ...]]] = {
    "trades": ("Trades", (E.FILLED,)), "requests": ("Requests", (E.REQUEST_OPENED, E.REQUEST_ENDED, E.QUOTED, E.QUOTE_ENDED)),
    "orders": ("Orders", (E.ORDER_ACCEPTED, E.ORDER_CANCELLED, E.ORDER_AMENDED, E.ORDER_REDUCED)),
    "children": ("Child orders", (E.CHILD_OPENED, E.CHILD_CHANGED, E.CHILD_FILL, E.CHILD_CANCEL_ASKED)),
    "money": ("Money", (E.DEPOSITED, E.DEPOSIT_REVERSED, E.CUSTODY_MOVED, E.TRANSFERRED, E.CUT_OFF, E.OBLIGATION, E.SETTLED)),
    "refusals": ("Refusals", (E.REFUSED,)), "people": ("People", (E.HELD, E.APPROVED, E.DENIED, E.HELD_EXPIRED, E.SWEPT, E.ALERT, E.DONE)), "all": ("All", ())}
PAGE_ROWS = 60
TRADES_SHOWN = 100
ALERTS_NS = 24 * 3600 * 10**9                   # how far back calls for a person are shown


class Entry(NamedTuple):
    """One line of the blotter."""
    number: int
    time: int
    account: str
    instrument: str
    side: str
    quantity: str
    price: str
    amount: str
    how: str
    said: Said
    link: str
    id: str
    sequence: int


class Bar(NamedTuple):
    """A share of a limit: `steps` of ten, a tone, and the text that says it."""
    share: int
    tone: str
    text: str


class Looking:
    """The pages, made for one frame. `file`: the text of the design file beside the house, and its name."""

    def __init__(self, frame: Frame, file: Callable[[], tuple[str, str]], picture: Callable[[Any], str]) -> None:
        self._frame, self._watch, self._file, self._picture = frame, frame.watch, file, picture
        self.blotter = Page("/blotter", "blotter.html", frozenset({"events", "queue"}), self._blotter)
        self.positions = Page("/positions", "positions.html", frozenset({"events", "beat"}), self._positions)
        self.unknown = Page("/unknown", "unknown.html", frozenset({"doubts", "beat"}), self._unknown)
        self.latency = Page("/latency", "latency.html", frozenset({"latency"}), self._latency)
        self.design = Page("/design", "design.html", frozenset(), self._design)
        self.told = Page("/story", "story.html", frozenset(), self._nothing)

    # ------------------------------------------------------------------------------------------------------------------- blotter
    async def show_blotter(self, ask: Ask) -> Reply:
        only(ask.query, "kind", "account", "instrument", "before", "said", "drawn")
        words = self._watch.words
        accounts = list(words.names["accounts"]) if words else []
        instruments = [one.name for one in words.instruments] if words else []
        return await self._frame.show(self.blotter, ask, kinds=[(k, v[0]) for k, v in KINDS.items()], kind=_kind(ask), accounts=[(n, n) for n in accounts],
                                      instruments=[(n, n) for n in instruments], account=ask.query.get("account", ""),
                                      instrument=ask.query.get("instrument", ""))

    async def _blotter(self, ask: Ask, words: Dictionary) -> Drawn:
        history, before = self._watch.history, ask.query.get("before", "")
        account, instrument = ask.query.get("account", ""), ask.query.get("instrument", "")
        try:
            number = words.number("accounts", account, "$.account") if account else None
            listed = words.listed(instrument) if instrument else None
        except Wrong as wrong:
            raise Fault(404, wrong.code, f"{wrong.message}.") from None
        rows = history.events(account=number, instrument=listed.number if listed else None, kinds=[int(k) for k in KINDS[_kind(ask)][1]],
                              before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None, limit=PAGE_ROWS) if history else []
        entries = [_entry(row, words) for row in rows]
        older = rows[-1]["number"] if len(rows) == PAGE_ROWS else 0
        return {"blotter-rows": self._frame.draw("blotter_rows.html", ask, entries=entries, kind=_kind(ask), older=older, account=account,
                                                 instrument=instrument, before=before)}

    # ----------------------------------------------------------------------------------------------------------------- positions
    async def _positions(self, ask: Ask, words: Dictionary) -> Drawn:
        told = await self._watch.accounts()
        return {"positions": self._frame.draw("positions_part.html", ask, accounts=[_account(row, words) for row in told],
                                              hedging=self._hedging(told, words))}

    @staticmethod
    def _hedging(told: Sequence[Mapping[str, Any]], words: Dictionary) -> list[dict[str, Any]]:
        """Of every desk and instrument: the position, what is open to trade it away, and from when it is traded away."""
        rows, design = [], words.design
        desks = {words.names["accounts"][name]: name for name in design.house.desks}
        for view in told:
            number = view["account"]["account"]
            if number not in desks:
                continue
            for position in view["positions"]:
                listed = words.listed_by_number(position["instrument"])
                children = [c for c in view["children"] if c["instrument"] == position["instrument"] and c["state"] != ChildState.DONE]
                if listed is None or not (position["net"] or children):
                    continue
                quote = words.asset_name(listed.quote)
                above = design.hedging.hedge_above.get(quote)
                doubtful = sum(c["state"] == ChildState.UNKNOWN for c in children)
                rows.append({"desk": desks[number], "instrument": listed.name, "net": size(position["net"], listed, words), "children": len(children),
                             "open": size(sum(c["quantity"] - c["filled"] for c in children), listed, words), "doubtful": doubtful,
                             "above": money(units_of(design, quote, above), listed.quote, words) if above else "always",
                             "state": "off" if not design.hedging.enabled else "unknown" if doubtful else "hedging" if children else "left alone"})
        return rows

    # ------------------------------------------------------------------------------------------------------------------- unknown
    async def _unknown(self, ask: Ask, words: Dictionary) -> Drawn:
        status, listed = await self._watch.view("status"), await self._watch.view("instruments")
        children = (await self._watch.view("children"))["children"]
        doubtful = [row for row in children if row["state"] in (ChildState.PENDING, ChildState.UNKNOWN, ChildState.CLOSING)]
        now, history = max(status["cell"]["time"], 0), self._watch.history
        alerts = history.events(kinds=(Event.ALERT,), since=now - ALERTS_NS, limit=100) if history else []
        doubts = [*child_doubts(doubtful, self._opened([row["id"] for row in doubtful]), now, words), *stop_doubts(status["rows"].get("stops", 0)),
                  *price_doubts(listed["instruments"], listed["sources"], now, words), *fact_doubts(alerts, words), *self._asked_and_unheard(ask)]
        return {"unknown": self._frame.draw("unknown_part.html", ask, doubts=doubts, at=now, position=status["cell"]["sequence"])}

    def _opened(self, children: list[int]) -> dict[int, int]:
        history = self._watch.history
        if history is None:
            return {}
        rows = [row for number in children for row in history.events(kinds=(Event.CHILD_OPENED,), id=number, limit=1)]
        return {row["id"]: row["time"] for row in rows}

    def _asked_and_unheard(self, ask: Ask) -> list[Doubt]:
        """What this console sent and never heard of."""
        return [Doubt("command", person, told.words, 0, "") for person, told in self._frame.acts.unheard() if ask.session and person == ask.session.person]

    # ------------------------------------------------------------------------------------------------------------------- latency
    async def _latency(self, ask: Ask, words: Dictionary) -> Drawn:
        measured = sorted(self._watch.measured.items(), key=lambda item: item[1][0])[-TRADES_SHOWN:]
        design, trades = words.design, [stages for _, (_, stages) in measured]
        stages, targets = budgets.summary(trades, design)
        last = measured[-1] if measured else None
        chosen = words.opaque.text("quote", last[0]) if last else ""
        bars = waterfall_bars(last[1][1]) if last else []
        executed = [(at, one.ns) for _, (at, row) in measured for one in row if one.stage == "executed" and one.ns is not None]
        reached = budgets.targets(last[1][1], design) if last else []
        points = ([at // 10**6 / 1000 for at, _ in executed], [ns // 1000 / 1000 for _, ns in executed])
        return {"latency-last": self._frame.draw("latency_last.html", ask, quote=chosen, at=last[1][0] if last else 0, bars=bars, reached=reached),
                "latency-many": self._frame.draw("latency_many.html", ask, stages=stages, targets=targets, trades=len(trades), seen=self._watch.trades,
                                                 ppm=design.oversight.call_when_over_budget_ppm),
                "latency-points": self._frame.draw("latency_points.html", ask, points=points)}

    # --------------------------------------------------------------------------------------------------------------------- story
    async def find(self, ask: Ask) -> Reply:
        """The search: on to the story of what was typed."""
        text = only(ask.query, "id")["id"].strip()
        if text and _safe(text):
            return see_other(f"/story/{text}")
        wrong = "That is no id: letters, digits, _ and -, or @ and a number." if text else ""
        return await self._frame.show(self.told, ask, story=None, wrong=wrong, typed=text[:64])

    async def story(self, ask: Ask) -> Reply:
        words, text = self._frame.words(), ask.values["id"]
        try:
            subject = read_subject(text, words)
            story = await self._watch.story(subject)
        except UnknownSubject as wrong:
            return await self._frame.show(self.told, ask, 404, story=None, wrong=str(wrong), typed=text[:64])
        except GONE as fault:
            raise Fault(503, "AWAY", f"The node cannot be reached, and the story is read from it: {fault}", again=2) from None
        stages = self._watch.stages_of(story)
        bars = waterfall_bars(stages) if any(s.ns is not None for s in stages) else []
        return await self._frame.show(self.told, ask, story=story, wrong="", typed=text, bars=bars, reached=budgets.targets(stages, words.design))

    async def _nothing(self, ask: Ask, words: Dictionary) -> Drawn:
        return {}

    # -------------------------------------------------------------------------------------------------------------------- design
    async def _design(self, ask: Ask, words: Dictionary) -> Drawn:
        text, name = self._file()
        wrong, found = "", []
        try:
            found = differences(words.design, read_design(text, name)) if text else []
        except DesignError as fault:
            wrong = str(fault)
        stages = [(s, format_duration(s.budget)) for s in words.design.stages]
        targets = [(name_, t, format_duration(t.budget)) for name_, t in words.design.targets.items()]
        picture = Markup(self._picture(words.design))       # our own, escaped where it is made
        return {"design": self._frame.draw("design_part.html", ask, picture=picture, stages=stages, targets=targets, found=found, wrong=wrong, file=name,
                                           sequence=self._watch.design_sequence)}


# -------------------------------------------------------------------------------------------------------------------------------- rows
def _kind(ask: Ask) -> str:
    kind = ask.query.get("kind", "trades")
    return kind if kind in KINDS else "trades"


def _safe(text: str) -> bool:
    return len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-@") for c in text)


def _entry(row: Mapping[str, int], words: Dictionary) -> Entry:
    listed, said = words.listed_by_number(row["instrument"]), event_says(row, words)
    told = words.told_to_staff(row, row["time"])
    id_ = next((told[name] for name in ("order", "request", "child", "obligation", "held", "quote") if isinstance(told.get(name), str)), "")
    if row["kind"] == Event.QUOTED or row["kind"] == Event.QUOTE_ENDED:
        id_ = told.get("quote", id_)
    how = words.liquidity_name(row["liquidity"]) if row["kind"] == Event.FILLED else ""
    amount = money(row["amount"], listed.quote, words) if listed and row["kind"] in (Event.FILLED, Event.CHILD_FILL) else ""
    name = listed.name if listed else ""
    return Entry(row["number"], row["time"], told["account"], name, told.get("side", ""), told.get("quantity", ""), told.get("price", ""), amount, how,
                 said, f"/story/{id_}" if id_ else f"/story/@{row['sequence']}", id_, row["sequence"])


def _account(view: Mapping[str, Any], words: Dictionary) -> dict[str, Any]:
    """An account's positions, lines and short balances, each against its limit."""
    number = view["account"]["account"]
    positions = []
    for row in view["positions"]:
        listed = words.listed_by_number(row["instrument"])
        if listed is None:
            continue
        limit = row["limit"] or units_of(words.design, words.asset_name(listed.base), _own_limit(words, listed))
        most = max(abs(row["net"] + row["open_buy"]), abs(row["net"] - row["open_sell"]))
        positions.append({"instrument": listed.name, "net": size(row["net"], listed, words), "buy": size(row["open_buy"], listed, words),
                          "sell": size(row["open_sell"], listed, words), "limit": size(limit, listed, words) if limit else "no limit", "bar": bar(most, limit),
                          "side": Side.BUY.name.lower() if row["net"] > 0 else Side.SELL.name.lower() if row["net"] < 0 else ""})
    credit = []
    for row in view["credit"]:
        used = row["reserved"] + row["traded"] + row["netted"]
        credit.append({"asset": words.asset_name(row["asset"]), "used": money(used, row["asset"], words), "limit": money(row["limit"], row["asset"], words),
                       "bar": bar(used, row["limit"]), "quoted": money(row["quoted"], row["asset"], words),
                       "quoting": money(row["quoting_limit"], row["asset"], words) if row["quoting_limit"] else "",
                       "quoting_bar": bar(row["quoted"], row["quoting_limit"])})
    balances = [{"asset": words.asset_name(b["asset"]), "bar": bar(max(-b["available"], 0), b["short_limit"]),
                 **{name: words.amount_out(b[name], b["asset"]) for name in ("available", "held", "unsettled", "due")},
                 "short": words.amount_out(b["short_limit"], b["asset"]) if b["short_limit"] else ""} for b in view["balances"]]
    row = view["account"]
    return {"name": words.account_name(number), "killed": row["killed"], "positions": positions, "credit": credit, "balances": balances,
            "orders": len(view["orders"]), "requests": len(view["requests"]), "max_open": row["max_open"], "more": view["more"],
            "waiting": sum(order.get("state", OrderState.BOOK) != OrderState.BOOK for order in view["orders"]),
            "controls": [*_exposure(view, words), *_protections(view, words)],
            "barred": ", ".join(one.name for r in view["restrictions"] if (one := words.listed_by_number(r["instrument"])) is not None)}


def _exposure(view: Mapping[str, Any], words: Dictionary) -> list[dict[str, Any]]:
    """What the account risks in all, in the numeraire, and what it lost today, each against its limit."""
    rows, digits = [], words.design.cell.numeraire_digits
    for row in view["exposures"]:
        net = abs(row["net"])
        lost = max(row["base"] - row["net"] - row["cash"], 0) if row["day"] else 0
        for what, used, limit in (("Gross exposure", row["gross"] + row["open"], row["gross_limit"]), ("Net exposure", net + row["open"], row["net_limit"]),
                                  ("Lost today", lost, row["loss_limit"])):
            if limit:
                rows.append({"what": what, "used": grouped(format_units(used, digits)), "limit": grouped(format_units(limit, digits)), "bar": bar(used, limit),
                             "frozen": False})
    return rows


def _protections(view: Mapping[str, Any], words: Dictionary) -> list[dict[str, Any]]:
    rows = []
    for row in view["protections"]:
        listed = words.listed_by_number(row["instrument"])
        if listed is None:
            continue
        bought, sold = (sum(row.get(f"{side}{i}", 0) for i in range(8)) for side in "bs")
        for what, used, limit in (("traded", bought + sold, row["quantity"]), ("one way", abs(bought - sold), row["delta"])):
            if limit:
                rows.append({"what": f"Protection {listed.name}, {what} in {span(row['window'])}", "used": size(used, listed, words),
                             "limit": size(limit, listed, words), "bar": bar(used, limit), "frozen": bool(row["frozen"])})
    return rows


def _own_limit(words: Dictionary, listed: Listed) -> str:
    limits = words.design.instruments[listed.name].limits
    return limits.max_position if limits else "0"


def bar(used: int, limit: int) -> Bar:
    """How much of a limit is used, in tenths, and in words; 0 is no limit."""
    if not limit:
        return Bar(0, "", "")
    percent = used * 100 // limit
    return Bar(min(-(-percent // 10) * 10, 100), "bad" if percent >= 100 else "warn" if percent >= 80 else "", f"{percent} %")


def took(ns: int | None) -> str:
    """A span as the pages write it; a dash for what was not measured."""
    return "–" if ns is None else span(ns)


class Span(NamedTuple):
    """A stage in the waterfall: how wide its bar is, in thousandths, where 500 is its budget; and its words."""
    stage: str
    width: int
    took: str
    allowed: str
    over: bool
    measured: bool
    why: str
    clock: str
    sequence: int


def waterfall_bars(stages: Sequence[budgets.Measured]) -> list[Span]:
    """Spans differ by a factor of millions, so each bar is its share of its own budget, not of the whole."""
    bars = []
    for one in stages:
        share = one.ns * 1000 // one.budget if one.ns is not None and one.budget else 0
        shown = span(one.ns) if one.ns is not None else "unmeasured"
        bars.append(Span(one.stage, max(min(share // 2, 1000), 4) if one.ns is not None else 0, shown, span(one.budget), one.over, one.ns is not None,
                         one.why, one.clock, one.sequence))
    return bars
