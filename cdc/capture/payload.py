"""TRANSACTION_PAYLOAD events (40): a whole transaction in one event, mostly under zstd.

The body is fields of type, length and value, all numbers length-encoded, up to a mark; then the
payload. Inside stand events without checksums. A payload may inflate to gigabytes: it comes out
in bounded pieces.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import zstandard

from cdc.capture.pieces import EndsInside, Read, pieces
from cdc.errors import DecodeError

INFLATED_BYTES_MAX = 1 << 40
"""Of one payload. It bounds time, not memory, of which a piece and the window are taken."""
WINDOW_BYTES_MAX = 1 << 27
"""Of zstd: what its highest level asks for."""

_END_MARK, _PAYLOAD_BYTES, _COMPRESSION, _INFLATED_BYTES = 0, 1, 2, 3
_ZSTD, _NONE = 0, 255
_FIELDS_MAX = 64


def payload_pieces(
    body: memoryview, bytes_max: int, event_bytes_max: int, damaged: Callable[[str], DecodeError]
) -> Iterator[bytes]:
    """The events inside, in pieces of up to `bytes_max`; a larger event is one of its own.

    Raises `damaged(why)` where the payload can't be what it claims."""
    try:
        at, compression, size = _fields(body)
    except (IndexError, KeyError) as error:
        raise damaged("its fields can't be read") from error
    payload = body[at:]
    if size > INFLATED_BYTES_MAX:
        raise damaged(f"it claims to inflate to {size} bytes; the bound is {INFLATED_BYTES_MAX}")
    if compression == _NONE:
        read: Read = io.BytesIO(payload).read
    elif compression == _ZSTD:
        inflater = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
        read = inflater.stream_reader(payload, read_across_frames=True).read
    else:
        raise damaged(f"its compression {compression} is not known")

    def allow(_: int, event_bytes: int) -> None:
        if event_bytes > event_bytes_max:
            raise damaged(
                f"an event in it has {event_bytes} bytes; the bound is {event_bytes_max}"
                " (event_bytes_max)"
            )

    done = 0
    try:
        for _, piece in pieces(read, bytes_max, allow):
            done += len(piece)
            if done > size:
                break
            yield piece
    except zstandard.ZstdError as error:
        raise damaged(str(error)) from error
    except EndsInside as error:
        raise damaged("it ends inside an event") from error
    if done != size:
        raise damaged(
            f"it claims to inflate to {size} bytes and holds {'less' if done < size else 'more'}"
        )


def _fields(body: memoryview) -> tuple[int, int, int]:
    """Where the payload begins, how it is compressed, its inflated size."""
    at, compression, inflated, packed = 0, _NONE, -1, -1
    for _ in range(_FIELDS_MAX):
        field, at = _number(body, at)
        if field == _END_MARK:
            break
        length, at = _number(body, at)
        value, _ = _number(body, at)
        if field == _COMPRESSION:
            compression = value
        elif field == _PAYLOAD_BYTES:
            packed = value
        elif field == _INFLATED_BYTES:
            inflated = value
        at += length
    if packed not in (-1, len(body) - at):
        raise IndexError("the payload has another size")
    return at, compression, inflated if inflated >= 0 else len(body) - at


def _number(body: memoryview, at: int) -> tuple[int, int]:
    """A length-encoded number, and where it ends."""
    first = body[at]
    if first < 0xFB:
        return first, at + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    if at + 1 + width > len(body):
        raise IndexError("it ends inside a number")
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width
