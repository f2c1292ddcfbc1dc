"""Planted bugs: defects that the simulator must find, switched on one at a time, from outside. No production file knows of them.

A bug is a place in the production source and what stands there instead: the function is made again from its changed source and takes the place of the right
one in every module, for as long as one run lasts. A bug whose place is not found any more is an error, so the list cannot fall behind the code. Those of the
core need the kernel uncompiled (CAMBIST_COMPILED=0), where its functions are called by name.
"""
from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cambist.core.memory import COMPILED


class Bug(NamedTuple):
    """What is wrong, where, and by which words. `right` stands there once."""
    area: str
    about: str
    module: str
    function: str                               # or Class.method
    right: str
    wrong: str
    also: tuple[Bug, ...] = ()                  # other places of the same defect


class UnknownBug(ValueError):
    """Says which names there are."""


class MisplacedBug(LookupError):
    """Its place in the source is not there, or not once: the code has changed, and the bug must follow it."""


def _core(about: str, place: str, right: str, wrong: str, *also: tuple[str, str, str]) -> Bug:
    """`also`: where the same is done of orders that are not plain."""
    module, function = place.split(":")
    return Bug("core", about, f"cambist.core.{module}", function, right, wrong, tuple(_core(about, *each) for each in also))


def _made(area: str, about: str, place: str, right: str, wrong: str) -> Bug:
    module, function = place.split(":")
    return Bug(area, about, f"cambist.{module}", function, right, wrong)


