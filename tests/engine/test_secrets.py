"""A secret goes to the platform and nowhere else, and comes back when a run is taken back."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from urllib.parse import quote

import pytest
from engine.laboratory import Laboratory

from reconciler.engine.secrets import Secrets, keyed_hash
from reconciler.errors import OutcomeUnknown, ProviderError, Rejected, SecretUnavailable, Unavailable
from reconciler.state.records import Intended

VALUE = 'p"ss wörd/+\n1'


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """The secrets of a stack in an empty directory."""
    return Secrets(tmp_path, {"TOKEN": VALUE, "EMPTY": "", "SHORT": "abc"})


# --- resolving ---


def test_a_secret_comes_from_the_environment(secrets: Secrets) -> None:
    """As it is."""
    assert secrets.value({"env": "TOKEN"}) == VALUE


def test_a_secret_comes_from_a_file_without_its_last_line_end(secrets: Secrets, tmp_path: Path) -> None:
    """Relative to the stack, one line end less, as editors put it there."""
    (tmp_path / "token").write_text("two\nlines\n\n")
    assert secrets.value({"file": "token"}) == "two\nlines\n"


def test_a_secret_comes_from_a_command_that_runs_once(secrets: Secrets, tmp_path: Path) -> None:
    """In the stack's directory, with nothing to read, however often the value is needed."""
    reference = {"command": ["sh", "-c", "echo x >> runs; cat; pwd"]}
    assert [secrets.value(reference) for _ in range(3)] == [str(tmp_path)] * 3
    assert (tmp_path / "runs").read_text() == "x\n"


UNAVAILABLE = {
    "unset": ({"env": "NONE"}, "the environment variable NONE is not set"),
    "empty": ({"env": "EMPTY"}, "the secret env EMPTY is empty"),
    "no file": ({"file": "none"}, "the secret file none cannot be read: No such file or directory"),
    "not text": ({"file": "binary"}, "the secret file binary cannot be read: it is not UTF-8 text"),
    "no program": ({"command": ["no-such-program"]}, "the secret command 'no-such-program' is not installed"),
    "not executable": ({"command": ["./plain"]}, "the secret command './plain' Permission denied"),
    "failing": (
        {"command": ["sh", "-c", "echo hunter2hunter2; echo hunter2hunter2 >&2; exit 3"]},
        "the secret command 'sh' failed with exit code 3",
    ),
    "printing no text": (
        {"command": ["sh", "-c", r"printf '\377'"]},
        "the secret command 'sh' printed something that is not UTF-8 text",
    ),
    "no reference": ({"vault": "x"}, "vault x is not a secret reference"),
    "nothing": ({}, "without a source is not a secret reference"),
}


