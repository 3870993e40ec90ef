"""The node image of kind clusters, with everything inside that labs run: nothing is pulled while a lab runs.

Where a registry can be reached it is kind's official image, by digest; elsewhere it is built on this machine. Providers
call `present`, `built_here`, `ensure`, `patches` and `NETWORK`; nothing else of this room is for others.
"""

from __future__ import annotations

from collections.abc import Callable

from filelock import FileLock

from lab_helpers.clusters import engine
from lab_helpers.clusters.nodeimage import check, official, offline, parts
from lab_helpers.clusters.nodeimage.host import patches
from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import catalog
from lab_helpers.toolchain.setup_status import SetupStatus

__all__ = ["NETWORK", "built_here", "ensure", "patches", "present"]

NETWORK = {
    "agent": parts.FILES / "lab-cni",
    "unit": parts.FILES / "lab-cni.service",
    "rights": parts.FILES / "default-cni.yaml",
}
"""The network of Pods of the image built here: its program, its unit, and what it may read of the API server."""

_NAME = "lab.local/node"


def references() -> tuple[str, str]:
    """The names that the image has, whichever way it came: pulled, built here."""
    pulled = f"{_NAME}:{official.VERSION}-{parts.key(course_only=True)}"
    return pulled, f"{_NAME}:{catalog.KUBERNETES.version}-{parts.key()}"


def present(settings: Settings) -> str | None:
    """The node image that is there and was checked, ready for `kind create cluster --image`; None: there is none.

    Raises:
        ClusterError: no engine answers.
    """
    return next((name for name in references() if engine.exists("image", name)), None)


def built_here(settings: Settings) -> bool:
    """Whether the image is still to come, and no registry answers: its programs (group `node image`) are needed."""
    return present(settings) is None and not official.reachable(settings)


def ensure(
    settings: Settings,
    say: Callable[[str], None] = lambda line: None,
    show: Callable[[SetupStatus], None] | None = None,
) -> str:
    """Have the node image: its name, ready for `kind create cluster --image`.

    Args:
        say: called with a line for each step.
        show: called with the progress of programs that are built for it.

    Raises:
        ClusterError, ProgramError: it could not be had; the error says what to type.
    """
    if found := present(settings):
        return found
    with FileLock(writable(settings.cache) / "node-image.lock"):
        if found := present(settings):  # made meanwhile
            return found
        return _make(settings, say, show)


def _make(settings: Settings, say: Callable[[str], None], show: Callable[[SetupStatus], None] | None) -> str:
    pulled, built = references()
    if official.reachable(settings):
        try:
            return _checked(settings, pulled, say, lambda name: official.build(settings, name, say))
        except ClusterError as refused:
            say(f"{refused.headline} {refused.seen[-300:]} Building it here instead.")
    return _checked(settings, built, say, lambda name: offline.build(settings, name, say, show))


def _checked(settings: Settings, reference: str, say: Callable[[str], None], make: Callable[[str], None]) -> str:
    """Make an image under another name, and give it its own when it has proved good."""
    name, _, tag = reference.rpartition(":")
    unproved = f"{name}-unchecked:{tag}"
    if engine.exists("image", unproved):  # of an earlier try that was stopped while it was checked
        say("node image: made already, not checked yet")
    else:
        make(unproved)
    try:
        check.check(settings, unproved, say)
    except ClusterError:
        engine.docker("image", "rm", unproved)
        raise
    engine.docker("tag", unproved, reference)
    engine.docker("image", "rm", unproved)
    say(f"node image: {reference} is ready")
    return reference
