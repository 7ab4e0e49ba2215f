"""The lock: every change of what a launch was made from is found and named."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_launch import PLAN, write_tiny
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.launch import lock as lock_module
from pipelines.launch.lock import folder_hash, plan_sha256, verify_launch
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("lock") / "w")[1]


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parents[1], tmp_path / "w")
    return tmp_path / "w" / "launch" / made.name


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def remove(path: Path) -> None:
    path.unlink()


CHANGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("../../shards/a0.bin", flip, "shards/a0.bin: found sha256"),
    ("../../shards/a0.idx", flip, "shards/a0.idx: found sha256"),
    ("../../shards/b0.bin", cut, "shards/b0.bin: found 1,534 bytes, expected 1,536"),
    ("../../shards/c0.idx", cut, "shards/c0.idx: found"),
    ("../../shards/v1.bin", flip, "shards/v1.bin: found sha256"),
    ("../../shards/w0.idx", remove, "shards/w0.idx: found no file, expected sha256"),
    (f"../../{PLAN}", flip, f"{PLAN}: found sha256"),
    (f"../../{PLAN}", remove, f"{PLAN}: found no file"),
    ("tokenizer/tokenizer.json", flip, "tokenizer/tokenizer.json: found sha256"),
    ("tokenizer/tokenizer_config.json", flip, "tokenizer/tokenizer_config.json: found sha256"),
    ("1-general.blend.json", flip, "1-general.blend.json: found sha256"),
    ("2-stem.args", cut, "2-stem.args: found sha256"),
    ("3-long.sh", flip, "3-long.sh: found sha256"),
    ("1-general.sha256", remove, "1-general.sha256: found no file"),
    ("launch.sha256", flip, "launch.sha256: found other lines"),
    ("launch.sha256", remove, "launch.sha256: found no file"),
]


@pytest.mark.parametrize(
    ("name", "change", "told"), CHANGES, ids=lambda v: getattr(v, "__name__", str(v)[-24:])
)
def test_a_change_is_found_and_named(
    folder: Path, name: str, change: Callable[[Path], None], told: str
) -> None:
    assert verify_launch(str(folder)) == []
    change(folder / name)
    (difference,) = verify_launch(str(folder))
    assert str(difference).startswith(told)
    assert ", expected " in str(difference)


def test_an_edited_lock_is_found_by_its_seal(folder: Path) -> None:
    path = folder / "lock.json"
    lock = json.loads(path.read_text())
    lock["stages"][0]["shards"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")
    (difference,) = verify_launch(str(folder))
    assert difference.what == "lock.json"


def test_a_lock_that_is_sealed_anew_is_found_by_the_name_of_the_folder(folder: Path) -> None:
    path = folder / "lock.json"
    lock = json.loads(path.read_text())
    lock["stages"][0]["tokens"] += 1
    lock["seal"] = lock_module._seal(lock)
    path.write_bytes(lock_module._encoded(lock))
    files = {name: (folder / name).read_bytes() for name in lock["files"]}
    (folder / "launch.sha256").write_bytes(lock_module.hashes_file(path.read_bytes(), files))
    (difference,) = verify_launch(str(folder))
    assert difference.what.startswith("name of the folder")
    assert difference.expected == folder.name[-8:]


def test_changed_code_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "sources_sha256", lambda: "0" * 64)
    (difference,) = verify_launch(str(folder))
    assert difference.what.startswith("code of tokenmill")
    assert (
        difference.expected
        == json.loads((folder / "lock.json").read_text())["code"]["sources_sha256"]
    )


def test_several_changes_are_all_told(folder: Path) -> None:
    flip(folder / "1-general.args")
    flip(folder.parents[1] / "shards/a0.bin")
    remove(folder.parents[1] / "shards/b0.bin")
    assert [d.what for d in verify_launch(str(folder))] == [
        "1-general.args",
        "shards/a0.bin",
        "shards/b0.bin",
    ]


def test_a_launch_may_stand_elsewhere_and_be_called_anything(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "mine")
    root = str(tmp_path / "w")
    assert verify_launch(str(tmp_path / "mine"), root) == []


def test_a_launch_elsewhere_knows_its_workspace(tmp_path: Path) -> None:
    root, output = tmp_path / "a w", tmp_path / "out"
    write_tiny(root, output=output)
    assert verify_launch(str(output)) == []
    flip(root / "shards/a0.bin")
    assert [d.what for d in verify_launch(str(output))] == ["shards/a0.bin"]
    flip(root / "shards/a0.bin")
    root.rename(tmp_path / "moved")
    (difference,) = verify_launch(str(output))
    assert str(difference) == (
        f"shards: found none of 14 files in {root}, expected the workspace or a copy of it there; "
        "say where it is: --shards WORKSPACE"
    )
    assert verify_launch(str(output), str(tmp_path / "moved")) == []


def test_what_is_found_is_compared_where_all_shards_are_gone(folder: Path) -> None:
    shutil.rmtree(folder.parents[1] / "shards")
    flip(folder.parents[1] / PLAN)
    flip(folder / "1-general.args")
    assert [d.what for d in verify_launch(str(folder))] == ["1-general.args", "shards", PLAN]


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace whose ledger holds one plan; gives the path of its plan.json too."""
    workspace = Workspace.create(str(tmp_path / "planned"))
    path = "mixtures/my@mix@01234567/plan.json"
    data = b'{"seed": 7}'
    workspace.storage.create(path, data)
    sha256 = hashlib.sha256(data).hexdigest()
    ref = FileRef(kind="plan", path=path, sha256=sha256, bytes=len(data), rows=0)
    entry = Entry(job="mix", fp="01234567", source="my@mix", part=0, files=(ref,), counts={})
    workspace.ledger.commit(entry)
    return workspace, Path(workspace.storage.path(path))


