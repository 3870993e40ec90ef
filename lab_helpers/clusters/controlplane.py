"""The control plane of a kind cluster: static Pods in one container, stopped, started, asked and read by `docker exec`.

A static Pod lives as long as its manifest lies in /etc/kubernetes/manifests (kubelet): it is moved away and back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import processes, toolchain
from lab_helpers.clusters import engine, kindconfig, worker
from lab_helpers.clusters.provider import COMPONENTS, Cluster, Say, changed, flags
from lab_helpers.errors import ClusterError, WaitTimeout
from lab_helpers.kube import Kube

KUBELET = "kubelet@"
"""A node's kubelet as a component: `kubelet@node-1`."""

_AWAY = "/kind/stopped"
_HEALTH = {
    "etcd": "http://127.0.0.1:2381/health",
    "kube-apiserver": "https://127.0.0.1:6443/readyz",
    "kube-controller-manager": "https://127.0.0.1:10257/healthz",
    "kube-scheduler": "https://127.0.0.1:10259/healthz",
}
_LOOK = "; ".join(
    f"if [ -e {_AWAY}/{name}.yaml ]; then echo {name} stopped; "
    f"elif ! pgrep -f '^([^ ]*/)?{name} ' >/dev/null; then echo {name} dead; "
    f'elif [ "$(curl -sk -m 2 -o /dev/null -w %{{http_code}} {url})" = 200 ]; then echo {name} running; '
    f"else echo {name} unhealthy; fi"
    for name, url in _HEALTH.items()
)
_CRI = re.compile(r"^\S+ (?:stdout|stderr) [FP] ", re.M)  # containerd's prefix of each line of a container's log


def control(cluster: Cluster) -> str:
    """The container that holds the control plane."""
    return f"{cluster.name}-control-plane"


def health(cluster: Cluster) -> dict[str, str]:
    """State of each component, and of each real node's kubelet."""
    states = worker.states(cluster.name)
    if states.get(control(cluster)) == "running":
        rows = engine.exec(control(cluster), "sh", "-c", _LOOK, timeout=30).splitlines()
        found = dict(row.split() for row in rows)
    else:
        found = dict.fromkeys(COMPONENTS, "dead")
    for container, state in sorted(states.items()):
        if container != control(cluster):
            found[KUBELET + container.removeprefix(f"{cluster.name}-")] = _kubelet(container, state)
    return found


def _kubelet(container: str, state: str) -> str:
    if state == "paused":
        return "stopped"
    if state != "running":
        return "dead"
    said = engine.exec(container, "sh", "-c", f"test -e {_AWAY}/kubelet && echo stopped || systemctl is-active kubelet || true")
    return {"active": "running", "stopped": "stopped"}.get(said.strip(), "dead")


def stop(cluster: Cluster, component: str) -> None:
    """Stop a component, and return when its process is gone."""
    known(cluster, component)
    if component.startswith(KUBELET):
        script = f"mkdir -p {_AWAY} && touch {_AWAY}/kubelet && systemctl stop kubelet"
        engine.exec(worker.container(cluster.name, component.removeprefix(KUBELET)), "sh", "-c", script)
        return
    _away(cluster, [component])


def _away(cluster: Cluster, components: Sequence[str]) -> None:
    """Take static Pods away and return when their processes are gone.

    The kubelet gives an API server 30 s to end, which it spends waiting for its clients: after one second it is killed.
    """
    moves = "; ".join(f"mv /etc/kubernetes/manifests/{name}.yaml {_AWAY}/ 2>/dev/null" for name in components)
    pattern = f"^([^ ]*/)?({'|'.join(components)}) "
    gone = f"i=0; while pgrep -f '{pattern}' >/dev/null; do i=$((i+1)); test $i -lt 400 || exit 1"
    kill = f"test $i -lt 10 || pkill -KILL -f '{pattern}'; sleep 0.1; done"
    engine.exec(control(cluster), "sh", "-c", f"mkdir -p {_AWAY}; {moves}; {gone}; {kill}", timeout=60)


def start(cluster: Cluster, component: str) -> None:
    """Start a component, and return when it is healthy, where what it needs is there."""
    known(cluster, component)
    if component.startswith(KUBELET):
        node = component.removeprefix(KUBELET)
        engine.exec(worker.container(cluster.name, node), "sh", "-c", f"rm -f {_AWAY}/kubelet; systemctl start kubelet")
        return
    if component in ("etcd", "kube-apiserver"):
        _start_below(cluster, component)
        return
    _back(cluster, component)
    states = health(cluster)
    if all(states[name] in ("running", "unhealthy") for name in ("etcd", "kube-apiserver")):
        _wait_soon(cluster, component)


