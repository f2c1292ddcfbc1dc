"""Section 2 of the rules: the shape of a command, who sent it, whether it came before, and the latches. No kind decides anything else here."""
from dataclasses import dataclass

import numpy as np

from cambist.messages import (
    CONFIGURE, COUNTED_ONCE, FACTS, GROUP_MORE, HEAD_BYTES, MASKS, NAMES_ACCOUNT, NAMES_INSTRUMENT, NUMBER_WINDOW, NUMBERED, RATED,
    RATED_CANCELS, RISKY, SKIPPED, Kind, Reason, Scope,
)
from cambist.simulation.twin.model import Account, Command, State

K, R = Kind, Reason
ACCOUNT_ZERO_QUOTA = 4_096
SECOND = 1_000_000_000
ALLOWED_WHILE_DISABLED = {K.CANCEL_ORDER, K.CANCEL_ALL, K.CANCEL_SOME, K.DEAD_MAN, K.CANCEL_REQUEST, K.WITHDRAW_QUOTE, K.CANCEL_CHILD, K.KILL, K.REVIVE}
KINDS = {int(k) for k in K}


@dataclass
class Verdict:
    """What the preamble says: passed (reason NONE and no duplicate), refused to an account, or a duplicate of an earlier sequence."""
    reason: Reason = R.NONE
    account: int = 0
    duplicate_of: int = 0

    @property
    def passed(self) -> bool:
        return self.reason == R.NONE and self.duplicate_of == 0


def own_account(t: State, c: Command) -> int:
    return t.actors[c["actor"]].account if c["actor"] in t.actors else 0


def belongs_to(t: State, c: Command) -> int:
    """The account a command belongs to. Configuration is about an account but belongs to who configures."""
    if c.kind in NAMES_ACCOUNT and c.kind not in CONFIGURE:
        return c.account
    return own_account(t, c)


def undefined_bits(c: Command) -> bool:
    if c["flags"] & ~(NUMBERED | GROUP_MORE):
        return True
    words, masks = np.frombuffer(c.record, "<i8", offset=HEAD_BYTES).tolist(), MASKS[c.kind].tolist()
    if any(word & ~mask for word, mask in zip(words, masks, strict=True)):
        return True
    if (c.account and c.kind not in NAMES_ACCOUNT) or (c.instrument and c.kind not in NAMES_INSTRUMENT):
        return True
    if c.kind in FACTS or c.kind == K.TICK:
        if c["flags"] & NUMBERED or c["expires"]:
            return True
        if (c.id == (0, 0)) == (c.kind in COUNTED_ONCE):
            return True
    return False


def shape(t: State, c: Command) -> Reason:
    """Lines 1 to 3."""
    if c.kind not in KINDS:
        return R.UNKNOWN_KIND
    if undefined_bits(c):
        return R.UNDEFINED_BITS
    if not t.cell.started and c.kind not in CONFIGURE and c.kind != K.START:
        return R.NOT_STARTED
    if t.cell.started and c.kind == K.START:
        return R.ALREADY_STARTED
    return R.NONE


def who(t: State, c: Command) -> Reason:
    """Lines 4 to 7."""
    actor = t.actors.get(c["actor"])
    if actor is None:
        return R.UNKNOWN_ACTOR
    if not actor.enabled:
        return R.ACTOR_DISABLED
    if c.kind == K.TICK:
        return R.NONE
    scope, _ = t.authority.get((actor.role, c.kind), (Scope.NONE, 0))
    if scope == Scope.NONE or (c.kind in CONFIGURE and scope != Scope.ALL):
        return R.NOT_ALLOWED
    if c.kind not in NAMES_ACCOUNT or c.kind in CONFIGURE:
        return R.NONE
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if scope == Scope.OWN and c.account != actor.account:
        return R.FOREIGN_ACCOUNT
    if scope == Scope.ENTITY and (actor.account == 0 or t.accounts[c.account].entity != t.accounts[actor.account].entity):
        return R.FOREIGN_ACCOUNT
    if c.account != actor.account and c.kind in (K.NEW_ORDER, K.MASS_QUOTE):
        actor.roams = 1                         # whose orders a kill of this trader must go through
    return R.NONE


def disabled(t: State, c: Command) -> Reason:
    """Line 8."""
    if c.kind in NAMES_ACCOUNT and c.kind not in CONFIGURE and c.kind not in FACTS and c.kind not in ALLOWED_WHILE_DISABLED:
        if not t.accounts[c.account].enabled:
            return R.ACCOUNT_DISABLED
    return R.NONE


def latches(t: State, c: Command) -> Reason:
    """Line 12."""
    if c.kind in RISKY:
        if t.cell.killed_all:
            return R.KILLED_ALL
        if t.accounts[c.account].killed:
            return R.KILLED
        if t.actors[c["actor"]].killed:
            return R.TRADER_KILLED
    return R.NONE


