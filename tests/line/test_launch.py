"""Launch files of a finished run: scripts that run, blends of real shards, hashes that hold."""

import hashlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.driver import RunResult
from pipelines.launch.lock import verify_launch
from pipelines.launch.write import make_launch, write_launch
from pipelines.run_record import read_run_record
from pipelines.workspace.ledger import Entry, Ledger
from pipelines.workspace.workspace import Workspace
from token_shards.tokenizer import load_tokenizer


@pytest.fixture
def launched(done: RunResult, tmp_path: Path) -> Path:
    """A copy of the workspace with launch files; gives their folder."""
    shutil.copytree(done.workspace.url, tmp_path / "w")
    workspace = Workspace.open(str(tmp_path / "w"))
    launch = make_launch(workspace, read_run_record(workspace), "qwen3-0.6b")
    return tmp_path / "w" / write_launch(workspace, launch)


def dry_run(script: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **variables}
    command = ["bash", str(script), "--dry-run", "--log-interval", "1"]
    return subprocess.run(command, env=env, text=True, capture_output=True, check=False)


def test_scripts_print_the_command_they_would_run(launched: Path) -> None:
    scripts = sorted(launched.glob("[0-9]*.sh"))
    assert [script.name for script in scripts] == ["1-small-first.sh", "2-small-second.sh"]
    words = [shlex.split(dry_run(s, GPUS="2", CHECKPOINTS="/c").stdout) for s in scripts]
    for line in words:
        assert line[0] == "torchrun"
        assert line[line.index("--nproc-per-node") + 1] == "2"
        assert line[line.index("--kv-channels") + 1] == "128"
        assert line[-2:] == ["--log-interval", "1"], "the user's own argument comes last"
        assert line[line.index("--save") + 1] == "/c/small-first"
        assert line.count("--phase-transition-iterations") == 1
    assert "--load" not in words[0]
    assert words[1][words[1].index("--load") + 1] == "/c/small-first"
    assert "--finetune" not in words[1]
    assert not (launched / "checkpoints").exists(), "a dry run writes nothing"


def test_blends_name_every_shard_once_and_carry_no_weights(launched: Path) -> None:
    root = launched.parents[1]
    named = []
    for blend in sorted(launched.glob("*.blend.json")):
        written = json.loads(blend.read_text())
        assert written["valid"] is None, "nothing was held out"
        assert written["test"] is None
        named += [prefix.replace("@SHARDS@", str(root)) for prefix in written["train"]]
    assert all(Path(f"{prefix}.idx").is_file() for prefix in named)
    lock = json.loads((launched / "lock.json").read_text())
    locked = [s for stage in lock["stages"] for s in stage["shards"]]
    for shard in locked:
        data = (root / f"{shard['prefix']}.bin").read_bytes()
        index = (root / f"{shard['prefix']}.idx").read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        assert hashlib.sha256(index).hexdigest() == shard["index_sha256"]
        assert len(data) == shard["bytes"]
        assert len(data) == shard["tokens"] * 2, "uint16 for a vocabulary of 400"
    short = [p for stage in lock["stages"] for p in stage["shorter_than_a_sequence"]]
    assert sorted(named) == sorted(
        str(root / s["prefix"]) for s in locked if s["prefix"] not in short
    )


def test_a_cut_shard_stops_the_script(launched: Path) -> None:
    shard = next((launched.parents[1] / "shards").rglob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-2])
    ended = [dry_run(script) for script in sorted(launched.glob("[0-9]*.sh"))]
    assert sorted(one.returncode for one in ended) == [0, 2]
    assert any("1 shards are missing or cut" in one.stderr for one in ended)


def test_a_later_stage_wants_the_checkpoint_of_the_one_before(launched: Path) -> None:
    script = launched / "2-small-second.sh"
    ended = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "run the stage before this one first" in ended.stderr


def test_the_separator_of_documents_is_the_one_in_the_shards(launched: Path) -> None:
    lock = json.loads((launched / "lock.json").read_text())
    config = json.loads((launched / "tokenizer" / "tokenizer_config.json").read_text())
    tokenizer = load_tokenizer(launched / "tokenizer")
    assert tokenizer.fingerprint == lock["tokenizer"]["fingerprint"]
    assert config["eos_token"] == tokenizer.eod_token == lock["tokenizer"]["eod_token"]


