"""Rows taken and given back, and the one hash index that finds them by what the outside calls them.

Decides nothing about meaning. Index: open addressing, linear probing, backward-shift deletion; a slot holds its key, so finding reads one line.
"""
from cambist.core import layout as at
from cambist.core.layout import PLACES, STATE
from cambist.core.memory import cold, hot, row_count, wrap

REQUEST_TAG, QUOTE_TAG, CHILD_TAG, OBLIGATION_TAG, HELD_TAG, POSITION_TAG, CREDIT_TAG, ANSWER_TAG, FACT_TAG = range(1, 10)
RESTRICTED_ACCOUNT_TAG, RESTRICTED_ACTOR_TAG = 10, 11
ROW_MASK = (1 << 32) - 1
OBLIGATIONS, ANSWERS, FACTS = PLACES["obligations"], PLACES["answers"], PLACES["facts"]
SPREAD, TAGGED = -7046029254386353131, 0x2545F4914F6CDD1D    # odd multipliers (2^64 / golden ratio; xorshift*'s)


def pool(name: str, row):
    """take(state) -> row number or 0 when full; give(state, i); room(state)."""
    place, count = PLACES[name], row_count(PLACES[name], STATE)

    def take(state: STATE):                     # type: ignore[valid-type]
        i = state.free[place]
        if i:
            state.free[place] = row(state, i).next
            return i
        i = state.used[place] + 1
        if i >= count(state):
            return 0
        state.used[place] = i
        return i

    def give(state: STATE, i: int):             # type: ignore[valid-type]
        row(state, i).next = state.free[place]
        state.free[place] = i

    def room(state: STATE):                     # type: ignore[valid-type]
        return 1 if state.free[place] or state.used[place] + 1 < count(state) else 0
    return hot(take), hot(give), hot(room)


take_order, give_order, room_order = pool("orders", at.order)
take_page, give_page, room_page = pool("pages", at.page)
take_position, give_position, room_position = pool("positions", at.position_row)
take_credit, give_credit, room_credit = pool("credit", at.credit_row)
take_request, give_request, room_request = pool("requests", at.request)
take_quote, give_quote, room_quote = pool("quotes", at.quote)
take_child, give_child, room_child = pool("children", at.child)
take_obligation, give_obligation, room_obligation = pool("obligations", at.obligation)
take_held, give_held, room_held = pool("held", at.held)
take_protection, give_protection, room_protection = pool("protections", at.protection)
take_restriction, give_restriction, room_restriction = pool("restrictions", at.restriction)
take_timer, give_timer, room_timer = pool("timers", at.timer)


@cold
def room_obligations(state: STATE, wanted: int):
    """Whether `wanted` more obligations fit; the free list is walked no further than needed."""
    wanted -= state.capacity[OBLIGATIONS] - 1 - state.used[OBLIGATIONS]
    i = state.free[OBLIGATIONS]
    while wanted > 0 and i:
        wanted -= 1
        i = at.obligation(state, i).next
    return 1 if wanted <= 0 else 0


# ---------------------------------------------------------------------------------------------------------------- index
@hot
def home(state: STATE, tag: int, key: int):
    """The slot a key would like."""
    return (wrap((key + tag * TAGGED) * SPREAD) >> state.slot_shift) & state.slot_mask


@cold
def find(state: STATE, tag: int, key: int):
    """Row of a key that is unique under its tag; 0 when there is none."""
    h = home(state, tag, key)
    while True:
        s = at.slot(state, h)
        if s.row == 0 or (s.key == key and s.tag == tag):
            return s.row + 0
        h = (h + 1) & state.slot_mask


@cold
def remember(state: STATE, tag: int, key: int, row: int):
    """Put a key that is not there; the table is never more than half full."""
    h = home(state, tag, key)
    while at.slot(state, h).row:
        h = (h + 1) & state.slot_mask
    s = at.slot(state, h)
    s.key = key
    s.row = row
    s.tag = tag


@cold
def forget(state: STATE, tag: int, key: int, row: int):
    """Take out a key that is there, closing the gap: no tombstones."""
    h = home(state, tag, key)
    while True:
        s = at.slot(state, h)
        if s.row == row and s.tag == tag and s.key == key:
            break
        h = (h + 1) & state.slot_mask
    j = h
    while True:
        j = (j + 1) & state.slot_mask
        s = at.slot(state, j)
        if s.row == 0:
            break
        k = home(state, s.tag, s.key)
        if ((j - k) & state.slot_mask) >= ((j - h) & state.slot_mask):
            gap = at.slot(state, h)
            gap.key = s.key
            gap.row = s.row
            gap.tag = s.tag
            h = j
    at.slot(state, h).row = 0


# --------------------------------------------------------------------------------------------------------------- orders
MARK_BITS, TOGETHER = 31, 3                     # orders whose ids differ in these last bits only lie side by side


@hot
def mark_of(id: int):
    return (wrap((id | TOGETHER) * SPREAD) >> 33) & 0x7FFFFFFC | id & TOGETHER


@hot
def order_home(state: STATE, mark: int):
    """The slot an order would like."""
    return (mark >> state.mark_shift) & ~TOGETHER | mark & TOGETHER


@hot
def find_order(state: STATE, id: int):
    """Row of the order of an id; 0 when there is none."""
    mark = mark_of(id)
    h = order_home(state, mark)
    while True:
        word = at.order_slot(state, h).word + 0
        if word == 0 or (word >> 32 == mark and at.order(state, word & ROW_MASK).id == id):
            return word & ROW_MASK
        h = (h + 1) & state.order_mask


