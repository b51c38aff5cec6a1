"""One command that is killed, cut off or broken, wherever the dice say."""

from __future__ import annotations

import random
import signal
import time

from chaos.victim import Trouble
from chaos.world import World

KILLED = -signal.SIGKILL


def calls_of(world: World) -> int:
    """About as many calls as an apply of this world makes."""
    return 60 + 16 * world.size


def killed(world: World, chance: random.Random, *words: str, calls: int = 0) -> int:
    """Run *words*, to be killed at one of so many calls. Returns how many commands were."""
    at = chance.randint(1, calls or calls_of(world))
    return _hit(world, words, Trouble("kill", at, chance.choice(("before", "after"))))


def cut_off(world: World, chance: random.Random, *words: str, calls: int = 0) -> int:
    """The same, and what was never synced is gone."""
    seed = str(chance.random())
    at = chance.randint(1, calls or calls_of(world))
    return _hit(world, words, Trouble("power cut", at, chance.choice(("before", "after")), seed))


def out_of_room(world: World, chance: random.Random, *words: str, calls: int = 0) -> int:
    """From one of so many calls on the disk is full."""
    return _hit(world, words, Trouble("full disk", chance.randint(1, calls or calls_of(world))))


def harmed(world: World, chance: random.Random, *words: str, calls: int = 0) -> int:
    """One of these three."""
    return chance.choice((killed, killed, cut_off, out_of_room))(world, chance, *words, calls=calls)


def _hit(world: World, words: tuple[str, ...], trouble: Trouble) -> int:
    code = world.run(*words, trouble=trouble)
    # A request that was on its way arrives all the same; what comes next is to see it.
    time.sleep(0.02)
    return int(code == KILLED if trouble.kind != "full disk" else code != 0)