def rate(t: State, c: Command) -> Reason:
    """Line 11."""
    cancels = c.kind in RATED_CANCELS
    if c.kind not in RATED and not cancels:
        return R.NONE
    account: Account = t.accounts[c.account]
    if account.rate_limit == 0 or (cancels and account.cancel_reserve == 0):
        return R.NONE
    second = t.time // SECOND
    if account.rate_second != second:
        account.rate_second, account.rate_count, account.rate_cancels = second, 0, 0
    if cancels:
        if account.rate_cancels >= account.rate_limit + account.cancel_reserve:
            return R.RATE
        account.rate_cancels += 1
        return R.NONE
    if account.rate_count >= account.rate_limit:
        return R.RATE
    account.rate_count += 1
    return R.NONE


def again(t: State, c: Command) -> Verdict:
    """Lines 9 and 10 of a request, which is remembered when they pass."""
    account = c.belongs
    if c["flags"] & NUMBERED:
        actor, number = t.actors[c["actor"]], c["id_lo"]
        if c["id_hi"] != 0 or number < 1:
            return Verdict(R.NO_ID, account)
        if number <= actor.highest - NUMBER_WINDOW:
            return Verdict(R.NUMBER_OLD, account)
        if number <= actor.highest:
            return Verdict(duplicate_of=t.numbers[c["actor"], number], account=account)
        if number > actor.highest + 1:
            return Verdict(R.NUMBER_GAP, account)
        if c["expires"] != 0 and c["expires"] <= t.time:
            return Verdict(R.EXPIRED, account)
        actor.highest = number
        t.numbers[c["actor"], number] = c.sequence
        t.numbers.pop((c["actor"], number - NUMBER_WINDOW), None)
        return Verdict()
    if c.id == (0, 0):
        return Verdict(R.NO_ID, account)
    kept = t.answers.setdefault(account, {})
    if c.id in kept:
        return Verdict(duplicate_of=kept[c.id][0], account=account)
    if c["expires"] <= t.time:
        return Verdict(R.EXPIRED, account)
    if c["expires"] > t.time + t.cell.answer_window:
        return Verdict(R.EXPIRY_TOO_FAR, account)
    quota = t.accounts[account].answer_quota if account else ACCOUNT_ZERO_QUOTA
    if len(kept) >= quota:
        return Verdict(R.ANSWER_QUOTA, account)
    kept[c.id] = (c.sequence, t.time)
    return Verdict()


def fact_source(t: State, c: Command) -> int:
    """The account that makes a fact count once; 0 when the venue it names does not exist."""
    if c.kind in (K.DEPOSIT, K.REVERSE_DEPOSIT):
        return c["custody"]
    if c.kind == K.MOVE_CUSTODY:
        return c.account
    return t.venues[c["venue"]].account if c["venue"] in t.venues else 0


def count_fact(t: State, c: Command) -> None:
    t.facts[fact_source(t, c), *c.id] = (c.sequence, t.time)


def forget(t: State) -> None:
    """Answers and facts past their windows. Both dicts are in order of acceptance."""
    for kept in t.answers.values():
        while kept and next(iter(kept.values()))[1] + t.cell.answer_window <= t.time:
            del kept[next(iter(kept))]
    while t.facts and next(iter(t.facts.values()))[1] + t.cell.fact_window <= t.time:
        del t.facts[next(iter(t.facts))]


def skipped(t: State, c: Command, own: int) -> Verdict:
    """Line 2a: lines 4 to 10 as for any command, and then it is refused."""
    if not t.cell.started:
        return Verdict(R.SKIPPED, own)
    if reason := who(t, c):
        return Verdict(reason, own)
    c.belongs = belongs_to(t, c)
    if reason := disabled(t, c):
        return Verdict(reason, c.belongs)
    verdict = again(t, c) if c.kind not in FACTS and c.kind != K.TICK else Verdict()
    return verdict if not verdict.passed else Verdict(R.SKIPPED, c.belongs)


def preamble(t: State, c: Command) -> Verdict:
    """All lines in their order."""
    own = own_account(t, c) if t.cell.started else 0
    if c["flags"] & SKIPPED and c.kind in KINDS:
        return skipped(t, c, own)
    if reason := shape(t, c):
        return Verdict(reason, own)
    if not t.cell.started:
        return Verdict()
    if reason := who(t, c):
        return Verdict(reason, own)
    c.belongs = belongs_to(t, c)
    if reason := disabled(t, c):
        return Verdict(reason, c.belongs)
    if c.kind == K.TICK:
        return Verdict()
    if c.kind in FACTS:
        if c.kind in COUNTED_ONCE and (fact_source(t, c), *c.id) in t.facts:
            return Verdict(duplicate_of=t.facts[(fact_source(t, c), *c.id)][0], account=c.belongs)
        return Verdict()
    verdict = again(t, c)
    if not verdict.passed:
        return verdict
    return Verdict(rate(t, c) or latches(t, c), c.belongs)


def check_release(t: State, c: Command) -> Verdict:
    """Lines 4 to 8 and 12, for a held command that a second person released."""
    own = own_account(t, c)
    if reason := who(t, c):
        return Verdict(reason, own)
    c.belongs = belongs_to(t, c)
    return Verdict(disabled(t, c) or latches(t, c), c.belongs)
