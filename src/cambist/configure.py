"""A design as configure commands: the genesis of a cell, and every later change as the records that differ.

Decides which number a name gets (once, by order of appearance, never again another) and in which order records are safe to apply. It must not know
whether the design is wise (`findings.py`), nor who sends the records: the node seals the genesis, an engineer's key sends a change. Names travel beside
the records as an attachment, because the core knows only numbers.
"""
from itertools import count
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.design import HOUSE_ACCOUNTS, DesignError, accounts, join, kinds, rate_of, terms, units_of
from cambist.messages import AccountKind, Kind, Scope, SelfTradeScope, Session, Settlement, command
from cambist.sections import Client, Custody, Dealer, Design, Desk
from cambist.units import parse_units

K = Kind
Names = dict[str, dict[str, int]]               # section -> name -> number
TABLES = ("assets", "legal_entities", "accounts", "instruments", "people", "roles", "actors", "venues", "sources")
WHERE = {"actors": "$.keys"}                    # tables of names that stand under another path than their own
HOUSE_NUMBER = 1
HOUSE_KINDS = (AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT)
TRADING = ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "duplicate_window", "tier",
           "fee_instrument")
# What may not change once given: the field of the record, and the key of the design that says it.
IMMUTABLE = {
    K.CONFIGURE_CELL: {"cell": "number"},
    K.CONFIGURE_ACCOUNT: {"account_kind": ""},
    K.CONFIGURE_INSTRUMENT: {"base": "base", "quote": "quote", "settlement": "settlement"},
    K.CONFIGURE_VENUE: {"account": "account"},
}
# What a record becomes when the design no longer has it; kinds that are not here cannot be taken away.
TAKEN_AWAY = {
    K.CONFIGURE_AUTHORITY: {"scope": Scope.NONE, "second_person": 0},
    K.CONFIGURE_CREDIT: {"limit": 0, "quoting_limit": 0},
    K.CONFIGURE_POSITION: {"limit": 0},
    K.CONFIGURE_SHORT: {"limit": 0},
    K.CONFIGURE_SOURCE: {"enabled": 0},
    K.CONFIGURE_TRADING: dict.fromkeys(TRADING, 0),
    K.CONFIGURE_BAND: {"band_ppm": 0, "window": 0, "auction": 0, "indicative": 0},
    K.CONFIGURE_SCHEDULE: {"offset": 0, "period": 1, "session": 0, "next": 0, "duration": 0, "enabled": 0},
    K.CONFIGURE_PROTECTION: {"quantity": 0, "delta": 0, "window": 0},
    K.CONFIGURE_EXPOSURE: {"gross": 0, "net": 0, "loss": 0},
    K.CONFIGURE_RESTRICTION: {"barred": 0},
}
SUBJECT = {K.CONFIGURE_AUTHORITY: ("role", "command"), K.CONFIGURE_CREDIT: ("account", "giver", "asset"), K.CONFIGURE_POSITION: ("account", "instrument"),
           K.CONFIGURE_SHORT: ("account", "asset"), K.CONFIGURE_SOURCE: ("instrument", "source"),
           K.CONFIGURE_TRADING: ("account",), K.CONFIGURE_TIER: ("instrument", "tier"), K.CONFIGURE_BAND: ("instrument",),
           K.CONFIGURE_SCHEDULE: ("instrument", "slot"), K.CONFIGURE_PROTECTION: ("account", "instrument"), K.CONFIGURE_EXPOSURE: ("account",),
           K.CONFIGURE_RESTRICTION: ("account", "number", "instrument")}


class Configuration(NamedTuple):
    """Records in the order they are to be applied, each of shape (1,) and dtype COMMAND, and the numbers they speak of."""
    records: list[np.ndarray]
    names: Names


class Row(NamedTuple):
    kind: Kind
    fields: dict[str, int]
    path: str                                   # of the table of the design that says so


def configure(design: Design) -> Configuration:
    """The genesis: everything the design declares, in dependency order, START last. Raises DesignError when a value does not fit its record."""
    names = numbered(design)
    rows = [*_rows(design, names).values(), Row(K.START, {}, "$")]
    return Configuration([command(row.kind, **row.fields) for row in rows], names)


