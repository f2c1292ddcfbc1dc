"""A design is read whole or not at all, and whatever is wrong is told by the path of its key."""
import copy
import pickle
import tomllib
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from cambist.design import KINDS, DesignError, accounts, build_design, join, kinds, read_design, terms, units_of
from cambist.messages import CONFIGURE, Kind
from cambist.sections import Capacity, Design
from cambist.units import DOWN, amount, parse_price, parse_units

TEXT = (Path(__file__).parents[1] / "desks" / "demo.toml").read_text()
DATA = tomllib.loads(TEXT)
PICKLED = pickle.dumps(DATA)


def keys(value, at=()):
    """Every key of every table, as the steps that lead to it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*at, key)
        yield from keys(inner, (*at, key))


def path(at) -> str:
    told = "$"
    for key in at:
        told = join(told, key)
    return told


def changed(at, change):
    """The demo with one place changed: change(table, key)."""
    data = pickle.loads(PICKLED)
    table = data
    for key in at[:-1]:
        table = table[key]
    change(table, at[-1])
    return data


def put(value):
    return lambda table, key: table.__setitem__(key, value)


def faults(data) -> dict[str, str]:
    with pytest.raises(DesignError) as told:
        build_design(data)
    return dict(told.value.faults)


def mistypes(value):
    if isinstance(value, bool):
        return [1, "true", -1, [], {}]
    if isinstance(value, int):
        return [str(value), -1, [value], 1.5, {}, True, 2**70]
    if isinstance(value, str):
        return [7, "-1", [value], {}, True, 1.5, "", "nan", "9" * 70, "1e400"]
    return [7, "x", -1, True, [[]], [7], {"x": 7}] + ([{}] if isinstance(value, list) else [[]])


EVERY = list(keys(DATA))


@pytest.mark.parametrize("at", EVERY, ids=path)
def test_a_key_removed_or_mistyped_is_told_by_its_path_or_is_optional(at):
    value = DATA
    for key in at:
        value = value[key]
    for change in (lambda table, key: table.pop(key), *(put(wrong) for wrong in mistypes(value))):
        try:
            assert isinstance(build_design(changed(at, change)), Design)
        except DesignError as error:
            assert path(at) in str(error), f"{path(at)} is not in:\n{error}"


def test_the_demo_has_every_section():
    assert set(DATA) == {f.name for f in msgspec.structs.fields(Design)}


def test_the_demo_in_integers():
    design = read_design(TEXT, "demo")
    btc, xrp = terms(design, "BTC/USD"), terms(design, "XRP/USD")
    assert (btc.lot, btc.book_tick, btc.quote_tick, btc.amount_num, btc.amount_den) == (10_000, 5, 1, 1, 1000)
    assert amount(units_of(design, "BTC", "0.5"), parse_price("46000.5", btc.price_increment), btc.amount_num, btc.amount_den, DOWN) == 23_000_250_000
    assert amount(units_of(design, "XRP", "1000"), parse_price("1.95315", xrp.price_increment), xrp.amount_num, xrp.amount_den, DOWN) == 1_953_150_000


@given(st.integers(0, 12), st.integers(0, 12), st.sampled_from(["1", "0.5", "0.001", "0.25", "5", "10.0"]), st.integers(1, 10**6), st.integers(1, 10**6))
def test_an_amount_is_quantity_times_price_exactly(base, quote, increment, quantity, price):
    data = copy.deepcopy(DATA)
    data["assets"]["A"], data["assets"]["B"] = {"digits": base}, {"digits": quote}
    data["instruments"]["A/B"] = {"base": "A", "quote": "B", "lot": "1", "book_tick": increment, "quote_tick": increment, "min_price": increment,
                                  "max_price": increment, "settlement": "prefunded"}
    t = terms(build_design(data), "A/B")
    assert Fraction(quantity * price * t.amount_num, t.amount_den) == Fraction(quantity, 10**base) * price * Fraction(increment) * 10**quote
    assert Fraction(t.amount_num, t.amount_den).denominator == t.amount_den


def test_a_finer_increment_than_the_quote_tick_can_be_declared():
    design = build_design(changed(("instruments", "BTC/USD", "price_increment"), put("0.01")))
    assert (terms(design, "BTC/USD").quote_tick, terms(design, "BTC/USD").book_tick) == (10, 50)


@pytest.mark.parametrize(("at", "value", "told"), [
    (("assets", "BTC", "chain"), "elsewhere", "add $.chains.elsewhere"),
    (("assets", "BTC", "finality"), "soon", "latest, safe, finalized"),
    (("assets", "USD", "transfers_above"), "1.0000001", "7 decimals and at most 6"),
    (("cell", "rfq_window"), "0s", "longer than nothing"),
    (("instruments", "BTC/USD", "quote"), "BTC", "trades one asset for another"),
    (("instruments", "BTC/USD", "lot"), "0", "above zero"),
    (("instruments", "BTC/USD", "book_tick"), "0.05", "not a whole number of 0.1"),
    (("instruments", "BTC/USD", "min_price"), "0.7", "whole number of book ticks"),
    (("instruments", "BTC/USD", "min_price"), "0", "above zero"),
    (("instruments", "BTC/USD", "max_price"), "0.1", "below min_price"),
    (("instruments", "BTC/USD", "max_price"), "9000000", "book ticks above"),
    (("instruments", "BTC/USD", "quote_tick"), "0.0", "not above zero"),
    (("instruments", "BTC/USD", "price_increment"), "0.3", "$.instruments"),
    (("instruments", "BTC/USD", "settlement"), "later", "one of prefunded, on_credit"),
    (("instruments", "BTC/USD", "limits", "max_quantity"), "0.000000001", "9 decimals"),
    (("roles", "client", "own"), ["new_ordr"], "did you mean new_order?"),
    (("roles", "client", "own"), ["configure_cell"], "put it under all"),
    (("roles", "client", "all"), ["new_order"], "twice"),
    (("roles", "risk", "second_person"), ["net"], "neither $.roles.risk.own nor .entity nor $.roles.risk.all"),
    (("roles", "desk", "second_person"), ["quote"], "never waits"),
    (("oversight", "second_person"), ["transfer"], "give the asset transfers_above"),
    (("oversight", "second_person"), ["quote"], "name its quote asset in $.oversight.quotes_above"),
    (("oversight", "quotes_above", "EUR"), "1", "names 'EUR', which is not declared"),
    (("oversight", "quotes_above", "USD"), "1.0000001", "7 decimals and at most 6"),
    (("pricing", "proposal_ttl"), "soon", "is not a duration"),
    (("keys", "ada", "service"), "x", "person or service"),
    (("keys", "ada", "role"), "risk", "not among $.people.ada.roles"),
    (("keys", "ada", "account"), "nobody", "which is no account"),
    (("keys", "ada", "public_key"), "abc", "64 lower-case hex digits"),
    (("clients", "desk"), DATA["clients"]["acme"], "an account already"),
    (("clients", "house"), DATA["clients"]["acme"], "an account already"),
    (("venues", "kestrel", "account"), "usd-bank", "must be of kind venue"),
    (("venues", "kestrel", "credentials"), "hunter2", "a secret itself is never in a design"),
    (("stages", 3, "name"), "logged", "a stage's name is its own"),
    (("targets", "trade", "last"), "logged", "a stage before"),
    (("hedging", "max_child_notional", "EUR"), "1", "add $.assets.EUR"),
    (("sources", "kestrel", "venue"), "", "not declared"),
    (("pricing", "min_half_spred_ppm"), 5, "did you mean min_half_spread_ppm?"),
    (("clients", "a b"), DATA["clients"]["acme"], "is not a name"),
    (("listen", "rest"), "127.0.0.1", "write host:port"),
    (("listen", "rest"), "::1:8600", "write host:port"),
    (("listen", "rest"), "127.0.0.1:70000", "write host:port"),
    (("listen", "rest"), "127.0.0.1:8603", "$.listen.console: is 127.0.0.1:8603, where rest listens already"),
    (("listen", "portal"), "0.0.0.0:8602", "beyond this machine"),
    (("listen", "portal"), "example.com:8602", "beyond this machine"),
    (("listen", "certificate"), "file:house.pem", "$.listen.private_key: is missing"),
    (("keys", "acme-bot", "scopes"), ["everything"], "one of read, trade, cancel, quote, transfer, kill"),
])
def test_what_does_not_go_together_is_told(at, value, told):
    found = faults(changed(at, put(value)))
    assert told in "\n".join(f"{p}: {t}" for p, t in found.items()), found


def test_a_house_with_a_certificate_may_be_reached_from_afar():
    data = copy.deepcopy(DATA)
    data["listen"] |= {"rest": "0.0.0.0:8600", "portal": "[2001:db8::1]:8602", "certificate": "file:house.pem", "private_key": "file:house.key"}
    assert build_design(data).listen.portal == "[2001:db8::1]:8602"


def test_a_secret_is_not_repeated_in_the_error():
    assert "hunter2" not in str(faults(changed(("venues", "kestrel", "credentials"), put("hunter2"))))


def test_the_most_sources_roles_and_dealers_are_read_and_one_more_is_not():
    for section, most, row in (("sources", 8, {"kind": "recorded"}), ("roles", 15, {"all": ["tick"]}), ("dealers", 15, DATA["dealers"]["b2"])):
        data = copy.deepcopy(DATA)
        for n in range(most - len(data[section])):
            data[section][f"x{n}"] = row
        build_design(data)
        data[section]["one-more"] = row
        assert f"$.{section}" in faults(data)


def test_all_faults_are_told_at_once():
    data = changed(("cell", "number"), put(-1))
    data["assets"]["BTC"]["digits"] = "8"
    data["stages"][2].pop("budget")
    assert set(faults(data)) == {"$.cell.number", "$.assets.BTC.digits", "$.stages[2].budget"}


def test_the_error_names_the_text_the_path_and_what_would_be_right():
    with pytest.raises(DesignError) as told:
        read_design(TEXT.replace('lot = "0.1"', "lot = 0.1"), "demo.toml")
    assert str(told.value).startswith('demo.toml: $.instruments."XRP/USD".lot: 0.1 is a float: a decimal is written as text')


@pytest.mark.parametrize("text", ["[cell", "a = 1\na = 2", "x = " + "[" * 50_000, "", "\0", "cell = 1979-05-27", "[cell]\nnumber = nan"])
def test_a_text_that_is_no_design_is_refused(text):
    with pytest.raises(DesignError, match=r"^design: \$"):
        read_design(text)


def test_kinds_are_expanded_in_order():
    assert kinds(("configure_*",)) == tuple(sorted(CONFIGURE)) and kinds(("quote", "tick")) == (Kind.TICK, Kind.QUOTE) and not kinds(("nothing",))
    assert len(kinds(("*",))) == len(KINDS)


def test_a_design_is_frozen():
    design = read_design(TEXT)
    with pytest.raises(AttributeError):
        design.cell = None
    assert set(accounts(design)) >= {"desk", "acme", "b2", "at-kestrel"} and parse_units("1", 2) == 100


def test_capacity_is_that_of_the_core():
    core = pytest.importorskip("cambist.core.layout", reason="The core is not here yet, so its table sizes were not compared.")
    assert msgspec.structs.asdict(Capacity()) == core.CAPACITY