NEVER_LAPSES = _core("a quote's time does not end it", "work:_timer_unit", "quote_due(state, row)", "stop_timer(state, t); at.quote(state, row).timer = 0")
BUGS: dict[str, Bug] = {
    # ------------------------------------------------------------------------------------------------------------------- core
    "hold-not-released": _core("a cancelled order keeps its hold", "matching:_take_out", "account_of(o), o.side, -o.held)",
                               "account_of(o), o.side, 0)", ("ends:_end", "    o.leaves = 0\n    follow(state, i, 0)", "    o.leaves = 0")),
    "taker-priced-trade": _core("a trade at the taker's price", "matching:_sweep", "_trade(state, b, t, o, i, price_of(b, best))",
                                "_trade(state, b, t, o, i, t.price + 0)", ("meetings:_fill", "Liquidity.TAKER, x, price_of(b, tick))",
                                                                           "Liquidity.TAKER, x, at.order_extra(state, j).worst + 0)")),
    "lost-fifo-neighbour": _core("the second in the queue trades first", "matching:_sweep", "i = at.level(state, row).head + 0",
                                 "i = at.level(state, row).head + 0; i = at.order(state, i).next + 0 if at.order(state, i).next else i",
                                 ("meetings:_sweep", "meet(state, b, t.instrument, l.head + 0, t.order)",
                                  "meet(state, b, t.instrument, at.order(state, l.head + 0).next + 0 or l.head + 0, t.order)")),
    "match-number-again": _core("a match number is given twice", "matching:_trade", "match = state.matches + 1", "match = state.matches | 1",
                                ("meetings:trade", "match = state.matches + 1", "match = state.matches | 1")),
    "double-credit": _core("the buyer gets its base twice", "trades:post_trade", "x.available = x.available + quantity",
                           "x.available = x.available + 2 * quantity"),
    "stale-quote-honoured": _core("a lapsed quote is traded", "rfq:_next_candidate", "x.expires > state.time and ", "")._replace(also=(NEVER_LAPSES,)),
    "quotes-never-lapse": NEVER_LAPSES,
    "kill-without-latch": _core("the kill switch cancels and does not latch", "control:change_control", "at.account(state, c.account).killed = 1",
                                "at.account(state, c.account).killed = 0"),
    "wrong-rounding-side": _core("a fee is rounded up", "arithmetic:fee", "MILLION, 0)", "MILLION, 1)"),
    "hold-rounded-down": _core("what is held for a fee is rounded down", "arithmetic:fee_up", "MILLION, 1)", "MILLION, 0)"),
    "expired-is-done": _core("a command past its expiry is done", "authority:_check_id", "if c.expires <= state.time:", "if c.expires < 0:"),
    "expiry-too-far": _core("an expiry beyond the window is let in", "authority:_check_id", "if c.expires - state.time > state.answer_window:", "if 0:"),
    "maker-pays-taker-fee": _core("the maker pays the taker's fee", "matching:_trade", "fee(worth, min(b.maker_ppm, m.fee_ppm))", "fee(worth, b.taker_ppm)",
                                  ("meetings:_fee_of", "1 if liquidity == Liquidity.MAKER else 0", "0")),
    "fee-lost": _core("the seller's fee goes nowhere", "trades:post_trade", "f.available = f.available + buyer_fee + seller_fee",
                      "f.available = f.available + buyer_fee",
                      ("fees:post_fee", "_post(state, account, b.settlement, b.quote, owed)", "_post(state, account, b.settlement, b.quote, owed // 2)")),
    "post-only-trades": _core("a post-only order takes", "accept:_check_entry", "c.post_only == PostOnly.REJECT and", "0 and"),
    "fill-or-kill-in-part": _core("fill-or-kill fills a part", "accept:_check_entry", "wanted = c.quantity", "wanted = 0"),
    "book-crossed": _core("orders at one price do not meet", "matching:crosses", "b.ask <= tick", "b.ask < tick"),
    "trades-with-itself": _core("an account trades with itself", "matching:_sweep", "elif account_of(m) == account:",
                                "elif account_of(m) == account and t.tick < -1:", ("meetings:meet", "elif may_not_trade(state, i, j):", "elif 0:")),
    "dying-order-trades": _core("an order trades after cancel-all", "matching:_sweep", "if is_latched(state, m):", "if 0:",
                                ("meetings:meet", "if is_dying(state, i):", "if 0:")),
    "position-not-moved": _core("a taker's purchase does not move its position", "matching:_trade",
                                "taker.net, maker.net = taker.net + x, maker.net - x", "maker.net = maker.net - x",
                                ("meetings:trade", "buys.net = buys.net + x", "buys.net = buys.net + 0")),
    "open-quantity-stays": _core("a filled maker still counts as open", "matching:_set_maker_leaves", "change_open(p, m.side, leaves - m.leaves)",
                                 "change_open(p, m.side, 0)"),
    "reserve-not-freed": _core("a quote that ended keeps its reserve", "rfq:free_quote", "line.quoted = line.quoted - q.reserve",
                               "line.quoted = line.quoted + 0"),
    "losers-told-early": _core("losers are told before the winner's window is over", "rfq:_close_filled", "r.expires = state.time + state.rfq_window",
                               "r.expires = state.time + 0"),
    "rfq-fee-forgotten": _core("a quote's client pays no fee", "rfq:_execute", "post_fee(state, b, c.account, charge, 0)",
                               "post_fee(state, b, c.account, 0, 0)"),
    "worse-quote-wins": _core("the worst quote wins", "rfq:_next_candidate", "price < best_price if c.side", "price > best_price if c.side"),
    "own-approval": _core("one approves one's own", "control:check_approval", "if person == h.person:", "if person == -1:"),
    "wrong-digest": _core("an approval of other bytes counts", "control:check_approval", "Reason.NONE if same_digest(state, h, c) else Reason.WRONG_DIGEST",
                          "Reason.NONE"),
    "no-second-person": _core("a large transfer asks nobody", "ledger:wants_approval", "return 1 if 0 <= above < c.amount and not state.releasing else 0",
                              "return 0"),
    "resume-alone": _core("what needs a second person is done at once", "authority:needs_second_person", "second_person + 0", "second_person * 0"),
    "netting-frees-credit": _core("netting frees the line before it is paid", "trades:net_account", "c.netted = c.netted + c.traded",
                                  "c.netted = c.netted + 0"),
    "due-twice": _core("what is netted is due twice", "trades:_oblige", "x.due = x.due + amount", "x.due = x.due + 2 * amount"),
    "paid-before-paying": _core("a receiver is paid before it has paid", "settlement:check_settle", "if owner.owing:", "if owner.owing > 99:"),
    "deposit-twice": _core("a fact told twice counts twice", "ledger:counted_before", "if i == 0 or ", "if i >= 0 or "),
    "number-done-twice": _core("a numbered request sent again is done again", "authority:_check_number", "return DUPLICATE", "return Reason.NONE"),
    "same-id-done-twice": _core("a request with the same id is done again", "authority:_check_id", "return DUPLICATE", "pass"),
    "number-gap": _core("a gap in the numbers is let through", "authority:_check_number", "if c.id_lo != a.highest + 1:",
                        "if c.id_lo > a.highest + 99 or c.id_lo <= a.highest:"),
    "killed-all-ignored": _core("the great kill switch blocks nothing", "authority:_check_latches", "if state.killed_all:", "if state.killed_all > 1:"),
    "foreign-account": _core("a key acts for another's account", "authority:_check_actor", "if scope != Scope.ALL and (scope",
                             "if scope == Scope.ENTITY and (scope"),
    "collar-ignored": _core("a price outside the band is let in", "risk:check_collar", "if b.collar_ppm == 0:", "if b.collar_ppm >= 0:"),
    "keeps-place-when-larger": _core("an amended order grows and keeps its place", "orders:amend_order", "and leaves <= o.leaves", "",
                                     ("amend:amend_special", " and d.base <= o.leaves", "")),
    "level-not-told-right": _core("the public sees quantity that was traded", "matching:_set_maker_leaves",
                                  "l.quantity = l.quantity - (m.leaves - leaves)", "l.quantity = l.quantity + 0"),
    "child-hold-stays": _core("a finished child keeps its hold", "routing:_end", "_set_hold(state, at.instrument(state, h.instrument), h, 0)",
                              "h.held = h.held + 0"),
    "venue-fee-forgotten": _core("a venue's fee is not booked", "routing:_post_fill", "y.available + quote - charge", "y.available + quote"),
    "deficit-forgotten": _core("a reversal leaves a hole nobody has", "ledger:reverse_deposit", "credit_available(state, state.deficit, c.asset, -missing)",
                               "credit_available(state, state.deficit, c.asset, 0)"),
    "halt-ignored": _core("a halted instrument takes orders", "accept:check_open_to", "if b.halted:", "if b.halted > 1:",
                          ("orders:new_order", "if not reason and b.halted:", "if not reason and b.halted > 1:")),
    "first-source-is-reference": _core("the lowest source is the reference", "risk:_refresh", "state.scratch[half] if fresh & 1",
                                       "state.scratch[0] if fresh & 1"),
    "stale-source": _core("a source counts for ever", "risk:_refresh", "state.time - x.posted_at <= b.max_age", "state.time - x.posted_at <= 99 * b.max_age"),
    # -------------------------------------------------------------------------------------------------------------------- log
    "acknowledged-before-sync": _made("log", "entries are told before they are durable", "log.journal:Journal._write", "self._file.sync()", "pass"),
    "found-but-not-synced": _made("log", "what a start finds is believed before it is durable", "log.journal:Journal._resume",
                                  "    file.sync()                                             #", "    pass    #"),
    "name-not-synced": _made("log", "a new segment's name is not made durable", "log.journal:Journal._roll", "self._disk.sync_directory(self._directory)",
                             "pass"),
    "damage-cut-as-torn": _made("log", "damage before valid entries is cut away", "log.segment:examine",
                                "refuse_damage_before_valid_bytes(header, path, end, after, tail, walk.why())", "pass"),
    "torn-tail-left": _made("log", "a torn tail is left, and the log goes on behind it", "log.journal:Journal._resume",
                            "file.pwrite(bytes(last.torn.nbytes), last.torn.offset)",
                            "last = __import__('msgspec').structs.replace(last, end=last.torn.offset + last.torn.nbytes)"),
    "told-before-durable": _made("log", "a batch is told, then written", "node_shell:Running._turn",
                                 "self.node.commit(entries)\n                self._through(entries, sealed, self.monotonic())",
                                 "self._through(entries, sealed, self.monotonic())\n                self.node.commit(entries)"),
    "results-not-kept": _made("log", "a restart does not write again the results that were lost", "node:catch_up",
                              "results.append(entry.first_sequence, entry.last_sequence, entry.time, run(cell, entry, skipped))", "run(cell, entry, skipped)"),
    "result-told-twice": _made("log", "a stream repeats an event of a batch", "feeds.streams:Streams.read", "part[max(number - at, 0):]",
                               "part[max(number - at - 1, 0):]"),
    "time-runs-back": _made("log", "log time follows the wall clock back", "node:Clockwork.read", "self.last = max(self.last, wall)", "self.last = wall"),
    "reused-sequence": _made("log", "a batch of two entries gives a sequence twice", "node:Node.seal", "first_sequence=position.sequence + 1",
                             "first_sequence=self.log.position.sequence + (1 if len(taken.rows) else 0) - (taken.count > 20)"),
    # ------------------------------------------------------------------------------------------------------------------ gateway
    "gateway-wrong-side": _made("gateways", "a sale becomes a purchase", "gateways.fields:_order_new", '"side": Side[asked.side.upper()]', '"side": Side.BUY'),
    "gateway-tenfold": _made("gateways", "ten times the quantity", "gateways.fields:_order_new", '["quantity"] = words.quantity_in(asked.quantity, listed)',
                             '["quantity"] = 10 * words.quantity_in(asked.quantity, listed)'),
    "gateway-new-id": _made("gateways", "a retry gets another id", "gateways.house_shell:House._command", "ear, ids = await self._ear(session.account),",
                            "id_lo += received % 3; ear, ids = await self._ear(session.account),"),
    "unknown-is-no": _made("gateways", "an unknown outcome is told as a no", "gateways.house_shell:House._command", "failure(504, ", "failure(422, "),
    "any-signature": _made("gateways", "a signature of another key counts", "gateways.auth:_proven", "good = False", "good = True"),
    "no-scopes": _made("gateways", "a key may do what it has no scope for", "gateways.auth:may", "if not session.scopes.intersection(operation.scopes):",
                       "if False:"),
    "page-skips": _made("gateways", "a page of events begins one too late", "gateways.hearing:Hearing.page", "skip = max(cursor - page.first, 0)",
                        "skip = max(cursor - page.first, 0) + 1"),
    "cursor-lost": _made("gateways", "a stream begins again where it began before", "door.link_shell:Following.hear",
                         "self.cursor, self.position = number, position", "self.position = position"),
    # --------------------------------------------------------------------------------------------------------------------- desk
    "execution-renamed": _made("desk", "one execution counts under two ids", "venues.executor:VenueExecutor._filled",
                               "if report.execution_id in child.executions:\n            return",
                               "report = msgspec.structs.replace(report, execution_id=f\"{report.execution_id}/{len(child.executions)}\")"),
    "silence-closes": _made("desk", "a venue's silence closes a child", "venues.executor:VenueExecutor._silent",
                            "turn.facts.append(command(Kind.CHILD_UNKNOWN, actor=self._actor, child=number, venue=self.venue))",
                            "turn.facts.append(command(Kind.CHILD_CLOSED, actor=self._actor, child=number, venue=self.venue, cum_quantity=child.filled))"),
    "open-children-forgotten": _made("desk", "after a restart open children are forgotten", "venues.executor:VenueExecutor.resume",
                                     "self._open[row[\"id\"]] = child", "pass"),
    "placed-again": _made("desk", "after a restart open children are placed again", "venues.executor:VenueExecutor._silent",
                          "turn.intents.append(AskChild(number))",
                          "turn.intents.append(PlaceChild(number, child.instrument, child.side, child.quantity, 1, child.tif))"),
    "spread-forgotten": _made("desk", "the desk quotes without its spread", "desk.pricing:_parts", "half_spread=away * _ceil_div(spread * widened, PPM)",
                              "half_spread=0"),
}
CANARY = "results-not-kept"                     # of those that the compiled kernel can have, one that is found at once


