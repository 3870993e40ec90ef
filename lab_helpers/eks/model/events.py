"""Events of a cluster that some program of AWS's would send there: `kubectl describe` shows them."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube


def warn(kube: Kube, item: dict[str, Any], reason: str, message: str, component: str, host: str = "") -> None:
    """Send a warning about an object.

    Args:
        component: who says so, for instance `kubelet`.
        host: the node that it runs on.
    """
    meta, at = item["metadata"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:200]}.{secrets.token_hex(8)}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": item.get("apiVersion") or "v1",
            "kind": item["kind"],
            **{key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")},
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": component, **({"host": host} if host else {})},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    with suppress(KubernetesError):  # its namespace ends: nobody will read it
        kube.create(body, meta["namespace"])
