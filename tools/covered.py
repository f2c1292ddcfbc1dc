"""Whether the tests reach the core: every line, and 95 % of the branches. `make coverage` calls it with what `coverage json` wrote.

    covered.py FILE [--lines 100] [--branches 95]

Says which lines are missing, file by file, and ends with 1 when there is less than asked for.
"""
import argparse
import json
import sys
from pathlib import Path


def share(part: int, whole: int) -> float:
    """In per cent; of nothing, everything is there."""
    return 100.0 * part / whole if whole else 100.0


def findings(report: dict, lines: float, branches: float) -> tuple[list[str], bool]:
    """What to say, and whether it is enough."""
    out = []
    for name, file in sorted(report["files"].items()):
        missing = file["missing_lines"]
        if missing:
            out.append(f"{name}: lines {', '.join(map(str, missing))}")
    total = report["totals"]
    of_lines = share(total["covered_lines"], total["num_statements"])
    of_branches = share(total["covered_branches"], total["num_branches"])
    out.append(f"core, uncompiled: {of_lines:.2f} % of {total['num_statements']:,} lines (asked for {lines:g} %), "
               f"{of_branches:.2f} % of {total['num_branches']:,} branches (asked for {branches:g} %)")
    return out, of_lines >= lines and of_branches >= branches


def main(arguments: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("file", type=Path)
    asked.add_argument("--lines", type=float, default=100)
    asked.add_argument("--branches", type=float, default=95)
    given = asked.parse_args(arguments)
    said, enough = findings(json.loads(given.file.read_text()), given.lines, given.branches)
    print("\n".join(said))
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
