"""kwokctl's binary runtime: its configuration, and what it writes down. Facts: kwok v0.8.0, pkg/kwokctl/runtime/binary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import processes
from lab_helpers.clusters.audit_policy import AUDIT_POLICY
from lab_helpers.clusters.kwok import MARK, READY_AGAIN
from lab_helpers.clusters.ports import free_ports
from lab_helpers.clusters.provider import Profile, changed
from lab_helpers.toolchain import version

# Arguments that kwokctl sets itself: a patch must replace them. One that it does not set must not: kwokctl drops it.
_SET_BY_KWOKCTL = {
    "kube-apiserver": {"service-account-issuer"},
    "kube-controller-manager": {"node-monitor-period", "node-monitor-grace-period"},
    "kwok-controller": {"manage-all-nodes", "node-lease-duration-seconds"},
}

BINARIES = {
    "etcdBinary": "etcd",
    "etcdctlBinary": "etcdctl",
    "etcdutlBinary": "etcdutl",
    "kubeApiserverBinary": "kube-apiserver",
    "kubeControllerManagerBinary": "kube-controller-manager",
    "kubeSchedulerBinary": "kube-scheduler",
    "kwokControllerBinary": "kwok",
    "kubectlBinary": "kubectl",
}
"""Option of kwokctl's configuration → program."""


def api_server(arguments: Mapping[str, Mapping[str, str | None]]) -> str:
    """Which program is the API server: that of an older minor where its arguments say that it emulates one."""
    minor = arguments.get("kube-apiserver", {}).get("emulated-version")
    return f"kube-apiserver-{minor}" if minor else "kube-apiserver"


_FAST_CLIENT = {"kube-api-qps": "500", "kube-api-burst": "1000"}


class PortTaken(Exception):
    """Somebody bound a port between our choice and the component's bind."""


def _arguments(folder: Path) -> dict[str, dict[str, str]]:
    pki = folder / "pki"
    return {
        "kube-apiserver": {"service-cluster-ip-range": "10.96.0.0/16"},
        "kube-controller-manager": {
            **_FAST_CLIENT,
            # kwokctl's default is five times slower than Kubernetes' own (1.32 and later: 5 s and 50 s).
            "node-monitor-period": "5s",
            "node-monitor-grace-period": "50s",
            "cluster-signing-cert-file": f"{pki}/ca.crt",
            "cluster-signing-key-file": f"{pki}/ca.key",
            # A /24 for each node, for up to 16,384 nodes, clear of the services' range.
            "allocate-node-cidrs": "true",
            "cluster-cidr": "10.128.0.0/10",
            # One instance each: an election would only make a restart wait 15 s for the old lease.
            "leader-elect": "false",
        },
        "kube-scheduler": {**_FAST_CLIENT, "leader-elect": "false"},
        "kwok-controller": {
            "manage-all-nodes": "false",
            "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
            "disregard-status-with-annotation-selector": MARK,
            "config": str(READY_AGAIN),  # beside kwokctl's own stages
        },
    }


def _for_programs(folder: Path) -> dict[str, dict[str, str]]:
    """What the API server needs to reach the agents of process nodes, and to hold them to what a kubelet may do."""
    pki = folder / "pki"
    return {
        "kube-apiserver": {
            "kubelet-client-certificate": f"{pki}/admin.crt",
            "kubelet-client-key": f"{pki}/admin.key",
            "kubelet-certificate-authority": f"{pki}/ca.crt",
            "kubelet-preferred-address-types": "InternalIP,Hostname",
            "enable-admission-plugins": "NodeRestriction",
        }
    }


def _for_metrics(folder: Path) -> dict[str, dict[str, str]]:
    """The API server passes metrics.k8s.io on; the autoscaler acts sooner than by default (15 s, 5 min, 30 s, 5 min)."""
    return {
        "kube-apiserver": {
            "requestheader-client-ca-file": f"{folder}/pki/ca.crt",
            "requestheader-allowed-names": "kwok-admin",  # without it the API server ends: its client CA is the same
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        },
        "kube-controller-manager": {
            "horizontal-pod-autoscaler-sync-period": "5s",
            "horizontal-pod-autoscaler-cpu-initialization-period": "20s",
            "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
            "horizontal-pod-autoscaler-downscale-stabilization": "30s",
        },
    }


def _all_arguments(folder: Path, profile: Profile) -> dict[str, dict[str, str]]:
    """Arguments by component; the profile's own come last and so win."""
    sources: list[Mapping[str, Mapping[str, str]]] = [_arguments(folder)]
    if any(shape.runs == "programs" for shape in profile.nodes):
        sources += [_for_programs(folder), *([_for_metrics(folder)] if profile.metrics else [])]
    merged: dict[str, dict[str, str]] = {}
    for source in [*sources, profile.arguments]:
        for component, arguments in source.items():
            merged.setdefault(component, {}).update(arguments)
    return merged