def test_the_hash_of_a_plan_is_that_of_the_ledger(planned: tuple[Workspace, Path]) -> None:
    workspace, path = planned
    folder = "mixtures/my@mix@01234567"
    assert plan_sha256(workspace, folder) == hashlib.sha256(path.read_bytes()).hexdigest()
    flip(path)
    with pytest.raises(LookupError, match=r"my@mix@01234567/plan\.json: found sha256 .*, expected"):
        plan_sha256(workspace, folder)
    cut(path)
    with pytest.raises(LookupError, match=r"plan\.json: found 9 bytes, expected 11 by the ledger"):
        plan_sha256(workspace, folder)
    remove(path)
    with pytest.raises(LookupError, match=r"plan\.json: found no file"):
        plan_sha256(workspace, folder)


def test_a_folder_without_a_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no lock\.json; allowed: a folder that"):
        verify_launch(str(tmp_path))
    (tmp_path / "lock.json").write_text("{")
    with pytest.raises(ValueError, match=r"lock\.json is not JSON .* it was edited"):
        verify_launch(str(tmp_path))
    (tmp_path / "lock.json").write_text('{"format": "tokenmill-launch", "version": 1}')
    with pytest.raises(ValueError, match="found version 1; allowed: 2; make the launch anew"):
        verify_launch(str(tmp_path))


def test_the_folder_is_named_by_all_of_its_files(made: Path) -> None:
    files = {
        str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()
    }
    assert made.name == f"qwen3-0.6b@{folder_hash(files)}"
    lock = json.loads(files["lock.json"])
    assert set(lock["files"]) == set(files) - {"lock.json", "launch.sha256"}
    for path, sha256 in lock["files"].items():
        assert hashlib.sha256(files[path]).hexdigest() == sha256


def test_the_command_says_what_differs_and_fails(folder: Path) -> None:
    app = build_app("launch")
    ended = CliRunner().invoke(app, ["launch", "--verify", str(folder)])
    assert ended.exit_code == 0, ended.output
    assert "files, tokenizer, plans, shards and code are as they were" in ended.output
    flip(folder.parents[1] / "shards/c0.bin")
    ended = CliRunner().invoke(app, ["launch", str(folder), "--verify"])
    assert isinstance(ended.exception, LookupError), "the command line ends with 1"
    assert "differs  shards/c0.bin: found sha256" in ended.output
    assert "1 differ" in str(ended.exception)
