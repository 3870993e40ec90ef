"""The VPC of an EKS cluster: a column for each zone, its subnets, and what stands in them, as EC2 and EKS list it.

The control plane itself is drawn above the VPC: it is in AWS's own account, and no call lists its machines. What the
account does list of it are the network interfaces by which it reaches into the VPC.
"""

from __future__ import annotations

from typing import Any

from lab_helpers.views.palette import BLUE, GREEN, GREY, HOLLOW, LINE, OLIVE, PINK, SKY
from lab_helpers.views.picture import BACK, BODY, MARK, Canvas, Picture, count, fit, solid, stroke, wide

WIDTH, _ROW, _GAP, _HEAD = 960, 20, 12, 74
Object = dict[str, Any]
_LOOKS = {"control plane": BLUE, "node": GREEN, "NAT gateway": OLIVE, "load balancer": PINK}
Thing = tuple[str, str]
"""(kind, words)"""


def vpc_map(
    cluster: Object,
    vpc: Object,
    subnets: list[Object],
    tables: list[Object],
    interfaces: list[Object],
    gateways: list[Object],
    instances: list[Object],
    balancers: list[Object],
    *,
    title: str = "",
) -> Picture:
    """Draw it.

    Args:
        cluster: as DescribeCluster answers.
        vpc, subnets, tables, interfaces, gateways, instances: as EC2 answers: the VPC, and what is in it.
        balancers: as ELBv2 answers.
    """
    public = {one["SubnetId"]: _is_public(one["SubnetId"], tables) for one in subnets}
    inside = {one["SubnetId"]: _things(one["SubnetId"], cluster, interfaces, gateways, instances, balancers) for one in subnets}
    zones: dict[str, list[Object]] = {}
    for subnet in sorted(subnets, key=lambda one: (one["AvailabilityZone"], not public[one["SubnetId"]], one["CidrBlock"])):
        zones.setdefault(subnet["AvailabilityZone"], []).append(subnet)
    given = set(cluster["resourcesVpcConfig"]["subnetIds"])
    zones = {zone: [one for one in own if one["SubnetId"] in given or inside[one["SubnetId"]]] for zone, own in zones.items()}
    zones = {zone: own for zone, own in zones.items() if own}
    canvas = Canvas(WIDTH, title or f"{cluster['name']} in its VPC")
    top = canvas.heading(f"{count(len(zones), 'zone')}, {count(sum(map(len, zones.values())), 'subnet')}") + 6
    _managed(canvas, cluster, top)
    y = top + _HEAD + 34
    column = (WIDTH - 24) / max(1, len(zones))
    bottom = y
    for number, (zone, own) in enumerate(zones.items()):
        x, below = 12 + number * column, y + 44
        canvas.text(x + _GAP / 2, y + 38, zone, bold=True)
        for subnet in own:
            things = inside[subnet["SubnetId"]]
            high = 30 + _ROW * max(1, len(things))
            _subnet(canvas, subnet, public[subnet["SubnetId"]], things, (x, below, column - _GAP, high))
            if any(kind == "control plane" for kind, _ in things):
                canvas.line(x + column / 2, top + _HEAD, x + column / 2, below, stroke(BLUE, 2), BACK)
            below += high + _GAP
        bottom = max(bottom, below)
    canvas.rect(2, y, WIDTH - 4, bottom - y, f'fill="none" stroke="{LINE}"', BACK)
    canvas.text(12, y + 18, f"VPC {vpc['VpcId']}  {vpc['CidrBlock']}, in your account", faint=True, size=12)
    _legend(canvas, bottom + 20, {kind for things in inside.values() for kind, _ in things})
    return canvas.picture(_words(canvas.title, cluster, vpc, zones, public, inside))


def _is_public(subnet: str, tables: list[Object]) -> bool:
    """Whether its route table leads to an internet gateway: nothing else makes a subnet public."""
    own = [one for one in tables if any(link.get("SubnetId") == subnet for link in one["Associations"])]
    used = own or [one for one in tables if any(link.get("Main") for link in one["Associations"])]
    return any(route.get("GatewayId", "").startswith("igw-") for table in used for route in table["Routes"])


