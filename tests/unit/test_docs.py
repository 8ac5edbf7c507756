"""What the documentation shows can be used as it stands."""

import re
from pathlib import Path

import pytest

from cdc.capture.settings import parse_settings
from cdc.config import load

PROJECT = Path(__file__).parent.parent.parent
PAGES = [PROJECT / "README.md", PROJECT / "docs" / "configuration.md"]
ENVIRONMENT = {"SHOP_DB_PASSWORD": "secret"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


YAML = [(page.name, text) for page in PAGES for text in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "text"), YAML, ids=[f"{p}-{i}" for i, (p, _) in enumerate(YAML)])
def test_every_connector_file_in_the_documentation_loads(page, text, tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(text)

    config = load(
        file, ENVIRONMENT, validators={"change_events": lambda section: parse_settings(section)[1]}
    )

    assert config.connector == "shop"
    assert "capture" in config.stages


def test_the_pages_have_the_connector_files_that_these_tests_are_about():
    assert len(blocks(PAGES[0], "yaml")) == 1
    assert len(blocks(PAGES[1], "yaml")) == 2


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"):
        shown = "\n".join(blocks(page, "sh"))
        named = set(re.findall(r"^make ([a-z-]+)", shown, re.MULTILINE))
        assert named, page.name
        assert named <= targets, page.name


def test_every_command_in_the_readme_exists():
    from cdc.cli import cli

    named = set(re.findall(r"`?\bcdc ([a-z]+)\b(?= |`)", PAGES[0].read_text()))
    commands = {name for name in named if name in cli.commands}
    assert {"demo", "check", "run", "decode", "describe", "tail", "status"} <= commands
