"""A plan as a page: self-contained, escaped, whole without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render.plans import EMPTY, PLAN, address, golden, many
from render.test_markdown import TRICKS, plan_of

from reconciler.core.attributes import Attributes
from reconciler.core.model import Action, Change, Plan, Reversal, Step, Verb
from reconciler.core.planner import plan_digest
from reconciler.render.characters import printable
from reconciler.render.html import html
from reconciler.render.plan_graph import Node, plan_graph
from reconciler.render.view import plan_view

VOID = {"meta", "input"}


class Page(HTMLParser):
    """A page as a browser reads it: its elements in order, each with its attributes, and what they say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self._open: list[str] = []
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open:
            self.inside[self._open[-1]] = self.inside.get(self._open[-1], "") + data

    @property
    def tags(self) -> Counter[str]:
        """How often each element comes."""
        return Counter(tag for tag, _ in self.elements)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each *tag*."""
        return [attributes for name, attributes in self.elements if name == tag]


def page(plan: Plan) -> Page:
    """*plan* as a page."""
    return Page(html(plan_view(plan)))


def test_the_whole_page() -> None:
    """Byte for byte."""
    golden("plan.html", html(plan_view(PLAN)))


def test_a_page_without_changes() -> None:
    """The line that says so, the digest, and nothing to filter."""
    found = page(EMPTY)
    assert "No changes. Your infrastructure matches the configuration." in found.text
    assert plan_digest(EMPTY) in found.text
    assert found.tags.keys().isdisjoint({"details", "svg", "script", "table"})
    assert "No objects need to be destroyed." in page(replace(EMPTY, destroy=True)).text


def test_the_page_loads_nothing_and_runs_nothing_but_its_own() -> None:
    """No address anywhere; the policy forbids all but the one style and the one script, by their digests."""
    text = html(plan_view(PLAN))
    found = Page(text)
    names = {name for _, attributes in found.elements for name in attributes}
    assert names.isdisjoint({"src", "href", "action", "style", "srcset", "data", "background"})
    assert not [name for name in names if name.startswith("on")]
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    [policy] = [
        str(one["content"]) for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'{digest(found.inside['style'])}'",
        "script-src": f"'{digest(found.inside['script'])}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def digest(text: str) -> str:
    """As a content security policy names a text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_everything_can_be_read_without_javascript() -> None:
    """Every change is open; what only a script makes work is hidden until one runs."""
    found = page(PLAN)
    assert len(found.all("details")) == len(PLAN.changes)
    assert all("open" in one for one in found.all("details"))
    hidden = {one["id"] for _, one in found.elements if "hidden" in one}
    assert hidden == {"tools", "none", "copy"}
    for change in plan_view(PLAN)["changes"]:
        assert change["address"] in found.text
        for one in change["fields"]:
            assert printable(one["path"]) in found.text


def test_what_the_script_looks_for_is_there() -> None:
    """Each element by its id, each chip with what it filters by, each change with what chips ask for."""
    found = page(many(50))
    ids = {one["id"] for _, one in found.elements if "id" in one}
    script = found.inside["script"]
    assert set(re.findall(r'find\("(\w+)"\)', script)) <= ids
    chips = {
        (key, one[key])
        for one in found.all("button")
        for key in ("data-action", "data-platform")
        if key in one
    }
    rows = {(key, one[key]) for one in found.all("details") for key in ("data-action", "data-platform")}
    assert chips == rows
    assert all(one["aria-pressed"] == "false" for one in found.all("button") if "data-action" in one)


def test_destructive_changes_come_first_with_what_is_risked() -> None:
    """In the list, and in a table of their own."""
    found = page(PLAN)
    actions = [one["data-action"] for one in found.all("details")]
    assert actions[:2] == ["replace", "delete"]
    assert not {"replace", "delete"} & set(actions[2:])
    assert "Cannot be taken back: Run:ai never shows the secret" in found.text
    assert "used by workspace lab-1 (Running)" in found.text
    assert "Policy forbids this plan as it stands" in found.text
    assert "This plan is partial" in found.text


