"""A picture of nodes and Pods that is drawn again as they change, until something holds; its last frame stays."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab_helpers.errors import WaitTimeout
from lab_helpers.teaching.recorder import Recorder, true
from lab_helpers.views import Live, Picture


def follow(recorder: Recorder, picture: Callable[..., Picture], until: Callable[[], object] | float, seconds: float) -> None:
    """Draw what the recorder sees.

    Args:
        picture: of nodes, Pods and a title.
        until: what has to hold, or for so many seconds.
        seconds: how long it may take until it holds.

    Raises:
        WaitTimeout: it did not.
    """
    watched = not callable(until)
    begun, drawn, last = time.monotonic(), -1, 0.0
    answers = recorder.catch_up()
    with Live() as live:
        while True:
            late = time.monotonic() - begun > (until if not callable(until) else seconds)
            over = callable(until) and true(until)  # asked first: the last frame shows what made it true
            if over or late:
                answers = recorder.catch_up()
            if over or late or recorder.changes != drawn or time.monotonic() - last > 1:
                drawn, last = recorder.changes, time.monotonic()
                live.show(picture(*recorder.seen(), "" if answers else "As last seen: the API server does not answer"))
            if over or (late and watched):
                return
            if late:
                raise WaitTimeout(
                    f"It did not happen within {seconds:.0f} s.", next_step="look at the picture: what is missing?"
                )
            time.sleep(0.1)
