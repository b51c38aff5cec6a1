"""`list`, `show`, `drift` and `history`: what is there, what uses it, what happened."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from harness import LAB, Project

from reconciler.cli.commands.list import COLUMNS
from reconciler.core.ports import Reader
from reconciler.core.report import DriftReport
from reconciler.engine import drift as drift_engine
from reconciler.engine.decisions import Planner
from reconciler.engine.inventory import STATUSES
from reconciler.engine.read_only import ReadOnly
from reconciler.providers.http import Answer, HttpClient

TEAM = """\
description = "Training of the vision team"
image = "nvcr.io/nvidia/pytorch:24.01-py3"
workload_types = ["training", "distributed"]
distributed_framework = "PyTorch"
tools = ["jupyter", "tensorboard"]

[on.runai]
scope = "project"
scope_name = "nlp"
"""


@pytest.fixture
def world(project: Project) -> Project:
    """Environments in every status there is; *lab* is used by two workloads."""
    for name in ("lab", "drifted", "pending", "both", "gone", "leaving"):
        project.write(f"{name}.toml", LAB)
    project.write("team.toml", TEAM)
    project.run("apply", "--auto-approve").succeeded()
    hand = project.hand()
    hand.edit("drifted", image="python:3.10")
    hand.edit("both", image="python:3.10")
    hand.delete("gone")
    hand.create("stray")
    hand.create("found")
    hand.use("lab", workload="lab-1")
    hand.use("lab", workload="job-2", kind="training", status="Stopped")
    for name in ("pending", "both"):
        project.write(f"{name}.toml", LAB.replace("3.11", "3.12"))
    (project.path / "leaving.toml").unlink()
    project.write("new.toml", LAB)
    project.write("found.toml", LAB)
    return project


def listed(project: Project, *words: str) -> list[dict[str, object]]:
    """The rows of `list --format json`."""
    found: list[dict[str, object]] = json.loads(
        project.run("list", "--format", "json", *words).succeeded().out
    )
    return found


def names(project: Project, *words: str) -> list[object]:
    """The environments that `list` shows, in order."""
    return [row["environment"] for row in listed(project, *words)]


# --- list ---


def test_every_environment_has_its_status(world: Project) -> None:
    """Wished for, remembered and live: what the three say together, one word or two."""
    ours = {row["environment"]: row["status"] for row in listed(world) if row["status"] != "vendor"}
    assert ours == {
        "both": "conflict",
        "drifted": "drifted",
        "found": "to adopt",
        "gone": "gone",
        "lab": "in sync",
        "leaving": "to delete",
        "new": "new",
        "pending": "pending",
        "stray": "unmanaged",
        "team": "in sync",
    }
    assert len(names(world, "--filter", "status=vendor")) == 6
    assert {*ours.values(), "vendor"} == set(STATUSES)


def test_a_row_has_all_columns_of_the_guide(world: Project) -> None:
    """One environment, every column."""
    (row,) = listed(world, "--filter", "environment=lab")
    assert row == {
        "environment": "lab",
        "version": None,
        "status": "in sync",
        "address": "runai.environment.lab",
        "platform": "runai",
        "description": None,
        "scope": "tenant",
        "image": "python:3.11",
        "architecture": "standard",
        "tools": [],
        "workloads": ["workspace lab-1 (Running)", "training job-2 (Stopped)"],
        "workload_types": ["training", "workspace"],
        "templates": [],
        "created_by": "embedded",
        "created": row["created"],
        "updated": row["updated"],
        "cluster": "",
        "id": world.remembered()["runai.environment.lab"],
    }
    assert set(row) == set(COLUMNS)


def test_scope_and_architecture_are_in_words(world: Project) -> None:
    """A project by its name, a framework beside distributed, tools with their connections."""
    (row,) = listed(world, "--filter", "environment=team")
    assert {key: row[key] for key in ("scope", "architecture", "tools", "workload_types", "cluster")} == {
        "scope": "project nlp",
        "architecture": "distributed (PyTorch)",
        "tools": ["Jupyter (external-url)", "TensorBoard (external-url)"],
        "workload_types": ["distributed", "training"],
        "cluster": row["cluster"],
    }
    assert row["cluster"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("status=drift", f"There are: {', '.join(STATUSES)}."),
        ("status=", f"There are: {', '.join(STATUSES)}."),
        ("platform=run", "There are: runai."),
    ],
)
def test_a_value_that_a_column_cannot_have_is_no_empty_table(project: Project, words: str, hint: str) -> None:
    """It is a mistake, and the values that there are are named; what nothing matches today is none."""
    project.write("lab.toml", LAB)
    result = project.run("list", "--filter", words)
    column = words.partition("=")[0]
    assert (result.code, result.out) == (64, "")
    assert result.err == f"Error: --filter {words}: no {column} is like that\n  {hint}\n"
    for possible in ("status=Drif*", "platform=RUN*", "status=gone"):
        project.run("list", "--filter", possible).succeeded()


@pytest.mark.parametrize(
    ("scope", "place"),
    [
        ('scope = "project"\nscope_id = "4501235"', "project nlp"),
        ('scope = "project"\nscope_name = "nlp"', "project nlp"),
        ('scope = "department"\nscope_name = "research"', "department research"),
        ('scope = "tenant"', "tenant"),
    ],
)
def test_a_scope_has_its_name_before_and_after_the_apply(project: Project, scope: str, place: str) -> None:
    """What is wished for stands in the same place as what is there, and as what is gone."""
    project.write("lab.toml", LAB.replace('scope = "tenant"', scope))
    before = listed(project, "--filter", "status=new")
    project.run("apply", "--auto-approve").succeeded()
    after = listed(project, "--filter", "environment=lab")
    project.hand().delete("lab")
    gone = listed(project, "--filter", "status=gone")
    assert [row["scope"] for row in (*before, *after, *gone)] == [place] * 3


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--filter", "environment=lab"), ["lab"]),
        (("--filter", "environment=LAB"), ["lab"]),
        (("--filter", "environment=l*b"), ["lab"]),
        (("--filter", "image=*pytorch*", "--filter", "status=in sync"), ["team"]),
        (("--filter", "tools=TensorBoard*", "--filter", "scope=project *"), ["team"]),
        (("--filter", "workload_types=distributed"), ["team"]),
        (("--filter", "workloads=*lab-1*", "--filter", "status=in sync"), ["lab"]),
        (("--filter", "address=", "--filter", "status=unmanaged"), ["stray"]),
        (("--filter", "environment=nothing"), []),
        (("--search", "VISION TEAM"), ["team"]),
        (("--search", "job-2"), ["lab"]),
        (("--search", "no such text"), []),
        (("--search", "python", "--filter", "status=new"), ["new"]),
    ],
)
def test_rows_are_chosen(world: Project, words: tuple[str, ...], found: list[str]) -> None:
    """--filter by column, all of them, with * and ?; --search in any column; neither minds case."""
    assert names(world, *words) == found


def test_rows_are_sorted(world: Project) -> None:
    """By name unless told otherwise; - turns it round."""
    everything = names(world)
    assert everything == sorted(everything, key=str)
    assert names(world, "--sort", "-environment") == everything[::-1]
    by_status = [row["status"] for row in listed(world, "--sort", "status")]
    assert by_status == sorted(by_status, key=str)
    assert names(world, "--sort", "created", "--filter", "created_by=embedded")[-1] == "found"


def test_the_table_has_the_columns_asked_for(world: Project) -> None:
    """In the order asked for, under their headings."""
    words = ("--columns", "status, environment", "--filter", "status=new")
    assert world.run("list", *words).succeeded().out == "STATUS  ENVIRONMENT\nnew     new\n"


def test_json_has_the_columns_asked_for(world: Project) -> None:
    """As the table and CSV do; all of them when none are named."""
    words = ("list", "--filter", "address=runai.environment.lab", "--columns", "status,environment")
    wanted = {"status": "in sync", "environment": "lab"}
    assert json.loads(world.run(*words, "--format", "json").succeeded().out) == [wanted]
    assert world.run(*words, "--json").succeeded().events[0] == {"type": "environment", **wanted}


def test_no_column_is_wrong_usage(world: Project) -> None:
    """Rows of nothing would say nothing."""
    result = world.run("list", "--columns", " ,")
    assert (result.code, result.out) == (64, "")
    assert result.err.startswith("Error: --columns names no column\n  Known: environment, version, status")


def test_an_empty_table_says_so(world: Project) -> None:
    """Not a heading over nothing."""
    assert world.run("list", "--search", "no such text").succeeded().out == "No environments.\n"


def test_csv_has_every_column_and_whole_values(world: Project) -> None:
    """Headings are the names of columns; nothing is cut; lists are one cell."""
    rows = list(csv.DictReader(io.StringIO(world.run("list", "--format", "csv").succeeded().out)))
    (lab,) = [row for row in rows if row["environment"] == "lab"]
    assert list(lab) == list(COLUMNS)
    assert lab["workloads"] == "workspace lab-1 (Running), training job-2 (Stopped)"
    assert lab["id"] == world.remembered()["runai.environment.lab"]
    chosen = world.run(
        "list", "--format", "csv", "--columns", "id,environment", "--filter", "environment=lab"
    )
    assert chosen.succeeded().out == f"id,environment\n{lab['id']},lab\n".replace("\n", "\r\n")


def test_csv_is_cut_after_20000_rows_and_says_so(project: Project) -> None:
    """The vendor's own limit; --quiet does not hide that something is missing."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    with closing(sqlite3.connect(project.store)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(runai_asset)") if row[1] != "seq"]
        first = dict(
            zip(
                columns,
                db.execute(f"SELECT {','.join(columns)} FROM runai_asset WHERE name = 'lab'").fetchone(),
                strict=True,
            )
        )
        ours = first["id"]
        copies = [
            {
                **first,
                "id": f"{number:08d}",
                "name": f"lab-{number}",
                "text": first["text"].replace(ours.encode(), b"%08d" % number),
            }
            for number in range(20_001 - 7)
        ]
        marks = ",".join(f":{column}" for column in columns)
        db.executemany(f"INSERT INTO runai_asset ({','.join(columns)}) VALUES ({marks})", copies)
    result = project.run("list", "--format", "csv", "-q").succeeded()
    assert len(result.out.splitlines()) == 1 + 20_000
    assert result.err == "Warning: cut after 20000 of 20001 rows; --filter narrows them down.\n"
    assert len(listed(project)) == 20_001


