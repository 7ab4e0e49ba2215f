"""What is asked of a chat model and what it answers, as plain values.

A request is everything that decides an answer, and its key is the hash of that: the journal files
answers under it, so an equal request is never paid for twice. Where the model runs does not enter.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.workspace.fingerprints import canonical_json

KEY_DIGITS: Final = 32

Role = Literal["system", "user", "assistant"]


class Sampling(BaseModel):
    """How tokens are drawn; names and meanings are those of the OpenAI protocol and of vLLM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int = Field(default=1024, ge=1)
    """Most tokens of the answer, its thinking included."""
    repetition_penalty: float | None = Field(default=None, gt=0)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    ignore_eos: bool = False
    """Measurements only: the model goes on to `max_tokens`."""


class Budget(BaseModel):
    """Thinking that is cut off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: int = Field(ge=1)
    """Most tokens of thinking; then the block is closed and the model has to answer."""


Thinking = Literal["off", "on"] | Budget
"""Whether a hybrid model thinks before it answers."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message."""

    data: bytes = field(repr=False)
    """The file."""
    media_type: str = "image/png"

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of blake2b over the bytes."""
        return hashlib.blake2b(self.data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    text: str
    images: tuple[Image, ...] = ()
    """They stand behind the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a chat model."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    thinking: Thinking | None = None
    """None for models that have no such switch."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the answer must meet."""
    attempt: int = 0
    """Tells apart several samples of one question."""

    def key(self, model: str) -> str:
        """Names the request to a model.

        Args:
            model: Identity of the model (`ModelConfig.identity`).

        Returns:
            32 hexadecimal digits.
        """
        told = {
            "model": model,
            "messages": [
                [one.role, one.text, [[i.media_type, i.digest] for i in one.images]]
                for one in self.messages
            ],
            "sampling": self.sampling.model_dump(),
            "thinking": thinking_name(self.thinking),
            "schema": None if self.schema is None else dict(self.schema),
            "attempt": self.attempt,
        }
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()[:KEY_DIGITS]


def thinking_name(thinking: Thinking | None) -> str | None:
    """`off`, `on`, `budget 512`, or None; stands in provenance."""
    return f"budget {thinking.budget}" if isinstance(thinking, Budget) else thinking


REASONS: Final = (
    "refused",  # the model or a filter of its endpoint refused
    "empty",  # it answered nothing
    "truncated",  # it was cut off at max_tokens (the text up to there is kept)
    "context_overflow",  # prompt and answer do not fit into the model
    "bad_request",  # the endpoint takes no request of this form
    "image_refused",  # it takes no such picture
    "endpoint",  # it fails on this request, and answers others
    "timed_out",  # no answer in the time of a request, in every try
)
"""Why a request has no usable answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request: never an exception, so that one request costs no other."""

    text: str | None
    """Without the thinking; None where there is nothing, and also for most reasons."""
    reasoning: str | None = None
    """The thinking, apart from the answer."""
    reason: str | None = None
    """One of REASONS; None where the model came to its own end."""
    message: str | None = None
    """What was found, for a reason."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """All that was generated for this request, thinking and failed tries included."""
    seconds: float = 0.0
    tries: int = 1
    answered_by: str = ""
    """The model by the name that the endpoint gives it."""
    from_journal: bool = False
    """Whether it was paid for earlier."""
