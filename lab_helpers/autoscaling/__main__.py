"""The autoscaler as a process of its own. Flags are upstream's; its log goes to standard output.

Auto Scaling groups of an EKS cluster, found by their tags through AWS's API, as the environment has keys and region:
`python -m lab_helpers.autoscaling --cloud-provider aws --cluster-name NAME --node-group-auto-discovery asg:tag=KEY,KEY`.

Node groups of the lab's own cluster: `--cluster NAME --groups groups.yaml`, a file of rows like
`- {name: small, min: 0, max: 5, boot: 3, cpu: "2", memory: 8Gi, pods: 29, labels: {}, taints: []}`. Their nodes are simulated;
with `runs: ""` they are what the provider makes of itself: machines on kind.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from lab_helpers import clusters, settings
from lab_helpers.autoscaling.expanders import EXPANDERS
from lab_helpers.autoscaling.groups import LabGroup, rows, shape
from lab_helpers.autoscaling.loop import Autoscaler
from lab_helpers.autoscaling.options import Group, Options
from lab_helpers.clusters import Cluster, Provider
from lab_helpers.eks import account, plane
from lab_helpers.errors import LabError, SettingError
from lab_helpers.kube import Kube

Groups = Callable[[], Sequence[Group]]


def main(words: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="autoscaling", allow_abbrev=False)
    parser.add_argument("--cloud-provider", choices=("lab", "aws"), default="lab")
    parser.add_argument("--cluster", help="the lab's cluster, as `lab clusters` names it")
    parser.add_argument("--groups", type=Path, help="file of node groups of that cluster")
    parser.add_argument("--cluster-name", help="the EKS cluster")
    parser.add_argument("--node-group-auto-discovery", action="append", help="asg:tag=KEY,KEY=VALUE: the groups with all these")
    for flag in fields(Options):
        name = flag.name.replace("_", "-")
        parser.add_argument(f"--{name}", dest=flag.name, type=_KINDS.get(str(flag.type), str), default=None)
    given = vars(parser.parse_args(words))
    try:
        cloud = {key: given.pop(key) for key in ("cloud_provider", "cluster", "groups", "cluster_name")}
        return _run(cloud, given.pop("node_group_auto_discovery"), options(given))
    except LabError as error:
        print(error.text(), file=sys.stderr)
        return 1


def options(given: dict[str, Any]) -> Options:
    """Options from flags; what was not given keeps upstream's default."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if "expander" in chosen:
        chosen["expander"] = tuple(chosen["expander"].split(","))
        if unknown := set(chosen["expander"]) - set(EXPANDERS):
            known = ", ".join(EXPANDERS)
            raise SettingError(f"There is no expander {min(unknown)!r} here.", next_step=f"one or more of: {known}")
    return Options(**chosen)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("true or false")
    return text == "true"


def _number(text: str) -> float:
    """A number, or a duration as Go writes it (`1m30s`, `500ms`), in seconds."""
    parts = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?(?:([\d.]+)ms)?", text)
    if parts and any(parts.groups()):
        return sum(float(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1, 0.001), strict=True))
    return float(text)


_KINDS: dict[str, Callable[[str], Any]] = {"bool": _switch, "int": int, "float": _number}


def _run(cloud: dict[str, Any], discovery: list[str] | None, chosen: Options) -> int:
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    groups, cluster, kube = _of_aws(cloud, discovery) if cloud["cloud_provider"] == "aws" else _of_the_lab(cloud)
    _log(f"expander: {','.join(chosen.expander)}; a scan every {chosen.scan_interval:g} s")
    threading.Thread(target=_end_with, args=(cluster, stop), daemon=True).start()
    Autoscaler(kube, groups, chosen, _log).run(stop)
    return 0


def _end_with(cluster: Cluster, stop: threading.Event) -> None:
    """End when the cluster is gone, however it was removed."""
    while not stop.wait(2):
        if not cluster.kubeconfig.exists():
            _log("the cluster is gone")
            stop.set()


def _cluster(name: str) -> tuple[Provider, Cluster, Kube]:
    found = [(maker, cluster) for maker in clusters.every(settings.load()) if (cluster := maker.get(name))]
    if not found:
        raise SettingError(f"There is no cluster {name!r}.", next_step="lab clusters")
    return *found[0], Kube(found[0][1].kubeconfig)


def _of_aws(cloud: dict[str, Any], discovery: list[str] | None) -> tuple[Groups, Cluster, Kube]:
    from lab_helpers.autoscaling import aws  # boto3 and the catalogue of instance types take a second

    if not cloud["cluster_name"] or not discovery:
        raise SettingError("--cloud-provider aws needs --cluster-name and --node-group-auto-discovery.")
    cluster = plane.of_eks(settings.load(), account.REGION, cloud["cluster_name"])
    if not cluster:
        raise SettingError(f"There is no EKS cluster {cloud['cluster_name']!r}.", next_step="aws eks list-clusters")
    return aws.Discovery(aws.clients(), aws.wanted_tags(discovery)), cluster, Kube(cluster.kubeconfig)


def _of_the_lab(cloud: dict[str, Any]) -> tuple[Groups, Cluster, Kube]:
    if not cloud["cluster"] or not cloud["groups"]:
        raise SettingError("--cluster and --groups are needed.", next_step="or --cloud-provider aws: see --help")
    maker, cluster, kube = _cluster(cloud["cluster"])
    groups = list[LabGroup]()
    for row in rows(cloud["groups"]):
        size = row.get("min", 0), row["max"]
        groups.append(LabGroup(row["name"], *size, shape(row), maker, cluster, kube, float(row.get("boot", 0)), _log))
    _log(f"groups: {', '.join(f'{one.name} {one.minimum} to {one.maximum}' for one in groups)}")
    return lambda: groups, cluster, kube


def _log(line: str) -> None:
    print(datetime.now().strftime("%H:%M:%S.%f")[:-3], line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
