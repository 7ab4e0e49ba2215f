"""The traps of Megatron-LM core_v0.16.1 on the way from shards to three trained stages.

Each test is one of them. Flags and behaviour: `megatron/training/arguments.py`, `training.py`,
`megatron/core/datasets/gpt_dataset.py`, `blended_dataset.py` and
`blended_megatron_dataset_builder.py` of that release.
"""

import json
import math
import random
from pathlib import Path

import pytest
from tiny_launch import LENGTH, LONG, write_tiny

from pipelines.launch.models import MODELS, find_model, model_flags, padded_vocab
from pipelines.launch.settings import Training
from pipelines.launch.training import (
    MAX_PREFIXES,
    MAX_SEQUENCES,
    Phase,
    Shard,
    Stage,
    phase_flags,
    plan_phases,
)
from pipelines.launch.write import Launch

QWEN3_TOKENS = 151_669
# Flags of megatron/training/arguments.py and of the configurations that it expands, as far as files
# and scripts name them.
KNOWN_FLAGS = set(
    """
    --account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split --adam-beta1
    --adam-beta2 --attention-dropout --bf16 --clip-grad --context-parallel-size --data-cache-path
    --dataloader-type --disable-bias-linear --distributed-timeout-minutes --eod-mask-loss
    --eval-interval --eval-iters --expert-model-parallel-size --expert-tensor-parallel-size
    --ffn-hidden-size --finetune --global-batch-size --group-query-attention --hidden-dropout
    --hidden-size --init-method-std --kv-channels --load --log-interval --log-throughput --lr
    --lr-decay-samples --lr-decay-style --lr-warmup-samples --lr-wsd-decay-samples
    --lr-wsd-decay-style --max-position-embeddings --micro-batch-size --mid-level-dataset-surplus
    --min-lr --moe-aux-loss-coeff --moe-ffn-hidden-size --moe-grouped-gemm --moe-router-dtype
    --moe-router-load-balancing-type --moe-router-topk --moe-token-dispatcher-type
    --no-bias-dropout-fusion --no-bias-swiglu-fusion --no-create-attention-mask-in-dataloader
    --no-gradient-accumulation-fusion --no-masked-softmax-fusion --no-persist-layer-norm
    --no-rope-fusion --norm-epsilon --normalization --num-attention-heads --num-experts --num-layers
    --num-query-groups --num-workers --overlap-grad-reduce --overlap-param-gather
    --padded-vocab-size --per-split-data-args-path --phase-transition-iterations
    --pipeline-model-parallel-size --position-embedding-type --qk-layernorm --reset-attention-mask
    --reset-position-ids --rotary-base --rotary-percent --save --save-interval --seed --seq-length
    --sequence-parallel --swiglu --tensor-model-parallel-size --tokenizer-hf-use-fast
    --tokenizer-model --tokenizer-type --train-samples --transformer-impl
    --untie-embeddings-and-output-weights --use-distributed-optimizer --use-mcore-models
    --weight-decay
    """.split()
)
OF_TORCHRUN = {"--nnodes", "--node-rank", "--nproc-per-node", "--master-addr", "--master-port"}
OF_SHELL = {"--dry-run", "--verify", "--check", "--strict", "--quiet"}


