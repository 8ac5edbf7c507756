"""Memory implementations of ports, for tests of rules and views; they pass the contract suites."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.errors import RegistryError


class MemoryRegistry:
    """A schema registry that lives as long as the test."""

    def __init__(self) -> None:
        self._schemas: list[Any] = []
        self._ids: dict[str, int] = {}
        self._subjects: dict[str, list[int]] = {}

    def register(self, subject: str, schema: Mapping[str, Any] | Sequence[Any] | str) -> int:
        text = json.dumps(schema, sort_keys=True)  # the order of names means nothing
        schema_id = self._ids.get(text)
        if schema_id is None:
            self._schemas.append(copy.deepcopy(schema))
            schema_id = self._ids[text] = len(self._schemas)
        versions = self._subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    def schema(self, schema_id: int) -> Any:
        if not 1 <= schema_id <= len(self._schemas):
            raise RegistryError(
                f"the registry has no schema with id {schema_id}",
                hint="is this the registry that the record's writer used?",
            )
        return copy.deepcopy(self._schemas[schema_id - 1])

    def subjects(self) -> Sequence[str]:
        return sorted(self._subjects)

    def versions(self, subject: str) -> Sequence[int]:
        return tuple(self._subjects.get(subject, ()))

    def close(self) -> None:
        """Nothing is held open."""
