"""Files of a pinned Go module that are no program: manifests, and what kind's own image is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from filelock import FileLock

from lab_helpers import processes
from lab_helpers import settings as settings_module
from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import build, go
from lab_helpers.toolchain.catalog import Family


def files(family: Family, module: str, inside: str) -> Path:
    """A folder of a module in the lab's cache; fetched once for each version.

    Args:
        family: whose go.mod and go.sum pin the module.
        module: its path, for instance `sigs.k8s.io/kind`.
        inside: the folder in the module, for instance `images/base/files`.

    Raises:
        ProgramError: it could not be fetched.
    """
    settings = settings_module.load()
    target = _place(settings, family, inside)
    if not target.is_dir():
        with FileLock(writable(settings.cache) / "setup.lock"):
            _fetch(settings, family, module, inside, target)
            if not settings.keep_build_cache and not (build.folder(settings) / "go-build").exists():
                build.clean(settings)
    return target


def keep(settings: Settings, family: Family) -> None:
    """Keep what a family's programs need of their modules; call it with the set-up's lock held, after a build.

    Raises:
        ProgramError: it could not be fetched.
    """
    for module, inside in family.files:
        target = _place(settings, family, inside)
        if not target.is_dir():
            _fetch(settings, family, module, inside, target)


def _place(settings: Settings, family: Family, inside: str) -> Path:
    return settings.cache / "modules" / f"{family.name}-{family.version}" / inside


def _fetch(settings: Settings, family: Family, module: str, inside: str, target: Path) -> None:
    compiler = go.find(settings, family.go)
    env = {**build.environment(settings), "GOFLAGS": "-mod=readonly -modcacherw"}
    try:
        said = processes.run([compiler, "mod", "download", "-json", module], env=env, timeout=600, cwd=family.folder)
    except ProgramError as error:
        remedy = "connect this machine to the network: Go fetches the sources from the module proxy (it goes by GOPROXY)"
        raise ProgramError(f"The sources of {family.name} could not be fetched.", error.seen, remedy) from None
    source = Path(json.loads(said)["Dir"]) / inside
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(source, new)
    new.replace(target)
