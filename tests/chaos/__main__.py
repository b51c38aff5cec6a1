"""Kill commands at a thousand instants and look at what is left.

    python -m chaos N [--seed SEED] [--platform NAME] [--sweep EVERY] [--terraform KILLS] [--write]

Trials go on until N commands were really killed, cut off or broken, in worlds
on each vendor's platform in turn (with --platform, on that one only). Then
each fault at each call (or at every EVERY-th) of a plan on each of them, and
the journal of such a run torn at each byte. Prints what was tried and what was
wrong after it. ``--write`` puts the table into ``benchmarks/RESULTS.md``.
Where Terraform is on the PATH, some of its applies are killed, too. Ends with 1
when anything was wrong with ours.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from chaos.sweep import FAULTS, Swept, sweep_faults, sweep_kills, tear_journal
from chaos.terraform import Kills, kill_terraform
from chaos.trials import KINDS, Tally, run_trials
from chaos.vendors import VENDORS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"


SWEPT_BY_KILLS = ("runai", "azureml")
"""Where a plan is killed at each call to the disk; the engine, which writes there, is the same for all."""

_NAMES = {"runai": "Run:ai", "azureml": "Azure ML", "aenv": "AEnvironment"}


def report(tally: Tally, swept: Mapping[str, Swept], theirs: Kills | None, seed: str, seconds: float) -> str:
    """The tally as Markdown. *swept* is by platform."""
    trials = tally.trials.total()
    platforms = [one for one in VENDORS if any(platform == one for platform, _ in tally.trials)]
    named = [_NAMES[one] for one in platforms]
    lines = [
        f"## {tally.commands:,} crashes",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}, {seconds / 60:.0f} minutes: {tally.commands:,} commands "
        f"that were really killed, cut off or broken, in {trials:,} trials. Most are an apply of about "
        "20 changes (one in ten a destroy) against an embedded platform in a process of its own, which in "
        "four of six worlds fails or lags by itself. After each: `plan` or `recover`, and platform, state "
        "and journals are compared; `apply` and `plan`, and the specs are compared too; each secret on the "
        "platform is the one that the state says was sent, and in the end the present one; every file is "
        "searched for secrets. Where a run was undone, all that there is is as it was before. The columns "
        "of the platforms are commands hit.",
        "",
        f"| what | trials | {' | '.join(named)} | commands hit | wrong after it |",
        f"|---|--:|{'--:|' * len(named)}--:|--:|",
    ]
    for kind in KINDS:
        hits = [tally.hit[platform, kind] for platform in platforms]
        tried = sum(tally.trials[platform, kind] for platform in platforms)
        wrong = sum(f", {kind}: " in one for one in tally.wrong)
        cells = (kind, tried, *hits, sum(hits), wrong)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    hits = [sum(tally.hit[platform, kind] for kind in KINDS) for platform in platforms]
    lines.append(f"| {' | '.join(map(str, ('all', trials, *hits, tally.commands, len(tally.wrong))))} |")
    if swept:
        every = next(iter(swept.values())).every
        calls = "every call" if every == 1 else f"one in {every} calls"
        lines += [
            "",
            f"One plan of a platform, and one of these at {calls} of it, one a run: {', '.join(FAULTS)}; or "
            f"killed before {calls} to the disk. Followed by the same comparisons. And the journal of a "
            "killed run torn at each of its bytes.",
            "",
            "| platform | steps | runs with a fault | killed | bytes | wrong after it |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for platform, one in swept.items():
            numbers = (one.steps, one.runs, one.kills, one.cuts, len(one.wrong))
            lines.append(f"| {_NAMES[platform]} | {' | '.join(f'{number:,}' for number in numbers)} |")
    if theirs is not None:
        lines += [
            "",
            f"Terraform, an apply of 300 trivial resources killed {theirs.killed} times at random instants: "
            f"the whole state was lost {theirs.lost} times; {theirs.offered} times the next plan would have "
            "made everything again, with exit code 0.",
        ]
    return "\n".join([*lines, ""])


def sweep(platform: str, every: int) -> Swept:
    """The sweeps of one platform; what was wrong is printed."""
    total, vendor = Swept(every=every), VENDORS[platform]
    parts = [sweep_faults(vendor, every=every)]
    if platform in SWEPT_BY_KILLS:
        parts.append(sweep_kills(vendor, every=every))
    if platform == SWEPT_BY_KILLS[0]:
        parts.append(iter([tear_journal(vendor)]))
    for part in parts:
        found, told = Swept(), 0
        for found in part:
            for wrong in found.wrong[told:]:
                print(f"\n{wrong}")
            told = len(found.wrong)
            if sys.stdout.isatty():
                print(f"\r{platform}: {found.runs + found.kills} runs", end="", flush=True)
        total.steps = total.steps or found.steps
        total.runs += found.runs
        total.kills += found.kills
        total.cuts += found.cuts
        total.wrong += found.wrong
    return total


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=100, metavar="N")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--platform", choices=list(VENDORS), default="", help="All in turn when absent.")
    parser.add_argument("--sweep", type=int, default=1, metavar="EVERY", help="0 leaves it out.")
    parser.add_argument("--terraform", type=int, default=20, metavar="KILLS", help="0 leaves it out.")
    parser.add_argument("--write", action="store_true", help="Put the table into RESULTS.md.")
    options = parser.parse_args()
    began = time.monotonic()
    tally = Tally()
    told = 0
    jobs = os.cpu_count() or 1
    for tally in run_trials(options.count, seed=options.seed, jobs=jobs, platform=options.platform):
        for wrong in tally.wrong[told:]:
            print(f"\n{wrong}")
        told = len(tally.wrong)
        if sys.stdout.isatty():
            hit = f"{tally.commands} of {options.count} hit, {tally.trials.total()} trials"
            print(f"\r{hit}", end="", flush=True)
    platforms = [options.platform] if options.platform else list(VENDORS)
    swept = {one: sweep(one, options.sweep) for one in platforms} if options.sweep else {}
    seconds = time.monotonic() - began
    theirs = kill_terraform(options.terraform, seed=options.seed) if options.terraform else None
    text = report(tally, swept, theirs, options.seed, seconds)
    print(f"\n{text}")
    if options.write:
        old = RESULTS.read_text() if RESULTS.exists() else "# Results\n\n"
        pattern = re.compile(r"^## [\d,]+ crashes\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        section = text + "\n"
        RESULTS.write_text(pattern.sub(lambda _: section, old) if pattern.search(old) else old + section)
    return 1 if tally.wrong or any(one.wrong for one in swept.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