def test_equal_runs_have_equal_launches(done: RunResult, launched: Path) -> None:
    record = read_run_record(done.workspace)
    one, two = (make_launch(done.workspace, record, "qwen3-8b") for _ in range(2))
    assert one.folder == two.folder
    assert one.files == two.files
    assert make_launch(done.workspace, record, "qwen3-14b").folder != one.folder
    again = make_launch(done.workspace, record, "qwen3-0.6b").folder
    assert again == f"launch/{launched.name}", "a copy elsewhere has the same launch"


def test_a_stage_that_was_not_written_is_told(done: RunResult) -> None:
    with pytest.raises(ValueError, match="found stage 'long'; allowed are the mixtures"):
        make_launch(done.workspace, read_run_record(done.workspace), "qwen3-8b", stages=["long"])


def test_verify_finds_what_changed_in_a_workspace(launched: Path) -> None:
    assert verify_launch(str(launched)) == []
    root = launched.parents[1]
    plan = next((root / "mixtures").glob("*/plan.json"))
    plan.write_text(plan.read_text().replace('"seed": 7', '"seed": 8'))
    shard = next((root / "shards").rglob("*.idx"))
    shard.unlink()
    found = verify_launch(str(launched))
    assert [d.what for d in found] == [str(p.relative_to(root)) for p in (plan, shard)]


def test_a_model_of_ones_own_is_a_file(done: RunResult, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("base: qwen3-0.6b\nnum_layers: 2\ntraining: {peak_lr: 1.0e-3}\n")
    launch = make_launch(done.workspace, read_run_record(done.workspace), str(path))
    args = launch.files["1-small-first.args"].decode().splitlines()
    assert launch.folder.startswith("launch/own@")
    assert {"--num-layers 2", "--lr 0.001", "--kv-channels 128"} <= set(args)


def test_a_launch_elsewhere_names_the_workspace(done: RunResult) -> None:
    record = read_run_record(done.workspace)
    launch = make_launch(done.workspace, record, "qwen3-0.6b", elsewhere=True)
    root = done.workspace.storage.path("")
    script = launch.files["1-small-first.sh"].decode()
    assert f"root={shlex.quote(root)}\n" in script
    assert ': "${SHARDS:=$root}"' in script


@pytest.fixture
def detailed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives shard entries further details, as runs with other settings do; one entry for each."""
    read: Callable[[Ledger, str, str | None], list[Entry]] = Ledger.entries  # type: ignore[assignment]

    def use(*details: dict[str, str]) -> None:
        def entries(ledger: Ledger, name: str, source: str | None = None) -> list[Entry]:
            return [
                replace(entry, detail={**entry.detail, **detail})
                for entry in read(ledger, name, source)
                for detail in details
            ]

        monkeypatch.setattr(Ledger, "entries", entries)

    return use


def test_shards_of_another_format_are_refused(
    done: RunResult, detailed: Callable[..., None]
) -> None:
    detailed({"format": "mds"})
    with pytest.raises(ValueError, match=r"small are written as mds; allowed: megatron"):
        make_launch(done.workspace, read_run_record(done.workspace), "qwen3-8b")


def test_held_out_shards_are_evaluated_and_not_trained_on(
    done: RunResult, detailed: Callable[..., None]
) -> None:
    record = read_run_record(done.workspace)
    plain = make_launch(done.workspace, record, "qwen3-0.6b")
    detailed({"split": "train"}, {"split": "validation"})
    launch = make_launch(done.workspace, record, "qwen3-0.6b")
    stage = launch.phases[0].stage
    assert stage.shards == plain.phases[0].stage.shards
    assert stage.validation == stage.shards
    blend = json.loads(launch.files["1-small-first.blend.json"])
    assert blend["valid"] == blend["train"] == [f"@SHARDS@/{s.prefix}" for s in stage.evaluated()]
    args = launch.files["1-small-first.args"].decode().splitlines()
    assert "--eval-iters 1" in args
    lock = json.loads(launch.files["lock.json"])["stages"][0]
    assert [s["prefix"] for s in lock["validation"]] == [s.prefix for s in stage.validation]


def test_packed_stages_mask_the_loss_at_ends_of_documents(
    done: RunResult, detailed: Callable[..., None]
) -> None:
    detailed({"packing": "best_fit"})
    launch = make_launch(done.workspace, read_run_record(done.workspace), "qwen3-0.6b")
    for stem in ("1-small-first", "2-small-second"):
        assert "--eod-mask-loss" in launch.files[f"{stem}.args"].decode().splitlines()
        assert "--reset-attention-mask" in launch.files[f"{stem}.sh"].decode()
