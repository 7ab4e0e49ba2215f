"""The eight Qwen3 models as Megatron-LM builds them.

Shapes: Qwen3 report (arXiv:2505.09388), tables 1 and 2, and the values that Megatron-Bridge v0.2.1
(`qwen_provider.py`) and Pai-Megatron-Patch (`run_mcore_qwen3.sh`) agree on. Flags: Megatron-LM
`core_v0.16.1`, `megatron/training/arguments.py`. Parallel sizes are those of the recipes of
Megatron-Bridge v0.2.1; they are defaults of a script, which its user changes by variables.
"""

import difflib
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """One model."""

    name: str
    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_attention_heads: int
    num_query_groups: int
    tie_embeddings: bool
    moe_ffn_hidden_size: int | None = None
    """Width of one of the 128 experts, of which 8 serve a token; None in dense models."""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    context_parallel: int = 1


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
        moe_ffn_hidden_size=row[7],
        tensor_parallel=row[8],
        pipeline_parallel=row[9],
        expert_parallel=row[10],
        context_parallel=row[11],
    )
    for row in _TABLE
}
NUM_EXPERTS: Final = 128
EXPERTS_PER_TOKEN: Final = 8
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
            f"launch: found model {name!r}; {hint}allowed are {', '.join(MODELS)}; name one of them"
        )
    return shape


def padded_vocab(num_tokens: int, tensor_parallel: int) -> int:
    """Rows of the embedding for a tokenizer.

    Megatron would pad the tokenizer's own length to a multiple of 128 x TP, which for Qwen3 depends
    on TP and never gives the 151,936 of the published weights, so the number is always given.
    """
    if _MIN_QWEN3_VOCAB <= num_tokens <= QWEN3_PADDED_VOCAB:
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
        ("--kv-channels", "128"),
        ("--qk-layernorm",),
        ("--swiglu",),
        ("--normalization", "RMSNorm"),
        ("--norm-epsilon", "1e-6"),
        ("--disable-bias-linear",),
        ("--position-embedding-type", "rope"),
        ("--rotary-percent", "1.0"),
        ("--attention-dropout", "0.0"),
        ("--hidden-dropout", "0.0"),
        ("--init-method-std", "0.02"),
        ("--padded-vocab-size", str(padded_vocab(num_tokens, shape.tensor_parallel))),
    ]
    if not shape.tie_embeddings:
        flags.append(("--untie-embeddings-and-output-weights",))
    if shape.moe_ffn_hidden_size is not None:
        flags += _moe_flags(shape.moe_ffn_hidden_size)
    return flags


def _moe_flags(moe_ffn_hidden_size: int) -> list[tuple[str, ...]]:
    """The report uses the load-balancing loss of the global batch; 1e-3 is Megatron-Bridge's."""
    return [
        ("--num-experts", str(NUM_EXPERTS)),
        ("--moe-router-topk", str(EXPERTS_PER_TOKEN)),
        ("--moe-ffn-hidden-size", str(moe_ffn_hidden_size)),
        ("--moe-router-load-balancing-type", "global_aux_loss"),
        ("--moe-aux-loss-coeff", "1e-3"),
        ("--moe-router-dtype", "fp32"),
        ("--moe-grouped-gemm",),
        ("--moe-token-dispatcher-type", "alltoall"),
    ]
