"""What is kept of files that were read before changes nothing but the time it takes."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import CONFIG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.attributes import to_json
from reconciler.errors import SpecErrors
from reconciler.providers import discover
from reconciler.specs import load_specs
from reconciler.specs.cache import Cache, CachedSpec

LAB = 'image = "python:3.11"\n[on.runai]\nscope = "tenant"\n'
HUB = (
    'kind = "credential"\ntype = "generic-secret"\ndata = { token = { env = "HUB" } }\n'
    'on.runai.scope = "tenant"\n'
)


def outcome(stack) -> Any:
    """All that reading the stack gives: the specs as bytes, or everything that is wrong."""
    try:
        return msgspec.json.encode(stack.load(), enc_hook=to_json)
    except SpecErrors as error:
        return type(error), error.complaints


def afresh(stack) -> Any:
    """The same without any cache; the one that is there stays as it is."""
    folder = stack.path / ".reconciler"
    aside = stack.path.parent / "aside"
    if folder.exists():
        folder.rename(aside)
    try:
        return outcome(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)


def cache(stack) -> Path:
    """The file."""
    found: Path = stack.path / ".reconciler" / "cache"
    return found


def ordinary(stack) -> None:
    """A stack with every way in which one file has to do with another."""
    stack.write("hub.toml", HUB)
    stack.write("pattern.toml", 'image = "python:3.9"\nenvironment_variables = { A = "1" }\n')
    stack.write("team/copy.toml", 'extends = "pattern"\n[on.runai]\nscope = "tenant"\n')
    stack.write("team/second.toml", 'extends = "copy"\ncompute.gpu = 2\n')
    stack.write("lab.toml", f'environment_variables.T = {{ credential = "hub", key = "token" }}\n{LAB}')


EDITS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda stack: None,
    "a field": lambda stack: stack.write("lab.toml", LAB.replace("3.11", "3.12")),
    "a comment": lambda stack: stack.write("lab.toml", "# moved down\n" + LAB),
    "an original": lambda stack: stack.write("pattern.toml", 'image = "python:3.10"\n'),
    "an original of an original": lambda stack: stack.write("team/copy.toml", LAB),
    "a pattern that nobody extends any more": lambda stack: (
        stack.write("team/copy.toml", LAB),
        stack.write("team/second.toml", LAB),
    ),
    "an original that is gone": lambda stack: (stack.path / "pattern.toml").unlink(),
    "an original that came nearer": lambda stack: stack.write("team/pattern.toml", 'image = "python:3.8"\n'),
    "a new file": lambda stack: stack.write("new.toml", LAB),
    "a new file that doubles another": lambda stack: stack.write("new/lab.toml", LAB),
    "a file that is gone": lambda stack: (stack.path / "team" / "second.toml").unlink(),
    "a file that others refer to is gone": lambda stack: (stack.path / "hub.toml").unlink(),
    "a file that moved": lambda stack: (stack.path / "lab.toml").rename(stack.path / "team" / "lab.toml"),
    "files that changed places": lambda stack: (
        (stack.path / "lab.toml").rename(stack.path / "x"),
        (stack.path / "hub.toml").rename(stack.path / "lab.toml"),
        (stack.path / "x").rename(stack.path / "hub.toml"),
    ),
    "a mistake": lambda stack: stack.write("lab.toml", LAB + "imagee = 1\n"),
    "a secret": lambda stack: stack.write("lab.toml", 'environment_variables.A_TOKEN = "hunter"\n' + LAB),
    "no TOML": lambda stack: stack.write("lab.toml", LAB + "=\n"),
    "a limit": lambda stack: stack.config("[policy]\nmax_gpus = 1\n"),
    "another platform": lambda stack: stack.with_boxes(),
    "another name of the platform": lambda stack: stack.write(
        "reconciler.toml", CONFIG.replace("platforms.runai", "platforms.other")
    ),
    "a comment of the stack": lambda stack: stack.config("# more\n"),
    "a stack below": lambda stack: stack.write("team/reconciler.toml", ""),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_every_edit_is_noticed(stack, edit: Callable[[Any], Any]) -> None:
    """After it, and once more after that, the result is what it is without a cache."""
    ordinary(stack)
    first = outcome(stack)
    assert isinstance(first, bytes)
    assert cache(stack).exists()
    edit(stack)
    wanted = afresh(stack)
    assert outcome(stack) == wanted
    assert outcome(stack) == wanted
    stack.config()
    (stack.path / "team" / "reconciler.toml").unlink(missing_ok=True)
    ordinary(stack)
    for name in ("new.toml", "new/lab.toml", "team/lab.toml", "team/pattern.toml"):
        (stack.path / name).unlink(missing_ok=True)
    assert outcome(stack) == first


NAMES = ["a.toml", "b.toml", "team/a.toml", "team/c.toml"]
TEXTS = [
    None,
    LAB,
    LAB.replace("3.11", "3.12"),
    'image = "python:3.9"\n',
    'extends = "a"\non.runai.scope = "tenant"\n',
    'extends = "b"\n',
    'extends = "team/c"\nname = "x"\n',
    f'depends_on = ["runai.environment.b"]\n{LAB}',
    "imagee = 1\n" + LAB,
    "=",
]
steps = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), min_size=1, max_size=3)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=2, max_size=5))
def test_no_history_of_edits_makes_a_difference(stack, history: list[Any]) -> None:
    """Files come, go, copy and need one another in any order, mistakes included."""
    shutil.rmtree(stack.path)
    stack.config()
    for changes in history:
        for name, text in changes:
            if text is None:
                (stack.path / name).unlink(missing_ok=True)
            else:
                stack.write(name, text)
        assert outcome(stack) == afresh(stack)


def poison(stack) -> bytes:
    """Make the cache say another image than the file; returns it as it was. Its checksum is right."""
    before = cache(stack).read_bytes()
    data = before[16:].replace(b"python:3.11", b"python:6.66")
    assert data != before[16:]
    cache(stack).write_bytes(hashlib.blake2b(data, digest_size=16).digest() + data)
    return before


def image(stack, **how: str) -> str:
    """The image of the one spec there is."""
    (resource,) = stack.load(**how).resources
    found: str = resource.attributes["image"]
    return found


def test_a_file_that_is_known_is_not_read_again(stack) -> None:
    """The other tests would say little if the cache were not used."""
    stack.write("lab.toml", LAB)
    stack.load()
    poison(stack)
    assert image(stack) == "python:6.66"


def test_what_another_version_of_this_program_made_is_not_used(stack) -> None:
    """It may make another thing of the same file."""
    stack.write("lab.toml", LAB)
    stack.load(version="1")
    poison(stack)
    assert image(stack, version="2") == "python:3.11"
    assert image(stack, version="1") == "python:3.11"


def test_what_was_made_under_other_settings_is_not_used(stack) -> None:
    """``reconciler.toml`` decides what a spec means."""
    stack.write("lab.toml", LAB)
    stack.load()
    poison(stack)
    stack.config("# another byte\n")
    assert image(stack) == "python:3.11"


@pytest.mark.parametrize("at", [0, 15, 16, 17, 0.3, 0.6, 0.9, -1], ids=str)
def test_a_flipped_bit_is_not_believed(stack, at: float) -> None:
    """Wherever it is: a plan must not be made from it."""
    stack.write("lab.toml", LAB)
    wanted = outcome(stack)
    whole = bytearray(cache(stack).read_bytes())
    place = int(at * len(whole)) if isinstance(at, float) else at
    whole[place] ^= 1
    cache(stack).write_bytes(whole)
    assert outcome(stack) == wanted


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"\x00" * 100, b"[" * 5000, b'["1","",null,{}]', b"not ours at all"],
    ids=lambda content: repr(content[:9]),
)
@pytest.mark.parametrize("summed", [False, True], ids=["as it is", "with a checksum"])
def test_a_foreign_cache_is_ignored(stack, content: bytes, summed: bool) -> None:
    """And replaced by a good one."""
    stack.write("lab.toml", LAB)
    wanted = outcome(stack)
    good = cache(stack).read_bytes()
    checksum = hashlib.blake2b(content, digest_size=16).digest() if summed else b""
    cache(stack).write_bytes(checksum + content)
    assert outcome(stack) == wanted
    assert cache(stack).read_bytes() == good


def test_half_a_cache_is_ignored(stack) -> None:
    """Whatever its length."""
    ordinary(stack)
    wanted = outcome(stack)
    good = cache(stack).read_bytes()
    for length in range(0, len(good), 97):
        cache(stack).write_bytes(good[:length])
        assert outcome(stack) == wanted
        assert cache(stack).read_bytes() == good


def test_settings_of_another_shape_are_read_again(stack) -> None:
    """A cache that fits in every other respect."""
    stack.write("lab.toml", LAB)
    wanted = outcome(stack)
    blob = msgspec.json.decode(cache(stack).read_bytes()[16:])
    blob[2] = {"name": "test"}
    data = msgspec.json.encode(blob)
    cache(stack).write_bytes(hashlib.blake2b(data, digest_size=16).digest() + data)
    assert outcome(stack) == wanted


def test_a_provider_that_was_taken_away_is_missed(stack) -> None:
    """Also when ``reconciler.toml`` is known from when it was there."""
    stack.with_boxes()
    stack.write("lab.toml", LAB)
    stack.load()
    stack.plugins = discover()
    assert [one.summary for one in stack.failure().complaints] == ["there is no provider 'boxes'"]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(stack) -> None:
    """Or its new content would be taken for that of its old bytes, some day."""
    stack.write("base.toml", LAB)
    stack.load()
    stack.write("copy.toml", 'extends = "base"\n')
    config = stack.settings()
    real = config.plugins["runai"]

    class Slow:
        """Run:ai, with somebody who saves a file while a spec is checked."""

        def __getattr__(self, name: str) -> Any:
            if name == "kinds":
                stack.write("base.toml", LAB.replace("3.11", "3.12"))
            return getattr(real, name)

    stack.write("another.toml", LAB)
    slow = replace(config, plugins={"runai": Slow()})
    with pytest.raises(SpecErrors) as caught:
        load_specs(slow)
    assert [(one.file, one.summary) for one in caught.value.complaints] == [
        ("base.toml", "this file was changed while it was read")
    ]
    assert outcome(stack) == afresh(stack)


def contents(stack) -> Any:
    """What the one spec says of the files that it names, and the digest of all."""
    specs = stack.load()
    (resource,) = specs.resources
    return resource.attributes["contents"], specs.digest


def test_a_file_that_a_spec_names_counts_as_part_of_it(stack) -> None:
    """Its path is relative to the spec; another content is another digest, and is read again."""
    stack.with_boxes()
    stack.write("below/lab.toml", 'contents = "notes.txt"\non.shelf = {}\n')
    stack.write("below/notes.txt", "first")
    assert contents(stack) == contents(stack)
    before, digest = contents(stack)
    stack.write("below/notes.txt", "second")
    now, other = contents(stack)
    assert (before, now) == (["first"], ["second"])
    assert digest != other
    assert contents(stack) == afresh_contents(stack)


def afresh_contents(stack) -> Any:
    """The same without a cache."""
    cache(stack).unlink()
    return contents(stack)


def test_a_folder_that_a_spec_names_counts_with_all_that_is_in_it(stack) -> None:
    """What is added, removed, renamed or made executable is a change."""
    stack.with_boxes()
    stack.write("lab.toml", 'contents = "folder"\non.shelf = {}\n')
    one = stack.write("folder/deep/one.txt", "one")
    seen = [contents(stack)]
    stack.write("folder/two.txt", "two")
    seen.append(contents(stack))
    one.rename(one.with_name("other.txt"))
    seen.append(contents(stack))
    one.with_name("other.txt").chmod(0o755)
    seen.append(contents(stack))
    assert [found for found, _ in seen] == [["one"], ["one", "two"], ["one", "two"], ["one", "two"]]
    assert len({digest for _, digest in seen}) == 4
    assert contents(stack) == afresh_contents(stack)


def test_a_file_that_a_spec_names_and_that_changes_while_it_is_read_is_not_remembered(stack) -> None:
    """The reading and the digest have to be of the same bytes."""
    stack.with_boxes()
    stack.write("lab.toml", 'contents = "notes.txt"\non.shelf = {}\n')
    stack.write("notes.txt", "first")
    config = stack.settings()
    real = config.plugins["boxes"]

    class Slow:
        """Boxes, with somebody who saves the file behind the reader's back."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def read_spec(self, *arguments: Any) -> Any:
            reading = real.read_spec(*arguments)
            stack.write("notes.txt", "second")
            return reading

    with pytest.raises(SpecErrors) as caught:
        load_specs(replace(config, plugins={**config.plugins, "boxes": Slow()}))
    (complaint,) = caught.value.complaints
    assert complaint.summary == "a file that this spec names was changed while it was read"
    assert contents(stack)[0] == ["second"]


