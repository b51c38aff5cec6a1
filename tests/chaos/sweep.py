"""One plan of a vendor, over and over: thirty steps of Run:ai, ten of the others.

Each fault at each call to the platform, a kill at each call to the disk, and
the journal torn at each byte.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaos.vendor import Vendor
from chaos.victim import Trouble
from chaos.world import World

from reconciler.errors import JournalUnreadable
from reconciler.state.journal import read_journal

FAULTS = {
    "400": "status = 400",
    "401": "status = 401",
    "403": "status = 403",
    "409": "status = 409",
    "429": "status = 429, retry_after = 0",
    "500": "status = 500",
    "503": "status = 503",
    "connection dropped before the effect": 'drop = "before"',
    "connection dropped after the effect": 'drop = "after"',
}

_CONFIG = """\
[stack]
name = "sweep"

{platform}
[policy]
max_delete_fraction = 1.0

[apply]
parallelism = 4
"""
_MOST_CALLS = 400


@dataclass
class Swept:
    """How many runs there were, at one call in how many, of how many steps, and what was wrong after them."""

    every: int = 1
    steps: int = 0
    runs: int = 0
    kills: int = 0
    cuts: int = 0
    wrong: list[str] = field(default_factory=list)


class _Stack(World):
    """A world whose platform is embedded: it lives in the process of the command."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.platform = self.stack

    def become(self, specs: dict[str, str], faults: str = "") -> None:
        """Wish for *specs*, from a platform that misbehaves so."""
        self.wishes.specs = specs
        self.config = _CONFIG.format(platform=self.vendor.inside(faults))
        self.write()


def _prepared(vendor: Vendor) -> _Stack:
    """A stack that is as it is before, with objects of others beside it."""
    found = _Stack("sweep", vendor, "calm")
    found.environment |= vendor.swept_variables
    found.wishes.ever |= {*vendor.swept_variables.values()}
    found.become(vendor.swept(after=False))
    assert found.until(0, "apply", "--auto-approve") == "", found.said.read_text()[-2000:]
    found.meet_others()
    return found


def sweep_faults(
    vendor: Vendor, faults: dict[str, str] = FAULTS, *, every: int = 1, calls: int = _MOST_CALLS
) -> Iterator[Swept]:
    """Each of *faults* at each *every*-th of the *calls* of the plan; the tally after each run."""
    template = _prepared(vendor)
    kept = Path(tempfile.mkdtemp(prefix="reconciler-sweep-")) / "kept"
    shutil.copytree(template.stack, kept)
    tally = Swept()
    template.become(vendor.swept(after=True))
    assert template.run("plan", "--out", "p.plan") == 0
    tally.steps = len(json.loads((template.stack / "p.plan").read_text())["plan"]["steps"])
    for name, fault in faults.items():
        for number in range(1, calls + 1, every):
            shutil.rmtree(template.stack)
            shutil.copytree(kept, template.stack)
            rule = f'faults = [{{ on = "{vendor.calls}", nth = [{number}], {fault} }}]\n'
            template.become(vendor.swept(after=True), rule)
            code = template.run("apply", "--auto-approve")
            tally.runs += 1
            template.become(vendor.swept(after=True))
            for one in template.settled():
                tally.wrong.append(f"{vendor.platform}: {name} at call {number} (exit code {code}): {one}")
            yield tally
            if name == "400" and code == 0:
                calls = number  # behind the last call, which a refusal shows
                break
    shutil.rmtree(kept.parent)
    template.forget()


def sweep_kills(vendor: Vendor, *, every: int = 1) -> Iterator[Swept]:
    """SIGKILL before each *every*-th call of the plan that changes the disk; the tally after each run."""
    template = _prepared(vendor)
    kept = Path(tempfile.mkdtemp(prefix="reconciler-sweep-")) / "kept"
    shutil.copytree(template.stack, kept)
    tally = Swept()
    code, number = -9, 1
    while code == -9:
        shutil.rmtree(template.stack)
        shutil.copytree(kept, template.stack)
        template.become(vendor.swept(after=True))
        code = template.run("apply", "--auto-approve", trouble=Trouble("kill", number))
        tally.kills += code == -9
        for one in template.settled():
            tally.wrong.append(f"{vendor.platform}: killed before call {number}: {one}")
        yield tally
        number += every
    shutil.rmtree(kept.parent)
    template.forget()


def tear_journal(vendor: Vendor) -> Swept:
    """The journal of a run that was killed at its end, cut off at each byte: a prefix of what was written."""
    world = _prepared(vendor)
    world.become(vendor.swept(after=True))
    tally = Swept()
    journal: Path | None = None
    for at in range(400, 20, -10):
        world.run("apply", "--auto-approve", trouble=Trouble("kill", at, "after"))
        journal = next(iter(world.stack.glob(".reconciler/runs/*.open")), None)
        if journal is not None:
            break
        world.become(vendor.swept(after=at % 20 == 0))
    assert journal is not None
    data = journal.read_bytes()
    whole = read_journal(journal)
    torn = world.directory / "torn.open"
    for size in range(len(data)):
        torn.write_bytes(data[:size])
        tally.cuts += 1
        try:
            found = read_journal(torn)
        except JournalUnreadable as error:
            tally.wrong.append(f"cut at byte {size}: {error}")
            continue
        if found != whole[: len(found)] or len(found) < data[:size].count(b"\n"):
            tally.wrong.append(f"cut at byte {size}: {len(found)} records")
    world.forget()
    return tally
