"""The rows of `lab doctor` that concern clusters of real containers: the engine, its machine, the node image."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab_helpers.clusters import engine, nodeimage
from lab_helpers.errors import LabError
from lab_helpers.settings import Settings
from lab_helpers.toolchain.diagnose import Row

INOTIFY = {"max_user_instances": 512, "max_user_watches": 65536}  # the usual 128 and 8192 are used up by a few nodes
_MEMORY = 4  # GB: a control plane, three nodes, and what labs run on them (measured: 1.5 to 2.5)
_DISK = 6  # GB: the image while it is made, then 1 GB a node
_PROC = Path("/proc/sys/fs/inotify")


def diagnose(settings: Settings) -> list[Row]:
    """Look at the engine; where none answers there is one row, which says why and what to type."""
    wanted = settings.provider == "kind"
    need = "for clusters of real containers" + ("" if wanted else "; without it nodes are simulated")
    if settings.provider == "embedded":
        return [Row("Docker engine", "not asked: LAB_PROVIDER is embedded", "only for clusters of real containers")]
    if error := engine.why_not():
        found = " ".join(text for text in (error.headline, _first(error.seen)) if text)
        return [Row("Docker engine", found, need, error.next_step, ok=not wanted)]
    info = engine.required()
    rootless = ", rootless" if info.rootless else ""
    rows = [
        Row("Docker engine", f"{info.version}, {info.storage}{rootless}", need),
        _cgroups(info),
        _memory(info),
        *_disk(info),
    ]
    if not _remote(info):
        rows += _inotify()
    return [*rows, _image(settings, wanted)]


def _first(text: str) -> str:
    return text.strip().splitlines()[0][:160] if text.strip() else ""


def _remote(info: engine.Info) -> bool:
    """Whether the engine has another kernel than this machine: in a virtual machine, or elsewhere."""
    return not _PROC.exists() or "Desktop" in info.system or not info.root.exists()


def _cgroups(info: engine.Info) -> Row:
    found, need = f"version {info.cgroup}, {info.cgroup_driver}", "version 2; 1 works as well, where Docker runs as root"
    if info.rootless and info.cgroup == 1:
        remedy = "boot with systemd.unified_cgroup_hierarchy=1, or export LAB_PROVIDER=embedded"
        return Row("control groups", found, "version 2, because Docker is rootless", remedy, ok=False)
    if info.rootless and info.cgroup_driver != "systemd":
        remedy = "https://kind.sigs.k8s.io/docs/user/rootless, or export LAB_PROVIDER=embedded"
        return Row("control groups", found, "delegated by systemd, because Docker is rootless", remedy, ok=False)
    return Row("control groups", found, need)


def _memory(info: engine.Info) -> Row:
    have = info.memory / 1e9
    small = have < _MEMORY * 0.9
    remedy = "give Docker's virtual machine more memory, or export LAB_PROVIDER=embedded" if small else ""
    return Row("the engine's memory", f"{have:.1f} GB, {info.cpus} CPUs", f"{_MEMORY} GB", remedy, ok=not small)


def _disk(info: engine.Info) -> list[Row]:
    if not info.root.exists():  # not on this machine
        return []
    try:
        free = shutil.disk_usage(info.root).free / 1e9
    except OSError:
        return []
    remedy = "" if free >= _DISK else "docker system df shows what takes room; lab clean removes what the lab no longer needs"
    return [Row("the engine's disk", f"{free:.0f} GB free under {info.root}", f"{_DISK} GB", remedy, ok=free >= _DISK)]


def _inotify() -> list[Row]:
    rows = []
    for name, need in INOTIFY.items():
        try:
            have = int((_PROC / name).read_text())
        except (OSError, ValueError):
            continue
        remedy = "" if have >= need else f"sudo sysctl -w fs.inotify.{name}={need}"
        rows.append(Row(f"inotify {name}", str(have), f"{need}, for several nodes on one machine", remedy, ok=have >= need))
    return rows


def _image(settings: Settings, wanted: bool) -> Row:
    need = "for clusters of real containers"
    try:
        if found := nodeimage.present(settings):
            return Row("node image", found, need)
    except LabError as error:
        return Row("node image", error.headline, need, error.next_step, ok=not wanted)
    return Row("node image", "not prepared yet", need, "lab setup kind", ok=not wanted)