def test_only_the_owner_can_read_it(stack) -> None:
    """Whatever the umask; and git ignores it, wherever the state is kept."""
    stack.write("lab.toml", LAB)
    before = os.umask(0)
    try:
        stack.load()
    finally:
        os.umask(before)
    folder = cache(stack).parent
    assert stat.S_IMODE(cache(stack).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "cache"]
    assert (folder / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("obstacle", ["file", "folder", "nobody"])
def test_a_place_that_cannot_be_written_to_is_no_error(stack, obstacle: str) -> None:
    """Everything works without a cache, and nothing half-written stays."""
    stack.write("lab.toml", LAB)
    wanted = outcome(stack)
    shutil.rmtree(stack.path / ".reconciler")
    if obstacle == "file":
        (stack.path / ".reconciler").write_text("in the way")
    elif obstacle == "folder":
        cache(stack).mkdir(parents=True)
    else:
        (stack.path / ".reconciler").symlink_to("/proc/self")
    assert outcome(stack) == wanted
    if obstacle == "folder":
        assert sorted(path.name for path in (stack.path / ".reconciler").iterdir()) == [".gitignore", "cache"]


def test_it_holds_no_secret(stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the value behind a reference nor one that stands in a spec by mistake."""
    monkeypatch.setenv("HUB", "hunter-one")
    stack.write("hub.toml", HUB)
    stack.write("hub.txt", "hunter-two")
    stack.write("git.toml", HUB.replace('{ env = "HUB" }', '{ file = "hub.txt" }'))
    stack.config('client_secret = { env = "HUB" }\n')
    stack.load()
    good = cache(stack).read_bytes()
    assert b"hunter" not in good
    stack.write("lab.toml", f'environment_variables.A_TOKEN = "hunter-three"\n{LAB}')
    stack.failure()
    assert cache(stack).read_bytes() == good


def test_an_unchanged_stack_writes_nothing(stack) -> None:
    """A plan in a directory that is watched, or backed up, leaves it alone."""
    ordinary(stack)
    stack.load()
    before = cache(stack).stat()
    stack.load()
    after = cache(stack).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


PROGRAM = """
import sys
from pathlib import Path
from reconciler.providers import discover
from reconciler.specs import load_config, load_specs
found = load_specs(load_config(Path(sys.argv[1]), discover(), version="1"))
heavy = {"pydantic", "networkx", "deepdiff", "httpx", "difflib", "importlib.metadata"} & set(sys.modules)
print(len(found.resources), *sorted(heavy))
"""


def test_a_known_stack_is_read_without_the_heavy_libraries(stack) -> None:
    """They take longer to import than a thousand known specs to load."""
    ordinary(stack)

    def said() -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(stack.path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert "pydantic" in said()
    assert said() == "5"


def test_only_files_of_the_stack_are_remembered(tmp_path: Path) -> None:
    """What went away is forgotten, so that the cache does not grow for ever."""
    path = tmp_path / "cache"
    one, other = (CachedSpec(digest, (), (), (), (), True) for digest in "ab")
    first = Cache(path, "1")
    first.keep_config("c", b'{"a":1}')
    first.keep_specs({"one": one, "other": other}, changed=True)
    first.save()
    second = Cache(path, "1")
    assert second.config("c") == b'{"a":1}'
    assert second.config("d") is None
    assert second.spec("one", "a") == one
    assert second.spec("one", "b") is None
    second.keep_specs({"one": one}, changed=False)
    second.save()
    third = Cache(path, "1")
    assert third.spec("one", "a") == one
    assert third.spec("other", "b") is None
    third.keep_config("d", b"{}")
    assert third.spec("one", "a") is None
