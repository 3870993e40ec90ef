"""A real worker of a kind cluster: a node container that joins by kubeadm, of any name and size, and goes again.

kind itself can only make workers together with their cluster, all alike. Its commands know ours by their two labels.
Facts: kind v0.33.0 (pkg/cluster/internal/providers/docker/provision.go), kubeadm v1beta4, cAdvisor's machine info.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from lab_helpers.clusters import cloudnode, engine
from lab_helpers.clusters.kwok import taint, usable
from lab_helpers.clusters.provider import NodeShape
from lab_helpers.errors import ClusterError
from lab_helpers.kube import Kube

_RUN = [
    "--detach",
    "--tty",
    "--init=false",
    "--restart=on-failure:1",
    "--privileged",
    "--cgroupns=private",
    "--tmpfs",
    "/tmp",
    "--tmpfs",
    "/run",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--volume",
    "/var",
    "--volume",
    "/lib/modules:/lib/modules:ro",
]
_BOOTED = "i=0; until test -S /run/containerd/containerd.sock; do i=$((i+1)); test $i -lt 600 || exit 1; sleep 0.1; done"
_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True)
class Site:
    """Where workers are made.

    Attributes:
        cluster: the cluster's name.
        image: the node image.
        network: the Docker network that the cluster is in.
        labels: options that put the lab's labels on a container.
        folder: the cluster's own, for the files that tell a node its size.
        managed: whether the control plane is a cloud's: a node has no network until somebody switches it on.
        images: further names of the nodes' images: name → image without its tag.
    """

    cluster: str
    image: str
    network: str
    labels: tuple[str, ...]
    folder: Path
    managed: bool = False
    images: Mapping[str, str] = field(default_factory=dict)


def container(cluster: str, node: str) -> str:
    """The container of a node; the control plane's is named by kind."""
    return node if node == f"{cluster}-control-plane" else f"{cluster}-{node}"


def states(cluster: str) -> dict[str, str]:
    """The containers of a cluster: name → Docker's state (`running`, `paused`, `exited`, …); only the lab's own."""
    # LABEL alone is also on our images, and so on whatever somebody else makes of them.
    marks = (f"{engine.HOME}={engine.owner()}", f"io.x-k8s.kind.cluster={cluster}")
    filters = [part for mark in marks for part in ("--filter", f"label={mark}")]
    rows = engine.docker("ps", "--all", *filters, "--format", "{{.Names}} {{.State}}").splitlines()
    return dict(row.split() for row in rows)


def join(site: Site, shapes: Sequence[NodeShape], kube: Kube) -> None:
    """Join nodes, all at once, and return when every one of them is Ready; of a managed cluster, when it is registered.

    Raises:
        ClusterError: a container could not be run, or its node did not join; says which.
        WaitTimeout: a node joined and did not become Ready.
    """
    if not shapes:
        return
    control = f"{site.cluster}-control-plane"
    # kind's own token lasts only for a day.
    words = engine.exec(control, "kubeadm", "token", "create", "--ttl", "10m", "--print-join-command").split()
    secret = words[words.index("--token") + 1], words[words.index("--discovery-token-ca-cert-hash") + 1]
    containerd = engine.exec(control, "cat", "/etc/containerd/config.toml") + "\n"
    with ThreadPoolExecutor(max_workers=len(shapes)) as pool:
        for done in [pool.submit(_join, site, shape, secret, containerd, kube) for shape in shapes]:
            done.result()


def _join(site: Site, shape: NodeShape, secret: tuple[str, str], containerd: str, kube: Kube) -> None:
    name = container(site.cluster, shape.name)
    marks = ["--label", f"io.x-k8s.kind.cluster={site.cluster}", "--label", "io.x-k8s.kind.role=worker", *site.labels]
    size = _size(shape, site.folder / "nodes" / shape.name) + (cloudnode.mounts(site.folder) if site.managed else [])
    where = ["--name", name, "--hostname", shape.name, "--net", site.network]
    engine.docker("run", *where, *marks, *_RUN, *size, site.image)
    try:
        engine.exec(name, "sh", "-c", _BOOTED, timeout=90)
    except ClusterError:
        said = engine.docker("logs", "--tail", "15", name)
        raise ClusterError(f"The node {shape.name} did not boot within 60 s.", said, "lab doctor") from None
    if _oversized(shape):
        containerd = containerd.replace("SystemdCgroup = true", "SystemdCgroup = false")
    _write(name, "/kind/containerd.toml", containerd)
    engine.exec(name, "sh", "-c", _SAME_CONTAINERD)
    if site.managed:
        cloudnode.prepare(name, site.images, shape.minor)
    address = engine.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).strip()
    _write(name, "/kind/kubeadm.conf", yaml.safe_dump(_join_configuration(site.cluster, shape, address, secret)))
    _write(name, "/kind/patches/kubeletconfiguration+strategic.yaml", yaml.safe_dump(_kubelet(shape)))
    engine.exec(name, "kubeadm", "join", "--config", "/kind/kubeadm.conf", timeout=120)
    kube.wait_for("node", shape.name, lambda item: item is not None, deadline=60, what="to be registered")
    # By the administrator: a kubelet may not give itself labels of every kind.
    zone = {"topology.kubernetes.io/zone": shape.zone} if shape.zone else {}
    kube.patch("node", shape.name, {"metadata": {"labels": {**zone, **shape.labels}}})
    if not site.managed:
        kube.wait_for("node", shape.name, usable, deadline=120, what="Ready")


