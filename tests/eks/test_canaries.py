"""The user's own credentials are never read, sent or changed: canaries in the environment and in ~/.aws are looked for."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest
from eks_kit import until

KEY, SECRET, TOKEN = "AKIACANARYCANARY0001", "canary/secret/of/the/user/0123456789abcdef", "canary-session-token"


class Tap:
    """Stands before the endpoint's web server, behind TLS, and keeps every byte that arrives."""

    def __init__(self, folder: Path) -> None:
        self.seen = bytearray()
        self._real = folder / "real.sock"
        (folder / "http.sock").rename(self._real)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "http.sock"))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            behind = socket.socket(socket.AF_UNIX)
            behind.connect(str(self._real))
            threading.Thread(target=self._pass, args=(client, behind, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(behind, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, keep: bool) -> None:
        while data := source.recv(65536):
            if keep:
                self.seen += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user who works with AWS: keys in the environment, profiles, aliases, a proxy exception for AWS."""
    folder = tmp_path / "home" / ".aws"
    (folder / "cli").mkdir(parents=True)
    keys = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    (folder / "credentials").write_text(f"[default]\n{keys}\n[prod]\n{keys}")
    (folder / "config").write_text("[default]\nregion = eu-canary-1\n[profile prod]\nregion = eu-canary-1\n")
    (folder / "cli" / "alias").write_text("[toplevel]\nsts = ec2 describe-canaries\n")
    canaries = {
        "HOME": str(folder.parent),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_PROFILE": "prod",
        "AWS_DEFAULT_REGION": "eu-canary-1",
        "AWS_ENDPOINT_URL": "https://canary.example",
        "AWS_STS_ENDPOINT": "https://canary.example",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/canary",
        "NO_PROXY": ".amazonaws.com,canary.example",
        "no_proxy": ".amazonaws.com,canary.example",
        "HTTPS_PROXY": "http://canary.example:1",
        "https_proxy": "http://canary.example:1",
    }
    for name, value in canaries.items():
        monkeypatch.setenv(name, value)
    return folder


def _prints(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def test_the_users_credentials_are_never_read_sent_or_changed(aws, user):
    before = _prints(user)
    folder = aws.endpoint.folder
    tap = Tap(folder)
    role = "arn:aws:iam::123456789012:role/visited"
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"123456789012"}}]}'
    )
    assert "lab-admin" in aws.run("aws", "sts", "get-caller-identity")
    aws.run("aws", "iam", "create-role", "--role-name", "visited", "--assume-role-policy-document", trust)
    config = folder / "config"
    config.write_text(f"{config.read_text()}\n[profile visit]\nrole_arn = {role}\nsource_profile = default\n")
    said = aws.run("aws", "sts", "get-caller-identity", "--profile", "visit")
    assert "assumed-role/visited" in said, "the AWS CLI keeps these credentials in a file: in the lab's own folder"
    assert list((folder / "home" / ".aws" / "cli" / "cache").glob("*.json"))
    aws.run(
        "python", "-c", "import boto3; print(boto3.client('ec2').describe_regions())", PATH=f"{_python()}:{os.environ['PATH']}"
    )
    until(lambda: b"DescribeRegions" in tap.seen)
    for canary in (KEY, SECRET, TOKEN, "canary"):
        assert canary.encode() not in bytes(tap.seen), canary
    assert _prints(user) == before, "nothing of the user's was changed, and nothing was added"


def _python() -> str:
    import sys

    return str(Path(sys.executable).parent)


def test_the_labs_environment_holds_nothing_of_the_users_cloud(aws, user):
    env = aws.env()
    assert not [name for name, value in env.items() if "canary" in value.lower() and name not in ("HOME", "LAB_OUTSIDE")]
    assert "canary" not in " ".join(value for name, value in env.items() if name.startswith("AWS_")).lower()


def test_leaving_gives_the_users_own_way_to_the_network_back(aws, user):
    from lab_helpers.eks import environment

    env = environment.leave(aws.env())
    assert env["HTTPS_PROXY"] == "http://canary.example:1" and ".amazonaws.com" in env["NO_PROXY"]
    assert env.get("SSL_CERT_FILE") == os.environ.get("SSL_CERT_FILE")
    assert not [name for name in env if name.startswith("AWS_")]
    assert environment.leave(env) == env
