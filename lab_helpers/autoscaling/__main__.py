"""The autoscaler as a process of its own: `python -m lab_helpers.autoscaling --cluster NAME --groups groups.yaml`.

Flags are upstream's; its log goes to standard output. The file lists node groups of the lab's own cluster:
`- {name: small, min: 0, max: 5, boot: 3, cpu: "2", memory: 8Gi, pods: 29, labels: {}, taints: []}`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import clusters, settings
from lab_helpers.autoscaling.expanders import EXPANDERS
from lab_helpers.autoscaling.groups import LabGroup
from lab_helpers.autoscaling.loop import Autoscaler
from lab_helpers.autoscaling.options import Options
from lab_helpers.clusters import NodeShape
from lab_helpers.errors import LabError, SettingError
from lab_helpers.kube import Kube


def main(words: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="autoscaling")
    parser.add_argument("--cluster", required=True, help="the lab's cluster, as `lab clusters` names it")
    parser.add_argument("--groups", required=True, type=Path, help="file of node groups")
    for flag in fields(Options):
        name = flag.name.replace("_", "-")
        parser.add_argument(f"--{name}", dest=flag.name, type=_KINDS.get(str(flag.type), str), default=None)
    given = vars(parser.parse_args(words))
    try:
        return _run(given.pop("cluster"), given.pop("groups"), options(given))
    except LabError as error:
        print(error.text(), file=sys.stderr)
        return 1


def options(given: dict[str, Any]) -> Options:
    """Options from flags; what was not given keeps upstream's default."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if "expander" in chosen:
        chosen["expander"] = tuple(chosen["expander"].split(","))
        if unknown := set(chosen["expander"]) - set(EXPANDERS):
            known = ", ".join(EXPANDERS)
            raise SettingError(f"There is no expander {min(unknown)!r} here.", next_step=f"one or more of: {known}")
    return Options(**chosen)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("true or false")
    return text == "true"


_KINDS: dict[str, Callable[[str], Any]] = {"bool": _switch, "int": int, "float": float}


def _run(name: str, file: Path, chosen: Options) -> int:
    found = [(maker, cluster) for maker in clusters.every(settings.load()) if (cluster := maker.get(name))]
    if not found:
        raise SettingError(f"There is no cluster {name!r}.", next_step="lab clusters")
    (maker, cluster), stop = found[0], threading.Event()
    kube = Kube(cluster.kubeconfig)
    groups = []
    for row in _rows(file):
        size, boot = (row.pop("min", 0), row.pop("max")), row.pop("boot", 0)
        taints = tuple(row.pop("taints", ()))
        shape = NodeShape(**row, taints=taints)
        groups.append(LabGroup(shape.name, *size, shape, maker, cluster, kube, float(boot), _log))
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    _log(f"groups: {', '.join(f'{one.name} {one.minimum} to {one.maximum}' for one in groups)}")
    Autoscaler(kube, lambda: groups, chosen, _log).run(stop)
    for one in groups:
        one.close()
    return 0


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        rows = yaml.safe_load(file.read_text())
        good = isinstance(rows, list) and all(isinstance(row, dict) and {"name", "max"} <= row.keys() for row in rows)
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"{file} cannot be read.", str(error)) from None
    if not good:
        raise SettingError(f"{file} is no list of node groups.", next_step="each needs a name and max: see --help")
    return list(rows)


def _log(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
