"""`cambist VERB` as a person types it: what it says and how it ends, when all is well and when it is not. No verb ever answers with a traceback."""
import re
from pathlib import Path

import pytest

from cambist.door.client_shell import Client
from cambist.messages import Kind, command

from tests.process.node_process import ACCOUNT, ASSET, DEMO, KEY, NodeProcess, Started, cambist

TEXT = DEMO.read_text()
LESS = TEXT.replace('max_quantity = "2000000"', 'max_quantity = "1000000"')


def refused(*words: object, code: int = 1) -> str:
    """One line on stderr, the exit code, nothing else."""
    said = cambist(*words)
    assert said.returncode == code and said.stdout == "" and said.stderr.count("\n") == 1 and "Traceback" not in said.stderr, said
    return said.stderr


def design(folder: Path, text: str) -> Path:
    file = folder / "desk.toml"
    file.write_text(text)
    return file


# ------------------------------------------------------------------------------------------------------------------------------ check and draw
def test_check_finds_nothing_in_the_demo():
    said = cambist("check", DEMO)
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{DEMO}: 0 errors, 0 warnings\n", "")


def test_check_names_findings_by_code_and_ends_with_one_only_for_errors(tmp_path):
    beyond = design(tmp_path, re.sub(r'(\[targets\.first-quote\].*?budget = )"\d+ms"', r'\1"1ms"', TEXT, flags=re.DOTALL))
    said = cambist("check", beyond)
    assert said.returncode == 1 and re.search(rf"^{re.escape(str(beyond))}: \w+ error: ", said.stdout, re.MULTILINE) and "\n0 errors" not in said.stdout


def test_draw_prints_the_workflow():
    said = cambist("draw", DEMO)
    assert said.returncode == 0 and said.stdout.startswith(("flowchart", "graph", "stateDiagram")) and "risk-checked" in said.stdout


@pytest.mark.parametrize("verb", ["check", "draw"])
def test_a_design_that_is_not_there_or_not_one_is_a_line(tmp_path, verb):
    assert "nowhere.toml" in refused(verb, tmp_path / "nowhere.toml")
    assert str(tmp_path) in refused(verb, tmp_path)                         # a directory
    file = design(tmp_path, TEXT.replace("digits = 8", "digits = 99"))
    said = refused(verb, file)
    assert str(file) in said and "assets.BTC" in said
    assert "digitz" in refused(verb, design(tmp_path, TEXT.replace("digits = 8", "digits = 8\ndigitz = 8")))
    assert refused(verb, design(tmp_path, "[assets"))
    (tmp_path / "desk.toml").write_bytes(b"\xff\xfe\x00")
    assert refused(verb, tmp_path / "desk.toml")


def test_a_verb_that_is_none_says_which_there_are():
    said = cambist("frobnicate")
    assert said.returncode == 1 and "frobnicate" in said.stderr and "check" in said.stderr
    said = cambist("check", "--nonsense", "x")
    assert said.returncode == 1 and "Traceback" not in said.stdout + said.stderr


def test_version_and_help():
    assert cambist("--version").stdout.strip() and "replay" in cambist("--help").stdout


# ------------------------------------------------------------------------------------------------------------------- directories without a log
@pytest.mark.parametrize("words", [("replay", "{}"), ("verify", "{}"), ("follow", "{}"), ("status", "{}"), ("apply", "{}", str(DEMO), "--key", "mara-config"),
                                   ("apply", "{}", str(DEMO), "--key", "ines", "--approve")], ids=lambda words: words[0] + words[-1].strip("{}"))
def test_a_directory_that_is_not_there_is_a_line_that_names_it(tmp_path, words):
    assert str(tmp_path / "house") in refused(*(word.format(tmp_path / "house") for word in words))
    assert not (tmp_path / "house").exists()            # looking makes nothing


def test_a_directory_without_a_log_is_not_whole(tmp_path):
    assert f"{tmp_path} holds no log" in refused("verify", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_run_refuses_a_design_that_is_not_there_before_it_makes_anything(tmp_path):
    assert "nowhere.toml" in refused("run", "--design", tmp_path / "nowhere.toml", "--directory", tmp_path / "house")
    assert "digitz" in refused("run", "--design", design(tmp_path, TEXT.replace("digits = 8", "digits = 8\ndigitz = 8")), "--directory", tmp_path / "house")
    assert not (tmp_path / "house").exists()


def test_run_refuses_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "house").write_text("not a directory")
    assert str(tmp_path / "house") in refused("run", "--design", DEMO, "--directory", tmp_path / "house")


# --------------------------------------------------------------------------------------------------------------------------- with a running node
@pytest.mark.process
def test_a_running_node_says_how_it_stands_and_its_directory_can_be_looked_at(tmp_path):
    directory = tmp_path / "house"
    with NodeProcess(directory).wait_open() as node:
        said = cambist("status", directory)
        assert said.returncode == 0 and re.search(r"^ +full  False$", said.stdout, re.MULTILINE) and "fingerprint" in said.stdout
        for verb in ("verify", "replay"):               # also while it writes
            assert cambist(verb, directory).returncode == 0
        assert node.stop() == 0
    said = cambist("verify", directory)
    assert said.returncode == 0 and "(closed)" in said.stdout and said.stdout.endswith("whole\n") and said.stderr == ""
    said = cambist("replay", directory)
    assert said.returncode == 0 and re.search(r"^ +broken  \(\)$", said.stdout, re.MULTILINE) and "state_hash" in said.stdout
    with Started(tmp_path / "follow.said", "follow", directory, "--every", "0.1") as follower:
        follower.wait_for("snapshot at sequence")
        assert follower.stop() == 0
    assert "no node answers" in refused("status", directory)


