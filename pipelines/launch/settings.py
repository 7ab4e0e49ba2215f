"""How a model is trained: the few numbers that people change.

Learning rates and batch sizes of Qwen3 are not published. 3e-4 to 3e-5 with 500 warm-up steps is
the recipe of Megatron-Bridge v0.2.1; the rest is ours and meant to be changed. Everything that can
be computed is computed: steps from shards, samples from steps, the decay from the last stage.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mixtures.budgets import parse_tokens
from mixtures.errors import MixtureError

MAX_BATCH_TOKENS: Final = 4 << 20  # 1,024 sequences of 4,096
_RATE: Final = "a learning rate above 0 and below 1, such as 3.0e-4"
MAX_COUNT: Final = 2**31 - 1
"""Largest size, number of steps or batch: what an int32 holds, far above any model."""
COUNT: Final = f"a whole number from 1 to {MAX_COUNT:,}"
_TOKENS: Final = f"a number of tokens such as 4194304 or 4M, at most {MAX_COUNT:,}"


def _tokens(written: object) -> object:
    try:
        return parse_tokens(written)
    except MixtureError:
        return written  # the type check then says what is allowed


Rate = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT, strict=True)]
BatchTokens = Annotated[
    int,
    BeforeValidator(_tokens, json_schema_input_type=int | str),
    Field(ge=1, le=MAX_COUNT, strict=True),
]


class Training(BaseModel):
    """Schedule and batch of a chain of stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    peak_lr: Rate = Field(default=3e-4, description=_RATE + ": after the warm-up")
    end_lr: Rate = Field(
        default=3e-5, description=_RATE + ", at most peak_lr: at the end of the decay"
    )
    long_lr: Rate | None = Field(
        default=None,
        description=_RATE + ": peak of a stage of another length; left out, it is end_lr",
    )
    long_end_lr: Rate = Field(
        default=3e-6, description=_RATE + ", at most long_lr: where that stage ends"
    )
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)] | None = Field(
        default=None,
        description=f"a whole number from 0 to {MAX_COUNT:,}; left out: 500, at most 5 % of all "
        "steps",
    )
    global_batch_tokens: BatchTokens | None = Field(
        default=None, description=_TOKENS + "; left out: 4M, fewer where a stage has few steps"
    )
    micro_batch_size: Count = Field(default=1, description=COUNT + ": sequences on a GPU at a time")
    wsd_decay_style: Literal["linear", "exponential", "cosine", "minus_sqrt"] = Field(
        default="linear", description="linear, exponential, cosine or minus_sqrt: the decay of WSD"
    )

    @property
    def long_peak_lr(self) -> float:
        """Peak of a stage that starts from weights alone: it goes on where the last one ended."""
        return self.end_lr if self.long_lr is None else self.long_lr

    @model_validator(mode="after")
    def _rates_fall(self) -> Self:
        for high, low, peak, end in (
            ("peak_lr", "end_lr", self.peak_lr, self.end_lr),
            ("long_lr", "long_end_lr", self.long_peak_lr, self.long_end_lr),
        ):
            if end > peak:
                raise ValueError(
                    f"{low}: found {end:g} with {high} {peak:g}; allowed: at most {high}; change "
                    "one of the two"
                )
        return self
