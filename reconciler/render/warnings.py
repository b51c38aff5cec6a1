"""Warnings of one kind as one line: a thousand specs that do the same say the same a thousand times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

__all__ = ["grouped"]

_FEW = 3
"""So many of one kind are said in full."""


def grouped(warnings: Sequence[str]) -> list[str]:
    """*warnings*, in their order, with those that give the same reason behind the first of them.

    A warning about a place, a file or an address, begins with it and ends
    with its reason: ``lab.toml: lab does not pin numpy: the image is reused``.
    """
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for text in warnings:
        kinds[_reason(text)].append(text)
    found = []
    for text in warnings:
        reason = _reason(text)
        first, *others = kinds[reason]
        if not reason or len(others) < _FEW:
            found.append(text)
        elif text is first:
            places = list(dict.fromkeys(one.partition(": ")[0] for one in others))
            named = ", ".join(places[:_FEW]) + (", …" if len(places) > _FEW else "")
            found.append(f"{text} (and {len(others):,} more like this: {named})")
    return found


def _reason(text: str) -> str:
    """Why a warning about a place is given; empty where it is about none, or has lines to copy."""
    place, colon, said = text.partition(": ")
    return said.rpartition(": ")[2] if colon and "\n" not in text and " " not in place else ""
