"""Refinement: a model cleans extracted text chunk by chunk, under a check of fidelity.

The document is cut into pieces that make it up byte for byte (`chunks.partition`); each piece with
enough text is one unit, asked about alone. An answer that passes `fidelity` stands in the place of
its piece, with the white space around the piece; for one that does not, the raw piece stays. A
document of which no piece passed is not made: the raw one stays what it was. A small model is
enough: in Nemotron-CC-Math (arXiv:2508.15096) one of 14B cleaned as well as far larger ones.

Refinement transcribes, so the depth of a document is that of its parent.

Reasons of rejects: those of `pipelines.models.chat.REASONS`, of `acceptance` (`refused`,
`no_opening`, `repeating`) and of `fidelity`; `no_chunk` for a document without enough text, which
is one unit without a request. A broken rule is the first that `fidelity` lists.

Figures of the ledger, all sums: `documents`, `chunks` asked about and `failed_chunks` among them
(their quotient is the share that fails), `raw_tokens` and `refined_tokens` of accepted pieces
(estimated), `unchanged_chunks` that came back as they were, accepted too.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.models.chat import Answer, Request, Sampling, Thinking
from pipelines.models.desk import Desk
from pipelines.models.repetition import repetition
from pipelines.synthesize.acceptance import Acceptance, opened
from pipelines.synthesize.asking import asked, switched
from pipelines.synthesize.chunks import num_tokens, partition
from pipelines.synthesize.fidelity import Limits, fidelity
from pipelines.synthesize.language_checks import UNKNOWN, checks_identity
from pipelines.synthesize.passages import passage_values
from pipelines.synthesize.prompts import PassagePrompt
from pipelines.synthesize.recipe import Draft, Kind, Made, Reject, Seed

VERSION = "1"
"""Raised whenever the same answers would make other documents."""


class Refine(BaseModel):
    """A recipe of `maker: refine`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["refine"] = "refine"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    about: str = ""
    """What it makes, in a line."""
    where: str | None = None
    prompt: PassagePrompt
    sampling: Sampling = Sampling()
    thinking: Thinking | None = "off"
    chunk_tokens: int = Field(ge=16)
    """Most of one piece."""
    min_tokens: int = Field(default=20, ge=1)
    """A piece below this is not asked about and stays as it is."""
    opening: str | None = Field(default=None, min_length=1)
    """Phrase that an answer has to begin with; it is cut off."""
    fidelity: Limits = Limits()
    media_type: str = "text/markdown"
    """Of the documents."""

    @property
    def kind(self) -> Kind:
        """Depth stays."""
        return "refined"

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
        """Each document alone."""
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
        """Makes one refined document, or none."""
        (seed,) = seeds
        pieces = partition(seed.text, self.chunk_tokens)
        places = [
            at for at, piece in enumerate(pieces) if num_tokens(piece.strip()) >= self.min_tokens
        ]
        if not places:
            message = f"no chunk of at least {self.min_tokens} tokens"
            reject = Reject(reason="no_chunk", message=message)
            return Made(units=1, accepted=0, rejects=(reject,))
        requests = [self._request(pieces[at], seed, desk) for at in places]
        answers = await asked(desk, requests)
        refined = list(pieces)
        rejects: list[Reject] = []
        accepted: list[tuple[int, Request, Answer]] = []
        for at, request, answer in zip(places, requests, answers, strict=True):
            text = self._read(answer, pieces[at].strip(), seed.language)
            if isinstance(text, Reject):
                rejects.append(text)
                continue
            refined[at] = _in_place(text, pieces[at])
            accepted.append((at, request, answer))
        return Made(
            units=len(requests),
            accepted=len(accepted),
            drafts=(self._draft(seed, pieces, refined, accepted),) if accepted else (),
            rejects=tuple(rejects),
            figures=_figures(pieces, refined, places, [at for at, _, _ in accepted]),
        )

    def _request(self, piece: str, seed: Seed, desk: Desk) -> Request:
        return Request(
            messages=self.prompt.messages(passage_values(self.prompt, piece.strip(), seed)),
            sampling=self.sampling,
            thinking=switched(self.thinking, desk),
        )

    def _read(self, answer: Answer, piece: str, language: str | None) -> str | Reject:
        text = opened(answer, piece, Acceptance(opening=self.opening))
        if isinstance(text, Reject):
            return text
        repeated = repetition(text)
        if repeated is not None and repetition(piece) is None:
            return Reject(reason="repeating", message=repeated)
        broken = fidelity(piece, text, self.fidelity, language)
        return broken[0] if broken else text

    def _draft(
        self,
        seed: Seed,
        pieces: tuple[str, ...],
        refined: list[str],
        accepted: list[tuple[int, Request, Answer]],
    ) -> Draft:
        _, request, _ = max(accepted, key=lambda one: one[2].completion_tokens)
        share = sum(len(pieces[at]) for at, _, _ in accepted) / max(1, sum(map(len, pieces)))
        return Draft(
            text="".join(refined),
            request=request,
            parents=(seed.id,),
            accepted_tokens=sum(answer.completion_tokens for _, _, answer in accepted),
            language=None if seed.language == UNKNOWN else seed.language,
            prompt_hash=self.prompt.hash,
            media_type=self.media_type,
            meta={"refined_share": f"{share:.4f}"},
        )


def _in_place(text: str, piece: str) -> str:
    """A refined text between the white space that stood around its piece."""
    body = piece.strip()
    before, _, after = piece.partition(body)
    return before + text.strip() + after


def _figures(
    pieces: tuple[str, ...], refined: list[str], places: list[int], accepted: list[int]
) -> dict[str, float]:
    return {
        "documents": float(bool(accepted)),
        "chunks": float(len(places)),
        "failed_chunks": float(len(places) - len(accepted)),
        "unchanged_chunks": float(sum(refined[at] == pieces[at] for at in accepted)),
        "raw_tokens": float(sum(num_tokens(pieces[at]) for at in accepted)),
        "refined_tokens": float(sum(num_tokens(refined[at]) for at in accepted)),
    }
