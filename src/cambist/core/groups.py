"""Groups of records: all or none. Transfers are posted and taken back, quotes reserved and taken back, order lists accepted and taken back. Section 1."""
from cambist.core import layout as at
from cambist.core.authority import DUPLICATE, admit
from cambist.core.emit import begin, echo, put, refuse
from cambist.core.layout import COMMAND, STATE, seen_as
from cambist.core.ledger import check_transfer, post_transfer, tell_transfer, wants_approval
from cambist.core.mass_quote import change_mass_quote, check_mass_quote, reserve
from cambist.core.memory import Several, cold
from cambist.core.order_lists import accept_list, begin_list, is_list
from cambist.messages import GROUP_MORE, MAX_GROUP, Event, Kind, Reason

COMMANDS = Several(COMMAND)
as_transfer, as_mass_quote = seen_as(Kind.TRANSFER), seen_as(Kind.MASS_QUOTE)


@cold
def duplicate(state: STATE, account: int, first: int):
    echo(state, put(state, Event.DUPLICATE, account, 0, 0, first))


@cold
def group_length(commands: COMMANDS, first: int, total: int):
    """Records of the group that begins here; negative when it is broken: too long, cut off by the entry's end, of several kinds or one that has no groups."""
    i = first
    kind = commands[first].kind + 0
    good = kind == Kind.TRANSFER or kind == Kind.NEW_ORDER or kind == Kind.MASS_QUOTE
    while True:
        if commands[i].kind != kind:
            good = False
        if not commands[i].flags & GROUP_MORE:
            break
        if i + 1 == total:
            return -(i + 1 - first)
        i += 1
    length = i + 1 - first
    return length if good and length <= MAX_GROUP else -length


@cold
def _run_transfers(state: STATE, commands: COMMANDS, first: int, length: int):
    """Postings one by one, taken back at the first refusal. The number posted: below `length` the next one was refused."""
    posted = 0
    while posted < length:
        t = as_transfer(commands[first + posted])
        reason = check_transfer(state, t)
        if not reason and wants_approval(state, t):
            reason = Reason.NOT_ALLOWED + 0
        if reason:
            state.group_reason[posted] = reason
            break
        post_transfer(state, t.account, t.to, t.asset, t.amount)
        posted += 1
    for k in range(posted if posted < length else 0):
        t = as_transfer(commands[first + k])
        post_transfer(state, t.account, t.to, t.asset, -t.amount)
    return posted


@cold
def _run_quotes(state: STATE, commands: COMMANDS, first: int, length: int):
    """Each checked with what the earlier ones reserve; then all reserves are taken back, and all are changed if all have passed."""
    passed = 0
    while passed < length:
        q = as_mass_quote(commands[first + passed])
        reason = check_mass_quote(state, q)
        if passed:
            before = as_mass_quote(commands[first + passed - 1])
            if q.account != before.account or q.instrument <= before.instrument:
                reason = Reason.BAD_GROUP + 0
        if reason:
            state.group_reason[passed] = reason
            break
        reserve(state, q, 1)
        passed += 1
    for k in range(passed - 1, -1, -1):
        reserve(state, as_mass_quote(commands[first + k]), -1)
    return passed


@cold
def _run_list(state: STATE, commands: COMMANDS, first: int, length: int, sequence: int):
    """Orders accepted one by one, taken back at the first refusal."""
    if not is_list(commands, first, length):
        state.group_reason[0] = Reason.BAD_LINK
        return 0
    accepted = accept_list(state, commands, first, length, sequence)
    if accepted < length:
        state.group_reason[accepted] = state.list_reason
    return accepted


@cold
def _run(state: STATE, commands: COMMANDS, first: int, length: int, sequence: int):
    """How many of its records passed."""
    kind = commands[first].kind
    if kind == Kind.TRANSFER:
        return _run_transfers(state, commands, first, length)
    if kind == Kind.MASS_QUOTE:
        return _run_quotes(state, commands, first, length)
    return _run_list(state, commands, first, length, sequence)


@cold
def _tell(state: STATE, c: COMMAND):
    """A record of a group that passed; orders of a list have told already."""
    begin(state, c)
    if c.kind == Kind.TRANSFER:
        tell_transfer(state, as_transfer(c))
    elif c.kind == Kind.MASS_QUOTE:
        change_mass_quote(state, as_mass_quote(c))


@cold
def run_group(state: STATE, commands: COMMANDS, first: int, length: int):
    """Preambles, then the records, then what each has to say."""
    sequence = state.sequence + 0
    failed = False
    for k in range(length):
        state.sequence = sequence + k
        c = commands[first + k]
        reason = admit(state, c)
        state.group_reason[k] = reason
        state.group_account[k] = state.told
        state.group_other[k] = state.told_other
        if reason:
            failed = True
    if not failed and _run(state, commands, first, length, sequence) < length:
        failed = True
    for k in range(length):
        state.sequence = sequence + k
        c = commands[first + k]
        if not failed:
            _tell(state, c)
            continue
        begin(state, c)
        if state.group_reason[k] == DUPLICATE:
            duplicate(state, state.group_account[k], state.group_other[k])
        else:
            refuse(state, state.group_account[k], state.group_reason[k] if state.group_reason[k] else Reason.BAD_GROUP, 0)
    if not failed and commands[first].kind == Kind.NEW_ORDER:
        begin_list(state, length, sequence)


@cold
def refuse_record(state: STATE, c: COMMAND, named: int):
    """A record of a malformed group. `named`: what it says it names."""
    begin(state, c)
    account = 0
    if state.started and 1 <= c.actor <= state.actor_count:
        account = at.actor(state, c.actor).account + 0
    refuse(state, account, Reason.BAD_GROUP, named)
