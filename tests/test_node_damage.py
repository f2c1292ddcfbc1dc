"""A house whose log was damaged: what somebody knows to be committed is healed from the mirror or refused, and never cut."""
import asyncio
import threading

import numpy as np
import pytest

from cambist import node_shell
from cambist.door.protocol import Code
from cambist.log.disk import DiskFailed, DiskFull
from cambist.log.heads import Heads, Log
from cambist.log.journal import segment_names
from cambist.log.pair import Copy
from cambist.log.segment import Damaged
from cambist.log.snapshot import save
from cambist.log.transparency import Publisher
from cambist.log.witness import Acknowledged, known
from cambist.messages import Kind, command
from cambist.node import Broken, close_node

from tests.log.crash_disk import CrashDisk
from tests.log.published import KEY
from tests.test_node import entries_of, opened, orders

LOG, MIRROR = "house/log", "elsewhere/log"


def mirrored(disk, second, **more):
    return opened(disk, mirror=Copy(second, MIRROR), **more)


def traded(node, count=6):
    for i in range(1, count + 1):
        assert node.submit(orders(i)) is Code.NONE
        node.step(i)
    return node


def last_entry(disk) -> tuple[str, int]:
    """The file, and a byte in the middle of the last entry."""
    path = f"{LOG}/{segment_names(disk, LOG)[-1]}"
    data = bytes(disk.names[path].live)
    return path, data.rfind(b"CBE1") + 160


def rotten(disk) -> CrashDisk:
    disk = disk.after_kill()
    disk.flip(*last_entry(disk))
    return disk


def test_results_are_a_witness_so_a_bad_last_entry_is_refused_and_nothing_changes():
    disk = CrashDisk()
    traded(opened(disk))
    disk = rotten(disk)
    before = bytes(disk.names[last_entry(disk)[0]].live)
    with pytest.raises(Damaged, match="the results knows sequence 6 to be committed: this is rot and no torn tail") as caught:
        opened(disk)
    assert caught.value.sequence == 6 and bytes(disk.names[last_entry(disk)[0]].live) == before and not disk.locks


def test_without_any_witness_it_is_a_torn_tail():
    disk = CrashDisk()
    node = traded(opened(disk), 5)
    node.submit(orders(6))
    node.commit(node.seal(6))                           # durable, and then it died: nobody was told
    disk, said = rotten(disk), []
    assert opened(disk, say=said.append).cell.sequence == 5 and any("cut" in line for line in said)


def test_the_mirror_heals_it_and_says_so():
    disk, second, said = CrashDisk(), CrashDisk(), []
    traded(mirrored(disk, second))
    disk = rotten(disk)
    node = mirrored(disk, second.after_kill(), say=said.append)
    assert node.cell.sequence == 6 and len(entries_of(disk)) == 6
    assert said[0].startswith("the mirror is the longer: it reached sequence 6, the other 5") and "sequence 6: rot" in said[1]
    close_node(node)


def test_a_lost_disk_comes_back_from_the_mirror_with_all_of_its_results():
    disk, second = CrashDisk(), CrashDisk()
    node = traded(mirrored(disk, second))
    whole = node.streams.read(1, 1).events.tobytes()
    close_node(node)
    node = mirrored(CrashDisk(), second)
    assert node.cell.sequence == 6 and node.streams.read(1, 1).events.tobytes() == whole


def test_what_lost_results_need_is_healed_also_before_the_newest_snapshot():
    """A power loss takes results that no sync had made durable; a snapshot of the same entries was. They are made again from the log's beginning."""
    disk, second, said = CrashDisk(), CrashDisk(), []
    node = traded(mirrored(disk, second, segment_bytes=4096), 30)
    assert len(segment_names(disk, LOG)) > 2
    save(disk, "house/snapshots", node.cell.tables(), position=node.log.position, cell=3, results_hash=node.results.position.hash, fingerprint=bytes(32))
    disk = disk.after_kill()
    for name in [name for name in disk.names if "results" in name]:
        del disk.names[name]
    disk.flip(f"{LOG}/{segment_names(disk, LOG)[0]}", 900)
    again = mirrored(disk, second.after_kill(), segment_bytes=4096, say=said.append)
    assert again.cell.sequence == 30 and any("rot" in line for line in said)
    assert again.streams.read(1, 1).events.tobytes() == node.streams.read(1, 1).events.tobytes()


def test_a_mirror_that_fails_stops_the_node_before_anything_is_told():
    disk, second = CrashDisk(), CrashDisk()
    node = traded(mirrored(disk, second))
    second.fail_sync_at = second.syncs + 1
    node.submit(orders(7))
    with pytest.raises(DiskFailed):
        node.step(7)
    assert node.cell.sequence == 6 and node.submit(orders(8)) is Code.STOPPED and "sequence 7" in node.stopped


def test_what_a_gateway_was_told_is_a_witness():
    disk = CrashDisk()
    traded(opened(disk))
    gateway = Acknowledged(disk, "house", "gateway")
    assert gateway.note(6) and not gateway.note(6) and not gateway.note(2)
    gateway.close()
    disk = disk.after_kill()
    for name in [name for name in disk.names if "results" in name]:
        del disk.names[name]
    assert known(disk, "house", snapshot=0, results=0).sequence == 6
    disk.flip(*last_entry(disk))
    with pytest.raises(Damaged, match="the gateway, which was told so, knows sequence 6"):
        opened(disk)


