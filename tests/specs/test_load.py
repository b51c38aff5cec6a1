"""From a directory of TOML to what is wished."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import CONFIG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.model import Lifecycle, Move, Resource, ResourceAddress, Source
from reconciler.core.ports import Problem
from reconciler.errors import LimitErrors, SpecErrors
from reconciler.specs import complaint_for

LAB = 'image = "python:3.11"\n[on.runai]\nscope = "tenant"\n'
HUB = (
    'kind = "credential"\ntype = "generic-secret"\ndata = { token = { env = "HUB" } }\n'
    'on.runai.scope = "tenant"\n'
)


def only(found: Any) -> Resource:
    """The one resource there is."""
    (resource,) = found.resources
    return resource


def places(error: SpecErrors) -> list[tuple[str, int, int, str]]:
    """Where what is wrong."""
    return [(one.file, one.line, one.column, one.summary) for one in error.complaints]


# --- which files ---


def test_every_toml_file_of_the_stack_is_a_spec(stack) -> None:
    """Folders too; not hidden ones, not stacks below this one, not what has another ending."""
    for name in (
        "lab.toml",
        "team/vision/big.lab.toml",
        ".hidden.toml",
        ".hidden/lab.toml",
        "other/lab.toml",
        "other/deep/lab.toml",
        "notes.txt",
    ):
        stack.write(name, LAB)
    stack.write("other/reconciler.toml", "")
    assert [(str(one.address), one.source) for one in stack.load().resources] == [
        ("runai.environment.lab", Source("lab.toml", 2)),
        ("runai.environment.big.lab", Source("team/vision/big.lab.toml", 2)),
    ]


@pytest.mark.parametrize(
    "name", ["a.b.c", "a b", "läb", "日本", "a/b", "[on.runai]", "a'b\"", "A", "0", "-", "x" * 253, "$ref"]
)
def test_a_name_may_be_odd(stack, name: str) -> None:
    """Dots, blanks, slashes, quotes and letters of any language are part of the address."""
    text = name.replace('"', '\\"')
    stack.write("lab.toml", f'name = "{text}"\n{LAB}')
    resource = only(stack.load())
    assert resource.address == ResourceAddress("runai", "environment", name)
    assert ResourceAddress.parse(str(resource.address)) == resource.address
    assert resource.attributes["name"] == name


def test_a_file_name_that_cannot_be_shown_is_said_to_be_there(stack) -> None:
    """Neither lost silently nor printed as it is."""
    for name in (b"\xff.toml", b"a\x1b[2J.toml", b"a\nb.toml"):
        Path(os.fsdecode(os.fsencode(stack.path) + b"/" + name)).write_text(LAB)
    assert places(stack.failure()) == [
        (name, 0, 0, "this file has a name that cannot be shown")
        for name in ("a\ufffd[2J.toml", "a\ufffdb.toml", "\ufffd.toml")
    ]


def test_what_cannot_be_read_is_an_error_each(stack) -> None:
    """A folder that is called like a spec, a link to nothing: never "nothing there"."""
    (stack.path / "folder.toml").mkdir()
    (stack.path / "link.toml").symlink_to(stack.path / "gone")
    (stack.path / "loop.toml").symlink_to(stack.path / "loop.toml")
    stack.write("lab.toml", LAB)
    assert places(stack.failure()) == [
        ("folder.toml", 0, 0, "cannot be read: Is a directory"),
        ("link.toml", 0, 0, "cannot be read: No such file or directory"),
        ("loop.toml", 0, 0, "cannot be read: Too many levels of symbolic links"),
    ]


def test_a_pipe_holds_nobody_up(stack) -> None:
    """Reading it would wait for ever."""
    os.mkfifo(stack.path / "pipe.toml")
    assert places(stack.failure()) == [("pipe.toml", 1, 1, "this spec is placed on no platform")]


def test_a_folder_that_cannot_be_read_is_an_error(stack) -> None:
    """Its specs are not taken for gone."""
    stack.write("lab.toml", LAB)
    here = os.open(stack.path, os.O_RDONLY)
    for _ in range(20):  # deeper than a path may be long
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (complaint,) = stack.failure().complaints
    assert complaint.summary == "this folder cannot be read: File name too long"
    assert complaint.hint == "Specs that cannot be seen are not taken for gone. Check its permissions."


def test_a_folder_that_is_a_link_is_an_error(stack) -> None:
    """Its specs are not taken for gone. One to the state, to another stack, or hidden, has none of ours."""
    elsewhere = stack.path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lab.toml").write_text(LAB)
    stack.write("hub.toml", LAB)
    (stack.path / "team").symlink_to(elsewhere)
    (stack.path / ".venv").symlink_to(elsewhere)
    stack.write("reconciler.toml", CONFIG + '[state]\ndirectory = "data/state"\n')
    (stack.path.parent / "disk").mkdir()
    (stack.path / "data").symlink_to(stack.path.parent / "disk")
    (stack.path / "nowhere").symlink_to(stack.path / "nowhere")
    assert places(stack.failure()) == [("team", 0, 0, "this folder is a link, which is not followed")]
    (elsewhere / "reconciler.toml").write_text("")
    assert only(stack.load()).address.name == "hub"


def test_a_byte_that_is_not_utf_8_is_shown_where_it_stands(stack) -> None:
    """Line and column, and what can be read of its line."""
    stack.write("lab.toml", 'description = "ä"\nimage = "pyth'.encode() + b'\xf6n"\r\n[on.runai]\n')
    assert stack.says() == (
        "Error: this byte is not UTF-8\n"
        "  on lab.toml line 2, column 14:\n"
        '    2 | image = "pyth\ufffdn"\n'
        "      |              ^\n"
        "  TOML files are UTF-8. Save the file in that encoding.\n"
    )


def test_a_byte_that_is_not_utf_8_shows_no_secret(stack) -> None:
    """The line may hold one."""
    stack.write("lab.toml", b'HF_TOKEN = "hunter\xff"\n')
    assert "hunter" not in stack.says()


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_line_ends_and_marks_move_no_place(stack, mark: str, end: str) -> None:
    """A file of another system reads the same, and its mistakes stand in the same places."""
    good = mark + end.join(['image = "python:3.11"', "[on.runai]", 'scope = "tenant"', ""])
    stack.write("lab.toml", good)
    assert only(stack.load()).source == Source("lab.toml", 2)
    stack.write("lab.toml", good.replace("image", "imagee").replace("tenant", "tenants"))
    stack.write("mad.toml", good.replace("image", "image image"))
    found = stack.failure().complaints
    assert [(one.file, one.line, one.column, one.excerpt) for one in found] == [
        ("lab.toml", 1, 1, 'imagee = "python:3.11"'),
        ("lab.toml", 2, 5, "[on.runai]"),
        ("lab.toml", 3, 9, 'scope = "tenants"'),
        ("mad.toml", 1, 7, 'image image = "python:3.11"'),
    ]


def test_only_line_feeds_end_a_line(stack) -> None:
    """Other separators of Unicode are characters, in TOML and so in the places of mistakes."""
    stack.write("lab.toml", f'# a\u2028b\x85c\ndescription = "\u2029"\nimagee = 1\n{LAB}')
    (complaint,) = stack.failure().complaints
    assert (complaint.line, complaint.excerpt) == (3, "imagee = 1")


def test_an_empty_directory_is_never_a_wish_for_nothing(stack) -> None:
    """A message about the directory, without a place."""
    (complaint,) = stack.failure().complaints
    assert (complaint.summary, complaint.file, complaint.line) == ("no specs here", "", 0)
    assert "say `reconciler destroy`" in complaint.hint


def test_200_mistakes_in_100_files_are_said_in_one_run_sorted_by_place(stack) -> None:
    """Not the first one, and not in the order of the directory."""
    for number in reversed(range(100)):
        stack.write(f"spec-{number:02}.toml", f'image = {number}\n[on.runai]\nscope = "nowhere"\n')
    found = stack.failure()
    assert str(found) == "200 problems in the specs"
    assert [(one.file, one.line) for one in found.complaints] == [
        (f"spec-{number:02}.toml", line) for number in range(100) for line in (1, 3)
    ]


# --- one spec on platforms ---


def test_a_spec_is_placed_on_each_platform_that_it_names(stack) -> None:
    """Shared fields go everywhere, a platform's own come on top, table by table."""
    stack.with_boxes()
    stack.write(
        "lab.toml",
        """
        image = "python:3.11"
        [environment_variables]
        A = "shared"
        B = "shared"
        [on.shelf]
        ignore = ["environment_variables"]
        colour = "red"
        [on.runai]
        scope = "tenant"
        image = "python:3.12"
        [on.runai.environment_variables]
        B = "own"
        """,
    )
    assert stack.attributes() == {
        "shelf.environment.lab": {"name": "lab", "image": "python:3.11", "colour": "red"},
        "runai.environment.lab": {
            "name": "lab",
            "scope": "tenant",
            "workload_types": ["training", "workspace"],
            "image": "python:3.12",
            "image_pull_policy": "IfNotPresent",
            "environment_variables": {"A": "shared", "B": "own"},
        },
    }


