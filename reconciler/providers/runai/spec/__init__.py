"""What a spec may say for Run:ai, and the canonical attributes that it means.

Everything that the vendor's guide lets a person set in an environment, in the
words of the guide, of the API in snake_case, or both. Imported only when a
file has to be checked.
"""

from __future__ import annotations

from reconciler.providers.runai.spec.reading import MODELS, read_spec, schema
from reconciler.providers.runai.spec.writing import write_spec

__all__ = ["MODELS", "read_spec", "schema", "write_spec"]
