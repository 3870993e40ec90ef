"""What an autoscaler did and thinks, as a notebook shows it: tables."""

from __future__ import annotations

from lab_helpers.teaching.shown import table


class Story(list[tuple[float, str, str]]):
    """Moments of one Pod; in a notebook a table."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Seconds since the first, what happened, who did it."""
        return [(f"{at - self[0][0]:.1f} s", what, who) for at, what, who in self]

    def _repr_html_(self) -> str:
        return table(("after", "what", "who"), self.rows())

    def __repr__(self) -> str:
        return "\n".join(f"{after:>7}  {what}  [{who}]" for after, what, who in self.rows())


class Reasons(dict[str, str]):
    """Node → why it stays; in a notebook a table."""

    def _repr_html_(self) -> str:
        return table(("node", "stays because of"), sorted(self.items()))

    def __repr__(self) -> str:
        return "\n".join(f"{node:<16}{why}" for node, why in sorted(self.items())) or "no node has to stay"
