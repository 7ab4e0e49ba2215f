"""Evaluation of the language identifier by annotators whose answers are written down here."""

import gzip
import json
import xml.etree.ElementTree
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from annotators.language import evaluation
from annotators.language.confusion import count_confusions, draw_confusion
from annotators.language.evaluation import (
    evaluate_language,
    render_language,
    shipped_figures,
    write_figures,
)
from annotators.language.evaluation_documents import (
    evaluate_mixed,
    evaluate_sampling,
    evaluate_short,
    render_documents,
)
from annotators.language.languages import codes
from annotators.language.sentences import is_held_out


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _row(language: str, text: str, doc_id: str) -> dict[str, object]:
    return {"lang": language, "text": text, "doc_id": doc_id}


class _Scripted:
    """Says a fixed language for each text."""

    name = "language"
    version = "1"
    inputs: tuple[str, ...] = ()
    columns = pa.schema([("language", pa.string()), ("language_group", pa.string())])

    def __init__(self, said: dict[str, tuple[str, str]]) -> None:
        self._said = said

    def model_files(self) -> list[Path]:
        return []

    def __call__(self, texts: pa.LargeStringArray, labels: Mapping[str, object]) -> pa.RecordBatch:
        rows = [self._said[str(text)] for text in texts.to_pylist()]
        return pa.RecordBatch.from_arrays(
            [pa.array(column, pa.string()) for column in zip(*rows, strict=True)],
            schema=self.columns,
        )


