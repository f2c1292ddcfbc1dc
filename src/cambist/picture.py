"""The workflow of a design as a picture: `cambist draw --svg`, and the console's page of the design.

Decides where stages, parties and gates stand and which lines join them. It must not know a running cell, a font that has to be there, or a tool outside: it
writes SVG by hand. Every mark has a class and no colour of its own; STYLE colours them, in light and dark, and shape and words say all that colours say.
"""
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from cambist.design import SECOND_PERSON, kinds
from cambist.messages import Kind
from cambist.sections import Design
from cambist.units import format_duration

ACROSS = 5                                      # stages in a row
WIDE, HIGH, GAP, DROP = 196, 112, 34, 88        # of a stage, and the room beside and below it
LEFT, TOP, EDGE = 28, 64, 12
LINE = 18                                       # height of a line of text
TEXT_MOST = 26                                  # characters in a line of a stage
STYLE = """.cb-picture{font:13px/1.3 system-ui,sans-serif}
.cb-picture text{fill:var(--picture-ink,#1b2430)}
.cb-picture .small{font-size:11.5px;fill:var(--picture-soft,#48566a)}
.cb-picture .title{font-weight:600;font-size:14px}
.cb-picture .box{fill:var(--picture-box,#f3f6fa);stroke:var(--picture-line,#5a6b82);stroke-width:1.4}
.cb-picture .person .box{stroke:var(--picture-person,#9a4a00);stroke-width:3}
.cb-picture .venue .box,.cb-picture .bank .box,.cb-picture .chain .box{stroke-dasharray:6 3}
.cb-picture .group{fill:none;stroke:var(--picture-faint,#b4c0cf);stroke-width:1.2}
.cb-picture .flow,.cb-picture .reach{fill:none;stroke:var(--picture-line,#5a6b82);stroke-width:1.6}
.cb-picture .reach{stroke-dasharray:3 4}
.cb-picture .head{fill:var(--picture-line,#5a6b82);stroke:none}
"""
DARK = """@media (prefers-color-scheme: dark){svg.cb-picture{--picture-ink:#e6edf6;--picture-soft:#a9b7c9;--picture-box:#1d2733;--picture-line:#8ea2ba;
--picture-faint:#42536a;--picture-person:#f0a35b;background:#121922}}
"""


class Node(NamedTuple):
    """A stage, a party or a gate: what it says, line by line, and who acts."""
    name: str
    lines: tuple[str, ...]
    who: str


class Graph(NamedTuple):
    """The same reading `cambist draw` prints: stages in order, what joins them, the parties beside, who reaches which stage, and the gates."""
    stages: tuple[Node, ...]
    joins: tuple[str, ...]                      # between a stage and the next: what starts the next
    parties: dict[str, tuple[str, ...]]
    reaches: tuple[tuple[str, int], ...]        # a party and the stage it takes part in
    gates: tuple[Node, ...]


def graph(design: Design) -> Graph:
    """What the design says happens, and who is there."""
    stages = tuple(Node(s.name, (s.role or s.who, f"budget {format_duration(s.budget)}", f"else: {s.fallback}" if s.fallback else ""), s.who)
                   for s in design.stages)
    dealers = [*design.dealers, *(n for n, d in design.house.desks.items() if d.dealer)]
    parties = {"clients": tuple(design.clients), "dealers": tuple(dealers), "venues": tuple(design.venues), "custody": tuple(design.house.custody)}
    reaches = [("clients", 0)] if stages and design.clients else []
    for i, stage in enumerate(design.stages):
        party = "venues" if stage.who == "venue" else "custody" if stage.who in ("chain", "bank") else "dealers" if stage.ends == "quote_shown" else \
            "clients" if stage.who == "person" and stage.role == "client" else ""
        if party and parties[party]:
            reaches.append((party, i))
    gates = tuple(Node(name, (_some(waits),), "person") for name in design.roles if (waits := _waiting(design, name)))
    return Graph(stages, tuple(s.starts for s in design.stages[1:]), parties, tuple(reaches), gates)


def _waiting(design: Design, role: str) -> list[Kind]:
    """Kinds of a role that wait for a second person; transfers and quotes do by size."""
    row = design.roles[role]
    may = [k for words in (row.own, row.entity, row.all) for k in kinds(words)]
    always = {*kinds(row.second_person), *kinds(design.oversight.second_person)} & SECOND_PERSON
    sized = {Kind.TRANSFER} if any(a.transfers_above is not None for a in design.assets.values()) else set()
    if getattr(design.oversight, "quotes_above", {}) and any(k.role == role and k.account in design.house.desks for k in design.keys.values()):
        sized.add(Kind.QUOTE)
    return [k for k in may if k in always | sized]


def _some(waits: Sequence[Kind]) -> str:
    names = [k.name.lower().replace("_", " ") for k in waits]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ----------------------------------------------------------------------------------------------------------------- drawing
