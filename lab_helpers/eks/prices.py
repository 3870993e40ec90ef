"""What things cost: prices.yaml, and a spot market that stands still.

One table for everybody: what DescribeSpotPriceHistory and the Price List say, what CreateFleet takes as the cheapest, and
what the meter counts.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_CHEAPEST, _SPAN = 0.28, 0.17  # spot prices are made up: 28 to 45 % of those on demand


@cache
def table() -> dict[str, Any]:
    """prices.yaml."""
    return dict(yaml.safe_load((Path(__file__).parent / "prices.yaml").read_text()))


def on_demand(kind: str) -> float | None:
    """Dollars an hour of an instance type; None: the table has no price of it."""
    found = table()["instances"].get(kind)
    return None if found is None else float(found)


def offered(kind: str) -> bool:
    """Whether the lab's EC2 lists a type: those that have a price."""
    return on_demand(kind) is not None


def spot(kind: str, zone: str) -> float | None:
    """Dollars an hour of a type in a zone on the spot market: made up, of the usual size, and always the same.

    None: the table has no price of the type.
    """
    share = _CHEAPEST + _SPAN * (zlib.crc32(f"{kind}/{zone}".encode()) % 1000) / 1000
    price = on_demand(kind)
    return None if price is None else round(price * share, 4)
