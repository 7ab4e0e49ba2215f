"""One server a machine: workers come, die and go, and it stands until the last has gone."""

import os
import shlex
import sys
import threading
from pathlib import Path

import pytest
from serving import ECHO, TINY, ends, kill, lives, models_at, told_by, vllm_model, worker

from pipelines.models import sharing
from pipelines.models.chat import Message, Request
from pipelines.models.desk import open_desk
from pipelines.models.handler import Handler
from pipelines.models.server import upstream
from pipelines.models.settings import Price
from pipelines.models.sharing import SharedServer, runtime_folder, server_tag, stop_servers
from pipelines.models.upstream import EndpointError
from pipelines.workspace.children import Limits, shared_children
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TOKENMILL_VLLM_COMMAND", shlex.join(TINY))
    return monkeypatch


def starts(folder: Path) -> int:
    (log,) = (path for path in folder.glob("writer-*.log"))
    return log.read_text().count("tokenmill: start")


def keeper_of(pid: int) -> int:
    """The keeper: the parent of the guardian, which is the parent of the server."""
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def test_two_workers_share_a_server_that_outlives_the_first(tmp_path: Path) -> None:
    model = vllm_model()
    with worker("shared", tmp_path, model) as first, worker("shared", tmp_path, model) as second:
        told = told_by(first)
        assert told_by(second) == told
        assert starts(tmp_path) == 1
        first.kill()
        first.wait()
        assert models_at(told[0]) == ["writer"]
        second.kill()
        assert ends(told[1])
    assert starts(tmp_path) == 1


def test_the_last_to_leave_returns_when_the_server_has_gone(tmp_path: Path) -> None:
    first, second = (SharedServer(vllm_model(), tmp_path) for _ in range(2))
    pid = first.pid
    assert pid is None
    assert first.url == second.url
    pid = second.pid
    assert pid is not None
    first.close()
    assert lives(pid)
    second.close()
    assert not lives(pid)
    assert models_at(first.url) == ["writer"]
    first.close()


def test_a_killed_server_is_started_again_once_for_two_workers(tmp_path: Path) -> None:
    first, second = (SharedServer(vllm_model(), tmp_path) for _ in range(2))
    assert first.url == second.url
    kill(first.pid)
    assert (first.revive(0), second.revive(0)) == (1, 1)
    assert models_at(second.url) == ["writer"]
    assert starts(tmp_path) == 2
    first.close()
    second.close()


def test_a_killed_keeper_takes_its_server_along_and_another_comes(tmp_path: Path) -> None:
    shared = SharedServer(vllm_model(), tmp_path)
    assert shared.revive(0) == 0
    pid = shared.pid
    assert pid is not None
    kill(keeper_of(pid))
    assert ends(pid)
    assert shared.revive(0) == 1, "a number that was told before would hide the new address"
    assert models_at(shared.url) == ["writer"]
    assert shared.revive(1) == 1
    shared.close()


def test_an_error_of_the_server_reaches_the_workers(
    tmp_path: Path, command: pytest.MonkeyPatch
) -> None:
    command.setenv("TOKENMILL_VLLM_COMMAND", shlex.join([sys.executable, "-c", "1/0"]))
    shared = SharedServer(vllm_model(), tmp_path)
    with pytest.raises(EndpointError, match=r"(?s)exit code 1 .*ZeroDivisionError"):
        _ = shared.url
    shared.close()


def test_without_vllm_no_keeper_is_started(tmp_path: Path, command: pytest.MonkeyPatch) -> None:
    command.setenv("TOKENMILL_VLLM_COMMAND", "no-such-launcher serve")
    with pytest.raises(EndpointError, match="no-such-launcher, which is no command here"):
        _ = SharedServer(vllm_model(), tmp_path).url
    assert not list(tmp_path.glob("*.keeper.log"))


def test_who_leaves_while_the_server_starts_is_not_kept_waiting(
    tmp_path: Path, command: pytest.MonkeyPatch
) -> None:
    up = tmp_path / "up"
    os.mkfifo(up)
    command.setenv("TOKENMILL_VLLM_COMMAND", shlex.join([*TINY, "--never-ready", str(up)]))
    shared = SharedServer(vllm_model(start_timeout=1000), tmp_path)
    errors: list[str] = []

    def use() -> None:
        with pytest.raises(EndpointError) as told:
            _ = shared.url
        errors.append(str(told.value))

    using = threading.Thread(target=use)
    using.start()
    assert up.read_text() == "up"
    shared.close()
    using.join()
    assert "cannot be reached" in errors[0]


def test_models_that_differ_in_price_share_a_server_and_others_do_not() -> None:
    model = vllm_model()
    assert server_tag(model) == server_tag(vllm_model(price=Price(gpu_hour=2), in_flight=7))
    assert server_tag(model) != server_tag(vllm_model(serve={"max-num-seqs": 4}))


def test_the_server_of_a_model_is_freed_between_stages(
    tmp_path: Path, command: pytest.MonkeyPatch
) -> None:
    command.setattr(sharing, "runtime_folder", lambda: tmp_path)
    command.setattr(sharing, "_shared", {})
    found = upstream(vllm_model())
    assert isinstance(found, SharedServer)
    assert upstream(vllm_model(price=Price(gpu_hour=1))) is found
    _ = found.url
    pid = found.pid
    assert pid is not None
    stop_servers()
    assert not lives(pid)
    assert models_at(found.url) == ["writer"]
    stop_servers()


def test_a_server_that_dies_in_mid_run_costs_no_answer(
    tmp_path: Path, command: pytest.MonkeyPatch
) -> None:
    command.setenv("TOKENMILL_VLLM_COMMAND", shlex.join([*ECHO, "--plain", "--die-after", "25"]))
    model = vllm_model(in_flight=8)
    shared = SharedServer(model, tmp_path)
    handler = Handler(model, shared)
    workspace = Workspace.create(str(tmp_path / "w"))
    requests = [Request(messages=(Message("user", f"Number {n}"),)) for n in range(60)]
    key, children = PartKey("web", 0), shared_children(Limits(processes=1))
    with open_desk(model, workspace, key, children, handler=handler) as desk:
        answers = list(desk.map_ordered(requests, desk.ask))
    assert [one.text for one in answers] == [f"Number {n}" for n in range(60)]
    assert [one.reason for one in answers] == [None] * 60
    assert desk.usage.requests == 60
    assert starts(tmp_path) >= 3
    handler.close()
    shared.close()


def test_a_folder_that_others_may_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = runtime_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(EndpointError, match="is no folder that only this user may open"):
        runtime_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(EndpointError, match="is no folder"):
        runtime_folder()
