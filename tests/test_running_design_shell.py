"""The design a process beside the node runs by: asked for until it is told, watched for a change; and which key may send what."""
import asyncio
from pathlib import Path

import pytest

from cambist import running_design_shell
from cambist.configure import configure
from cambist.design import read_design
from cambist.door.client_shell import DoorClosed, RefusedByDoor
from cambist.door.protocol import Code, Refused
from cambist.messages import Kind
from cambist.part_shell import DesignChanged, Part
from cambist.running_design_shell import DesignWatch, RunningDesign, await_design, service_key

DESIGN = read_design((Path(__file__).resolve().parents[1] / "desks" / "demo.toml").read_text(), "demo")


def part(tmp_path) -> Part:
    return Part(tmp_path, str(tmp_path / "door.sock"), {}, None, asyncio.Event(), lambda address: None, lambda line: None)


def answers(monkeypatch, *told):
    """What the door says, one after another; the last for ever."""
    left = list(told)

    def ask(socket):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return RunningDesign(DESIGN, configure(DESIGN).names, answer, {})
    monkeypatch.setattr(running_design_shell, "ask_design", ask)
    monkeypatch.setattr(running_design_shell, "AGAIN_SECONDS", 0.01)


def test_it_is_asked_for_until_the_node_tells_it(monkeypatch, tmp_path):
    answers(monkeypatch, DoorClosed("no node"), RefusedByDoor(Refused(1, Code.NOT_YET)), RefusedByDoor(Refused(1, Code.BAD_ARGUMENT)), 134)
    found = asyncio.run(await_design(part(tmp_path)))
    assert found is not None and found.sequence == 134


def test_it_stops_asking_when_it_is_time_to_stop(monkeypatch, tmp_path):
    answers(monkeypatch, DoorClosed("no node"))

    async def stopped():
        asked = part(tmp_path)
        asyncio.get_running_loop().call_later(0.05, asked.stop.set)
        return await await_design(asked)
    assert asyncio.run(stopped()) is None


def test_a_door_that_will_not_tell_is_no_reason_to_wait(monkeypatch, tmp_path):
    answers(monkeypatch, RefusedByDoor(Refused(1, Code.STOPPED, 0, "the clock stepped")))
    with pytest.raises(RefusedByDoor, match="the clock stepped"):
        asyncio.run(await_design(part(tmp_path)))


def test_a_changed_design_ends_whoever_runs_by_the_old_one(monkeypatch, tmp_path):
    monkeypatch.setattr(running_design_shell, "CHANGE_SECONDS", 0.0)
    answers(monkeypatch, 134, DoorClosed("the node is away"), 140)

    async def watched():
        watch = DesignWatch(part(tmp_path), RunningDesign(DESIGN, {}, 134, {}))
        await watch.look()
        await watch.look()
        await watch.look()
    with pytest.raises(DesignChanged, match="sequence 140"):
        asyncio.run(watched())


@pytest.mark.parametrize(("kind", "account", "near", "key"), [
    (Kind.QUOTE, "desk", "", "desk-engine"), (Kind.QUOTE, "b2", "", "b2"), (Kind.REQUEST_QUOTE, "acme", "", "acme-bot"), (Kind.SETTLE, "", "", "settlement"),
    (Kind.DEPOSIT, "", "", "custodian"), (Kind.CHILD_ACKED, "", "osprey", "feed-osprey"), (Kind.SOURCE_PRICE, "", "recorded", "feed-recorded"),
    (Kind.SOURCE_PRICE, "", "elsewhere", "feed-kestrel"), (Kind.TRANSFER, "b2", "", None), (Kind.KILL_ALL, "", "", None),
])
def test_the_programs_key_for_a_kind_is_never_a_persons(kind, account, near, key):
    assert service_key(DESIGN, kind, account, near) == key
