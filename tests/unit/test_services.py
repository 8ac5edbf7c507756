"""Finding, keeping and stopping servers, as far as it can be told without one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdc.services import (
    DatabaseAddress,
    KafkaServer,
    MySQLServer,
    ServiceFailed,
    ServiceUnavailable,
    debian,
    docker,
    find,
    kafka,
    maven,
    process,
)
from cdc.services.__main__ import main
from cdc.services.cache import kept, services_folder
from cdc.services.debian import AptSource
from cdc.services.docker import Container, Image
from cdc.services.freeport import free_ports
from cdc.services.java import major_version
from cdc.services.process import Launch, Process, ProcessId, start_time
from cdc.services.state import State
from cdc.services.ways import WayClosed, first_open

ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian/ bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://security.example bookworm-security main contrib # comment
"""

DEB822 = """\
Types: deb deb-src
# a comment in the middle
URIs: http://one.example/debian/
 http://two.example/debian
Suites: bookworm bookworm-updates
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.communicate()


def launch(folder: Path, *script: str) -> Launch:
    return Launch(("sh", "-c", " ".join(script)), folder, folder / "log")


def eventually(is_so: Callable[[], bool], seconds_max: float = 10.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds_max:g} s"


# --- Debian's packages


def test_one_line_sources_are_read_with_options_and_without_comments() -> None:
    assert list(debian.parse_one_line(ONE_LINE)) == [
        AptSource("http://mirror.example/debian", "bookworm", ("main",)),
        AptSource("http://security.example", "bookworm-security", ("main", "contrib")),
    ]


def test_deb822_sources_are_read_for_each_address_and_suite_that_is_enabled() -> None:
    assert list(debian.parse_deb822(DEB822)) == [
        AptSource(f"http://{host}.example/debian", suite, ("main",))
        for host in ("one", "two")
        for suite in ("bookworm", "bookworm-updates")
    ]


def test_both_formats_are_read_and_other_files_are_not(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/ x main\n")
    (parts / "b.list").write_text("deb http://b.example/ x main\n")
    (parts / "c.sources").write_text("Types: deb\nURIs: http://c.example\nSuites: x\n")
    (parts / "d.list.disabled").write_text("deb http://d.example/ x main\n")
    uris = [source.uri for source in debian.machine_sources(tmp_path)]
    assert uris == ["http://a.example", "http://b.example", "http://c.example"]


def test_the_mirror_is_the_one_of_the_machines_own_suite() -> None:
    sources = [
        AptSource("http://security.example", "bookworm-security", ("main",)),
        AptSource("http://extra.example", "bookworm", ("contrib",)),
        AptSource("http://mirror.example", "bookworm", ("main",)),
    ]
    assert debian.mirror(sources, "bookworm") == "http://mirror.example"
    with pytest.raises(WayClosed, match="no mirror of trixie"):
        debian.mirror(sources, "trixie")


def test_another_system_than_debian_has_no_packages(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME="noble"\n')
    with pytest.raises(WayClosed, match="isn't Debian"):
        debian.codename(release)
    with pytest.raises(WayClosed, match="isn't Debian"):
        debian.codename(tmp_path / "none")


def test_apt_works_in_its_own_folder_alone(tmp_path: Path) -> None:
    command = debian.apt_command(tmp_path, "update")
    settings = dict(word.split("=", 1) for word in command if "::" in word)
    own = ("Dir::Etc::sourcelist", "Dir::State::Lists", "Dir::State::status", "Dir::Cache")
    assert all(settings[name].startswith(str(tmp_path)) for name in own)
    assert settings["Dir::Etc::sourceparts"] == "-"


# --- the cache


def test_the_cache_folder_follows_the_environment() -> None:
    home = Path("~").expanduser()
    assert services_folder({"CDC_CACHE": "/c", "XDG_CACHE_HOME": "/x"}) == Path("/c/services")
    assert services_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/cdc/services")
    assert services_folder({}) == home / ".cache/cdc/services"


def test_a_download_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise WayClosed("no network")

    with pytest.raises(WayClosed):
        kept("thing", broken, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]
    whole = kept("thing", lambda folder: (folder / "all").touch(), folder=tmp_path)
    assert [path.name for path in whole.iterdir()] == ["all"]


def test_two_at_once_download_once(tmp_path: Path) -> None:
    fetched: list[Path] = []
    second_is_there = threading.Event()

    def fetch(folder: Path) -> None:
        fetched.append(folder)
        assert second_is_there.wait(10)

    def second() -> None:
        second_is_there.set()
        kept("thing", fetch, folder=tmp_path)

    first = threading.Thread(target=kept, args=("thing", fetch), kwargs={"folder": tmp_path})
    other = threading.Thread(target=second)
    first.start()
    other.start()
    first.join(20)
    other.join(20)
    assert len(fetched) == 1
    assert (tmp_path / "thing").is_dir()


# --- Docker, Java, Maven, ports


def test_a_container_is_published_on_the_loopback_address_only() -> None:
    image = Image("mysql:9.7", {3306: 15000}, {"MYSQL_ALLOW_EMPTY_PASSWORD": "yes"}, ("--a=1",))
    assert docker.run_command(image) == [
        *("docker", "run", "--detach", "--label", "cdc.services=1"),
        *("--publish", "127.0.0.1:15000:3306"),
        *("--env", "MYSQL_ALLOW_EMPTY_PASSWORD=yes"),
        *("mysql:9.7", "--a=1"),
    ]


@pytest.fixture
def docker_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A docker command that notes its words and answers like an engine with a running server."""
    calls = tmp_path / "calls"
    command = tmp_path / "docker"
    command.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n'
        'case "$*" in\n'
        "  run*) echo 0123abcd;;\n"
        "  *Running*) echo true;;\n"
        "  *Paused*) echo false;;\n"
        "esac\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    docker.closed_because.cache_clear()
    yield calls
    docker.closed_because.cache_clear()


