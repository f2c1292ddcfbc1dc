"""The docs say what the code is: verbs, kinds, events and reasons are named, files and names exist, links resolve, the wire is the one in the code."""
import ast
import re
from pathlib import Path

import pytest

from cambist.door.protocol import HEAD, MAX_FRAME, Code, Role, StreamKind, Verb
from cambist.door.protocol import VERSION as DOOR_VERSION
from cambist.log.entry import HEADER, MAX_ENTRY_BYTES, MAX_RECORDS
from cambist.event_fields import EVENT_FIELDS
from cambist.messages import ARGUMENTS, HEAD_BYTES, ChildState, Event, Kind, ObligationState, Reason, RequestState
from cambist.wire_text import wire_text

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "cambist"
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RENEW = ".venv/bin/python -m cambist.wire_text > docs/wire.md"
NAMES_CODE = [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "flows").glob("*.md"))]
RULES, WIRE = ROOT / "docs" / "rules.md", ROOT / "docs" / "wire.md"

WORD = r"[A-Za-z_]\w*"
CODE_NAME = re.compile(rf"`({WORD}(?:\.{WORD})+)`")
FILE_NAME = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|toml))`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def missing(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def named(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def outside_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


# --------------------------------------------------------------------------------------------------------------- the command line and the make verbs
def verbs() -> list[str]:
    """Functions of __main__.py that are commands."""
    tree = ast.parse((SRC / "__main__.py").read_text())
    return [f.name for f in tree.body if isinstance(f, ast.FunctionDef) and any(ast.unparse(d).startswith("app.command") for d in f.decorator_list)]


def test_every_verb_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert len(verbs()) > 5
    missing([f"README.md does not name `cambist {v}`" for v in verbs() if f"`cambist {v}" not in text])


def test_the_docs_name_no_verb_that_is_not_there():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    found = []
    for doc in DOCS:
        text = doc.read_text()
        found += [f"{doc.name}: cambist {v}" for v in re.findall(r"(?:`|bin/)cambist ([a-z]+)", text) if v not in verbs()]
        found += [f"{doc.name}: make {t}" for t in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE) if t not in targets]
    missing(found)


def test_tests_and_benches_named_in_the_readme_are_there():
    text = (ROOT / "README.md").read_text()
    missing([f"README.md: {name} is not there" for name in re.findall(r"\btests(?:/[\w-]+)+(?:\.py)?", text) if not (ROOT / name).exists()])


# --------------------------------------------------------------------------------------------------------------------------------------- the wire
def test_the_wire_is_current():
    assert WIRE.read_text() == wire_text(), f"docs/wire.md is not what messages.py says; renew it: {RENEW}"


@pytest.mark.parametrize("numbers", [Kind, Event, Reason])
def test_every_kind_event_and_reason_has_its_row(numbers):
    text = WIRE.read_text()
    missing([f"docs/wire.md has no row for {n.name} {n.value}" for n in numbers if f"| {n.value} | {n.name} |" not in text])


def test_every_kind_and_event_is_in_the_rules():
    """A reason may stand in the wire alone; what is sent and what is told has a rule. Configure kinds are named there without their prefix."""
    text = RULES.read_text()
    missing([f"docs/rules.md does not name {n.name}" for numbers in (Kind, Event) for n in numbers
             if not named(n.name, text) and not named(n.name.removeprefix("CONFIGURE_"), text) and not named(n.name.removeprefix("CHILD_"), text)])


def test_every_event_says_what_its_fields_hold():
    assert set(EVENT_FIELDS) == set(Event) and set(ARGUMENTS) == set(Kind)


@pytest.mark.parametrize("numbers", [Verb, Code, Role, StreamKind])
def test_what_is_written_by_hand_about_the_door_is_so(numbers):
    text = WIRE.read_text().partition("## The door")[2]
    missing([f"docs/wire.md: {n.name} {n.value}" for n in numbers if not re.search(rf"\b{n.name}(?: \| | ){n.value}\b", text)])


def test_what_is_written_by_hand_about_frames_and_entries_is_so():
    entry, _, door = WIRE.read_text().partition("## The entry")[2].partition("## The door")
    rows = [tuple(map(int, row)) for row in re.findall(r"^\| (\d+) \| (\d+) \|", entry, re.MULTILINE)]
    sizes = [(0, 4)]
    for code in re.findall(r"\d*[a-zA-Z]", HEADER.format.removeprefix("<4s").replace(" ", "")):
        sizes.append((sum(sizes[-1]), int(code[:-1]) if code.endswith("s") else {"H": 2, "I": 4, "q": 8}[code]))
    assert rows == sizes and sum(rows[-1]) == HEADER.size and f"header {HEADER.size}," in entry
    assert f"{MAX_ENTRY_BYTES:,}" in entry and f"{MAX_RECORDS:,}" in entry and f"{MAX_FRAME:,}" in door and f"version {DOOR_VERSION}," in door
    assert HEAD.size == 12 and HEAD_BYTES == 56


def test_a_wire_that_is_old_is_noticed(monkeypatch):
    monkeypatch.setitem(EVENT_FIELDS, Event.DONE, {"id": "something else"})
    assert WIRE.read_text() != wire_text()


