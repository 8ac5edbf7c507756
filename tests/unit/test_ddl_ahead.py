"""DDL ahead of the stream is found at its place; bytes that can't be end in an error with one."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from cdc.errors import DecodeError
from tests.binlogs import SECONDS, Binlog, artificial_rotate, with_checksum
from tests.forms_plugin import Capture

END = (1 << 31, 0)
QUERY_COMPRESSED = 165
PLACE = r"at binlog\.000001:\d+"


def found(capture: Capture, log: Binlog, *, until: tuple[int, int] = END) -> list[Any]:
    """Where each statement ends, and the tables that it changes."""
    walk = capture.ddl_ahead.Walk((log.file, log.begins_at), log.flavor)
    return [
        (here, [".".join(effect.table) for effect in statement.effects])
        for here, statement in walk.statements(log.data, until)
    ]


def compressed(text: bytes, *, size: int | None = None, packed: bytes | None = None) -> bytes:
    """The body of a QUERY_COMPRESSED in the database shop."""
    claimed = len(text) if size is None else size
    head = struct.pack("<IIBHH", 9, 0, 4, 0, 0) + b"shop\0\x84" + claimed.to_bytes(4, "big")
    return head + (zlib.compress(text) if packed is None else packed)


def test_ddl_is_found_where_it_ends(capture: Capture) -> None:
    log = Binlog().gtid(1).query("alter table t add a int")
    first = log.position
    log.begin(2).query("SAVEPOINT s").query("COMMIT").gtid(3).query("drop table d.u, v")
    assert found(capture, log) == [
        ((1, first), ["shop.t"]),
        ((1, log.position), ["d.u", "shop.v"]),
    ]
    assert found(capture, log, until=(1, log.position - 1)) == [((1, first), ["shop.t"])]


def test_it_is_found_in_compressed_statements(capture: Capture) -> None:
    log = Binlog("mariadb").gtid(1, standalone=True)
    log.add(QUERY_COMPRESSED, compressed(b"drop table t"))
    assert found(capture, log) == [((1, log.position), ["shop.t"])]


@pytest.mark.parametrize("checksum", [True, False])
def test_it_is_found_in_the_files_that_follow(capture: Capture, checksum: bool) -> None:
    log = Binlog(position=1234, checksum=checksum)
    log.add(4, struct.pack("<Q", 4) + b"binlog.000002")
    log.events.append(artificial_rotate("binlog.000002", checksum=checksum))
    log.position = 4
    version = struct.pack("<H50sIB40sB", 4, b"9.7.4", SECONDS, 19, bytes(40), checksum)
    log.add(15, version + (b"" if checksum else bytes(4)))
    log.gtid(1).query("drop table t")
    assert found(capture, log) == [((2, log.position), ["shop.t"])]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "too short"),
        (bytes(12), "too short"),
        (bytes(13), "too short"),
        (struct.pack("<IIBHH", 9, 0, 4, 0, 0) + b"shop", "too short"),
        (struct.pack("<IIBHH", 9, 0, 4, 0, 0xFFFF) + b"shop\0drop table t", "too short"),
    ],
)
def test_a_statement_that_is_cut_off_is_an_error(capture: Capture, body: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=f"{why} {PLACE}"):
        found(capture, Binlog().add(2, body))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "too short"),
        (bytes(12), "too short"),
        (compressed(b"", packed=b"")[:18], "isn't compressed by zlib"),
        (compressed(b"drop table t", packed=b"no zlib"), "can't be inflated"),
        (compressed(b"x" * (8 << 20), size=100), "claims 100 bytes and holds 101"),
        (compressed(b"drop table t", size=100), "claims 100 bytes and holds 12"),
        (compressed(b"drop table t", size=0xFFFFFFFF), "the bound is"),
    ],
)
def test_a_compressed_statement_is_inflated_no_further_than_it_claims(
    capture: Capture, body: bytes, why: str
) -> None:
    with pytest.raises(DecodeError, match=f"(?s){why}.* {PLACE}"):
        found(capture, Binlog("mariadb").add(QUERY_COMPRESSED, body))


def test_every_flipped_byte_of_a_statement_is_found(capture: Capture) -> None:
    log = Binlog().query("drop table t")
    event = log.events.pop()
    for at in range(len(event)):
        changed = bytearray(event)
        changed[at] ^= 0x10
        log.events.append(bytes(changed))
        with pytest.raises(DecodeError, match=PLACE):
            found(capture, log)
        log.events.pop()


@pytest.mark.parametrize("size", [0, 18, 1000, 0xFFFFFFFF])
def test_a_size_that_cannot_be_is_an_error(capture: Capture, size: int) -> None:
    log = Binlog().query("drop table t")
    event = log.events.pop()
    log.events.append(with_checksum(event[:9] + struct.pack("<I", size) + event[13:]))
    with pytest.raises(DecodeError, match=PLACE):
        found(capture, log)


def test_a_rotate_that_names_no_place_is_an_error(capture: Capture) -> None:
    with pytest.raises(DecodeError, match=f"names no place {PLACE}"):
        found(capture, Binlog().add(4, struct.pack("<Q", 4) + b"\n"))