def test_what_was_kept_is_never_lost_by_a_torn_sector():
    disk = CrashDisk()
    gateway = Acknowledged(disk, "house", "gateway")
    for sequence in range(1, 20):
        gateway.note(sequence)
        for sector in (0, 1):
            torn = disk.after_kill()
            live = torn.names["house/acknowledged/gateway.cba"].live
            live[sector * 512 + 40] ^= 1
            again = Acknowledged(torn, "house", "gateway")
            assert again.sequence in (sequence, sequence - 1) and again.note(sequence + 1)
            assert Acknowledged(torn, "house", "gateway").sequence == sequence + 1
    with pytest.raises(ValueError, match="right would be"):
        Acknowledged(disk, "house", "../gateway")


def test_a_signed_head_is_a_witness():
    disk = CrashDisk()
    traded(opened(disk))
    made = Publisher(disk, "house", Log(3, "exchange.example/log", KEY.public_key().public_bytes_raw()), KEY.sign)
    made.step(0)
    made.close()
    assert known(disk, "house", snapshot=0, results=0).who == "the newest signed head"
    heads = Heads.open(disk, "house/transparency")
    assert known(disk, "house", snapshot=0, results=0).sequence == heads.last.position.sequence > 0
    disk.flip("house/transparency/heads.cbh", 600)
    assert known(disk, "house", snapshot=0, results=0).sequence == 0       # whoever publishes says what is wrong with it


def test_a_snapshot_beyond_the_log_is_a_witness():
    disk = CrashDisk()
    node = traded(opened(disk))
    save(disk, "house/snapshots", node.cell.tables(), position=node.log.position, cell=3, results_hash=node.results.position.hash, fingerprint=bytes(32))
    disk = rotten(disk)
    for name in [name for name in disk.names if "results" in name]:
        del disk.names[name]
    with pytest.raises(Damaged, match=r"the journal ends before the snapshot|newest snapshot"):
        opened(disk)


# --- a full and a failing disk ---------------------------------------------------------------------------------------------------------------------

def business(count=1):
    return np.repeat(command(Kind.NET, actor=1), count)


def filled(disk, **more):
    """A node that has just refused new business for want of room."""
    node, sent = opened(disk, reserves=(1 << 15, 1 << 15), **more), 0
    while (code := node.submit(business(20))) is Code.NONE:
        node.step(1)
        sent += 20
        assert sent < 100_000
    assert code is Code.DISK_FULL and node.cell.sequence == sent and not node.stopped
    return node, sent


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("capacity", [1 << 17, (1 << 17) + 7777, 1 << 18])
def test_cancels_go_on_when_new_business_is_refused_for_a_full_disk(capacity, second):
    disk = CrashDisk(capacity=capacity)
    node, sent = filled(disk, **({"mirror": Copy(CrashDisk(), MIRROR)} if second else {}))
    for i in range(60):
        assert node.submit(orders(i)) is Code.NONE and node.submit(business()) is Code.DISK_FULL
        node.step(2)
    assert node.cell.sequence == node.results.position.sequence == sent + 60 and not node.stopped
    assert node.submit(np.concatenate([orders(1), business()])) is Code.DISK_FULL       # not under a cancel's cloak
    disk.capacity = None
    while node.prepare():
        pass
    assert node.submit(business()) is Code.NONE
    node.step(3)
    close_node(node)
    assert opened(disk, reserves=(1 << 15, 1 << 15)).cell.sequence == sent + 61


def test_a_disk_that_is_full_at_the_start_still_takes_cancels():
    disk = CrashDisk(capacity=1 << 17)
    node, sent = filled(disk)
    node = opened(disk.after_kill(), reserves=(1 << 15, 1 << 15))
    assert node.submit(business()) is Code.DISK_FULL
    for i in range(20):
        assert node.submit(orders(i)) is Code.NONE
        node.step(2)
    assert node.cell.sequence == sent + 20


def test_a_house_that_cannot_begin_on_a_full_disk_says_what_to_free_and_ends_in_order(monkeypatch, tmp_path):
    """Found by the simulator, seed 100962: the disk was full after the log was made and before the design's commands were in it."""
    monkeypatch.setattr(node_shell, "_started", lambda node: False)
    node, sent = filled(CrashDisk(capacity=1 << 17))
    with pytest.raises(DiskFull, match="free at least"):
        asyncio.run(node_shell.serve(node, str(tmp_path / "door"), genesis=business(3)))
    assert node.closing and node.cell.sequence == sent
    assert not {"write", "recall"} & {thread.name for thread in threading.enumerate()}
    close_node(node)


def test_when_nothing_is_left_at_all_it_stops_and_says_so():
    disk = CrashDisk(capacity=1 << 17)
    node, sent = filled(disk)
    with pytest.raises(DiskFull):
        while node.submit(orders(1)) is Code.NONE:
            node.step(2)
            sent += 1
        disk.capacity = disk.used()
        raise DiskFull("", 0, 0)
    again = opened(disk.after_kill())
    assert again.cell.sequence >= sent - 1 > 0


@pytest.mark.parametrize("at", range(1, 12))
def test_a_failed_sync_ends_it_at_once_and_is_never_tried_again(at):
    disk = CrashDisk()
    node = opened(disk)
    told = node.cell.sequence
    disk.fail_sync_at = disk.syncs + at
    with pytest.raises(DiskFailed):
        for i in range(40):
            node.submit(orders(*range(30)))
            node.step(i)
            told = node.streams.position
    syncs = disk.syncs
    assert node.submit(orders(1)) is Code.STOPPED and node.streams.position == told and node.cell.sequence <= node.log.position.sequence
    with pytest.raises(Broken):
        node.step(99)
    if "the results" not in node.stopped:               # the log itself failed
        node.log.close()
        assert disk.syncs == syncs
    again = opened(disk.after_power_loss(at))
    assert again.cell.sequence >= told
