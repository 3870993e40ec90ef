"""Karpenter for AWS beside a cluster: the real program, unmodified, as a process of the lab's own, and its keeper.

At work it is a Pod in the cluster, looked after by a Deployment. Here the keeper does that: `python -m
lab_helpers.autoscaling.karpenter FOLDER` starts the program, starts it again when it ends, and ends with the cluster. What
it wants to know stands in `FOLDER/wanted.json`; `install`, `start` and `stop` are for everybody else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab_helpers import clusters, processes, settings, toolchain
from lab_helpers.clusters.ports import free_ports
from lab_helpers.eks import files, service
from lab_helpers.eks.service import Endpoint
from lab_helpers.errors import LabError, ProgramError
from lab_helpers.kube import Kube
from lab_helpers.settings import writable
from lab_helpers.toolchain import modules

NAME, KEEPER = "karpenter", "karpenter-keeper"
_RESOURCES = (
    "karpenter.sh_nodepools",
    "karpenter.sh_nodeclaims",
    "karpenter.sh_nodeoverlays",
    "karpenter.k8s.aws_ec2nodeclasses",
)
# It must not outlive its keeper, not even one that is killed: a loop beside it looks after both once a second. $0 is the
# keeper, $$ the process that becomes Karpenter, 0 their group.
_GUARD = '(while kill -0 "$0" && kill -0 $$; do sleep 1; done; kill -KILL 0) 2>/dev/null & exec "$@"'
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before it is started again; a Deployment's go up to five minutes
_STEADY = 30.0  # seconds after which a run counts as a good one


@dataclass(frozen=True)
class Wanted:
    """What is to run.

    Attributes:
        cluster: the EKS cluster's name.
        kubeconfig: its administrator's; at work Karpenter has a service account.
        queue: name of the SQS queue with interruptions; empty: none is read.
        level: of its log: debug, info or error.
        more: further variables of the chart's (`FEATURE_GATES`, `BATCH_MAX_DURATION`).
    """

    cluster: str
    kubeconfig: str
    queue: str = ""
    level: str = "info"
    more: dict[str, str] = field(default_factory=dict)

    def environment(self, endpoint: Endpoint, ports: tuple[int, int]) -> dict[str, str]:
        """Its whole environment: the same variables as in the Deployment of Karpenter's chart."""
        there = endpoint.environment(clusters.scrubbed({"PATH": os.environ.get("PATH", "")}))
        metrics, health = ports
        return {
            **there,
            "HOME": str(Path(self.kubeconfig).parent),
            "KUBECONFIG": self.kubeconfig,
            "CLUSTER_NAME": self.cluster,
            "INTERRUPTION_QUEUE": self.queue,
            "EKS_CONTROL_PLANE": "true",
            "ISOLATED_VPC": "false",
            "DISABLE_LEADER_ELECTION": "true",  # there is no second one
            "SYSTEM_NAMESPACE": "kube-system",
            "METRICS_PORT": str(metrics),
            "HEALTH_PROBE_PORT": str(health),
            "LOG_LEVEL": self.level,
            "BATCH_IDLE_DURATION": "1s",
            **self.more,
        }


# -- for the lab ----------------------------------------------------------------------------------------------------


def custom_resources() -> list[Path]:
    """The files of Karpenter's custom resource definitions, of its own module."""
    family = toolchain.PROGRAMS[NAME].family
    ((module, inside),) = family.files
    here = modules.files(family, module, inside)
    return [here / f"{name}.yaml" for name in _RESOURCES]


def install(kube: Kube) -> None:
    """Apply the custom resource definitions, as Karpenter's chart does; return when the API server knows them."""
    for file in custom_resources():
        for made in kube.apply(file, force=True):
            kube.wait_for("customresourcedefinition", made["metadata"]["name"], "Established")


def start(folder: Path, wanted: Wanted, deadline: float = 120) -> None:
    """Run it, or run it anew with other settings; return when it is ready.

    Args:
        folder: for its records and logs; it goes with the cluster.

    Raises:
        ProgramError: it ends at once; with its own words.
        WaitTimeout: it is not ready in time.
    """
    stop(folder)
    files.write(writable(folder) / "wanted.json", json.dumps(asdict(wanted)))
    (folder / "logs" / f"{NAME}.log").unlink(missing_ok=True)
    keeper = processes.start(KEEPER, [sys.executable, "-m", __name__, str(folder)], folder=folder)

    def answers() -> bool:
        if not processes.alive(keeper):
            raise ProgramError("Karpenter's keeper ended at once.", processes.tail(keeper.log), "lab doctor")
        return ready(folder)

    processes.wait_until(answers, deadline=deadline, what="Karpenter: ready", seen=lambda: "\n".join(log(folder, 5)))


