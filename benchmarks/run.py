"""Time whole commands on a stack of N environments, and Terraform on as many resources beside them.

    python benchmarks/run.py N [--runs 5] [--terraform-applies] [--no-terraform] [--write]

Each figure is the median over the runs of a whole process, as the operating
system accounts for it: wall and CPU seconds, and the largest resident set.
Terraform is measured when it is on the PATH: its no-op plan and its plan after
1 % changed at any N (from a written state), its apply and destroy up to 1,000
resources (at 5,000 an apply takes more than ten minutes), or at any N with
``--terraform-applies``. ``--write`` puts the table into RESULTS.md.

Machines differ and are noisy: compare the ratios of one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from generate import write_specs, write_stack
from terraform_module import write_module, write_state

HERE = Path(__file__).parent
RECONCILER = Path(sys.executable).with_name("reconciler")


@dataclass(frozen=True)
class Figure:
    """Medians of one command. Seconds, and MiB."""

    wall: float
    cpu: float
    memory: float


def once(command: Sequence[str], directory: Path) -> Figure:
    """Run a command to its end. Raises when it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}\n{said.decode()}")
    return Figure(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def environment() -> dict[str, str]:
    """The developer's environment, with bytecode allowed: start-up is measured compiled."""
    found = dict(os.environ)
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**found, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}


def median(
    command: Sequence[str], directory: Path, runs: int, before: Callable[[], None] | None = None
) -> Figure:
    """The medians over *runs* runs, each after *before*."""
    figures = []
    for _ in range(runs):
        if before is not None:
            before()
        figures.append(once(command, directory))
    return Figure(
        statistics.median(one.wall for one in figures),
        statistics.median(one.cpu for one in figures),
        statistics.median(one.memory for one in figures),
    )


