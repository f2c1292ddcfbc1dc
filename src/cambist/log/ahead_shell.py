"""Reading ahead: what an iterator makes is made in a thread while what it made before is used.

Decides nothing. A whole log is read and its chain checked (hashing lets other threads run) beside the kernel that applies it (which does too).
"""
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

DEPTH = 2                                               # chunks made and not yet used; each may be some megabytes
_END = object()
T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = DEPTH) -> Iterator[T]:
    """The same items in the same order; what making one raises is raised where it would have come. Nothing else may use what `items` reads from meanwhile."""
    source = iter(items)
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        waiting: deque[Future[Any]] = deque(thread.submit(next, source, _END) for _ in range(depth))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(thread.submit(next, source, _END))
            yield item
