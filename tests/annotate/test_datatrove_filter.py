"""Filters of datatrove as annotators: their answers as columns, and what they refuse."""

import importlib.util
import pickle
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from pipelines.annotate.datatrove_filter import DatatroveFilter

if importlib.util.find_spec("datatrove") is None:
    pytest.skip("datatrove is not installed (extra datatrove)", allow_module_level=True)

needs_spacy = pytest.mark.skipif(
    importlib.util.find_spec("spacy") is None, reason="spaCy is not installed (extra datatrove)"
)

OWN_FILTER = """
from datatrove.pipeline.filters.base_filter import BaseFilter

class UrlHasWord(BaseFilter):
    name = "url"

    def __init__(self, word):
        super().__init__()
        self.word = word

    def filter(self, doc):
        if doc.text == "fail":
            raise KeyError("nothing there")
        told = doc.metadata
        if self.word in told.get("url", ""):
            return True
        return False, f"{sorted(told)} {told.get('language')} {told.get('topic')}"
"""

META = pa.map_(pa.string(), pa.string())


def ask(
    annotator: DatatroveFilter, texts: Sequence[str], **labels: list[Any]
) -> list[dict[str, Any]]:
    """Rows of labels; what is not given is null."""
    given: dict[str, pa.Array[Any]] = {
        name: pa.array(
            labels.get(name, [None] * len(texts)), META if name == "meta" else pa.string()
        )
        for name in annotator.inputs
    }
    return annotator(pa.array(texts, pa.large_string()), given).to_pylist()


def test_filter_of_datatrove_gives_its_answer_and_reason() -> None:
    annotator = DatatroveFilter("C4ParagraphFilter")
    line = "b" * 200
    rows = ask(annotator, ["", f"{line}\n{line}\n{line}", f"{line}\n{line}\n\n"])
    assert annotator.name == "datatrove_c4_paragraph_filter"
    assert [row["datatrove_c4_paragraph_filter_keep"] for row in rows] == [False, True, False]
    reasons = [row["datatrove_c4_paragraph_filter_reason"] for row in rows]
    assert reasons == ["< 3 paragraphs", None, "< 3 paragraphs"]


def test_filter_without_a_reason_says_dropped_and_options_reach_it() -> None:
    annotator = DatatroveFilter("RegexFilter", regex_exp="secret")
    rows = ask(annotator, ["a secret", "nothing", "😀"])
    assert [row["datatrove_regex_filter_keep"] for row in rows] == [False, True, True]
    assert rows[0]["datatrove_regex_filter_reason"] == "dropped"


@needs_spacy
def test_gopher_filter_takes_options_of_its_own() -> None:
    text = "The people of the valley have lived with it and that is what they say. " * 2
    strict, loose = (DatatroveFilter("GopherQualityFilter", min_doc_words=n) for n in (50, 20))
    assert ask(strict, [text])[0]["datatrove_gopher_quality_filter_reason"] == "gopher_short_doc"
    assert ask(loose, [text])[0]["datatrove_gopher_quality_filter_keep"] is True


@pytest.mark.parametrize(
    "name",
    ["GopherQualityFilter", "GopherRepetitionFilter", "C4QualityFilter", "FineWebQualityFilter"],
)
def test_missing_word_splitter_is_found_before_any_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizers = pytest.importorskip("datatrove.utils.word_tokenizers")

    def lacking(step: str, packages: Sequence[str]) -> None:
        raise ImportError(f"Please install {packages} to use {step}")

    tokenizers.load_tokenizer_assignments.cache_clear()
    monkeypatch.setattr(tokenizers, "check_required_dependencies", lacking)
    with pytest.raises(ValueError, match=r"spacy.*pip install 'tokenmill\[datatrove\]'"):
        DatatroveFilter(name).check()


@pytest.fixture
def own_filter(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: ANN401
    (tmp_path / "filters_of_a_user.py").write_text(OWN_FILTER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "filters_of_a_user.UrlHasWord"


def test_own_filter_sees_metadata_and_a_failure_is_null_with_its_reason(own_filter: str) -> None:
    annotator = DatatroveFilter(own_filter, word="wiki")
    annotator.check()
    rows = ask(
        annotator,
        ["a", "b", "fail"],
        url=["https://a.wiki/", None, None],
        language=["eng_Latn", "fra_Latn", None],
        meta=[None, [("topic", "rain")], None],
    )
    assert [row["datatrove_url_has_word_keep"] for row in rows] == [True, False, None]
    reasons = [row["datatrove_url_has_word_reason"] for row in rows]
    assert reasons[1] == "['language', 'topic'] fra_Latn rain"
    assert reasons[2] == "failed: KeyError: 'nothing there'"
    assert [path.name for path in annotator.model_files()] == ["filters_of_a_user.py"]


def test_annotator_travels_to_another_process_without_its_filter(own_filter: str) -> None:
    annotator = DatatroveFilter(own_filter, word="wiki")
    annotator.check()
    again = pickle.loads(pickle.dumps(annotator))
    assert "_filter" not in again.__dict__
    assert ask(again, ["a"], url=["wiki"]) == ask(annotator, ["a"], url=["wiki"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("GofferFilter", {}, "no filter 'GofferFilter'; it has .*GopherQualityFilter"),
        ("BaseFilter", {}, "no filter 'BaseFilter'"),
        ("no_such_module.X", {}, "there is no module no_such_module"),
        ("GopherQualityFilter", {"min_words": 3}, "min_words.*allowed are min_doc_words"),
        ("RegexFilter", {}, "missing a required argument: 'regex_exp'"),
        ("C4ParagraphFilter", {"exclusion_writer": None}, "exclusion_writer is not for labels"),
    ],
)
def test_wrong_names_and_options_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DatatroveFilter(name, **options)


def test_options_that_the_filter_itself_refuses_are_told_by_check() -> None:
    with pytest.raises(ValueError, match=r"cannot be made with .*unterminated"):
        DatatroveFilter("RegexFilter", regex_exp="(").check()


def test_missing_file_is_told_by_check(tmp_path: Any) -> None:  # noqa: ANN401
    absent = str(tmp_path / "absent.bin")
    options = {"model_url": absent, "keep_labels": [["a", 0.5]]}
    with pytest.raises(ValueError, match=r"absent\.bin.*it needs a file"):
        DatatroveFilter("FastTextClassifierFilter", **options).check()


def test_missing_datatrove_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datatrove.pipeline.filters.base_filter", None)
    with pytest.raises(ValueError, match=r"pip install 'tokenmill\[datatrove\]'"):
        DatatroveFilter("RegexFilter", regex_exp="a")
