"""The Azure Machine Learning API, embedded: environments, and what surrounds them, kept in a ``Store``.

Facts are those that the vendor's clients show: azure-ai-ml 1.35.2 and its
client of the API of 2025-12-01, azure-mgmt-machinelearningservices 2.0.0b2,
azureml-core 1.61.0, their recorded sessions, and the vendor's documentation.
Where they are silent this is what we do, and a client should not depend on it:

- ``$top`` is the size of a page; a page that is not the last has a ``nextLink``.
- A PUT without ``tags`` or ``description`` clears them, one without ``isArchived`` restores.
- Restoring a version whose environment is archived: 400. Restoring the environment restores every version.
- A definition with neither image nor build, or with a build context and a conda file: 400.
- ``lastModifiedAt`` moves when description, tags, properties or stage change, and only then.
- A number in a conda file keeps its spelling; other scalars are what YAML 1.2 says.
- A version that was deleted may be made again; ``nextVersion`` does not offer it.

No client secret is stored or logged, and nothing is logged at all. Times and
ids come from the caller of ``build_app``. Read ``app`` first: the paths, and
who answers each.
"""

from __future__ import annotations

from reconciler.providers.azureml.emulator.answers import refuse
from reconciler.providers.azureml.emulator.app import build_app, create_app
from reconciler.providers.azureml.emulator.birth import add_principal
from reconciler.providers.azureml.emulator.jobs import set_job_status
from reconciler.providers.azureml.emulator.options import CLIENT, HERE, TENANT, Options, Registry, Workspace

__all__ = [
    "CLIENT",
    "HERE",
    "TENANT",
    "Options",
    "Registry",
    "Workspace",
    "add_principal",
    "build_app",
    "create_app",
    "refuse",
    "set_job_status",
]
