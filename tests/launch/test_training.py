"""Samples, steps and schedule of a chain of stages."""

import pytest

from pipelines.launch.training import Phase, Shard, Stage, phase_flags, plan_phases


def stage(name: str, length: int, *tokens: int) -> Stage:
    shards = tuple(
        Shard(prefix=f"shards/{name}-{n}", tokens=count, sha256="", bytes=4 * count)
        for n, count in enumerate(tokens)
    )
    return Stage(name=name, mixture=name, sequence_length=length, shards=shards)


def flags(phase: Phase) -> dict[str, str]:
    return {flag[0]: " ".join(flag[1:]) for flag in phase_flags(phase)}


def test_a_shard_gives_the_sequences_that_its_shifted_tokens_fill() -> None:
    one = stage("a", 10, 10, 11, 20, 21)
    assert [one.samples_of(shard) for shard in one.shards] == [0, 1, 1, 2]
    assert [shard.tokens for shard in one.unused()] == [10]
    assert one.num_samples() == 4


def test_three_stages_make_two_schedules() -> None:
    chain = [
        stage("general", 4096, 4096 * 3000 + 1),
        stage("stem", 4096, 4096 * 1000 + 1),
        stage("long", 32768, 32768 * 400 + 1),
    ]
    general, stem, long = plan_phases(chain)
    assert [p.global_batch_size for p in (general, stem, long)] == [4, 4, 2]
    assert [p.steps for p in (general, stem, long)] == [750, 250, 200]
    assert [p.follows for p in (general, stem, long)] == [None, "general", "general"]
    assert [p.is_continued for p in (general, stem, long)] == [False, True, False]

    first, second, third = flags(general), flags(stem), flags(long)
    assert first == second, "a schedule that differs between its phases is refused by Megatron"
    assert first["--train-samples"] == "4000"
    assert first["--phase-transition-iterations"] == "750"
    assert first["--lr-decay-style"] == "WSD"
    assert first["--lr-wsd-decay-samples"] == "1000"
    assert int(first["--lr-warmup-samples"]) < 4000
    assert first["--rotary-base"] == "10000"
    assert third["--rotary-base"] == "1000000"
    assert third["--seq-length"] == third["--max-position-embeddings"] == "32768"
    assert "--phase-transition-iterations" not in third
    assert float(third["--lr"]) == float(first["--min-lr"])


def test_large_stages_take_four_million_tokens_a_step() -> None:
    (phase,) = plan_phases([stage("general", 4096, 4096 * 10**6)])
    assert phase.global_batch_size == 1024


def test_a_given_batch_counts_tokens_in_later_schedules() -> None:
    chain = [stage("general", 4096, 4096 * 640 + 1), stage("long", 32768, 32768 * 64 + 1)]
    general, long = plan_phases(chain, 64)
    assert (general.global_batch_size, long.global_batch_size) == (64, 8)


def test_a_stage_smaller_than_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="stem: its shards hold 8,193 tokens, that is 2 sequences"):
        plan_phases([stage("general", 4096, 4096 * 640), stage("stem", 4096, 8193)], 64)
