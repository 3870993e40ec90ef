"""A thin asynchronous client of the API server: what a node agent and the proxy need, no more."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]
OnEvent = Callable[[str, Object], None]
"""Called with `ADDED`, `MODIFIED` or `DELETED`, and the object."""


class ApiError(Exception):
    """The API server said no.

    Attributes:
        code: the HTTP status.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """One cluster's API, as one identity.

    Args:
        kubeconfig: whose first cluster and first user are taken; the user has a client certificate.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        with tempfile.TemporaryDirectory() as folder:  # the ssl module reads a key from a file only
            both = Path(folder) / "client.pem"
            both.touch(0o600)
            both.write_text(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
            context.load_cert_chain(both)
        self._http = httpx.AsyncClient(
            base_url=cluster["server"],
            verify=context,
            trust_env=False,
            timeout=httpx.Timeout(15, read=30, pool=None),
            limits=httpx.Limits(max_connections=24),
        )

    async def call(self, method: str, path: str, body: Object | None = None, *, patch: str = "", **query: Any) -> Object:
        """One request; the answer's JSON.

        Args:
            patch: `merge` or `strategic-merge`.

        Raises:
            ApiError: the API server said no.
            httpx.HTTPError: it did not answer.
        """
        headers = {"Content-Type": f"application/{patch}-patch+json" if patch else "application/json"}
        content = None if body is None else json.dumps(body)
        answer = await self._http.request(method, path, content=content, headers=headers, params=query)
        try:
            found: Object = answer.json()
        except ValueError:
            found = {"message": answer.text}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, str(found.get("message", "")))
        return found

    async def watch(self, path: str, on_event: OnEvent, **query: Any) -> None:
        """List, then watch, for ever; after a break it lists again and tells what changed meanwhile."""
        known: dict[str, Object] = {}
        while True:
            try:
                version = await self._list(path, on_event, known, query)
                while version:
                    version = await self._follow(path, on_event, known, query, version)
            except (httpx.HTTPError, ApiError, ValueError, KeyError):
                pass  # away, or too old: the list says what is true
            await asyncio.sleep(0.5)

    async def _list(self, path: str, on_event: OnEvent, known: dict[str, Object], query: Object) -> str:
        listing = await self.call("GET", path, **query)
        now = {item["metadata"]["uid"]: item for item in listing.get("items") or []}
        for uid in known.keys() - now.keys():
            on_event("DELETED", known.pop(uid))
        for uid, item in now.items():
            on_event("MODIFIED" if uid in known else "ADDED", item)
        known.update(now)
        return str(listing["metadata"]["resourceVersion"])

    async def _follow(self, path: str, on_event: OnEvent, known: dict[str, Object], query: Object, version: str) -> str:
        """One watch request; the version from which to go on, empty where the list has to be read again."""
        extra = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "240"}
        timeout = httpx.Timeout(15, read=300)
        async with self._http.stream("GET", path, params={**query, **extra}, timeout=timeout) as answer:
            if answer.status_code >= 400:
                return ""
            async for line in answer.aiter_lines():
                event = json.loads(line)
                kind, item = event["type"], event["object"]
                if kind == "ERROR":
                    return ""
                version = item["metadata"]["resourceVersion"]
                if kind == "BOOKMARK":
                    continue
                if kind == "DELETED":
                    known.pop(item["metadata"]["uid"], None)
                else:
                    known[item["metadata"]["uid"]] = item
                on_event(kind, item)
        return version


def _text(entry: Object, key: str) -> str:
    """A certificate or key of a kubeconfig, whether it stands in the file or beside it."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data).decode()
    return Path(entry[key]).read_text()
