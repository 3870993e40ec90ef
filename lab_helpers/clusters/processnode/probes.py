"""Startup, liveness and readiness probes, really asked; what they say decides."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from lab_helpers.clusters.processnode import commands
from lab_helpers.clusters.processnode.container import Container

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.pod import Pod

Object = dict[str, Any]
Answer = tuple[bool, str]
"""Whether the probe passed; if not, why."""

_EARLY = 2.0  # seconds after a start in which readiness is asked often, so that a fast start is seen at once
_EARLY_PAUSE = 0.03


async def follow(pod: Pod, container: Container) -> None:
    """Ask a running container's probes until it is killed for them or this task is cancelled."""
    if probe := container.spec.get("startupProbe"):
        if not await _started(pod, container, probe):
            await pod.kill(container, "startup")
            return
        container.started = True
        container.ready = "readinessProbe" not in container.spec
        pod.changed.set()
    await asyncio.gather(_live(pod, container), _ready(pod, container))


async def _started(pod: Pod, container: Container, probe: Object) -> bool:
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    for _ in range(probe.get("failureThreshold", 3)):
        passed, why = await ask(pod, container, probe)
        if passed:
            return True
        pod.event("Warning", "Unhealthy", f"Startup probe failed: {why}")
        await asyncio.sleep(probe.get("periodSeconds", 10))
    return False


async def _live(pod: Pod, container: Container) -> None:
    probe = container.spec.get("livenessProbe")
    if not probe:
        return
    period, failures = probe.get("periodSeconds", 10), 0
    await asyncio.sleep(probe.get("initialDelaySeconds", 0) or min(period, 1))  # not in the first instant
    while failures < probe.get("failureThreshold", 3):
        passed, why = await ask(pod, container, probe)
        failures = 0 if passed else failures + 1
        if not passed:
            pod.event("Warning", "Unhealthy", f"Liveness probe failed: {why}")
        if failures < probe.get("failureThreshold", 3):
            await asyncio.sleep(period)
    await pod.kill(container, "liveness")


async def _ready(pod: Pod, container: Container) -> None:
    probe = container.spec.get("readinessProbe")
    if not probe:
        return
    passes = failures = 0
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        early = not container.ready and time.time() - container.started_at < _EARLY
        passed, why = await ask(pod, container, probe)
        passes, failures = (passes + 1, 0) if passed else (0, failures + 1)
        now = container.ready
        if passes >= probe.get("successThreshold", 1):
            now = True
        elif failures >= probe.get("failureThreshold", 3):
            now = False
        if not passed and not early:
            pod.event("Warning", "Unhealthy", f"Readiness probe failed: {why}")
        if now != container.ready:
            container.ready = now
            pod.changed.set()
        await asyncio.sleep(_EARLY_PAUSE if early and not now else probe.get("periodSeconds", 10))


async def ask(pod: Pod, container: Container, probe: Object) -> Answer:
    """Ask once."""
    seconds = probe.get("timeoutSeconds", 1)
    try:
        return await asyncio.wait_for(_ask(pod, container, probe), seconds)
    except TimeoutError:
        return False, f"no answer within {seconds} s"
    except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
        return False, "connection refused"


async def _ask(pod: Pod, container: Container, probe: Object) -> Answer:
    if "exec" in probe:
        code, said = await commands.run(pod, container, probe["exec"]["command"])
        return code == 0, said.strip() or f"exit code {code}"
    wanted = probe.get("httpGet") or probe.get("tcpSocket")
    if not wanted:
        return False, "a process node knows httpGet, tcpSocket and exec only"
    port = _number(container, wanted["port"])
    if port not in pod.ports:
        return False, f"the container has no port {wanted['port']}"
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.ports[port])
    try:
        if "tcpSocket" in probe:
            return True, ""
        headers = "".join(f"{header['name']}: {header['value']}\r\n" for header in wanted.get("httpHeaders", []))
        request = f"GET {wanted.get('path', '/')} HTTP/1.1\r\nHost: {pod.ip}:{port}\r\nUser-Agent: kube-probe\r\n"
        writer.write(f"{request}{headers}Connection: close\r\n\r\n".encode())
        code = int((await reader.readline()).split(b" ")[1])
        return 200 <= code < 400, f"HTTP probe failed with statuscode: {code}"
    finally:
        writer.close()


def _number(container: Container, port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = {entry.get("name"): entry["containerPort"] for entry in container.spec.get("ports", [])}
    return int(named.get(port, 0))
