"""apply: the only dispatch. One command at a time: work, preamble, check, change, events; see docs/rules.md section 1.

Compiled once for all deployments: sizes are in the state, never in a type. Uncompiled, the same source runs over checked rows.
"""
from numba import types

from cambist.core import (
    accept, accounts, agenda, amend, arithmetic, auction, auction_price, authority, bands, book, configuration, control, digest, emit, ends, fees, flags,
    groups, guarded, layout, ledger, lists, look, market_sessions, mass_actions, mass_quote as mass_quote_module, matching, meetings, memory, order_entry,
    order_lists, order_rows, order_standing, orders, pegs, pools, precision, protection, rfq, risk, routing, schedules, session_sweep, settlement, shapes,
    terms, timers, traders, trades, trading_configuration, trading_controls, triggers, work,
)
from cambist.core import layout as at
from cambist.core.authority import DUPLICATE, admit, check_again, pass_time, place_of_number
from cambist.core.control import approve, deny, hold_command
from cambist.core.emit import begin, refuse
from cambist.core.guarded import run_guarded
from cambist.core.groups import duplicate, group_length, refuse_record, run_group
from cambist.core.layout import COMMAND, MIN_EVENTS, PLACES, STATE, as_command, seen_as
from cambist.core.ledger import check_transfer, deposit, move_custody, post_transfer, reverse_deposit, tell_transfer, wants_approval
from cambist.core.look import look_again
from cambist.core.memory import COMPILED, Several, address, cold, element, entry, hot, prefetch
from cambist.core.mass_actions import cancel_all, cancel_some, set_dead_man
from cambist.core.mass_quote import mass_quote
from cambist.core.orders import amend_order, cancel_order, new_order, work_taker
from cambist.core.accounts import account_of, balance, following_id, position_key
from cambist.core.arithmetic import divide
from cambist.core.book import word_of
from cambist.core.pools import POSITION_TAG, ROW_MASK, home, mark_of, order_home
from cambist.core.protection import reset_protection
from cambist.core.rfq import accept_quote, cancel_request, quote, request_quote, withdraw_quote
from cambist.core.routing import cancel_child, child_acked, child_closed, child_filled, child_unknown, new_child, source_price
from cambist.core.work import do_work, is_work
from cambist.messages import GROUP_MORE, Kind

(as_new_order, as_cancel_order, as_amend, as_ask, as_cancel_request, as_quote, as_withdraw, as_accept, as_deposit, as_reverse, as_move, as_transfer,
 as_price, as_new_child, as_cancel_child, as_acked, as_filled, as_closed, as_unknown, as_approve, as_deny, as_reset, as_mass_quote, as_some,
 as_dead_man) = (seen_as(k) for k in (
     Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.AMEND_ORDER, Kind.REQUEST_QUOTE, Kind.CANCEL_REQUEST, Kind.QUOTE, Kind.WITHDRAW_QUOTE, Kind.ACCEPT_QUOTE,
     Kind.DEPOSIT, Kind.REVERSE_DEPOSIT, Kind.MOVE_CUSTODY, Kind.TRANSFER, Kind.SOURCE_PRICE, Kind.NEW_CHILD, Kind.CANCEL_CHILD, Kind.CHILD_ACKED,
     Kind.CHILD_FILLED, Kind.CHILD_CLOSED, Kind.CHILD_UNKNOWN, Kind.APPROVE, Kind.DENY, Kind.RESET_PROTECTION,
     Kind.MASS_QUOTE, Kind.CANCEL_SOME, Kind.DEAD_MAN))
COMMANDS = Several(COMMAND)
COMMAND_BYTES = COMMAND.itemsize
record = element(COMMAND)
AIMS = layout.AIMS - 1
POSITIONS, MANY = PLACES["positions"], 256     # the rows of so few positions, and of who has them, stay in the nearest caches by themselves
FEW = 8                                         # so few books do
COMING, FAR, NEAR, HERE, NEXT = 24, 12, 8, 4, 2          # how many commands ahead lines are asked for: the command, the index, the rows it names, theirs


