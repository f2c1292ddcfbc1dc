"""Section 13 of the rules, the band: how far a price may move before the market is called to an auction."""
from cambist.messages import Session
from cambist.simulation.twin.model import MILLION, Instrument, State, down


def window_now(t: State, ins: Instrument) -> int:
    return t.time // ins.band_window if ins.band_window else 0


def anchor_now(t: State, ins: Instrument) -> int:
    """What the band lies around; 0 when there is nothing yet."""
    if ins.session != Session.CONTINUOUS or (ins.anchor and ins.anchor_window == window_now(t, ins)):
        return ins.anchor
    return ins.book_last or t.reference(ins.number)


def edges(t: State, ins: Instrument) -> tuple[int, int] | None:
    """The lowest and the highest price a trade in the book may have now; nothing when there is no band."""
    anchor = anchor_now(t, ins)
    if ins.band_ppm == 0 or anchor == 0:
        return None
    width = down(anchor, ins.band_ppm, MILLION)
    return anchor - width, anchor + width


def outside(t: State, ins: Instrument, price: int) -> bool:
    band = edges(t, ins)
    return band is not None and not band[0] <= price <= band[1]


def keep_anchor(t: State, ins: Instrument, price: int = 0) -> None:
    """The anchor a trade was judged by is that of its window; where there was none, the price is."""
    if ins.band_ppm:
        ins.anchor = anchor_now(t, ins) or price
        ins.anchor_window = window_now(t, ins)