def svg(design: Design, *, alone: bool = True) -> str:
    """The picture. `alone`: with its own style, as a file of its own; else the page that holds it brings STYLE, and colours by its theme."""
    g = graph(design)
    rows = -(-len(g.stages) // ACROSS)
    width = LEFT * 2 + ACROSS * WIDE + (ACROSS - 1) * GAP
    below = TOP + rows * (HIGH + DROP) - DROP // 2
    parts = [*_stages(g), *_parties(g, below, width)]
    gates_at = below + LINE * (2 + max((len(names) for names in g.parties.values()), default=0)) + 44
    parts += _gates(g, gates_at, width)
    height = gates_at + (30 + LINE * len(g.gates) if g.gates else 0) + EDGE
    title, told = f"Workflow of cell {design.cell.number}", describe(g)
    style = f"<style>{STYLE}{DARK}</style>" if alone else ""
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" class="cb-picture" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-labelledby="cb-title cb-desc"><title id="cb-title">{escape(title)}</title><desc id="cb-desc">{escape(told)}</desc>{style}')
    return "\n".join([head, _text(LEFT, 30, "What happens to a request, who acts, and how long each step may take", "title"), *parts, "</svg>"]) + "\n"


def describe(g: Graph) -> str:
    """The picture in words, for who cannot see it."""
    steps = "; ".join(f"{i}. {n.name}, by {n.lines[0]}, {n.lines[1]}" for i, n in enumerate(g.stages, 1))
    gates = "; ".join(f"{n.name}: {n.lines[0]}" for n in g.gates)
    return f"Stages in order: {steps}." + (f" Waiting for a second person: {gates}." if gates else "")


def _place(i: int) -> tuple[int, int]:
    """Left to right, then the next row."""
    return LEFT + i % ACROSS * (WIDE + GAP), TOP + i // ACROSS * (HIGH + DROP)


def _stages(g: Graph) -> Iterable[str]:
    for i, node in enumerate(g.stages):
        x, y = _place(i)
        yield f'<g class="stage {node.who}"><title>{escape("; ".join((node.name, *(t for t in node.lines if t))))}</title>{_shape(node.who, x, y)}'
        yield _text(x + 14, y + 24, f"{i + 1}. {node.name}", "title")
        lines = [f"{'a person: ' if node.who == 'person' else ''}{node.lines[0]}", node.lines[1], *_wrapped(node.lines[2], TEXT_MOST + 2, 2)]
        yield from (_text(x + 14, y + 43 + LINE * k, text, "small") for k, text in enumerate(lines))
        yield "</g>"
    for i, starts in enumerate(g.joins):
        yield from _join(i, starts)


def _shape(who: str, x: int, y: int) -> str:
    """A person's gate has cut corners, what is outside is slanted, the engine's is a plain box."""
    w, h, c = WIDE, HIGH, EDGE
    if who == "person":
        points = [(x + c, y), (x + w - c, y), (x + w, y + h // 2), (x + w - c, y + h), (x + c, y + h), (x, y + h // 2)]
    elif who == "engine":
        return f'<rect class="box" x="{x}" y="{y}" width="{w}" height="{h}" rx="5"/>'
    else:
        points = [(x + c, y), (x + w, y), (x + w - c, y + h), (x, y + h)]
    return f'<polygon class="box" points="{" ".join(f"{a},{b}" for a, b in points)}"/>'


def _join(i: int, starts: str) -> Iterable[str]:
    (x, y), (to_x, to_y) = _place(i), _place(i + 1)
    label = starts.replace("_", " ")
    if y == to_y:
        middle = y + HIGH // 2
        yield f'<path class="flow" d="M{x + WIDE} {middle}H{to_x - 7}"/>{_head(to_x, middle, "right")}'
        yield _text(x + WIDE + GAP // 2, y - 9, label, "small", "middle")
        return
    bend = y + HIGH + 34
    yield f'<path class="flow" d="M{x + WIDE // 2} {y + HIGH}V{bend}H{to_x + WIDE // 2}V{to_y - 8}"/>{_head(to_x + WIDE // 2, to_y, "down")}'
    yield _text(x + WIDE // 2 - 12, bend - 8, label, "small", "end")


def _head(x: int, y: int, way: str) -> str:
    points = ((x, y), (x - 9, y - 5), (x - 9, y + 5)) if way == "right" else ((x, y), (x - 5, y - 9), (x + 5, y - 9))
    return f'<polygon class="head" points="{" ".join(f"{a},{b}" for a, b in points)}"/>'


def _parties(g: Graph, top: int, width: int) -> Iterable[str]:
    """Who is there, each group in a box, and by name the stages it takes part in."""
    shown = [(name, members) for name, members in g.parties.items() if members]
    step = (width - 2 * LEFT) // max(len(shown), 1)
    most = max((len(members) for _, members in shown), default=0)
    for k, (name, members) in enumerate(shown):
        x = LEFT + k * step
        at = ", ".join(g.stages[i].name for party, i in g.reaches if party == name)
        yield f'<rect class="group" x="{x}" y="{top}" width="{step - GAP}" height="{LINE * (most + 2) + 14}" rx="5"/>'
        yield _text(x + 14, top + 22, name, "title")
        yield _text(x + 14, top + 22 + LINE, f"at {at}" if at else "beside", "small")
        yield from (_text(x + 14, top + 22 + LINE * (2 + j), member) for j, member in enumerate(members))


def _gates(g: Graph, top: int, width: int) -> Iterable[str]:
    if g.gates:
        yield _text(LEFT, top, "Waits for a second person", "title")
        for k, node in enumerate(g.gates):
            for text in _wrapped(f"{node.name}: {node.lines[0]}", (width - 2 * LEFT) // 7, 1):
                yield _text(LEFT, top + 24 + LINE * k, text)


def _wrapped(text: str, most: int, lines: int) -> list[str]:
    """The text in lines of at most `most` characters; what is beyond the last line ends in three dots."""
    made, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            made.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    made += [line] if line else []
    return made if len(made) <= lines else [*made[:lines - 1], f"{made[lines - 1][:most - 3]}..."]


def _text(x: int, y: int, text: str, kind: str = "", anchor: str = "") -> str:
    named = f" class={quoteattr(kind)}" if kind else ""
    return f'<text x="{x}" y="{y}"{named}{f" text-anchor={quoteattr(anchor)}" if anchor else ""}>{escape(text)}</text>' if text else ""
