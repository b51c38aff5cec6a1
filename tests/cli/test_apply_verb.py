"""`reconciler apply` and `destroy`: asking, carrying out, telling how it ended."""

from __future__ import annotations

import re

import pytest
from harness import LAB, Project
from terminal import Terminal

QUESTION = "\nDo you want to perform these actions?\n  Only 'yes' will be accepted.\n\n  Enter a value: "


@pytest.fixture
def lab(project: Project) -> Project:
    """A stack with one environment, not applied."""
    project.write("lab.toml", LAB)
    return project


def failing(project: Project, more: str = "", *, nth: int = 2) -> Project:
    """Three environments, one at a time, the *nth* of which is refused."""
    project.config(
        f'faults = [{{ on = "POST /api/v1/asset/environment", nth = [{nth}], status = 403 }}]\n'
        f"[apply]\nparallelism = 1\n{more}"
    )
    for name in ("a", "b", "c"):
        project.write(f"{name}.toml", LAB)
    return project


def run_id(text: str) -> str:
    """The run that a command's output names."""
    found = re.search(r"^Run (\S+):", text, re.MULTILINE)
    assert found is not None
    return found[1]


# --- asking ---


@pytest.mark.parametrize("answer", ["no", "y", "Yes", "YES", "yes please", " yes", "", "yess"])
def test_only_yes_is_yes(lab: Project, answer: str) -> None:
    """Anything else is no: exit code 1, and nothing was done."""
    with Terminal("apply", "--no-color", cwd=lab.path) as terminal:
        code = terminal.until(QUESTION).type(f"{answer}\n").ended()
    assert code == 1
    assert terminal.text.endswith(f"Enter a value: {answer}\nError: not approved\n  Nothing was done.\n")
    assert lab.hand().names() == []


def test_yes_applies_what_was_shown(lab: Project) -> None:
    """The plan, the question, the bar, the ledger, the line that tools parse."""
    with Terminal("apply", "--no-color", cwd=lab.path) as terminal:
        code = terminal.until(QUESTION).type("yes\n").ended()
    assert code == 0
    shown = terminal.text
    assert shown.index("+ runai.environment.lab: new") < shown.index("Plan: 1 to add") < shown.index(QUESTION)
    assert shown.endswith(
        f"\nRun {run_id(shown)}: applied\n  done                          1\n"
        "\nApply complete! Resources: 1 added, 0 changed, 0 destroyed.\n"
    )
    assert lab.hand().names() == ["lab"]


def test_end_of_file_is_no(lab: Project) -> None:
    """Ctrl-D at the question: nothing was done, and the message begins a line."""
    with Terminal("apply", "--no-color", cwd=lab.path) as terminal:
        code = terminal.until(QUESTION).type("\x04").ended()
    assert (code, terminal.text.endswith("value: \nError: not approved\n  Nothing was done.\n")) == (1, True)


def test_ctrl_c_at_the_question_ends_at_once(lab: Project) -> None:
    """Exit code 130 after the first one, without an answer, and nothing was done."""
    with Terminal("apply", "--no-color", cwd=lab.path) as terminal:
        code = terminal.until(QUESTION).type("\x03").ended()
    assert (code, terminal.text.endswith("\nError: interrupted\n  Nothing more was done.\n")) == (130, True)
    assert lab.hand().names() == []
    assert lab.run("apply", "--auto-approve", "--lock-timeout=0s").code == 0


@pytest.mark.parametrize("words", [(), ("--input=false",), ("--input", "0"), ("--json",)])
def test_where_nobody_can_be_asked_it_says_what_to_give(lab: Project, words: tuple[str, ...]) -> None:
    """No terminal, --input=false, --json: an error at once, never a hang."""
    result = lab.run("apply", *words)
    assert result.code == 1
    assert "this needs your approval, and nobody can be asked here" in result.out + result.err
    assert (
        "Give --auto-approve, or apply a reviewed plan: `reconciler apply PLANFILE`"
        in result.out + result.err
    )
    assert lab.hand().names() == []


