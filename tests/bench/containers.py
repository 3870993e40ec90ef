"""Figures of the kind provider, where a Docker engine has the node image: made, found again, emptied, grown by a worker."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_helpers import processes, settings, toolchain
from lab_helpers.clusters import NodeShape, Profile, engine, nodeimage
from lab_helpers.clusters.kind import Kind
from lab_helpers.kube import Kube

Row = tuple[str, str, str, bool]
REPEATS = 3
PROFILE = Profile(tuple(NodeShape(f"node-{number}", cpu="2", memory="2Gi") for number in (1, 2)))
_BARE = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
{patches}
nodes: [{{role: control-plane}}, {{role: worker}}, {{role: worker}}]
"""


def usable() -> bool:
    """Whether this machine can make kind clusters now."""
    return engine.info() is not None and nodeimage.present(settings.load()) is not None


@contextmanager
def maker() -> Iterator[Kind]:
    """A kind provider with a state of its own; afterwards nothing of it is left."""
    folder, before = Path(tempfile.mkdtemp(prefix="lab-")), os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder)
    made = Kind(settings.load())
    try:
        yield made
    finally:
        made.delete_all()
        engine.clean()
        os.environ.pop("XDG_DATA_HOME") if before is None else os.environ.update(XDG_DATA_HOME=before)
        shutil.rmtree(folder, ignore_errors=True)


def quiet(line: str) -> None:
    """Say nothing."""


def took(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def bare(made: Kind, number: int) -> float:
    """Seconds of `kind create cluster` with a control plane and two workers, until every node is Ready."""
    import yaml

    name, folder = f"lab-bare-{number}", made.settings.data
    folder.mkdir(parents=True, exist_ok=True)
    image = nodeimage.ensure(made.settings)
    config, kubeconfig = folder / "bare.yaml", folder / "bare.kubeconfig"
    config.write_text(_BARE.format(patches=yaml.safe_dump(nodeimage.patches(image)) if nodeimage.patches(image) else ""))
    kind = toolchain.path("kind")
    env = {**engine.environment(labelling=made.settings), "KIND_EXPERIMENTAL_DOCKER_NETWORK": made.network}
    flags: list[str | Path] = ["--name", name, "--kubeconfig", kubeconfig]
    command: list[str | Path] = [kind, "create", "cluster", *flags, "--image", image, "--config", config, "--wait", "120s"]
    try:
        began = time.monotonic()
        processes.run(command, env=env, timeout=300)
        kube = Kube(kubeconfig)
        for node in kube.list("nodes"):
            kube.wait_for("node", node["metadata"]["name"], "Ready", deadline=120)
        return time.monotonic() - began
    finally:
        processes.run([kind, "delete", "cluster", *flags], env=env, timeout=60)


def run() -> Iterator[Row]:
    """The rows, one after another."""
    with maker() as made:
        name = made.names_for("bench", PROFILE)[0]
        pairs = []
        for number in range(REPEATS):
            theirs = bare(made, number)
            pairs.append((theirs, took(lambda: made.create(name, PROFILE, quiet))))
            if number < REPEATS - 1:
                made.delete(name)
        theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
        value = f"{mine:.1f} s, bare kind {theirs:.1f} s (medians of {REPEATS}, interleaved)"
        yield "kind: control plane and two nodes", value, "≤ 1.1 × bare", mine <= 1.1 * theirs
        cluster = made.get(name)
        assert cluster
        again = took(lambda: made.health(made.occupy(cluster, "bench", quiet)))
        yield "kind: a healthy cluster found again", f"{again:.2f} s", "≤ 1 s", again <= 1
        Kube(cluster.kubeconfig).create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left"}})
        emptied = took(lambda: made.reset(cluster, quiet))
        yield "kind: reset", f"{emptied:.1f} s", "≤ 10 s", emptied <= 10
        shape = NodeShape("one-more", cpu="1", memory="1Gi")
        grown = took(lambda: made.add_node(cluster, shape))
        yield "kind: one more worker, docker run to Ready", f"{grown:.1f} s", "≤ 20 s", grown <= 20
        names = engine.docker("ps", "--filter", f"label=io.x-k8s.kind.cluster={name}", "--format", "{{.Names}}").split()
        memory = engine.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names).splitlines()
        short = ", ".join(line.removeprefix(f"{name}-").split(" /")[0] for line in sorted(memory))
        yield "kind: memory of each node", short, "for the record", True
