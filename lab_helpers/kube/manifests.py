"""Manifests as people write them: files, YAML text, dicts; each document knows its file and its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab_helpers.errors import KubernetesError, SettingError

Source = Path | str | Mapping[str, Any] | Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Document:
    """One object of a manifest.

    Attributes:
        object: the object as a dict.
        origin: file name, or empty where it came from Python.
        node: its YAML node, which knows lines; None where it came from Python.
    """

    object: dict[str, Any]
    origin: str = ""
    node: yaml.Node | None = None

    def where(self, field: str = "") -> str:
        """`web.yaml:12`, the line of `field` (as the API server writes it: `spec.containers[0].image`) or of the
        nearest parent that is there."""
        if self.node is None:
            return self.origin
        node, line = self.node, self.node.start_mark.line
        for step in re.findall(r"[^.\[\]]+", field):
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return f"{self.origin or 'manifest'}:{line + 1}"


def _child(node: yaml.Node, step: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        value = node.value[int(step)]
        return value.start_mark.line, value
    return None


def load(source: Source) -> list[Document]:
    """The documents of a file (or of every .yaml and .json file in a folder), of YAML text, of dicts.

    Raises:
        SettingError: the file is not there.
        KubernetesError: the text is not YAML, or a document is not a Kubernetes object; says file and line.
    """
    if isinstance(source, Mapping):
        return [Document(dict(source))]
    if isinstance(source, Path):
        if source.is_dir():
            files = sorted(path for path in source.iterdir() if path.suffix in (".yaml", ".yml", ".json"))
            return [document for file in files for document in load(file)]
        try:
            return _parse(source.read_text(), str(source))
        except OSError as error:
            raise SettingError(f"{source} cannot be read.", error.strerror or "") from None
    if isinstance(source, str):
        return _parse(source, "")
    return [Document(dict(item)) for item in source]


def _parse(text: str, origin: str) -> list[Document]:
    documents = []
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
                continue
            built = _construct(node)
            if not isinstance(built, dict) or not {"apiVersion", "kind"} <= built.keys():
                raise KubernetesError(
                    f"{origin or 'manifest'}:{node.start_mark.line + 1} is no Kubernetes object.",
                    f"{str(built)[:200]}",
                    "every document needs apiVersion, kind and metadata.name",
                )
            items = built["items"] if built["kind"] == "List" else [built]
            documents += [Document(item, origin, node if item is built else None) for item in items]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KubernetesError(
            f"{origin or 'manifest'}:{line} is not YAML.", str(error.problem), "look at the indentation"
        ) from None
    return documents


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
