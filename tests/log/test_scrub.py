"""The scrub: rot in what is no longer written is found within a round, named, and healed where a mirror has it."""
from types import SimpleNamespace

import pytest

from cambist.log.journal import segment_names
from cambist.log.results import Results
from cambist.log.scrub import Scrub
from cambist.log.segment import Damaged
from cambist.messages import EVENT_BYTES
from cambist.node import Broken
from cambist.run import Following

from tests.log.entries import CELL, chain
from tests.log.two_copies import LOG, MIRROR, TwoDisks, written

DAY = 24 * 3_600_000_000_000


def a_round(scrub: Scrub, now: int) -> tuple[int, list]:
    """Steps, a tenth of a second each, until the round is over; when that was, and what was found."""
    rounds, found = scrub.rounds, []
    while scrub.rounds == rounds:
        found += scrub.step(now)
        now += 10**8
    return now, found


def live() -> TwoDisks:
    """A log whose last segment is still open."""
    disks = written(chain(60), closed=False)
    results = Results.open(disks.first, "house/results", cell=CELL, file_bytes=1024)
    for sequence in range(1, 30):
        results.append(sequence, sequence, sequence, bytes(2 * EVENT_BYTES))
    results.close()
    return disks


def test_every_closed_file_is_read_once_a_day():
    disks = live()
    scrub = Scrub(disks.first, "house", disks.copies[1], cell=CELL)
    now, found = a_round(scrub, 5)
    results = [name for name in disks.first.names if name.endswith(".cbr")]
    assert found == [] and scrub.files == len(disks.files(0)) - 1 + len(results) - 1 > 8
    assert scrub.step(now + DAY - 10**12) == [] and scrub.files == len(disks.files(0)) + len(results) - 2
    later, found = a_round(scrub, now + DAY)
    assert scrub.rounds == 2 and later > now


@pytest.mark.parametrize("side", [0, 1])
def test_rot_is_healed_while_the_log_goes_on(side):
    disks = live()
    copy = disks.copies[side]
    before = disks.files(0)
    path = f"{copy.directory}/{segment_names(copy.disk, copy.directory)[2]}"
    copy.disk.flip(path, 700, 3)
    opened = f"{LOG}/{segment_names(disks.first, LOG)[-1]}"
    disks.first.flip(opened, 600)                       # what is open is not the scrub's to judge
    _, found = a_round(Scrub(disks.first, "house", disks.copies[1], cell=CELL), 0)
    (finding,) = found
    assert (finding.file, finding.offset, finding.healed) == (path, 512, True) and "rot" in str(finding)
    disks.first.flip(opened, 600)
    assert disks.files(0) == disks.files(1) == before


@pytest.mark.parametrize("fault", [Damaged("house/log/x", 512, 1, "rot"), Broken("no decision can be read"), ValueError("a bug")])
@pytest.mark.parametrize("mirrored", [True, False])
def test_who_follows_heals_what_stops_it(fault, mirrored):
    """So that who begins again finds it whole; where nothing can be healed, not everything is read each time it is started again."""
    disks, said = live(), []
    name = segment_names(disks.first, LOG)[1]
    disks.first.flip(f"{LOG}/{name}", 700)

    def stops(now: int):
        raise fault
    scrub = Scrub(disks.first, "house", disks.copies[1] if mirrored else None, cell=CELL)
    with pytest.raises(type(fault)) as told:
        Following(SimpleNamespace(step=stops), SimpleNamespace(step=stops), scrub, said.append).step(5)
    assert told.value is fault
    healed = not isinstance(fault, ValueError) and mirrored
    assert [line.startswith("HEALED: ") and name in line for line in said] == [True] * healed
    assert (scrub.files > 0) is healed and (disks.files(0) == disks.files(1)) is healed


def test_rot_without_a_mirror_or_in_both_is_named_and_left_as_it_is():
    for mirror in (None, MIRROR):
        disks = live()
        name = segment_names(disks.first, LOG)[1]
        for copy in disks.copies:
            copy.disk.flip(f"{copy.directory}/{name}", 700, 3)
        before = disks.files(0)
        _, found = a_round(Scrub(disks.first, "house", disks.copies[1] if mirror else None, cell=CELL), 0)
        assert [(f.file, f.offset, f.healed) for f in found] == [(f"{LOG}/{name}", 512, False)] and disks.files(0) == before


def test_rot_in_the_results_is_named():
    disks = live()
    path = sorted(name for name in disks.first.names if name.endswith(".cbr"))[2]
    disks.first.flip(path, 700)
    _, found = a_round(Scrub(disks.first, "house", cell=CELL), 0)
    assert [f.file for f in found] == [path] and found[0].sequence == int(path[-24:-4])


def test_it_reads_no_faster_than_it_may():
    disks = live()
    scrub = Scrub(disks.first, "house", disks.copies[1], cell=CELL, bytes_per_second=4096)
    begun = scrub.files
    for now in range(0, 5 * 10**9, 10**8):
        scrub.step(now)
    assert 2 <= scrub.files - begun <= 5                # a segment of 4 KiB in two copies takes two seconds
