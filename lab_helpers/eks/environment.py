"""What a program must see to reach the lab's AWS and nothing of the user's own: variables, and one file of credentials."""

from __future__ import annotations

import configparser
import io
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from lab_helpers.eks import account, files
from lab_helpers.eks.proxy import address
from lab_helpers.settings import writable

_LOOPBACK = "127.0.0.1,localhost,::1"
_OUTSIDE = "LAB_OUTSIDE"  # what `apply` replaced, for `leave`: the lab's own set-up goes the user's way to the network
_REPLACED = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


def variables(folder: Path, port: int, password: str) -> dict[str, str]:
    """The variables of a lab's environment.

    Args:
        folder: the endpoint's.
        port, password: of its proxy.
    """
    proxy, trusted = address(port, password), str(folder / "ca.crt")
    return {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CA_BUNDLE": trusted,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",  # a pager would wait for a key
        "AWS_REGION": account.REGION,
        "AWS_DEFAULT_REGION": account.REGION,
        "SSL_CERT_FILE": trusted,  # for programs in Go; nothing else is reached by HTTPS here
        "CURL_CA_BUNDLE": trusted,
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "ALL_PROXY": "",
        "all_proxy": "",
        # An inherited exception for amazonaws.com would lead to the real AWS.
        "NO_PROXY": _LOOPBACK,
        "no_proxy": _LOOPBACK,
        "EKSCTL_DISABLE_UPDATE_CHECK": "1",
    }


def apply(env: Mapping[str, str], folder: Path, port: int, password: str) -> dict[str, str]:
    """An environment in which the lab's AWS is the only one; `env` has been scrubbed of the user's own."""
    before = leave(env)
    path = os.pathsep.join([str(folder / "bin"), before.get("PATH", "")])
    outside = json.dumps({name: before[name] for name in _REPLACED if name in before})
    return {**before, **variables(folder, port, password), "PATH": path, _OUTSIDE: outside}


def leave(env: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before `apply`; one that has not been there is returned as it is."""
    if _OUTSIDE not in env:
        return dict(env)
    left = {name: value for name, value in env.items() if name not in (*_REPLACED, _OUTSIDE) and not name.startswith("AWS_")}
    own = Path(env.get("AWS_CONFIG_FILE", "/")).parent / "bin"
    left["PATH"] = os.pathsep.join(part for part in left.get("PATH", "").split(os.pathsep) if part != str(own))
    return {**left, **json.loads(env[_OUTSIDE])}


def write(folder: Path, key: str, secret: str) -> None:
    """Write what programs read: credentials, configuration, and `aws` as the lab runs it. What learners added stays."""
    _section(folder / "credentials", {"aws_access_key_id": key, "aws_secret_access_key": secret})
    _section(folder / "config", {"region": account.REGION, "output": "json", "cli_timestamp_format": "iso8601"})
    script = writable(folder / "bin") / "aws"
    home = writable(folder / "home")
    program = Path(sys.executable).with_name("aws")
    words = [str(program)] if program.exists() else [sys.executable, "-m", "awscli"]
    # The AWS CLI keeps the credentials of assumed roles in ~/.aws/cli/cache, and reads aliases from ~/.aws: no variable
    # says otherwise, so it has a home of its own.
    text = f'#!/bin/sh\nHOME={shlex.quote(str(home))} exec {shlex.join(words)} "$@"\n'
    if not script.exists() or script.read_text() != text:
        files.write(script, text, files.PROGRAM)


def _section(path: Path, values: dict[str, str]) -> None:
    """Set values of the section `default` of a file of AWS's kind, 0600."""
    table = configparser.RawConfigParser(default_section="")
    table.read(path)
    if not table.has_section("default"):
        table.add_section("default")
    before = dict(table["default"])
    table["default"].update({**values, **{name: held for name, held in before.items() if name not in values}})
    if dict(table["default"]) == before and path.exists():
        return
    text = io.StringIO()
    table.write(text)
    files.write(path, text.getvalue())
