"""What `cambist run` makes sure of before the first process starts, what it tells its parts, and the frame around each part. No node is started here."""
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from cambist.design import read_design
from cambist.log.disk_shell import RealDisk
from cambist.part_shell import ADDRESSES
from cambist.status_screen_shell import PlainScreen, table, up_for
from cambist.supervisor import DESIGN_CHANGED_EXIT, PARTS, NotStarted, PartState, Shown
from cambist.supervisor_shell import House, log_in_use, make_sure_free, only_one, port_in_use, prepared, referred
from cambist.worker_shell import check_listeners, explained
from tests.ports import free_ports

DEMO = Path(__file__).resolve().parents[1] / "desks" / "demo.toml"
DESIGN = read_design(DEMO.read_text(), "demo")
SECOND = 1_000_000_000


def setup(tmp_path: Path, base_port: int | None = None, without: str = ""):
    return prepared(DESIGN, DEMO, tmp_path, base_port, without, None)


def test_addresses_are_the_designs_or_count_from_the_base_port(tmp_path):
    assert setup(tmp_path).address["console"] == ("127.0.0.1", 8603)
    assert setup(tmp_path, 9000).address == {key: ("127.0.0.1", 9000 + i) for i, key in enumerate(ADDRESSES)}
    assert [row.name for row in setup(tmp_path, None, "world, console").rows] == ["node", "follower", "gateway", "native", "portal", "desk"]


@pytest.mark.parametrize(("base_port", "without", "feed", "said"), [
    (None, "node", None, "--without node: what can be left out is follower, gateway, native, portal"), (None, "wrold", None, "--without wrold"),
    (65_533, "", None, "--base-port 65533"), (0, "", None, "--base-port 0"), (None, "", Path("nowhere.csv"), "--feed nowhere.csv"),
])
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, base_port, without, feed, said):
    with pytest.raises(NotStarted, match=said):
        prepared(DESIGN, DEMO, tmp_path, base_port, without, feed)
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_is_a_file_beside_the_design(tmp_path):
    assert referred("file:tls/house.pem", tmp_path / "desk.toml") == tmp_path / "tls" / "house.pem"
    assert referred(None, DEMO) is None
    with pytest.raises(NotStarted, match="file:PATH"):
        referred("env:SECRET", DEMO)
    listen = replace(DESIGN.listen, portal="0.0.0.0:9443", certificate="file:a.pem", private_key="file:b.pem")
    assert prepared(replace(DESIGN, listen=listen), tmp_path / "d.toml", tmp_path, None, "", None).tls == (tmp_path / "a.pem", tmp_path / "b.pem")


def test_a_port_in_use_is_named_with_its_part_and_what_to_do(tmp_path):
    with socket.socket() as other:
        port = free_ports() + 2                         # the third: the portal's
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        taken = setup(tmp_path, port - 2)
        said = port_in_use(taken)
        assert said is not None and f"the portal cannot listen at 127.0.0.1:{port}" in said and "--base-port" in said
        with pytest.raises(NotStarted, match="portal"):
            make_sure_free(taken, lambda line: None)
        assert port_in_use(setup(tmp_path, port - 2, "portal")) is None
    assert port_in_use(taken) is None


def test_one_directory_has_one_supervisor(tmp_path):
    with only_one(tmp_path):
        with pytest.raises(NotStarted, match=rf"another `cambist run` \(process {os.getpid()}\)"), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        pass


def test_a_log_that_is_open_elsewhere_is_found(tmp_path):
    assert log_in_use(tmp_path) is None
    (tmp_path / "log").mkdir()
    lock = RealDisk().lock(str(tmp_path / "log" / "journal.lock"))
    assert "open in another process" in (log_in_use(tmp_path) or "")
    lock.release()
    assert log_in_use(tmp_path) is None


def test_the_words_a_part_is_started_with_hold_no_secret(tmp_path):
    house = House(setup(tmp_path, 9000), PlainScreen(), "password ada a-secret")
    words = " ".join(house._words("gateway", 7))
    assert "--address websocket=127.0.0.1=9001" in words and "--reports 7" in words and "secret" not in words