# ------------------------------------------------------------------------------------------------------------- dispatch
@cold
def _transfer(state: STATE, c: COMMAND):
    t = as_transfer(c)
    reason = check_transfer(state, t)
    if reason:
        refuse(state, c.account, reason, 0)
    elif wants_approval(state, t):
        hold_command(state, c, c.account, 0, state.time + state.approval_window)
    else:
        post_transfer(state, t.account, t.to, t.asset, t.amount)
        tell_transfer(state, t)


@cold
def _quote(state: STATE, c: COMMAND):
    q = as_quote(c)
    lapse = quote(state, q)
    if lapse:
        hold_command(state, c, c.account, q.request, lapse)


@cold
def _fact(state: STATE, c: COMMAND, account: int):
    kind = c.kind + 0
    if kind == Kind.SOURCE_PRICE:
        source_price(state, as_price(c), account)
    elif kind == Kind.DEPOSIT:
        deposit(state, as_deposit(c))
    elif kind == Kind.REVERSE_DEPOSIT:
        reverse_deposit(state, as_reverse(c))
    elif kind == Kind.MOVE_CUSTODY:
        move_custody(state, as_move(c))
    elif kind == Kind.CHILD_ACKED:
        child_acked(state, as_acked(c), account)
    elif kind == Kind.CHILD_FILLED:
        child_filled(state, as_filled(c), account)
    elif kind == Kind.CHILD_CLOSED:
        child_closed(state, as_closed(c), account)
    elif kind == Kind.CHILD_UNKNOWN:
        child_unknown(state, as_unknown(c), account)


@cold
def _business(state: STATE, c: COMMAND, account: int):
    """Everything but approvals and what no one holds for approval; most frequent first."""
    kind = c.kind + 0
    if kind == Kind.AMEND_ORDER:
        amend_order(state, as_amend(c))
    elif kind == Kind.QUOTE:
        _quote(state, c)
    elif kind == Kind.REQUEST_QUOTE:
        request_quote(state, as_ask(c))
    elif kind == Kind.ACCEPT_QUOTE:
        accept_quote(state, as_accept(c))
    elif kind == Kind.WITHDRAW_QUOTE:
        withdraw_quote(state, as_withdraw(c))
    elif kind == Kind.CANCEL_REQUEST:
        cancel_request(state, as_cancel_request(c))
    elif kind == Kind.MASS_QUOTE:
        mass_quote(state, as_mass_quote(c))
    elif kind == Kind.CANCEL_ALL:
        cancel_all(state, c.account)
    elif kind == Kind.CANCEL_SOME:
        cancel_some(state, as_some(c))
    elif kind == Kind.DEAD_MAN:
        set_dead_man(state, as_dead_man(c))
    elif kind == Kind.TRANSFER:
        _transfer(state, c)
    elif kind == Kind.NEW_CHILD:
        new_child(state, as_new_child(c))
    elif kind == Kind.CANCEL_CHILD:
        cancel_child(state, as_cancel_child(c))
    elif kind == Kind.RESET_PROTECTION:
        reset_protection(state, as_reset(c))
    elif kind <= Kind.START or kind >= Kind.NET or kind == Kind.MANUAL_CREDIT:
        if kind != Kind.TICK:
            run_guarded(state, c, account)
    else:
        _fact(state, c, account)


@cold
def _named(c: COMMAND):
    """What a refusal of the preamble says the command named."""
    kind = c.kind
    if (kind == Kind.CANCEL_ORDER or kind == Kind.AMEND_ORDER or kind == Kind.CANCEL_REQUEST or kind == Kind.QUOTE or kind == Kind.WITHDRAW_QUOTE
            or (Kind.CANCEL_CHILD <= kind <= Kind.CHILD_UNKNOWN and kind != Kind.CHILD_FILLED) or kind == Kind.SETTLE
            or kind == Kind.APPROVE or kind == Kind.DENY):
        return c.a0
    return c.a1 if kind == Kind.ACCEPT_QUOTE or kind == Kind.CHILD_FILLED else 0


@cold
def _release(state: STATE, c: COMMAND, account: int):
    """An approval runs the held command, checked again against current state; its events echo its own ids."""
    i = approve(state, as_approve(c), account)
    if i == 0:
        return
    held = as_command(at.held(state, i))
    state.told = 0
    reason = check_again(state, held)
    if reason:
        refuse(state, state.told, reason, _named(held))
        return
    state.releasing = at.held(state, i).lapse
    _business(state, held, state.told)
    state.releasing = 0


