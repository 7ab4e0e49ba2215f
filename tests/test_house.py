"""The rules of the house that a reader relies on, held by the syntax trees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = {
    "pipelines": ROOT,
    "annotators": ROOT,
    "mixtures": ROOT,
    "token_shards": ROOT / "tokenize",
}
OURS = set(SOURCE_ROOTS)


def modules() -> Iterator[Path]:
    for package, root in SOURCE_ROOTS.items():
        yield from sorted((root / package).rglob("*.py"))


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Names of modules that a module imports, also inside functions unless told otherwise."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def test_beam_is_imported_only_where_pipelines_are_built() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(name.split(".")[0] == "apache_beam" for name in imports(path))
    }
    assert users == {
        "pipelines/dataflow/transform.py",
        "pipelines/deduplicate/transform.py",
        "pipelines/mix/transform.py",
        "pipelines/models/transform.py",
        "pipelines/near_duplicates/sweep/transform.py",
        "pipelines/near_duplicates/transform.py",
        "pipelines/repeats/transform.py",
        "pipelines/run.py",
        "pipelines/worker_boot.py",
        "pipelines/workspace/transform.py",
    }


@pytest.mark.parametrize("leaf", ["annotators", "mixtures", "token_shards"])
def test_leaves_know_neither_each_other_nor_the_pipelines(leaf: str) -> None:
    for path in (SOURCE_ROOTS[leaf] / leaf).rglob("*.py"):
        foreign = {name.split(".")[0] for name in imports(path)} & (OURS - {leaf})
        assert not foreign, f"{path} imports {foreign}"


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "util", "common", "helpers", "core", "misc"}
    assert (ROOT / "pipelines" / "__init__.py").read_text() == ""


def test_modules_are_under_500_lines_with_a_docstring() -> None:
    for path in modules():
        text = path.read_text()
        assert text.count("\n") < 500, path
        if path.name != "__init__.py":
            assert ast.get_docstring(ast.parse(text)), path


def test_root_does_not_shadow_the_standard_library() -> None:
    """A fresh interpreter started in the root, as Beam starts its workers."""
    found = subprocess.check_output(
        [sys.executable, "-c", "import tokenize; print(tokenize.__file__)"], cwd=ROOT, text=True
    )
    assert ROOT not in Path(found.strip()).parents


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys; import pipelines.cli; pipelines.cli.build_app('run'); "
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    heavy = {"apache_beam", "pyarrow", "fasttext", "numba", "duckdb", "trafilatura", "numpy"}
    assert not heavy & set(ast.literal_eval(loaded))
