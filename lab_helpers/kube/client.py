"""A thin layer on the official client: raw JSON in, raw JSON out.

The official client reads the kubeconfig and keeps the connections; its typed models are left aside, because they
differ between its major versions and cost 10 to 30 times the time of the JSON itself. It is imported at the first
request (0.7 s).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lab_helpers.errors import KubernetesError, WaitTimeout
from lab_helpers.kube import manifests, status
from lab_helpers.kube.answers import parsed
from lab_helpers.kube.discovery import ACCEPT, Resource, discover
from lab_helpers.kube.refusals import field, refusal
from lab_helpers.processes import wait_until

Object = dict[str, Any]
Objects = list[Object]
Condition = str | Callable[[Object | None], object]

FIELD_MANAGER = "lab"


class Kube:
    """One cluster's API.

    Args:
        kubeconfig: the file to read; nothing else is looked at.

    Every method raises KubernetesError with the API server's own words; status 0 where it does not answer.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._resources: dict[str, Resource] = {}

    # -- connection ---------------------------------------------------------------------------------------------

    @cached_property
    def _connection(self) -> tuple[str, Any, dict[str, str]]:
        from kubernetes import client, config

        configuration = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=configuration, persist_config=False)
        configuration.proxy = None  # the API server is on this machine
        configuration.retries = False
        configuration.connection_pool_maxsize = 16
        headers = {"User-Agent": "lab"}
        if bearer := configuration.get_api_key_with_prefix("BearerToken", "authorization"):
            headers["Authorization"] = bearer
        return configuration.host, client.ApiClient(configuration).rest_client.pool_manager, headers

    def _request(self, method: str, path: str, body: Any, content_type: str, timeout: float, accept: str, stream: bool) -> Any:
        from urllib3.exceptions import HTTPError

        host, pool, headers = self._connection
        data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            return pool.request(
                method,
                host + path,
                body=data,
                headers={**headers, "Accept": accept, **({"Content-Type": content_type} if data is not None else {})},
                timeout=timeout,
                preload_content=not stream,
                retries=False,
            )
        except HTTPError as error:
            raise KubernetesError(
                "The API server does not answer.",
                f"{method} {path.partition('?')[0]}: {type(error).__name__}",
                "lab.health() says which component is down; lab.start(…) starts it; lab.reset() makes a new cluster",
                reason="Unreachable",
            ) from None

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = 10,
        accept: str = "application/json",
    ) -> Object:
        """One request of any path; the answer's JSON, or `{"text": …}` where it is none."""
        response = self._request(method, path, body, content_type, timeout, accept, stream=False)
        try:
            answer = parsed(response.data)
        except ValueError:
            answer = {"text": response.data.decode(errors="replace")}
        if response.status >= 400:
            raise refusal(method, path, response.status, answer)
        return answer if isinstance(answer, dict) else {"items": answer}

    # -- discovery ----------------------------------------------------------------------------------------------

    def served(self) -> list[Resource]:
        """Every kind that the API server serves now, in its preferred version."""
        self._resources = discover(lambda path: self.raw("GET", path, accept=ACCEPT))
        return list(dict.fromkeys(self._resources.values()))

    def _resource(self, kind: str) -> Resource:
        key = kind.lower()
        if key not in self._resources:
            self.served()
        if key not in self._resources:
            what = f"The API server knows no kind {kind!r}."
            raise KubernetesError(what, next_step="kubectl api-resources", status=404, reason="NotFound")
        return self._resources[key]

    def _resource_of(self, manifest: Object) -> Resource:
        version, kind = manifest["apiVersion"], manifest["kind"]
        group = version.rpartition("/")[0]
        resource = self._resource(f"{kind}.{group}" if group else kind)
        base = f"/apis/{version}" if group else f"/api/{version}"
        return Resource(base, resource.plural, resource.kind, resource.namespaced)

    # -- objects ------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """One object; KubernetesError with status 404 where it is not there."""
        return self.raw("GET", self._resource(kind).path(namespace, name))

    def find(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """One object, or None where it is not there."""
        try:
            return self.get(kind, name, namespace)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, labels: str = "", fields: str = "") -> Objects:
        """All objects of a kind; `namespace=None`: of all namespaces. Selectors as kubectl's -l and --field-selector."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        answer = self.raw("GET", self._resource(kind).path(namespace) + _query(query), timeout=30)
        single = answer.get("kind", "").removesuffix("List")
        return [{"apiVersion": answer.get("apiVersion"), "kind": single, **item} for item in answer.get("items") or []]

    def apply(self, source: manifests.Source, namespace: str = "default", force: bool = False) -> Objects:
        """Server-side apply of a file, a folder, YAML text, a dict or dicts; an error names file and line."""
        return [self._apply(document, namespace, force) for document in manifests.load(source)]

    def _apply(self, document: manifests.Document, namespace: str, force: bool) -> Object:
        item = document.object
        name = item.get("metadata", {}).get("name", "")
        query = _query({"fieldManager": FIELD_MANAGER, "force": str(force).lower(), "fieldValidation": "Strict"})
        try:
            path = self._resource_of(item).path(item.get("metadata", {}).get("namespace") or namespace, name)
            return self.raw("PATCH", path + query, item, "application/apply-patch+yaml")
        except KubernetesError as error:
            where = document.where(field(error))
            if where:
                error.headline = f"{where}: {error.headline}"
            raise

    def create(self, manifest: Object, namespace: str = "default") -> Object:
        """Make one object; 409 where it is there already."""
        path = self._resource_of(manifest).path(manifest.get("metadata", {}).get("namespace") or namespace)
        return self.raw("POST", path + _query({"fieldManager": FIELD_MANAGER}), manifest)

    def patch(self, kind: str, name: str, patch: Object, namespace: str = "default", subresource: str = "") -> Object:
        """Merge `patch` into one object."""
        path = self._resource(kind).path(namespace, name, subresource)
        return self.raw("PATCH", path + _query({"fieldManager": FIELD_MANAGER}), patch, "application/merge-patch+json")

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "default",
        wait: bool = True,
        deadline: float = 60,
        grace: int | None = None,
    ) -> None:
        """Delete one object, and with `wait` return when it is gone; no error where there is none.

        Args:
            grace: seconds that a Pod gets to end; None: its own.
        """
        options = {"propagationPolicy": "Background", **({} if grace is None else {"gracePeriodSeconds": grace})}
        try:
            self.raw("DELETE", self._resource(kind).path(namespace, name), options)
        except KubernetesError as error:
            if error.status != 404:
                raise
        if wait:
            self.wait_for(kind, name, "deleted", namespace, deadline)

    # -- time ---------------------------------------------------------------------------------------------------

    def wait_for(
        self, kind: str, name: str, condition: Condition, namespace: str = "default", deadline: float = 30, what: str = ""
    ) -> Object:
        """Wait until a condition holds of one object; the object as last seen (empty after `deleted`).

        Args:
            condition: a type in status.conditions that must be True (`Ready`, `Available`), `deleted`, or a
                function of the object (None while it is not there).
            deadline: seconds.
            what: words for the error; made from the condition if empty.

        Raises:
            WaitTimeout: says what was last seen, for a Pod its own reason.
        """
        last: Object | None = None

        def holds() -> object:
            nonlocal last
            last = self.find(kind, name, namespace)
            if callable(condition):
                return condition(last)
            if condition == "deleted":
                return last is None
            return last is not None and status.condition(last, condition).get("status") == "True"

        label = what or (condition if isinstance(condition, str) else "the condition")
        wait_until(
            holds,
            deadline=deadline,
            what=f"{kind}/{name}: {label}",
            seen=lambda: self.explain(last),
            next_step=f"kubectl describe {kind} {name} -n {namespace}",
        )
        return last or {}

    def explain(self, item: Object | None) -> str:
        """In a line why an object is as it is: phase, failing conditions, container reasons, its latest warning."""
        if item is None:
            return "it is not there"
        said = status.troubles(item)
        try:
            meta = item["metadata"]
            events = self.list("events", meta.get("namespace"), fields=f"involvedObject.uid={meta.get('uid')},type=Warning")
            said += [f"{event['reason']}: {event['message']}" for event in events[-1:]]
        except (KubernetesError, WaitTimeout):
            pass
        return "; ".join(dict.fromkeys(said)) or "it is there, with no status yet"

    def watch(
        self, kind: str, namespace: str | None = None, labels: str = "", stop: threading.Event | None = None
    ) -> Iterator[tuple[str, Object]]:
        """What happens to the objects of a kind: `(ADDED | MODIFIED | DELETED, object)`, first those that are there.

        It survives a watch that is too old (410) and restarts of the API server: then it lists again and yields what
        changed meanwhile. It ends when the generator is closed, or after `stop` is set.
        """
        known: dict[str, Object] = {}
        stop = stop or threading.Event()
        while not stop.is_set():
            try:
                yield from self._watch_once(kind, namespace, labels, known, stop)
            except KubernetesError as error:
                if error.status not in (0, 410, 429, 500, 503):
                    raise
                stop.wait(0.2)

    def _watch_once(
        self, kind: str, namespace: str | None, labels: str, known: dict[str, Object], stop: threading.Event
    ) -> Iterator[tuple[str, Object]]:
        path = self._resource(kind).path(namespace)
        answer = self.raw("GET", path + _query({"labelSelector": labels}), timeout=30)
        single = answer.get("kind", "").removesuffix("List")
        now = {item["metadata"]["uid"]: {"kind": single, **item} for item in answer.get("items") or []}
        gone = [known.pop(uid) for uid in list(known) if uid not in now]
        yield from (("DELETED", item) for item in gone)
        for uid, item in now.items():
            before = known.get(uid)
            known[uid] = item
            if before is None or before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                yield ("MODIFIED" if before else "ADDED"), item
        version = answer["metadata"]["resourceVersion"]
        while not stop.is_set():
            query = {"labelSelector": labels, "watch": "true", "resourceVersion": version, "timeoutSeconds": "20"}
            for event in self._stream(path + _query(query)):
                item = event["object"]
                if event["type"] == "ERROR":
                    raise KubernetesError("The watch ended.", item.get("message", ""), status=item.get("code", 410))
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    known.pop(item["metadata"]["uid"], None)
                else:
                    known[item["metadata"]["uid"]] = item
                yield event["type"], item
                if stop.is_set():
                    return

    def _stream(self, path: str) -> Iterator[Object]:
        from urllib3.exceptions import HTTPError

        response = self._request("GET", path, None, "", 30, "application/json", stream=True)
        try:
            if response.status >= 400:
                raise refusal("GET", path, response.status, {"message": response.read().decode(errors="replace")})
            rest = b""
            for chunk in response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        except HTTPError as error:
            raise KubernetesError("The API server went away.", type(error).__name__, reason="Unreachable") from None
        finally:
            response.close()


def _query(values: dict[str, str]) -> str:
    given = {key: value for key, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""
