"""What a person sees of the processes: a table that is drawn anew on a terminal, or plain lines.

Decides how the supervisor's words are shown, and nothing of what they say.
"""
import time
from typing import Any, Protocol

from cambist.supervisor import PartState, Shown

MARKS = {PartState.READY: ("●", "green"), PartState.STARTING: ("◐", "yellow"), PartState.WAITING: ("○", "dim"), PartState.PAUSED: ("✗", "red"),
         PartState.ENDING: ("◑", "yellow"), PartState.ENDED: ("○", "dim")}
COLUMNS = (("part", "left"), ("state", "left"), ("pid", "right"), ("restarts", "right"), ("up", "right"), ("memory", "right"), ("address", "left"),
           ("", "left"))
LINE_MOST = 60                                  # characters of a part's own line


class Screen(Protocol):
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: object) -> None: ...
    def say(self, text: str, loud: bool = False) -> None: ...
    def show(self, rows: list[Shown], now: int) -> None: ...


def up_for(row: Shown, now: int) -> str:
    """"2:05:09", or nothing while it is not ready."""
    if not row.since:
        return ""
    seconds = (now - row.since) // 1_000_000_000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class PlainScreen:
    """A line for each thing that happens, with its time; no table."""

    def __enter__(self) -> "PlainScreen":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str, loud: bool = False) -> None:
        print(f"{time.strftime('%H:%M:%S')} {'ATTENTION: ' if loud else ''}{text}", flush=True)

    def show(self, rows: list[Shown], now: int) -> None:
        pass


class LiveScreen:
    """The table stays at the bottom, lines go by above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str, loud: bool = False) -> None:
        from rich.text import Text
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} ", "dim"), Text(f"ATTENTION: {text}" if loud else text, "bold red" if loud else ""), sep="")

    def show(self, rows: list[Shown], now: int) -> None:
        self._live.update(table(rows, now), refresh=True)


def table(rows: list[Shown], now: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text
    made = Table(box=box.SIMPLE, pad_edge=False)
    for name, justify in COLUMNS:
        made.add_column(name, justify=justify, no_wrap=True)                # type: ignore[arg-type]
    for row in rows:
        mark, style = MARKS[row.state]
        made.add_row(row.name, Text(f"{mark} {row.state}", style), str(row.pid or ""), str(row.restarts), up_for(row, now),
                     f"{row.memory >> 20} MiB" if row.memory else "", row.address, Text(row.line[:LINE_MOST], "dim"))
    return made
