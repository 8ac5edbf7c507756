"""Jars and archives by Maven, into a folder of the cache."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from cdc.services.command import run
from cdc.services.ways import WayClosed

DOWNLOAD_SECONDS_MAX = 900.0

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <dependencies>{dependencies}
  </dependencies>
</project>
"""
DEPENDENCY = """
    <dependency>
      <groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version>
    </dependency>"""


def jars(artifacts: Sequence[str], folder: Path) -> None:
    """Fetches `group:artifact:version` each, with all that they need, into the folder."""
    _mvn(
        artifacts,
        ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
        folder=folder,
    )


def archive(artifact: str, folder: Path) -> Path:
    """Fetches one `group:artifact:version:type:classifier` into the folder; its path."""
    _mvn([], ["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"], folder)
    (fetched,) = (path for path in folder.iterdir() if path.name != "pom.xml")
    return fetched


def pom(artifacts: Sequence[str]) -> str:
    """A project file that depends on the artifacts."""
    listed = "".join(DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts)
    return POM.format(dependencies=listed)


def need_mvn() -> None:
    """WayClosed if Maven isn't here."""
    if shutil.which("mvn") is None:
        raise WayClosed("there is no mvn on PATH (Maven fetches it)")


def _mvn(artifacts: Sequence[str], goal: Sequence[str], folder: Path) -> None:
    need_mvn()
    folder.mkdir(parents=True, exist_ok=True)
    project = folder / "pom.xml"
    project.write_text(pom(artifacts))
    run(
        ["mvn", "-q", "-B", "-f", str(project), *goal],
        doing="downloading with Maven",
        seconds_max=DOWNLOAD_SECONDS_MAX,
    )
