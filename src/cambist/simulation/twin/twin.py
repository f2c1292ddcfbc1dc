"""Section 1 of the rules: entries, groups, and the order of work, preamble and command. The twin's only entrance."""
import copy

import numpy as np

from cambist.messages import COMMAND, CONFIGURE, EVENT, GROUP_MORE, GROUPED, MAX_GROUP, Event, Kind, Reason, named
from cambist.simulation.twin import (
    configuration_rules, money_rules, order_rules, people_rules, quote_rules, routing_rules, settlement_rules, table_rows,
)
from cambist.simulation.twin.model import Command, Held, State
from cambist.simulation.twin.preamble_rules import Verdict, check_release, forget, own_account, preamble
from cambist.simulation.twin.work_rules import work

K, R = Kind, Reason
HANDLERS = {**configuration_rules.HANDLERS, **order_rules.HANDLERS, **money_rules.HANDLERS, **quote_rules.HANDLERS, **routing_rules.HANDLERS,
            **settlement_rules.HANDLERS, **people_rules.HANDLERS}
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
        out = np.zeros(len(self.events), EVENT)
        for i, event in enumerate(self.events):
            for name, value in event.items():
                out[name][i] = value
        return out

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
        if broken or len(commands) > MAX_GROUP or any(c.kind not in GROUPED for c in commands):
            for c in commands:
                self.emitting = c.sequence
                self._refuse(c, Verdict(R.BAD_GROUP, own_account(self, c) if self.cell.started else 0))
            return
        verdicts = [preamble(self, c) for c in commands]
        if all(v.passed for v in verdicts) and self._run_all(commands, verdicts):
            return
        for c, verdict in zip(commands, verdicts, strict=True):
            self.emitting = c.sequence
            self._refuse(c, Verdict(R.BAD_GROUP, c.belongs) if verdict.passed else verdict)

    def _run_all(self, commands: list[Command], verdicts: list[Verdict]) -> bool:
        """Each record in turn; at the first refusal all is as before, and its verdict says why."""
        before = copy.deepcopy(self.balances), dict(self.flows), len(self.events)
        for i, c in enumerate(commands):
            self.emitting = c.sequence
            reason = money_rules.check_transfer(self, c)
            if reason == R.NONE and money_rules.needs_approval(self, c):
                reason = R.NOT_ALLOWED
            if reason != R.NONE:
                self.balances, self.flows = before[0], before[1]
                del self.events[before[2]:]
                verdicts[i] = Verdict(reason, c.belongs)
                return False
            money_rules.transfer(self, c)
        return True
