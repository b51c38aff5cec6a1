"""What the changes of a plan need of one another, as a picture that can still be read when they are many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from reconciler.render.characters import columns, printable
from reconciler.render.difference import DESTRUCTIVE
from reconciler.render.graph import Drawing, drawing

__all__ = ["Node", "PlanGraph", "plan_graph"]

_FEW: Final = 3
"""So many equal resources are still drawn one by one."""
_MOST_BOXES: Final = 120
_WIDEST: Final = 48


class Node(NamedTuple):
    """A box: a resource, or so many equal ones. ``action`` is empty for what the plan leaves alone."""

    address: str
    number: int
    action: str

    @property
    def label(self) -> str:
        """What stands in the box."""
        text = printable(self.address)
        if columns(text) > _WIDEST:
            text = f"{text[: _WIDEST // 2]}…{text[-_WIDEST // 2 + 1 :]}"
        return text if self.number == 1 else f"{self.number:,} × {text}"


@dataclass(frozen=True, slots=True)
class PlanGraph:
    """The picture; and how many boxes, and how many resources without dependencies, are not in it."""

    drawing: Drawing[Node]
    left_out: int
    alone: int


def plan_graph(changes: Sequence[Mapping[str, Any]]) -> PlanGraph:
    """The dependencies among *changes* and of what they need.

    Resources of one kind to which the same happens, which need the same and
    which nothing needs are one box. Where there are too many boxes even so,
    those of what is taken away come first.
    """
    actions = {change["address"]: change["action"] for change in changes}
    needs: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        needs[change["address"]].update(needed for needed in change["needs"] if needed != change["address"])
    needed_by_any = {needed for several in needs.values() for needed in several}
    connected = {address for address, several in needs.items() if several} | needed_by_any
    node_of = _nodes(connected, needs, needed_by_any, actions)
    nodes = sorted(set(node_of.values()), key=lambda node: (node.action not in DESTRUCTIVE, node))
    kept = set(nodes[:_MOST_BOXES])
    edges = {
        node: sorted(
            {node_of[needed] for address in addresses for needed in needs[address] if node_of[needed] in kept}
        )
        for node, addresses in _by_node(node_of).items()
        if node in kept
    }
    return PlanGraph(
        drawing(edges, lambda node: node.label), len(nodes) - len(kept), len(actions.keys() - connected)
    )


def _nodes(
    addresses: Iterable[str],
    needs: Mapping[str, set[str]],
    needed_by_any: set[str],
    actions: Mapping[str, str],
) -> dict[str, Node]:
    alike: dict[tuple[str, str, frozenset[str], str], list[str]] = defaultdict(list)
    for address in sorted(addresses):
        kind = ".".join(address.split(".", 2)[:2])
        apart = address if address in needed_by_any else ""
        alike[kind, actions.get(address, ""), frozenset(needs.get(address, ())), apart].append(address)
    found: dict[str, Node] = {}
    for (kind, action, *_), several in alike.items():
        if len(several) <= _FEW:
            found |= {address: Node(address, 1, action) for address in several}
        else:
            # The first name tells groups of one kind apart.
            together = Node(f"{kind}: {several[0].split('.', 2)[2]}, …", len(several), action)
            found |= dict.fromkeys(several, together)
    return found


def _by_node(node_of: Mapping[str, Node]) -> dict[Node, list[str]]:
    found: dict[Node, list[str]] = defaultdict(list)
    for address, node in node_of.items():
        found[node].append(address)
    return found
