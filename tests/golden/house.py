"""Houses of past releases, a zip each: log, results and newest snapshot as they were left, and what they lead to. Made once, by `tools/make_golden.py`."""
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cambist.core.tables import COLUMNS, VERSION
from cambist.log.snapshot import Table

from tests.log.crash_disk import CrashDisk, Inode

FOLDER = Path(__file__).resolve().parent
OLDER = "layout-0"                              # a layout that no release had, made to exercise a migration: assets without their last column


class Golden(NamedTuple):
    """What a release left: its files, and what it said of them."""
    disk: CrashDisk
    facts: dict[str, Any]


def golden(name: str) -> Golden:
    disk = CrashDisk()
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as kept:
        for file in kept.namelist():
            if file == "facts.json":
                continue
            disk.make_directory(file.rpartition("/")[0])
            inode = disk.names[file] = disk.durable_names[file] = Inode()
            inode.live, inode.name = bytearray(kept.read(file)), file
            inode.durable = bytes(inode.live)
        return Golden(disk, json.loads(kept.read("facts.json")))


def keep_golden(name: str, disk: CrashDisk, facts: dict[str, Any]) -> Path:
    """The same bytes for the same house."""
    path = FOLDER / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as kept:
        for file, inode in sorted(disk.names.items()):
            if inode is not None and not file.endswith((".lock", ".cbt")) and "spare" not in file and "reserve" not in file:
                kept.writestr(zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0)), bytes(inode.live), zipfile.ZIP_DEFLATED)
        kept.writestr(zipfile.ZipInfo("facts.json", (2026, 1, 1, 0, 0, 0)), json.dumps(facts, indent=1, sort_keys=True), zipfile.ZIP_DEFLATED)
    return path


def to_older(tables: dict[str, Any]) -> dict[str, Table]:
    """The made older layout."""
    older = {name: Table(0, tuple(columns), rows) for name, (_, columns, rows) in tables.items()}
    _, columns, rows = older["assets"]
    older["assets"] = Table(0, columns[:-1], np.ascontiguousarray(rows[:, :-1]))
    return older


def from_older(tables: dict[str, Table]) -> dict[str, Table]:
    """An example of a migration: a column that did not exist is 0, a table that did not exist is empty, each where this release has it."""
    made = {}
    for name, columns in COLUMNS.items():
        _, had, rows = tables.get(name, Table(0, (), np.zeros((0, 0), np.int64)))
        wide = np.zeros((len(rows), len(columns)), np.int64)
        for i, column in enumerate(columns):
            if column in had:
                wide[:, i] = rows[:, had.index(column)]
        made[name] = Table(VERSION, columns, wide)
    return made
