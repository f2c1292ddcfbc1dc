"""The controls as a page: docs/controls.md is what this file prints, from one table and from the tables of `messages.py`.

Decides what each control is called, which reason it gives, where it is configured, and which rule asks for it. It must not know how a control is
checked (docs/rules.md), and no code asks this table anything: it is for people who must show what stands between an order and the market.

    python -m cambist.controls > docs/controls.md
"""
from collections.abc import Iterable
from typing import NamedTuple

from cambist.messages import EFFECTIVE_SELF_TRADE, SESSION_MOVES, Kind, Reason, SelfTrade, Session

K, R = Kind, Reason


class Control(NamedTuple):
    name: str
    what: str
    reasons: tuple[Reason, ...]                 # what a refusal, a cancel or an alert says
    configured: tuple[Kind, ...]                # by what it is set or used
    sec: str                                    # paragraph of SEC Rule 15c3-5; empty: none asks for it
    rts6: str                                   # article of Delegated Regulation (EU) 2017/589, or of 2017/584 (RTS 7) where named


CONTROLS = (
    Control("maximum size", "the quantity of one order, quote or request", (R.MAX_QUANTITY,), (K.CONFIGURE_LIMITS,), "(c)(1)(ii)", "15(1)(c)"),
    Control("maximum value", "the worst amount of one order or quote", (R.MAX_NOTIONAL,), (K.CONFIGURE_LIMITS,), "(c)(1)(ii)", "15(1)(b)"),
    Control("price collar", "how far from the reference, or from its trigger, an order may be priced", (R.COLLAR, R.NO_REFERENCE), (K.CONFIGURE_LIMITS,),
            "(c)(1)(ii)", "15(1)(a)"),
    Control("position", "net and open of an account in an instrument", (R.POSITION,), (K.CONFIGURE_LIMITS, K.CONFIGURE_POSITION), "(c)(1)(i)", "15(4)"),
    Control("gross and net exposure", "of an account in all instruments, in the numeraire, with its open orders", (R.EXPOSURE, R.NO_RATE),
            (K.CONFIGURE_EXPOSURE, K.CONFIGURE_ASSET), "(c)(1)(i)", "15(4)"),
    Control("credit", "what is reserved, traded and netted against the line from the house", (R.CREDIT, R.QUOTING_LINE), (K.CONFIGURE_CREDIT,), "(c)(1)(i)",
            "15(4)"),
    Control("capital", "every order holds its worst case from its acceptance on", (R.INSUFFICIENT,), (K.DEPOSIT,), "(c)(1)(i)", "15(4)"),
    Control("daily loss", "of an account since its day began: kills it", (R.DAILY_LOSS,), (K.CONFIGURE_EXPOSURE,), "(c)(1)(i)", "15(4)"),
    Control("open orders", "how many may stand, and how many may wait", (R.OPEN_ORDERS, R.WAITING_ORDERS, R.FLOATING),
            (K.CONFIGURE_ACCOUNT, K.CONFIGURE_TRADING), "(c)(1)(ii)", "15(1)(d)"),
    Control("message rate", "commands of an account in a second; cancels have a reserve of their own", (R.RATE,), (K.CONFIGURE_ACCOUNT, K.CONFIGURE_TRADING),
            "(c)(1)(ii)", "15(1)(d)"),
    Control("repeated executions", "how often an account may execute in a window: kills it, and a person revives", (R.EXECUTIONS,), (K.CONFIGURE_TRADING,),
            "(c)(1)(ii)", "15(3)"),
    Control("duplicate order", "the same order again too soon", (R.DUPLICATE_ORDER,), (K.CONFIGURE_TRADING,), "(c)(1)(ii)", ""),
    Control("restricted list", "an account or a trader barred from an instrument", (R.RESTRICTED,), (K.CONFIGURE_RESTRICTION,), "(c)(2)(ii)", "15(5)"),
    Control("authority", "which key may send what, for whom; what a second person must approve", (R.NOT_ALLOWED, R.FOREIGN_ACCOUNT),
            (K.CONFIGURE_AUTHORITY, K.CONFIGURE_ACTOR), "(c)(2)(iii)", "15(5)"),
    Control("kill: client, desk", "an account may send nothing risky; its orders are cancelled, each confirmed", (R.KILLED,), (K.KILL, K.REVIVE), "(b)", "12"),
    Control("kill: trader", "the same for a key, apart from its account", (R.TRADER_KILLED,), (K.KILL_TRADER, K.REVIVE_TRADER), "(b)", "12"),
    Control("kill: instrument", "halted, and its book cancelled", (R.HALTED,), (K.HALT, K.RESUME), "(b)", "12; RTS 7 18(2)"),
    Control("kill: all", "the house at once", (R.KILLED_ALL,), (K.KILL_ALL, K.REVIVE_ALL), "(b)", "12"),
    Control("cancel on disconnect", "everything, unless the account is heard of in time", (R.DEAD_MAN,), (K.DEAD_MAN,), "", "RTS 7 18(2)(c)"),
    Control("price band", "how far the book may move before an auction is called; stops wait for its end", (R.BAND,), (K.CONFIGURE_BAND,), "", "RTS 7 19"),
    Control("sessions", "what may be sent when", (R.SESSION, R.BAD_SESSION), (K.SESSION, K.CONFIGURE_SCHEDULE), "", "RTS 7 19"),
    Control("market-maker protection", "a maker's quotes withdrawn when too much of them trades", (R.FROZEN, R.PROTECTED), (K.CONFIGURE_PROTECTION,
            K.RESET_PROTECTION), "(c)(1)(i)", "15(4)"),
    Control("self-trade prevention", "by account, trade group or legal entity", (R.SELF_TRADE,), (K.CONFIGURE_TRADING,), "(c)(2)(i)", "13"),
    Control("mint guard", "no credit without what custody has brought", (R.MINT,), (K.MANUAL_CREDIT, K.DEPOSIT), "(c)(1)(i)", ""),
)

