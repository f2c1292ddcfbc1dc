"""Golden bytes: what a command and an event are on the wire, written out. A change here is a change of the published wire."""
import numpy as np

from cambist.messages import EVENT, EVENT_BYTES, HEAD_BYTES, LAYOUT, RECORD_BYTES, Event, Kind, Reason, command

HEAD = "1e000200" "02000000" "0a000000" "03000000" "07000000" "00000000" "0100000000000000" "0200000000000000" "0300000000000000" "0400000000000000"


def order(**fields):
    return command(Kind.NEW_ORDER, flags=2, instrument=2, account=10, actor=3, decider=7, id_hi=1, id_lo=2, received=3, expires=4, **fields).tobytes().hex()


def test_a_plain_order_is_what_it_always_was():
    words = "0100010301000000" + "808d5b0000000000" + "00e1f50500000000" + "00" * 48
    assert order(side=1, order_type=0, time_in_force=1, self_trade=3, post_only=1, price=6_000_000, quantity=10**8) == HEAD + words


def test_an_order_with_everything():
    words = ("0001040202030103" + "808d5b0000000000" + "00e1f50500000000" + "c8af000000000000" + "8096980000000000" + "0100000000000000" + "ffffffffffffff7f"
             + "f6ffffffffffffff" + "0300000000000000")
    assert order(side=0, order_type=1, time_in_force=4, self_trade=2, post_only=2, trigger=3, trigger_on=1, options=3, price=6_000_000, quantity=10**8,
                 trigger_price=45_000, display=10_000_000, minimum=1, good_till=2**63 - 1, offset=-10, link=3) == HEAD + words


def test_every_layout_is_a_whole_record():
    for kind, layout in LAYOUT.items():
        assert layout.itemsize == RECORD_BYTES and all(HEAD_BYTES <= layout.fields[n][1] < RECORD_BYTES for n in (layout.names or ())[11:]), kind


def test_an_event():
    row = np.zeros(1, EVENT)
    fields = {"kind": Event.SESSION_CHANGED, "reason": Reason.BAND, "instrument": 2, "sequence": 9, "id": 3, "price": 6_000_000, "amount": 77}
    for name, value in fields.items():
        row[name] = value
    assert row.itemsize == EVENT_BYTES
    assert row.tobytes().hex() == ("2900" "5800" "00" "00" "0000" "00000000" "02000000" "0900000000000000" "0300000000000000" + "00" * 8 + "808d5b0000000000"
                                   + "00" * 16 + "4d00000000000000" + "00" * 24)
