"""A dealer: answer every request with a price around the house's reference. With `make run` the demo's own dealers do the same."""
import sys
from decimal import Decimal

from cambist.client import ApiError, Client

HALF_SPREAD = Decimal("0.001")


def prices(client: Client, instrument: str, side: str) -> dict[str, Decimal]:
    """Those sides that were asked for; none while there is no reference."""
    told = client.instrument(instrument)
    if told["reference"] is None:
        return {}
    reference, tick = Decimal(told["reference"]), Decimal(told["quote_tick"])
    both = {"bid": reference * (1 - HALF_SPREAD) // tick * tick, "ask": reference * (1 + HALF_SPREAD) // tick * tick}
    return {name: both[name] for name in {"buy": ["ask"], "sell": ["bid"], "two_way": ["bid", "ask"]}[side]}


def main(url: str = "http://127.0.0.1:8600", key: str = "b2", private_key: str = "cambist-data/secrets/private/b2.pem", count: int = 3) -> list[dict]:
    answered: list[dict] = []
    with Client(url, key, private_key) as client:
        for event in client.events(0):                          # from now on, without end
            if event["event"] != "request_invited":
                continue
            try:
                if sides := prices(client, event["instrument"], event["side"]):
                    answered.append(client.quote(event["request"], ttl_ms=2_000, **sides))
                    print(f"quoted {sides}")
            except ApiError as no:
                print(f"not quoted: {no}")                      # it traded or lapsed meanwhile
            if len(answered) == count:
                break
    return answered


if __name__ == "__main__":
    main(*sys.argv[1:])