def test_a_shared_field_that_a_platform_cannot_carry_is_an_error(stack) -> None:
    """Unless that platform's table says that it may be left out there: nothing is lost silently."""
    stack.with_boxes()
    text = 'image = "python:3.11"\ncolour = "red"\nstdin = true\n[on.runai]\nscope = "tenant"\n[on.shelf]\n'
    stack.write("lab.toml", text)
    assert places(stack.failure()) == [
        ("lab.toml", 2, 10, "runai cannot carry `colour`"),
        ("lab.toml", 3, 9, "shelf cannot carry `stdin`"),
    ]
    assert [one.hint for one in stack.failure().complaints] == [
        'Remove it, or leave it out there: [on.runai] ignore = ["colour"]',
        'Remove it, or leave it out there: [on.shelf] ignore = ["stdin"]',
    ]
    stack.write("lab.toml", text.replace("[on.shelf]", 'ignore = ["colour"]\n[on.shelf]\nignore = ["stdin"]'))
    found = stack.attributes()
    assert found["shelf.environment.lab"] == {"name": "lab", "image": "python:3.11", "colour": "red"}
    assert found["runai.environment.lab"]["stdin"] is True


def test_a_field_that_is_ignored_may_be_given_for_the_platform_itself(stack) -> None:
    """``ignore`` is about shared fields."""
    stack.write(
        "lab.toml", f'{LAB}command = "own"\nignore = ["command"]\n'.replace("[on", 'command = "shared"\n[on')
    )
    assert only(stack.load()).attributes["command"] == "own"


