"""The adapters to the public harness against a book of dicts: the same reports, the same book after every message. No harness is needed."""
import ctypes
import random

import numpy as np
import pytest

from bench.matching import exports, ring
from bench.matching.command_engine import NOTES_BYTES
from bench.matching.compare import Run, figures, heard, table
from bench.matching.contract import CANCEL, MESSAGE, MODIFY, NEW, REPORT, SCENARIOS
from bench.matching.matching_house import MOST_TICKS, image, matching_cell
from bench.matching.ring import CONTROL, ROWS, SLIP
from bench.matching.shared_object import build
from cambist.core.memory import COMPILED

from tests.bench.naive_matching import BUY, SELL, NaiveBook

ENGINES = ("match_book", "match_whole")
uncompiled = pytest.mark.skipif(COMPILED, reason="Calls the adapter's functions by themselves, uncompiled.")


class Driven:
    """An engine as the harness drives it, over memoryviews instead of addresses."""

    def __init__(self, engine: str, **sizes: int) -> None:
        self.engine, self.cell = engine, matching_cell({"orders": 3_000, "pages": 64, **sizes})
        self.state, self.notes = memoryview(self.cell.block), memoryview(np.zeros(NOTES_BYTES, np.uint8))
        self.control, self.rows = np.zeros(1, CONTROL), np.zeros(ROWS, SLIP)
        self.control["until"] = ROWS

    def hear(self, messages: np.ndarray) -> list[tuple[int, ...]]:
        match, view = getattr(exports, self.engine), memoryview(messages.view(np.uint8))
        control, rows = (memoryview(a.view(np.uint8)) for a in (self.control, self.rows))
        match(self.state, control, rows, self.notes, view, len(messages))
        out = np.zeros(20_000, REPORT)
        got = exports.drain_reports(control, rows, memoryview(out.view(np.uint8)), len(out))
        return [tuple(row) for row in out[:got].tolist()]

    def book(self, price: int) -> tuple[int, int, int, int]:
        return (exports.best_bid(self.state), exports.best_ask(self.state), exports.depth_at(self.state, price, BUY), exports.depth_at(self.state, price, SELL))


def say(*rows: tuple[int, ...]) -> np.ndarray:
    """Messages from (type, order, price, quantity, side[, ioc])."""
    out = np.zeros(len(rows), MESSAGE)
    for i, (type, order, price, quantity, side, *ioc) in enumerate(rows):
        out[i] = (type, order, i, price, quantity, side, ioc[0] if ioc else 0)
    return out


def flow(seed: int, count: int) -> np.ndarray:
    """New orders around one price, cancels and modifies of the last ones, some of which are gone; no modify only lowers the quantity, and sides are kept."""
    chance, rows, sides = random.Random(seed), [], [0]
    for _ in range(count):
        type, price, quantity = chance.choices((NEW, CANCEL, MODIFY), (5, 4, 2))[0], chance.randrange(95, 106), chance.randrange(1, 50)
        if type == NEW:
            sides.append(chance.randrange(2))
            rows.append((NEW, len(sides) - 1, price, quantity, sides[-1], chance.random() < 0.15))
            continue
        order = chance.randrange(max(1, len(sides) - 40), len(sides) + 1)
        side = sides[order] if order < len(sides) else BUY
        rows.append((CANCEL, order, 0, 0, 0) if type == CANCEL else (MODIFY, order, price, quantity + 100 * len(rows), side))
    return say(*rows)


def naive(messages: np.ndarray) -> NaiveBook:
    book = NaiveBook()
    for row in messages.tolist():
        book.hear(*row)
    return book


@uncompiled
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(4))
def test_the_same_reports_and_book_as_a_book_of_dicts(engine, seed):
    messages, driven, book, chance = flow(seed, 500), Driven(engine), NaiveBook(), random.Random(seed)
    start = 0
    while start < len(messages):                # runs end anywhere, as at the harness' probes
        part = messages[start:start + chance.choice((1, 2, 7, 40))]
        before = len(book.reports)
        for row in part.tolist():
            book.hear(*row)
        assert driven.hear(part.copy()) == book.reports[before:]
        price = chance.randrange(94, 107)
        assert driven.book(price) == book.state(price)
        start += len(part)
    assert {r[0] for r in book.reports} == set(range(6))