def configure_diff(running_names: Names, running_design: Design, new_design: Design, *, actor: int, id_hi: int, id_lo: int, expires: int,
                   decider: int = 0) -> Configuration:
    """The records that make the running cell what new_design says, and the names with what is new appended; no records: nothing differs.

    What names amounts and prices otherwise (digits, increments, ticks, lots, ranges) is changed first, by commands of its own: the rest is compared with what
    they leave behind. Each record carries actor, decider, expires, and ids that count up from id_lo. Raises DesignError for a known name that is gone (disable
    it instead) and for what may not change once given.
    """
    faults: list[tuple[str, str]] = []
    running, wanted = numbered(running_design, running_names), numbered(new_design, running_names)
    if running != running_names or any(set(names) != set(_declared(running_design)[table]) for table, names in running_names.items()):
        raise DesignError("the running design", [("$", "does not match the running names: it is not the design this cell runs")])
    for table, known in running_names.items():
        present = _declared(new_design)[table]
        faults += [(_path_of(running_design, table, name), _gone(table)) for name in known if name not in present]
    precise, finer = _finer(running_design, new_design, running_names, faults)
    old, new = _rows(finer, running_names), _rows(new_design, wanted)
    changed = []
    for subject, row in new.items():
        before = old.get(subject)
        if before is None or before.fields != row.fields:
            changed.append(row)
            faults += _immutable(before, row) if before else []
    for subject, row in old.items():
        if subject not in new:
            if row.kind in TAKEN_AWAY:
                changed.append(Row(row.kind, {**{f: row.fields[f] for f in SUBJECT[row.kind]}, **TAKEN_AWAY[row.kind]}, row.path))
            elif row.kind is K.CONFIGURE_LIMITS and not any(path == row.path.rpartition(".limits")[0] for path, _ in faults):
                faults.append((row.path, "cannot be taken away: set max_quantity to \"0\", and every order is refused"))
            elif row.kind is K.CONFIGURE_TIER:
                faults.append((row.path, "cannot be taken away: give it the instrument's own fees, and its accounts pay like everyone"))
    faults += [(row.path, "digits change alone, because nothing else may wait for a second person meanwhile: apply the rest of this file before or after")
               for row in precise if row.kind is K.CHANGE_DIGITS and len(precise) + len(changed) > 1]
    if faults:
        raise DesignError("the new design", list(dict.fromkeys(faults)))
    changed = precise + sorted(changed, key=_last_authority)
    stamps = ({"actor": actor, "decider": decider, "id_hi": id_hi, "id_lo": id_lo + n, "expires": expires} for n in count())
    return Configuration([command(row.kind, **row.fields, **stamp) for row, stamp in zip(changed, stamps, strict=False)], wanted)


# -------------------------------------------------------------------------------------------------------------- names
def numbered(design: Design, known: Names | None = None) -> Names:
    """A number for every name, from 1: the known ones keep theirs, the others follow in order of appearance."""
    names: Names = {}
    for table, declared in _declared(design).items():
        numbers = dict((known or {}).get(table, {}))
        for name in declared:
            numbers.setdefault(name, len(numbers) + 1)
        names[table] = numbers
    return names


def names_attachment(names: Names) -> bytes:
    """The names as they travel with the records they speak of; read_names reads them back."""
    return msgspec.json.encode(names)


def read_names(data: bytes) -> Names:
    """Raises DesignError unless every table is there and its numbers are 1, 2, 3... in order."""
    try:
        names = msgspec.json.decode(data, type=dict[str, dict[str, int]])
    except msgspec.MsgspecError as error:
        raise DesignError("names", [("$", str(error))]) from error
    if tuple(names) != TABLES:
        raise DesignError("names", [("$", f"must hold {', '.join(TABLES)} in this order, not {', '.join(names) or 'nothing'}")])
    for table, numbers in names.items():
        if list(numbers.values()) != list(range(1, len(numbers) + 1)):
            raise DesignError("names", [(join("$", table), "must be numbered 1, 2, 3... in order: numbers are given once and never reused")])
    return names


def _declared(design: Design) -> dict[str, list[str]]:
    """The names of each table in order of appearance; the house's four accounts come first."""
    own = {"accounts": [*HOUSE_ACCOUNTS, *accounts(design)], "actors": [*design.keys]}
    return {table: own[table] if table in own else [*getattr(design, table)] for table in TABLES}


def _path_of(design: Design, table: str, name: str) -> str:
    if table == "accounts":
        return accounts(design)[name][0]
    return join(WHERE.get(table, f"$.{table}"), name)


def _gone(table: str) -> str:
    enabled = table in ("assets", "accounts", "actors", "venues")
    instead = "set enabled = false" if enabled else {"instruments": "set its max_quantity to \"0\"", "sources": "take it out of the instruments' sources",
                                                     "roles": "empty its lists", "people": "disable their keys"}.get(table, "leave it")
    return f"cannot be removed, because its number is never given to another: {instead} instead"