def test_a_kind_that_one_platform_lacks_is_an_error_there(stack) -> None:
    """The other platforms are read all the same."""
    stack.with_boxes()
    stack.write("hub.toml", HUB.replace("on.runai.scope", "on.shelf = {}\non.runai.scop"))
    assert places(stack.failure()) == [
        ("hub.toml", 1, 8, "shelf has no kind 'credential'"),
        ("hub.toml", 5, 4, "`scope` is missing"),
        ("hub.toml", 5, 10, "unknown key `scop`"),
    ]


def test_the_source_of_a_resource_is_the_line_that_places_it(stack) -> None:
    """Whatever spelling the table has; what is in a text is no table."""
    for name, text in {
        "header": LAB,
        "dotted": 'image = "python:3.11"\n\non.runai.scope = "tenant"\n',
        "inline": 'image = "python:3.11"\n\n\non = { runai = { scope = "tenant" } }\n',
        "spaced": 'image = "python:3.11"\n  [ on . runai ] # here\nscope = "tenant"\n',
        "quoted": 'image = "python:3.11"\n["on"."runai"]\nscope = "tenant"\n',
        "text": f'description = """\n[on.runai]\n"""\n{LAB}',
        "first": '[on.runai]\nimage = "python:3.11"\nscope = "tenant"\n',
    }.items():
        stack.write(f"{name}.toml", text)
    assert {one.address.name: one.source.line for one in stack.load().resources} == {
        "header": 2,
        "dotted": 3,
        "inline": 4,
        "spaced": 2,
        "quoted": 2,
        "text": 5,
        "first": 1,
    }


