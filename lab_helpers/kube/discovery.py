"""Which kinds the API server serves, under which paths and names (aggregated discovery, Kubernetes 1.30 and later)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """One kind of object.

    Attributes:
        base: for instance `/apis/apps/v1`.
        plural: for instance `deployments`.
        kind: for instance `Deployment`.
        namespaced: whether its objects live in namespaces.
        verbs: for instance `list` and `delete`.
        stale: whether the server that answers for it did not lately (an APIService whose Pods are gone).
    """

    base: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    stale: bool = False

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of all objects, of one object, or of its subresource."""
        parts = [self.base]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *filter(None, (name, subresource))])


def discover(ask: Callable[[str], dict[str, Any]]) -> dict[str, Resource]:
    """Every resource by each of its names in lower case: plural, singular, kind, short names, each also with its group.

    Args:
        ask: answers a path with the JSON of aggregated discovery.
    """
    found: dict[str, Resource] = {}
    for root in ("/api", "/apis"):
        for group in ask(root).get("items", []):
            name = group.get("metadata", {}).get("name", "")
            version = group["versions"][0]  # the API server lists its preferred version first
            base = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
            for entry in version.get("resources", []):
                kind = entry.get("responseKind", {}).get("kind", "")
                verbs, stale = frozenset(entry.get("verbs", [])), version.get("freshness") == "Stale"
                resource = Resource(base, entry["resource"], kind, entry.get("scope") == "Namespaced", verbs, stale)
                names = [entry["resource"], entry.get("singularResource", ""), kind.lower(), *entry.get("shortNames", [])]
                for alias in filter(None, names):
                    found.setdefault(alias, resource)  # the core group comes first, as in kubectl
                    found.setdefault(f"{alias}.{name}" if name else alias, resource)
    return found
