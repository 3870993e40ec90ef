"""AWS's Price List, which moto has not: GetProducts, for instances on demand with Linux."""

from __future__ import annotations

import json

from lab_helpers.eks import answers, prices
from lab_helpers.eks.answers import Answer
from lab_helpers.eks.callers import Caller
from lab_helpers.eks.requests import Asked

_PAGE = 100


def answer(asked: Asked, caller: Caller | None) -> Answer | None:
    """The answer to GetProducts; None: not its business.

    Shared machines, or with tenancy `Dedicated` those of bare metal.
    """
    if asked.service != "pricing" or asked.name != "GetProducts":
        return None
    wanted = json.loads(asked.body or b"{}")
    filters = {one["Field"]: one["Value"] for one in wanted.get("Filters", [])}
    bare = filters.get("tenancy", "Shared") != "Shared"
    kinds = sorted(kind for kind in prices.table()["instances"] if _bare(kind) is bare)
    if "instanceType" in filters:
        kinds = [kind for kind in kinds if kind == filters["instanceType"]]
    start = int(wanted.get("NextToken") or 0)
    end = start + int(wanted.get("MaxResults") or _PAGE)
    table = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(_product(kind)) for kind in kinds[start:end]]}
    return answers.as_json({**table, **({"NextToken": str(end)} if end < len(kinds) else {})})


def _bare(kind: str) -> bool:
    return ".metal" in kind


def _product(kind: str) -> dict[str, object]:
    attributes = {
        "instanceType": kind,
        "regionCode": prices.table()["region"],
        "operatingSystem": "Linux",
        "tenancy": "Dedicated" if _bare(kind) else "Shared",
        "capacitystatus": "Used",
    }
    rate = {"unit": "Hrs", "pricePerUnit": {"USD": f"{prices.on_demand(kind):.10f}"}}
    term = {"priceDimensions": {f"{kind}.OnDemand.Hrs": rate}}
    return {
        "product": {"productFamily": f"Compute Instance{' (bare metal)' if _bare(kind) else ''}", "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{kind}.OnDemand": term}},
    }
