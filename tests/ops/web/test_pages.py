"""How numbers and times are written in pages, and that templates escape."""
import pytest
from jinja2 import UndefinedError

from cambist.ops.web.pages import Pages, clock, date, number, signed, words

from tests.ops.web.test_live import ASK


@pytest.mark.parametrize("text, shown", [
    ("1234567.500000", '1,234,567.50<span class="pale">0000</span>'), ("0.52340", '0.5234<span class="pale">0</span>'), ("0", "0"), ("12.3", "12.3"),
    ("-1000.25", "−1,000.25"), ("-0.00100000", '−0.001<span class="pale">00000</span>'), (None, "–"), ("", "–"), (1500, "1,500"), ("<b>", "<b>")])
def test_a_number_keeps_all_its_digits(text, shown):
    assert str(number(text)) == shown


def test_what_is_no_number_is_left_to_be_escaped():
    assert not hasattr(number("<b>"), "__html__")


@pytest.mark.parametrize("text, shown", [("1.5", "+1.5"), ("0.00", "0.00"), ("-2", "−2"), (None, "–")])
def test_more_than_nothing_has_a_plus(text, shown):
    assert str(signed(text)) == shown


def test_times_are_utc():
    at = 1_700_000_000_123_456_789
    assert clock(at).startswith('<time datetime="2023-11-14T22:13:20.123Z"') and ">22:13:20.123<" in clock(at)
    assert ">22:13:20<" in clock(at, 0) and ">2023-11-14 22:13:20<" in date(at)
    assert clock(0) == date(None) == "–"


def test_names_of_the_program_are_words():
    assert str(words("ORDER_CANCELLED")) == "Order cancelled" and str(words("<b>")) == "&lt;b&gt;"


def test_templates_escape_and_miss_nothing():
    pages = Pages("portal", "<b>", "cambist.ops.web", (), lambda name: f"/static/{name}")
    drawn = pages.draw("login.html", ASK, next="/", wrong=None, person='"><x>')
    assert "&lt;b&gt;" in drawn and "<x>" not in drawn
    with pytest.raises(UndefinedError):
        pages.draw("login.html", ASK)
    assert 'data-theme="dark"' in pages.draw("again.html", ASK._replace(cookies={"cambist_theme": "dark"}), next="/", wrong=None)
    assert "data-theme=" not in pages.draw("again.html", ASK._replace(cookies={"cambist_theme": '"><x>'}), next="/", wrong=None).split("<body")[0]
