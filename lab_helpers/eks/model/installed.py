"""The model, put in moto's place, and brought to life again after a state was read."""

from __future__ import annotations

import logging
from typing import Any

from moto.eks import models, urls
from moto.eks.models import eks_backends

from lab_helpers.eks import plane
from lab_helpers.eks.model import (
    access_operations,
    clusters,
    fargate,
    fleet,
    identity_providers,
    images,
    insights,
    integrations,
    jobs,
    market,
    mended,
    nodegroups,
    nodes,
    not_played,
    notices,
    pod_identity,
    pod_network,
    tags,
    updates,
    versions,
)
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.addons import operations as addons
from lab_helpers.eks.model.answers import Answers
from lab_helpers.eks.model.stacks import clusters as stacks_of_clusters
from lab_helpers.eks.model.stacks import others as other_stacks
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)

ROOMS = (
    access_operations,
    addons,
    clusters,
    fargate,
    fleet,
    identity_providers,
    insights,
    nodegroups,
    not_played,
    other_stacks,
    pod_identity,
    stacks_of_clusters,
    tags,
    updates,
    versions,
)
"""Modules that register operations, jobs or types when they are imported."""

_watcher: list[nodes.Watcher] = []


def install() -> None:
    """Put the model in moto's place. Call it before moto answers anything; a second call changes nothing."""
    if eks_backends.backend is not Account:
        mended.mend()
        market.mend()
        fleet.mend()
        notices.mend()
        backends: Any = eks_backends
        backends.backend = Account
        models.EKSBackend = Account
        urls.url_paths.clear()
        urls.url_paths["{0}/(?P<rest>.+)$"] = Answers.dispatch
    if not _watcher:
        _watcher.append(nodes.Watcher(also=(fargate.look, pod_network.look, integrations.look)))
        _watcher[0].start()


def resume() -> None:
    """Go on after a state was read: control planes that died with the machine start again, and unfinished work is done."""
    for _, cluster in list(nodes.every()):
        if cluster.status in ("ACTIVE", "UPDATING"):
            try:
                plane.mend(cluster.local, cluster.provider)
            except LabError as error:
                _log.warning("cluster %s: %s", cluster.name, error.text())
    for account in nodes.accounts():
        images.publish(account)  # SSM's are not saved
        jobs.resume(account)


def warm() -> None:
    """Import now what the first stack would wait for; call it when the first requests are answered already."""
    mended.stacks()


def stop() -> None:
    """End the model's own thread; for tests, and before the process ends."""
    for watcher in _watcher:
        watcher.stop()
    _watcher.clear()
