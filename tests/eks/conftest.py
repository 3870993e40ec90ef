"""One local AWS for the tests of a module, in folders of its own; ended with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from eks_kit import Aws

from lab_helpers import settings, toolchain
from lab_helpers.clusters import engine
from lab_helpers.eks import plane, service

# What needs a Docker engine is left out where none answers; the run's last lines say so.
collect_ignore = [] if engine.info() else ["test_on_kind.py"]

CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    before = dict(os.environ)
    os.environ |= {"XDG_DATA_HOME": str(folder / "data"), "XDG_CACHE_HOME": CACHE}
    try:
        yield Aws(folder)
    finally:
        service.clean(settings.load())
        plane.delete_every(settings.load())  # of a test that failed
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def typed(aws):
    """Run a command line as a learner types it, with a kubeconfig of its own; what it says."""
    os.environ["LAB_PROVIDER"] = "embedded"
    path = f"{toolchain.bin_folder(['kubectl', 'eksctl', 'aws-iam-authenticator'])}:{aws.env()['PATH']}"
    environment = {"PATH": path, "KUBECONFIG": str(aws.home / "kubeconfig"), "KUBECACHEDIR": str(aws.home / "cache")}

    def typed(line: str, code: int = 0, **more: str) -> str:
        return aws.run(*line.split(), code=code, **environment, **more)

    return typed
