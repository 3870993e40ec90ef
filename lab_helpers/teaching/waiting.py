"""Programs still to come: the bar that a lab waits with, and the one that lab 00 follows while the learner reads on."""

from __future__ import annotations

import threading
import time
from typing import Any

from lab_helpers import toolchain
from lab_helpers.teaching import panels
from lab_helpers.teaching.panels import status_words
from lab_helpers.toolchain import SetupStatus


class _Bar:
    """A progress bar in the notebook; in plain text, how far it was when it was shown."""

    def __init__(self) -> None:
        import ipywidgets as widgets
        from IPython.display import display

        style = {"bar_color": "#0072B2"}
        self._bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="24em"), style=style)
        self._words = widgets.Label("looking…")
        box = widgets.HBox([self._bar, self._words])
        bundle = box._repr_mimebundle_()
        data: dict[str, Any] = bundle[0] if isinstance(bundle, tuple) else bundle
        display({**data, "text/plain": f"Programs are being prepared: {status_words(toolchain.status())}"}, raw=True)

    def show(self, now: SetupStatus) -> None:
        """Draw a status."""
        self._bar.value, self._words.value = now.share, status_words(now)
        if now.error:
            self._bar.bar_style = "danger"

    def done(self, words: str) -> None:
        """Fill the bar."""
        self._bar.value, self._bar.bar_style, self._words.value = 1.0, "success", words


def ensure(programs: list[str]) -> None:
    """Have these programs; where one is still to come, wait with a bar that says what is left."""
    if not toolchain.missing(programs):
        return
    if not panels.in_notebook():
        toolchain.ensure(programs, say=print)
        return
    bar, began = _Bar(), time.monotonic()
    toolchain.ensure(programs, show=bar.show)
    bar.done(f"all programs are ready, after {time.monotonic() - began:.0f} s")


def setup_progress() -> threading.Thread | None:
    """Follow the set-up that `make lab` started. Returns at once; the bar goes on, also after the page is reloaded."""
    if not toolchain.missing():
        panels.show("Every program is ready", f"<p>{len(toolchain.usual())} programs, in the lab's own cache.</p>", good=True)
        return None
    if not panels.in_notebook():
        print(status_words(toolchain.status()))
        return None
    bar = _Bar()
    follower = threading.Thread(target=_follow, args=(bar,), daemon=True, name="setup-progress")
    follower.start()
    return follower


def _follow(bar: _Bar) -> None:
    silent = 0
    while todo := toolchain.missing():
        now = toolchain.status()
        bar.show(now)
        silent = 0 if now.running else silent + 1
        if silent > 20:  # ten seconds without anybody at work; an old error may be there while a new set-up begins
            bar.show(SetupStatus(error=now.error or f"nobody is preparing {', '.join(todo)}."))
            return
        time.sleep(0.5)
    bar.done("every program is ready")
