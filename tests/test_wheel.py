"""The wheel, built and installed as a user would have it: it works, and holds what it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Installed:
    """A wheel, and the environment that it is installed in."""

    wheel: Path
    bin: Path

    def run(self, *command: str, cwd: Path) -> str:
        """What a command of that environment prints; a failed test when it fails."""
        # Nothing of the developer's own environment may stand in for what the wheel lacks.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RECONCILER_"))}
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env={**environment, "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree in an environment that has its dependencies and nothing else of ours."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    for name in ("reconciler", "tests", "benchmarks"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".reconciler")
        )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = place.glob("*.whl")
    shutil.rmtree(source)
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / "bin" / "python"
    offline = ("--quiet", "--no-index", "--no-deps", "--no-cache-dir")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *offline, str(wheel)],
        check=True,
        capture_output=True,
    )
    # The dependencies are those of the environment that runs this. A .pth file found that way is not read,
    # so that an editable install of the package stays out.
    (own,) = (place / "venv" / "lib").glob("python*/site-packages")
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (own / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    return Installed(wheel, python.parent)


def test_the_wheel_holds_the_package_and_nothing_else(installed: Installed) -> None:
    """Every module, the templates and the typing marker are in it; tests and benchmarks are not."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())
    package = ROOT / "reconciler"
    files = [*package.rglob("*.py"), *(package / "render" / "templates").iterdir()]
    assert {file.suffix for file in files} == {".py", ".html", ".css", ".js"}
    ours = {f"reconciler/{file.relative_to(package)}" for file in files}
    assert {name for name in names if ".dist-info/" not in name} == {*ours, "reconciler/py.typed"}
    about = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_installed_command_does_the_main_job(installed: Installed, tmp_path: Path) -> None:
    """From nothing to an empty plan, with the code of the wheel."""
    where = installed.run("python", "-c", "import reconciler; print(reconciler.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.bin.parent / "lib")

    def reconciler(*arguments: str) -> list[str]:
        return installed.run("reconciler", *arguments, cwd=tmp_path).splitlines()

    assert "runai" in reconciler("version")[1]
    assert reconciler("init", "lab")[0].startswith("Made the stack lab in lab: ")
    assert reconciler("-C", "lab", "validate") == ["Success! 1 resource in the specs, no problems."]
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in reconciler("-C", "lab", "plan", "--out", "p.plan")
    assert reconciler("show", "p.plan", "--format", "html")[0] == "<!doctype html>"
    applied = reconciler("-C", "lab", "apply", "--auto-approve")
    assert applied[-1] == "Apply complete! Resources: 1 added, 0 changed, 0 destroyed."
    assert reconciler("-C", "lab", "plan") == ["No changes. Your infrastructure matches the configuration."]
    assert reconciler("-C", "lab", "schema", "reconciler")[0] == "{"
    assert installed.run("python", "-m", "reconciler", "--version", cwd=tmp_path).startswith("reconciler")
