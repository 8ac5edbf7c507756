"""CloudEvents headers of official events (Kafka protocol binding, binary mode).

| header | value |
|---|---|
| `ce_specversion` | `1.0` |
| `ce_id` | the change's id, the event's name and major: `shop/<transaction>/<row>/OrderPlaced.v1` |
| `ce_type` | the schema's namespace (the stream, where it has none), event and major |
| `ce_source` | `/<connector>`; the table stays private |
| `ce_subject` | the event's key: its fields joined by `/`; left out where it is empty |
| `ce_time` | when the source committed, RFC 3339 with as many digits as there are |
| `ce_revision` | the revision as 19 decimal digits: order as text is order as number, and the number fits a signed BIGINT |
| `content-type` | `application/avro` |
"""  # noqa: E501  # a table's row is one line

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

from cdc.codec.official import EventName
from cdc.codec.types import ValueType
from cdc.model import Revision
from cdc.translate.literals import EPOCH, PER_SECOND, decimal_text

REVISION_DIGITS = 19
REVISION_NAME = "ce_revision"

CONTENT_TYPE = ("content-type", b"application/avro")
VERSION = ("ce_specversion", b"1.0")


def event_type(name: EventName, namespace: str) -> str:
    """`com.example.shop.OrderPlaced.v1`; a namespace that ends in the major loses that end."""
    parts = namespace.split(".") if namespace else []
    if parts and parts[-1] == f"v{name.major}":
        del parts[-1]
    owner = ".".join(parts) or name.stream
    return f"{owner}.{name.event}.v{name.major}"


def event_source(connector: str) -> str:
    return f"/{quote(connector, safe='')}"


def revision_text(revision: Revision) -> bytes:
    number = int.from_bytes(revision.to_bytes(), "big")
    return str(number).rjust(REVISION_DIGITS, "0").encode()


def rfc3339(moment: int, per_second: int) -> str:
    """A moment with the fewest of 0, 3, 6 or 9 digits that hold it."""
    seconds, rest = divmod(moment, per_second)
    text = (EPOCH.replace(tzinfo=None) + timedelta(seconds=seconds)).isoformat()
    digits = str(rest * (10**9 // per_second)).rjust(9, "0") if rest else ""
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def subject_of(texts: Sequence[str]) -> str:
    """The key as one text; in a key of several fields `/` and `%` are percent-encoded."""
    if len(texts) == 1:
        return texts[0]
    return "/".join(text.replace("%", "%25").replace("/", "%2F") for text in texts)


def key_text(type_: ValueType) -> Callable[[Any], str]:
    """How a key's field in its plain form is written in `ce_subject`."""
    kind, _, unit = type_.kind.rpartition("timestamp-")
    if unit in PER_SECOND:
        per_second, local = PER_SECOND[unit], kind == "local-"
        return lambda value: rfc3339(value, per_second).removesuffix("Z" if local else "")
    if type_.kind == "decimal":
        return lambda value: decimal_text(value, type_.scale)
    if type_.kind == "date":
        return lambda value: (EPOCH.date() + timedelta(days=value)).isoformat()
    if type_.kind == "uuid" and type_.avro == "fixed":
        return lambda value: str(UUID(bytes=value))
    if type_.kind == "boolean":
        return lambda value: "true" if value else "false"
    if type_.avro == "bytes":
        return bytes.hex
    return str
