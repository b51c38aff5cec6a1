"""A plan as a comment on a pull request: what is in it, what is cut last, and what others cannot do to it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from render.plans import EMPTY, PLAN, address, field, golden, many

from reconciler.core.model import Action, Change, Plan, ResourceAddress, Source, UsedBy
from reconciler.core.planner import plan_digest
from reconciler.render.characters import printable
from reconciler.render.difference import is_grave
from reconciler.render.markdown import LEAST_BYTES, MOST_BYTES, markdown, marker
from reconciler.render.view import plan_view


def written(plan: Plan, max_bytes: int = MOST_BYTES) -> str:
    """*plan* as Markdown."""
    return markdown(plan_view(plan), max_bytes=max_bytes)


class Page(HTMLParser):
    """A rendered page: how often each tag comes, and the text in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.comments: list[str] = []
        self.text = ""
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


# --- what is in it ---


def test_the_whole_comment() -> None:
    """Marker, digest, counts, what policy says, risks, then each change behind a line."""
    golden("plan.md", written(PLAN))


def test_a_comment_that_had_to_be_shortened() -> None:
    """No details any more; every change still has its line, every risk its row."""
    golden("plan-short.md", written(PLAN, 3_000))


def test_a_plan_without_changes() -> None:
    """The digest and the line that tools look for."""
    assert written(EMPTY) == (
        "<!-- reconciler:plan:dev -->\n## Plan for `dev`\n\n"
        "**No changes. Your infrastructure matches the configuration.**\n\n"
        f"Digest `{plan_digest(EMPTY)}` · state serial 7\n\n"
    )
    assert "**No objects need to be destroyed.**" in written(replace(EMPTY, destroy=True))


def test_what_is_taken_away_comes_first() -> None:
    """Of that what cannot be taken back, then what somebody uses."""
    users = (UsedBy("workspace", "w", "Running", active=True),)
    deleted = Change(address("environment.a"), Action.DELETE, "gone")
    used = replace(
        deleted, address=address("environment.b"), used_by=users, risks=("used by workspace w (Running)",)
    )
    never = replace(deleted, address=address("environment.c"), irreversible="nobody has a copy")
    updated = Change(address("environment.a0"), Action.UPDATE, "spec changed", risks=("loses x",))
    text = written(replace(EMPTY, changes=(deleted, updated, used, never)))
    assert re.findall(r"^\| `.*", text, re.MULTILINE) == [
        "| `-` delete | `runai.environment.c` | cannot be taken back: nobody has a copy |  |",
        "| `-` delete | `runai.environment.b` | gone | workspace w (Running) |",
        "| `-` delete | `runai.environment.a` | gone |  |",
        "| `~` update | `runai.environment.a0` | loses x |  |",
    ]


def test_equal_changes_are_grouped() -> None:
    """One diff for all, with their names; what differs by more than the name stands alone."""

    def update(name: str, image: str) -> Change:
        fields = (field("image", "a", image),)
        return Change(address(f"environment.{name}"), Action.UPDATE, "spec changed", fields, Source("x", 1))

    text = written(replace(EMPTY, changes=(*(update(f"n{i}", "b") for i in range(40)), update("other", "c"))))
    assert text.count("```diff") == 2
    assert "update <b>40</b> × <code>runai.environment</code>: spec changed</summary>" in text
    assert ", ".join(f"`n{i}`" for i in sorted(range(40), key=str)) in text


def test_the_marker_finds_the_comment_of_one_stack() -> None:
    """The same for each plan of a stack, another for another stack, on one line, a comment to the end."""
    assert written(PLAN).startswith(f"{marker('dev')}\n")
    names = ["a", "b", "a b", "x-->y", "x--!>", "\n", "é" * 100, "é" * 101]
    assert len({marker(name) for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"<!-- reconciler:plan:[\w.%~-]{1,130} -->", marker(name))


# --- the budget ---


def left_out(text: str) -> int:
    """How many changes a text says that it does not show."""
    return sum(
        int(found.replace(",", "")) for found in re.findall(r"^Not shown, ([\d,]+) change", text, re.M)
    )


@pytest.mark.parametrize("count", [1, 2, 9, 10, 99, 300, 700, 1_000, 2_500, 5_000])
def test_a_comment_fits(count: int) -> None:
    """From 1 to 5,000 changes: within the limit, with the digest, with all that is taken away by name."""
    plan = many(count)
    text = written(plan)
    assert len(text.encode()) <= MOST_BYTES
    assert plan_digest(plan) in text
    for change in plan_view(plan)["changes"]:
        if is_grave(change):
            assert f"{change['address'].rpartition('.')[2]}`" in text


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 5_000), room=st.integers(LEAST_BYTES, 90_000), kinds=st.integers(1, 3))
def test_any_plan_fits_into_any_room(count: int, room: int, kinds: int) -> None:
    """Every change is named, in a group, or counted; what is taken away is counted to the last."""
    plan = many(count, kinds=kinds)
    text = written(plan, room)
    assert len(text.encode()) <= room
    assert plan_digest(plan) in text
    assert left_out(text) <= count
    grave = [change for change in plan_view(plan)["changes"] if is_grave(change)]
    if "Too many for a row each" in text:
        named = re.findall(r"^- `(?:-|-/\+)` \w+ ([\d,]+) × `[\w.]+`(?:: .*)?$", text, re.M)
        assert sum(int(number.replace(",", "")) for number in named) == len(grave)
    else:
        assert all(f"| `{change['address']}` |" in text for change in grave)


