"""The band: how far the price in the book may move before the market is called to an auction, and the anchor it lies around. docs/rules.md section 13.

Answers questions and keeps the anchor; whose session becomes what is decided in `market_sessions`.
"""
from cambist.core import layout as at
from cambist.core.arithmetic import MILLION, multiply_divide
from cambist.core.flags import flag_instrument
from cambist.core.layout import INSTRUMENT, INSTRUMENT_EXTRA, STATE, L
from cambist.core.memory import cold, hot, quotient
from cambist.core.risk import reference
from cambist.messages import MAX_AMOUNT, Kind, Reason, Session, Side

BAND = L[Kind.CONFIGURE_BAND]
LONGEST = 10**18                                # nanoseconds
NOWHERE = 2 * MAX_AMOUNT                        # above the upper edge of every band


@hot
def _window_now(state: STATE, x: INSTRUMENT_EXTRA):
    return quotient(state.time, x.band_window) if x.band_window else 0


@cold
def anchor_now(state: STATE, b: INSTRUMENT, x: INSTRUMENT_EXTRA, instrument: int):
    """What the band lies around; 0 while there is nothing."""
    if x.session != Session.CONTINUOUS or (x.anchor and x.anchor_window == _window_now(state, x)):
        return x.anchor + 0
    return b.book_last + 0 if b.book_last else reference(state, b, instrument)


@cold
def band_edge(state: STATE, b: INSTRUMENT, instrument: int, side: int):
    """The worst price a taker of this side may trade at now: the band's upper edge of a buyer, its lower one of a seller. Without a band: any."""
    x = at.instrument_extra(state, instrument)
    anchor = anchor_now(state, b, x, instrument) if x.band_ppm else 0
    if anchor == 0:
        return NOWHERE if side == Side.BUY else -NOWHERE
    width = multiply_divide(anchor, x.band_ppm, MILLION, 0)
    return anchor + width if side == Side.BUY else anchor - width


@cold
def keep_anchor(state: STATE, b: INSTRUMENT, instrument: int, price: int):
    """The anchor a trade was judged by is that of its window; where there was none, the price is (0: stays none). Before `book_last` changes."""
    x = at.instrument_extra(state, instrument)
    if x.band_ppm:
        anchor = anchor_now(state, b, x, instrument)
        x.anchor = anchor if anchor else price
        x.anchor_window = _window_now(state, x)


@cold
def set_anchor(state: STATE, instrument: int, price: int):
    """The price of an auction is the anchor of what follows it."""
    x = at.instrument_extra(state, instrument)
    x.anchor = price
    x.anchor_window = _window_now(state, x)


@cold
def check_band(state: STATE, c: BAND):
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    if not (0 <= c.band_ppm <= MILLION and 0 <= c.window <= LONGEST and 0 <= c.auction <= LONGEST and 0 <= c.indicative <= LONGEST):
        return Reason.BAD_VALUE
    return Reason.BAD_VALUE if c.band_ppm and not (c.window and c.auction) else Reason.NONE


@cold
def change_band(state: STATE, c: BAND):
    x = at.instrument_extra(state, c.instrument)
    x.band_ppm = c.band_ppm
    x.band_window = c.window
    x.auction = c.auction
    x.indicative = c.indicative
    flag_instrument(state, c.instrument)
    return c.instrument + 0
