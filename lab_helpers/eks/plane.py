"""An EKS cluster as one of the lab's own clusters, so that `lab clusters` shows it and `lab clean` removes it.

New ones are made by the lab's provider. On kind the control plane is a container that reaches aws-iam-authenticator, which
listens on this machine's loopback, by a relay (clusters/relay.py): where the engine's containers are of another kernel, as
Docker Desktop's are, unix sockets do not cross, and EKS's clusters are embedded ones.

Its control plane is always of the toolchain's Kubernetes; an older minor is emulated by it (`--emulated-version`): the
API of that minor, the code of this one. What the API server says of itself (GET /version) is that minor with `-lab` behind it,
since `eksctl upgrade cluster` waits until it does: a program of its own, linked for it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from lab_helpers import clusters, settings, toolchain
from lab_helpers.clusters import Cluster, NodeShape, Profile, Provider
from lab_helpers.errors import ClusterError
from lab_helpers.kube import Kube

_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Webhook:
    """How an API server asks a cluster's authenticator.

    Attributes:
        arguments: of the API server.
        files: those that the arguments name.
        port: of 127.0.0.1, where it listens.
    """

    arguments: dict[str, str]
    files: tuple[str, ...]
    port: int


class Authenticator(Protocol):
    """What asks AWS whose token it is: a webhook of the API server's. One for each cluster."""

    def prepare(self, local: str, name: str, entries: Mapping[str, Any]) -> Webhook:
        """Make its files."""
        ...

    def start(self, local: str, kubeconfig: Path) -> None:
        """Run it, once the API server answers; it runs already: nothing."""
        ...

    def write(self, local: str, entries: Mapping[str, Any]) -> None:
        """Who may enter now."""
        ...

    def stop(self, local: str) -> None:
        """End it and remove its files; there is none: nothing."""
        ...


authenticator: Authenticator | None = None
"""Set by the service. Without one a cluster knows only its administrator's certificate."""


def newest() -> str:
    """The minor that the lab's own programs are, for instance `1.36`."""
    return ".".join(toolchain.version("kube-apiserver").split(".")[:2])


def programs(of: Provider) -> tuple[str, ...]:
    """What the provider needs for clusters of all minors; older ones have their own API server and kubelet."""
    kinds = ("kube-apiserver", *(("kubelet",) if of.name == "kind" else ()))
    older = (f"{kind}-{minor}" for kind in kinds for minor in toolchain.OLDER_MINORS)
    return (*of.programs(Profile()), *older)


_PREFIX = "eks-"


def local_name(region: str, name: str, provider: str = "embedded") -> str:
    """An EKS cluster's name among the lab's clusters: `eks-NAME`, with a checksum where that would not be unique or short."""
    plain, where = re.sub("[^a-z0-9-]", "-", name.lower())[:30], ""
    if provider == "kind":  # containers of two state folders stand side by side in one engine
        where = str(settings.load().data.absolute())
    elif (plain, region) == (name, "us-east-1"):
        return f"{_PREFIX}{plain}"
    return f"{_PREFIX}{plain}-{hashlib.sha256(f'{where}{region}/{name}'.encode()).hexdigest()[:6]}"


def of_eks(of: settings.Settings, region: str, name: str) -> Cluster | None:
    """The lab's cluster of that EKS name, or None."""
    makers = clusters.every(of)
    return next((found for maker in makers if (found := maker.get(local_name(region, name, maker.name)))), None)


def delete_every(of: settings.Settings) -> None:
    """Remove every control plane, also half-made ones: the account that they belonged to is gone."""
    for one in clusters.every(of):
        for name in one.names():
            if name.startswith(_PREFIX):
                one.delete(name)


def chosen(of: settings.Settings) -> tuple[Provider, str]:
    """The provider that new clusters are made by, and in a sentence why."""
    provider, why = clusters.chosen(of)
    if provider.name == "kind" and clusters.other_kernel():
        return maker("embedded"), "embedded: containers of Docker Desktop do not reach the authenticator on this machine."
    return provider, why


def maker(provider: str) -> Provider:
    """The provider of that name."""
    return next(one for one in clusters.every(settings.load()) if one.name == provider)


def find(local: str, provider: str) -> Cluster | None:
    """The lab's cluster of an EKS cluster, or None."""
    return maker(provider).get(local) if provider else None


