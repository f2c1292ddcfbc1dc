"""The table of controls: its page is current, every risk reason belongs to a control, and what a control is set by does exist."""
from pathlib import Path

from cambist.controls import CONTROLS, controls_text
from cambist.messages import EFFECTIVE_SELF_TRADE, SESSION_MOVES, Reason, SelfTrade, Session

PAGE = Path(__file__).parents[1] / "docs" / "controls.md"
NOT_CONTROLS = {Reason.UNCOVERED, Reason.INVENTORY, Reason.CAPACITY, Reason.REDUCE_ONLY}      # the ledger's, the machine's, the order's own wish


def test_the_page_is_current():
    assert PAGE.read_text() == controls_text(), "renew it: .venv/bin/python -m cambist.controls > docs/controls.md"


def test_every_risk_reason_belongs_to_a_control():
    named = {reason for control in CONTROLS for reason in control.reasons}
    assert {r for r in Reason if 60 <= r < 80} - named == NOT_CONTROLS
    assert all(c.reasons and c.configured and (c.sec or c.rts6 or c.name == "mint guard") for c in CONTROLS)
    assert len({c.name for c in CONTROLS}) == len(CONTROLS)


def test_the_tables_are_whole():
    assert {(a, b) for a in EFFECTIVE_SELF_TRADE for b in EFFECTIVE_SELF_TRADE[a]} == {(a, b) for a in SelfTrade for b in SelfTrade}
    assert set(SESSION_MOVES) == set(Session) and all(a not in to and Session.VOLATILITY not in to for a, to in SESSION_MOVES.items())
