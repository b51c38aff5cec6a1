"""Kill commands at a thousand instants and look at what is left.

    python -m chaos N [--seed SEED] [--sweep EVERY] [--terraform KILLS] [--write]

Trials go on until N commands were really killed, cut off or broken. Then each
fault at each call (or at every EVERY-th) of a plan of thirty steps, and the
journal of such a run torn at each byte. Prints what was tried and what was
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
from datetime import UTC, datetime
from pathlib import Path

from chaos.sweep import FAULTS, Swept, sweep_faults, sweep_kills, tear_journal
from chaos.terraform import Kills, kill_terraform
from chaos.trials import KINDS, Tally, run_trials

RESULTS = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"


def report(tally: Tally, swept: Swept | None, theirs: Kills | None, seed: str, seconds: float) -> str:
    """The tally as Markdown."""
    trials = tally.trials.total()
    lines = [
        f"## {tally.commands:,} crashes",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}, {seconds / 60:.0f} minutes: {tally.commands:,} commands "
        f"that were really killed, cut off or broken, in {trials:,} trials. Most are an apply of about "
        "20 changes (one in ten a destroy) against the embedded Run:ai in a process of its own, which in "
        "four of six worlds fails or lags by itself. After each: `plan` or `recover`, and platform, state "
        "and journals are compared; `apply` and `plan`, and the specs are compared too; each secret on the "
        "platform is the one that the state says was sent, and in the end the present one; every file is "
        "searched for secrets. Where a run was undone, all that there is is as it was before.",
        "",
        "| what | trials | commands hit | wrong after it |",
        "|---|--:|--:|--:|",
    ]
    for kind in KINDS:
        wrong = sum(f", {kind}: " in one for one in tally.wrong)
        lines.append(f"| {kind} | {tally.trials[kind]} | {tally.hit[kind]} | {wrong} |")
    lines.append(f"| all | {trials} | {tally.commands} | {len(tally.wrong)} |")
    if swept is not None:
        calls = "every call" if swept.every == 1 else f"one in {swept.every} calls"
        lines += [
            "",
            f"A plan of {swept.steps} steps, one of these at {calls} of it, one a run: "
            f"{', '.join(FAULTS)}. {swept.runs:,} runs, followed by the same comparisons; {swept.kills:,} "
            f"more, killed before {calls} to the disk; the journal of such a run torn at each of "
            f"its {swept.cuts:,} bytes. Wrong after it: {len(swept.wrong)}.",
        ]
    if theirs is not None:
        lines += [
            "",
            f"Terraform, an apply of 300 trivial resources killed {theirs.killed} times at random instants: "
            f"the whole state was lost {theirs.lost} times; {theirs.offered} times the next plan would have "
            "made everything again, with exit code 0.",
        ]
    return "\n".join([*lines, ""])


def sweep(every: int) -> Swept:
    """All three sweeps; what was wrong is printed."""
    total = Swept(every=every)
    for part in (sweep_faults(every=every), sweep_kills(every=every), iter([tear_journal()])):
        found, told = Swept(), 0
        for found in part:
            for wrong in found.wrong[told:]:
                print(f"\n{wrong}")
            told = len(found.wrong)
            if sys.stdout.isatty():
                print(f"\r{found.runs + found.kills} runs", end="", flush=True)
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
    parser.add_argument("--sweep", type=int, default=1, metavar="EVERY", help="0 leaves it out.")
    parser.add_argument("--terraform", type=int, default=20, metavar="KILLS", help="0 leaves it out.")
    parser.add_argument("--write", action="store_true", help="Put the table into RESULTS.md.")
    options = parser.parse_args()
    began = time.monotonic()
    tally = Tally()
    told = 0
    for tally in run_trials(options.count, seed=options.seed, jobs=os.cpu_count() or 1):
        for wrong in tally.wrong[told:]:
            print(f"\n{wrong}")
        told = len(tally.wrong)
        if sys.stdout.isatty():
            hit = f"{tally.commands} of {options.count} hit, {tally.trials.total()} trials"
            print(f"\r{hit}", end="", flush=True)
    swept = sweep(options.sweep) if options.sweep else None
    seconds = time.monotonic() - began
    theirs = kill_terraform(options.terraform, seed=options.seed) if options.terraform else None
    text = report(tally, swept, theirs, options.seed, seconds)
    print(f"\n{text}")
    if options.write:
        old = RESULTS.read_text() if RESULTS.exists() else "# Results\n\n"
        pattern = re.compile(r"^## [\d,]+ crashes\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        section = text + "\n"
        RESULTS.write_text(pattern.sub(lambda _: section, old) if pattern.search(old) else old + section)
    return 1 if tally.wrong or (swept is not None and swept.wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
