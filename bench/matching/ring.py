"""The queue that reports travel over: one thread writes, another empties it. Decides when what is written is seen; knows nothing of orders.

A report is one row of 32 bytes, a trade two; whoever empties the queue makes of them what the harness reads. Places are 64-bit numbers that only grow.
Compiled, a queue is an address; uncompiled it is a memoryview, and rows are checked.
"""
import numpy as np

from bench.matching.contract import REPORT, TRADE
from cambist.core.memory import COMPILED, Row, cold, hot, plan, told_apart, wrap

LINE = 64                                       # bytes of a cache line: what the two threads write never shares one
CONTROL = np.dtype({"names": ["published", "consumed", "next", "until"], "offsets": [0, LINE, 2 * LINE, 2 * LINE + 8], "formats": ["<i8"] * 4,
                    "itemsize": 3 * LINE})      # seen by the reader; given back by it; the writer's own: where it writes, how far it may
SLIP = np.dtype([("what", "<i8"), ("sequence", "<i8"), ("order", "<i8"), ("price", "<i8")])     # what: type | side << 8 | quantity << 32
ROWS = 1 << 21                                  # room for the 2**20 reports that the harness asks for, were all of them trades
MAKER = 7                                       # the second row of a trade: `order` is the maker

if COMPILED:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic
    from numba.np.numpy_support import from_dtype

    def rows_at(dtype: np.dtype, start: int = 0):
        """row(address, i): the i-th record of a layout, the first of which is `start` bytes after an address."""
        record, size = from_dtype(dtype), dtype.itemsize

        @intrinsic
        def row(typingctx, address, i):
            def codegen(context, builder, signature, args):
                i64 = ir.IntType(64)
                return builder.inttoptr(builder.add(args[0], builder.add(builder.mul(args[1], i64(size)), i64(start))), context.get_value_type(record))
            return record(types.int64, types.int64), codegen
        return row

    def _fence(ordering: str):
        @intrinsic
        def fence(typingctx):
            def codegen(context, builder, signature, args):
                builder.fence(ordering)
                return context.get_dummy_value()
            return types.void(), codegen
        return fence

    before_publishing, after_looking = _fence("release"), _fence("acquire")
else:
    def rows_at(dtype: np.dtype, start: int = 0):
        layout, size = plan(dtype), dtype.itemsize
        return lambda view, i: Row(view, start + i * size, layout)

    def before_publishing() -> None:
        return None

    after_looking = before_publishing

told_apart(CONTROL, "queue")
told_apart(SLIP, "slip")
told_apart(REPORT, "report")
_slip, _report = rows_at(SLIP), rows_at(REPORT)


@cold
def _wait(queue: CONTROL):
    """Full: let the reader see all there is, and wait for it."""
    before_publishing()
    queue.published = queue.next
    while True:
        after_looking()
        queue.until = queue.consumed + ROWS
        if queue.next < queue.until:
            return


@hot
def put(queue: CONTROL, rows: int, what: int, sequence: int, order: int, price: int):
    place = queue.next + 0
    if place == queue.until:
        _wait(queue)
    s = _slip(rows, place & ROWS - 1)
    s.what = what
    s.sequence = sequence
    s.order = order
    s.price = price
    queue.next = place + 1


@hot
def put_trade(queue: CONTROL, rows: int, quantity: int, sequence: int, taker: int, maker: int, price: int):
    put(queue, rows, TRADE | wrap(quantity << 32), sequence, taker, price)
    put(queue, rows, MAKER, 0, maker, 0)


@hot
def publish(queue: CONTROL):
    """Let the reader see what was written; never half a trade."""
    before_publishing()
    queue.published = queue.next


@hot
def take(queue: CONTROL, rows: int, out: int, most: int):
    """Make up to `most` reports of what is there; how many."""
    place, end, count = queue.consumed + 0, queue.published + 0, 0
    after_looking()
    while place < end and count < most:
        s, r = _slip(rows, place & ROWS - 1), _report(out, count)
        r.type = s.what & 0xFF
        r.side = (s.what >> 8) & 0xFF
        r.sequence = s.sequence
        r.order = s.order
        r.price = s.price
        r.quantity = (s.what >> 32) & 0xFFFFFFFF
        r.maker = 0
        r.taker = 0
        if s.what & 0xFF == TRADE:
            r.taker = s.order
            r.maker = _slip(rows, (place + 1) & ROWS - 1).order
            place += 1
        place += 1
        count += 1
    before_publishing()
    queue.consumed = place
    return count
