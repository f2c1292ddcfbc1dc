"""A book that is kept live, checked at every update, and every trade as it happens. No key is needed."""
import asyncio
import sys

from cambist.client import AsyncClient


async def show_book(client: AsyncClient, instrument: str, changes: int) -> None:
    book = await client.book(instrument)
    for _ in range(changes):
        bid, ask = book.best_bid, book.best_ask
        print(f"{instrument} {book.sequence}: {bid.price if bid else '-'} / {ask.price if ask else '-'}")
        await book.changed()


async def show_trades(client: AsyncClient, instrument: str, count: int) -> None:
    async for trade in client.trades(instrument):
        print(f"{instrument}: {trade['side']} {trade['quantity']} at {trade['price']}")
        count -= 1
        if not count:
            return


async def main(url: str = "ws://127.0.0.1:8601/v1/ws", instrument: str = "BTC-USD", changes: int = 20, trades: int = 5) -> None:
    async with AsyncClient(url) as client:
        await asyncio.gather(show_book(client, instrument, changes), show_trades(client, instrument, trades))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
