"""Kubernetes versions as EKS has them: from versions.yaml, with their state on a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import toolchain
from lab_helpers.eks import plane
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.errors import invalid
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages


@cache
def table() -> dict[str, dict[str, Any]]:
    """Minor → released, standard, extended (dates), patch, platform; oldest first."""
    return dict(yaml.safe_load((Path(__file__).parent / "versions.yaml").read_text())["versions"])


def minor(version: str) -> int:
    """The number behind the point: 36 of `1.36`."""
    return int(version.partition(".")[2])


@cache
def runnable() -> tuple[str, ...]:
    """The minors that the lab's own programs can be, oldest first."""
    return tuple(version for version in table() if version in (plane.newest(), *toolchain.OLDER_MINORS))


def status(version: str, day: date) -> str:
    """STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED on a day."""
    row = table()[version]
    if day < row["standard"]:
        return "STANDARD_SUPPORT"
    return "EXTENDED_SUPPORT" if day < row["extended"] else "UNSUPPORTED"


def default() -> str:
    """What a cluster is made of when nobody says: the newest that EKS supports and the lab can run."""
    return runnable()[-1]


def required(version: str, name: str) -> str:
    """The version, if a cluster can be made of it.

    Raises:
        EksError: EKS does not have it, or no more; or it has, and this lab cannot run it.
    """
    if version in runnable():
        return version
    words = f"unsupported Kubernetes version {version}"
    if version in table() and status(version, datetime.now(UTC).date()) != "UNSUPPORTED":
        words += f": EKS has it, but this lab's programs can only be {', '.join(runnable())}"
    raise invalid(words, clusterName=name)


def patch(version: str) -> str:
    """The patch release that EKS runs of a minor, for instance `1.36.1`."""
    return str(table()[version]["patch"])


def platform(version: str) -> str:
    """EKS's own version of a control plane of this minor."""
    return str(table()[version]["platform"])


def _shown(version: str, day: date) -> dict[str, Any]:
    row = table()[version]
    state = status(version, day)
    return {
        "clusterVersion": version,
        "clusterType": "eks",
        "defaultPlatformVersion": row["platform"],
        "defaultVersion": version == default(),
        **{key: datetime.combine(row[field], time(), UTC) for key, field in _DATES.items()},
        "status": state.lower().replace("_", "-"),
        "versionStatus": state,
        "kubernetesPatchVersion": row["patch"],
    }


_DATES = {"releaseDate": "released", "endOfStandardSupportDate": "standard", "endOfExtendedSupportDate": "extended"}


@operation
def describe_cluster_versions(account: Account, parameters: Parameters) -> Result:
    """Real dates and states; also of versions that the lab cannot run (`create-cluster` says so)."""
    rows = [_shown(version, datetime.now(UTC).date()) for version in reversed(table())]
    if wanted := parameters.get("clusterVersions"):
        rows = [row for row in rows if row["clusterVersion"] in wanted]
    elif not parameters.get("includeAll"):
        rows = [row for row in rows if row["versionStatus"] != "UNSUPPORTED"]
    if parameters.get("defaultOnly"):
        rows = [row for row in rows if row["defaultVersion"]]
    for key in ("status", "versionStatus"):
        rows = [row for row in rows if row[key] == parameters.get(key, row[key])]
    if (kind := parameters.get("clusterType", "eks")) != "eks":
        raise invalid(f"The clusterType {kind} is not valid. Allowed: eks")
    return pages(rows, parameters, "clusterVersions")
