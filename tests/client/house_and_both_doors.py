"""The house of the gateway's tests with REST and WebSocket served, for clients that block in threads of their own."""
import asyncio
import contextlib

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cambist.gateways.websocket_shell import serving_websocket
from cambist.part_shell import Part
from tests.gateways.house_fixture import a_world
from tests.gateways.stand_in import free_port


class Open:
    def __init__(self, world, rest, websocket, server, folder):
        self.world, self.rest, self.websocket, self.server, self.folder = world, rest, websocket, server, folder

    def pem(self, key):
        """The path of a key's PEM file."""
        path = self.folder / f"{key}.pem"
        path.write_bytes(self.world.secrets[key].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(path)


@contextlib.asynccontextmanager
async def both_doors(folder, **settings):
    async with a_world(folder, rest=True, **settings) as world:
        port = free_port()
        part = Part(folder, "", {"websocket": ("127.0.0.1", port)}, None, asyncio.Event(), lambda text: None, lambda text: None)
        async with serving_websocket(part, world.link, world.house, world.market) as server:
            yield Open(world, f"http://127.0.0.1:{world.port}", f"ws://127.0.0.1:{port}/v1/ws", server, folder)


def in_both_doors(folder, test, seconds=60, **settings):
    """Runs `async test(open)`."""
    async def main():
        async with both_doors(folder, **settings) as opened, asyncio.timeout(seconds):
            await test(opened)
    asyncio.run(main())
