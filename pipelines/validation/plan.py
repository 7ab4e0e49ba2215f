"""The generations of validation: who is held out, what of them is looked for, and the labels.

1. `validation.texts`, by part: the texts that are held out, by the hash of their root ancestor.
2. `validation.items`, once: passages of all of them, a benchmark file like any other.
3. `validation`, by part: the labels set `validation`; what quotes a passage leaves training too.

Between these two steps over all parts stands a barrier: a copy may lie in any part of any source.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from annotators.contamination.annotator import Contamination
from pipelines.validation.windows import MAX_REPEATS, WINDOW_WORDS
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

JOB: Final = "validation"
VERSION: Final = "1"
ALL: Final = "all"  # stands for the source in the ledger of what is made once

TRAIN: Final = "train"
VALIDATION: Final = "validation"
NEAR_VALIDATION: Final = "near_validation"
SPLITS: Final = (TRAIN, VALIDATION, NEAR_VALIDATION)

THRESHOLD: Final = 0.6
"""Above it a document is contaminated (Qwen2.5-Math, arXiv:2409.12122, section 2)."""

_ID: Final = pa.binary(16)
LABELS: Final = pa.schema(
    [
        pa.field("id", _ID, nullable=False),
        pa.field("split", pa.string(), nullable=False),
        # Share of the words of a passage of a validation document that stand here in order; null
        # for a validation document, and where the text could not be searched.
        pa.field("validation_score", pa.float32()),
        pa.field("validation_document", _ID),  # of that passage, or else of the same cluster
    ]
)
"""The `validation` labels set."""


@dataclass(frozen=True)
class ValidationPlan:
    """What is held out of one corpus. Travels to workers."""

    share: float
    """Part of all distinct texts, in (0, 1)."""
    documents: Mapping[str, Generation]
    """Of each source."""
    duplicates: Generation
    """The `duplicates` labels of all sources: a near-duplicate of a held-out text leaves too."""

    @property
    def texts(self) -> Generation:
        """The held-out texts of every part."""
        return Generation(
            job=f"{JOB}.texts",
            payload={
                "version": VERSION,
                "share": self.share,
                # Case folding is that of the running Python.
                "unicode": unicodedata.unidata_version,
                "documents": {name: made.full for name, made in sorted(self.documents.items())},
                "duplicates": self.duplicates.full,
            },
        )

    def items(self, workspace: Workspace) -> Generation:
        """The passages of all texts that are committed now."""
        texts = self.texts
        return Generation(
            job=f"{JOB}.items",
            payload={
                "version": VERSION,
                "texts": texts.full,
                "contents": _contents(workspace.ledger.entries(texts)),
                "words": WINDOW_WORDS,
                "max_repeats": MAX_REPEATS,
                "contamination": Contamination.version,
            },
        )

    def labels(self, items: Generation) -> Generation:
        """The labels of all parts, made with these passages."""
        return Generation(
            job=JOB,
            payload={
                "version": VERSION,
                "items": items.full,
                "threshold": THRESHOLD,
                "evidence": [self.texts.name, items.name],
            },
        )


def _contents(entries: Sequence[Entry]) -> str:
    """Hash over what the parts hold out, so that another text is another generation."""
    state = hashlib.sha256()
    for entry in entries:
        state.update(f"{entry.source}/{entry.part}={entry.content}\n".encode())
    return state.hexdigest()