# --- lifecycle and dependencies ---


def test_a_lifecycle_goes_with_every_resource_of_the_spec(stack) -> None:
    """All four wishes."""
    stack.write(
        "lab.toml",
        """
        image = "python:3.11"
        compute.gpu = 1
        on.runai.scope = "tenant"
        [lifecycle]
        prevent_destroy = true
        create_before_destroy = true
        adopt = true
        ignore_changes = ["image", "gpu", "tools"]
        """,
    )
    wanted = Lifecycle(True, True, True, ("image", "gpu", "tools"))
    assert [one.lifecycle for one in stack.load().resources] == [wanted, wanted]
    assert [one.lifecycle for one in stack.load().resources] == [wanted, wanted]


def test_a_field_that_the_spec_gives_up_may_still_be_left_alone(stack) -> None:
    """The state knows it, and would put it back to its default."""
    stack.write("lab.toml", f'{LAB}[lifecycle]\nignore_changes = ["command", "tools"]\n')
    assert only(stack.load()).lifecycle.ignore_changes == ("command", "tools")


def test_what_a_spec_needs_is_what_it_names_and_what_it_refers_to(stack) -> None:
    """Each once, sorted."""
    stack.write("hub.toml", HUB)
    stack.write("base.toml", LAB)
    stack.write(
        "lab.toml",
        """
        image = "python:3.11"
        depends_on = ["runai.environment.base", "runai.compute.lab", "runai.credential.hub"]
        compute.gpu = 1
        on.runai.scope = "tenant"
        [environment_variables]
        A = { credential = "hub", key = "token" }
        B = { credential = "hub", key = "token" }
        """,
    )
    base, hub = ResourceAddress("runai", "environment", "base"), ResourceAddress("runai", "credential", "hub")
    assert {
        one.address.kind: one.depends_on for one in stack.load().resources if one.address.name == "lab"
    } == {
        "environment": (ResourceAddress("runai", "compute", "lab"), hub, base),
        "compute": (hub, base),
    }


def test_a_spec_may_need_one_on_another_platform(stack) -> None:
    """An address is an address."""
    stack.with_boxes()
    stack.write("lab.toml", f'depends_on = ["shelf.key.k"]\n{LAB}')
    stack.write("k.toml", 'kind = "key"\nsecret = { env = "K" }\non.shelf = {}\n')
    assert {str(one.address): one.depends_on for one in stack.load().resources} == {
        "shelf.key.k": (),
        "runai.environment.lab": (ResourceAddress("shelf", "key", "k"),),
    }


# --- copies ---