NASTY = "x" * 500 + "`|@" * 200


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=60) | st.just(NASTY), min_size=1, max_size=60, unique=True),
    st.text(min_size=1) | st.just(NASTY),
    st.integers(LEAST_BYTES, 6_000),
)
def test_no_name_is_too_long(names: list[str], text: str, room: int) -> None:
    """Whatever the texts are, the room is kept and the digest is there."""
    changes = tuple(
        Change(
            ResourceAddress("runai", "environment", name),
            Action.DELETE,
            text,
            irreversible=text,
            risks=(text,),
        )
        for name in sorted(names)
    )
    plan = replace(
        EMPTY,
        stack=text,
        revision=text,
        changes=changes,
        warnings=(text,),
        refusals=(text,) * 9,
        partial=(text,),
    )
    said = written(plan, room)
    assert len(said.encode()) <= room
    assert plan_digest(plan) in said


def test_when_not_even_the_rows_fit_names_are_cut_and_counted() -> None:
    """By kind, with how many more, said plainly."""
    plan = replace(
        EMPTY,
        changes=tuple(
            Change(address(f"environment.n{number:04}"), Action.DELETE, "no longer in the specs")
            for number in range(5_000)
        ),
    )
    text = written(plan, LEAST_BYTES)
    assert "Too many for a row each. This takes something away, or cannot be undone:\n" in text
    [line] = re.findall(r"^- `-` delete 5,000 × `runai.environment`: (.*)$", text, re.M)
    names, more = re.fullmatch(r"(.*) and ([\d,]+) more", line).groups()  # type: ignore[union-attr]
    assert names.split(", ") == [f"`n{number:04}`" for number in range(names.count("`") // 2)]
    assert names.count("`") // 2 + int(more.replace(",", "")) == 5_000


# --- what others type ---

TRICKS = [
    "```",
    "````\n~~~~",
    "a | b",
    "\\|",
    "`",
    "a\\",
    "</details></summary>",
    "--> <script>alert(1)</script>",
    "@everyone and #1",
    "https://evil.example.com www.evil.example.com",
    "![x](https://evil.example.com/x.png)",
    "[x](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#64;",
    "line\n\n# heading\n\n- item",
    "\r\n|---|---|\r\n",
    "\x1b[31m\x00\u202e",
    "*a* _b_ ~~c~~ **d**",
    "$`x`$ $$y$$",
    ":smile:",
    " leading and trailing ",
    "\t",
]


def plan_of(text: str) -> Plan:
    """A plan with *text* in every place where others may type."""
    where = ResourceAddress("runai", "environment", text)
    fields = (
        field("description", text, f"{text}2"),
        field("command", f"{text}\n{text}", "x\ny"),
        field(f"environment_variables.{text}x", None, {text: [text]}),
    )
    changed = Change(
        where, Action.UPDATE, text, fields, Source(f"{text}.toml", 1), risks=(text, f"used by {text}")
    )
    return replace(
        EMPTY,
        stack=text,
        revision=text,
        undoes=text,
        changes=(
            changed,
            replace(changed, action=Action.DELETE, irreversible=text, moved_from=where),
            replace(changed, address=where._replace(kind="compute"), risks=()),
            replace(changed, address=where._replace(kind="compute", name=f"{text}y"), risks=()),
        ),
        warnings=(text,),
        refusals=(text,),
        partial=(text,),
    )


STRUCTURE = (
    "h2",
    "h3",
    "table",
    "tr",
    "td",
    "details",
    "summary",
    "pre",
    "blockquote",
    "ul",
    "li",
    "strong",
    "b",
)


@pytest.mark.parametrize("room", [MOST_BYTES, 4_000, LEAST_BYTES])
@pytest.mark.parametrize("text", TRICKS)
def test_a_text_of_others_is_text(text: str, room: int) -> None:
    """It ends no fence, table, fold or comment, and brings no tag, link, picture or mention."""
    plan = plan_of(text)
    page, plain = Page(written(plan, room)), Page(written(plan_of("harmless"), room))
    if room == MOST_BYTES:
        assert {tag: page.tags[tag] for tag in STRUCTURE} == {tag: plain.tags[tag] for tag in STRUCTURE}
        assert page.text.count(printable(text).strip()) >= 10
    assert page.tags.keys() <= {*STRUCTURE, "p", "code", "thead", "tbody", "th", "br", "em"}
    assert page.attributes <= {"class"}
    assert len(page.comments) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("`|\\<>!-&#;@*_~[]()\n\r\t ax\u202e\x00é."), min_size=1, max_size=12))
def test_no_text_breaks_out(text: str) -> None:
    """Whatever it is made of."""
    page, plain = Page(written(plan_of(text))), Page(written(plan_of("harmless")))
    assert {tag: page.tags[tag] for tag in STRUCTURE} == {tag: plain.tags[tag] for tag in STRUCTURE}
    assert page.tags.keys() <= {*STRUCTURE, "p", "code", "thead", "tbody", "th", "br", "em"}


@pytest.mark.parametrize(
    "text", ["@ann", "#12", "ann@example.com", "https://x.example.com", "www.x.example", ":x:"]
)
def test_what_a_forge_acts_on_stands_in_code(text: str) -> None:
    """There, forges mention nobody, and link nothing."""
    said = re.sub(r"^(`{3,}).*?^\1$", "", written(plan_of(text)), flags=re.M | re.S)
    assert text not in re.sub(r"`[^`\n]*`|<code>.*?</code>|<!--.*?-->", "", said)
    assert said.count("<code>") > 5