def test_a_container_is_stopped_started_and_removed_by_its_id(docker_calls: Path) -> None:
    container = Container.of(Image("kafka:1", {15001: 15001}))
    container.start()
    container.stop()
    container.start()
    container.kill()
    container.remove()
    words = [call.split() for call in docker_calls.read_text().splitlines()]
    acted = [call for call in words if call[0] in ("stop", "start", "kill", "rm")]
    assert [(call[0], call[-1]) for call in acted] == [
        ("stop", "0123abcd"),
        ("start", "0123abcd"),
        ("kill", "0123abcd"),
        ("rm", "0123abcd"),
    ]


def test_no_docker_command_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    docker.closed_because.cache_clear()
    assert docker.closed_because() == "there is no docker command on PATH"
    docker.closed_because.cache_clear()


def test_kafkas_settings_become_the_images_environment() -> None:
    env = kafka.image_env(kafka.properties(15001, 15002, host="0.0.0.0"))
    assert env["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert env["KAFKA_LISTENERS"] == "PLAINTEXT://0.0.0.0:15001,CONTROLLER://127.0.0.1:15002"
    assert env["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:15001"


@pytest.mark.parametrize(
    ("shown", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 8),
        ("something else", 0),
    ],
)
def test_the_version_of_java_is_read(shown: str, version: int) -> None:
    assert major_version(shown) == version


def test_the_project_file_names_each_artifact() -> None:
    text = maven.pom(["a.b:c:1", "d:e:2"])
    assert "<groupId>a.b</groupId><artifactId>c</artifactId><version>1</version>" in text
    assert text.count("<dependency>") == 2


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


# --- processes and what is remembered of them


def test_a_recycled_pid_is_never_signalled(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    recycled = Process(None, tmp_path / "log", ProcessId(sleeper.pid, "another time"))
    recycled.stop()
    recycled.kill()
    recycled.pause()
    assert not recycled.is_running()
    assert sleeper.poll() is None


def test_an_ended_process_has_no_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    assert start_time(sleeper.pid) is not None
    sleeper.kill()
    # Waits without taking note of the end: what is left is a zombie.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(sleeper.pid) is None
    sleeper.wait()
    assert start_time(sleeper.pid) is None


def test_a_process_is_stopped_by_what_the_state_file_says(tmp_path: Path) -> None:
    running = Process.of(launch(tmp_path, "exec sleep 60"))
    running.start()
    State.of("kafka", "127.0.0.1:9092", running, tmp_path).write(tmp_path)

    state = State.read("kafka", tmp_path)

    assert state is not None
    assert (state.port, state.pid) == (9092, running.pid)
    assert (tmp_path / "kafka.json").stat().st_mode & 0o077 == 0
    state.carrier().stop()
    assert not running.is_running()


def test_a_process_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS_MAX", 0.1)
    stubborn = Process.of(launch(tmp_path, "trap '' TERM; echo ready; exec sleep 60"))
    stubborn.start()
    eventually(lambda: "ready" in stubborn.log_tail())
    stubborn.stop()
    assert not stubborn.is_running()


def test_a_state_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "mysql.json").write_text("{}")
    with pytest.raises(ServiceFailed, match=r"mysql\.json"):
        State.read("mysql", tmp_path)
    assert State.read("kafka", tmp_path) is None


def test_the_port_is_found_in_every_form_of_address(tmp_path: Path) -> None:
    container = Container(None, "0123abcd")
    for url in (
        "127.0.0.1:15001",
        "mysql://root@127.0.0.1:15001",
        "http://127.0.0.1:15001/apis/ccompat/v7",
    ):
        assert State.of("any", url, container, tmp_path).port == 15001


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    dying = Process.of(launch(folder, "echo the disk is full; exit 3"))
    (port,) = free_ports(1)
    with pytest.raises(ServiceFailed, match="the disk is full"):
        KafkaServer(f"127.0.0.1:{port}", dying, folder).begin()
    assert State.read("kafka", tmp_path) is None


# --- finding, and what is said


def test_the_first_way_that_is_open_is_taken() -> None:
    def closed() -> str:
        raise WayClosed("no")

    def never() -> str:
        raise AssertionError("tried although another way was open")

    assert first_open("X", "CDC_X", [("a", closed), ("b", lambda: "b"), ("c", never)]) == "b"


def test_no_open_way_gives_the_reason_for_each() -> None:
    def closed(reason: str) -> str:
        raise WayClosed(reason)

    reasons = [("environment", lambda: closed("not set")), ("packages", lambda: closed("no mvn"))]
    with pytest.raises(ServiceUnavailable) as caught:
        first_open("Kafka", "CDC_KAFKA", reasons)
    said = str(caught.value)
    assert "environment: not set" in said
    assert "packages: no mvn" in said
    assert "set CDC_KAFKA" in said


def test_the_address_of_the_environment_must_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("CDC_KAFKA", f"127.0.0.1:{port}")
    monkeypatch.setattr(kafka, "ENVIRONMENT_SECONDS_MAX", 0.1)
    with pytest.raises(ServiceFailed, match=f"127.0.0.1:{port}"):
        find("kafka", tmp_path)


def test_a_server_of_the_environment_is_left_alone() -> None:
    theirs = KafkaServer("127.0.0.1:9092", None, None)
    theirs.stop()
    assert theirs.is_running()
    with pytest.raises(ServiceFailed, match="isn't ours"):
        theirs.kill()


def test_an_address_is_read_and_written_with_odd_characters() -> None:
    address = DatabaseAddress.parse("mysql://cdc:p%40ss%2F@db.example:3307", variable="CDC_MYSQL")
    assert address == DatabaseAddress("db.example", 3307, "cdc", "p@ss/")
    assert address.url("mysql") == "mysql://cdc:p%40ss%2F@db.example:3307"
    assert DatabaseAddress.parse("mysql://root@h", variable="X").port == 3306


@pytest.mark.parametrize("wrong", ["db.example:secret", "mysql://u:secret@h:port", "//:secret@h"])
def test_a_wrong_address_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(ServiceFailed) as caught:
        DatabaseAddress.parse(wrong, variable="CDC_MYSQL")
    assert "CDC_MYSQL=mysql://user:password@host:port" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_in_the_error_of_a_server_that_does_not_answer() -> None:
    (port,) = free_ports(1)
    server = MySQLServer(DatabaseAddress("127.0.0.1", port, "cdc", "secret"), None, None)
    with pytest.raises(ServiceFailed) as caught:
        server.wait_ready(0.1)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(server.address)


# --- the command


def test_an_unknown_kind_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["start", "oracle"])
    assert caught.value.code == 2
    assert "mysql, mariadb, mariadb11, kafka, registry" in capsys.readouterr().err


def test_stopping_an_empty_run_folder_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no servers here\n"


def test_the_password_of_the_environments_address_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDC_MYSQL", "mysql://cdc:s%40cret@127.0.0.1:15001")
    monkeypatch.setattr(MySQLServer, "refusal", lambda self: None)
    assert main(["start", "mysql", "--folder", str(tmp_path)]) == 0
    out, err = capfd.readouterr()
    assert "mysql://cdc:***@127.0.0.1:15001" in out
    assert "cret" not in out + err