@cold
def _turn_away(state: STATE, c: COMMAND, reason: int):
    if reason == DUPLICATE:
        duplicate(state, state.told, state.told_other)
    else:
        refuse(state, state.told, reason, _named(c))


@hot
def _one(state: STATE, c: COMMAND):
    """One command outside a group."""
    begin(state, c)
    reason = admit(state, c)
    if reason:
        _turn_away(state, c, reason)
    elif c.kind == Kind.NEW_ORDER:
        new_order(state, as_new_order(c))
    elif c.kind == Kind.CANCEL_ORDER:
        cancel_order(state, as_cancel_order(c))
    else:
        _other(state, c)


@cold
def _other(state: STATE, c: COMMAND):
    if c.kind == Kind.APPROVE:
        _release(state, c, state.told)
    elif c.kind == Kind.DENY:
        deny(state, as_deny(c), state.told)
    else:
        _business(state, c, state.told)


# --------------------------------------------------------------------------------------------------------------- ahead
# No branch asks what kind of command is to come, since nobody could guess it: a kind's lines are asked for of every kind, and are the same few for others.
@hot
def _look_far(state: STATE, c: COMMAND, k: int):
    """Who sends a command, and where the indexes have what it names."""
    x = at.aim(state, k)
    if state.used[POSITIONS] > MANY:
        b = at.instrument(state, c.instrument if c.instrument <= state.instrument_count else 0)
        if c.account <= state.account_count:
            prefetch(address(at.account(state, c.account)))
            prefetch(address(balance(state, c.account, b.base)))
            prefetch(address(balance(state, c.account, b.quote)))
        if c.actor <= state.actor_count:
            prefetch(address(at.actor(state, c.actor)))
            prefetch(address(at.number(state, place_of_number(c))))
        x.position = home(state, POSITION_TAG, position_key(c.account, c.instrument))
        prefetch(address(at.slot(state, x.position)))
    x.order = order_home(state, mark_of(c.a0))
    prefetch(address(at.order_slot(state, x.order)))


@hot
def _look_near(state: STATE, c: COMMAND, k: int):
    """What the indexes say; of a new order also where its id will be put, and which order its account's list will be joined to."""
    x = at.aim(state, k)
    if state.used[POSITIONS] > MANY:
        prefetch(address(at.position_row(state, at.slot(state, x.position).row)))
    x.row = at.order_slot(state, x.order).word & ROW_MASK
    prefetch(address(at.order(state, x.row)))
    if c.account <= state.account_count:
        prefetch(address(at.order_slot(state, order_home(state, mark_of(following_id(state, c.account))))))
        prefetch(address(at.order(state, at.account(state, c.account).last_order)))


@hot
def _look_here(state: STATE, k: int):
    """What an order that is about to leave touches: its level, its hold, and its neighbours in its level and in its account's list."""
    o = at.order(state, at.aim(state, k).row)
    prefetch(address(at.level(state, o.level)))
    if state.used[POSITIONS] > MANY:
        prefetch(address(at.position_row(state, o.position)))
        prefetch(address(balance(state, account_of(o), o.asset)))
    prefetch(address(at.order(state, o.next)))
    prefetch(address(at.order(state, o.prev)))
    prefetch(address(at.order(state, o.after)))
    prefetch(address(at.order(state, o.before)))


@hot
def _aim_at_level(state: STATE, c: COMMAND, k: int):
    """Of a new order at a limit: the word of its tick. (Of other commands: the first.)"""
    x = at.aim(state, k)
    b = at.instrument(state, c.instrument if c.instrument <= state.instrument_count else 0)
    tick = divide(as_new_order(c).price - b.min_price, b.book_tick, b.tick_inverse)
    inside = 0 <= tick < b.ticks
    x.tick = tick if inside else 0
    x.word = word_of(b, as_new_order(c).side & 1, tick) if inside else 0
    prefetch(address(at.word(state, x.word)))