_SAME_CONTAINERD = (
    "cmp -s /kind/containerd.toml /etc/containerd/config.toml || "
    "{ cp /kind/containerd.toml /etc/containerd/config.toml && systemctl restart containerd; }"
)


def _write(name: str, path: str, text: str) -> None:
    engine.exec(name, "sh", "-c", f"mkdir -p {Path(path).parent} && cat > {path}", input=text)


def _join_configuration(cluster: str, shape: NodeShape, address: str, secret: tuple[str, str]) -> dict[str, Any]:
    token, authority = secret
    arguments = {"node-ip": address, "provider-id": shape.provider_id or f"kind://docker/{cluster}/{shape.name}"}
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": f"{cluster}-control-plane:6443",
                "token": token,
                "caCertHashes": [authority],
            }
        },
        "nodeRegistration": {
            "name": shape.name,
            "criSocket": "unix:///run/containerd/containerd.sock",
            "kubeletExtraArgs": [{"name": key, "value": value} for key, value in arguments.items()],
            "taints": [taint(text) for text in shape.taints],
        },
        "skipPhases": ["preflight"],
        "patches": {"directory": "/kind/patches"},
    }


def _kubelet(shape: NodeShape) -> dict[str, Any]:
    """What this node's kubelet has of its own, over the cluster's kubelet-config."""
    own: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "maxPods": int(shape.pods),
    }
    if _oversized(shape):
        # Else the kubelet would write CPUs into a cpuset that the machine does not have, and end.
        own |= {"cgroupsPerQOS": False, "enforceNodeAllocatable": [], "cgroupDriver": "cgroupfs"}
    return own


def cores(shape: NodeShape) -> int:
    """CPUs of a shape: whole ones, as machines have them."""
    text = str(shape.cpu)
    return math.ceil(float(text[:-1]) / 1000 if text.endswith("m") else float(text))


def mebibytes(shape: NodeShape) -> int:
    """Memory of a shape in MiB.

    Raises:
        ClusterError: it is no quantity of Kubernetes.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki|)", str(shape.memory))
    if not found:
        raise ClusterError(f"The node {shape.name} asks for memory {shape.memory!r}.", next_step="a quantity such as 16Gi")
    return int(float(found[1]) * _SUFFIXES[found[2]]) >> 20


def _oversized(shape: NodeShape) -> bool:
    return cores(shape) > (os.cpu_count() or 1)


def _size(shape: NodeShape, folder: Path) -> list[str]:
    """Options that make the kubelet report the shape's size, and Docker keep to it where the machine is larger.

    The kubelet takes its memory from /proc/meminfo and counts the CPUs below /sys/devices/system/node: files of ours are
    mounted over them.
    """
    cpus, memory = cores(shape), mebibytes(shape)
    (folder / "node0").mkdir(parents=True, exist_ok=True)
    free = memory * 1024 * 7 // 10
    rows = {"MemTotal": memory * 1024, "MemFree": free, "MemAvailable": free}
    rows |= {"Buffers": 0, "Cached": 0, "SwapTotal": 0, "SwapFree": 0}
    (folder / "meminfo").write_text("".join(f"{key}: {value} kB\n" for key, value in rows.items()))
    (folder / "online").write_text(f"0-{cpus - 1}\n")
    (folder / "node0" / "distance").write_text("10\n")
    (folder / "node0" / "meminfo").write_text(f"Node 0 MemTotal: {memory * 1024} kB\n")
    for number in range(cpus):
        topology = folder / "node0" / f"cpu{number}" / "topology"
        topology.mkdir(parents=True, exist_ok=True)
        (topology / "core_id").write_text(f"{number}\n")
        (topology / "physical_package_id").write_text("0\n")
    over = {"meminfo": "/proc/meminfo", "online": "/sys/devices/system/cpu/online"}
    options = [part for file, place in over.items() for part in ("--volume", f"{folder / file}:{place}:ro")]
    options += ["--volume", f"{folder / 'node0'}:/sys/devices/system/node/node0:ro"]
    if cpus < (os.cpu_count() or 1):
        options += ["--cpus", str(cpus)]
    if memory << 20 < psutil.virtual_memory().total:
        options += ["--memory", f"{memory}m"]
    return options