@pytest.fixture(scope="module", params=["qwen3-0.6b", "qwen3-30b-a3b"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "w", request.param)[0]


def args_of(launch: Launch, stem: str) -> dict[str, str]:
    lines = launch.files[f"{stem}.args"].decode().splitlines()
    words = [line.split() for line in lines if line.startswith("--")]
    assert len({word[0] for word in words}) == len(words), "a flag twice"
    return {word[0]: " ".join(word[1:]) for word in words}


def stage(name: str, length: int, *tokens: int, **keys: object) -> Stage:
    return Stage(
        name=name,
        mixture=name,
        sequence_length=length,
        shards=shards(name, *tokens),
        **keys,  # type: ignore[arg-type]
    )


def shards(name: str, *tokens: int) -> tuple[Shard, ...]:
    return tuple(
        Shard(prefix=f"shards/{name}-{n}", tokens=count, sha256="", bytes=4 * count, sequences=1)
        for n, count in enumerate(tokens)
    )


def flags_of(phase: Phase, **keys: object) -> dict[str, str]:
    return {f[0]: " ".join(f[1:]) for f in phase_flags(phase, **keys)}  # type: ignore[arg-type]


def test_every_flag_that_is_written_is_one_of_the_release(tiny: Launch) -> None:
    written = set()
    for path, data in tiny.files.items():
        if path.endswith(".args"):
            written |= {w for w in data.decode().split() if w.startswith("--")}
        elif path[0].isdigit() and path.endswith(".sh"):
            code = [line.split("#")[0] for line in data.decode().splitlines()]
            words = " ".join(code).replace("(", " ").replace(")", " ").split()
            written |= {word for word in words if word.startswith("--")} - OF_TORCHRUN - OF_SHELL
    assert written <= KNOWN_FLAGS
    assert {"--kv-channels", "--finetune", "--reset-attention-mask"} <= written


def test_kv_channels_are_said() -> None:
    """The default, hidden / heads, is wrong for 0.6B, 4B, 32B and both MoE."""
    for shape in MODELS.values():
        assert ("--kv-channels", "128") in model_flags(shape, QWEN3_TOKENS)


@pytest.mark.parametrize("tensor_parallel", [1, 2, 4, 8, 16])
def test_the_vocabulary_of_qwen3_is_151_936_for_every_tensor_parallel_size(
    tensor_parallel: int,
) -> None:
    """Megatron's own padding gives 151,680, 151,808, 152,064 or 152,576."""
    assert padded_vocab(QWEN3_TOKENS, tensor_parallel) == 151_936
    assert padded_vocab(QWEN3_TOKENS, 3) % (3 * 128) == 0, "3 does not divide 151,936"
    for shape in MODELS.values():
        assert ("--padded-vocab-size", "151936") in model_flags(shape, QWEN3_TOKENS)


def test_the_end_of_a_document_is_what_megatron_takes_for_it(tiny: Launch) -> None:
    """Megatron's eod is eos_token, and chat tokenizers say <|im_end|> there."""
    config = json.loads(tiny.files["tokenizer/tokenizer_config.json"])
    lock = json.loads(tiny.files["lock.json"])
    assert config["eos_token"] == "<|endoftext|>" == lock["tokenizer"]["eod_token"]
    # The same padding token: Megatron sees that, and masks no loss of the data's own EODs.
    assert config["pad_token"] == config["eos_token"]
    every_word = b" ".join(tiny.files.values())
    assert b"--allow-ambiguous-pad-tokens" not in every_word.replace(b"unless --allow", b"")
    assert b"--append-eod" not in every_word


def test_the_epsilon_of_norms_is_said() -> None:
    """The default is 1e-5."""
    flags = dict(f for f in model_flags(find_model("qwen3-0.6b"), QWEN3_TOKENS) if len(f) == 2)
    assert float(flags["--norm-epsilon"]) == 1e-6


def test_yarn_is_not_asked_for(tiny: Launch) -> None:
    """--rope-type yarn is refused without multi-latent attention."""
    for path, data in tiny.files.items():
        assert b"--rope-type" not in data, path


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "qwen3-235b-a22b"])
def test_experts_are_balanced_over_the_global_batch(name: str) -> None:
    flags = dict(f for f in model_flags(find_model(name), QWEN3_TOKENS) if len(f) == 2)
    assert flags["--moe-router-load-balancing-type"] == "global_aux_loss"
    assert flags["--moe-aux-loss-coeff"] == "1e-3"
    assert flags["--moe-router-dtype"] == "fp32"
    assert flags["--num-experts"] == "128"
    assert flags["--moe-router-topk"] == "8"
    # Softmax after top-k is the default, and what norm_topk_prob means.
    assert "--moe-router-pre-softmax" not in flags


