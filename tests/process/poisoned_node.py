"""A node like `cambist node`, with a core that dies of SIGSEGV in one command (tests/poisoned.py): python -m tests.process.poisoned_node DESIGN DIRECTORY."""
import sys
from pathlib import Path

from cambist.run import EPOCH, SOCKET, prepare, sizes, storing, ticker
from cambist.node_shell import run_node

from tests.poisoned import PoisonedCell


def say(line: str) -> None:
    print(line, flush=True)


def main(design_file: str, directory: str) -> int:
    design, commands, side, mirror = prepare(Path(design_file), Path(directory), say)
    wanted = sizes(design)
    return run_node(directory, f"{directory}/{SOCKET}", number=design.cell.number, genesis=commands, genesis_attachments=side, epoch=EPOCH,
                    ticker=ticker(design), say=say, fresh=lambda: PoisonedCell(wanted), load=lambda tables: PoisonedCell.load(tables, wanted),
                    **storing(mirror))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