def stop(folder: Path) -> None:
    """End it; nodes stay as they are."""
    for name in (KEEPER, NAME):  # the keeper first: it would start it again
        if found := processes.recorded(folder).get(name):
            processes.stop(found, grace=10)
            processes.forget(folder, name)
    (folder / "ports.json").unlink(missing_ok=True)


def running(folder: Path) -> bool:
    """Whether somebody keeps it running."""
    found = processes.recorded(folder).get(KEEPER)
    return found is not None and processes.alive(found)


def ready(folder: Path) -> bool:
    """Whether it says that it is ready: its caches are filled."""
    found = processes.recorded(folder).get(NAME)
    try:
        told = json.loads((folder / "ports.json").read_text())
        if found is None or told["pid"] != found.pid:
            return False
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{told['health']}/readyz", timeout=2
        ) as answer:
            # Where the port of its metrics is taken it ends after it has said so once.
            return bool(answer.status == 200 and processes.alive(found))
    except (OSError, ValueError, KeyError):
        return False


def log(folder: Path, lines: int) -> list[str]:
    """The last lines of its log, as it wrote them: JSON."""
    return processes.tail(folder / "logs" / f"{NAME}.log", lines * 5).splitlines()[-lines:]


# -- the keeper -----------------------------------------------------------------------------------------------------


class Keeper:
    """Starts Karpenter, and starts it again when it has ended.

    Args:
        folder: see `start`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._end, self._reached = folder, threading.Event(), ""
        self._wanted = Wanted(**json.loads((folder / "wanted.json").read_text()))

    def end(self, *_: object) -> None:
        """Ask it to end."""
        self._end.set()

    def run(self) -> None:
        """Keep it running until it is to end, or the cluster is gone."""
        failed = 0
        while self._go_on():
            endpoint = service.running(settings.load())
            if endpoint is None:  # the local AWS is being started again
                self._end.wait(0.5)
                continue
            began, process = time.monotonic(), self._begin(endpoint)
            while self._go_on() and processes.alive(process) and self._reaches():
                self._end.wait(0.5)
            if processes.alive(process):
                processes.stop(process)
                continue
            processes.forget(self._folder, NAME)
            if self._go_on():
                failed = 0 if time.monotonic() - began > _STEADY else failed + 1
                pause = _PAUSES[min(failed, len(_PAUSES)) - 1] if failed else _PAUSES[0]
                _say(f"Karpenter ended: started again in {pause:g} s")
                self._end.wait(pause)

    def _go_on(self) -> bool:
        return not self._end.is_set() and Path(self._wanted.kubeconfig).exists()

    def _reaches(self) -> bool:
        """Whether the local AWS is still where it was when Karpenter was started; one that is away comes back there."""
        found = service.running(settings.load())
        return found is None or self._reached == _address(found)

    def _begin(self, endpoint: Endpoint) -> processes.Process:
        metrics, health = free_ports(2)
        self._reached = _address(endpoint)
        env = self._wanted.environment(endpoint, (metrics, health))
        command: list[str | Path] = ["sh", "-c", _GUARD, str(os.getpid()), toolchain.path(NAME)]
        process = processes.start(NAME, command, folder=self._folder, env=env)
        ports = {"pid": process.pid, "metrics": metrics, "health": health}
        files.write(self._folder / "ports.json", json.dumps(ports))
        _say(f"Karpenter runs: pid {process.pid}, metrics on port {metrics}, health on {health}")
        return process


def _address(endpoint: Endpoint) -> str:
    return f"{endpoint.port} {endpoint.password}"


def _say(words: str) -> None:
    print(time.strftime("%H:%M:%S"), words, flush=True)


def main(folder: Path) -> int:
    """Keep Karpenter running; for the command line."""
    keeper = Keeper(folder)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, keeper.end)
    try:
        keeper.run()
    except (LabError, OSError) as error:  # the folder went with the cluster, or the program is not there
        _say(error.text() if isinstance(error, LabError) else repr(error))
    finally:
        if found := processes.recorded(folder).get(NAME):
            processes.stop(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
