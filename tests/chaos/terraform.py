"""The same question to Terraform: what is left of its state when an apply is killed?"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_MAIN = """\
resource "terraform_data" "lab" {{
  count = {count}
  input = {{ name = "lab-${{count.index}}", image = "python:3.11", scope = "tenant" }}
}}
"""


@dataclass
class Kills:
    """How many applies were killed, and after how many of them the state was lost."""

    killed: int = 0
    lost: int = 0
    offered: int = 0
    """After how many of them the next plan, with exit code 0, would have made everything again."""


def kill_terraform(count: int, *, seed: str, resources: int = 300) -> Kills | None:
    """Kill that many applies of trivial resources at random instants. None where there is no Terraform."""
    if shutil.which("terraform") is None:
        return None
    chance = random.Random(seed)
    found = Kills()
    with tempfile.TemporaryDirectory(prefix="terraform-chaos-") as folder:
        module = Path(folder)
        (module / "main.tf").write_text(_MAIN.format(count=resources))
        _terraform(module, "init", "-input=false")
        began = time.monotonic()
        _terraform(module, "apply", "-auto-approve", "-input=false")
        seconds = time.monotonic() - began
        while found.killed < count:
            for path in module.glob("terraform.tfstate*"):
                path.unlink()
            (module / ".terraform.tfstate.lock.info").unlink(missing_ok=True)
            process = subprocess.Popen(
                ["terraform", "apply", "-auto-approve", "-input=false"],
                cwd=module,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            assert process.stdout is not None
            for line in process.stdout:
                if b"Creating..." in line:
                    break  # from here on there is something to lose
            time.sleep(chance.uniform(0, seconds * 0.8))
            process.send_signal(signal.SIGKILL)
            made = sum(b"Creation complete" in line for line in process.stdout)
            if process.wait() != -signal.SIGKILL or not made:
                continue
            found.killed += 1
            if not _state_is_whole(module):
                found.lost += 1
                plan = _terraform(module, "plan", "-input=false", "-lock=false")
                found.offered += f"Plan: {resources} to add" in plan
    return found


def _state_is_whole(module: Path) -> bool:
    try:
        return bool(json.loads((module / "terraform.tfstate").read_text())["resources"])
    except (OSError, ValueError, KeyError):
        return False


def _terraform(module: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments, *(["-no-color"] if arguments[0] != "init" else [])],
        cwd=module,
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    return done.stdout


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": os.devnull,
    }
