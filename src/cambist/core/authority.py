"""The preamble: is it a command, who sent it, was it sent before, may it come now. docs/rules.md section 2, line by line.

Answers with a reason; `state.told` is then the account to tell, and `state.told_other` the sequence of the first answer to a duplicate.
"""
import numpy as np

from cambist.core import layout as at
from cambist.core.layout import COMMAND, KINDS, STATE, WORDS, as_words
from cambist.core.memory import cold, hot
from cambist.core.pools import drop_old_answers, drop_old_facts, find_answer, keep_answer
from cambist.messages import (
    ARGUMENT_WORDS,
    CONFIGURE,
    COUNTED_ONCE,
    FACTS,
    GROUP_MORE,
    HEAD_BYTES,
    MASKS,
    MAX_KIND,
    NAMES_ACCOUNT,
    NAMES_INSTRUMENT,
    NUMBER_WINDOW,
    NUMBERED,
    RATED,
    RISKY,
    SKIPPED,
    Kind,
    Reason,
    Scope,
)

DUPLICATE = -1                                  # not a refusal: this was answered before
SECOND = 1_000_000_000
FIRST_ARGUMENT = HEAD_BYTES // 8
KNOWN, FACT, ONCE, CONFIGURES, WITH_ACCOUNT, WITH_INSTRUMENT, COUNTED_RATE, RISKS, WIND_DOWN = (1 << i for i in range(9))


def _traits() -> np.ndarray:
    """One word of bits per kind, from the sets in messages.py."""
    winding_down = {Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_REQUEST, Kind.WITHDRAW_QUOTE, Kind.CANCEL_CHILD, Kind.KILL, Kind.REVIVE}
    sets = ((frozenset(Kind), KNOWN), (FACTS, FACT), (COUNTED_ONCE, ONCE), (CONFIGURE, CONFIGURES), (NAMES_ACCOUNT, WITH_ACCOUNT),
            (NAMES_INSTRUMENT, WITH_INSTRUMENT), (RATED, COUNTED_RATE), (RISKY, RISKS), (winding_down, WIND_DOWN))
    words = np.zeros(MAX_KIND + 1, np.int64)
    for kinds, bit in sets:
        for kind in sorted(kinds):
            words[kind] |= bit
    return words


TRAITS = _traits()


@hot
def trait(kind: int, bit: int):
    return TRAITS[kind] & bit


@hot
def belongs(state: STATE, c: COMMAND):
    """The account a command belongs to: the one it names, or the actor's own."""
    if trait(c.kind, WITH_ACCOUNT) and not trait(c.kind, CONFIGURES):
        return c.account + 0
    return at.actor(state, c.actor).account + 0


@cold
def _stray_bits(w: WORDS, kind: int):
    """Argument bits outside the kind's layout."""
    stray = 0
    for i in range(ARGUMENT_WORDS):
        stray |= w.words[FIRST_ARGUMENT + i] & ~MASKS[kind, i]
    return stray


@cold
def check_shape(state: STATE, c: COMMAND):
    """Lines 1 to 3."""
    kind = c.kind + 0
    if kind > MAX_KIND or not TRAITS[kind] & KNOWN:
        return Reason.UNKNOWN_KIND
    if c.flags & ~(NUMBERED | GROUP_MORE) or _stray_bits(as_words(c), kind):
        return Reason.UNDEFINED_BITS
    if (c.account and not trait(kind, WITH_ACCOUNT)) or (c.instrument and not trait(kind, WITH_INSTRUMENT)):
        return Reason.UNDEFINED_BITS
    if trait(kind, FACT) or kind == Kind.TICK:
        if c.flags & NUMBERED or c.expires:
            return Reason.UNDEFINED_BITS
        has_id = c.id_hi != 0 or c.id_lo != 0
        if has_id != (trait(kind, ONCE) != 0):
            return Reason.UNDEFINED_BITS
    if not state.started:
        return Reason.NONE if trait(kind, CONFIGURES) or kind == Kind.START else Reason.NOT_STARTED
    return Reason.ALREADY_STARTED if kind == Kind.START else Reason.NONE


@cold
def check_actor(state: STATE, c: COMMAND):
    """Lines 4 to 8: who, for whom."""
    if c.actor < 1 or c.actor > state.actor_count:
        return Reason.UNKNOWN_ACTOR
    a = at.actor(state, c.actor)
    state.told = a.account
    if not a.enabled:
        return Reason.ACTOR_DISABLED
    kind = c.kind + 0
    if kind == Kind.TICK:
        return Reason.NONE
    scope = at.authority(state, a.role * KINDS + kind).scope + 0
    if scope == Scope.NONE or (scope != Scope.ALL and trait(kind, CONFIGURES)):
        return Reason.NOT_ALLOWED
    if not trait(kind, WITH_ACCOUNT) or trait(kind, CONFIGURES):
        return Reason.NONE
    if c.account < 1 or c.account > state.account_count:
        return Reason.UNKNOWN_ACCOUNT
    named = at.account(state, c.account)
    if scope == Scope.OWN and c.account != a.account:
        return Reason.FOREIGN_ACCOUNT
    if scope == Scope.ENTITY and (a.account == 0 or at.account(state, a.account).entity != named.entity):
        return Reason.FOREIGN_ACCOUNT
    if not named.enabled and not trait(kind, FACT) and not trait(kind, WIND_DOWN):
        state.told = c.account
        return Reason.ACCOUNT_DISABLED
    return Reason.NONE


