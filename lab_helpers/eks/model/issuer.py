"""A cluster's OIDC issuer: what it publishes, so that a service account's token can be checked without the cluster.

EKS publishes two documents on the internet (docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html);
here the local AWS answers at their addresses, with what the API server itself says.
"""

from __future__ import annotations

from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model.nodes import every
from lab_helpers.errors import LabError

_KINDS = "application/json, application/jwk-set+json"
_DOCUMENTS = {"/.well-known/openid-configuration": "/.well-known/openid-configuration", "/keys": "/openid/v1/jwks"}


def published(url: str) -> dict[str, Any] | None:
    """The document at an address: an issuer's with `/.well-known/openid-configuration` or `/keys` behind it.

    Returns:
        None where no cluster has this issuer, its API server does not answer, or there is no such document.
    """
    for _, cluster in every():
        issuer = str(cluster.shown["identity"]["oidc"]["issuer"])
        path = _DOCUMENTS.get(url.removeprefix(issuer)) if url.startswith(issuer) else None
        if path:
            try:
                return dict(plane.kube(cluster.local, cluster.provider).raw("GET", path, accept=_KINDS))
            except LabError:
                return None
    return None
