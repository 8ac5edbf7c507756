"""Reads a connector file whole and checks it whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdc.config.checks import check_sections
from cdc.config.connector import ConnectorConfig, Stage, json_schema
from cdc.config.document import Document, read_document
from cdc.config.explain import explain, yaml_path
from cdc.config.faults import ConfigFaults, Fault, YamlPath
from cdc.config.shape import FileShape

Validator = Callable[[Mapping[str, Any]], Sequence[tuple[str, str]]]
"""Checks a section that another module owns: its faults, each as (key, message)."""


@dataclass(frozen=True, slots=True)
class ConnectorFile:
    """A configuration together with where each of its values stands."""

    config: ConnectorConfig
    path: Path
    _document: Document

    def fault(self, path: YamlPath | str, text: str) -> Fault:
        """A fault at a value of this file, for checks that need a server or schemas.

        The path may be written as faults show it: `streams[0].events[1].from`."""
        document = self._document
        text = document.scrub(text)
        if isinstance(path, str):
            return Fault(self.path, document.line(document.path_of(path)), (path,), text)
        return Fault(self.path, document.line(path), path, text)

    def __repr__(self) -> str:
        return f"ConnectorFile({str(self.path)!r})"


def load(
    path: Path,
    environment: Mapping[str, str],
    *,
    stages: Collection[Stage] = (),
    validators: Mapping[str, Validator] | None = None,
) -> ConnectorConfig:
    """The configuration in the file; ConfigFaults (a ConfigError) with all faults at once."""
    return load_file(path, environment, stages=stages, validators=validators).config


def load_file(
    path: Path,
    environment: Mapping[str, str],
    *,
    stages: Collection[Stage] = (),
    validators: Mapping[str, Validator] | None = None,
) -> ConnectorFile:
    """`load`, keeping the lines for faults that are found later.

    `stages` are those that will run, whose sections have to be there."""
    folder = path.parent
    document = read_document(path, environment, folder)
    config, error = _validate(document, folder)
    if error is not None and (guesses := _wrong_guesses(error, document)):
        document = read_document(path, environment, folder, as_text=guesses)
        config, error = _validate(document, folder)
    if error is not None:
        explain(error, document, FileShape(json_schema()))
    for where, text in check_sections(document.data, stages):
        document.fault(where, text)
    for section, validator in (validators or {}).items():
        _check_section(section, validator, document)
    if document.faults:
        raise ConfigFaults(path, document.faults)
    assert config is not None
    return ConnectorFile(config, path, document)


def project_folder(folder: Path) -> Path:
    """Where defaults such as `schemas` start: above `connectors/`, else the folder itself."""
    return folder.parent if folder.resolve().name == "connectors" else folder


def _validate(
    document: Document, folder: Path
) -> tuple[ConnectorConfig | None, ValidationError | None]:
    data = document.data
    if data is None and document.faults:
        return None, None
    name = data.get("connector") if isinstance(data, dict) else None
    context = {"folder": folder, "project": project_folder(folder), "connector": name}
    try:
        return ConnectorConfig.model_validate(data, context=context), None
    except ValidationError as error:
        return None, error


def _wrong_guesses(error: ValidationError, document: Document) -> set[YamlPath]:
    """Faulty values whose type was guessed from a `${…}`: a password of digits is text."""
    paths = {yaml_path(detail["loc"], document) for detail in error.errors(include_url=False)}
    return {path for path in paths if path in document.places and document.places[path].is_resolved}


def _check_section(section: str, validator: Validator, document: Document) -> None:
    data = document.data.get(section, {}) if isinstance(document.data, dict) else {}
    if not isinstance(data, dict):
        return
    for key, message in validator(data):
        document.fault((section, key), document.scrub(message))
