"""What the embedded provider calls: a cluster's proxy and the agents of its process nodes, as commands for its record.

On disk, in the cluster's folder: `proxy.json` (port and token), and `nodes/NAME/` for each process node.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import shutil
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from lab_helpers.clusters.ports import way_in
from lab_helpers.clusters.processnode import identity
from lab_helpers.clusters.provider import NodeShape

PROXY = "service-proxy"
"""Name of the proxy among a cluster's components."""

_AGENT = "kubelet@"
LABEL = "lab.local/runs"
"""Label of a process node; its value is `programs`."""


def agent(node: str) -> str:
    """Name of a node's agent among a cluster's components."""
    return f"{_AGENT}{node}"


def node_of(component: str) -> str:
    """The node of an agent's name; empty for another component."""
    return component.removeprefix(_AGENT) if component.startswith(_AGENT) else ""


def nodes(folder: Path) -> list[str]:
    """The process nodes of a cluster, by what is on disk."""
    return sorted(path.parent.name for path in folder.glob("nodes/*/node.json"))


def components(folder: Path) -> list[str]:
    """The proxy and the agents, in the order in which they start."""
    proxy = [PROXY] if (folder / "proxy.json").exists() else []
    return [*proxy, *(agent(name) for name in nodes(folder))]


def commands(folder: Path) -> dict[str, list[str]]:
    """Program and arguments of each of them."""
    run = [sys.executable, "-m"]
    found = {agent(name): [*run, f"{__package__}.agent", str(folder / "nodes" / name)] for name in nodes(folder)}
    return {PROXY: [*run, f"{__package__}.proxy", f"{folder}/"], **found}


def prepare_proxy(folder: Path, port: int) -> None:
    """Choose the proxy's port and token, once for the cluster's life: kernels hold its URL."""
    path = folder / "proxy.json"
    path.touch(0o600)
    path.write_text(json.dumps({"port": port, "token": secrets.token_hex(16)}))


def proxy_url(folder: Path, namespace: str = "default") -> str:
    """The proxy's URL; a short Service name is looked up in the namespace. Empty where there is no proxy."""
    try:
        settings = json.loads((folder / "proxy.json").read_text())
    except OSError:
        return ""
    return f"http://{namespace}:{settings['token']}@127.0.0.1:{settings['port']}"


def environment(folder: Path) -> dict[str, str]:
    """Variables by which programs on this machine reach the cluster's Services by name."""
    return way_in(proxy_url(folder))


def prepare_node(folder: Path, shape: NodeShape, version: str, server: str) -> None:
    """Lay out a node's folder: its settings, its certificate."""
    home = folder / "nodes" / shape.name
    identity.make(shape.name, folder / "pki", server, home)
    shutil.copy(folder / "pki" / "ca.crt", home / "ca.crt")
    settings = {
        "name": shape.name,
        "cpu": str(shape.cpu),
        "memory": str(shape.memory),
        "pods": shape.pods,
        "version": version,
        "proxy": proxy_url(folder, "NAMESPACE"),
    }
    path = home / "node.json"
    path.touch(0o600)
    path.write_text(json.dumps(settings, indent=1))


def forget_node(folder: Path, name: str) -> None:
    """Remove a node's folder."""
    shutil.rmtree(folder / "nodes" / name, ignore_errors=True)


def answers(folder: Path, component: str, timeout: float = 2.0) -> bool:
    """Whether the proxy or an agent answers."""
    try:
        if component == PROXY:
            port = int(json.loads((folder / "proxy.json").read_text())["port"])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
            wanted = 407  # it asks for the token
        else:
            home = folder / "nodes" / node_of(component)
            context = ssl.create_default_context(cafile=str(home / "ca.crt"))
            context.load_cert_chain(folder / "pki" / "admin.crt", folder / "pki" / "admin.key")
            port = int((home / "port").read_text())
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
            wanted = 200
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == wanted
        finally:
            connection.close()
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return False


def wait_gone(folder: Path, node: str = "", deadline: float = 10) -> None:
    """Return when no process of a cluster's nodes (or of one node) is left; agents have to have ended before.

    A zygote ends with its agent and takes the containers along; one that does not is killed.
    """
    place = f"{folder}/nodes/{node}/" if node else f"{folder}/nodes/"
    end = time.monotonic() + deadline
    while left := _zygotes(place):
        if time.monotonic() > end:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        time.sleep(0.02)


def _zygotes(place: str) -> list[psutil.Process]:
    """The zygotes under a folder, and the containers: they were forked from one and keep its command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if f"{__package__}.zygote" in words and words[-1].startswith(place) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def runs_here(words: Sequence[str]) -> bool:
    """Whether a command line is that of an agent, a zygote or a proxy."""
    return any(word.startswith(f"{__package__}.") for word in words)