# ------------------------------------------------------------------------------------------------------------------------------- names and links
def defined(tree: ast.AST) -> set[str]:
    """What a module has at its top and inside its classes: `name`, `Class.name`. Both branches of an if count."""
    names: set[str] = set()

    def look(body: list[ast.stmt], before: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(before + node.name)
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{node.name}.")
            elif isinstance(node, ast.If):
                look(node.body, before)
                look(node.orelse, before)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    names.update(before + n.id for n in ast.walk(target) if isinstance(n, ast.Name))

    look(getattr(tree, "body", []), "")
    return names


MODULES = {path.stem: defined(ast.parse(path.read_text())) for path in SRC.rglob("*.py") if path.stem != "__init__"}


def unknown_names(text: str) -> list[str]:
    """Names in code letters, `module.name`, whose module is one of ours and lacks it, or is none."""
    return sorted({name for name in CODE_NAME.findall(text) if not re.search(r"\.(?:py|md|toml|cbt|sock)$", name)
                   and not ((parts := name.split(".", 1))[0] in MODULES and parts[1] in MODULES[parts[0]])} - {"x.field"})


@pytest.mark.parametrize("doc", NAMES_CODE, ids=lambda p: p.name)
def test_names_in_code_letters_exist(doc):
    text = outside_fences(doc.read_text())
    assert CODE_NAME.search(text)
    missing([f"{doc.name}: `{name}` is not in the code" for name in unknown_names(text)])


def test_a_name_that_is_gone_is_noticed():
    assert unknown_names("`node.Node.seal`, `kernel.apply`, `memory.hot`, `log/entry.py`, `journey.stages`") == []
    assert unknown_names("`node.Node.sela`, `nothing.here`") == ["node.Node.sela", "nothing.here"]


def test_files_named_in_the_architecture_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    files = set(FILE_NAME.findall(text))
    assert len(files) > 40
    missing([f"ARCHITECTURE.md: {f} is not there" for f in sorted(files) if not any((base / f).exists() for base in (ROOT, SRC, SRC / "core"))])


def test_the_map_has_a_line_for_every_module():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    whole = ("simulation/twin/", "measure/")            # folders with one line for all of it
    names = [p.relative_to(SRC).as_posix() for p in sorted(SRC.rglob("*.py")) if p.stem != "__init__"]
    missing([f"ARCHITECTURE.md has no line for {n}" for n in names if f"`{n}`" not in text and not n.startswith(whole)])


def anchors(doc: Path) -> set[str]:
    """What GitHub makes of each heading."""
    heads = re.findall(r"^#+ (.+)$", outside_fences(doc.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("doc", DOCS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_resolve(doc):
    found = []
    for link in LINK.findall(outside_fences(doc.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        there = (doc.parent / file).resolve() if file else doc
        if not there.exists():
            found.append(f"{doc.name}: {link} leads nowhere")
        elif anchor and anchor not in anchors(there):
            found.append(f"{doc.name}: {link} has no such heading")
    missing(found)


def test_the_states_name_every_state():
    text = (ROOT / "docs" / "states.md").read_text()
    missing([f"docs/states.md does not draw {s.name}" for states in (RequestState, ChildState, ObligationState) for s in states if not named(s.name, text)])


# ---------------------------------------------------------------------------------------------------------------------------------------- promises
PROMISES = ROOT / "docs" / "promises.md"
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`( \*\(hunt\)\*)?")
PARTS_OF_A_PROMISE = ("**Holds under:**", "**Not under:**", "**Shown by:**", "**Measured:**")


def promises(text: str) -> dict[str, str]:
    parts = re.split(r"^### (.+)$", re.sub(r"^## .*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def hunted(file: str, name: str) -> bool:
    """Whether a test runs in hunts alone: by its own mark, or that of its module."""
    tree = ast.parse((ROOT / file).read_text())
    marks = [ast.unparse(mark) for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
             for mark in node.decorator_list]
    marks += [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    return any("mark.hunt" in mark for mark in marks)


def wrong_tests(text: str) -> list[str]:
    found = []
    for file, name, hunt in TEST_NAME.findall(text):
        if not (ROOT / file).exists() or name not in defined(ast.parse((ROOT / file).read_text())):
            found.append(f"{file}::{name} is not there")
        elif hunted(file, name) != bool(hunt):
            found.append(f"{file}::{name} {'runs' if hunt else 'does not run'} in CI")
    return found


def test_every_promise_names_tests_that_are_there():
    text = PROMISES.read_text()
    missing(wrong_tests(text))
    told = promises(text)
    assert len(told) > 15
    missing([f"{name!r}: no {part}" for name, body in told.items() for part in PARTS_OF_A_PROMISE if part not in body])
    missing([f"{name!r} names no test of CI" for name, body in told.items() if all(hunt for *_, hunt in TEST_NAME.findall(body))])
    assert text.count("::test_") == len(TEST_NAME.findall(text)), "a test is named in a way that is not looked at"


def test_a_promise_without_its_test_is_noticed():
    assert wrong_tests("`tests/test_docs.py::test_links_resolve`, `tests/test_restart.py::test_no_order_is_lost_of_a_million_at_rest` *(hunt)*") == []
    assert len(wrong_tests("`tests/test_docs.py::test_gone`, `tests/gone.py::test_it`, `tests/test_restart.py::test_no_order_is_lost_of_a_million_at_rest`, "
                           "`tests/test_docs.py::test_links_resolve` *(hunt)*")) == 4
