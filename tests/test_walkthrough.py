"""The documents are run: their files are written and their commands typed, in order."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WALKED = ("tutorial", "corpus", "extract", "duplicates", "mixture", "shards", "annotator")
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps(document: str) -> Iterator[tuple[str, str]]:
    """(file, its content) or ("$", command) in the order of the document."""
    for kind, file, body in BLOCK.findall((ROOT / "docs" / f"{document}.md").read_text()):
        if file:
            yield file, body
        elif kind == "console":
            for line in body.splitlines():
                if line.startswith("$ "):
                    yield "$", line.removeprefix("$ ")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.parametrize("document", WALKED)
def test_every_command_of_the_document_works(document: str, checkout: Path) -> None:
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = 0
    for what, content in steps(document):
        if what != "$":
            (checkout / what).parent.mkdir(parents=True, exist_ok=True)
            (checkout / what).write_text(content, encoding="utf-8")
            continue
        ended = subprocess.run(
            ["bash", "-c", content],
            cwd=checkout,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert ended.returncode == 0, f"$ {content}\n{ended.stdout}"
        done += 1
    assert done