_ROWS = [
    _row("arb_Arab", "a", "1"), _row("arb_Arab", "b", "2"), _row("ajp_Arab", "c", "1"),
    _row("eng_Latn", "d", "2"), _row("eng_Latn", "e", "1"),
    _row("amh_Ethi", "f", "1"), _row("xho_Latn", "g", "2"),
]  # fmt: skip
_SAID = {
    "a": ("arb_Arab", "ara"), "b": ("apc_Arab", "ara"), "c": ("apc_Arab", "ara"),
    "d": ("eng_Latn", "eng"), "e": ("und", "und"), "f": ("und", "und"),
    "g": ("eng_Latn", "eng"),
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    _write(tmp_path / "flores200_devtest.jsonl.gz", _ROWS)
    return tmp_path


def test_evaluation_counts_f1_groups_undetermined_and_outsiders(data: Path) -> None:
    (one,) = evaluate_language(data, annotator=_Scripted(_SAID), num_resamples=200).sets
    # One hit of two each: F1 = 2 / (2 + wrong) with one wrong each.
    third = 2 / 3
    assert one.f1 == pytest.approx({"apc_Arab": third, "arb_Arab": third, "eng_Latn": third})
    assert one.macro_f1 == pytest.approx(third)
    assert one.group_macro_f1 == pytest.approx((1 + third) / 2)
    assert (one.num_sentences, one.undetermined_rate) == (5, 0.2)
    assert (one.num_outsiders, one.false_positive_rate) == (2, 0.5)
    low, high = one.macro_f1_interval
    # A resample is article 1 twice (F1 1, 1, 0), article 2 twice (0, 0, 1) or both.
    assert (low, high) == pytest.approx((1 / 3, third))
    assert one.precision == {"apc_Arab": 0.5, "arb_Arab": 1.0, "eng_Latn": 1.0}
    assert one.recall == {"apc_Arab": 1.0, "arb_Arab": 0.5, "eng_Latn": 0.5}
    assert one.false_positives_by_script == {"Ethi": (0, 1), "Latn": (1, 1)}
    assert one.takers == {"eng_Latn": 1}


def test_table_of_figures_names_sets_outsiders_and_lowest_labels(data: Path) -> None:
    table = render_language(
        evaluate_language(data, annotator=_Scripted(_SAID), num_resamples=20), num_worst=1
    )
    assert table.splitlines()[1].split()[:3] == ["flores200_devtest", "3", "5"]
    assert "by script: Latn 1 of 1" in table
    assert "taken by: eng_Latn 1" in table
    assert table.count("lowest on") == 1


def test_figures_are_written_and_read_by_label(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = evaluate_language(data, annotator=_Scripted(_SAID), num_resamples=20)
    path = data / "figures.json"
    monkeypatch.setattr(evaluation, "FIGURES", path)
    with pytest.raises(ValueError, match=r"figures\.json, are missing.*tokenmill evaluate"):
        shipped_figures()
    write_figures(figures, path)
    told = shipped_figures()
    assert set(told) == set(codes())
    assert told["eng_Latn"] == {"flores200_devtest": 0.6667}
    assert told["fra_Latn"] == {}
    path.write_text('{"a": []}', encoding="utf-8")
    with pytest.raises(ValueError, match="damaged"):
        shipped_figures()


def test_shipped_figures_are_of_every_label() -> None:
    told = shipped_figures()
    assert set(told) == set(codes())
    assert all(0 < figures["flores200_devtest"] <= 1 for figures in told.values())


def test_confusions_are_counted_and_drawn_cell_by_cell(tmp_path: Path) -> None:
    told = ["eng_Latn", "eng_Latn", "eng_Latn", "nob_Latn", "xho_Latn"]
    found = ["eng_Latn", "eng_Latn", "und", "nno_Latn", "eng_Latn"]
    confusion = count_confusions(told, found)
    assert confusion.told == ("eng_Latn", "nob_Latn", "beyond the 119")
    assert (len(confusion.found), confusion.found[-1]) == (120, "und")
    row, column = confusion.told.index("nob_Latn"), confusion.found.index("nno_Latn")
    assert confusion.counts[row, column] == 1
    assert confusion.counts.sum() == 5

    draw_confusion(confusion, tmp_path / "new" / "picture.svg")
    tree = xml.etree.ElementTree.parse(tmp_path / "new" / "picture.svg")
    titles = {one.text: one for one in tree.iter("{http://www.w3.org/2000/svg}title")}
    assert set(titles) == {
        "eng_Latn called eng_Latn: 2 of 3 (66.7%)",
        "eng_Latn called und: 1 of 3 (33.3%)",
        "nob_Latn called nno_Latn: 1 of 1 (100.0%)",
        "beyond the 119 called eng_Latn: 1 of 1 (100.0%)",
    }


class _Shares(_Scripted):
    """Says English for what has no Cyrillic letter, and gives both halves."""

    columns = pa.schema([("language", pa.string()), ("language_shares", pa.list_(pa.struct(
        [("language", pa.string()), ("share", pa.float32())]
    )))])  # fmt: skip

    def __call__(self, texts: pa.LargeStringArray, labels: Mapping[str, object]) -> pa.RecordBatch:
        language = ["rus_Cyrl" if "\u0434" in str(text) else "eng_Latn" for text in texts]
        shares = [
            [{"language": "eng_Latn", "share": 0.5}, {"language": "rus_Cyrl", "share": 0.5}]
        ] * len(texts)
        return pa.RecordBatch.from_arrays(
            [pa.array(language), pa.array(shares, self.columns.field(1).type)], schema=self.columns
        )


def test_documents_are_joined_and_shares_compared_with_letters(tmp_path: Path) -> None:
    english, russian = "house " * 60, "\u0434\u043e\u043c " * 60
    rows = [_row("eng_Latn", english, str(n)) for n in range(20)]
    rows += [_row("rus_Cyrl", russian, str(n)) for n in range(20)]
    _write(tmp_path / "flores200_devtest.jsonl.gz", rows)
    sampling = evaluate_sampling(tmp_path, _Shares({}), _Shares({}))
    # 12 English sentences of 361 bytes reach 4096, 10 Russian ones of 421.
    assert (sampling.num_documents, sampling.macro_f1, sampling.loss) == (3, 1.0, 0.0)

    mixed = evaluate_mixed(tmp_path, _Shares({}), num_documents=40)
    # Halves are told of shares that are drawn between 0.1 and 0.9.
    assert 0.1 < mixed.mean_error < 0.3
    assert mixed.mean_error == pytest.approx(mixed.mean_error_groups)
    assert mixed.other_share == 0
    assert "loss 0.00 points" in render_documents((), sampling, mixed)


def test_short_texts_are_those_held_out_and_first_words_of_outsiders(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(40)]
    kept = [word for word in words if is_held_out(word)]
    assert 0 < len(kept) < 20
    rows = [_row("eng_Latn", word, word) for word in words]
    _write(tmp_path / "lingua_single_words.jsonl.gz", rows)
    _write(tmp_path / "flores200_devtest.jsonl.gz", [_row("xho_Latn", "p q r s t", "1")])
    said = dict.fromkeys(kept, ("eng_Latn", "eng"))
    said |= {kept[0]: ("und", "und"), "p": ("und", "und"), "p q": ("swh_Latn", "swh")}
    said |= {"p q r s": ("swh_Latn", "swh"), "p q r s t": ("und", "und")}
    found = {one.name: one for one in evaluate_short(tmp_path, _Scripted(said))}
    single = found["lingua_single_words"]
    assert single.num_texts == len(kept)
    assert single.right == pytest.approx(1 - 1 / len(kept))
    assert (single.wrong, single.undetermined) == (0, pytest.approx(1 / len(kept)))
    assert [(found[f"outsiders, {n} words"].wrong) for n in (1, 2, 4, 8)] == [0, 1, 1, 0]


def test_folder_without_evaluation_sets_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the evaluation sets flores200_devtest.*--data"):
        evaluate_language(tmp_path, annotator=_Scripted({}))
