"""Invariant 9: values from the environment, from files and of secret fields are never shown."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.settings import parse_settings
from cdc.config import ConfigFaults, load, load_file

# Every kind of place a placeholder can be in, most of them wrong for most values.
TEMPLATE = """\
connector: {0}
source:
  host: {0}
  port: {0}
  user: {0}
  password: {0}
  server_id: {0}
  tables: [shop.orders, {0}]
  start: {0}
  heartbeat_seconds: {0}
  accept: [{0}]
  tls: {{mode: {0}, ca: {0}}}
log:
  kind: kafka
  bootstrap_servers: {0}
  options: {{sasl.password: {0}, linger: [{0}]}}
registry: {{url: {0}, auth: {{user: {0}, token: {0}}}}}
topics:
  changes: {{partitions: {0}, retention: {0}, compacted: {0}}}
  overrides: {0}
change_events: {{any: {0}}}
streams:
  - stream: {0}
    major: {0}
    key: {0}
    events:
      - {{event: {0}, from: {0}, on: {0}, when: {{a: {{to: [{0}], changed: {0}}}}}, fields: {{a: {{b: {0}}}}}}}
      - {0}
  - {0}
views:
  - {{view: {0}, store: {{kind: {0}, path: {0}}}, topic: {0}, key: {0}, events: {0}}}
schemas: {0}
http: {{host: {0}, port: {0}}}
delivery: {0}
limits: {{batch_rows_max: {0}, unknown: {0}}}
"""  # noqa: E501  # one line per kind of place

# Letters that are in no word of ours, so that finding the secret means that it leaked.
LETTERS = "qxzQXZ0189ÄßЖ漢 _-.:/@'\"\\\n\t${}[]#&*!%"
SECRETS = st.text(LETTERS, min_size=4, max_size=30).map(lambda text: f"Zq7{text}7qZ")
PLACEHOLDERS = st.sampled_from(["'${SECRET}'", "'a${SECRET}b'", "'${file:secret}'"])


def messages(text: str, secret: str) -> str:
    """All that a user could see of a file that is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secret").write_text(secret, newline="")
        path = folder / "shop.yaml"
        path.write_text(text)
        with pytest.raises(ConfigFaults) as caught:
            load(
                path,
                {"SECRET": secret},
                validators={"change_events": lambda m: [("any", f"is {m['any']!r}, {m['any']}")]},
            )
        error = caught.value
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        return f"{error}\n{error!r}\n{error.faults!r}".replace(name, "")


@given(SECRETS, PLACEHOLDERS)
def test_no_message_holds_a_value_from_outside_the_file(secret: str, placeholder: str) -> None:
    text = messages(TEMPLATE.format(placeholder), secret)
    for form in (secret, repr(secret)[1:-1], secret.lower(), secret[:8]):
        assert form not in text
    assert "SECRET" in text or "file:secret" in text


@given(SECRETS, PLACEHOLDERS)
def test_unquoted_placeholders_are_kept_back_too(secret: str, placeholder: str) -> None:
    bare = placeholder.strip("'")
    lines = TEMPLATE.format(placeholder).splitlines()
    text = "\n".join(
        line.replace(placeholder, bare) if "{" not in line.replace(placeholder, "") else line
        for line in lines
    )
    assert secret[:8] not in messages(text, secret)


LITERAL = """\
connector: shop
source: {{user: u, tables: [a.b], password: [{0}], port: x}}
log: {{kind: kafka, bootstrap_servers: a, options: {{sasl.password: [{0}], any: {{a: {0}}}}}}}
registry: {{url: "http://me:Zq7hunter7qZ@r", auth: {{password: [{0}], token: {{x: {0}}}}}, tls: {{key: [{0}]}}}}
change_events: {{any: 1, token: {0}}}
"""  # noqa: E501  # one line per section


@given(st.text("abcXYZ019", min_size=4, max_size=20).map(lambda text: f"Zq7{text}7qZ"))
def test_no_message_holds_a_secret_that_is_written_in_the_file(secret: str) -> None:
    text = messages(LITERAL.format(secret), "other-secret")
    assert secret not in text
    assert "Zq7hunter7qZ" not in text


