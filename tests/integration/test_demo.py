"""`cdc demo` shows the pipeline, and succeeds only if the view is equal to the tables."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cdc.demo import comparison, playback, server
from cdc.demo.shop import DATABASE
from cdc.demo.show import demonstrate
from cdc.services import MySQLServer, Server, ServiceUnavailable

COMMAND = [sys.executable, "-c", "from cdc.cli import main; main()", "demo"]
SECONDS_MAX = 120.0
EQUAL = "equal: all"
EACH = "change events, one for each row"


def test_on_a_server_of_its_own_the_view_is_equal_to_the_tables(
    tmp_path: Path, mysql_server: MySQLServer
) -> None:
    # The shared server shows that one can be had; the demonstration starts another.
    ended = demo(tmp_path, CDC_MYSQL="")

    assert ended.returncode == 0, ended.stderr
    assert EQUAL in ended.stdout
    assert EACH in ended.stdout
    assert "OrderPlaced" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert not (tmp_path / ".demo" / "mysql.json").exists()


def test_kept_running_on_the_users_server_it_ends_at_ctrl_c_and_leaves_nothing_there(
    tmp_path: Path, mysql_server: MySQLServer
) -> None:
    before = databases_and_users(mysql_server)
    running = subprocess.Popen(
        [*COMMAND, "--keep"],
        cwd=tmp_path,
        env=environment(tmp_path, CDC_MYSQL=mysql_server.url, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with expiring(running):
            assert running.stdout is not None
            said = []
            while (line := running.stdout.readline()) not in ("Ctrl-C ends it.\n", ""):
                said.append(line)
            assert EQUAL in "".join(said), said
            assert EACH in "".join(said)
            assert len(databases_and_users(mysql_server)) == len(before) + 2
            running.send_signal(signal.SIGINT)
            rest = running.stdout.read()
            assert running.wait() == 0, rest
    finally:
        running.kill()
        running.wait()

    assert databases_and_users(mysql_server) == before


def test_a_database_of_the_same_name_is_refused_with_the_way_out(
    tmp_path: Path, mysql_server: MySQLServer
) -> None:
    with mysql_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"create database {DATABASE}")
        try:
            ended = demo(tmp_path, CDC_MYSQL=mysql_server.url)
            cursor.execute(f"show databases like '{DATABASE}'")
            assert cursor.fetchall()
        finally:
            cursor.execute(f"drop database {DATABASE}")

    assert ended.returncode == 1
    assert f"DROP DATABASE {DATABASE};" in ended.stderr


def test_without_a_server_the_recorded_binlog_is_played_and_compared(tmp_path: Path) -> None:
    ended = demo(tmp_path, "--recorded")

    assert ended.returncode == 0, ended.stderr
    assert "RECORDED" in ended.stdout
    assert EQUAL in ended.stdout
    assert EACH in ended.stdout


def test_where_no_mysql_can_be_had_it_says_why_and_plays_the_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(kind: str, folder: Path) -> Server:
        raise ServiceUnavailable("looked for MySQL 9.7 and found none", hint="set CDC_MYSQL")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "find", none)

    assert demonstrate(environment(tmp_path), keep=False) == 0

    out = capsys.readouterr().out
    assert "set CDC_MYSQL" in out
    assert "no MySQL can be had here" in out
    assert EQUAL in out
    assert EACH in out


def test_a_view_that_differs_is_shown_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tampered(path: Path) -> comparison.Rows:
        with closing(sqlite3.connect(path)) as connection, connection:
            ((first, last),) = connection.execute(
                "select min(order_id), max(order_id) from order_overview"
            )
            connection.execute(
                "update order_overview set total = '0.01' where order_id = ?", (first,)
            )
            connection.execute("delete from order_overview where order_id = ?", (last,))
        return comparison.view_rows(path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(playback, "view_rows", tampered)

    assert demonstrate(environment(tmp_path), keep=False, recorded=True) == 1

    out = capsys.readouterr().out
    assert "NOT equal: 2 rows differ" in out
    assert "total '0.01'" in out
    assert "no such row" in out


def demo(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a folder, its output piped."""
    return subprocess.run(
        [*COMMAND, *options],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(folder / "run"), **variables}


@contextmanager
def expiring(process: subprocess.Popen[str]) -> Iterator[None]:
    """The process is killed when the block takes too long, so that reading from it ends."""
    timer = threading.Timer(SECONDS_MAX, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def databases_and_users(mysql_server: MySQLServer) -> set[str]:
    with mysql_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select schema_name from information_schema.schemata"
            f" where schema_name = '{DATABASE}'"
            " union select user from mysql.user where user like 'cdc\\_demo\\_%'"
        )
        return {name for (name,) in cursor.fetchall()}
