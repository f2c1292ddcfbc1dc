"""The rules of the house, checked on the source itself: who may see a clock, who may import whom, how large a thing may grow.

Every check is a function from source text to findings, tried on small planted violations before it is trusted with the tree. What a rule lets
through stands in a table with its reason, and a reason nobody needs any more is a finding too.
"""
import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "cambist"
MAX_CORE_LINES = 9_000
MAX_FILE_LINES = 600
MAX_SCREEN_LINES = 60
CORE_DISPATCH = {("core/kernel.py", "apply"), ("core/kernel.py", "dispatch")}       # one long table of branches by design

# --- what may be imported where --------------------------------------------------------------------------------------------------------------------

CORE_MODULES = {
    "numpy", "numba", "llvmlite", "hashlib", "struct", "ctypes", "dataclasses", "enum", "typing", "collections.abc", "functools", "__future__",
    "cambist.messages", "cambist.units", "cambist.design", "cambist.core",
}
CORE_EXTRA = {"core/memory.py": {"mmap": "the only file that knows addresses; the state is one private anonymous mapping",
                                 "inspect": "reads a helper's annotations once, when it is made, so that Numba makes one version of it",
                                 "dis": "whether a helper returns anything, for its signature",
                                 "contextlib": "the compiler's ways, put back after",
                                 "sys": "the version of Python is part of the kernel's fingerprint"}}
CORE_CALLS = {"float", "open", "print", "input", "eval", "exec", "__import__", "breakpoint", "globals", "hash", "id", "complex", "set_num_threads"}

# Clocks, chance, sockets and schedulers: whoever imports one is no longer a step.
OUTSIDE = {"time", "socket", "socketserver", "ssl", "select", "random", "secrets", "uuid", "asyncio", "threading", "_thread", "multiprocessing",
           "concurrent", "subprocess", "selectors", "signal", "sched", "urllib.request", "http", "uvloop", "uvicorn", "picows", "nats", "ccxt"}
FILES = {"os", "pathlib", "shutil", "tempfile", "fcntl", "mmap"}
WALL_CLOCK = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
CHANCE = {("os", "urandom"), ("os", "getrandom"), ("np", "random"), ("numpy", "random")}

# {file: {module: why it may}}. Shells, run.py, __main__.py and measure/ need no row. Files are reached through log/disk.py, clocks through `now`, so
# an author who adds a row here has first asked whether a shell could hand the thing in.
ALLOWED: dict[str, dict[str, str]] = {"warm.py": {"os": "where the compiled kernel is kept", "pathlib": "the same"}}
FREE_OF_RULES = re.compile(r"(?:.*_shell|run|__main__)\.py$|measure/.*")
SEEDED_CHANCE = re.compile(r"simulation/.*")


