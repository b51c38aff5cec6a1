"""Tells people of drift where they are: webhooks, chats, issues.

Here is how the others' APIs want it said; what is said is made elsewhere and
arrives as `News`. Nothing here knows specs, state or platforms, and whatever
is sent goes through the one HTTP client (timeouts, retries, redaction).
"""

from __future__ import annotations

from reconciler.notify.delivery import Post, deliver
from reconciler.notify.news import News

__all__ = ["News", "Post", "deliver"]
