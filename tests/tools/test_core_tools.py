"""The tools that ask how well the core is tested: what they change, what they count, when they are content."""
import ast
import importlib.util
import json
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SOURCE = '''
"""A module."""
LIMIT = 3


def within(row, a: int, b: int):
    """Its words are no mutant."""
    if a < b and b != 0:
        row.field = row.other + 0
        row.count += 1
        forget(row)
    return a - 2
'''


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MUTATE, COVERED = load("mutate"), load("covered")


def test_every_mutant_is_another_program_and_is_named():
    found = MUTATE.sites(ast.parse(SOURCE))
    programs = [ast.unparse(MUTATE.mutated(SOURCE, i)) for i in range(len(found))]
    assert len(set(programs)) == len(programs) and ast.unparse(ast.parse(SOURCE)) not in programs
    assert {site.what for site in found} == {
        "within returns at once", "Lt -> LtE", "NotEq -> Eq", "And -> Or", "condition turned round", "0 -> 1", "0 -> -1", "1 -> 2", "1 -> 0", "2 -> 3",
        "2 -> 1", "Add -> Sub", "Sub -> Add", "statement left out"}
    assert [site.line for site in found] == sorted(site.line for site in found) and min(site.line for site in found) == 6
    assert "row.other - 0" not in "".join(programs)                 # reading a field is no sum


def test_the_number_of_a_mutant_is_stable():
    found = MUTATE.sites(ast.parse(SOURCE))
    at = next(i for i, site in enumerate(found) if site.what == "Lt -> LtE")
    assert "a <= b and b != 0" in ast.unparse(MUTATE.mutated(SOURCE, at))


REPORT = {"files": {"a.py": {"missing_lines": []}, "b.py": {"missing_lines": [7, 9]}},
          "totals": {"covered_lines": 98, "num_statements": 100, "covered_branches": 19, "num_branches": 20}}


@pytest.mark.parametrize("lines, branches, code", [(100, 95, 1), (98, 95, 0), (98, 95.1, 1)])
def test_what_is_missing_is_said_and_decides(tmp_path, capsys, lines, branches, code):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(REPORT))
    assert COVERED.main([str(file), "--lines", str(lines), "--branches", str(branches)]) == code
    assert "b.py: lines 7, 9" in capsys.readouterr().out