def ours(count: int, runs: int, work: Path) -> dict[str, Figure]:
    """The figures of reconciler."""
    stack = work / "ours"
    few = max(1, min(runs, 3)) if count <= 5000 else 1
    changed = max(1, count // 100)
    reconciler = str(RECONCILER)
    apply = [reconciler, "apply", "--auto-approve", "--quiet"]
    write_stack(stack, count)

    def forget() -> None:
        shutil.rmtree(stack / ".reconciler", ignore_errors=True)

    def forget_but_cache() -> None:
        cache = stack / ".reconciler" / "cache"
        kept = cache.read_bytes() if cache.exists() else b""
        forget()
        cache.parent.mkdir(exist_ok=True)
        cache.write_bytes(kept)

    found: dict[str, Figure] = {}
    found["--help"] = median([reconciler, "--help"], stack, max(runs, 5))
    found["validate, nothing cached"] = median([reconciler, "validate"], stack, few, forget)
    found[f"apply, create {count:,}"] = median(apply, stack, few, forget_but_cache)
    found["plan, nothing changed"] = median([reconciler, "plan"], stack, runs)
    found["drift, nothing changed"] = median([reconciler, "drift"], stack, runs)
    write_specs(stack, count, changed)
    once([reconciler, "validate"], stack)
    found["plan, 1 % changed"] = median([reconciler, "plan"], stack, runs)
    found["apply, 1 % changed"] = once(apply, stack)
    found[f"destroy {count:,}"] = once([reconciler, "destroy", "--auto-approve", "--quiet"], stack)
    return found


def terraform(count: int, runs: int, work: Path, *, applies: bool) -> dict[str, Figure]:
    """The figures of Terraform, under the same names."""
    module = work / "terraform"
    changed = max(1, count // 100)
    state = module / "terraform.tfstate"
    few = max(1, min(runs, 3)) if count <= 1000 else 1
    write_module(module, count)
    subprocess.run(
        ["terraform", "init", "-input=false"], cwd=module, check=True, capture_output=True, env=environment()
    )
    apply = ["terraform", "apply", "-auto-approve", "-input=false"]
    plan = ["terraform", "plan", "-input=false"]
    found: dict[str, Figure] = {"--help": median(["terraform", "-help"], module, max(runs, 5))}
    if applies:
        found[f"apply, create {count:,}"] = once(apply, module)
    else:
        write_state(state, count)
    found["plan, nothing changed"] = median(plan, module, few)
    write_module(module, count, changed)
    found["plan, 1 % changed"] = median(plan, module, few)
    if applies:
        found["apply, 1 % changed"] = once(apply, module)
        found[f"destroy {count:,}"] = once(["terraform", "destroy", "-auto-approve", "-input=false"], module)
    return found


def latency(count: int, work: Path, *, parallelism: int = 10, seconds: float = 0.05) -> tuple[float, float]:
    """Wall seconds of an apply against a platform that takes *seconds* an answer, and of a bare loop."""
    fault = f'faults = [{{ on = "* /api/v1/asset/environment*", latency = {seconds} }}]'
    server_stack, stack = work / "server", work / "slow"
    write_stack(server_stack, 1, more=fault, parallelism=parallelism)
    server = subprocess.Popen(
        [str(RECONCILER), "serve", "--port", "0"],
        cwd=server_stack,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None
        bare = subprocess.run(
            [sys.executable, str(HERE / "bare_loop.py"), address[0], str(count), str(parallelism)],
            check=True,
            capture_output=True,
            text=True,
        )
        write_stack(stack, count, endpoint=address[0], parallelism=parallelism)
        os.environ.update(RUNAI_CLIENT_ID="embedded", RUNAI_CLIENT_SECRET="embedded")
        once([str(RECONCILER), "validate"], stack)
        began = time.monotonic()
        once([str(RECONCILER), "apply", "--auto-approve", "--quiet"], stack)
        return time.monotonic() - began, float(bare.stdout)
    finally:
        server.terminate()
        server.wait()


def machine() -> str:
    """What the figures were taken on."""
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def version_of(command: Sequence[str]) -> str:
    """The first line that a command prints."""
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment()
    ).stdout.splitlines()[0]


def table(count: int, mine: dict[str, Figure], theirs: dict[str, Figure]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "| command | wall s | CPU s | memory MiB "
        "| Terraform wall s | CPU s | memory MiB | less CPU | less memory |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, figure in mine.items():
        row = f"| {name} | {figure.wall:.2f} | {figure.cpu:.2f} | {figure.memory:.0f} |"
        other = theirs.get(name)
        if other is None:
            row += " | | | | |"
        else:
            row += (
                f" {other.wall:.2f} | {other.cpu:.2f} | {other.memory:.0f} | "
                f"{other.cpu / figure.cpu:.0f} x | {other.memory / figure.memory:.1f} x |"
            )
        lines.append(row)
    return lines


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--terraform-applies", action="store_true")
    parser.add_argument("--no-terraform", action="store_true")
    parser.add_argument("--write", action="store_true", help="Put the table into RESULTS.md.")
    options = parser.parse_args()
    count: int = options.count
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(HERE.parent / "reconciler")], check=True)
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
        work = Path(folder)
        mine = ours(count, options.runs, work)
        theirs: dict[str, Figure] = {}
        versions = [version_of([str(RECONCILER), "version"])]
        if shutil.which("terraform") and not options.no_terraform:
            theirs = terraform(count, options.runs, work, applies=count <= 1000 or options.terraform_applies)
            versions.append(version_of(["terraform", "version"]))
        lines = [
            f"## {count:,} environments",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; {', '.join(versions)}.",
            "",
            *table(count, mine, theirs),
            "",
        ]
        if count <= 1000:
            applied, bare = latency(count, work)
            lines += [
                f"Against a platform that takes 50 ms an answer, {count:,} creates, ten at a time: "
                f"apply {applied:.1f} s, a bare loop with the same requests {bare:.1f} s: "
                f"{applied / bare:.2f} times.",
                "",
            ]
    print("\n".join(lines))
    if options.write:
        results = HERE / "RESULTS.md"
        text = results.read_text() if results.exists() else "# Results\n\n"
        section = "\n".join(lines) + "\n"
        pattern = re.compile(rf"^## {count:,} environments\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        results.write_text(pattern.sub(lambda _: section, text) if pattern.search(text) else text + section)


if __name__ == "__main__":
    main()
