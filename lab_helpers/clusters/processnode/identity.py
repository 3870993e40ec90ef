"""A node's own identity: a certificate for system:node:NAME, signed by the cluster's CA, and a kubeconfig with it.

The Node authorizer and NodeRestriction then hold the agent to what a kubelet may do. The same certificate serves the
agent's HTTPS API.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import yaml


def make(name: str, pki: Path, server: str, folder: Path) -> None:
    """Write `node.crt`, `node.key` and `kubeconfig` into a folder.

    Args:
        name: the node's.
        pki: the folder with ca.crt, ca.key and admin.crt.
        server: the API server's address.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    # The issuer's name from admin.crt: kwokctl's ca.crt has serial number 0, which cryptography will refuse to read.
    issuer = x509.load_pem_x509_certificate((pki / "admin.crt").read_bytes()).issuer
    authority = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(authority, hashes.SHA256())  # type: ignore[arg-type]
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / "node.crt", certificate.public_bytes(serialization.Encoding.PEM))
    _write(folder / "node.key", private)
    cluster = {"server": server, "certificate-authority": str(pki / "ca.crt")}
    user = {"client-certificate": str(folder / "node.crt"), "client-key": str(folder / "node.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "node",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "node", "context": {"cluster": "lab", "user": name}}],
    }
    _write(folder / "kubeconfig", yaml.safe_dump(config).encode())


def _write(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)
