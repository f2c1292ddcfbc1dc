"""`cambist run`: the processes of the house, their pipes, logs and signals, and what a person sees of them.

Decides how a part is started, heard and ended, and what must be so before the first one starts. It must not decide when one is started again: that is
`supervisor.py`. It imports nothing of the core, so that it stays small beside what it looks after.

A part holds the read end of a pipe from here as its standard input: when this process is gone, however it went, the pipe ends, and so does the part.
"""
import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cambist.credentials_shell import Secrets
from cambist.design import Design, address, read_design
from cambist.log.checkpoint import check_origin
from cambist.log.disk import DiskLocked
from cambist.log.disk_shell import RealDisk
from cambist.part_shell import ADDRESSES
from cambist.status_screen_shell import LiveScreen, PlainScreen, Screen
from cambist.supervisor import PARTS, Died, Effect, End, NotStarted, Over, PartRow, Ready, Say, Start, Started, StopAsked, Supervisor, Told, ended
from cambist.worker_shell import LOG_BYTES_MOST

LOGS, LOCK, PROCESSES = "log-of-parts", "supervisor.lock", "processes.json"
LOOK_SECONDS = 0.5                              # how often the table is drawn and the processes are counted, when nothing happens
NOTE_SECONDS = 5.0                              # how often processes.json is written, when nothing happens
PATIENCE_SECONDS = 12.0                         # for the parts of a run that did not end cleanly: they end by themselves
LINE_BYTES_MOST = 1 << 16


class Setup(NamedTuple):
    """Everything the parts are told on their command line. No secret is among it."""
    directory: Path
    design_file: Path
    rows: tuple[PartRow, ...]
    address: dict[str, tuple[str, int]]
    tls: tuple[Path, Path] | None
    feed: Path | None
    origin: str = ""                            # what the log is called where heads of it are signed


def run_house(design_file: Path, directory: Path, *, base_port: int | None = None, without: str = "", plain: bool = False, feed: Path | None = None,
              origin: str = "") -> int:
    """All parts until SIGINT, SIGTERM or SIGHUP. 0 when all ended cleanly. Raises NotStarted, DesignError, CredentialError."""
    design = read_design(design_file.read_text(), str(design_file))
    setup = prepared(design, design_file, directory, base_port, without, feed)._replace(origin=check_origin(origin) if origin else "")
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    with only_one(directory):
        screen: Screen = PlainScreen() if plain or not sys.stdout.isatty() else LiveScreen()
        make_sure_free(setup, screen.say)
        first_logins = Secrets.create(directory, design).first_logins()
        with screen:
            return House(setup, screen, first_logins).run()


# ----------------------------------------------------------------------------------------------------------- before the start
def prepared(design: Design, design_file: Path, directory: Path, base_port: int | None, without: str, feed: Path | None) -> Setup:
    """Which parts, at which addresses. Raises NotStarted."""
    left_out = {word.strip() for word in without.split(",") if word.strip()}
    able = [row.name for row in PARTS[1:]]
    if unknown := sorted(left_out - set(able)):
        raise NotStarted(f"--without {', '.join(unknown)}: what can be left out is {', '.join(able)}")
    if base_port is not None and not 1 <= base_port <= 65_536 - len(ADDRESSES):
        raise NotStarted(f"--base-port {base_port}: {len(ADDRESSES)} ports from there on must lie within 1 to 65535")
    if feed is not None and not feed.is_file():
        raise NotStarted(f"--feed {feed}: no such file; leave it out for a made market")
    places = {key: address(getattr(design.listen, key)) for key in ADDRESSES}
    if base_port is not None:
        places = {key: (places[key][0], base_port + i) for i, key in enumerate(ADDRESSES)}
    certificate, private_key = (referred(text, design_file) for text in (design.listen.certificate, design.listen.private_key))
    tls = (certificate, private_key) if certificate and private_key else None
    return Setup(directory, design_file, tuple(row for row in PARTS if row.name not in left_out), places, tls, feed)