def create(data: Path, name: str, profile: Profile, paths: dict[str, Path]) -> None:
    """Make keys and arguments and start every component; returns before they are healthy.

    Raises:
        PortTaken: somebody bound a port between our choice and the component's bind.
        ProgramError: kwokctl failed.
    """
    file = config_file(data, name)
    policy = file.with_suffix(".audit.yaml")
    try:
        policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        file.write_text(yaml.safe_dump(_configuration(data / "clusters" / name, profile, paths, policy)))
        command: list[str | Path] = [paths["kwokctl"], "create", "cluster", "--name", name, "--config", file]
        processes.run(command, env=environment(data), timeout=120, watch=lambda: raise_if_port_taken(data / "clusters" / name))
    finally:
        policy.unlink(missing_ok=True)
        file.unlink(missing_ok=True)


def raise_if_port_taken(folder: Path) -> None:
    """Raise PortTaken where a component's log says so; kwokctl itself would wait for minutes."""
    for log in (folder / "logs").glob("*.log"):
        if "address already in use" in processes.tail(log):
            raise PortTaken


def config_file(data: Path, name: str) -> Path:
    """Where the configuration stands while kwokctl reads it."""
    return data / "clusters" / f".{name}.yaml"


def environment(data: Path) -> dict[str, str]:
    """kwokctl's and the components' environment: nothing of the user's but PATH, HOME and the language."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    # kwokctl adds a context to KUBECONFIG: a file of its own, never the user's.
    return {**kept, "KWOK_WORKDIR": str(data), "KUBECONFIG": os.devnull, "NO_PROXY": "127.0.0.1,localhost"}


def _configuration(folder: Path, profile: Profile, paths: dict[str, Path], policy: Path) -> dict[str, Any]:
    ports = (
        "etcdPort",
        "etcdPeerPort",
        "kubeApiserverPort",
        "kubeControllerManagerPort",
        "kubeSchedulerPort",
        "kwokControllerPort",
    )
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            "kubeVersion": f"v{version('kube-apiserver')}",
            "etcdVersion": version("etcd"),
            "bindAddress": "127.0.0.1",
            "heartbeatFactor": 1,
            "kubeAuditPolicy": str(policy),
            "disableQPSLimits": False,
            **{key: str(paths[program]) for key, program in BINARIES.items()},
            "kubeApiserverBinary": str(paths[api_server(profile.arguments)]),
            **dict(zip(ports, free_ports(len(ports)), strict=True)),
        },
        "componentsPatches": [
            {"name": component, "extraArgs": _extra(component, arguments)}
            for component, arguments in _all_arguments(folder, profile).items()
        ],
    }


def _extra(component: str, arguments: dict[str, str]) -> list[dict[str, Any]]:
    replaced = _SET_BY_KWOKCTL.get(component, set())
    return [
        {"key": key, "value": str(value), **({"override": True} if key in replaced else {})} for key, value in arguments.items()
    ]


def components(folder: Path) -> list[dict[str, Any]]:
    """The components as kwokctl wrote them down: name, binary, args, ports."""
    path = folder / "kwok.yaml"
    return _components(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _components(path: str, _changed: int) -> list[dict[str, Any]]:
    # The file's first document; the Stages after it are long, and PyYAML is slow.
    head = Path(path).read_text().partition("\n---\n")[0]
    return list(yaml.safe_load(head)["components"])


def reconfigure(folder: Path, changes: Mapping[str, Mapping[str, str | None]], api_server: Path | None = None) -> None:
    """Write down other arguments of components: argument → value, or None: it is left out; and another API server."""
    path = folder / "kwok.yaml"
    head, mark, rest = path.read_text().partition("\n---\n")
    document = yaml.safe_load(head)
    for entry in document["components"]:
        if wanted := changes.get(entry["name"]):
            entry["args"] = changed(entry["args"], wanted)
        if api_server and entry["name"] == "kube-apiserver":
            entry["binary"] = str(api_server)
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(document) + mark.lstrip("\n") + rest if mark else yaml.safe_dump(document))
    new.replace(path)


def port(folder: Path, component: str) -> int:
    """The port on which a component answers health checks."""
    item = next(entry for entry in components(folder) if entry["name"] == component)
    return int(next(entry["port"] for entry in item["ports"] if entry["name"] in ("http", "https")))


def pid(folder: Path, component: str) -> int:
    """The process id that kwokctl wrote down."""
    return int((folder / "pids" / f"{component}.pid").read_text())


def server(folder: Path) -> str:
    """The API server's address."""
    return str(yaml.safe_load((folder / "kubeconfig.yaml").read_text())["clusters"][0]["cluster"]["server"])
