"""A plan as a document for people and tools, whole: what ``plan`` writes and ``show`` prints later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from reconciler.cli.options import option
from reconciler.core.model import Plan, Surroundings
from reconciler.render.markdown import LEAST_BYTES, MOST_BYTES

__all__ = ["DOCUMENTS", "budget", "document"]

DOCUMENTS: Final = ("json", "terraform-json", "markdown", "html")
"""The formats of a whole plan, besides text."""

F = TypeVar("F", bound=Callable[..., Any])


def budget(function: F) -> F:
    """How long Markdown may become."""
    return option(
        "--max-bytes",
        type=click.IntRange(min=LEAST_BYTES),
        default=MOST_BYTES,
        show_default=True,
        help="How long Markdown may become; comments on the common forges end at 65,536 characters.",
    )(function)


def document(
    form: str, view: Mapping[str, Any], plan: Plan, beside: Surroundings, *, max_bytes: int = MOST_BYTES
) -> str:
    """The plan in *view* as one of `DOCUMENTS`. Imports only what that takes."""
    match form:
        case "markdown":
            from reconciler.render.markdown import markdown

            return markdown(view, max_bytes=max_bytes)
        case "html":
            from reconciler.render.html import html

            return html(view)
        case "terraform-json":
            from reconciler.render.objects import objects_view
            from reconciler.render.terraform import terraform_view

            # On one line, as Terraform writes it: of several, terraform-compliance reads the second alone.
            shaped = terraform_view(view, objects_view(plan, beside))
            return json.dumps(shaped, ensure_ascii=False, separators=(",", ":")) + "\n"
    return json.dumps(view, ensure_ascii=False, indent=2) + "\n"
