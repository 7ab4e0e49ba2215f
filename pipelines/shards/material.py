"""What a shard is made of: the tokens of its documents, and what is counted of each.

Columns are arrays with a row a document, never a Python object a document: a shard of 64 million
tokens may hold a million documents.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.workspace.ledger import Entry
from token_shards.token_store import TokenStore

SUMMED: Final = ("language", "provenance_kind")
"""Labels by which tokens are summed up."""

REJECTED: Final = "rejected"
"""Count of an entry: draws of documents that could not be tokenized; and which they were, in its
detail. Both are absent where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """What is known of n documents before their texts are read."""

    keys: npt.NDArray[np.uint8]
    """uint8[n, 16], ids."""
    repeats: npt.NDArray[np.int32]
    """int32[n], draws of each."""
    first_draws: npt.NDArray[np.int32]
    """int32[n], number of the first of these draws; above 0 where draws were dealt out singly."""
    num_tokens: npt.NDArray[np.int64]
    """int64[n], as the labels count them: without EOD, before cuts."""
    planned: npt.NDArray[np.int64]
    """int64[n], planned tokens, EOD included."""
    labels: Mapping[str, pa.ChunkedArray]
    """Name of SUMMED -> text[n]; without those that the corpus does not have."""
    redacted: Mapping[str, npt.NDArray[np.int32]]
    """Kind of what the stage redacts or cuts -> int32[n], spans of it."""
    variance: float
    """Of the planned tokens drawn, over seeds."""

    @property
    def same(self) -> npt.NDArray[np.int64]:
        """int64[n], a number from 0 for each id: shared by draws of a document dealt out singly."""
        ids = np.ascontiguousarray(self.keys).view("V16").reshape(-1)
        return np.unique(ids, return_inverse=True)[1].astype(np.int64)

    def only(self, kept: npt.NDArray[np.bool_]) -> "Facts":
        """Those of some documents, bool[n]; `variance` stays that of all draws."""
        mask = pa.array(kept)
        return replace(
            self,
            keys=self.keys[kept],
            repeats=self.repeats[kept],
            first_draws=self.first_draws[kept],
            num_tokens=self.num_tokens[kept],
            planned=self.planned[kept],
            labels={name: column.filter(mask) for name, column in self.labels.items()},
            redacted={kind: spans[kept] for kind, spans in self.redacted.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A document that was drawn, and that no child could tokenize."""

    id: str
    """32 hex digits."""
    draws: int
    """None of which is written."""
    planned_tokens: int
    """Of these draws, EOD included."""
    reason: str
    """CRASHED, TIMED_OUT or OUT_OF_MEMORY of `workspace.children`."""
    message: str

    @classmethod
    def of(cls, facts: Facts, row: int, reason: str, message: str) -> Self:
        """What is told of one document of `facts`."""
        draws = int(facts.repeats[row])
        return cls(
            id=facts.keys[row].tobytes().hex(),
            draws=draws,
            planned_tokens=draws * int(facts.planned[row]),
            reason=reason,
            message=message,
        )


def rejected_of(entry: Entry) -> tuple[Rejected, ...]:
    """The documents that a unit could not tokenize, as its ledger entry tells them."""
    return tuple(Rejected(**told) for told in entry.detail.get(REJECTED, ()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """Documents with their tokens."""

    facts: Facts
    store: TokenStore
    """Tokens of the n documents, after cuts, EOD included; none of one that is emptied."""
    uncut: npt.NDArray[np.int64]
    """int64[n], tokens of each before its cuts, without EOD."""
    rejected: tuple[Rejected, ...] = ()
    """Further documents, which are not among the n: their draws are not written."""

    @property
    def is_emptied(self) -> npt.NDArray[np.bool_]:
        """bool[n]: the cuts leave no character but white space, so no draw of it is written."""
        emptied: npt.NDArray[np.bool_] = self.store.lengths == 0
        return emptied

    def counts(self) -> dict[str, int]:
        """Terms of the equation that are known before anything is written.

        Draws of emptied documents are among `document_tokens`, and all of their tokens among
        `cut_tokens`; they have no EOD and are no `draws`, but counted as `emptied`. Draws of
        rejected documents are counted as `rejected` and are in no other count.
        """
        facts, lengths, is_emptied = self.facts, self.store.lengths, self.is_emptied
        repeats = facts.repeats.astype(np.int64)
        drawn = facts.keys[(facts.repeats > 0) & ~is_emptied]
        draws = int(repeats[~is_emptied].sum())
        return {
            "document_tokens": int((facts.num_tokens * repeats).sum()),
            "eod": draws,
            "cut_tokens": int(((lengths - ~is_emptied - self.uncut) * repeats).sum()),
            "draws": draws,
            "documents": len(np.unique(np.ascontiguousarray(drawn).view("V16").reshape(-1))),
            "emptied": int(repeats[is_emptied].sum()),
            **({REJECTED: sum(one.draws for one in self.rejected)} if self.rejected else {}),
        }

    def told_rejected(self) -> dict[str, Any]:
        """What the detail of an entry says of rejected documents; nothing where there are none."""
        if not self.rejected:
            return {}
        reasons = Counter(one.reason for one in self.rejected)
        return {
            "rejects": dict(sorted(reasons.items())),
            REJECTED: [asdict(one) for one in self.rejected],
        }

    @property
    def planned_tokens(self) -> int:
        """Planned tokens of all draws, those of rejected documents included."""
        lost = sum(one.planned_tokens for one in self.rejected)
        return int((self.facts.planned * self.facts.repeats).sum()) + lost

    def tokens_by(self, name: str) -> dict[str, int]:
        """Tokens of all draws, EOD included, by a label; empty where there is no such label."""
        if name not in self.facts.labels:
            return {}
        written = pa.array(self.store.lengths * self.facts.repeats)
        table = pa.table({"label": self.facts.labels[name], "tokens": written})
        sums = table.group_by("label").aggregate([("tokens", "sum")])
        named = zip(
            *(sums.column(column).to_pylist() for column in ("label", "tokens_sum")), strict=True
        )
        return dict(sorted((label or "null", tokens) for label, tokens in named))

    def redacted(self) -> dict[str, int]:
        """Spans that are cut, over all draws, by kind; kinds that do not occur are left out.

        Draws of emptied documents count, because their spans were cut too.
        """
        repeats = self.facts.repeats.astype(np.int64)
        sums = {kind: int((n * repeats).sum()) for kind, n in self.facts.redacted.items()}
        return {kind: number for kind, number in sorted(sums.items()) if number}

    def check(self) -> None:
        """Refuses documents that, before any cut, do not have the tokens that labels counted.

        Raises:
            RuntimeError: A document has another number of tokens.
        """
        counted = self.facts.num_tokens
        if np.array_equal(counted, self.uncut):
            return
        row = int(np.argmax(counted != self.uncut)) if len(counted) == len(self.uncut) else 0
        raise RuntimeError(
            f"document {self.facts.keys[row].tobytes().hex()} has {self.uncut[row]} tokens, and "
            f"its label says {counted[row]}; the tokenizer or the labels were changed: run "
            "`tokenmill audit`"
        )