def test_phases_have_one_batch_one_schedule_and_samples_that_add_up() -> None:
    """With --train-iters, phase transitions fail; with other batches, the checkpoint is refused."""
    chain = [stage("a", 4096, 4096 * 900 + 1), stage("b", 4096, 4096 * 450 + 1)]
    first, second = plan_phases(chain)
    assert flags_of(first) == flags_of(second)
    flags = flags_of(first)
    samples = (first.steps + second.steps) * first.global_batch_size
    assert flags["--train-samples"] == flags["--lr-decay-samples"] == str(samples)
    assert flags["--phase-transition-iterations"] == str(first.steps)
    assert not [
        f for f in flags if f in ("--train-iters", "--rampup-batch-size", "--lr-warmup-iters")
    ]


def test_three_phases_name_both_transitions() -> None:
    chain = [stage(name, 64, 64 * 10 + 1) for name in "abc"]
    phases = plan_phases(chain, 2)
    assert {flags_of(p)["--phase-transition-iterations"] for p in phases} == {"5,10"}
    assert [(p.first_step, p.follows, p.follows_steps) for p in phases] == [
        (0, None, 0),
        (5, "a", 5),
        (10, "a", 10),
    ]


def test_the_last_phase_decays_over_its_own_samples() -> None:
    """The report's second stage: accelerated decay."""
    chain = [stage("a", 4096, 4096 * 900 + 1), stage("b", 4096, 4096 * 450 + 1)]
    phases = plan_phases(chain)
    flags = flags_of(phases[0], training=Training(wsd_decay_style="exponential"))
    assert flags["--lr-decay-style"] == "WSD"
    assert flags["--lr-wsd-decay-style"] == "exponential"
    decayed = phases[1].steps * phases[1].global_batch_size
    assert flags["--lr-wsd-decay-samples"] == str(decayed)


def test_stage_3_starts_from_weights_with_its_own_base_and_length(tiny: Launch) -> None:
    args, script = args_of(tiny, "3-long"), tiny.files["3-long.sh"].decode()
    assert args["--seq-length"] == args["--max-position-embeddings"] == str(LONG)
    assert '--load "$CHECKPOINTS/general" --finetune' in script
    chain = [stage("a", 4096, 4096 * 300), stage("b", 32768, 32768 * 300)]
    bases = [flags_of(p)["--rotary-base"] for p in plan_phases(chain)]
    assert bases == ["10000", "1000000"]
    own = find_model("qwen3-8b").model_copy(update={"long_rotary_base": 5_000_000})
    assert flags_of(plan_phases(chain)[1], shape=own)["--rotary-base"] == "5000000"


def test_two_long_stages_share_the_rates_of_their_schedule() -> None:
    """Megatron refuses a phase whose rates differ from the checkpoint's."""
    chain = [stage("a", 64, 6401), stage("b", 128, 12801), stage("c", 128, 12801)]
    one, two, three = plan_phases(chain, 2)
    assert flags_of(two) == flags_of(three)
    assert flags_of(two)["--lr"] == flags_of(one)["--min-lr"]


def test_arguments_of_the_checkpoint_are_never_used(tiny: Launch) -> None:
    """--use-checkpoint-args would bring the RoPE base of stage 1 back in stage 3."""
    for path, data in tiny.files.items():
        assert b"--use-checkpoint" not in data, path
        assert b"--override-opt" not in data, path


def test_training_prefixes_have_no_weights_and_no_split(tiny: Launch) -> None:
    """A weight of 0 is refused by Megatron, and any weight may begin a second epoch."""
    for path, data in tiny.files.items():
        if path.endswith(".blend.json"):
            blend = json.loads(data)
            assert list(blend) == ["train", "valid", "test"], "all three are read"
            assert blend["test"] is None
            assert all(prefix.startswith("@SHARDS@/shards/") for prefix in blend["train"])
        assert b"--split" not in data, path
        assert b"--data-path" not in data, path


