"""Clean text of all 119 languages under the default rules: none is dropped as a whole."""

import gzip
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.languages import UNDETERMINED, languages

DATA = Path(os.environ.get("TOKENMILL_DATA") or Path(__file__).parents[3] / "shared" / "data")
SENTENCES = DATA / "langid" / "sib200_floresdev.jsonl.gz"
SENTENCES_A_DOCUMENT, SENTENCES_A_LINE = 12, 4
SPACELESS = ("jpn_Jpan", "khm_Khmr", "lao_Laoo", "mya_Mymr", "tha_Thai", "yue_Hant", "zho_Hans")

if not SENTENCES.is_file():
    pytest.skip("needs the data of TOKENMILL_DATA", allow_module_level=True)


class Kept(NamedTuple):
    num_documents: int
    share: float
    reasons: Counter[str]
    num_words: float


def documents_of_languages() -> dict[str, list[str]]:
    """Sentences joined: 12 a document, 4 a line."""
    sentences = defaultdict(list)
    with gzip.open(SENTENCES, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["in119"]:
                # Levantine Arabic has two codes in this set and one among the 119.
                sentences[row["lang"].replace("ajp_Arab", "apc_Arab")].append(row["text"])
    return {
        code: [
            "\n".join(
                " ".join(found[line : line + SENTENCES_A_LINE])
                for line in range(start, start + SENTENCES_A_DOCUMENT, SENTENCES_A_LINE)
            )
            for start in range(0, len(found) - SENTENCES_A_DOCUMENT + 1, SENTENCES_A_DOCUMENT)
        ]
        for code, found in sentences.items()
    }


@pytest.fixture(scope="module")
def documents() -> dict[str, list[str]]:
    return documents_of_languages()


def kept(texts: list[str], code: str) -> Kept:
    labels = {"language": pa.array([code] * len(texts))}
    made = Heuristics()(pa.array(texts, pa.large_string()), labels)
    keeps = made["quality_keep"].to_pylist()
    reasons = Counter(reason for reason in made["quality_reason"].to_pylist() if reason)
    words = made["gopher_num_words"].to_pylist()
    return Kept(len(texts), sum(keeps) / len(keeps), reasons, sum(words) / len(words))


def test_default_rules_keep_clean_text_of_every_language(documents: dict[str, list[str]]) -> None:
    shares = {code: kept(texts, code) for code, texts in documents.items()}
    for code, one in sorted(shares.items(), key=lambda item: item[1].share):
        print(f"{code} {one.num_documents:3} documents, kept {one.share:.2f} {dict(one.reasons)}")
    assert set(shares) == set(languages()) - {UNDETERMINED}
    assert min(one.share for one in shares.values()) >= 0.9
    assert sum(one.share for one in shares.values()) / len(shares) >= 0.99


def test_und_keeps_clean_text_of_every_language(documents: dict[str, list[str]]) -> None:
    shares = [kept(texts, UNDETERMINED).share for texts in documents.values()]
    assert min(shares) >= 0.8
    assert sum(shares) / len(shares) >= 0.97


@pytest.mark.parametrize("code", SPACELESS)
def test_words_without_spaces_are_as_many_as_in_other_languages(
    documents: dict[str, list[str]], code: str
) -> None:
    # The sentences are translations of the same ones: about as many words as in English.
    english = kept(documents["eng_Latn"], "eng_Latn").num_words
    assert 0.7 < kept(documents[code], code).num_words / english < 1.5
