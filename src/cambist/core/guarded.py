"""Kinds that a role may need a second person for: checked whole as written, then held or changed. docs/rules.md section 2.

Decides nothing of its own but what a change of digits that is worked off keeps out.
"""
from cambist.core import layout as at
from cambist.core.configuration import change_configure, check_configure
from cambist.core.control import change_control, check_control, hold_command
from cambist.core.authority import needs_second_person
from cambist.core.emit import refuse
from cambist.core.layout import COMMAND, STATE, seen_as
from cambist.core.ledger import check_manual_credit, manual_credit
from cambist.core.memory import cold
from cambist.core.precision import begin_change, change_terms, check_digits, check_terms
from cambist.core.market_sessions import change_session, check_session
from cambist.core.settlement import begin_cut_off, check_settle, settle
from cambist.messages import Kind, Reason

as_settle, as_credit, as_terms, as_digits, as_asset, as_line, as_short, as_instrument, as_session = (seen_as(k) for k in (
    Kind.SETTLE, Kind.MANUAL_CREDIT, Kind.CHANGE_TERMS, Kind.CHANGE_DIGITS, Kind.CONFIGURE_ASSET, Kind.CONFIGURE_CREDIT, Kind.CONFIGURE_SHORT,
    Kind.CONFIGURE_INSTRUMENT, Kind.SESSION))


@cold
def _check(state: STATE, c: COMMAND):
    kind = c.kind + 0
    if kind <= Kind.START:
        return check_configure(state, c)
    if kind == Kind.NET:
        return Reason.NETTING if state.cut_off else Reason.NONE
    if kind == Kind.SETTLE:
        return check_settle(state, as_settle(c).obligation)
    if kind == Kind.MANUAL_CREDIT:
        return check_manual_credit(state, as_credit(c))
    if kind == Kind.CHANGE_TERMS:
        return check_terms(state, as_terms(c))
    if kind == Kind.CHANGE_DIGITS:
        return check_digits(state, as_digits(c))
    if kind == Kind.SESSION:
        return check_session(state, as_session(c))
    return check_control(state, c, c.a0)


@cold
def _change(state: STATE, c: COMMAND, account: int):
    kind = c.kind + 0
    if kind <= Kind.START:
        change_configure(state, c)
    elif kind == Kind.NET:
        begin_cut_off(state)
    elif kind == Kind.SETTLE:
        settle(state, as_settle(c), account)
    elif kind == Kind.MANUAL_CREDIT:
        manual_credit(state, as_credit(c))
    elif kind == Kind.CHANGE_TERMS:
        change_terms(state, as_terms(c))
    elif kind == Kind.CHANGE_DIGITS:
        begin_change(state, as_digits(c))
    elif kind == Kind.SESSION:
        change_session(state, as_session(c))
    else:
        change_control(state, c, c.a0)


@cold
def _held_off(state: STATE, c: COMMAND):
    """Whether it speaks of amounts of the asset whose digits are being changed, or lets its instruments trade."""
    asset, kind = state.change_asset + 0, c.kind + 0
    if kind == Kind.NET or kind == Kind.CHANGE_DIGITS:
        return 1
    if kind == Kind.CONFIGURE_ASSET:
        return 1 if as_asset(c).asset == asset else 0
    if kind == Kind.CONFIGURE_CREDIT:
        return 1 if as_line(c).asset == asset else 0
    if kind == Kind.CONFIGURE_SHORT:
        return 1 if as_short(c).asset == asset else 0
    if kind == Kind.CONFIGURE_INSTRUMENT:
        return 1 if as_instrument(c).base == asset or as_instrument(c).quote == asset else 0
    if not (kind == Kind.CONFIGURE_LIMITS or kind == Kind.CONFIGURE_TIER or kind == Kind.CONFIGURE_POSITION or kind == Kind.CONFIGURE_PROTECTION
            or kind == Kind.RESUME or kind == Kind.CHANGE_TERMS):
        return 0
    b = at.instrument(state, c.instrument)
    return 1 if b.base == asset or b.quote == asset else 0


@cold
def run_guarded(state: STATE, c: COMMAND, account: int):
    """Check, then hold or change."""
    reason = _check(state, c)
    if not reason and state.change_asset and _held_off(state, c):
        reason = Reason.SWEEPING + 0
    named = as_settle(c).obligation + 0 if c.kind == Kind.SETTLE else 0
    if reason:
        refuse(state, account if state.started else 0, reason, named)
    elif needs_second_person(state, c):
        hold_command(state, c, account, named, state.time + state.approval_window)
    else:
        _change(state, c, account)
