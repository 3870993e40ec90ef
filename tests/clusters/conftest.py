"""One cluster for the tests that only look; those that break one make their own by `make`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from lab_helpers import settings
from lab_helpers.clusters import NodeShape, Profile, engine, provider
from lab_helpers.kube import Kube

# What needs a Docker engine is left out where none answers; the run's last lines say so.
collect_ignore = [] if engine.info() else ["test_kind.py", "test_nodeimage.py"]

NODES = tuple(NodeShape(f"node-{number}", zone=zone) for number, zone in enumerate("abc", 1))


@pytest.fixture(scope="module")
def shared():
    """(provider, cluster, Kube) of a cluster with three nodes."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        maker = provider(settings.load())
    cluster = maker.create("shared", Profile(NODES), lambda line: None)
    yield maker, cluster, Kube(cluster.kubeconfig)
    maker.delete("shared")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def maker(home):
    """A provider with a state of its own; whatever it made is deleted."""
    made = provider(settings.load())
    yield made
    for cluster in made.list():
        made.delete(cluster.name)