def test_more_prefixes_than_megatron_numbers_are_refused() -> None:
    one = shards("a", 65)[0]
    plan_phases([Stage(name="a", mixture="a", sequence_length=64, shards=(one,) * MAX_PREFIXES)])
    many = Stage(name="a", mixture="a", sequence_length=64, shards=(one,) * (MAX_PREFIXES + 1))
    with pytest.raises(ValueError, match=r"found 32,767 shards; allowed are 32,766.*shard_tokens"):
        plan_phases([many])


def test_more_documents_than_an_int32_numbers_are_refused() -> None:
    full = Shard(prefix="p", tokens=2**33, sha256="", bytes=2**35, sequences=MAX_SEQUENCES + 1)
    with pytest.raises(ValueError, match="p: found 2,147,483,648 documents"):
        plan_phases([Stage(name="a", mixture="a", sequence_length=64, shards=(full,))])


def greedy(weights: list[float], size: int) -> list[int]:
    """Megatron's blend: at each step the prefix that lags furthest behind its share."""
    total = sum(weights)
    drawn = [0] * len(weights)
    for step in range(size):
        lag = [w / total * max(step, 1) - d for w, d in zip(weights, drawn, strict=True)]
        drawn[lag.index(max(lag))] += 1
    return drawn


def test_no_prefix_is_passed_twice() -> None:
    """One pass of each prefix is built; the greedy blend must not ask for more, up to all of it."""
    rng = random.Random(1)
    for _ in range(200):
        samples = [rng.choice([1, 2, 3, rng.randint(1, 90)]) for _ in range(rng.randint(1, 12))]
        whole = sum(samples)
        for size in {whole, max(1, whole - rng.randint(0, 5))}:
            drawn = greedy([float(n) for n in samples], size)
            assert all(d <= n for d, n in zip(drawn, samples, strict=True)), (samples, size)
        assert greedy([float(n) for n in samples], whole) == samples


