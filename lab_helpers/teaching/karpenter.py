"""Karpenter in a lab: started beside the EKS cluster that the lab looks at, its log to be read, and spot machines taken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_helpers import processes, toolchain
from lab_helpers.autoscaling import karpenter, rivals
from lab_helpers.eks import account, plane, prices
from lab_helpers.errors import KubernetesError, LessonError
from lab_helpers.teaching import cloud
from lab_helpers.teaching.shown import Log, Rivals
from lab_helpers.views import Coming, Picture, facts, packing

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

Object = dict[str, Any]
_LEFT_OUT = ("level", "time", "message", "commit", "logger", "controllerGroup", "controllerKind", "reconcileID", "namespace")


class Karpenter:
    """The real Karpenter for AWS, unmodified, as a process beside the cluster."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def start(self, queue: str | None = None, level: str = "info", **more: str) -> None:
        """Apply its custom resources and start it, or start it anew; return when it is ready.

        Args:
            queue: with interruptions; None: the one named as the cluster, if there is one.
            level: of its log: debug, info, error.
            more: further settings, by the names of Karpenter's documentation: `BATCH_MAX_DURATION="5s"`.

        Raises:
            ProgramError: it ended; with its own words.
        """
        name = self._cluster()
        found = self._queue(name if queue is None else queue)
        wanted = karpenter.Wanted(name, str(self._lab.cluster.kubeconfig), found, level, more)
        karpenter.install(self._lab.kube)
        began = time.monotonic()
        karpenter.start(self._folder, wanted)
        if not self._lab._quiet:
            spent, version = time.monotonic() - began, toolchain.version(karpenter.NAME)
            ears = f"the queue {found} for interruptions" if found else "no queue: an interruption is not heard"
            print(f"Karpenter {version} runs beside {name}, ready after {spent:.1f} s.")
            print(f"It reads the cluster's API, AWS's API, and {ears}.")

    def stop(self) -> None:
        """End it; its nodes stay as they are."""
        if self._lab._cluster:
            karpenter.stop(self._folder)

    @property
    def running(self) -> bool:
        """Whether it runs, or is being started again."""
        return karpenter.running(self._folder)

    @property
    def pid(self) -> int:
        """Its process id; 0: it does not run."""
        found = processes.recorded(self._folder).get(karpenter.NAME)
        return found.pid if found and processes.alive(found) else 0

    def log(self, lines: int = 20, *words: str) -> str:
        """The last lines of its log that hold all these words, in a form that people read; `raw` has them as they are."""
        read = karpenter.log(self._folder, 1000 if words else lines)
        found = [line for line in read if all(word in line for word in words)]
        return Log("\n".join(readable(line) for line in found[-lines:]))

    def raw(self, lines: int = 20) -> str:
        """The last lines of its log as it wrote them: JSON."""
        return Log("\n".join(karpenter.log(self._folder, lines)))

    def said(self, lines: int = 10, about: str = "") -> str:
        """Karpenter's own events, oldest first: when, about what, why, in its words.

        Args:
            about: the name, or its beginning, of the object; empty: any.
        """
        found = [event for event in self._lab.kube.list("events") if _by_karpenter(event)]
        mine = [one for one in found if one["involvedObject"].get("name", "").startswith(about)]
        mine.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return Log("\n".join(told(event) for event in mine[-lines:]))

    def settled(self, deployment: str, namespace: str = "default", *, cpu: float = 0, without: str = "") -> bool:
        """Whether a Deployment's Pods run on machines that are here to stay: nothing is bought, replaced or removed.

        Args:
            cpu: the machines have at most so many cores together; 0: any number.
            without: a node that must be gone.
        """
        kube = self._lab.kube
        wanted = kube.get("deployment", deployment, namespace)["spec"].get("replicas", 1)
        pods = [pod for pod in kube.list("pods", namespace) if facts.owner(pod) == deployment]
        up = [pod for pod in pods if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")]
        nodes, claims = kube.list("nodes"), kube.list("nodeclaims")
        cores = sum(facts.quantity(node["status"]["capacity"]["cpu"]) for node in nodes)
        return (
            len(pods) == len(up) == wanted
            and len(nodes) == len(claims)
            and all(condition(one, "Initialized") and not one["metadata"].get("deletionTimestamp") for one in claims)
            and without not in [node["metadata"]["name"] for node in nodes]
            and (not cpu or cores <= cpu)
        )

    def hourly(self) -> float:
        """Dollars an hour of the nodes that are there, each at its price on demand or on the spot market."""
        return sum(price(node) or 0.0 for node in self._lab.kube.list("nodes"))

    def draw(self, until: Callable[[], object] | float | None = None, seconds: float = 90) -> None:
        """Draw machines with Pods, empty space and price, and the machines that are ordered; live, as `lab.map`."""
        self._lab._draw(self._picture, until, seconds)

    def _picture(self, nodes: list[Object], pods: list[Object], title: str) -> Picture:
        try:
            claims = self._lab.kube.list("nodeclaims")
        except KubernetesError:  # the API server is away, or does not know the kind yet
            claims = []
        costs = {name: cost for item in (*nodes, *claims) if (cost := price(item)) and (name := item["metadata"]["name"])}
        return packing(nodes, pods, prices=costs, coming=coming(claims, nodes), title=title)

    def rivals(self, *groups: list[str], nodepool: str = "default", namespace: str = "default") -> Rivals:
        """What runs now, beside what others would take for the same Pods: the loop of lab 18, Fargate, and a lower bound.

        Only Karpenter's row was measured; the others are worked out.

        Args:
            groups: for the loop: the instance types of its groups; each list is a row of its own.
            nodepool: whose instance types the lower bound may choose from.
        """
        pods, nodes = self._lab.kube.list("pods", namespace), self._lab.kube.list("nodes")
        pages = cloud.client("ec2", cloud.QUIET).get_paginator("describe_instance_types").paginate()
        known = {one.kind: one for one in rivals.offers(row for page in pages for row in page["InstanceTypes"])}
        pool = rivals.allowed(self._lab.kube.get("nodepool", nodepool), known.values())
        rows = [rivals.measured("Karpenter", nodes, pods, price, took(pods))]
        rows += [rivals.loop(f"the loop: {', '.join(some)}", pods, [known[kind] for kind in some]) for some in groups]
        rows += [rivals.fargate(pods), rivals.Row("lower bound", "", None, None, rivals.least(pods, pool))]
        return Rivals(rows)

    def interrupt(self, node: str) -> None:
        """AWS wants a spot machine back: the warning that comes two minutes before, sent to Karpenter's queue.

        Raises:
            LessonError: there is no such node, it is on demand, or there is no queue.
        """
        item = self._lab.kube.find("node", node)
        if item is None:
            raise LessonError(f"There is no node {node!r}.", next_step="kubectl get nodes -L karpenter.sh/capacity-type")
        if item["metadata"]["labels"].get("karpenter.sh/capacity-type") != "spot":
            raise LessonError(f"{node} is no spot machine: AWS does not take it back.", next_step="choose one that is")
        queue = self._queue(self._cluster())
        if not queue:
            raise LessonError("There is no queue to which the warning could go.", next_step="aws sqs list-queues")
        sqs = cloud.client("sqs")
        message = json.dumps(warning(item["spec"]["providerID"].rpartition("/")[2]))
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=message)
        self._lab._tell(f"{node}: spot warning", f"AWS has warned: {node} ends in two minutes.")

    @property
    def _folder(self) -> Path:
        return Path(self._lab.cluster.folder) / karpenter.NAME

    def _cluster(self) -> str:
        """The EKS name of the cluster that the lab looks at."""
        local, provider = self._lab.cluster.name, self._lab.cluster.provider
        for name in cloud.client("eks", cloud.QUIET).list_clusters()["clusters"]:
            if plane.local_name(account.REGION, name, provider) == local:
                return str(name)
        raise LessonError(f"{local} is no EKS cluster: Karpenter for AWS needs one.", next_step='lab.use("NAME") looks at one')

    def _queue(self, name: str) -> str:
        """The queue of that name, or empty."""
        sqs = cloud.client("sqs", cloud.QUIET)
        urls = sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) if name else []
        return name if any(url.rpartition("/")[2] == name for url in urls) else ""


