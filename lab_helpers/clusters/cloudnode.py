"""What a real node of a managed cluster has of its own: no network of Pods yet, and images known by a cloud's names.

The network is that of the image built here (`lab-cni`), in the official image too. It begins when somebody starts the unit in
the machine, as a node of EKS has none until `aws-node` runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from lab_helpers import toolchain
from lab_helpers.clusters import engine, nodeimage

# The image built here has the agent and runs it; the official one runs kindnet as a Pod, which is not there.
_NO_NETWORK = "systemctl disable --quiet --now lab-cni 2>/dev/null; rm -f /etc/cni/net.d/*; systemctl daemon-reload"
_TAG = "from=$(ctr -n k8s.io images ls -q | grep -F -m1 {image}:) && ctr -n k8s.io images tag --force $from {names} >/dev/null"


def mounts(cluster: Path) -> list[str]:
    """Options of `docker run`: the cluster's volumes, which are folders of this machine.

    Args:
        cluster: the cluster's own folder.
    """
    folder = cluster / "volumes"
    folder.mkdir(exist_ok=True)
    return ["--volume", f"{folder}:/kind/volumes"]


def prepare(machine: str, images: Mapping[str, str], minor: str) -> None:
    """Make a node's machine so, before it joins.

    Args:
        machine: its container.
        images: further names of its images: name → image without its tag.
        minor: of its kubelet; empty: the one that it has.
    """
    if minor:
        program = toolchain.ensure([f"kubelet-{minor}"])[f"kubelet-{minor}"]
        engine.docker("cp", "--follow-link", program, f"{machine}:/usr/bin/kubelet.new", timeout=120)
        engine.exec(machine, "mv", "/usr/bin/kubelet.new", "/usr/bin/kubelet")
    for place, source in (("/kind/bin/lab-cni", "agent"), ("/etc/systemd/system/lab-cni.service", "unit")):
        text = nodeimage.NETWORK[source].read_text()
        engine.exec(machine, "sh", "-c", f"cat > {place}; chmod 755 {place}", input=text)
    engine.exec(machine, "sh", "-c", _NO_NETWORK)
    names = defaultdict(list)
    for name, image in images.items():
        names[image].append(name)
    for image, some in names.items():
        engine.exec(machine, "sh", "-c", _TAG.format(image=image, names=" ".join(some)))