CASES = {
    "an id is free again after a cancel and after a fill": [
        (NEW, 1, 100, 10, BUY), (CANCEL, 1, 0, 0, 0), (NEW, 1, 100, 10, BUY), (NEW, 2, 100, 10, SELL), (NEW, 1, 101, 5, SELL), (NEW, 3, 101, 5, BUY, 1)],
    "a modify crosses at the maker's price": [(NEW, 1, 100, 10, SELL), (NEW, 2, 90, 10, BUY), (MODIFY, 2, 105, 10, BUY)],
    "a modify of what was filled in part is to be open whole": [
        (NEW, 1, 100, 10, SELL), (NEW, 2, 100, 4, BUY), (MODIFY, 1, 101, 6, SELL), (NEW, 3, 101, 7, BUY, 1)],
    "what was never there is rejected": [(CANCEL, 999, 0, 0, 0), (MODIFY, 999, 100, 5, BUY), (CANCEL, 2_000_000, 0, 0, 0)],
    "what is gone is rejected": [(NEW, 1, 100, 10, BUY), (CANCEL, 1, 0, 0, 0), (CANCEL, 1, 0, 0, 0), (MODIFY, 1, 101, 5, BUY)],
    "the ends of the range": [(NEW, 1, 1, 10, BUY), (NEW, 2, MOST_TICKS, 10, SELL), (NEW, 3, MOST_TICKS, 5, BUY), (NEW, 4, 1, 5, SELL)],
}


@uncompiled
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_cases_of_the_contract(engine, case):
    messages, driven = say(*CASES[case]), Driven(engine)
    assert driven.hear(messages) == naive(messages).reports
    assert driven.book(100) == naive(messages).state(100)


@uncompiled
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("wrong", [(NEW, 1, 0, 5, BUY), (NEW, 1, MOST_TICKS + 1, 5, SELL), (NEW, 1, 100, 0, BUY), (NEW, 1, 100, 5, 2)])
def test_an_order_that_cannot_be_says_nothing_and_rests_nowhere(engine, wrong):
    driven = Driven(engine)
    assert [r[0] for r in driven.hear(say(wrong, (CANCEL, 1, 0, 0, 0)))] == [4]
    assert driven.book(100) == NaiveBook().state(100)


@uncompiled
@pytest.mark.parametrize("engine", ENGINES)
def test_a_sweep_of_more_than_the_kernels_table_of_events_has_room_for(engine):
    messages = say(*((NEW, i, 100, 1, SELL) for i in range(1, 901)), (NEW, 901, 100, 900, BUY, 1))
    assert Driven(engine).hear(messages) == naive(messages).reports


@uncompiled
def test_the_book_holds_no_more_than_it_has_room_for_and_says_so():
    driven = Driven("match_book", orders=3)
    kinds = [r[0] for r in driven.hear(say(*((NEW, i, 100 - i, 1, BUY) for i in range(1, 6))))]
    assert kinds == [0, 0, 0, 0, 2, 0, 2]


# ------------------------------------------------------------------------------------------------------------ the queue
@uncompiled
def test_a_trade_is_one_report_even_over_the_end_of_the_queue():
    control, rows, out = np.zeros(1, CONTROL), np.zeros(ROWS, SLIP), np.zeros(4, REPORT)
    control["published"] = control["consumed"] = control["next"] = ROWS - 1
    control["until"] = 2 * ROWS - 1
    queue, cells, room = exports.queue_at(memoryview(control.view(np.uint8)), 0), memoryview(rows.view(np.uint8)), memoryview(out.view(np.uint8))
    ring.put_trade(queue, cells, 2**32 - 1, 5, 7, 8, 100)
    assert ring.take(queue, cells, room, 4) == 0            # not yet published
    ring.publish(queue)
    assert ring.take(queue, cells, room, 4) == 1 and out[0].tolist() == (1, 0, 5, 7, 100, 2**32 - 1, 8, 7)
    assert ring.take(queue, cells, room, 4) == 0 and queue.consumed == ROWS + 1


@uncompiled
def test_a_full_queue_waits_for_its_reader(monkeypatch):
    control, rows, out = np.zeros(1, CONTROL), np.zeros(ROWS, SLIP), np.zeros(1, REPORT)
    control["next"] = control["until"] = ROWS
    queue, cells = exports.queue_at(memoryview(control.view(np.uint8)), 0), memoryview(rows.view(np.uint8))
    looked = []

    def read_one() -> None:
        looked.append(queue.published)
        if len(looked) == 2:
            ring.take(queue, cells, memoryview(out.view(np.uint8)), 1)
    monkeypatch.setattr(ring, "after_looking", lambda: read_one() if len(looked) < 2 else None)
    ring.put(queue, cells, 0, 9, 9, 9)
    assert looked == [ROWS, ROWS] and queue.next == ROWS + 1 and rows["sequence"][0] == 9


