"""The picture of a design: whole XML, everything in it that the design says, nothing that runs, and words for who cannot see it."""
import re
import xml.etree.ElementTree as tree
from pathlib import Path

import msgspec
import pytest

from cambist.design import read_design
from cambist.findings import draw
from cambist.picture import STYLE, describe, graph, svg

TEXT = (Path(__file__).resolve().parents[2] / "desks" / "demo.toml").read_text()
DESIGN = read_design(TEXT)
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture):
    return [one.text or "" for one in tree.fromstring(picture).iter(f"{SVG}text")]


def test_every_stage_party_and_gate_is_in_it():
    shown = "\n".join(texts(svg(DESIGN)))
    for stage in DESIGN.stages:
        assert stage.name in shown
    for name in (*DESIGN.clients, *DESIGN.dealers, *DESIGN.venues, *DESIGN.house.custody, *DESIGN.house.desks):
        assert name in shown
    assert "risk: resume, revive, revive all" in shown and "desk: quote" in shown


def test_it_reads_the_design_as_the_mermaid_drawing_does():
    mermaid = draw(DESIGN)
    gates = set(re.findall(r'second person<br/>([\w-]+): ', mermaid))
    assert {node.name for node in graph(DESIGN).gates} == gates
    assert [n.name for n in graph(DESIGN).stages] == re.findall(r'^    s\d+[\[{/]+"([\w-]+)<br/>', mermaid, re.MULTILINE)


def test_people_venues_and_engines_differ_in_shape_and_not_in_colour_alone():
    groups = {one.get("class"): one for one in tree.fromstring(svg(DESIGN)).iter(f"{SVG}g")}
    assert groups["stage engine"].find(f"{SVG}rect") is not None and groups["stage person"].find(f"{SVG}polygon") is not None
    corners = {who: len(groups[f"stage {who}"].find(f"{SVG}polygon").get("points").split()) for who in ("person", "venue")}
    assert corners == {"person": 6, "venue": 4}


@pytest.mark.parametrize("alone", [True, False])
def test_it_brings_its_style_only_when_it_stands_alone(alone):
    picture = svg(DESIGN, alone=alone)
    assert ("<style>" in picture) is alone and ("prefers-color-scheme: dark" in picture) is alone
    assert " style=" not in picture and "<script" not in picture and " fill=" not in picture        # so that a strict policy shows it
    assert "@media" not in STYLE and "http" not in STYLE


def test_it_says_in_words_what_it_shows():
    told = tree.fromstring(svg(DESIGN)).find(f"{SVG}desc").text
    assert told == describe(graph(DESIGN)) and "6. accepted, by client, budget 5s" in told


def test_markup_in_a_design_stays_text():
    odd = msgspec.structs.replace(DESIGN, stages=(msgspec.structs.replace(DESIGN.stages[0], fallback='</text><script>alert("&")</script>'), *DESIGN.stages[1:]))
    assert any("<script>" in text for text in texts(svg(odd)))      # parsed back from an escaped text: no element of that name is there
    assert not list(tree.fromstring(svg(odd)).iter(f"{SVG}script"))


def test_nothing_is_drawn_outside_its_frame():
    root = tree.fromstring(svg(DESIGN))
    width, height = int(root.get("width")), int(root.get("height"))
    for one in root.iter(f"{SVG}rect"):
        assert 0 <= int(one.get("x")) and int(one.get("x")) + int(one.get("width")) <= width
        assert 0 <= int(one.get("y")) and int(one.get("y")) + int(one.get("height")) <= height
    assert all(int(t.get("y")) <= height and int(t.get("x")) <= width for t in root.iter(f"{SVG}text"))


def test_a_design_without_stages_or_dealers_is_drawn_too():
    bare = msgspec.structs.replace(DESIGN, stages=(), targets={}, dealers={}, venues={})
    assert "Workflow of cell 1" in svg(bare)
