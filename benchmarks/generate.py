"""Write a stack of N environment specs of the size that a team writes by hand.

    python benchmarks/generate.py DIR N [--changed K] [--endpoint URL] [--parallelism P]

About 16 top-level fields a spec, five variables, two tools, as in the Terraform
module that ``benchmarks/run.py`` writes beside it. ``--changed K`` gives K specs,
spread evenly, another image tag and another SEED. Deterministic.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

CONFIG = """\
[stack]
name = "bench"

[platforms.runai]
provider = "runai"
endpoint = "{endpoint}"
max_concurrency = {parallelism}
{more}
[policy]
max_delete_fraction = 1.0

[apply]
parallelism = {parallelism}
"""


def spec(number: int, *, changed: bool) -> str:
    """The text of one spec."""
    team = f"team-{number % 37:02d}"
    tag = f"24.{number % 12 + 1:02d}-py3" + ("-hotfix1" if changed else "")
    return f"""\
description = "PyTorch training environment number {number} owned by {team}"
image = "nvcr.io/nvidia/pytorch:{tag}"
image_pull_policy = "{"Always" if number % 3 else "IfNotPresent"}"
workload_types = ["{"training" if number % 2 else "workspace"}"]
command = "/bin/bash -lc"
args = "python -m train --seed {number} --config /cfg/{number % 11}.toml"
working_dir = "/workspace/{team}"

[environment_variables]
NCCL_DEBUG = "{"INFO" if number % 5 else "WARN"}"
OMP_NUM_THREADS = "{4 + number % 8}"
WANDB_PROJECT = "{team}-experiments"
HF_HOME = "/data/hf"
SEED = "{number}{"1" if changed else ""}"

[on.runai]
scope = "project"
scope_id = "450123{4 + number % 4}"
uid_gid_source = "custom"
run_as_uid = 1000
run_as_gid = {100 + number % 7}
allow_privilege_escalation = false
create_home_dir = true
capabilities = ["CHOWN", "IPC_LOCK"]

[[on.runai.tools]]
type = "jupyter"
connection = "node-port"
container_port = 8888

[[on.runai.tools]]
type = "tensorboard"
connection = "external-url"
container_port = {6006 + number % 10}
"""


def changed_numbers(count: int, changed: int) -> set[int]:
    """Which specs are changed, spread over all."""
    return {index * count // changed for index in range(changed)} if changed else set()


def write_specs(directory: Path, count: int, changed: int) -> None:
    """Write the specs that differ from what is there."""
    chosen = changed_numbers(count, changed)
    for number in range(count):
        path = directory / f"specs-{number // 1000:04d}" / f"env-{number:06d}.toml"
        text = spec(number, changed=number in chosen)
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def write_stack(
    directory: Path,
    count: int,
    *,
    changed: int = 0,
    endpoint: str = "embedded",
    parallelism: int = 10,
    more: str = "",
) -> None:
    """Write a whole stack, in the place of what is there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    config = CONFIG.format(endpoint=endpoint, parallelism=parallelism, more=more)
    (directory / "reconciler.toml").write_text(config)
    write_specs(directory, count, changed)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--changed", type=int, default=0)
    parser.add_argument("--endpoint", default="embedded")
    parser.add_argument("--parallelism", type=int, default=10)
    options = parser.parse_args()
    write_stack(
        options.directory,
        options.count,
        changed=options.changed,
        endpoint=options.endpoint,
        parallelism=options.parallelism,
    )


if __name__ == "__main__":
    main()