def imported(tree: ast.AST):
    """Yield (line, module) of every import, wherever it stands; `from a import b` yields both a and a.b, so a submodule cannot hide."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, "." * node.level + (f"{node.module}." if node.module else "") + alias.name


def within(module: str, names) -> str | None:
    """Return the name in `names` that is `module` or a package above it."""
    parts = module.split(".")
    return next((head for n in range(len(parts), 0, -1) if (head := ".".join(parts[:n])) in names), None)


def core_findings(source: str, name: str) -> list[str]:
    """Everything in one file of the core that could make two runs of the same log differ, or reach outside."""
    tree = ast.parse(source)
    found = []
    allowed = CORE_MODULES | set(CORE_EXTRA.get(name, ()))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            found += [f"{line}: imports {a.name}" for a in node.names if not within(a.name, allowed)]
        elif isinstance(node, ast.ImportFrom):
            siblings = node.level == 1          # `from .memory import row` stays inside the core
            found += [f"{line}: imports {node.module}.{a.name}" for a in node.names
                      if not siblings and (node.level or not within(f"{node.module}.{a.name}", allowed))]
        elif isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{line}: float literal {node.value}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"{line}: true division")
        elif isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            found.append(f"{line}: async")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CORE_CALLS:
            found.append(f"{line}: calls {node.func.id}()")
        elif isinstance(node, ast.Attribute) and (node.attr in ("float16", "float32", "float64", "environ") or node.attr == "random"):
            found.append(f"{line}: uses .{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel") and not (isinstance(node.value, ast.Constant) and not node.value.value):
            found.append(f"{node.value.lineno}: {node.arg}=, whose results depend on the machine")
    return found + unordered_findings(tree)


def unordered_findings(tree: ast.AST) -> list[str]:
    """Iteration over a set, whose order is not a function of the log. Dicts keep insertion order and are let through; so is sorted(a set)."""
    named = set()

    def is_set(node) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in ("set", "frozenset")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return is_set(node.left) or is_set(node.right)
        return isinstance(node, ast.Name) and node.id in named

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_set(node.value):
            named |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and node.value is not None and is_set(node.value) and isinstance(node.target, ast.Name):
            named.add(node.target.id)
    found = []
    for node in ast.walk(tree):
        walked = []
        if isinstance(node, ast.For | ast.comprehension):
            walked = [node.iter]
        elif isinstance(node, ast.Starred):
            walked = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("list", "tuple", "enumerate", "iter", "map", "zip", "dict"):
            walked = node.args
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("pop", "join"):
            walked = node.args if node.func.attr == "join" else [node.func.value]
        found += [f"{w.lineno}: iterates over a set" for w in walked if is_set(w)]
    return found


def outside_findings(source: str, name: str, used: set | None = None) -> list[str]:
    """Clocks, chance, sockets, schedulers and files in a file that is not a shell. Rows of ALLOWED that were needed are added to `used`."""
    if FREE_OF_RULES.fullmatch(name):
        return []
    tree = ast.parse(source)
    row = ALLOWED.get(name) or CORE_EXTRA.get(name, {})
    found = []
    for line, module in imported(tree):
        hit = within(module, OUTSIDE | FILES)
        if hit is None or module.startswith("."):
            continue
        if hit in row:
            if used is not None:
                used.add((name, hit))
        elif not (hit == "random" and SEEDED_CHANCE.fullmatch(name)):
            found.append(f"{line}: imports {hit}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr if isinstance(node.value, ast.Attribute) else ""
            if (owner, node.attr) in WALL_CLOCK:
                found.append(f"{node.lineno}: reads the wall clock ({owner}.{node.attr})")
            if (owner, node.attr) in CHANCE:
                found.append(f"{node.lineno}: draws chance ({owner}.{node.attr})")
            if owner == "random" and isinstance(node.value, ast.Name) and node.attr != "Random":
                found.append(f"{node.lineno}: random.{node.attr}: only random.Random(seed)")
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            found.append(f"{node.lineno}: import random whole, so that random.Random(seed) is seen")
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "Random" and not (node.args or node.keywords):
                found.append(f"{node.lineno}: random.Random() without a seed")
            if isinstance(node.func, ast.Name) and node.func.id == "open" and "os" not in row and "pathlib" not in row:
                found.append(f"{node.lineno}: opens a file")
    return sorted(set(found))


def stale_rows(names: set[str], used: set) -> list[str]:
    """Exceptions that outlived their reason."""
    return [f"{name}: allowed {module}, which it does not import; take the row out" for name, row in ALLOWED.items() for module in row
            if name in names and (name, module) not in used]


# --- how the source is kept ------------------------------------------------------------------------------------------------------------------------

VAGUE = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"}
SLASH = "/"
ADDRESSES = re.compile("|".join((
    r"\bpyp[i]\.(?:org|python)", r"\bpythonhoste[d]\.", r"\bregistry\.(?:npmj[s]|yarnpkg)", r"\bnpmj[s]\.(?:com|org)", r"\bdebia[n]\.(?:org|net)",
    r"\bcrates\.io\b",
    r"\bproxy\.golang\b", r"--(?:extra-)?index-ur[l]\b", r"--find-link[s]\b",
    rf"(?<![\w.{SLASH}}}-]){SLASH}(?:work|root|opt|home{SLASH}\w+|Users{SLASH}\w+){SLASH}[\w.]",
    rf"\b(?:file|https?):{SLASH}{SLASH}(?:10|172|192)\.\d",
)))


def code_lines(source: str) -> int:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def long_functions(source: str, name: str) -> list[str]:
    return [f"{name}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines" for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > MAX_SCREEN_LINES
            and (name, node.name) not in CORE_DISPATCH]


def swallowed_findings(source: str) -> list[str]:
    """Bare except, and a broad except that says nothing: the failure that nobody hears about."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else set()
        silent = all(isinstance(s, ast.Pass | ast.Continue) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in node.body)
        if node.type is None:
            found.append(f"{node.lineno}: bare except")
        elif silent and caught & {"Exception", "BaseException"}:
            found.append(f"{node.lineno}: swallows every exception")
    return found


