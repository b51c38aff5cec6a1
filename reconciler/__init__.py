"""reconciler: a git directory of TOML specs is the truth for machine-learning environments.

Start at `reconciler.engine.stack` for the use cases, at ``docs/design.md`` for
the map, at `reconciler.testing` for the contracts of new providers and state
backends.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
