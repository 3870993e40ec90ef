"""Who calls: set for each request by the service, asked when a cluster is made."""

from __future__ import annotations

from contextvars import ContextVar

caller: ContextVar[str] = ContextVar("caller", default="")
"""ARN of the caller, as STS says it: of a user, or of a role's session."""


def principal() -> str:
    """The caller as IAM knows it: a session's role, else the user; empty where nobody is known."""
    arn = caller.get()
    if ":assumed-role/" not in arn:
        return arn
    owner, name = arn.split(":")[4], arn.split("/")[1]
    return f"arn:aws:iam::{owner}:role/{name}"
