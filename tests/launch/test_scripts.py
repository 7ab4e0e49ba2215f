"""The stage scripts, run by bash: what they pass on, when they go on, and when they refuse."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_launch import write_tiny

# A torchrun that keeps what it was called with, in place of training.
TORCHRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$CALLED"
env | grep CUDA_DEVICE_MAX_CONNECTIONS >> "$CALLED"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("scripts") / "w")[1]


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A launch of its own, in a workspace whose path has a blank and what sed would read."""
    root = tmp_path / "a b&c|d"
    shutil.copytree(made.parents[1], root)
    return root / "launch" / made.name


def run(
    script: Path, *words: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The script with a torchrun that only notes its arguments; gives these too."""
    tools = script.parents[2] / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "torchrun").write_text(TORCHRUN)
    (tools / "torchrun").chmod(0o755)
    called = tools / "called"
    called.unlink(missing_ok=True)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "CALLED": str(called), **variables}
    ended = subprocess.run(
        ["bash", str(script), *words], env=env, text=True, capture_output=True, check=False
    )
    return ended, called.read_text().splitlines() if called.exists() else []


def after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def reach(checkpoints: Path, name: str, steps: int) -> None:
    folder = checkpoints / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest_checkpointed_iteration.txt").write_text(f"{steps}\n")


def test_the_first_stage_starts_from_nothing_and_reads_the_shards_around_it(folder: Path) -> None:
    ended, words = run(folder / "1-general.sh", "--log-interval", "1", MEGATRON="/m")
    assert ended.returncode == 0, ended.stderr
    assert "/m/pretrain_gpt.py" in words
    assert "--load" not in words
    assert words[-3:-1] == ["--log-interval", "1"], "the user's own argument comes last"
    assert words[-1] == "CUDA_DEVICE_MAX_CONNECTIONS=1"
    blend = json.loads(Path(after(words, "--per-split-data-args-path")).read_text())
    root = folder.parents[1]
    assert blend["train"] == [f"{root}/shards/a0", f"{root}/shards/a1"]
    assert blend["valid"][1] == f"{root}/shards/v0"
    assert all(Path(f"{prefix}.idx").is_file() for prefix in blend["train"])
    assert after(words, "--tokenizer-model") == str(folder / "tokenizer")


def test_a_killed_stage_goes_on_from_its_own_checkpoint(folder: Path) -> None:
    checkpoints = folder / "checkpoints"
    reach(checkpoints, "general", 5)
    _, words = run(folder / "1-general.sh")
    assert after(words, "--load") == str(checkpoints / "general")
    assert "--finetune" not in words
    reach(checkpoints, "general", 28)
    reach(checkpoints, "long", 2)
    _, words = run(folder / "3-long.sh")
    assert after(words, "--load") == str(checkpoints / "long")
    assert "--finetune" not in words, "it would begin anew"


def test_a_stage_that_has_ended_is_not_begun_again(folder: Path) -> None:
    reach(folder / "checkpoints", "general", 23)
    ended, words = run(folder / "1-general.sh")
    assert (ended.returncode, words) == (0, [])
    assert "has 23 steps, and this stage ends with 23" in ended.stdout


def test_a_later_stage_wants_the_whole_of_the_one_before(folder: Path) -> None:
    checkpoints = folder / "checkpoints"
    for steps in (None, 22):
        if steps:
            reach(checkpoints, "general", steps)
        ended, words = run(folder / "2-stem.sh")
        assert (ended.returncode, words) == (2, [])
        assert f"a checkpoint of {steps or 0} steps" in ended.stderr
        assert "wants one of 23; run the stage before this one first" in ended.stderr
    reach(checkpoints, "general", 23)
    _, words = run(folder / "2-stem.sh")
    assert after(words, "--load") == after(words, "--save") == str(checkpoints / "general")
    ended, words = run(folder / "3-long.sh")
    assert (ended.returncode, words) == (2, []), "stage 2 has still to decay"
    reach(checkpoints, "general", 28)
    _, words = run(folder / "3-long.sh")
    assert after(words, "--load") == str(checkpoints / "general")
    assert "--finetune" in words
    assert after(words, "--save") == str(checkpoints / "long")


def test_packed_stages_choose_their_mask_and_others_make_none(folder: Path) -> None:
    reach(folder / "checkpoints", "general", 23)
    _, words = run(folder / "2-stem.sh")
    assert "--reset-attention-mask" in words
    assert "--no-create-attention-mask-in-dataloader" not in words, "it would undo the first"
    _, words = run(folder / "2-stem.sh", RESET_ATTENTION_MASK="0")
    assert "--reset-attention-mask" not in words
    assert "--no-create-attention-mask-in-dataloader" in words
    reach(folder / "checkpoints", "general", 0)
    _, words = run(folder / "1-general.sh")
    assert "--no-create-attention-mask-in-dataloader" in words


def test_plain_pytorch_takes_one_variable(folder: Path) -> None:
    _, words = run(folder / "1-general.sh", TRANSFORMER_ENGINE="0")
    assert after(words, "--transformer-impl") == "local"
    assert {"--no-rope-fusion", "--no-masked-softmax-fusion"} <= set(words)
    assert "--use-distributed-optimizer" not in words
    _, words = run(folder / "1-general.sh")
    assert after(words, "--transformer-impl") == "transformer_engine"
    assert "--use-distributed-optimizer" in words


def test_places_and_sizes_come_from_variables(folder: Path) -> None:
    _, words = run(
        folder / "1-general.sh",
        TP="2",
        PP="3",
        GPUS="4",
        NNODES="2",
        NODE_RANK="1",
        MEGATRON_ARGS="--tp-comm-overlap --log-interval 2",
    )
    assert after(words, "--tensor-model-parallel-size") == "2"
    assert "--sequence-parallel" in words
    assert "--account-for-loss-in-pipeline-split" in words, "28 layers, 3 stages, 30 with both"
    assert (after(words, "--nnodes"), after(words, "--node-rank")) == ("2", "1")
    assert words[-4:-1] == ["--tp-comm-overlap", "--log-interval", "2"]
    _, words = run(folder / "1-general.sh", PP="4")
    assert "--account-for-loss-in-pipeline-split" not in words


def test_a_dry_run_prints_the_command_and_writes_nothing(folder: Path) -> None:
    ended, words = run(folder / "2-stem.sh", "--dry-run")
    assert (ended.returncode, words) == (0, [])
    assert shlex.split(ended.stdout)[0] == "torchrun"
    assert not (folder / "checkpoints").exists()


def test_cut_and_missing_shards_stop_a_script(folder: Path) -> None:
    shards = folder.parents[1] / "shards"
    (shards / "v0.bin").write_bytes(b"ab")
    (shards / "a1.idx").unlink()
    ended, words = run(folder / "1-general.sh")
    assert (ended.returncode, words) == (2, [])
    (index_bytes,) = {
        line.split()[1]
        for line in (folder / "1-general.shards").read_text().splitlines()
        if line.endswith(" shards/a1")
    }
    assert int(index_bytes) == (shards / "a0.idx").stat().st_size, "a0 has as many documents"
    first, second, last = ended.stderr.splitlines()
    assert first == f"error: {shards}/a1.idx: {index_bytes} bytes were written, found no file"
    assert second == f"error: {shards}/v0.bin: 900 bytes were written, found 2"
    assert "2 shards are missing or cut" in last
    (shards / "a1.bin").unlink()
    ended, _ = run(folder / "1-general.sh", "--dry-run")
    assert "a1.bin: 2960 bytes were written, found no file" in ended.stderr
    assert "2 shards are missing or cut" in ended.stderr, "a shard counts once"


AWKWARD = ["with a blank", 'it\'s $HOME `x` "q"', "a&b|c\\d"]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_launch_elsewhere_finds_its_workspace_by_any_path(name: str, tmp_path: Path) -> None:
    root, output = tmp_path / name / "w", tmp_path / "o" / "p" / f"{name} out"
    write_tiny(root, output=output)
    ended, _ = run(output / "1-general.sh", "--verify")
    assert (ended.returncode, ended.stderr) == (0, "")
    ended, _ = run(output / "1-general.sh", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert after(shlex.split(ended.stdout), "--tokenizer-model") == f"{output}/tokenizer"
    ended, words = run(output / "1-general.sh")
    assert ended.returncode == 0, ended.stderr
    blend = json.loads(Path(after(words, "--per-split-data-args-path")).read_text())
    assert blend["train"] == [f"{root}/shards/a0", f"{root}/shards/a1"]
    root.rename(tmp_path / "moved")
    ended, _ = run(output / "1-general.sh", "--dry-run", SHARDS=str(tmp_path / "moved"))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["shards/a0.bin", "shards/v1.idx", "1-general.args", "lock.json"])
def test_verify_compares_every_byte_without_tokenmill(folder: Path, name: str) -> None:
    script = folder / "1-general.sh"
    ended, words = run(script, "--verify")
    assert (ended.returncode, words) == (0, []), ended.stderr
    path = folder.parents[1] / name if name.startswith("shards") else folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    ended, words = run(script, "--verify")
    assert (ended.returncode, words) == (1, [])
    assert f"{name}: FAILED" in ended.stdout + ended.stderr


def test_every_script_is_bash(made: Path) -> None:
    for script in [*made.glob("*.sh"), *made.glob("*.sbatch")]:
        subprocess.run(["bash", "-n", str(script)], check=True)
