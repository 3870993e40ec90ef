"""A certificate authority of this machine's own, good for AWS's names and nothing else.

It is made anew for every installation and trusted only in the lab's own environment. (moto ships one whose private key
everybody has: never trust that one.)
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab_helpers.eks import files

NAMES = ("amazonaws.com", "api.aws")
"""The domains that the authority may speak for, with everything below them (RFC 5280, 4.2.1.10)."""

_YEARS, _DAYS = 5, 90  # of the authority, of a host's certificate
_PEM = serialization.Encoding.PEM

Key: TypeAlias = ec.EllipticCurvePrivateKey


def is_ours(host: str) -> bool:
    """Whether a host name is one of AWS's."""
    return any(host.lower().endswith(f".{name}") for name in NAMES)


class Authority:
    """The authority in a folder: `ca.crt` (public) and `ca.pem` (key and certificate, 0600)."""

    def __init__(self, folder: Path) -> None:
        self.certificate_file, self._pair = folder / "ca.crt", folder / "ca.pem"
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._folder = folder
        self._key, self._certificate = self._load() or self._make()
        # Written each time: the pair is the truth, and what is trusted must be its public half.
        files.write(self.certificate_file, self._certificate.public_bytes(_PEM), files.PUBLIC)

    def context(self, host: str) -> ssl.SSLContext:
        """What a TLS server needs to be that host."""
        if host not in self._contexts:
            key = ec.generate_private_key(ec.SECP256R1())
            file = self._folder / f".{os.getpid()}-host.pem"
            try:
                files.write(file, _key_bytes(key) + self._issue(host, key).public_bytes(_PEM))
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(file)
            finally:
                file.unlink(missing_ok=True)
            self._contexts[host] = context
        return self._contexts[host]

    def _load(self) -> tuple[Key, x509.Certificate] | None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            content = self._pair.read_bytes()
            key, found = serialization.load_pem_private_key(content, None), x509.load_pem_x509_certificate(content)
            if isinstance(key, Key) and found.not_valid_after_utc > _now() + datetime.timedelta(days=_DAYS):
                return key, found
        return None

    def _make(self) -> tuple[Key, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        allowed = [x509.DNSName(name) for name in NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_network(net)) for net in ("0.0.0.0/0", "::/0")]
        made = (
            _builder(_named("EKS Lab, this machine only"), _named("EKS Lab, this machine only"), key, 365 * _YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=addresses), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        files.write(self._pair, _key_bytes(key) + made.public_bytes(_PEM))
        return key, made

    def _issue(self, host: str, key: Key) -> x509.Certificate:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(_named(host[:64]), self._certificate.subject, key, _DAYS)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - datetime.timedelta(days=1))  # a clock that was put back does not end the lab
        .not_valid_after(_now() + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _key_bytes(key: Key) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
