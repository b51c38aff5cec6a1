"""What a person reads about a spec that is wrong, word for word.

Each case is a file in ``complaints``: the first line says what the case is about; then files of a stack,
each below ``--- NAME``; then, below ``--- says``, all that is said about them. A case without a
``reconciler.toml`` has the usual one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import CONFIG

CASES = sorted((Path(__file__).parent / "complaints").glob("*.txt"))


def parts(text: str) -> dict[str, str]:
    """The files of a case by name, and what is said about them."""
    _, *rest = re.split(r"^--- (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_mistake_is_explained_where_it_stands(case: Path, stack) -> None:
    """File, line, column, the line with a caret, and what to do: the same from files and from the cache."""
    files = parts(case.read_text())
    said = files.pop("says")
    for name, text in {"reconciler.toml": CONFIG, **files}.items():
        stack.write(name, text)
    assert stack.says() == said
    assert stack.says() == said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_complaint_says_what_to_do(case: Path, stack) -> None:
    """Nobody is left with what is wrong alone."""
    files = parts(case.read_text())
    del files["says"]
    for name, text in {"reconciler.toml": CONFIG, **files}.items():
        stack.write(name, text)
    assert [one.summary for one in stack.failure().complaints if not one.hint] == []
