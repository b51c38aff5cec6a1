"""What all verbs have in common: flags, their variables, the stack's directory, colours, exit codes."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from harness import LAB, Project
from terminal import Terminal

from reconciler.cli.app import cli
from reconciler.cli.options import Duration

READING = [
    ("validate",),
    ("plan",),
    ("drift",),
    ("list",),
    ("show", "runai.environment.lab"),
    ("history",),
    ("state", "list"),
    ("state", "show", "runai.environment.lab"),
    ("state", "pull"),
    ("state", "verify"),
    ("graph",),
    ("schema",),
    ("version",),
]
"""Command lines that succeed in a stack with the applied environment *lab*, and change nothing."""


@pytest.fixture
def applied(project: Project) -> Project:
    """A stack with one environment, applied."""
    project.write("lab.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    return project


def outside(project: Project) -> Project:
    """The same, used from the directory above the stack."""
    return Project(project.path.parent, project.capture)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield name, command
            for inner, one in command.commands.items():
                yield f"{name} {inner}", one
        else:
            yield name, command


# --- the stack's directory ---


@pytest.mark.parametrize(
    "words",
    [
        ("-C", "stack", "plan"),
        ("plan", "-C", "stack"),
        ("--chdir=stack", "plan"),
        ("plan", "--chdir", "stack"),
    ],
)
def test_the_directory_may_stand_before_or_behind_the_verb(project: Project, words: tuple[str, ...]) -> None:
    """-C names the stack on either side."""
    project.write("lab.toml", LAB)
    assert "Plan: 1 to add" in outside(project).run(*words).succeeded().out


def test_the_directory_may_come_from_a_variable(project: Project) -> None:
    """RECONCILER_CHDIR names the stack where -C does not."""
    project.write("lab.toml", LAB)
    above = outside(project)
    above.environment["RECONCILER_CHDIR"] = "stack"
    assert "Plan: 1 to add" in above.run("plan").succeeded().out


@pytest.mark.parametrize("words", [("-C", "stack", "plan"), ("plan", "-C", "stack")])
def test_a_flag_wins_over_its_variable(project: Project, words: tuple[str, ...]) -> None:
    """-C counts, on either side of the verb, and not RECONCILER_CHDIR."""
    project.write("lab.toml", LAB)
    above = outside(project)
    above.environment["RECONCILER_CHDIR"] = "elsewhere"
    assert "Plan: 1 to add" in above.run(*words).succeeded().out


def test_the_only_stack_below_states_is_found(project: Project) -> None:
    """Beside a folder states/ with one stack in it nothing has to be named."""
    root = outside(project)
    (root.path / "states").mkdir()
    project.path.rename(root.path / "states" / "dev")
    root.write("states/dev/lab.toml", LAB)
    assert "Plan: 1 to add" in root.run("plan").succeeded().out


def test_of_several_stacks_below_states_one_has_to_be_named(project: Project) -> None:
    """Two stacks are a question, not a guess."""
    root = outside(project)
    for name in ("dev", "prod"):
        root.write(f"states/{name}/reconciler.toml", (project.path / "reconciler.toml").read_text())
    result = root.run("plan")
    assert (result.code, result.out) == (64, "")
    assert result.err == "Error: which stack? there are states/dev, states/prod\n  Name one with -C DIR.\n"


def test_a_directory_that_is_no_stack_says_what_to_do(project: Project) -> None:
    """Without reconciler.toml there is nothing to plan, and `init` makes one."""
    result = outside(project).run("plan")
    assert result.code == 64
    assert result.err == (
        "Error: this directory is not a stack: it has no reconciler.toml\n"
        "  Name one with -C DIR, or make one with `reconciler init DIR`.\n"
    )


@pytest.mark.parametrize(
    ("directory", "said"),
    [
        ("nowhere", "Error: there is no directory nowhere\n"),
        (
            ".",
            "Error: . is not a stack: it has no reconciler.toml\n"
            "  Change into a stack, name one with -C DIR, or make one with `reconciler init DIR`.\n",
        ),
    ],
)
def test_a_wrong_directory_is_wrong_usage(project: Project, directory: str, said: str) -> None:
    """-C with a directory that is not there, or no stack."""
    result = outside(project).run("plan", "-C", directory)
    assert (result.code, result.err) == (64, said)


# --- variables ---


def test_every_flag_has_a_variable() -> None:
    """--some-flag is RECONCILER_SOME_FLAG, at every command."""
    everywhere = {
        name: option.envvar
        for option in cli.params
        for name in option.opts
        if isinstance(option, click.Option) and name.startswith("--")
    }
    wrong = []
    for name, command in commands():
        for option in command.params:
            if not isinstance(option, click.Option) or option.name == "help":
                continue
            flag = next(word for word in option.opts if word.startswith("--"))
            variable = option.envvar or everywhere.get(flag)
            if variable != "RECONCILER_" + flag[2:].replace("-", "_").upper():
                wrong.append(f"{name} {flag}: {variable}")
    assert wrong == []


@pytest.mark.parametrize("flag", ["-C", "--json", "--color", "--no-color", "-v", "-q", "--debug"])
def test_the_common_flags_may_stand_at_every_verb_and_before_it(flag: str) -> None:
    """No command forgets one."""
    lacking = [
        name for name, command in [("", cli), *commands()] if not any(flag in p.opts for p in command.params)
    ]
    assert lacking == []


VARIABLES = [
    ("RECONCILER_DETAILED_EXITCODE", "1", ("plan",), 2, "Plan: 2 to add"),
    ("RECONCILER_TARGET", "runai.environment.lab", ("plan",), 0, "Plan: 1 to add"),
    ("RECONCILER_EXCLUDE", "*.lab *.other", ("plan",), 0, "create runai.environment.other"),
    ("RECONCILER_REPLACE", "nonsense", ("plan",), 64, "'nonsense' is not an address"),
    ("RECONCILER_OUT", "plan.bin", ("plan",), 0, "Saved the plan to: plan.bin"),
    ("RECONCILER_REFRESH", "some", ("plan",), 64, "'some'"),
    ("RECONCILER_LOCK_TIMEOUT", "soon", ("plan",), 64, "'soon' is no duration; write 30s, 5m or 1h"),
    ("RECONCILER_PARALLELISM", "0", ("plan",), 64, "0 is not in the range"),
    ("RECONCILER_AUTO_APPROVE", "true", ("apply",), 0, "Apply complete! Resources: 2 added"),
    ("RECONCILER_EXPECT", f"sha256:{64 * '0'}", ("apply",), 5, "the plan is not the expected one"),
    ("RECONCILER_ON_FAILURE", "panic", ("apply",), 64, "'panic'"),
    ("RECONCILER_INPUT", "0", ("apply",), 1, "nobody can be asked here"),
    ("RECONCILER_JSON", "1", ("plan",), 0, '{"type": "summary"'),
    ("RECONCILER_JSON", "perhaps", ("plan",), 64, "'perhaps' is not a valid boolean"),
    ("RECONCILER_QUIET", "maybe", ("plan",), 64, "'maybe' is not a valid boolean"),
    ("RECONCILER_VERBOSE", "1", ("apply", "--auto-approve"), 0, "create runai.environment.lab …"),
    ("RECONCILER_COLOR", "always", ("plan",), 0, "\x1b[32m+\x1b[0m"),
    ("RECONCILER_COLUMNS", "environment,id", ("list",), 0, "ENVIRONMENT          ID"),
    ("RECONCILER_FORMAT", "dot", ("graph",), 0, "digraph"),
    ("RECONCILER_DEBUG", "yes", ("show", "nothing"), 64, "Traceback (most recent call last)"),
]


@pytest.mark.parametrize(("name", "value", "words", "code", "said"), VARIABLES)
def test_a_variable_is_its_flag(
    project: Project, name: str, value: str, words: tuple[str, ...], code: int, said: str
) -> None:
    """What the flag would do, the variable does, and a wrong value is wrong usage."""
    project.write("lab.toml", LAB)
    project.write("other.toml", LAB)
    project.environment[name] = value
    result = project.run(*words)
    assert (result.code, said in result.out + result.err) == (code, True), result


@pytest.mark.parametrize("value", ["0", "false", "no", "off", ""])
def test_a_variable_that_says_no_means_no(project: Project, value: str) -> None:
    """RECONCILER_JSON=0 is no wish for JSON, nor is RECONCILER_DEBUG=0 one for tracebacks."""
    project.environment.update(RECONCILER_JSON=value, RECONCILER_DEBUG=value)
    result = project.run("show", "nothing")
    assert result.out == ""
    assert result.err.startswith("Error: 'nothing' is no plan file, no address and no run\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90", 90), ("90s", 90), ("1.5s", 1.5), ("5m", 300), ("1h30m", 5400), ("1h2m3s", 3723)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Hours, minutes and seconds, in that order."""
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "5x", "5 m", "1m1h", "infs"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(click.BadParameter, match=r"is no duration; write 30s, 5m or 1h"):
        Duration().convert(text, None, None)


