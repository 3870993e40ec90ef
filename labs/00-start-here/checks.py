"""Lab 00: checks and scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab_helpers import CheckFailed

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

GREEDY = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "greedy"},
    "spec": {"containers": [{"name": "app", "image": "lab.local/web:1.0", "resources": {"requests": {"cpu": "64"}}}]},
}


def scene_first_pod(lab: Lab) -> None:
    lab.kube.delete("namespace", "team-blue", deadline=60)
    for namespace in ("default", "team-blue"):
        lab.kube.delete("pod", "hello", namespace)


def first_pod(lab: Lab) -> None:
    """A Pod `hello` of lab.local/web:1.0 is Ready in the namespace team-blue."""
    if not lab.kube.find("namespace", "team-blue"):
        raise CheckFailed("There is no namespace team-blue.", "kubectl get namespaces does not show it")
    pod = lab.kube.find("pod", "hello", "team-blue")
    if not pod:
        elsewhere = [p["metadata"]["namespace"] for p in lab.kube.list("pods") if p["metadata"]["name"] == "hello"]
        if elsewhere:
            raise CheckFailed(
                f"hello is in the namespace {elsewhere[0]}, not in team-blue.",
                next_step="which option tells kubectl the namespace? Remove the other hello too",
            )
        made = [p["metadata"]["name"] for p in lab.kube.list("pods", "team-blue")]
        if made:
            raise CheckFailed(
                "team-blue has a Pod, but none that is named hello.",
                ", ".join(made),
                "who made this name up, and which command makes a Pod of exactly the name that you give?",
            )
        raise CheckFailed("The namespace is there. There is no Pod hello in it yet.")
    image = pod["spec"]["containers"][0]["image"]
    if image != "lab.local/web:1.0":
        raise CheckFailed("hello runs another image.", image, "team blue asked for lab.local/web:1.0")
    lab.kube.wait_for("pod", "hello", "Ready", "team-blue", deadline=20)


def scene_greedy(lab: Lab) -> None:
    lab.kube.delete("pod", "greedy")
    lab.kube.create(GREEDY)


def greedy(lab: Lab) -> None:
    """A Pod `greedy` is Ready and asks for one core."""
    pod = lab.kube.find("pod", "greedy")
    if not pod:
        raise CheckFailed("There is no Pod greedy any more.", next_step="your colleague still needs one: create it anew")
    asked = pod["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("cpu", "nothing")
    if not pod["spec"].get("nodeName"):
        words = lab.kube.explain(pod)
        raise CheckFailed(f"greedy is still Pending: it asks for {asked} cores.", words, "how many does the largest node have?")
    if asked not in ("1", "1000m"):
        raise CheckFailed(
            f"greedy runs, and asks for {asked} instead of one core.", next_step="what will it get on a busy node?"
        )
    lab.kube.wait_for("pod", "greedy", "Ready", deadline=20)


def scene_terminal(lab: Lab) -> None:
    for namespace in ("default", "kube-public"):
        lab.kube.delete("configmap", "from-terminal", namespace)


def terminal(lab: Lab) -> None:
    """A ConfigMap from-terminal with the key `who` is in the namespace default."""
    found = lab.kube.find("configmap", "from-terminal")
    if not found:
        elsewhere = [
            c["metadata"]["namespace"] for c in lab.kube.list("configmaps") if c["metadata"]["name"] == "from-terminal"
        ]
        if elsewhere:
            raise CheckFailed(
                f"from-terminal is in the namespace {elsewhere[0]}.", next_step="where does it have to be? Make it there"
            )
        raise CheckFailed(
            "There is no ConfigMap from-terminal.", next_step="does `kubectl get nodes` in your terminal show node-1?"
        )
    if not found.get("data", {}).get("who"):
        keys = ", ".join(found.get("data", {})) or "none"
        raise CheckFailed(
            "from-terminal has no key named who.", f"keys: {keys}", "what does kubectl create configmap --help say of keys?"
        )
