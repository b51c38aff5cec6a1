"""What is ready to copy works: each file parses, and its command runs."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_examples import ROOT, copied, environment

FOLDER = ROOT / "examples" / "16-drift-on-a-schedule"
RECONCILER = Path(sys.executable).parent / "reconciler"


@pytest.fixture
def prod(tmp_path: Path) -> Path:
    """The stack where the files expect it, applied and changed by hand."""
    stack = copied(FOLDER, tmp_path / "srv" / "stacks" / "prod")
    (tmp_path / "var").mkdir()
    done = sh("reconciler apply --auto-approve && python3 edit_by_hand.py", stack)
    assert done.returncode == 0, done.stdout
    return stack


def sh(line: str, where: Path) -> subprocess.CompletedProcess[str]:
    """Run *line* in a shell."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=where,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=60,
    )


def here(line: str, stack: Path) -> str:
    """*line* with its paths in the place of this test."""
    line = line.replace("/usr/local/bin/reconciler", "reconciler")
    line = re.sub(r"(/srv)?/stacks/prod", str(stack), line)
    return line.replace("/var/lib/node_exporter/textfile", str(stack.parents[2] / "var"))


def unit(name: str) -> configparser.ConfigParser:
    """A unit of systemd."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((FOLDER / name).read_text())
    return parser


def test_the_line_for_cron_runs(prod: Path) -> None:
    """Five fields, the user, the command; nothing but trouble is mailed."""
    lines = [
        line
        for line in (FOLDER / "reconciler-drift.cron").read_text().splitlines()
        if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)
    ]
    assert len(lines) == 1
    found = re.fullmatch(r"(\d+ \* \* \* \*)  (\w+)  (.+)", lines[0])
    assert found is not None
    assert "%" not in found[3]  # cron would take it for a line end
    done = sh(here(found[3], prod), prod)
    assert (done.returncode, done.stdout) == (
        2,
        "Warning: --notify: reconciler.toml has no [[notify]]; nobody was told\n",
    )
    assert "reconciler_drift_exit_code" in (prod.parents[2] / "var" / "prod.prom").read_text()


def test_the_service_runs(prod: Path) -> None:
    """Once, to its end; drift is no failure of it."""
    service = unit("reconciler-drift.service")["Service"]
    done = sh(here(service["ExecStart"], prod), prod)
    assert str(done.returncode) == service["SuccessExitStatus"], done.stdout
    assert service["Type"] == "oneshot"
    writable = service["ReadWritePaths"].split()
    assert writable == ["/srv/stacks/prod/.reconciler", "/var/lib/node_exporter/textfile"]


def test_the_timer_starts_the_service() -> None:
    """Its namesake, once an hour, and what it missed."""
    timer = unit("reconciler-drift.timer")
    assert "Unit" not in timer["Timer"]
    assert (timer["Timer"]["Persistent"], timer["Install"]["WantedBy"]) == ("true", "timers.target")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Without a word."""
    for name in ("reconciler-drift.service", "reconciler-drift.timer"):
        text = (
            (FOLDER / name)
            .read_text()
            .replace("/usr/local/bin/reconciler", shutil.which("true") or "/bin/true")
        )
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if str(tmp_path) in line or "reconciler" in line
    ]
    assert (done.returncode, said) == (0, [])


def test_the_cronjob_runs(prod: Path) -> None:
    """A CronJob of batch/v1 whose command treats drift as a result and everything else as a failure."""
    job = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"], job["spec"]["concurrencyPolicy"]) == (
        "batch/v1",
        "CronJob",
        "Forbid",
    )
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["command"] == ["/bin/sh", "-c"]
    (line,) = container["args"]
    done = sh(here(line, prod), prod)
    assert (done.returncode, "Drift: 1 of 1 resource not as last applied." in done.stdout) == (0, True)
    (prod / "reconciler.toml").write_text("nonsense")
    assert sh(here(line, prod), prod).returncode == 1
    names = {volume["name"] for volume in pod["volumes"]}
    mounted = {mount["name"] for one in [*pod["initContainers"], container] for mount in one["volumeMounts"]}
    assert mounted == names
    for one in [*pod["initContainers"], container]:
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert ":" in one["image"].rpartition("/")[2]
