"""What a learner can see of a node: its heartbeats, what runs on its machine, its rules for Services, a packet's path."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab_helpers.errors import ClusterError, LabError
from lab_helpers.views import Live
from lab_helpers.views.facts import seconds as moment
from lab_helpers.views.heartbeats import Pulse, heartbeats
from lab_helpers.views.packet_path import Leg, Party, Way, packet_path
from lab_helpers.views.picture import Picture

if TYPE_CHECKING:
    from lab_helpers.kube import Kube
    from lab_helpers.teaching.lab import Lab

Object = dict[str, Any]
Rules = dict[str, dict[str, float]]
"""`cluster IP:port` → `address:port` of an endpoint → its share of new connections."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
PORTS = "lab.local/ports"
"""Annotation of a Pod on a process node: its ports, and the ports of this machine that stand for them."""


def duration(text: str) -> float:
    """A duration of Go in seconds: `1m30s` is 90."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def run(words: Sequence[str], node: str, command: Sequence[str]) -> str:
    """Run a command on a node's machine; its output.

    Raises:
        ClusterError: it failed; the error says what it wrote.
    """
    try:
        done = subprocess.run([*words, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"On {node}, {command[0]} did not end within 60 s.") from None
    if done.returncode:
        raise ClusterError(f"On {node}, {command[0]} failed.", (done.stderr or done.stdout).strip()[-500:])
    return done.stdout


# -- heartbeats -------------------------------------------------------------------------------------------------------


def watch(kube: Kube, grace: float, seconds: float) -> None:
    """Draw the nodes' heartbeats while they come; the last frame stays.

    Args:
        grace: the node controller's patience, in seconds.
        seconds: how long to look.
    """
    pulses: dict[str, Pulse] = {}
    begun, drawn = time.time(), 0.0
    with Live() as live:
        while True:
            _listen(kube, pulses)
            over = time.time() - begun > seconds
            if over or time.time() - drawn > 1:
                drawn = time.time()
                live.show(heartbeats(list(pulses.values()), grace, since=begun))
            if over:
                return
            time.sleep(0.3)


def _listen(kube: Kube, pulses: dict[str, Pulse]) -> None:
    try:
        leases = {item["metadata"]["name"]: item["spec"] for item in kube.list("leases", "kube-node-lease")}
        nodes = kube.list("nodes")
    except LabError:
        return  # the API server is away: the picture shows the silence
    for node in sorted(nodes, key=lambda item: str(item["metadata"]["name"])):
        name = node["metadata"]["name"]
        renewed = leases.get(name, {}).get("renewTime", "")
        ready = [c for c in node["status"].get("conditions", []) if c["type"] == "Ready" and c["status"] != "Unknown"]
        posted = ready[0].get("lastHeartbeatTime", "") if ready else ""
        pulses.setdefault(name, Pulse(name)).note(*(moment(stamp) if stamp else 0.0 for stamp in (renewed, posted)))


# -- rules ------------------------------------------------------------------------------------------------------------


def rules(saved: str, service: str) -> Rules:
    """What kube-proxy wrote for a Service, read out of `iptables-save`; an address without endpoints has an empty table.

    Args:
        saved: the text of iptables-save, of all tables.
        service: `namespace/name`.
    """
    lines = [line for line in saved.splitlines() if line.startswith("-A KUBE-")]
    found: Rules = {}
    for line in lines:
        to = re.match(r"-A KUBE-SERVICES -d ([\d.]+)/32 .*--dport (\d+) -j (KUBE-SVC-\w+|REJECT)", line)
        if to and re.search(rf'--comment "{re.escape(service)}[: "]', line):
            found[f"{to[1]}:{to[2]}"] = _shares(lines, to[3]) if to[3] != "REJECT" else {}
    return found


def _shares(lines: list[str], chain: str) -> dict[str, float]:
    """Destinations of a Service's chain; each rule gets its share of what the ones before left."""
    left, shares = 1.0, dict[str, float]()
    for line in lines:
        jump = re.match(rf"-A {chain} .*-j (KUBE-SEP-\w+)", line)
        if jump:
            chance = re.search(r"--probability ([\d.]+)", line)
            share = left * (float(chance[1]) if chance else 1.0)
            ends = (re.match(rf"-A {jump[1]} .*--to-destination ([\d.:]+)", other) for other in lines)
            shares.update({end[1]: round(share, 3) for end in ends if end})
            left -= share
    return shares


