"""The engines that follow docs/rules.md: the domain tables run on each of them."""
from collections.abc import Callable

from cambist.core.cell import Cell
from cambist.simulation.twin import Twin

ENGINES: dict[str, Callable[[], object]] = {"kernel": Cell, "twin": Twin}
