import gzip
import itertools
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from pipelines.near_duplicates import templated
from pipelines.near_duplicates.evaluation import evaluate_near_duplicates, stated_shingles
from pipelines.near_duplicates.near import NearDuplicates
from pipelines.near_duplicates.templated import evaluate_templated, templated_pages

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.skipif(
    not (DATA / "neardup").is_dir(),
    reason=f"no real data at {DATA}/neardup; set TOKENMILL_DATA to the folder that holds neardup/",
)
def test_revisions_that_are_near_duplicates_are_found_and_no_others() -> None:
    found = evaluate_near_duplicates(DATA, num_pages=1500)
    assert found.true_found / found.true_pairs >= 0.98
    assert [item.low for item in found.bins][-4:] == [0.8, 0.85, 0.9, 0.95]
    assert all(item.found / item.pairs >= 0.98 for item in found.bins if item.low >= 0.8)
    assert found.found_true / found.found >= 0.99
    assert found.candidates / found.documents < 3
    assert found.agreeing / found.pairs > 0.9
    assert (found.split_buckets, found.pairs_skipped) == (0, 0)
    pages = found.templated
    assert (pages.pages, pages.pairs_found, pages.documents_lost) == (1500, 0, 0)
    assert round(pages.mean_shared, 3) == 0.6
    assert pages.candidates > 1500
    assert pages.largest_bucket > 50


def write_texts(folder: Path, num_sentences: int) -> None:
    """Sentences of words that occur once, and some in another language."""
    folder.mkdir(parents=True)
    sentences = [
        " ".join(f"Word{number}n{word}" for word in range(9)) + "."
        for number in range(num_sentences)
    ]
    rows = [
        {"lang": "en", "text": " ".join(sentences)},
        {"lang": "en", "text": sentences[0]},  # not a second time
        {"lang": "fr", "text": "Une phrase qui ne compte pas du tout. " * num_sentences},
    ]
    with gzip.open(folder / "some.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_templated_pages_share_the_words_of_their_template_and_no_others(tmp_path: Path) -> None:
    write_texts(tmp_path / "text", 1200)
    pages, shares = templated_pages(tmp_path, 60)
    assert templated_pages(tmp_path, 60) == (pages, shares)
    assert len(pages) == 60
    words = [set(page.lower().split()) for page in pages]
    templates: dict[str, list[int]] = {}
    for index, page in enumerate(pages):
        templates.setdefault(page.splitlines()[0], []).append(index)
    assert len(templates) == 4
    for members in templates.values():
        shared = set.intersection(*(words[index] for index in members))
        for index in members:
            split = pages[index].lower().split()
            share = sum(word in shared for word in split) / len(split)
            assert shares[index] == pytest.approx(share) == pytest.approx(0.6, abs=0.01)
    content = Counter(word for some in words for word in some if "n" in word and word[:4] == "word")
    several = [word for word, number in content.items() if number > 1]
    assert len(several) <= 4 * 8 * 9  # those of the templates' sentences alone
    with pytest.raises(ValueError, match="too few English sentences for 200 pages"):
        templated_pages(tmp_path, 200)
    with pytest.raises(ValueError, match=r"holds no \*.jsonl.gz"):
        templated_pages(tmp_path / "text", 2)


def test_templated_pages_that_are_copies_would_be_seen_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path / "text", 1200)
    found = evaluate_templated(tmp_path, NearDuplicates(), 60)
    assert (found.pages, found.templates, found.documents_lost) == (60, 4, 0)
    assert "pairs found: 0; documents lost: 0" in found.to_text()
    # All of a template's pages with one word of their own.
    number = itertools.count()
    monkeypatch.setattr(
        templated, "_page", lambda chance, blocks, content: "\n".join([*blocks, f"x{next(number)}"])
    )
    found = evaluate_templated(tmp_path, NearDuplicates(), 60)
    assert (found.documents_lost, found.pages) == (60 - 4, 60)
    assert found.pairs_found == found.candidates > 60
    assert found.mean_shared > 0.99
    assert 0.9 < found.largest_jaccard < 1


def test_evaluation_counts_what_a_small_set_holds(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(64)]
    texts = {
        "a": " ".join(words),
        "b": " ".join([*words[:30], "x", *words[31:]]),  # 55 of 60 shingles left: 55 / 65
        "c": " ".join([*words[:10], "x", *words[11:30], "y", *words[31:]]),  # 50 of 60: 50 / 70
        "d": " ".join(reversed(words)),
    }
    pairs = [
        {"a": "b", "b": "a", "jaccard": 0.8462, "shingle": "word5"},
        {"a": "a", "b": "c", "jaccard": 0.7143, "shingle": "word5"},
        {"a": "c", "b": "d", "jaccard": 0.95, "shingle": "word5"},  # not so
    ]
    folder = tmp_path / "neardup"
    folder.mkdir()
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    for name, lines in (("docs", rows), ("pairs", pairs)):
        with gzip.open(folder / f"revision_{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    write_texts(tmp_path / "text", 400)
    found = evaluate_near_duplicates(tmp_path, num_pages=10)
    assert (found.documents, found.pairs, found.agreeing) == (4, 3, 2)
    assert (found.true_pairs, found.true_found, found.found, found.found_true) == (2, 1, 1, 1)
    bins = [(item.low, item.pairs, item.shared_band, item.found) for item in found.bins]
    assert bins == [(0.7, 1, bins[0][2], 0), (0.8, 1, 1, 1), (0.95, 1, 0, 0)]
    assert "recall at 0.8: 0.5000 (1 of 2 pairs)" in found.to_text()
    assert "| 0.80 | 1 | 1.000 |" in found.to_text()
    assert "templated pages: 10 of 4 templates, 60.0% of their words shared" in found.to_text()
    assert "buckets split: 0; pairs skipped: 0" in found.to_text()


def test_evaluation_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the folder that holds neardup/"):
        evaluate_near_duplicates(tmp_path)


def test_stated_shingles_of_an_unknown_kind_are_refused() -> None:
    assert stated_shingles("A b, c", "word5") == {("a", "b", "c")}
    assert stated_shingles(" 中  文", "char8") == {"中 文"}
    with pytest.raises(ValueError, match="allowed are word5 and char8"):
        stated_shingles("a", "word3")
