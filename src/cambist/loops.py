"""Small loops over whole batches, compiled by Numba: what the way of a batch does for each record without a line of Python for it.

Decides how such a loop is declared and made ready: one version, without the interpreter's lock, read from a cache; and what the collector need not look at
once all is ready. It must not know what any loop does.
Uncompiled each is the plain function it is written as. A loop uses no other function and no constant but those of `messages`, so that the file it stands in
and the fingerprint in the cache folder's name tell when it must be compiled again.
"""
import gc
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import config, njit, types

COMPILED = not config.DISABLE_JIT                       # type: ignore[attr-defined]
HOW = {"boundscheck": False, "error_model": "numpy", "nogil": True}
LOOPS: list[tuple[Any, tuple[Any, ...]]] = []           # each with its signature, in the order of declaration
Function = TypeVar("Function", bound=Callable)


def loop(*parameters: Any) -> Callable[[Function], Function]:
    """Declares one: a dtype means a contiguous writable array of it, `int` an int64."""
    def declared(function: Function) -> Function:
        if not COMPILED:
            return function
        from numba.np.numpy_support import from_dtype
        made: Any = njit(**HOW)(function)
        LOOPS.append((made, tuple(types.int64 if each is int else types.Array(from_dtype(np.dtype(each)), 1, "C") for each in parameters)))
        return made
    return declared


def warm_loops(folder: str) -> bool:
    """Makes all that were declared callable; True when each was found in the cache. Call it before any is used."""
    if not COMPILED:
        return True
    config.CACHE_DIR = folder                           # type: ignore[attr-defined]
    found = True
    for made, signature in LOOPS:
        if not made.overloads:
            made.enable_caching()
            made.compile(signature)
            made.disable_compile()
            found = found and bool(sum(made.stats.cache_hits.values()))
    return found


def settle() -> None:
    """What has been made until now stays: the garbage collector looks at it no more. The compiler leaves millions of objects, and a look at all of them takes
    a tenth of a second, in the midst of an order's way."""
    gc.collect()
    gc.freeze()