def get(local: str, provider: str) -> Cluster:
    """The lab's cluster of an EKS cluster.

    Raises:
        ClusterError: it is gone.
    """
    found = find(local, provider)
    if found is None:
        raise ClusterError(f"The control plane of {local} is gone.", "deleted behind EKS's back?", "delete the EKS cluster")
    return found


def kube(local: str, provider: str) -> Kube:
    """The API of an EKS cluster, as its administrator."""
    return _kube(get(local, provider).kubeconfig)


@lru_cache(maxsize=64)
def _kube(kubeconfig: Path) -> Kube:
    return Kube(kubeconfig)


def ensure(
    local: str,
    provider: str,
    name: str,
    version: str,
    entries: Mapping[str, Any],
    issuer: str,
    images: Mapping[str, str],
) -> Cluster:
    """The control plane of an EKS cluster, made or mended; returns when it is usable.

    Args:
        provider: who makes it.
        issuer: the address that stands as `iss` in the tokens of its service accounts.
        images: names of AWS's registry → images that real nodes have.
    """
    of = maker(provider)
    found = of.get(local)
    if found:
        of.mend(found, lambda line: None)
    else:
        arguments = arguments_for(version)
        server = arguments["kube-apiserver"]
        server |= {"service-account-issuer": issuer, "service-account-jwks-uri": f"{issuer}/keys"}
        profile = Profile(arguments=arguments, managed=True, images=images)
        if authenticator:
            hook = authenticator.prepare(local, name, entries)
            server |= hook.arguments
            profile = replace(profile, files=hook.files, reaches=(hook.port,))
        found = of.create(local, profile, lambda line: None)
        _kube.cache_clear()
    if authenticator:
        authenticator.start(local, found.kubeconfig)
    return found


def arguments_for(version: str) -> dict[str, dict[str, str]]:
    """Arguments of the control plane's components for a minor."""
    emulated = {} if version == newest() else {"emulated-version": version}
    return {component: dict(emulated) for component in _COMPONENTS}


def change_version(local: str, provider: str, version: str) -> None:
    """The same cluster as another minor: its components restart on the same etcd."""
    found = get(local, provider)
    emulated = None if version == newest() else version
    changes: dict[str, dict[str, str | None]] = {component: {"emulated-version": emulated} for component in _COMPONENTS}
    maker(provider).reconfigure(found, changes, lambda line: None)


def mend(local: str, provider: str) -> None:
    """Start again what died with the machine, or by itself."""
    of = maker(provider)
    if found := of.get(local):
        of.mend(found, lambda line: None)
        if authenticator:
            authenticator.start(local, found.kubeconfig)


def delete(local: str, provider: str) -> None:
    """Remove a control plane with everything that belongs to it; no error where there is none."""
    if authenticator:
        authenticator.stop(local)
    if provider:
        maker(provider).delete(local)


def add_node(cluster: Cluster, shape: NodeShape) -> None:
    """Add a node and return when it is Ready; a machine, when it is registered: Ready it is when its network is there."""
    maker(cluster.provider).add_node(cluster, shape)


def machines() -> set[tuple[str, str]]:
    """The nodes of EKS's clusters that are machines: (cluster, node)."""
    kind = maker("kind")
    return {(one.name, node) for one in kind.list() if one.profile.managed for node in kind.machines(one)}


def remove_node(cluster: Cluster, node: str) -> None:
    """Take a node away; its Pods go with it."""
    maker(cluster.provider).remove_node(cluster, node)


VOLUMES = "/kind/volumes"
"""Where they see them (clusters/cloudnode.py)."""


def volume(local: str, number: str) -> None:
    """Make the folder of a volume that the machines of a cluster on kind see under VOLUMES; anybody may write into it."""
    folder = get(local, "kind").folder / "volumes" / number
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)


def endpoint(cluster: Cluster) -> tuple[str, str]:
    """The API server's address, and its CA's certificate in base64, from the administrator's kubeconfig."""
    entry = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    if data := entry.get("certificate-authority-data"):
        return entry["server"], data
    path = entry.get("certificate-authority") or cluster.folder / "pki" / "ca.crt"
    return entry["server"], base64.b64encode(Path(path).read_bytes()).decode()