@cold
def _check_number(state: STATE, c: COMMAND):
    """Line 10 of a numbered session: the key's next number, an old answer, or a gap."""
    if c.id_hi or c.id_lo < 1:
        return Reason.NO_ID
    a = at.actor(state, c.actor)
    if c.id_lo <= a.highest:
        if c.id_lo <= a.highest - NUMBER_WINDOW:
            return Reason.NUMBER_OLD
        state.told_other = at.number(state, c.actor * NUMBER_WINDOW + c.id_lo % NUMBER_WINDOW).sequence
        return DUPLICATE
    if c.id_lo > a.highest + 1:
        return Reason.NUMBER_GAP
    return Reason.EXPIRED if c.expires and c.expires <= state.time else Reason.NONE


@cold
def _check_id(state: STATE, c: COMMAND, account: int):
    """Line 10 of a request with a 128-bit id: a living answer, or an expiry inside the window."""
    if c.id_hi == 0 and c.id_lo == 0:
        return Reason.NO_ID
    i = find_answer(state, account, c.id_hi, c.id_lo)
    if i and at.answer(state, i).accepted_at + state.answer_window > state.time:
        state.told_other = at.answer(state, i).sequence
        return DUPLICATE
    if c.expires <= state.time:
        return Reason.EXPIRED
    if c.expires - state.time > state.answer_window:
        return Reason.EXPIRY_TOO_FAR
    owner = at.account(state, account)
    return Reason.ANSWER_QUOTA if owner.answers >= owner.answer_quota else Reason.NONE


@cold
def _remember(state: STATE, c: COMMAND, account: int):
    if c.flags & NUMBERED:
        at.actor(state, c.actor).highest = c.id_lo
        n = at.number(state, c.actor * NUMBER_WINDOW + c.id_lo % NUMBER_WINDOW)
        n.number = c.id_lo
        n.sequence = state.sequence
    else:
        keep_answer(state, account, c.id_hi, c.id_lo, state.sequence)


@cold
def _check_rate(state: STATE, account: int):
    """Line 11: so many in one second of log time; a refused one is not counted."""
    owner = at.account(state, account)
    if owner.rate_limit == 0:
        return Reason.NONE
    second = state.time // SECOND
    if owner.rate_second != second:
        owner.rate_second = second
        owner.rate_count = 0
    if owner.rate_count >= owner.rate_limit:
        return Reason.RATE
    owner.rate_count = owner.rate_count + 1
    return Reason.NONE


@hot
def check_latches(state: STATE, c: COMMAND):
    """Line 12: the kill switches."""
    if not trait(c.kind, RISKS):
        return Reason.NONE
    if state.killed_all:
        return Reason.KILLED_ALL
    return Reason.KILLED if at.account(state, c.account).killed else Reason.NONE


@cold
def _skip(state: STATE, c: COMMAND):
    """Line 2a: remembered like any request, so that the same one is a duplicate, and refused."""
    if not state.started:
        return Reason.SKIPPED
    reason = check_actor(state, c)
    if reason:
        return reason
    account = belongs(state, c)
    state.told = account
    if trait(c.kind, FACT) or c.kind == Kind.TICK:
        return Reason.SKIPPED
    reason = _check_number(state, c) if c.flags & NUMBERED else _check_id(state, c, account)
    if reason:
        return reason
    _remember(state, c, account)
    return Reason.SKIPPED


@cold
def admit(state: STATE, c: COMMAND):
    """The whole preamble. NONE: go on. DUPLICATE or a reason: tell `told`; nothing else happens."""
    state.told = 0
    if state.started and 1 <= c.actor <= state.actor_count:
        state.told = at.actor(state, c.actor).account
    reason = check_shape(state, c)
    if reason or not state.started:
        return _skip(state, c) if c.flags & SKIPPED and reason != Reason.UNKNOWN_KIND else reason
    reason = check_actor(state, c)
    if reason:
        return reason
    account = belongs(state, c)
    state.told = account
    if trait(c.kind, FACT) or c.kind == Kind.TICK:
        return Reason.NONE
    reason = _check_number(state, c) if c.flags & NUMBERED else _check_id(state, c, account)
    if reason:
        return reason
    _remember(state, c, account)
    if trait(c.kind, COUNTED_RATE):
        reason = _check_rate(state, account)
        if reason:
            return reason
    return check_latches(state, c)


@hot
def drop_old(state: STATE):
    """What is past its window is no more."""
    drop_old_answers(state)
    drop_old_facts(state)


@hot
def needs_second_person(state: STATE, c: COMMAND):
    """Whether the sender's role must ask another person for this kind."""
    if not state.started or state.releasing:
        return 0
    return at.authority(state, at.actor(state, c.actor).role * KINDS + c.kind).second_person + 0