# ------------------------------------------------------------------------------------------------------------------ the frame
def test_beyond_this_machine_only_with_tls():
    gateway = next(row for row in PARTS if row.name == "gateway")
    addresses = {"rest": ("127.0.0.1", 1), "websocket": ("10.0.0.7", 2)}
    with pytest.raises(ValueError, match=r"gateway is to listen at 10\.0\.0\.7:2, beyond this machine, without TLS"):
        check_listeners(gateway, addresses, None)
    check_listeners(gateway, addresses, (Path("a"), Path("b")))
    check_listeners(gateway, addresses | {"websocket": ("::1", 2)}, None)
    assert "--base-port" in explained(OSError(errno.EADDRINUSE, "Address already in use"), gateway, addresses)


WORKER = """
import os, sys, time, threading
from pathlib import Path
import cambist.worker_shell as worker
worker.LOG_BYTES_MOST, worker.REPORT_SECONDS, worker.ORPHAN_SECONDS = 1000, 0.05, 0.2
reports = worker.Reports(int(sys.argv[1]), Path(sys.argv[2]))
threading.Thread(target=worker.watch_supervisor, daemon=True).start()
for i in range(100):
    print(f"line {i:03}", "." * 30, flush=True)
    reports.tell("line", str(i))
    time.sleep(0.005)
reports.tell("ready", "there")
time.sleep(60)
"""


def test_a_part_reports_keeps_its_log_small_and_ends_with_its_supervisor(tmp_path):
    log = tmp_path / "part.log"
    heard, theirs = os.pipe()
    with log.open("ab") as out:
        part = subprocess.Popen([sys.executable, "-c", WORKER, str(theirs), str(log)], stdin=subprocess.PIPE, stdout=out, stderr=out, pass_fds=(theirs,))
    os.close(theirs)
    told: list[dict] = []
    with os.fdopen(heard) as lines:
        for line in lines:
            told.append(json.loads(line))
            if "ready" in told[-1]:
                assert part.stdin is not None
                part.stdin.close()                      # as when the supervisor is killed
    assert part.wait(10) in (-15, 1)
    assert told[-1]["ready"] == "there" and all(each["memory"] > 1 << 20 for each in told) and any(each.get("line") for each in told)
    kept = [path.read_text() for path in (tmp_path / "part.log.1", log)]
    assert all(len(text) < 3_000 for text in kept) and "line 099" in kept[1] and "the supervisor is gone" in kept[1]


OUTDATED = """
import sys
import cambist.worker_shell as worker
from cambist.part_shell import DesignChanged
from cambist.supervisor import PartRow
async def serve(part):
    raise DesignChanged("the design changed with sequence 140; starting again with it")
worker.PARTS = (PartRow("desk", "__main__", "serve"),)
sys.exit(worker.main())
"""


def test_a_part_whose_design_changed_says_so_in_one_line_and_ends_with_a_code_of_its_own(tmp_path):
    log, reports = tmp_path / "part.log", tmp_path / "reports"
    with log.open("wb") as out, reports.open("wb") as theirs:
        words = ["desk", "--directory", str(tmp_path), "--reports", str(theirs.fileno())]
        with subprocess.Popen([sys.executable, "-c", OUTDATED, *words], stdin=subprocess.PIPE, stdout=out, stderr=out, pass_fds=(theirs.fileno(),)) as part:
            assert part.wait(20) == DESIGN_CHANGED_EXIT
    assert log.read_text() == "the design changed with sequence 140; starting again with it\n" and "fault" not in reports.read_text()


# ------------------------------------------------------------------------------------------------------------------ the table
def test_the_table_says_state_by_word_and_mark_not_by_colour_alone():
    rows = [Shown("node", PartState.READY, 4242, 3, 5 * SECOND, 180 << 20, "a/door.sock", ""),
            Shown("desk", PartState.PAUSED, 0, 12, 0, 0, "", "died: signal 9")]
    console = Console(width=140, color_system=None, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table(rows, 5 * SECOND + 3_725 * SECOND))
    text = console.export_text()
    assert "● ready" in text and "4242" in text and "1:02:05" in text and "180 MiB" in text and "✗ paused" in text and "died: signal 9" in text
    assert up_for(rows[1], 9 * SECOND) == ""


def test_loud_words_are_marked(capsys):
    PlainScreen().say("the desk died", loud=True)
    assert "ATTENTION: the desk died" in capsys.readouterr().out
