"""A node as a person starts it: `python -m cambist node` in a process of its own, to be killed, stopped and looked at from outside."""
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cambist.configure import configure
from cambist.design import read_design
from cambist.door.client_shell import Client
from cambist.door.protocol import Role

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "desks" / "demo.toml"
NAMES = configure(read_design(DEMO.read_text(), "demo")).names
ACCOUNT, KEY, ASSET, INSTRUMENT, SOURCE = (NAMES[table] for table in ("accounts", "actors", "assets", "instruments", "sources"))
OPEN_SECONDS = 120.0                                    # the kernel may first have to be compiled


def cambist(*words: object, seconds: float = OPEN_SECONDS) -> subprocess.CompletedProcess[str]:
    """One verb to its end."""
    return subprocess.run([sys.executable, "-m", "cambist", *map(str, words)], capture_output=True, text=True, cwd=ROOT, timeout=seconds)


class Started:
    """A verb that goes on until it is stopped; what it says is kept in a file, so that no pipe fills."""
    def __init__(self, said: Path, *words: object, before: Sequence[str] = ()):
        """`before`: what the command is run by, such as a namespace."""
        self.said = said
        with said.open("ab") as out:
            self.began = out.tell()
            self.process = subprocess.Popen([*before, sys.executable, "-m", "cambist", *map(str, words)], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)

    def output(self) -> str:
        """Of this process alone."""
        return self.said.read_bytes()[self.began:].decode()

    def wait_for(self, words: str, seconds: float = OPEN_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.output():
            assert self.process.poll() is None and time.monotonic() < deadline, f"it never said {words!r}, but:\n{self.output()}"
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(30)

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


class NodeProcess(Started):
    """`cambist node` in a directory."""
    def __init__(self, directory: Path, design: Path = DEMO):
        self.directory, self.door = directory, str(directory / "door.sock")
        super().__init__(directory.with_name(f"{directory.name}.said"), "node", "--design", design, "--directory", directory)

    def wait_open(self) -> "NodeProcess":
        """Until the door answers. The socket of a killed node is still there, so connecting is what tells."""
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, f"the door never opened:\n{self.output()}"
            try:
                Client(self.door, Role.OBSERVER, timeout=5.0).close()
                return self
            except OSError:
                time.sleep(0.02)


def seed_of_this_run() -> int:
    """Random, or CAMBIST_SEED again; printed, so that a failure says it."""
    seed = int(os.environ.get("CAMBIST_SEED") or int.from_bytes(os.urandom(5), "little"))
    print(f"seed {seed} (again: CAMBIST_SEED={seed})")
    return seed
