"""Rewrites: what a model makes of the chunks of one document, in the document's own language.

A recipe is a prompt, sampling, a plan for chunks, rules of acceptance and a shape, all data. Each
chunk is asked about alone, and a unit is one chunk of one sample. The accepted answers of a seed,
in the order of their chunks, are one document; `samples: n` makes up to n documents of a seed. A
seed that has no chunk of sufficient length is one unit, rejected as `no_chunk` without a request.

Reasons of rejects: those of `pipelines.models.chat.REASONS`, of `acceptance` and `shapes`
(`no_pairs`, `not_a_list`), `no_chunk`, and `document_too_short` for accepted chunks whose document
is below `accept.min_document_tokens`.

Figures of the ledger, all sums: `seed_tokens` (estimated) and `dropped_tokens` that no chunk holds,
`dropped_segments`, `novelty_sum` and `documents` (their quotient is the mean novelty), `pairs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.models.chat import Answer, Request, Sampling, Thinking
from pipelines.models.desk import Desk
from pipelines.synthesize.acceptance import Acceptance, checked, opened
from pipelines.synthesize.asking import asked, switched
from pipelines.synthesize.chunks import Chunking, chunked, num_tokens
from pipelines.synthesize.language_checks import UNKNOWN, checks_identity
from pipelines.synthesize.novelty import novelty
from pipelines.synthesize.passages import passage_values
from pipelines.synthesize.prompts import PassagePrompt
from pipelines.synthesize.recipe import Draft, Kind, Made, Reject, Seed
from pipelines.synthesize.shapes import Shape, kept_pairs, listed_lines, no_pairs, pairs_of

VERSION = "1"
"""Raised whenever the same answers would make other documents."""


class Rewrite(BaseModel):
    """A recipe of `maker: rewrite`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["rewrite"] = "rewrite"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    about: str = ""
    """What it makes, in a line."""
    where: str | None = None
    prompt: PassagePrompt
    sampling: Sampling = Sampling()
    thinking: Thinking | None = "off"
    samples: int = Field(default=1, ge=1, le=64)
    """Documents of one seed."""
    chunks: Chunking
    accept: Acceptance = Acceptance()
    shape: Shape = Shape()

    @property
    def kind(self) -> Kind:
        """A new generation: depth is one more than the seed's."""
        return "rewritten"

    @property
    def needs_model(self) -> bool:
        """Always."""
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        """The topic, where the prompt names it."""
        return ("topic",) if "topic" in self.prompt.places else ()

    @property
    def group_by(self) -> str | None:
        """Each seed alone."""
        return None

    @property
    def identity(self) -> Mapping[str, Any]:
        """All but the description, and the annotator that judges languages."""
        return {
            "version": VERSION,
            "recipe": self.model_dump(mode="json", exclude={"about", "where"}),
            "language": checks_identity(),
        }

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Makes up to `samples` documents of one seed."""
        (seed,) = seeds
        chunks = chunked(seed.text, self.chunks)
        figures = {
            "seed_tokens": float(num_tokens(seed.text)),
            "dropped_tokens": float(chunks.dropped_tokens),
            "dropped_segments": float(chunks.dropped_segments),
        }
        if not chunks.texts:
            message = f"no chunk of at least {self.chunks.min_tokens} tokens"
            reject = Reject(reason="no_chunk", message=message)
            return Made(units=1, accepted=0, rejects=(reject,), figures=figures)
        rounds = [_Round(seed, attempt, chunks.texts, []) for attempt in range(self.samples)]
        requests = [self._request(one, chunk, desk) for one in rounds for chunk in chunks.texts]
        answers = await asked(desk, requests)
        pairs = iter(zip(requests, answers, strict=True))
        for one in rounds:
            one.asked = list(islice(pairs, len(chunks.texts)))
        return _together([self._document(one) for one in rounds], len(requests), figures)

    def _request(self, of: "_Round", chunk: str, desk: Desk) -> Request:
        return Request(
            messages=self.prompt.messages(passage_values(self.prompt, chunk, of.seed)),
            sampling=self.sampling,
            thinking=switched(self.thinking, desk),
            attempt=of.attempt,
        )

    def _document(self, of: "_Round") -> "_Written":
        """One document of the answers to all chunks."""
        parts: list[_Part] = []
        rejects: list[Reject] = []
        for number, chunk in enumerate(of.chunks):
            request, answer = of.asked[number]
            draw = f"{of.seed.id.hex()}/{number}/{of.attempt}"
            read = self._read(answer, chunk, of.seed.language, draw)
            if isinstance(read, Reject):
                rejects.append(read)
            else:
                text, num_pairs = read
                parts.append(_Part(text, request, answer.completion_tokens, num_pairs))
        text = "\n\n".join(part.text for part in parts)
        least = self.accept.min_document_tokens
        if parts and num_tokens(text) < least:
            message = f"{num_tokens(text)} tokens in all (at least {least})"
            rejects += [Reject(reason="document_too_short", message=message)] * len(parts)
            parts = []
        if not parts:
            return _Written(None, rejects)
        return _Written(self._draft(of, text, parts), rejects, sum(part.pairs for part in parts))

    def _read(
        self, answer: Answer, chunk: str, language: str | None, draw: str
    ) -> tuple[str, int] | Reject:
        """Text and number of pairs of one answer."""
        text = opened(answer, chunk, self.accept)
        num_pairs = 0
        if not isinstance(text, Reject) and self.shape.form == "list":
            text = listed_lines(text, self.shape)
        elif not isinstance(text, Reject) and self.shape.form == "qa":
            marks = self.shape.pairs
            pairs = kept_pairs(pairs_of(text, marks), marks, num_tokens(chunk), draw)
            num_pairs = len(pairs)
            text = "\n\n".join(pair.text for pair in pairs) if pairs else no_pairs(text, marks)
        if isinstance(text, Reject):
            return text
        broken = checked(text, chunk, language, self.accept)
        if broken is not None:
            return broken
        return (f"{chunk}\n\n{text}" if self.shape.behind_passage else text), num_pairs

    def _draft(self, of: "_Round", text: str, parts: "list[_Part]") -> Draft:
        longest = max(parts, key=lambda part: part.tokens)
        return Draft(
            text=text,
            request=longest.request,
            parents=(of.seed.id,),
            accepted_tokens=sum(part.tokens for part in parts),
            language=None if of.seed.language == UNKNOWN else of.seed.language,
            prompt_hash=self.prompt.hash,
            attempt=of.attempt,
            media_type=self.shape.media_type,
            meta={
                "novelty": f"{novelty(text, of.seed.text):.4f}",
                "chunks": f"{len(parts)}/{len(of.chunks)}",
            },
        )


@dataclass(slots=True)
class _Round:
    """One sample of a seed."""

    seed: Seed
    attempt: int
    chunks: tuple[str, ...]
    asked: list[tuple[Request, Answer]]
    """One a chunk."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An accepted answer."""

    text: str
    request: Request
    tokens: int
    pairs: int


@dataclass(frozen=True, slots=True)
class _Written:
    """What came of one round."""

    draft: Draft | None
    rejects: list[Reject]
    pairs: int = 0


def _together(written: list[_Written], units: int, figures: dict[str, float]) -> Made:
    drafts = [one.draft for one in written if one.draft is not None]
    rejects = [reject for one in written for reject in one.rejects]
    figures |= {
        "documents": float(len(drafts)),
        "novelty_sum": sum(float(draft.meta["novelty"]) for draft in drafts),
        "pairs": float(sum(one.pairs for one in written)),
    }
    return Made(
        units=units,
        accepted=units - len(rejects),
        drafts=tuple(drafts),
        rejects=tuple(rejects),
        figures=figures,
    )