def referred(text: str | None, design_file: Path) -> Path | None:
    """The file of "file:PATH", beside the design unless PATH is absolute. Raises NotStarted."""
    if text is None:
        return None
    kind, _, name = text.partition(":")
    if kind != "file":
        raise NotStarted(f"[listen] certificate and private_key are read from files: write file:PATH, not {kind}:")
    return (design_file.parent / name).resolve()


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """The directory's supervisor is this one. Raises NotStarted."""
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(handle, 20).decode(errors="replace").strip()
            raise NotStarted(f"{directory} is served by another `cambist run` (process {other}): stop that one, or name another --directory") from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def make_sure_free(setup: Setup, say: Callable[[str], None]) -> None:
    """The log and every address are nobody's. What the last run left behind, when it did not end cleanly, is given time to end. Raises NotStarted."""
    deadline = time.monotonic() + (0 if ended_cleanly(setup.directory) else PATIENCE_SECONDS)
    told = False
    while (wrong := log_in_use(setup.directory) or port_in_use(setup)) is not None:
        if time.monotonic() >= deadline:
            raise NotStarted(wrong)
        if not told:
            told = True
            say("the last run did not end cleanly; waiting for its processes to end")
        time.sleep(0.1)


def ended_cleanly(directory: Path) -> bool:
    try:
        return bool(json.loads((directory / PROCESSES).read_text())["over"])
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return False


def log_in_use(directory: Path) -> str | None:
    path = directory / "log" / "journal.lock"
    if not path.exists():
        return None
    try:
        RealDisk().lock(str(path)).release()
    except DiskLocked:
        return f"the log in {directory} is open in another process (`cambist node`, `cambist run`): stop that one, or name another --directory"
    return None


def port_in_use(setup: Setup) -> str | None:
    for row in setup.rows:
        for key in row.listens:
            host, port = setup.address[key]
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind((host, port))
                except OSError as fault:
                    return f"the {row.name} cannot listen at {host}:{port} ({key}; {fault.strerror}): stop what uses it, or choose other ports with --base-port"
    return None


# ----------------------------------------------------------------------------------------------------------------- the house
class Running(NamedTuple):
    process: subprocess.Popen
    reports: int                                # read end


