"""One corpus of two sources in four scripts: run without validation, then with it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parent))  # test modules that others import by name

from declarations import DECLARATIONS, SHARE, edited, numbered
from small_corpus import run_small

from pipelines.driver import RunResult
from token_shards.training import train_tokenizer

LICENCE = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")


def write_corpus(folder: Path, *, held_out: bool) -> Path:
    """Writes the texts and a corpus.yaml; gives the path of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, str]]] = {"first": [], "second": []}
    for language in DECLARATIONS:
        for what, text in edited(language).items():
            source = "first" if what in ("held out", "unrelated") else "second"
            rows[source].append({"text": text, "url": f"https://un.test/{language}/{what}"})
    page = LICENCE[3000:6500]
    rows["second"].append({"text": numbered(page, held_out=False), "url": "https://un.test/page"})
    rows["first"].append({"text": numbered(LICENCE, held_out=True), "url": "https://un.test/whole"})
    for source, lines in rows.items():
        (folder / source).mkdir(exist_ok=True)
        written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / source / "texts.jsonl").write_text(written, encoding="utf-8")
    train_tokenizer([" ".join(lines) for lines in DECLARATIONS.values()], 400).save(
        str(folder / "tokenizer.json")
    )
    corpus = {
        "name": "declarations",
        "sources": [{"name": name, "path": name} for name in rows],
        "tokenizer": "tokenizer.json",
        "annotators": [],
        "mixtures": [],
        "part_bytes": 3000,
    } | ({"validation": {"share": SHARE}} if held_out else {})
    path = folder / ("held_out.yaml" if held_out else "plain.yaml")
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Nothing is held out."""
    folder = tmp_path_factory.mktemp("declarations")
    return run_small(write_corpus(folder, held_out=False), str(folder / "w"))


@pytest.fixture(scope="session")
def corpus(plain: RunResult) -> Path:
    """The same corpus, with the key."""
    return write_corpus(Path(plain.workspace.url).parent, held_out=True)


@pytest.fixture(scope="session")
def done(plain: RunResult, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The key was added later."""
    target = tmp_path_factory.mktemp("done") / "w"
    shutil.copytree(plain.workspace.url, target)
    return run_small(corpus, str(target))