# --- show ---


def test_a_resource_shows_its_tools_and_what_uses_it(world: Project) -> None:
    """Where it is written, what it is, each tool with its connection, each workload with its status."""
    world.hand().use("team", workload="train-7", kind="distributed")
    out = world.run("show", "runai.environment.team").succeeded().out
    head, *rest = out.splitlines()
    assert head == "runai.environment.team  in sync"
    assert "  spec         team.toml:7" in rest
    assert "  scope        project nlp" in rest
    assert out.endswith(
        "\nTools and connections\n"
        "  Jupyter: jupyter-notebook, external-url, container port 8888\n"
        "  TensorBoard: tensorboard, external-url, container port 6006\n"
        "\nUsed by\n"
        "  distributed training train-7 (Running)\n"
    )


def test_a_difference_is_shown_beside_what_is_there(world: Project) -> None:
    """What the specs want of a field that is otherwise."""
    out = world.run("show", "runai.environment.both").succeeded().out
    assert out.startswith("runai.environment.both  conflict\n")
    assert '  image = "python:3.10"\n    the spec wants "python:3.12"\n' in out


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("new", "runai.environment.new  new"),
        ("gone", "runai.environment.gone  gone"),
        ("leaving", "runai.environment.leaving  to delete"),
        ("stray", "stray  unmanaged"),
        ("jupyter-lab", "jupyter-lab  vendor"),
    ],
)
def test_everything_in_the_list_can_be_shown(world: Project, name: str, head: str) -> None:
    """Also what is only wished for, only remembered, or only there."""
    assert world.run("show", f"runai.environment.{name}").succeeded().out.splitlines()[0] == head


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "runai.environment.lap",
            "Error: there is no runai.environment.lap\n  Did you mean runai.environment.lab?\n",
        ),
        (
            "runai.environment.zzz",
            "Error: there is no runai.environment.zzz\n  `reconciler list` shows what there is.\n",
        ),
        ("runai.enviroment.lab", "Error: runai has no kind 'enviroment'\n  It has: "),
        ("runia.environment.lab", "Error: there is no platform 'runia'\n  This stack has: runai.\n"),
        (
            "lab",
            "Error: 'lab' is no plan file, no address and no run\n  Did you mean runai.environment.lab?\n",
        ),
        ("environment.team", "Did you mean runai.environment.team?\n"),
        ("leavin", "Did you mean runai.environment.leaving?\n"),
        ("found", "Did you mean runai.environment.found?\n"),
        (
            "20240101-000000-000-ffff",
            "Error: '20240101-000000-000-ffff' is no plan file, no address and no run\n"
            "  An address is PLATFORM.KIND.NAME; `reconciler history` shows the runs.\n",
        ),
        ("../state", "Error: '../state' is no plan file"),
    ],
)
def test_what_cannot_be_shown_says_what_can(world: Project, what: str, said: str) -> None:
    """The nearest name, or where to look."""
    result = world.run("show", what)
    assert (result.code, result.out) == (64, "")
    assert said in result.err


