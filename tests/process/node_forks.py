"""Nodes that start at once: one process has everything imported and the kernel at hand, and each node is a fork of it that goes on as `cambist node` does.

It is as real a process as any other, to be killed with SIGKILL; what is saved is what Python and Numba take to be imported, again and again.
"""
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.process.node_process import DEMO, OPEN_SECONDS, ROOT, NodeProcess


def fork_on_demand(design: str, directory: str, said: str) -> None:
    """In the process that is forked: for each line that is read a node, its number written, and, when it ended, how."""
    import cambist.__main__
    import cambist.run  # noqa: F401  what the verb would import when it is called
    from cambist.warm import warm
    warm()
    print("ready", flush=True)
    for _ in sys.stdin:
        node = os.fork()
        if node == 0:
            _be_node(["cambist", "node", "--design", design, "--directory", directory], said)
        print(node, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(node, 0)[1]), flush=True)


def _be_node(words: list[str], said: str) -> None:
    """Never returns."""
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((0, nothing), (1, out), (2, out)):
        os.dup2(theirs, ours)
    sys.argv, code = words, 1
    try:
        sys.modules["cambist.__main__"].main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


class Forge:
    """The process that is forked, for one directory; one node at a time."""
    def __init__(self, directory: Path, design: Path = DEMO):
        self.directory, self.said = directory, directory.with_name(f"{directory.name}.said")
        self.process = subprocess.Popen([sys.executable, "-m", "tests.process.node_forks", str(design), str(directory), str(self.said)], cwd=ROOT,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read = b""
        try:
            assert self.line(OPEN_SECONDS) == "ready", "it took too long to be imported, or to be compiled"
        except BaseException:
            self.__exit__()
            raise

    def line(self, seconds: float | None) -> str | None:
        """What it writes next; None when that takes longer."""
        assert self.process.stdout is not None
        while b"\n" not in self.read:
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 1 << 12)
            assert more, "the process that forks nodes has ended"
            self.read += more
        line, _, self.read = self.read.partition(b"\n")
        return line.decode()

    def node(self) -> "ForkedNode":
        return ForkedNode(self)

    def __enter__(self) -> "Forge":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


class Fork:
    """Of subprocess.Popen what is used of it."""
    def __init__(self, forge: Forge):
        self.forge, self.returncode = forge, None
        assert forge.process.stdin is not None
        forge.process.stdin.write(b"\n")
        forge.process.stdin.flush()
        self.pid = int(forge.line(OPEN_SECONDS) or 0)

    def poll(self) -> int | None:
        return self._look(0.0)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and (line := self.forge.line(seconds)) is not None:
            self.returncode = int(line)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> int:
        if self._look(seconds) is None:
            raise subprocess.TimeoutExpired("cambist node", seconds or 0.0)
        return self._look(0.0) or 0


class ForkedNode(NodeProcess):
    """`cambist node` in a directory, from the forge."""
    def __init__(self, forge: Forge):
        self.directory, self.door, self.said = forge.directory, str(forge.directory / "door.sock"), forge.said
        self.began = self.said.stat().st_size if self.said.exists() else 0
        self.process = Fork(forge)                      # type: ignore[assignment]


if __name__ == "__main__":
    fork_on_demand(*sys.argv[1:])