def condition(item: Object, kind: str) -> bool:
    """Whether a condition of an object is True."""
    return any(one["type"] == kind and one["status"] == "True" for one in item.get("status", {}).get("conditions") or [])


def _by_karpenter(event: Object) -> bool:
    return karpenter.NAME in (event.get("reportingComponent"), event.get("source", {}).get("component"))


def told(event: Object) -> str:
    """An event in a line."""
    at = (event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])[11:19]
    about = event["involvedObject"]
    return f"{at} {about.get('kind', '')} {about.get('name', '')}: {event['reason']}: {event['message']}"


def coming(claims: list[Object], nodes: list[Object]) -> list[Coming]:
    """Machines that are ordered and are no Node yet, from their NodeClaims."""
    there = {node["spec"].get("providerID") for node in nodes}
    found = list[Coming]()
    for claim in claims:
        status, meta = claim.get("status") or {}, claim["metadata"]
        if not meta.get("deletionTimestamp") and (status.get("providerID") or "none yet") not in there:
            kind = (meta.get("labels") or {}).get("node.kubernetes.io/instance-type", "")
            cpu = facts.quantity((status.get("capacity") or {}).get("cpu", "0"))
            found.append(Coming(meta["name"], kind, cpu, facts.seconds(meta["creationTimestamp"])))
    return found


