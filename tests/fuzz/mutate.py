"""Mutations that know how a binlog is built, and those that know nothing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from random import Random

import zstandard

MAGIC = b"\xfebin"
HEADER_BYTES = 19
SIZE_MAX = 1 << 15
FORMAT_DESCRIPTION, TRANSACTION_PAYLOAD = 15, 40
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
INSIDE_MAX = 1 << 16
KINDS = (*range(1, 43), *range(160, 172), 0, 255)
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 65, 127, 128, 250, 251, 252, 253, 254, 255, 256,
    1000, 32767, 32768, 65535, 65536, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
    (1 << 48) - 1, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip


def mutated(random: Random, target: str, data: bytes, other: bytes) -> bytes:
    """The input with a few changes; `other` gives parts to splice in."""
    if target in ("binlog", "ahead"):
        return _binlog(random, data, other)
    if target == "packets":
        return _packets(random, data, other)
    for _ in range(random.choice((1, 1, 2, 4))):
        data = any_bytes(random, data, other)
    return data[:SIZE_MAX]


def any_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    """One change somewhere."""
    at = random.randrange(len(data) + 1)
    size = min(random.choice((1, 1, 2, 3, 4, 8, 16, 40)), len(data) - at)
    choice = random.randrange(8)
    if choice == 0 and size:  # a bit
        return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
    if choice == 1:  # bytes of any kind
        return data[:at] + random.randbytes(size) + data[at + size :]
    if choice == 2:  # a number of note
        width = random.choice((1, 1, 2, 3, 4, 6, 8))
        number = random.choice(NUMBERS) & (1 << 8 * width) - 1
        order = random.choice(("little", "little", "big"))
        return data[:at] + number.to_bytes(width, order) + data[at + width :]
    if choice == 3:  # less
        return data[:at] + data[at + size :]
    if choice == 4:  # more of the same
        return (
            data[: at + size] + data[at : at + size] * random.choice((1, 2, 9)) + data[at + size :]
        )
    if choice == 5:  # something of another
        begin = random.randrange(len(other) + 1)
        return data[:at] + other[begin : begin + random.randrange(1, 60)] + data[at:]
    if choice == 6 and size:  # one more or one less
        change = random.choice((1, -1, 16, -16))
        return data[:at] + bytes([data[at] + change & 0xFF]) + data[at + 1 :]
    return data[: max(at, 1)] if random.random() < 0.2 else data[:at] + b"\xff" + data[at + 1 :]


def events_of(data: bytes) -> list[bytes]:
    """The events of a file as far as their sizes go; what is left is the last one."""
    at, events = len(MAGIC), []
    while len(data) - at >= HEADER_BYTES:
        (size,) = struct.unpack_from("<I", data, at + 9)
        if size < HEADER_BYTES or size > len(data) - at:
            break
        events.append(data[at : at + size])
        at += size
    return [*events, data[at:]] if at < len(data) else events


def file_of(events: Sequence[bytes], *, positions: bool = True) -> bytes:
    """A file of the events, with sizes, positions and checksums that are right again."""
    is_checksummed = any(
        event[4] == FORMAT_DESCRIPTION and event[-5] == 1 for event in events if len(event) > 80
    )
    out = bytearray(MAGIC)
    for event in events:
        if len(event) < HEADER_BYTES + 4:
            out += event
            continue
        end = len(out) + len(event)
        old = struct.unpack_from("<I", event, 13)[0]
        new = end if positions and old else old
        fixed = event[:9] + struct.pack("<II", len(event), new) + event[17:]
        if is_checksummed:
            fixed = fixed[:-4] + struct.pack("<I", zlib.crc32(fixed[:-4]))
        out += fixed
    return bytes(out)


def packets_of(events: Sequence[bytes]) -> bytes:
    """Events as a server sends them."""
    return b"".join(
        (len(event) + 1).to_bytes(3, "little") + bytes([1 + i & 0xFF, 0]) + event
        for i, event in enumerate(events)
    )


def events_in_packets(data: bytes) -> list[bytes]:
    """The events in packets, as far as their lengths go."""
    at, events = 0, []
    while len(data) - at >= 5:
        length = int.from_bytes(data[at : at + 3], "little")
        events.append(data[at + 5 : at + 4 + length])
        at += 4 + length
    return events


def _binlog(random: Random, data: bytes, other: bytes) -> bytes:
    if random.random() < 0.1:
        return any_bytes(random, data, other)[:SIZE_MAX]
    events = events_of(data)
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        events = _events(random, events, events_of(other))
    return file_of(events, positions=random.random() < 0.9)[:SIZE_MAX]


def _packets(random: Random, data: bytes, other: bytes) -> bytes:
    if random.random() < 0.5:
        return any_bytes(random, data, other)[:SIZE_MAX]
    events = events_of(MAGIC + b"".join(events_in_packets(data)))
    for _ in range(random.choice((1, 2))):
        events = _events(random, events, events_in_packets(other))
    fixed = events_of(file_of(events)) if random.random() < 0.8 else events
    return packets_of(fixed)[:SIZE_MAX]


def _events(random: Random, events: list[bytes], others: list[bytes]) -> list[bytes]:
    """One event changed, moved, doubled, left out or taken from another file."""
    if not events:
        return list(others)
    i = random.randrange(len(events))
    event = events[i]
    choice = random.randrange(12)
    if event[4:5] == bytes([TRANSACTION_PAYLOAD]) and random.random() < 0.8:
        return [*events[:i], _payload(random, event, others), *events[i + 1 :]]
    if choice == 0:
        return events[:i] + events[i + 1 :]
    if choice == 1:
        return [*events[: i + 1], *events[i:]]
    if choice == 2 and others:
        return [*events[:i], *random.choices(others, k=random.randrange(1, 4)), *events[i:]]
    if choice == 3:
        j = random.randrange(len(events))
        events = list(events)
        events[i], events[j] = events[j], events[i]
        return events
    if choice == 4 and len(event) > HEADER_BYTES:
        header = event[:4] + bytes([random.choice(KINDS)]) + event[5:]
        return [*events[:i], header, *events[i + 1 :]]
    if choice == 5 and len(event) > HEADER_BYTES:
        header = any_bytes(random, event[:HEADER_BYTES], b"")[:HEADER_BYTES].ljust(HEADER_BYTES)
        return [*events[:i], header + event[HEADER_BYTES:], *events[i + 1 :]]
    body = any_bytes(random, event[HEADER_BYTES:], random.choice(others) if others else b"")
    return [*events[:i], event[:HEADER_BYTES] + body, *events[i + 1 :]]


def _payload(random: Random, event: bytes, others: list[bytes]) -> bytes:
    """A compressed transaction with other events inside, compressed again."""
    at = event.find(ZSTD_MAGIC)
    try:
        inside = zstandard.ZstdDecompressor().decompressobj().decompress(event[at:])[:INSIDE_MAX]
    except zstandard.ZstdError:
        return event[:HEADER_BYTES] + any_bytes(random, event[HEADER_BYTES:], b"")
    events = _events(random, events_of(MAGIC + inside), [one[:-4] for one in others])
    whole = b"".join(
        one[:9] + struct.pack("<I", len(one)) + one[13:] if len(one) >= HEADER_BYTES else one
        for one in events
    )
    packed = zstandard.ZstdCompressor().compress(whole)
    head = b"\x02\x01\x00" + _field(3, len(whole)) + _field(1, len(packed)) + b"\x00"
    return event[:HEADER_BYTES] + head + packed + bytes(4)


def _field(kind: int, number: int) -> bytes:
    return bytes([kind, 4, 0xFD]) + number.to_bytes(3, "little")
