"""`drift --notify`: transitions are told, each once, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forge_issues import REPOSITORY, TOKEN, Forge, serving
from harness import LAB, Project

KINDS = ("github", "gitlab")


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    """GitHub, then GitLab."""
    with serving(request.param) as found:
        yield found


@pytest.fixture
def hook() -> Iterator[Forge]:
    """Something that takes webhooks."""
    with serving("hook") as found:
        yield found


def entry(forge: Forge) -> str:
    """The ``[[notify]]`` for *forge*."""
    project = "repository" if forge.kind == "github" else "project"
    return (
        f'\n[[notify]]\nkind = "{forge.kind}"\n{project} = "{REPOSITORY}"\nendpoint = "{forge.url}"\n'
        'token = { env = "FORGE_TOKEN" }\nlabels = ["drift", "ml"]\n'
    )


@pytest.fixture
def told(project: Project) -> Project:
    """Two environments, applied, and secrets for those who are told."""
    project.environment |= {"FORGE_TOKEN": TOKEN, "SOURCE_DATE_EPOCH": "1700000000"}
    project.write("lab.toml", LAB)
    project.write("other.toml", LAB)
    project.run("apply", "--auto-approve").succeeded()
    return project


def with_hook(project: Project, hook: Forge, kind: str = "webhook") -> None:
    """Have *project* tell *hook*, whose address is a secret."""
    project.environment["HOOK"] = f"{hook.url}/services/T000/B000/verysecretpath?key=verysecretkey"
    project.config(f'\n[[notify]]\nkind = "{kind}"\nurl = {{ env = "HOOK" }}\n')


# --- transitions ---


def test_only_transitions_are_told(told: Project, hook: Forge) -> None:
    """What is new, what is settled; nothing while nothing moves."""
    with_hook(told, hook)
    told.run("drift", "--notify").succeeded()
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift").code == 2
    assert hook.hooks == []
    for _ in range(2):
        assert told.run("drift", "--notify").code == 2
    told.hand().delete("other")
    assert told.run("drift", "--notify").code == 2
    told.run("apply", "--auto-approve").succeeded()
    told.run("drift", "--notify").succeeded()
    lab, other = "runai.environment.lab image", "runai.environment.other is gone"
    assert [(one["new"], one["settled"], one["open"]) for one in hook.hooks] == [
        ([lab], [], [lab]),
        ([other], [], [lab, other]),
        ([], [lab, other], []),
    ]
    assert {(one["event"], one["stack"], one["format_version"]) for one in hook.hooks} == {
        ("drift", "test", 1)
    }
    assert [one["address"] for one in hook.hooks[0]["report"]["drift"]] == ["runai.environment.lab"]


def test_accepted_drift_is_told_when_it_expires(told: Project, hook: Forge) -> None:
    """Not before: people know already."""
    with_hook(told, hook)
    accepted = (
        '\n[[accept_drift]]\naddress = "runai.environment.lab"\nfield = "image"\nreason = "a trial"\n'
        'owner = "ann"\nexpires = 2023-11-14\n'
    )
    config = (told.path / "reconciler.toml").read_text()
    told.write("reconciler.toml", config + accepted)
    told.hand().edit("lab", image="python:3.10")
    told.run("drift", "--notify").succeeded()
    assert hook.hooks == []
    told.environment["SOURCE_DATE_EPOCH"] = "1700006400"
    assert told.run("drift", "--notify").code == 2
    assert hook.hooks[0]["new"] == ["runai.environment.lab image"]


def test_what_could_not_be_read_is_not_told_as_settled(told: Project, hook: Forge) -> None:
    """Nobody saw that it is over."""
    told.write("size.toml", 'kind = "compute"\ncpu_cores = 1\non.runai.scope = "tenant"\n')
    told.run("apply", "--auto-approve").succeeded()
    with_hook(told, hook)
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    config = (told.path / "reconciler.toml").read_text()
    fault = 'patience_seconds = 0.2\nfaults = [{ on = "GET */environment", status = 403 }]\n'
    told.write("reconciler.toml", config.replace("patience_seconds = 0.2\n", fault))
    assert told.run("drift", "--notify").code == 8
    assert len(hook.hooks) == 1


def test_slack_gets_a_text_that_commands_nothing(told: Project, hook: Forge) -> None:
    """With Slack's own characters spelled."""
    name = '"a <!channel> & b"'
    told.write("odd.toml", f"name = {name}\n" + LAB)
    told.run("apply", "--auto-approve").succeeded()
    with_hook(told, hook, "slack")
    told.hand().edit("a <!channel> & b", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    assert hook.hooks == [
        {
            "text": "*Drift of the stack test: 1 open*\n"
            "• New: runai.environment.a &lt;!channel&gt; &amp; b image"
        }
    ]


# --- issues ---


def test_an_issue_is_opened_commented_and_closed(told: Project, forge: Forge) -> None:
    """One for the stack, up to date, found again by a mark that nobody sees."""
    told.config(entry(forge))
    text = "body" if forge.kind == "github" else "description"
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    (issue,) = forge.ours
    assert issue["title"] == "Drift of the stack test: 1 open"
    assert issue["labels"] == (["drift", "ml"] if forge.kind == "github" else "drift,ml")
    assert issue[text].startswith("<!-- reconciler-drift:")
    assert '`"python:3.11"` → `"python:3.10"`' in issue[text]
    told.hand().delete("other")
    assert told.run("drift", "--notify").code == 2
    assert (issue["title"], "`runai.environment.other` is gone" in issue[text]) == (
        "Drift of the stack test: 2 open",
        True,
    )
    told.run("apply", "--auto-approve").succeeded()
    told.run("drift", "--notify").succeeded()
    assert (len(forge.ours), issue["state"]) == (1, "closed")
    lab, other = "<code>runai.environment.lab image</code>", "<code>runai.environment.other is gone</code>"
    assert forge.comments == [
        (1, f"- New: {other}"),
        (
            1,
            f"- Settled: {lab}\n- Settled: {other}\n"
            "Nothing is left: everything is as last applied, or accepted.",
        ),
    ]
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    assert [one["state"] for one in forge.ours][1:] == ["open" if forge.kind == "github" else "opened"]


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_an_issue_is_found_on_any_page(told: Project, forge: Forge, count: int) -> None:
    """However many are open; pull requests that quote it are none."""
    told.config(entry(forge))
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    (issue,) = forge.ours
    forge.put(count)
    if forge.kind == "github":
        forge.put(1, body=issue["body"], pull_request={})
    told.hand().delete("other")
    assert told.run("drift", "--notify").code == 2
    assert (len(forge.ours), issue["title"]) == (1, "Drift of the stack test: 2 open")


def test_no_issue_is_doubled_by_a_lost_record(told: Project, forge: Forge) -> None:
    """The mark is enough: also to close what nobody remembers."""
    told.config(entry(forge))
    told.hand().edit("lab", image="python:3.10")
    for _ in range(2):
        assert told.run("drift", "--notify").code == 2
        (told.path / ".reconciler" / "drift.json").unlink()
    assert len(forge.ours) == 1
    told.run("apply", "--auto-approve").succeeded()
    told.run("drift", "--notify").succeeded()
    assert [one["state"] for one in forge.ours] == ["closed"]


def test_another_stack_has_an_issue_of_its_own(told: Project, forge: Forge) -> None:
    """In the same repository, with the same name: the states tell them apart."""
    told.config(entry(forge))
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    for file in ("state.json", "drift.json"):
        path = told.path / ".reconciler" / file
        path.unlink()
    (told.path / ".reconciler" / "state.previous.json").unlink(missing_ok=True)
    for path in (told.path / ".reconciler" / "runs").iterdir():
        path.unlink()
    told.store.unlink()
    told.run("apply", "--auto-approve").succeeded()
    told.hand().edit("lab", image="python:3.10")
    assert told.run("drift", "--notify").code == 2
    assert len(forge.ours) == 2


# --- failures ---


@pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500])
@pytest.mark.parametrize("step", ["GET", "POST"])
def test_a_failure_hides_nothing_and_is_made_good(
    told: Project, forge: Forge, status: int, step: str
) -> None:
    """The result and its exit code stay; what failed is said without the token, and sent the next time."""
    told.config(entry(forge))
    told.hand().edit("lab", image="python:3.10")
    forge.broken = {step: status}
    result = told.run("drift", "--notify")
    assert (result.code, result.out.splitlines()[-1]) == (2, "Drift: 1 of 2 resources not as last applied.")
    assert result.err.startswith("Warning: a notification was not sent, and will be next time: ")
    assert f" answered {status}" in result.err
    assert TOKEN not in result.err
    forge.broken = {}
    result = told.run("drift", "--notify")
    assert (result.code, result.err, len(forge.ours)) == (2, "", 1)


