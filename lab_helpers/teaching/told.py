"""What an autoscaler did and thinks, as a notebook shows it: tables."""

from __future__ import annotations

from html import escape
from typing import Any


class Story(list[tuple[float, str, str]]):
    """Moments of one Pod; in a notebook a table."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Seconds since the first, what happened, who did it."""
        return [(f"{at - self[0][0]:.1f} s", what, who) for at, what, who in self]

    def _repr_html_(self) -> str:
        return _table(("after", "what", "who"), self.rows())

    def __repr__(self) -> str:
        return "\n".join(f"{after:>7}  {what}  [{who}]" for after, what, who in self.rows())


class Reasons(dict[str, str]):
    """Node → why it stays; in a notebook a table."""

    def _repr_html_(self) -> str:
        return _table(("node", "stays because of"), sorted(self.items()))

    def __repr__(self) -> str:
        return "\n".join(f"{node:<16}{why}" for node, why in sorted(self.items())) or "no node has to stay"


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    head = "".join(f"<th style='text-align:left'>{escape(text)}</th>" for text in heads)
    cell = "<td style='text-align:left'>{}</td>"
    body = "".join(f"<tr>{''.join(cell.format(escape(str(part))) for part in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
