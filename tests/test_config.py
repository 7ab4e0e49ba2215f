"""A mistake in corpus.yaml costs one message, never a traceback and never a run."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_corpus import run_small, write_corpus

from mixtures.errors import MixtureError
from pipelines.config import ConfigError, load_corpus
from pipelines.extract.sources import SourceError

GOOD = {"name": "x", "sources": [{"name": "a", "path": "in"}], "tokenizer": "t.json"}


def load(tmp_path: Path, **changes: object) -> object:
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_corpus(path)


def test_load_resolves_paths_against_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, mixtures=["general_4k", "mine.yaml"])
    assert config.sources[0].path == str(tmp_path / "in")  # type: ignore[attr-defined]
    assert config.tokenizer == str(tmp_path / "t.json")  # type: ignore[attr-defined]
    assert config.mixtures == ("general_4k", str(tmp_path / "mine.yaml"))  # type: ignore[attr-defined]


def test_load_url_is_left_alone(tmp_path: Path) -> None:
    config = load(tmp_path, sources=[{"name": "a", "path": "s3://bucket/x*.warc.gz"}])
    assert config.sources[0].path == "s3://bucket/x*.warc.gz"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"tokeniser": "t"}, ["tokeniser", "did you mean 'tokenizer'"]),
        ({"sources": []}, ["sources", "found []"]),
        ({"sources": [{"name": "a", "pth": "x", "path": "y"}]}, ["sources[0].pth", "'path'"]),
        ({"sources": [{"name": "A b", "path": "y"}]}, ["sources[0].name", "'A b'", "lower-case"]),
        ({"sources": [{"name": "a", "path": "y"}] * 2}, ["two sources are called 'a'"]),
        ({"part_bytes": "big"}, ["part_bytes", "'big'", "64MB"]),
        ({"shard_tokens": 0}, ["shard_tokens", "found 0"]),
        ({"extract": {"html_engine": "lynx"}}, ["extract.html_engine", "'lynx'", "resiliparse"]),
        (
            {"duplicates": {"levels": ["bytes", "nearly"]}},
            ["duplicates.levels[1]", "'nearly'", "'near'", "'boilerplate'"],
        ),
        ({"duplicates": {"levels": ["near", "near"]}}, ["levels has 'near' twice"]),
        ({"duplicates": {"levels": []}}, ["duplicates.levels", "found []"]),
        ({"duplicates": {"threshold": 0.6}}, ["duplicates.threshold", "0.6", "at least 0.7"]),
        ({"duplicates": {"threshold": 1.1}}, ["duplicates.threshold", "1.1", "at most 1"]),
        ({"duplicates": {"treshold": 0.8}}, ["duplicates.treshold", "did you mean 'threshold'"]),
        ({"duplicates": {"min_documents": 1}}, ["duplicates.min_documents", "found 1", "2"]),
        (
            {"duplicates": {"alarms": {"max_removed": 0}}},
            ["duplicates.alarms.max_removed", "found 0", "above 0"],
        ),
        (
            {"duplicates": {"alarms": {"max_cluster": 1.5}}},
            ["duplicates.alarms.max_cluster", "found 1.5", "at most 1"],
        ),
        (
            {"duplicates": {"alarms": {"max_remove": 0.5}}},
            ["duplicates.alarms.max_remove", "did you mean 'max_removed'", "max_cluster"],
        ),
        (
            {"duplicates": {"alarms": {"sources": {"a": 2}}}},
            ["duplicates.alarms.sources.a", "found 2", "at most 1"],
        ),
        (
            {"duplicates": {"alarms": {"sources": {"aa": 1.0}}}},
            ["duplicates.alarms.sources", "'aa'", "did you mean 'a'", "allowed are the sources a"],
        ),
    ],
)
def test_load_mistake_names_file_key_found_and_allowed(
    tmp_path: Path, changes: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **changes)
    for part in ["corpus.yaml", *parts]:
        assert part in str(caught.value)


def test_load_duplicates_by_default_looks_for_every_copy_of_a_whole_document(
    tmp_path: Path,
) -> None:
    duplicates = load(tmp_path).duplicates  # type: ignore[attr-defined]
    assert duplicates.levels == ("bytes", "text", "url", "near")
    assert (duplicates.threshold, duplicates.min_documents) == (0.8, 3)
    assert (duplicates.alarms.max_removed, duplicates.alarms.max_cluster) == (0.5, 0.1)
    assert duplicates.alarms.sources == {}


@pytest.mark.parametrize("written", ["", "- a list", "name: [", "name: a\nname: b"])
def test_load_of_what_is_no_mapping_is_refused(tmp_path: Path, written: str) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(written)
    with pytest.raises(ConfigError, match=r"corpus\.yaml"):
        load_corpus(path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"annotators": ["langauge"]}, ConfigError, "did you mean 'language'"),
        ({"annotators": ["quality"]}, ConfigError, "needs the labels language"),
        ({"annotators": ["no_such_module:Thing"]}, ConfigError, "no_such_module"),
        ({"annotators": [{"quality": {"ruls": []}}, "language"]}, ConfigError, "quality.*ruls"),
        ({"mixtures": ["general"]}, ConfigError, "general_4k"),
        ({"tokenizer": "nowhere.json"}, ConfigError, "nowhere.json"),
        ({"sources": [{"name": "a", "path": "empty/*.html"}]}, SourceError, "matches no file"),
    ],
)
def test_run_mistake_is_found_before_any_work(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    corpus = write_corpus(tmp_path / "in", **changes)
    with pytest.raises(error, match=message):
        run_small(corpus, str(tmp_path / "w"))
    assert not (tmp_path / "w" / "ledger").exists()


def test_run_mixture_with_an_unknown_label_offers_the_nearest(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in")
    mixture = corpus.parent / "small.yaml"
    mixture.write_text(mixture.read_text().replace("duplicate_role in", "duplicate_rol in"))
    with pytest.raises(MixtureError, match="did you mean 'duplicate_role'"):
        run_small(corpus, str(tmp_path / "w"))


def test_command_line_mistake_exits_2_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "colour": "red"}))
    code = "from pipelines.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "run", str(path)], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "colour" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_own_annotator_named_in_corpus_yaml_makes_its_labels(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "in", annotators=["language", "shouting:Shouting"])
    mixture = corpus.parent / "small.yaml"
    mixture.write_text(mixture.read_text().replace("source = 'notes'", "not shouts"))
    result = run_small(corpus, str(tmp_path / "w"))
    names = [generation.job for generation in result.annotate["notes"]]
    assert "annotate.shouting" in names
    assert result.plans[0].reasons["second"]["eligible"] == 15
