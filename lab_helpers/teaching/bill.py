"""What the account would cost: as a table, and as a meter that goes on while the learner reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any

from lab_helpers.eks import meter
from lab_helpers.eks.meter import Item
from lab_helpers.teaching.panels import in_notebook

_HOURS = 730  # in a month, as AWS's calculator counts
_PAUSE = 4.0  # seconds between two looks of the meter


class Bill:
    """Everything in the account that costs by the hour; in a notebook a table.

    Attributes:
        items: kind, name, dollars an hour and beginning of each.
        hourly: dollars an hour of all of them.
    """

    def __init__(self, items: list[Item]) -> None:
        self.items, self.hourly = items, meter.hourly(items)
        self._now = datetime.now(UTC)

    @property
    def kinds(self) -> list[str]:
        """The kinds of what costs, sorted: one for each thing."""
        return sorted(item.kind for item in self.items)

    def _rows(self) -> list[tuple[str, str, str]]:
        return [(one.kind, one.name, "?" if one.hourly is None else f"{one.hourly:.4f}") for one in self.items]

    def _sum(self) -> str:
        if not self.items:
            return "Nothing in this account costs anything."
        so_far = meter.so_far(self.items, self._now)
        return f"${self.hourly:.4f} an hour, ${self.hourly * _HOURS:.2f} a month; so far ${so_far:.6f}"

    def _source(self) -> str:
        table = meter.prices()
        return f"On demand in {table['region']}, {table['date']}; as remembered, check before you plan: {table['source']}"

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:left'>{}</td>"
        rows = "".join(f"<tr>{''.join(cell.format(escape(text)) for text in row)}</tr>" for row in self._rows())
        heads = "".join(f"<th style='text-align:left'>{head}</th>" for head in ("what", "name", "dollars an hour"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        # Two dollars in a line would be mathematics for JupyterLab, but not in code.
        words = f"<p><code>{escape(self._sum())}</code></p><p><small>{escape(self._source())}</small></p>"
        return f"<div class='mathjax_ignore'>{table}{words}</div>"

    def __repr__(self) -> str:
        rows = [f"{kind:<34}{name:<44}{price:>8}" for kind, name, price in self._rows()]
        return "\n".join([*rows, self._sum(), self._source()])


class Meter:
    """A line that is drawn again and again: what runs now, dollars an hour, and dollars since the meter was started.

    Args:
        client: service's name → boto3 client.
    """

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client, self._end, self._spent = client, threading.Event(), 0.0
        self._clients: dict[str, Any] = {}
        self._last = datetime.now(UTC)
        self._show(self._look())
        self._thread = threading.Thread(target=self._run, daemon=True, name="meter")
        self._thread.start()

    def stop(self) -> None:
        """End it; what it said last stays."""
        self._end.set()

    def _show(self, words: str) -> None:
        if not in_notebook():
            print(words)
            return
        import ipywidgets as widgets
        from IPython.display import display

        self._widget = widgets.HTML(_box(words))
        bundle = self._widget._repr_mimebundle_()
        data: dict[str, Any] = bundle[0] if isinstance(bundle, tuple) else bundle
        display({**data, "text/plain": words}, raw=True)

    def _run(self) -> None:
        while not self._end.wait(_PAUSE):
            try:
                words = self._look()
            except Exception as error:  # the endpoint starts again, or has ended with its lab
                words = f"The meter cannot see the account just now ({type(error).__name__})."
            if hasattr(self, "_widget"):
                self._widget.value = _box(words)

    def _look(self) -> str:
        items, now = meter.count(self._kept), datetime.now(UTC)
        hourly = meter.hourly(items)
        self._spent += hourly * (now - self._last).total_seconds() / 3600
        self._last = now
        return (
            f"On AWS: ${hourly:.4f} an hour for {len(items)} things that cost; ${self._spent:.4f} since this meter was started."
        )

    def _kept(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._client(service)
        return self._clients[service]


def _box(words: str) -> str:
    look = "border:1px solid var(--jp-border-color1,#888);border-left:6px solid #B8A800;border-radius:4px;padding:.3em 1em"
    return f"<div role='status' style='{look}'><code>{escape(words)}</code></div>"
