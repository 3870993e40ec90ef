"""The AWS console's form "Create cluster", in a notebook: what is filled in stands as a command, and the button runs it."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import unquote

from lab_helpers.errors import CommandFailed

_ACCESS = {
    "Public": (True, False),
    "Public and private": (True, True),
    "Private": (False, True),
}
_SECONDS = 120.0


class Console:
    """One form.

    Attributes:
        name, version, role, vpc, subnets, access: what is filled in; the widgets set them, and so may a program.
        state: what the account said last of the cluster, or of why there is none.
    """

    def __init__(self, client: Callable[[str], Any], name: str) -> None:
        self._client, self.name, self.state, self._asked = client, name, "", False
        rows = client("eks").describe_cluster_versions()["clusterVersions"]
        self.versions = {row["clusterVersion"]: row["versionStatus"] for row in rows}
        self.version = next(row["clusterVersion"] for row in rows if row["defaultVersion"])
        self.roles = [role["Arn"] for role in client("iam").list_roles()["Roles"] if _for_eks(role)]
        self.role = self.roles[0] if self.roles else ""
        found = client("ec2").describe_subnets()["Subnets"]
        self.places: dict[str, list[dict[str, str]]] = {}
        for one in sorted(found, key=lambda one: (one["AvailabilityZone"], one["CidrBlock"])):
            self.places.setdefault(one["VpcId"], []).append(one)
        self.vpc = next(iter(self.places))
        self.access = "Public"
        self.subnets = [one["SubnetId"] for one in self.places[self.vpc]][:3]

    @property
    def command(self) -> str:
        """What the console's button does, as a command."""
        public, private = _ACCESS[self.access]
        network = (
            f"subnetIds={','.join(self.subnets)},endpointPublicAccess={_word(public)},endpointPrivateAccess={_word(private)}"
        )
        words = ["aws", "eks", "create-cluster", "--name", self.name, "--kubernetes-version", self.version]
        return shlex.join([*words, "--role-arn", self.role, "--resources-vpc-config", network])

    def create(self) -> None:
        """Press the button, unless it was pressed already; return when the cluster is made, or has failed.

        Raises:
            CommandFailed: AWS refuses what is filled in.
        """
        if not self._asked:
            self._press()
        if not self._asked:
            raise CommandFailed("AWS refused the form.", f"$ {self.command}\n{self.state}", "change the form, and press again")
        print(f"$ {self.command}\n{self.state}")
        while not self._settled():
            time.sleep(0.5)
        print(self.state)

    def _press(self) -> None:
        done = subprocess.run(["bash", "-c", self.command], capture_output=True, text=True, timeout=_SECONDS)
        self._asked = done.returncode == 0
        if self._asked:
            cluster = json.loads(done.stdout)["cluster"]
            self.state = f"{cluster['name']} is {cluster['status']}: {cluster['arn']}"
        else:
            self.state = done.stderr.strip()

    # -- the widgets ---------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Display the form; in plain text it stands as its command."""
        import ipywidgets as widgets
        from IPython.display import display

        wide = {"layout": widgets.Layout(width="44em"), "style": {"description_width": "11em"}}
        states = {f"{version} ({words.replace('_', ' ').lower()})": version for version, words in self.versions.items()}
        name = widgets.Text(self.name, description="Name", **wide)
        version = widgets.Dropdown(options=states, value=self.version, description="Kubernetes version", **wide)
        role = widgets.Dropdown(options=self.roles or [""], description="Cluster IAM role", **wide)
        vpc = widgets.Dropdown(options=list(self.places), description="VPC", **wide)
        subnets = widgets.VBox([])
        access = widgets.Dropdown(options=list(_ACCESS), description="Endpoint access", **wide)
        command, said = widgets.HTML(), widgets.HTML()
        button = widgets.Button(description="Create", button_style="primary")

        def draw(_change: object = None) -> None:
            self.name, self.version, self.role, self.access = name.value, version.value, role.value or "", access.value
            self.subnets = [box.subnet for box in subnets.children if box.value]
            command.value = f"<b>The same as a command</b><br><code>{escape(self.command)}</code>"

        def choose(_change: object = None) -> None:
            self.vpc, boxes = vpc.value, []
            for number, one in enumerate(self.places[self.vpc]):
                words = f"{one['SubnetId']}  {one['AvailabilityZone']}  {one['CidrBlock']}"
                box = widgets.Checkbox(number < 3, description=words, layout=widgets.Layout(width="44em"))
                box.subnet = one["SubnetId"]
                box.observe(draw, "value")
                boxes.append(box)
            subnets.children = tuple(boxes)
            draw()

        def press(_button: object) -> None:
            if not self._asked:
                self._press()
            said.value = f"<code>{escape(self.state)}</code>"
            if self._asked:
                button.disabled = True
                threading.Thread(target=self._follow, args=(said,), daemon=True, name="console").start()

        for field in (name, version, role, access):
            field.observe(draw, "value")
        vpc.observe(choose, "value")
        button.on_click(press)
        choose()
        box = widgets.VBox([name, version, role, vpc, subnets, access, command, button, said])
        bundle = box._repr_mimebundle_()
        data: dict[str, Any] = bundle[0] if isinstance(bundle, tuple) else bundle
        display({**data, "text/plain": f"Create cluster: {self.command}"}, raw=True)

    def _follow(self, said: Any) -> None:
        """Say what becomes of the cluster, until it has become something."""
        end, settled = time.monotonic() + _SECONDS, False
        while not settled and time.monotonic() < end:
            settled = self._settled()
            said.value = f"<code>{escape(self.state)}</code>"
            time.sleep(0.5)

    def _settled(self) -> bool:
        cluster = self._client("eks").describe_cluster(name=self.name)["cluster"]
        self.state = f"{self.name} is {cluster['status']}: {cluster.get('endpoint', 'no address yet')}"
        return bool(cluster["status"] != "CREATING")


def _word(value: bool) -> str:
    return str(value).lower()


def _for_eks(role: dict[str, Any]) -> bool:
    """Whether EKS itself may assume a role: the console offers no others."""
    trust = role.get("AssumeRolePolicyDocument", "")
    text = json.dumps(trust) if isinstance(trust, dict) else unquote(trust)
    return '"eks.amazonaws.com"' in text
