"""The demo as a user runs it: one trade, every stage found again in the journal, the same bytes from the same seed, clear words for a bad feed."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cambist.log.disk_shell import RealDisk
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.messages import COMMAND, Event, Kind

ROOT = Path(__file__).parents[1]
STAGES = ["received", "logged", "risk-checked", "priced", "quoted", "accepted", "executed", "hedged", "netted", "settled"]
COMMAND_OF = {"received": Kind.REQUEST_QUOTE, "logged": Kind.REQUEST_QUOTE, "risk-checked": Kind.REQUEST_QUOTE, "priced": Kind.QUOTE, "quoted": Kind.QUOTE,
              "accepted": Kind.ACCEPT_QUOTE, "executed": Kind.ACCEPT_QUOTE, "hedged": Kind.CHILD_FILLED, "settled": Kind.SETTLE}
EVENT_OF = {"received": Event.REQUEST_OPENED, "logged": Event.REQUEST_OPENED, "risk-checked": Event.REQUEST_OPENED, "priced": Event.QUOTED,
            "quoted": Event.QUOTED, "accepted": Event.FILLED, "executed": Event.FILLED, "hedged": Event.CHILD_FILL,
            "netted": Event.OBLIGATION, "settled": Event.SETTLED}
pytestmark = pytest.mark.compiled


def demo(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"} | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run([sys.executable, "-m", "cambist", "demo", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def log_bytes(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for part in ("log", "results") for f in sorted((folder / part).iterdir()) if f.suffix in (".cbj", ".cbr")}


def commands(folder: Path) -> np.ndarray:
    log = Replay(RealDisk(), str(folder / "log"), unproven=True)
    rows = np.concatenate([np.frombuffer(entry.records, COMMAND) for chunk in log.chunks() for entry in chunk])
    log.close()
    return rows


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "kept"
    done = demo("--json", "--seed", "5", "--keep", str(folder))
    assert done.returncode == 0, done.stderr + done.stdout
    return folder, json.loads(done.stdout)


def test_every_stage_is_in_the_journal_with_its_command_and_its_event(kept):
    folder, found = kept
    assert found["ok"] and all(found["checks"].values())
    assert [s["stage"] for s in found["stages"]] == STAGES
    rows, results = commands(folder), ResultsReader(RealDisk(), str(folder / "results"))
    for stage in found["stages"]:
        name, sequence = stage["stage"], stage["seq"]
        assert stage["ns"] >= 0 and stage["budget_ns"] > 0
        assert int(EVENT_OF[name]) in results.events_of(sequence)["kind"].tolist(), stage
        if name in COMMAND_OF:
            assert rows["kind"][sequence - 1] == COMMAND_OF[name], stage
    assert sorted(s["seq"] for s in found["stages"]) == [s["seq"] for s in found["stages"]]


def test_custody_equals_ownership_and_three_dealers_quoted(kept):
    _, found = kept
    assert found["facts"]["dealers_quoting"] == 3
    assert {p["asset"]: p["holds"] for p in found["proof"]} == {"BTC": True, "USD": True, "XRP": True}


def test_the_same_seed_gives_the_same_log_bytes_and_another_does_not(kept, tmp_path):
    folder, _ = kept
    for name, seed in (("again", "5"), ("other", "6")):
        assert demo("--json", "--seed", seed, "--keep", str(tmp_path / name), hash_seed="123").returncode == 0
    assert log_bytes(tmp_path / "again") == log_bytes(folder)
    assert log_bytes(tmp_path / "other") != log_bytes(folder)


def test_the_log_carries_why_each_quote_was_what_it_was(kept):
    from cambist.desk.pricing import read_explanation
    from cambist.log.entry import side_item
    folder, _ = kept
    log = Replay(RealDisk(), str(folder / "log"), unproven=True)
    explained = 0
    for chunk in log.chunks():
        for entry in chunk:
            for row in np.frombuffer(entry.records, COMMAND):
                if row["kind"] == Kind.QUOTE and row["attachment"]:
                    read_explanation(side_item(entry, int(row["attachment"])))      # re-adds the parts and raises when they do not sum to the price
                    explained += 1
    log.close()
    assert explained > 0


@pytest.mark.parametrize("name, instrument", [("bybit-xrpusdt-ob500-2024-12-01.jsonl", "XRP/USD"), ("btcusd-perp-1m-2022-01.csv", "BTC/USD"),
                                              ("binance-btcusdt-quotes-2021-01-08.parquet", "BTC/USD")])
def test_it_trades_on_recorded_prices(shared_data, name, instrument):
    done = demo("--json", "--feed", str(shared_data / name))
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    assert found["ok"] and found["facts"]["instrument"] == instrument


@pytest.mark.parametrize("name, text, said", [
    ("xrp.jsonl", '{"topic":"orderbook.500.XRPUSDT","type":"snapshot","ts":17', "xrp.jsonl"),
    ("btc.csv", "timestamp,open,high,low,close,volume\n2022-01-01 00:00:00,1,2,0.5\n", "btc.csv"),
    ("btc.csv", "what,is,this\n1,2,3\n", "btc.csv"),
    ("doge.csv", "timestamp,open,high,low,close,volume\n", "doge.csv")])
def test_a_bad_feed_is_one_clear_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    done = demo("--feed", str(tmp_path / name))
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_a_feed_that_is_not_there_and_a_folder_that_is_full_are_refused(tmp_path, kept):
    gone = demo("--feed", str(tmp_path / "xrp.jsonl"))
    assert gone.returncode == 1 and "Traceback" not in gone.stderr and "xrp.jsonl" in gone.stderr
    full = demo("--keep", str(kept[0]))
    assert full.returncode == 1 and "not empty" in full.stderr and "Traceback" not in full.stderr