def _things(
    subnet: str,
    cluster: Object,
    interfaces: list[Object],
    gateways: list[Object],
    instances: list[Object],
    balancers: list[Object],
) -> list[Thing]:
    """What stands in a subnet, each thing once: the interface of an instance or a gateway is not told beside it."""
    found: list[Thing] = []
    mine = f"Amazon EKS {cluster['name']}"
    for one in interfaces:
        if one["SubnetId"] == subnet and one.get("Description") == mine:
            found.append(("control plane", f"{one['NetworkInterfaceId']} {one['PrivateIpAddress']}"))
    for one in instances:
        if one.get("SubnetId") == subnet:
            found.append(("node", f"{one['InstanceId']} {one['InstanceType']} {one.get('PrivateIpAddress', '')}"))
    for one in gateways:
        if one["SubnetId"] == subnet and one["State"] in ("pending", "available"):
            found.append(("NAT gateway", one["NatGatewayId"]))
    for one in balancers:
        if any(zone.get("SubnetId") == subnet for zone in one["AvailabilityZones"]):
            found.append(("load balancer", one["LoadBalancerName"]))
    return found


def _managed(canvas: Canvas, cluster: Object, y: float) -> None:
    canvas.rect(2, y, WIDTH - 4, _HEAD, f'fill="{HOLLOW}" stroke="{BLUE}" stroke-width="2" stroke-dasharray="6 3"', BODY)
    network = cluster["resourcesVpcConfig"]
    reach = [word for word, key in (("public", "endpointPublicAccess"), ("private", "endpointPrivateAccess")) if network[key]]
    canvas.text(14, y + 20, f"Control plane of {cluster['name']}, in AWS's account", bold=True)
    said = f"Kubernetes {cluster['version']}, platform {cluster.get('platformVersion', '?')}, {cluster['status']}"
    canvas.text(14, y + 40, fit(said, WIDTH - 28, 12))
    canvas.text(
        14,
        y + 58,
        fit(f"one address, {' and '.join(reach)}: {cluster.get('endpoint', 'none yet')}", WIDTH - 28, 12),
        faint=True,
    )


def _subnet(canvas: Canvas, subnet: Object, public: bool, things: list[Thing], box: tuple[float, float, float, float]) -> None:
    x, y, width, high = box
    edge = SKY if public else GREY
    canvas.rect(x, y, width, high, f'fill="{HOLLOW}" stroke="{edge}" stroke-width="1.5"', BODY)
    head = f"{'public' if public else 'private'} {subnet['CidrBlock']}"
    canvas.text(x + 8, y + 16, fit(head, width - 12, 11, True), size=11, bold=True)
    for number, (kind, words) in enumerate(things):
        line = y + 34 + number * _ROW
        canvas.rect(x + 8, line - 10, 12, 12, solid(_LOOKS[kind]), MARK)
        canvas.text(x + 26, line, fit(words, width - 32, 11), size=11)
        canvas.hint(x, line - 12, width, _ROW, f"{kind}: {words}")
    if not things:
        canvas.text(x + 8, y + 34, "empty", size=11, faint=True)


def _legend(canvas: Canvas, y: float, kinds: set[str]) -> None:
    x = 12.0
    for kind, colour in _LOOKS.items():
        if kind in kinds:
            words = f"interface of the {kind}" if kind == "control plane" else kind
            canvas.rect(x, y - 10, 12, 12, solid(colour))
            canvas.text(x + 18, y, words)
            x += 40 + wide(words, 12)
    canvas.text(x, y, "blue edge: public subnet", faint=True)


def _words(
    title: str,
    cluster: Object,
    vpc: Object,
    zones: dict[str, list[Object]],
    public: dict[str, bool],
    inside: dict[str, list[Thing]],
) -> list[str]:
    said = [
        f"{title}: control plane in AWS's account, {cluster['status']}, at {cluster.get('endpoint', 'no address yet')}.",
        f"VPC {vpc['VpcId']} {vpc['CidrBlock']}, {count(len(zones), 'zone')}.",
    ]
    for zone, subnets in zones.items():
        for one in subnets:
            number = one["SubnetId"]
            things = "; ".join(f"{kind} {words}" for kind, words in inside[number]) or "empty"
            said.append(f"{zone}, {'public' if public[number] else 'private'} {one['CidrBlock']} ({number}): {things}.")
    return said
