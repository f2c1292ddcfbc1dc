"""Which engines the domain tables run on. COMPLETE is the one switch: an engine that follows the whole of docs/rules.md stands in it."""
from collections.abc import Callable

from cambist.core.cell import Cell
from cambist.messages import ARGUMENTS, Kind
from cambist.simulation.twin import Twin

ENGINES: dict[str, Callable[[], object]] = {"kernel": Cell, "twin": Twin}       # what both have
COMPLETE: dict[str, Callable[[], object]] = dict(ENGINES)                      # everything
BOTH_COMPLETE = set(COMPLETE) == set(ENGINES)

# What only a complete engine knows; random flows leave it out until both are.
LATER_KINDS = frozenset() if BOTH_COMPLETE else frozenset({
    Kind.CONFIGURE_RESTRICTION, Kind.CONFIGURE_TRADING, Kind.CONFIGURE_TIER, Kind.CONFIGURE_BAND, Kind.CONFIGURE_SCHEDULE, Kind.CONFIGURE_PROTECTION,
    Kind.CONFIGURE_EXPOSURE, Kind.CANCEL_SOME, Kind.MASS_QUOTE, Kind.RESET_PROTECTION, Kind.DEAD_MAN, Kind.MANUAL_CREDIT, Kind.SESSION, Kind.KILL_TRADER,
    Kind.REVIVE_TRADER, Kind.CHANGE_TERMS, Kind.CHANGE_DIGITS})
LATER_FIELDS = {} if BOTH_COMPLETE else {
    Kind.NEW_ORDER: {"order_type", "time_in_force", "post_only", "trigger", "trigger_on", "options", "trigger_price",
                     "display", "minimum", "good_till", "offset", "link"},
    Kind.CONFIGURE_ASSET: {"rate_num", "rate_den"}}
KINDS_OF_BOTH = tuple(k for k in Kind if k not in LATER_KINDS)
FIELDS_OF_BOTH = {kind: tuple(name for name, _ in fields if name not in LATER_FIELDS.get(kind, ())) for kind, fields in ARGUMENTS.items()}
