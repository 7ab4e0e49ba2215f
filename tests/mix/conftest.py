"""One workspace of labels and one plan of it, for tests that only look or that copy."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from label_workspace import STAGES, TOKENIZER, make_plan, mixture_of, write_labels

from mixtures.spec import Mixture
from pipelines.mix.plan import Plan
from pipelines.workspace.workspace import Workspace


@pytest.fixture
def tokenizer() -> str:
    return TOKENIZER


@pytest.fixture(scope="session")
def mixture() -> Mixture:
    return mixture_of(*STAGES)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Labels without a plan; not to be written to."""
    return write_labels(str(tmp_path_factory.mktemp("labelled") / "w"))


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory, mixture: Mixture) -> tuple[Workspace, Plan]:
    """Labels and a plan; not to be written to."""
    workspace = write_labels(str(tmp_path_factory.mktemp("planned") / "w"))
    return workspace, make_plan(workspace, mixture)
