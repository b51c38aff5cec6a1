"""What is wrong with specs, and what a plan does because of them, as remarks about lines."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.errors import Complaint
from reconciler.render.annotations import Annotation
from reconciler.render.difference import destructive_first, is_grave, notes, quoted
from reconciler.specs.config import CONFIG_NAME

__all__ = ["about_complaints", "about_plan", "about_warnings", "below_root"]


def below_root(directory: Path, environment: Mapping[str, str]) -> str:
    """Where *directory* is from the root of the checkout, which is where a forge counts from.

    That is ``GITHUB_WORKSPACE``, ``CI_PROJECT_DIR``, or else here.
    """
    root = environment.get("GITHUB_WORKSPACE") or environment.get("CI_PROJECT_DIR") or "."
    found = Path(os.path.relpath(directory.resolve(), Path(root).resolve())).as_posix()
    return "" if found == "." else f"{found}/"


def about_complaints(complaints: Iterable[Complaint], root: str) -> list[Annotation]:
    """An error for each; one about the stack as a whole stands at its configuration."""
    return [
        Annotation(
            "error",
            one.whole,
            one.hint,
            "limit" if one.limit else "spec",
            f"{root}{one.file or CONFIG_NAME}",
            one.line,
            one.column,
        )
        for one in complaints
    ]


def about_warnings(warnings: Iterable[str], root: str) -> list[Annotation]:
    """A warning for each, at the file that it begins with."""
    found = []
    for text in warnings:
        file, _, said = text.partition(": ")
        if not file.endswith(".toml"):
            file, said = CONFIG_NAME, text
        found.append(Annotation("warning", said, "", "warning", f"{root}{file}"))
    return found


def about_plan(
    changes: Iterable[Mapping[str, Any]], places: Mapping[tuple[str, str], tuple[str, int]], root: str
) -> list[Annotation]:
    """A remark for each line that causes a change, what is taken away first.

    *places* says where a field of a change is written, by address and path. A
    field without one, and a change without fields, stand at the resource; what
    is no longer in any file, at no line.
    """
    found = []
    for change in sorted(changes, key=destructive_first):
        source = change["source"]
        by_place: dict[tuple[str, int], list[str]] = defaultdict(list)
        here = (source["file"], source["line"]) if source else ("", 0)
        if not change["fields"] or change["action"] == "create" or not source:
            by_place[here] += [] if change["action"] == "create" else _said(change["fields"])
        else:
            for one in change["fields"]:
                by_place[places.get((change["address"], one["path"]), here)] += _said([one])
        for (file, line), lines in sorted(by_place.items()):
            told = [f"cannot be taken back: {change['irreversible']}"] if change["irreversible"] else []
            found.append(
                Annotation(
                    "warning" if is_grave(change) else "notice",
                    f"{change['action']} {change['address']}",
                    "\n".join([change["reason"], *told, *change["risk"], *lines]),
                    change["action"],
                    f"{root}{file}" if file else "",
                    line,
                )
            )
    return found


def _said(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for one in fields:
        note = f"   ({said})" if (said := notes(one)) else ""
        if one["sensitive"]:
            lines.append(f"{one['path']} changed (secret){note}")
        else:
            lines.append(f"{one['path']}: {quoted(one['before'])} -> {quoted(one['after'])}{note}")
    return lines
