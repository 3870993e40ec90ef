"""Answers in the service's own format: an error that every SDK reads at once, instead of a web server's page."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lab_helpers.eks.requests import Asked, protocol

# The services' own names for the same refusals.
_JSON = {
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "ExpiredToken": "ExpiredTokenException",
    "AccessDenied": "AccessDeniedException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
}
_EC2 = {
    "InvalidClientTokenId": "AuthFailure",
    "SignatureDoesNotMatch": "AuthFailure",
    "ExpiredToken": "RequestExpired",
    "AccessDenied": "UnauthorizedOperation",
}
_S3 = {"InvalidClientTokenId": "InvalidAccessKeyId"}

Header = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        headers: name and value, as WSGI wants them.
        body: whole.
        code, message: of the error, as they are logged; empty where it is none.
    """

    status: int
    headers: list[Header]
    body: bytes
    code: str = ""
    message: str = ""


def error(asked: Asked, code: str, message: str, status: int = 400) -> Answer:
    """An error in the format of the request's service."""
    speaks, request = protocol(asked), str(uuid.uuid4())
    if speaks in ("json", "rest-json"):
        code = _JSON.get(code, code)
        body = json.dumps({"__type": code, "message": message, "Message": message})
        kind = "application/json" if speaks == "rest-json" else "application/x-amz-json-1.1"
        return _answer(status, kind, body, code, message, ("x-amzn-ErrorType", code), ("x-amzn-RequestId", request))
    if speaks == "ec2":
        code = _EC2.get(code, code)
        words = f"<Errors><Error>{_xml(code, message)}</Error></Errors><RequestID>{request}</RequestID>"
        body = f"<Response>{words}</Response>"
    elif asked.service == "s3":
        code = _S3.get(code, code)
        body = f"<Error>{_xml(code, message)}<RequestId>{request}</RequestId></Error>"
    else:
        words = f"<Error><Type>Sender</Type>{_xml(code, message)}</Error><RequestId>{request}</RequestId>"
        body = f"<ErrorResponse>{words}</ErrorResponse>"
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return _answer(status, "text/xml", head + body, code, message, ("x-amzn-RequestId", request))


def unknown(asked: Asked) -> Answer:
    """What is not there says so at once: a page with status 500 the SDKs would send again for minutes."""
    words = f"The lab's AWS has no {asked.service}:{asked.name}."
    return error(asked, "UnsupportedOperation", words)


def _xml(code: str, message: str) -> str:
    return f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"


def _answer(status: int, kind: str, body: str, code: str, message: str, *more: Header) -> Answer:
    content = body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(content))), *more]
    return Answer(status, headers, content, code, message)


def as_json(table: object) -> Answer:
    """A good answer in JSON."""
    content = json.dumps(table).encode()
    return Answer(200, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))], content)
