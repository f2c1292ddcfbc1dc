"""The design file: what a desk declares of itself, read and checked whole.

Decides which names must exist and which values go together; the keys themselves are `sections.py`. Every error carries the path of the key that is
wrong, and all are told at once. What the design becomes is `configure.py`; whether it is a wise one is `findings.py`. It must not know a file, an
environment, a secret or the state of a running cell: text comes in, a frozen Design goes out. `units_of` and `terms` turn its decimals into integers.
"""
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from math import gcd
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from cambist.messages import CONFIGURE, MAX_AMOUNT, MAX_ROLE, TIERS, Kind
from cambist.sections import MAX_DEALERS, MAX_SOURCES, Custody, DecimalText, Design, Reference, Slot, Terms
from cambist.units import Nanoseconds, UnitError, decimals, parse_duration, parse_price, parse_units

MAX_TICKS = 1 << 24
MAX_SLOTS, EIGHTHS = 8, 8                       # of an instrument's schedule; of a protection's window
TIER_NUMBERS = [str(n) for n in range(1, TIERS)]
HOUSE_ACCOUNTS = ("house", "fees", "suspense", "deficit")       # the single accounts, which every cell has
SECOND_PERSON = CONFIGURE | {                   # rules.md section 2
    Kind.NET, Kind.SETTLE, Kind.HALT, Kind.RESUME, Kind.KILL, Kind.REVIVE, Kind.KILL_ALL, Kind.REVIVE_ALL, Kind.SESSION, Kind.KILL_TRADER,
    Kind.REVIVE_TRADER, Kind.CHANGE_TERMS, Kind.CHANGE_DIGITS, Kind.MANUAL_CREDIT}
BY_SIZE = {Kind.TRANSFER: "; give the asset transfers_above", Kind.QUOTE: "; name its quote asset in $.oversight.quotes_above"}
KINDS = {k.name.lower(): k for k in Kind}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
NOT_A_NAME = "is not a name: letters, digits and . _ / -, the first a letter or digit, 64 at most"
SECRET_REFERENCE = re.compile(r"(?:env|file|keyring|vault):[A-Za-z0-9_./#-]{1,200}")



