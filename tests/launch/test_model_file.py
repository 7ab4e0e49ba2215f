"""Models of one's own: what a YAML file may say, and what is refused before a cluster is asked."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from pipelines.launch.model_file import load_model, model_schema
from pipelines.launch.models import MODELS, model_flags

TINY = {
    "num_layers": 4,
    "hidden_size": 256,
    "ffn_hidden_size": 768,
    "num_attention_heads": 4,
    "num_query_groups": 2,
    "kv_channels": 64,
    "tie_embeddings": True,
}


def write(folder: Path, **keys: object) -> str:
    path = folder / "My model.yaml"
    path.write_text(yaml.safe_dump(keys))
    return str(path)


def test_a_file_gives_every_flag_of_the_shape(tmp_path: Path) -> None:
    experts = {"num_experts": 16, "moe_topk": 2, "moe_ffn_hidden_size": 96}
    model = load_model(write(tmp_path, **TINY, **experts, norm_epsilon=1e-5, qk_layernorm=False))
    flags = {flag[0]: " ".join(flag[1:]) for flag in model_flags(model, 1000)}
    assert model.name == "my-model", "named after its file"
    assert flags["--kv-channels"] == "64"
    assert float(flags["--norm-epsilon"]) == 1e-5
    assert flags["--num-experts"] == "16"
    assert flags["--moe-router-topk"] == "2"
    assert "--qk-layernorm" not in flags
    assert "--untie-embeddings-and-output-weights" not in flags


def test_a_base_gives_the_shape_and_the_file_the_rest(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base="qwen3-8b",
        training={"peak_lr": "1e-3", "global_batch_tokens": "2M"},
        tensor_parallel=2,
    )
    model = load_model(path)
    assert model.hidden_size == MODELS["qwen3-8b"].hidden_size
    assert model.tensor_parallel == 2
    assert model.training.peak_lr == 1e-3
    assert model.training.global_batch_tokens == 2_000_000
    assert model.training.end_lr == 3e-5


def test_a_name_is_a_model_with_the_usual_training() -> None:
    model = load_model("Qwen3-235B-A22B")
    assert model.name == "qwen3-235b-a22b"
    assert model.training.peak_lr == 3e-4


REFUSED = [
    ({"num_layer": 4}, r"num_layer: unknown key 'num_layer'; did you mean 'num_layers'"),
    ({"hidden_size": "wide"}, r"hidden_size: found 'wide'; allowed: a whole number from 1"),
    ({"num_query_groups": 3}, r"num_query_groups: found 3 with num_attention_heads 4"),
    ({"kv_channels": 63}, r"kv_channels: found 63; allowed: an even number"),
    ({"tensor_parallel": 3}, r"tensor_parallel: found 3 with 4 heads, 2 query groups"),
    ({"pipeline_parallel": 5}, r"pipeline_parallel: found 5 with num_layers 4.*or of 6"),
    ({"num_experts": 8}, r"num_experts: found without the others"),
    ({"expert_parallel": 2}, r"expert_parallel: found 2 in a model without experts"),
    (
        {"num_experts": 8, "moe_topk": 9, "moe_ffn_hidden_size": 64},
        r"moe_topk: found 9; allowed: at most num_experts, 8",
    ),
    (
        {"num_experts": 8, "moe_topk": 2, "moe_ffn_hidden_size": 64, "expert_parallel": 3},
        r"expert_parallel: found 3 with num_experts 8",
    ),
    ({"training": {"warm_up": 5}}, r"training\.warm_up: unknown key.*'warmup_steps'"),
    ({"training": {"end_lr": 1e-3}}, r"end_lr: found 0\.001 with peak_lr 0\.0003"),
    ({"training": {"peak_lr": float("nan")}}, r"training\.peak_lr: found nan; allowed: a learning"),
    ({"base": "qwen3-7b"}, r"base: found 'qwen3-7b'; did you mean 'qwen3-.* name one of them"),
    ({"base": 8}, r"base: found 8; allowed: qwen3-0\.6b"),
    ({"num_layers": 10_001}, r"num_layers: found 10001; allowed: a whole number from 1 to 10,000;"),
    ({"num_layers": 10**20 - 1}, r"num_layers: found 9{20}; allowed: a whole number from 1 to 10"),
    ({"hidden_size": 2**31}, r"found 2147483648; allowed: a whole number from 1 to 2,147,483,647;"),
    ({"kv_channels": 2**31}, r"kv_channels: .* an even number from 2 to 2,147,483,647"),
    ({"training": {"warmup_steps": 2**31}}, r"warmup_steps: found .* from 0 to 2,147,483,647"),
    ({"training": {"micro_batch_size": 2**31}}, r"micro_batch_size: .* from 1 to 2,147,483,647"),
    ({"training": {"global_batch_tokens": "3G"}}, r"global_batch_tokens: .* at most 2,147,483,647"),
]


@pytest.mark.parametrize(("keys", "told"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_mistake_is_told_with_file_key_found_and_allowed(
    tmp_path: Path, keys: dict[str, object], told: str
) -> None:
    path = write(tmp_path, **{**TINY, **keys})
    with pytest.raises(ValueError, match=told) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_unknown_base_is_the_only_complaint(tmp_path: Path) -> None:
    path = write(tmp_path, base="qwen3")
    with pytest.raises(ValueError, match="base: found 'qwen3'; did you mean") as caught:
        load_model(path)
    assert len(str(caught.value).splitlines()) == 1
    assert "missing" not in str(caught.value)
    assert load_model(write(tmp_path, base="Qwen3-8B")).hidden_size == 4096, "in either case"
    assert load_model(write(tmp_path, **TINY, base=None)).hidden_size == 256


def test_a_missing_key_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tie_embeddings: missing; allowed: true or false"):
        load_model(write(tmp_path, **{k: v for k, v in TINY.items() if k != "tie_embeddings"}))
    with pytest.raises(ValueError, match=r"absent\.yaml: cannot be read"):
        load_model(str(tmp_path / "absent.yaml"))
    (tmp_path / "list.yml").write_text("- 1\n")
    with pytest.raises(ValueError, match="found list; allowed: a mapping with the keys name, num"):
        load_model(str(tmp_path / "list.yml"))


def test_the_schema_for_editors_agrees() -> None:
    check = jsonschema.Draft202012Validator(model_schema()).is_valid
    assert check(TINY)
    assert check({"base": "qwen3-8b", "training": {"global_batch_tokens": "2M"}})
    assert not check({"hidden_size": 256})
    assert not check({**TINY, "num_layer": 3})
    assert not check({"base": "qwen3-7b"})
