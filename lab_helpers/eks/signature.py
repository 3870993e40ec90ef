"""Signature Version 4: whether a request was signed by the access key that it names, here and now.

Specification: docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html. moto checks none of it.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from functools import cache
from urllib.parse import quote, unquote

from lab_helpers.eks import callers
from lab_helpers.eks.callers import Caller
from lab_helpers.eks.requests import Asked

MINUTES = 15  # how far a signature's time may be from now, and the longest life of a presigned token

_HEX = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """A request that AWS would refuse before it looks at what is asked.

    Attributes:
        code, message: as AWS says them.
        status: the HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def verify(asked: Asked) -> Caller:
    """The caller who signed the request.

    Raises:
        Refused: unsigned, of an unknown key, wrongly signed, too old or too new, with credentials that have ended, or for a
            region that is none.
    """
    if not asked.credential:
        raise Refused("MissingAuthenticationToken", "Request is missing Authentication Token")
    signed = _Signed(asked)
    caller = callers.find(asked.key)
    if caller is None or caller.token != signed.token:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    if caller.expires and caller.expires < _now():
        raise Refused("ExpiredToken", "The security token included in the request is expired")
    if not hmac.compare_digest(signed.expected(caller.secret), signed.signature):
        raise Refused("SignatureDoesNotMatch", _MISMATCH)
    signed.check_time()
    if asked.region not in _regions():  # at AWS its host would have no address
        words = f"Credential should be scoped to a valid region: {asked.region} is none of AWS's."
        raise Refused("SignatureDoesNotMatch", words)
    return caller


@cache
def _regions() -> frozenset[str]:
    import botocore.session

    return frozenset(botocore.session.get_session().get_available_regions("ec2"))


_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
    "signing method. Consult the service documentation for details."
)


class _Signed:
    """What a request's signature says of itself, from its headers or its query."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        if asked.presigned:
            found = asked.arguments
            self.signature, names = found.get("X-Amz-Signature", ""), found.get("X-Amz-SignedHeaders", "")
            self._date, self.token = found.get("X-Amz-Date", ""), found.get("X-Amz-Security-Token", "")
        else:
            words = asked.headers["authorization"]
            parts = dict(re.findall(r"(SignedHeaders|Signature)=([^,\s]+)", words))
            self.signature, names = parts.get("Signature", ""), parts.get("SignedHeaders", "")
            self._date = asked.headers.get("x-amz-date", "")
            self.token = asked.headers.get("x-amz-security-token", "")
        self._names = names.split(";")
        try:
            self.at = datetime.datetime.strptime(self._date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        except ValueError:
            raise Refused("IncompleteSignature", "Authorization header requires existence of 'X-Amz-Date' header.") from None

    def check_time(self) -> None:
        """Raise Refused where the signature was made too long ago, or in the future."""
        now, life = _now(), datetime.timedelta(minutes=MINUTES)
        if self._asked.presigned and "X-Amz-Expires" in self._asked.arguments and self._asked.service != "sts":
            life = datetime.timedelta(seconds=int(self._asked.arguments["X-Amz-Expires"]))
        if self.at + life < now:
            words = (
                f"{self._date} is now earlier than {_stamp(now - life)} ({_stamp(now)} - {life.total_seconds() / 60:.0f} min.)"
            )
            raise Refused("SignatureDoesNotMatch", f"Signature expired: {words}")
        if self.at - life > now:
            words = (
                f"{self._date} is still later than {_stamp(now + life)} ({_stamp(now)} + {life.total_seconds() / 60:.0f} min.)"
            )
            raise Refused("SignatureDoesNotMatch", f"Signature not yet current: {words}")

    def expected(self, secret: str) -> str:
        """The signature that this secret gives."""
        _, date, region, service, end = self._asked.credential
        key = f"AWS4{secret}".encode()
        for word in (date, region, service, end):
            key = hmac.new(key, word.encode(), "sha256").digest()
        scope = "/".join(self._asked.credential[1:])
        text = "\n".join(["AWS4-HMAC-SHA256", self._date, scope, _sha(self._canonical().encode())])
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    def _canonical(self) -> str:
        asked = self._asked
        path = asked.path if asked.service == "s3" else quote(asked.path, safe="/~")
        headers = "".join(f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in self._names)
        return "\n".join([asked.method, path, self._query(), headers, ";".join(self._names), self._payload()])

    def _query(self) -> str:
        parts = [part.partition("=") for part in self._asked.query.split("&") if part]
        pairs = [(_encoded(name), _encoded(value)) for name, _, value in parts]
        return "&".join(f"{name}={value}" for name, value in sorted(pairs) if name != "X-Amz-Signature")

    def _payload(self) -> str:
        said, own = self._asked.headers.get("x-amz-content-sha256", ""), _sha(self._asked.body)
        if self._asked.presigned:
            return "UNSIGNED-PAYLOAD" if self._asked.service == "s3" else own
        # What is not a hash says how the body is signed (in pieces, or not at all): S3 has such bodies.
        return own if not said or _HEX.fullmatch(said) else said


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")
