"""The gateway as a part of the house: REST, WebSocket and market data over one link to the door, in one loop.

Decides the order in which they start and end, and nothing of what they serve.
"""
import asyncio
import contextlib

from cambist import __version__
from cambist.credentials_shell import Secrets
from cambist.door.link_shell import Link, Role, write_down
from cambist.gateways.house_shell import House
from cambist.gateways.market_shell import Market
from cambist.gateways.rest_shell import serving_rest
from cambist.gateways.websocket_shell import serving_websocket
from cambist.part_shell import Part


async def serve(part: Part) -> None:
    """Until `part.stop`. It listens at once, and answers 503 until the node is there. Raises ValueError beyond loopback without TLS, OSError."""
    secrets, link = Secrets(part.directory), Link(part.socket, role=Role.GATEWAY)
    house, market = House(link, secrets.ids_key, secrets.public_keys), Market(link)
    house.on_design.append(market.use)
    market.on_terms.append(house.look_soon)
    link.on_change.append(lambda connected: part.say("serving" if connected else "serving; the node does not answer"))
    async with contextlib.AsyncExitStack() as serving:
        serving.push_async_callback(link.close)
        serving.push_async_callback(house.close)
        serving.push_async_callback(market.close)
        await serving.enter_async_context(serving_rest(part, house, market, __version__))
        await serving.enter_async_context(serving_websocket(part, link, house, market))
        starting = asyncio.create_task(house.start(), name="house")
        writing = asyncio.create_task(write_down(link, str(part.directory), "gateway"), name="write down")
        part.ready(part.url("rest"))
        await part.stop.wait()
        for task in (starting, writing):
            task.cancel()
        await asyncio.wait([starting, writing])
