"""The dealer queue and the approvals: what clients ask, what the engine proposes, and a person's word on it.

Decides which request is looked at, what may be done with it by whom, and which command a button sends. It must not make a price, nor judge one: what is typed
is sent as it is, and the core says no where it must.
"""
from typing import Any, NamedTuple

from cambist.design import units_of
from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.messages import Kind, Reason, Side
from cambist.ops.console.enquiries import Enquiry, Quote
from cambist.ops.console.frame import Drawn, Frame, Page
from cambist.ops.console.signers import Signer, signer
from cambist.ops.oversight import Held, digest_words, hex_rows
from cambist.ops.price_parts import PriceParts, read_parts
from cambist.ops.web.guards import Ask, Fault, Reply, only, own_path
from cambist.ops.web.sign_in_shell import need_fresh
from cambist.ops.wording import grouped, size
from cambist.units import UnitError, format_duration, parse_duration

STANDS = ("2s", "5s", "10s", "15s", "30s")
ENDED = {Reason.USER: "taken back by the client", Reason.EXPIRED: "lapsed"}


class Line(NamedTuple):
    """A request in the queue. `waits`: held quotes for it; `ours`: the desk's live quote; `others`: how many other dealers quote, never at what."""
    id: str
    enquiry: Enquiry
    listed: Listed
    client: str
    side: str
    size: str
    notional: str
    large: bool
    waits: tuple[Held, ...]
    ours: Quote | None
    others: int
    ended: str


def whole(amount: int, listed: Listed, words: Dictionary) -> str:
    """An amount of the quote asset without its decimals: what a size is worth at a glance."""
    return f"{grouped(words.amount_out(amount, listed.quote).partition('.')[0])} {words.asset_name(listed.quote)}"


