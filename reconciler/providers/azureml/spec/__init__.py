"""What a spec may say for Azure Machine Learning, and the canonical attributes that it means.

Everything that the vendor's guides let a person set in an environment, in the
words of the guides, of the API in snake_case, or both; and the files that
people have already: conda files, requirements, Dockerfiles, wheels, the YAML
of the vendor's command line, the JSON of its first SDK. Imported only when a
file has to be checked.
"""

from __future__ import annotations

from reconciler.providers.azureml.spec.reading import FIELDS, MODELS, read_spec, schema
from reconciler.providers.azureml.spec.writing import write_spec

__all__ = ["FIELDS", "MODELS", "read_spec", "schema", "write_spec"]
