"""The table of EKS's operations in docs/eks-operations.md, made from the code; a test holds the file to it.

`python -m lab_helpers.eks.model.table` writes it.
"""

from __future__ import annotations

from pathlib import Path

import botocore
import botocore.session

from lab_helpers.eks.model import installed
from lab_helpers.eks.model.registry import NOT_PLAYED, OPERATIONS

FILE = Path(__file__).resolve().parents[3] / "docs" / "eks-operations.md"


def text() -> str:
    """The page."""
    assert installed.ROOMS, "its import registers the operations"
    names = botocore.session.get_session().get_service_model("eks").operation_names
    rows = []
    for name in names:
        if name in OPERATIONS:
            words = " ".join((OPERATIONS[name].__doc__ or "").split())
            rows.append(f"| {name} | yes | {words} |")
        else:
            rows.append(f"| {name} | no | Refused: {NOT_PLAYED.get(name, 'it is newer than the lab')}. |")
    head = [
        "# EKS's operations in the lab",
        "",
        f"Made from the code by `python -m lab_helpers.eks.model.table`, for the model in botocore {botocore.__version__}: "
        f"{len(names)} operations, {sum(name in OPERATIONS for name in names)} of them answered. What is refused is refused "
        "at once, with an error that the operation's model knows and the reason.",
        "",
        "| operation | answered | what it does here |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    FILE.write_text(text())
