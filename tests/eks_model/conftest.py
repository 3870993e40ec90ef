"""One account with one cluster for the tests that look; those that break or delete make their own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from model_kit import Endpoint, Site, group, until

from lab_helpers import clusters, settings
from lab_helpers.eks import plane


@pytest.fixture(scope="session")
def state():
    """A state folder of its own for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield folder
        for maker in clusters.every(settings.load()):
            for cluster in maker.list():
                maker.delete(cluster.name)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def endpoint(state):
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture(scope="session")
def site(endpoint):
    return Site(endpoint)


@pytest.fixture(scope="session")
def eks(endpoint):
    return endpoint.client("eks")


@pytest.fixture(scope="session")
def shop(eks, site):
    """A cluster `shop` with two nodes of a managed node group `blue`."""
    eks.create_cluster(**site.cluster("shop"))
    until(lambda: eks.describe_cluster(name="shop")["cluster"]["status"] != "CREATING", what="ACTIVE")
    found = eks.describe_cluster(name="shop")["cluster"]
    assert found["status"] == "ACTIVE", found["health"]
    sizes = {"minSize": 1, "maxSize": 4, "desiredSize": 2}
    eks.create_nodegroup(**site.nodegroup("shop", "blue", scalingConfig=sizes, instanceTypes=["t3.medium"]))
    until(lambda: group(eks)["status"] != "CREATING", what="blue is ACTIVE")
    assert group(eks)["status"] == "ACTIVE", group(eks)["health"]
    return "shop"


@pytest.fixture
def kube(shop):
    return plane.kube("eks-shop", "embedded")
