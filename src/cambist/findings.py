"""What `cambist check` says of a design that can be read: where it would trade without risk, wait for nobody, or promise what it cannot hold.

Decides codes, severities and their reasons, as a linter does: a code is stable, added and never reused. An error is a desk that should not start, a
warning is one to think about. It also draws the workflow, from the same reading. It must not know a running cell, and changes nothing.
"""
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from cambist.design import HOUSE_ACCOUNTS, KINDS, SECOND_PERSON, accounts, join, kinds, terms, units_of
from cambist.messages import MAX_AMOUNT, Event, Kind
from cambist.sections import Custody, Dealer, Design, Desk
from cambist.units import PPM, UP, OutOfRange, amount, fee, format_duration

CODES = {
    "CB001": "an instrument trades without limits",
    "CB002": "an instrument trades without a collar",
    "CB003": "an instrument has no price source",
    "CB004": "fewer price sources than the guard needs",
    "CB005": "the budgets of stages exceed their target",
    "CB006": "a gate that only one person, or none, can open",
    "CB007": "a person who asks at a gate and whom no one else can answer",
    "CB008": "one person can rewrite who may do what",
    "CB009": "no settlement route",
    "CB010": "a product that could overflow",
    "CB011": "replicas that fail together",
    "CB012": "replicas of a log that has one copy",
    "CB013": "a stage starts or ends with something that never happens",
    "CB014": "a role that may do nothing",
    "CB015": "a person without a key",
    "CB016": "an account no key can trade for",
    "CB017": "the smallest trade is not a whole number of quote units",
    "CB018": "more than a table holds",
    "CB019": "a dealer without a quoting line",
    "CB020": "trading on credit without credit",
    "CB021": "a secret in the design",
    "CB022": "no position limit",
    "CB023": "a stage without a fallback",
    "CB024": "a size of quote that the engine neither gives nor proposes",
    "CB025": "automatic quotes that wait for a second person all the same",
    "CB026": "a rebate above what a taker pays",
    "CB027": "a price band wider than the collar",
    "CB028": "an exposure limit that cannot be counted",
    "CB029": "an instrument that closes and never opens",
    "CB030": "a person who may speak for custody",
    "CB031": "self-trade by group, in no group",
    "CB032": "a mirror in no certain place",
}
# Moments the house stamps that are neither an event nor a command: what `ops` measures besides.
MOMENTS = ("received", "submitted", "sealed", "committed", "applied", "published", "priced")
TRADING = frozenset({Kind.NEW_ORDER, Kind.REQUEST_QUOTE, Kind.QUOTE, Kind.NEW_CHILD, Kind.TRANSFER})
ACCOUNT_ZERO_QUOTA = 4096                       # rules.md section 2: answers kept for commands that belong to no account
SECRETS = (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), re.compile(r"(?:0x)?[0-9a-fA-F]{64,}"), re.compile(r"\w+://[^/\s:@]+:[^/\s@]+@"),
           re.compile(r"\b(?:sk|rk|AKIA|ghp|xox[bp])[-_A-Za-z0-9]{16,}"), re.compile(r"(?i)\b(?:password|passphrase|secret|api[-_ ]?key|token)\s*[:=]\s*\S+"))


class Finding(NamedTuple):
    code: str
    severity: str                               # error or warning
    path: str
    text: str


def check(design: Design) -> list[Finding]:
    """Everything worth saying of a design, by code and then in its own order."""
    parts = (_instruments, _budgets, _gates, _proposals, _routes, _redundancy, _people, _tables, _lines, _secrets, _markets, _traders)
    return sorted((Finding(*f) for part in parts for f in part(design)), key=lambda f: f.code)


