"""The dictionary of the demo design, and rows of history as the portal reads them."""
from cambist.dictionary import Dictionary
from cambist.messages import EVENT, Event
from cambist.opaque import Opaque

from tests.process.house_on_disk import ACCOUNT, DESIGN, INSTRUMENT, NAMES

WORDS = Dictionary(DESIGN, NAMES, Opaque(bytes(16)))
ACME, BTC_USD, XRP_USD = ACCOUNT["acme"], INSTRUMENT["BTC/USD"], INSTRUMENT["XRP/USD"]
SECOND = 10**9


def row(kind: Event, time: int = 0, number: int = 1, account: int = ACME, instrument: int = BTC_USD, **fields: int) -> dict[str, int]:
    """One event as History tells it; fields that are not given are 0."""
    return {name: 0 for name in EVENT.names or ()} | {"kind": int(kind), "time": time, "number": number, "account": account, "instrument": instrument, **fields}
