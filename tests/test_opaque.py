"""Ids outside: text and back, and nothing that can be guessed."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.opaque import KIND_OF, PREFIXES, BadId, Opaque

OURS = Opaque(bytes(range(16)))
IDS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(IDS, st.sampled_from(sorted(PREFIXES)))
def test_an_id_comes_back_as_it_went_out(number, kind):
    text = OURS.text(kind, number)
    assert OURS.number(kind, text) == number and OURS.read(text) == (kind, number)
    assert text.partition("_")[0] == PREFIXES[kind] and len(text) == 30


@given(IDS)
def test_neighbours_have_nothing_in_common(number):
    near = OURS.text("order", number ^ 1)
    same = sum(a == b for a, b in zip(OURS.text("order", number)[4:], near[4:], strict=True))
    assert same < 13                                    # of 26; by chance about one


@given(IDS, st.integers(4, 29), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_letter_is_no_id(number, at, letter):
    text = OURS.text("quote", number)
    changed = text[:at] + letter + text[at + 1:]
    assert OURS.read(changed) == (("quote", number) if changed == text else None)


@pytest.mark.parametrize("text", ["", "ord_", "ord_" + "a" * 26, "xyz_" + "a" * 26, "ord_" + "ß" * 26, "ord_" + "1" * 26, "12345", "ord-" + "a" * 26, "a" * 99])
def test_what_we_never_gave_is_refused(text):
    assert OURS.read(text) is None
    with pytest.raises(BadId, match="order id"):
        OURS.number("order", text)


def test_the_id_of_another_kind_or_house_is_refused():
    for kind in KIND_OF.values():
        if kind != "order":
            with pytest.raises(BadId):
                OURS.number("order", OURS.text(kind, 7))
    with pytest.raises(BadId):
        OURS.number("order", "ord" + OURS.text("quote", 7)[3:])
    with pytest.raises(BadId):
        OURS.number("order", Opaque(bytes(16)).text("order", 7))


def test_upper_case_is_not_another_name_of_the_same():
    assert OURS.read(OURS.text("order", 7).upper()) is None


def test_a_key_has_sixteen_bytes():
    with pytest.raises(ValueError, match="16"):
        Opaque(b"short")