def test_no_input_means_no_question_on_a_terminal_either(lab: Project) -> None:
    """--input=false with a terminal there."""
    with Terminal("apply", "--input=false", cwd=lab.path) as terminal:
        assert terminal.ended() == 1
    assert "Enter a value" not in terminal.text


@pytest.mark.parametrize(("value", "is_asked"), [("true", False), ("1", False), ("false", True), ("", True)])
def test_nobody_is_asked_in_a_pipeline(lab: Project, value: str, is_asked: bool) -> None:
    """Also where its jobs have a terminal: nobody would ever answer."""
    with Terminal("apply", cwd=lab.path, environment={"CI": value, "NO_COLOR": "1"}) as terminal:
        if is_asked:
            terminal.until(QUESTION).type("no\n")
        assert terminal.ended() == 1
    assert ("nobody can be asked here" in terminal.text) is not is_asked


def test_nothing_to_do_needs_no_approval(lab: Project) -> None:
    """A second apply says so in the words that tools parse."""
    lab.run("apply", "--auto-approve").succeeded()
    result = lab.run("apply").succeeded()
    assert (result.out, result.err) == (
        "No changes. Your infrastructure matches the configuration.\n"
        "\nApply complete! Resources: 0 added, 0 changed, 0 destroyed.\n",
        "",
    )


# --- destroy ---


def test_destroy_asks_for_the_name_of_the_stack(lab: Project) -> None:
    """`yes` is not enough to take everything away."""
    lab.run("apply", "--auto-approve").succeeded()
    question = (
        "Do you really want to destroy all resources of the stack test?\n  Only 'test' will be accepted.\n"
    )
    with Terminal("destroy", "--no-color", cwd=lab.path) as terminal:
        assert terminal.until(question).until("value: ").type("yes\n").ended() == 1
    assert lab.hand().names() == ["lab"]
    with Terminal("destroy", "--no-color", cwd=lab.path) as terminal:
        assert terminal.until(question).until("value: ").type("test\n").ended() == 0
    assert terminal.text.endswith("\nDestroy complete! Resources: 1 destroyed.\n")
    assert (lab.hand().names(), lab.remembered()) == ([], {})


def test_destroy_needs_no_spec_that_can_be_read(lab: Project) -> None:
    """It is the plan of nothing: what the state knows goes, in the reverse order of need."""
    lab.write(
        "user.toml", 'image = "a"\ndepends_on = ["runai.environment.lab"]\n[on.runai]\nscope = "tenant"\n'
    )
    lab.run("apply", "--auto-approve").succeeded()
    lab.write("lab.toml", "image = ")
    events = lab.run("destroy", "--auto-approve", "--json").succeeded().events
    assert [e["address"] for e in events if e["type"] == "step_done"] == [
        "runai.environment.user",
        "runai.environment.lab",
    ]


def test_destroying_nothing_is_done(project: Project) -> None:
    """Also in a stack that was never applied."""
    result = project.run("destroy").succeeded()
    assert result.out == "No objects need to be destroyed.\n\nDestroy complete! Resources: 0 destroyed.\n"


def test_destroy_may_be_partial(lab: Project) -> None:
    """--target leaves the rest, and says so."""
    lab.write("other.toml", LAB)
    lab.run("apply", "--auto-approve").succeeded()
    result = lab.run("destroy", "--auto-approve", "--target", "*.lab").succeeded()
    assert "Left out by --target or --exclude:\n  delete runai.environment.other\n" in result.out
    assert lab.hand().names() == ["other"]


# --- saved plans ---


