"""Amounts of memory as Kubernetes writes them: ``64Gi``, ``128G``, ``1T``, ``0.5Gi``, ``1e3``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

__all__ = ["canonical_quantity", "quantity_bytes"]

_QUANTITY = re.compile(r"^\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][-+]?[0-9]+)|([numkKMGTPE]i?))?\Z")
_LONGEST: Final = 64  # many more digits, and Python refuses to make a number of them
_SUFFIXES: Final = {
    "": Fraction(1),
    **{
        name: Fraction(10) ** power
        for name, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{name}i": Fraction(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}


def quantity_bytes(text: str) -> Fraction | None:
    """The exact amount that *text* spells, or None when it spells none."""
    found = _QUANTITY.match(text)
    if found is None or len(text) > _LONGEST:
        return None
    number, exponent, suffix = found.groups()
    if exponent is not None:
        if abs(int(exponent[1:])) > 30:
            return None
        return Fraction(number + exponent)
    factor = _SUFFIXES.get(suffix or "")
    return None if factor is None else Fraction(number) * factor


def canonical_quantity(text: str) -> str:
    """The one spelling of an amount: equal amounts, equal text. What is no quantity stays as it is.

    It is the shortest whole number that some suffix allows: ``1024Mi`` and
    ``1Gi`` are ``1Gi``, and ``0.5Gi`` is ``512Mi``.
    """
    amount = quantity_bytes(text)
    if amount is None:
        return text
    if amount == 0:
        return "0"
    spellings = []
    for suffix, factor in _SUFFIXES.items():
        value = amount / factor
        if value.denominator == 1:
            spellings.append((len(str(value.numerator)), not suffix.endswith("i"), suffix, value.numerator))
    if not spellings:
        return text
    _, _, suffix, number = min(spellings)
    return f"{number}{suffix}"
