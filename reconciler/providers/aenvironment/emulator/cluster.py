"""What the controller and Kubernetes refuse, told by the api-service as a 500 that contains their answer.

Only what depends on names, images and sizes: the cluster never runs out of anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from reconciler.providers.aenvironment.emulator.answers import Refused


def refused(doing: str, status: int, body: str) -> Refused:
    """The api-service's 500 about what the controller answered."""
    return Refused(500, f"Failed to {doing}: request failed with status: {status}, body: {body}")


_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_QUANTITY: Final = re.compile(
    r"[0-9]+(\.[0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?|\.[0-9]+([KMGTPE]i?|m)?"
)


def check_labels(doing: str, *values: str) -> None:
    """Refuse names and versions that cannot be labels of what is created."""
    for value in values:
        if not _LABEL.fullmatch(value):
            raise refused(
                doing,
                500,
                f'metadata.labels: Invalid value: "{value}": a valid label must be '
                "63 characters or less and start and end with an alphanumeric character",
            )


def check_pod(doing: str, name: str, image: str, variables: Mapping[str, str]) -> None:
    """Refuse a pod, or a template of pods, that Kubernetes refuses."""
    if not _SUBDOMAIN.fullmatch(name):
        raise refused(doing, 500, f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain')
    if not image:
        raise refused(doing, 500, f'"{name}" is invalid: spec.containers[0].image: Required value')
    for variable in variables:
        if not _VARIABLE.fullmatch(variable):
            raise refused(
                doing, 500, f'"{name}" is invalid: spec.containers[0].env: Invalid value: "{variable}"'
            )


def check_service(doing: str, name: str, port: int, replicas: int) -> None:
    """Refuse a service that Kubernetes refuses."""
    if not _SERVICE.fullmatch(name):
        raise refused(doing, 500, f'Service "{name}" is invalid: metadata.name: a DNS-1035 label')
    if not 1 <= port <= 65535:
        raise refused(doing, 500, f'Service "{name}" is invalid: spec.ports[0].port: Invalid value: {port}')
    check_replicas(doing, name, replicas)


def check_replicas(doing: str, name: str, replicas: int) -> None:
    """Refuse a number of pods below none."""
    if replicas < 0:
        raise refused(doing, 500, f'Deployment "{name}" is invalid: spec.replicas: Invalid value: {replicas}')


def check_quantities(doing: str, quantities: Iterable[str]) -> None:
    """Refuse amounts that cannot be parsed."""
    for quantity in quantities:
        if not _QUANTITY.fullmatch(quantity):
            raise refused(doing, 500, f"quantities must match the regular expression, {quantity!r} does not")
