"""What is shown of a value instead of itself: a hash of its text, or its beginning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cdc.capture.avro_out import avro_string
from cdc.capture.column_rules import Mask
from cdc.capture.variable import avro_bytes

Change = Callable[[bytes], bytes]
"""From a string or bytes in Avro to another."""

_JAVA_STRING = b"\xac\xed\x00\x05t"
_JAVA_LONG_STRING = b"\xac\xed\x00\x05|"
_SHORT_BYTES_MAX = 0xFFFF


def hashing(mask: Mask, length_max: int | None) -> Change:
    """The hash of the salted text in hex, cut to the column's own length, as Debezium does."""
    salted = hashlib.new(mask.algorithm, mask.salt.encode())

    def change(encoded: bytes) -> bytes:
        digest = salted.copy()
        text = _content(encoded)
        digest.update(_serialized(text) if mask.is_v1 else text)
        return avro_string(digest.hexdigest()[:length_max])

    return change


def truncating(length_max: int, *, is_text: bool) -> Change:
    """The first characters, counted as Java does, in UTF-16; half a pair is left out. Or bytes."""

    def change(encoded: bytes) -> bytes:
        data = _content(encoded)
        if len(data) <= length_max:
            return encoded
        if not is_text:
            return avro_bytes(data[:length_max])
        units = data.decode().encode("utf-16-le")[: 2 * length_max]
        return avro_string(units.decode("utf-16-le", "ignore"))

    return change


def _content(encoded: bytes) -> bytes:
    """What stands behind the length."""
    at = 0
    while encoded[at] & 0x80:
        at += 1
    return encoded[at + 1 :]


def _serialized(text: bytes) -> bytes:
    """UTF-8 as Java's ObjectOutputStream writes a String: zero and pairs in its own way."""
    units = text.decode().encode("utf-16-be")
    pairs = "".join(chr(units[i] << 8 | units[i + 1]) for i in range(0, len(units), 2))
    data = pairs.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(data) <= _SHORT_BYTES_MAX:
        return _JAVA_STRING + len(data).to_bytes(2, "big") + data
    return _JAVA_LONG_STRING + len(data).to_bytes(8, "big") + data
