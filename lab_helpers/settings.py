"""The folders and the few settings: the only module that reads the user's environment for the lab's own purposes.

| variable            | values                    | default                                                  |
|---------------------|---------------------------|----------------------------------------------------------|
| LAB_PROVIDER        | auto, embedded, kind      | auto: kind where a Docker engine answers                 |
| LAB_PROGRAMS        | a folder                  | none: programs of yours that are used before the lab's   |
| LAB_DOWNLOADS       | auto, off, a URL          | auto: official releases where the network allows         |
| LAB_EKSCTL          | a program                 | none: eksctl as released, instead of the lab's with its shorter pauses |
| LAB_CLUSTER_AUTOSCALER | a program              | none: upstream's Cluster Autoscaler, instead of the lab's loop |
| LAB_KEEP_BUILD_CACHE| 1                         | unset: the private Go caches are removed after a build   |
| XDG_CACHE_HOME      | a folder                  | ~/.cache: programs                                       |
| XDG_DATA_HOME       | a folder                  | ~/.local/share: clusters, progress                       |
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab_helpers.errors import SettingError

APP = "eks-lab"
LABS = Path(__file__).resolve().parent.parent / "labs"
PROVIDERS = ("auto", "embedded", "kind")


@dataclass(frozen=True)
class Settings:
    """What one run of the lab goes by.

    Attributes:
        cache: programs and downloads; may be removed at any time.
        data: clusters, progress, Jupyter's own files.
        labs: the folder with one folder per lab.
        provider: `auto` or the name of one.
        programs: a folder of the user's own programs, or None.
        downloads: `auto`, `off`, or the base URL of a mirror (`<base>/<host>/<path>` for each official URL, `<base>/v2/`
            for images).
        keep_build_cache: whether the private Go caches stay after a build.
        autoscaler, eksctl: the user's own Cluster Autoscaler and eksctl, or None; not looked at before they are used.
    """

    cache: Path
    data: Path
    labs: Path
    provider: str
    programs: Path | None
    downloads: str
    keep_build_cache: bool
    autoscaler: Path | None = None
    eksctl: Path | None = None


def load() -> Settings:
    """The settings as the environment has them now.

    Raises:
        SettingError: a variable has a value that cannot be used; the error names both.
    """
    env = os.environ
    provider = env.get("LAB_PROVIDER") or "auto"
    if provider not in PROVIDERS:
        raise SettingError(
            f"LAB_PROVIDER is {provider!r}, which is no provider.", next_step=f"use one of: {', '.join(PROVIDERS)}"
        )
    downloads = env.get("LAB_DOWNLOADS") or "auto"
    if downloads not in ("auto", "off") and not downloads.startswith(("http://", "https://")):
        raise SettingError(
            f"LAB_DOWNLOADS is {downloads!r}.", next_step="use auto, off, or the base URL of a mirror (http://…)"
        )
    programs = env.get("LAB_PROGRAMS")
    if programs and not Path(programs).is_dir():
        raise SettingError(f"LAB_PROGRAMS is {programs!r}, which is no folder.", next_step="unset LAB_PROGRAMS")
    return Settings(
        cache=_xdg("XDG_CACHE_HOME", ".cache"),
        data=_xdg("XDG_DATA_HOME", ".local/share"),
        labs=Path(env["LAB_LABS"]).resolve() if env.get("LAB_LABS") else LABS,
        provider=provider,
        programs=Path(programs).resolve() if programs else None,
        downloads=downloads,
        keep_build_cache=env.get("LAB_KEEP_BUILD_CACHE", "") not in ("", "0"),
        autoscaler=_named("LAB_CLUSTER_AUTOSCALER"),
        eksctl=_named("LAB_EKSCTL"),
    )


def _named(variable: str) -> Path | None:
    path = os.environ.get(variable)
    return Path(path).expanduser().absolute() if path else None


def executable(variable: str, path: Path) -> Path:
    """The program that a variable names.

    Raises:
        SettingError: nothing is there, or nothing that can be executed.
    """
    if path.is_file() and os.access(path, os.X_OK):
        return path
    why = "cannot be executed" if path.is_file() else "is no file"
    raise SettingError(f"{variable} is {str(path)!r}, which {why}.", next_step=f"name a program, or: unset {variable}")


def _xdg(variable: str, default: str) -> Path:
    # The XDG specification: a relative path in these variables is invalid and is ignored.
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else Path.home() / default) / APP


def plain(folder: Path) -> Path:
    """The folder by a name without white space: itself, or a link in a private folder of the temporary directory.

    For programs that cannot take such a name: kwokctl 0.8.0 cuts its working directory at the first space.

    Raises:
        SettingError: the private folder belongs to somebody else.
    """
    if not any(letter.isspace() for letter in str(folder)):
        return folder
    writable(folder)
    private = Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.is_symlink() or private.stat().st_uid != os.getuid():
        raise SettingError(f"{private} belongs to somebody else.", next_step="export TMPDIR=/a/folder/of/yours")
    link = private / hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if not link.is_symlink():
        link.symlink_to(folder)
    return link


def writable(folder: Path) -> Path:
    """The folder, made if it is missing (mode 0700).

    Raises:
        SettingError: the folder cannot be made or written; the error says which variable moves it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)  # another thread may have been quicker
    except OSError as error:
        variable = "XDG_CACHE_HOME" if "cache" in str(folder) else "XDG_DATA_HOME"
        raise SettingError(
            f"The folder {folder} cannot be written.",
            f"{error.strerror}",
            f"choose another disk: export {variable}=/path/you/can/write",
        ) from None
    return folder
