"""pydantic's errors as faults of the file: what was found, what is allowed, the nearest name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cdc.config.document import Document
from cdc.config.faults import YamlPath, nearest
from cdc.config.shape import FileShape

KEYS_SHOWN_MAX = 25

_KINDS = {
    "bool": "true or false",
    "bytes": "text",
    "dict": "a mapping",
    "float": "a number",
    "frozen_set": "a list",
    "int": "a whole number",
    "list": "a list",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "none_required": "nothing",
    "path": "text (put it in quotes)",
    "set": "a list",
    "string": "text (put it in quotes)",
    "tuple": "a list",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "entries"),
    "too_long": ("at most", "max_length", "entries"),
    "string_too_short": ("at least", "min_length", "characters"),
    "string_too_long": ("at most", "max_length", "characters"),
}


def explain(error: ValidationError, document: Document, shape: FileShape) -> None:
    """Add a fault to the document for each error, one for all branches of a union."""
    wrong_kinds: dict[YamlPath, dict[str, None]] = {}
    details = error.errors(include_url=False, include_input=False)
    paths = [yaml_path(detail["loc"], document) for detail in details]
    for detail, path in zip(details, paths, strict=True):
        if detail["type"] == "too_short" and any(_is_below(other, path) for other in paths):
            continue  # pydantic counts only the entries that are right
        kind = _kind(detail["type"])
        if kind is not None:
            # Each branch of a union complains by itself: what is allowed is all of them.
            wrong_kinds.setdefault(path, {})[kind] = None
        else:
            _fault(detail, path, document, shape)
    for path, kinds in wrong_kinds.items():
        document.fault(path, f"{_found(path, document)}allowed: {' or '.join(kinds)}")


def yaml_path(location: Sequence[str | int], document: Document) -> YamlPath:
    """pydantic's location without the names of union branches, which are not in the file."""
    path: YamlPath = ()
    for element in location:
        if (*path, element) in document.places:
            path = (*path, element)
    return path


def _is_below(path: YamlPath, above: YamlPath) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _fault(detail: ErrorDetails, path: YamlPath, document: Document, shape: FileShape) -> None:
    kind, context = detail["type"], detail.get("ctx", {})
    location = detail["loc"]
    if kind == "missing":
        document.fault((*path, location[-1]), "missing; it has no default")
    elif kind == "extra_forbidden":
        document.fault(path, _unknown_key(location, shape))
    elif kind in ("literal_error", "enum"):
        document.fault(path, _not_among(path, context["expected"], document))
    elif kind == "union_tag_not_found":
        kinds = shape.kinds(location)
        text = f"missing; allowed: {_list(kinds)}" if kinds else "missing; it has no default"
        document.fault((*path, _discriminator(context)), text)
    elif kind == "union_tag_invalid":
        inner = (*path, _discriminator(context))
        document.fault(inner, _not_among(inner, context["expected_tags"], document))
    elif kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        document.fault(path, f"{_found(path, document)}allowed: {word} {context[key]:g}")
    elif kind in _LENGTHS:
        word, key, unit = _LENGTHS[kind]
        document.fault(path, f"{_found(path, document)}allowed: {word} {context[key]} {unit}")
    elif kind == "string_pattern_mismatch":
        document.fault(path, f"{_found(path, document)}allowed: {context['pattern']}")
    else:
        document.fault(path, _foreign(detail, path, document))


def _kind(error_type: str) -> str | None:
    """What pydantic wanted, if the error is about the kind of value."""
    for ending in ("_type", "_parsing", "_from_float", "_parsing_size"):
        if error_type.endswith(ending):
            return _KINDS.get(error_type.removesuffix(ending))
    return _KINDS.get(error_type)


def _unknown_key(location: Sequence[str | int], shape: FileShape) -> str:
    keys = shape.keys(location[:-1])
    if not keys:
        return "unknown key"
    return f"unknown key; allowed: {_list(keys)}{nearest(str(location[-1]), keys)}"


def _not_among(path: YamlPath, expected: str, document: Document) -> str:
    names = _names(expected)
    place = document.places.get(path)
    # Compared is what is shown: that a `${…}` is near to a right name would tell about its value.
    near = nearest(place.shown.strip('"'), names) if place and place.is_scalar else ""
    return f"{_found(path, document)}{_allowed(expected)}{near}"


def _found(path: YamlPath, document: Document) -> str:
    place = document.places.get(path)
    return f"found {place.shown}; " if place else ""


def _foreign(detail: ErrorDetails, path: YamlPath, document: Document) -> str:
    """The text of a validator, without values that may not be shown."""
    text = document.scrub(detail["msg"].removeprefix("Value error, "))
    place = document.places.get(path)
    return f"{_found(path, document)}{text}" if place and place.is_scalar else text


def _discriminator(context: Mapping[str, Any]) -> str:
    """The key that tells the branches apart; where a function does, it looks at `kind`."""
    name = str(context["discriminator"]).strip("'")
    return name if name.isidentifier() else "kind"


def _names(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected) or [expected]


def _allowed(expected: str) -> str:
    return f"allowed: {_list(_names(expected))}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:KEYS_SHOWN_MAX])
    return shown if len(names) <= KEYS_SHOWN_MAX else f"{shown}, …"
