"""A link that breaks inside an event or falls silent costs nothing."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest

from tests.connectors import wait_until
from tests.faults.network import PLACES, by_source_proxy, cut_inside
from tests.faults.rig import EMBEDDED
from tests.faults.striking import Run, Setting
from tests.proxy import AfterBytes, InEvent, Inside, Proxy
from tests.services_plugin import FreshDatabase

SILENT_SECONDS = 4.0


def test_a_source_link_that_breaks_or_falls_silent_costs_nothing(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")

    def script(run: Run, proxy: Proxy) -> None:
        cut_inside(run, proxy, PLACES)
        with run.capturing() as child:
            proxy.stall()
            time.sleep(SILENT_SECONDS)
            proxy.resume()
            run.struck(child)

    outcome = by_source_proxy(tmp_path, mysql_database, Setting(EMBEDDED), script, seed)
    print(outcome.as_json())
    assert outcome.report.is_right, outcome.report
    assert outcome.strikes == len(PLACES) + 1


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def event(kind: int, size: int) -> bytes:
    return packet(1, b"\0" + bytes(4) + bytes([kind]) + bytes(size - 6))


@pytest.mark.parametrize("chunk", [1, 3, 7, 100, 1000])
@pytest.mark.parametrize(
    ("inside", "offset"), [("packet header", 2), ("event header", 14), ("event", 52)]
)
def test_a_breaker_finds_its_event_however_the_bytes_come(
    chunk: int, inside: Inside, offset: int
) -> None:
    stream = event(33, 50) + event(30, 80) + event(19, 40) + event(30, 100)
    wanted = len(stream) - 104 + offset
    breaker = InEvent(frozenset({30}), inside, number=2)
    with socket.socket() as other, socket.socket() as link:
        for asking, flags in ((other, 5), (link, 4)):
            assert breaker(asking, "to_server", packet(0, bytes([30, flags, 0, 9]))) is None
        assert breaker(other, "to_client", stream) is None
        passed = 0
        for at in range(0, len(stream), chunk):
            piece = stream[at : at + chunk]
            end = breaker(link, "to_client", piece)
            if end is not None:
                passed += end
                break
            passed += len(piece)
    # What of the event has passed before its kind is known can't be held back.
    known = len(stream) - 104 + 10
    assert passed == wanted or (inside == "packet header" and wanted < passed <= known)


def test_a_link_is_reset_after_exactly_so_many_bytes() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Proxy(*listener.getsockname()) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as client,
    ):
        server = listener.accept()[0]
        with server:
            proxy.break_at(AfterBytes(10))
            server.sendall(b"12345")
            assert client.recv(100) == b"12345"
            server.sendall(b"67890abc")
            assert client.recv(100) == b"67890"
            wait_until(lambda: proxy.breaks == 1, "the link holds")
            with pytest.raises(ConnectionResetError):
                client.recv(100)