def test_a_plan_file_is_shown_as_it_was_planned(world: Project) -> None:
    """The same text as `plan` printed; a file that is no plan is refused."""
    (world.path / "found.toml").unlink()
    planned = world.run("plan", "--out", "plan.bin").succeeded().out
    assert planned.startswith(world.run("show", "plan.bin").succeeded().out)
    assert world.run("show", "reconciler.toml").code == 5


def test_a_past_run_is_shown_step_by_step(world: Project) -> None:
    """Who, when, what it wrote over what, and how it ended."""
    (world.path / "found.toml").unlink()
    summary = world.run("apply", "--auto-approve", "--json").succeeded().events[-1]
    run = summary["run"]
    out = world.run("show", run).succeeded().out
    assert out.startswith(f"Run {run}  applied\n  command   apply\n")
    assert (
        "  update runai.environment.pending: done\n"
        f'    id = "{world.remembered()["runai.environment.pending"]}"\n'
        '    image = "python:3.11" -> "python:3.12"\n'
    ) in out
    view = json.loads(world.run("show", run, "--format", "json").succeeded().out)
    assert {step["address"]: (step["verb"], step["outcome"]) for step in view["steps"]}[
        "runai.environment.leaving"
    ] == (
        "delete",
        "done",
    )


def test_a_past_run_hides_what_looks_like_a_secret(project: Project) -> None:
    """Also a value that was never ours: typed in by hand, and taken away or deleted by the run."""
    project.write("lab.toml", LAB + 'environment_variables = { MODE = "a" }\n')
    project.run("apply", "--auto-approve").succeeded()
    token, phrase = "hf_" + "x" * 34, "correct-horse-battery"
    typed = [{"name": "MODE", "value": "a"}, {"name": "DB_PASSWORD", "value": phrase}]
    project.hand().edit("lab", environmentVariables=typed, args=f"--token {token}")
    for words in (("apply",), ("destroy",)):
        run = project.run(*words, "--auto-approve", "--json").succeeded().events[-1]["run"]
        for form in ((), ("--format", "json"), ("--json",)):
            out = project.run("show", run, *form).succeeded().out
            assert "(sensitive)" in out or "(secret)" in out
            assert token not in out
            assert phrase not in out


