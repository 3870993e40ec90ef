"""EC2's answers about instance types and their prices, where moto's are not enough for Karpenter. Each states what was seen.

The lab's EC2 lists the types that prices.yaml has a price of; any other that moto knows is described where it is named.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.responses import EC2Response
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.spot_instances import SpotInstances
from moto.iam.responses import IamResponse

from lab_helpers.eks import prices

Row = dict[str, Any]


def mend() -> None:
    """Put these answers in the place of moto's."""
    instances, spot, others, iam = InstanceResponse, SpotInstances, EC2Response, IamResponse  # type: Any, Any, Any, Any
    instances.describe_instance_types = _describe_instance_types
    instances.describe_instance_type_offerings = _describe_instance_type_offerings
    spot.describe_spot_price_history = _describe_spot_price_history
    others.describe_capacity_reservations = _describe_capacity_reservations
    others.describe_placement_groups = _describe_placement_groups
    iam.list_instance_profiles = _list_instance_profiles


def _page(self: Any, rows: list[Row], key: str) -> ActionResult:
    """moto sends everything at once, whatever MaxResults says: for all instance types that are 6 MB of XML."""
    start = int(self._get_param("NextToken") or 0)
    end = start + int(self._get_param("MaxResults") or len(rows) or 1)
    return ActionResult({key: rows[start:end], "NextToken": str(end) if end < len(rows) else None})


def _describe_instance_types(self: Any) -> ActionResult:
    """moto ignores DryRun, Karpenter's first call: it expects DryRunOperation."""
    self.error_on_dryrun()
    asked = self._get_param("InstanceTypes", [])
    rows = self.ec2_backend.describe_instance_types(asked, self._filters_from_querystring())
    return _page(self, [row for row in rows if asked or prices.offered(row["InstanceType"])], "InstanceTypes")


def _describe_instance_type_offerings(self: Any) -> ActionResult:
    rows = self.ec2_backend.describe_instance_type_offerings(self._get_param("LocationType"), self._filters_from_querystring())
    return _page(self, [row for row in rows if prices.offered(row["InstanceType"])], "InstanceTypeOfferings")


def _describe_spot_price_history(self: Any) -> ActionResult:
    """moto: 0.00001 dollars for everything, in the year 2006."""
    rows = self.ec2_backend.describe_spot_price_history(self._get_param("InstanceTypes", []), self._filters_from_querystring())
    now = utcnow()
    shown = [
        {
            "InstanceType": (kind := row["InstanceType"]),
            "AvailabilityZone": (zone := row["Location"]),
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{prices.spot(kind, zone):.6f}",
            "Timestamp": now,
        }
        for row in rows
        if prices.offered(row["InstanceType"])
    ]
    return _page(self, shown, "SpotPriceHistory")


def _describe_capacity_reservations(self: Any) -> ActionResult:
    """moto has none; the lab's account neither."""
    return ActionResult({"CapacityReservations": []})


def _describe_placement_groups(self: Any) -> ActionResult:
    """moto has none; the lab's account neither."""
    return ActionResult({"PlacementGroups": []})


def _list_instance_profiles(self: Any) -> ActionResult:
    """moto ignores PathPrefix: Karpenter deletes those of its path that it does not know, and would take all for its own."""
    prefix = self._get_param("PathPrefix") or "/"
    found = self.backend.get_instance_profiles()
    return ActionResult({"InstanceProfiles": [one for one in found if (one.path or "/").startswith(prefix)]})
