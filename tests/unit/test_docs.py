"""What the documentation shows can be used as it stands."""

import re
from pathlib import Path

import pytest

from cdc.capture.settings import OPTIONS, parse_settings
from cdc.config import load
from cdc.reference.tables import SETTINGS_KNOWN

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


def test_the_page_of_the_reference_reader_names_every_setting_that_it_follows():
    text = (PROJECT / "docs" / "reference-reader.md").read_text()
    _, _, about = text.partition("other than these")
    known = {name for name in OPTIONS if name.replace(".", "_") in SETTINGS_KNOWN}

    assert len(known) == len(SETTINGS_KNOWN)
    assert set(re.findall(r"`([a-z.]+)`", about)) == known


def test_every_decision_has_its_number():
    for page in (PROJECT / "docs" / "decisions").glob("*.md"):
        assert page.read_text().startswith(f"# {int(page.name[:4])}. "), page.name


def test_every_page_that_the_code_names_exists():
    for file in (PROJECT / "cdc").rglob("*.py"):
        for named in re.findall(r"docs/[\w/.-]+\.md", file.read_text()):
            assert (PROJECT / named).exists(), f"{file.name} names {named}"
