"""Section 9 of the rules, the second part: halts, kill switches, held commands and who releases them."""
import hashlib

from cambist.messages import CONFIGURE, Event, Kind, Reason
from cambist.simulation.twin.model import Command, Held, State
from cambist.simulation.twin.control_rules import latch_account
from cambist.simulation.twin.order_rules import accept

K, R = Kind, Reason
MAY_NEED_A_SECOND = CONFIGURE | {K.NET, K.SETTLE, K.HALT, K.RESUME, K.KILL, K.REVIVE, K.KILL_ALL, K.REVIVE_ALL, K.SESSION, K.KILL_TRADER, K.REVIVE_TRADER,
                                 K.CHANGE_TERMS, K.CHANGE_DIGITS, K.MANUAL_CREDIT}


def check_halt(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    return R.NONE if c["cancel"] in (0, 1) else R.BAD_VALUE


def halt(t: State, c: Command) -> None:
    t.instruments[c.instrument].halted = 1
    if c["cancel"] and c.instrument not in t.instrument_sweeps:
        t.instrument_sweeps.append(c.instrument)
    t.done(c, c.instrument)


def check_resume(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    return R.SWEEPING if c.instrument in t.instrument_sweeps else R.NONE


def resume(t: State, c: Command) -> None:
    t.instruments[c.instrument].halted = 0
    t.done(c, c.instrument)


def kill(t: State, c: Command) -> None:
    t.accounts[c.account].killed = 1
    latch_account(t, c.account, R.KILLED)
    t.done(c, c.account)


def revive(t: State, c: Command) -> None:
    t.accounts[c.account].killed = 0
    t.done(c, c.account)


def check_kill_trader(t: State, c: Command) -> Reason:
    return R.NONE if c["number"] in t.actors else R.UNKNOWN_ACTOR


def kill_trader(t: State, c: Command) -> None:
    t.actors[c["number"]].killed = 1
    if c["number"] not in t.trader_sweeps:
        t.trader_sweeps.append(c["number"])
    t.done(c, c["number"])


def check_revive_trader(t: State, c: Command) -> Reason:
    if c["number"] not in t.actors:
        return R.UNKNOWN_ACTOR
    return R.SWEEPING if c["number"] in t.trader_sweeps else R.NONE


def revive_trader(t: State, c: Command) -> None:
    t.actors[c["number"]].killed = 0
    t.done(c, c["number"])


def kill_all(t: State, c: Command) -> None:
    t.cell.killed_all = 1
    t.cell.kill_sweep = 1
    t.done(c)


def check_revive_all(t: State, c: Command) -> Reason:
    return R.SWEEPING if t.cell.kill_sweep else R.NONE


def revive_all(t: State, c: Command) -> None:
    t.cell.killed_all = 0
    t.done(c)


# ---------------------------------------------------------------------------------------------------------------------- held
def needs_a_second(t: State, c: Command) -> bool:
    if not t.cell.started or c.kind not in MAY_NEED_A_SECOND:
        return False
    return bool(t.authority.get((t.actors[c["actor"]].role, c.kind), (0, 0))[1])


def hold(t: State, c: Command, lapse: int) -> None:
    row = Held(t.new_id(c.belongs), c.belongs, c.sequence, t.actors[c["actor"]].person, lapse, c.record)
    t.held[row.id] = row
    t.echo(c, Event.HELD, c.belongs, id=row.id, other=row.lapse)


def living_held(t: State, c: Command) -> Held | None:
    row = t.held.get(c["held"])
    return row if row is not None and row.lapse > t.time else None


def digest(record: bytes) -> tuple[int, ...]:
    """SHA-256 as four signed big-endian numbers."""
    whole = hashlib.sha256(record).digest()
    return tuple(int.from_bytes(whole[8 * i:8 * i + 8], "big", signed=True) for i in range(4))


def check_approve(t: State, c: Command) -> Reason:
    row = living_held(t, c)
    if row is None:
        return R.UNKNOWN_HELD
    person = t.actors[c["actor"]].person
    if person == 0:
        return R.NOT_A_PERSON
    if person == row.person:
        return R.SAME_PERSON
    if tuple(c[f"digest{i}"] for i in range(4)) != digest(row.record):
        return R.WRONG_DIGEST
    return R.NONE


def approve(t: State, c: Command) -> Held:
    """The row is freed; the caller runs the command it held."""
    row = t.held.pop(c["held"])
    t.emit(Event.APPROVED, row.account, id=row.id, other=t.actors[c["actor"]].person)
    t.echo(c, Event.DONE, c.belongs, id=row.id)
    return row


def check_deny(t: State, c: Command) -> Reason:
    if living_held(t, c) is None:
        return R.UNKNOWN_HELD
    return R.NONE if t.actors[c["actor"]].person else R.NOT_A_PERSON


def deny(t: State, c: Command) -> None:
    row = t.held.pop(c["held"])
    t.emit(Event.DENIED, row.account, id=row.id, other=t.actors[c["actor"]].person)
    t.echo(c, Event.DONE, c.belongs, id=row.id)


HANDLERS = {
    K.HALT: (check_halt, halt), K.RESUME: (check_resume, resume), K.KILL: (accept, kill), K.REVIVE: (accept, revive), K.KILL_ALL: (accept, kill_all),
    K.REVIVE_ALL: (check_revive_all, revive_all), K.DENY: (check_deny, deny), K.KILL_TRADER: (check_kill_trader, kill_trader),
    K.REVIVE_TRADER: (check_revive_trader, revive_trader),
}
