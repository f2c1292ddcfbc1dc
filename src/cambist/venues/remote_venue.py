"""A venue behind its WebSocket API, as the port `venue.Venue`: intents become messages, messages become reports.

Decides how our integers are written in the venue's decimals and back, and when a book is whole. It must not know a socket, a thread or a clock: it is told
when a connection is there or lost, is handed what came, and gives what is to be sent.

What cannot be sent is let go of, and nothing is said about it: to the executor that is silence, and silence it asks about.
"""
from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cambist.messages import Side, TimeInForce
from cambist.sections import Venue as VenueRow
from cambist.venues.simulated_api import (
    BookWord, CancelOrder, Fault, FillWord, LoggedOn, Logon, NewOrder, OrderWord, QueryOrder, Request, SubscribeBook, encode, read_word,
)
from cambist.venues.simulated_exchange import Symbols
from cambist.venues.venue import (
    Acked, AskChild, BookUpdate, CancelChild, Capabilities, Closed, CloseReason, DecimalError, Filled, Intent, Liquidity, Missing, PlaceChild, Rejected,
    RejectReason, Report, Silence, book_fault,
)

WORDS_MOST = 16                                 # for a person, kept until they are taken


def declared(name: str, row: VenueRow) -> Capabilities:
    """What the design says this venue can do."""
    can = row.capabilities
    return Capabilities(venue=name, times_in_force=tuple(TimeInForce[word.upper()] for word in can.times_in_force), cancels=can.cancels,
                        client_ids=can.client_ids, book_depth=can.book_depth, silence=Silence(can.silence), ask_after_ns=can.ask_after,
                        taker_fee_ppm=row.taker_ppm, maker_fee_ppm=row.maker_ppm)


class RemoteVenue:
    """`connected`, `lost` and `hear` say what the line does; `step` and `outgoing` what we do."""

    def __init__(self, capabilities: Capabilities, symbols: Symbols, *, trading: bool = True) -> None:
        self.capabilities, self._symbols, self._trading = capabilities, symbols, trading
        self.open = False                               # logged on: intents are sent
        self.calls: list[str] = []                      # what a person should know
        self._out: list[bytes] = []
        self._reports: list[Report] = []
        self._books: dict[int, tuple[int, dict[int, int], dict[int, int]]] = {}      # sequence, bids and asks by price

    # ------------------------------------------------------------------------------------------------------------------ port
    def step(self, now: int, intents: Sequence[Intent]) -> list[Report]:
        if self.open:
            self._out += [encode(self._asking(intent)) for intent in intents]
        reports, self._reports = self._reports, []
        return reports

    def next_event(self, now: int) -> int | None:
        """When the other side speaks is not known here."""
        return None

    def _asking(self, intent: Intent) -> Request:
        named = str(intent.child_id)
        match intent:
            case PlaceChild(instrument=number):
                symbol = self._symbols.symbol.get(number)
                if symbol is None:                      # the venue is to say itself that it does not list it, so that it stays said
                    return NewOrder(client_order_id=named, symbol=f"#{number}", side="buy", quantity="0", price="0", time_in_force="ioc")
                return NewOrder(client_order_id=named, symbol=symbol, side="buy" if intent.side == Side.BUY else "sell",
                                quantity=self._symbols.quantity_out(number, intent.quantity), price=self._symbols.price_out(number, intent.limit_price),
                                time_in_force=intent.tif.name.lower())                  # type: ignore[arg-type]
            case CancelChild():
                return CancelOrder(client_order_id=named)
            case AskChild():
                return QueryOrder(client_order_id=named)

    # ------------------------------------------------------------------------------------------------------------------ line
    def connected(self, session: int) -> None:
        """A new connection. `session` is above that of every earlier one, also of earlier lives."""
        self.lost()
        self._out = [encode(Logon(session=session))] if self._trading else []
        self._out.append(encode(SubscribeBook(symbols=list(self._symbols.number))))

    def lost(self) -> None:
        self.open = False
        self._out.clear()
        self._books.clear()

    def outgoing(self) -> list[bytes]:
        """Messages to be sent, in their order."""
        out, self._out = self._out, []
        return out

    def hear(self, text: bytes) -> None:
        """One message of the venue. What cannot be read is told to a person, and nothing is made of it."""
        try:
            word = read_word(text)
            match word:
                case LoggedOn():
                    self.open = True
                case OrderWord():
                    self._reports.append(self._order(word))
                case FillWord():
                    self._reports.append(self._fill(word))
                case BookWord():
                    self._book(word)
                case Fault():
                    self._call(f"{word.code}: {word.message}")
        except (msgspec.MsgspecError, DecimalError, KeyError, ValueError) as wrong:
            self._call(f"said what cannot be read ({type(wrong).__name__}: {wrong}): {text[:200]!r}")

    def _call(self, text: str) -> None:
        self.calls = [*self.calls, f"{self.capabilities.venue} {text}"][-WORDS_MOST:]

    # --------------------------------------------------------------------------------------------------------------- reports
    def _order(self, word: OrderWord) -> Report:
        child = int(word.client_order_id)
        match word.status:
            case "new":
                return Acked(child, word.order_id, word.time)
            case "rejected":
                known = word.reason in set(RejectReason)
                return Rejected(child, RejectReason(word.reason) if known else RejectReason.OTHER, word.time)
            case "closed":
                number = self._symbols.number.get(word.symbol)
                filled = self._symbols.quantity_in(number, word.filled_quantity) if number is not None else 0
                return Closed(child, CloseReason(word.reason), filled, word.time)
        return Missing(child, word.time)

    def _fill(self, word: FillWord) -> Filled:
        number = self._symbols.number[word.symbol]
        return Filled(int(word.client_order_id), word.execution_id, self._symbols.quantity_in(number, word.quantity),
                      self._symbols.price_in(number, word.price), self._symbols.money_in(number, word.fee),
                      Liquidity.ADDED if word.liquidity == "maker" else Liquidity.REMOVED, word.time)

    # ----------------------------------------------------------------------------------------------------------------- books
    def _book(self, word: BookWord) -> None:
        number = self._symbols.number[word.symbol]
        bids, asks = (self._symbols.levels_in(number, side) for side in (word.bids, word.asks))
        if word.type == "snapshot":
            self._books[number] = (word.sequence, dict(bids), dict(asks))
        elif number in self._books and self._books[number][0] == word.previous_sequence:
            _, old_bids, old_asks = self._books[number]
            self._books[number] = (word.sequence, _changed(old_bids, bids), _changed(old_asks, asks))
        else:
            self._again(number, word.symbol)            # something was missed
            return
        _, held_bids, held_asks = self._books[number]
        depth = self.capabilities.book_depth
        update = BookUpdate(number, word.time, tuple(sorted(held_bids.items(), reverse=True)[:depth]), tuple(sorted(held_asks.items())[:depth]))
        if (fault := book_fault(update, depth)) is not None:
            self._call(f"showed a book that can not be: {fault}")
            self._again(number, word.symbol)
            return
        self._reports.append(update)

    def _again(self, number: int, symbol: str) -> None:
        """Asks for a snapshot, once, and takes nothing of this book until it comes."""
        if self._books.pop(number, None) is not None:
            self._out.append(encode(SubscribeBook(symbols=[symbol])))


def _changed(held: dict[int, int], levels: list[tuple[int, int]]) -> dict[int, int]:
    return {price: quantity for price, quantity in (held | dict(levels)).items() if quantity}
