"""What an instrument's terms may be, and what is made from them: the place of its book, and what stands in for its divisions. Knows no command."""
from cambist.core import layout as at
from cambist.core.layout import STATE
from cambist.core.memory import cold, hot, inverse
from cambist.messages import MAX_AMOUNT

MAX_TICKS = 1 << 24


@cold
def bad_terms(lot: int, book_tick: int, quote_tick: int, min_price: int, max_price: int):
    """Values outside their ranges."""
    if lot < 1 or lot > MAX_AMOUNT or book_tick < 1 or quote_tick < 1 or book_tick % quote_tick:
        return 1
    if min_price < 1 or max_price < min_price or max_price > MAX_AMOUNT or min_price % book_tick:
        return 1
    return 1 if (max_price - min_price) // book_tick >= MAX_TICKS else 0


@hot
def words_for(ticks: int):
    """Words of a book's bitmap trees, one for each side: one per 64 ticks, one per 64 of those, and two more levels."""
    w = (ticks + 63) >> 6
    v = (w + 63) >> 6
    return 2 * (w + v + ((v + 63) >> 6) + 1)


@cold
def open_book(state: STATE, number: int):
    """Lay the bitmap trees of the instrument's two sides into `words`; nothing rests."""
    b = at.instrument(state, number)
    b.ticks = (b.max_price - b.min_price) // b.book_tick + 1
    w = (b.ticks + 63) >> 6
    v = (w + 63) >> 6
    b.l0 = state.word_count
    b.l1 = b.l0 + 2 * w
    b.l2 = b.l1 + 2 * v
    b.l3 = b.l2 + 2 * ((v + 63) >> 6)
    state.word_count = b.l3 + 2
    b.bid = -1
    b.ask = b.ticks
    b.tick_inverse, b.lot_inverse, b.den_inverse = inverse(max(b.book_tick, 1)), inverse(max(b.lot, 1)), inverse(max(b.amount_den, 1))
    b.highest_ppm = max(b.maker_ppm, b.taker_ppm)
    b.reference_until = -1


@cold
def list_base(state: STATE, number: int):
    """An instrument joins those that its base asset is the base of."""
    b = at.instrument(state, number)
    a = at.asset(state, b.base)
    a.bases = a.bases + 1
    at.instrument_extra(state, number).next_base = a.first_base
    a.first_base = number
