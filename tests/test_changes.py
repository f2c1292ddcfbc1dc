"""`cambist apply` without a socket: which commands a changed file becomes, who must say yes, and which design runs after it."""
import hashlib

import msgspec
import pytest

from cambist.changes import UnknownKey, approval, key_number, plan, running_design, send, state_differs
from cambist.design import DesignError, read_design
from cambist.log.journal import JournalError
from cambist.messages import Event, Kind, Reason
from cambist.node import close_node

from tests.log.crash_disk import CrashDisk
from tests.process.house_on_disk import ACCOUNT, ASSET, INSTRUMENT, KEY, SECOND, TEXT, HouseOnDisk, kinds, opened

K = Kind
LESS = TEXT.replace('max_quantity = "2000000"', 'max_quantity = "1000000"')             # one command: CONFIGURE_LIMITS
MORE = LESS.replace("max_ttl = \"60s\"", "max_ttl = \"20s\"")                           # and CONFIGURE_CELL


def planned(house, text, key="mara-config", first=900):
    running = running_design(house.disk, "house")
    return plan(running, text, "new.toml", key=key, first_id=first, expires=house.now + 30 * SECOND)


def applied(house, text, key="mara-config", first=900):
    records, side = planned(house, text, key, first)
    return send(records, side, house.ask)


def held_row(house) -> dict:
    import msgspec
    return msgspec.json.decode(house.node.view("held", b"")[1])["held"]


def approved(house, row, key="ines", first=5000):
    record = approval(row["id"], bytes.fromhex(row["record"]), actor=KEY[key], id_hi=first, id_lo=row["id"], expires=house.now + SECOND)
    return send([record], b"", house.ask)[0].outcome


def test_nothing_started_nothing_runs():
    assert running_design(CrashDisk(), "house") is None
    disk = CrashDisk()
    close_node(opened(disk))
    assert running_design(disk, "house") is None        # opened, and never configured


def test_the_genesis_is_the_running_design_and_the_same_file_changes_nothing():
    house = HouseOnDisk()
    running = running_design(house.disk, "house")
    assert running.text == TEXT and running.sequence == house.node.log.position.sequence
    assert planned(house, TEXT) == ([], b"") and planned(house, TEXT + "\n# a remark\n") == ([], b"")
    assert state_differs(running, read_design(TEXT, "same")) == ""
    assert state_differs(running, read_design(MORE, "more")) == "2 commands: configure_cell, configure_limits"


def test_a_change_waits_for_another_person_and_runs_after_their_yes():
    house = HouseOnDisk()
    [change] = applied(house, LESS)
    assert change.kind == "configure_limits" and change.outcome.startswith("held") and change.held
    assert running_design(house.disk, "house").text == TEXT                 # not before
    [row] = held_row(house)
    assert row["id"] == change.held and row["sha256"] == hashlib.sha256(bytes.fromhex(row["record"])).hexdigest()
    assert approved(house, row) == "done"
    running = running_design(house.disk, "house")
    assert running.text == LESS and state_differs(running, read_design(LESS, "less")) == "" and held_row(house) == []


def test_the_same_person_may_not_say_yes_nor_a_program():
    house = HouseOnDisk()
    applied(house, LESS)
    [row] = held_row(house)
    assert approved(house, row, "mara") == "refused NOT_ALLOWED"            # operations may deny, not approve
    assert approved(house, row, "custodian") == "refused NOT_ALLOWED"
    assert running_design(house.disk, "house").text == TEXT


def test_one_who_is_risk_and_engineer_is_refused_for_being_the_same_person():
    text = TEXT.replace("[keys.ada]", '[keys.ines-config]\nrole = "engineer"\nperson = "ines"\n\n[keys.ada]').replace(
        '[people.ines]\nroles = ["risk"]', '[people.ines]\nroles = ["risk", "engineer"]')
    house = HouseOnDisk()
    changes = applied(house, text)
    assert [c.kind for c in changes] == ["configure_actor"]
    [row] = held_row(house)
    assert approved(house, row, "oskar") == "done"
    applied(house, text.replace('max_quantity = "2000000"', 'max_quantity = "1000000"'), "ines-config", 950)
    [row] = held_row(house)
    names = running_design(house.disk, "house").names["actors"]
    record = approval(row["id"], bytes.fromhex(row["record"]), actor=names["ines"], id_hi=6000, id_lo=1, expires=house.now + SECOND)
    assert send([record], b"", house.ask)[0].outcome == "refused SAME_PERSON"


def test_an_approval_of_other_bytes_is_refused():
    house = HouseOnDisk()
    applied(house, LESS)
    [row] = held_row(house)
    shown = bytearray.fromhex(row["record"])
    shown[100] ^= 1
    assert approved(house, row | {"record": shown.hex()}) == "refused WRONG_DIGEST"


def test_of_two_commands_the_design_runs_when_both_are_approved():
    house = HouseOnDisk()
    assert [c.outcome[:4] for c in applied(house, MORE)] == ["held", "held"]
    first, second = held_row(house)
    assert approved(house, first) == "done" and running_design(house.disk, "house").text == TEXT
    assert approved(house, second) == "done" and running_design(house.disk, "house").text == MORE


def test_a_design_of_which_a_part_was_denied_does_not_run():
    house = HouseOnDisk()
    applied(house, MORE)
    first, second = held_row(house)
    denied = house.do(K.DENY, "ines", held=first["id"])
    assert Event.DENIED in kinds(denied) and approved(house, second) == "done"
    assert running_design(house.disk, "house").text == TEXT