@pytest.mark.parametrize("text", TRICKS)
def test_a_text_of_others_is_text(text: str) -> None:
    """It brings no element and no attribute, wherever it stands."""
    assert_text(text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&'\"`{}%#/=-! ax\n\x00\u202eé"), min_size=1, max_size=10))
def test_no_text_breaks_out(text: str) -> None:
    """Whatever it is made of."""
    assert_text(text)


def assert_text(text: str) -> None:
    """*text* stands in a page as text, and nothing else changes by it."""
    found, plain = page(plan_of(text)), page(plan_of("harmless"))
    assert found.unclosed == []
    # A text with line ends is shown by line.
    count = Counter({tag: number for tag, number in plain.tags.items() if tag not in ("del", "ins")})
    assert {tag: found.tags[tag] for tag in count} == count
    assert found.tags.keys() == plain.tags.keys()
    assert {name for _, one in found.elements for name in one} == {
        name for _, one in plain.elements for name in one
    }
    assert found.text.count(printable(text)) >= 10


def test_a_page_of_many_changes_stays_small() -> None:
    """Under a kilobyte for each change of five fields: what opens at once."""
    assert len(html(plan_view(many(2_000))).encode()) < 2_000 * 1_024


# --- the graph ---


def of(*changes: tuple[str, str, tuple[str, ...]]) -> list[dict[str, object]]:
    """Views of changes: address, action, what each needs."""
    return [
        {"address": f"runai.{name}", "action": action, "needs": [f"runai.{needed}" for needed in needs]}
        for name, action, needs in changes
    ]


def test_what_needs_what_is_drawn() -> None:
    """Changes, and what they need that stays as it is; what has no dependencies is counted."""
    graph = plan_graph(
        of(
            ("environment.a", "update", ("credential.c",)),
            ("environment.b", "create", ("environment.a",)),
            ("environment.alone", "create", ()),
        )
    )
    assert {box.of for box in graph.drawing.boxes} == {
        Node("runai.credential.c", 1, ""),
        Node("runai.environment.a", 1, "update"),
        Node("runai.environment.b", 1, "create"),
    }
    assert (len(graph.drawing.curves), graph.alone, graph.left_out) == (2, 1, 0)


def test_equal_resources_are_one_box() -> None:
    """Of one kind, to which the same happens, with the same needs, and which nothing needs."""
    many_alike = [(f"environment.n{i}", "update", ("credential.c",)) for i in range(9)]
    other = [(f"environment.o{i}", "delete", ("credential.c",)) for i in range(3)]
    graph = plan_graph(of(*many_alike, *other, ("compute.x", "create", ("environment.n0",))))
    labels = sorted(box.of.label for box in graph.drawing.boxes)
    assert labels == [
        "8 × runai.environment: n1, …",
        "runai.compute.x",
        "runai.credential.c",
        "runai.environment.n0",
        "runai.environment.o0",
        "runai.environment.o1",
        "runai.environment.o2",
    ]


def test_a_graph_stays_readable() -> None:
    """So many boxes and no more; what is taken away is among them; the rest is counted."""
    chain = [
        (f"environment.n{i}", "delete" if i > 290 else "update", (f"credential.c{i}",)) for i in range(300)
    ]
    graph = plan_graph(of(*chain))
    assert (len(graph.drawing.boxes), graph.left_out) == (120, 480)
    assert {f"runai.environment.n{i}" for i in range(291, 300)} <= {
        box.of.address for box in graph.drawing.boxes
    }


def test_deletes_are_drawn_in_the_order_of_their_needs() -> None:
    """What is deleted first needs what is deleted after it."""
    steps = (
        Step(0, Verb.DELETE, address("environment.user"), Reversal.RECREATE),
        Step(1, Verb.DELETE, address("credential.used"), Reversal.RECREATE, waits=(0,)),
        Step(2, Verb.CREATE, address("environment.new"), Reversal.DELETE, attributes=Attributes({})),
    )
    changes = tuple(
        Change(step.address, Action.DELETE if step.verb is Verb.DELETE else Action.CREATE, "")
        for step in sorted(steps, key=lambda step: step.address)
    )
    view = plan_view(replace(EMPTY, changes=changes, steps=steps))
    assert {change["address"]: change["needs"] for change in view["changes"]} == {
        "runai.credential.used": [],
        "runai.environment.new": [],
        "runai.environment.user": ["runai.credential.used"],
    }
