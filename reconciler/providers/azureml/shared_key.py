"""Requests to blob storage, signed with the key of the account.

Source: the vendor's documentation of Shared Key, and azure-storage-blob 12.31.1, which signs the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

__all__ = ["signed"]

_BETWEEN: Final = 7
"""Signed headers that we never send: the Date (x-ms-date goes before it), conditions, a range."""


def signed(
    account: str,
    key: str,
    *,
    method: str,
    path: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes | None,
    content_type: str,
    now: float,
) -> dict[str, str]:
    """*headers* with the date and the signature of a request. *path* is spelled as it is sent."""
    dated = {**headers, "x-ms-date": format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)}
    lines = [
        method,
        "",  # Content-Encoding
        "",  # Content-Language
        str(len(body)) if body else "",
        "",  # Content-MD5
        content_type if body is not None else "",
        *[""] * (_BETWEEN - 1),
    ]
    named = sorted((name.lower(), value) for name, value in dated.items())
    lines += [f"{name}:{value}" for name, value in named if name.startswith("x-ms-")]
    lines.append(f"/{account}{path}")
    lines += [f"{name.lower()}:{value}" for name, value in sorted(params.items())]
    made = hmac.digest(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256)
    return {**dated, "authorization": f"SharedKey {account}:{base64.b64encode(made).decode()}"}