@hot
def remember_order(state: STATE, id: int, row: int):
    """Put an order that is not there."""
    mark = mark_of(id)
    h = order_home(state, mark)
    while at.order_slot(state, h).word:
        h = (h + 1) & state.order_mask
    at.order_slot(state, h).word = mark << 32 | row


@hot
def forget_order(state: STATE, id: int, row: int):
    """Take out an order that is there, closing the gap."""
    mark = mark_of(id)
    h = order_home(state, mark)
    while at.order_slot(state, h).word != mark << 32 | row:
        h = (h + 1) & state.order_mask
    j = h
    while True:
        j = (j + 1) & state.order_mask
        word = at.order_slot(state, j).word + 0
        if word == 0:
            break
        if ((j - order_home(state, word >> 32)) & state.order_mask) >= ((j - h) & state.order_mask):
            at.order_slot(state, h).word = word
            h = j
    at.order_slot(state, h).word = 0


# ---------------------------------------------------------------------------------------------------------------- again
@hot
def _mixed(account: int, id_hi: int, id_lo: int):
    """A 64-bit key of an account's 128-bit id; equal keys are told apart by the row."""
    return wrap(wrap(id_lo * SPREAD) ^ wrap((id_hi + account) * TAGGED))


@cold
def find_answer(state: STATE, account: int, id_hi: int, id_lo: int):
    """Row of `answers` for (account, id), living or not; 0 when there is none."""
    key = _mixed(account, id_hi, id_lo)
    h = home(state, ANSWER_TAG, key)
    while True:
        s = at.slot(state, h)
        if s.row == 0:
            return 0
        if s.key == key and s.tag == ANSWER_TAG:
            a = at.answer(state, s.row)
            if a.account == account and a.id_hi == id_hi and a.id_lo == id_lo and a.living:
                return s.row + 0
        h = (h + 1) & state.slot_mask


@cold
def find_fact(state: STATE, account: int, id_hi: int, id_lo: int):
    """Row of `facts` for (source, id); 0 when there is none."""
    key = _mixed(account, id_hi, id_lo)
    h = home(state, FACT_TAG, key)
    while True:
        s = at.slot(state, h)
        if s.row == 0:
            return 0
        if s.key == key and s.tag == FACT_TAG:
            a = at.fact(state, s.row)
            if a.account == account and a.id_hi == id_hi and a.id_lo == id_lo:
                return s.row + 0
        h = (h + 1) & state.slot_mask


@cold
def drop_old_answers(state: STATE):
    """Forget answers past their window: they were accepted in the order they lie in the ring."""
    capacity = state.capacity[ANSWERS] - 1
    while state.answers_first != state.answers_next:
        i = 1 + state.answers_first % capacity
        a = at.answer(state, i)
        if a.accepted_at + state.answer_window > state.time:
            return
        forget(state, ANSWER_TAG, _mixed(a.account, a.id_hi, a.id_lo), i)
        a.living = 0
        owner = at.account(state, a.account)
        owner.answers = owner.answers - 1
        state.answers_first = state.answers_first + 1


@cold
def keep_answer(state: STATE, account: int, id_hi: int, id_lo: int, sequence: int):
    """Remember a request; the quotas sum to less than the ring, so there is always room."""
    i = 1 + state.answers_next % (state.capacity[ANSWERS] - 1)
    a = at.answer(state, i)
    a.account = account
    a.id_hi = id_hi
    a.id_lo = id_lo
    a.sequence = sequence
    a.accepted_at = state.time
    a.living = 1
    remember(state, ANSWER_TAG, _mixed(account, id_hi, id_lo), i)
    owner = at.account(state, account)
    owner.answers = owner.answers + 1
    state.answers_next = state.answers_next + 1


@cold
def index_answer(state: STATE, i: int):
    """Make a restored answer findable again."""
    a = at.answer(state, i)
    remember(state, ANSWER_TAG, _mixed(a.account, a.id_hi, a.id_lo), i)


@cold
def index_fact(state: STATE, i: int):
    """Make a restored fact findable again."""
    a = at.fact(state, i)
    remember(state, FACT_TAG, _mixed(a.account, a.id_hi, a.id_lo), i)


@cold
def drop_old_facts(state: STATE):
    """Forget facts past their window."""
    capacity = state.capacity[FACTS] - 1
    while state.facts_first != state.facts_next:
        i = 1 + state.facts_first % capacity
        a = at.fact(state, i)
        if a.accepted_at + state.fact_window > state.time:
            return
        forget(state, FACT_TAG, _mixed(a.account, a.id_hi, a.id_lo), i)
        state.facts_first = state.facts_first + 1


@cold
def keep_fact(state: STATE, account: int, id_hi: int, id_lo: int, sequence: int):
    """Remember a fact. 1 when the ring was full and its oldest, still young, had to go: a person must enlarge it."""
    capacity = state.capacity[FACTS] - 1
    crowded = 0
    if state.facts_next - state.facts_first == capacity:
        i = 1 + state.facts_first % capacity
        a = at.fact(state, i)
        forget(state, FACT_TAG, _mixed(a.account, a.id_hi, a.id_lo), i)
        state.facts_first = state.facts_first + 1
        crowded = 1
    i = 1 + state.facts_next % capacity
    a = at.fact(state, i)
    a.account = account
    a.id_hi = id_hi
    a.id_lo = id_lo
    a.sequence = sequence
    a.accepted_at = state.time
    remember(state, FACT_TAG, _mixed(account, id_hi, id_lo), i)
    state.facts_next = state.facts_next + 1
    return crowded