# --- wrong usage ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("aply",), "Error: there is no command 'aply'; did you mean 'apply'?\n  See `reconciler --help`.\n"),
        (("qwerty",), "Error: there is no command 'qwerty'\n  See `reconciler --help`.\n"),
        (
            ("plan", "--tarket=x"),
            "Error: No such option '--tarket'. Did you mean '--target'?\n  See `reconciler plan --help`.\n",
        ),
        (("plan", "more"), "Error: Got unexpected extra argument (more)\n  See `reconciler plan --help`.\n"),
        (("state", "mv", "one"), "Error: Missing argument 'NEW'.\n  See `reconciler state mv --help`.\n"),
        (
            ("list", "--sort", "size"),
            "Error: there is no column 'size'\n  Known: environment, version, ",
        ),
        (("list", "--filter", "image"), "Error: --filter image: write COLUMN=VALUE\n"),
        (
            ("state", "show", "lab"),
            "Error: the state does not know lab\n  `reconciler state list` shows what it knows.\n",
        ),
    ],
)
def test_wrong_usage_is_said_and_ends_with_64(project: Project, words: tuple[str, ...], said: str) -> None:
    """What cannot be understood is named, with what comes near it."""
    result = project.run(*words)
    assert (result.code, result.out) == (64, "")
    assert result.err.startswith(said)


