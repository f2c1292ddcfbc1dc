"""The entry codec: golden bytes, round trips, every fault by name, and every limit reached."""
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, strategies as st

from cambist.log.entry import (
    FRAME_BYTES,
    HEADER,
    MAX_ENTRY_BYTES,
    MAX_RECORDS,
    MAX_SEQUENCE,
    MAX_SIDE_BYTES,
    Entry,
    EntryError,
    Fault,
    SideSection,
    decode,
    scan,
    seal,
    side_item,
)
from cambist.messages import COMMAND, RECORD_BYTES

FIELDS = dict(cell=7, epoch=3, first_sequence=1001, time=1_700_000_000_123_456_789, committed=1000,
              previous_hash=bytes(range(32)), fingerprint=b"\xaa" * 32, results_hash=b"\xbb" * 32)

GOLDEN_HEADER = (
    "43424531" "0100" "0700" "03000000" "02000000" "10000000" "00000000"            # CBE1, version 1, cell 7, epoch 3, 2 records, 16 bytes of side, flags
    "e903000000000000" "15cd853dfe9c9717" "e803000000000000"                        # first sequence 1001, time, committed 1000
    + bytes(range(32)).hex() + "aa" * 32 + "bb" * 32)
GOLDEN_SIDE = "08000000" "626331717a787931" "00000000"                              # 8 bytes: bc1qzxy1, padded to 16
GOLDEN_HASH = "7fc3a21f76da0427ab25fbb6e390c24616e4d7c564353a9d6940e53c412bfecd"


def golden() -> Entry:
    section = SideSection()
    assert section.add(b"bc1qzxy1") == 1
    return seal(**FIELDS, records=b"\x11" * RECORD_BYTES + b"\x22" * RECORD_BYTES, side=bytes(section))


def with_header(data: bytes, *, resealed: bool = True, **changed) -> bytes:
    names = ("magic", "version", "cell", "epoch", "count", "side_length", "flags", "first_sequence", "time", "committed", "previous", "finger", "results")
    fields = dict(zip(names, HEADER.unpack_from(data), strict=True)) | changed
    body = HEADER.pack(*fields.values()) + data[HEADER.size:-32]
    return body + (sha256(body).digest() if resealed else data[-32:])


def test_golden_bytes_of_one_entry():
    entry = golden()
    assert bytes(entry.data).hex() == GOLDEN_HEADER + "11" * 128 + "22" * 128 + GOLDEN_SIDE + GOLDEN_HASH
    assert entry.own_hash.hex() == GOLDEN_HASH == sha256(entry.data[:-32]).hexdigest()
    assert HEADER.size == 144 and MAX_RECORDS == 4094


def test_decode_gives_back_every_field():
    entry = decode(bytes(golden().data))
    assert (entry.cell, entry.epoch, entry.count, entry.first_sequence, entry.last_sequence, entry.committed) == (7, 3, 2, 1001, 1002, 1000)
    assert {name: getattr(entry, name) for name in FIELDS} == FIELDS
    assert bytes(entry.records) == b"\x11" * 128 + b"\x22" * 128 and side_item(entry, 1) == b"bc1qzxy1" and entry == golden()


def test_records_may_be_any_contiguous_buffer():
    rows = np.zeros(3, COMMAND)
    assert bytes(seal(**FIELDS, records=rows).data) == bytes(seal(**FIELDS, records=rows.tobytes()).data) == bytes(
        seal(**FIELDS, records=memoryview(bytearray(384))).data)


@given(st.data())
def test_round_trip(data):
    count = data.draw(st.integers(1, 20))
    records = data.draw(st.binary(min_size=count * RECORD_BYTES, max_size=count * RECORD_BYTES))
    items = data.draw(st.lists(st.binary(max_size=300), max_size=10))
    section = SideSection()
    numbers = [section.add(item) for item in items]
    first = data.draw(st.integers(1, MAX_SEQUENCE - count + 1))
    fields = dict(cell=data.draw(st.integers(0, 0xFFFF)), epoch=data.draw(st.integers(0, 0xFFFF_FFFF)), first_sequence=first,
                  time=data.draw(st.integers(0, MAX_SEQUENCE)), committed=data.draw(st.integers(0, first - 1)),
                  **{name: data.draw(st.binary(min_size=32, max_size=32)) for name in ("previous_hash", "fingerprint", "results_hash")})
    sealed = seal(**fields, records=records, side=bytes(section))
    before, after = data.draw(st.binary(max_size=50)), data.draw(st.binary(max_size=50))
    found = scan(before + bytes(sealed.data) + after, len(before))
    assert found == sealed and bytes(found.records) == records
    assert [side_item(found, number) for number in numbers] == items


@given(st.binary(max_size=2000), st.integers(0, 2100), st.booleans())
def test_scan_of_arbitrary_bytes_is_an_entry_or_a_fault(junk, offset, framed):
    assert isinstance(scan(b"CBE1\1\0" * framed + junk, offset), (Entry, Fault))


