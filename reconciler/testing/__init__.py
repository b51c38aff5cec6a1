"""For whoever writes a provider or a state backend: what it has to keep, and stand-ins with a memory.

Subclass a contract, give it the fixture that it asks for, and pytest runs it::

    class TestRunai(ProviderContract):
        kind = "environment"
        plugin = PLUGIN

        @pytest.fixture
        def provider(self, tmp_path): ...

        def attributes(self, name): ...

`FakeProvider` and `MemoryBackend` are real implementations that keep the same
contracts, with switches for what goes wrong.
"""

from __future__ import annotations

from reconciler.testing.contracts import BackendContract, ProviderContract
from reconciler.testing.memory import MemoryBackend
from reconciler.testing.platform import FakeProvider

__all__ = ["BackendContract", "FakeProvider", "MemoryBackend", "ProviderContract"]