# ------------------------------------------------------------------------------------------------------------- the file
class Transport(ctypes.Structure):
    _fields_ = [("create", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)), ("push", ctypes.c_void_p),
                ("drain", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)),
                ("flush", ctypes.CFUNCTYPE(None, ctypes.c_void_p)), ("destroy", ctypes.CFUNCTYPE(None, ctypes.c_void_p))]


@pytest.mark.compiled
def test_the_shared_library_does_the_same_through_its_c_names(tmp_path):
    build(tmp_path / "cambist_adapter.so", "book")
    engine = ctypes.CDLL(str(tmp_path / "cambist_adapter.so"))
    engine.engine_get_transport.restype = ctypes.POINTER(Transport)
    for name in ("engine_query_best_bid", "engine_query_best_ask", "engine_query_depth_at"):
        getattr(engine, name).restype = ctypes.c_int64
    transport = engine.engine_get_transport().contents
    assert transport.create(1 << 21) is None                # more than there is room for
    queue = transport.create(1 << 20)
    engine.engine_init(ctypes.c_uint64(5), ctypes.byref(transport), ctypes.c_void_p(queue))
    messages, out = flow(11, 3_000), np.zeros(20_000, REPORT)
    book, got, alone = naive(messages), 0, (engine.engine_on_new_order, engine.engine_on_cancel, engine.engine_on_modify)
    for i in range(1_000):
        alone[messages["type"][i]](ctypes.c_void_p(messages.ctypes.data + i * MESSAGE.itemsize + 8))
    for start in range(1_000, len(messages), 301):
        part = messages[start:start + 301]
        engine.engine_on_batch(ctypes.c_void_p(part.ctypes.data), ctypes.c_uint32(len(part)))
        got += transport.drain(queue, out[got:].ctypes.data, 1_000)
    engine.engine_flush()
    transport.flush(queue)
    while more := transport.drain(queue, out[got:].ctypes.data, 256):
        got += more
    assert [tuple(row) for row in out[:got].tolist()] == book.reports
    depth = [engine.engine_query_depth_at(ctypes.c_int64(100), ctypes.c_uint8(side)) for side in (BUY, SELL)]
    assert (engine.engine_query_best_bid(), engine.engine_query_best_ask(), *depth) == book.state(100)
    engine.engine_shutdown()
    transport.destroy(queue)


@uncompiled
def test_the_image_of_the_cell_is_all_that_is_not_zero():
    cell = matching_cell()
    places, pages = image(cell)
    memory = np.zeros(len(cell.block) // 4096 * 512, np.int64).reshape(-1, 512)
    memory[places] = pages
    assert memory.tobytes() == bytes(cell.block) and 0 < len(places) < 40


# -------------------------------------------------------------------------------------------------------------- telling
SAID = """Running benchmark (1996097 messages, scenario=normal, mode=perf)...
  Throughput:         37.25 M msgs/s
Correctness check:
  Expected hash: {0}
  Computed hash: {0}
  Status: PASS

Verdict: VALID
"""


def test_what_the_harness_prints_is_heard():
    assert heard(SAID.format("ab" * 32)) == Run(37.25, "ab" * 32, "VALID")
    assert heard("nothing of the kind") == Run(0.0, "", "")


def test_the_figures_are_medians_and_worst_to_worst_and_name_a_wrong_hash():
    published = {s: "aa" for s in SCENARIOS}
    ours = {s: [Run(x, "aa", "VALID") for x in (30.0, 40.0, 50.0)] for s in SCENARIOS}
    peer = {s: [Run(8.0, "aa", "VALID")] for s in SCENARIOS} | {"normal": [Run(4.0, "bb", "INVALID")]}
    told = figures({"cambist-book": ours, "peer": peer}, ("cambist-book",), published)
    assert told["worst"] == {"cambist-book": 40.0, "peer": 4.0} and told["times"]["cambist-book"]["peer"]["worst_to_worst"] == 10.0
    assert told["times"]["cambist-book"]["peer"]["by_scenario"]["static"] == 5.0
    assert told["published_hash"]["peer"] == {s: s != "normal" for s in SCENARIOS} and all(told["valid"]["cambist-book"].values())
    assert "| cambist-book | 40.0 (30.0-50.0)" in table(told) and "4 of 5" in table(told)
