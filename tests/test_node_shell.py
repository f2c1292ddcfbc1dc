"""The threads around the node: they end when they are told to, whatever waits, and use the quiet to make room."""
import asyncio
import threading

import msgspec
import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.door.protocol import Code, Read, Refused, View
from cambist.log.journal import SPARE_SLICE_BYTES
from cambist.log.times import Times, read_times
from cambist.messages import Kind, command
from cambist.node import Node, close_node, open_node
from cambist.node_shell import MAX_WAITING, STAMPS_TOGETHER, Running

from tests.log.crash_disk import CrashDisk
from tests.process.house_on_disk import DESIGN, KEY, SIZES

SEGMENT_BYTES = 4 * SPARE_SLICE_BYTES
PATIENCE = 30.0


def opened(disk: CrashDisk) -> Node:
    return open_node(disk, "house", number=DESIGN.cell.number, epoch=1, fresh=lambda: Cell(SIZES), load=lambda tables: Cell.load(tables, SIZES),
                     segment_bytes=SEGMENT_BYTES, lock=threading.Lock())


def orders(count: int) -> np.ndarray:
    return np.repeat(command(Kind.NET, actor=KEY["settlement"]), count)


def while_running(node: Node, test) -> None:
    async def main():
        running = Running(node)
        running.start()
        try:
            await asyncio.wait_for(test(running), PATIENCE)
        finally:
            await asyncio.wait_for(running.stop(), PATIENCE)
        assert running.failure is None
    asyncio.run(main())
    close_node(node)


async def until(holds) -> None:
    while not holds():
        await asyncio.sleep(0.01)


def test_it_stops_with_many_questions_waiting_and_answers_them():
    answers = []

    async def test(running):
        for i in range(20):
            running.ask(Read(i, "status"), answers.append)

    while_running(opened(CrashDisk()), test)
    assert len(answers) == 20 and all(isinstance(answer, View) for answer in answers)


def test_it_stops_only_after_all_that_was_let_in_is_durable_and_told():
    node = opened(CrashDisk())

    async def test(running):
        for _ in range(5):
            assert running.submit(orders(100), b"") is Code.NONE

    while_running(node, test)
    assert node.log.position.sequence == node.cell.sequence == node.streams.position == 500


@pytest.mark.parametrize("argument", [b'{"\xef": 1}', b"[[[", b"\xff" * 100, b'{"account": 1e400}', b'{"account": %d}' % 10**40, b"{" * 4000])
def test_no_question_stops_the_node(argument):
    answers = []

    async def test(running):
        for view in ("answer", "account", "children", "no such view"):
            running.ask(Read(1, view, 0, argument), answers.append)
        await until(lambda: len(answers) == 4)
        assert running.submit(orders(1), b"") is Code.NONE

    while_running(opened(CrashDisk()), test)
    assert all((isinstance(answer, Refused) and answer.code in (Code.BAD_ARGUMENT, Code.UNKNOWN_VIEW)) or b"[]" in answer.body for answer in answers)


def test_a_view_with_a_bug_in_it_is_refused_and_business_goes_on():
    node, answers = opened(CrashDisk()), []
    node.facts = lambda: 1 // 0  # type: ignore[method-assign]

    async def test(running):
        running.ask(Read(1, "status"), answers.append)
        await until(lambda: answers)
        assert running.submit(orders(1), b"") is Code.NONE

    while_running(node, test)
    assert isinstance(answers[0], Refused) and "ZeroDivisionError" in answers[0].text and node.cell.sequence == 1


def test_in_the_quiet_the_next_segment_is_zeroed():
    node = opened(CrashDisk())

    async def test(running):
        assert running.submit(orders(1), b"") is Code.NONE
        await until(lambda: node.log._spare_bytes == SEGMENT_BYTES)

    while_running(node, test)


def test_a_full_disk_is_asked_again_until_there_is_room():
    disk = CrashDisk()
    node = opened(disk)

    async def test(running):
        ticks = np.repeat(command(Kind.TICK), 500)            # they say nothing, so the results need next to no room
        disk.capacity = disk.used() + SEGMENT_BYTES // 2
        while running.submit(ticks, b"") is Code.NONE:
            await until(lambda: not node.staged)
        assert node._full and not node.stopped
        disk.capacity = None
        await until(lambda: not node._full)
        assert running.submit(orders(500), b"") is Code.NONE

    while_running(node, test)


def test_the_log_is_read_beside_the_core_and_the_stamps_are_in_order():
    node, answers, told = opened(CrashDisk()), [], {}
    entered, leave, recall = threading.Event(), threading.Event(), node.recall

    def slow(view, argument):
        entered.set()
        assert leave.wait(PATIENCE)
        return recall(view, argument)

    async def test(running):
        node.recall = slow  # type: ignore[method-assign]
        running.ask(Read(1, "times"), answers.append)
        await until(entered.is_set)
        for _ in range(3):
            assert running.submit(orders(2), b"") is Code.NONE
            await until(lambda: node.streams.position == node.log.position.sequence and not node.staged)
        running.ask(Read(2, "answer", 0, b'{"sequence": 1}'), lambda answer: told.setdefault("state", answer))
        await until(lambda: told)                       # the core answers while the log is still being read
        assert not answers
        leave.set()
        running.ask(Read(3, "times", 6, b'{"first": 3, "count": 1}'), answers.append)
        running.ask(Read(4, "record", 6, b'{"sequence": 4}'), answers.append)
        running.ask(Read(5, "record", 6, b"{}"), answers.append)
        await until(lambda: len(answers) == 4)

    while_running(node, test)
    times, [row] = (msgspec.json.decode(answer.body)["times"] for answer in answers[:2])
    assert [each[:2] for each in times] == [[1, 2], [3, 2], [5, 2]] and row == times[1]
    assert all(0 < sealed <= durable <= applied <= heard for *_, sealed, durable, applied, heard in times)
    record = msgspec.json.decode(answers[2].body)
    assert record["kind"] == "NET" and record["time"] == times[1][2] and list(record["stamps"].values()) == times[1][3:]
    assert isinstance(answers[3], Refused) and answers[3].code is Code.BAD_ARGUMENT


def test_questions_about_the_log_have_a_maximum_and_end_with_the_node():
    node, answers, leave = opened(CrashDisk()), [], threading.Event()
    node.recall = lambda view, argument: leave.wait(PATIENCE) and (0, b"{}")  # type: ignore[method-assign]

    async def test(running):
        for i in range(MAX_WAITING + 10):
            running.ask(Read(i, "design"), answers.append)
        await until(lambda: len(answers) >= 9)
        assert {answer.code for answer in answers} == {Code.OVERLOAD}
        asyncio.get_running_loop().call_later(0.1, leave.set)

    while_running(node, test)
    assert len(answers) == MAX_WAITING + 10 and Code.CLOSING in {answer.code for answer in answers if isinstance(answer, Refused)}


def test_stage_times_of_all_that_was_told_are_written():
    disk = CrashDisk()
    node = opened(disk)

    async def main():
        running = Running(node, Times(disk, "house"))
        running.start()
        for _ in range(STAMPS_TOGETHER + 5):
            assert running.submit(orders(1), b"") is Code.NONE
            await asyncio.sleep(0)
        await asyncio.wait_for(running.stop(), PATIENCE)
    asyncio.run(main())
    rows = read_times(disk, "house")
    assert rows["count"].sum() == STAMPS_TOGETHER + 5 and (rows["time"] > 0).all() and (np.diff(rows["first_sequence"]) > 0).all()
    close_node(node)
