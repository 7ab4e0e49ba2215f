"""The eight Qwen3 models as Megatron-LM builds them, and the shape of any other.

Shapes: Qwen3 report (arXiv:2505.09388), tables 1 and 2, and the values that Megatron-Bridge v0.2.1
(`qwen_provider.py`) and Pai-Megatron-Patch (`run_mcore_qwen3.sh`) agree on. Flags: Megatron-LM
`core_v0.16.1`, `megatron/training/arguments.py`. Parallel sizes are those of the recipes of
Megatron-Bridge v0.2.1; they are defaults of a script, which its user changes by variables.

What Megatron would refuse on the cluster, after the queue, is refused here: a head or a group that
tensor parallelism cannot split, layers that pipeline stages cannot share.
"""

import difflib
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.launch.settings import COUNT, MAX_COUNT, Count

_NAME: Final = "lower-case letters, digits, '-', '_' and '.': it names folders"
MAX_LAYERS: Final = 10_000  # the deepest of Qwen3 has 94


class ModelShape(BaseModel):
    """One decoder: grouped-query attention, RoPE, RMSNorm and SwiGLU, dense or with experts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")] = Field(description=_NAME)
    num_layers: Annotated[int, Field(ge=1, le=MAX_LAYERS, strict=True)] = Field(
        description=f"a whole number from 1 to {MAX_LAYERS:,}"
    )
    hidden_size: Count = Field(description=COUNT)
    ffn_hidden_size: Count = Field(description=COUNT + ": the inner width of the SwiGLU")
    num_attention_heads: Count = Field(description=COUNT)
    num_query_groups: Count = Field(description=COUNT + " that divides num_attention_heads")
    kv_channels: Count = Field(
        default=128,
        description=f"an even number from 2 to {MAX_COUNT:,}: the width of one head (head_dim)",
    )
    qk_layernorm: bool = Field(
        default=True, description="true or false: RMSNorm of queries and keys"
    )
    tie_embeddings: bool = Field(description="true or false: one matrix for input and output")
    norm_epsilon: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        default=1e-6,
        description="a number above 0, such as 1.0e-6: Megatron's own default is 1.0e-5",
    )
    rotary_base: Count = Field(
        default=10_000, description=COUNT + ": RoPE base below 32,768 tokens"
    )
    long_rotary_base: Count = Field(
        default=1_000_000, description=COUNT + ": RoPE base at 32,768 tokens and more"
    )
    num_experts: Count | None = Field(
        default=None, description=COUNT + "; left out in dense models"
    )
    moe_topk: Count | None = Field(default=None, description=COUNT + ": experts that serve a token")
    moe_ffn_hidden_size: Count | None = Field(
        default=None, description=COUNT + ": width of one expert"
    )
    tensor_parallel: Count = Field(default=1, description=COUNT)
    pipeline_parallel: Count = Field(default=1, description=COUNT)
    expert_parallel: Count = Field(default=1, description=COUNT + " that divides num_experts")
    expert_tensor_parallel: Count = Field(default=1, description=COUNT)
    context_parallel: Count = Field(default=1, description=COUNT)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        for complaint in (*self._faults(), *self._expert_faults()):
            raise ValueError(complaint)
        return self

    def _faults(self) -> list[str]:
        heads, groups, tp = self.num_attention_heads, self.num_query_groups, self.tensor_parallel
        faults = []
        if heads % groups:
            faults.append(
                f"num_query_groups: found {groups} with num_attention_heads {heads}; allowed: a "
                "divisor of the heads; change one of the two"
            )
        if self.kv_channels % 2:
            faults.append(
                f"kv_channels: found {self.kv_channels}; allowed: an even number, because RoPE "
                "turns pairs; change this value"
            )
        if heads % tp or (groups % tp and tp % groups) or self.ffn_hidden_size % tp:
            faults.append(
                f"tensor_parallel: found {tp} with {heads} heads, {groups} query groups and "
                f"ffn_hidden_size {self.ffn_hidden_size}; allowed: a divisor of heads and of "
                "ffn_hidden_size, and a divisor or a multiple of the groups; change this value"
            )
        if not self.pipeline_fits(self.pipeline_parallel):
            faults.append(
                f"pipeline_parallel: found {self.pipeline_parallel} with num_layers "
                f"{self.num_layers}; allowed: a divisor of {self.num_layers}, or of "
                f"{self.num_layers + 2} with the embedding and the loss counted as layers; change "
                "one of the two"
            )
        return faults

    def _expert_faults(self) -> list[str]:
        experts, topk, width = self.num_experts, self.moe_topk, self.moe_ffn_hidden_size
        if experts is None or topk is None or width is None:
            given = [n for n in ("num_experts", "moe_topk", "moe_ffn_hidden_size") if _has(self, n)]
            if given:
                return [
                    f"{given[0]}: found without the others; allowed: num_experts, moe_topk and "
                    "moe_ffn_hidden_size together, or none of them; add what is missing"
                ]
            if self.expert_parallel > 1:
                return [
                    f"expert_parallel: found {self.expert_parallel} in a model without experts; "
                    "allowed: 1; remove it"
                ]
            return []
        faults = []
        if topk > experts:
            faults.append(
                f"moe_topk: found {topk}; allowed: at most num_experts, {experts}; change it"
            )
        if experts % self.expert_parallel:
            faults.append(
                f"expert_parallel: found {self.expert_parallel} with num_experts {experts}; "
                "allowed: a divisor of the experts; change one of the two"
            )
        if width % self.expert_tensor_parallel:
            faults.append(
                f"expert_tensor_parallel: found {self.expert_tensor_parallel} with "
                f"moe_ffn_hidden_size {width}; allowed: a divisor of it; change one of the two"
            )
        return faults

    def pipeline_fits(self, stages: int) -> bool:
        """Whether pipeline stages can share the layers evenly.

        Megatron wants a whole number of layers a stage; it may count the embedding and the loss as
        a layer each, by which the 94 layers of 235B-A22B are shared by 16.
        """
        return self.num_layers % stages == 0 or (self.num_layers + 2) % stages == 0


def _has(shape: ModelShape, field: str) -> bool:
    return getattr(shape, field) is not None


NUM_EXPERTS: Final = 128
EXPERTS_PER_TOKEN: Final = 8
# name, layers, hidden, FFN, heads, groups, tied, expert FFN, then TP, PP, EP, CP
_TABLE: Final = (
    ("qwen3-0.6b", 28, 1024, 3072, 16, 8, True, None, 1, 1, 1, 1),
    ("qwen3-1.7b", 28, 2048, 6144, 16, 8, True, None, 1, 1, 1, 1),
    ("qwen3-4b", 36, 2560, 9728, 32, 8, True, None, 2, 1, 1, 1),
    ("qwen3-8b", 36, 4096, 12288, 32, 8, False, None, 4, 1, 1, 1),
    ("qwen3-14b", 40, 5120, 17408, 40, 8, False, None, 8, 1, 1, 1),
    ("qwen3-32b", 64, 5120, 25600, 64, 8, False, None, 8, 2, 1, 1),
    ("qwen3-30b-a3b", 48, 2048, 6144, 32, 4, False, 768, 4, 2, 4, 1),
    ("qwen3-235b-a22b", 94, 4096, 12288, 64, 4, False, 1536, 4, 16, 8, 2),
)
MODELS: Final = {
    row[0]: ModelShape(
        name=row[0],
        num_layers=row[1],
        hidden_size=row[2],
        ffn_hidden_size=row[3],
        num_attention_heads=row[4],
        num_query_groups=row[5],
        tie_embeddings=row[6],
        num_experts=NUM_EXPERTS if row[7] else None,
        moe_topk=EXPERTS_PER_TOKEN if row[7] else None,
        moe_ffn_hidden_size=row[7],
        tensor_parallel=row[8],
        pipeline_parallel=row[9],
        expert_parallel=row[10],
        context_parallel=row[11],
    )
    for row in _TABLE
}
# Embedding rows of Qwen3: 151,669 tokens, padded to 128 x 1,187.
QWEN3_PADDED_VOCAB: Final = 151_936
_MIN_QWEN3_VOCAB: Final = 151_600
_VOCAB_MULTIPLE: Final = 128


def find_model(name: str) -> ModelShape:
    """The model of a name, in either case.

    Raises:
        ValueError: There is none.
    """
    shape = MODELS.get(name.lower())
    if shape is None:
        near = difflib.get_close_matches(name.lower(), MODELS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f"launch: found model {name!r}; {hint}allowed are {', '.join(MODELS)}, or the path of "
            "a YAML file; name one of them"
        )
    return shape


def padded_vocab(num_tokens: int, tensor_parallel: int) -> int:
    """Rows of the embedding for a tokenizer.

    Megatron would pad the tokenizer's own length to a multiple of 128 x TP, which for Qwen3 depends
    on TP and never gives the 151,936 of the published weights, so the number is always given.
    """
    if (
        _MIN_QWEN3_VOCAB <= num_tokens <= QWEN3_PADDED_VOCAB
        and QWEN3_PADDED_VOCAB % tensor_parallel == 0
    ):
        return QWEN3_PADDED_VOCAB
    multiple = _VOCAB_MULTIPLE * tensor_parallel
    return -(-num_tokens // multiple) * multiple


def model_flags(shape: ModelShape, num_tokens: int) -> list[tuple[str, ...]]:
    """Flags that build a model, one tuple each; the same in every stage.

    `--kv-channels` must be said: the heads of five of the eight models are not hidden / heads wide,
    which is Megatron's default.
    """
    flags: list[tuple[str, ...]] = [
        ("--num-layers", str(shape.num_layers)),
        ("--hidden-size", str(shape.hidden_size)),
        ("--ffn-hidden-size", str(shape.ffn_hidden_size)),
        ("--num-attention-heads", str(shape.num_attention_heads)),
        ("--group-query-attention",),
        ("--num-query-groups", str(shape.num_query_groups)),
        ("--kv-channels", str(shape.kv_channels)),
        ("--swiglu",),
        ("--normalization", "RMSNorm"),
        ("--norm-epsilon", f"{shape.norm_epsilon:g}"),
        ("--disable-bias-linear",),
        ("--position-embedding-type", "rope"),
        ("--rotary-percent", "1.0"),
        ("--attention-dropout", "0.0"),
        ("--hidden-dropout", "0.0"),
        ("--init-method-std", "0.02"),
        ("--padded-vocab-size", str(padded_vocab(num_tokens, shape.tensor_parallel))),
    ]
    if shape.qk_layernorm:
        flags.append(("--qk-layernorm",))
    if not shape.tie_embeddings:
        flags.append(("--untie-embeddings-and-output-weights",))
    return flags + _moe_flags(shape)


def _moe_flags(shape: ModelShape) -> list[tuple[str, ...]]:
    """The report uses the load-balancing loss of the global batch; 1e-3 is Megatron-Bridge's."""
    if shape.num_experts is None:
        return []
    return [
        ("--num-experts", str(shape.num_experts)),
        ("--moe-router-topk", str(shape.moe_topk)),
        ("--moe-ffn-hidden-size", str(shape.moe_ffn_hidden_size)),
        ("--moe-router-load-balancing-type", "global_aux_loss"),
        ("--moe-aux-loss-coeff", "1e-3"),
        ("--moe-router-dtype", "fp32"),
        ("--moe-token-dispatcher-type", "alltoall"),
    ]
