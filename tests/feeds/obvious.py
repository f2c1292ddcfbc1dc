"""What an account and the public are shown of some events, said once more in whole columns: what the compiled loops are compared with."""
import numpy as np

from cambist.feeds.sorting import OF_NOBODY, PUBLIC_KINDS
from cambist.messages import EVENT, Event, Liquidity


def to_account(mine: np.ndarray) -> np.ndarray:
    """An own copy of one account's events without the log's sequence, which DUPLICATE carries in `other` too: the view `answer` tells the rest."""
    mine = mine.copy()
    mine["sequence"] = 0
    mine["other"][mine["kind"] == Event.DUPLICATE] = 0
    return mine


def to_public(events: np.ndarray) -> np.ndarray:
    """What is of nobody as it is but for the sequence; of every trade the taker's or the asking client's side, without a trace of who it was."""
    kind = events["kind"]
    filled = kind == Event.FILLED
    seen = np.isin(kind, np.flatnonzero(OF_NOBODY)) & (events["account"] == 0)
    if filled.any():
        # A quote's trade is told to the client first and to the dealer after, an auction's to the buyer first: the first of each match is told.
        paired = filled & np.isin(events["liquidity"], (Liquidity.QUOTE, Liquidity.AUCTION))
        again = np.zeros(len(events), bool)
        again[1:] = paired[1:] & paired[:-1] & (events["other"][1:] == events["other"][:-1])
        seen |= filled & np.isin(events["liquidity"], (Liquidity.TAKER, Liquidity.TAKER_BY_QUOTE)) | paired & ~again
    if not seen.any():
        return events[:0]
    shown = events[seen]
    told = np.zeros(len(shown), EVENT)
    for field in ("kind", "instrument"):
        told[field] = shown[field]
    for public, fields in PUBLIC_KINDS.items():
        its = shown["kind"] == public
        for field in fields:
            told[field][its] = shown[field][its]
    called = (shown["kind"] == Event.FILLED) & (shown["liquidity"] == Liquidity.AUCTION)
    told["liquidity"][called], told["side"][called] = Liquidity.AUCTION, 0
    return told
