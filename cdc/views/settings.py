"""The section `views:` of a connector file: tables that official events keep up to date."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from cdc.section_parts import Part, Source


class ValueSource(Source):
    """Where a column's value comes from: exactly one of an event's field and a constant."""

    allowed = "a field's name, or one of from, value"


def _by_own_name(value: Any) -> Any:
    """A list of names is a mapping of each to itself."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


Columns = Annotated[dict[str, ValueSource], BeforeValidator(_by_own_name)]


class Handling(Part):
    """What one event does to its row.

    `upsert` sets the named columns and leaves the others as they are (null in a new row);
    `delete` removes the row. Key columns that aren't named come from fields of their name."""

    upsert: Annotated[Columns | None, Field(min_length=1)] = None
    delete: Columns | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"delete": {}} if data == "delete" else data

    @model_validator(mode="after")
    def _one(self) -> Handling:
        if (self.upsert is None) == (self.delete is None):
            raise ValueError("allowed: delete, or upsert with columns")
        return self

    @property
    def columns(self) -> Mapping[str, ValueSource]:
        """The columns that are named, of either act."""
        return self.upsert if self.upsert is not None else self.delete or {}


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", ".")) / path


class SqliteStoreSettings(Part):
    """One SQLite file; a relative path starts at the connector file's folder."""

    kind: Literal["sqlite"]
    path: Annotated[Path, AfterValidator(_from_folder)]


ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _own_name(value: str) -> str:
    if value.lower().startswith(("cdc_", "sqlite_")):
        raise ValueError("allowed: a name that doesn't begin with cdc_ or sqlite_")
    return value


class ViewSettings(Part):
    """One view: a table of its own name, kept from the events of one topic."""

    view: Annotated[ColumnName, AfterValidator(_own_name)]
    store: SqliteStoreSettings
    topic: Annotated[str, Field(min_length=1)]
    """The event topic, `<stream>.v<major>`."""
    key: Annotated[tuple[ColumnName, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
    events: Annotated[dict[str, Handling], Field(min_length=1)]
    """Event → what it does; events of the topic that aren't named are left out, and counted."""

    @property
    def group(self) -> str:
        """The consumer group that builds this view."""
        return f"view-{self.view}"
