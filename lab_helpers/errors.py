"""Every error the lab raises. Each says what failed, what was seen, and what to type next.

LabError
├── SettingError       a setting, folder or argument that the user gave
├── LessonError        a lab folder: lab.yaml, exercises.yaml or checks.py
├── ProgramError       a local program: missing, not built, changed, would not start
├── ClusterError       a cluster: not created, owned by another, not to be mended
├── KubernetesError    the API server said no; carries its status and words
├── WaitTimeout        something waited for did not come; says what was last seen
├── CommandFailed      a `!command` in a notebook ended with another exit code than 0
└── CheckFailed        an exercise is not solved yet
"""

from __future__ import annotations

import re
from html import escape

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# Every colour has a fallback: VS Code and exported pages know no --jp-* variables.
_PANEL = (
    "border:1px solid var(--jp-border-color1,#888);border-left:6px solid {edge};border-radius:4px;"
    "padding:.6em 1em;margin:.3em 0;color:var(--jp-content-font-color1,currentColor);background:transparent;"
    "font-size:var(--jp-content-font-size1,14px)"
)


class LabError(Exception):
    """An error the user can act on.

    Args:
        headline: what failed, one sentence.
        seen: what was seen: the program's or the API server's own words.
        next_step: what to do or type next.
    """

    edge = "var(--jp-error-color1,#c62828)"

    def __init__(self, headline: str, seen: object = "", next_step: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.seen = _ANSI.sub("", seen if isinstance(seen, str) else repr(seen)).strip()
        self.next_step = next_step
        self._shown = False

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The whole message as plain text, for terminals, CI and screen readers."""
        rows = [self.headline]
        if self.seen:
            rows.append(f"Seen: {self.seen}")
        if self.next_step:
            rows.append(f"Next: {self.next_step}")
        return "\n".join(rows)

    def html(self) -> str:
        """The message as one panel."""

        # Foreign text stands in <code>: elsewhere JupyterLab typesets what lies between two $ as mathematics.
        def row(label: str, words: str) -> str:
            code = f"<code style='white-space:pre-wrap;background:transparent'>{escape(words)}</code>"
            return f"<p style='margin:.3em 0'><b>{label}</b> {code}</p>"

        rows = [row("Seen", self.seen)] if self.seen else []
        if self.next_step:
            rows.append(row("Next", self.next_step))
        style = _PANEL.format(edge=self.edge)
        return f"<div role='alert' style='{style}'><strong>{escape(self.headline)}</strong>{''.join(rows)}</div>"

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback; it asks twice a failure, so the panel is shown once."""
        if not self._shown:
            self._shown = True
            from IPython.display import display

            display({"text/html": self.html(), "text/plain": self.text()}, raw=True)
        return [f"{type(self).__name__}: {self.headline}"]


class SettingError(LabError):
    """A setting, folder or argument that the user gave cannot be used."""


class LessonError(LabError):
    """A lab folder is incomplete or malformed."""


class ProgramError(LabError):
    """A local program is missing, could not be built, has changed or would not start."""


class ClusterError(LabError):
    """A cluster could not be created, used or mended."""


class KubernetesError(LabError):
    """The API server refused a request.

    Attributes:
        status: HTTP status; 0 where no answer came.
        reason: the API server's reason, for instance `NotFound`.
        causes: its `details.causes`: one dict per field it objects to.
    """

    def __init__(
        self,
        headline: str,
        seen: object = "",
        next_step: str = "",
        *,
        status: int = 0,
        reason: str = "",
        causes: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(headline, seen, next_step)
        self.status, self.reason, self.causes = status, reason, causes or []


class WaitTimeout(LabError):
    """Something that was waited for did not come in time."""


class CommandFailed(LabError):
    """A command typed in a notebook failed.

    Attributes:
        code: its exit code; negative: the signal that ended it.
    """

    def __init__(self, headline: str, seen: object = "", next_step: str = "", *, code: int = 1):
        super().__init__(headline, seen, next_step)
        self.code = code


class CheckFailed(LabError):
    """An exercise is not solved yet."""

    edge = "var(--jp-warn-color1,#b35900)"