def _instruments(design: Design) -> Iterator[tuple]:
    for name, row in design.instruments.items():
        path, limits, t = join("$.instruments", name), row.limits, terms(design, name)
        if (t.lot * t.book_tick * t.amount_num) % t.amount_den:
            yield "CB017", "warning", f"{path}.lot", f"at one tick is no whole number of {row.quote} units, so amounts round down: a coarser one is exact"
        if not row.sources:
            yield "CB003", "error", f"{path}.sources", "is empty, so there is never a reference and no collar holds: name some of $.sources"
        if limits is None:
            yield "CB001", "error", f"{path}.limits", "there are no limits: give max_quantity, max_notional, collar_ppm, max_position, min_sources, max_age"
            continue
        if not limits.collar_ppm:
            yield "CB002", "error", f"{path}.limits.collar_ppm", "is 0, so any price trades: 50000 keeps orders within 5% of the reference"
        for guard, needed in ((f"{path}.limits.min_sources", limits.min_sources), ("$.pricing.min_sources", design.pricing.min_sources)):
            if 0 < len(row.sources) < needed:
                yield "CB004", "error", f"{path}.sources", f"names {len(row.sources)}, and {guard} needs {needed}"
        if not units_of(design, row.base, limits.max_position):
            yield "CB022", "warning", f"{path}.limits.max_position", "is 0, which is no limit"
        try:
            largest = amount(units_of(design, row.base, limits.max_quantity), t.max_price, t.amount_num, t.amount_den, UP)
            overflows = largest + fee(largest, PPM, UP) > MAX_AMOUNT or t.max_price * t.amount_num > MAX_AMOUNT
        except OutOfRange:
            overflows = True
        if overflows:
            yield "CB010", "error", f"{path}.limits.max_quantity", f"at max_price, with its fee, is beyond {MAX_AMOUNT:,} units: lower either"


def _markets(design: Design) -> Iterator[tuple]:
    for name, row in design.instruments.items():
        path = join("$.instruments", name)
        schedules = {f"{path}.fees": row.fees, **{join(f"{path}.tiers", number): tier for number, tier in row.tiers.items()}}
        rebate, least = max(-fees.maker_ppm for fees in schedules.values()), min(fees.taker_ppm for fees in schedules.values())
        if rebate > least:
            where = next(at for at, fees in schedules.items() if -fees.maker_ppm == rebate)
            yield "CB026", "error", f"{where}.maker_ppm", f"gives {rebate} ppm back, and some taker pays {least}: the house would lose by such a trade"
        if row.band is not None and row.limits is not None and 0 < row.limits.collar_ppm <= row.band.band_ppm:
            yield ("CB027", "warning", f"{path}.band.band_ppm",
                   f"is {row.band.band_ppm}, and the collar of {row.limits.collar_ppm} refuses what would reach it: a narrower band calls an auction first")
        sessions = {slot.session if slot.session != "auction" else slot.next for slot in row.schedule}
        if sessions & {"closed", "cancel_only"} and "continuous" not in sessions:
            yield "CB029", "error", f"{path}.schedule", "closes and has no auction that opens: add a slot with session \"auction\" and next \"continuous\""


def _traders(design: Design) -> Iterator[tuple]:
    for path, row in accounts(design).values():
        if isinstance(row, Custody):
            continue
        if row.self_trade == "group" and not row.trade_group:
            yield "CB031", "warning", f"{path}.trade_group", "is 0, and self_trade says group: a group of its own number protects it"
        for asset in dict.fromkeys(i.quote for i in design.instruments.values()) if row.exposure is not None else ():
            if design.assets[asset].rate is None:
                yield "CB028", "error", f"{path}.exposure", f"and {join('$.assets', asset)} has no rate: every order against {asset} is refused NO_RATE"
    for name, key in design.keys.items():
        if key.person and key.enabled and Kind.DEPOSIT in _may(design, key.role):
            yield "CB030", "error", join("$.keys", name), f"is {key.person}'s and may report deposits: the core refuses MINT, and only a service should try"