def test_a_copy_has_all_of_the_original_and_its_own_on_top(stack) -> None:
    """Along a chain; a table key by key, a list as a whole; but for the name."""
    stack.write("hub.toml", HUB)
    stack.write(
        "one.toml",
        """
        name = "first"
        image = "python:3.9"
        description = "one"
        command = "one"
        tools = ["jupyter", "tensorboard"]
        depends_on = ["runai.credential.hub"]
        [environment_variables]
        A = "1"
        B = "1"
        C = "1"
        [lifecycle]
        prevent_destroy = true
        adopt = true
        [compute]
        gpu = 1
        memory = "1Gi"
        [on.runai]
        scope = "project"
        scope_name = "vision"
        working_dir = "/one"
        """,
    )
    stack.write(
        "two.toml",
        """
        extends = "one"
        description = "two"
        tools = ["vscode"]
        environment_variables.B = "2"
        lifecycle.adopt = false
        compute.gpu = 2
        on.runai.scope_name = "nlp"
        """,
    )
    stack.write(
        "deep/three.toml",
        """
        extends = "two"
        description = "three"
        environment_variables.C = "3"
        on.runai.working_dir = "/three"
        """,
    )
    found = {str(one.address): one for one in stack.load().resources}
    assert sorted(found) == [
        *(f"runai.compute.{name}" for name in ("first", "three", "two")),
        "runai.credential.hub",
        *(f"runai.environment.{name}" for name in ("first", "three", "two")),
    ]
    three = found["runai.environment.three"]
    assert three.attributes == {
        "name": "three",
        "description": "three",
        "scope": "project",
        "scope_id": {"$lookup": {"kind": "project", "name": "nlp"}},
        "workload_types": ["training", "workspace"],
        "image": "python:3.9",
        "image_pull_policy": "IfNotPresent",
        "command": "one",
        "working_dir": "/three",
        "environment_variables": {"A": "1", "B": "2", "C": "3"},
        "tools": {
            "VS Code": {"type": "visual-studio-code", "connection": "external-url", "container_port": 8080}
        },
    }
    assert three.lifecycle == Lifecycle(prevent_destroy=True, adopt=False)
    assert three.depends_on == (ResourceAddress("runai", "credential", "hub"),)
    assert found["runai.compute.three"].attributes["gpu"] == 2
    assert found["runai.compute.three"].attributes["memory"] == "1Gi"
    assert three.source == Source("deep/three.toml", 5)


def test_the_original_beside_a_copy_goes_before_one_at_the_top(stack) -> None:
    """Both may be named; a folder is named with a slash."""
    stack.write("base.toml", 'image = "python:top"\n')
    stack.write("team/base.toml", 'image = "python:team"\n')
    for name, base in {"a": "base", "team/b": "base", "c": "team/base", "team/d": "team/base"}.items():
        stack.write(f"{name}.toml", f'extends = "{base}"\non.runai.scope = "tenant"\n')
    assert {one.address.name: one.attributes["image"] for one in stack.load().resources} == {
        "a": "python:top",
        "b": "python:team",
        "c": "python:team",
        "d": "python:team",
    }


def test_a_pattern_makes_nothing_by_itself(stack) -> None:
    """It has no platform; who extends it has."""
    stack.write("pattern.toml", 'image = "python:3.11"\n')
    stack.write("copy.toml", 'extends = "pattern"\n[on.runai]\nscope = "tenant"\n')
    assert list(stack.attributes()) == ["runai.environment.copy"]


def test_a_copy_has_the_kind_of_the_original(stack) -> None:
    """And a secret of its own, when it says one: a reference is replaced as a whole."""
    stack.write("git.toml", 'kind = "credential"\ntype = "git"\nuser = "u"\npassword = { env = "A" }\n')
    stack.write("copy.toml", 'extends = "git"\npassword = { file = "b" }\non.runai.scope = "tenant"\n')
    assert stack.attributes() == {
        "runai.credential.copy": {
            "name": "copy",
            "scope": "tenant",
            "type": "password",
            "user": "u",
            "password": {"$secret": {"file": "b"}},
        }
    }


def test_a_copy_may_take_a_variable_from_elsewhere(stack) -> None:
    """What stands inside a field's table is replaced as a whole: no half of the old source stays."""
    stack.write("hub.toml", HUB)
    stack.write("base.toml", f'environment_variables.T = {{ credential = "hub", key = "token" }}\n{LAB}')
    stack.write("copy.toml", 'extends = "base"\nenvironment_variables.T = { pod_field = "metadata.name" }\n')
    assert stack.attributes()["runai.environment.copy"]["environment_variables"] == {
        "T": {"pod_field": "metadata.name"}
    }


