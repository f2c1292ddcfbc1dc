"""Rows of a fixed layout copied as the bytes they are. Knows no layout and no IO.

NumPy copies a structured row field by field: 70 to 100 ns for one of 128 bytes, where its bytes take 4.
"""
from collections.abc import Iterable

import numpy as np


def raw(rows: np.ndarray) -> memoryview:
    """The bytes of contiguous rows, seen and not copied."""
    return memoryview(rows.view(np.uint8)) if len(rows) else memoryview(b"")


def copied(rows: np.ndarray) -> np.ndarray:
    """An own copy of contiguous rows."""
    own = np.empty(len(rows), rows.dtype)
    if len(rows):
        own.view(np.uint8)[:] = rows.view(np.uint8)
    return own


def joined(parts: Iterable[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """One array of its own of all these contiguous rows, in order. Each part is taken before the next is asked for."""
    own = [copied(part) for part in parts if len(part)]
    if len(own) == 1:
        return own[0]
    return np.frombuffer(bytearray().join(map(raw, own)), dtype) if own else np.empty(0, dtype)
