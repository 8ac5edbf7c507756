"""Headers as bytes: for each its name's length (1 byte), name, value's length (4), value."""

from __future__ import annotations

from cdc.errors import LogError
from cdc.model import Headers

NAME_BYTES_MAX = 255
NAMES_KEPT_MAX = 1024

_encoded: dict[str, bytes] = {}


def pack(headers: Headers) -> bytes:
    """The bytes of the headers; order and repeated names are kept."""
    parts = []
    for name, value in headers:
        parts.append(_encoded.get(name) or _encode(name))
        parts.append(len(value).to_bytes(4, "big"))
        parts.append(value)
    return b"".join(parts)


def unpack(data: bytes) -> list[tuple[str, bytes]]:
    """The headers that `pack` made bytes of."""
    headers = []
    at = 0
    while at < len(data):
        value_length_at = at + 1 + data[at]
        value_at = value_length_at + 4
        end = value_at + int.from_bytes(data[value_length_at:value_at], "big")
        headers.append((data[at + 1 : value_length_at].decode(), data[value_at:end]))
        at = end
    return headers


def _encode(name: str) -> bytes:
    """Length and name; few names are ever in use, so they are kept."""
    data = name.encode()
    if len(data) > NAME_BYTES_MAX:
        raise LogError(
            f"a header's name has {len(data)} bytes", hint=f"at most {NAME_BYTES_MAX} are possible"
        )
    if len(_encoded) >= NAMES_KEPT_MAX:
        _encoded.clear()
    encoded = _encoded[name] = len(data).to_bytes(1, "big") + data
    return encoded
