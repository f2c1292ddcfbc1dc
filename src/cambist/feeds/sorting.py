"""Which streams an entry's events belong to, found in two passes over them.

Decides what is public; an account's events are those that name it. It must not know who listens. `survey` counts, `deal` gives every account its run of
places and every stream its new numbers.
"""
import numpy as np

from cambist.loops import loop
from cambist.messages import EVENT, Event, Liquidity

# What of each public kind is shown: field by field, so that nothing is public because it was forgotten. A trade's account is taken out, the others have none.
PUBLIC_KINDS: dict[int, tuple[str, ...]] = {
    Event.REFERENCE: ("other", "price"), Event.LEVEL: ("side", "price", "quantity", "leaves"), Event.FILLED: ("side", "other", "price", "quantity"),
    Event.SESSION_CHANGED: ("id", "other", "price", "amount", "reason"), Event.INDICATIVE: ("price", "quantity", "amount"),
    Event.UNCROSSED: ("price", "quantity", "amount"), Event.TERMS_CHANGED: ("id", "price", "quantity", "other"), Event.DIGITS_CHANGED: ("id", "other"),
}
SHOWN = ("side", "other", "price", "quantity", "leaves", "id", "amount", "reason")
SHOWS = np.array([[name in PUBLIC_KINDS.get(kind, ()) for name in SHOWN] for kind in range(max(Event) + 1)])
OF_NOBODY = np.array([kind in PUBLIC_KINDS and kind != Event.FILLED for kind in range(max(Event) + 1)])     # by kind: public where no account is told
TRADE = int(Event.FILLED)
TAKER, SPENDER, QUOTED, CALLED = int(Liquidity.TAKER), int(Liquidity.TAKER_BY_QUOTE), int(Liquidity.QUOTE), int(Liquidity.AUCTION)
DUPLICATE = int(Event.DUPLICATE)
ALL, PUBLIC = 0, 1                              # rows of the index; account n is row n + 1
INT = np.dtype(np.int64)
# What is known of each stream, a row each: how many events it has, where its newest mark stands, and its newest block.
INDEX = np.dtype([("count", "<i8"), ("mark_number", "<i8"), ("mark_ordinal", "<i8"), ("newest_number", "<i8"), ("newest_ordinal", "<i8"), ("tally", "<i8")])


@loop(EVENT, INDEX, INT, INT, INT)
def survey(events, index, touched, public, found):
    """Counts each stream's events in `tally`; `touched` gets the rows that have some, in no order, `public` the places of what is public. `found`: how many
    of each, or in its third the row that `index` has no room for, or 0."""
    rows, shown, beyond = 1, 0, 0
    touched[0] = ALL
    index[ALL]["tally"] = len(events)
    paired_before, match_before = False, 0
    for i in range(len(events)):
        e = events[i]
        account, kind = np.int64(e["account"]), np.int64(e["kind"])
        if account > 0:
            row = account + 1
            if row >= len(index):
                beyond = max(beyond, row)
            else:
                if index[row]["tally"] == 0:
                    touched[rows] = row
                    rows += 1
                index[row]["tally"] += 1
        paired = False
        if kind == TRADE:
            # A quote's trade is told to the client first and to the dealer after, an auction's to the buyer first: the first of each match is told.
            how = np.int64(e["liquidity"])
            paired = how in (QUOTED, CALLED)
            if how in (TAKER, SPENDER) or (paired and not (paired_before and match_before == np.int64(e["other"]))):
                public[shown] = i
                shown += 1
        elif account == 0 and kind < len(OF_NOBODY) and OF_NOBODY[kind]:
            public[shown] = i
            shown += 1
        paired_before, match_before = paired, np.int64(e["other"])
    if shown:
        touched[rows] = PUBLIC
        index[PUBLIC]["tally"] = shown
        rows += 1
    found[0], found[1], found[2] = rows, shown, beyond


@loop(EVENT, INDEX, INT, INT, INT, INT, int, int, int)
def deal(events, index, rows, starts, order, due, ordinal, mark_events, mark_blocks):
    """`rows` ascending, as surveyed and before them ALL and PUBLIC: account n's events are at order[starts[j]:starts[j + 1]]. Every row gets its new numbers;
    `due` says for which of them a mark is to be set, with the number in it."""
    at = 0
    for j in range(len(rows)):
        r = index[rows[j]]
        starts[j] = at
        n = r["tally"]
        number = r["count"] + 1
        due[j] = 0
        if number == 1 or number - r["mark_number"] >= mark_events or ordinal - r["mark_ordinal"] >= mark_blocks:
            due[j] = number
            r["mark_number"], r["mark_ordinal"] = number, ordinal
        r["newest_number"], r["newest_ordinal"] = number, ordinal
        r["count"] += n
        r["tally"] = at                                 # now where its next event goes
        if rows[j] > PUBLIC:
            at += n
    starts[len(rows)] = at
    for i in range(len(events)):
        account = np.int64(events[i]["account"])
        if account > 0:
            place = index[account + 1]["tally"]
            order[place] = i
            index[account + 1]["tally"] = place + 1
    for j in range(len(rows)):
        index[rows[j]]["tally"] = 0


@loop(EVENT, INT, EVENT)
def give(events, order, told):
    """Copies the events at these places for their own account: without the log's sequence, which DUPLICATE carries in `other` too."""
    for j in range(len(order)):
        told[j] = events[order[j]]
        told[j]["sequence"] = 0
        if told[j]["kind"] == DUPLICATE:
            told[j]["other"] = 0


@loop(EVENT, INT, EVENT)
def show(events, places, told):
    """Copies what is public of the events at these places into rows of zeros. A trade of an auction says so; it has no taker, and so no side."""
    for j in range(len(places)):
        e, t = events[places[j]], told[j]
        shows = SHOWS[np.int64(e["kind"])]
        t["kind"], t["instrument"] = e["kind"], e["instrument"]
        called = np.int64(e["kind"]) == TRADE and np.int64(e["liquidity"]) == CALLED
        if called:
            t["liquidity"] = e["liquidity"]
        if shows[0] and not called:
            t["side"] = e["side"]
        if shows[1]:
            t["other"] = e["other"]
        if shows[2]:
            t["price"] = e["price"]
        if shows[3]:
            t["quantity"] = e["quantity"]
        if shows[4]:
            t["leaves"] = e["leaves"]
        if shows[5]:
            t["id"] = e["id"]
        if shows[6]:
            t["amount"] = e["amount"]
        if shows[7]:
            t["reason"] = e["reason"]
