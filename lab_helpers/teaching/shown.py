"""Values that look like something where a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from lab_helpers.views import Picture, Purchase, side_by_side


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under their heads as HTML; every text is escaped."""
    head = "".join(f"<th style='text-align:left'>{escape(text)}</th>" for text in heads)
    cell = "<td style='text-align:left;vertical-align:top'>{}</td>"
    body = "".join(f"<tr>{''.join(cell.format(escape(str(part))) for part in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


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


class Calls(list[dict[str, Any]]):
    """Calls of AWS's API, as CloudTrail would record them; in a notebook a table."""

    _HEADS = ("time", "who", "program", "service", "operation", "asked with", "result")

    def rows(self) -> list[tuple[str, ...]]:
        """Time of day, who, program, service, operation, parameters, result: of each call."""
        from lab_helpers.eks import calls

        return [
            (
                event["eventTime"][11:19],
                calls.who(event),
                calls.program(event),
                event["eventSource"].split(".")[0],
                event["eventName"],
                _words(event["requestParameters"]),
                event["errorCode"] or "ok",
            )
            for event in self
        ]

    def _repr_html_(self) -> str:
        return table(self._HEADS, self.rows())

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in self.rows()) or "no calls"


def _words(parameters: dict[str, Any], most: int = 90) -> str:
    """Parameters in a line: `name=value`, without what SDKs add by themselves."""
    shown = {name: held for name, held in parameters.items() if held not in (None, [], {}) and "Token" not in name}
    text = " ".join(", ".join(f"{name}={held}" for name, held in shown.items()).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Rivals(list[Any]):
    """Ways to run the same Pods (see autoscaling.rivals.Row); in a notebook a table, and their machines side by side."""

    HEADS = ("who chose", "nodes", "CPU requested", "memory requested", "dollars an hour", "a month", "seconds")

    def rows(self) -> list[tuple[str, ...]]:
        """Each way's figures in words."""
        return [
            (
                one.who,
                one.nodes or "–",
                "–" if one.cpu is None else f"{one.cpu:.0%}",
                "–" if one.memory is None else f"{one.memory:.0%}",
                f"{one.hourly:.3f}",
                f"{one.hourly * 730:,.0f}",
                "–" if one.seconds is None else f"{one.seconds:.0f}",
            )
            for one in self
        ]

    def _repr_html_(self) -> str:
        return table(self.HEADS, self.rows()) + self.picture().html

    def __repr__(self) -> str:
        return "\n".join(["  ".join(row) for row in (self.HEADS, *self.rows())] + [self.picture().alt])

    def picture(self) -> Picture:
        """The ways whose machines somebody has to buy, side by side."""
        bought = [one for one in self if one.machines]
        return side_by_side([Purchase(one.who, one.machines, one.hourly, one.seconds is not None) for one in bought])
