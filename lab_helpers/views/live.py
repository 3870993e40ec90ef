"""A picture that moves while a cell runs, and whose last frame stays in the notebook."""

from __future__ import annotations

import time
from typing import Any

from lab_helpers.views.picture import Picture


class Live:
    """One place in the output that is drawn again and again.

    Call it from the main thread: what a background thread shows lands in whichever cell is running. Use it as a context
    manager, so that the last frame is shown also after an exception or the Stop button.

    Args:
        frames: at most so many a second; the last one is never dropped.
    """

    def __init__(self, frames: float = 8) -> None:
        self._gap, self._last = 1 / frames, 0.0
        self._handle: Any = None
        self._pending: Picture | None = None
        self._shown: Picture | None = None

    def show(self, picture: Picture) -> None:
        """Show a frame, or keep it until its time has come."""
        self._pending = picture
        if time.monotonic() - self._last >= self._gap:
            self._send()

    def _send(self) -> None:
        picture, self._pending = self._pending, None
        if picture is None or picture == self._shown:
            return
        from IPython.display import display

        bundle = picture._repr_mimebundle_()
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
        self._shown, self._last = picture, time.monotonic()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self._send()
