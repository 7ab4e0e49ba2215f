"""Pages and documents of outsiders in a tiny folder."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from annotators.language.annotator import Language
from annotators.language.evaluation_documents import evaluate_short, render_documents
from annotators.language.evaluation_pages import evaluate_pages

_ENGLISH = "We went to the market in the morning and bought bread, cheese and fresh fish."
_GERMAN = "Am Morgen gingen wir auf den Markt und kauften Brot, Käse und frischen Fisch."
# Zulu is no language of the table.
_ZULU = "Bonke abantu bazalwa bekhululekile belingana ngesithunzi nangamalungelo."


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = [{"text": text} for text in (_ENGLISH, _GERMAN, "OK", _ENGLISH)]
    _write(tmp_path / "labels/weborganizer_examples.jsonl.gz", pages)
    _write(tmp_path / "html/trafilatura.gold.jsonl.gz", [{"with": ["OK"]}, {"with": [_GERMAN]}])
    row = {"lang": "zul_Latn", "in119": False, "text": _ZULU, "doc_id": "z"}
    _write(tmp_path / "langid/flores200_devtest.jsonl.gz", [row] * 11)
    return tmp_path


def test_pages_called_und_are_counted_set_by_set(folder: Path) -> None:
    assert list(evaluate_pages(folder, Language())) == [
        ("web pages in English", 4, 0.5, 0.25, 0.25),
        ("passages of pages", 2, None, None, 0.5),
        ("outsiders, 5 sentences", 2, None, 0.0, 1.0),  # the eleventh fills no document
    ]


def test_pages_stand_behind_the_short_texts(folder: Path) -> None:
    table = render_documents(evaluate_short(folder, Language())).splitlines()
    assert table[-3].split() == ["web", "pages", "in", "English", "4", "0.500", "0.250", "0.2500"]
    assert table[-2].split() == ["passages", "of", "pages", "2", "-", "-", "0.5000"]


def test_folder_without_pages_gives_no_rows(tmp_path: Path) -> None:
    assert not list(evaluate_pages(tmp_path, Language()))
