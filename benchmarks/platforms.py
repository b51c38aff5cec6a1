"""Time whole commands on N environments of Azure Machine Learning (three versions each) and of AEnvironment.

    python benchmarks/platforms.py N [--runs 5] [--write]

On the embedded platforms, each command a process of its own. How many requests
a comparison sends is counted by the program itself (``drift --metrics-out``).
``--write`` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from run import HERE, RECONCILER, Figure, machine, median, once

_CONFIG = """\
[stack]
name = "bench"

[platforms.{name}]
provider = "{provider}"
endpoint = "embedded"

[policy]
max_delete_fraction = 1.0

[apply]
parallelism = 10
"""


def azureml_spec(number: int, turn: int) -> str:
    """A conda environment; another *turn* is another definition."""
    return f"""\
description = "Training environment number {number}"
image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
tags = {{ team = "team-{number % 37:02d}" }}

[on.azureml]
python = "3.11.9"
channels = ["conda-forge"]
packages = ["numpy=2.1.{turn}", "pandas=2.2.3", "scikit-learn=1.5.2"]
pip = ["torch==2.5.1", "transformers==4.46.3"]
"""


def aenvironment_spec(number: int, turn: int) -> str:
    """An environment; another *turn* is other variables."""
    return f"""\
image = "registry.example.com/aenv/env-{number}:1.0.0"
tags = {{ team = "team-{number % 37:02d}" }}

[environment_variables]
SEED = "{number}"
TURN = "{turn}"

[compute]
cpu_cores = 2
memory = "4Gi"

[on.aenv]
version = "1.0.0"
"""


PLATFORMS = {
    "Azure Machine Learning": ("azureml", "azureml", azureml_spec, 3),
    "AEnvironment": ("aenv", "aenvironment", aenvironment_spec, 1),
}


def measured(vendor: str, count: int, runs: int, work: Path) -> dict[str, tuple[Figure, str]]:
    """The figures of one vendor, and what belongs beside them."""
    name, provider, spec, turns = PLATFORMS[vendor]
    stack = work / name
    stack.mkdir()
    (stack / "reconciler.toml").write_text(_CONFIG.format(name=name, provider=provider))

    def write(turn: int, changed: int = count) -> None:
        for number in range(changed):
            (stack / f"env-{number:05d}.toml").write_text(spec(number, turn))

    reconciler = str(RECONCILER)
    apply = [reconciler, "apply", "--auto-approve", "--quiet"]
    found: dict[str, tuple[Figure, str]] = {}
    write(1)
    found[f"apply, create {count:,}"] = (once(apply, stack), "")
    for turn in range(2, turns + 1):
        write(turn)
        found[f"apply, version {turn} of each"] = (once(apply, stack), "")
    found["plan, nothing changed"] = (median([reconciler, "plan"], stack, runs), "")
    once([reconciler, "drift", "--metrics-out", "metrics.prom"], stack)
    calls = re.search(
        r"^reconciler_\w*api_calls\w*(?:\{.*\})? (\d+)", (stack / "metrics.prom").read_text(), re.M
    )
    said = f"{int(calls[1]):,} requests" if calls else "requests not counted"
    found["drift, nothing changed"] = (median([reconciler, "drift"], stack, runs), said)
    write(turns + 1, max(1, count // 100))
    found["plan, 1 % changed"] = (median([reconciler, "plan"], stack, runs), "")
    found["apply, 1 % changed"] = (once(apply, stack), "")
    found[f"destroy {count:,}"] = (once([reconciler, "destroy", "--auto-approve", "--quiet"], stack), "")
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="Put the table into RESULTS.md.")
    options = parser.parse_args()
    lines = [
        f"## {options.count:,} environments of other platforms",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. Medians of whole processes. Azure Machine Learning "
        "with three versions of each environment: one listing of containers by pages, and one of versions "
        "for each container, since the API has none of all versions; nothing is read one by one. "
        "AEnvironment: one listing.",
        "",
        "| command | wall s | CPU s | memory MiB | |",
        "|---|--:|--:|--:|---|",
    ]
    folder = Path(tempfile.mkdtemp(prefix="reconciler-bench-"))
    try:
        for vendor in PLATFORMS:
            lines.append(f"| **{vendor}** | | | | |")
            for what, (one, said) in measured(vendor, options.count, options.runs, folder).items():
                lines.append(f"| {what} | {one.wall:.2f} | {one.cpu:.2f} | {one.memory:.0f} | {said} |")
    finally:
        shutil.rmtree(folder)
    text = "\n".join([*lines, "", ""])
    print(text)
    if options.write:
        results = HERE / "RESULTS.md"
        old = results.read_text()
        pattern = re.compile(r"^## [\d,]+ environments of other platforms\n.*?(?=^## |\Z)", re.M | re.S)
        results.write_text(pattern.sub(lambda _: text, old) if pattern.search(old) else old + "\n" + text)


if __name__ == "__main__":
    main()
