"""What a container is given: its environment, and files from ConfigMaps, Secrets and emptyDirs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_helpers.clusters.images import Image
from lab_helpers.clusters.processnode.api import ApiError
from lab_helpers.clusters.processnode.container import Container

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.pod import Pod

Object = dict[str, Any]


class NotYet(Exception):
    """A container cannot be made now.

    Attributes:
        reason: shown as its waiting state, as a kubelet names it.
        message: what to do about it.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def expand(text: str, env: dict[str, str]) -> str:
    """Replace `$(NAME)` as a kubelet does."""
    for name, value in env.items():
        text = text.replace(f"$({name})", value)
    return text


async def environment(pod: Pod, container: Container, image: Image) -> dict[str, str]:
    """A container's whole environment: the image's, what a process needs to be reached, the manifest's.

    Raises:
        NotYet: a ConfigMap, a Secret or a key of them is not there.
    """
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOSTNAME": pod.name,
        **image.env,
        "LAB_PORTS": json.dumps(pod.ports),
        "LAB_NAMESPACE": pod.namespace,
        "LAB_NODE": pod.agent.name,
        "no_proxy": "127.0.0.1,localhost",
    }
    if proxy := pod.agent.proxy:
        env["http_proxy"] = proxy.replace("NAMESPACE", pod.namespace)  # short names are those of this namespace
    for source in container.spec.get("envFrom", []):
        kind = "configmaps" if "configMapRef" in source else "secrets"
        values = await _data(pod, kind, source.get("configMapRef") or source["secretRef"])
        env |= {source.get("prefix", "") + key: value for key, value in values.items()}
    for entry in container.spec.get("env", []):
        env[entry["name"]] = await _value(pod, container, entry, env)
    return env


async def _value(pod: Pod, container: Container, entry: Object, env: dict[str, str]) -> str:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value", ""), env)
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        kind, _, resource = source["resourceFieldRef"]["resource"].partition(".")
        found = container.spec.get("resources", {}).get(kind, {}).get(resource)
        return str(found or pod.agent.allocatable.get(resource, ""))
    kind, reference = (
        ("configmaps", source["configMapKeyRef"]) if "configMapKeyRef" in source else ("secrets", source["secretKeyRef"])
    )
    values = await _data(pod, kind, reference)
    if reference["key"] not in values and not reference.get("optional"):
        message = f"couldn't find key {reference['key']} in {pod.namespace}/{reference['name']}"
        raise NotYet("CreateContainerConfigError", message)
    return values.get(reference["key"], "")


def _field(pod: Pod, path: str) -> str:
    meta, spec = pod.object["metadata"], pod.object["spec"]
    own = {
        "status.podIP": pod.ip,
        "status.podIPs": pod.ip,
        "status.hostIP": "127.0.0.1",
        "spec.nodeName": pod.agent.name,
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
    }
    if "[" in path:  # metadata.labels['app']
        return str(meta.get(path.split("[")[0].split(".")[1], {}).get(path.split("'")[1], ""))
    return str(own.get(path) or meta.get(path.partition(".")[2], ""))


async def _data(pod: Pod, kind: str, reference: Object) -> dict[str, str]:
    name = reference.get("name") or reference.get("secretName")
    try:
        found = await pod.agent.api.call("GET", f"/api/v1/namespaces/{pod.namespace}/{kind}/{name}")
    except ApiError as error:
        if reference.get("optional") and error.code == 404:
            return {}
        raise NotYet("CreateContainerConfigError", str(error)) from None
    values = found.get("data") or {}
    if kind == "secrets":
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in values.items()}
    return dict(values)


async def mount(pod: Pod, container: Container) -> None:
    """Lay a container's volumes out under its own folder: `/etc/shop` is `ROOT/etc/shop`.

    Raises:
        NotYet: a ConfigMap or Secret is not there, or a volume is of a kind that a process node does not have.
    """
    volumes = {volume["name"]: volume for volume in pod.object["spec"].get("volumes", [])}
    container.root.mkdir(parents=True, exist_ok=True)
    for wanted in container.spec.get("volumeMounts", []):
        volume = volumes[wanted["name"]]
        at = container.root / wanted["mountPath"].lstrip("/")
        if not at.resolve().is_relative_to(pod.root.resolve()):
            raise NotYet("CreateContainerError", f"mountPath {wanted['mountPath']} leads outside of the Pod")
        at.parent.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            shared = pod.root / ".volumes" / wanted["name"]
            shared.mkdir(parents=True, exist_ok=True)
            if not at.is_symlink():
                at.symlink_to(shared)
        elif "configMap" in volume:
            _lay(at, await _data(pod, "configmaps", volume["configMap"]), volume["configMap"])
        elif "secret" in volume:
            _lay(at, await _data(pod, "secrets", volume["secret"]), volume["secret"])
        elif "projected" not in volume:  # the service account's token: the programs do not use it
            kind = next((key for key in volume if key != "name"), "?")
            raise NotYet(
                "CreateContainerError", f"a process node has no volumes of kind {kind}: only emptyDir, configMap, secret"
            )


def _lay(at: Path, values: dict[str, str], source: Object) -> None:
    at.mkdir(exist_ok=True)
    items = {item["key"]: item["path"] for item in source.get("items", [])}
    for key, text in values.items():
        if not items or key in items:
            (at / Path(items.get(key, key)).name).write_text(text)
