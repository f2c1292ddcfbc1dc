"""The C interface of the public harness (repository flash1-dev/matching-engine-benchmark, api/matching_engine_api.h): record layouts and numbers, no behaviour.

An engine is a shared library; messages come in runs, reports go out through a queue that the harness empties on a thread of its own.
"""
import numpy as np

# A message, 40 bytes: new order, cancel (which has no price, quantity and side), or modify (a cancel and a new order: it loses its place).
MESSAGE = np.dtype({"names": ["type", "order", "sequence", "price", "quantity", "side", "ioc"], "offsets": [0, 8, 16, 24, 32, 36, 37],
                    "formats": ["u1", "<i8", "<i8", "<i8", "<u4", "u1", "u1"], "itemsize": 40})
NEW, CANCEL, MODIFY = range(3)

# A report, 64 bytes; `maker` and `taker` are a trade's, whose `sequence` is the taker's message and whose price is the maker's.
REPORT = np.dtype({"names": ["type", "side", "sequence", "order", "price", "quantity", "maker", "taker"], "offsets": [0, 1, 8, 16, 24, 32, 40, 48],
                   "formats": ["u1", "u1", "<i8", "<i8", "<i8", "<u4", "<i8", "<i8"], "itemsize": 64})
ORDER_ACK, TRADE, CANCEL_ACK, MODIFY_ACK, CANCEL_REJECT, MODIFY_REJECT = range(6)

NO_BID, NO_ASK = -1 << 63, (1 << 63) - 1        # what an empty side answers
SCENARIOS = ("static", "normal", "swing-25", "swing-40", "flash-crash")