def test_a_copy_may_leave_out_what_the_original_says(stack) -> None:
    """Else it could not be placed on another kind of scope."""
    stack.write(
        "base.toml",
        """
        image = "python:3.11"
        command = "base"
        [on.runai]
        scope = "project"
        scope_name = "vision"
        """,
    )
    stack.write(
        "copy.toml",
        """
        extends = "base"
        [on.runai]
        scope = "tenant"
        ignore = ["scope_name", "command"]
        """,
    )
    assert stack.attributes()["runai.environment.copy"] == {
        "name": "copy",
        "scope": "tenant",
        "workload_types": ["training", "workspace"],
        "image": "python:3.11",
        "image_pull_policy": "IfNotPresent",
    }


def test_a_copy_is_warned_when_the_original_overrules_it(stack) -> None:
    """A platform's own field goes before a shared one, also when the shared one is nearer."""
    stack.write("base.toml", LAB + 'command = "base"\nenvironment_variables.A = "base"\n')
    stack.write("copy.toml", 'extends = "base"\ncommand = "copy"\nenvironment_variables.B = "copy"\n')
    found = stack.load()
    assert found.warnings == ("copy.toml: `command` has no effect on runai: [on.runai] of base.toml sets it",)
    (copy,) = [one for one in found.resources if one.address.name == "copy"]
    assert copy.attributes["command"] == "base"
    assert copy.attributes["environment_variables"] == {"A": "base", "B": "copy"}
    assert stack.load().warnings == found.warnings


# --- limits ---


def test_broken_limits_are_told_apart_only_when_nothing_else_is_wrong(stack) -> None:
    """A mistake goes before a limit; both are said."""
    stack.config("[policy]\nmax_gpus = 1\n")
    stack.write("a.toml", f"compute.gpu = 2\n{LAB}")
    found = stack.failure()
    assert type(found) is LimitErrors
    assert [one.limit for one in found.complaints] == [True]
    stack.write("b.toml", f"imagee = 2\n{LAB}")
    found = stack.failure()
    assert type(found) is SpecErrors
    assert [one.limit for one in found.complaints] == [True, False]


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("max_gpus = 4", "compute.gpu = 4"),
        ("max_gpus = 0.5", "compute.gpu_portion = 0.5"),
        ("max_cpu_cores = 8.5", "compute.cpu_cores = 8.5"),
        ("max_memory_gb = 64", 'compute.memory = "64Gi"'),
        ("max_memory_gb = 0", "compute.memory = '0'"),
        ('allowed_scopes = ["tenant"]', ""),
        ('allowed_images = ["python:*"]', ""),
        ('allowed_images = ["docker.io/library/python:*"]', "image = 'docker.io/library/python:3.11'"),
    ],
)
def test_a_limit_may_be_reached(stack, policy: str, text: str) -> None:
    """What is allowed is not more."""
    stack.config(f"[policy]\n{policy}\n")
    image = "" if text.startswith("image") else 'image = "python:3.11"\n'
    stack.write("lab.toml", f'{image}{text}\non.runai.scope = "tenant"\n')
    stack.load()


def test_nothing_is_allowed_by_an_empty_list(stack) -> None:
    """It is a limit, not the lack of one."""
    stack.config("[policy]\nallowed_scopes = []\nallowed_images = []\n")
    stack.write("lab.toml", LAB)
    assert [one.summary for one in stack.failure().complaints] == [
        "runai.environment.lab asks for image 'python:3.11'; the policy allows none",
        "runai.environment.lab asks for scope 'tenant'; the policy allows none",
    ]


# --- secrets ---


def test_what_is_no_secret_can_be_said_to_be_none(stack) -> None:
    """By the key that the message names, or a glob over it."""
    text = f'environment_variables = {{ X_TOKEN = "pad-it" }}\n{LAB}'
    stack.write("lab.toml", text)
    assert 'not_secret = ["environment_variables.X_TOKEN"]' in stack.says()
    for glob in ("environment_variables.X_TOKEN", "environment_variables.*", "*_TOKEN"):
        stack.config(f'[policy]\nnot_secret = ["{glob}"]\n')
        assert only(stack.load()).attributes["environment_variables"] == {"X_TOKEN": "pad-it"}
    stack.config('[policy]\nnot_secret = ["X_TOKEN"]\n')
    assert len(stack.failure().complaints) == 1


