"""What is asked about the log: the running design, one record, the times; looked up in the files of a real house."""
import msgspec
import pytest

from cambist import archive
from cambist.changes import Designs
from cambist.door.client import attach
from cambist.feeds.views import BadArgument
from cambist.log.times import Times
from cambist.messages import Event, Kind, command
from cambist.node import close_node

from tests.process.house_on_disk import INSTRUMENT, KEY, NAMES, SECOND, TEXT, HouseOnDisk, begun
from tests.test_changes import LESS, MORE, applied, approved, held_row


def recalled(house, view, **argument):
    return msgspec.json.decode(house.node.recall(view, msgspec.json.encode(argument))[1])


def halt(house, **fields):
    house.ids += 1
    return command(Kind.HALT, actor=KEY["ines"], id_hi=1, id_lo=house.ids, expires=house.now + 30 * SECOND, **fields)


def test_the_design_in_force_is_told_and_read_again_only_when_it_may_have_changed():
    house, reads = HouseOnDisk(), []
    running = house.node.archive._designs.running
    house.node.archive._designs.running = lambda: reads.append(0) or running()
    first = recalled(house, "design")
    assert first == {"text": TEXT, "names": NAMES, "sequence": house.node.log.position.sequence}
    house.ask(halt(house, instrument=1))
    assert recalled(house, "design") == first and len(reads) == 1
    applied(house, LESS)
    assert recalled(house, "design") == first and len(reads) == 2
    assert approved(house, held_row(house)[0]) == "done"
    assert recalled(house, "design")["text"] == LESS and len(reads) == 3
    assert recalled(house, "design")["text"] == LESS and len(reads) == 3


def test_the_log_is_read_once_whatever_comes_after():
    house = HouseOnDisk()
    designs = Designs(house.disk, "house")
    assert designs.running().text == TEXT
    applied(house, MORE)
    assert designs.running().text == TEXT
    first, second = held_row(house)
    assert approved(house, second) == "done" and designs.running().text == TEXT
    stood = designs._replay.position.sequence
    assert approved(house, first) == "done" and designs.running().text == MORE and designs._replay.position.sequence > stood
    applied(house, TEXT, first=901)
    for row in held_row(house):
        approved(house, row, first=5001)
    assert designs.running().text == TEXT and designs.running().sequence > stood
    again = Designs(house.disk, "house")
    assert again.running() == designs.running()
    designs.close()
    again.close()


def test_where_nothing_was_started_there_is_no_design():
    house = HouseOnDisk()
    empty = archive.Archive(house.disk, "elsewhere", cell=1)
    assert msgspec.json.decode(empty.view("design", b"", 0)) == {"text": "", "names": {}, "sequence": 0}
    assert msgspec.json.decode(empty.view("record", b'{"sequence": 1}', 9))["known"] is False
    assert msgspec.json.decode(empty.view("times", b'{"first": 1}', 0)) == {"times": []}


def test_a_record_is_told_with_its_fields_attachment_events_and_stamps():
    house = HouseOnDisk()
    name = next(iter(INSTRUMENT))
    section, [number] = attach(["why: é".encode()])
    events = house.ask(halt(house, instrument=INSTRUMENT[name], attachment=number, received=77), section)
    sequence = house.node.log.position.sequence
    house.node.archive.stamps.add((sequence, 1, house.now, 10, 20, 30, 40))
    told = recalled(house, "record", sequence=sequence)
    assert told["known"] and told["kind"] == "HALT" and told["time"] == house.now and told["sequence"] == sequence and told["more"] is False
    assert told["fields"]["instrument"] == INSTRUMENT[name] and told["fields"]["received"] == 77 and told["fields"]["actor"] == KEY["ines"]
    assert (told["attachment"], told["attachment_hex"]) == ("why: é", None)
    assert told["stamps"] == {"sealed": 10, "durable": 20, "applied": 30, "told": 40}
    assert [event["kind"] for event in told["events"]] == events["kind"].tolist() and told["events"][0]["sequence"] == sequence
    genesis = recalled(house, "record", sequence=1)
    assert genesis["kind"].startswith("CONFIGURE") and genesis["attachment"] is None and genesis["stamps"] is None
    assert Event.DONE in [event["kind"] for event in genesis["events"]]


def test_what_is_no_text_is_told_in_hexadecimal():
    house = HouseOnDisk()
    section, [number] = attach([b"\xff\x00"])
    house.ask(halt(house, instrument=1, attachment=number), section)
    told = recalled(house, "record", sequence=house.node.log.position.sequence)
    assert (told["attachment"], told["attachment_hex"]) == (None, "ff00")


def test_a_record_not_yet_applied_is_not_known():
    house = HouseOnDisk()
    beyond = house.node.log.position.sequence + 1
    assert house.node.submit(halt(house, instrument=1)) == 0
    house.node.commit(house.node.seal(house.now + 1))   # durable, and nobody was told
    for sequence in (0, -1, beyond, beyond + 1):
        assert recalled(house, "record", sequence=sequence)["known"] is False
    with pytest.raises(BadArgument):
        recalled(house, "record")


def test_the_first_records_are_found_after_a_restart():
    house = HouseOnDisk()
    last = house.node.log.position.sequence
    before = [recalled(house, "record", sequence=sequence) for sequence in (1, last // 2, last)]
    close_node(house.node)
    house.node = begun(house.disk)
    assert [recalled(house, "record", sequence=sequence) for sequence in (1, last // 2, last)] == before


def test_events_of_one_record_have_a_maximum(monkeypatch):
    monkeypatch.setattr(archive, "MAX_EVENTS", 0)
    house = HouseOnDisk()
    told = recalled(house, "record", sequence=1)
    assert told["events"] == [] and told["more"] is True


def test_times_come_from_memory_or_else_from_the_files():
    house = HouseOnDisk()
    kept = Times(house.disk, "house")
    rows = [(10 * i, 10, i, 100 * i, 100 * i + 1, 100 * i + 2, 100 * i + 3) for i in range(1, 61)]
    kept.append(rows[:50])
    house.node.archive.stamps = archive.Stamps(most=21)
    for row in rows[40:]:
        house.node.archive.stamps.add(row)
    assert recalled(house, "times", first=425, count=2)["times"] == [list(row) for row in rows[41:43]]
    assert recalled(house, "times", first=35, count=2)["times"] == [list(row) for row in rows[2:4]]
    assert recalled(house, "times", count=3)["times"] == [list(row) for row in rows[57:]]
    for count in (0, -1, archive.MAX_TIMES + 1):
        with pytest.raises(BadArgument, match="right would be"):
            recalled(house, "times", first=1, count=count)