@pytest.mark.parametrize("case", UNAVAILABLE)
def test_a_secret_that_cannot_be_had(case: str, secrets: Secrets, tmp_path: Path) -> None:
    """The reference is named, and nothing that a command printed."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "plain").chmod(stat.S_IRUSR)
    reference, message = UNAVAILABLE[case]
    with pytest.raises(SecretUnavailable) as caught:
        secrets.value(reference)
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


# --- hiding ---


def test_every_spelling_of_a_known_secret_is_masked(secrets: Secrets) -> None:
    """As it is, inside JSON and Python texts, in a URL, in Base64."""
    secrets.value({"env": "TOKEN"})
    spellings = [
        VALUE,
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        repr(VALUE),
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
    ]
    for spelling in spellings:
        masked = secrets.mask(f"before {spelling} after")
        assert masked.replace('"(secret)"', "(secret)").replace("'(secret)'", "(secret)") == (
            "before (secret) after"
        )


def test_a_secret_is_masked_as_a_form_spells_it(secrets: Secrets) -> None:
    """The token call sends a form; a gateway may echo it."""
    secrets.learn("pass word/1")
    assert secrets.mask("secret=pass+word%2F1&x") == "secret=(secret)&x"


def test_a_secret_that_begins_like_another_leaves_no_tail(secrets: Secrets) -> None:
    """The longer one is masked whole."""
    secrets.learn("abcdef")
    secrets.learn("abcdefgh")
    assert secrets.mask("abcdefgh abcdef") == "(secret) (secret)"


def test_what_is_too_short_to_be_a_secret_is_not_masked(secrets: Secrets) -> None:
    """Three letters would be found in half of all words."""
    secrets.value({"env": "SHORT"})
    assert secrets.mask("abcabc") == "abcabc"


def test_concealing_keeps_what_can_be_turned_back(secrets: Secrets) -> None:
    """A text that is a secret becomes its reference, one that contains it is masked, the rest stays."""
    secrets.value({"env": "TOKEN"})
    shown = {"a": [VALUE, {"b": f"token={VALUE}"}, 5, None, True], "c": "plain"}
    assert secrets.conceal(shown) == {
        "a": [{"$secret": {"env": "TOKEN"}}, {"b": "token=(secret)"}, 5, None, True],
        "c": "plain",
    }


def test_what_was_only_learned_is_concealed_too(secrets: Secrets) -> None:
    """An access token has no reference; it is masked."""
    secrets.learn("access-token")
    assert secrets.conceal({"a": "access-token"}) == {"a": "(secret)"}


def test_a_hash_tells_secrets_apart_and_is_of_no_use_without_its_key() -> None:
    """Same key and value, same hash; else another."""
    hashes = {keyed_hash(key, value) for key in ("00" * 32, "11" * 32) for value in ("a", "b")}
    assert len(hashes) == 4
    assert keyed_hash("00" * 32, "a") in hashes


# --- in a run ---


def test_secrets_are_sent_and_not_written_down() -> None:
    """The platform has them; state, journal and events do not, whatever is done with them."""
    lab = Laboratory()
    lab.apply("key k secret=$HUB\nsafe s code=$SAFE size=1\nbox b uses=@key.k")
    assert lab.provider.world()["key.k"]["secret"] == lab.environment["HUB"]
    lab.environment["HUB"] = "changed-hub-password"
    lab.apply("key k secret=$HUB\nsafe s code=$SAFE size=2\nbox b uses=@key.k")
    lab.apply("safe s code=$SAFE size=2")
    lab.environment["OLD"] = "hub-password-1"
    assert lab.leaks() == []


@pytest.mark.parametrize("text", ["{}", "prefix-{}-suffix"])
@pytest.mark.parametrize("length", [4, 6, 8, 40])
def test_a_secret_that_somebody_typed_into_a_plain_field(text: str, length: int) -> None:
    """The journal hides it, in pre-image and plan; a rollback brings back what was there, to the letter."""
    lab = Laboratory()
    lab.environment["HUB"] = "hub-password-of-forty-letters-and-more!!"[:length]
    typed = text.format(lab.environment["HUB"])
    lab.apply("key k secret=$HUB\nbox a note=plain")
    lab.hand(f"edit box.a note={typed}")
    lab.events.clear()
    after = "key k secret=$HUB !protect\nkey other secret=$HUB\nbox a note=plain\nbox z after=box.a"
    lab.provider.fail["create box.z"] = Rejected("no")
    report = lab.apply(after)
    assert (report.outcome, f"box.a note={typed}" in lab.world()) == ("rolled back", True)
    assert lab.leaks() == []
    (intended,) = [
        one for one in lab.backend.records("run-002") if isinstance(one, Intended) and one.before is not None
    ]
    assert intended.before is not None
    hidden = {"$secret": {"env": "HUB"}} if text == "{}" else "prefix-(secret)-suffix"
    assert intended.before.attributes["note"] == hidden


@pytest.mark.parametrize("text", ["{}", "prefix-{}-suffix"])
@pytest.mark.parametrize("action", ["update", "delete"])
def test_a_hidden_pre_image_settles_all_the_same(action: str, text: str) -> None:
    """The power goes at any moment of a write over a field that holds a secret: no conflict is made up."""
    lab = Laboratory()
    typed = text.format(lab.environment["HUB"])
    before = "key k secret=$HUB\nbox a size=1"
    lab.apply(before)
    lab.hand(f"edit box.a note={typed}")
    after = "key k secret=$HUB\nkey o secret=$HUB\n" + ("box a size=2 note=new" if action == "update" else "")
    planned = lab.plan(after)
    lab.watch()
    lab.carry_out(planned)
    for moment in lab.moments:
        later = lab.after_power_cut(moment)
        settled = later.settle()
        assert (settled.conflicts if settled is not None else (), later.agreement()) == ((), [])
        later.apply(after)
        assert (later.steps(later.plan(after)), later.world()) == ([], lab.world())


ECHOES = {
    "refused": Rejected("fake: bad value hub-password-1", hint="Not hub-password-1."),
    "no answer": OutcomeUnknown("fake: lost hub-password-1", hint="Not hub-password-1."),
    "unavailable": Unavailable("fake: hub-password-1", hint="Not hub-password-1."),
    "mistake": RuntimeError("hub-password-1"),
}


@pytest.mark.parametrize("on_failure", ["rollback", "stop"])
@pytest.mark.parametrize("call", ["create key.k", "find key.k", "read id-1", "delete box.a"])
@pytest.mark.parametrize("echo", ECHOES)
def test_an_error_that_quotes_a_secret_does_not_pass_it_on(echo: str, call: str, on_failure: str) -> None:
    """Neither to events, nor to the report, nor to the journal, forward and backward."""
    lab = Laboratory(parallelism=1)
    planned = lab.plan("box a size=1\nkey k secret=$HUB after=box.a\nbox z after=key.k")
    if call == "find key.k":
        lab.provider.fail["create key.k"] = OutcomeUnknown("no answer")
    if call == "delete box.a":
        lab.provider.fail["create box.z"] = Rejected("no")
    lab.provider.fail[call] = ECHOES[echo]
    report = lab.carry_out(planned, on_failure)
    assert lab.leaks() == []
    assert "hub-password-1" not in repr((report.steps, report.error))


def test_a_deleted_secret_comes_back_while_its_reference_gives_the_same_value() -> None:
    """The platform never showed it; the reference still has it."""
    lab = Laboratory()
    lab.apply("key last secret=$NGC\nkey k secret=$HUB after=key.last")
    world = lab.world()
    planned = lab.plan("box z size=1")
    lab.provider.fail["delete key.last"] = Rejected("no")
    assert lab.carry_out(planned).outcome == "rolled back"
    assert lab.world() == world


def failing_after_delete(lab: Laboratory, text: str) -> dict[int, str]:
    """Errors of an apply in which something fails once a key is deleted."""
    planned = lab.plan(text)
    lab.provider.fail["create box.z"] = Rejected("no")
    report = lab.carry_out(planned)
    assert report.outcome == "failed"
    return {number: report.steps.errors[number] for number in report.steps.not_rolled_back}


def test_a_replaced_secret_whose_old_value_is_nowhere_stays_replaced() -> None:
    """Without it there would be neither; the report says why, and what would help."""
    lab = Laboratory(parallelism=1)
    lab.apply("key k secret=$HUB")
    lab.environment["HUB"] = "another-password"
    errors = failing_after_delete(lab, "key k secret=$HUB\nbox z after=key.k")
    assert set(errors.values()) == {
        "the object that it replaced cannot be made again",
        "fake.key.k: env HUB no longer gives the value that was there, and the platform never shows it",
    }
    assert (lab.world(), lab.agreement()) == (["key.k secret=another-password"], [])


@pytest.mark.parametrize("size", [1, 2])
def test_what_used_a_replaced_secret_is_put_back_onto_the_new_one(size: int) -> None:
    """As it was but for the id: also where only its reference changed."""
    lab = Laboratory(parallelism=1)
    lab.apply("key k secret=$HUB\nbox b size=1 uses=@key.k")
    lab.environment["HUB"] = "another-password"
    failing_after_delete(lab, f"key k secret=$HUB\nbox b size={size} uses=@key.k\nbox z after=box.b")
    assert lab.world() == ["box.b size=1 uses=@key.k", "key.k secret=another-password"]
    assert lab.agreement() == []
    assert lab.steps(lab.plan("key k secret=$HUB\nbox b size=1 uses=@key.k")) == []


def test_what_a_replaced_secret_that_stays_needs_stays_too() -> None:
    """Made for it in the same run, or made anew: it is not taken away from under it."""
    lab = Laboratory(parallelism=1)
    lab.apply("tower t shape=round\nkey k secret=$HUB after=tower.t\nbox b uses=@tower.t")
    lab.environment["HUB"] = "another-password"
    text = "tower t shape=square\nbox n size=1\nbox m size=1\nkey k secret=$HUB after=tower.t,box.n"
    errors = failing_after_delete(lab, f"{text}\nbox b uses=@tower.t\nbox z after=key.k,box.b,box.m")
    assert sorted(errors.values()) == [
        "fake.key.k stays, and needs it",
        "fake.key.k stays, and needs it",
        "fake.key.k: env HUB no longer gives the value that was there, and the platform never shows it",
        "fake.tower.t stays",
        "the object that it replaced cannot be made again",
    ]
    assert lab.world() == [
        "box.b uses=@tower.t",
        "box.n size=1",
        "key.k secret=another-password",
        "tower.t shape=square",
    ]
    assert lab.agreement() == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_somebody_typed_in_by_hand_is_in_no_journal(fails: bool) -> None:
    """An object with a password in clear is written over, and put back whole where the run fails."""
    lab = Laboratory(parallelism=1)
    lab.apply('box a tags={"x":"1"} size=1')
    lab.hand("edit box.a note=typed-in-password")
    lab.provider.edit(lab.id_of("box.a"), tags={"x": "1", "p": ["typed-in-too"]})
    world = lab.world()
    planned = lab.plan('box a tags={"x":"1"} size=2\nbox z after=box.a')
    if fails:
        lab.provider.fail["create box.z"] = Rejected("no")
    report = lab.carry_out(planned)
    assert report.outcome == ("rolled back" if fails else "applied")
    assert (lab.world() == world) is fails
    assert "typed-in" not in repr(lab.backend.journals)


def test_an_overwritten_secret_comes_back_while_its_reference_gives_the_same_value() -> None:
    """The spec took another reference; the old one still has the old value."""
    lab = Laboratory(parallelism=1)
    lab.apply("safe s code=$SAFE size=1")
    planned = lab.plan("safe s code=$NGC size=2\nbox z after=safe.s")
    lab.provider.fail["create box.z"] = Rejected("no")
    assert lab.carry_out(planned).outcome == "rolled back"
    assert lab.world() == ["safe.s code=safe-password-1 size=1"]


def test_an_overwritten_secret_whose_old_value_is_nowhere_cannot_be_taken_back() -> None:
    """Nothing of the step is then: half a restored object would look whole."""
    lab = Laboratory(parallelism=1)
    lab.apply("safe s code=$SAFE size=1")
    lab.environment["SAFE"] = "another-password"
    errors = failing_after_delete(lab, "safe s code=$SAFE size=2\nbox z after=safe.s")
    assert list(errors.values()) == [
        "fake.safe.s: env SAFE no longer gives the value that was there, and the platform never shows it"
    ]
    assert (lab.world(), lab.agreement()) == (["safe.s code=another-password size=2"], [])


def test_a_secret_that_was_not_ours_cannot_be_taken_back() -> None:
    """An adopted object had one of its own, which nobody ever saw."""
    lab = Laboratory(parallelism=1)
    lab.hand("put safe.s code=theirs size=1")
    errors = failing_after_delete(lab, "safe s code=$SAFE size=2 !adopt\nbox z after=safe.s")
    assert list(errors.values()) == ["fake.safe.s: its code was not set by us, and is never shown"]


def test_an_adopted_object_gets_the_secret_of_its_spec() -> None:
    """Nobody can see whether it has it; afterwards the state says of it what is true."""
    lab = Laboratory()
    lab.hand("put safe.s code=theirs size=1")
    wanted = "safe s code=$SAFE size=1 !adopt"
    planned = lab.plan(wanted)
    assert (lab.changes(planned), lab.steps(planned)) == (
        ["adopt safe.s (already on the platform) code"],
        ["update safe.s"],
    )
    assert lab.carry_out(planned).outcome == "applied"
    assert (lab.world(), lab.steps(lab.plan(wanted))) == (["safe.s code=safe-password-1 size=1"], [])


def test_a_provider_error_keeps_its_own_words_otherwise() -> None:
    """Masking takes nothing but secrets."""
    lab = Laboratory()
    planned = lab.plan("key k secret=$HUB")
    lab.provider.fail["create key.k"] = ProviderError("fake: POST /keys answered 418: short and stout")
    assert lab.carry_out(planned).steps.errors == {0: "fake: POST /keys answered 418: short and stout"}
