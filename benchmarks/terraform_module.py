"""Write a Terraform module of N ``terraform_data`` resources of the size of our specs.

    python benchmarks/terraform_module.py DIR N [--changed K] [--state FILE]

Each resource carries one environment: 16 fields, five variables, two tools.
``--state FILE`` also writes the state that a finished apply leaves, for sizes
where the apply itself takes too long. Deterministic.
"""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import Any

from generate import changed_numbers


def environment(number: int, *, changed: bool) -> dict[str, Any]:
    """The fields of one environment."""
    team = f"team-{number % 37:02d}"
    return {
        "name": f"env-{number:06d}",
        "description": f"PyTorch training environment number {number} owned by {team}",
        "scope": "project",
        "project": team,
        "image": f"nvcr.io/nvidia/pytorch:24.{number % 12 + 1:02d}-py3" + ("-hotfix1" if changed else ""),
        "image_pull_policy": "Always" if number % 3 else "IfNotPresent",
        "workload_type": "training" if number % 2 else "workspace",
        "command": ["/bin/bash", "-lc", f"python -m train --seed {number} --config /cfg/{number % 11}.toml"],
        "working_dir": f"/workspace/{team}",
        "run_as_uid": 1000,
        "allow_privilege_escalation": False,
        "create_home_dir": True,
        "capabilities": ["CHOWN", "IPC_LOCK"],
        "env": {
            "NCCL_DEBUG": "INFO" if number % 5 else "WARN",
            "OMP_NUM_THREADS": str(4 + number % 8),
            "WANDB_PROJECT": f"{team}-experiments",
            "HF_HOME": "/data/hf",
            "SEED": f"{number}{'1' if changed else ''}",
        },
        "tools": [
            {"type": "jupyter", "port": 8888, "connection": "node-port"},
            {"type": "tensorboard", "port": 6006 + number % 10, "connection": "external-url"},
        ],
        "labels": {"owner": f"user{number % 101}@example.com"},
    }


def _type(value: Any) -> Any:
    """Terraform's own description of a value's type."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return ["tuple", [_type(item) for item in value]]
    return ["object", {key: _type(value[key]) for key in sorted(value)}]


def write_module(directory: Path, count: int, changed: int = 0) -> None:
    """The module's files, a hundred resources each; JSON is Terraform's other syntax."""
    directory.mkdir(parents=True, exist_ok=True)
    chosen = changed_numbers(count, changed)
    for start in range(0, count, 100):
        resources = {
            f"env_{number:06d}": {"input": environment(number, changed=number in chosen)}
            for number in range(start, min(count, start + 100))
        }
        document = {"resource": {"terraform_data": resources}}
        (directory / f"environments_{start // 100:05d}.tf.json").write_text(json.dumps(document, indent=1))


def write_state(path: Path, count: int) -> None:
    """The state after an apply of the unchanged module."""
    resources = []
    for number in range(count):
        value = environment(number, changed=False)
        dynamic = {"value": value, "type": _type(value)}
        resources.append(
            {
                "mode": "managed",
                "type": "terraform_data",
                "name": f"env_{number:06d}",
                "provider": 'provider["terraform.io/builtin/terraform"]',
                "instances": [
                    {
                        "schema_version": 0,
                        "attributes": {
                            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"env/{number}")),
                            "input": dynamic,
                            "output": dynamic,
                            "triggers_replace": None,
                        },
                        "sensitive_attributes": [],
                    }
                ],
            }
        )
    document = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 1,
        "lineage": str(uuid.uuid5(uuid.NAMESPACE_URL, "benchmark")),
        "outputs": {},
        "resources": resources,
        "check_results": None,
    }
    path.write_text(json.dumps(document))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--changed", type=int, default=0)
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    write_module(options.directory, options.count, options.changed)
    if options.state:
        write_state(options.state, options.count)


if __name__ == "__main__":
    main()
