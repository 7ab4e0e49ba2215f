"""The plan of one search for repeats within documents: what goes in, which generations come out.

Two levels, each a labels set of spans. `boilerplate`: lines and paragraphs that several documents
of one host hold. `repeats`: stretches of words that several documents hold. Both are found by
counting 64-bit keys over documents (`counting`): boilerplate once, of passages; repeats twice, of
guards and then of the windows whose guard is shared (`annotators.text.windows`).
"""

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.schema import ID
from pipelines.workspace.workspace import Workspace

VERSION: Final = "1"
"""Of the kernels too: what a line, a paragraph, a word and a key are."""
BOILERPLATE: Final = "boilerplate"
REPEATS: Final = "repeats"
PASSAGES: Final = "passages"
GUARDS: Final = "guards"
WINDOWS: Final = "windows"
_KEYS: Final = {BOILERPLATE: (PASSAGES,), REPEATS: (GUARDS, WINDOWS)}

WORDS_PER_WINDOW: Final = 50
"""Words of the shortest stretch, as in Lee et al. 2022 (arXiv:2107.06499) tokens."""
_MIN_DOCUMENTS: Final = 2

_FIELDS: Final = [
    pa.field("kind", pa.string(), nullable=False),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("end", pa.int64(), nullable=False),
    pa.field("documents", pa.int32(), nullable=False),
]
SPANS: Final = {
    BOILERPLATE: pa.struct(_FIELDS),
    REPEATS: pa.struct([*_FIELDS, pa.field("first", pa.bool_(), nullable=False)]),
}
"""A span by level: bytes [start, end) of a text, how many documents hold it, and of a repeat,
whether this document is the first of them."""
LABEL_SCHEMAS: Final = {
    level: pa.schema(
        [
            pa.field("id", ID, nullable=False),
            pa.field(level, pa.list_(span), nullable=False),
            pa.field(f"{level}_share", pa.float32(), nullable=False),  # of the bytes of the text
        ]
    )
    for level, span in SPANS.items()
}
"""The labels sets by level."""

# Documents stand compressed, to about a third of their text, and a text sends keys of about a third
# of its bytes (24 bytes for each 13 words or each line). Of windows, where all is shared, twelve
# times as many.
_PARTITION_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Counting:
    """One count of keys over documents."""

    keys: Generation
    """Keys of the documents of each part, by part."""
    shared: Generation
    """Those that enough documents hold, by partition of the key."""
    num_partitions: int
    min_documents: int


@dataclass(frozen=True)
class RepeatsPlan:
    """One search over all parts of a run."""

    level: str
    """`boilerplate` or `repeats`; also the name of the labels set and of its job."""
    parts: tuple[PartKey, ...]
    """All of them, sorted; what is shuffled names a part by its position here."""
    documents: Mapping[str, Generation]
    """Texts of each source."""
    duplicates: Generation
    """Labels that say which texts are copies."""
    contents: str
    """Hash over the files of all parts."""
    num_documents: int
    num_bytes: int
    """Of the files with the texts."""
    min_documents: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self.documents))

    @property
    def num_partitions(self) -> int:
        """Partitions of keys, mostly of at most 64 MB."""
        return max(1, math.ceil(self.num_bytes / _PARTITION_BYTES))

    @property
    def countings(self) -> tuple[Counting, ...]:
        """In the order in which they are done."""
        return tuple(
            Counting(
                keys=self._generation(what),
                shared=self._generation(f"shared_{what}"),
                num_partitions=self.num_partitions,
                min_documents=self.min_documents,
            )
            for what in _KEYS[self.level]
        )

    @property
    def labels(self) -> Generation:
        """The labels set."""
        payload = self._payload("labels")
        evidence = [name for one in self.countings for name in (one.keys.name, one.shared.name)]
        return Generation(job=self.level, payload=payload | {"evidence": evidence})

    @property
    def generations(self) -> tuple[Generation, ...]:
        """In the order in which they are made."""
        made = [generation for one in self.countings for generation in (one.keys, one.shared)]
        return (*made, self.labels)

    def _generation(self, what: str) -> Generation:
        return Generation(job=f"{self.level}.{what}", payload=self._payload(what))

    def _payload(self, what: str) -> dict[str, Any]:
        return {
            "version": VERSION,
            "what": what,
            "words": WORDS_PER_WINDOW if self.level == REPEATS else 0,
            "min_documents": self.min_documents,
            "texts": {source: made.name for source, made in sorted(self.documents.items())},
            "texts_full": {source: made.full for source, made in sorted(self.documents.items())},
            "duplicates": self.duplicates.name,
            "duplicates_full": self.duplicates.full,
            "contents": self.contents,
            "documents": self.num_documents,
            "parts": len(self.parts),
            "partitions": self.num_partitions,
        }


def plan_repeats(
    workspace: Workspace,
    level: str,
    extract: Mapping[str, Generation],
    labels: Generation,
    keys: Sequence[PartKey],
    min_documents: int = 3,
) -> RepeatsPlan:
    """Plans over parts whose `duplicates` labels are made.

    Args:
        workspace: Whose ledger is read.
        level: `boilerplate` or `repeats`.
        extract: The documents of each source.
        labels: The `duplicates` labels of all the parts.
        keys: All parts.
        min_documents: Documents of a host that hold a line or paragraph of boilerplate; a stretch
            of `repeats` is in two or more, whatever this is.

    Raises:
        ValueError: Another level, fewer than two documents, or no parts.
        LookupError: Labels of a part are not made.
    """
    if level not in _KEYS:
        raise ValueError(f"found the level {level!r}; repeats are looked for in {sorted(_KEYS)}")
    if min_documents < _MIN_DOCUMENTS:
        raise ValueError(
            f"min_documents: found {min_documents}; a line repeats from {_MIN_DOCUMENTS} documents "
            "of a host on, so give that or more"
        )
    if not keys:
        raise ValueError("found no parts; repeats are looked for in documents that were extracted")
    state, num_documents, num_bytes = hashlib.sha256(), 0, 0
    for source, some in itertools.groupby(sorted(keys), key=lambda key: key.source):
        parts = [key.part for key in some]
        texts = workspace.ledger.entries(extract[source], source).of(source, parts)
        made = workspace.ledger.entries(labels, source).of(source, parts)
        for text, labelled in zip(texts, made, strict=True):
            files = text.file("documents"), labelled.file("labels")
            hashes = "/".join(ref.sha256 for ref in files)
            state.update(f"{source}/{text.part}={hashes}\n".encode())
            num_documents += files[0].rows
            num_bytes += files[0].bytes
    return RepeatsPlan(
        level=level,
        parts=tuple(sorted(keys)),
        documents={source: extract[source] for source in sorted({key.source for key in keys})},
        duplicates=labels,
        contents=state.hexdigest(),
        num_documents=num_documents,
        num_bytes=num_bytes,
        min_documents=min_documents if level == BOILERPLATE else _MIN_DOCUMENTS,
    )
