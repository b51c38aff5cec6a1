"""Time and size of the documents for review, for a plan with N changes of every sort.

    PYTHONPATH=tests python benchmarks/documents.py N

How long a browser takes to open the page is not here: open ``plan.html``, which
is left in the current directory with --keep, and ask its navigation timing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from render.plans import many

from reconciler.core.model import Surroundings
from reconciler.render.html import html
from reconciler.render.markdown import markdown
from reconciler.render.objects import objects_view
from reconciler.render.terraform import terraform_view
from reconciler.render.view import plan_view


def main() -> None:
    """Print a row of a Markdown table for each form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    plan = many(options.count)
    view = plan_view(plan)
    forms: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(plan_view(plan), ensure_ascii=False, indent=2),
        "markdown": lambda: markdown(view),
        "html": lambda: html(view),
        "terraform-json": lambda: json.dumps(terraform_view(view, objects_view(plan, Surroundings()))),
    }
    print("| form | s | kB |\n|---|--:|--:|")
    for name, make in forms.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            text = make()
            times.append(time.perf_counter() - start)
        print(f"| {name} | {sorted(times)[2]:.2f} | {len(text.encode()) / 1000:,.0f} |")
    if options.keep:
        Path("plan.html").write_text(html(view), encoding="utf-8")


if __name__ == "__main__":
    main()
