"""The dependency graph as Mermaid, DOT and SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render.plans import address, golden

from reconciler.core.model import ResourceAddress
from reconciler.render.graph import dot, mermaid, svg

EDGES = {
    address("environment.lab"): (address("credential.hub"), address("environment.base")),
    address("environment.base"): (address("credential.hub"),),
    address("credential.hub"): (),
    address("compute.lab"): (address("credential.elsewhere"),),
}
TRICKY = ResourceAddress("runai", "environment", 'a"]; <b>&amp;\\N `x` #1; 語')
SVG = "{http://www.w3.org/2000/svg}"


def test_mermaid() -> None:
    """An arrow points at what is needed; what is not drawn is not pointed at."""
    golden("graph.mmd", mermaid(EDGES))


def test_dot() -> None:
    """The same for Graphviz."""
    golden("graph.dot", dot(EDGES))


def test_svg() -> None:
    """The same as a picture."""
    golden("graph.svg", svg(EDGES))


def test_a_graph_does_not_depend_on_the_order_of_anything() -> None:
    """Same input, same bytes."""
    turned = {where: tuple(reversed(needs)) for where, needs in reversed(EDGES.items())}
    for draw in (mermaid, dot, svg):
        assert draw(turned) == draw(EDGES)


def test_nothing_gives_an_empty_graph() -> None:
    """In each format a whole one."""
    assert mermaid({}) == "flowchart LR\n"
    assert dot({}) == "digraph stack {\n  rankdir=LR;\n  node [shape=box];\n}\n"
    assert ElementTree.fromstring(svg({})).findall(f"{SVG}rect") == []


def test_names_are_escaped_for_mermaid() -> None:
    """No Markdown, no HTML, no end of the label."""
    [line] = mermaid({TRICKY: ()}).splitlines()[1:]
    label = re.fullmatch(r'  n0\["(.*)"\]', line)
    assert label is not None
    assert re.fullmatch(r"[\w ._/:@#;-]*", label[1])
    decoded = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label[1])
    assert decoded == str(TRICKY)


def test_names_are_escaped_for_dot() -> None:
    """A quote does not end the name, a backslash stands for itself, other letters are no escapes."""
    line = dot({TRICKY: ()}).splitlines()[3]
    assert line == '  "runai.environment.a\\"]; <b>&amp;\\\\N `x` #1; 語";'


def test_names_are_escaped_for_svg() -> None:
    """The text of the picture is the name, and nothing in it is markup."""
    picture = ElementTree.fromstring(svg({TRICKY: ()}))
    assert [text.text for text in picture.iter(f"{SVG}text")] == [str(TRICKY)]
    assert {node.tag.removeprefix(SVG) for node in picture.iter()} == {
        "svg", "style", "defs", "marker", "path", "rect", "text",
    }  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=9), max_size=5, unique=True))
def test_any_name_gives_valid_xml(names: list[str]) -> None:
    """Control characters are no XML, however they are escaped."""
    edges = {address("environment.x")._replace(name=name): () for name in names}
    assert len(list(ElementTree.fromstring(svg(edges)).iter(f"{SVG}text"))) == len(names)


def test_what_is_needed_stands_left_of_what_needs_it() -> None:
    """And everything inside the picture."""
    picture = ElementTree.fromstring(svg(EDGES))
    boxes = {
        text.text: (float(box.attrib["x"]), float(box.attrib["width"]), float(box.attrib["y"]))
        for box, text in zip(picture.findall(f"{SVG}rect"), picture.findall(f"{SVG}text"), strict=True)
    }
    for where, needs in EDGES.items():
        for needed in needs:
            if needed in EDGES:
                x, width, _ = boxes[str(needed)]
                assert x + width < boxes[str(where)][0]
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    assert all(x + wide <= width and y + 28 <= height for x, wide, y in boxes.values())


@pytest.mark.parametrize("draw", [mermaid, dot, svg])
def test_a_circle_is_drawn_like_anything_else(draw: object) -> None:
    """One draws a graph to find it."""
    ring = {
        address("environment.a"): (address("environment.b"),),
        address("environment.b"): (address("environment.a"),),
    }
    assert callable(draw)
    assert "environment.a" in draw(ring)
