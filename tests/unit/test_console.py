"""The HTTP listener of a running connector, over real connections."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from cdc.console import client
from cdc.console.application import BODY_BYTES_MAX, application, is_loopback
from cdc.console.discovery import Running, announce, find, run_folder, withdraw
from cdc.console.render import show
from cdc.console.server import ConsoleServer, serve
from cdc.errors import CdcError, SourceError, Unreachable
from cdc.observe import Clock, Metrics

NOW = 1_000_000.0
JSON = {"content-type": "application/json"}


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def metrics(time: Time) -> Metrics:
    clock = Clock(wall=time, monotonic=time)
    return Metrics("shop", version="1.0", is_compiled=False, pid=7, clock=clock)


@pytest.fixture
def stopped() -> threading.Event:
    return threading.Event()


@pytest.fixture
def console(metrics: Metrics, stopped: threading.Event) -> Iterator[ConsoleServer]:
    def stop(_: Mapping[str, Any]) -> Mapping[str, Any]:
        stopped.set()
        return {"stopping": True}

    def refuse(body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise SourceError(f"no table {body.get('table')}", hint="name one that is captured")

    server = serve(metrics, {"stop": stop, "refuse": refuse}, ready_within_seconds=30)
    yield server
    server.close()


def ask(
    server: ConsoleServer,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    url = urlsplit(server.address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    is_json = response.headers.get("content-type") == "application/json"
    return response.status, json.loads(text) if is_json else text.decode()


def test_a_process_that_is_up_is_live(console: ConsoleServer) -> None:
    assert ask(console, "GET", "/live") == (200, {"connector": "shop", "pid": 7})


def test_readiness_follows_every_stage(
    console: ConsoleServer, metrics: Metrics, time: Time
) -> None:
    def reasons() -> Mapping[str, str]:
        code, answer = ask(console, "GET", "/ready")
        assert code == (503 if answer["reasons"] else 200)
        assert answer["ready"] == (not answer["reasons"])
        found: Mapping[str, str] = answer["reasons"]
        return found

    assert reasons() == {"process": "no stage has started"}
    capture, views = metrics.stage("capture"), metrics.stage("views")
    assert reasons() == {"capture": "starting", "views": "starting"}
    capture.connecting("db:3306")
    views.running()
    views.heartbeat()
    assert reasons() == {"capture": "connecting: db:3306"}
    capture.running("db:3306")
    assert reasons() == {"capture": "connected, but no event and no heartbeat came yet"}
    capture.heartbeat()
    assert reasons() == {}
    time.now += 31
    views.heartbeat()
    assert reasons() == {"capture": "no event and no heartbeat for 31 seconds; 30 are allowed"}
    capture.seen(NOW - 3600)
    assert reasons() == {}, "far behind, but moving"
    capture.waiting("db:3306 refuses the connection")
    assert reasons() == {"capture": "waiting: db:3306 refuses the connection"}
    capture.running("db:3306")
    assert reasons() == {"capture": "connected, but no event and no heartbeat came yet"}
    capture.heartbeat()
    views.failed(OSError("disk full"))
    assert reasons() == {"views": "failed: disk full"}


def test_metrics_are_in_the_form_that_prometheus_reads(
    console: ConsoleServer, metrics: Metrics
) -> None:
    metrics.stage("capture").batch(records=3, bytes=5, seconds=0.1)
    code, text = ask(console, "GET", "/metrics")
    assert code == 200
    assert 'cdc_records_total{stage="capture"} 3.0' in text


def test_the_client_reads_the_status(console: ConsoleServer, metrics: Metrics) -> None:
    metrics.stage("capture").checkpoint("binlog.000001:4")
    assert client.status(console.address) == metrics.status()


def test_a_control_call_is_answered_by_its_function(
    console: ConsoleServer, stopped: threading.Event
) -> None:
    assert client.control(console.address, "stop") == {"stopping": True}
    assert stopped.is_set()


def test_a_control_call_that_fails_says_why_and_what_to_do(console: ConsoleServer) -> None:
    with pytest.raises(CdcError) as caught:
        client.control(console.address, "refuse", {"table": "shop.x"})
    assert caught.value.message.endswith("refused refuse: no table shop.x")
    assert caught.value.hint == "name one that is captured"


def test_an_unknown_control_call_lists_those_there_are(console: ConsoleServer) -> None:
    with pytest.raises(CdcError, match="no control call 'halt'; there are: refuse, stop"):
        client.control(console.address, "halt")


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{}", {}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b" " * (BODY_BYTES_MAX + 1), JSON, 413),
        (b"", {**JSON, "host": "evil.example"}, 421),
        (b"", {**JSON, "host": "evil.example:8710"}, 421),
        (b"", {**JSON, "host": "127.0.0.1.evil.example"}, 421),
    ],
)
def test_a_control_call_that_is_none_changes_nothing(
    console: ConsoleServer,
    stopped: threading.Event,
    body: bytes,
    headers: Mapping[str, str],
    code: int,
) -> None:
    found, answer = ask(console, "POST", "/control/stop", body, headers)
    assert found == code
    assert answer["error"]
    assert not stopped.is_set()


def test_control_is_by_post_only(console: ConsoleServer, stopped: threading.Event) -> None:
    assert ask(console, "GET", "/control/stop", headers=JSON)[0] == 405
    assert not stopped.is_set()


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "127.1.2.3"])
def test_the_names_of_this_machine_are_answered(console: ConsoleServer, host: str) -> None:
    assert ask(console, "GET", "/live", headers={"host": host})[0] == 200


def test_no_page_of_the_web_may_read_the_answers(console: ConsoleServer) -> None:
    url = urlsplit(console.address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    connection.request("OPTIONS", "/status", headers={"origin": "http://evil.example"})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


def test_open_to_a_network_it_answers_any_host(metrics: Metrics) -> None:
    server = serve(metrics, {}, host="0.0.0.0")
    try:
        port = urlsplit(server.address).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/live", headers={"host": "pod.example"})
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        server.close()


def test_open_to_a_network_control_still_belongs_to_this_machine(
    metrics: Metrics, stopped: threading.Event
) -> None:
    app = application(
        metrics,
        {"stop": lambda _: {"stopped": stopped.set()}},
        host="0.0.0.0",
        ready_within_seconds=30,
    )

    def status_for(peer: str) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/control/stop",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": (peer, 4000),
        }
        asyncio.run(app(scope, receive, send))
        code: int = sent[0]["status"]
        return code

    assert status_for("10.0.0.9") == 403
    assert not stopped.is_set()
    assert status_for("127.0.0.1") == 200
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False),
     ("10.0.0.1", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_only_the_machine_itself_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_signal_handlers_stay_as_they_are(metrics: Metrics) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    server = serve(metrics, {})
    during = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    server.close()
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert before == during == after


def test_closed_it_no_longer_answers(metrics: Metrics) -> None:
    server = serve(metrics, {})
    server.close()
    with pytest.raises(Unreachable) as caught:
        client.status(server.address)
    assert caught.value.hint == "start it with: cdc run FILE"


def test_a_taken_port_is_an_error_if_it_was_asked_for(
    console: ConsoleServer, metrics: Metrics
) -> None:
    port = urlsplit(console.address).port or 0
    with pytest.raises(CdcError, match=f"can't listen on 127.0.0.1:{port}") as caught:
        serve(metrics, {}, port=port)
    assert "http: {port: …}" in caught.value.hint


def test_a_taken_port_that_was_only_the_default_gives_way(
    console: ConsoleServer, metrics: Metrics
) -> None:
    port = urlsplit(console.address).port or 0
    other = serve(metrics, {}, port=port, is_port_fixed=False)
    other.close()
    assert urlsplit(other.address).port not in (0, port)


def test_a_stranger_at_the_port_is_not_taken_for_a_connector() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def answer() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(CdcError, match="is no connector of this version"):
            client.status(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join(10)


def test_an_address_that_is_none() -> None:
    with pytest.raises(CdcError, match="is not an address of the form"):
        client.status("8710")


def running(console: ConsoleServer, pid: int = 7) -> Running:
    return Running("shop", console.address, pid, NOW)


def test_a_run_file_leads_to_the_process(console: ConsoleServer, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert find("shop", environment) == ()
    path = announce(running(console), environment)
    assert path == tmp_path / "cdc" / "shop.7.json"
    assert find("shop", environment) == (running(console),)
    assert find("sho", environment) == ()
    withdraw(running(console), environment)
    assert find("shop", environment) == ()
    withdraw(running(console), environment)


def test_a_run_file_of_a_process_that_is_gone_is_removed(metrics: Metrics, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    server = serve(metrics, {})
    path = announce(running(server), environment)
    server.close()
    assert find("shop", environment) == ()
    assert not path.exists()


def test_a_port_that_another_process_has_by_now_is_stale(
    console: ConsoleServer, tmp_path: Path
) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    announce(running(console, pid=8), environment)
    assert find("shop", environment) == ()


def test_a_run_file_that_holds_something_else_is_removed(
    console: ConsoleServer, tmp_path: Path
) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    announce(running(console), environment)
    (tmp_path / "cdc" / "shop.9.json").write_text('{"a": 1}')
    assert find("shop", environment) == (running(console),)
    assert not (tmp_path / "cdc" / "shop.9.json").exists()


def test_only_this_user_can_read_the_run_folder(console: ConsoleServer, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    announce(running(console), environment)
    assert run_folder(environment).stat().st_mode & 0o777 == 0o700


def test_a_run_folder_that_is_a_link_is_refused(console: ConsoleServer, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cdc").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CdcError, match="belongs to somebody else"):
        announce(running(console), environment)


def test_without_a_runtime_folder_each_user_has_an_own_one() -> None:
    assert run_folder({}).name.startswith("cdc-")


def test_piped_the_status_is_one_line_per_stage(metrics: Metrics, time: Time) -> None:
    capture = metrics.stage("capture")
    capture.running("db:3306")
    capture.heartbeat()
    capture.checkpoint("binlog.000003:1544")
    capture.batch(records=1000, bytes=1, seconds=0.1)
    metrics.stage("views").waiting("the log is away")
    time.now += 4
    out = io.StringIO()
    show([metrics.status()], Console(file=out, width=40))
    assert out.getvalue().splitlines() == [
        "shop capture state=running lag=0.0s rate=100/s checkpoint=binlog.000003:1544 age=4.0s "
        "dropped=0 dead=0 errors=0",
        "shop views state=waiting lag=- rate=0/s checkpoint=- age=- dropped=0 dead=0 errors=0",
        "views waiting: the log is away",
    ]


def test_in_a_terminal_the_status_is_a_table(metrics: Metrics) -> None:
    stage = metrics.stage("capture")
    stage.lag_records(1234)
    stage.seen(NOW - 7300)
    stage.error(OSError("[bold]odd[/bold]"))
    out = io.StringIO()
    show([metrics.status()], Console(file=out, width=120, force_terminal=True, color_system=None))
    text = out.getvalue()
    assert "shop · cdc 1.0 (plain) · pid 7" in text
    assert "2h (1,234)" in text
    assert "capture last error: [bold]odd[/bold]" in text
