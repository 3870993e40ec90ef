"""The local AWS in a lab: its programs, the environment in which they reach it, and what notebooks ask of it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab_helpers import clusters
from lab_helpers.clusters import Cluster, Provider
from lab_helpers.eks import authenticator, calls, environment, plane, service
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable
from lab_helpers.teaching import belongings
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.shown import Calls

PROGRAMS = ("kubectl", "eksctl", "aws-iam-authenticator")

QUIET = "eks-lab-looks"
"""Part of the user agent of calls that a picture or the meter makes by itself: they are no part of the lesson's log."""

_OF_CLIENTS = re.compile(r"AWS_|https?_proxy$|no_proxy$", re.I)

leave = environment.leave


def provider(settings: Settings, room: Lesson) -> tuple[Provider, str]:
    """Who makes a lab's clusters, and in a sentence why."""
    return plane.chosen(settings) if room.aws else clusters.chosen(settings)


def programs(room: Lesson, maker: Provider) -> list[str]:
    """Every program that a lab needs, each once: of its cluster, of those that it will make by EKS, and its own."""
    cluster = maker.programs(room.profile) if room.profile else []
    eks = [*plane.programs(maker), *PROGRAMS] if room.aws else []
    return list(dict.fromkeys([*cluster, *eks, *room.programs]))


def enter(settings: Settings, room: Lesson, env: dict[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """The environment of a lab with AWS, which is started or adopted; of another lab: as it is."""
    if not room.aws:
        return env
    with _lock(settings):
        endpoint = service.ensure(settings, say)
        memory(settings, room)
    folder = writable(endpoint.folder / "kubeconfigs")
    own, cluster = folder / room.name, env.get("KUBECONFIG", os.devnull)
    # What eksctl and `aws eks update-kubeconfig` write goes into the first of them.
    both = [str(own), *([cluster] if cluster != os.devnull else [])]
    found = endpoint.environment(env)
    cache = str(folder / f".cache-{room.name}")
    # Every SDK puts it into its user agent: so the call log says which lab asked.
    return {
        **found,
        "KUBECONFIG": os.pathsep.join(both),
        "KUBECACHEDIR": cache,
        "AWS_EXECUTION_ENV": belongings.mark(room.name),
    }


def remembered(settings: Settings, room: Lesson) -> bool:
    """Whether a lab may have something in the account: it was opened, and neither closed nor reset since."""
    return (service.folder(settings) / "labs" / room.name).exists()


def memory(settings: Settings, room: Lesson) -> Path:
    """What is remembered of a lab as long as the account holds something of it: its folder, beside the account."""
    return writable(service.folder(settings) / "labs" / room.name)


def _lock(settings: Settings) -> FileLock:
    return FileLock(writable(settings.data / "locks") / "aws-labs.lock")


def forget(settings: Settings, room: Lesson, say: Callable[[str], None] = lambda line: None) -> None:
    """A lab ends, or begins anew: what it made in the account is gone.

    Where no other lab has anything there, the whole account goes, with its process and every cluster. Otherwise the lab's
    clusters and stacks are deleted, as a learner would do it.
    """
    with _lock(settings):
        here = service.folder(settings) / "labs"
        shutil.rmtree(here / room.name, ignore_errors=True)
        if others := sorted(path.name for path in here.glob("*")):
            say(f"{', '.join(others)} goes on in the local AWS: the clusters and stacks of {room.name} are deleted there")
            belongings.remove(service.folder(settings), room.name, _from_outside(settings))
        else:
            service.clean(settings)  # before the clusters: it would mend them
            plane.delete_every(settings)


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


def _from_outside(settings: Settings) -> Callable[[str], Any]:
    """Makes clients of the account without its environment, which a closed lab and the `lab` command have not."""
    import boto3
    from botocore.config import Config

    endpoint = service.ensure(settings)
    keys = json.loads((endpoint.folder / "wanted.json").read_text())
    env = endpoint.environment({})
    config = Config(proxies={"https": env["HTTPS_PROXY"]}, retries={"total_max_attempts": 1}, read_timeout=300)
    session = boto3.Session(keys["key"], keys["secret"], region_name=env["AWS_REGION"])
    return lambda name: session.client(name, config=config, verify=env["AWS_CA_BUNDLE"])


def client(service_name: str, program: str = "") -> Any:
    """boto3's client for one of AWS's services, with the learner's own keys.

    Args:
        program: goes into the user agent; see QUIET.
    """
    words = tuple(sorted((name, value) for name, value in os.environ.items() if _OF_CLIENTS.match(name)))
    files = [Path(value) for name, value in words if name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")]
    return _client(service_name, program, words, tuple(path.stat().st_mtime_ns for path in files if path.exists()))


@lru_cache(maxsize=64)
def _client(service_name: str, program: str, *_of: Any) -> Any:
    # Kept as long as neither the environment nor the files with keys change: to read a service's model takes 0.2 s of the
    # processor, and checks and the meter ask many times.
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, read_timeout=300, user_agent_extra=program or None)
    return boto3.Session().client(service_name, config=config)


def cluster(settings: Settings, name: str, region: str = "us-east-1") -> Cluster:
    """The lab's cluster that is an EKS cluster's control plane.

    Raises:
        ClusterError: there is none.
    """
    if found := plane.of_eks(settings, region, name):
        return found
    raise ClusterError(f"There is no EKS cluster {name!r}.", next_step="aws eks list-clusters shows what there is")


def maker(cluster: Cluster) -> Provider:
    """Who made an EKS cluster's control plane."""
    return plane.maker(cluster.provider)


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
        if QUIET in event["userAgent"]:
            continue
        if not wanted or {event["eventName"].lower(), event["eventSource"].split(".")[0]} & wanted:
            found.append(event)
    return Calls(found)