class DesignError(ValueError):
    """Why a design cannot be used: `faults` holds (path, text) of everything that is wrong, in the order of the design."""

    def __init__(self, name: str, faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{name}: {path}: {text}" for path, text in faults))
        self.name, self.faults = name, tuple(faults)


# ------------------------------------------------------------------------------------------------------------- reading
def read_design(text: str, name: str = "design") -> Design:
    """The design in a TOML text. Raises DesignError; name is what its messages call the text."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DesignError(name, [("$", f"not TOML: {error}")]) from error
    except RecursionError as error:
        raise DesignError(name, [("$", "nested too deeply: a design has tables within tables, four at most")]) from error
    return build_design(data, name)


def build_design(data: dict[str, Any], name: str = "design") -> Design:
    """The design in tables already parsed. First every key for itself, then all of them together; each step tells all its faults."""
    faults: list[tuple[str, str]] = []
    design = _value(Design, data, "$", faults)
    if not faults:
        _whole(design, faults)
    if faults:
        raise DesignError(name, faults)
    return design


def join(path: str, key: str | int) -> str:
    """The path of a key in a table, or of a place in a list: $.instruments."BTC/USD".lot, $.stages[2]."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'{path}."{key}"'


def _value(wanted: Any, value: Any, path: str, faults: list) -> Any:
    """The value as its declared type. What does not fit is noted in faults under its path, and None stands for it."""
    origin = get_origin(wanted)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return _table(wanted, value, path, faults)
    if origin is dict or origin is tuple:
        shape, told = (dict, "a table") if origin is dict else (list, "a list")
        if not isinstance(value, shape):
            faults.append((path, f"must be {told}, not {_shown(value)}"))
            return None
        inner = get_args(wanted)[1 if origin is dict else 0]
        if isinstance(value, list):
            return tuple(_value(inner, v, join(path, i), faults) for i, v in enumerate(value))
        faults += [(join(path, k), NOT_A_NAME) for k in value if not NAME.fullmatch(k)]
        return {k: _value(inner, v, join(path, k), faults) for k, v in value.items()}
    if type(None) in get_args(wanted):
        return _value(next(t for t in get_args(wanted) if t is not type(None)), value, path, faults)
    try:
        return _leaf(wanted, value)
    except (msgspec.ValidationError, UnitError) as error:
        faults.append((path, str(error)))
        return None


def _leaf(wanted: Any, value: Any) -> Any:
    if wanted is Nanoseconds:
        return parse_duration(value)
    if wanted is DecimalText:
        decimals(value)
        return value
    if wanted is Reference:
        if not isinstance(value, str) or not SECRET_REFERENCE.fullmatch(value):     # the value itself is not repeated: it may be the secret
            raise UnitError('must say where the secret is, as in "env:NAME", "file:PATH", "keyring:NAME" or "vault:PATH"; a secret itself is never in a design')
        return value
    if get_origin(wanted) is Literal and value not in get_args(wanted):
        raise UnitError(f"must be one of {', '.join(get_args(wanted))}, not {_shown(value)}")
    return msgspec.convert(value, wanted, strict=True)


def _table(wanted: type[msgspec.Struct], value: Any, path: str, faults: list) -> Any:
    if not isinstance(value, dict):
        faults.append((path, f"must be a table, not {_shown(value)}"))
        return None
    fields = _fields(wanted)
    before = len(faults)
    for key in value:
        if key not in fields:
            near = get_close_matches(key, fields, 1)
            faults.append((join(path, key), f"is no key here; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(fields)}"))
    faults += [(join(path, n), f"is missing: {_example(f.type)}") for n, f in fields.items() if f.required and n not in value]
    given = {n: _value(fields[n].type, v, join(path, n), faults) for n, v in value.items() if n in fields}
    return wanted(**given) if len(faults) == before else None


@cache
def _fields(wanted: type[msgspec.Struct]) -> dict[str, Any]:
    return {f.name: f for f in msgspec.structs.fields(wanted)}


def _example(wanted: Any) -> str:
    if wanted is Nanoseconds:
        return 'a duration such as "250ms"'
    if wanted is DecimalText:
        return 'a decimal as text such as "1.25"'
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(get_args(wanted))}"
    if get_origin(wanted) is Annotated:
        return "a whole number"
    if get_origin(wanted) in (dict, tuple):
        return "a table" if get_origin(wanted) is dict else "a list"
    return "a text" if wanted is str else "a table"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


# ------------------------------------------------------------------------------------------------------------- integers
def accounts(design: Design) -> dict[str, tuple[str, Any]]:
    """Every account that trades or keeps, by name, with the path of its table: desks, clients, dealers, custody. The house's four come before them."""
    return {name: (join(path, name), row) for path, table in _account_tables(design) for name, row in table.items()}


def _account_tables(design: Design) -> tuple[tuple[str, dict[str, Any]], ...]:
    return ("$.house.desks", design.house.desks), ("$.clients", design.clients), ("$.dealers", design.dealers), ("$.house.custody", design.house.custody)


@cache
def kinds(words: tuple[str, ...]) -> tuple[Kind, ...]:
    """The kinds of command that lower-case words name, in the order of their numbers. Unknown words are left out: `_kinds` has told of them."""
    return tuple(k for name, k in KINDS.items() if any(name == w or (w.endswith("*") and name.startswith(w[:-1])) for w in words))


def units_of(design: Design, asset: str, text: str) -> int:
    """Units of an asset in a decimal. Raises UnitError."""
    return parse_units(text, design.assets[asset].digits)


