"""What the resource manager does to every request: count it, and label the answer.

Each principal has a bucket of reads, one of writes and one of deletes, which
fill up again with time. Only with ``Options.throttle`` an empty one refuses.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from reconciler.providers.azureml.emulator.answers import Refused, arm_error, retry_after
from reconciler.providers.azureml.emulator.store import Platform, Principal, guid
from reconciler.providers.emulator import Answer, Call

__all__ = ["Budget", "Budgets"]


class _Rate(NamedTuple):
    kind: str
    size: int
    per_second: int


_READS: Final = _Rate("reads", 250, 25)
_WRITES: Final = _Rate("writes", 200, 10)
_DELETES: Final = _Rate("deletes", 200, 10)


class Budget:
    """The buckets of one kind, and how much is left in the one that was asked last."""

    def __init__(self, platform: Platform, rate: _Rate) -> None:
        self._platform = platform
        self.rate = rate
        self.left = float(rate.size)
        self._buckets: dict[str, tuple[float, float]] = {}

    def spend(self, who: Principal) -> None:
        """Take one request out of the caller's bucket. Refuses with 429 when it is empty and that counts."""
        now = self._platform.clock().timestamp()
        left, then = self._buckets.get(who.client_id, (float(self.rate.size), now))
        left = min(float(self.rate.size), left + (now - then) * self.rate.per_second)
        enough = left >= 1
        self.left = left - 1 if enough else left
        self._buckets[who.client_id] = (self.left, now)
        if not enough and self._platform.options.throttle:
            raise Refused(
                arm_error(
                    429,
                    "SubscriptionRequestsThrottled",
                    f"Number of {self.rate.kind} for subscription exceeded the limit. Retry after some time.",
                    retry_after((1 - left) / self.rate.per_second),
                )
            )


class Budgets:
    """The buckets, and the headers that tell of them."""

    def __init__(self, platform: Platform) -> None:
        self._reads = Budget(platform, _READS)
        self._writes = Budget(platform, _WRITES)
        self._deletes = Budget(platform, _DELETES)
        self._answered: Counter[str] = Counter()

    def of(self, method: str) -> Budget:
        """The budget that a request is paid from: POST counts as a write."""
        if method == "DELETE":
            return self._deletes
        return self._reads if method in ("GET", "HEAD") else self._writes

    def labelled(self, answer: Answer, call: Call, budget: Budget) -> Answer:
        """*answer* with the headers that the resource manager and the service put on each."""
        self._answered[call.method] += 1
        request = guid(f"{call.method} {self._answered[call.method]}")
        kind = b"error" if answer.status >= 400 else b"standard"
        headers = (
            *answer.headers,
            (b"cache-control", b"no-cache"),
            (b"pragma", b"no-cache"),
            (b"expires", b"-1"),
            (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-ms-correlation-request-id", request.encode()),
            (b"x-ms-request-id", request.encode()),
            (b"x-ms-routing-request-id", f"EMBEDDED:{request}".encode()),
            (b"x-ms-response-type", kind),
            (b"x-request-time", b"0.001"),
            (f"x-ms-ratelimit-remaining-subscription-{budget.rate.kind}".encode(), b"%d" % int(budget.left)),
        )
        return answer._replace(headers=headers)
