"""How one design differs from another, key by key: what runs beside what a file says.

Decides which keys are told and in what words. It must not know a file or a cell.
"""
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from cambist.design import join
from cambist.sections import Design

MOST = 200


class Difference(NamedTuple):
    """A key of the design; "" where one side does not have it."""
    path: str
    running: str
    file: str


def differences(running: Design, file: Design) -> list[Difference]:
    """In the order of the design, at most MOST."""
    found = []
    for one in _walk("$", msgspec.to_builtins(running), msgspec.to_builtins(file)):
        found.append(one)
        if len(found) == MOST:
            break
    return found


def _walk(path: str, running: Any, file: Any) -> Iterator[Difference]:
    if isinstance(running, dict) and isinstance(file, dict):
        for key in dict.fromkeys((*running, *file)):
            yield from _walk(join(path, key), running.get(key), file.get(key))
    elif running != file:
        yield Difference(path, _text(running), _text(file))


def _text(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else f"{text[:117]}..."
