"""Amounts of memory by what they are, and one spelling for each."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.providers.quantity import canonical_quantity, quantity_bytes

AMOUNTS = {
    "64Gi": 64 * 2**30,
    "128G": 128 * 10**9,
    "1T": 10**12,
    "1Ti": 2**40,
    "512M": 512 * 10**6,
    "512Mi": 512 * 2**20,
    "5k": 5000,
    "5Ki": 5120,
    "2P": 2 * 10**15,
    "2Pi": 2 * 2**50,
    "1E": 10**18,
    "1Ei": 2**60,
    "1e3": 1000,
    "1E3": 1000,
    "1.5e+2": 150,
    "25e-1": Fraction(5, 2),
    "0.5Gi": 2**29,
    ".5": Fraction(1, 2),
    "5.": 5,
    "+7": 7,
    "500m": Fraction(1, 2),
    "1u": Fraction(1, 10**6),
    "1n": Fraction(1, 10**9),
    "0": 0,
    "007Gi": 7 * 2**30,
}


@pytest.mark.parametrize(("text", "amount"), AMOUNTS.items(), ids=AMOUNTS)
def test_an_amount_is_exact(text: str, amount: Fraction) -> None:
    """No rounding, whatever the unit."""
    assert quantity_bytes(text) == amount


NO_AMOUNTS = [
    "Gi",
    "64GB",
    "64gi",
    "5K",
    "5ki",
    "-1",
    "٣Gi",
    "1e",
    "1e31",
    "inf",
    "nan",
    "0x10",
    "1,5Gi",
    "1..5",
    ".",
    "--1",
    "1mi",
]
HUGE = ["9" * 5000 + "Gi", "1e" + "9" * 5000]


@pytest.mark.parametrize("text", [*NO_AMOUNTS, "", "1 Gi", "1Gi ", "1Gi\n", *HUGE], ids=lambda text: text[:9])
def test_what_is_no_amount_is_none(text: str) -> None:
    """And stays as it is, so that an odd answer of the platform is kept."""
    assert quantity_bytes(text) is None
    assert canonical_quantity(text) == text


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (["1024Mi", "1Gi", "1048576Ki", "1.0Gi", "+1Gi", "1073741824"], "1Gi"),
        (["0.5Gi", "512Mi"], "512Mi"),
        (["1000M", "1G", "1e9", "1000000000"], "1G"),
        (["1000G", "1T", "1e12"], "1T"),
        (["1000m", "1", "1.0", "1e0"], "1"),
        (["0.5", "500m"], "500m"),
        (["0", "0Gi", "0.0", "0e5"], "0"),
    ],
)
def test_equal_amounts_have_one_spelling(spellings: list[str], canonical: str) -> None:
    """The shortest whole number that some unit allows."""
    assert [canonical_quantity(text) for text in spellings] == [canonical] * len(spellings)


numbers = st.builds(
    lambda whole, part: str(whole) + (f".{part}" if part is not None else ""),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 999),
)
units = st.sampled_from(["", *"numkMGTPE", *(f"{name}i" for name in "KMGTPE"), "e3", "E-3", "e+9"])
texts = st.builds(lambda number, unit: number + unit, numbers, units)


@settings(deadline=None)
@given(texts, texts)
def test_spellings_are_equal_when_amounts_are(one: str, other: str) -> None:
    """The one spelling is the same amount, is found again, fits the wire, and tells amounts apart."""
    spelled = canonical_quantity(one)
    assert quantity_bytes(spelled) == quantity_bytes(one)
    assert canonical_quantity(spelled) == spelled
    assert re.fullmatch(r"([+]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)", spelled)
    same = quantity_bytes(one) == quantity_bytes(other)
    assert (spelled == canonical_quantity(other)) == same