def test_a_saved_plan_is_applied_without_a_question(lab: Project) -> None:
    """It was reviewed: what it counts is said, and done."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    result = lab.run("apply", "plan.bin").succeeded()
    assert result.out.startswith("Plan: 1 to add, 0 to change, 0 to destroy.\n\nRun ")
    assert lab.hand().names() == ["lab"]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--target", ("--target", "*.lab")),
        ("--exclude", ("--exclude=*.lab",)),
        ("--replace", ("--replace", "runai.environment.lab")),
        ("--refresh", ("--refresh", "none")),
        ("--allow-deletes", ("--allow-deletes",)),
    ],
)
def test_a_saved_plan_takes_no_wish(lab: Project, flag: str, words: tuple[str, ...]) -> None:
    """What would make another plan is refused, not silently ignored."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    result = lab.run("apply", "plan.bin", *words)
    assert (result.code, result.err) == (
        64,
        f"Error: {flag} does not go with a plan that was made before, which is applied as it is\n"
        "  Give it to `reconciler plan`.\n",
    )


def test_a_variable_for_plans_does_not_hinder_a_saved_one(lab: Project) -> None:
    """A pipeline sets RECONCILER_ALLOW_DELETES once for plan and apply."""
    lab.environment["RECONCILER_ALLOW_DELETES"] = "1"
    lab.run("plan", "--out", "plan.bin").succeeded()
    lab.run("apply", "plan.bin").succeeded()


def test_a_missing_plan_file_is_an_error(lab: Project) -> None:
    """Neither stale nor altered: it is not there."""
    result = lab.run("apply", "paln.bin")
    assert (result.code, result.err) == (
        1,
        "Error: paln.bin cannot be read: No such file or directory\n"
        "  Give the file that `reconciler plan --out FILE` wrote.\n",
    )


