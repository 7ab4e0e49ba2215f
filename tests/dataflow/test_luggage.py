"""What steps carry: paths of this machine, modules beside corpus.yaml, names of keys."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.annotate.registry import AnnotatorSpec
from pipelines.config import CorpusConfig
from pipelines.dataflow.luggage import Luggage, local_sources
from pipelines.models.settings import ModelConfig
from pipelines.workspace.children import Limits
from pipelines.workspace.fingerprints import canonical_json
from pipelines.workspace.workspace import Workspace


@dataclass(frozen=True)
class Step:
    held: object


def packed(held: object) -> Luggage:
    luggage = Luggage()
    luggage.pack(Step(held))
    return luggage


def test_a_path_is_found_wherever_it_is_held(tmp_path: Path) -> None:
    file = tmp_path / "สวัสดี.json"
    file.write_text("{}")
    for held in (
        str(file),
        file,
        f"file://{file}",
        {"deep": [(1, {str(file): None})]},
        AnnotatorSpec("m:C", canonical_json({"models": [str(file)]})),
    ):
        assert set(packed(held).local) == {str(file)}, held
    spec = AnnotatorSpec("m:C", canonical_json({"model": str(file)}))
    (problem,) = packed(spec).problems
    assert problem.startswith(f"Step.held.options_json.model: found {file} on this machine's disk")


def test_none_of_many_short_lived_values_is_taken_for_one_seen_before(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in range(50)]
    specs = []
    for file in files:
        file.write_text("{}")
        specs.append(AnnotatorSpec("m:C", canonical_json({"nested": {"model": [str(file)]}})))
    assert set(packed(specs).local) == set(map(str, files))


def test_what_is_elsewhere_or_no_path_is_left_alone(tmp_path: Path) -> None:
    for held in (
        "gs://bucket/folder",
        str(tmp_path / "absent"),
        "relative/path",
        "/",
        "text\nof several lines",
        "\0",
        "x" * 100_000,
        "{not json",
        Workspace("gs://bucket/w"),
    ):
        assert packed(held).problems == [], held


def test_what_stands_in_the_image_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "corpus" / "tokenizer.json"
    file.parent.mkdir()
    file.write_text("{}")
    assert packed(str(file)).problems
    monkeypatch.setattr("pipelines.dataflow.luggage.IMAGE_FOLDER", str(tmp_path))
    assert packed(str(file)).problems == []


def test_a_local_workspace_is_named_once() -> None:
    luggage = packed([Workspace("work/mine"), Workspace("work/mine")])
    (problem,) = luggage.problems
    assert problem.startswith("--workspace: found work/mine on this machine's disk")


def test_a_module_of_ones_own_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules_of_df.py").write_text("class Rules: ...\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    luggage = packed(AnnotatorSpec("my_rules_of_df:Rules", "{}"))
    (problem,) = luggage.problems
    assert f"module my_rules_of_df: found {tmp_path}/my_rules_of_df.py" in problem
    for target in ("annotators.language.x:C", "json:loads", "numpy:array", "no_such_module:C"):
        assert packed(AnnotatorSpec(target, "{}")).problems == [], target


def test_keys_limits_and_servers_are_noted_without_reading_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "do-not-tell")
    endpoint = ModelConfig(engine="endpoint", model="m", url="http://h/v1", api_key_env="MY_KEY")
    local = ModelConfig(engine="vllm", model="Qwen/Qwen3-8B", gpus=2)
    luggage = packed([endpoint, local, Limits(processes=2), Limits(processes=8)])
    assert luggage.keys == {"MY_KEY"}
    assert luggage.gpus == 2
    assert luggage.limits == Limits(processes=8)
    assert "do-not-tell" not in repr(luggage)


def test_things_that_refer_to_each_other_are_walked_once() -> None:
    held: dict[str, object] = {}
    held["self"] = held
    assert packed(held).problems == []


def corpus(*sources: dict[str, Any]) -> CorpusConfig:
    named = [{"name": f"s{number}", **source} for number, source in enumerate(sources)]
    return CorpusConfig.model_validate({"name": "c", "tokenizer": "o/n", "sources": named})


@pytest.mark.parametrize(
    "place",
    [
        "/data/pages",
        "~/pages",
        "pages/**/*.html",
        "file:///data/pages",
        "local:///data",
        "zip://*.txt::/data/a.zip",
        "zip://*.txt::file:///data/a.zip",
        "/opt/tokenmillers/pages",
    ],
)
def test_a_source_on_this_disk_is_named(place: str) -> None:
    config = corpus({"path": "gs://b/f"}, {"path": place})
    (problem,) = local_sources(config)
    assert packed(config.sources).problems == [problem], (
        "told in the same words where a step reads it"
    )
    assert problem.startswith(f"sources.s1.path: found {place} on this machine's disk")
    (problem,) = local_sources(corpus({"path": "gs://b/warc.paths.gz", "base": place}))
    assert problem.startswith(f"sources.s0.base: found {place} on this machine's disk")


def test_a_source_that_workers_can_read_is_left_alone() -> None:
    readable = ["gs://b/f/*.pdf", "s3://b/f", "https://h/a.warc.gz", "/opt/tokenmill/corpus/pages"]
    readable += ["file:///opt/tokenmill/corpus/a", "zip://*.txt::gs://b/a.zip", "/data/warc.paths"]
    crawl = {"crawl": {"seeds": ["https://example.org/"], "contact": "me@example.org"}}
    assert local_sources(corpus(*({"path": one} for one in readable), crawl)) == []


def test_a_tokenizer_may_be_named_as_on_the_hub_and_a_workspace_is_a_bucket(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text("{}")
    (told,) = packed({"tokenizer": str(file)}).problems
    assert "infra/dataflow/Dockerfile.corpus" in told
    assert "name it as on the hub, owner/name" in told
    assert "gs://" not in told, "nothing but the hub or a file is read"
    (told,) = packed({"model": str(file)}).problems
    assert "hub" not in told
    (told,) = packed(Workspace("work/mine")).problems
    assert told.endswith("give gs://BUCKET/FOLDER")