class Dealing:
    """The pages, made for one frame."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._watch = frame, frame.watch
        self.queue = Page("/", "queue.html", frozenset({"queue", "held", "beat"}), self._queue)
        self.approvals = Page("/approvals", "approvals.html", frozenset({"held", "beat"}), self._approvals)

    # ------------------------------------------------------------------------------------------------------------------ the queue
    async def _queue(self, ask: Ask, words: Dictionary) -> Drawn:
        now = ask.now
        held = await self._watch.held()
        references = {row["instrument"]: row["reference"] for row in (await self._watch.view("instruments"))["instruments"]}
        lines = [self._line(one, held, references, words) for one in self._watch.queue.open(now)]
        over = [self._line(one, [], references, words) for one in self._watch.queue.over(now)]
        wanted = ask.query.get("request", "")
        chosen = next((line for line in lines + over if line.id == wanted), None) if wanted else None
        if chosen is None:
            chosen = next((line for line in lines if line.waits), lines[0] if lines else None)
        return {"queue-list": self._frame.draw("queue_list.html", ask, lines=lines, chosen=chosen, **self._beside(lines, chosen)),
                "queue-over": self._frame.draw("queue_over.html", ask, over=over),
                "queue-one": self._frame.draw("queue_one.html", ask, line=chosen, **(await self._one(ask, words, chosen) if chosen else {}))}

    def _line(self, one: Enquiry, held: list[Held], references: dict[int, int], words: Dictionary) -> Line:
        listed = words.listed_by_number(one.instrument)
        if listed is None:
            raise LookupError(f"request {one.number} is in instrument {one.instrument}, which the running design does not name")
        desks = {words.names["accounts"][name] for name in words.design.house.desks}
        ours = next((quote for account, quote in one.quotes.items() if account in desks), None)
        price = max((ours.bid, ours.ask)) if ours else references.get(one.instrument, 0)
        worth = words.amount_of(one.quantity, price, listed) if price else 0
        limit = getattr(words.design.oversight, "quotes_above", {}).get(words.asset_name(listed.quote))
        large = bool(limit is not None and worth > units_of(words.design, words.asset_name(listed.quote), limit))
        ended = ""
        if one.ended[0]:
            reason = Reason(one.ended[1]) if one.ended[1] in Reason._value2member_map_ else Reason.NONE
            won = "traded with us" if one.ended[2] in desks else "traded with another dealer" if one.ended[2] else "traded"
            ended = won if reason is Reason.FILLED else ENDED.get(reason, reason.name.lower().replace("_", " "))
        return Line(words.opaque.text("request", one.number), one, listed, words.account_name(one.account), Side(one.side).name.lower(),
                    size(one.quantity, listed, words), whole(worth, listed, words) if worth else "", large,
                    tuple(h for h in held if h.request == one.number), ours, sum(a not in desks for a in one.quotes), ended)

    @staticmethod
    def _beside(lines: list[Line], chosen: Line | None) -> dict[str, str]:
        """The requests above and below the chosen one, for the keys."""
        at = next((i for i, line in enumerate(lines) if chosen and line.id == chosen.id), -1)
        return {"above": lines[at - 1].id if at > 0 else "", "below": lines[at + 1].id if 0 <= at < len(lines) - 1 else ""}

    async def _one(self, ask: Ask, words: Dictionary, line: Line) -> dict[str, Any]:
        """What is beside a request: the price's parts, and what this person may do."""
        person, desk = ask.signed_in.person, next(iter(words.design.house.desks), "")
        newest = sorted(line.waits, key=lambda h: -h.sequence)
        proposal = next((h for h in newest if h.person), newest[0] if newest else None)     # a person's word before the engine's, and the newest
        parts = proposal.parts if proposal else await self._live_parts(line, words)
        by_hand = signer(words.design, person, Kind.QUOTE, desk)
        drawn = ask.query.get("drawn", "")
        return {"proposal": proposal, "parts": parts, "by_hand": by_hand, "bid": self._prefill(parts, line, words, Side.BUY),
                "ask_price": self._prefill(parts, line, words, Side.SELL), "stands": [s for s in STANDS if parse_duration(s) <= words.design.cell.max_ttl],
                "approve": self._may_approve(words, person, proposal), "deny": signer(words.design, person, Kind.DENY), "our_parts_of": bool(line.ours),
                "withdraw": signer(words.design, person, Kind.WITHDRAW_QUOTE, desk), "price_id": self._frame.form_id(ask, "price", line.id, drawn),
                "approve_id": self._frame.form_id(ask, "approve", proposal.sha256 if proposal else "", drawn),
                "pass_id": self._frame.form_id(ask, "pass", proposal.id if proposal else line.ours.number if line.ours else "", drawn),
                "bid_out": words.price_out(line.ours.bid, line.listed) if line.ours and line.ours.bid else "",
                "ask_out": words.price_out(line.ours.ask, line.listed) if line.ours and line.ours.ask else ""}

    async def _live_parts(self, line: Line, words: Dictionary) -> PriceParts | None:
        if line.ours is None:
            return None
        given = await self._watch.given(line.ours.sequence)
        return read_parts(given.attachment, words) if given else None

    @staticmethod
    def _prefill(parts: PriceParts | None, line: Line, words: Dictionary, side: Side) -> str:
        """The engine's own price, else the one that stands, for the side the client trades against."""
        given = (parts.bid_price if side == Side.BUY else parts.ask_price) if parts else 0
        if not given and line.ours:
            given = line.ours.bid if side == Side.BUY else line.ours.ask
        return words.price_out(given, line.listed) if given else ""

    @staticmethod
    def _may_approve(words: Dictionary, person: str, held: Held | None) -> Signer:
        """The key, or why the button cannot be pressed. The core refuses SAME_PERSON in any case."""
        if held is not None and held.person == person:
            return Signer("", f"{person} asked for this: nobody approves their own, another person must")
        return signer(words.design, person, Kind.APPROVE)

    # ----------------------------------------------------------------------------------------------------------- a person's price
    async def price(self, ask: Ask) -> Reply:
        """A quote by hand."""
        f = only(ask.form, "request", "bid", "ask", "stands", "id")
        words = self._frame.words()
        number = self._id(words, "request", f["request"])
        back = f"/?request={words.opaque.text('request', number)}"
        enquiry = self._watch.queue.find(number)
        listed = words.listed_by_number(enquiry.instrument) if enquiry else None
        if enquiry is None or listed is None or enquiry.ended[0]:
            raise Fault(409, "REQUEST_CLOSED", "This request is over; nothing was sent.")
        try:
            prices = {name: words.price_in(f[name].strip().replace(",", ""), listed, f"$.{name}") if f[name].strip() else 0 for name in ("bid", "ask")}
            stands = parse_duration(f["stands"])
        except Wrong as wrong:
            raise Fault(422, wrong.code, f"{wrong.path.removeprefix('$.')}: {wrong.message}. Nothing was sent.") from None
        except UnitError as wrong:
            raise Fault(422, "BAD_TTL", f"{wrong}. Nothing was sent.") from None
        desk = next(iter(words.design.house.desks), "")
        shown = " / ".join(words.price_out(p, listed) for p in prices.values() if p)
        told = await self._frame.acts.send(ask, words, Kind.QUOTE, desk, f["id"], f"Your price {shown} for {listed.name}, standing {format_duration(stands)}",
                                           request=number, ttl=stands, **prices)
        return self._frame.see(ask, back, f["id"], told)

    async def withdraw(self, ask: Ask) -> Reply:
        """Pass on a request the desk has quoted: its live quote is taken back."""
        f = only(ask.form, "request", "id")
        words = self._frame.words()
        number = self._id(words, "request", f["request"])
        enquiry = self._watch.queue.find(number)
        desks = {words.names["accounts"][name]: name for name in words.design.house.desks}
        ours = next((q for account, q in enquiry.quotes.items() if account in desks), None) if enquiry else None
        if ours is None:
            raise Fault(409, "NO_QUOTE", "The desk has no live quote for this request; nothing was sent.")
        told = await self._frame.acts.send(ask, words, Kind.WITHDRAW_QUOTE, desks[ours.account], f["id"], "Passing on the request", quote=ours.number)
        return self._frame.see(ask, f"/?request={words.opaque.text('request', number)}", f["id"], told)

    # ------------------------------------------------------------------------------------------------------------------- approvals
    async def _approvals(self, ask: Ask, words: Dictionary) -> Drawn:
        held = await self._watch.held()
        wanted = ask.query.get("held", "")
        chosen = next((h for h in held if h.id == wanted), held[0] if held and not wanted else None)
        person, drawn = ask.signed_in.person, ask.query.get("drawn", "")
        values = {"chosen": chosen, "approve": self._may_approve(words, person, chosen), "deny": signer(words.design, person, Kind.DENY),
                  "rows": hex_rows(chosen.record) if chosen else [], "approve_id": self._frame.form_id(ask, "approve", chosen.sha256 if chosen else "", drawn),
                  "deny_id": self._frame.form_id(ask, "deny", chosen.id if chosen else "", drawn), "wanted": wanted,
                  "request": words.opaque.text("request", chosen.request) if chosen and chosen.request else ""}
        return {"held-list": self._frame.draw("held_list.html", ask, held=held, chosen=chosen), "held-one": self._frame.draw("held_one.html", ask, **values)}

    async def one_held(self, ask: Ask) -> Reply:
        """A held command by its own address."""
        return await self._frame.show(self.approvals, ask._replace(query={**ask.query, "held": ask.values["id"]}))

    async def approve(self, ask: Ask) -> Reply:
        """APPROVE of the digest that was shown. What changed since, or is gone, is shown again and not approved."""
        f = only(ask.form, "held", "sha256", "id", "back")
        words = self._frame.words()
        number, back = self._id(words, "held", f["held"]), own_path(f["back"])
        self._watch.forget("held")
        now = next((h for h in await self._watch.held() if h.number == number), None)
        if now is None:
            raise Fault(409, "UNKNOWN_HELD", "It does not wait any more: it was decided, or it lapsed. Nothing was sent.")
        if now.kind != Kind.QUOTE and (again := need_fresh(ask, f"/approvals/{now.id}")):
            return again
        try:
            digest = digest_words(f["sha256"])
        except ValueError as wrong:
            raise Fault(400, "BAD_FORM", f"The form carries no digest: {wrong}. Nothing was sent.") from None
        if now.sha256 != f["sha256"]:
            raise Fault(409, "WRONG_DIGEST", "What waits now is not what you were shown. Nothing was approved; look at it again.")
        told = await self._frame.acts.send(ask, words, Kind.APPROVE, "", f["id"], f"Approving: {now.text}", held=number, **digest)
        return self._frame.see(ask, back, f["id"], told)

    async def deny(self, ask: Ask) -> Reply:
        f = only(ask.form, "held", "id", "back")
        words = self._frame.words()
        number = self._id(words, "held", f["held"])
        held = await self._watch.held()
        denied = next((h for h in held if h.number == number), None)
        told = await self._frame.acts.send(ask, words, Kind.DENY, "", f["id"], "Denying", held=number)
        if denied and denied.request and not denied.person:     # to pass on the engine's price is to pass on the request: nothing of it is left to approve
            older = [h for h in held if h.request == denied.request and not h.person and h.number != number]
            for place, other in enumerate(older, 1):
                await self._frame.acts.send(ask, words, Kind.DENY, "", f"{int(f['id'], 16) ^ place:032x}", "Denying", held=other.number)
        return self._frame.see(ask, own_path(f["back"]), f["id"], told)

    @staticmethod
    def _id(words: Dictionary, kind: Any, text: str) -> int:
        try:
            return words.id_in(kind, text)
        except Wrong as wrong:
            raise Fault(404, wrong.code, f"{wrong.message}. Nothing was sent.") from None
