"""The next release, as far as a test needs one: the same core under rules of a higher number. python -m tests.process.next_release node|upgrade DIRECTORY."""
import sys
from pathlib import Path

from cambist.core.tables import VERSION
from cambist.epochs import RULES
from cambist.node_shell import run_node
from cambist.run import SOCKET, makers, prepare, storing, ticker
from cambist.upgrade_shell import upgrade

from tests.process.node_process import DEMO

NEXT = RULES + 1


def say(line: str) -> None:
    print(line, flush=True)


def main(verb: str, directory: str) -> int:
    if verb == "upgrade":
        return upgrade(Path(directory), f"layout {VERSION}, rules {NEXT}", say, rules=NEXT)
    design, commands, side, mirror = prepare(DEMO, Path(directory), say)
    return run_node(directory, f"{directory}/{SOCKET}", number=design.cell.number, genesis=commands, genesis_attachments=side, epoch=1,
                    ticker=ticker(design), say=say, rules=NEXT, **storing(mirror), **makers(design))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