def _start_below(cluster: Cluster, component: str) -> None:
    """Start etcd or the API server under what stands on it, which ends first and starts after it.

    An API server without etcd does not refuse requests, it keeps them for a minute; a kubelet asks it before it starts a Pod,
    even a static one. Controller manager and scheduler run without an election here, and their watches back off up to a minute.
    """
    states = health(cluster)
    if states["etcd"] == "stopped" and component == "kube-apiserver":
        _back(cluster, component)  # it waits for etcd, and so does everything else
        return
    above = [name for name in COMPONENTS[COMPONENTS.index(component) + 1 :] if states[name] != "stopped"]
    if states["kube-apiserver"] == "stopped" and component == "etcd":
        above = []
    if above:
        _away(cluster, above)
    _back(cluster, component)
    _new_kubelet(cluster)
    _wait(cluster, component, 60)
    if "kube-apiserver" in above:
        above.remove("kube-apiserver")
        _back(cluster, "kube-apiserver")
        _wait_soon(cluster, "kube-apiserver")
    for name in above:
        _back(cluster, name)
    for name in above:
        _wait_soon(cluster, name)


def _back(cluster: Cluster, component: str) -> None:
    engine.exec(control(cluster), "sh", "-c", f"mv {_AWAY}/{component}.yaml /etc/kubernetes/manifests/ 2>/dev/null; true")


def reconfigure(cluster: Cluster, changes: Mapping[str, Mapping[str, str | None]], say: Say) -> None:
    """Restart components with other arguments, the API server first: their static Pods are written anew."""
    for component in [name for name in COMPONENTS if name in changes]:
        say(f"starting {component} again")
        pod = _manifest(cluster, component)
        container = pod["spec"]["containers"][0]
        container["command"] = changed(container["command"], changes[component])
        if component == "kube-apiserver" and "emulated-version" in changes[component]:
            container["command"][0] = _api_server(cluster, changes[component]["emulated-version"])
        text = yaml.safe_dump(pod, sort_keys=False)
        _away(cluster, [component])
        engine.exec(control(cluster), "sh", "-c", f"cat > {_AWAY}/{component}.yaml", input=text)
        start(cluster, component)


def _api_server(cluster: Cluster, minor: str | None) -> str:
    """The program that is the API server of a minor, put into the machine; None: that of the image."""
    if not minor:
        return "kube-apiserver"
    place = f"{kindconfig.LAB}/programs/{minor}/kube-apiserver"
    program = toolchain.ensure([f"kube-apiserver-{minor}"])[f"kube-apiserver-{minor}"]
    engine.exec(control(cluster), "sh", "-c", f"mkdir -p {Path(place).parent}")
    engine.docker("cp", "--follow-link", program, f"{control(cluster)}:{place}", timeout=120)
    return place


def _wait_soon(cluster: Cluster, component: str) -> None:
    """Wait for a component that was started.

    The kubelet starts what ended again and again more and more seldom; a new kubelet knows of no earlier ends.
    """
    try:
        _wait(cluster, component, 8)
    except WaitTimeout:
        _new_kubelet(cluster)
        _wait(cluster, component, 60)


def _new_kubelet(cluster: Cluster) -> None:
    engine.exec(control(cluster), "systemctl", "restart", "kubelet")


def _wait(cluster: Cluster, component: str, deadline: float) -> None:
    processes.wait_until(
        lambda: health(cluster)[component] == "running",
        deadline=deadline,
        what=f"{component}: a healthy answer",
        seen=lambda: processes.tail(log(cluster, component), 5),
    )


def wait(cluster: Cluster, say: Say) -> None:
    """Wait until every component that the learner did not stop is healthy.

    Raises:
        ClusterError: one of them is not within two minutes.
    """
    states = health(cluster)
    if "stopped" in (states["etcd"], states["kube-apiserver"]):
        return  # without them nothing else can be healthy, and the learner stopped them
    wanted = [name for name in COMPONENTS if states[name] != "stopped"]
    if any(states[name] != "running" for name in wanted):
        say("waiting until the control plane answers")
    try:
        for name in wanted:
            _wait(cluster, name, 120)
    except WaitTimeout as late:
        raise ClusterError(late.headline, late.seen, "lab.reset()") from None


def resume(cluster: Cluster) -> None:
    """Start whatever was stopped, unpause what was paused, and take away static Pods that were added."""
    states = worker.states(cluster.name)
    if control(cluster) not in states:
        raise ClusterError(f"The containers of cluster {cluster.name} are gone.", "deleted behind the lab's back?")
    if paused := [name for name, state in states.items() if state == "paused"]:
        engine.docker("unpause", *paused)
    keep = " ".join(f"! -name {name}.yaml" for name in COMPONENTS)
    for name, state in states.items():
        if state not in ("running", "paused"):
            continue
        mine = keep if name == control(cluster) else ""
        back = f"for f in {_AWAY}/*.yaml; do test -e $f && mv $f /etc/kubernetes/manifests/; done"
        kubelet = f"test -e {_AWAY}/kubelet && rm {_AWAY}/kubelet; systemctl is-active -q kubelet || systemctl start kubelet"
        extra = f"find /etc/kubernetes/manifests -type f {mine} -delete"
        engine.exec(name, "sh", "-c", f"{back}; {extra}; {kubelet}")