def test_a_damaged_run_is_not_said_to_be_missing(project: Project) -> None:
    """It is there, and somebody has to know that it cannot be read."""
    project.write("lab.toml", LAB)
    run = project.run("apply", "--auto-approve", "--json").succeeded().events[-1]["run"]
    journal = project.path / ".reconciler" / "runs" / f"{run}.journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    result = project.run("show", run)
    assert (result.code, result.out) == (1, "")
    assert "no run" not in result.err
    assert f"{run}.journal" in result.err


# --- drift ---


def test_no_drift_is_exit_code_0(project: Project) -> None:
    """In sync: one line."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    result = project.run("drift").succeeded()
    assert (result.out, result.err) == ("No drift. 1 resource as last applied.\n", "")


def without_times(text: str) -> str:
    """*text* with the moments of changes left out."""
    return re.sub(r"last changed \S+ by", "last changed by", text)


def test_drift_is_told_field_by_field(world: Project) -> None:
    """Exit code 2; what was applied and what is there now; who did it; what is gone; what is no drift."""
    result = world.run("drift")
    assert (result.code, result.err) == (2, "")
    assert without_times(result.out) == (
        "~ runai.environment.both was changed outside\n"
        "    last changed by embedded\n"
        '    ~ image = "python:3.11"   (conflict: spec changed, and changed outside)\n'
        '           -> "python:3.10"\n'
        "\n"
        "~ runai.environment.drifted was changed outside\n"
        "    last changed by embedded\n"
        '    ~ image = "python:3.11" -> "python:3.10"\n'
        "\n"
        "- runai.environment.gone is gone from the platform\n"
        "\n"
        "Pending: 5 resources in the specs differ from the last apply; `reconciler plan` shows what it would "
        "do.\n"
        "Unmanaged: environment found, environment stray; no spec names them.\n"
        "\n"
        "Drift: 3 of 7 resources not as last applied.\n"
    )
    quiet = world.run("drift", "-q")
    assert (quiet.code, quiet.out) == (2, "Drift: 3 of 7 resources not as last applied.\n")


def test_drift_tells_four_things_apart(world: Project) -> None:
    """Drift, a pending change, an object that nobody manages, and what could not be read."""
    found = world.run("drift", "--json").events[0]
    assert [(one["address"], one["class"]) for one in found["drift"]] == [
        ("runai.environment.both", "changed"),
        ("runai.environment.drifted", "changed"),
        ("runai.environment.gone", "gone"),
    ]
    assert [field["cause"] for one in found["drift"] for field in one["fields"]] == ["both", "drift"]
    assert {one["changed_by"] for one in found["drift"]} == {"embedded", None}
    assert [(one["address"], one["action"]) for one in found["pending"]] == [
        ("runai.environment.both", "update"),
        ("runai.environment.found", "create"),
        ("runai.environment.leaving", "delete"),
        ("runai.environment.new", "create"),
        ("runai.environment.pending", "update"),
    ]
    assert found["pending"][0]["source"] == {"file": "both.toml", "line": 3}
    assert sorted(one["name"] for one in found["unmanaged"]) == ["found", "stray"]
    assert found["unread"] == []


def test_what_could_not_be_read_is_exit_code_8_and_the_rest_is_told(project: Project) -> None:
    """Which, and why; it is neither drift nor in sync."""
    project.write("lab.toml", LAB)
    project.write("size.toml", 'kind = "compute"\ncpu_cores = 1\non.runai.scope = "tenant"\n')
    project.run("apply", "--auto-approve").succeeded()
    project.hand().edit("lab", image="python:3.10")
    project.config('faults = [{ on = "GET */asset/compute*", status = 403, message = "no role" }]\n')
    result = project.run("drift", "-q")
    assert result.code == 8
    why = "runai: GET /api/v1/asset/compute answered 403: no role"
    assert result.out == (
        f"? runai.compute.size could not be read: {why}\n"
        f"? runai: objects of kind compute that no spec names could not be read: {why}\n"
        "Drift: 1 of 1 resource not as last applied. 1 could not be read.\n"
    )
    found, summary = project.run("drift", "--json").events
    assert [(one["address"], one["kind"]) for one in found["unread"]] == [
        ("runai.compute.size", "compute"),
        (None, "compute"),
    ]
    assert (found["in_sync"], summary["exit_code"]) == (False, 8)


def test_what_drift_opens_can_only_be_read(world: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every platform that the command gets is a `ReadOnly`; only questions and a sign-in are sent."""
    opened: list[Reader] = []
    comparing = drift_engine.drift

    async def spy(planner: Planner, *rest: Any, **settings: Any) -> DriftReport:
        opened.extend(planner.readers.values())
        return await comparing(planner, *rest, **settings)

    sent: list[str] = []
    requesting = HttpClient.request

    async def listen(self: HttpClient, method: str, path: str, **settings: Any) -> Answer:
        sent.append(f"{method} {path}")
        return await requesting(self, method, path, **settings)

    monkeypatch.setattr("reconciler.cli.commands.drift.drift", spy)
    monkeypatch.setattr(HttpClient, "request", listen)
    assert world.run("drift").code == 2
    assert [type(one) for one in opened] == [ReadOnly]
    assert {one for one in sent if not one.startswith("GET ")} == {"POST /api/v1/token"}


