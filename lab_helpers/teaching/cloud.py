"""The local AWS in a lab: its programs, the environment in which they reach it, and what notebooks ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lab_helpers import clusters
from lab_helpers.clusters import Cluster, Profile, Provider
from lab_helpers.eks import authenticator, calls, environment, plane, service
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.shown import Calls

PROGRAMS = ("kubectl", "eksctl", "aws-iam-authenticator")

leave = environment.leave


def programs(room: Lesson, maker: Provider) -> list[str]:
    """Every program that a lab needs, each once: of its cluster, of those that it will make by EKS, and its own."""
    cluster = maker.programs(room.profile) if room.profile else []
    eks = [*maker.programs(Profile()), *PROGRAMS] if room.aws else []
    return list(dict.fromkeys([*cluster, *eks, *room.programs]))


def enter(settings: Settings, room: Lesson, env: dict[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """The environment of a lab with AWS, which is started or adopted; of another lab: as it is."""
    if not room.aws:
        return env
    endpoint = service.ensure(settings, say)
    folder = writable(endpoint.folder / "kubeconfigs")
    own, cluster = folder / room.name, env.get("KUBECONFIG", os.devnull)
    # What eksctl and `aws eks update-kubeconfig` write goes into the first of them.
    both = [str(own), *([cluster] if cluster != os.devnull else [])]
    found = endpoint.environment(env)
    return {**found, "KUBECONFIG": os.pathsep.join(both), "KUBECACHEDIR": str(folder / f".cache-{room.name}")}


def environment_of(
    settings: Settings,
    room: Lesson,
    cluster: Cluster | None,
    maker: Provider,
    links: Path,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """The whole environment of a lab, for a terminal."""
    return enter(settings, room, clusters.environment(cluster, maker, links, leave(os.environ)), say)


def client(service_name: str) -> Any:
    """boto3's client for one of AWS's services, with the learner's own keys."""
    import boto3
    from botocore.config import Config

    return boto3.Session().client(service_name, config=Config(retries={"total_max_attempts": 1}))


def cluster(settings: Settings, name: str, region: str = "us-east-1") -> Cluster:
    """The lab's cluster that is an EKS cluster's control plane.

    Raises:
        ClusterError: there is none.
    """
    local = plane.local_name(region, name)
    for maker in clusters.every(settings):
        if found := maker.get(local):
            return found
    raise ClusterError(f"There is no EKS cluster {name!r}.", next_step="aws eks list-clusters shows what there is")


def log(settings: Settings, local: str) -> Path:
    """The log of a cluster's authenticator."""
    return authenticator.folder(service.folder(settings), local) / "logs" / f"{authenticator.NAME}.log"


def recorded(settings: Settings, names: Iterable[str], since: float) -> Calls:
    """AWS's call log.

    Args:
        names: of services or operations (`eks`, `CreateCluster`); none: all.
        since: seconds since 1970.
    """
    wanted = {name.lower() for name in names}
    found = []
    for event in calls.read(service.folder(settings), since):
        if not wanted or {event["eventName"].lower(), event["eventSource"].split(".")[0]} & wanted:
            found.append(event)
    return Calls(found)
