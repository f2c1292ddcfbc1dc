"""One entry among many, found without reading what lies before it."""
import pytest

from cambist.log import lookup
from cambist.log.journal import Journal
from cambist.log.lookup import Lookup
from cambist.log.segment import Damaged

from tests.log.crash_disk import CrashDisk
from tests.log.entries import CELL, chain

DIR = "log"


class Counting:
    """A disk that counts the bytes that are read."""
    def __init__(self, disk):
        self._disk, self.bytes = disk, 0

    def __getattr__(self, name):
        return getattr(self._disk, name)

    def open(self, path, *, write=False):
        file, counting = self._disk.open(path, write=write), self

        class File:
            def pread(self, length, offset):
                data = file.pread(length, offset)
                counting.bytes += len(data)
                return data

            def close(self):
                file.close()
        return File()


def written(entries, segment_bytes=1 << 14, close=True):
    disk = CrashDisk()
    journal = Journal.open(disk, DIR, cell=CELL, segment_bytes=segment_bytes)
    for entry in entries:
        journal.propose(entry)
    if close:
        journal.close()
    return disk


@pytest.mark.parametrize("order", [1, -1])
def test_every_sequence_finds_its_entry(order, monkeypatch):
    monkeypatch.setattr(lookup, "INDEX_BYTES", 1000)
    entries = chain(120)
    found = Lookup(written(entries, close=False), DIR, cell=CELL)
    for entry in entries[::order]:
        for sequence in {entry.first_sequence, entry.last_sequence}:
            assert found.find(sequence) == entry
    assert found.find(entries[-1].last_sequence + 1) is None and found.find(0) is None
    assert Lookup(CrashDisk(), "nowhere").find(1) is None


def test_what_was_walked_once_is_not_walked_again(monkeypatch):
    monkeypatch.setattr(lookup, "INDEX_BYTES", 1 << 12)
    monkeypatch.setattr(lookup, "WINDOW_BYTES", 1 << 12)
    monkeypatch.setattr(lookup, "MAX_ENTRY_BYTES", 1 << 12)
    entries = chain(400)
    disk = Counting(written(entries, segment_bytes=8 << 20))
    found = Lookup(disk, DIR)
    last = entries[-1].last_sequence
    assert found.find(last) == entries[-1]
    walked, disk.bytes = disk.bytes, 0
    assert found.find(last) == entries[-1] and disk.bytes < walked / 4


def test_the_indexes_kept_have_a_maximum(monkeypatch):
    monkeypatch.setattr(lookup, "MAX_INDEXED", 3)
    entries = chain(120)
    found = Lookup(written(entries, segment_bytes=1 << 12), DIR)
    for entry in entries:
        assert found.find(entry.first_sequence) == entry
    assert len(found._indexes) == 3


def test_an_entry_that_is_not_what_was_written_is_damage():
    entries = chain(30)
    disk = written(entries)
    victim = entries[4]
    name = next(name for name in disk.names if name.endswith(".cbj"))
    live = bytearray(disk.names[name].live)
    live[live.index(bytes(victim.own_hash)) - 1] ^= 1
    disk.names[name].live = live
    with pytest.raises(Damaged, match=f"sequence {victim.first_sequence}"):
        Lookup(disk, DIR).find(victim.first_sequence)
    assert Lookup(disk, DIR).find(entries[5].first_sequence) == entries[5]      # a hop believes lengths alone
    with pytest.raises(Damaged):
        Lookup(disk, DIR, cell=CELL + 1).find(entries[5].first_sequence)
