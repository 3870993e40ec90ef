"""A node group's version update: surplus nodes, Ready, then old ones drained and terminated, a few at a time.

Which instances are old is read from what each was started from, so a new process goes on where the old one was killed.
"""

from __future__ import annotations

import math
from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model import images, network, nodes, scaling, updates
from lab_helpers.eks.model.account import Account, Cluster, Nodegroup, Update, now
from lab_helpers.eks.model.errors import invalid
from lab_helpers.eks.model.jobs import job, start

DRAIN_SECONDS = 60.0
"""How long evictions may be refused before the update fails; EKS waits 15 minutes."""
LAST_SECONDS = 10.0
"""The same, before a node group's last nodes are taken all the same."""


def begin(
    account: Account, cluster: Cluster, group: Nodegroup, version: str, release: str, force: bool, template: Any
) -> Update:
    """Start an update.

    Raises:
        EksError: another one is in progress, or the release is unknown.
    """
    name = group.shown["nodegroupName"]
    if group.shown["amiType"] != "CUSTOM" and release not in [images.release(version, date) for date in images.RELEASES]:
        known = ", ".join(images.release(version, date) for date in images.RELEASES)
        words = f"Requested release version {release} is not valid for kubernetes version {version}. Known: {known}"
        raise invalid(words, clusterName=cluster.name, nodegroupName=name)
    if template and group.shown.get("launchTemplate"):
        group.shown["launchTemplate"] = {**group.shown["launchTemplate"], **template}
    values = {"Version": version, "ReleaseVersion": release}
    update = updates.begin(cluster, "VersionUpdate", values, f"nodegroup/{name}")
    group.shown["status"] = "UPDATING"
    before = (group.shown["version"], group.shown["releaseVersion"])
    group.shown |= {"version": version, "releaseVersion": release}  # what the next instance is started from
    start(account, roll, cluster.name, name, update.shown["id"], before, force)
    return update


@job
def roll(account: Account, cluster_name: str, name: str, number: str, before: tuple[str, str], force: bool) -> None:
    """Replace what was not started from the group's version."""
    cluster = account.clusters.get(cluster_name)
    group = cluster.nodegroups.get(name) if cluster else None
    if cluster is None or group is None:
        return
    update, target = cluster.updates[number], (group.shown["version"], group.shown["releaseVersion"])
    found = nodes.groups(account)[group.group]
    most, desired = group.shown["scalingConfig"]["maxSize"], group.shown["scalingConfig"]["desiredSize"]
    group.rolling = True

    def work() -> list[dict[str, Any]]:
        _next_image(account, group)
        # What died in the middle may have left a surplus: count from the size that was asked for.
        while old := [one for one in nodes.running(account, group) if group.instances.get(one.id, target) != target]:
            if update.cancel:
                updates.cancelled(update)
                return []
            batch = old[: _at_once(group)]
            found.max_size = max(most, desired + len(batch))
            scaling.backend(account).set_desired_capacity(group.group, desired + len(batch))
            nodes.sync(account, cluster)
            if errors := _replace(account, cluster, group, batch, force, update):
                return errors
        return []

    try:
        updates.carry_out(update, work)
    finally:
        if update.shown["status"] != "Successful":
            group.shown |= dict(zip(("version", "releaseVersion"), before, strict=True))
        _to_size(account, group, desired, target if update.shown["status"] != "Successful" else None)
        found.max_size = most
        nodes.sync(account, cluster)
        group.rolling = False
        group.shown |= {"status": "ACTIVE", "modifiedAt": now()}


def _at_once(group: Nodegroup) -> int:
    config = group.shown["updateConfig"]
    if share := config.get("maxUnavailablePercentage"):
        return max(1, math.floor(int(group.shown["scalingConfig"]["desiredSize"]) * int(share) / 100))
    return int(config.get("maxUnavailable", 1))


def _next_image(account: Account, group: Nodegroup) -> None:
    """EKS's launch template of the group starts the new release from now on."""
    if group.shown["amiType"] == "CUSTOM":
        return
    date = group.shown["releaseVersion"].rpartition("-")[2]
    group.image = images.image(account, group.shown["version"], group.shown["amiType"], date)
    template = network.ec2(account).launch_templates.get(group.template)
    if template:
        data = {**template.latest_version().data, "ImageId": group.image}
        template.create_version(data, "")
        template.default_version_number = template.latest_version_number


def _replace(
    account: Account, cluster: Cluster, group: Nodegroup, batch: list[Any], force: bool, update: Update
) -> list[dict[str, Any]]:
    kube = plane.kube(cluster.local, cluster.provider)
    for instance in batch:
        node = instance.private_dns_name
        drained = nodes.drain(kube, node, DRAIN_SECONDS, lambda: update.cancel)
        if not drained and not force:
            nodes.uncordon(kube, node)
            if update.cancel:
                return []
            name = group.shown["nodegroupName"]
            words = f"Reached max retries while trying to evict pods from nodes in node group {name}"
            return [{"errorCode": "PodEvictionFailure", "errorMessage": words, "resourceIds": [node]}]
        scaling.backend(account).terminate_instance(instance.id, True)
        group.instances.pop(instance.id, None)
        nodes.sync(account, cluster)
    return []


def _to_size(account: Account, group: Nodegroup, desired: int, unwanted: tuple[str, str] | None) -> None:
    """Back to the size that was asked for; after a failure the newest go first."""
    there = nodes.running(account, group)
    order = sorted(there, key=lambda one: group.instances.get(one.id) != unwanted)
    for instance in order[: max(0, len(there) - desired)]:
        scaling.backend(account).terminate_instance(instance.id, True)
    scaling.backend(account).set_desired_capacity(group.group, desired)
