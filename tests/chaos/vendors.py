"""The vendors that worlds go round."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.aenvironment import Aenvironment
from chaos.azureml import Azureml
from chaos.runai import Runai
from chaos.vendor import Vendor

__all__ = ["VENDORS"]

VENDORS: Mapping[str, Vendor] = {one.platform: one for one in (Runai(), Azureml(), Aenvironment())}
"""By the name of the platform, in their order."""
