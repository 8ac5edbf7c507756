"""Settings of change events, by Debezium's own option names and values."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChangeEventSettings:
    """What change events look like; the field's name is the option's with underscores."""

    tombstones_on_delete: bool = True
    skipped_operations: frozenset[str] = frozenset()
    provide_transaction_metadata: bool = False
    replace_null_with_default: bool = True
    """Kafka Connect's own: a null in a column that has a default is published as the default."""


_OPERATIONS = {"c", "u", "d", "t"}


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise ValueError("true or false")


def _operations(value: Any) -> frozenset[str]:
    names = value if isinstance(value, list) else str(value).split(",")
    found = {str(name).strip() for name in names} - {"none", ""}
    if found - _OPERATIONS:
        raise ValueError("none, or letters of c, u, d, t joined by commas")
    return frozenset(found)


_OPTIONS = {
    "tombstones.on.delete": ("tombstones_on_delete", _boolean),
    "skipped.operations": ("skipped_operations", _operations),
    "provide.transaction.metadata": ("provide_transaction_metadata", _boolean),
    "replace.null.with.default": ("replace_null_with_default", _boolean),
}


def parse_settings(options: Mapping[str, Any]) -> tuple[ChangeEventSettings, list[tuple[str, str]]]:
    """The settings and all faults found, as (option, what is allowed)."""
    values: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, value in options.items():
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            allowed = f"did you mean {near[0]}?" if near else "one of " + ", ".join(_OPTIONS)
            faults.append((name, f"is not an option of change events; {allowed}"))
            continue
        field, convert = _OPTIONS[name]
        try:
            values[field] = convert(value)
        except ValueError as error:
            faults.append((name, f"is {value!r}; allowed: {error}"))
    return ChangeEventSettings(**values), faults
