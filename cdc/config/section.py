"""What all sections of a connector file have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

PROJECT = "<project>"
CONNECTOR = "<connector>"


class Section(BaseModel):
    """Frozen, knows its keys and no others, and never prints a value.

    Values may come from `${…}`, so a repr names the keys that were set and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(self.model_fields_set))})"

    __str__ = __repr__


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    context = info.context or {}
    if path.parts[:1] == (PROJECT,):
        name = path.name.replace(CONNECTOR, str(context.get("connector", CONNECTOR)))
        path = Path(*path.parts[1:-1], name)
        return Path(context.get("project", ".")) / path
    return Path(context.get("folder", ".")) / path


ConfigPath = Annotated[Path, AfterValidator(_from_folder)]
"""A path; a relative one starts at the connector file's folder.

Defaults start at `<project>`: the folder above `connectors/` if the file is in a folder of that
name, else the file's own folder."""


class ClientTls(Section):
    """Certificates for a TLS connection, as PEM files."""

    ca: ConfigPath | None = None
    cert: ConfigPath | None = None
    key: ConfigPath | None = None