def test_drift_needs_no_specs_and_changes_nothing(world: Project) -> None:
    """A cron job with read-only wishes: broken specs are none of its business, and it says so."""
    world.write("lab.toml", "image = ")
    before = world.state()
    events = world.run("drift", "--json", "--json-out", "drift.json").events
    assert [event["type"] for event in events] == ["drift", "summary"]
    assert events[-1] == {
        "type": "summary",
        "exit_code": 2,
        "checked": 7,
        "drifted": 3,
        "known": 0,
        "accepted": 0,
        "unread": 0,
    }
    assert {"type": "drift", **json.loads((world.path / "drift.json").read_text())} == events[0]
    assert sorted(one["name"] for one in events[0]["unmanaged"]) == ["found", "stray"]
    assert (events[0]["pending"], events[0]["warnings"]) == (
        None,
        ["pending changes are not known: 1 problem in the specs (`reconciler validate` shows them)"],
    )
    assert world.state() == before


# --- history ---


def test_history_is_empty_at_first(project: Project) -> None:
    """No table over nothing."""
    assert project.run("history").succeeded().out == "No runs yet.\n"


def test_history_tells_every_run(project: Project) -> None:
    """Newest first: run, command, who, outcome, how many steps ended how, revision."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    project.run("state", "mv", "runai.environment.lab", "runai.environment.new").succeeded()
    project.write("lab.toml", LAB.replace("3.11", "3.12").replace("image", 'name = "new"\nimage'))
    project.config('faults = [{ on = "PUT *", status = 403 }]\n')
    assert project.run("apply", "--auto-approve").code == 6
    runs = project.run("history", "--json").succeeded().events[:-1]
    assert [(run["command"], run["outcome"], run["counts"]) for run in runs] == [
        ("apply", "rolled back", {"failed": 1}),
        ("state mv runai.environment.lab runai.environment.new", "edited", {}),
        ("apply", "applied", {"done": 1}),
    ]
    for run in runs:
        assert set(run) == {
            "type", "id", "command", "who", "started", "ended", "outcome", "digest", "revision", "counts",
            "base_serial", "serial",
        }  # fmt: skip
        assert run["started"] <= run["ended"]
    lines = project.run("history").succeeded().out.splitlines()
    assert lines[0].split() == ["RUN", "COMMAND", "WHO", "OUTCOME", "STEPS", "REVISION"]
    assert [line.split()[0] for line in lines[1:]] == [run["id"] for run in runs]
