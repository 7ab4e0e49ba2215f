"""The eight models: shapes that give the published numbers of parameters, flags that build them."""

import pytest

from pipelines.launch.models import (
    EXPERTS_PER_TOKEN,
    MODELS,
    NUM_EXPERTS,
    ModelShape,
    find_model,
    model_flags,
    padded_vocab,
)

QWEN3_TOKENS = 151_669


def num_parameters(shape: ModelShape, experts: int) -> int:
    """Weights of a model, counted from its shape alone."""
    hidden, kv = shape.hidden_size, 128 * shape.num_query_groups
    attention = 2 * hidden * 128 * shape.num_attention_heads + 2 * hidden * kv + 2 * 128
    if shape.moe_ffn_hidden_size is None:
        ffn = 3 * hidden * shape.ffn_hidden_size
    else:
        ffn = experts * 3 * hidden * shape.moe_ffn_hidden_size + NUM_EXPERTS * hidden
    embeddings = (1 if shape.tie_embeddings else 2) * 151_936 * hidden
    return shape.num_layers * (attention + ffn + 2 * hidden) + hidden + embeddings


# Total parameters in billions, as the model cards of Qwen3 round them.
PUBLISHED = {
    "qwen3-0.6b": 0.6,
    "qwen3-1.7b": 1.7,
    "qwen3-4b": 4.0,
    "qwen3-8b": 8.2,
    "qwen3-14b": 14.8,
    "qwen3-32b": 32.8,
    "qwen3-30b-a3b": 30.5,
    "qwen3-235b-a22b": 235.0,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_shape_has_the_published_number_of_parameters(name: str) -> None:
    found = num_parameters(MODELS[name], NUM_EXPERTS) / 1e9
    assert found == pytest.approx(PUBLISHED[name], abs=0.051 if PUBLISHED[name] < 100 else 0.5)


@pytest.mark.parametrize(("name", "active"), [("qwen3-30b-a3b", 3.3), ("qwen3-235b-a22b", 22)])
def test_the_experts_in_use_give_the_published_active_parameters(name: str, active: float) -> None:
    found = num_parameters(MODELS[name], EXPERTS_PER_TOKEN) / 1e9
    assert found == pytest.approx(active, rel=0.03)


def flags(name: str) -> dict[str, str]:
    return {flag[0]: " ".join(flag[1:]) for flag in model_flags(find_model(name), QWEN3_TOKENS)}


def test_small_models_tie_their_embeddings_and_large_ones_do_not() -> None:
    untied = {name for name in MODELS if "--untie-embeddings-and-output-weights" in flags(name)}
    assert untied == {"qwen3-8b", "qwen3-14b", "qwen3-32b", "qwen3-30b-a3b", "qwen3-235b-a22b"}


def test_experts_balance_their_load_over_the_global_batch() -> None:
    assert flags("qwen3-235b-a22b")["--moe-router-load-balancing-type"] == "global_aux_loss"
    assert flags("qwen3-235b-a22b")["--moe-ffn-hidden-size"] == "1536"
    assert not [flag for flag in flags("qwen3-32b") if flag.startswith(("--moe", "--num-experts"))]


def test_the_width_of_a_head_is_said() -> None:
    """Megatron's default, hidden / heads, would be wrong for five of the eight."""
    wrong = [n for n, m in MODELS.items() if m.hidden_size // m.num_attention_heads != 128]
    assert len(wrong) == 5
    assert {flags(name)["--kv-channels"] for name in MODELS} == {"128"}


def test_vocabulary_is_padded_as_published_or_to_whole_slices() -> None:
    assert padded_vocab(QWEN3_TOKENS, 8) == 151_936
    assert padded_vocab(12_000, 1) == 12_032
    assert padded_vocab(12_000, 8) == 12_288


def test_an_unknown_model_is_told_with_its_neighbour() -> None:
    with pytest.raises(ValueError, match=r"'qwen3-7b'; did you mean qwen3-1\.7b\? allowed are"):
        find_model("qwen3-7b")