def _budgets(design: Design) -> Iterator[tuple]:
    order = [s.name for s in design.stages]
    for name, target in design.targets.items():
        stages = design.stages[order.index(target.first):order.index(target.last) + 1]
        if (total := sum(s.budget for s in stages)) > target.budget:
            yield ("CB005", "error", join("$.targets", name) + ".budget",
                   f"is {format_duration(target.budget)}, and the stages {target.first} to {target.last} may take {format_duration(total)}: "
                   + ", ".join(f"{s.name} {format_duration(s.budget)}" for s in stages))
    known = {*MOMENTS, *KINDS, *(e.name.lower() for e in Event)}
    for i, stage in enumerate(design.stages):
        for key in ("starts", "ends"):
            if getattr(stage, key) not in known:
                yield "CB013", "error", f"$.stages[{i}].{key}", f"{getattr(stage, key)!r} is no event, no command and none of {', '.join(MOMENTS)}"
        if not stage.fallback:
            yield "CB023", "warning", f"$.stages[{i}].fallback", f"what happens when {stage.name} is late is not said"


def _gates(design: Design) -> Iterator[tuple]:
    """The core refuses whoever approves their own; so a gate with one approver stays shut, and one open to authority is none."""
    approvers = {key.person for key in design.keys.values() if key.person and key.enabled and Kind.APPROVE in _may(design, key.role)}
    gates = []
    for name in design.roles:
        waits = _waits(design, name)
        if waits:
            gates.append((name, waits))
        bare = [k for k in (Kind.CONFIGURE_ACTOR, Kind.CONFIGURE_AUTHORITY) if k in _may(design, name) and k not in waits]
        if bare:
            shown = " and ".join(k.name.lower() for k in bare)
            yield ("CB008", "error", join("$.roles", name),
                   f'may send {shown} without a second person, and so give itself anything: add "configure_*" to $.oversight.second_person')
    for name, waits in gates:
        shown = _some(waits)
        if len(approvers) < 2:
            who = f"only {next(iter(sorted(approvers)))} has" if approvers else "nobody has"
            yield "CB006", "error", join("$.roles", name), f"{shown} waits for a second person, and {who} an enabled key that may approve: two people at least"
        for person in dict.fromkeys(k.person for k in design.keys.values() if k.role == name and k.person and k.enabled):
            if person in approvers and len(approvers) == 1:
                yield "CB007", "error", join("$.people", person), f"may ask for {shown} and is the only one who may approve: nobody approves their own"


def _proposals(design: Design) -> Iterator[tuple]:
    """What the desk quotes by itself, and what the core holds for a second person: there should be nothing between the two."""
    for asset in dict.fromkeys(row.quote for row in design.instruments.values()) if any(d.dealer for d in design.house.desks.values()) else ():
        automatic, gate = design.pricing.auto_quote_max_notional.get(asset), design.oversight.quotes_above.get(asset)
        if gate is None or units_of(design, asset, automatic or "0") < units_of(design, asset, gate):
            yield ("CB024", "warning", join("$.oversight.quotes_above", asset),
                   f"{'is not given' if gate is None else f'is {gate}'}, and the engine quotes up to {automatic or 'nothing'} by itself: what lies between no "
                   f"gate holds, so the engine leaves it to a person's own price. As much as {join('$.pricing.auto_quote_max_notional', asset)} closes the gap")
        elif automatic is not None and units_of(design, asset, automatic) > units_of(design, asset, gate):
            yield ("CB025", "warning", join("$.pricing.auto_quote_max_notional", asset),
                   f"is {automatic}, and {join('$.oversight.quotes_above', asset)} holds every quote above {gate}: lower this one, or raise that")


def _may(design: Design, role: str) -> list[Kind]:
    row = design.roles[role]
    return [k for words in (row.own, row.entity, row.all) for k in kinds(words)]


def _waits(design: Design, role: str) -> list[Kind]:
    """Kinds of a role that are held for a second person; a transfer is, when some asset has a threshold, and so is a quote of a desk."""
    words = {*kinds(design.roles[role].second_person), *kinds(design.oversight.second_person)} & SECOND_PERSON
    sized = any(a.transfers_above is not None for a in design.assets.values())
    gated = bool(design.oversight.quotes_above) and any(k.role == role and k.account in design.house.desks for k in design.keys.values())
    return [k for k in _may(design, role) if k in words or (k is Kind.TRANSFER and sized) or (k is Kind.QUOTE and gated)]