def test_a_stage_asks_for_no_more_samples_than_one_pass_has(tiny: Launch) -> None:
    """N packed sequences of exactly L tokens give N - 1: a sample reads L + 1 tokens."""
    general, stem, long = tiny.phases
    assert [p.stage.num_samples() for p in (general, stem, long)] == [46, 11, 8]
    assert 2 * ((37 * 40 - 1) // LENGTH) == 46
    for phase in tiny.phases:
        assert phase.steps * phase.global_batch_size <= phase.stage.num_samples()


def test_packed_documents_do_not_teach_what_follows_their_end(tiny: Launch) -> None:
    assert "--eod-mask-loss" in args_of(tiny, "2-stem")
    assert "--reset-position-ids" in args_of(tiny, "2-stem")
    assert "--eod-mask-loss" not in args_of(tiny, "1-general")


def test_validation_never_runs_dry() -> None:
    """Megatron asks for (steps // interval + 1) evaluations and carries their count over phases.

    Several prefixes without weights would end after one pass, and the loader with them.
    """
    rng = random.Random(2)
    for _ in range(60):
        chain = [
            stage(
                name,
                64,
                64 * rng.randint(20, 400),
                validation=shards(f"v{name}", *(rng.randint(65, 2000) for _ in range(count))),
            )
            for name, count in (("a", rng.randint(1, 5)), ("b", rng.randint(2, 5)))
        ]
        phases = plan_phases(chain, rng.choice([1, 2, 4]))
        assert phases[0].evaluation == phases[1].evaluation is not None
        for phase in phases:
            evaluated = phase.stage.evaluated()
            flags = flags_of(phase)
            steps = sum(phase.schedule) // int(flags["--eval-interval"]) + 1
            asked = steps * int(flags["--eval-iters"]) * phase.global_batch_size
            assert ("--mid-level-dataset-surplus" in flags) == (len(evaluated) > 1)
            if len(evaluated) > 1:
                assert_no_oversampling(phase.stage, asked)


def assert_no_oversampling(stage: Stage, asked: int) -> None:
    """What each prefix builds, in whole epochs, against what the greedy blend draws of it."""
    one_pass = [stage.samples_of(shard) for shard in stage.evaluated()]
    targets = [math.ceil(asked * n / sum(one_pass)) for n in one_pass]
    drawn = greedy([float(n) for n in one_pass], sum(targets))
    for shard, target, count in zip(stage.evaluated(), targets, drawn, strict=True):
        wanted = math.ceil(target * 2.0) * stage.sequence_length + 1
        epochs = -(-wanted // shard.tokens)
        assert count <= (epochs * shard.tokens - 1) // stage.sequence_length


def test_validation_prefixes_are_weighted_by_their_samples(tiny: Launch) -> None:
    general = json.loads(tiny.files["1-general.blend.json"])
    assert general["valid"] == ["7", "@SHARDS@/shards/v0", "7", "@SHARDS@/shards/v1"]
    assert json.loads(tiny.files["2-stem.blend.json"])["valid"] is None
    assert json.loads(tiny.files["3-long.blend.json"])["valid"] == ["@SHARDS@/shards/w0"]
    assert args_of(tiny, "2-stem")["--eval-iters"] == "0"
    assert int(args_of(tiny, "2-stem")["--eval-interval"]) > 0, "Megatron divides by it"
    assert args_of(tiny, "1-general")["--eval-iters"] == "1"


def test_ninety_four_layers_are_shared_by_sixteen(tmp_path: Path) -> None:
    """94 / 16 is refused unless the embedding and the loss count as layers."""
    launch, _ = write_tiny(tmp_path / "w", "qwen3-235b-a22b")
    script = launch.files["1-general.sh"].decode()
    assert "if [ $((94 % PP)) -ne 0 ]; then" in script
    assert "--account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline" in script


def test_training_settings_reach_the_flags() -> None:
    training = Training(
        peak_lr=1e-3,
        end_lr=1e-4,
        long_lr=5e-5,
        long_end_lr=1e-5,
        warmup_steps=7,
        global_batch_tokens=64 * 8,
        micro_batch_size=4,
    )
    chain = [stage("a", 64, 6401), stage("b", 128, 12801)]
    first, second = plan_phases(chain, None, training)
    flags = flags_of(first, training=training)
    assert (flags["--lr"], flags["--min-lr"]) == ("0.001", "0.0001")
    assert (flags["--global-batch-size"], flags["--micro-batch-size"]) == ("8", "4")
    assert flags["--lr-warmup-samples"] == "56"
    later = flags_of(second, training=training)
    assert (later["--lr"], later["--min-lr"], later["--global-batch-size"]) == (
        "5e-05",
        "1e-05",
        "4",
    )


def test_settings_that_cannot_hold_are_refused() -> None:
    chain = [stage("a", 64, 6401)]
    with pytest.raises(ValueError, match=r"micro_batch_size: found 3 with 8 sequences"):
        plan_phases(chain, 8, Training(micro_batch_size=3))
    with pytest.raises(ValueError, match=r"warmup_steps: found 50, .* schedule of 50 steps"):
        plan_phases(chain, 2, Training(warmup_steps=50))
    with pytest.raises(ValueError, match="found stage 'a' twice"):
        plan_phases(chain * 2)


def test_a_default_batch_is_a_whole_number_of_micro_batches() -> None:
    (phase,) = plan_phases([stage("a", 64, 64 * 5000)], None, Training(micro_batch_size=3))
    assert phase.global_batch_size % 3 == 0
    assert phase.steps >= 200
