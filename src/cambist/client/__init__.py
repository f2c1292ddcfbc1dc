"""The public client of a cambist house: plain calls over REST, asyncio over one WebSocket, and a book that notices what is missing.

Decides which names are public. It imports nothing of the house, and of other packages only httpx, picows, msgspec and cryptography.
"""
from cambist.client.async_client_shell import AsyncClient, LiveBook
from cambist.client.calls import ApiError, OutcomeUnknown, Told, leg
from cambist.client.order_book import BookBroken, Level, OrderBook
from cambist.client.plain_client_shell import Client

__all__ = ["ApiError", "AsyncClient", "BookBroken", "Client", "Level", "LiveBook", "OrderBook", "OutcomeUnknown", "Told", "leg"]