def test_a_secret_in_a_copy_or_an_original_is_said_once(stack) -> None:
    """In the file that holds it."""
    stack.write("base.toml", f'environment_variables = {{ A_SECRET = "hunter" }}\n{LAB}')
    for name in "abc":
        stack.write(f"{name}.toml", 'extends = "base"\n')
    assert [(one.file, one.line) for one in stack.failure().complaints] == [("base.toml", 1)]


CREDENTIAL = """\
kind = "credential"
type = "password"
user = "u"
password = "Hunter7Hunter7"
[data]
login = "Hunter7Hunter7"
[on.runai]
scope = "tenant"
data = { x = ["Hunter7Hunter7", 1], y = "Hunter7Hunter7" }
secret_access_key = 7777777
ngc_api_key = '''
Hunter7Hunter7
'''
"""


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_slip_of_the_pen_shows_a_secret(stack, data: st.DataObject) -> None:
    """A credential with its secrets in plain text, and any character of it lost, doubled or replaced."""
    start = CREDENTIAL.index("\n") + 1
    at = data.draw(st.integers(start, len(CREDENTIAL) - 1))
    until = at + data.draw(st.integers(0, 2))
    text = (
        CREDENTIAL[:at]
        + data.draw(st.sampled_from(["", "x", '"', "\n", "=", "[", "\\", "#"]))
        + CREDENTIAL[until:]
    )
    stack.write("git.toml", text)
    for complaint in stack.failure().complaints:
        said = f"{complaint.summary} {complaint.excerpt} {complaint.hint}"
        assert "Hunter" not in said
        assert "unter7" not in said
        assert "7777" not in said


# --- what is found later ---


def test_what_a_platform_says_is_shown_in_the_file_that_says_it(stack) -> None:
    """A name that nobody has, found while planning: in the copy, or in what it extends."""
    stack.write(
        "team/base.toml",
        'image = "python:3.11"\n[on.runai]\nscope = "project"\nscope_name = "nlpp"\n',
    )
    stack.write("team/copy.toml", 'extends = "base"\n')
    stack.write("team/own.toml", 'extends = "base"\non.runai.scope_name = "visoin"\n')
    config = stack.settings()
    said = {
        one.address.name: complaint_for(
            config, one, Problem(("scope_name",), "there is no such project", "hint")
        )
        for one in stack.load().resources
    }
    assert {name: (one.file, one.line, one.column, one.excerpt) for name, one in said.items()} == {
        "base": ("team/base.toml", 4, 14, 'scope_name = "nlpp"'),
        "copy": ("team/base.toml", 4, 14, 'scope_name = "nlpp"'),
        "own": ("team/own.toml", 2, 23, 'on.runai.scope_name = "visoin"'),
    }
    assert said["own"].hint == "hint"


def test_what_a_platform_says_is_said_also_when_the_file_is_gone(stack) -> None:
    """Without the line."""
    stack.write("lab.toml", LAB)
    config, resource = stack.settings(), only(stack.load())
    (stack.path / "lab.toml").unlink()
    found = complaint_for(config, resource, Problem(("scope",), "no such thing", "hint"))
    assert (found.summary, found.file, found.line, found.excerpt) == ("no such thing", "lab.toml", 2, "")


def test_what_a_platform_says_shows_no_secret(stack) -> None:
    """Not even one that the policy takes for none."""
    stack.config('[policy]\nnot_secret = ["*"]\n')
    stack.write(
        "lab.toml",
        'image = "python:3.11"\non = { runai = { scope = "tenant", args = "https://a:hunter@b" } }\n',
    )
    config = stack.settings()
    found = complaint_for(config, only(stack.load()), Problem(("scope",), "no such thing"))
    assert "hunter" not in found.excerpt


# --- same input, same bytes ---