def _immutable(before: Row, row: Row) -> list[tuple[str, str]]:
    fixed = IMMUTABLE.get(row.kind, {})
    return [(f"{row.path}.{key}" if key else row.path, "cannot change once given" + ("" if key else ": it was another kind of account"))
            for field, key in fixed.items() if before.fields.get(field) != row.fields.get(field)]


# ---------------------------------------------------------------------------------------------------------- precision
TERMS = ("lot", "book_tick", "quote_tick", "price_increment", "min_price", "max_price")


def _finer(running: Design, new: Design, names: Names, faults: list[tuple[str, str]]) -> tuple[list[Row], Design]:
    """CHANGE_DIGITS and CHANGE_TERMS where the new design has other digits or terms, and the running design as they leave it. Notes what cannot be."""
    assets, instruments, rows = dict(running.assets), dict(running.instruments), []
    for name, asset in running.assets.items():
        path, digits = f"{join('$.assets', name)}.digits", new.assets[name].digits if name in new.assets else asset.digits
        if digits < asset.digits:
            faults.append((path, f"cannot change once given but for more digits: there are amounts of {asset.digits}, and nothing is rounded away"))
        elif digits > asset.digits and asset.enabled:
            faults.append((path, "changes only while the asset is disabled and its instruments are halted: apply enabled = false first"))
        elif digits > asset.digits:
            rows.append(Row(K.CHANGE_DIGITS, {"asset": names["assets"][name], "digits": digits}, path))
            assets[name] = msgspec.structs.replace(asset, digits=digits)
    middle = msgspec.structs.replace(running, assets=assets)
    for name, instrument in running.instruments.items():
        wanted = new.instruments.get(name)
        if wanted is None or (wanted.base, wanted.quote) != (instrument.base, instrument.quote) or any(path.startswith("$.assets") for path, _ in faults):
            continue
        changed = msgspec.structs.replace(instrument, **{field: getattr(wanted, field) for field in TERMS})
        finer = msgspec.structs.replace(middle, instruments=instruments | {name: changed})
        before, after, path = terms(middle, name), terms(finer, name), join("$.instruments", name)
        if before == after:
            continue
        factor, rest = divmod(before.amount_num * after.amount_den, before.amount_den * after.amount_num)      # of the two increments
        if rest or factor < 1:
            faults.append((f"{path}.price_increment", f"cannot change once given but for a finer one: {before.price_increment} is no whole number of "
                                                      f"{after.price_increment}"))
            continue
        rows.append(Row(K.CHANGE_TERMS, {"instrument": names["instruments"][name], "price_factor": factor,
                                         **{field: getattr(after, field) for field in ("lot", "book_tick", "quote_tick", "min_price", "max_price")}}, path))
        instruments[name] = changed
    return rows, msgspec.structs.replace(middle, instruments=instruments)


# --------------------------------------------------------------------------------------------------------------- rows
def _last_authority(row: Row) -> tuple:
    """In the order of the kinds' numbers, but authority at the end, so that a change never takes from its sender what the rest of it needs."""
    return row.kind is K.CONFIGURE_AUTHORITY, row.fields.get("command") == K.CONFIGURE_AUTHORITY, row.kind is K.CONFIGURE_RESTRICTION, row.kind


def _rows(design: Design, names: Names) -> dict[tuple, Row]:
    """What the design says as records, by subject (kind and the numbers it is about), in dependency order."""
    rows = [Row(K.CONFIGURE_CELL, {"cell": design.cell.number, **{f: getattr(design.cell, f) for f in
                ("answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl")}}, "$.cell")]
    for name, asset in design.assets.items():
        transfers, quotes = (-1 if text is None else units_of(design, name, text) for text in (asset.transfers_above, design.oversight.quotes_above.get(name)))
        rows.append(Row(K.CONFIGURE_ASSET, {"asset": names["assets"][name], "digits": asset.digits, "approval_above": transfers, "enabled": int(asset.enabled),
                                            "quote_approval_above": quotes} | _rate(design, name), join("$.assets", name)))
    rows += _account_rows(design, names) + _authority_rows(design, names)
    for name, key in design.keys.items():
        rows.append(Row(K.CONFIGURE_ACTOR, {"number": names["actors"][name], "account": names["accounts"][key.account] if key.account else 0,
                                            "person": names["people"][key.person] if key.person else 0, "role": names["roles"][key.role],
                                            "enabled": int(key.enabled)}, join("$.keys", name)))
    rows += _instrument_rows(design, names)
    for name, venue in design.venues.items():
        rows.append(Row(K.CONFIGURE_VENUE, {"venue": names["venues"][name], "account": names["accounts"][venue.account], "enabled": int(venue.enabled)},
                        join("$.venues", name)))
    rows += _limit_rows(design, names) + _market_rows(design, names) + _trader_rows(design, names)
    return {_subject(row): row for row in rows}