def _some(waits: list[Kind]) -> str:
    return ", ".join(k.name.lower() for k in waits[:3]) + (f" and {len(waits) - 3} more" if len(waits) > 3 else "")


def _routes(design: Design) -> Iterator[tuple]:
    kept = {asset for row in design.house.custody.values() if row.kind != "venue" and row.enabled for asset in row.assets}
    for asset in dict.fromkeys(a for row in design.instruments.values() for a in (row.base, row.quote)):
        if asset not in kept:
            yield "CB009", "error", join("$.assets", asset), "is traded, and no wallet or bank under $.house.custody keeps it: nothing can be paid in or out"
        elif not design.assets[asset].chain and not design.assets[asset].bank:
            yield "CB009", "error", join("$.assets", asset), "is traded, and names neither a chain nor a bank: nothing can be paid in or out"


def _redundancy(design: Design) -> Iterator[tuple]:
    plan = design.redundancy
    if plan.replicas > 1 and len(dict.fromkeys(plan.failure_domains)) < plan.replicas:
        apart = len(dict.fromkeys(plan.failure_domains))
        yield "CB011", "error", "$.redundancy.failure_domains", f"are {apart} for {plan.replicas} replicas: those in one fail together"
    if plan.replicas > 1 and plan.log == "journal":
        yield "CB012", "error", "$.redundancy.log", f"is one journal on one disk under {plan.replicas} replicas: jetstream keeps a copy for each"
    if plan.mirror and not plan.mirror.startswith("/"):
        yield "CB032", "error", "$.redundancy.mirror", f"is {plan.mirror!r}, which depends on where the program is started: an absolute path does not"


def _people(design: Design) -> Iterator[tuple]:
    for name in design.roles:
        if not _may(design, name):
            yield "CB014", "warning", join("$.roles", name), "lists no kind of command: a key in it is refused everything"
    holders = {key.person for key in design.keys.values() if key.enabled}
    for name in design.people:
        if name not in holders:
            yield "CB015", "warning", join("$.people", name), "has no enabled key, and so can neither ask nor approve"
    for name, (path, row) in accounts(design).items():
        if not isinstance(row, Custody) and not any(_reaches(design, key, name, row) for key in design.keys.values()):
            yield "CB016", "warning", path, "no enabled key may order, ask, quote or transfer for it"


def _reaches(design: Design, key: Any, name: str, account: Any) -> bool:
    role, own = design.roles[key.role], accounts(design).get(key.account, (None, None))[1]
    entity = design.house.entity if key.account in HOUSE_ACCOUNTS else getattr(own, "entity", None)
    reach = [*(role.all), *(role.entity if entity == account.entity else ()), *(role.own if key.account == name else ())]
    return key.enabled and any(k in TRADING for k in kinds(tuple(reach)))


def _tables(design: Design) -> Iterator[tuple]:
    rows, size = accounts(design), design.capacity
    quotas = ACCOUNT_ZERO_QUOTA + len(HOUSE_ACCOUNTS) * design.house.answer_quota + sum(r.answer_quota for _, r in rows.values() if not isinstance(r, Custody))
    traders = [r for _, r in rows.values() if not isinstance(r, Custody)]
    for table, needed, what in (
        ("answers", quotas, f"answer quotas, with {ACCOUNT_ZERO_QUOTA:,} for commands of no account"), ("assets", len(design.assets), "assets"),
        ("accounts", len(HOUSE_ACCOUNTS) + len(rows), "accounts, with the house's four"), ("actors", len(design.keys), "keys"),
        ("instruments", len(design.instruments), "instruments"), ("venues", len(design.venues), "venues"),
        ("dealers", len(design.dealers) + sum(d.dealer for d in design.house.desks.values()), "dealers"),
        ("credit", sum(len({*r.credit, *getattr(r, "quoting", {})}) for r in traders), "credit lines"),
        ("positions", sum(len(r.positions) for r in traders), "position limits"),
        ("orders", sum(r.max_open for r in traders), "open orders, if every account uses its max_open"),
    ):
        if needed > getattr(size, table):
            severity = "warning" if table == "orders" else "error"
            yield "CB018", severity, f"$.capacity.{table}", f"is {getattr(size, table):,}, and the design adds up to {needed:,} {what}"


