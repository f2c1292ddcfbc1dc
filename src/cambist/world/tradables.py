"""An instrument as an outside program sees it: a symbol, decimals, and a mid it heard at a venue.

Decides how whole increments become the API's decimals, and how much of an instrument a sum of money is. It must not know a number of the house.
"""
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from cambist.sections import Design
from cambist.venues.venue import PPM, Grid, Terms

Mids: TypeAlias = dict[str, int]                # by symbol, in price increments: the middle of the venues' books, kept by whoever hears them


class Ask(NamedTuple):
    """One call of the public API: the operation and its body. `about` comes back with the answer."""
    operation: str
    body: dict[str, Any]
    about: Any = None


class Tradable:
    """`symbol` as in the API; prices in increments, quantities in base units."""

    def __init__(self, terms: Terms) -> None:
        self.terms, self.symbol = terms, terms.name.replace("/", "-")
        self._price, self._quantity = Grid(terms.price_increment), Grid(terms.base_unit)
        self._one = 10 ** len(terms.base_unit.partition(".")[2])
        self._increments = 10 ** len(terms.price_increment.partition(".")[2]) // int(terms.price_increment.replace(".", ""))

    def price_out(self, price: int) -> str:
        return self._price.text(price)

    def quantity_out(self, quantity: int) -> str:
        return self._quantity.text(quantity)

    def quantity_in(self, text: str) -> int:
        return self._quantity.count(text)

    def worth(self, quantity: int, mid: int) -> int:
        """Whole units of the quote asset, rounded towards zero."""
        sign = -1 if quantity < 0 else 1
        return sign * (abs(quantity) * mid // (self._one * self._increments))

    def quantity_for(self, worth: int, mid: int) -> int:
        """Base units that so many whole units of quote buy: whole lots, at least one."""
        return max(worth * self._one * self._increments // mid // self.terms.lot * self.terms.lot, self.terms.lot)

    def bid_below(self, price: int, tick: int) -> int:
        return max(price // tick * tick, self.terms.min_price)

    def ask_above(self, price: int, tick: int) -> int:
        return min(-(-price // tick) * tick, self.terms.max_price // tick * tick)


def tradables(design: Design, terms: Mapping[int, Terms]) -> dict[str, Tradable]:
    """Every instrument of the house, by symbol."""
    return {made.symbol: made for made in (Tradable(one) for one in terms.values() if one.name in design.instruments)}


def heard_from(design: Design, listed: str) -> list[str]:
    """The symbols for which a venue's book of instrument `listed` says where the market is: those of the same assets and price increment."""
    its = design.instruments[listed]
    return [name.replace("/", "-") for name, row in design.instruments.items()
            if (row.base, row.quote, row.price_increment or row.quote_tick) == (its.base, its.quote, its.price_increment or its.quote_tick)]


def away(mid: int, ppm: int) -> int:
    return mid * ppm // PPM
