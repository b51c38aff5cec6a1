"""A directory of TOML in, a `SpecSet` out, or every complaint about it at once.

What belongs here: files, TOML, places in files, the merging of shared fields
with a platform's own. What does not: what a vendor's field means (providers),
and anything that asks a platform.
"""

from reconciler.specs.config import PlatformConfig, StackConfig, load_config
from reconciler.specs.folder import spec_names
from reconciler.specs.load import complaint_for, load_specs, places_of

__all__ = [
    "PlatformConfig",
    "StackConfig",
    "complaint_for",
    "load_config",
    "load_specs",
    "places_of",
    "spec_names",
]
