"""The demonstration's folder is fresh each time, and never takes what isn't its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config import FileSource, load
from cdc.demo.folder import demo_folder
from cdc.demo.playback import read_from_file
from cdc.errors import CdcError


def test_it_holds_the_examples_files_and_nothing_of_an_earlier_run(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as folder:
        left = folder.path / "data" / "left.db"
        left.parent.mkdir()
        left.touch()

    with demo_folder(tmp_path) as folder:
        assert not left.exists()
        config = load(folder.connector_file, {})
        assert config.stages == ("capture", "translate", "views")
        assert (config.schemas / "orders" / "v1" / "OrderPlaced.avsc").is_file()


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    precious = tmp_path / ".demo" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")

    with pytest.raises(CdcError, match="holds something else"), demo_folder(tmp_path):
        pass

    assert precious.read_text() == "years of work"


def test_two_demonstrations_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        demo_folder(tmp_path),
        pytest.raises(CdcError, match="another demonstration runs"),
        demo_folder(tmp_path),
    ):
        pass


def test_the_environment_file_is_its_owners_alone(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as folder:
        folder.write_environment({"SHOP_DB_PASSWORD": "it's"})

        assert folder.environment_file.stat().st_mode & 0o777 == 0o600
        assert folder.environment_file.read_text() == "export SHOP_DB_PASSWORD='it'\"'\"'s'\n"


def test_the_recorded_form_differs_from_the_example_in_its_source_alone(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as folder:
        live = load(folder.connector_file, {})
        read_from_file(folder.connector_file, "../recorded/shop.binlog")
        recorded = load(folder.connector_file, {})

    assert isinstance(recorded.source, FileSource)
    assert live.source is not None
    assert recorded.source.tables == live.source.tables
    assert (recorded.streams, recorded.views) == (live.streams, live.views)