def _subject(row: Row) -> tuple:
    about = {K.CONFIGURE_CELL: (), K.CONFIGURE_ASSET: ("asset",), K.CONFIGURE_ACCOUNT: ("account",), K.CONFIGURE_ACTOR: ("number",),
             K.CONFIGURE_INSTRUMENT: ("instrument",), K.CONFIGURE_LIMITS: ("instrument",), K.CONFIGURE_FEES: ("instrument",),
             K.CONFIGURE_VENUE: ("venue",)} | SUBJECT
    return (row.kind, *(row.fields[field] for field in about[row.kind]))


def _account_rows(design: Design, names: Names) -> list[Row]:
    """The house's four, then by number; a custody account sends nothing and has no limits of its own."""
    house = {"entity": names["legal_entities"][design.house.entity], "dealer": 0, "rate_limit": 0, "max_open": 0}
    quota = design.house.answer_quota
    rows = [Row(K.CONFIGURE_ACCOUNT, {"account": names["accounts"][name], "account_kind": kind, **house, "answer_quota": quota, "enabled": 1}, "$.house")
            for name, kind in zip(HOUSE_ACCOUNTS, HOUSE_KINDS, strict=True)]
    for name, (path, row) in accounts(design).items():
        fields: dict[str, Any] = {"account": names["accounts"][name], "account_kind": _account_kind(row), "enabled": int(row.enabled)}
        if isinstance(row, Custody):
            fields |= {**house, "answer_quota": 0}
        else:
            fields |= {"entity": names["legal_entities"][row.entity], "dealer": int(row.dealer if isinstance(row, Desk) else isinstance(row, Dealer)),
                       "rate_limit": row.rate_limit, "max_open": row.max_open, "answer_quota": row.answer_quota}
        rows.append(Row(K.CONFIGURE_ACCOUNT, fields, path))
    return sorted(rows, key=lambda row: row.fields["account"])


def _account_kind(row: Any) -> AccountKind:
    return next(kind for shape, kind in ((Custody, AccountKind.CUSTODY), (Desk, AccountKind.DESK), (Dealer, AccountKind.DEALER), (Client, AccountKind.CLIENT))
                if isinstance(row, shape))


def _authority_rows(design: Design, names: Names) -> list[Row]:
    rows = []
    for name, role in design.roles.items():
        second = {*kinds(role.second_person), *kinds(design.oversight.second_person)}
        for key, scope in (("own", Scope.OWN), ("entity", Scope.ENTITY), ("all", Scope.ALL)):
            rows += [Row(K.CONFIGURE_AUTHORITY, {"role": names["roles"][name], "command": kind, "scope": scope, "second_person": int(kind in second)},
                         f"{join('$.roles', name)}.{key}") for kind in kinds(getattr(role, key))]
    return rows


def _instrument_rows(design: Design, names: Names) -> list[Row]:
    rows = []
    for name, row in design.instruments.items():
        path, number, t = join("$.instruments", name), names["instruments"][name], terms(design, name)
        rows.append(Row(K.CONFIGURE_INSTRUMENT, {
            "instrument": number, "base": names["assets"][row.base], "quote": names["assets"][row.quote], "lot": t.lot, "book_tick": t.book_tick,
            "quote_tick": t.quote_tick, "min_price": t.min_price, "max_price": t.max_price, "amount_num": t.amount_num, "amount_den": t.amount_den,
            "settlement": Settlement[row.settlement.upper()]}, path))
        if row.limits is not None:
            rows.append(Row(K.CONFIGURE_LIMITS, {
                "instrument": number, "max_quantity": units_of(design, row.base, row.limits.max_quantity),
                "max_notional": units_of(design, row.quote, row.limits.max_notional), "collar_ppm": row.limits.collar_ppm,
                "max_position": units_of(design, row.base, row.limits.max_position), "min_sources": row.limits.min_sources, "max_age": row.limits.max_age},
                f"{path}.limits"))
        rows.append(Row(K.CONFIGURE_FEES, {"instrument": number, "maker_ppm": row.fees.maker_ppm, "taker_ppm": row.fees.taker_ppm, "rfq_ppm": row.fees.rfq_ppm},
                        f"{path}.fees"))
        rows += [Row(K.CONFIGURE_SOURCE, {"instrument": number, "source": names["sources"][source], "enabled": 1}, f"{path}.sources") for source in row.sources]
    return rows


