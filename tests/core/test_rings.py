"""Circles of dependencies, and rows for drawing."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping

import pytest
from core.builders import address
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import ResourceAddress
from reconciler.core.planner import layers, shortest_cycle

Edges = Mapping[ResourceAddress, tuple[ResourceAddress, ...]]


def edges(text: str) -> Edges:
    """``a>b b>c c``: what needs what."""
    found: dict[ResourceAddress, tuple[ResourceAddress, ...]] = {}
    for word in text.split():
        name, _, needed = word.partition(">")
        here = address(f"box.{name}")
        found[here] = (*found.get(here, ()), *((address(f"box.{needed}"),) if needed else ()))
    return found


def names(ring: tuple[ResourceAddress, ...]) -> str:
    """``a b c``."""
    return " ".join(one.name for one in ring)


@pytest.mark.parametrize(
    ("text", "ring"),
    [
        ("", ""),
        ("a", ""),
        ("a>b b>c c", ""),
        ("a>b a>c b>d c>d d", ""),
        ("a>elsewhere", ""),
        ("a>a", "a"),
        ("a>b b>a", "a b"),
        ("c>b b>a a>c", "a c b"),
        ("x>a a>b b>c c>a c>d d>e e>x", "a b c"),
        ("a>b b>c c>a x>y y>x", "x y"),
        ("a>b b>a x>y y>x", "a b"),
        ("a>b b>c c>d d>a b>a", "a b"),
        ("a>b b>c c>a m>m", "m"),
        ("above>a a>b b>a b>below below", "a b"),
        ("a>b a>b b>a", "a b"),
    ],
)
def test_the_shortest_ring_is_found_and_begins_with_its_smallest_address(text: str, ring: str) -> None:
    """Each is followed by what it needs; of several as short, that of the smallest address."""
    assert names(shortest_cycle(edges(text))) == ring


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_ring_is_shorter_than_the_one_that_is_found(seed: int) -> None:
    """Compared with a search that tries everything, in graphs of up to eighty nodes."""
    chance = random.Random(seed)
    count = chance.choice([4, 8, 30, 80])
    graph = {
        address(f"box.n{n:02}"): tuple(
            address(f"box.n{m:02}")
            for m in range(count)
            if chance.random() < chance.choice([0.5, 1.5, 3]) / count
        )
        for n in range(count)
    }
    ring = shortest_cycle(graph)
    assert len(ring) == girth(graph)
    for here, following in zip(ring, (*ring[1:], *ring[:1]), strict=True):
        assert following in graph[here]
    assert not ring or ring[0] == min(ring)


def girth(graph: Edges) -> int:
    """The length of a shortest ring, 0 without one."""
    best = 0
    for start in graph:
        distance = {start: 0}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for following in graph[here]:
                if following == start:
                    best = min(best or 10**9, distance[here] + 1)
                elif following not in distance:
                    distance[following] = distance[here] + 1
                    queue.append(following)
    return best


def test_the_ring_does_not_depend_on_the_order_of_anything() -> None:
    """Neither of the table nor of what each needs."""
    graph = edges("x>a a>b b>c c>a c>d d>e e>x a>d d>a m>n n>m")
    chance = random.Random(0)
    found = set()
    for _ in range(20):
        shuffled = [(where, chance.sample(needs, len(needs))) for where, needs in graph.items()]
        chance.shuffle(shuffled)
        found.add(shortest_cycle(dict(shuffled)))
    assert [names(ring) for ring in found] == ["a d"]


def chain(count: int, *, closed: bool) -> Edges:
    """Each needs the next, and the last perhaps the first."""
    all_of_them = [address(f"box.n{n:05}") for n in range(count)]
    following = [*all_of_them[1:], *all_of_them[:1]]
    return {
        here: (there,) if closed or here != all_of_them[-1] else ()
        for here, there in zip(all_of_them, following, strict=True)
    }


def test_twenty_thousand_in_a_row_have_no_ring_and_it_is_said_at_once() -> None:
    """Linear, or this hangs."""
    assert shortest_cycle(chain(20_000, closed=False)) == ()


def test_a_ring_of_twenty_thousand_is_found_at_once() -> None:
    """One search from each of its members would be quadratic."""
    ring = shortest_cycle(chain(20_000, closed=True))
    assert (len(ring), ring[0].name, ring[-1].name) == (20_000, "n00000", "n19999")


def test_a_short_ring_in_a_long_one_is_found_wherever_it_is() -> None:
    """Its members are the last that a search by name gets to."""
    graph = dict(chain(5_000, closed=True))
    graph[address("box.n04998")] = (address("box.n04999"), address("box.n04997"))
    assert names(shortest_cycle(graph)) == "n04997 n04998"


def test_ten_thousand_that_need_one_ring_are_not_searched() -> None:
    """Only what is in the ring is."""
    graph = {address(f"box.n{n:05}"): (address("box.ring"),) for n in range(10_000)}
    graph[address("box.ring")] = (address("box.ring"),)
    assert names(shortest_cycle(graph)) == "ring"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("b a", ["a b"]),
        ("a>b b>c c", ["c", "b", "a"]),
        ("a>c a>b b>c c d", ["c d", "b", "a"]),
        ("a>elsewhere b>a", ["a", "b"]),
        ("a>b a>b b", ["b", "a"]),
    ],
)
def test_each_row_needs_only_rows_above(text: str, rows: list[str]) -> None:
    """As high up as its needs allow, by address within a row."""
    assert [names(row) for row in layers(edges(text))] == rows


def test_a_ring_does_not_keep_anything_from_being_drawn() -> None:
    """A graph is also drawn to look for a circle."""
    assert sorted(one.name for row in layers(edges("a>b b>a c>a d")) for one in row) == ["a", "b", "c", "d"]


def test_a_long_chain_is_put_into_rows_at_once() -> None:
    """Linear, or this hangs."""
    assert len(layers(chain(20_000, closed=False))) == 20_000
