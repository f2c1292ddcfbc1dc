"""The preamble: is it a command, who sent it, was it sent before, may it come now. docs/rules.md section 2, line by line.

Answers with a reason; `state.told` is then the account to tell, and `state.told_other` the sequence of the first answer to a duplicate.
"""
import numpy as np

from cambist.core import layout as at
from cambist.core.layout import COMMAND, KINDS, STATE, strays
from cambist.core.memory import cold, hot
from cambist.core.pools import drop_old_answers, drop_old_facts, find_answer, keep_answer
from cambist.messages import (
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
    RATED_CANCELS,
    RISKY,
    SKIPPED,
    Kind,
    Reason,
    Scope,
)

DUPLICATE = -1                                  # not a refusal: this was answered before
SECOND = 1_000_000_000
FIRST_ARGUMENT = HEAD_BYTES // 8
KNOWN, FACT, ONCE, CONFIGURES, WITH_ACCOUNT, WITH_INSTRUMENT, COUNTED_RATE, RISKS, WIND_DOWN, TOLD, STARTS, CANCELS = (1 << i for i in range(12))


def _traits() -> np.ndarray:
    """One word of bits per kind, from the sets in messages.py."""
    winding_down = {Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.DEAD_MAN, Kind.CANCEL_REQUEST, Kind.WITHDRAW_QUOTE, Kind.CANCEL_CHILD,
                    Kind.KILL, Kind.REVIVE}
    sets = ((frozenset(Kind), KNOWN), (FACTS, FACT), (COUNTED_ONCE, ONCE), (CONFIGURE, CONFIGURES), (NAMES_ACCOUNT, WITH_ACCOUNT),
            (NAMES_INSTRUMENT, WITH_INSTRUMENT), (RATED, COUNTED_RATE), (RISKY, RISKS), (winding_down, WIND_DOWN), (FACTS | {Kind.TICK}, TOLD),
            ({Kind.START}, STARTS), (RATED_CANCELS, CANCELS))
    words = np.zeros(MAX_KIND + 1, np.int64)
    for kinds, bit in sets:
        for kind in sorted(kinds):
            words[kind] |= bit
    return words


TRAITS = _traits()


def shapes() -> np.ndarray:
    """Line 2, all of it but one: the bits each kind leaves zero, in the head as in the arguments."""
    every = np.zeros(KINDS, COMMAND)
    every["flags"] = ~np.uint16(NUMBERED | GROUP_MORE)
    for kind in range(KINDS):
        traits = int(TRAITS[kind])
        if not traits & WITH_ACCOUNT:
            every["account"][kind] = ~np.uint32(0)
        if not traits & WITH_INSTRUMENT:
            every["instrument"][kind] = ~np.uint32(0)
        if traits & TOLD:
            every["flags"][kind] |= NUMBERED
            every["expires"][kind] = -1
            if not traits & ONCE:
                every["id_hi"][kind] = every["id_lo"][kind] = -1
    words = every.view(np.int64).reshape(KINDS, -1)
    words[:, FIRST_ARGUMENT:] = ~MASKS
    return words


@hot
def _check_shape(state: STATE, c: COMMAND, traits: int):
    """Lines 1 to 3."""
    if not traits & KNOWN:
        return Reason.UNKNOWN_KIND
    if strays(c, at.shape(state, c.kind)) or (traits & ONCE and c.id_hi == 0 and c.id_lo == 0):
        return Reason.UNDEFINED_BITS
    if not state.started:
        return Reason.NONE if traits & (CONFIGURES | STARTS) else Reason.NOT_STARTED
    return Reason.ALREADY_STARTED if traits & STARTS else Reason.NONE


@hot
def _check_actor(state: STATE, c: COMMAND, traits: int):
    """Lines 4 to 8: who, for whom. `told` is the actor's own account, or the named one once the actor may speak for it."""
    if c.actor < 1 or c.actor > state.actor_count:
        return Reason.UNKNOWN_ACTOR
    a = at.actor(state, c.actor)
    own = a.account + 0
    state.told = own
    if not a.enabled:
        return Reason.ACTOR_DISABLED
    scope = at.authority(state, a.role * KINDS + c.kind).scope + 0
    if traits & (WITH_ACCOUNT | CONFIGURES) != WITH_ACCOUNT:
        if c.kind == Kind.TICK:
            return Reason.NONE
        return Reason.NOT_ALLOWED if scope == Scope.NONE or (scope != Scope.ALL and traits & CONFIGURES) else Reason.NONE
    if scope == Scope.NONE:
        return Reason.NOT_ALLOWED
    if c.account < 1 or c.account > state.account_count:
        return Reason.UNKNOWN_ACCOUNT
    named = at.account(state, c.account)
    if c.account != own:
        if scope != Scope.ALL and (scope == Scope.OWN or own == 0 or at.account(state, own).entity != named.entity):
            return Reason.FOREIGN_ACCOUNT
        if c.kind == Kind.NEW_ORDER or c.kind == Kind.MASS_QUOTE:
            a.roams = 1                         # a kill of this key must go through every account's orders
    state.told = c.account
    return Reason.NONE if named.enabled or traits & (FACT | WIND_DOWN) else Reason.ACCOUNT_DISABLED


