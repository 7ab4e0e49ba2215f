"""Samples: every attempt that a recipe paid for, with its verdict.

A document shows what was accepted; later stages of training want more: the thinking apart from
the answer, how often a problem is solved, wrong attempts beside right ones, tests that an answer is
checked by. So recipes that check answers (mathematics, programs) and those that put questions to a
teacher give one row an attempt, and the job files them beside documents and rejects as files of
kind `samples`. `pipelines.synthesize.sets` makes the sets of later stages from them.

A *problem* is a query with a way of checking answers; its id is a hash of task and text, so the
same problem met twice, from two seeds or in two sources, is one problem everywhere. A sample's id
hashes the problem, style, model, recipe and attempt.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from pipelines.models.chat import Answer, Request, thinking_name
from pipelines.workspace.fingerprints import canonical_json
from pipelines.workspace.schema import ID, ID_BYTES

SAMPLES: Final = "samples"
"""Kind of the files that hold them."""

Verifier = Literal["math_answer", "python_tests", "none"]
"""How another answer to the problem can be checked: against `reference` by equality of mathematics,
by running `tests`, or not at all."""

Verdict = Literal["accepted", "rejected"]

_TURN: Final = pa.struct(
    [
        pa.field("role", pa.string(), nullable=False),  # user | assistant | tool
        pa.field("content", pa.large_string(), nullable=False),
        pa.field("reasoning", pa.large_string()),  # of an assistant's turn
    ]
)

SAMPLE: Final = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("problem", ID, nullable=False),  # see `problem_id`
        pa.field("parents", pa.list_(ID), nullable=False),  # seeds, the chief one first
        pa.field("task", pa.string(), nullable=False),  # mathematics | code | instruction | ...
        pa.field("style", pa.string(), nullable=False),  # chain_of_thought, program_aided ...
        pa.field("domain", pa.string()),  # for balance; null: unknown
        pa.field("language", pa.string()),  # of the query, one of the 119; null: unknown
        pa.field("query", pa.large_string(), nullable=False),  # what a learner is asked
        pa.field("messages", pa.list_(_TURN), nullable=False),  # turns behind the query
        pa.field("reasoning", pa.large_string()),  # thinking of the last turn, null where none
        pa.field("response", pa.large_string()),  # text of the last turn, null where none came
        pa.field("final_answer", pa.string()),  # as extracted; null where there is none
        pa.field("reference", pa.string()),  # what decides: accepted answer of the problem
        pa.field("reference_from", pa.string()),  # source | consensus | tests; null: undecided
        pa.field("verifier", pa.string(), nullable=False),
        pa.field("tests", pa.large_string()),  # Python source, for verifier python_tests
        pa.field("verdict", pa.string(), nullable=False),  # accepted | rejected
        pa.field("reason", pa.string()),  # of a rejected one
        pa.field("message", pa.string()),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("pass_rate", pa.float32()),  # of the problem: share of attempts that agree
        pa.field("model", pa.string(), nullable=False),  # identity
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string()),
        pa.field("sampling", pa.string(), nullable=False),  # JSON
        pa.field("thinking", pa.string()),  # off | on | budget N | null
        pa.field("completion_tokens", pa.int64(), nullable=False),  # all turns, thinking included
    ]
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message behind the query."""

    role: Literal["user", "assistant", "tool"]
    content: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What samples of one problem share."""

    task: str
    query: str
    parents: tuple[bytes, ...]
    verifier: Verifier
    domain: str | None = None
    language: str | None = None
    reference: str | None = None
    reference_from: Literal["source", "consensus", "tests"] | None = None
    tests: str | None = None
    pass_rate: float | None = None

    @property
    def id(self) -> bytes:
        """16 bytes; see `problem_id`."""
        return problem_id(self.task, self.query)


def problem_id(task: str, query: str) -> bytes:
    """Names a problem by what is asked, whatever it was made from.

    Args:
        task: Such as `mathematics`.
        query: Its text; differences of white space and of Unicode normal form do not count.

    Returns:
        16 bytes of blake2b.
    """
    text = " ".join(unicodedata.normalize("NFC", query).split())
    return _hash("problem", task, text)


def sample_row(
    problem: Problem,
    *,
    style: str,
    attempt: int,
    request: Request,
    turns: Sequence[Turn],
    answer: Answer,
    model: str,
    recipe: str,
    prompt_hash: str | None,
    completion_tokens: int,
    final_answer: str | None = None,
    reason: str | None = None,
    message: str | None = None,
) -> dict[str, Any]:
    """One row of SAMPLE.

    Args:
        problem: What was asked and what decides.
        style: How it was to be solved.
        attempt: From 0, within problem, style and recipe.
        request: The last one of this attempt.
        turns: All that came behind the query, in order.
        answer: To the last request.
        model: Identity of the model.
        recipe: Its name.
        prompt_hash: Of the templates.
        completion_tokens: Of all requests of this attempt.
        final_answer: As extracted from the response.
        reason: Why it was rejected; None accepts it.
        message: What was found, for a reason.
    """
    return {
        "id": _hash("sample", problem.id.hex(), style, model, recipe, str(attempt)),
        "problem": problem.id,
        "parents": list(problem.parents),
        "task": problem.task,
        "style": style,
        "domain": problem.domain,
        "language": problem.language,
        "query": problem.query,
        "messages": [
            {"role": turn.role, "content": turn.content, "reasoning": turn.reasoning}
            for turn in turns
        ],
        "reasoning": answer.reasoning,
        "response": answer.text,
        "final_answer": final_answer,
        "reference": problem.reference,
        "reference_from": problem.reference_from,
        "verifier": problem.verifier,
        "tests": problem.tests,
        "verdict": "accepted" if reason is None else "rejected",
        "reason": reason,
        "message": message,
        "attempt": attempt,
        "pass_rate": problem.pass_rate,
        "model": model,
        "recipe": recipe,
        "prompt_hash": prompt_hash,
        "sampling": canonical_json(request.sampling.model_dump(exclude_none=True)),
        "thinking": thinking_name(request.thinking),
        "completion_tokens": completion_tokens,
    }


def samples_batch(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows as one Arrow batch of schema SAMPLE.

    Raises:
        ValueError: A row lacks a column, has one too many, or a value that must be there.
    """
    listed = [dict(row) for row in rows]
    for row in listed:
        if row.keys() != set(SAMPLE.names):
            raise ValueError(f"a sample has the columns {sorted(row)}, not those of SAMPLE")
        empty = [f.name for f in SAMPLE if not f.nullable and row[f.name] is None]
        if empty:
            raise ValueError(f"a sample of {row['recipe']} has no {', '.join(empty)}")
    return pa.RecordBatch.from_pylist(listed, schema=SAMPLE)


def _hash(*pieces: str) -> bytes:
    # A length before each piece: no two lists of pieces give the same bytes.
    state = hashlib.blake2b(digest_size=ID_BYTES)
    for piece in pieces:
        data = piece.encode("utf-8", "replace")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.digest()