def price(node: Object) -> float | None:
    """Dollars an hour of a node's (or a NodeClaim's) machine; None: the table has no price of it."""
    labels = node["metadata"].get("labels") or {}
    kind, zone = labels.get("node.kubernetes.io/instance-type", ""), labels.get("topology.kubernetes.io/zone", "")
    return prices.spot(kind, zone) if labels.get("karpenter.sh/capacity-type") == "spot" else prices.on_demand(kind)


def took(pods: list[Object]) -> float:
    """Seconds from the first Pod's birth to the last one's being Ready, as far as the API says: whole ones."""
    born = min(facts.seconds(pod["metadata"]["creationTimestamp"]) for pod in pods)
    ready = [one for pod in pods for one in pod["status"].get("conditions") or [] if one["type"] == "Ready"]
    return max(facts.seconds(one["lastTransitionTime"]) for one in ready) - born


def warning(instance: str) -> Object:
    """EventBridge's "EC2 Spot Instance Interruption Warning" for an instance, as it reaches the queue."""
    where = f"arn:aws:ec2:{account.REGION}:{account.ACCOUNT}:instance/{instance}"
    return {
        "version": "0",
        "id": f"lab-{time.time_ns()}",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": account.ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": account.REGION,
        "resources": [where],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }


def readable(line: str) -> str:
    """A line of Karpenter's log: time of day, words, and what it is about."""
    try:
        said = json.loads(line)
        at, words = said["time"][11:19], said["message"]
    except (ValueError, KeyError, TypeError):
        return line
    about = ", ".join(
        f"{key}={_short(value, 600 if key == 'error' else 160)}" for key, value in said.items() if key not in _LEFT_OUT
    )
    mark = "" if said.get("level") in ("INFO", "DEBUG") else f"{said.get('level')} "
    return f"{at} {mark}{words}{f' ({about})' if about else ''}"


def _short(value: Any, most: int) -> str:
    if isinstance(value, dict) and "name" in value:
        value = value["name"]
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= most else f"{text[:most]}…"
