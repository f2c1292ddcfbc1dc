"""Mutation testing of the core, uncompiled: change one thing, run the quick tests, and list the changes that no test has noticed.

    mutate.py src/cambist/core/book.py ... [--sample N] [--seed S] [--results FILE] [--list]

Mutants: another comparison, operator or connective, a condition turned round, a number one higher or lower, a statement left out, a function that returns at
once. Each runs in a process forked from one that has applied the beginning of random flows whose events are known (those of the unchanged core, which are
the twin's): the changed function gets its code there, and the flows go on. A mutant that these do not notice meets the tests (`--tests`, none: the flows
alone). `--results` keeps a line for each and goes on from there. Run it niced: it takes one processor for as long as it runs.
"""
import argparse
import ast
import hashlib
import importlib
import json
import os
import pickle
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TESTS = [f"tests/core/{name}.py" for name in (
    "test_levels", "test_book", "test_edges", "test_mutants", "test_found", "test_rules", "test_range_of_money", "test_every_reason", "test_capacity",
    "test_controls", "test_precision", "test_held_quotes", "test_amend", "test_orders", "test_order_lists", "test_sessions")]  # what notices most comes first
COMPARISONS: dict[type, type] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATORS: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
                               ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Mod: ast.FloorDiv}
CONNECTIVES: dict[type, type] = {ast.And: ast.Or, ast.Or: ast.And}


FLOW_SEEDS, FLOW_STEPS = (0, 3, 5), 10          # of the random flows that are applied first
DIFFERS, BROKE = 9, 3


class Site(NamedTuple):
    """A place and what is done to it: `do` changes the tree it was found in."""
    line: int
    what: str
    do: Callable[[], None]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def nothing_added(node: ast.BinOp) -> bool:
    """`row.field + 0` reads a field; less nothing is the same."""
    return isinstance(node.right, ast.Constant) and node.right.value == 0


def of_expression(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        for i, op in enumerate(node.ops):
            other = COMPARISONS[type(op)]
            yield f"{type(op).__name__} -> {other.__name__}", lambda i=i, other=other: node.ops.__setitem__(i, other())
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS and not (isinstance(node, ast.BinOp) and nothing_added(node)):
        other = OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {other.__name__}", lambda: setattr(node, "op", other())
    elif isinstance(node, ast.BoolOp):
        other = CONNECTIVES[type(node.op)]
        yield f"{type(node.op).__name__} -> {other.__name__}", lambda: setattr(node, "op", other())
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield "condition turned round", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        for change in (1, -1):
            yield f"{value} -> {value + change}", lambda change=change: setattr(node, "value", value + change)


def may_go(statement: ast.stmt) -> bool:
    """A statement whose absence leaves a program: not a name that is read later."""
    if isinstance(statement, (ast.AugAssign, ast.Break, ast.Continue)):
        return True
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Attribute) for target in statement.targets)
    return isinstance(statement, ast.Return) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call))


def of_body(node: ast.AST) -> Iterator[tuple[int, str, Callable[[], None]]]:
    for field in ("body", "orelse"):
        body = getattr(node, field, None)
        for i, statement in enumerate(body if isinstance(body, list) else ()):
            if may_go(statement):
                yield statement.lineno, "statement left out", lambda i=i, body=body: body.__setitem__(i, ast.Pass())


def sites(tree: ast.Module) -> list[Site]:
    """Every mutant of the functions of a module, in the order of the source."""
    found = []
    for function in functions(tree):
        first = 1 if ast.get_docstring(function) else 0
        if not isinstance(function.body[first], ast.Return):
            found.append(Site(function.lineno, f"{function.name} returns at once",
                              lambda f=function, n=first: f.body.insert(n, ast.Return(ast.Constant(0)))))
        for statement in function.body[first:]:
            for node in ast.walk(statement):
                found += [Site(getattr(node, "lineno", statement.lineno), what, do) for what, do in of_expression(node)]
                found += [Site(line, what, do) for line, what, do in of_body(node)]
        found += [Site(line, what, do) for line, what, do in of_body(function)]
    return sorted(found, key=lambda site: (site.line, site.what))


def mutated(source: str, number: int) -> ast.Module:
    tree = ast.parse(source)
    sites(tree)[number].do()
    return ast.fix_missing_locations(tree)


def change(path: Path, tree: ast.Module) -> None:
    """The functions of a module get the code of a changed one, wherever they were imported to."""
    module = importlib.import_module("cambist.core." + path.stem)
    fresh: dict[str, object] = dict(vars(module))
    exec(compile(tree, str(path), "exec"), fresh)  # noqa: S102 - the program under test, of this repository
    for function in functions(tree):
        if function.name in vars(module):
            getattr(module, function.name).__code__ = fresh[function.name].__code__     # type: ignore[attr-defined]


