"""Limits that a stack puts on itself: what its specs may ask for, and what a plan may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from reconciler.core.model import Action, Change, ResourceAddress
from reconciler.core.ports import Fact

__all__ = ["Policy", "limits", "thresholds"]


@dataclass(frozen=True, slots=True)
class Policy:
    """``[policy]`` of a stack. None means no limit.

    ``max_delete_fraction``: the largest share of the managed resources that
    one plan may delete or replace without ``--allow-deletes``. ``heal``: what
    `drift --heal` may do (``update``, ``create``, ``replace``); nothing, unless it is said.
    """

    max_cpu_cores: float | None = None
    max_memory_gb: float | None = None
    max_gpus: float | None = None
    allowed_scopes: tuple[str, ...] | None = None
    allowed_images: tuple[str, ...] | None = None
    max_delete_fraction: float = 0.5
    heal: tuple[str, ...] = ()

    @property
    def limits_specs(self) -> bool:
        """Whether there is anything that a spec alone can break."""
        return any(
            limit is not None
            for limit in (
                self.max_cpu_cores,
                self.max_memory_gb,
                self.max_gpus,
                self.allowed_scopes,
                self.allowed_images,
            )
        )


_MAXIMA: Mapping[str, tuple[str, str]] = {
    "cpu_cores": ("max_cpu_cores", "CPU cores"),
    "memory_gb": ("max_memory_gb", "GB of memory"),
    "gpus": ("max_gpus", "GPUs"),
}


def limits(policy: Policy, facts: Iterable[Fact]) -> Sequence[tuple[Fact, str]]:
    """Each fact that the policy does not allow, with what it says."""
    broken: list[tuple[Fact, str]] = []
    for fact in facts:
        if fact.name in _MAXIMA:
            name, unit = _MAXIMA[fact.name]
            most = getattr(policy, name)
            if most is not None and fact.value > most:
                broken.append((fact, f"{_number(fact.value)} {unit}; the policy allows {_number(most)}"))
        elif fact.name == "scope" and policy.allowed_scopes is not None:
            if fact.value not in policy.allowed_scopes:
                allowed = ", ".join(policy.allowed_scopes) or "none"
                broken.append((fact, f"scope {fact.value!r}; the policy allows {allowed}"))
        elif fact.name == "image" and policy.allowed_images is not None:
            names = _image_names(fact.value)
            if not any(fnmatchcase(name, glob) for name in names for glob in policy.allowed_images):
                allowed = ", ".join(policy.allowed_images) or "none"
                broken.append((fact, f"image {fact.value!r}; the policy allows {allowed}"))
    return broken


def thresholds(
    policy: Policy,
    changes: Sequence[Change],
    protected: Iterable[ResourceAddress],
    managed: int,
    *,
    destroy: bool,
    allow_deletes: bool,
) -> tuple[str, ...]:
    """Why this plan may not be applied as it stands, a line each; empty when it may.

    *protected* are the addresses under ``prevent_destroy``. Nothing but
    editing the spec or the state lifts that.
    """
    guarded = set(protected)
    reasons: list[str] = []
    taken_away = [change for change in changes if change.action in (Action.DELETE, Action.REPLACE)]
    for change in taken_away:
        if change.address in guarded:
            verb = "delete" if change.action is Action.DELETE else "replace"
            reasons.append(f"{change.address} has prevent_destroy, and this plan would {verb} it")
    reasons += [
        f"{change.address} has prevent_destroy, and this plan would let go of it"
        for change in changes
        if change.action is Action.FORGET and change.address in guarded
    ]
    if allow_deletes or destroy:
        return tuple(reasons)
    for change in taken_away:
        active = [str(user) for user in change.used_by if user.active]
        if active:
            more = f" and {len(active) - 3} more" if len(active) > 3 else ""
            reasons.append(
                f"{change.address} is in use by {', '.join(active[:3])}{more} (--allow-deletes permits it)"
            )
    # By address: what a broken replacement left behind is no managed resource besides its successor.
    lost = len({change.address for change in taken_away})
    share = lost / managed if managed else 0.0
    if share > policy.max_delete_fraction:
        reasons.append(
            f"{lost} of {managed} managed resources would be deleted or replaced, more than "
            f"max_delete_fraction = {_number(policy.max_delete_fraction)} (--allow-deletes permits it)"
        )
    return tuple(reasons)


def _number(value: Any) -> str:
    return f"{value:g}"


def _image_names(image: str) -> tuple[str, ...]:
    """The spellings under which a policy may name an image: as written, and without Docker's defaults."""
    short = image.removeprefix("docker.io/").removeprefix("library/")
    return (image,) if short == image else (image, short)
