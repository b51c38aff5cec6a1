"""Run:ai: environments, the compute assets that go with them, and credentials.

``kinds`` says what the core has to know, ``spec`` what a spec may say,
``api`` what the wire says, ``provider`` turns one into the other, and
``emulator`` is the vendor's API, embedded.
"""

from __future__ import annotations

from reconciler.providers.runai.plugin import PLUGIN

__all__ = ["PLUGIN"]
