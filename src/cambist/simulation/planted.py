"""Planted bugs: defects that the simulator must find, switched on one at a time from outside. No production file knows of them."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Plant = Callable[[ExitStack], None]
BUGS: dict[str, tuple[str, Plant]] = {}


class UnknownBug(ValueError):
    """Says which names there are."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """While this lasts the house has this defect; none for an empty name."""
    with ExitStack() as stack:
        if name:
            if name not in BUGS:
                raise UnknownBug(f"no bug {name!r}; there are {', '.join(BUGS)}")
            BUGS[name][1](stack)
        yield
