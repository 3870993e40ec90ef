"""Opening, resetting and closing a lab: its owner, its cluster, the kernel's environment, the banner."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from lab_helpers import clusters, settings, toolchain
from lab_helpers.clusters import Cluster, Provider
from lab_helpers.errors import ClusterError, LessonError, ProgramError, SettingError, WaitTimeout
from lab_helpers.teaching import cells, lesson, panels, progress, shell, waiting
from lab_helpers.teaching.lab import Lab
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.ownership import Ownership

__all__ = ["Lab", "close", "current", "open_lab", "reset"]

_open: Lab | None = None
_owner: Ownership | None = None


def open_lab(name: str, provider: str | None = None) -> Lab:
    """Open a lab: its cluster, the environment of its commands, its banner.

    Args:
        name: the folder's name under labs/.
        provider: `embedded`, or None for what the settings say.

    Raises:
        LabError: no such lab, open elsewhere, or its cluster could not be made; each says what to type.
    """
    global _open, _owner
    chosen, room = settings.load(), lesson.find(name)
    if provider:
        if provider not in settings.PROVIDERS:
            raise SettingError(f"There is no provider {provider!r}.", next_step=f"one of: {', '.join(settings.PROVIDERS)}")
        chosen = replace(chosen, provider=provider)
    maker = clusters.provider(chosen)
    _let_go()
    _owner = Ownership(chosen, room.name)
    try:
        # From here on nothing of the user's own clusters or cloud is within reach, whatever fails below.
        _become(_environment(None, maker, chosen.cache / "bin"))
        _into_kernel()
        programs = [*(maker.programs(room.profile) if room.profile else ["kubectl"]), *room.programs]
        waiting.ensure(programs)
        cluster, stopped = _usable_cluster(room, maker) if room.profile else (None, [])
        links = toolchain.bin_folder(dict.fromkeys(programs))
        _become(_environment(cluster, maker, links))
    except BaseException:
        _let_go()
        raise
    _open = Lab(room, maker, cluster, links)
    done = [exercise for exercise in progress.passed(room.name) if exercise in room.exercises]
    panels.banner(room, maker, len(done), stopped)
    _open.record()
    return _open


def reset(lab: Lab) -> None:
    """Make a lab's cluster anew."""
    if lab is not _open:
        raise LessonError(f"{lab.name} is not open.", next_step=f'lab = open_lab("{lab.name}")')
    room = lab.lesson
    if room.profile is None:
        print(f"{lab.name} has no cluster: there is nothing to reset. Your progress is kept.")
        return
    lab.leave()
    lab._maker.delete(lab.name)
    cells.forget()
    lab.inhabit(_usable_cluster(room, lab._maker)[0])
    _become(_environment(lab.cluster, lab._maker, lab.programs))
    lab.record()
    print("A new cluster: everything in it is as at the beginning. Your progress and your files are kept.")


def close(lab: Lab) -> None:
    """End a lab; closed twice does no harm."""
    if lab is not _open:
        print(f"{lab.name} is closed.")
        return
    lab.leave()
    try:
        lab._maker.delete(lab.name)
    finally:
        # The user's KUBECONFIG does not come back: a cell run out of order must never reach their own clusters.
        _become(_environment(None, lab._maker, lab.programs))
        _let_go()
    done = len([name for name in progress.passed(lab.name) if name in lab.lesson.exercises])
    print(f"{lab.name} is closed and nothing of it is left running. {done} of {len(lab.lesson.exercises)} exercises passed.")


def current() -> Lab:
    """The lab that is open in this kernel.

    Raises:
        LessonError: none is; says which cell to run.
    """
    if _open is None:
        here = Path.cwd()
        name = here.name if (here / "lab.yaml").exists() else "…"
        raise LessonError("No lab is open in this kernel.", next_step=f'run the cell with lab = open_lab("{name}") first')
    return _open


def _let_go() -> None:
    """Leave the lab that is open in this kernel, if one is; its cluster goes on."""
    global _open, _owner
    if _open:
        _open.leave()
    if _owner:
        _owner.release()
    _open = _owner = None
    cells.forget()


def _usable_cluster(room: Lesson, maker: Provider) -> tuple[Cluster, list[str]]:
    """The lab's cluster: adopted and mended where there is one, otherwise made; and what the learner stopped in it."""
    assert room.profile is not None
    found = maker.get(room.name)
    if found and found.profile != room.profile:
        _say("the lab has changed since this cluster was made: a new one")
        maker.delete(room.name)
        found = None
    if found:
        states = maker.health(found)
        try:
            if set(states.values()) - {"running", "stopped"}:
                maker.mend(found, _say)
            return found, [name for name, state in states.items() if state == "stopped"]
        except (ClusterError, ProgramError, WaitTimeout) as error:
            _say(f"this cluster cannot be brought back ({error.headline}): a new one")
            maker.delete(room.name)
    return maker.create(room.name, room.profile, _say), []


def _say(line: str) -> None:
    print(f" • {line}", flush=True)


def _environment(cluster: Cluster | None, maker: Provider, programs: Path) -> dict[str, str]:
    """What clusters.environment says, with this Python's own programs (`lab`, `python`) behind the lab's."""
    own = str(Path(sys.executable).parent)
    # Link folders of labs that were open before in this kernel hold other programs.
    kept = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part != own and not _is_links(part)]
    base = {**os.environ, "PATH": os.pathsep.join([own, *kept])}
    return clusters.environment(cluster, maker, programs, base)


def _is_links(part: str) -> bool:
    return Path(part).is_relative_to(settings.load().cache / "bin")


def _become(wanted: dict[str, str]) -> None:
    """Make this process's environment exactly that."""
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _into_kernel() -> None:
    if "IPython" in sys.modules:
        from IPython import get_ipython

        if kernel := get_ipython():
            shell.install(kernel)
            cells.install(kernel)
