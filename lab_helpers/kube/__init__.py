"""The Kubernetes API, thinly: `Kube` for one cluster, `ready` for one object. Clusters, checks and teaching call it."""

from lab_helpers.kube.client import Kube
from lab_helpers.kube.status import ready

__all__ = ["Kube", "ready"]
