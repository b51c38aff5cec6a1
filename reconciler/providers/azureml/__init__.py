"""Azure Machine Learning: environments, whose versions are immutable.

``kinds`` says what the core has to know, ``spec`` what a spec may say,
``context`` what is in a build context, ``capture`` what is installed on this
machine, ``provider`` talks to the service, and ``emulator`` is the vendor's
API, embedded.
"""

from __future__ import annotations

from reconciler.providers.azureml.plugin import PLUGIN

__all__ = ["PLUGIN"]
