"""Partial updates of JSON values: diffs applied to MySQL's binary JSON, giving binary JSON.

Only the containers on a diff's path are taken apart; what they hold is copied as it stands,
since a container's offsets count from its own begin. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cdc.errors import DecodeError

LEGS_MAX = 100
"""As deep as the server lets a document be."""

_REPLACE, _INSERT, _REMOVE = 0, 1, 2
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = (
    5, 6, 7, 8, 9, 10, 11, 12, 15,
)  # fmt: skip
_FIXED_BYTES = {
    _LITERAL: 1, _INT16: 2, _UINT16: 2, _INT32: 4, _UINT32: 4, _INT64: 8, _UINT64: 8, _DOUBLE: 8,
}  # fmt: skip
_INLINED = {
    False: frozenset({_LITERAL, _INT16, _UINT16}),
    True: frozenset({_LITERAL, _INT16, _UINT16, _INT32, _UINT32}),
}
"""By whether the container is large: what stands in the entry itself."""
_NULL = bytes([_LITERAL, 0])
"""What the server takes an empty value for, which non-strict mode writes."""

_LEG = re.compile(r'\.("(?:[^"\\]|\\.)*"|[^.\["]+)|\[(\d+|last(?:-(\d+))?)\]', re.DOTALL)

Leg = bytes | int
"""A member's key; an array's index, or one below zero that counts from its end."""


@dataclass(frozen=True, slots=True)
class Diff:
    """One change of a document."""

    operation: int
    path: str
    value: bytes


def apply_diffs(document: bytes, diffs: bytes) -> bytes:
    """The document after all diffs, in their order; DecodeError if one doesn't fit."""
    path = ""
    try:
        root = _Node(document or _NULL)
        for diff in _diffs_in(diffs):
            path = diff.path
            _apply(root, diff)
        return root.packed()
    except (IndexError, KeyError, ValueError, struct.error, RecursionError) as error:
        raise DecodeError(
            f"a partial JSON update{f' at {path}' if path else ''} can't be applied: {error}",
            hint="the binlog is damaged, or its row images don't follow one another; set"
            " binlog_row_value_options='' at the source and compare the row",
        ) from error


def _diffs_in(data: bytes) -> Iterator[Diff]:
    """Operation; path and value with their lengths in front; no value where it is removed."""
    at = 0
    while at < len(data):
        operation = data[at]
        if operation > _REMOVE:
            raise ValueError(f"operation {operation} is not known")
        path, at = _counted(data, at + 1)
        value = b""
        if operation != _REMOVE:
            value, at = _counted(data, at)
        yield Diff(operation, path.decode("utf-8"), value)