def wait_system(kube: Kube) -> None:
    """Wait until the cluster's own Deployments and DaemonSets are complete, so that its inventory is."""

    def complete() -> bool:
        deployments = [item for item in kube.list("deployments") if item["metadata"]["namespace"] != "default"]
        daemons = kube.list("daemonsets")
        return all(d["status"].get("readyReplicas", 0) >= d["spec"]["replicas"] for d in deployments) and all(
            d["status"].get("numberReady", 0) >= d["status"].get("desiredNumberScheduled", 1) for d in daemons
        )

    def seen() -> str:
        pods = [
            pod for pod in kube.list("pods") if not all(c.get("ready") for c in pod["status"].get("containerStatuses", [{}]))
        ]
        return "; ".join(f"{pod['metadata']['name']}: {kube.explain(pod)}" for pod in pods)

    processes.wait_until(complete, deadline=120, what="The cluster's own Pods: Ready", seen=seen)


def arguments(cluster: Cluster, component: str) -> dict[str, str]:
    """Arguments of a component, as its static Pod says."""
    if component not in COMPONENTS:
        raise ClusterError(f"{component!r} is no component of the control plane.", next_step=f"one of: {', '.join(COMPONENTS)}")
    return flags(_manifest(cluster, component)["spec"]["containers"][0]["command"])


def _manifest(cluster: Cluster, component: str) -> dict[str, Any]:
    """A component's static Pod, which runs or was taken away."""
    files = f"/etc/kubernetes/manifests/{component}.yaml {_AWAY}/{component}.yaml"
    pod: dict[str, Any] = yaml.safe_load(engine.exec(control(cluster), "sh", "-c", f"cat {files} 2>/dev/null || true"))
    return pod


def known(cluster: Cluster, component: str) -> None:
    """Raise ClusterError for a component that this cluster does not have."""
    nodes = [name.removeprefix(f"{cluster.name}-") for name in worker.states(cluster.name) if name != control(cluster)]
    names = [*COMPONENTS, *(f"{KUBELET}{node}" for node in nodes)]
    if component not in names:
        raise ClusterError(f"There is no component {component!r}.", next_step=f"one of: {', '.join(names)}")


# -- what it writes and needs -------------------------------------------------------------------------------------------


def log(cluster: Cluster, component: str) -> Path:
    """A fresh copy of a component's log; of `audit`, what was written since the last reset."""
    path = cluster.folder / "logs" / f"{component}.log"
    path.parent.mkdir(exist_ok=True)
    where = control(cluster)
    if component == "audit":
        start_at = int(_offset(cluster).read_text()) if _offset(cluster).exists() else 0
        script = f"tail -c +{start_at + 1} {kindconfig.AUDIT_LOG} 2>/dev/null || true"
    elif component.startswith(KUBELET):
        where, script = worker.container(cluster.name, component.removeprefix(KUBELET)), "journalctl -u kubelet -o cat -n 2000"
    else:
        script = f"cat $(ls -t /var/log/pods/kube-system_{component}-*/{component}/*.log 2>/dev/null | head -n 1) /dev/null"
    if worker.states(cluster.name).get(where) == "running":
        path.write_text(_CRI.sub("", engine.exec(where, "sh", "-c", script)) + "\n")
    return path


def _offset(cluster: Cluster) -> Path:
    return cluster.folder / "audit-begins"


def forget_audit(cluster: Cluster) -> None:
    """From now on the audit log begins here."""
    size = engine.exec(control(cluster), "sh", "-c", f"stat -c %s {kindconfig.AUDIT_LOG}")
    _offset(cluster).write_text(size.strip())


_KEYS = {"ca.crt": "etcd-ca.crt", "healthcheck-client.crt": "etcd-client.crt", "healthcheck-client.key": "etcd-client.key"}


def fetch_keys(cluster: Cluster) -> None:
    """Copy what etcdctl needs to be let in."""
    folder = cluster.folder / "pki"
    folder.mkdir(mode=0o700, exist_ok=True)
    for inside, outside in _KEYS.items():
        (folder / outside).write_text(engine.exec(control(cluster), "cat", f"/etc/kubernetes/pki/etcd/{inside}") + "\n")
        (folder / outside).chmod(0o600)


def etcd_environment(cluster: Cluster) -> dict[str, str]:
    """Variables by which etcdctl finds this cluster's etcd."""
    port = json.loads((cluster.folder / "ports.json").read_text())[str(kindconfig.ETCD_PORT)]
    files = {name: str(cluster.folder / "pki" / name) for name in _KEYS.values()}
    return {
        "ETCDCTL_ENDPOINTS": f"https://127.0.0.1:{port}",
        "ETCDCTL_CACERT": files["etcd-ca.crt"],
        "ETCDCTL_CERT": files["etcd-client.crt"],
        "ETCDCTL_KEY": files["etcd-client.key"],
    }
