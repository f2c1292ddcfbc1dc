"""One process of the house: `python -m cambist.worker_shell NAME ...`, started by the supervisor and by nobody else.

Decides how a part is framed: signals that stop it, reports to the supervisor, a log that does not grow without end, and the end of a process whose supervisor
is gone. It must not know what the part does: that is imported here, by its name in `supervisor.PARTS`.

Standard input is a pipe that nobody writes to; its end means that the supervisor is no more. Reports are JSON lines on an inherited descriptor, written by a
thread of their own, so that a supervisor that does not read holds nobody up.
"""
import argparse
import asyncio
import errno
import importlib
import os
import resource
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from cambist.part_shell import DesignChanged, Part
from cambist.supervisor import DESIGN_CHANGED_EXIT, PARTS, PartRow

LOG_BYTES_MOST = 10 << 20                       # then the log is renamed to NAME.log.1 and begun anew
REPORT_SECONDS = 2.0
ORPHAN_SECONDS = 8.0                            # to end in, once the supervisor is gone; then the process ends where it stands
FAILED, BY_ITSELF = 1, 2                        # exit codes, besides 0 and DESIGN_CHANGED_EXIT


class Reports:
    """What is to be told to the supervisor, newest word of each kind. `log`: the file that standard output and error go to."""

    def __init__(self, descriptor: int, log: Path | None) -> None:
        self._descriptor, self._log = descriptor, log
        self._waiting: dict[str, Any] = {}
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_on, name="reports", daemon=True)
        self._thread.start()

    def tell(self, kind: str, value: Any) -> None:
        with self._change:
            self._waiting[kind] = value
            self._change.notify()

    def close(self) -> None:
        """Writes what waits; gives up after a moment if nobody reads."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(1.0)

    def _write_on(self) -> None:
        closing = False
        while not closing:
            with self._change:
                if not self._waiting and not self._closing:
                    self._change.wait(REPORT_SECONDS)
                told, self._waiting, closing = self._waiting, {}, self._closing
            told["memory"] = memory()
            try:
                os.write(self._descriptor, msgspec.json.encode(told) + b"\n")
            except OSError:
                return                                  # nobody listens any more; the end of standard input says the same
            self._keep_log_small()

    def _keep_log_small(self) -> None:
        """Renames a log that has grown, and points standard output and error to a new one: nothing written meanwhile is lost."""
        if self._log is None:
            return
        about = os.fstat(1)
        if stat.S_ISREG(about.st_mode) and about.st_size > LOG_BYTES_MOST:
            self._log.replace(self._log.with_name(f"{self._log.name}.1"))
            fresh = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(fresh, 1)
            os.dup2(fresh, 2)
            os.close(fresh)


def memory() -> int:
    """Bytes of this process now, where the system tells; else the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def watch_supervisor() -> None:
    """At the end of standard input: a clean end if there is time for one, and an end in any case."""
    while os.read(0, 1024):
        pass
    print("the supervisor is gone; ending", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(FAILED)


# ------------------------------------------------------------------------------------------------------------------- a part
def run_part(row: PartRow, make: Callable[[asyncio.Event], Part]) -> int:
    """Runs the part in a loop of its own until SIGTERM. The exit code."""
    function = getattr(importlib.import_module(row.module), row.function)
    began = []

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)
        began.append(stop)
        await function(make(stop))

    with asyncio.Runner(loop_factory=loop_factory(row)) as runner:
        runner.run(serve())
    return 0 if began[0].is_set() else BY_ITSELF


def loop_factory(row: PartRow) -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed and many sockets are served; the node keeps the loop it is measured with."""
    if row.listens:
        try:
            import uvloop
            return uvloop.new_event_loop
        except ImportError:
            pass                                        # it is faster, and nothing depends on it
    return asyncio.new_event_loop


def check_listeners(row: PartRow, addresses: dict[str, tuple[str, int]], tls: tuple[Path, Path] | None) -> None:
    """Beyond this machine only with TLS. Raises ValueError."""
    from cambist.design import loopback
    for key in row.listens:
        host, port = addresses[key]
        if tls is None and not loopback(host):
            raise ValueError(f"{row.name} is to listen at {host}:{port}, beyond this machine, without TLS: give certificate and private_key under [listen], "
                             f"or listen at 127.0.0.1:{port}")


def explained(fault: BaseException, row: PartRow, addresses: dict[str, tuple[str, int]]) -> str:
    if isinstance(fault, OSError) and fault.errno == errno.EADDRINUSE:
        places = ", ".join(f"{host}:{port}" for host, port in (addresses[key] for key in row.listens))
        return f"another program listens at {places}: stop it, or choose other ports with --base-port"
    return f"{type(fault).__name__}: {fault}"


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cambist.worker_shell", description="One process of the house; `cambist run` starts them all.")
    parser.add_argument("name", choices=[row.name for row in PARTS])
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--design", type=Path, default=Path())
    parser.add_argument("--address", action="append", default=[], metavar="KEY=HOST=PORT")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--private-key", type=Path)
    parser.add_argument("--feed", type=Path)
    parser.add_argument("--origin", default="")
    parser.add_argument("--reports", type=int, required=True, metavar="DESCRIPTOR")
    parser.add_argument("--log", type=Path)
    return parser.parse_args(words)


def main() -> int:
    given = arguments(sys.argv[1:])
    row = next(row for row in PARTS if row.name == given.name)
    reports = Reports(given.reports, given.log)
    threading.Thread(target=watch_supervisor, name="supervisor", daemon=True).start()
    addresses = {key: (host, int(port)) for key, host, port in (each.split("=") for each in given.address)}
    tls = (given.certificate, given.private_key) if given.certificate else None

    said = [""]

    def say(line: str) -> None:
        if line != said[0]:
            said[0] = line
            print(line or "ready", flush=True)
            reports.tell("line", line)

    def make(stop: asyncio.Event) -> Part:
        return Part(given.directory, str(given.directory / "door.sock"), addresses, tls, stop, lambda address: reports.tell("ready", address), say,
                    given.design, given.feed, given.origin)
    try:
        check_listeners(row, addresses, tls)
        code = run_part(row, make)
        if code == BY_ITSELF:
            reports.tell("fault", "it ended by itself")
    except DesignChanged as changed:
        print(changed, flush=True)
        code = DESIGN_CHANGED_EXIT
    except Exception as fault:  # noqa: BLE001  whatever it was, a person must be able to read it
        traceback.print_exc()
        reports.tell("fault", explained(fault, row, addresses)[:500])
        code = FAILED
    reports.close()
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)         # type: ignore[union-attr]
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)                                      # a thread that does not end, or a library's own, holds nothing up: all that matters is on disk
