"""The one entry point: `cambist VERB`. Each verb is a few lines over the part that does it; nothing is decided here but how it is shown."""
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="cambist", help="An institutional crypto market in one Python program.", version_flags=["--version"])
DEMO = Path("desks/demo.toml")
FLAG = Annotated[bool, Parameter(negative="")]


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return 1


@app.command
def warm() -> int:
    """Compile the kernel for this machine, once per change of its sources."""
    from cambist.warm import cache_folder
    from cambist.warm import warm as make_ready
    began = time.monotonic()
    ready = make_ready(_say)
    _say(f"the kernel is {'ready' if ready else 'compiled'} after {time.monotonic() - began:.1f} s, kept in {cache_folder()}")
    return 0


@app.command
def run(*, design: Path = DEMO, directory: Path = Path("cambist-data"), base_port: int | None = None, without: str = "", plain: FLAG = False,
        feed: Path | None = None, origin: str = "") -> int:
    """Serve a whole house: node, follower, gateways, portal, console, desk and the simulated world, each a process, started again when it dies.

    Args:
        design: The desk's design file.
        directory: Where the log, the secrets and the logs of the parts are kept.
        base_port: The first of six ports in a row (REST, WebSocket, portal, console, venues, native), instead of those under [listen].
        without: Parts to leave out, as in --without world,console.
        plain: Lines instead of a table; always so when this is no terminal.
        feed: Recorded market data for the simulated venues; without it a market is made up.
        origin: What the log is called where heads of it are signed, as in exchange.example/log; said once, it stays.
    """
    from cambist.supervisor_shell import run_house
    return run_house(design, directory, base_port=base_port, without=without, plain=plain, feed=feed, origin=origin)


@app.command
def node(*, design: Path = DEMO, directory: Path = Path("cambist-data")) -> int:
    """Serve a desk's node alone, in the foreground: log, core and results behind one door."""
    from cambist.run import start_node
    return start_node(design, directory, _say)


@app.command
def follow(directory: Path, *, every: float = 45.0, origin: str = "") -> int:
    """Replay a running node's log beside it, compare its results, write snapshots (at most EVERY seconds apart), and sign heads of the log as ORIGIN."""
    from cambist.run import follow as go_on
    return go_on(directory, every, origin, _say)


@app.command
def prove(directory: Path, sequence: int, *, since: str = "", out: Path | None = None) -> int:
    """Prove that the entry with SEQUENCE is under the newest signed head, and that this extends an older one: SINCE, its size or a file with it."""
    from cambist.log.transparency_shell import write_proof
    return write_proof(directory, sequence, since, out, _say, _complain)


@app.command
def status(directory: Path) -> int:
    """Ask a running node how it stands."""
    from cambist.door.client_shell import Client
    from cambist.run import SOCKET
    with Client(str(directory / SOCKET)) as client:
        for name, value in client.read("status")[1].items():
            _say(f"{name:>16}  {value}")
    return 0


@app.command
def demo(*, feed: Path | None = None, json: FLAG = False, seed: int = 1, design: Path = DEMO, keep: Path | None = None) -> int:
    """One institutional trade from request to settlement, through the door, on recorded or made prices; 0 only if every check holds."""
    from cambist.demo_shell import run_demo
    return run_demo(design, feed, seed=seed, as_json=json, keep=keep)