@pytest.mark.parametrize("words", [(), ("state",)])
def test_a_group_alone_shows_what_it_has(project: Project, words: tuple[str, ...]) -> None:
    """Without a verb there is nothing to do: help, and wrong usage."""
    result = project.run(*words)
    assert result.code == 64
    assert "Usage: reconciler" in result.err


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_help_fits_a_terminal_of_80_columns(project: Project, name: str) -> None:
    """Every verb explains itself, with a sentence, in 80 columns."""
    result = project.run(*name.split(), "--help").succeeded()
    assert result.out.startswith(f"Usage: reconciler {name} [OPTIONS]")
    assert [line for line in result.out.splitlines() if len(line) > 80] == []


def test_the_list_of_commands_says_what_each_does(project: Project) -> None:
    """The overview has a whole sentence for each verb, cut nowhere."""
    for words in ((), ("state",)):
        result = project.run(*words, "--help").succeeded()
        listed = result.out.partition("Commands:\n")[2].splitlines()
        assert listed
        assert [
            line for line in listed if not re.match(r"  \S+ +[A-Z].*\w\.$", line) and ":" not in line
        ] == []
        assert "..." not in result.out.partition("Commands:\n")[2]


# --- texts ---


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_nothing_is_coloured_in_a_pipe(applied: Project, words: tuple[str, ...]) -> None:
    """No verb writes an escape sequence when nobody looks at a terminal."""
    result = applied.run(*words).succeeded()
    assert "\x1b" not in result.out + result.err


