"""``reconciler.toml``: what it may say, and what it means when it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.model import Move, ResourceAddress
from reconciler.core.policy import Policy
from reconciler.errors import SpecErrors, UsageError
from reconciler.providers import discover
from reconciler.specs import load_config
from reconciler.specs.config import Settings

SMALLEST = '[stack]\nname = "test"\n[platforms.a]\nprovider = "runai"\nendpoint = "embedded"\n'


def test_the_smallest_stack_has_a_default_for_everything(stack) -> None:
    """A name and one platform."""
    stack.write("reconciler.toml", SMALLEST)
    for _ in range(2):  # from the file, and from the cache
        config = stack.settings()
        found = config.settings
        assert found == Settings(
            name="test",
            state_directory=".reconciler",
            platforms={"a": found.platforms["a"]},
            policy=Policy(),
            parallelism=10,
            on_failure="rollback",
            moves=(),
            not_secret=(),
        )
        assert (config.name, config.directory) == ("test", stack.path)
        assert config.state_directory == stack.path / ".reconciler"
        assert (found.platforms["a"].name, found.platforms["a"].provider) == ("a", "runai")
        assert found.platforms["a"].settings["endpoint"] == "embedded"
        assert config.plugin("a") is stack.plugins["runai"]
        stack.write("lab.toml", 'image = "python:3.11"\non.a.scope = "tenant"\n')
        stack.load()


def test_everything_can_be_said(stack) -> None:
    """And comes back from the cache as it was."""
    stack.write(
        "reconciler.toml",
        f"""{SMALLEST}
        [platforms.b-2_x]
        provider = "runai"
        endpoint = "https://tenant.run.ai"
        [state]
        backend = "local"
        directory = "../elsewhere"
        [policy]
        max_cpu_cores = 32.5
        max_memory_gb = 256
        max_gpus = 0
        allowed_scopes = ["project"]
        allowed_images = ["nvcr.io/*"]
        max_delete_fraction = 0.3
        not_secret = ["environment_variables.PAD_TOKEN"]
        [apply]
        parallelism = 256
        on_failure = "continue"
        [[moved]]
        from = "a.environment.old"
        to = "a.environment.new.one"
        """,
    )
    stack.write("lab.toml", 'image = "nvcr.io/x"\non.a.scope = "project"\non.a.scope_name = "vision"\n')
    for _ in range(2):
        config = stack.settings()
        found = config.settings
        assert list(found.platforms) == ["a", "b-2_x"]
        assert config.state_directory == stack.path / "../elsewhere"
        assert found.policy == Policy(
            max_cpu_cores=32.5,
            max_memory_gb=256,
            max_gpus=0,
            allowed_scopes=("project",),
            allowed_images=("nvcr.io/*",),
            max_delete_fraction=0.3,
        )
        assert (found.parallelism, found.on_failure) == (256, "continue")
        assert found.not_secret == ("environment_variables.PAD_TOKEN",)
        assert found.moves == (
            Move(ResourceAddress("a", "environment", "old"), ResourceAddress("a", "environment", "new.one")),
        )
        stack.load()


def test_a_directory_without_one_is_no_stack(tmp_path: Path) -> None:
    """And says how to get one."""
    (tmp_path / "reconciler.toml").mkdir()
    with pytest.raises(UsageError, match=r"is not a stack: it has no reconciler\.toml") as caught:
        load_config(tmp_path, discover(), version="1")
    assert "reconciler init DIR" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "summary", "line"),
    [
        (b"", "`platforms` is missing", 1),
        (b"[stack]\nname = 'x\n", "TOML syntax: invalid literal string, expected `'`", 2),
        (b"[stack]\nname = '\xff'\n", "this byte is not UTF-8", 2),
        (
            SMALLEST.replace("[platforms.a]", "[platforms]").encode(),
            "`provider` must be a table, not text",
            4,
        ),
        (b"platforms = []\n[stack]\nname = 'x'\n", "`platforms` must be a table, not a list", 1),
        (b"[platforms]\n[stack]\nname = 'x'\n", "`platforms` must not be empty", 1),
        (b"stack = 'x'\n", "`platforms` is missing", 1),
    ],
)
def test_what_cannot_be_understood_is_an_error_with_a_place(
    stack, content: bytes, summary: str, line: int
) -> None:
    """Never a stack without platforms."""
    stack.write("reconciler.toml", content)
    with pytest.raises(SpecErrors) as caught:
        stack.settings()
    first = caught.value.complaints[0]
    assert first.file == "reconciler.toml"
    assert (first.summary, first.line) == (summary, line)


def test_other_plugins_are_not_imported_for_a_stack_that_does_not_use_them(stack) -> None:
    """One that is broken is no reason to fail."""

    class Guarded(dict):  # type: ignore[type-arg]
        def __getitem__(self, name: str):
            assert name == "runai", f"{name} was asked for"
            return discover()[name]

        def get(self, name: str, default=None):
            return self[name]

    stack.plugins = Guarded(runai=None, broken=None)
    stack.write("lab.toml", 'image = "python:3.11"\non.runai.scope = "tenant"\n')
    assert len(stack.load().resources) == 1
    assert len(stack.load().resources) == 1


def test_the_directory_may_be_named_in_any_way(stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link, or from where one stands; the stack is the same."""
    stack.write("lab.toml", 'image = "python:3.11"\non.runai.scope = "tenant"\n')
    (stack.path.parent / "link").symlink_to(stack.path)
    monkeypatch.chdir(stack.path)
    for directory in (Path(), Path("../link"), stack.path):
        assert load_config(directory, stack.plugins, version="1").directory == stack.path