def altered(data: bytes) -> list[bytes]:
    """A plan file with a byte changed in each of many places, one cut off, one added, none at all."""
    places = range(0, len(data), max(1, len(data) // 60))
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places]
    return [*flipped, data[:-1], data + b"\n", b"", b"{}", b"\xff\xfe", data.replace(b"3.11", b"3.12")]


def test_a_changed_byte_is_refused(lab: Project) -> None:
    """Wherever it is: exit code 5, and nothing was done."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    whole = (lab.path / "plan.bin").read_bytes()
    taken = []
    for number, data in enumerate(altered(whole)):
        (lab.path / "bad.bin").write_bytes(data)
        result = lab.run("apply", "bad.bin")
        if result.code != 5 or not result.err.startswith("Error: bad.bin "):
            taken.append((number, result))
    assert taken == []
    assert lab.hand().names() == []
    lab.run("apply", "plan.bin").succeeded()


def test_a_plan_is_stale_when_the_specs_changed(lab: Project) -> None:
    """Also when only another file came."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    lab.write("new.toml", LAB)
    result = lab.run("apply", "plan.bin")
    assert (result.code, result.err) == (
        5,
        "Error: the plan no longer fits\n"
        "  - the specs are not those that the plan was made from\n"
        "  Nothing was done. Make the plan again, have it reviewed, apply that one.\n",
    )


def test_a_plan_is_stale_when_the_state_moved(lab: Project) -> None:
    """A second apply of one plan does nothing twice."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    lab.run("apply", "plan.bin").succeeded()
    before = lab.remembered()
    result = lab.run("apply", "plan.bin")
    assert (result.code, lab.remembered(), lab.hand().names()) == (5, before, ["lab"])
    assert "  - the state is another one than the plan was made from\n" in result.err


def test_a_plan_is_stale_when_the_state_went_on(lab: Project) -> None:
    """Both serials are named."""
    lab.run("apply", "--auto-approve").succeeded()
    lab.write("lab.toml", LAB.replace("3.11", "3.12"))
    lab.run("plan", "--out", "plan.bin").succeeded()
    lab.run("apply", "--auto-approve").succeeded()
    result = lab.run("apply", "plan.bin")
    assert (result.code, "  - the state is at serial 2; the plan was made at 1\n" in result.err) == (5, True)


@pytest.mark.parametrize("how", ["edited", "deleted", "created"])
def test_a_plan_is_stale_when_an_object_moved(lab: Project, how: str) -> None:
    """The object is named, with the field, and nothing is written to any other either."""
    lab.write("other.toml", LAB)
    if how != "created":
        lab.run("apply", "--auto-approve").succeeded()
        for name in ("lab", "other"):
            lab.write(f"{name}.toml", LAB.replace("3.11", "3.12"))
    lab.run("plan", "--out", "plan.bin").succeeded()
    if how == "edited":
        lab.hand().edit("lab", image="python:3.10")
        moved = "runai.environment.lab was changed on the platform: image"
    elif how == "deleted":
        ours = lab.remembered()["runai.environment.lab"]
        moved = f"runai.environment.lab (id {ours}) is gone from the platform"
        lab.hand().delete("lab")
    else:
        moved = f"runai.environment.lab was to be created, and exists now (id {lab.hand().create('lab')})"
    before = lab.live()
    result = lab.run("apply", "plan.bin")
    assert (result.code, f"  - {moved}\n" in result.err) == (5, True), result
    assert lab.live() == before
    if how != "created":
        assert lab.hand().named("other")["spec"]["image"] == "python:3.11"


def test_a_plan_of_another_stack_is_refused(lab: Project) -> None:
    """Plans carry the name of their stack."""
    lab.run("plan", "--out", "plan.bin").succeeded()
    lab.write("reconciler.toml", (lab.path / "reconciler.toml").read_text().replace('"test"', '"prod"'))
    result = lab.run("apply", "plan.bin")
    assert (
        result.code,
        result.err.startswith("Error: the plan is for the stack 'test', not for 'prod'\n"),
    ) == (
        5,
        True,
    )


# --- --expect ---


def test_an_expected_plan_is_applied_without_a_question(lab: Project) -> None:
    """The digest of the review is the approval."""
    digest = lab.run("plan", "--json").succeeded().events[0]["digest"]
    lab.run("apply", "--expect", digest).succeeded()
    assert lab.hand().names() == ["lab"]


def test_an_unexpected_plan_is_not_applied(lab: Project) -> None:
    """Exit code 5, and what the plan is now."""
    digest = lab.run("plan", "--json").succeeded().events[0]["digest"]
    lab.write("new.toml", LAB)
    now = lab.run("plan", "--json").succeeded().events[0]["digest"]
    result = lab.run("apply", "--expect", digest)
    assert (result.code, result.err) == (
        5,
        f"Error: the plan is not the expected one: its digest is {now}\n"
        "  - create runai.environment.lab: new\n"
        "  - create runai.environment.new: new\n"
        "  Nothing was done. Specs or platforms changed since it was reviewed; review it again.\n",
    )
    assert lab.hand().names() == []


def test_an_unexpected_plan_names_objects_and_fields(lab: Project) -> None:
    """Whoever reads it sees what moved; also when nothing is left to do."""
    digest = lab.run("plan", "--json").succeeded().events[0]["digest"]
    lab.run("apply", "--expect", digest).succeeded()
    assert "  - nothing is left to do\n" in lab.run("apply", "--expect", digest).err
    lab.hand().edit("lab", image="python:3.9", workingDir="/elsewhere")
    result = lab.run("apply", "--expect", digest)
    assert (result.code, "  - update runai.environment.lab: changed outside (image)\n" in result.err) == (
        5,
        True,
    )


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:…", "f" * 64, f"sha256:{'f' * 63}", f"sha256:{'F' * 64}", f"md5:{'f' * 64}"],
)
def test_what_is_no_digest_is_expected_of_no_plan(project: Project, digest: str) -> None:
    """A mistake of the command line, found before anything is read: there is not even a spec."""
    result = project.run("apply", "--expect", digest)
    assert (result.code, result.out) == (64, "")
    assert result.err == (
        f"Error: --expect {digest}: that is no digest of a plan\n"
        "  It is sha256: and 64 hexadecimal digits, as `reconciler plan` prints them.\n"
    )


def test_an_expectation_holds_for_a_saved_plan_too(lab: Project) -> None:
    """The file may be the wrong one."""
    digest = lab.run("plan", "--out", "plan.bin", "--json").succeeded().events[0]["digest"]
    other = "sha256:" + digest[:6:-1]
    assert lab.run("apply", "plan.bin", "--expect", other).code == 5
    lab.run("apply", "plan.bin", "--expect", digest).succeeded()


# --- how it ends ---


def test_a_failed_apply_is_rolled_back(project: Project) -> None:
    """Exit code 6: everything is as it was, and the ledger says so for each."""
    failing(project)
    result = project.run("apply", "--auto-approve")
    assert result.code == 6
    run = run_id(result.out)
    assert result.out.endswith(
        f"\nRun {run}: rolled back\n"
        "  failed                        1\n"
        "    create runai.environment.b\n"
        "      runai: POST /api/v1/asset/environment answered 403: Forbidden\n"
        "  rolled back                   1\n"
        "    create runai.environment.a\n"
        "  not started                   1\n"
        "    create runai.environment.c\n"
    )
    assert result.err == (
        "failed create runai.environment.b: runai: POST /api/v1/asset/environment answered 403: Forbidden\n"
        "Rolling back 1 step …\n"
        "Error: the apply failed and was rolled back whole\n"
        "  Everything is as it was. The reasons stand above.\n"
    )
    assert (project.hand().names(), project.remembered()) == ([], {})
    project.config()
    assert "3 added" in project.run("apply", "--auto-approve").succeeded().out


@pytest.mark.parametrize(("how", "there"), [("stop", ["a"]), ("continue", ["a", "c"])])
@pytest.mark.parametrize("where", ["flag", "file", "variable"])
def test_what_was_done_may_stay(project: Project, how: str, there: list[str], where: str) -> None:
    """--on-failure, RECONCILER_ON_FAILURE or [apply]: exit code 7, and the state is true."""
    failing(project, f'on_failure = "{how}"\n' if where == "file" else "")
    if where == "variable":
        project.environment["RECONCILER_ON_FAILURE"] = how
    result = project.run("apply", "--auto-approve", *(["--on-failure", how] if where == "flag" else []))
    assert result.code == 7
    assert result.err.endswith(
        "Error: the apply failed, and what was done stays done\n"
        "  The state is true. Look at the errors above, then run `reconciler plan`.\n"
    )
    assert project.hand().names() == there
    assert sorted(project.remembered()) == [f"runai.environment.{name}" for name in there]
    project.config()
    assert f"{3 - len(there)} added" in project.run("apply", "--auto-approve").succeeded().out


def test_what_cannot_be_rolled_back_says_how_to_do_it_by_hand(project: Project) -> None:
    """Exit code 7: the object, why, and the call that would."""
    project.config(
        'faults = [{ on = "POST /api/v1/asset/environment", nth = [2], status = 403 },'
        ' { on = "DELETE *", status = 403 }]\n[apply]\nparallelism = 1\n'
    )
    for name in ("a", "b"):
        project.write(f"{name}.toml", LAB)
    result = project.run("apply", "--auto-approve")
    left = project.live()["environment.a"]
    assert result.code == 7
    assert "  could not be rolled back      1\n    create runai.environment.a\n" in result.out
    assert f"      To do it by hand: DELETE /api/v1/asset/environment/{left}\n" in result.out
    assert "Error: the apply failed and could not be rolled back whole\n" in result.err
    assert project.remembered() == {"runai.environment.a": left}
    project.config()
    project.run("apply", "--auto-approve").succeeded()
    assert project.hand().names() == ["a", "b"]


def test_parallelism_is_how_many_run_at_once(project: Project) -> None:
    """With one, each step ends before the next begins; with four, four begin before the first ends."""
    project.config('faults = [{ on = "POST /api/v1/asset/environment", latency = 0.05 }]\n')
    for number in range(4):
        project.write(f"e{number}.toml", LAB)

    def pattern(parallelism: str) -> str:
        events = (
            project.run("apply", "--auto-approve", "--json", "--parallelism", parallelism).succeeded().events
        )
        return "".join(e["type"][5] for e in events if e["type"] in ("step_started", "step_done"))

    assert pattern("1") == "sdsdsdsd"
    project.run("destroy", "--auto-approve").succeeded()
    assert pattern("4") == "ssssdddd"
