"""The API server's refusals: its own words, and what to type next."""

from __future__ import annotations

from typing import Any

from lab_helpers.errors import KubernetesError

_ADVICE = {
    401: "who are you? look at the user of your kubeconfig: kubectl config view --minify",
    403: "kubectl auth can-i --list",
    404: "kubectl get shows what is there; kubectl api-resources which kinds exist",
    409: "read it again (kubectl get … -o yaml) and change the newest version",
    422: "kubectl explain names the fields and their types",
}


def refusal(method: str, path: str, status: int, answer: dict[str, Any]) -> KubernetesError:
    """The error for an answer of 400 or more: a Status object, or other text."""
    reason = answer.get("reason", "")
    resource = path.partition("?")[0].split("/")
    target = "/".join(resource[4:] if resource[1:2] == ["apis"] else resource[3:])
    return KubernetesError(
        f"The API server refused {method} {target} ({f'{status} {reason}'.strip()}).",
        answer.get("message") or answer.get("text", ""),
        _ADVICE.get(status, ""),
        status=status,
        reason=reason,
        causes=(answer.get("details") or {}).get("causes") or [],
    )


def field(error: KubernetesError) -> str:
    """The field that a refusal is about, as a path (`spec.containers[0].image`); empty where it names none."""
    if error.causes and error.causes[0].get("field"):
        return str(error.causes[0]["field"])
    for mark, end in (('unknown field "', '"'), ("failed to create typed patch object", "")):
        _, found, rest = error.seen.partition(mark)
        if found and end:
            return rest.partition(end)[0]
        if found:  # …: .spec.replica: field not declared in schema
            return next((part.strip(" .") for part in rest.split(":") if part.strip().startswith(".")), "")
    return ""
