"""The local AWS as tests use it."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_helpers import clusters, processes, settings
from lab_helpers.eks import service
from lab_helpers.eks.service import Endpoint


@dataclass
class Aws:
    """A local AWS of the tests."""

    home: Path

    @property
    def settings(self) -> settings.Settings:
        return settings.load()

    @property
    def endpoint(self) -> Endpoint:
        return service.ensure(self.settings)

    def env(self, **more: str) -> dict[str, str]:
        return {**self.endpoint.environment(clusters.scrubbed(os.environ)), **more}

    def run(self, *words: str, code: int = 0, **env: str) -> str:
        """What a program says that ends with this code."""
        done = subprocess.run(words, env=self.env(**env), capture_output=True, text=True, timeout=180)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{said}\n-- the endpoint:\n{log(self.endpoint.folder)}"
        return said

    def client(self, name: str, key: tuple[str, str] | None = None) -> Any:
        """boto3 as a learner has it."""
        import boto3
        from botocore.config import Config

        env = self.env()
        keys = key or _keys(self.endpoint.folder)
        session = boto3.Session(*keys, region_name="us-east-1")
        proxies = {"https": env["HTTPS_PROXY"]}
        config = Config(proxies=proxies, retries={"total_max_attempts": 1}, read_timeout=60)
        return session.client(name, config=config, verify=env["AWS_CA_BUNDLE"])


def log(folder: Path) -> str:
    """The last lines of everything that the endpoint's processes wrote."""
    return "\n".join(processes.tail(path, 30) for path in sorted((folder / "logs").glob("*.log")))


def _keys(folder: Path) -> tuple[str, str]:
    import json

    wanted = json.loads((folder / "wanted.json").read_text())
    return wanted["key"], wanted["secret"]


def until(holds: Any, deadline: float = 30) -> None:
    """Wait for a condition."""
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)
