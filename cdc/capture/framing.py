# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""A server's packets to whole binlog events, in place: bytes are moved once and copied once.

One source, two forms, like rows.py: plain Python as it stands, or compiled by Cython. The
buffer holds, from its start: whole events, the begun one, a gap that the stripped headers
left, and what hasn't been looked at. Every number that the other side sends is checked before
it is used, and the buffer grows by what has arrived, never by what is claimed.
"""

from __future__ import annotations

import re

import cython

from cdc.errors import DecodeError

if cython.compiled:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.libc.string import memmove

# Declared, so that the compiled form doesn't look them up per event.
PACKET_MAX = cython.declare(cython.Py_ssize_t, 0xFFFFFF)
"""Bytes of a packet; an event that fills one goes on in the next."""
HEADER_BYTES = cython.declare(cython.Py_ssize_t, 19)
HEARTBEAT = cython.declare(cython.int, 27)
HEARTBEAT_V2 = cython.declare(cython.int, 41)
ROOM_MIN = 1 << 17
"""Bytes that can always be received at once; also more than any error packet has."""
ERROR_BYTES_MAX = 1 << 16
_FILE_NAME = re.compile(rb"[ -~]{1,512}?\.\d{6,10}")


@cython.cclass
class PacketFramer:
    """Takes received bytes, gives whole events back to back, as they stand in a binlog file.

    Receive into `room()`, tell `received(n)`; then `take()` while `is_full`, and once more
    when nothing more is there to be received."""

    buffer: bytearray
    data: cython.p_uchar
    capacity: cython.Py_ssize_t
    batch_max: cython.Py_ssize_t
    event_max: cython.Py_ssize_t
    origin: str
    done: cython.Py_ssize_t
    """End of the whole events."""
    written: cython.Py_ssize_t
    """End of the begun event's bytes."""
    unread: cython.Py_ssize_t
    """Begin of the bytes that haven't been looked at."""
    end: cython.Py_ssize_t
    packet_left: cython.Py_ssize_t
    packet_is_last: cython.bint
    sequence: cython.int
    in_event: cython.bint
    event_size: cython.Py_ssize_t
    """What the begun event's header claims; 0 until the header is there."""
    is_full = cython.declare(cython.bint, visibility="readonly")
    """The next event doesn't fit into this batch: `take()` before more is received."""
    is_ended = cython.declare(cython.bint, visibility="readonly")
    """The server ended the dump."""
    error = cython.declare(object, visibility="readonly")
    """(code, message) of the server's error packet; after the events before it."""
    seconds = cython.declare(cython.longlong, visibility="readonly")
    """The time in the header of the last event of a transaction; 0 before the first."""
    is_idle = cython.declare(cython.bint, visibility="readonly")
    """The last event is a heartbeat: the server has nothing newer."""
    file: str
    position: cython.longlong
    """Where the last whole event ends, by its own word; for errors."""

    def __init__(self, batch_bytes_max: int, event_bytes_max: int, origin: str) -> None:
        self.batch_max, self.event_max, self.origin = batch_bytes_max, event_bytes_max, origin
        self.done = self.written = self.unread = self.end = 0
        self.packet_left = self.event_size = self.seconds = 0
        self.sequence = 1  # the command was packet 0
        self.packet_is_last = True
        self.in_event = self.is_full = self.is_ended = self.is_idle = False
        self.error = None
        self.file, self.position = "", 0
        self.buffer = bytearray()
        self._resize(batch_bytes_max + ROOM_MIN)

    def ready_bytes(self) -> int:
        """Bytes of whole events that can be taken."""
        return self.done

    def room(self) -> memoryview:
        """Where to receive into, at least ROOM_MIN bytes; release it before `received`."""
        assert not self.is_full, "the batch is taken first"
        if self.capacity - self.end < ROOM_MIN:
            self._move(self.written, self.unread, self.end - self.unread)
            self.end -= self.unread - self.written
            self.unread = self.written
        if self.capacity - self.end < ROOM_MIN:
            # One event alone is larger than the buffer: twice as much, as far as it needs that.
            wanted = min(2 * self.capacity, self.event_size + 2 * ROOM_MIN)
            self._resize(max(wanted, self.end + ROOM_MIN))
        return memoryview(self.buffer)[self.end :]

    def received(self, count: int) -> None:
        """`count` bytes were put into `room()`. Raises DecodeError if they can't be packets."""
        assert 0 <= count <= self.capacity - self.end
        self.end += count
        self._parse()

    def take(self) -> bytes:
        """All whole events; the framer goes on with those that didn't fit."""
        size: cython.Py_ssize_t = self.done
        if cython.compiled:
            source: cython.p_char = PyByteArray_AS_STRING(self.buffer)
            events = PyBytes_FromStringAndSize(source, size)
        else:
            events = bytes(memoryview(self.buffer)[:size])
        begun: cython.Py_ssize_t = self.written - size
        rest: cython.Py_ssize_t = self.end - self.unread
        self._move(0, size, begun)
        self._move(begun, self.unread, rest)
        self.done = 0
        self.written = self.unread = begun
        self.end = begun + rest
        self.is_full = False
        normal: cython.Py_ssize_t = self.batch_max + ROOM_MIN
        if self.capacity > normal and self.end <= self.batch_max:
            self._resize(normal)  # invariant 7: one large event doesn't keep its memory
        self._parse()
        return events

    @cython.cfunc
    def _resize(self, capacity: cython.Py_ssize_t) -> cython.int:
        """Another buffer with the same bytes; the old one may still be looked at."""
        larger = bytearray(capacity)
        larger[: self.end] = memoryview(self.buffer)[: self.end]
        self.buffer = larger
        self.capacity = capacity
        if cython.compiled:
            self.data = cython.cast(cython.p_uchar, PyByteArray_AS_STRING(larger))
        else:
            self.data = larger
        return 0

    @cython.cfunc
    def _move(
        self, to: cython.Py_ssize_t, source: cython.Py_ssize_t, count: cython.Py_ssize_t
    ) -> cython.int:
        """Bytes of the buffer to an earlier place in it."""
        assert 0 <= to <= source
        assert 0 <= count <= self.capacity - source
        if to != source and count:
            if cython.compiled:
                memmove(self.data + to, self.data + source, count)
            else:
                self.buffer[to : to + count] = self.buffer[source : source + count]
        return 0

    @cython.cfunc
    def _parse(self) -> cython.int:
        """Go over what was received, up to a full batch or the end."""
        length: cython.Py_ssize_t
        step: cython.Py_ssize_t
        while not self.is_full and not self.is_ended and self.error is None:
            if self.packet_left == 0:
                if self.in_event and self.packet_is_last:
                    self._finish_event()
                if self.end - self.unread < 4:
                    break
                length = self._little(self.unread, 3)
                if self.data[self.unread + 3] != self.sequence:
                    raise self._wrong(
                        f"packet {self.data[self.unread + 3]} came where {self.sequence} was due"
                    )
                if not self.in_event:
                    if not self._begin_event(length):
                        break
                else:
                    self.unread += 4
                    self.packet_left = length
                self.packet_is_last = length != PACKET_MAX
                self.sequence = (self.sequence + 1) & 0xFF
            step = min(self.packet_left, self.end - self.unread)
            self._move(self.written, self.unread, step)
            self.written += step
            self.unread += step
            self.packet_left -= step
            self._look_at_header()
            if self.packet_left:
                break
        return 0

    @cython.cfunc
    def _begin_event(self, length: cython.Py_ssize_t) -> cython.bint:
        """Look at a packet's status byte; False if more must be received, or nothing follows."""
        if length == 0:
            raise self._wrong("an empty packet came where an event was due")
        if self.end - self.unread < 5:
            return False
        status: cython.int = self.data[self.unread + 4]
        if status == 0xFF:
            self._take_error(length)
            return False
        if status == 0xFE and length < 9:
            self.is_ended = True
            return False
        if status != 0:
            raise self._wrong(f"a packet has the status {status}")
        self.unread += 5
        self.packet_left = length - 1
        self.in_event = True
        self.event_size = 0
        return True

    @cython.cfunc
    def _look_at_header(self) -> cython.int:
        """Check the begun event's size as soon as its header is there."""
        have: cython.Py_ssize_t = self.written - self.done
        if self.event_size == 0 and have >= HEADER_BYTES:
            self.event_size = self._little(self.done + 9, 4)
            if self.event_size < HEADER_BYTES:
                raise self._wrong(f"an event claims {self.event_size} bytes")
            if self.event_size > self.event_max:
                raise DecodeError(
                    f"{self._place()} an event that claims {self.event_size} bytes;"
                    f" the bound is {self.event_max} (event_bytes_max)",
                    hint="raise the bound, and the memory that goes with it",
                )
            if self.done and self.done + self.event_size > self.batch_max:
                self.is_full = True
        if self.event_size and have > self.event_size:
            raise self._wrong(f"an event of {self.event_size} bytes comes with more")
        return 0

    @cython.cfunc
    def _finish_event(self) -> cython.int:
        """The packets of the begun event are all there."""
        if self.written - self.done != self.event_size or self.event_size == 0:
            raise self._wrong(
                f"an event of {self.event_size} bytes comes with {self.written - self.done}"
            )
        seconds: cython.longlong = self._little(self.done, 4)
        kind: cython.int = self.data[self.done + 4]
        self.is_idle = kind in (HEARTBEAT, HEARTBEAT_V2)
        # What a file begins and ends with is as old as the file, though sent just now.
        if seconds and kind != 4 and kind != 15 and kind != 35 and kind != 163:
            self.seconds = seconds
        # MariaDB from 11.4 leaves positions out inside transactions.
        self.position = self._little(self.done + 13, 4) or self.position + self.event_size
        if kind == 4:
            self._enter_file()
        self.done = self.written
        self.in_event = False
        return 0

    def _enter_file(self) -> None:
        """A ROTATE event names the file that follows; behind the name may be a checksum."""
        body = bytes(self.buffer[self.done + HEADER_BYTES : self.written])
        name = _FILE_NAME.match(body, 8)
        self.position = int.from_bytes(body[:4], "little")
        self.file = name[0].decode("ascii") if name else ""

    @cython.cfunc
    def _take_error(self, length: cython.Py_ssize_t) -> cython.int:
        """An error packet: FF, code, `#` and five characters of SQL state, the message."""
        if length > ERROR_BYTES_MAX or length < 3:
            raise self._wrong(f"an error packet claims {length} bytes")
        if self.end - self.unread < 4 + length:
            return 0
        at: cython.Py_ssize_t = self.unread + 5
        text = bytes(self.buffer[at + 2 : at - 1 + length])
        if text[:1] == b"#":
            text = text[6:]
        self.error = (self._little(at, 2), text.decode("utf-8", "replace"))
        return 0

    @cython.cfunc
    def _little(self, at: cython.Py_ssize_t, count: cython.int) -> cython.longlong:
        """A little-endian number of `count` bytes."""
        value: cython.longlong = 0
        i: cython.int
        for i in range(count):
            value = value << 8 | self.data[at + count - 1 - i]
        return value

    def _place(self) -> str:
        if not self.file:
            return f"{self.origin} sent"
        return f"{self.origin} sent, after {self.file}:{self.position},"

    def _wrong(self, what: str) -> DecodeError:
        return DecodeError(
            f"{self._place()} what can't be a binlog: {what}",
            hint="is something between that changes the stream (a proxy), or is this no"
            " MySQL or MariaDB server?",
        )


def whole_events_end(data: bytes, bytes_max: int) -> int:
    """Where the last whole event of `data` ends that ends within `bytes_max`.

    If the first event is larger than that, or isn't all there: its size, with a minus; one that
    is less than a header's may be wrong, it is at least 1. 0 if not even a header is there."""
    size: cython.Py_ssize_t = len(data)
    limit: cython.Py_ssize_t = min(bytes_max, size)
    at: cython.Py_ssize_t = 0
    event: cython.Py_ssize_t = 0
    octets: cython.p_const_uchar
    if cython.compiled:  # noqa: SIM108  # each form knows its own branch only
        octets = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(data))
    else:
        octets = data
    while size - at >= 19:
        event = octets[at + 9] | octets[at + 10] << 8 | octets[at + 11] << 16
        event |= cython.cast(cython.Py_ssize_t, octets[at + 12]) << 24
        if event < 19 or event > limit - at:
            event = max(event, 1)
            break
        at += event
        event = 0
    return at or -event
