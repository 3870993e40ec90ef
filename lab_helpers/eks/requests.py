"""One request as it arrived: who signed it for which service, which operation it asks for, with which parameters."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

Environ = dict[str, Any]

# The name in the signature is that of the host; botocore's model has another one.
_MODELS = {"monitoring": "cloudwatch", "email": "ses", "ecr-public": "ecr-public"}
_UNSIGNED = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}


@dataclass
class Asked:
    """A request.

    Attributes:
        method, host, path, query: of its address, as sent (percent-encoded).
        headers: names in lower case.
        body: whole.
        credential: access key id, date, region, service and `aws4_request` of its signature; empty: unsigned.
        presigned: the signature is in the query.
    """

    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    credential: list[str] = field(default_factory=list)
    presigned: bool = False

    @classmethod
    def read(cls, environ: Environ) -> Asked:
        """Take a request from a WSGI environment; its body can be read from there again."""
        size = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read(int(size)) if size else b""
        if not size and environ.get("wsgi.input_terminated"):  # sent in chunks
            body = environ["wsgi.input"].read()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        headers = {key[5:].lower().replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
        headers |= {"content-type": environ.get("CONTENT_TYPE", ""), "content-length": environ["CONTENT_LENGTH"]}
        path, _, query = str(environ.get("RAW_URI") or environ.get("PATH_INFO", "/")).partition("?")
        asked = cls(environ["REQUEST_METHOD"], environ.get("HTTP_HOST", ""), path or "/", query, headers, body)
        asked._find_credential()
        return asked

    def _find_credential(self) -> None:
        words = self.headers.get("authorization", "")
        if found := re.match(r"AWS4-HMAC-SHA256 .*?Credential=([^,\s]+)", words):
            self.credential = found[1].split("/")
        elif "X-Amz-Credential" in self.arguments:
            self.credential, self.presigned = self.arguments["X-Amz-Credential"].split("/"), True
        if len(self.credential) != 5:
            self.credential = []

    @cached_property
    def arguments(self) -> dict[str, str]:
        """The query's arguments."""
        return {unquote(name): unquote(value) for name, _, value in (part.partition("=") for part in self.query.split("&"))}

    @cached_property
    def form(self) -> dict[str, str]:
        """The parameters of a query protocol, from body and address."""
        if not self.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            return self.arguments
        return {**self.arguments, **dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))}

    @property
    def key(self) -> str:
        """The access key's id, or empty."""
        return self.credential[0] if self.credential else ""

    @property
    def region(self) -> str:
        """The region that it was signed for."""
        return self.credential[2] if self.credential else "us-east-1"

    @cached_property
    def service(self) -> str:
        """The service as hosts and signatures name it, for instance `eks`."""
        if self.credential:
            return self.credential[3].lower()
        host = self.host.split(":")[0]
        return "sts" if self.form.get("Action") in _UNSIGNED else host.split(".")[0]

    @property
    def model_name(self) -> str:
        """The service as botocore's models name it."""
        if self.service == "elasticloadbalancing":
            return "elbv2" if self.form.get("Version") == "2015-12-01" else "elb"
        return _MODELS.get(self.service, self.service)

    @cached_property
    def operation(self) -> Any:
        """botocore's model of the operation; None where there is no such operation."""
        from werkzeug.exceptions import HTTPException

        if (router := _router(self.model_name)) is None:
            return None
        try:
            return router.match(self.werkzeug())[0]
        except (HTTPException, ValueError, KeyError):
            return None

    @cached_property
    def name(self) -> str:
        """The operation's name, or what stands in its place."""
        if self.operation is not None:
            return str(self.operation.name)
        target = self.headers.get("x-amz-target", "").rpartition(".")[2]
        return target or self.form.get("Action", "") or f"{self.method} {self.path}"

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What it asks with, by the names of the service's model; what the model calls sensitive is left out."""
        from moto.core.parse import PROTOCOL_PARSERS

        if self.operation is None:
            return {}
        try:
            request = self.werkzeug()
            uri = _router(self.model_name).match(request)[1]
            table = {
                "body": self.body,
                "headers": request.headers,
                "method": self.method,
                "url_params": uri,
                "url_path": self.path,
                "values": request.values,
            }
            parser = PROTOCOL_PARSERS[_protocol(self)](self.operation)
            return dict(_open(parser.parse(table), self.operation.input_shape))
        except Exception:  # a log line must not cost the answer
            return {}

    def werkzeug(self) -> Any:
        """The request as moto's routers want it."""
        from moto.core.request import Request

        environ = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(self.path),
            "RAW_URI": f"{self.path}?{self.query}" if self.query else self.path,
            "QUERY_STRING": self.query,
            "HTTP_HOST": self.host,
            "SERVER_NAME": self.host,
            "SERVER_PORT": "443",
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(self.body),
            "CONTENT_LENGTH": str(len(self.body)),
            "CONTENT_TYPE": self.headers["content-type"],
        }
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return Request(environ)


def protocol(asked: Asked) -> str:
    """The protocol in which the answer has to be: json, rest-json, query, ec2 or rest-xml."""
    try:
        return _protocol(asked)
    except Exception:
        return "json"


def _protocol(asked: Asked) -> str:
    from moto.core.request import determine_request_protocol
    from moto.core.utils import get_service_model

    return str(determine_request_protocol(get_service_model(asked.model_name), asked.headers["content-type"]))


@cache
def _router(model: str) -> Any:
    from botocore.exceptions import UnknownServiceError
    from moto.core.routing import get_service_router

    try:
        return get_service_router(model)
    except (UnknownServiceError, ValueError, KeyError):
        return None


def _open(value: Any, shape: Any) -> Any:
    """A parsed value without what its shape calls sensitive."""
    if shape is not None and shape.metadata.get("sensitive"):
        return "HIDDEN_DUE_TO_SECURITY_REASONS"  # CloudTrail's own words
    kind = getattr(shape, "type_name", "")
    if kind == "structure" and isinstance(value, dict):
        return {name: _open(held, shape.members.get(name)) for name, held in value.items() if held is not None}
    if kind == "list" and isinstance(value, list):
        return [_open(held, shape.member) for held in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _open(held, shape.value) for name, held in value.items()}
    return value
