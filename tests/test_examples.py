"""Every example does what its README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from console import commands, run_document

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())


def environment() -> dict[str, str]:
    """An environment in which ``reconciler`` is the one under test."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"}


def copied(source: Path, target: Path) -> Path:
    """A copy of a stack, without what it may remember."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".reconciler", "spec.schema.json"))
    return target


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_does_what_its_readme_says(example: Path, tmp_path: Path) -> None:
    """Each command of its README runs and prints the lines that stand below it."""
    text = (example / "README.md").read_text()
    assert commands(text), "an example without a command shows nothing"
    assert run_document(text, copied(example, tmp_path / "stack"), environment()) == []


def test_the_lines_for_cron_mail_what_drift_says(tmp_path: Path) -> None:
    """As they stand there, under the shell of cron, with a `mail` that keeps what it gets."""
    source = ROOT / "examples" / "05-drift"
    lines = re.findall(r"^7 \* \* \* \*  (.*)$", (source / "README.md").read_text(), re.MULTILINE)
    stack = copied(source, tmp_path / "prod")
    (tmp_path / "textfile").mkdir()
    outside = environment()
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "mail").write_text(f'#!/bin/sh\n{{ echo "$@"; cat; }} > {tmp_path}/mailed\n')
    (bin_ / "mail").chmod(0o755)
    outside["PATH"] = f"{bin_}:{outside['PATH']}"

    def sh(line: str, where: Path = tmp_path) -> None:
        subprocess.run(["sh", "-c", line], cwd=where, env=outside, check=False, stdout=subprocess.DEVNULL)

    sh("reconciler apply --auto-approve && reconciler drift --json-out known-drift.json", stack)
    assert len(lines) == 2
    for line in lines:
        here = line.replace("/srv/stacks", str(tmp_path)).replace("/var/lib/node_exporter", str(tmp_path))
        mailed = tmp_path / "mailed"
        sh(here)
        assert not mailed.exists()
        sh("python3 edit_by_hand.py", stack)
        sh(here)
        to, *said = mailed.read_text().splitlines()
        assert (to, said[-1]) == (
            "-s drift team@example.com",
            "Drift: 1 of 2 resources not as last applied.",
        )
        mailed.unlink()
        sh("reconciler apply --auto-approve", stack)


def test_the_demo_ends_with_an_empty_plan(tmp_path: Path) -> None:
    """`make demo` validates, plans, applies and lists; run twice it changes nothing the second time."""
    stack = copied(ROOT / "states" / "dev", tmp_path / "dev")
    script = f"sh {ROOT}/examples/demo.sh reconciler {stack}"
    document = f"""
```console
$ {script}; echo "exit code $?"
Success! 15 resources in the specs, no problems.
Plan: 15 to add, 0 to change, 0 to destroy.
Apply complete! Resources: 15 added, 0 changed, 0 destroyed.
ENVIRONMENT
No changes. Your infrastructure matches the configuration.
exit code 0
$ {script}; echo "exit code $?"
No changes. Your infrastructure matches the configuration.
No changes. Your infrastructure matches the configuration.
exit code 0
```
""".replace("\nENVIRONMENT\n", "\n")
    assert run_document(document, tmp_path, environment()) == []
