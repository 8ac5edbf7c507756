"""`make asan` says that nothing was found only where something ran."""

from __future__ import annotations

import sys

import pytest

from tests.fuzz import sanitized


def test_without_the_sanitizer_it_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sanitized"])
    monkeypatch.setattr(sanitized, "library_of", lambda name: "")
    assert sanitized.main() == 1
    assert "nothing was run" in capsys.readouterr().err