def test_one_failure_keeps_no_other_from_being_told(told: Project, hook: Forge) -> None:
    """And each is remembered for itself: the second run tells only the one that missed it."""
    with serving("github") as forge:
        with_hook(told, hook)
        config = (told.path / "reconciler.toml").read_text()
        told.write("reconciler.toml", config + entry(forge))
        told.hand().edit("lab", image="python:3.10")
        forge.broken = {"GET": 403}
        told.run("drift", "--notify")
        forge.broken = {}
        told.run("drift", "--notify")
        assert (len(hook.hooks), len(forge.ours)) == (1, 1)


@pytest.mark.parametrize(
    ("hook_at", "said"),
    [
        ("http://127.0.0.1:1/verysecretpath", "cannot connect"),
        ("http://example.com/verysecretpath", "its address does not begin with https://"),
        ("nonsense verysecretpath", "its address does not begin with https://"),
    ],
)
def test_a_hook_that_cannot_be_reached_is_said_without_its_address(
    told: Project, hook_at: str, said: str
) -> None:
    """Who knows it can write to it."""
    told.environment["HOOK"] = hook_at
    told.config('\n[[notify]]\nkind = "slack"\nurl = { env = "HOOK" }\n')
    told.hand().edit("lab", image="python:3.10")
    for words in ((), ("--json",), ("-v", "--debug")):
        result = told.run("drift", "--notify", *words)
        assert (result.code, said in result.err + result.out) == (2, True)
        assert "verysecretpath" not in result.err + result.out