@given(st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES + 4 * RECORD_BYTES))
def test_scan_of_bytes_with_a_right_hash_is_an_entry_or_a_fault(body):
    body = b"CBE1\1\0" + body[6:12] + bytes([body[12] % 3, 0, 0, 0, body[16] % 24, 0, 0, 0]) + bytes(4) + body[24:]
    assert isinstance(scan(body + sha256(body).digest()), (Entry, Fault))


def test_every_flipped_bit_is_a_fault():
    data = bytearray(golden().data)
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        assert isinstance(scan(bytes(data)), Fault), f"bit {bit}"
        data[bit // 8] ^= 1 << bit % 8


def test_every_shorter_prefix_is_short():
    data = bytes(golden().data)
    assert all(scan(data[:n]) is Fault.SHORT for n in range(len(data)))


@pytest.mark.parametrize("fault, changed", [
    (Fault.MAGIC, dict(magic=b"CBE2")), (Fault.VERSION, dict(version=2)), (Fault.VERSION, dict(version=0)), (Fault.FLAGS, dict(flags=2)),
    (Fault.FLAGS, dict(flags=1 << 31)), (Fault.LENGTH, dict(count=0)), (Fault.LENGTH, dict(count=MAX_RECORDS + 1)), (Fault.LENGTH, dict(side_length=9)),
    (Fault.LENGTH, dict(side_length=0xFFFF_FFF8)), (Fault.SHORT, dict(count=3)), (Fault.RANGE, dict(first_sequence=0, committed=0)),
    (Fault.RANGE, dict(first_sequence=MAX_SEQUENCE)), (Fault.RANGE, dict(time=-1)), (Fault.RANGE, dict(committed=1001)), (Fault.RANGE, dict(committed=-1)),
])
def test_a_fault_is_named_even_under_a_right_hash(fault, changed):
    data = with_header(bytes(golden().data), **changed)
    assert scan(data) is fault
    with pytest.raises(EntryError, match=fault.name) as caught:
        decode(data)
    assert caught.value.fault is fault


def test_a_wrong_hash_is_a_fault():
    assert scan(with_header(bytes(golden().data), resealed=False, time=5)) is Fault.HASH


def test_decode_refuses_what_follows_the_entry():
    with pytest.raises(EntryError, match="3 bytes follow"):
        decode(bytes(golden().data) + b"abc")


def test_scan_refuses_a_negative_offset():
    with pytest.raises(ValueError, match="0 or more"):
        scan(b"", -1)


@pytest.mark.parametrize("changed, said", [
    (dict(cell=-1), "cell"), (dict(cell=1 << 16), "cell"), (dict(epoch=1 << 32), "epoch"), (dict(first_sequence=0), "first_sequence"),
    (dict(first_sequence=1 << 63), "first_sequence"), (dict(time=-1), "time"), (dict(committed=1001), "committed: 1001; right would be 0 to 1000"),
    (dict(previous_hash=b"x"), "previous_hash: 1 bytes"), (dict(fingerprint=b""), "fingerprint"), (dict(results_hash=bytes(33)), "results_hash"),
    (dict(records=b""), "records: 0 bytes"), (dict(records=bytes(129)), "129 bytes"), (dict(side=bytes(7)), "multiple of 8"),
])
def test_what_cannot_be_sealed_is_refused_by_name(changed, said):
    with pytest.raises(EntryError, match=said):
        seal(**({**FIELDS, "records": bytes(RECORD_BYTES)} | changed))


def test_the_most_records_fit_and_one_more_does_not():
    entry = seal(**FIELDS, records=bytes(MAX_RECORDS * RECORD_BYTES))
    assert decode(bytes(entry.data)).count == MAX_RECORDS
    with pytest.raises(EntryError, match=f"1 to {MAX_RECORDS} records"):
        seal(**FIELDS, records=bytes((MAX_RECORDS + 1) * RECORD_BYTES))


def test_the_largest_side_section_fits_and_a_larger_is_refused():
    section = SideSection()
    section.add(bytes(MAX_SIDE_BYTES - 16 - 4))
    section.add(b"12345678901")
    assert section.nbytes == MAX_SIDE_BYTES - MAX_SIDE_BYTES % 8
    entry = seal(**FIELDS, records=bytes(RECORD_BYTES), side=bytes(section))
    assert MAX_ENTRY_BYTES - 8 < len(entry.data) <= MAX_ENTRY_BYTES and decode(bytes(entry.data)) == entry
    with pytest.raises(EntryError, match="the most is"):
        section.add(b"")
    with pytest.raises(EntryError, match=f"the most is {MAX_ENTRY_BYTES}"):
        seal(**FIELDS, records=bytes(2 * RECORD_BYTES), side=bytes(section))


@pytest.mark.parametrize("side", [-1, 0, 2, 3, 1 << 40])
def test_a_side_number_that_names_no_item_is_refused(side):
    with pytest.raises(EntryError, match="side number"):
        side_item(golden(), side)


def test_a_side_item_longer_than_its_section_is_refused():
    entry = seal(**FIELDS, records=bytes(RECORD_BYTES), side=b"\xff\0\0\0" + bytes(12))
    with pytest.raises(EntryError, match="no whole, zero-padded item"):
        side_item(entry, 1)