def _limit_rows(design: Design, names: Names) -> list[Row]:
    """Credit and quoting lines from the house, position limits, and how far a desk may go short."""
    rows = []
    for name, (path, row) in accounts(design).items():
        if isinstance(row, Custody):
            continue
        account, quoting = names["accounts"][name], row.quoting if isinstance(row, Dealer) else {}
        rows += [Row(K.CONFIGURE_CREDIT, {"account": account, "giver": HOUSE_NUMBER, "asset": names["assets"][asset],
                                          "limit": units_of(design, asset, row.credit.get(asset, "0")),
                                          "quoting_limit": units_of(design, asset, quoting.get(asset, "0"))}, f"{path}.credit")
                 for asset in dict.fromkeys((*row.credit, *quoting))]
        rows += [Row(K.CONFIGURE_POSITION, {"account": account, "instrument": names["instruments"][instrument],
                                            "limit": units_of(design, design.instruments[instrument].base, text)}, join(f"{path}.positions", instrument))
                 for instrument, text in row.positions.items()]
        rows += [Row(K.CONFIGURE_SHORT, {"account": account, "asset": names["assets"][asset], "limit": units_of(design, asset, text)},
                     join(f"{path}.shorts", asset)) for asset, text in (row.shorts.items() if isinstance(row, Desk) else ())]
    return rows


def _rate(design: Design, name: str) -> dict[str, int]:
    num, den = rate_of(design, name)
    return {"rate_num": num, "rate_den": den} if num else {}


def _market_rows(design: Design, names: Names) -> list[Row]:
    """Fee tiers, bands and schedules of the instruments; nothing for what is not said."""
    rows = []
    for name, row in design.instruments.items():
        path, number = join("$.instruments", name), names["instruments"][name]
        rows += [Row(K.CONFIGURE_TIER, {"instrument": number, "tier": int(tier), "maker_ppm": fees.maker_ppm, "taker_ppm": fees.taker_ppm,
                                        "rfq_ppm": fees.rfq_ppm, "minimum": units_of(design, row.quote, fees.minimum)}, join(f"{path}.tiers", tier))
                 for tier, fees in row.tiers.items()]
        if row.band is not None:
            rows.append(Row(K.CONFIGURE_BAND, {"instrument": number, **{f: getattr(row.band, f) for f in ("band_ppm", "window", "auction", "indicative")}},
                            f"{path}.band"))
        rows += [Row(K.CONFIGURE_SCHEDULE, {"instrument": number, "slot": i, "offset": slot.at, "period": slot.every, "session": Session[slot.session.upper()],
                                            "next": Session[slot.next.upper()] if slot.next else 0, "duration": slot.duration, "enabled": 1},
                     f"{path}.schedule[{i}]") for i, slot in enumerate(row.schedule)]
    return rows


def _trader_rows(design: Design, names: Names) -> list[Row]:
    """How accounts trade: groups, throttles, tiers, exposure, protection, restricted lists; nothing for what is not said."""
    rows, instruments = [], names["instruments"]
    for name, (path, row) in accounts(design).items():
        if isinstance(row, Custody):
            continue
        account = names["accounts"][name]
        said = {"self_trade_scope": SelfTradeScope[row.self_trade.upper()], "fee_instrument": instruments[row.fee_instrument] if row.fee_instrument else 0,
                **{f: getattr(row, f) for f in TRADING if f not in ("self_trade_scope", "fee_instrument")}}
        if any(said.values()):
            rows.append(Row(K.CONFIGURE_TRADING, {"account": account, **said}, path))
        if row.exposure is not None:
            rows.append(Row(K.CONFIGURE_EXPOSURE, {"account": account, **{f: parse_units(getattr(row.exposure, f), design.cell.numeraire_digits)
                                                                         for f in ("gross", "net", "loss")}}, f"{path}.exposure"))
        rows += [Row(K.CONFIGURE_PROTECTION, {"account": account, "instrument": instruments[at], "window": protection.window,
                                              **{f: units_of(design, design.instruments[at].base, getattr(protection, f)) for f in ("quantity", "delta")}},
                     join(f"{path}.protection", at)) for at, protection in row.protection.items()]
        rows += _restrictions(account, 0, row.restricted, path, instruments)
    for name, key in design.keys.items():
        rows += _restrictions(0, names["actors"][name], key.restricted, join("$.keys", name), instruments)
    return rows


def _restrictions(account: int, actor: int, restricted: tuple[str, ...], path: str, instruments: dict[str, int]) -> list[Row]:
    return [Row(K.CONFIGURE_RESTRICTION, {"account": account, "number": actor, "instrument": instruments[name], "barred": 1}, f"{path}.restricted")
            for name in restricted]