@hot
def _check_number(state: STATE, c: COMMAND):
    """Line 10 of a numbered session: the key's next number, an old answer, or a gap. What passes is remembered."""
    if c.id_hi or c.id_lo < 1:
        return Reason.NO_ID
    a = at.actor(state, c.actor)
    if c.id_lo != a.highest + 1:
        if c.id_lo > a.highest:
            return Reason.NUMBER_GAP
        if c.id_lo <= a.highest - NUMBER_WINDOW:
            return Reason.NUMBER_OLD
        state.told_other = at.number(state, place_of_number(c)).sequence
        return DUPLICATE
    if c.expires and c.expires <= state.time:
        return Reason.EXPIRED
    a.highest = c.id_lo
    at.number(state, place_of_number(c)).sequence = state.sequence
    return Reason.NONE


@hot
def place_of_number(c: COMMAND):
    return c.actor * NUMBER_WINDOW + (c.id_lo & NUMBER_WINDOW - 1)


@cold
def _check_id(state: STATE, c: COMMAND, account: int):
    """Line 10 of a request with a 128-bit id: a living answer, or an expiry inside the window. What passes is remembered."""
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
    if owner.answers >= owner.answer_quota:
        return Reason.ANSWER_QUOTA
    keep_answer(state, account, c.id_hi, c.id_lo, state.sequence)
    return Reason.NONE


@hot
def _check_rate(state: STATE, account: int):
    """Line 11: so many in one second of log time; a refused one is not counted."""
    owner = at.account(state, account)
    if owner.rate_limit == 0:
        return Reason.NONE
    if owner.rate_second != state.second:
        _begin_second(state, account)
    if owner.rate_count >= owner.rate_limit:
        return Reason.RATE
    owner.rate_count = owner.rate_count + 1
    return Reason.NONE


@cold
def _begin_second(state: STATE, account: int):
    owner = at.account(state, account)
    owner.rate_second = state.second
    owner.rate_count = 0
    at.account_extra(state, account).rate_cancels = 0


@cold
def _check_cancels(state: STATE, account: int):
    """Line 11 of what cancels, of an account with a rate and a reserve above it: counted apart."""
    owner, x = at.account(state, account), at.account_extra(state, account)
    if owner.rate_limit == 0:
        return Reason.NONE
    if owner.rate_second != state.second:
        _begin_second(state, account)
    if x.rate_cancels >= owner.rate_limit + x.cancel_reserve:
        return Reason.RATE
    x.rate_cancels = x.rate_cancels + 1
    return Reason.NONE


@hot
def _check_latches(state: STATE, c: COMMAND, traits: int):
    """Line 12: the kill switches."""
    if not traits & RISKS:
        return Reason.NONE
    if state.killed_all:
        return Reason.KILLED_ALL
    if at.account(state, c.account).killed:
        return Reason.KILLED
    return Reason.TRADER_KILLED if at.actor(state, c.actor).killed else Reason.NONE


@cold
def _skip(state: STATE, c: COMMAND, traits: int):
    """Line 2a: remembered like any request, so that the same one is a duplicate, and refused."""
    if not state.started:
        return Reason.SKIPPED
    reason = _check_actor(state, c, traits)
    if not reason and not traits & TOLD:
        account = state.told + 0
        reason = _check_number(state, c) if c.flags & NUMBERED else _check_id(state, c, account)
    return reason if reason else Reason.SKIPPED


@hot
def admit(state: STATE, c: COMMAND):
    """The whole preamble. NONE: go on for `told`, the account it belongs to. DUPLICATE or a reason: tell `told`; nothing else happens."""
    state.told = 0
    traits = TRAITS[c.kind] if c.kind <= MAX_KIND else 0
    reason = _check_shape(state, c, traits)
    if not state.started:
        return _skip(state, c, traits) if reason and c.flags & SKIPPED and traits & KNOWN else reason
    if reason:
        if c.flags & SKIPPED and traits & KNOWN:
            return _skip(state, c, traits)
        if 1 <= c.actor <= state.actor_count:
            state.told = at.actor(state, c.actor).account
        return reason
    reason = _check_actor(state, c, traits)
    if reason or traits & TOLD:
        return reason
    account = state.told + 0
    reason = _check_number(state, c) if c.flags & NUMBERED else _check_id(state, c, account)
    if not reason and traits & COUNTED_RATE:
        reason = _check_rate(state, account)
    elif not reason and traits & CANCELS and at.account(state, account).reserves:
        reason = _check_cancels(state, account)
    return reason if reason else _check_latches(state, c, traits)


@cold
def check_again(state: STATE, c: COMMAND):
    """What is asked of a held command once more before it is run: lines 4 to 8 and 12."""
    traits = TRAITS[c.kind] + 0
    reason = _check_actor(state, c, traits)
    return reason if reason else _check_latches(state, c, traits)


@hot
def pass_time(state: STATE, now: int):
    """The time of an entry: it never falls. What is past its window then is no more."""
    if now > state.time:
        state.time = now
        state.second = now // SECOND
    if state.dropped_at != state.time:
        drop_old_answers(state)
        drop_old_facts(state)
        state.dropped_at = state.time


@hot
def needs_second_person(state: STATE, c: COMMAND):
    """Whether the sender's role must ask another person for this kind."""
    if not state.started or state.releasing:
        return 0
    return at.authority(state, at.actor(state, c.actor).role * KINDS + c.kind).second_person + 0
