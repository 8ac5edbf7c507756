"""What every registry promises: Confluent's API on a real registry, and the embedded one."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc.codec.keys import key_schema_id
from cdc.codec.registry_confluent import ConfluentRegistry
from cdc.codec.registry_embedded import EmbeddedRegistry
from cdc.errors import RegistryError, Unreachable
from cdc.log.embedded import EmbeddedLog
from cdc.ports import Registry
from tests.contract.registry_door import Certificate, Door, open_door

Open = Callable[[], Registry]


@pytest.fixture(params=["embedded", "confluent"])
def open_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the registry, as often as a test likes."""
    opened: list[Registry] = []
    url = request.getfixturevalue("registry_url") if request.param == "confluent" else ""

    def open_one() -> Registry:
        found: Registry = ConfluentRegistry(url) if url else EmbeddedRegistry(tmp_path / "log.db")
        opened.append(found)
        return found

    yield open_one
    for registry in opened:
        registry.close()


def new_subject() -> str:
    return f"shop.t{secrets.token_hex(5)}.orders-value"


def new_record(**more: Any) -> dict[str, Any]:
    """A record schema that no registry has seen, with all that could be lost on the way."""
    column: dict[str, Any] = {"type": "long", "connect.version": 1, "connect.default": 0}
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "int", "doc": "größe"},
        {"name": "first", "type": ["null", {"type": "record", "name": "Row", "fields": []}]},
        {"name": "again", "type": ["null", "Row"], "default": None},
        {"name": "ratio", "type": "double", "default": 1.0},
        {"name": "at", "type": {**column, "logicalType": "timestamp-millis"}, "default": 0},
    ]
    name = f"Order{secrets.token_hex(5)}"
    return {"type": "record", "name": name, "namespace": "shop", "fields": fields, **more}


def test_an_id_gives_back_the_same_json_value(open_registry: Open) -> None:
    schema = new_record(doc="with a doc", **{"connect.name": "shop.Envelope"})
    schema_id = open_registry().register(new_subject(), schema)
    assert open_registry().schema(schema_id) == schema


@pytest.mark.parametrize("schema", ["string", ["null", "long"]])
def test_a_schema_may_be_a_name_or_a_union(open_registry: Open, schema: Any) -> None:
    schema_id = open_registry().register(new_subject(), schema)
    assert open_registry().schema(schema_id) == schema


def test_an_id_fits_the_four_bytes_of_the_frame(open_registry: Open) -> None:
    assert 0 < open_registry().register(new_subject(), new_record()) < 2**31


def test_the_same_schema_gets_the_same_id_under_any_subject(open_registry: Open) -> None:
    registry, schema = open_registry(), new_record()
    subject = new_subject()
    first = registry.register(subject, schema)
    assert registry.register(subject, schema) == first
    assert registry.register(new_subject(), schema) == first
    reordered = dict(reversed(schema.items()))
    assert open_registry().register(subject, reordered) == first
    assert open_registry().versions(subject) == [first]


def test_schemas_that_differ_in_a_default_or_an_attribute_are_different(
    open_registry: Open,
) -> None:
    registry, subject = open_registry(), new_subject()
    schema = new_record()
    defaulted, named = json.loads(json.dumps(schema)), {**schema, "connect.name": "x"}
    defaulted["fields"][3]["default"] = 2.0
    ids = [registry.register(subject, found) for found in (schema, defaulted, named)]
    assert len(set(ids)) == 3
    assert [open_registry().schema(found) for found in ids] == [schema, defaulted, named]
    assert registry.versions(subject) == ids


def test_subjects_are_listed_with_their_versions_oldest_first(open_registry: Open) -> None:
    registry, subject = open_registry(), new_subject()
    assert subject not in registry.subjects()
    assert registry.versions(subject) == []
    ids = [registry.register(subject, new_record()) for _ in range(12)]
    assert subject in registry.subjects()
    assert open_registry().versions(subject) == ids


def test_an_unknown_id_is_refused_by_name(open_registry: Open) -> None:
    with pytest.raises(RegistryError, match="1999999999"):
        open_registry().schema(1999999999)


