"""The look: after every command and every unit of work triggers and pegs see what prices have become, and the agenda what work there is. Section 1, step 4."""
from cambist.core import layout as at
from cambist.core.agenda import review
from cambist.core.flags import flag_instrument
from cambist.core.layout import STATE
from cambist.core.memory import cold
from cambist.core.pegs import look_at_pegs
from cambist.core.triggers import look_at_prices, next_to_fire


@cold
def look_again(state: STATE):
    """At every instrument that was touched, in ascending order: at the prices of all, then at the pegs of all. What this touches is for the next look."""
    first = state.look_first + 0
    state.look_first = 0
    i = first
    while i:
        x = at.instrument_extra(state, i)
        x.seen_next = x.look_next
        x.looked = 0
        i = x.seen_next + 0
    i = first
    while i:
        look_at_prices(state, i)
        i = at.instrument_extra(state, i).seen_next + 0
    i = first
    while i:
        look_at_pegs(state, i)
        flag_instrument(state, i)
        review(state, i, 1 if next_to_fire(state, i) else 0)
        i = at.instrument_extra(state, i).seen_next + 0