@pytest.mark.parametrize(
    ("environment", "words", "coloured"),
    [
        ({}, (), False),
        ({}, ("--color=always",), True),
        ({}, ("--color", "always"), True),
        ({}, ("--color=always", "--no-color"), False),
        ({}, ("--no-color", "--color=always"), True),
        ({}, ("--color=auto",), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "1"}, ("--no-color",), False),
        ({"FORCE_COLOR": "1"}, ("--color=never",), False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"NO_COLOR": "1"}, ("--color=always",), True),
        ({"RECONCILER_COLOR": "always"}, (), True),
        ({"RECONCILER_COLOR": "always"}, ("--no-color",), False),
        ({"RECONCILER_NO_COLOR": "1", "FORCE_COLOR": "1"}, (), False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, (), True),
    ],
)
def test_colours_follow_flags_before_variables(
    project: Project, environment: dict[str, str], words: tuple[str, ...], coloured: bool
) -> None:
    """The last flag decides, then our variables, then NO_COLOR, then FORCE_COLOR."""
    project.write("lab.toml", LAB)
    project.environment.update(environment)
    assert ("\x1b[32m+\x1b[0m" in project.run("plan", *words).succeeded().out) is coloured
    assert ("\x1b[" in project.run(*words, "plan", "--replace", "x").err) is coloured


@pytest.mark.parametrize(
    ("environment", "words", "coloured"),
    [
        ({}, (), True),
        ({"NO_COLOR": "1"}, (), False),
        ({"TERM": "dumb"}, (), False),
        ({}, ("--no-color",), False),
        ({}, ("--color=never",), False),
    ],
)
def test_a_terminal_gets_colours(
    project: Project, environment: dict[str, str], words: tuple[str, ...], coloured: bool
) -> None:
    """Unless somebody does not want them."""
    project.write("lab.toml", LAB)
    with Terminal("plan", *words, cwd=project.path, environment=environment) as terminal:
        assert terminal.ended() == 0
    assert ("\x1b[32m+\x1b[0m" in terminal.raw) is coloured
    assert "+ runai.environment.lab: new" in terminal.text


def test_a_table_fills_the_columns_that_there_are(applied: Project) -> None:
    """COLUMNS cuts; a pipe without it cuts nothing, since what is cut there is lost."""
    widths = {}
    for columns in ("40", "60", "120"):
        applied.environment["COLUMNS"] = columns
        widths[columns] = max(map(len, applied.run("list").succeeded().out.splitlines()))
    assert {columns: width <= int(columns) for columns, width in widths.items()} == {
        "40": True,
        "60": True,
        "120": True,
    }
    del os.environ["COLUMNS"]
    del applied.environment["COLUMNS"]
    whole = applied.run("list").succeeded().out
    assert "…" not in whole
    assert max(map(len, whole.splitlines())) > 80


def test_a_line_that_is_complained_of_fills_the_columns_that_there_are(project: Project) -> None:
    """As much of it around the caret as fits, no more and no less."""
    project.write("lab.toml", LAB + f'description = "{"x" * 300}"\n')
    for columns in ("40", "100"):
        project.environment["COLUMNS"] = columns
        lines = project.run("validate", "--color=never").err.splitlines()
        assert max(len(line) for line in lines if "xxx" in line) == int(columns)


def test_ids_are_whole_in_a_pipe(applied: Project) -> None:
    """`state list | awk '{print $2}'` gives ids."""
    del os.environ["COLUMNS"]
    long = "x" * 200
    applied.write(f"{long}.toml", LAB)
    applied.run("apply", "--auto-approve").succeeded()
    lines = applied.run("state", "list").succeeded().out.splitlines()[1:]
    assert dict(line.split() for line in lines) == applied.remembered()


def test_quiet_leaves_out_what_is_on_the_way(project: Project) -> None:
    """-q: results and errors, no notes."""
    project.write("lab.toml", LAB)
    project.write(".gitignore", "")
    assert project.run("init", "new", "-q").err == ""
    (project.path / "new" / "reconciler.toml").unlink()
    assert "exists and was left as it is" in project.run("init", "new").err
    (project.path / "new" / "reconciler.toml").unlink()
    quiet = project.run("-q", "init", "new").succeeded()
    assert (quiet.err, "Made the stack new" in quiet.out) == ("", True)


