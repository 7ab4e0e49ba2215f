"""Pages of a few templates: what is lost of texts that share most of their words and no content.

Each page is a header, a navigation, labelled fields, boilerplate sentences and a footer, the same
on all pages of its template, and between them sentences that stand on no other page, from real
texts. 60 % of the words of a page are the template's. Whatever is called a near-duplicate here is a
document lost, the failure for which peers are known (marin issues 6851 and 6854).
"""

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.near_duplicates.in_memory import search
from pipelines.near_duplicates.near import NearDuplicates

TEXTS: Final = Path("text")
NUM_PAGES: Final = 20_000
SHARED_PERCENT: Final = 60
"""Words of a page that are its template's."""
POPULARITY: Final = (8, 4, 2, 1)
"""Pages of each template, in parts."""

_SEED: Final = 1
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_MIN_WORDS, _MAX_WORDS = 6, 40  # of a sentence
_NUM_BOILERPLATE: Final = 8  # sentences of a template
_NAVIGATION: Final = (
    "Home", "About us", "News and events", "Archive", "Contact", "Sign in", "Register", "Help",
    "Search this site", "Download the app", "Newsletter", "Careers", "Press", "Shop", "Gallery",
)  # fmt: skip
_LABELS: Final = (
    "Posted on Monday by the editors", "Category: general", "Reading time: four minutes",
    "Share this page with a friend", "Print this page", "Was this page of use to you?",
    "More on this subject", "Comments are closed for this page", "Related pages",
)  # fmt: skip
_FOOTER: Final = (
    "All rights reserved. No part of this site may be copied without permission in writing.",
    "By using this site you agree to our terms of use, privacy notice and cookie policy.",
    "This site is kept by volunteers; please tell us about errors and broken links.",
    "Registered office and postal address as on the contact page. Follow us elsewhere.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatedEvaluation:
    """What became of the pages."""

    pages: int
    templates: int
    mean_shared: float
    """Mean share of a page's words that are its template's."""
    candidates: int
    largest_jaccard: float
    """Among the candidates; 0 where there are none."""
    pairs_found: int
    """Candidates that reach the threshold."""
    documents_lost: int
    """Pages that are not representatives."""
    largest_bucket: int
    split_buckets: int
    pairs_skipped: int

    def to_text(self) -> str:
        """Lines of figures."""
        return "\n".join(
            [
                f"templated pages: {self.pages} of {self.templates} templates, "
                f"{self.mean_shared:.1%} of their words shared",
                f"candidates: {self.candidates} pairs ({self.candidates / self.pages:.2f} a page), "
                f"largest Jaccard {self.largest_jaccard:.4f}",
                f"pairs found: {self.pairs_found}; documents lost: {self.documents_lost}",
                f"largest bucket: {self.largest_bucket} pages; buckets split: "
                f"{self.split_buckets}; pairs skipped: {self.pairs_skipped}",
            ]
        )


def evaluate_templated(
    data: Path, near: NearDuplicates, num_pages: int = NUM_PAGES
) -> TemplatedEvaluation:
    """Makes pages of templates and looks for near-duplicates among them.

    Args:
        data: The folder with `text/`.
        near: What counts as a near-duplicate.
        num_pages: How many.

    Raises:
        ValueError: The texts are not there, or hold too few sentences for so many pages.
    """
    pages, shares = templated_pages(data, num_pages)
    found = search(pa.array(pages, pa.large_string()), near)
    return TemplatedEvaluation(
        pages=len(pages),
        templates=len(POPULARITY),
        mean_shared=float(np.mean(shares)),
        candidates=len(found.left),
        largest_jaccard=float(found.jaccard.max(initial=0)),
        pairs_found=int((found.jaccard >= near.threshold).sum()),
        documents_lost=int((found.stars.representative != np.arange(len(pages))).sum()),
        largest_bucket=found.largest_bucket,
        split_buckets=found.counts.split_buckets,
        pairs_skipped=found.counts.pairs_skipped,
    )


def templated_pages(data: Path, num_pages: int) -> tuple[list[str], list[float]]:
    """The pages, the same at every call, and the share of each page's words that are shared.

    Raises:
        ValueError: As of `evaluate_templated`.
    """
    chance = random.Random(_SEED)
    source = _sentences(data / TEXTS)
    try:
        templates = [_template(chance, source) for _ in POPULARITY]
        counts = [sum(len(block.split()) for block in blocks) for blocks in templates]
        drawn = chance.choices(range(len(POPULARITY)), POPULARITY, k=num_pages)
        contents = [_content(source, counts[number]) for number in drawn]
    except StopIteration:
        raise ValueError(
            f"{data / TEXTS} has too few English sentences for {num_pages} pages that differ; add "
            "texts, or ask for fewer pages"
        ) from None
    pages, shares = [], []
    for number, content in zip(drawn, contents, strict=True):
        blocks = templates[number]
        pages.append(_page(chance, blocks, content))
        shares.append(counts[number] / len(pages[-1].split()))
    return pages, shares


def _template(chance: random.Random, source: Iterator[str]) -> list[str]:
    """Blocks of a template, in the order of a page."""
    boilerplate = [next(source) for _ in range(_NUM_BOILERPLATE)]
    name = " ".join(boilerplate[0].split()[:3])
    labels = chance.sample(_LABELS, 6)
    return [
        f"{name}\n" + " | ".join(chance.sample(_NAVIGATION, 10)),
        f"{boilerplate[1]}\n{labels[0]}",
        f"{labels[1]}\n{boilerplate[2]}",
        f"{boilerplate[3]} {boilerplate[4]}",
        f"{labels[2]}\n{labels[3]}",
        f"{boilerplate[5]}\n{labels[4]}",
        f"{labels[5]}\n{boilerplate[6]} {boilerplate[7]}",
        "\n".join(chance.sample(_FOOTER, 3)) + f"\n{name}",
    ]


def _content(source: Iterator[str], num_shared: int) -> list[str]:
    """Words that are the rest of a page; the last sentence is cut to fit."""
    words: list[str] = []
    wanted = round(num_shared * (100 - SHARED_PERCENT) / SHARED_PERCENT)
    while len(words) < wanted:
        words += next(source).split()
    return words[:wanted]


def _page(chance: random.Random, blocks: list[str], content: list[str]) -> str:
    """The blocks with a piece of content after each but the last."""
    cuts = sorted(chance.sample(range(1, len(content)), len(blocks) - 2))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    filled = [f"{block}\n{' '.join(piece)}" for block, piece in zip(blocks, pieces, strict=False)]
    return "\n".join([*filled, blocks[-1]])


def _sentences(folder: Path) -> Iterator[str]:
    """The distinct English sentences of the texts, in their order."""
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        raise ValueError(
            f"{folder} holds no *.jsonl.gz; give the folder that holds text/ as --data"
        )
    seen: set[str] = set()
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row.get("lang", "en") != "en":
                    continue
                for sentence in _SENTENCE_END.split(row["text"]):
                    if _MIN_WORDS <= sentence.count(" ") + 1 <= _MAX_WORDS and sentence not in seen:
                        seen.add(sentence)
                        yield sentence
