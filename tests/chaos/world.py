"""A stack, its platform in a process of its own, and the proof that nothing was lost.

A `World` lives through a series of trials. In each, the specs change, a
command dies or fails somewhere, the next command settles that, and then three
things are held against each other: the platform, the state, the specs.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.vendor import Found, Proof, Vendor
from chaos.victim import NONE, Command, Trouble
from chaos.wishes import NEEDLE

_SERVED = """\
[stack]
name = "platform"

{platform}"""

_STACK = """\
[stack]
name = "chaos"

{platform}
[policy]
max_delete_fraction = 1.0

[apply]
on_failure = "{on_failure}"
parallelism = {parallelism}
"""

_ROLLED_BACK = 6
_ATTEMPTS = 8
"""A command against a platform that misbehaves may fail; so many times in a row it does not."""

_FAIR = ("calm", "slow")
"""Where nothing fails that we did not break: there, a command succeeds at once."""


@dataclass
class World:
    """One stack and one platform of a vendor, for a series of trials."""

    seed: str
    vendor: Vendor
    profile: str
    size: int = 24
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="reconciler-chaos-")))
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.stack = self.directory / "stack"
        self.platform = self.directory / "platform"
        self.said = self.directory / "said.txt"
        self.wishes = self.vendor.wishes(self.chance, self.size)
        self.config = ""
        self.untrue: list[str] = []
        self._server: subprocess.Popen[str] | None = None
        self.others: dict[str, str] = {}
        self.ever_known: set[str] = set()
        self.environment = {**self.vendor.variables, "NO_COLOR": "1"}
        for path in (self.stack, self.platform):
            path.mkdir()

    # --- the platform ---

    def __enter__(self) -> World:
        text = _SERVED.format(platform=self.vendor.served(self.vendor.profiles[self.profile]))
        (self.platform / "reconciler.toml").write_text(text)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "serve", "--port", "0"],
            cwd=self.platform,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        found = re.search(r"http://\S+", self._server.stdout.readline())
        assert found is not None
        self.url = found[0]
        self.meet_others()
        return self

    def meet_others(self) -> None:
        """Let other people make objects, which nobody may touch."""
        self.vendor.meet_others(self.store)
        self.others = {id_: one.text for id_, one in self.live().items() if one.name.startswith("of-")}

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        self._server.wait()
        assert self._server.stdout is not None
        self._server.stdout.close()

    @property
    def store(self) -> Path:
        """The file of the platform."""
        return self.platform / ".reconciler" / "embedded" / f"{self.vendor.platform}.sqlite"

    def live(self) -> dict[str, Found]:
        """What is on the platform beside the vendor's own, by id."""
        return self.vendor.live(self.store)

    def ours(self) -> dict[str, Found]:
        """What of it is not of others."""
        return {one: found for one, found in self.live().items() if one not in self.others}

    # --- the stack ---

    def wish(self) -> None:
        """Change the specs: some new, some gone, some different, some elsewhere."""
        moves = self.wishes.change()
        self.config = moves + _STACK.format(
            platform=self.vendor.outside(self.url),
            on_failure=self.chance.choice(("rollback", "rollback", "stop", "continue")),
            parallelism=self.chance.choice((1, 4, 10)),
        )
        self.write()

    def write(self) -> None:
        """Write down what is wished for."""
        for path in self.stack.glob("*.toml"):
            path.unlink()
        (self.stack / "reconciler.toml").write_text(self.config)
        for name, text in self.specs.items():
            (self.stack / f"{name}.toml").write_text(text)
        for name, text in self.wishes.files.items():
            path = self.stack / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    @property
    def specs(self) -> dict[str, str]:
        """What is wished for, by the stem of its file."""
        return self.wishes.specs

    def command(self, *arguments: str, trouble: Trouble = NONE) -> Command:
        """Start ``reconciler ARGUMENTS``."""
        return Command(
            self.stack,
            [*arguments, "--lock-timeout", "5s"],
            environment=self._variables(),
            said=self.said,
            trouble=trouble,
        )

    def _variables(self) -> dict[str, str]:
        return {**self.environment, **self.wishes.secrets}

    def run(self, *arguments: str, trouble: Trouble = NONE) -> int:
        """Run a command to its end, however it ends."""
        before = self.there()
        code = self.command(*arguments, trouble=trouble).wait()
        self.ever_known |= self.remembered().keys()
        if code == _ROLLED_BACK and self.there() != before:
            self.untrue.append(f"{' '.join(arguments)} said that all was rolled back, and it was not")
        self.log.append(f"{' '.join(arguments)} ({trouble.kind} {trouble.at} {trouble.moment}): {code}")
        return code

    def until(self, wanted: int, *arguments: str) -> str:
        """Run a command until it ends with *wanted*; what is wrong when it never does."""
        for _ in range(self.attempts):
            code = self.run(*arguments)
            if code == wanted:
                return ""
        return f"{' '.join(arguments)} ended with {code} {self.attempts} times, not with {wanted}"

    def refusal(self, *arguments: str, of: str) -> str:
        """Run a command until it ends with an error about *of*: what it says, or nothing if it never does."""
        for _ in range(self.attempts):
            size = self.said.stat().st_size
            if self.run(*arguments) == 1 and of in (said := self.said.read_text(errors="replace")[size:]):
                return said
        return ""

    @property
    def is_fair(self) -> bool:
        """Whether nothing fails that we did not break."""
        return self.profile in _FAIR

    @property
    def attempts(self) -> int:
        """How often a command is worth a try."""
        return 1 if self.is_fair else _ATTEMPTS

    def expect(self, when: str, *wrongs: str) -> None:
        """Keep what is wrong in the middle of a trial."""
        self.untrue += [f"{when}: {one}" for one in wrongs if one]

    # --- the proof ---

    def last_run(self) -> str:
        """The newest run that there is."""
        return max(self.runs(), default="none")

    def runs(self) -> set[str]:
        """Every run that there is."""
        return {path.stem for path in self.stack.glob(".reconciler/runs/*")}

    def remembered(self) -> dict[str, str]:
        """Ids and addresses in the state, what a replacement left behind included."""
        found: dict[str, str] = {}
        for one in self.state()["resources"]:
            for remote_id in (one["id"], *one.get("deposed", ())):
                found[remote_id] = one["address"]
        return found

    def records(self) -> dict[str, dict[str, Any]]:
        """What the state says, by address."""
        return {one["address"]: one for one in self.state()["resources"]}

    def state(self) -> dict[str, Any]:
        """The state file."""
        path = self.stack / ".reconciler" / "state.json"
        if not path.exists() or not path.stat().st_size:  # never written, or lost by the disk
            return {"secret_key": "", "resources": []}
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def believed(self) -> dict[str, str]:
        """What the state says by address, ids as the addresses of what they mean; of secrets nothing."""
        ids = self.remembered()
        lines = {}
        for address, one in sorted(self.records().items()):
            kept = {key: value for key, value in one.items() if key not in ("wire_digest", "secrets")}
            line = json.dumps(kept, sort_keys=True)
            lines[address] = re.sub(r"[0-9a-f-]{36}", lambda found: ids.get(found[0], found[0]), line)
        return lines

    def wrongs(self) -> list[str]:
        """Once a dead run is settled: what differs between platform and state. Nothing may."""
        live, known = self.live(), self.remembered()
        ours = {one: found for one, found in live.items() if one not in self.others}
        wrong = [
            f"orphaned: {found.name} ({one})"
            for one, found in ours.items()
            # What the platform never removes may be let go of: then we knew it once.
            if one not in known and not (found.stays and one in self.ever_known)
        ]
        wrong += [f"lost: {address} ({one})" for one, address in known.items() if one not in ours]
        wrong += [
            f"{address} is remembered as {one}, which is {ours[one].name}"
            for one, address in known.items()
            if one in ours and ours[one].name != self.wishes.name_of(address)
        ]
        for one, text in self.others.items():
            if one not in live or live[one].text != text:
                wrong.append(f"an object of others was touched: {one}")
        for path in self.stack.glob(".reconciler/runs/*.open"):
            if b'"type":"Closed"' not in path.read_bytes().splitlines()[-1]:
                wrong.append(f"still open: {path.name}")
        return [*wrong, *self.vendor.flaws(self._proof(), live)]

    def _proof(self) -> Proof:
        return Proof(self.store, self.state(), self.wishes)

    def there(self) -> list[str]:
        """What is ours on the platform, a sorted line each, ids as the names of what they mean."""
        return sorted(f"{one.line} {one.exact} {one.besides}".rstrip() for one in self.ours().values())

    def unfinished(self) -> list[str]:
        """Once the specs are applied: what is not as they say."""
        remembered = self.remembered()
        specs = {stem: tomllib.loads(text) for stem, text in self.specs.items()}
        wished = Counter(self.vendor.wished(specs, self.wishes.files))
        there = Counter(one.line for id_, one in self.ours().items() if not one.stays or id_ in remembered)
        return [
            *(f"wished for, and not there: {one}" for one in (wished - there).elements()),
            *(f"there, and not wished for: {one}" for one in (there - wished).elements()),
            *self.vendor.shortcomings(self._proof(), self._variables()),
        ]

    def leaks(self) -> list[str]:
        """Files with the value of a secret in it."""
        needle = NEEDLE.encode()
        return [
            f"a secret is in {path.relative_to(self.directory)}"
            for path in self.directory.rglob("*")
            if path.is_file() and needle in path.read_bytes()
        ]

    def mistakes(self) -> list[str]:
        """What commands said of mistakes of their own, even where the next one went well."""
        text = self.said.read_text(errors="replace")
        self.said.write_text("")
        return [line for line in text.splitlines() if "internal error" in line or "Traceback" in line]

    def settled(self) -> list[str]:
        """What is wrong after the next command settled whatever there was, and after the one after that."""
        if wrong := self.until(0, self.chance.choice(("plan", "recover"))):
            return [wrong, *self._ended()]
        found, self.untrue = self.untrue, []
        found += [f"after settling: {one}" for one in self.wrongs()]
        if wrong := self.until(0, "apply", "--auto-approve"):
            return [*found, wrong]
        if wrong := self.until(0, "plan", "--detailed-exitcode"):
            return [*found, wrong]
        self.wishes.were_applied()
        in_the_end = (*self.wrongs(), *self.unfinished(), *self.leaks(), *self.mistakes())
        return [*found, *(f"in the end: {one}" for one in in_the_end)]

    def _ended(self) -> list[str]:
        """Whether the platform is to blame: it is no trial of ours that ends it."""
        code = self._server.poll() if self._server is not None else None
        return [] if code is None else [f"the platform ended with {code}"]

    def forget(self) -> None:
        """Remove all of it from the disk."""
        shutil.rmtree(self.directory, ignore_errors=True)
