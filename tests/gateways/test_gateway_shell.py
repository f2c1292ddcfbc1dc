"""The whole gateway as a part: it listens before the node is there, serves when it is, outlives it, and ends when it should."""
import asyncio
import socket
import time

import httpx
import msgspec

from cambist.credentials_shell import Secrets
from cambist.design import read_design
from cambist.gateways.auth import request_text
from cambist.gateways.gateway_shell import serve
from cambist.part_shell import Part

from tests.gateways.house_fixture import SECOND, a_world, design_text


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


async def until(condition, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


def test_it_begins_before_the_node_outlives_it_and_ends_soon(tmp_path):
    async def main():
        secrets = Secrets.create(tmp_path, read_design(design_text()))
        rest, websocket = free_ports(2)
        stop, ready, said = asyncio.Event(), [], []
        part = Part(tmp_path, str(tmp_path / "door" / "s"), {"rest": ("127.0.0.1", rest), "websocket": ("127.0.0.1", websocket)}, None, stop, ready.append,
                    said.append)
        serving = asyncio.create_task(serve(part))

        async def is_ready():
            return bool(ready)
        await until(is_ready)
        assert ready == [f"http://127.0.0.1:{rest}"]
        async with httpx.AsyncClient(base_url=ready[0], verify=False, timeout=10) as client:
            async def status(wanted):
                return (await client.get("/v1/status")).json()["status"] == wanted

            async def placed():
                body, expires, client_id = msgspec.json.encode({"instrument": "BTC-USD", "side": "buy", "price": "63000", "quantity": "0.1"}), \
                    time.time_ns() + 10 * SECOND, f"{time.time_ns():032x}"
                signature = secrets.private_key("acme-bot").sign(request_text("POST", "/v1/orders", body, expires, client_id)).hex()
                answer = await client.post("/v1/orders", content=body, headers={
                    "Content-Type": "application/json", "Cambist-Key": "acme-bot", "Cambist-Expires": str(expires), "Cambist-Id": client_id,
                    "Cambist-Signature": signature})
                return answer.status_code
            assert await status("unreachable") and await placed() == 503
            async with a_world(tmp_path) as world:
                await until(lambda: status("open"))
                assert await placed() == 201
                await world.behind.door.close()
                await until(lambda: status("unreachable"))
                assert await placed() == 503
                await world.behind.door.open()
                await until(lambda: status("open"))
                assert await placed() == 201
            await until(lambda: status("unreachable"))
        assert said[0].startswith("serving")
        begun = time.monotonic()
        stop.set()
        await asyncio.wait_for(serving, 10)
        assert time.monotonic() - begun < 5
    asyncio.run(main())