def in_fork(what: Callable[[], int], seconds: int) -> int:
    """What it gives, silently, in a process of its own; a signal's number, negative, when it ended by one (it may take so many seconds of a processor)."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1), os.dup2(out, 2)
        code = BROKE
        try:
            code = what()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def rows_of(tables: dict) -> bytes:
    return hashlib.sha256(b"".join(matrix.tobytes() for _, _, matrix in tables.values())).digest()


def keep_flows(file: Path) -> int:
    """Drive kernel and twin, and keep what was applied and what came of it."""
    from tests.core import hunt, pair
    worlds: list[list[tuple]] = []
    submit = pair.Pair.submit

    def keeping(self, records):
        submit(self, records)
        worlds[-1].append((records, self.now, self.last.tobytes(), rows_of(self.tables)))

    pair.Pair.submit, pair.Pair.restart = keeping, lambda self: None
    for seed in FLOW_SEEDS:
        worlds.append([])
        hunt.drive(seed, FLOW_STEPS)
    file.write_bytes(pickle.dumps(worlds))
    return 0


class Flow:
    """A world on the unchanged core as far as its configuration, and the entries that follow with the events they should have."""

    def __init__(self, world: list[tuple]) -> None:
        from cambist.core.cell import Cell
        from tests.core.world import SIZES
        self.cell, self.entries = Cell(SIZES), world[2:]
        for records, now, *_ in world[:2]:
            self.cell.apply(records, now)

    def differs(self) -> bool:
        """In events at once; in rows where it ends."""
        wrong = any(self.cell.apply(records, now).tobytes() != events for records, now, events, _ in self.entries)
        return wrong or rows_of(self.cell.tables()) != self.entries[-1][3]


def notice(path: Path, tree: ast.Module | None, flows: list[Flow], tests: list[str]) -> int:
    """0: nothing noticed the change."""
    if tree is not None:
        change(path, tree)
    if any(flow.differs() for flow in flows):
        return DIFFERS
    import pytest
    return int(pytest.main(["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not compiled and not process and not hunt",
                            "-k", "not twin", *tests])) if tests else 0


def prepare() -> None:
    """Uncompiled, and everything imported that a fork need not import again."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    os.chdir(ROOT)
    for name in ("hypothesis.stateful", "pytest", "cambist.core.cell", "cambist.simulation.invariants"):
        importlib.import_module(name)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("files", nargs="+", type=Path)
    asked.add_argument("--sample", type=int, default=0, help="only so many of the mutants, by chance")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--results", type=Path, default=None)
    asked.add_argument("--tests", nargs="*", default=[t for t in TESTS if (ROOT / t).exists()])
    asked.add_argument("--list", action="store_true", help="what would be done, and nothing else")
    given = asked.parse_args()
    sources = {path.resolve(): path.read_text() for path in given.files}
    chosen = [(path, i) for path, source in sources.items() for i in range(len(sites(ast.parse(source))))]
    total = len(chosen)
    if 0 < given.sample < total:
        chosen = random.Random(given.seed).sample(chosen, given.sample)     # in an order of chance: the first so many are a sample too
    print(f"{total} mutants of {len(sources)} files, {len(chosen)} chosen" + (f" with seed {given.seed}" if len(chosen) < total else ""))
    named = {(path, i): sites(ast.parse(sources[path]))[i] for path, i in chosen}
    if given.list:
        for (path, _), site in named.items():
            print(f"{path.name}:{site.line}: {site.what}")
        return 0
    prepare()
    began = time.monotonic()
    file = Path(tempfile.mkdtemp()) / "flows"
    if in_fork(lambda: keep_flows(file), 900):
        print("no flows were made", file=sys.stderr)
        return 2
    flows = [Flow(world) for world in pickle.loads(file.read_bytes())]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    if in_fork(lambda: notice(next(iter(sources)), None, flows, given.tests), 900):
        print("the tests fail without any change", file=sys.stderr)
        return 2
    seconds = int(2 * (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)) + 2         # whoever needs more does not come to an end
    print(f"all pass without a change in {time.monotonic() - began:.0f} s; a mutant may take {seconds} s of a processor")
    done = {}
    if given.results and given.results.exists():
        done = {(row["file"], row["number"], row["line"], row["what"]): row["code"] for row in map(json.loads, given.results.read_text().splitlines())}
    survivors = []
    for n, ((path, i), site) in enumerate(named.items(), 1):
        key = path.name, i, site.line, site.what
        if key not in done:
            done[key] = in_fork(lambda path=path, i=i: notice(path, mutated(sources[path], i), flows, given.tests), seconds)
            if given.results:
                with given.results.open("a") as file:
                    file.write(json.dumps({"file": path.name, "number": i, "line": site.line, "what": site.what, "code": done[key]}) + "\n")
        if done[key] == 0:
            survivors.append(f"{path.name}:{site.line}: {site.what}: {sources[path].splitlines()[site.line - 1].strip()}")
            print(f"survived: {survivors[-1]}", flush=True)
        if n % 25 == 0:
            print(f"{n} of {len(named)}, {len(survivors)} survived, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(named)} mutants, {len(named) - len(survivors)} killed, {len(survivors)} survived:")
    print("\n".join(survivors))
    return 0


if __name__ == "__main__":
    sys.exit(main())