def _lines(design: Design) -> Iterator[tuple]:
    on_credit = list(dict.fromkeys(row.quote for row in design.instruments.values() if row.settlement == "on_credit"))
    all_on_credit = all(row.settlement == "on_credit" for row in design.instruments.values())
    quoted = list(dict.fromkeys(row.quote for row in design.instruments.values()))
    for path, row in accounts(design).values():
        if isinstance(row, Custody):
            continue
        invited = isinstance(row, Dealer) and (not isinstance(row, Desk) or row.dealer)
        if invited and not any(units_of(design, a, row.quoting.get(a, "0")) for a in quoted):        # type: ignore[union-attr]
            yield ("CB019", "error", f"{path}.quoting",
                   f"is invited to quote and has no line in {' or '.join(quoted) or 'any quote asset'}: each of its quotes is refused")
        if on_credit and not any(units_of(design, a, row.credit.get(a, "0")) for a in on_credit):
            yield ("CB020", "error" if all_on_credit else "warning", f"{path}.credit",
                   f"has no line in {' or '.join(on_credit)}, in which instruments settle on credit: each of its trades there is refused")


def _secrets(design: Design) -> Iterator[tuple]:
    """Texts that look like a key or a password, anywhere but in a public key. The text itself is never repeated."""
    for path, text in _texts(msgspec.to_builtins(design), "$"):
        if not path.endswith(".public_key") and any(pattern.search(text) for pattern in SECRETS):
            yield "CB021", "error", path, 'looks like a secret: name where it is kept instead, as in "env:NAME", and replace it, since this file has been read'


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, join(path, key))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _texts(inner, join(path, i))


# ------------------------------------------------------------------------------------------------------------ drawing


def draw(design: Design) -> str:
    """The workflow as a Mermaid flowchart: stages in order with who acts and their budgets, human gates as hexagons, and the accounts and venues beside."""
    lines = ["flowchart LR", '  subgraph workflow["what happens"]']
    for i, stage in enumerate(design.stages):
        text = f"{stage.name}<br/>{stage.role or stage.who}, {format_duration(stage.budget)}"
        opening, closing = {"person": ("{{", "}}"), "engine": ("[", "]")}.get(stage.who, ("[/", "/]"))
        lines.append(f'    s{i}{opening}"{_plain(text)}"{closing}:::{stage.who}')
    lines += [f"    s{i} -->|{_plain(design.stages[i + 1].starts)}| s{i + 1}" for i in range(len(design.stages) - 1)] + ["  end"]
    dealers = {**design.dealers, **{n: d for n, d in design.house.desks.items() if d.dealer}}
    groups = (("clients", design.clients), ("dealers", dealers), ("venues", design.venues), ("custody", design.house.custody))
    for group, members in groups:
        if members:
            lines += [f"  subgraph {group}", *(f'    {group}_{i}["{_plain(name)}"]' for i, name in enumerate(members)), "  end"]
    if design.stages and design.clients:
        lines.append("  clients --> s0")
    for i, stage in enumerate(design.stages):
        if stage.who == "venue" and design.venues:
            lines.append(f"  s{i} <--> venues")
        elif stage.who in ("chain", "bank") and design.house.custody:
            lines.append(f"  s{i} <--> custody")
        elif stage.ends == "quote_shown" and (design.dealers or design.house.desks):
            lines.append(f"  dealers --> s{i}")
    for i, name in enumerate(n for n in design.roles if _waits(design, n)):
        lines.append(f'  gate{i}{{{{"{_plain(f"second person<br/>{name}: {_some(_waits(design, name))}")}"}}}}:::person')
    return "\n".join([*lines, "  classDef person stroke-width:3px"]) + "\n"


def _plain(text: str) -> str:
    """Text that ends no Mermaid label early."""
    return text.replace('"', "#quot;").replace("|", "#124;")