def test_nothing_is_written_of_a_hook_or_a_token(told: Project, hook: Forge) -> None:
    """Whatever is said, sent or kept."""
    hook.broken = {"POST": 400}
    with_hook(told, hook)
    told.hand().edit("lab", image="python:3.10")
    said = told.run("drift", "--notify", "-v", "--debug", "--json-out", "d.json", "--markdown-out", "d.md")
    assert "POST (secret) answered 400" in said.err
    texts = [said.out, said.err]
    texts += [path.read_text(errors="replace") for path in told.path.rglob("*") if path.is_file()]
    assert not any("verysecret" in text for text in texts)


def test_a_secret_that_is_not_there_is_said(told: Project, forge: Forge) -> None:
    """By its reference; drift is told all the same."""
    told.config(entry(forge))
    del told.environment["FORGE_TOKEN"]
    told.hand().edit("lab", image="python:3.10")
    result = told.run("drift", "--notify")
    assert (result.code, "the environment variable FORGE_TOKEN is not set" in result.err) == (2, True)


def test_nobody_to_tell_is_said(told: Project) -> None:
    """A flag without effect is a mistake."""
    assert told.run("drift", "--notify").succeeded().err == (
        "Warning: --notify: reconciler.toml has no [[notify]]; nobody was told\n"
    )


WRONG = {
    "an address in clear": (
        'kind = "slack"\nurl = "https://hooks.example.com/verysecret"',
        "a secret must not stand",
    ),
    "a token in clear": ('kind = "gitlab"\nproject = "a/b"\ntoken = "verysecret"', "a secret must not stand"),
    "no token": ('kind = "github"\nrepository = "a/b"', "a github notification needs `token`"),
    "a foreign key": (
        'kind = "slack"\nurl = { env = "A" }\nproject = "x"',
        "a slack notification has no `project`",
    ),
    "two of a name": (
        'kind = "slack"\nurl = { env = "A" }\n\n[[notify]]\nkind = "slack"\nurl = { env = "B" }',
        "2 notifications are called 'slack'",
    ),
    "two sources": ('kind = "slack"\nurl = { env = "A", file = "b" }', "a secret has one source"),
    "http": (
        'kind = "gitlab"\nproject = "a/b"\ntoken = { env = "A" }\nendpoint = "http://git.example.com"',
        "this is no address of an API",
    ),
    "no repository": (
        'kind = "github"\nrepository = "https://github.com/a/b"\ntoken = { env = "A" }',
        "",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place_and_without_its_secret(project: Project, case: str) -> None:
    """The line is shown without what may be the secret."""
    table, said = WRONG[case]
    project.config(f"\n[[notify]]\n{table}\n")
    project.write("lab.toml", LAB)
    result = project.run("validate")
    assert (result.code, f"Error: {said}" in result.err) == (1, True)
    assert " on reconciler.toml line " in result.err
    assert "verysecret" not in result.err
