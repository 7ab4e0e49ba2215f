"""The table of the 119 languages: sums against a plain count over the documents."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from annotators.language.evaluation import shipped_figures
from annotators.language.languages import codes
from pipelines.report.conformance import Conformance, _declarations, read_conformance
from pipelines.report.gather import gather
from pipelines.report.write import write_report
from pipelines.run_record import RunRecord, read_run_record
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace


def _table(workspace: Workspace) -> Conformance:
    return read_conformance(workspace, read_run_record(workspace), gather(workspace))


def _column(workspace: Workspace, record: RunRecord, name: str, column: str) -> list[object]:
    """Values of all parts, by source and part."""
    values: list[object] = []
    for source in sorted(record.extract):
        own = record.extract[source] if name == "documents" else record.annotate[source][name]
        for entry in workspace.ledger.entries(own, source):
            file = entry.file("documents" if name == "documents" else "labels")
            values += read_table(workspace.storage, file, [column]).column(0).to_pylist()
    return values


def test_sums_are_those_of_the_documents(labelled: Workspace) -> None:
    record = read_run_record(labelled)
    languages = _column(labelled, record, "language", "language")
    tokens = _column(labelled, record, "length", "num_tokens")
    sizes = _column(labelled, record, "length", "num_bytes")
    sets = gather(labelled).labels.sets
    kept = _column(labelled, record, sets["quality_keep"], "quality_keep")
    table = _table(labelled)
    found = {row.code: row for row in table.present}
    assert {code: row.sums.documents for code, row in found.items()} == Counter(languages)
    for code, row in found.items():
        rows = [place for place, own in enumerate(languages) if own == code]
        assert row.sums.tokens == sum(int(str(tokens[place])) for place in rows)
        assert row.sums.bytes == sum(int(str(sizes[place])) for place in rows)
        assert row.sums.judged == sum(kept[place] is not None for place in rows)
        assert row.sums.kept == sum(kept[place] is True for place in rows)
    assert table.tokens == sum(int(str(one)) for one in tokens)


def test_every_language_stands_once(labelled: Workspace) -> None:
    table = _table(labelled)
    listed = [row.code for row in (*table.present, *table.absent) if row.code != "und"]
    assert sorted(listed) == sorted(codes())
    assert all(row.sums.documents == 0 for row in table.absent)
    counts = [row.sums.documents for row in table.present]
    assert counts == sorted(counts, reverse=True)


def test_figures_are_those_of_the_shipped_model(labelled: Workspace) -> None:
    table = _table(labelled)
    assert table.is_shipped
    german = next(row for row in (*table.present, *table.absent) if row.code == "deu_Latn")
    assert german.f1[0] == shipped_figures()["deu_Latn"]["flores200_devtest"]
    assert 0.9 < (german.f1[0] or 0) <= 1


def test_page_has_the_section(labelled: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_report(labelled, output=str(page))
    html = page.read_text(encoding="utf-8")
    assert html.count('id="conformance-title"') == 1
    assert f"{len(_table(labelled).absent)} languages without a document" in html
    assert "Ta&#39;izzi-Adeni Arabic" in html


@pytest.mark.parametrize(
    ("declared", "label", "has", "agrees"),
    [
        ("de-AT", "deu_Latn", True, True),
        ("DE", "deu_Latn", True, True),
        ("en", "deu_Latn", True, False),
        ("no", "nno_Latn", True, True),
        ("zh-TW", "zho_Hant", True, True),
        ("zh", "yue_Hant", True, True),
        ("ar", "arz_Arab", True, True),
        ("fra", "fra_Latn", True, True),
        ("en_US", "und", True, False),
        ("english", "eng_Latn", False, False),
        ("", "eng_Latn", False, False),
        (None, "eng_Latn", False, False),
    ],
)
def test_declared_languages(declared: str | None, label: str, has: bool, agrees: bool) -> None:
    found = _declarations(pa.array([declared], pa.string()), pa.array([label], pa.string()))
    assert [one.tolist() for one in found] == [[has], [agrees]]
