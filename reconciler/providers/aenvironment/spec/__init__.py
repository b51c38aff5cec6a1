"""What a spec may say for AEnvironment, and the canonical attributes that it means.

An environment in the words of ``config.json``, in snake_case or in that file
itself. Imported only when a file has to be checked.
"""

from __future__ import annotations

from reconciler.providers.aenvironment.spec.reading import MODELS, read_spec, schema
from reconciler.providers.aenvironment.spec.writing import write_spec

__all__ = ["MODELS", "read_spec", "schema", "write_spec"]
