"""Any splitting of a server's bytes gives the same events; hostile numbers never leave it."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture import framing
from cdc.errors import DecodeError

PACKET_MAX = 0xFFFFFF
BATCH_MAX = 400
EVENT_MAX = 2000
OK, ERROR, END = b"\x00", b"\xff", b"\xfe"


def _plain_form() -> Any:
    """framing.py as it stands, also where its compiled form is what an import gives."""
    path = Path(framing.__file__).with_name("framing.py")
    spec = importlib.util.spec_from_file_location("plain_framing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = {"plain": _plain_form()}
if not framing.__file__.endswith(".py"):
    FORMS["compiled"] = framing

forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def event(size: int, kind: int = 30, seconds: int = 7) -> bytes:
    body = bytes(i % 251 for i in range(size - 19))
    return struct.pack("<IBIIIH", seconds, kind, 1, size, 0, 0) + body


def packets(payloads: Sequence[bytes], first: int = 1) -> bytes:
    """Payloads as a server sends them, those that fill a packet in several."""
    out = bytearray()
    sequence = first
    for payload in payloads:
        at = 0
        while True:
            part = payload[at : at + PACKET_MAX]
            out += len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]) + part
            sequence += 1
            at += PACKET_MAX
            if len(part) < PACKET_MAX:
                break
    return bytes(out)


def feed(framer: Any, stream: bytes, sizes: Iterator[int] | None = None) -> list[bytes]:
    """All batches of a stream that arrives in pieces."""
    batches = []
    at = 0
    while at < len(stream):
        with framer.room() as room:
            count = min(next(sizes, len(room)) if sizes else len(room), len(room), len(stream) - at)
            room[:count] = stream[at : at + count]
        at += count
        framer.received(count)
        while framer.is_full:
            batches.append(framer.take())
        if framer.is_ended or framer.error:
            break
    if framer.ready_bytes():
        batches.append(framer.take())
    return batches


@forms
@given(
    sizes=st.lists(st.integers(19, 900), max_size=30),
    pieces=st.lists(st.integers(1, 1500), min_size=1, max_size=60),
)
def test_any_splitting_gives_the_same_events(
    form: Any, sizes: list[int], pieces: list[int]
) -> None:
    events = [event(size) for size in sizes]
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    batches = feed(framer, packets([OK + one for one in events]), iter(pieces))
    assert b"".join(batches) == b"".join(events)
    whole = {sum(sizes[:count]) for count in range(len(sizes) + 1)}
    at = 0
    for batch in batches:
        at += len(batch)
        assert at in whole
        assert len(batch) <= BATCH_MAX or len(batch) in sizes


@forms
@pytest.mark.parametrize("size", [PACKET_MAX - 2, PACKET_MAX - 1, PACKET_MAX, 2 * PACKET_MAX - 1])
def test_an_event_of_several_packets_is_one_batch_of_its_own(form: Any, size: int) -> None:
    large, small = event(19) + bytes(size - 19), event(30)
    large = large[:9] + struct.pack("<I", size) + large[13:]
    framer = form.PacketFramer(1 << 16, 1 << 26, "db:3306")
    stream = packets([OK + small, OK + large, OK + small])
    assert feed(framer, stream, iter([100_000] * 1000)) == [small, large, small]


@forms
def test_the_packet_number_wraps_at_256(form: Any) -> None:
    events = [event(20)] * 600
    framer = form.PacketFramer(1 << 16, EVENT_MAX, "db:3306")
    assert b"".join(feed(framer, packets([OK + one for one in events]))) == b"".join(events)


@forms
def test_events_before_an_error_packet_are_given_and_the_error_after_them(form: Any) -> None:
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    refusal = ERROR + struct.pack("<H", 1236) + b"#HY000it is gone"
    assert feed(framer, packets([OK + event(40), refusal]), iter([7] * 20)) == [event(40)]
    assert framer.error == (1236, "it is gone")


@forms
def test_the_end_packet_ends_the_dump(form: Any) -> None:
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    assert feed(framer, packets([OK + event(40), END + bytes(4)])) == [event(40)]
    assert framer.is_ended


@forms
def test_it_knows_the_servers_time_and_whether_the_server_has_nothing_newer(form: Any) -> None:
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    feed(framer, packets([OK + event(40, seconds=99)]))
    assert (framer.seconds, framer.is_idle) == (99, False)
    feed(framer, packets([OK + event(40, kind=15, seconds=5)], first=2))
    assert (framer.seconds, framer.is_idle) == (99, False)
    feed(framer, packets([OK + event(40, kind=27, seconds=0)], first=3))
    assert (framer.seconds, framer.is_idle) == (99, True)


@forms
@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (packets([OK + event(40)], first=2), "packet 2 came where 1 was due"),
        (packets([b""]), "empty packet"),
        (packets([b"\x05" + event(40)]), "status 5"),
        (packets([OK]), "comes with 0"),
        (packets([OK + event(40)[:18]]), "comes with 18"),
        (packets([OK + event(40) + b"x"]), "comes with more"),
        (packets([OK + event(40)[:-1]]), "comes with 39"),
        (packets([OK + bytes(19)]), "claims 0 bytes"),
        (packets([OK + event(19)[:9] + b"\xff\xff\xff\xff" + bytes(6)]), "the bound is 2000"),
        (packets([ERROR + b"x"]), "error packet claims 2 bytes"),
        (b"\x00\x00\x10\x01" + ERROR, "error packet claims"),
    ],
)
def test_what_cannot_be_a_binlog_is_refused(form: Any, stream: bytes, says: str) -> None:
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    with pytest.raises(DecodeError, match=says) as refused:
        feed(framer, stream)
    assert "db:3306" in str(refused.value)


@forms
@given(stream=st.binary(max_size=300), pieces=st.lists(st.integers(1, 40), max_size=20))
def test_hostile_bytes_are_refused_or_waited_on(
    form: Any, stream: bytes, pieces: list[int]
) -> None:
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    try:
        batches = feed(framer, stream, iter(pieces))
    except DecodeError:
        return
    assert sum(map(len, batches)) <= len(stream)


@forms
def test_an_error_says_after_which_place_it_came(form: Any) -> None:
    rotate = struct.pack("<IBIIIH", 0, 4, 1, 19 + 21, 0, 0x20) + struct.pack("<Q", 4)
    whole = struct.pack("<IBIIIH", 7, 30, 1, 40, 1234, 0) + bytes(21)
    framer = form.PacketFramer(BATCH_MAX, EVENT_MAX, "db:3306")
    stream = packets([OK + rotate + b"binlog.000042", OK + whole, b"\x77"])
    with pytest.raises(DecodeError, match=r"^db:3306 sent, after binlog\.000042:1234, what can't"):
        feed(framer, stream)