def _counted(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length-encoded length in front, and where they end."""
    first = data[at]
    at += 1
    if first < 0xFB:
        size = first
    else:
        width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
        size = int.from_bytes(_slice(data, at, width), "little")
        at += width
    return _slice(data, at, size), at + size


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError(f"{size} bytes at {at} run past the end")
    return data[at : at + size]


def legs_of(path: str) -> list[Leg]:
    """The legs of a path as the server writes it: `$.a."b c"[3][last-1]`."""
    if path[:1] != "$":
        raise ValueError("its path doesn't begin at $")
    legs: list[Leg] = []
    at = 1
    while at < len(path):
        leg = _LEG.match(path, at)
        if leg is None or len(legs) == LEGS_MAX:
            raise ValueError(f"its path can't be read from character {at} on")
        key, index, from_last = leg.groups()
        if index is not None:
            legs.append(int(index) if index.isdigit() else -1 - int(from_last or 0))
        else:
            text = json.loads(key, strict=False) if key[0] == '"' else key
            legs.append(text.encode("utf-8"))
        at = leg.end()
    return legs


def _apply(root: _Node, diff: Diff) -> None:
    legs = legs_of(diff.path)
    if not legs:
        if diff.operation != _REPLACE:
            raise ValueError("the whole document can only be replaced")
        root.become(diff.value)
        return
    parent = root
    for leg in legs[:-1]:
        parent = parent.member(leg)
    if diff.operation == _REMOVE:
        parent.remove(legs[-1])
    elif diff.operation == _REPLACE:
        parent.member(legs[-1]).become(diff.value)
    else:
        parent.insert(legs[-1], diff.value)


class _Node:
    """A value of the document: its bytes, or taken apart into members once a path leads in."""

    def __init__(self, data: bytes) -> None:
        self.become(data)

    def become(self, data: bytes) -> None:
        """Have another value."""
        if not data:
            raise ValueError("a value has no bytes")
        self._data = data
        self._keys: list[bytes] | None = None
        """Of an object; in the server's order, as the members are."""
        self._members: list[_Node] | None = None

    def member(self, leg: Leg) -> _Node:
        return self._take_apart()[self._place(leg)]

    def remove(self, leg: Leg) -> None:
        members = self._take_apart()
        place = self._place(leg)
        del members[place]
        if self._keys is not None:
            del self._keys[place]

    def insert(self, leg: Leg, data: bytes) -> None:
        members = self._take_apart()
        if isinstance(leg, int):
            if self._keys is not None:
                raise KeyError(f"an object has no index {leg}")
            # Behind the last one if it is further; before the first one likewise.
            members.insert(leg if leg >= 0 else max(leg + len(members), 0), _Node(data))
            return
        if self._keys is None:
            raise KeyError(f"an array has no key {leg!r}")
        if leg in self._keys:
            raise KeyError(f"the key {leg!r} is there already")
        # The server's order of keys: short ones first, equally long ones by their bytes.
        place = sum((len(key), key) < (len(leg), leg) for key in self._keys)
        self._keys.insert(place, leg)
        members.insert(place, _Node(data))

    def _place(self, leg: Leg) -> int:
        assert self._members is not None, "it was taken apart"
        if isinstance(leg, int):
            place = leg if leg >= 0 else leg + len(self._members)
            if self._keys is not None or not 0 <= place < len(self._members):
                raise KeyError(f"there is no index {leg}")
            return place
        if self._keys is None or leg not in self._keys:
            raise KeyError(f"there is no key {leg!r}")
        return self._keys.index(leg)

    def _take_apart(self) -> list[_Node]:
        if self._members is None:
            self._keys, members = _taken_apart(self._data)
            self._members = [_Node(member) for member in members]
        return self._members

    def packed(self) -> bytes:
        """The value as binary JSON."""
        if self._members is None:
            return self._data
        return _packed(self._keys, [member.packed() for member in self._members])


def _taken_apart(data: bytes) -> tuple[list[bytes] | None, list[bytes]]:
    """Keys, None for an array, and values of a container; each value with its type in front."""
    kind, body = data[0], data[1:]
    if kind > _LARGE_ARRAY:
        raise KeyError("a value that is neither object nor array has no members")
    is_large, is_object = kind in (_LARGE_OBJECT, _LARGE_ARRAY), kind <= _LARGE_OBJECT
    width, number = (4, "<I") if is_large else (2, "<H")
    (count,) = struct.unpack_from(number, body)
    keys_at = 2 * width
    values_at = keys_at + (count * (width + 2) if is_object else 0)
    unused = len(body) - values_at - count * (width + 1)
    if unused < 0:
        raise IndexError(f"{count} members don't fit into {len(body)} bytes")
    keys = []
    for i in range(count if is_object else 0):
        offset, size = struct.unpack_from(f"{number}H", body, keys_at + i * (width + 2))
        keys.append(_slice(body, offset, size))
        unused -= size
    values = []
    for i in range(count):
        entry = values_at + i * (width + 1)
        member = body[entry]
        if member in _INLINED[is_large]:
            values.append(body[entry : entry + 1 + _FIXED_BYTES[member]])
            continue
        (offset,) = struct.unpack_from(number, body, entry + 1)
        size = _size_of(member, body, offset)
        values.append(bytes([member]) + _slice(body, offset, size))
        unused -= size
        if unused < 0:  # or small bytes would make huge ones
            raise IndexError("its members overlap")
    return (keys if is_object else None), values


def _size_of(kind: int, data: bytes, at: int) -> int:
    """Bytes of a value, without its type."""
    if kind in _FIXED_BYTES:
        return _FIXED_BYTES[kind]
    if kind <= _LARGE_ARRAY:
        number, width = ("<I", 4) if kind in (_LARGE_OBJECT, _LARGE_ARRAY) else ("<H", 2)
        size: int = struct.unpack_from(number, data, at + width)[0]
        return size
    if kind not in (_STRING, _OPAQUE):
        raise ValueError(f"value kind {kind} is not known")
    begin = at + (kind == _OPAQUE)  # the column type stands in front of the length
    length, end = 0, begin
    for shift in range(0, 35, 7):
        length |= (data[end] & 0x7F) << shift
        end += 1
        if not data[end - 1] & 0x80:
            return end - at + length
    raise ValueError("a length is longer than 5 bytes")


def _packed(keys: list[bytes] | None, values: list[bytes]) -> bytes:
    """A large container: room for any size, and readers take it like a small one."""
    head = 8 + 5 * len(values) + (6 * len(keys) if keys is not None else 0)
    entries, parts, at = [], [], head
    for key in keys or ():
        entries.append(struct.pack("<IH", at, len(key)))
        parts.append(key)
        at += len(key)
    for value in values:
        if value[0] in _INLINED[True]:
            entries.append(value.ljust(5, b"\0"))
            continue
        entries.append(value[:1] + struct.pack("<I", at))
        parts.append(value[1:])
        at += len(value) - 1
    kind = _LARGE_ARRAY if keys is None else _LARGE_OBJECT
    return struct.pack("<BII", kind, len(values), at) + b"".join(entries + parts)