@hot
def _look_at_books(state: STATE, far: COMMAND, near: COMMAND, i: int):
    """Over many books a new order's own is far away: its instrument, then the word of its tick, its level, and the order it will stand behind."""
    row = address(at.instrument(state, far.instrument if far.instrument <= state.instrument_count else 0))
    prefetch(row)
    prefetch(row + 64)
    prefetch(row + 128)
    _aim_at_level(state, near, (i + NEAR) & AIMS)
    x = at.aim(state, (i + HERE) & AIMS)
    prefetch(address(at.level(state, at.word(state, x.word).page * 64 + (x.tick & 63))))
    x = at.aim(state, (i + NEXT) & AIMS)
    prefetch(address(at.order(state, at.level(state, at.word(state, x.word).page * 64 + (x.tick & 63)).tail)))


@hot
def _look_ahead(state: STATE, coming: int, far: COMMAND, near: COMMAND, i: int):
    """Ask for the cache lines that the commands to come will read; what they hold decides nothing here. `coming`: where a command lies that is not read yet,
    perhaps beyond the last. (It takes records and no array: an array that is handed on is counted, and counting is a locked instruction.)"""
    prefetch(coming)
    prefetch(coming + 64)
    _look_far(state, far, (i + FAR) & AIMS)
    _look_near(state, near, (i + NEAR) & AIMS)
    _look_here(state, (i + HERE) & AIMS)
    if state.instrument_count > FEW:
        _look_at_books(state, far, near, i)


# ---------------------------------------------------------------------------------------------------------------- apply
def _apply(states, commands, first, limit, now):
    """Apply commands[first:], about `limit` of them; returns how many were consumed. Groups are never split.

    Events are in the table `events`, `state.written` of them. It stops early when their room is short: call again with the rest (also when all were
    consumed while a taker is parked: `taker.active`). `now` is the entry's time and the same for all its commands.
    """
    state = states[0]
    state.written = 0
    total = commands.shape[0]
    end, room = min(total, first + limit), at.event_room(state) - MIN_EVENTS
    i = first
    while True:
        if at.taker(state, 0).active:
            work_taker(state)
            if at.taker(state, 0).active:
                return i - first
            if state.look_first:
                look_again(state)
        if state.begun == 0:
            if i >= end or state.written > room:
                return i - first
            if COMPILED and i + FAR < total:
                _look_ahead(state, address(record(commands, i)) + COMING * COMMAND_BYTES, record(commands, i + FAR), record(commands, i + NEAR), i)
            pass_time(state, now)
            state.sequence = state.sequence + 1
        c = record(commands, i)
        if state.bad_group:
            state.bad_group = state.bad_group - 1
            refuse_record(state, c, _named(c))
            i += 1
            continue
        if state.begun or is_work(state):
            do_work(state, room)
            if state.begun:                     # it goes on with an empty buffer, before the command
                return i - first
        if not c.flags & GROUP_MORE:
            _one(state, c)
            i += 1
        else:
            length = group_length(commands, i, total)
            if length < 0:
                state.bad_group = -length - 1
                refuse_record(state, c, _named(c))
                i += 1
                continue
            run_group(state, commands, i, length)
            i += length
        if state.look_first and not at.taker(state, 0).active:
            look_again(state)


FINGERPRINT = memory.fingerprint((accept, accounts, agenda, amend, arithmetic, auction, auction_price, authority, bands, book, configuration, control,
                                  digest, emit, ends, fees, flags, groups, guarded, layout, ledger, lists, look, market_sessions, mass_actions,
                                  mass_quote_module, matching, meetings, memory, order_entry, order_lists, order_standing, orders, pegs, pools, precision,
                                  protection, rfq, risk, routing, order_rows, schedules, session_sweep, settlement, shapes, terms, timers, traders, trades,
                                  trading_configuration, trading_controls, triggers, work, _apply, Kind))

if COMPILED:
    from numba.np.numpy_support import from_dtype

    SIGNATURE = (types.Array(from_dtype(STATE), 1, "C"), types.Array(from_dtype(COMMAND), 1, "C"), types.int64, types.int64, types.int64)
else:
    SIGNATURE = ()
apply = entry(_apply)
