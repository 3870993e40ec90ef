"""The API server's audit log, read and filtered (audit.k8s.io/v1, one JSON event a line)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab_helpers.views import facts

Event = dict[str, Any]


def read(log: Path, since: float = 0.0) -> list[Event]:
    """All events received after `since` (seconds since 1970), oldest first."""
    events = []
    with log.open() as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:  # the last line, while it is being written
                continue
            if not since or facts.seconds(event["requestReceivedTimestamp"]) >= since:
                events.append(event)
    return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))


def about(event: Event, name: str) -> bool:
    """Whether an event concerns an object of that name, or one whose name begins with it (`web`, `web-5d8…-x2x`)."""
    target = event.get("objectRef", {})
    names = [target.get("name", "")]
    for part in ("requestObject", "responseObject"):
        meta = (event.get(part) or {}).get("metadata") or {}
        names += [meta.get("name", ""), meta.get("generateName", "")]
    return any(found == name or str(found).startswith(f"{name}-") for found in names if found)
