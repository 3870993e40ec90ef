"""Opening, resetting and closing a lab: its owner, its cluster, the kernel's environment, the banner."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from lab_helpers import clusters, settings, toolchain
from lab_helpers.clusters import Cluster, Provider
from lab_helpers.errors import ClusterError, LessonError, ProgramError, SettingError, WaitTimeout
from lab_helpers.teaching import cells, cloud, lesson, panels, progress, shell, waiting
from lab_helpers.teaching.lab import Lab
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.ownership import Ownership

__all__ = ["Lab", "close", "current", "open_lab", "reset"]

_open: Lab | None = None
_owners: list[Ownership] = []


def open_lab(name: str, provider: str | None = None) -> Lab:
    """Open a lab: its cluster, the environment of its commands, its banner.

    Args:
        name: the folder's name under labs/.
        provider: `embedded`, `kind`, or None for what the settings say.

    Raises:
        LabError: no such lab, open elsewhere, or its cluster could not be made; each says what to type.
    """
    global _open
    chosen, room = settings.load(), lesson.find(name)
    if provider:
        if provider not in settings.PROVIDERS:
            raise SettingError(f"There is no provider {provider!r}.", next_step=f"one of: {', '.join(settings.PROVIDERS)}")
        chosen = replace(chosen, provider=provider)
    maker, why = cloud.provider(chosen, room)
    _let_go()
    _owners.append(Ownership(chosen, room.name))
    try:
        # From here on nothing of the user's own clusters or cloud is within reach, whatever fails below.
        _become(_environment(None, maker, chosen.cache / "bin"))
        _into_kernel()
        programs = cloud.programs(room, maker)
        waiting.ensure(programs)
        cluster, stopped = _usable_cluster(room, maker, _claim(chosen, room, maker)) if room.profile else (None, [])
        links = toolchain.bin_folder(programs)
        _become(cloud.enter(chosen, room, _environment(cluster, maker, links), _say))
    except BaseException:
        _let_go()
        raise
    _open = Lab(room, maker, cluster, links)
    done = [exercise for exercise in progress.passed(room.name) if exercise in room.exercises]
    panels.banner(room, maker, len(done), stopped, why)
    _open.record()
    return _open


def reset(lab: Lab) -> None:
    """Make a lab's cluster anew."""
    if lab is not _open:
        raise LessonError(f"{lab.name} is not open.", next_step=f'lab = open_lab("{lab.name}")')
    room, cluster = lab.lesson, lab.own
    if cluster is None and not room.aws:
        print(f"{lab.name} has no cluster: there is nothing to reset. Your progress is kept.")
        return
    lab.leave()
    lab.aws.leave()
    cells.forget()
    if room.aws:
        cloud.forget(settings.load(), room, _say)
    lab.move(lab._maker.reset(cluster, _say) if cluster else None)
    _become(cloud.enter(settings.load(), room, _environment(lab.own, lab._maker, lab.programs), _say))
    lab.record()
    where = "cluster" if cluster else "account"
    print(f"Everything in the {where} is as at the beginning. Your progress and your files are kept.")


def close(lab: Lab) -> None:
    """End a lab; closed twice does no harm."""
    if lab is not _open:
        print(f"{lab.name} is closed.")
        return
    cluster = lab.own
    lab.leave()
    lab.aws.leave()
    gone = True
    try:
        if end := lab.lesson.function("close"):  # what the lab started beside its cluster
            end(lab)
        if lab.lesson.aws:
            cloud.forget(settings.load(), lab.lesson, _say)
        gone = cluster is None or lab._maker.release(cluster, _say)
    finally:
        # The user's KUBECONFIG does not come back: a cell run out of order must never reach their own clusters.
        _become(_environment(None, lab._maker, lab.programs))
        _let_go()
    done = len([name for name in progress.passed(lab.name) if name in lab.lesson.exercises])
    left = "and nothing of it is left running" if gone else "and nothing of it is left in the cluster (lab clean ends that too)"
    print(f"{lab.name} is closed {left}. {done} of {len(lab.lesson.exercises)} exercises passed.")


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
    global _open
    if _open:
        _open.leave()
        _open.aws.leave()
    while _owners:
        _owners.pop().release()
    _open = None
    cells.forget()


def _claim(chosen: settings.Settings, room: Lesson, maker: Provider) -> str:
    """The name of the cluster that this lab may use now: a shared one may be in another lab's hands."""
    assert room.profile is not None
    for candidate in maker.names_for(room.name, room.profile):
        if candidate == room.name:
            return candidate  # owned with the lab
        try:
            _owners.append(Ownership(chosen, candidate))
            return candidate
        except ClusterError:
            continue
    raise ClusterError("Other labs hold all the clusters of this kind.", next_step="close one of them: lab.close()")


def _usable_cluster(room: Lesson, maker: Provider, name: str) -> tuple[Cluster, list[str]]:
    """The lab's cluster: adopted and mended where there is one, otherwise made; and what the learner stopped in it."""
    assert room.profile is not None
    found = maker.get(name)
    if found and found.profile != room.profile:
        _say("the lab has changed since this cluster was made: a new one")
        maker.delete(name)
        found = None
    if found:
        try:
            found = maker.occupy(found, room.name, _say)
            states = maker.health(found)
            if set(states.values()) - {"running", "stopped"}:
                maker.mend(found, _say)
            return found, [component for component, state in states.items() if state == "stopped"]
        except (ClusterError, ProgramError, WaitTimeout) as error:
            _say(f"this cluster cannot be brought back ({error.headline}): a new one")
            maker.delete(name)
    return maker.occupy(maker.create(name, room.profile, _say), room.name, _say), []


def _say(line: str) -> None:
    print(f" • {line}", flush=True)


def _environment(cluster: Cluster | None, maker: Provider, programs: Path) -> dict[str, str]:
    """What clusters.environment says, with this Python's own programs (`lab`, `python`) behind the lab's."""
    own, here = str(Path(sys.executable).parent), cloud.leave(os.environ)
    # Link folders of labs that were open before in this kernel hold other programs.
    kept = [part for part in here.get("PATH", "").split(os.pathsep) if part != own and not _is_links(part)]
    base = {**here, "PATH": os.pathsep.join([own, *kept])}
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
