"""One small run, on which tests write shards of every kind without Beam."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from shards_fixtures import FORMATS, STAGES, Write, Written, map_here, settings_of
from small_corpus import run_small, write_corpus

from pipelines.mix.plan import Plan
from pipelines.mix.planning import open_plan
from pipelines.shards.job import ShardsJob
from pipelines.shards.writing import write_shards
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.workspace import Workspace

sys.path.append(str(Path(__file__).parents[1] / "mix"))  # label_workspace, for cut_workspace


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace `w`, `all.yaml` and `megatron.yaml`, which lacks what it cannot."""
    folder = tmp_path_factory.mktemp("shards")
    corpus = write_corpus(folder, shard_tokens=300, validation={"share": 0.2})
    result = run_small(corpus, str(folder / "w"), processes=1)
    assert not result.refused
    for name, stages in (
        ("all", STAGES),
        ("megatron", [stage for stage in STAGES if stage["shuffle"] != "global"]),
    ):
        mixture = {"name": name, "seed": 7, "stages": stages}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(mixture))
        open_plan(str(folder / "w"), str(folder / f"{name}.yaml"))
    return folder


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1))
    yield made
    made.close()


@pytest.fixture(scope="session")
def write(base: Path, children: Children) -> Write:
    """Writes the shards of all stages in a format, as the driver does, but without Beam."""

    def run(workspace: Workspace, format_name: str) -> tuple[Plan, list[ShardsJob]]:
        name = "megatron" if format_name == "megatron" else "all"
        _, record, plan = open_plan(workspace.url, str(base / f"{name}.yaml"))
        settings = settings_of(record, format_name)
        return plan, write_shards(workspace, plan, settings, map_here(workspace, children))

    return run


@pytest.fixture(scope="session")
def written(base: Path, write: Write) -> Written:
    """Format -> all its shards, in one workspace; not to be changed."""
    workspace = Workspace.open(str(base / "w"))
    return {name: (workspace, *write(workspace, name)) for name in FORMATS}


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Workspace:
    """A workspace to break, with plans and without shards of them."""
    shutil.copytree(base / "w", tmp_path / "w")
    for pattern in ("shards.*", "sealed.*", "scatter.*"):
        for folder in (tmp_path / "w" / "ledger").glob(pattern):
            shutil.rmtree(folder)
    return Workspace.open(str(tmp_path / "w"))