@contextmanager
def planted(name: str) -> Iterator[None]:
    """While this lasts the house has this defect; none for an empty name."""
    if not name:
        yield
        return
    if name not in BUGS:
        raise UnknownBug(f"no bug {name!r}; there are {', '.join(BUGS)}")
    bug = BUGS[name]
    if bug.area == "core" and COMPILED:
        raise UnknownBug(f"{name} is in the core: it needs the kernel uncompiled, CAMBIST_COMPILED=0")
    places = [place for each in (bug, *bug.also) for place in _put(each)]
    try:
        yield
    finally:
        for where, attribute, right in places:
            setattr(where, attribute, right)


def changed(bug: Bug) -> tuple[Any, str, Any, Any]:
    """Where the function is, under which name, the right one, and the wrong one."""
    module = importlib.import_module(bug.module)
    *owner, attribute = bug.function.split(".")
    where: Any = getattr(module, owner[0]) if owner else module
    right = where.__dict__[attribute]
    source = textwrap.dedent(inspect.getsource(right))
    if (found := source.count(bug.right)) != 1:
        indented = textwrap.indent(bug.right, "").replace("\n    ", "\n")
        if source.count(indented) != 1:
            raise MisplacedBug(f"{bug.module}.{bug.function}: {bug.right!r} stands there {found} times; right would be once")
        source = source.replace(indented, bug.wrong.replace("\n    ", "\n"))
    else:
        source = source.replace(bug.right, bug.wrong)
    space = dict(module.__dict__)
    exec(compile(source, f"<{bug.module}, changed>", "exec"), space)  # noqa: S102  a defect made on purpose
    made = space[attribute]
    if not isinstance(made, type(right)):
        raise MisplacedBug(f"{bug.module}.{bug.function} is no function")
    # what it calls is looked up where the right one looks it up
    bound = type(made)(made.__code__, module.__dict__, attribute, made.__defaults__, made.__closure__) if inspect.isfunction(made) else made
    bound.__kwdefaults__ = made.__kwdefaults__
    return where, attribute, right, bound


def _put(bug: Bug) -> list[tuple[Any, str, Any]]:
    """Puts it wherever the right one is; what has to be put back."""
    where, attribute, right, wrong = changed(bug)
    places = [(where, attribute, right)]
    setattr(where, attribute, wrong)
    for module in [module for name, module in sys.modules.items() if name.startswith("cambist.") and module is not None]:
        for name, value in list(vars(module).items()):
            if value is right:
                places.append((module, name, right))
                setattr(module, name, wrong)
            elif isinstance(value, dict) and any(each is right for each in value.values()):
                _in_table(value, right, wrong, places)
    return places


class _Entry:
    """A row of a table of functions, put back like an attribute."""
    table: dict[Any, Any]

    def __init__(self, table: dict[Any, Any]) -> None:
        self.__dict__["table"] = table

    def __setattr__(self, name: str, value: Any) -> None:
        for key in list(self.table):
            if repr(key) == name:
                self.table[key] = value


def _in_table(table: dict[Any, Any], right: Any, wrong: Any, places: list[tuple[Any, str, Any]]) -> None:
    for key, value in list(table.items()):
        if value is right:
            table[key] = wrong
            places.append((_Entry(table), repr(key), right))
