"""A picture that moves while a cell runs, and whose last frame stays in the notebook."""

from __future__ import annotations

import time
from typing import Any

from lab_helpers.views.picture import Picture


class Live:
    """One place in the output that is drawn again and again. Call it from the main thread.

    Args:
        frames: at most so many a second; the last one is never dropped.
    """

    def __init__(self, frames: float = 8) -> None:
        self._gap, self._last = 1 / frames, 0.0
        self._handle: Any = None
        self._pending: Picture | None = None

    def show(self, picture: Picture) -> None:
        """Show a frame, or keep it until its time has come."""
        self._pending = picture
        if time.monotonic() - self._last >= self._gap:
            self._send()

    def _send(self) -> None:
        if self._pending is None:
            return
        bundle, self._pending, self._last = self._pending._repr_mimebundle_(), None, time.monotonic()
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:  # also after an exception or the Stop button
        self._send()
