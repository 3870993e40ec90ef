"""Every call of EKS: read by botocore's model, held against it, answered by a registered function, written by the model.

Whatever goes wrong becomes an error that the operation's model knows: no HTML, no traceback.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import unquote

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.eks.models import eks_backends
from moto.eks.responses import EKSResponse

from lab_helpers.eks.model import images, validation
from lab_helpers.eks.model.errors import EksError, refused
from lab_helpers.eks.model.registry import NOT_PLAYED, OPERATIONS
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)

# Not every operation may say everything: the nearest that it may.
_NEAREST = {
    "ResourceNotFoundException": ("NotFoundException", "InvalidParameterException", "ClientException"),
    "InvalidParameterException": ("InvalidRequestException", "BadRequestException", "ClientException", "ServerException"),
    "InvalidRequestException": ("InvalidParameterException", "ClientException", "BadRequestException"),
    "ResourceInUseException": ("InvalidRequestException", "InvalidParameterException", "ClientException"),
    "ResourceLimitExceededException": ("InvalidRequestException", "InvalidParameterException"),
}


class Answers(EKSResponse):  # type: ignore[misc]
    """EKS's operations."""

    PROTOCOL_PARSER_MAP_TYPE = dict

    def setup_class(self, *args: Any, **kwargs: Any) -> None:
        self.automated_parameter_parsing = False  # a request that cannot be read must be answered too
        super().setup_class(*args, **kwargs)

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._dispatch(*args, **kwargs)
        except Exception as error:
            _log.exception("EKS could not answer")
            return _plain("InvalidParameterException", f"The request could not be read: {error!r}")

    def _get_action(self) -> str:
        """The operation's name. moto's router does not know a request that lacks a parameter of its query."""
        return super()._get_action() or self._by_path()

    def _by_path(self) -> str:
        model = get_service_model("eks")
        for name in model.operation_names:
            http = model.operation_model(name).http
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"].partition("?")[0]))
            match = re.fullmatch(pattern, self.raw_path or self.path)
            if match and http["method"] == self.method:
                self.uri_match = {key: unquote(value) for key, value in match.groupdict().items()}
                return str(name)
        return ""

    def call_action(self) -> Any:
        name = self._get_action()
        if not name:
            return _plain("InvalidRequestException", f"EKS has no operation {self.method} {self.path}.")
        model = get_service_model("eks").operation_model(name)
        try:
            answer: Any = ActionResult(self._answer(name, model))
        except ServiceException as error:
            answer = ActionResult(_told(error, model))
        except LabError as error:
            _log.warning("%s: %s", name, error.text())
            answer = ActionResult(_told(EksError("ServerException", error.text()), model))
        except Exception as error:
            _log.exception("%s failed", name)
            answer = ActionResult(_told(EksError("ServerException", f"The lab's EKS failed: {error!r}"), model))
        status, headers, body = self.serialized(answer)
        headers["status"] = str(status)
        return status, headers, body

    def _answer(self, name: str, model: Any) -> dict[str, Any]:
        if name not in OPERATIONS:
            raise refused(f"The lab's EKS does not play {name}: {NOT_PLAYED.get(name, 'it is newer than the lab')}.")
        try:
            self.parse_parameters(self.normalized_request)
            parameters = dict(self.params)
        except ServiceException:
            raise
        except Exception as error:
            raise EksError("InvalidParameterException", f"The request could not be read: {error}") from None
        if model.input_shape is not None:
            validation.check(model.input_shape, parameters)
        account: Any = eks_backends[self.current_account][self.region]
        if not account.published:
            images.publish(account)
        return OPERATIONS[name](account, parameters)


def _told(error: ServiceException, model: Any) -> ServiceException:
    """The error as this operation may say it."""
    allowed = {shape.name for shape in model.error_shapes}
    if error.code in allowed:
        return error
    for code in (*_NEAREST.get(error.code, ()), "ServerException", "BadRequestException"):
        if code in allowed:
            return EksError(code, error.message)
    return error


def _plain(code: str, words: str) -> tuple[int, dict[str, str], str]:
    return 400, {"x-amzn-ErrorType": code, "Content-Type": "application/json", "status": "400"}, json.dumps({"message": words})