@pytest.mark.parametrize("text", ["*{0}", '"\\{0}', "!{0} x", "{{a: {0}", "&{0} [", "%{0}", "@{0}"])
def test_a_syntax_error_quotes_no_secret(text: str) -> None:
    wrong = "source:\n  password: " + text.format("Zq7hunter7qZ") + "\n  user: [\n"
    assert "Zq7hunter" not in messages(wrong, "other-secret")


def test_a_near_miss_of_a_secret_is_not_told(tmp_path: Path) -> None:
    """A value that is nearly right would be given away by the name that it is near to."""
    path = tmp_path / "shop.yaml"
    path.write_text("connector: shop\ndelivery: ${SECRET}\n")
    with pytest.raises(ConfigFaults) as caught:
        load(path, {"SECRET": "exactly_onse"})
    assert str(caught.value).endswith(
        '2: delivery: found "${SECRET}"; allowed: exactly_once, at_least_once'
    )


@pytest.mark.parametrize(
    ("text", "shown"), [("hunter2", "***"), ("${P:hunter2}", "${P}"), ("a${P:hunter2}", "***")]
)
def test_a_secret_and_its_default_are_shown_as_stars_or_by_name(
    text: str, shown: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "connector: shop\n"
        "registry: {url: http://r}\n"
        "log:\n  kind: kafka\n  bootstrap_servers: k\n"
        f"  options: {text}\n"
    )
    with pytest.raises(ConfigFaults) as caught:
        load(path, {})
    fault = caught.value.faults[0]
    assert str(fault) == f"{path}:6: log.options: found {shown}; allowed: a mapping"


def test_a_validator_that_quotes_a_value_with_escapes_gives_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("connector: shop\nchange_events: {a: '${S}'}\n")
    with pytest.raises(ConfigFaults) as caught:
        load(
            path,
            {"S": "hun\\ter\n2"},
            validators={"change_events": lambda m: [("a", f"is {m['a']!r}")]},
        )
    assert str(caught.value.faults[0]) == f"{path}:2: change_events.a: is '${{S}}'"


def test_a_value_of_few_letters_is_replaced_only_where_it_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("connector: shop\nchange_events: {a: '${S}'}\n")
    with pytest.raises(ConfigFaults) as caught:
        load(path, {"S": "is"}, validators={"change_events": lambda m: [("a", "this is 'is'")]})
    assert caught.value.faults[0].text == "this ${S} '${S}'"


def test_no_repr_of_a_configuration_holds_a_value(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "connector: shop\n"
        "source: {user: '${S}', host: '${S}', password: '${S}', tables: ['${S}.a']}\n"
        "log: {kind: kafka, bootstrap_servers: '${S}', options: {sasl.password: '${S}'}}\n"
        "registry: {url: 'http://${S}', auth: {user: '${S}', password: '${S}'}}\n"
    )
    file = load_file(path, {"S": "hunter2"})
    config = file.config
    shown = [config, config.source, config.log, config.registry, [config], {"c": config.source}]
    for thing in [*shown, file]:
        assert "hunter2" not in repr(thing) + str(thing) + f"{thing}"
    assert repr(config.source) == "ServerSource(host, password, tables, user)"


@pytest.mark.parametrize("columns", ["a(", ".*pin"])
def test_the_salt_of_a_mask_comes_from_the_environment_and_is_shown_nowhere(
    tmp_path: Path, columns: str
) -> None:
    path = tmp_path / "shop.yaml"
    option = f'{{column.mask.hash.v2.MD5: {{salt: "${{SALT}}", columns: "{columns}"}}}}'
    path.write_text(f"connector: shop\nchange_events: {option}\n")
    validators = {"change_events": lambda section: parse_settings(section)[1]}
    try:
        config = load(path, {"SALT": "hush"}, validators=validators)
    except ConfigFaults as faults:
        assert "hush" not in str(faults)
        assert columns == "a("
    else:
        settings, _ = parse_settings(config.change_events)
        assert settings.columns.masks[0].salt == "hush"
        assert columns == ".*pin"
