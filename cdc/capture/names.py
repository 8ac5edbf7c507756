"""Topic names and Avro names, adjusted as Debezium does."""

from __future__ import annotations

import re
from typing import Final

from cdc.errors import DecodeError

TOPIC_MAX = 249
"""Characters of a Kafka topic's name."""

NONE: Final = "none"
AVRO: Final = "avro"
AVRO_UNICODE: Final = "avro_unicode"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def topic_name(*parts: str, delimiter: str = ".") -> str:
    """A topic's name: what it can't hold becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", delimiter.join(parts))[:TOPIC_MAX]


def avro_name(name: str, mode: str = AVRO) -> str:
    """A field's name: other characters are replaced as the mode says, a leading digit gets `_`."""
    return _adjusted(name, mode, dots="", valid=_NAME)


def avro_namespace(topic: str, mode: str = AVRO) -> str:
    """A topic's name as a full name; its dots stay."""
    return _adjusted(topic, mode, dots=".", valid=_FULL_NAME)


def _adjusted(name: str, mode: str, *, dots: str, valid: re.Pattern[str]) -> str:
    if mode == AVRO_UNICODE:  # the underscore escapes, and so is escaped itself
        found = re.sub(rf"[^A-Za-z0-9{dots}]", lambda other: _escaped(other[0]), name)
        return _escaped(name[0]) + found[1:] if name[:1].isdigit() else found
    if mode == AVRO:
        adjusted = re.sub(rf"[^A-Za-z0-9_{dots}]", "_", name)
        return f"_{adjusted}" if adjusted[:1].isdigit() else adjusted
    if not valid.fullmatch(name):
        raise DecodeError(
            f"{name!r} can't be a name in Avro as it is",
            hint="set schema.name.adjustment.mode and field.name.adjustment.mode to avro or"
            " avro_unicode",
        )
    return name


def _escaped(character: str) -> str:
    """`_uXXXX` of each UTF-16 unit, as Debezium writes it: two digits get two zeros in front."""
    units = character.encode("utf-16-be", "surrogatepass")
    numbers = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(f"_u{number:x}" if number > 0xFF else f"_u00{number:x}" for number in numbers)