def key_schema(decoration: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """A key as capture makes it; `decoration` is what may become known of a column any time."""
    labels = {"connect.parameters": {"allowed": "a,b"}, "connect.name": "io.debezium.data.Enum"}
    number: dict[str, Any] = {"name": "id", "type": "int"}
    if decoration:
        default = decoration["connect.default"]
        number = {"name": "id", "type": {"type": "int", **decoration}, "default": default}
    fields = [
        number,
        {"name": "size", "type": {"type": "string", "connect.version": 1, **labels}},
        {"name": "at", "type": {"type": "long", "connect.name": "io.debezium.time.Timestamp"}},
    ]
    return {"type": "record", "name": "Key", "namespace": subject[:-6], "fields": fields}


@pytest.mark.parametrize("is_known_first", [True, False])
def test_a_keys_id_is_the_same_after_a_restart_whatever_is_known_by_then(
    open_registry: Open, is_known_first: bool
) -> None:
    subject = new_subject()
    plain = key_schema({}, subject)
    known = key_schema({"connect.default": 7, "connect.doc": "the number"}, subject)
    first, second = (known, plain) if is_known_first else (plain, known)
    key_id = key_schema_id(open_registry(), subject, first)
    assert key_schema_id(open_registry(), subject, second) == key_id
    assert key_schema_id(open_registry(), subject, first) == key_id
    assert open_registry().versions(subject) == [key_id]


def test_a_keys_earlier_encoding_has_its_earlier_id_after_a_restart(open_registry: Open) -> None:
    subject = new_subject()
    narrow, wide = key_schema({}, subject), key_schema({}, subject)
    wide["fields"][0]["type"] = "long"
    ids = [key_schema_id(open_registry(), subject, one) for one in (narrow, wide, narrow, wide)]
    assert ids[:2] == ids[2:]
    assert open_registry().versions(subject) == ids[:2]


# The embedded registry's file


def test_the_embedded_registry_lives_in_the_log_s_file(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    registry = EmbeddedRegistry(tmp_path / "log.db")
    schema_id = registry.register("s", "string")
    registry.close()
    log.close()
    again = EmbeddedRegistry(tmp_path / "log.db")
    assert again.schema(schema_id) == "string"
    again.close()


# Confluent's API: logins, and registries that refuse or are away


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_registry_behind_basic_authentication_is_used(registry_url: str) -> None:
    with open_door(Door(registry_url, authorization=basic("ann", "pass:word"))) as door:
        registry = ConfluentRegistry(door.url, user="ann", password="pass:word")
        assert registry.schema(registry.register(new_subject(), "string")) == "string"
        registry.close()


def test_a_registry_behind_a_bearer_token_is_used(registry_url: str) -> None:
    with open_door(Door(registry_url, authorization="Bearer t0ken")) as door:
        registry = ConfluentRegistry(door.url, bearer_token="t0ken")
        assert registry.schema(registry.register(new_subject(), "string")) == "string"
        registry.close()


def test_a_registry_behind_tls_client_authentication_is_used(
    registry_url: str, tmp_path: Path
) -> None:
    server, client = (Certificate.made(tmp_path, name) for name in ("server", "client"))
    with open_door(Door(registry_url), tls=server.asking_for(client)) as door:
        registry = ConfluentRegistry(
            door.url,
            ca_file=server.certificate_file,
            certificate_file=client.certificate_file,
            key_file=client.key_file,
        )
        assert registry.schema(registry.register(new_subject(), "string")) == "string"
        registry.close()
        stranger = ConfluentRegistry(door.url, ca_file=server.certificate_file)
        with pytest.raises(Unreachable):
            stranger.subjects()
        stranger.close()


@pytest.mark.parametrize("login", [{}, {"user": "ann", "password": "hunter2"}])
def test_a_wrong_login_says_what_to_check_and_shows_no_password(
    registry_url: str, login: dict[str, str]
) -> None:
    with open_door(Door(registry_url, authorization=basic("ann", "right"))) as door:
        registry = ConfluentRegistry(door.url, **login)  # type: ignore[arg-type]
        with pytest.raises(RegistryError, match="401") as raised:
            registry.register(new_subject(), "string")
        assert "password" in raised.value.hint
        assert "hunter2" not in str(raised.value)
        registry.close()


def test_a_login_in_the_url_is_used_and_not_shown(registry_url: str) -> None:
    with open_door(Door(registry_url, authorization=basic("ann", "right"))) as door:
        registry = ConfluentRegistry(door.url.replace("//", "//ann:right@"))
        assert isinstance(registry.subjects(), list)
        registry.close()
    with pytest.raises(Unreachable) as raised:
        ConfluentRegistry("http://ann:hunter2@127.0.0.1:1").subjects()
    assert "hunter2" not in str(raised.value)


def test_a_registry_that_is_not_there_may_be_tried_again() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        ConfluentRegistry("http://127.0.0.1:1").register("s", "string")


@pytest.mark.parametrize("status", [500, 503])
def test_a_registry_that_fails_may_be_tried_again(registry_url: str, status: int) -> None:
    door = Door(registry_url, answer=(status, '{"error_code": 50001, "message": "store"}'))
    with open_door(door):
        registry = ConfluentRegistry(door.url)
        with pytest.raises(Unreachable, match="store"):
            registry.schema(1)
        door.answer = None
        assert registry.register(new_subject(), "string") > 0
        registry.close()


def test_a_registry_that_doesn_t_answer_is_given_up_within_the_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = ConfluentRegistry(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=1
        )
        with pytest.raises(Unreachable, match="Timeout"):
            registry.subjects()
        registry.close()


@pytest.mark.parametrize("answer", [(200, "<html>hello</html>"), (404, "<html>no</html>")])
def test_what_is_no_registry_is_told_from_one(registry_url: str, answer: tuple[int, str]) -> None:
    with open_door(Door(registry_url, answer=answer)) as door:
        registry = ConfluentRegistry(door.url)
        for call in (registry.subjects, lambda: registry.register("s", "string")):
            with pytest.raises(RegistryError) as raised:
                call()
            assert "/apis/ccompat/v7" in raised.value.hint
        registry.close()


def test_an_incompatible_schema_is_refused_with_the_registry_s_reason(registry_url: str) -> None:
    subject = new_subject()
    request = urllib.request.Request(
        f"{registry_url}/config/{subject}",
        data=b'{"compatibility": "BACKWARD"}',
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    registry = ConfluentRegistry(registry_url)
    schema = new_record()
    registry.register(subject, schema)
    urllib.request.urlopen(request, timeout=10).close()
    added = {"name": "added_without_default", "type": "int"}
    with pytest.raises(RegistryError, match="409") as raised:
        registry.register(subject, {**schema, "fields": [*schema["fields"], added]})
    assert "compatibility" in raised.value.hint
    registry.close()


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="certificate"):
        ConfluentRegistry("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem")
