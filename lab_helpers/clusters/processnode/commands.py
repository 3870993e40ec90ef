"""The commands that kubectl exec and exec probes may run: a table of functions, never a program of this machine."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lab_helpers.clusters.processnode.api import ApiError

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.container import Container
    from lab_helpers.clusters.processnode.pod import Pod

Result = tuple[int, str]
"""Exit code and output."""

_PRIVATE = ("http_proxy", "no_proxy", "LAB_PORTS", "LAB_NAMESPACE", "LAB_NODE")
_SHELL_WORDS = set("|&;<>$`(){}*?")


async def run(pod: Pod, container: Container, command: list[str]) -> Result:
    """Run one command of the table in a container."""
    if not container.pid:
        return 126, "the container is not running\n"
    if not command:
        return 126, "no command\n"
    name, *rest = command
    name = name.rpartition("/")[2]
    if name in ("sh", "bash", "ash"):
        return await _shell(pod, container, rest)
    if name not in _TABLE:
        return 127, f"{name}: not found. A process node has no programs but: {' '.join(sorted(_TABLE))}\n"
    try:
        return await _TABLE[name](pod, container, rest)
    except OSError as error:
        return 1, f"{name}: {error.strerror or error}\n"
    except (IndexError, KeyError, ValueError, StopIteration):
        return 2, f"{name}: these arguments are not understood here\n"


async def _shell(pod: Pod, container: Container, rest: list[str]) -> Result:
    if len(rest) == 2 and rest[0] == "-c" and not _SHELL_WORDS & set(rest[1]):
        return await run(pod, container, shlex.split(rest[1]))
    return 126, "a process node has no shell: give one plain command, for instance: kubectl exec POD -- hostname\n"


def _inside(container: Container, name: str) -> Path:
    path = (container.root / name.lstrip("/")).resolve()
    if not path.is_relative_to(container.root.parent.resolve()):
        raise OSError(f"{name}: outside of the Pod")
    return path


async def _hostname(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, f"{pod.ip if rest == ['-i'] else pod.name}\n"


async def _env(pod: Pod, container: Container, rest: list[str]) -> Result:
    shown = {key: value for key, value in container.env.items() if key not in _PRIVATE}
    return 0, "".join(f"{key}={value}\n" for key, value in sorted(shown.items()))


async def _printenv(pod: Pod, container: Container, rest: list[str]) -> Result:
    if not rest:
        return await _env(pod, container, rest)
    value = container.env.get(rest[0]) if rest[0] not in _PRIVATE else None
    return (0, f"{value}\n") if value is not None else (1, "")


async def _echo(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, " ".join(rest) + "\n"


async def _date(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, time.strftime("%a %b %e %H:%M:%S UTC %Y\n", time.gmtime())


async def _id(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, f"uid={os.getuid()} gid={os.getgid()}\n"


async def _sleep(pod: Pod, container: Container, rest: list[str]) -> Result:
    await asyncio.sleep(float(rest[0]))
    return 0, ""


async def _true(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, ""


async def _false(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 1, ""


async def _cat(pod: Pod, container: Container, rest: list[str]) -> Result:
    return 0, "".join(_inside(container, name).read_text() for name in rest)


async def _ls(pod: Pod, container: Container, rest: list[str]) -> Result:
    place = _inside(container, next((word for word in rest if not word.startswith("-")), "/"))
    names = [place.name] if place.is_file() else sorted(path.name for path in place.iterdir())
    return 0, "".join(f"{name}\n" for name in names)


async def _test(pod: Pod, container: Container, rest: list[str]) -> Result:
    kind, name = rest
    path = _inside(container, name)
    return int(not {"-e": path.exists, "-f": path.is_file, "-d": path.is_dir}.get(kind, path.exists)()), ""


async def _touch(pod: Pod, container: Container, rest: list[str]) -> Result:
    for name in rest:
        _inside(container, name).touch()
    return 0, ""


async def _rm(pod: Pod, container: Container, rest: list[str]) -> Result:
    for name in (word for word in rest if not word.startswith("-")):
        _inside(container, name).unlink(missing_ok="-f" in rest)
    return 0, ""


async def _ps(pod: Pod, container: Container, rest: list[str]) -> Result:
    words = " ".join(
        ["python3", f"/programs/{container.image.split('/')[-1].split(':')[0]}.py", *container.spec.get("args", [])]
    )
    return 0, f"PID   COMMAND\n    1 {words}\n"


async def _kill(pod: Pod, container: Container, rest: list[str]) -> Result:
    if not rest or rest[-1] != "1":
        return 1, "kill: the container's only process is 1\n"
    word = rest[0].lstrip("-").removeprefix("SIG") if len(rest) == 2 else "TERM"
    number = int(word) if word.isdigit() else signal.Signals[f"SIG{word}"]
    os.kill(container.pid or 0, number)
    return 0, ""


async def _curl(pod: Pod, container: Container, rest: list[str]) -> Result:
    seconds, shown, written, fails = 5.0, True, "", False
    url, words = "", iter(rest)
    for word in words:
        if word in ("-m", "--max-time", "-T", "--connect-timeout"):
            seconds = float(next(words))
        elif word in ("-o", "--output", "-O"):
            shown = next(words) == "-" if word != "-O" else shown
        elif word in ("-w", "--write-out"):
            written = next(words)
        elif word.startswith("-"):
            fails = fails or (not word.startswith("--") and "f" in word)
            shown = shown and word != "-qO/dev/null"
        else:
            url = word if "://" in word else f"http://{word}"
    code, body = await asyncio.to_thread(_fetch, container, url, seconds)
    if not code:
        return 7, f"curl: {body}\n"
    tail = written.replace("%{http_code}", str(code)).replace("\\n", "\n")
    if fails and code >= 400:
        return 22, f"curl: (22) The requested URL returned error: {code}\n{tail}"
    return 0, (body if shown else "") + tail


def _fetch(container: Container, url: str, seconds: float) -> tuple[int, str]:
    proxy = container.env.get("http_proxy")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
    try:
        with opener.open(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


async def _nslookup(pod: Pod, container: Container, rest: list[str]) -> Result:
    name = rest[0].rstrip(".")
    parts = name.removesuffix(".cluster.local").removesuffix(".svc").split(".")
    service, namespace = parts[0], parts[1] if len(parts) > 1 else pod.namespace
    try:
        found = await pod.agent.api.call("GET", f"/api/v1/namespaces/{namespace}/services/{service}")
    except ApiError:
        return 1, f"** server can't find {name}: NXDOMAIN\n"
    address = found["spec"].get("clusterIP", "")
    return 0, f"Name:\t{service}.{namespace}.svc.cluster.local\nAddress: {address}\n"


_TABLE: dict[str, Callable[[Pod, Container, list[str]], Awaitable[Result]]] = {
    "cat": _cat,
    "curl": _curl,
    "date": _date,
    "echo": _echo,
    "env": _env,
    "false": _false,
    "hostname": _hostname,
    "id": _id,
    "kill": _kill,
    "ls": _ls,
    "nslookup": _nslookup,
    "printenv": _printenv,
    "ps": _ps,
    "rm": _rm,
    "sleep": _sleep,
    "test": _test,
    "touch": _touch,
    "true": _true,
    "wget": _curl,
}
