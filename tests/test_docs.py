"""What the documents say can be typed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mixtures.spec import Mixture
from mixtures.weighting import Parameters
from pipelines.cli import COMMANDS
from pipelines.config import CorpusConfig
from pipelines.launch.model_file import Model
from pipelines.launch.models import find_model

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.name, body)
        for path in DOCUMENTS
        for kind, body in BLOCK.findall(path.read_text())
        if kind == language
    ]


# What the map says of a workspace is no path of the project.
IN_A_WORKSPACE = ("documents/", "labels/", "rejects/", "ledger/", "leases/")
# Of Beam and its runners, which `run` hands on.
OPTIONS = (
    "--job_endpoint",
    "--environment_type",
    "--environment_config",
    "--spark_master_url",
    "--flink_master",
    "--flink_version",
    "--parallelism",
    "--project",
    "--region",
    "--temp_location",
    "--staging_location",
    "--sdk_container_image",
)


def commands() -> list[tuple[str, str]]:
    """(document, command line) of every tokenmill command in a console block."""
    return [
        (name, line.removeprefix("$ "))
        for name, body in blocks("console")
        for line in body.splitlines()
        if line.removeprefix("$ ").startswith("tokenmill ")
    ]


def help_of(*names: str) -> str:
    code = "from pipelines.cli import main; main()"
    return subprocess.check_output(
        [sys.executable, "-c", code, *names, "--help"], text=True, cwd=ROOT
    )


@pytest.mark.parametrize(("document", "line"), commands())
def test_command_in_a_document_exists_with_its_options(document: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words == ["--help"]:
        return
    assert words[0] in COMMANDS, f"{document}: {line}"
    names = words[:2] if words[0] in ("train", "evaluate", "explain") else words[:1]
    known = help_of(*names)
    for word in words:
        option = word.split("=")[0]
        # Options of Beam pass through `run`.
        beam = option == "--runner" or option in OPTIONS
        if option.startswith("--") and not (beam and words[0] == "run"):
            assert option in known, f"{document}: {line}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"tokenmill {command}" in (ROOT / "README.md").read_text()


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= targets <= made


def test_yaml_in_the_documents_is_accepted() -> None:
    found = [yaml.safe_load(body) for _, body in blocks("yaml")]
    assert found
    for written in found:
        if "scores" in written:
            Parameters.model_validate(written)
        elif "base" in written:
            Model.model_validate(find_model(written["base"]).model_dump() | written)
        else:
            (Mixture if "stages" in written else CorpusConfig).model_validate(written)


def test_paths_in_the_map_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in re.findall(r"`([\w./-]+/|[\w./-]+\.(?:py|yaml|md))`", text):
        if "/" in path and not path.startswith(IN_A_WORKSPACE):
            assert list(ROOT.glob(path)) or (ROOT / path).exists(), path