def vague_name(name: str) -> bool:
    return bool(VAGUE & set(Path(name).stem.lower().split("_")))


def twice(names: list[str]) -> list[str]:
    """Base names that occur more than once, so that a name in a traceback or a commit is never ambiguous."""
    count = Counter(Path(n).name for n in names if Path(n).name not in ("__init__.py", "__main__.py"))
    return sorted(base for base, n in count.items() if n > 1)


def address_findings(text: str) -> list[str]:
    return [f"{n}: {hit.group(0)}" for n, line in enumerate(text.splitlines(), 1) if (hit := ADDRESSES.search(line))]


# --- the tree ----------------------------------------------------------------------------------------------------------------------------------------

def kept_files() -> list[Path]:
    """Every file that is committed or would be: what git knows and what it does not ignore."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    return sorted(p for f in listed.decode().split("\0") if f and (p := ROOT / f).is_file())


def sources() -> dict[str, str]:
    """Text of every module by its path inside the package."""
    return {p.relative_to(SRC).as_posix(): p.read_text() for p in sorted(SRC.rglob("*.py"))}


def over_tree(check, texts: dict[str, str]) -> list[str]:
    return [f"{name}:{finding}" for name, text in texts.items() for finding in check(text, name)]


def plainly(findings: list[str]) -> None:
    assert not findings, "\n" + "\n".join(findings)


def test_core_is_pure():
    texts = {n: t for n, t in sources().items() if n.startswith("core/")}
    assert texts, "the core was not found"
    plainly(over_tree(core_findings, texts))


def test_only_shells_reach_outside():
    used = set()
    texts = sources()
    found = over_tree(lambda text, name: outside_findings(text, name, used), texts)
    plainly(found + stale_rows(set(texts), used))


def test_imports_keep_their_direction():
    tool = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run([tool, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


SEES_EVERYTHING = {"cambist.node", "cambist.node_shell", "cambist.follower", "cambist.warm", "cambist.changes", "cambist.apply_shell", "cambist.inspection",
                   "cambist.archive", "cambist.demo_shell", "cambist.explain_shell", "cambist.running_design_shell", "cambist.supervisor_shell",
                   "cambist.worker_shell", "cambist.desk_part_shell", "cambist.run", "cambist.__main__", "cambist.simulation", "cambist.measure",
                   "cambist.upgrade_shell"}


def unwatched(children: set[str], contracts: list[dict]) -> list[str]:
    """Parts of the package that no contract names and that are not known to see everything."""
    watched = {m for c in contracts for m in c["source_modules"]}
    return sorted(children - watched - SEES_EVERYTHING)


def test_every_part_has_an_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    children = {f"cambist.{p.stem}" for p in SRC.iterdir() if (p.suffix == ".py" and p.stem != "__init__") or (p / "__init__.py").is_file()}
    plainly([f"{m}: name it in a contract in pyproject.toml" for m in unwatched(children, contracts)])


def test_core_stays_in_its_budget(capsys):
    lines = {n: code_lines(t) for n, t in sources().items() if n.startswith("core/")}
    with capsys.disabled():
        print(f"\ncore: {sum(lines.values())} lines of code in {len(lines)} files, of {MAX_CORE_LINES}")
    assert sum(lines.values()) <= MAX_CORE_LINES, lines


def test_files_are_short_and_functions_are_listed(capsys):
    texts = {p.relative_to(ROOT).as_posix(): p.read_text() for p in kept_files() if p.suffix == ".py"}
    tall = [row for name, text in texts.items() if name.startswith("src/") for row in long_functions(text, name.removeprefix("src/cambist/"))]
    with capsys.disabled():
        print("".join(f"\nlonger than a screen: {row}" for row in tall) or f"\nno function is longer than {MAX_SCREEN_LINES} lines")
    plainly([f"{name}: {n} lines, of {MAX_FILE_LINES}" for name, text in texts.items() if (n := len(text.splitlines())) > MAX_FILE_LINES])


def test_names_say_something_and_only_once():
    names = [p.relative_to(ROOT).as_posix() for p in kept_files()]
    modules = [n for n in names if n.startswith("src/") and n.endswith(".py")]
    plainly([f"{n}: a name that says nothing" for n in names if vague_name(n)] + [f"{n}: more than one module has this name" for n in twice(modules)])


def test_no_exception_is_swallowed():
    texts = {p.relative_to(ROOT).as_posix(): p.read_text() for p in kept_files() if p.suffix == ".py"}
    plainly(over_tree(lambda text, name: swallowed_findings(text), texts))


def test_every_module_says_what_it_is():
    plainly([f"{n}: no docstring" for n, t in sources().items() if not (ast.get_docstring(ast.parse(t)) or "").strip()])


def test_no_file_names_a_registry_or_a_machine():
    found = []
    for path in kept_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found += [f"{path.relative_to(ROOT)}:{f}" for f in address_findings(data.decode(errors="replace"))]
    plainly(found)


# --- planted violations: a check that cannot fail is not one -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("planted", [
    "import time", "from datetime import datetime", "import random", "import os", "import asyncio", "import logging", "import socket", "import threading",
    "import io", "import pathlib", "import sys", "import mmap", "from os import environ", "from cambist.log import journal", "import cambist.door.client",
    "from collections import OrderedDict", "from cambist import log", "from .. import log", "def f():\n    import secrets",
    "x = 0.5", "x = 1e3", "x = a / b", "x /= 2", "x = float(a)", "x = hash(a)", "x = id(a)", "print(1)", "open('f')", "x = np.float64(1)", "np.random.seed(1)",
    "for x in {1, 2}: pass", "for x in set(a): pass", "y = [x for x in frozenset(a)]", "s = {1}\nfor x in s: pass", "s: set = set()\nx = list(s)",
    "s = set()\nx = s.pop()", "x = [*{1, 2}]", "for x in set(a) | b: pass", "@njit(fastmath=True)\ndef f(): pass", "@njit(parallel=True)\ndef f(): pass",
    "async def f(): pass",
])
def test_impure_core_is_found(planted):
    assert core_findings(planted, "core/rfq.py")


@pytest.mark.parametrize("innocent", [
    "import numpy as np", "from numba import njit", "from numba.extending import intrinsic", "from collections.abc import Callable",
    "from cambist import units",
    "from cambist.messages import Kind", "from cambist.core.memory import row", "from cambist.core import memory", "from . import memory",
    "from .memory import row",
    "x = a // b", "for x in sorted({1, 2}): pass", "for x in (1, 2): pass", "for k, v in d.items(): pass", "x = 3 in {1, 2}",
    '"""A price of 1.5 / 2 in a docstring."""', "x = lists.pop()", "@njit(fastmath=False)\ndef f(): pass",
])
def test_pure_core_is_let_through(innocent):
    assert core_findings(innocent, "core/rfq.py") == []


def test_only_memory_maps_memory():
    assert core_findings("import mmap", "core/memory.py") == []
    assert core_findings("import mmap", "core/state.py") == ["1: imports mmap"]


@pytest.mark.parametrize("planted", [
    "import time", "from time import monotonic", "import socket", "import asyncio", "import threading", "import subprocess", "import selectors",
    "import secrets",
    "import random", "import os", "import os.path", "from pathlib import Path", "import datetime as dt\nx = dt.datetime.now()",
    "from datetime import datetime\nx = datetime.now()",
    "from datetime import date\nx = date.today()", "x = os.urandom(8)", "x = open('f')", "import numpy as np\nx = np.random.default_rng()",
    "def f():\n    import time", "from urllib import request", "import concurrent.futures",
])
def test_reaching_outside_is_found(planted):
    assert outside_findings(planted, "desk/pricing.py")


@pytest.mark.parametrize("name", ["door/server_shell.py", "gateways/rest_shell.py", "run.py", "__main__.py", "measure/floors.py"])
def test_shells_may_reach_outside(name):
    assert outside_findings("import time, socket, asyncio, os\nx = open('f')", name) == []


@pytest.mark.parametrize("name", ["run_shell/pricing.py", "desk/run.py", "core/__main__.py", "desk/shell.py", "desk/measure/x.py", "simulation/world.py"])
def test_looking_like_a_shell_is_not_enough(name):
    assert outside_findings("import time", name)


def test_simulation_draws_seeded_chance_only():
    assert outside_findings("import random\nr = random.Random(7)", "simulation/world.py") == []
    assert outside_findings("import random\nr = random.Random()", "simulation/world.py")
    assert outside_findings("import random\nr = random.random()", "simulation/world.py")
    assert outside_findings("from random import Random\nr = Random(7)", "simulation/world.py")


def test_allowed_rows_hold_for_their_file_and_module_alone(monkeypatch):
    monkeypatch.setitem(ALLOWED, "log/kept.py", {"os": "planted"})
    used = set()
    assert outside_findings("x = 1", "log/kept.py", used) == [] and not used
    assert outside_findings("import os\nx = open('f')", "log/kept.py", used) == [] and used == {("log/kept.py", "os")}
    assert outside_findings("import socket", "log/kept.py") == ["1: imports socket"]
    assert outside_findings("import os", "log/entry.py") == ["1: imports os"]
    monkeypatch.setitem(ALLOWED, "log/gone.py", {"os": "planted"})
    assert stale_rows({"log/kept.py", "log/gone.py"}, used) == ["log/gone.py: allowed os, which it does not import; take the row out"]


def test_code_lines_leave_out_comments_and_docstrings():
    assert code_lines('"""Doc.\n\nMore."""\n# why\n\nx = 1  # one\n\n\ndef f():\n    """Doc."""\n    return (1,\n            2)\n') == 4


def test_long_functions_are_found_and_the_dispatch_is_not():
    body = "\n".join("    x = 1" for _ in range(MAX_SCREEN_LINES))
    assert long_functions(f"def f():\n{body}", "core/rfq.py") and not long_functions(f"def apply():\n{body}", "core/kernel.py")
    assert not long_functions("def f():\n    return 1", "core/rfq.py")


def test_swallowed_exceptions_are_found():
    assert swallowed_findings("try: f()\nexcept: g()") and swallowed_findings("try: f()\nexcept Exception: pass")
    assert swallowed_findings("try: f()\nexcept (ValueError, BaseException):\n    ...")
    assert not swallowed_findings("try: f()\nexcept ValueError: pass") and not swallowed_findings("try: f()\nexcept Exception as e: log(e)")


def test_vague_and_double_names_are_found():
    assert vague_name("a/utils.py") and vague_name("order_manager.py") and not vague_name("database.py") and not vague_name("baseline.py")
    assert twice(["a/book.py", "b/book.py", "a/__init__.py", "b/__init__.py"]) == ["book.py"]


def test_unwatched_parts_are_found():
    contracts = [{"source_modules": ["cambist.core"]}]
    assert unwatched({"cambist.core", "cambist.node", "cambist.chain"}, contracts) == ["cambist.chain"]


@pytest.mark.parametrize("pieces", [
    ("https://", "pypi", ".org/simple"), ("files.", "python" "hosted", ".org"), ("registry.", "npmjs", ".org"), ("deb.", "debian", ".org"),
    ("--index", "-url x"),
    ("--find", "-links x"), ("see ", "/wo" "rk", "/main"), ("'", "/root", "/.cache'"), ("/home", "/someone", "/x"), ("/opt", "/wheels"),
])
def test_addresses_and_machine_paths_are_found(pieces):
    assert address_findings("".join(pieces))


@pytest.mark.parametrize("innocent", ["--no-emit-index-url", "docs/worked/flow.md", "GET /orders/root", "a dependency from npm", "pip install cambist",
                                      "https://host/home/x"])
def test_innocent_text_is_let_through(innocent):
    assert address_findings(innocent) == []
