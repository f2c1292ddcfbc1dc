"""Section 1 of the rules: entries, groups, and the order of work, preamble and command. The twin's only entrance."""
import pickle

import numpy as np

from cambist.messages import COMMAND, CONFIGURE, EVENT, GROUP_MORE, GROUPED, MAX_GROUP, Event, Kind, Reason, named
from cambist.simulation.twin import (
    configuration_rules, control_rules, list_rules, mass_quote_rules, money_rules, order_rules, people_rules, precision_rules, quote_rules, routing_rules,
    session_rules, settlement_rules, table_rows, trading_configuration_rules,
)
from cambist.simulation.twin.model import Command, Held, State
from cambist.simulation.twin.preamble_rules import Verdict, check_release, forget, own_account, preamble
from cambist.simulation.twin.work_rules import look_again, work

K, R = Kind, Reason
HANDLERS = {**configuration_rules.HANDLERS, **order_rules.HANDLERS, **money_rules.HANDLERS, **quote_rules.HANDLERS, **routing_rules.HANDLERS,
            **settlement_rules.HANDLERS, **people_rules.HANDLERS, **trading_configuration_rules.HANDLERS, **control_rules.HANDLERS, **mass_quote_rules.HANDLERS,
            **session_rules.HANDLERS, **precision_rules.HANDLERS}
NAMED_IN_REFUSAL = ("order", "request", "quote", "child", "obligation", "held")     # request before quote: ACCEPT_QUOTE names both


class Twin(State):
    """docs/rules.md in plain Python: the same commands, the same events, the same tables as the kernel."""

    def apply(self, records: np.ndarray, time: int) -> np.ndarray:
        """One entry, or part of one that ends no group half-way: every event, in order."""
        self.time = max(self.time, int(time))
        self.events = []
        flat = np.ascontiguousarray(records).reshape(-1).view(COMMAND)
        at = 0
        while at < len(flat):
            end = at
            while end < len(flat) and int(flat[end]["flags"]) & GROUP_MORE:
                end += 1
            if end == at:
                self._single(flat[at])
                at += 1
            else:
                self._group(flat[at:end + 1], broken=end == len(flat))
                at = end + 1
        return self._as_array()

    def tables(self) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
        """Section 11."""
        return table_rows.tables(self)

    def _as_array(self) -> np.ndarray:
        names = EVENT.names or ()
        return np.array([tuple(event.get(name, 0) for name in names) for event in self.events], EVENT)

    def _command(self, record: np.ndarray) -> Command:
        self.sequence += 1
        return Command(int(record["kind"]), named(record), record.tobytes(), self.sequence)

    def _single(self, record: np.ndarray) -> None:
        c = self._command(record)
        self.emitting = c.sequence
        forget(self)
        work(self)
        verdict = preamble(self, c)
        if verdict.passed:
            self._run(c)
        else:
            self._refuse(c, verdict)
        look_again(self)

    def _refuse(self, c: Command, verdict: Verdict) -> None:
        if verdict.duplicate_of:
            self.echo(c, Event.DUPLICATE, verdict.account, other=verdict.duplicate_of)
            return
        about = 0 if c.kind in CONFIGURE else next((c[name] for name in NAMED_IN_REFUSAL if name in c.fields), 0)
        self.echo(c, Event.REFUSED, verdict.account, reason=verdict.reason, id=about, instrument=c.instrument)

    def _run(self, c: Command) -> None:
        """Check, then change, or hold for a second person."""
        if c.kind == K.TICK:
            return
        if c.kind == K.APPROVE:
            if reason := people_rules.check_approve(self, c):
                self._refuse(c, Verdict(reason, c.belongs))
            else:
                self._release(people_rules.approve(self, c), c.sequence)
            return
        check, change = HANDLERS[c.kind]
        if reason := check(self, c):
            self._refuse(c, Verdict(reason, c.belongs))
        elif precision_rules.held_off(self, c):
            self._refuse(c, Verdict(R.SWEEPING, c.belongs))
        elif not c.released and c.kind == K.QUOTE and quote_rules.needs_approval(self, c):
            people_rules.hold(self, c, quote_rules.stands_until(self, c))
        elif not c.released and (people_rules.needs_a_second(self, c) or (c.kind == K.TRANSFER and money_rules.needs_approval(self, c))):
            people_rules.hold(self, c, self.time + self.cell.approval_window)
        else:
            change(self, c)

    def _release(self, held: Held, sequence: int) -> None:
        row = np.frombuffer(held.record, COMMAND)[0]
        c = Command(int(row["kind"]), named(row), held.record, sequence, released=True, lapse=held.lapse)
        verdict = check_release(self, c)
        if verdict.passed:
            self._run(c)
        else:
            self._refuse(c, verdict)

    # groups
    def _group(self, records: np.ndarray, broken: bool) -> None:
        commands = [self._command(record) for record in records]
        self.emitting = commands[0].sequence
        forget(self)
        work(self)
        if broken or len(commands) > MAX_GROUP or commands[0].kind not in GROUPED or len({c.kind for c in commands}) > 1:
            for c in commands:
                self.emitting = c.sequence
                self._refuse(c, Verdict(R.BAD_GROUP, own_account(self, c) if self.cell.started else 0))
            return
        verdicts = [preamble(self, c) for c in commands]
        if all(v.passed for v in verdicts) and self._run_all(commands, verdicts):
            look_again(self)
            return
        for c, verdict in zip(commands, verdicts, strict=True):
            self.emitting = c.sequence
            self._refuse(c, Verdict(R.BAD_GROUP, c.belongs) if verdict.passed else verdict)

    def _run_all(self, commands: list[Command], verdicts: list[Verdict]) -> bool:
        """Each record in turn; at the first refusal all is as before, and its verdict says why."""
        before = pickle.dumps(self.__dict__)        # a copy of everything, cheaper than a deep one
        at, reason = self._run_list(commands) if list_rules.is_list(commands) else self._run_each(commands)
        if reason == R.NONE:
            return True
        self.__dict__ = pickle.loads(before)
        verdicts[at] = Verdict(reason, commands[at].belongs)
        return False

    def _run_list(self, commands: list[Command]) -> tuple[int, Reason]:
        """(which record was refused, why)."""
        if not list_rules.well_formed(commands):
            return 0, R.BAD_LINK
        orders, reason = list_rules.check_and_accept(self, commands)
        if reason == R.NONE:
            list_rules.begin_all(self, commands, orders)
        return len(orders), reason

    def _run_each(self, commands: list[Command]) -> tuple[int, Reason]:
        for i, c in enumerate(commands):
            self.emitting = c.sequence
            check, change = HANDLERS[c.kind]
            reason = self._out_of_order(commands, i) or check(self, c)
            if reason == R.NONE and c.kind == K.TRANSFER and money_rules.needs_approval(self, c):
                reason = R.NOT_ALLOWED
            if reason != R.NONE:
                return i, reason
            change(self, c)
        return 0, R.NONE

    def _out_of_order(self, commands: list[Command], i: int) -> Reason:
        """MASS_QUOTEs of a group: one account, instruments in ascending order."""
        if i == 0 or commands[i].kind != K.MASS_QUOTE:
            return R.NONE
        rising = commands[i].account == commands[0].account and commands[i].instrument > commands[i - 1].instrument
        return R.NONE if rising else R.BAD_GROUP
