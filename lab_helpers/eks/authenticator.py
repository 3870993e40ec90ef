"""The real aws-iam-authenticator, one for each EKS cluster: the webhook that tells the API server whose token it was given.

It decodes the token, which is a signed request to STS, sends that request, and gets the caller's ARN back from sts.py. The
ARN becomes a user with groups by two tables: access entries (a file that is replaced here and read at once) and the
ConfigMap kube-system/aws-auth. Which of them count is the cluster's authentication mode.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab_helpers import processes, toolchain
from lab_helpers.clusters.ports import free_ports
from lab_helpers.eks import account, files
from lab_helpers.eks.plane import Webhook
from lab_helpers.errors import ClusterError

NAME = "aws-iam-authenticator"

# An access entry wins over the ConfigMap, so its table is asked first. In CONFIG_MAP mode it holds the creator alone.
_TABLES = {"API": "DynamicFile", "API_AND_CONFIG_MAP": "DynamicFile EKSConfigMap", "CONFIG_MAP": "DynamicFile EKSConfigMap"}
_CACHE = "5s"  # how long the API server believes an answer; by default a removed mapping works for two more minutes


def folder(endpoint: Path, local: str) -> Path:
    """Where a cluster's authenticator keeps its files.

    Args:
        endpoint: the endpoint's folder.
        local: the cluster's name among the lab's clusters.
    """
    return endpoint / "authenticators" / local


class Authenticators:
    """Makes, starts and ends them.

    Args:
        endpoint: the endpoint's folder.
        proxy: the address of its proxy, by which they reach STS.
    """

    def __init__(self, endpoint: Path, proxy: str) -> None:
        self._endpoint, self._proxy = endpoint, proxy

    def prepare(self, local: str, name: str, entries: Mapping[str, Any]) -> Webhook:
        """Make a cluster's files. They must be there before its API server starts."""
        here = folder(self._endpoint, local)
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True, mode=0o700)
        port = free_ports(1)[0]
        self.write(local, entries)
        server = {
            "port": port,
            "address": "127.0.0.1",
            "stateDir": str(here),
            "kubeconfig": str(here / "admin.kubeconfig"),
            "kubeconfigPregenerated": True,
            "backendMode": _TABLES[entries.get("mode", "API")].split(),
            "dynamicfilepath": str(here / "entries.json"),
            "dynamicBackendModePath": str(here / "tables.json"),
        }
        files.write(here / "config.json", json.dumps({"clusterID": name, "server": server}))
        # Makes its key, its certificate and the API server's kubeconfig for it.
        processes.run([toolchain.path(NAME), "init", "--cluster-id", name], cwd=here, env=self._environment(here), timeout=60)
        hook = here / "aws-iam-authenticator.kubeconfig"
        files.write(here / "webhook.kubeconfig", hook.read_text().replace(":21362", f":{port}"))
        hook.unlink()
        file = str(here / "webhook.kubeconfig")
        arguments = {"authentication-token-webhook-config-file": file, "authentication-token-webhook-cache-ttl": _CACHE}
        return Webhook(arguments, (file,), port)

    def start(self, local: str, kubeconfig: Path) -> None:
        """Run a cluster's authenticator; it runs already: nothing.

        Args:
            kubeconfig: the cluster's administrator's; aws-auth is read with it.

        Raises:
            ClusterError: its files are gone, or it ended at once.
        """
        here = folder(self._endpoint, local)
        if not (here / "config.json").exists():
            return  # a cluster that was made without one
        files.write(here / "admin.kubeconfig", kubeconfig.read_text())
        running = processes.recorded(here).get(NAME)
        reached = here / "proxy"
        if running and processes.alive(running) and reached.exists() and reached.read_text() == self._proxy:
            return
        if running:
            processes.stop(running, grace=0)  # it ignores SIGTERM
        files.write(reached, self._proxy)
        command = (str(toolchain.path(NAME)), "server", "--config", str(here / "config.json"))
        process = processes.start(NAME, command, folder=here, env=self._environment(here), cwd=here)
        port = json.loads((here / "config.json").read_text())["server"]["port"]

        def answers() -> bool:
            if not processes.alive(process):
                raise ClusterError(f"The authenticator of {local} ended at once.", processes.tail(process.log), "lab doctor")
            with socket.socket() as link:
                return link.connect_ex(("127.0.0.1", port)) == 0

        processes.wait_until(answers, deadline=60, what=f"The authenticator of {local}: its answer")

    def write(self, local: str, entries: Mapping[str, Any]) -> None:
        """Who may enter now: the cluster's authentication mode, and users and roles with their groups."""
        here = folder(self._endpoint, local)
        if not here.exists():
            return
        now = {"LastUpdatedDateTime": str(int(time.time())), "Version": "1"}
        table = {
            **now,
            "mapUsers": entries.get("mapUsers", []),
            "mapRoles": entries.get("mapRoles", []),
            "mapAccounts": [],
        }
        files.write(here / "entries.json", json.dumps(table))
        files.write(here / "tables.json", json.dumps({**now, "backendMode": _TABLES[entries.get("mode", "API")]}))

    def stop(self, local: str) -> None:
        """End a cluster's authenticator and remove its files; there is none: nothing."""
        here = folder(self._endpoint, local)
        for process in processes.recorded(here).values():
            processes.stop(process, grace=0)
        shutil.rmtree(here, ignore_errors=True)

    def _environment(self, here: Path) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(here),
            "AWS_REGION": account.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HTTPS_PROXY": self._proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(self._endpoint / "ca.crt"),  # Go reads it on Linux, not on macOS
        }


def every(endpoint: Path) -> list[str]:
    """The clusters that have one."""
    return sorted(path.name for path in (endpoint / "authenticators").glob("*"))