@app.command
def check(file: Path = DEMO) -> int:
    """Findings of a design file, with codes; 1 when one of them is an error."""
    from cambist.design import read_design
    from cambist.findings import check as find
    findings = find(read_design(file.read_text(), str(file)))
    for f in findings:
        _say(f"{file}: {f.code} {f.severity}: {f.path}: {f.text}")
    errors = sum(f.severity == "error" for f in findings)
    _say(f"{file}: {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


@app.command
def draw(file: Path = DEMO, *, svg: FLAG = False) -> int:
    """The workflow of a design file as Mermaid, or as an SVG picture."""
    from cambist.design import read_design
    from cambist.findings import draw as mermaid
    from cambist.picture import svg as picture
    _say((picture if svg else mermaid)(read_design(file.read_text(), str(file))))
    return 0


@app.command
def explain(directory: Path, id: str, *, json: FLAG = False) -> int:
    """The story of an order, request, quote, trade or refusal, from the log alone: its id as given outside, a number, or @SEQUENCE."""
    from cambist.explain_shell import explain as tell
    return tell(directory, id, as_json=json, say=_say)


@app.command
def apply(directory: Path, file: Path, *, key: str, approve: bool = False) -> int:
    """Bring a running node to a changed design: logged commands, sent with KEY; with --approve, KEY (another person's) approves what waits."""
    from cambist.apply_shell import approve_held, ask_for
    return approve_held(directory, key, _say) if approve else ask_for(directory, file, key, _say)


@app.command
def replay(directory: Path, *, json: FLAG = False) -> int:
    """Rebuild state and results from the log alone and print where they end; 1 when they differ from what was told."""
    import msgspec

    from cambist.core.cell import Cell
    from cambist.inspection import replay as again
    from cambist.log.ahead_shell import ahead
    from cambist.log.disk_shell import RealDisk
    from cambist.warm import warm as make_ready
    make_ready(_say if not json else None)
    found = again(RealDisk(), str(directory), Cell(_sizes(directory)), time.perf_counter_ns, ahead=ahead)
    facts = {**found._asdict(), "commands_per_second": round(found.per_second)}
    if json:
        _say(msgspec.json.encode(facts).decode())
    else:
        for name, value in facts.items():
            _say(f"{name:>20}  {value}")
    return 1 if found.broken else 0


@app.command
def verify(directory: Path) -> int:
    """Walk every chain and invariant of a directory; damage is named by file, byte and sequence."""
    from cambist.core.cell import Cell
    from cambist.inspection import walk
    from cambist.log.disk_shell import RealDisk
    from cambist.log.journal import verify as chains
    from cambist.log.mirror_shell import mirror_copy, noted_mirror
    from cambist.warm import warm as make_ready
    disk = RealDisk()
    whole = not chains(disk, f"{directory}/log").findings
    if whole:
        make_ready(_say)
    found = walk(disk, str(directory), Cell(_sizes(directory)) if whole else None, time.perf_counter_ns, mirror_copy(noted_mirror(directory)))
    for line in found.lines:
        _say(line)
    for finding in found.findings:
        _complain(finding)
    _say("whole" if not found.findings else f"{len(found.findings)} findings")
    return 1 if found.findings else 0


@app.command
def upgrade(directory: Path) -> int:
    """Bring the directory of a house whose node does not run to this release: a new epoch begins from its migrated state. By the old release, before: make
    log, results and a snapshot meet, so that nothing is left for the new one to apply."""
    from importlib.metadata import version

    from cambist.upgrade_shell import upgrade as bring
    return bring(directory, version("cambist"), _say)


@app.command
def heal(directory: Path, *, mirror: str = "") -> int:
    """Make the log and its mirror equal while no node runs: every byte of both is read, what is wrong in one is made right from the other.

    Args:
        directory: The house's directory.
        mirror: Where the mirror is; by default where it was when the node last ran.
    """
    from cambist.log.mirror_shell import heal_directory
    compared = heal_directory(directory, mirror)
    for each in (compared, *compared.findings):
        _say(str(each))
    _say("whole, twice" if not compared.findings else f"{len(compared.findings)} findings, all healed; log and mirror are equal")
    return 0


def _sizes(directory: Path) -> dict[str, int]:
    from cambist.changes import running_design
    from cambist.design import read_design
    from cambist.log.disk_shell import RealDisk
    from cambist.run import sizes
    running = running_design(RealDisk(), str(directory))
    return sizes(read_design(running.text, "the running design")) if running else {}


@app.command
def simulate(*, seed: int = 1, seeds: int = 1, commands: int = 2000, faults: str = "all", jobs: int = 1, seconds: float = 1e9, least: int = 0,
             again: int = 0, bug: str = "", design: Path = DEMO) -> int:
    """The whole house in one thread, on virtual disk, network, clock, venues and clients, with faults; 0 only if no promise is broken.

    Args:
        seed: The first seed. A seed, with the other options, says everything that happens.
        seeds: How many seeds, one after the other.
        commands: How many commands each run has before the faults stop.
        faults: all, none, gentle, or names with commas; a minus takes one out, as in all,-rot.
        jobs: Processes that the seeds are spread over.
        seconds: No new seed is begun after so long,
        least: unless fewer than so many were; and fewer at the end are a failure too.
        again: Every so many-th seed runs once more in another process with another PYTHONHASHSEED, and must end in the same hash.
        bug: A planted defect that must be found; `list` prints them.
        design: The desk's design file.
    """
    from cambist.simulation.simulate_shell import run_simulate
    return run_simulate(design, seed=seed, seeds=seeds, commands=commands, faults=faults, jobs=jobs, seconds=seconds, least=least, again=again, bug=bug,
                        say=_say)


@app.command
def bench(what: Literal["core", "log", "door", "rfq", "gateway", "restart"], *, json: FLAG = False, quick: FLAG = False) -> int:
    """Measure core, log, door, rfq, gateway or restart beside its floor in the same run; medians of several runs."""
    from cambist.measure.report import run_bench
    return run_bench(what, as_json=json, quick=quick)


def main() -> None:
    """Errors a person can act on are one line; anything else is our bug and keeps its traceback."""
    from cambist.changes import UnknownKey
    from cambist.credentials import CredentialError
    from cambist.design import DesignError
    from cambist.door.client_shell import RefusedByDoor
    from cambist.door.protocol import ProtocolFault
    from cambist.epochs import WrongRelease
    from cambist.log.checkpoint import NoteError
    from cambist.log.disk import DiskError
    from cambist.log.journal import JournalError
    from cambist.log.segment import Damaged
    from cambist.log.snapshot import SnapshotDamaged, SnapshotError
    from cambist.log.transparency import TransparencyError
    from cambist.node import Broken
    from cambist.ops.story import UnknownSubject
    from cambist.poison import CannotSkip
    from cambist.simulation.faults import UnknownFault
    from cambist.simulation.planted import UnknownBug
    from cambist.supervisor import NotStarted
    from cambist.venues.recorded import RecordedError
    try:
        sys.exit(app())
    except KeyboardInterrupt:
        sys.exit(130)
    except (DesignError, UnknownKey, RecordedError, Damaged, SnapshotDamaged, SnapshotError, Broken, DiskError, JournalError, CannotSkip, WrongRelease,
            RefusedByDoor, ProtocolFault, OSError, UnicodeDecodeError, NotStarted, CredentialError, UnknownSubject, TransparencyError, NoteError, UnknownFault,
            UnknownBug) as fault:
        sys.exit(_complain(f"cambist: {fault}"))


if __name__ == "__main__":
    main()
