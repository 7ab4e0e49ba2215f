import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.extract.evaluation import (
    _f1_of,
    _share_of,
    evaluate_html,
    render_html,
    score_articles,
    score_snippets,
)


def write_set(folder: Path, name: str, rows: Sequence[Mapping[str, object]], page: str) -> None:
    html = folder / "html" / name
    html.mkdir(parents=True)
    for row in rows:
        (folder / "html" / str(row["file"])).write_bytes(gzip.compress(page.encode()))
    lines = "\n".join(json.dumps(dict(row)) for row in rows)
    (folder / "html" / f"{name}.gold.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


def test_articles_are_scored_by_shingles_with_multiplicity() -> None:
    gold = "раз два три четыре пять"
    assert score_articles([gold], [gold]) == (1.0, 1.0)
    assert score_articles(["раз два три четыре"], [gold]) == (1.0, 0.5)
    assert score_articles([f"{gold} {gold}"], [gold]) == (2 / 7, 1.0)
    assert score_articles(["", gold], [gold, gold]) == (0.5, 0.5)


def test_snippets_are_compared_without_marks_and_white_space() -> None:
    gold = [{"with": ["two words", "absent"], "without": ["Menu", "Log in"]}]
    assert score_snippets(["**two**\nwords | Menu"], gold) == (0.5, 0.5, 0.5)


def write_perfect_sets(folder: Path) -> None:
    text = "The river rose during the night and by morning the meadows stood under water. " * 5
    page = f"<html><body><nav>Menu</nav><article><p>{text}</p></article></body></html>"
    article = {"file": "aeb/1.html.gz", "gold_text": text}
    write_set(folder, "aeb", [article, {**article, "file": "aeb/2.html.gz"}], page)
    snippets = {"file": "trafilatura/1.html.gz", "with": ["river rose"], "without": ["Menu"]}
    write_set(folder, "trafilatura", [snippets], page)


def test_evaluation_of_a_perfect_page_is_perfect(tmp_path: Path) -> None:
    write_perfect_sets(tmp_path)
    measured = evaluate_html(tmp_path, ["trafilatura-fast", "resiliparse"], sample=2)
    assert (measured.num_articles, measured.num_snippet_pages) == (2, 1)
    assert [(one.engine, one.f1, one.accuracy) for one in measured.scores] == [
        ("trafilatura-fast", 1.0, 1.0),
        ("resiliparse", 1.0, 1.0),
    ]
    assert measured.differences == ()
    assert [one.structure.num_pages for one in measured.scores] == [2, 2]
    printed = render_html(measured).splitlines()
    assert printed[0] == "2 articles, 1 pages with snippets, 2 pages with known structure"
    assert printed[3].split()[:6] == [
        "trafilatura-fast",
        "0",
        "1.0000",
        "1.0000",
        "1.0000",
        "1.0000",
    ]


def test_own_engines_are_compared_with_the_baseline(tmp_path: Path) -> None:
    write_perfect_sets(tmp_path)
    measured = evaluate_html(tmp_path, ["fast", "trafilatura-fast"], sample=6)
    assert [(one.engine, one.measure) for one in measured.differences] == [
        ("fast", "article F1"),
        ("fast", "snippet accuracy"),
        ("fast", "code"),
        ("fast", "tables"),
        ("fast", "formulas"),
        ("fast", "must"),
    ]
    ours, peer = (one.structure for one in measured.scores)
    for one in measured.differences:
        assert one.low <= one.difference <= one.high
        if one.measure == "article F1":
            assert (one.low, one.difference, one.high) == (0, 0, 0)
        if one.measure == "code":
            assert one.difference == pytest.approx(ours.code - peer.code)
    assert "minus trafilatura-fast" in render_html(measured)


def test_differences_are_of_what_was_drawn() -> None:
    better = [(1.0, 1.0), (0.5, 0.5), (0.0, 1.0)]
    precision, recall = np.array(better).T
    weights = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    assert _f1_of(precision, recall)(weights).tolist() == pytest.approx(
        [2 * 0.5 * 5 / 6 / (8 / 6), 1.0]
    )
    shares = _share_of([[True, True], [False], []])
    assert shares(np.array([[1.0, 1, 1], [0, 1, 2]])).tolist() == [2 / 3, 0.0]


def test_evaluation_without_data_says_which_folder_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"aeb\.gold\.jsonl\.gz is absent"):
        evaluate_html(tmp_path, ["resiliparse"])


def test_unknown_engine_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"unknown HTML engine 'lynx'; choose one of .*resiliparse"
    ):
        evaluate_html(tmp_path, ["lynx"])
