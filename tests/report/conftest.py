"""One finished run with every kind of label, and a copy with a crawl and near duplicates."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # children import the annotators by name

from labelled_corpus import add_crawl, add_near_duplicates, write_labelled_corpus
from small_corpus import run_small

from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """As the driver left it."""
    corpus = write_labelled_corpus(tmp_path_factory.mktemp("labelled"))
    url = str(tmp_path_factory.mktemp("run") / "w")
    run_small(corpus, url, processes=1)
    return Workspace.open(url)


@pytest.fixture(scope="session")
def rich(labelled: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With a crawl, and with near duplicates in place of exact ones."""
    url = tmp_path_factory.mktemp("rich") / "w"
    shutil.copytree(labelled.url, url)
    workspace = Workspace.open(str(url))
    add_crawl(workspace)
    add_near_duplicates(workspace)
    return workspace


@pytest.fixture
def copy(rich: Workspace, tmp_path: Path) -> Workspace:
    """A copy that a test may break."""
    shutil.copytree(rich.url, tmp_path / "w", copy_function=shutil.copy2)
    return Workspace.open(str(tmp_path / "w"))
