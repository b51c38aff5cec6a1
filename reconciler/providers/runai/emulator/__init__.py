"""The Run:ai API, embedded: environments and what surrounds them, kept in a ``Store``.

Facts are those of the Run:ai API 1.224 (see ``api``), of ``runapy`` 1.224.0
as it behaves against a server, and of the vendor's documentation. Where they
are silent this is what we do, and a client should not depend on it:

- ``?name=`` finds names that contain the text; lists are in order of creation.
- Two assets of one kind may not have one name at one scope (``Options.unique``).
- A PUT replaces what it does not mention (``Options.put``).
- An id of the wrong scope, an unknown project, department, cluster or
  credential, a credential that does not cover the environment's scope, two
  sources of one variable, two connections of one name, a connection that is
  not exactly one of internal and external: 400.
- Creating in scope ``system``, changing or deleting a protected environment: 403.

No secret value is stored, answered or logged. Times and ids come from the
caller of ``build_app``. Read ``app`` first: the paths, and who answers each.
"""

from __future__ import annotations

from reconciler.providers.runai.emulator.answers import refuse
from reconciler.providers.runai.emulator.app import Options, build_app
from reconciler.providers.runai.emulator.tokens import add_access_key
from reconciler.providers.runai.emulator.workloads import add_workload

__all__ = ["Options", "add_access_key", "add_workload", "build_app", "refuse"]