def terms(design: Design, name: str) -> Terms:
    """An instrument in integers, its fraction reduced. Raises UnitError."""
    row = design.instruments[name]
    base, quote = design.assets[row.base].digits, design.assets[row.quote].digits
    increment = row.price_increment or row.quote_tick
    places = decimals(increment)
    parse_price("0", increment)                 # refuses an increment of zero
    num, den = parse_units(increment, places) * 10**quote, 10 ** (places + base)
    shared = gcd(num, den)
    ticks = {key: parse_price(getattr(row, key), increment) for key in ("book_tick", "quote_tick", "min_price", "max_price")}
    return Terms(name=name, base=row.base, quote=row.quote, base_digits=base, quote_digits=quote, price_increment=increment, lot=parse_units(row.lot, base),
                 amount_num=num // shared, amount_den=den // shared, **ticks)


# ---------------------------------------------------------------------------------------------------------- the whole
class _Names:
    """Notes a fault when a name is used that nothing declares."""

    def __init__(self, faults: list) -> None:
        self.faults = faults

    def need(self, path: str, name: str, table: Any, where: str) -> bool:
        if name in table:
            return True
        self.faults.append((path, f"names {name!r}, which is not declared: add {join(where, name)}" + (f", or use {', '.join(table)}" if table else "")))
        return False

    def asset_decimals(self, design: Design, path: str, table: Mapping[str, str]) -> None:
        """A table of decimals by asset: each asset exists, each decimal fits its digits."""
        for asset, text in table.items():
            if self.need(join(path, asset), asset, design.assets, "$.assets"):
                self.decimal(design, join(path, asset), asset, text)

    def decimal(self, design: Design, path: str, asset: str, text: str) -> None:
        try:
            units_of(design, asset, text)
        except UnitError as error:
            self.faults.append((path, str(error)))


def _whole(design: Design, faults: list) -> None:
    """What no key can know alone: names that must exist, decimals that must fit, and what the core would refuse (rules.md section 3)."""
    names = _Names(faults)
    _cell_and_routes(design, names)
    for name in design.instruments:
        _instrument(design, name, names)
    _people(design, names)
    _accounts(design, names)
    _trading(design, names)
    _venues(design, names)
    _workflow(design, names)
    _listen(design, faults)
    for path, table in (("$.oversight.quotes_above", design.oversight.quotes_above),
                        ("$.pricing.auto_quote_max_notional", design.pricing.auto_quote_max_notional), ("$.hedging.hedge_above", design.hedging.hedge_above),
                        ("$.hedging.max_child_notional", design.hedging.max_child_notional)):
        names.asset_decimals(design, path, table)


def address(text: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port". Raises UnitError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or (":" in host and not text.startswith("[")) or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
        raise UnitError(f'{text[:64]!r} is no address: write host:port, as in "127.0.0.1:8600" or "[::1]:8600"')
    return host, int(port)


def loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name is taken as it is: localhost, and nothing else."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", host))


def _listen(design: Design, faults: list) -> None:
    row, taken = design.listen, dict[tuple[str, int], str]()
    for key in ("rest", "websocket", "portal", "console", "venues", "native"):
        try:
            place = address(getattr(row, key))
        except UnitError as error:
            faults.append((f"$.listen.{key}", str(error)))
            continue
        if place in taken:
            faults.append((f"$.listen.{key}", f"is {getattr(row, key)}, where {taken[place]} listens already: each has a port of its own"))
        taken.setdefault(place, key)
        if not loopback(place[0]) and not (row.certificate and row.private_key):
            faults.append((f"$.listen.{key}", f"is reached from beyond this machine: give certificate and private_key, or listen at 127.0.0.1:{place[1]}"))
    if bool(row.certificate) != bool(row.private_key):
        faults.append(("$.listen." + ("private_key" if row.certificate else "certificate"), "is missing: a certificate and its private key come together"))


def _cell_and_routes(design: Design, names: _Names) -> None:
    for key in ("answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl"):
        if getattr(design.cell, key) < 1:
            names.faults.append((f"$.cell.{key}", 'must be longer than nothing, as in "60s"'))
    for name, asset in design.assets.items():
        path = join("$.assets", name)
        if asset.transfers_above is not None:
            names.decimal(design, f"{path}.transfers_above", name, asset.transfers_above)
        if asset.bank:
            names.need(f"{path}.bank", asset.bank, design.banks, "$.banks")
        if asset.chain and names.need(f"{path}.chain", asset.chain, design.chains, "$.chains") and asset.finality not in design.chains[asset.chain].finality:
            names.faults.append((f"{path}.finality", f"must be one of $.chains.{asset.chain}.finality: {', '.join(design.chains[asset.chain].finality)}"))
        if asset.finality and not asset.chain:
            names.faults.append((f"{path}.chain", "is missing: finality is a rule of a chain"))


def _instrument(design: Design, name: str, names: _Names) -> None:
    path, row, faults = join("$.instruments", name), design.instruments[name], names.faults
    for i, source in enumerate(row.sources):
        names.need(f"{path}.sources[{i}]", source, design.sources, "$.sources")
    declared = [names.need(f"{path}.{key}", getattr(row, key), design.assets, "$.assets") for key in ("base", "quote")]
    if not all(declared):
        return
    if row.base == row.quote:
        faults.append((f"{path}.quote", f"is {row.quote}, the base itself: an instrument trades one asset for another"))
    before = len(faults)
    increment = row.price_increment or row.quote_tick
    try:
        parse_price("0", increment)
    except UnitError as error:
        faults.append((f"{path}.{'price_increment' if row.price_increment else 'quote_tick'}", str(error)))
        return
    names.decimal(design, f"{path}.lot", row.base, row.lot)
    for key in ("book_tick", "quote_tick", "min_price", "max_price"):
        try:
            parse_price(getattr(row, key), increment)
        except UnitError as error:
            faults.append((f"{path}.{key}", str(error)))
    if row.limits is not None:
        for key, asset in (("max_quantity", row.base), ("max_position", row.base), ("max_notional", row.quote)):
            names.decimal(design, f"{path}.limits.{key}", asset, getattr(row.limits, key))
    if len(faults) == before:
        t = terms(design, name)
        faults += [(f"{path}.{key}", "must be above zero") for key in ("lot", "book_tick", "quote_tick", "min_price") if getattr(t, key) < 1]
        faults += [(f"{path}.{key}", text) for key, text in _grid(t)] if len(faults) == before else []


def _trading(design: Design, names: _Names) -> None:
    """Tiers, bands, schedules, and what an account says of how it trades."""
    for name, row in design.instruments.items():
        path = join("$.instruments", name)
        for number, tier in row.tiers.items():
            if number not in TIER_NUMBERS:
                names.faults.append((join(f"{path}.tiers", number), 'is no tier: they are "1" to "15", and the instrument\'s own fees are tier 0'))
            if row.quote in design.assets:
                names.decimal(design, f"{join(f'{path}.tiers', number)}.minimum", row.quote, tier.minimum)
        if row.band is not None and row.band.band_ppm and not (row.band.window and row.band.auction):
            names.faults.append((f"{path}.band", "needs a window and an auction longer than nothing"))
        _schedule(f"{path}.schedule", row.schedule, names.faults)
    for key, row in design.keys.items():
        for i, name in enumerate(row.restricted):
            names.need(f"{join('$.keys', key)}.restricted[{i}]", name, design.instruments, "$.instruments")
    for path, row in accounts(design).values():
        if not isinstance(row, Custody):
            _trader(design, path, row, names)


def _schedule(path: str, slots: tuple[Slot, ...], faults: list) -> None:
    if len(slots) > MAX_SLOTS:
        faults.append((path, f"has {len(slots)} slots; at most {MAX_SLOTS} are possible"))
    for i, slot in enumerate(slots):
        if slot.every < 1 or slot.at >= slot.every:
            faults.append((f"{path}[{i}].at", "must lie within the period"))
        if (slot.session == "auction") != bool(slot.next) or (slot.duration and slot.session != "auction"):
            faults.append((f"{path}[{i}].next", "and duration belong to an auction, which says what it opens or closes"))


def _trader(design: Design, path: str, row: Any, names: _Names) -> None:
    for i, name in enumerate(row.restricted):
        names.need(f"{path}.restricted[{i}]", name, design.instruments, "$.instruments")
    if row.fee_instrument:
        names.need(f"{path}.fee_instrument", row.fee_instrument, design.instruments, "$.instruments")
    if row.max_executions and not row.execution_window:
        names.faults.append((f"{path}.execution_window", "is missing: in which time max_executions may happen"))
    for name, protection in row.protection.items():
        at = join(f"{path}.protection", name)
        if names.need(at, name, design.instruments, "$.instruments"):
            for key in ("quantity", "delta"):
                if design.instruments[name].base in design.assets:
                    names.decimal(design, f"{at}.{key}", design.instruments[name].base, getattr(protection, key))
        if protection.window < EIGHTHS:
            names.faults.append((f"{at}.window", "must be longer than nothing"))
    if row.exposure is not None:
        for key in ("gross", "net", "loss"):
            try:
                parse_units(getattr(row.exposure, key), design.cell.numeraire_digits)
            except UnitError as error:
                names.faults.append((f"{path}.exposure.{key}", str(error)))


def rate_of(design: Design, name: str) -> tuple[int, int]:
    """What a unit of an asset is worth in units of the numeraire, as a reduced fraction; (0, 0): no rate."""
    row = design.assets[name]
    if row.rate is None or not int(row.rate.replace(".", "")):
        return 0, 0
    places = decimals(row.rate)
    num, den = parse_units(row.rate, places) * 10**design.cell.numeraire_digits, 10 ** (places + row.digits)
    shared = gcd(num, den)
    return num // shared, den // shared


def _grid(t: Terms) -> list[tuple[str, str]]:
    """What is wrong between an instrument's ticks and its range."""
    wrong = []
    if t.book_tick % t.quote_tick:
        wrong.append(("book_tick", "must be a whole number of quote ticks: quotes are finer than the book, never coarser"))
    if t.min_price % t.book_tick:
        wrong.append(("min_price", "must be a whole number of book ticks: the book's first level is there"))
    if t.max_price < t.min_price:
        wrong.append(("max_price", "must not be below min_price"))
    if (t.max_price - t.min_price) // t.book_tick >= MAX_TICKS:
        wrong.append(("max_price", f"is {(t.max_price - t.min_price) // t.book_tick:,} book ticks above min_price, and less than {MAX_TICKS:,} are possible: "
                                   "a coarser tick or a narrower range"))
    if max(t.amount_num, t.amount_den) > MAX_AMOUNT:
        wrong.append(("quote_tick", f"makes an amount quantity x price x {t.amount_num} / {t.amount_den}, beyond {MAX_AMOUNT:,}: fewer digits"))
    return wrong


def _people(design: Design, names: _Names) -> None:
    faults, known = names.faults, accounts(design)
    if len(design.roles) > MAX_ROLE:
        faults.append(("$.roles", f"has {len(design.roles)} roles; at most {MAX_ROLE} are possible"))
    for name, role in design.roles.items():
        path = join("$.roles", name)
        for key in ("own", "entity", "all", "second_person"):
            _kinds(f"{path}.{key}", getattr(role, key), faults)
        given = [k for key in ("own", "entity", "all") for k in kinds(getattr(role, key))]
        faults += [(path, f"gives {k.name.lower()} twice: one scope for each kind") for k in sorted({k for k in given if given.count(k) > 1})]
        faults += [(f"{path}.{key}", f"{k.name.lower()} concerns the whole cell: put it under all")
                   for key in ("own", "entity") for k in kinds(getattr(role, key)) if k in CONFIGURE]
        faults += [(f"{path}.second_person", f"names {k.name.lower()}, which neither {path}.own nor .entity nor {path}.all may send at all")
                   for k in kinds(role.second_person) if k not in given]
        faults += _held(f"{path}.second_person", role.second_person)
    _kinds("$.oversight.second_person", design.oversight.second_person, faults)
    faults += _held("$.oversight.second_person", design.oversight.second_person)
    for name, person in design.people.items():
        for i, role in enumerate(person.roles):
            names.need(join("$.people", name) + f".roles[{i}]", role, design.roles, "$.roles")
    for name, key in design.keys.items():
        path = join("$.keys", name)
        names.need(f"{path}.role", key.role, design.roles, "$.roles")
        if bool(key.person) == bool(key.service):
            faults += [(f"{path}.{k}", "must be given alone, person or service: a key belongs to one of either") for k in ("person", "service")]
        elif key.person and names.need(f"{path}.person", key.person, design.people, "$.people"):
            person, roles = join("$.people", key.person), design.people[key.person].roles
            faults += [] if key.role in roles else [(f"{path}.role", f"is {key.role}, which is not among {person}.roles: {', '.join(roles)}")]
        if key.account and key.account not in HOUSE_ACCOUNTS and key.account not in known:
            faults.append((f"{path}.account", f"names {key.account!r}, which is no account: add "
                           + " or ".join(join(table, key.account) for table, _ in _account_tables(design))))
        if key.public_key and not re.fullmatch(r"[0-9a-f]{64}", key.public_key):
            faults.append((f"{path}.public_key", "must be an Ed25519 public key in 64 lower-case hex digits"))


def _kinds(path: str, words: tuple[str, ...], faults: list) -> None:
    for i, word in enumerate(words):
        if not kinds((word,)):
            near = get_close_matches(word, KINDS, 1)
            faults.append((f"{path}[{i}]", f"{word!r} is no kind of command" + (f"; did you mean {near[0]}?" if near else "")))


def _held(path: str, words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Kinds that are never held: transfers and quotes wait by size, everything else trades at once."""
    return [(path, f"{k.name.lower()} never waits for a second person" + BY_SIZE.get(k, ""))
            for k in kinds(words) if k not in SECOND_PERSON]


def _accounts(design: Design, names: _Names) -> None:
    faults = names.faults
    names.need("$.house.entity", design.house.entity, design.legal_entities, "$.legal_entities")
    seen: dict[str, str] = dict.fromkeys(HOUSE_ACCOUNTS, "the house's own")
    for path, table in _account_tables(design):
        for name in table:
            if name in seen:
                faults.append((join(path, name), f"is an account already ({seen[name]}): account names are unique in a cell"))
            seen.setdefault(name, join(path, name))
    for path, row in accounts(design).values():
        if isinstance(row, Custody):
            where = {"wallet": design.chains, "venue": design.venues, "bank": design.banks}[row.kind]
            names.need(f"{path}.at", row.at, where, {"wallet": "$.chains", "venue": "$.venues", "bank": "$.banks"}[row.kind])
            for i, asset in enumerate(row.assets):
                names.need(f"{path}.assets[{i}]", asset, design.assets, "$.assets")
            continue
        names.need(f"{path}.entity", row.entity, design.legal_entities, "$.legal_entities")
        for key in ("credit", "quoting", "shorts"):
            names.asset_decimals(design, f"{path}.{key}", getattr(row, key, {}))
        for instrument, text in row.positions.items():
            at = join(f"{path}.positions", instrument)
            if names.need(at, instrument, design.instruments, "$.instruments") and design.instruments[instrument].base in design.assets:
                names.decimal(design, at, design.instruments[instrument].base, text)
    if (dealers := len(design.dealers) + sum(d.dealer for d in design.house.desks.values())) > MAX_DEALERS:
        faults.append(("$.dealers", f"makes {dealers} dealers with the desks; at most {MAX_DEALERS} are possible, ever"))


def _venues(design: Design, names: _Names) -> None:
    for name, venue in design.venues.items():
        path = join("$.venues", name)
        if names.need(f"{path}.account", venue.account, design.house.custody, "$.house.custody") and design.house.custody[venue.account].kind != "venue":
            names.faults.append((f"{path}.account", f"{join('$.house.custody', venue.account)} must be of kind venue"))
        for instrument in venue.symbols:
            names.need(join(f"{path}.symbols", instrument), instrument, design.instruments, "$.instruments")
    for name, source in design.sources.items():
        if source.venue or source.kind == "venue":
            names.need(join("$.sources", name) + ".venue", source.venue, design.venues, "$.venues")
    if len(design.sources) > MAX_SOURCES:
        names.faults.append(("$.sources", f"has {len(design.sources)} sources; at most {MAX_SOURCES} are possible"))
    for i, name in enumerate(design.hedging.venues):
        names.need(f"$.hedging.venues[{i}]", name, design.venues, "$.venues")


def _workflow(design: Design, names: _Names) -> None:
    order = [s.name for s in design.stages]
    for i, stage in enumerate(design.stages):
        if not NAME.fullmatch(stage.name):
            names.faults.append((f"$.stages[{i}].name", NOT_A_NAME))
        if order.index(stage.name) != i:
            names.faults.append((f"$.stages[{i}].name", f"is {stage.name}, as $.stages[{order.index(stage.name)}] is: a stage's name is its own"))
        if stage.role:
            names.need(f"$.stages[{i}].role", stage.role, design.roles, "$.roles")
    for name, target in design.targets.items():
        path = join("$.targets", name)
        for key in ("first", "last"):
            if getattr(target, key) not in order:
                names.faults.append((f"{path}.{key}", f"names {getattr(target, key)!r}, which is no stage: "
                                    + (", ".join(f"$.stages[{i}].name is {n}" for i, n in enumerate(order)) or "there are none")))
        if target.first in order and target.last in order and order.index(target.first) > order.index(target.last):
            names.faults.append((f"{path}.last", f"is {target.last}, a stage before {target.first}"))
