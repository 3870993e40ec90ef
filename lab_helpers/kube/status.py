"""What an object says of itself in its status."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def ready(item: Object | None) -> bool:
    """Whether an object says `Ready` of itself."""
    return item is not None and condition(item, "Ready").get("status") == "True"


def condition(item: Object, kind: str) -> Object:
    """One of its conditions; empty where it has none of that type."""
    return next((entry for entry in item.get("status", {}).get("conditions") or [] if entry["type"] == kind), {})


def troubles(item: Object) -> list[str]:
    """Its phase, the conditions that do not hold, and what its containers wait for."""
    found = item.get("status", {})
    said = [str(found["phase"])] if "phase" in found else []
    for entry in found.get("conditions") or []:
        if entry.get("status") != "True" and entry.get("message"):
            said.append(f"{entry['type']}={entry['status']}: {entry['message']}")
    for container in found.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            said.append(f"container {container['name']}: {waiting.get('reason')} {waiting.get('message', '')}".strip())
    return said
