"""What IAM policies say: allowed, denied, or nothing. moto stores them and does not read them.

Logic: docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. A condition operator that is not
known here does not hold, so that a policy never allows more than AWS would.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from lab_helpers.eks.callers import Caller

Document = Mapping[str, Any]


def decide(documents: Iterable[Document], action: str, resource: str, context: Mapping[str, str]) -> str:
    """What identity policies say of an action on a resource: `allow`, `deny` or an empty text."""
    said = ""
    for statement in _statements(documents):
        if not _named(statement, "Action", action.lower(), lower=True) or not _named(statement, "Resource", resource):
            continue
        if _conditions(statement, context):
            if statement.get("Effect") == "Deny":
                return "deny"
            said = "allow"
    return said


def trusts(document: Document, action: str, caller: Caller | None, context: Mapping[str, str], federated: str = "") -> str:
    """What a role's trust policy says: `allow` (by name), `account` (its account decides), `deny`, or an empty text.

    Args:
        caller: who signed; None for a web identity.
        federated: the ARN of the identity provider that signed the web identity.
    """
    said = ""
    for statement in _statements([document]):
        if not _named(statement, "Action", action.lower(), lower=True) or not _conditions(statement, context):
            continue
        found = _principal(statement.get("Principal"), caller, federated)
        if found and statement.get("Effect") == "Deny":
            return "deny"
        if found and (found == "allow" or not said):
            said = found
    return said


def _principal(named: Any, caller: Caller | None, federated: str) -> str:
    if named == "*":
        named = {"AWS": "*"}
    if not isinstance(named, Mapping):
        return ""
    if federated:
        return "allow" if federated in _many(named.get("Federated")) else ""
    if caller is None:
        return ""
    said = ""
    for name in _many(named.get("AWS")):
        if name in (caller.arn, caller.principal, "*"):
            return "allow"
        if name in (caller.account, f"arn:aws:iam::{caller.account}:root"):
            said = "account"
    return said


def _statements(documents: Iterable[Document]) -> Iterable[Mapping[str, Any]]:
    for document in documents:
        yield from (item for item in _many(document.get("Statement")) if isinstance(item, Mapping))


def _many(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _named(statement: Mapping[str, Any], what: str, value: str, *, lower: bool = False) -> bool:
    """Whether a statement speaks of this action or resource; a trust policy names no resource."""
    if f"Not{what}" in statement:
        return not any(_like(value, pattern.lower() if lower else pattern) for pattern in _many(statement[f"Not{what}"]))
    patterns = _many(statement.get(what, "*" if what == "Resource" else None))
    return any(_like(value, pattern.lower() if lower else pattern) for pattern in patterns)


def _like(value: str, pattern: str) -> bool:
    # In a policy only * and ? are wild; fnmatch would take [ as well.
    return fnmatchcase(value, re.sub(r"\[", "[[]", str(pattern)))


_OPERATORS = {
    "StringEquals": lambda have, want: have == want,
    "StringNotEquals": lambda have, want: have != want,
    "StringEqualsIgnoreCase": lambda have, want: have.lower() == want.lower(),
    "StringLike": _like,
    "StringNotLike": lambda have, want: not _like(have, want),
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda have, want: have.lower() == str(want).lower(),
    "Null": lambda have, want: str(want).lower() == "false",
}


def _conditions(statement: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Whether every condition holds: each operator, each key, any of its values (all, where the operator says not)."""
    lowered = {key.lower(): value for key, value in context.items()}
    for words, table in (statement.get("Condition") or {}).items():
        name = words.removesuffix("IfExists").rpartition(":")[2]
        test = _OPERATORS.get(name)
        if test is None:
            return False
        for key, wanted in table.items():
            have = lowered.get(key.lower())
            if have is None:
                if words.endswith("IfExists") or "Not" in name or (name == "Null" and "true" in str(wanted).lower()):
                    continue
                return False
            choose = all if "Not" in name else any
            if not choose(test(have, str(want)) for want in _many(wanted)):
                return False
    return True
