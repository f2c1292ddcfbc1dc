"""What the console keeps of the node's views: asked once for all who want it, and never older than what was last done."""
import asyncio

from cambist.ops.console.watch_shell import Watch


class SlowLink:
    """A node that answers what was so when it was asked, when it is let."""
    def __init__(self):
        self.connected, self.now, self.asked, self.let, self.on_change = True, 1, 0, asyncio.Event(), []

    async def read(self, name, at_least=0, **argument):
        told, self.asked = {"state": self.now}, self.asked + 1
        await self.let.wait()
        return 1, told


async def watched(tmp_path):
    watch = Watch(str(tmp_path / "s"), tmp_path, lambda: bytes(16), lambda *topics: None, lambda line: None)
    watch.link = SlowLink()
    return watch, watch.link


def test_many_who_ask_at_once_are_one_question(tmp_path):
    async def test():
        watch, link = await watched(tmp_path)
        asking = [asyncio.ensure_future(watch.view("status")) for _ in range(3)]
        await asyncio.sleep(0)
        link.let.set()
        assert await asyncio.gather(*asking) == [{"state": 1}] * 3 and (await watch.view("status"), link.asked) == ({"state": 1}, 1)
    asyncio.run(test())


def test_an_answer_under_way_when_something_was_done_is_not_kept(tmp_path):
    """Else a page drawn right after an act would show the state before it, and go on for as long as views are kept."""
    async def test():
        watch, link = await watched(tmp_path)
        before = asyncio.ensure_future(watch.view("status"))
        await asyncio.sleep(0.01)
        link.now = 2                                    # the act
        watch.forget("status")
        after = asyncio.ensure_future(watch.view("status"))
        await asyncio.sleep(0.01)
        link.let.set()
        assert (await before, await after, await watch.view("status")) == ({"state": 1}, {"state": 2}, {"state": 2}) and link.asked == 2
    asyncio.run(test())
