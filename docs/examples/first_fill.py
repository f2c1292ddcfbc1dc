"""From key to first fill: ask the dealers for a price, take the best one, see the trade. Run it beside `make run`."""
import sys
import time
from decimal import Decimal

from cambist.client import Client


def main(url: str = "http://127.0.0.1:8600", key: str = "acme-bot", private_key: str = "cambist-data/secrets/private/acme-bot.pem") -> dict:
    with Client(url, key, private_key) as client:
        asked = client.request_quote("BTC-USD", "buy", "0.25", ttl_ms=10_000)
        quotes = []
        while not quotes:
            time.sleep(0.1)
            quotes = [quote for quote in client.request(asked["request"])["quotes"] if quote["ask"]]
        best = min(quotes, key=lambda quote: Decimal(quote["ask"]))
        trade = client.accept(asked["request"], "buy", limit_price=best["ask"], quote=best["quote"])
        print(f"bought {trade['quantity']} BTC at {trade['price']}, fee {trade['fee']} USD, match {trade['match']}")
        return trade


if __name__ == "__main__":
    main(*sys.argv[1:])
