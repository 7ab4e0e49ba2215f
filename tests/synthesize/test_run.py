"""What models make within a run: documents, provenance, ledger, mixtures; killed and gone on."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cooking import (
    ECHO,
    answers_of,
    cook,
    documents_of,
    drawn_ids,
    entries_of,
    files_of,
    rows_of,
    write_corpus,
)
from typer.testing import CliRunner

from annotators.text.hashing import normalised_text_hashes
from pipelines.cli import build_app
from pipelines.config import ConfigError
from pipelines.driver import RunResult
from pipelines.models.client import EndpointError
from pipelines.models.echo import EchoServer
from pipelines.models.faults import parse_faults
from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cooked")


@pytest.fixture(scope="module")
def cooked(folder: Path) -> RunResult:
    return cook(write_corpus(folder), folder / "w")


def invoke(*words: str) -> str:
    result = CliRunner().invoke(build_app(words[0]), list(words))
    assert result.exit_code == 0, result.output
    return result.output


def test_sources_are_made_part_by_part_and_labelled_like_all_others(cooked: RunResult) -> None:
    assert list(cooked.sources) == ["notes", "notes.clean", "notes.plain"]
    assert cooked.sources["notes"] == cooked.sources["notes.clean"] == [0, 1]
    for source in cooked.sources:
        sets = {made.job for made in cooked.annotate[source]}
        assert {"annotate.language", "annotate.minhash", "annotate.length"} <= sets
        for made in cooked.annotate[source]:
            assert len(cooked.workspace.ledger.entries(made, source)) == 2


def test_documents_know_where_they_come_from(cooked: RunResult) -> None:
    import pyarrow as pa

    notes = {row["id"]: row for row in documents_of(cooked, "notes")}
    made = documents_of(cooked, "notes.plain")
    assert made
    for row in made:
        told = row["provenance"]
        (parent,) = told["parents"]
        seed = notes[parent]
        root = normalised_text_hashes(pa.array([seed["text"]], pa.large_string()))[0].as_py()
        assert (told["kind"], told["recipe"]) == ("rewritten", "rephrase_medium")
        assert (told["model"], told["depth"], told["rewrite_index"]) == ("echo", 1, 0)
        assert (told["root"], told["thinking"]) == (root, "off")
        assert len(told["prompt_hash"]) == 16
        assert json.loads(told["sampling"])["max_tokens"] > 0
        assert row["source"] == "notes.plain"
        assert row["host"] == seed["host"]
        assert dict(row["meta"])["parent_uri"] == seed["uri"]
        assert row["uri"] is None
        assert row["text"] != seed["text"]
    refined = documents_of(cooked, "notes.clean")
    assert {row["provenance"]["depth"] for row in refined} == {0}
    assert {row["provenance"]["rewrite_index"] for row in refined} == {None}


def test_ledger_balances_and_rejects_have_their_seed(cooked: RunResult) -> None:
    ids = {row["id"] for row in documents_of(cooked, "notes")}
    for source in ("notes.clean", "notes.plain"):
        for entry in entries_of(cooked, source):
            counts = entry.counts
            assert counts["rows"] == counts["chosen"] + counts["not_chosen"]
            assert counts["chosen"] == counts["used"] + counts["unused"]
            assert counts["units"] == counts["accepted"] + counts["rejected"]
            assert counts["accepted_tokens"] <= counts["completion_tokens"]
            assert entry.detail["usage"]["requests"] >= counts["chosen"]
            if counts["rejected"]:
                rejects = rows_of(cooked.workspace, entry, "rejects")
                assert {row["id"] for row in rejects} <= ids
                assert Counter(row["reason"] for row in rejects) == entry.detail["rejects"]


def test_mixture_takes_one_form_of_each_refined_document(cooked: RunResult) -> None:
    drawn = drawn_ids(cooked)
    refined = {
        row["provenance"]["parents"][0]: row["id"] for row in documents_of(cooked, "notes.clean")
    }
    assert refined
    for row in documents_of(cooked, "notes"):
        forms = {row["id"], refined.get(row["id"], row["id"])}
        assert len(forms & drawn) == 1, row["text"][:40]
    assert cooked.plans[0].reasons["first"]["superseded"] == len(refined)


def test_refined_alone_is_no_copy_of_what_it_takes_the_place_of(tmp_path: Path) -> None:
    items = [{"recipe": "refine_web", "where": "", "name": "clean"}]
    found = cook(write_corpus(tmp_path, items), tmp_path / "w")
    refined = documents_of(found, "notes.clean")
    assert refined
    assert {row["id"] for row in refined} <= drawn_ids(found)
    assert not {row["provenance"]["parents"][0] for row in refined} & drawn_ids(found)


def test_audit_finds_all_in_order(cooked: RunResult) -> None:
    assert "0 faults" in invoke("audit", cooked.workspace.url)


def test_report_and_summary_tell_what_was_kept(cooked: RunResult) -> None:
    invoke("report", cooked.workspace.url)
    text = next(Path(cooked.workspace.url).rglob("index.html")).read_text("utf-8")
    assert "What models made" in text
    assert "notes.plain" in text
    made = sum(entry.counts["accepted"] for entry in entries_of(cooked, "notes.plain"))
    made += sum(entry.counts["accepted"] for entry in entries_of(cooked, "notes.clean"))
    assert f"{made} of " in text


def test_run_again_does_nothing(cooked: RunResult, folder: Path) -> None:
    before = files_of(folder / "w")
    assert cook(folder / "corpus.yaml", folder / "w").parts_done == 0
    assert files_of(folder / "w") == before


def test_another_condition_is_answered_by_the_journal(cooked: RunResult, folder: Path) -> None:
    asked = len(list(answers_of(folder / "w")))
    items = [
        {"recipe": "refine_web", "where": "provenance_kind = 'natural'", "name": "clean"},
        {"recipe": "rephrase_medium", "where": "language <> 'eng_Latn'", "name": "plain"},
    ]
    again = cook(write_corpus(folder, items), folder / "w")
    assert len(list(answers_of(folder / "w"))) == asked
    parents = {row["provenance"]["parents"][0] for row in documents_of(again, "notes.plain")}
    english = {
        row["id"] for row in documents_of(again, "notes") if row["declared_language"] == "en"
    }
    assert parents
    assert not parents & english
    (reasons,) = {tuple(entry.detail["not_chosen"]) for entry in entries_of(again, "notes.plain")}
    assert reasons == ("where_false",)


@pytest.fixture
def endpoint() -> "object":
    """Serves an echo server in a thread: `endpoint(faults)` gives (url, server)."""
    import asyncio
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = []

    def serve(faults: str = "", **options: object) -> tuple[str, EchoServer]:
        server = EchoServer(parse_faults(faults) if faults else None, **options)  # type: ignore[arg-type]
        context = server.serving()
        url = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
        stack.append(context)
        return url, server

    yield serve
    for context in stack:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_killed_run_goes_on_with_the_same_bytes_and_asks_nothing_twice(
    endpoint: "object", cooked: RunResult, tmp_path: Path
) -> None:
    url, server = endpoint()  # type: ignore[operator]
    corpus = write_corpus(tmp_path, model={**ECHO, "url": url})
    cook(corpus, tmp_path / "whole")
    whole = files_of(tmp_path / "whole")
    asked = server.answered
    command = [sys.executable, str(Path(__file__).with_name("killed_cook.py"))]
    for number in (1, 2):
        ended = subprocess.run(
            [*command, str(corpus), str(tmp_path / "w"), str(number)], check=False
        )
        assert ended.returncode == -9
    cook(corpus, tmp_path / "w")
    assert server.answered == 2 * asked
    assert files_of(tmp_path / "w") == whole
    assert "0 faults" in invoke("audit", str(tmp_path / "w"))


def test_faults_that_pass_change_no_document(
    endpoint: "object", cooked: RunResult, tmp_path: Path
) -> None:
    url, _ = endpoint("http_500:0.3,closes:0.1")  # type: ignore[operator]
    corpus = write_corpus(tmp_path, model={**ECHO, "url": url})
    found = cook(corpus, tmp_path / "w")
    url, _ = endpoint()  # type: ignore[operator]
    calm = cook(write_corpus(tmp_path, model={**ECHO, "url": url}), tmp_path / "calm")
    for source in found.sources:
        assert documents_of(found, source) == documents_of(calm, source)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nothing", "empty"), ("refusal", "refused"), ("context_overflow", "context_overflow")],
)
def test_bad_answers_are_rejects_with_reasons_and_lose_nothing(
    endpoint: "object", tmp_path: Path, fault: str, reason: str
) -> None:
    url, _ = endpoint(f"{fault}:0.5")  # type: ignore[operator]
    items = [{"recipe": "rephrase_medium", "where": ""}]
    found = cook(write_corpus(tmp_path, items, {**ECHO, "url": url}), tmp_path / "w")
    rejects: Counter[str] = Counter()
    for entry in entries_of(found, "notes.rephrase_medium"):
        rejects.update(entry.detail["rejects"])
    assert rejects[reason] > 0
    assert "0 faults" in invoke("audit", str(tmp_path / "w"))


def test_endpoint_that_is_not_there_stops_the_run_and_commits_nothing_of_it(
    tmp_path: Path,
) -> None:
    model = {**ECHO, "url": "http://127.0.0.1:9/v1", "request_timeout": 2}
    corpus = write_corpus(tmp_path, model=model)
    with pytest.raises((EndpointError, RuntimeError), match=r"127\.0\.0\.1:9"):
        cook(corpus, tmp_path / "w")
    ledger = Workspace.open(str(tmp_path / "w")).ledger
    made = [name for name in ledger.generations() if name.startswith("synthesize@")]
    assert made
    assert not [entry for name in made for entry in ledger.entries(name)]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([{"recipe": "nothing_such"}], "nothing_such"),
        ([{"recipe": "textbook", "model": "reader"}], "allowed are the keys of `models`: writer"),
        ([{"recipe": "textbook", "sources": ["note"]}], "did you mean 'notes'"),
        ([{"recipe": "textbook", "where": "colour = 1"}], "unknown column 'colour'"),
        (
            [{"recipe": "refine_web", "where": ""}, {"recipe": "refine_ocr", "where": ""}],
            "takes the place of documents",
        ),
        (
            [{"recipe": "textbook", "where": ""}, {"recipe": "textbook", "where": ""}],
            "there is already",
        ),
        ([{"recipe": "fill_in_the_middle", "model": "writer"}], "asks no model"),
    ],
    ids=["recipe", "model", "source", "where", "twice refined", "twice made", "no model"],
)
def test_mistakes_are_refused_before_any_work(
    tmp_path: Path, items: list[dict[str, str]], told: str
) -> None:
    corpus = write_corpus(tmp_path, items)
    with pytest.raises(ConfigError, match=told):
        cook(corpus, tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({**ECHO, "thinking": "none"}, "thinking"),
        ({**ECHO, "api_key_env": "TOKENMILL_NO_SUCH_KEY"}, "TOKENMILL_NO_SUCH_KEY"),
    ],
    ids=["thinking", "key"],
)
def test_models_that_cannot_be_asked_are_refused_before_any_work(
    tmp_path: Path, model: dict[str, object], told: str
) -> None:
    items = [{"recipe": "rephrase_medium", "where": "", "options": {"thinking": "on"}}]
    with pytest.raises(ConfigError, match=told):
        cook(write_corpus(tmp_path, items, model), tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_what_is_made_of_forgotten_pages_is_forgotten_with_them(
    folder: Path, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path)
    before = cook(corpus, tmp_path / "w")
    uris = {row["id"]: row["uri"] for row in documents_of(before, "notes")}
    made = documents_of(before, "notes.plain")
    victim = made[0]["provenance"]["parents"][0]
    told = invoke("forget", uris[victim], "--workspace", str(tmp_path / "w"))
    children = [
        row["id"]
        for source in ("notes.clean", "notes.plain")
        for row in documents_of(before, source)
        if victim in row["provenance"]["parents"]
    ]
    assert f"{1 + len(children)} documents stand under what this call adds" in told
    after = cook(corpus, tmp_path / "w")
    assert not drawn_ids(after) & {victim, *children}


def test_items_read_what_items_before_them_made_and_depth_grows(tmp_path: Path) -> None:
    items = [
        {"recipe": "rephrase_medium", "where": "", "name": "plain"},
        {"recipe": "rephrase_easy", "where": "", "sources": ["notes.plain"], "name": "easy"},
    ]
    found = cook(write_corpus(tmp_path, items), tmp_path / "w")
    first = {row["id"]: row["provenance"]["root"] for row in documents_of(found, "notes.plain")}
    second = documents_of(found, "notes.plain.easy")
    assert second
    for row in second:
        assert row["provenance"]["depth"] == 2
        assert row["provenance"]["root"] == first[row["provenance"]["parents"][0]]


def test_seeds_of_a_file_become_no_documents(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text(
        json.dumps({"text": "What is 12 times 12?"})
        + "\n"
        + json.dumps({"text": "What is 2 + 3?"}),
        encoding="utf-8",
    )
    items = [{"recipe": "math_solve", "seeds": "problems.jsonl", "name": "solved"}]
    found = cook(write_corpus(tmp_path, items), tmp_path / "w")
    assert list(found.sources) == ["notes", "solved"]
    assert sum(entry.counts["chosen"] for entry in entries_of(found, "solved")) == 2
    assert "0 faults" in invoke("audit", str(tmp_path / "w"))


def test_share_of_seeds_is_part_of_a_larger_share(tmp_path: Path) -> None:
    chosen = []
    for share in (0.3, 0.7, 1.0):
        items = [{"recipe": "rephrase_medium", "where": "", "share": share, "name": "plain"}]
        found = cook(write_corpus(tmp_path, items), tmp_path / "w")
        chosen.append(
            {row["provenance"]["parents"][0] for row in documents_of(found, "notes.plain")}
        )
    assert chosen[0] < chosen[1] < chosen[2]
