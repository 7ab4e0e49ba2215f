"""What short texts, web pages, sampling and mixed pages cost the identifier of languages.

* Short texts: the single words and word pairs that were held out of training, and the first words
  of sentences in languages beyond the 119. A short text that is `und` is no error, one that is
  called another language is.
* Web pages: `evaluation_pages`, whose rows stand behind those of the short texts.
* Sampling: documents of 4 KiB, sentences of one language of FLORES-200 devtest joined, once as the
  annotator reads them and once whole.
* Mixed documents: sentences of two languages in a drawn proportion, one after the other, about
  4 KiB; the share of letters that each has is known, and `language_shares` is compared with it.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from annotators.annotator import Annotator
from annotators.language.evaluation_pages import evaluate_pages
from annotators.language.languages import UNDETERMINED, language_labels
from annotators.language.sentences import has_set, is_held_out_of, read_sentences

DOCUMENT_BYTES: Final = 4096
NUM_MIXED: Final = 1000
SHORT_SETS: Final = ("lingua_single_words", "lingua_word_pairs")

_SENTENCES = "flores200_devtest"
_OUTSIDER_WORDS = (1, 2, 4, 8)
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortFigures:
    """One kind of short text, or of page."""

    name: str
    num_texts: int
    right: float | None
    """Share called by their language; None for languages beyond the 119, or not told."""
    wrong: float | None
    """Share called another of the 119; None where the language is not told."""
    undetermined: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingFigures:
    """Macro-F1 over the labels of documents of DOCUMENT_BYTES."""

    num_documents: int
    macro_f1: float
    macro_f1_whole: float
    """When the same documents are read whole."""

    @property
    def loss(self) -> float:
        """Points in [0, 1] that sampling costs; negative where it helps."""
        return self.macro_f1_whole - self.macro_f1


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedFigures:
    """Shares of two languages in one document."""

    num_documents: int
    mean_error: float
    """Mean absolute difference of found and true share, over both languages, in [0, 1]."""
    mean_error_groups: float
    """The same with dialects merged into their groups."""
    other_share: float
    """Mean share that went to neither of the two groups, nor to `und`."""


def evaluate_short(data: Path, annotator: Annotator) -> tuple[ShortFigures, ...]:
    """Runs an identifier over short texts and pages; what the folder lacks is left out."""
    found = []
    for name in SHORT_SETS:
        if has_set(data, name):
            rows = [
                (one.language, one.text)
                for one in read_sentences(data, name)
                if not one.is_outsider and is_held_out_of(name, one.doc_id)
            ]
            found.append(_short(name, rows, annotator))
    if has_set(data, _SENTENCES):
        outside = [one for one in read_sentences(data, _SENTENCES) if one.is_outsider]
        for size in _OUTSIDER_WORDS:
            rows = [("", " ".join(one.text.split()[:size])) for one in outside]
            found.append(_short(f"outsiders, {size} words", rows, annotator))
    found += [
        ShortFigures(name=name, num_texts=count, right=right, wrong=wrong, undetermined=missed)
        for name, count, right, wrong, missed in evaluate_pages(data, annotator)
    ]
    return tuple(one for one in found if one.num_texts)


def evaluate_sampling(data: Path, windows: Annotator, whole: Annotator) -> SamplingFigures:
    """Compares two ways of reading on long documents.

    Args:
        data: Folder of the sets (see `annotators.language.sentences`).
        windows: The annotator as it runs.
        whole: The same that reads all of each text.

    Raises:
        ValueError: The folder has no FLORES-200 devtest.
    """
    told, texts = [], []
    for language, sentences in _by_language(data).items():
        for document in _documents(sentences):
            told.append(language)
            texts.append(document)
    batch = pa.array(texts, pa.large_string())
    sampled, complete = (
        _macro_f1(told, annotator(batch, {}).column("language").to_pylist())
        for annotator in (windows, whole)
    )
    return SamplingFigures(num_documents=len(texts), macro_f1=sampled, macro_f1_whole=complete)


def evaluate_mixed(
    data: Path, annotator: Annotator, *, num_documents: int = NUM_MIXED
) -> MixedFigures:
    """Compares `language_shares` with the true shares of documents in two languages.

    Raises:
        ValueError: The folder has no FLORES-200 devtest.
    """
    group_of = {label.code: label.group for label in language_labels()}
    sentences = _by_language(data)
    chance = random.Random(_SEED)
    texts, truths = [], []
    for _ in range(num_documents):
        text, truth = _mixed(sentences, chance)
        texts.append(text)
        truths.append(truth)
    column = annotator(pa.array(texts, pa.large_string()), {}).column("language_shares")
    errors, group_errors, others = [], [], []
    for truth, found in zip(truths, column.to_pylist(), strict=True):
        shares = {one["language"]: one["share"] for one in found}
        errors += [abs(shares.get(code, 0.0) - share) for code, share in truth.items()]
        true_groups, found_groups = _summed(truth, group_of), _summed(shares, group_of)
        group_errors += [
            abs(found_groups.get(name, 0.0) - share) for name, share in true_groups.items()
        ]
        known = {*true_groups, UNDETERMINED}
        others.append(sum(share for name, share in found_groups.items() if name not in known))
    return MixedFigures(
        num_documents=num_documents,
        mean_error=float(np.mean(errors)),
        mean_error_groups=float(np.mean(group_errors)),
        other_share=float(np.mean(others)),
    )


def render_documents(
    short: Sequence[ShortFigures],
    sampling: SamplingFigures | None = None,
    mixed: MixedFigures | None = None,
) -> str:
    """Plain tables of what was measured."""
    lines = [f"{'short texts, pages':<24}{'texts':>8}{'right':>8}{'wrong':>8}{'und':>8}"]
    for one in short:
        right, wrong = (
            "-" if share is None else f"{share:.3f}" for share in (one.right, one.wrong)
        )
        lines.append(
            f"{one.name:<24}{one.num_texts:>8}{right:>8}{wrong:>8}{one.undetermined:>8.4f}"
        )
    if sampling:
        lines.append(
            f"\n{sampling.num_documents} documents of {DOCUMENT_BYTES} bytes: macro-F1 "
            f"{sampling.macro_f1:.4f} as sampled, {sampling.macro_f1_whole:.4f} read whole, "
            f"loss {sampling.loss * 100:.2f} points"
        )
    if mixed:
        lines.append(
            f"{mixed.num_documents} documents in two languages: mean error of a share "
            f"{mixed.mean_error:.3f}, with groups merged {mixed.mean_error_groups:.3f}; "
            f"{mixed.other_share:.3f} went to a third language"
        )
    return "\n".join(lines)


def _short(name: str, rows: Sequence[tuple[str, str]], annotator: Annotator) -> ShortFigures:
    texts = pa.array([text for _, text in rows], pa.large_string())
    found = annotator(texts, {}).column("language").to_pylist()
    total = max(1, len(rows))
    right = sum(one == told for (told, _), one in zip(rows, found, strict=True))
    undetermined = sum(one == UNDETERMINED for one in found)
    return ShortFigures(
        name=name,
        num_texts=len(rows),
        right=right / total if any(told for told, _ in rows) else None,
        wrong=(len(rows) - right - undetermined) / total,
        undetermined=undetermined / total,
    )


def _by_language(data: Path) -> dict[str, list[str]]:
    sentences: defaultdict[str, list[str]] = defaultdict(list)
    for one in read_sentences(data, _SENTENCES):
        if not one.is_outsider:
            sentences[one.language].append(one.text)
    return {language: sentences[language] for language in sorted(sentences)}


def _documents(sentences: Sequence[str]) -> list[str]:
    """Whole sentences joined until DOCUMENT_BYTES are reached; what remains is left out."""
    documents, parts, size = [], list[str](), 0
    for sentence in sentences:
        parts.append(sentence)
        size += len(sentence.encode()) + 1
        if size >= DOCUMENT_BYTES:
            documents.append("\n".join(parts))
            parts, size = [], 0
    return documents


def _mixed(sentences: dict[str, list[str]], chance: random.Random) -> tuple[str, dict[str, float]]:
    """A document in two languages, and the share of letters of each."""
    codes = chance.sample(sorted(sentences), 2)
    wanted = chance.uniform(0.1, 0.9)
    parts: list[str] = []
    letters = {}
    for code, share in zip(codes, (wanted, 1 - wanted), strict=True):
        size, taken = 0, list[str]()
        while size < share * DOCUMENT_BYTES:
            taken.append(chance.choice(sentences[code]))
            size += len(taken[-1].encode())
        parts += taken
        letters[code] = sum(letter.isalpha() for text in taken for letter in text)
    total = sum(letters.values())
    return "\n".join(parts), {code: number / total for code, number in letters.items()}


def _summed(shares: dict[str, float], group_of: dict[str, str]) -> dict[str, float]:
    groups: defaultdict[str, float] = defaultdict(float)
    for code, share in shares.items():
        groups[group_of.get(code, code)] += share
    return dict(groups)


def _macro_f1(told: Sequence[str], found: Sequence[str]) -> float:
    labels = sorted(set(told))
    pairs = list(zip(told, found, strict=True))
    hits = dict.fromkeys(labels, 0)
    wrong = dict.fromkeys([*labels, *found], 0)
    for right, guess in pairs:
        if right == guess:
            hits[right] += 1
        else:
            wrong[right] += 1
            wrong[guess] += 1
    return float(np.mean([2 * hits[one] / (2 * hits[one] + wrong[one]) for one in labels]))