class House:
    """One supervisor at work. `run` returns the exit code."""

    def __init__(self, setup: Setup, screen: Screen, first_logins: str) -> None:
        self.setup, self.screen, self.first_logins = setup, screen, first_logins
        self.step = Supervisor(row.name for row in setup.rows)
        self._running: dict[str, Running] = {}
        self._heard: dict[str, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._code: int | None = None
        self._noted, self._shown_logins, self._changed = 0.0, False, True

    def run(self) -> int:
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        self._selector.register(woken, selectors.EVENT_READ)
        before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, lambda number, frame: None)      # the wake-up tells which one
        try:
            self._happened(None)
            while self._code is None:
                self._wait(woken)
            self._note(over=True)
            return self._code
        finally:
            signal.set_wakeup_fd(before)
            for each in list(self._running.values()):
                each.process.kill()                     # only where this function failed: no part outlives it
            os.close(woken)
            os.close(wake)
            self._selector.close()

    def _wait(self, woken: int) -> None:
        due = self.step.next_due(time.monotonic_ns())
        pause = LOOK_SECONDS if due is None else min(LOOK_SECONDS, max(due - time.monotonic_ns(), 0) / 1e9)
        for key, _ in self._selector.select(pause):
            if key.fd == woken:
                for number in os.read(woken, 64):
                    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                        self._happened(StopAsked(signal.Signals(number).name))
            else:
                self._hear(key.data)
        for name, running in list(self._running.items()):
            if running.process.poll() is not None:
                self._gone(name)
        self._happened(None)
        self._show()

    def _happened(self, event: Any) -> None:
        self._changed = self._changed or event is not None
        for effect in self.step.step(event, time.monotonic_ns()):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Start(name):
                self._start(next(row for row in self.setup.rows if row.name == name))
            case End(name, by_force) if name in self._running:
                self._running[name].process.send_signal(signal.SIGKILL if by_force else signal.SIGTERM)
            case Say(text, loud):
                self.screen.say(text, loud)
            case Over(clean):
                self._code = 0 if clean else 1

    # ---------------------------------------------------------------------------------------------------------------- a process
    def _start(self, row: PartRow) -> None:
        reports, theirs = os.pipe()
        try:
            with self._log(row.name).open("ab") as log:
                process = subprocess.Popen(self._words(row.name, theirs), stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(theirs,),
                                           start_new_session=True, env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"})
        except OSError as fault:
            os.close(reports)
            self._happened(Died(row.name, f"could not be started: {fault}"))
            return
        finally:
            os.close(theirs)
        os.set_blocking(reports, False)
        self._running[row.name], self._heard[row.name] = Running(process, reports), b""
        self._selector.register(reports, selectors.EVENT_READ, row.name)
        self._happened(Started(row.name, process.pid))

    def _log(self, name: str) -> Path:
        folder = self.setup.directory / LOGS
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MOST:
            path.replace(path.with_name(f"{path.name}.1"))
        return path

    def _words(self, name: str, reports: int) -> list[str]:
        setup = self.setup
        words = [sys.executable, "-m", "cambist.worker_shell", name, "--directory", str(setup.directory), "--design", str(setup.design_file),
                 "--reports", str(reports), "--log", str(setup.directory / LOGS / f"{name}.log")]
        for key, (host, port) in setup.address.items():
            words += ["--address", f"{key}={host}={port}"]
        if setup.tls:
            words += ["--certificate", str(setup.tls[0]), "--private-key", str(setup.tls[1])]
        words += ["--origin", setup.origin] if setup.origin else []
        return [*words, "--feed", str(setup.feed)] if setup.feed else words

    def _hear(self, name: str) -> None:
        """What a part reports; the end of its pipe is the end of the part."""
        try:
            data = os.read(self._running[name].reports, LINE_BYTES_MOST)
        except BlockingIOError:
            return
        if not data:
            self._gone(name)
            return
        *lines, rest = (self._heard[name] + data).split(b"\n")
        self._heard[name] = rest[-LINE_BYTES_MOST:]
        for line in lines:
            told = json.loads(line)
            changed = self._changed or set(told) - {"memory"}
            self._happened(Told(name, told.get("line"), told.get("memory"), told.get("fault")))
            self._changed = bool(changed)
            if "ready" in told:
                self._happened(Ready(name, told["ready"]))

    def _gone(self, name: str) -> None:
        running = self._running[name]
        try:
            code = running.process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            self._selector.unregister(running.reports)  # it closed its pipe and lives on: it is looked after by its number alone
            return
        with contextlib.suppress(BlockingIOError):      # last words
            if running.reports in self._selector.get_map():
                while data := os.read(running.reports, LINE_BYTES_MOST):
                    for line in filter(None, data.split(b"\n")):
                        with contextlib.suppress(ValueError):
                            self._happened(Told(name, fault=json.loads(line).get("fault")))
        if running.reports in self._selector.get_map():
            self._selector.unregister(running.reports)
        os.close(running.reports)
        if running.process.stdin:
            running.process.stdin.close()
        del self._running[name]
        self._happened(ended(name, code))

    # -------------------------------------------------------------------------------------------------------------- what is seen
    def _show(self) -> None:
        self.screen.show(self.step.shown(), time.monotonic_ns())
        if self._changed or time.monotonic() - self._noted >= NOTE_SECONDS:
            self._note(over=False)
        if self.step.all_ready and not self._shown_logins:
            self._shown_logins = True
            for line in self._welcome():
                self.screen.say(line)

    def _welcome(self) -> list[str]:
        told = {one.name: one.address for one in self.step.shown() if one.address}
        lines = ["the house is open", *(f"  {name:<8} {place}" for name, place in told.items())]
        if self.first_logins:
            lines += [f"first logins, from {self.setup.directory}/secrets/first-logins.txt (remove it once they are known):",
                      *(f"  {line}" for line in self.first_logins.splitlines())]
        return [*lines, "Ctrl-C ends it"]

    def _note(self, over: bool) -> None:
        """processes.json: the same table for programs, whole at any moment. `since` is wall-clock time in ns."""
        self._noted, self._changed = time.monotonic(), False
        wall = time.time_ns() - time.monotonic_ns()
        parts = [one._asdict() | {"since": one.since and one.since + wall} for one in self.step.shown()]
        path = self.setup.directory / PROCESSES
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"supervisor": os.getpid(), "over": over, "parts": parts}, indent=1))
        fresh.replace(path)