PROGRAM = """
import sys
from pathlib import Path
from reconciler.core.attributes import to_json
from reconciler.providers import discover
from reconciler.specs import load_config, load_specs
import msgspec
found = load_specs(load_config(Path(sys.argv[1]), discover(), version="1"))
sys.stdout.buffer.write(msgspec.json.encode(found, enc_hook=to_json))
"""


def test_the_same_files_give_the_same_bytes(stack, tmp_path: Path) -> None:
    """Whatever the hash seed, and in whatever order the files came into the directory; cached or not."""
    files = {
        f"{'f' * (number % 3)}/spec-{number}.toml": 'environment_variables = { B = "1", A = "2" }\n'
        f'capabilities = ["KILL", "CHOWN"]\nworkload_types = ["inference", "training"]\n{LAB}'
        for number in range(20)
    }
    said = set()
    for seed, names in (("0", list(files)), ("1", list(reversed(files))), ("2", sorted(files, key=hash))):
        directory = tmp_path / seed
        for name in names:
            path = directory / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name])
        (directory / "reconciler.toml").write_bytes((stack.path / "reconciler.toml").read_bytes())
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(directory)],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=False,
            )
            assert done.stderr == b""
            said.add(done.stdout)
    assert len(said) == 1


def test_the_digest_is_over_every_byte_and_name(stack) -> None:
    """Any file that is changed, added, removed or renamed; the stack's own too."""
    stack.write("lab.toml", LAB)
    digests = [stack.load().digest]

    def changed() -> bool:
        digests.append(stack.load().digest)
        return digests[-1] not in digests[:-1]

    stack.write("lab.toml", LAB + "# a comment\n")
    assert changed()
    stack.write("more.toml", LAB)
    assert changed()
    (stack.path / "more.toml").rename(stack.path / "other.toml")
    assert changed()
    stack.config("# a comment\n")
    assert changed()
    (stack.path / "other.toml").unlink()
    stack.write("lab.toml", LAB)
    stack.config()
    assert stack.load().digest == digests[0]


def test_moves_and_revision_go_with_the_specs(stack) -> None:
    """``[[moved]]`` of the stack, and the revision that was asked for."""
    stack.write("lab.toml", LAB)
    stack.config('[[moved]]\nfrom = "runai.environment.old"\nto = "runai.environment.lab"\n')
    found = stack.load(revision="abc+")
    assert found.revision == "abc+"
    assert found.moves == (
        Move(ResourceAddress("runai", "environment", "old"), ResourceAddress("runai", "environment", "lab")),
    )


def test_the_order_of_variables_and_tools_is_that_of_the_file(stack) -> None:
    """They are compared as maps, and written as the file has them."""
    stack.write(
        "lab.toml", f'environment_variables = {{ B = "1", A = "2" }}\ntools = ["vscode", "jupyter"]\n{LAB}'
    )
    for _ in range(2):
        attributes = only(stack.load()).attributes
        assert list(attributes["environment_variables"]) == ["B", "A"]
        assert list(attributes["tools"]) == ["VS Code", "Jupyter"]


def test_the_nearest_is_looked_for_a_limited_number_of_times(stack, monkeypatch) -> None:
    """Thousands may name what somebody took away, each to be compared with thousands that are there."""
    monkeypatch.setattr("reconciler.specs.load._MOST_COMPARED", 2)
    for number in range(3):
        stack.write(
            f"lab{number}.toml",
            f'{LAB}environment_variables.A = {{ credential = "hab{number}", key = "k" }}\n',
        )
        stack.write(f"copy{number}.toml", f'extends = "lob{number}"\n')
    stack.write(
        "hub.toml",
        'kind = "credential"\ntype = "generic-secret"\ndata.k = { env = "K" }\non.runai.scope = "tenant"\n',
    )
    hints = {one.summary: one.hint for one in stack.failure().complaints}
    assert sum("Did you mean" in hint for hint in hints.values()) == 1
    assert len(hints) == 6