@pytest.mark.process
def test_run_says_where_it_is_and_what_was_compiled_is_said_before(tmp_path):
    with NodeProcess(tmp_path / "house").wait_open() as node:
        assert node.output().index("node of cell 1 in") < node.output().index("door: unix socket") < node.output().index("look: cambist status")
    assert "is ready" in cambist("warm").stdout


@pytest.mark.process
def test_a_change_is_held_approved_by_another_person_and_runs(tmp_path):
    directory, file = tmp_path / "house", design(tmp_path, LESS)
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        same = cambist("apply", directory, DEMO, "--key", "mara-config")
        assert (same.returncode, same.stdout) == (0, "nothing to change: this design runs\n")
        none = cambist("apply", directory, file, "--key", "ines", "--approve")
        assert (none.returncode, none.stdout) == (0, "nothing waits for a second person\n")

        held = cambist("apply", directory, file, "--key", "mara-config")
        assert held.returncode == 0 and re.fullmatch(r"configure_limits: held \d+: waits for a second person\n", held.stdout)
        assert limit(client) == 2_000_000_000_000       # and changes nothing yet
        wrong = cambist("apply", directory, file, "--key", "mara", "--approve")
        assert wrong.returncode == 1 and "refused NOT_ALLOWED" in wrong.stdout
        yes = cambist("apply", directory, file, "--key", "ines", "--approve")
        assert yes.returncode == 0 and re.fullmatch(r"\d+ CONFIGURE_LIMITS: done\n", yes.stdout), yes
        assert limit(client) == 1_000_000_000_000
        assert cambist("apply", directory, file, "--key", "mara-config").stdout == "nothing to change: this design runs\n"

        foreign = cambist("apply", directory, design(tmp_path, TEXT), "--key", "ada")
        assert foreign.returncode == 1 and foreign.stdout == "configure_limits: refused NOT_ALLOWED\n"
        assert "no key 'nobody' in the running design; there are" in refused("apply", directory, file, "--key", "nobody")
        assert "nowhere.toml" in refused("apply", directory, tmp_path / "nowhere.toml", "--key", "mara-config")
        fixed = cambist("apply", directory, design(tmp_path, LESS.replace('settlement = "prefunded"', 'settlement = "on_credit"')), "--key", "mara-config")
        assert fixed.returncode == 1 and "cannot change once given" in fixed.stderr and "Traceback" not in fixed.stderr
    with NodeProcess(directory, design(tmp_path, LESS)).wait_open() as node:            # killed above: it comes back with the changed design
        assert "is not the design" not in node.output()
        with Client(node.door) as client:
            assert limit(client) == 1_000_000_000_000


@pytest.mark.process
def test_no_one_approves_their_own(tmp_path):
    """Ines is risk, and here also engineer, with a key for each."""
    text = TEXT.replace("[keys.ada]", '[keys.ines-config]\nrole = "engineer"\nperson = "ines"\n\n[keys.ada]').replace(
        '[people.ines]\nroles = ["risk"]', '[people.ines]\nroles = ["risk", "engineer"]')
    directory, less = tmp_path / "house", text.replace('max_quantity = "2000000"', 'max_quantity = "1000000"')
    with NodeProcess(directory, design(tmp_path, text)).wait_open() as node, Client(node.door) as client:
        file = design(tmp_path, less)
        assert cambist("apply", directory, file, "--key", "ines-config").returncode == 0
        own = cambist("apply", directory, file, "--key", "ines", "--approve")
        assert own.returncode == 1 and "refused SAME_PERSON" in own.stdout and limit(client) == 2_000_000_000_000
        assert cambist("apply", directory, file, "--key", "oskar", "--approve").returncode == 0 and limit(client) == 1_000_000_000_000


def limit(client: Client) -> int:
    return client.read("instruments")[1]["instruments"][1]["max_quantity"]


@pytest.mark.process
def test_a_large_transfer_of_ours_is_shown_as_held(tmp_path):
    """What waits is not only configuration: `--approve` shows each by its kind."""
    directory = tmp_path / "house"
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        much = 300_000 * 10**6
        deposit = command(Kind.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT["acme"], custody=ACCOUNT["usd-bank"], asset=ASSET["USD"], amount=much, id_hi=1,
                          id_lo=1)
        transfer = command(Kind.TRANSFER, actor=KEY["ada"], account=ACCOUNT["acme"], to=ACCOUNT["borea"], asset=ASSET["USD"], amount=much, id_hi=1, id_lo=2,
                           expires=client.read("status")[1]["log_time_ns"] + 40 * 10**9)
        for record in (deposit, transfer):
            assert client.submit_and_wait(record, 20.0).events is not None
        said = cambist("apply", directory, DEMO, "--key", "oskar", "--approve")
        assert said.returncode == 0 and re.fullmatch(r"\d+ TRANSFER: done\n", said.stdout), said
        balances = client.read("account", account=ACCOUNT["borea"])[1]["balances"]
        assert [row["available"] for row in balances if row["asset"] == ASSET["USD"]] == [much]