# -- one packet -------------------------------------------------------------------------------------------------------


def path(lab: Lab, client: str, service: str, answer: str) -> Picture:
    """The path of the request that a Pod sent to a Service, drawn from what the node remembers of it.

    Args:
        client: the Pod that asked, in the namespace default.
        service: the Service's name.
        answer: what it was answered: the JSON of the course's web server, which names the Pod.
    """
    asking, target = lab.kube.get("pod", client), lab.kube.get("service", service)
    chosen = json.loads(answer)["pod"]
    ends = _endpoints(lab, service)
    if chosen not in (names := [party.name for party, _ in ends]):
        raise ClusterError(f"{chosen} is none of the endpoints of {service}.", ", ".join(names), "send another request")
    at = names.index(chosen)
    node = asking["spec"]["nodeName"]
    spec = target["spec"]
    ours = Party(f"Pod {client}", node, asking["status"].get("podIP", ""))
    title = f"One request from {client} to {service}"
    if lab.provider != "kind":
        listens = urlsplit(os.environ.get("http_proxy", "")).port
        sent, arrived = Leg("127.0.0.1", f"127.0.0.1:{listens}"), Leg("127.0.0.1", f"127.0.0.1:{ends[at][1]}")
        proxy = Party("service-proxy", "a process of this machine", f"reads the name: http://{service}")
        return packet_path(ours, proxy, [party for party, _ in ends], at, _both(sent, arrived), title=title)
    virtual = f"{spec['clusterIP']}:{spec['ports'][0]['port']}"
    port = _port(lab.node(node, "conntrack", "-L", "-s", asking["status"]["podIP"]), virtual, ends[at][0].note)
    here = f"{asking['status']['podIP']}:{port}"
    way = _both(Leg(here, virtual), Leg(here, ends[at][0].note))
    table = Party("iptables", node, "rules written by kube-proxy")
    return packet_path(ours, table, [party for party, _ in ends], at, way, title=title)


def _both(sent: Leg, arrived: Leg) -> Way:
    return Way(sent, arrived, Leg(arrived.target, arrived.source), Leg(sent.target, sent.source))


def _endpoints(lab: Lab, service: str) -> list[tuple[Party, str]]:
    """Ready endpoints by Pod name, each with the port of this machine that stands for it, where there is one."""
    found = []
    for part in lab.kube.list("endpointslices", "default", labels=f"kubernetes.io/service-name={service}"):
        port = (part.get("ports") or [{}])[0].get("port")
        for end in part.get("endpoints") or []:
            if end.get("conditions", {}).get("ready", True) and "targetRef" in end:
                name = end["targetRef"]["name"]
                marks = (lab.kube.find("pod", name) or {"metadata": {}})["metadata"].get("annotations", {})
                mapped = json.loads(marks.get(PORTS, "{}")).get(str(port), "")
                found.append((Party(name, end.get("nodeName", ""), f"{end['addresses'][0]}:{port}"), str(mapped)))
    return sorted(found, key=lambda entry: entry[0].name)


def _port(remembered: str, virtual: str, endpoint: str) -> str:
    """The client's port of the newest connection to `virtual` that went to `endpoint`, in what `conntrack -L` says."""
    best, port = -1, "?"
    for line in remembered.splitlines():
        fields = re.findall(r"(src|dst|sport|dport)=(\S+)", line)
        age = re.match(r"tcp\s+6\s+(\d+)", line)
        if len(fields) < 8 or not age:
            continue
        there, back = dict(fields[:4]), dict(fields[4:8])
        ends = f"{there['dst']}:{there['dport']}", f"{back['src']}:{back['sport']}"
        if ends == (virtual, endpoint) and int(age[1]) > best:
            best, port = int(age[1]), there["sport"]
    return port
