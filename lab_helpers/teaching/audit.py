"""The API server's audit log, read and filtered (audit.k8s.io/v1, one JSON event a line)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_helpers.errors import SettingError
from lab_helpers.views import facts

Event = dict[str, Any]

_READS = ("get", "list", "watch")
_FIELDS: dict[str, Callable[[Event], object]] = {
    "verb": lambda event: event["verb"],
    "user": lambda event: event["user"].get("username"),
    "resource": lambda event: event.get("objectRef", {}).get("resource"),
    "subresource": lambda event: event.get("objectRef", {}).get("subresource", ""),
    "namespace": lambda event: event.get("objectRef", {}).get("namespace", ""),
    "code": lambda event: event.get("responseStatus", {}).get("code"),
}


def read(
    log: Path,
    names: tuple[str, ...] = (),
    *,
    since: float = 0.0,
    reads: bool = False,
    match: Callable[[Event], object] | None = None,
    **fields: object,
) -> list[Event]:
    """Events of an audit log, oldest first.

    Args:
        names: only those about objects of these names, or whose name begins with one of them and a dash.
        since: only those received after this moment (seconds since 1970).
        reads: also those that only read (get, list).
        match: only those for which this function is true.
        fields: only those with these values of verb, user, resource, subresource, namespace, code.

    Raises:
        SettingError: an unknown field.
    """
    if unknown := fields.keys() - _FIELDS.keys():
        raise SettingError(f"Audit events have no field {min(unknown)!r} here.", next_step=f"one of: {', '.join(_FIELDS)}")
    events = []
    for line in log.read_bytes().splitlines() if log.exists() else []:
        try:
            event = json.loads(line)
        except ValueError:  # the last line, while it is being written
            continue
        if (
            (reads or fields.get("verb") in _READS or event["verb"] not in _READS)
            and (not since or facts.seconds(event["requestReceivedTimestamp"]) >= since)
            and (not names or any(_about(event, name) for name in names))
            and all(_FIELDS[field](event) == value for field, value in fields.items())
            and (match is None or match(event))
        ):
            events.append(event)
    return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))


def _about(event: Event, name: str) -> bool:
    """Whether an event concerns an object of that name, or one whose name begins with it (`web`, `web-5d8…-x2x`)."""
    target = event.get("objectRef", {})
    names = [target.get("name", "")]
    for part in ("requestObject", "responseObject"):
        meta = (event.get(part) or {}).get("metadata") or {}
        names += [meta.get("name", ""), meta.get("generateName", "")]
    return any(found == name or str(found).startswith(f"{name}-") for found in names if found)