OPENING = """# The controls

Printed from `src/cambist/controls.py`; renew it with `.venv/bin/python -m cambist.controls > docs/controls.md`. What each does exactly, and in which order
they are asked, is [the rules](rules.md). SEC is Rule 15c3-5 (17 CFR 240.15c3-5), RTS 6 the articles of Delegated Regulation (EU) 2017/589, RTS 7 those of
2017/584. The table says which paragraph a control is meant to serve; that a house which uses it complies is for the house to show.

## Controls
"""
SELF_TRADE = """
## Self-trade
What happens when an order meets one it may not trade with: rows are the maker's mode, columns the taker's. In an auction the later to arrive is the taker. Of
two accounts the wider scope holds.

"""
SESSIONS = """
## Sessions
From the session of the row SESSION may lead to those marked; from AUCTION only to the one of CONTINUOUS and CLOSED that it was called for. VOLATILITY is
entered by a broken band alone. HALT stands over all of them.

"""


def table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    shown = [f"| {' | '.join(str(cell) for cell in row)} |" for row in (heads, *rows)]
    return "\n".join([shown[0], "|" + "---|" * (shown[0].count(" | ") + 1), *shown[1:]]) + "\n"


def diagram() -> str:
    """The sessions as a state diagram."""
    moves = [f"    {a.name} --> {b.name}" for a, to in SESSION_MOVES.items() for b in Session if b in to]
    return "\n".join(["", "```mermaid", "stateDiagram-v2", *moves, "    CONTINUOUS --> VOLATILITY: band", "```", ""])


def controls_text() -> str:
    """The whole of docs/controls.md."""
    rows = [(c.name, c.what, ", ".join(r.name for r in c.reasons), ", ".join(k.name for k in c.configured), c.sec, c.rts6) for c in CONTROLS]
    modes = [(maker.name, *(EFFECTIVE_SELF_TRADE[maker][taker].name for taker in SelfTrade)) for maker in SelfTrade]
    moves = [(a.name, *("yes" if b in SESSION_MOVES[a] else "" for b in Session)) for a in Session]
    return (OPENING + table(("control", "what it looks at", "reasons", "set or used by", "SEC", "RTS 6"), rows)
            + SELF_TRADE + table(("maker \\ taker", *(m.name for m in SelfTrade)), modes)
            + SESSIONS + table(("session", *(s.name for s in Session)), moves) + diagram())


if __name__ == "__main__":
    print(controls_text(), end="")
