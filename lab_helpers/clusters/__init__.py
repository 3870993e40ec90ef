"""Clusters: one interface (provider.py), one module per provider. Labs and teaching see `provider` and `environment`.

The providers' own modules are private to this room.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lab_helpers.clusters.provider import COMPONENTS, Cluster, NodeShape, Profile, Provider, Say
from lab_helpers.settings import Settings

__all__ = [
    "COMPONENTS",
    "Cluster",
    "NodeShape",
    "Profile",
    "Provider",
    "Say",
    "chosen",
    "described",
    "environment",
    "every",
    "other_kernel",
    "provider",
    "scrubbed",
]

# Nothing that points a program at the user's own clusters or cloud passes into a lab.
_SCRUBBED = ("AWS_", "KUBE", "HELM_", "EKSCTL_", "ETCDCTL_")

# The proxy of a lab's own cluster, as both providers write it: the user name is the namespace of short names.
_LABS_PROXY = re.compile(r"http://default:[\w-]{16,}@127\.0\.0\.1:\d+")


def provider(settings: Settings) -> Provider:
    """The provider that the settings ask for; `auto` takes kind where it can, see `chosen`."""
    return chosen(settings)[0]


def chosen(settings: Settings) -> tuple[Provider, str]:
    """The provider that the settings ask for, and in a sentence why this one."""
    from lab_helpers.clusters import engine, nodeimage
    from lab_helpers.clusters.embedded import Embedded
    from lab_helpers.clusters.kind import Kind

    if settings.provider == "kind":
        return Kind(settings), "kind, as you asked (LAB_PROVIDER)."
    if settings.provider == "embedded":
        return Embedded(settings), "embedded, as you asked (LAB_PROVIDER)."
    if reason := engine.why_not():
        return Embedded(settings), f"embedded: {reason.headline}"
    if not nodeimage.present(settings):
        # Pulling or building it takes minutes: the first lab does not wait for that.
        return Embedded(settings), "embedded: Docker answers, but the node image is not here yet (lab setup kind)."
    return Kind(settings), "kind: a Docker engine answers."


def other_kernel() -> bool:
    """Whether the engine's containers run beside another kernel than this process, as Docker Desktop's do."""
    from lab_helpers.clusters import engine

    return sys.platform != "linux" or "Docker Desktop" in engine.required().system


def every(settings: Settings) -> list[Provider]:
    """All providers: for what concerns every cluster that exists, whoever made it."""
    from lab_helpers.clusters.embedded import Embedded
    from lab_helpers.clusters.kind import Kind

    return [Embedded(settings), Kind(settings)]


def described(of: Provider, profile: Profile) -> tuple[str, str]:
    """For the banner: what is real and what is simulated in a cluster of this profile."""
    known: Callable[[Profile], tuple[str, str]] | None = getattr(of, "described", None)
    return known(profile) if known else (of.real, of.simulated)


def scrubbed(base: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no program finds the user's own clusters or cloud: what is not in a lab yet sees nothing."""
    env = {key: value for key, value in base.items() if not key.startswith(_SCRUBBED)}
    env = {key: value for key, value in env.items() if not _LABS_PROXY.fullmatch(value)}  # of a lab that was open before
    env["KUBECONFIG"] = os.devnull
    env["KUBERC"] = "off"  # the user's own kubectl preferences
    env["AWS_EC2_METADATA_DISABLED"] = "true"
    # Programs in Python send even 127.0.0.1 through an inherited proxy.
    for variable in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in env.get(variable, "").split(",") if host]
        env[variable] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost", "::1"]))
    return env


def environment(cluster: Cluster | None, of: Provider, programs: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a lab: for its kernel, `lab shell`, JupyterLab's terminal and CI alike.

    Args:
        cluster: None for a lab without one.
        of: the cluster's provider.
        programs: a folder that comes first in PATH.
        base: what to start from; default: this process's environment.
    """
    env = scrubbed(os.environ if base is None else base)
    first = [str(programs), str(Path(sys.executable).parent)]  # the lab's programs, and the `lab` command itself
    path = [entry for entry in env.get("PATH", "").split(os.pathsep) if entry not in first]
    env["PATH"] = os.pathsep.join([*first, *path])
    if cluster:
        env["KUBECONFIG"] = str(cluster.kubeconfig)
        env["KUBECACHEDIR"] = str(cluster.folder / "kubectl-cache")  # else ~/.kube/cache
        env.update(of.environment(cluster))
    return env
