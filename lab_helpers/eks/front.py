"""What every call passes: browsers are refused, the caller is identified, the call is logged, errors are in AWS's format."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from lab_helpers.eks import answers, callers, changes, sts, web_identity
from lab_helpers.eks.answers import Answer
from lab_helpers.eks.callers import Caller
from lab_helpers.eks.calls import Log
from lab_helpers.eks.certificates import is_ours
from lab_helpers.eks.requests import Asked, Environ
from lab_helpers.eks.signature import Refused, verify

Application = Callable[[Environ, Any], Iterable[bytes]]
Start = Callable[..., Any]

_LOCAL = ("127.0.0.1", "localhost")
_BROWSERS = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE")
_READING = ("Describe", "List", "Get", "Head", "BatchGet", "Lookup", "Validate", "Estimate")
# Who has no credentials yet gets them here, by a token that somebody else signed.
_UNSIGNED = ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML")


class Front:
    """A WSGI application before moto's.

    Args:
        behind: moto's application.
        log: where calls are written down.
        extra: asked first, for what is the lab's own; None: not its business.
        published: what a cluster's OIDC issuer has at an address of its; None: nothing.
    """

    def __init__(
        self,
        behind: Application,
        log: Log,
        extra: Callable[[Asked, Caller | None], Answer | None] | None = None,
        published: web_identity.Published = lambda url: None,
    ) -> None:
        self._behind, self._log, self._extra, self._published = behind, log, extra, published

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).partition(":")[0]
        if any(name in environ for name in _BROWSERS) or not (host in _LOCAL or is_ours(host)):
            start("403 Forbidden", [("Content-Type", "text/plain")])  # a page that a browser has open, or DNS rebinding
            return [b"This is the local AWS of EKS Lab: no browsers, no other hosts.\n"]
        began, asked = time.monotonic(), Asked.read(environ)
        caller, answer = self._answer(environ, asked)
        self._log.write(asked, caller, answer, time.monotonic() - began)
        if answer.status < 400 and not asked.name.startswith(_READING):
            changes.changed(asked.service)
        start(f"{answer.status} {_phrase(answer.status)}", answer.headers)
        return [answer.body]

    def _answer(self, environ: Environ, asked: Asked) -> tuple[Caller | None, Answer]:
        caller = None
        callers.become(None)
        try:
            if asked.host.startswith(web_identity.HOST):
                return None, web_identity.document(asked, self._published)
            if asked.service == "sts" and asked.name == "AssumeRoleWithWebIdentity":
                web_identity.check(asked, self._published)
            elif asked.service == "sts" and asked.name in _UNSIGNED and not asked.credential:
                pass
            else:
                caller = verify(asked)
                callers.become(caller)
            if asked.path.startswith("/moto-api"):
                raise Refused("UnsupportedOperation", "moto's own interface is closed.")
            if self._extra and (own := self._extra(asked, caller)):
                return caller, own
            if asked.presigned and asked.service == "sts":
                if asked.name != "GetCallerIdentity" or caller is None:
                    raise Refused("AccessDenied", "Only GetCallerIdentity is answered to a presigned request.")
                return caller, sts.identity(caller)
            if caller and asked.service == "sts" and asked.name == "AssumeRole":
                sts.check_role(asked, caller)
            return caller, self._ask_moto(environ, asked)
        except Refused as no:
            return caller, answers.error(asked, no.code, no.message, no.status)
        except NotImplementedError:
            return caller, answers.unknown(asked)
        except Exception as error:
            traceback.print_exc()  # the endpoint's log
            words = f"The lab's AWS failed: {type(error).__name__}: {error}."
            # 400: at a 500 the SDKs would send it again, for minutes.
            return caller, answers.error(asked, "InternalFailure", words)

    def _ask_moto(self, environ: Environ, asked: Asked) -> Answer:
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def started(status: str, headers: list[tuple[str, str]], *more: object) -> None:
            said.append((status, headers))

        result = self._behind(environ, started)
        try:
            body = b"".join(result)
        finally:
            getattr(result, "close", lambda: None)()
        status, headers = int(said[0][0].split()[0]), said[0][1]
        table = {name.lower(): value for name, value in headers}
        if status in (404, 405, 500, 501) and table.get("content-type", "").startswith("text/html"):
            return answers.unknown(asked)
        code = (table.get("x-amzn-errortype") or _between(body, b"<Code>", b"</Code>")) if status >= 400 else ""
        message = _between(body, b"<Message>", b"</Message>") or _between(body, b'"message": "', b'"') if code else ""
        return Answer(status, headers, body, code.split(":")[0], message)


def _between(body: bytes, left: bytes, right: bytes) -> str:
    return body.partition(left)[2].partition(right)[0][:300].decode(errors="replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
