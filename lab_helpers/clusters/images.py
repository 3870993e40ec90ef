"""The course's own images: everything that a Pod of a lab can run, on either provider.

On kind each is a real image: Python, its program as `/programs/NAME.py`, its environment. On a process node the same
program runs as a local process. The host `lab.local` resolves nowhere, so nothing is ever pulled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "lab.local"
PROGRAMS_FOLDER = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        reference: as a manifest names it.
        program: the file in PROGRAMS_FOLDER that it runs, without `.py`; also the entry point in a container:
            `python3 /programs/PROGRAM.py`, followed by the manifest's `args`.
        about: what it does, in half a sentence.
        env: variables of the image; the manifest's come on top.
        ports: the ports it listens on unless told otherwise.
        internal: a program of the lab's own, on kind only: no manifest of a lab names it.
    """

    reference: str
    program: str
    about: str
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    internal: bool = False

    @property
    def file(self) -> Path:
        """The program's source."""
        return PROGRAMS_FOLDER / f"{self.program}.py"


_ALL = (
    Image(f"{HOST}/web:1.0", "web", "a small web server", {"VERSION": "1.0"}, (8080,)),
    Image(f"{HOST}/web:1.1", "web", "its next release", {"VERSION": "1.1"}, (8080,)),
    Image(f"{HOST}/web:broken", "web", "a release that never gets ready", {"VERSION": "broken", "READY": "never"}, (8080,)),
    Image(f"{HOST}/shell:1.0", "shell", "sleeps, for kubectl exec"),
    Image(f"{HOST}/load:1.0", "load", "sends requests to a URL"),
    Image(f"{HOST}/crash:1.0", "crash", "ends at once with code 1"),
    Image(f"{HOST}/hungry:1.0", "hungry", "takes memory until it is killed"),
    Image(f"{HOST}/idle:1.0", "idle", "stands in for a program that AWS alone has", internal=True),
    Image(f"{HOST}/proxy:1.0", "proxy", "the lab's own way into a kind cluster", internal=True),
)

IMAGES: dict[str, Image] = {image.reference: image for image in _ALL}
"""Reference → image: the whole table. Nothing else ever runs."""

FOR_PODS: dict[str, Image] = {name: image for name, image in IMAGES.items() if not image.internal}
"""Those that manifests name."""


def unknown(reference: str) -> str:
    """What to tell somebody who names another image."""
    return f'"{reference}" is no image of this course, and nothing is pulled. There are: {", ".join(FOR_PODS)}'
