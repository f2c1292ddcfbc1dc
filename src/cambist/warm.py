"""The kernel made ready: compiled once per fingerprint and machine, then read from a cache folder named by that fingerprint.

The fingerprint covers every source of the core, the wire and the compiler's versions, so an edit of any of them never runs old code. Knows no state.
"""
import gc
import os
from collections.abc import Callable
from pathlib import Path

from numba import config

from cambist.core import kernel, rebuild
from cambist.core.memory import COMPILED
from cambist.door import checking
from cambist.feeds import sorting
from cambist.loops import warm_loops

LOOPS_OF = (checking, sorting)                          # imported so that their loops are declared
PARTS = (("the kernel", kernel.apply, kernel.SIGNATURE), ("its restart", rebuild.relink, rebuild.SIGNATURE))


def cache_folder() -> Path:
    """CAMBIST_CACHE, or the user's cache folder; then the fingerprint."""
    home = os.environ.get("CAMBIST_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "cambist" / "kernel" / kernel.FINGERPRINT.hex()[:32]


def warm(say: Callable[[str], None] | None = None) -> bool:
    """Make `apply` callable, from the cache or by compiling it (under a minute; `say` is told each step). True when nothing had to be compiled."""
    if not COMPILED:
        return True
    config.CACHE_DIR = str(cache_folder())      # type: ignore[attr-defined]
    found = True
    collecting = gc.isenabled()
    gc.disable()                                # the compiler makes millions of short-lived objects
    try:
        for name, function, signature in PARTS:
            if function.overloads:
                continue
            function.enable_caching()
            if say and not any(cache_folder().rglob(f"*{function.py_func.__name__}*.nbc")):
                say(f"compiling {name} (once per change of its sources)")
            function.compile(signature)
            function.disable_compile()
            found = found and bool(sum(function.stats.cache_hits.values()))
        found = warm_loops(str(cache_folder())) and found
    finally:
        if collecting:
            gc.enable()
    return found


def warm_batches() -> bool:
    """The loops over batches alone, for a process that has no kernel at work."""
    return warm_loops(str(cache_folder()))