def test_verbose_names_every_step(project: Project) -> None:
    """-v: each step as it begins and ends, and the whole ledger."""
    project.write("lab.toml", LAB)
    quiet = project.run("apply", "--auto-approve", "--target", "nothing*")
    assert quiet.code == 1
    result = project.run("apply", "--auto-approve", "-v").succeeded()
    began, ended = result.err.splitlines()
    assert began == "create runai.environment.lab …"
    assert re.fullmatch(r"create runai\.environment\.lab \(\d+\.\d\d s\)", ended)
    assert "  done                          1\n    create runai.environment.lab\n" in result.out


def test_debug_shows_where_an_error_comes_from(project: Project) -> None:
    """No traceback unless --debug asks for one."""
    (project.path / "lab.toml").write_text("image = ")
    assert "Traceback" not in project.run("validate").err
    shown = project.run("plan", "--debug").err
    assert "Traceback (most recent call last)" in shown
    assert shown.index("Traceback") < shown.index("Error: ")


# --- the streams ---


def spawned(project: Project, *words: str, **settings: object) -> subprocess.Popen[bytes]:
    """``reconciler WORDS`` in a process of its own, its streams as a shell would set them."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", *words],
        cwd=project.path,
        env=environment,
        **settings,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    "words", [("list",), ("plan", "--json"), ("schema",), ("plan", "--bogus")], ids=" ".join
)
def test_a_reader_that_goes_away_is_no_error(applied: Project, words: tuple[str, ...]) -> None:
    """`| head -1`, and `2>&1 | true`: the command ends, and says nothing about it anywhere."""
    reading, writing = os.pipe()
    os.close(reading)
    process = spawned(
        applied, *words, stdout=writing, stderr=subprocess.PIPE if "--bogus" not in words else writing
    )
    os.close(writing)
    said = process.communicate()[1]
    assert (process.returncode, said or b"") == (141, b"")


def test_head_gets_its_line(applied: Project) -> None:
    """A real pipe with a real head behind it."""
    process = spawned(applied, "schema", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    head = subprocess.run(["head", "-1"], stdin=process.stdout, capture_output=True, check=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert (head.stdout, stderr.read()) == (b"{\n", b"")
    process.wait()


def test_a_run_goes_on_when_nobody_reads(project: Project) -> None:
    """An apply whose reader goes away in the middle is carried out to its end."""
    for number in range(20):
        project.write(f"e{number}.toml", LAB)
    process = spawned(
        project, "apply", "--auto-approve", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"type": "plan"')
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait() == 141
    assert len(project.remembered()) == len(project.live()) == 20
    assert project.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("words", [("plan",), ("plan", "--json"), ("schema",)], ids=" ".join)
def test_a_full_disk_behind_the_output_is_said(applied: Project, words: tuple[str, ...]) -> None:
    """`> file` on a full disk is an error, not a success without words."""
    with Path("/dev/full").open("wb") as full:
        process = spawned(applied, *words, stdout=full, stderr=subprocess.PIPE)
        said = process.communicate()[1]
    assert (process.returncode, said) == (
        1,
        b"Error: the output cannot be written: No space left on device\n",
    )


def test_closed_streams_are_no_crash(applied: Project) -> None:
    """`>&-` and `2>&-`: a result that nobody wants is none, an exit code is one."""
    for closed, words, code in itertools.product(("1", "2"), ("plan", "plan --bogus"), (None,)):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m reconciler {words} {closed}>&-"],
            cwd=applied.path,
            capture_output=True,
            text=True,
            check=False,
        )
        code = 64 if "--bogus" in words else 0
        assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (code, False)


def test_a_terminal_that_knows_no_utf8_gets_something(applied: Project) -> None:
    """A character that the locale has no code for is spelled out, not a crash."""
    applied.write(
        "lab.toml", LAB.replace('image = "python:3.11"', 'image = "python:3.11"\ndescription = "größer ✓"')
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "plan"],
        cwd=applied.path,
        env=environment,
        capture_output=True,
        check=True,
    )
    assert 'description = "größer \\u2713"'.encode("latin-1") in done.stdout
