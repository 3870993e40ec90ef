"""The Kubernetes layer against a real API server: apply, refusals with file and line, waiting, watching through restarts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab_helpers import processes
from lab_helpers.errors import KubernetesError, SettingError, WaitTimeout
from lab_helpers.kube import Kube

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  {replicas}: 2
  selector:
    matchLabels: {{app: {selected}}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      containers:
        - name: web
          image: web:1
          ports:
            - containerPort: {port}
"""


def text(replicas: str = "replicas", selected: str = "web", port: object = 80) -> str:
    return DEPLOYMENT.format(replicas=replicas, selected=selected, port=port)


def pod(name: str, **spec: object) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "app", **spec}]},
    }


@pytest.fixture
def kube(shared):
    """The shared cluster; what a test made in the namespace `default` is removed after it."""
    _, _, kube = shared
    yield kube
    kube.delete("deployment", "web")
    for item in kube.list("pods", "default"):
        kube.delete("pod", item["metadata"]["name"])


def test_apply_takes_files_folders_text_and_dicts(kube, tmp_path):
    (tmp_path / "web.yaml").write_text(text())
    (tmp_path / "two.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}}')
    assert [item["kind"] for item in kube.apply(tmp_path)] == ["ConfigMap", "Deployment"]
    assert kube.apply(tmp_path / "web.yaml")[0]["metadata"]["name"] == "web"
    assert kube.apply(text())[0]["spec"]["replicas"] == 2
    assert kube.apply(pod("from-dict"))[0]["kind"] == "Pod"
    assert len(kube.apply([pod("one"), pod("other")])) == 2
    kube.wait_for("deploy", "web", "Available")


@pytest.mark.parametrize(
    ("manifest", "line", "words"),
    [
        (text(replicas="replica"), 6, ".spec.replica"),
        (text(selected="shop"), 10, "does not match template"),
        (text(port=800000), 17, "must be between 1 and 65535"),
        (text(port="many"), 17, "expected numeric"),
        ("apiVersion: v1\nkind: Poodle\nmetadata: {name: p}\n", 1, "Poodle"),
        ("a: [b", 1, "not YAML"),
        ("one: 1\n", 1, "no Kubernetes object"),
    ],
)
def test_a_refused_manifest_is_said_with_file_line_and_the_api_servers_words(kube, tmp_path, manifest, line, words):
    path = tmp_path / "web.yaml"
    path.write_text(manifest)
    with pytest.raises(KubernetesError) as caught:
        kube.apply(path)
    assert words in caught.value.text()
    near = int(caught.value.headline.partition("web.yaml:")[2].partition(":")[0].split()[0])
    assert abs(near - line) <= 4, caught.value.headline


def test_a_file_that_is_not_there_is_said(kube):
    with pytest.raises(SettingError, match=r"nothing\.yaml"):
        kube.apply(Path("nothing.yaml"))


def test_a_conflict_of_field_managers_is_a_409(kube):
    kube.apply(text())
    kube.raw(
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/web?fieldManager=somebody&force=true",
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}},
        "application/apply-patch+yaml",
    )
    with pytest.raises(KubernetesError) as caught:
        kube.apply(text())
    assert caught.value.status == 409 and "somebody" in caught.value.seen
    assert kube.apply(text(), force=True)[0]["spec"]["replicas"] == 2


def test_names_of_kinds_are_those_of_kubectl(kube):
    for name in ("po", "pod", "pods", "Pod", "deploy", "deployments.apps", "ns", "crd", "storageclass"):
        kube.list(name)
    with pytest.raises(KubernetesError, match="Poodle"):
        kube.list("Poodle")


def test_find_is_none_where_get_is_404(kube):
    assert kube.find("pod", "ghost") is None
    with pytest.raises(KubernetesError) as caught:
        kube.get("pod", "ghost")
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    kube.delete("pod", "ghost")  # no error


def test_waiting_says_why_it_is_not_so(kube):
    kube.create(pod("greedy", resources={"requests": {"cpu": "64"}}))
    with pytest.raises(WaitTimeout) as caught:
        kube.wait_for("pod", "greedy", "Ready", deadline=2)
    assert "Insufficient cpu" in caught.value.seen
    assert "describe" in caught.value.next_step
    with pytest.raises(WaitTimeout) as caught:
        kube.wait_for("pod", "ghost", "Ready", deadline=0.2)
    assert "not there" in caught.value.seen


def test_a_patch_of_a_subresource(kube):
    kube.create(pod("failing"))
    kube.wait_for("pod", "failing", "Ready")
    kube.patch("pod", "failing", {"status": {"phase": "Failed"}}, subresource="status")
    assert kube.get("pod", "failing")["status"]["phase"] == "Failed"


def test_a_watch_survives_the_api_servers_restart_and_tells_what_changed_meanwhile(shared):
    maker, cluster, kube = shared
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "early", "labels": {"watched": "yes"}}})
    stop, seen = threading.Event(), []

    def follow() -> None:
        for event, item in Kube(cluster.kubeconfig).watch("configmaps", "default", labels="watched=yes", stop=stop):
            seen.append((event, item["metadata"]["name"]))

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    processes.wait_until(lambda: ("ADDED", "early") in seen, deadline=20, what="the first event")
    maker.stop(cluster, "kube-apiserver")
    maker.start(cluster, "kube-apiserver")
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "labels": {"watched": "yes"}}})
    processes.wait_until(lambda: ("ADDED", "late") in seen, deadline=20, what="an event after the restart")
    kube.delete("configmap", "early")
    processes.wait_until(lambda: ("DELETED", "early") in seen, deadline=20, what="the deletion")
    assert seen.count(("ADDED", "early")) == 1, "nothing is told twice"
    stop.set()
    kube.delete("configmap", "late")
    follower.join(30)
    assert not follower.is_alive()


def test_a_watch_that_is_too_old_lists_again(shared, monkeypatch):
    """410 Gone: the list is read anew, and what vanished meanwhile is told as DELETED."""
    _, cluster, _ = shared
    kube = Kube(cluster.kubeconfig)
    for name in ("stays", "goes"):
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"old": "yes"}}})
    stream, first = kube._stream, [True]

    def gone(path: str):
        if first:
            first.clear()
            kube.delete("configmap", "goes")
            yield {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}
        yield from stream(path)

    monkeypatch.setattr(kube, "_stream", gone)
    events = kube.watch("configmaps", "default", labels="old=yes")
    seen = [next(events) for _ in range(3)]
    events.close()
    assert sorted((event, item["metadata"]["name"]) for event, item in seen[:2]) == [("ADDED", "goes"), ("ADDED", "stays")]
    assert (seen[2][0], seen[2][1]["metadata"]["name"]) == ("DELETED", "goes")
    kube.delete("configmap", "stays")
