"""Values that look like something where a notebook shows them."""

from __future__ import annotations

from html import escape
from typing import Any


class Health(dict[str, str]):
    """State of each component; in a notebook a table."""

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td style='text-align:left'>{escape(n)}</td><td>{escape(s)}</td></tr>" for n, s in self.items())
        return f"<table><thead><tr><th style='text-align:left'>component</th><th>state</th></tr></thead>{rows}</table>"

    def __repr__(self) -> str:
        return "\n".join(f"{name:<26}{state}" for name, state in self.items())


class Log(str):
    """Lines of a log; in a notebook they look like lines."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))
