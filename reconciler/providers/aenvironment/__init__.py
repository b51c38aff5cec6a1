"""AEnvironment: environments in an EnvHub, and the services that an api-service runs of them.

``kinds`` says what the core has to know, ``spec`` what a spec may say,
``api`` what the wire says, ``provider`` turns one into the other, and
``emulator`` is the vendor's two APIs, embedded.
"""

from __future__ import annotations

from reconciler.providers.aenvironment.plugin import PLUGIN

__all__ = ["PLUGIN"]
