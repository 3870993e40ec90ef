"""The kind provider: a real control plane and real nodes, each a container of a Docker engine.

kind makes the control plane; every node of the profile then joins by worker.py. Names, network, labels and kubeconfig are
the lab's own: the user's clusters, images and Docker settings are never touched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from lab_helpers import processes, toolchain
from lab_helpers.clusters import (
    controlplane,
    engine,
    inventory,
    kindconfig,
    kwok,
    managed,
    nodeimage,
    relay,
    simulated,
    system,
    worker,
)
from lab_helpers.clusters.ports import free_ports
from lab_helpers.clusters.provider import Cluster, NodeShape, Profile, Say
from lab_helpers.clusters.records import Kept, save
from lab_helpers.errors import ClusterError, LabError
from lab_helpers.kube import Kube, ready
from lab_helpers.settings import Settings, writable

_MANAGED_REAL = (
    "It runs in a container of your Docker engine. So does each node of a managed node group, with a real kubelet and real "
    "Pods, as long as there are no more of them than this computer has processors, and no more than four."
)
_MANAGED_SIMULATED = (
    "Every other node (more of them, other instances, of Fargate, of Karpenter) is simulated by KWOK: its Pods are shown as "
    "running, and no container starts. What AWS alone has (aws-node, the CSI drivers) is a container that does nothing."
)
PROGRAMS = ("kind", "kubectl", "etcdctl", "etcdutl", "kwok")


class Kind(Kept):
    """See provider.Provider for what each method does."""

    name = "kind"
    real = "The control plane and its nodes are real, each node a container of your Docker engine; Pods are real containers."
    simulated = ""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.data = settings, settings.data
        self.root = self.data / "kind"
        # One network for each state folder: kind's own default, `kind`, may be the user's.
        self.network = f"eks-lab-{hashlib.sha256(str(self.data).encode()).hexdigest()[:6]}"

    def programs(self, profile: Profile) -> list[str]:
        return list(PROGRAMS)

    def described(self, profile: Profile) -> tuple[str, str]:
        """`real` and `simulated` of a cluster of this profile."""
        return (_MANAGED_REAL, _MANAGED_SIMULATED) if profile.managed else (self.real, self.simulated)

    def names_for(self, lab: str, profile: Profile) -> list[str]:
        # The state folder is in it: containers of two of them stand side by side in one engine.
        text = json.dumps([str(self.data.absolute()), asdict(profile)], sort_keys=True)
        base = f"lab-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        return sorted((base, f"{base}-b", f"{base}-c"), key=lambda name: (self._tenant(name) != lab, name))

    def _tenant(self, name: str) -> str:
        mark = self.root / name / "tenant"
        return mark.read_text() if mark.exists() else ""

    # -- life of a cluster --------------------------------------------------------------------------------------

    def create(self, name: str, profile: Profile, say: Say) -> Cluster:
        engine.required()
        paths = toolchain.ensure(self.programs(profile))
        image = nodeimage.ensure(self.settings, say)
        with self._lock(name):
            if self.get(name):
                raise ClusterError(f"There is a cluster {name!r} already.", next_step="lab clusters")
            self._refuse_stranger(name)
            self._remove(name)  # half a cluster, whose maker was killed
            try:
                return self._create(name, profile, image, paths["kind"], say)
            except BaseException:
                self._remove(name)
                raise

    def _refuse_stranger(self, name: str) -> None:
        mark = f"label=io.x-k8s.kind.cluster={name}"
        found = engine.docker("ps", "--all", "--filter", mark, "--format", "{{.Names}}").split()
        if strangers := sorted(set(found) - set(worker.states(name))):
            raise ClusterError(
                f"A kind cluster {name!r} is there that is not the lab's.",
                ", ".join(strangers),
                f"kind delete cluster --name {name}",
            )

    def _create(self, name: str, profile: Profile, image: str, kind: Path, say: Say) -> Cluster:
        folder = writable(self.root / name)
        cluster = Cluster(name, self.name, folder, folder / "kubeconfig.yaml", profile)
        say("starting the control plane in a container")
        way_in = (kindconfig.PROXY_PORT,) if system.has_way_in(profile) else ()
        inside = (kindconfig.ETCD_PORT, *way_in, *profile.ports)
        ports = dict(zip(inside, free_ports(len(inside)), strict=True))
        (folder / "ports.json").write_text(json.dumps(ports))
        relay.prepare(folder)
        configuration = kindconfig.write(folder, name, profile, ports, nodeimage.patches(image))
        if not engine.exists("network", self.network):
            engine.docker("network", "create", *engine.labels(self.settings.data), self.network)
        command: list[str | Path] = [kind, "create", "cluster", "--name", name, "--image", image, "--config", configuration]
        # A control plane that is no node never gets ready as one.
        command += ["--kubeconfig", cluster.kubeconfig, "--wait", "0s" if profile.managed else "120s", "--quiet"]
        processes.run(command, env=self._environment(), timeout=300)
        controlplane.fetch_keys(cluster)
        kube = Kube(cluster.kubeconfig)
        processes.wait_until(
            lambda: kube.find("serviceaccounts", "default"), deadline=60, what=f"Cluster {name}: the default service account"
        )
        if profile.managed:
            managed.arrange(cluster, kube)
        else:
            self._populate(cluster, kube, say)
        own = {"objects": inventory.take(kube), "nodes": inventory.of_nodes(kube)}
        (folder / "inventory.json").write_text(json.dumps(own))
        save(cluster)
        return cluster

    def _populate(self, cluster: Cluster, kube: Kube, say: Say) -> None:
        """Add the profile's nodes, and what the cluster needs of its own for them."""
        simulated.keep_daemons_away(kube)
        real, fake = simulated.split(cluster.profile.nodes)
        if cluster.profile.nodes:  # kind lets Pods run on a control plane that is alone
            control = {"taints": [kwok.taint("node-role.kubernetes.io/control-plane:NoSchedule")]}
            kube.patch("node", f"{cluster.name}-control-plane", {"spec": control})
        if real:
            say(f"joining {len(real)} node{'s' if len(real) > 1 else ''}: {', '.join(shape.name for shape in real)}")
            worker.join(self._site(cluster), real, kube)
        if fake:
            say(f"adding {len(fake)} simulated node{'s' if len(fake) > 1 else ''}")
            simulated.add(cluster, kube, fake)
        system.install(cluster, kube)
        controlplane.wait_system(kube)
        system.wait(cluster, kube)

    def _site(self, cluster: Cluster) -> worker.Site:
        image = engine.docker("inspect", "-f", "{{.Config.Image}}", controlplane.control(cluster)).strip()
        labels = tuple(engine.labels(self.settings.data))
        profile = cluster.profile
        return worker.Site(cluster.name, image, self.network, labels, cluster.folder, profile.managed, profile.images)

    def _environment(self) -> dict[str, str]:
        """kind's environment: its containers get the lab's labels and network; no kubeconfig, no option of the user's."""
        env = {key: value for key, value in engine.environment(self.settings).items() if not key.startswith(("KIND_", "KUBE"))}
        return {**env, "KIND_EXPERIMENTAL_DOCKER_NETWORK": self.network}

    def _remove(self, name: str) -> None:
        folder = self.root / name
        for process in processes.recorded(folder).values():
            processes.stop(process, grace=0)
        if folder.exists() and (reason := engine.why_not()):
            raise ClusterError(f"Cluster {name} cannot be removed: {reason.headline}", reason.seen, reason.next_step)
        if folder.exists() and (found := worker.states(name)):
            engine.docker("rm", "--force", "--volumes", *found, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)

    # -- between labs -------------------------------------------------------------------------------------------

    def occupy(self, cluster: Cluster, lab: str, say: Say) -> Cluster:
        before = self._tenant(cluster.name)
        if before not in ("", lab):
            say(f"{before} was in this cluster and did not end")
            cluster = self.reset(cluster, say)
        (cluster.folder / "tenant").write_text(lab)
        return cluster

    def reset(self, cluster: Cluster, say: Say) -> Cluster:
        """See Provider; what cannot be brought back is made anew, with a line that says so."""
        try:
            self._empty(cluster, say)
            return cluster
        except (LabError, KeyError) as error:
            words = error.text().replace("\n", " ") if isinstance(error, LabError) else str(error)
            say(f"this cluster cannot be brought back ({words[:300]}): a new one")
            self.delete(cluster.name)
            return self.create(cluster.name, cluster.profile, say)

    def _empty(self, cluster: Cluster, say: Say) -> None:
        own = json.loads((cluster.folder / "inventory.json").read_text())
        say("emptying the cluster")
        controlplane.resume(cluster)
        self.mend(cluster, say)
        kube = Kube(cluster.kubeconfig)
        for extra in set(inventory.of_nodes(kube)) - set(own["nodes"]):
            self.remove_node(cluster, extra)
        missing = [shape for shape in cluster.profile.nodes if shape.name not in inventory.of_nodes(kube)]
        for shape in missing:
            self.add_node(cluster, shape)
        inventory.restore_nodes(kube, own["nodes"])
        inventory.empty(kube, own["objects"])
        if inventory.of_nodes(kube) != own["nodes"]:
            raise ClusterError("The nodes are not as they were.", "labels, taints or cordons differ")
        controlplane.forget_audit(cluster)
        for mark in cluster.folder.glob("scene-*"):
            mark.unlink()

    def release(self, cluster: Cluster, say: Say) -> bool:
        cluster = self.reset(cluster, say)
        (cluster.folder / "tenant").unlink(missing_ok=True)
        return False

    # -- components ---------------------------------------------------------------------------------------------

    def health(self, cluster: Cluster) -> dict[str, str]:
        return controlplane.health(cluster)

    def mend(self, cluster: Cluster, say: Say) -> None:
        control = f"{cluster.name}-control-plane"
        states = worker.states(cluster.name)
        wanted = [control, *(worker.container(cluster.name, shape.name) for shape in simulated.split(cluster.profile.nodes)[0])]
        if cluster.profile.managed:  # its nodes came later, and each is somebody's instance
            wanted = list(states)
        if control not in states:
            raise ClusterError(
                f"The containers of cluster {cluster.name} are gone.", "deleted behind the lab's back?", "lab.reset()"
            )
        sleeping = [name for name in wanted if states.get(name) not in ("running", "paused", None)]
        if sleeping:
            say(f"starting {len(sleeping)} node container{'s' if len(sleeping) > 1 else ''} again")
            engine.docker("start", *sleeping, timeout=120)
        simulated.mend(cluster)
        relay.start(cluster)
        controlplane.wait(cluster, say)
        kube = Kube(cluster.kubeconfig)
        for shape in cluster.profile.nodes:
            if sleeping and states.get(worker.container(cluster.name, shape.name)) != "paused":
                kube.wait_for("node", shape.name, kwok.usable, deadline=120, what="Ready")

    def stop(self, cluster: Cluster, component: str) -> None:
        controlplane.stop(cluster, component)

    def start(self, cluster: Cluster, component: str) -> None:
        controlplane.start(cluster, component)

    def log(self, cluster: Cluster, component: str) -> Path:
        return controlplane.log(cluster, component)

    def arguments(self, cluster: Cluster, component: str) -> dict[str, str]:
        return controlplane.arguments(cluster, component)

    def reconfigure(self, cluster: Cluster, changes: Mapping[str, Mapping[str, str | None]], say: Say) -> None:
        controlplane.reconfigure(cluster, changes, say)

    def inside(self, cluster: Cluster, node: str) -> tuple[str, ...]:
        if state := self._container(cluster, node):
            if state != "running":
                raise ClusterError(f"{node} cannot be looked into: its machine is {state}.", next_step="lab.health()")
            return ("docker", "exec", "--interactive", worker.container(cluster.name, node))
        if Kube(cluster.kubeconfig).find("node", node) is None:
            raise ClusterError(f"There is no node {node!r}.", next_step="kubectl get nodes")
        raise ClusterError(f"{node} has no machine to look into: it is simulated.", "KWOK plays its kubelet")

    def environment(self, cluster: Cluster) -> dict[str, str]:
        return {**controlplane.etcd_environment(cluster), **system.environment(cluster)}

    # -- nodes --------------------------------------------------------------------------------------------------

    def add_node(self, cluster: Cluster, shape: NodeShape) -> None:
        kube = Kube(cluster.kubeconfig)
        if shape.runs == "nothing":
            simulated.add(cluster, kube, [shape])
        else:
            worker.join(self._site(cluster), [shape], kube)

    def remove_node(self, cluster: Cluster, name: str) -> None:
        if name == f"{cluster.name}-control-plane":
            raise ClusterError(f"{name} holds the control plane: it stays.", next_step="kubectl get nodes")
        kwok.remove(Kube(cluster.kubeconfig), name)
        if self._container(cluster, name):
            engine.docker("rm", "--force", "--volumes", worker.container(cluster.name, name), timeout=60)
        shutil.rmtree(cluster.folder / "nodes" / name, ignore_errors=True)

    def machines(self, cluster: Cluster) -> tuple[str, ...]:
        control = controlplane.control(cluster)
        return tuple(name.removeprefix(f"{cluster.name}-") for name in worker.states(cluster.name) if name != control)

    def fail_node(self, cluster: Cluster, name: str) -> None:
        if self._container(cluster, name):
            engine.docker("pause", worker.container(cluster.name, name))
        else:
            kwok.fail(Kube(cluster.kubeconfig), name)

    def recover_node(self, cluster: Cluster, name: str) -> None:
        kube = Kube(cluster.kubeconfig)
        if self._container(cluster, name) == "paused":
            engine.docker("unpause", worker.container(cluster.name, name))
        elif not self._container(cluster, name):
            kwok.recover(kube, name)
        kube.wait_for("node", name, ready, deadline=60, what="Ready")

    def _container(self, cluster: Cluster, node: str) -> str:
        """State of a node's container; empty where it has none: it is simulated."""
        states = worker.states(cluster.name)
        return states.get(worker.container(cluster.name, node), "")