def test_a_key_without_the_right_is_refused_and_the_rest_is_not_sent():
    house = HouseOnDisk()
    [change] = applied(house, MORE, "ada")
    assert change.outcome == f"refused {Reason.NOT_ALLOWED.name}"
    assert running_design(house.disk, "house").text == TEXT


def test_nothing_heard_is_unknown_and_stops():
    house = HouseOnDisk()
    records, side = planned(house, MORE)
    [change] = send(records, side, lambda record, attachments: None)
    assert change.outcome.startswith("unknown") and len(records) == 2


FINER = TEXT.replace('lot = "0.1"\nbook_tick = "0.0001"\nquote_tick = "0.00001"', 'lot = "0.01"\nbook_tick = "0.00001"\nquote_tick = "0.000005"')


def instrument_row(house, name="XRP/USD"):
    _, columns, rows = house.node.cell.tables(("instruments",))["instruments"]
    return dict(zip(columns, rows[running_design(house.disk, "house").names["instruments"][name] - 1].tolist(), strict=True))


def test_other_ticks_and_lots_take_effect_while_the_instrument_is_halted():
    house = HouseOnDisk()
    [change] = applied(house, FINER)
    assert change.kind == "change_terms" and change.outcome == "refused NOT_HALTED"
    house.do(K.HALT, "ines", instrument=INSTRUMENT["XRP/USD"], cancel=1)
    house.do(K.CANCEL_ALL, "ines", "b2")                                    # any command works the sweep on
    [change] = applied(house, FINER, first=950)
    assert change.outcome.startswith("held")
    [row] = held_row(house)
    assert approved(house, row) == "done" and running_design(house.disk, "house").text == FINER
    after = instrument_row(house)
    assert (after["lot"], after["book_tick"], after["quote_tick"], after["max_price"]) == (10_000, 2, 1, 4_000_000)
    assert planned(house, FINER) == ([], b"")


def test_what_was_approved_and_refused_when_it_came_to_it_does_not_run():
    house = HouseOnDisk()
    house.do(K.HALT, "ines", instrument=INSTRUMENT["XRP/USD"], cancel=1)
    house.do(K.CANCEL_ALL, "ines", "b2")
    [change] = applied(house, FINER)
    assert change.outcome.startswith("held")
    [row] = held_row(house)
    resume = house.do(K.RESUME, "ines", instrument=INSTRUMENT["XRP/USD"])
    waiting = next(each for each in held_row(house) if each["id"] != row["id"])
    assert Event.HELD in kinds(resume) and approved(house, waiting, "oskar") == "done"
    approved(house, row, "oskar", first=7000)
    assert instrument_row(house)["lot"] == 100_000 and running_design(house.disk, "house").text == TEXT


def test_more_digits_take_effect_on_a_disabled_asset_and_every_amount_stays_what_it_was():
    house = HouseOnDisk()
    house.do(K.DEPOSIT, "custodian", "acme", custody=ACCOUNT["xrp-wallet"], asset=ASSET["XRP"], amount=5_000_000)
    off = TEXT.replace("[assets.XRP]\ndigits = 6", "[assets.XRP]\nenabled = false\ndigits = 6")
    applied(house, off)
    [row] = held_row(house)
    assert approved(house, row) == "done"
    house.do(K.HALT, "ines", instrument=INSTRUMENT["XRP/USD"], cancel=1)
    house.do(K.CANCEL_ALL, "ines", "b2")
    finer = off.replace("enabled = false\ndigits = 6", "enabled = false\ndigits = 8")
    [change] = applied(house, finer, first=950)
    assert change.kind == "change_digits"
    [row] = held_row(house)
    assert approved(house, row, first=5100) == "done" and running_design(house.disk, "house").text == off, "begun, and not in force"
    for _ in range(12):
        house.do(K.CANCEL_ALL, "ines", "b2")
    assert running_design(house.disk, "house").text == finer
    account = next(b for b in msgspec.json.decode(house.node.view("account", b'{"account":%d}' % ACCOUNT["acme"])[1])["balances"] if b["asset"] == ASSET["XRP"])
    assert account["available"] == 500_000_000 and instrument_row(house)["lot"] == 10_000_000
    assert state_differs(running_design(house.disk, "house"), read_design(finer, "same")) == ""


def test_wrong_keys_and_wrong_files_say_so():
    house = HouseOnDisk()
    with pytest.raises(UnknownKey, match=r"no key 'nobody'.*mara-config"):
        key_number(running_design(house.disk, "house"), "nobody")
    with pytest.raises(DesignError, match=r"new\.toml"):
        planned(house, TEXT.replace("digits = 8", "digits = 99"))
    with pytest.raises(DesignError, match="digits"):
        planned(house, TEXT.replace("[assets.XRP]\ndigits = 6", "[assets.XRP]\ndigits = 5"))


def test_the_running_design_is_the_same_after_a_restart():
    house = HouseOnDisk()
    applied(house, LESS)
    [row] = held_row(house)
    approved(house, row)
    close_node(house.node)
    with pytest.raises(JournalError):
        house.node.log.room()
    node = opened(house.disk)
    assert running_design(house.disk, "house").text == LESS
    assert [e for e in kinds(house.everything()) if e is Event.APPROVED] and node.cell.sequence == house.node.cell.sequence
