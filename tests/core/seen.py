"""What random flows have met: how many commands of each kind, why they were refused, and which values of their fields were accepted."""
from collections import Counter
from enum import IntEnum

import numpy as np

from cambist.messages import (
    ARGUMENTS, BY_QUOTE, LAYOUT, REDUCE_ONLY, Event, Kind, Link, Liquidity, OrderType, PostOnly, Reason, SelfTrade, SelfTradeScope, Session,
    Side, TimeInForce, Trigger, TriggerOn,
)

K = Kind
ORDER_ENUMS = {"side": (Side.BUY, Side.SELL), "order_type": OrderType, "time_in_force": TimeInForce, "self_trade": SelfTrade, "post_only": PostOnly,
               "trigger": Trigger, "trigger_on": TriggerOn, "link": Link}
ENUMS = {K.NEW_ORDER: ORDER_ENUMS, K.MASS_QUOTE: {"self_trade": SelfTrade}, K.SESSION: {"session": [s for s in Session if s != Session.VOLATILITY]},
         K.CONFIGURE_TRADING: {"self_trade_scope": SelfTradeScope}, K.CANCEL_SOME: {"side": Side}, K.REQUEST_QUOTE: {"side": Side},
         K.NEW_CHILD: {"time_in_force": (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)}}
OPTIONS = {"reduce_only": REDUCE_ONLY, "by_quote": BY_QUOTE}
LIQUIDITY = tuple(Liquidity)[1:]


def expected() -> set[str]:
    """Every named value of a field, every other field with something in it, and every kind of fill, fee and session."""
    out = {f"{kind.name}.{field}" for kind, fields in ARGUMENTS.items() for field, _ in fields if field not in ENUMS.get(kind, ())}
    out |= {f"{kind.name}.{field}={value.name}" for kind, fields in ENUMS.items() for field, values in fields.items() for value in values}
    out |= {f"NEW_ORDER.options={name}" for name in OPTIONS}
    out |= {f"FILLED as {x.name}" for x in LIQUIDITY} | {f"FILLED with a {what}" for what in ("fee", "rebate")}
    return out | {f"SESSION_CHANGED to {s.name}" for s in Session}


class Seen:
    """Counts, to be added to those of other runs."""
    PARTS = ("accepted", "refused", "events", "refusals", "reasons", "fields")

    def __init__(self) -> None:
        self.commands = 0
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()         # reasons of REFUSED
        self.reasons: Counter[str] = Counter()          # reasons of anything
        self.fields: Counter[str] = Counter()           # of accepted commands, named as `expected` does

    def note(self, records: np.ndarray, events: np.ndarray, before: int) -> None:
        """One entry: its commands, its events, and the sequence before it."""
        self.commands += len(records)
        no = np.unique(events["sequence"][(events["kind"] == Event.REFUSED) | (events["kind"] == Event.DUPLICATE)]) - before - 1
        mask = np.zeros(len(records), bool)
        mask[no] = True
        self.refused.update(named_counts(Kind, records["kind"][mask]))
        self.accepted.update(named_counts(Kind, records["kind"][~mask]))
        self.events.update(named_counts(Event, events["kind"]))
        self.refusals.update(named_counts(Reason, events["reason"][events["kind"] == Event.REFUSED]))
        self.reasons.update(named_counts(Reason, events["reason"]))
        self._fields(records[~mask])
        self._fills(events)

    def _fields(self, accepted: np.ndarray) -> None:
        for number in np.unique(accepted["kind"]).tolist():
            kind = Kind(number)
            rows = accepted[accepted["kind"] == number].view(np.uint8).view(LAYOUT[kind])
            for field, _ in ARGUMENTS[kind]:
                if field in ENUMS.get(kind, ()):
                    for value in ENUMS[kind][field]:
                        self._add(f"{kind.name}.{field}={value.name}", rows[field] == value)
                else:
                    self._add(f"{kind.name}.{field}", rows[field] != 0)
            if kind is K.NEW_ORDER:
                for name, bit in OPTIONS.items():
                    self._add(f"NEW_ORDER.options={name}", rows["options"] & bit != 0)

    def _fills(self, events: np.ndarray) -> None:
        fills = events[events["kind"] == Event.FILLED]
        for liquidity in LIQUIDITY:
            self._add(f"FILLED as {liquidity.name}", fills["liquidity"] == liquidity)
        self._add("FILLED with a fee", fills["fee"] > 0)
        self._add("FILLED with a rebate", fills["fee"] < 0)
        changes = events[events["kind"] == Event.SESSION_CHANGED]
        for session in Session:
            self._add(f"SESSION_CHANGED to {session.name}", changes["id"] == session)

    def _add(self, what: str, mask: np.ndarray) -> None:
        if count := int(np.count_nonzero(mask)):
            self.fields[what] += count

    # ------------------------------------------------------------------------------------------------------------------- adding
    def taken(self) -> dict[str, object]:
        """The counts as plain data, and nothing left here."""
        out: dict[str, object] = {"commands": self.commands, **{part: dict(getattr(self, part)) for part in self.PARTS}}
        self.__init__()
        return out

    def add(self, counts: dict) -> None:
        self.commands += counts["commands"]
        for part in self.PARTS:
            getattr(self, part).update(counts[part])

    # ------------------------------------------------------------------------------------------------------------------- asking
    def missing(self, never: frozenset[str] = frozenset()) -> list[str]:
        """What was never met and is not of those that cannot be."""
        gone = [f"{k.name} {what}" for k in Kind for what, met in (("accepted", self.accepted), ("refused", self.refused)) if not met[k.name]]
        gone += [f"event {e.name}" for e in Event if not self.events[e.name]] + [f"reason {r.name}" for r in Reason if not self.reasons[r.name]]
        return [what for what in gone + sorted(what for what in expected() if not self.fields[what]) if what not in never]

    def table(self) -> str:
        passed = sum(self.accepted.values()) / max(1, self.commands)
        lines = [f"{self.commands:,} commands without a difference, {passed:.0%} accepted", f"{'kind':<24}{'accepted':>12}{'refused':>12}"]
        lines += [f"{k.name:<24}{self.accepted[k.name]:>12,}{self.refused[k.name]:>12,}" for k in Kind]
        unknown = sum(n for name, n in self.refused.items() if name not in Kind.__members__)
        return "\n".join([*lines, f"{'(no kind there is)':<24}{0:>12}{unknown:>12,}", told("events", self.events), told("refused for", self.refusals),
                          told("all reasons", self.reasons), told("fields", self.fields)])


def told(title: str, counts: Counter[str]) -> str:
    return f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def named_counts(names: type[IntEnum], numbers: np.ndarray) -> dict[str, int]:
    """How often each; a number without a name stands for itself."""
    found = Counter(numbers.tolist())
    return {names(number).name if number in names._value2member_map_ else str(number): times for number, times in found.items()}


