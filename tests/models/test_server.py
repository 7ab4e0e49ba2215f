"""A model server as a child process: started once, restarted, given up, and gone at the end."""

import importlib.util
import json
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import ECHO, TINY, ends, kill, lives, models_at, told_by, vllm_model, worker

from pipelines.models import server
from pipelines.models.gpus import Devices
from pipelines.models.server import (
    Endpoint,
    VllmServer,
    find_vllm,
    server_command,
    server_environment,
    upstream,
)
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError

Start = Callable[..., VllmServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[VllmServer] = []

    def make(*command: str, **changes: object) -> VllmServer:
        made.append(VllmServer(vllm_model(**changes), tmp_path, command=command or TINY))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_command_line_of_vllm_serve() -> None:
    model = vllm_model(
        model="Qwen/Qwen3-8B@abc123", name="writer", gpus=4, tensor_parallel=2, max_model_len=8192,
        serve={
            "gpu_memory_utilization": 0.5, "enforce-eager": True, "enable_prefix_caching": False,
            "compilation-config": '{"mode":0}', "generation-config": "auto",
        },
    )  # fmt: skip
    assert server_command(model, ("vllm", "serve"), 8123) == [
        "vllm", "serve", "Qwen/Qwen3-8B", "--host=127.0.0.1", "--port=8123",
        "--served-model-name=writer", "--generation-config=auto", "--disable-uvicorn-access-log",
        "--revision=abc123", "--tensor-parallel-size=2", "--data-parallel-size=2",
        "--max-model-len=8192", "--gpu-memory-utilization=0.5", "--enforce-eager",
        "--no-enable-prefix-caching", '--compilation-config={"mode":0}',
    ]  # fmt: skip


def test_the_command_line_of_a_launcher_and_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "weights@home"
    folder.mkdir()
    command = server_command(vllm_model(model=str(folder)), ("python3", "-m", "launch"), 1)
    assert command == [
        "python3", "-m", "launch", "--model", str(folder), "--host=127.0.0.1", "--port=1",
        "--served-model-name=weights@home", "--generation-config=vllm",
        "--disable-uvicorn-access-log",
    ]  # fmt: skip


@pytest.mark.parametrize("flag", ["port", "--served_model_name", "tensor-parallel-size"])
def test_flags_that_follow_from_other_keys_are_refused(flag: str) -> None:
    with pytest.raises(ValueError, match=f"serve: {flag} is not set there; it follows from"):
        server_command(vllm_model(serve={flag: 1}), ("vllm", "serve"), 1)


def test_vllm_is_looked_for_and_its_absence_says_what_to_do(tmp_path: Path) -> None:
    told = {"TOKENMILL_VLLM_COMMAND": f"{sys.executable} -m 'my server'", "PATH": ""}
    assert find_vllm(told) == (sys.executable, "-m", "my server")
    with pytest.raises(ValueError, match="names nowhere, which is no command here"):
        find_vllm({"TOKENMILL_VLLM_COMMAND": "nowhere --fast", "PATH": ""})
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    assert find_vllm({"PATH": str(tmp_path)}) == ("vllm", "serve")
    if importlib.util.find_spec("vllm") is None:
        with pytest.raises(ValueError, match=r"tokenmill\[gpu\].*infra/vllm.*engine: endpoint"):
            find_vllm({"PATH": ""})


def test_the_environment_is_handed_on_but_for_a_key_that_would_lock_us_out() -> None:
    inherited = {"HF_HUB_OFFLINE": "1", "VLLM_API_KEY": "secret", "DO_NOT_TRACK": "0"}
    assert server_environment(inherited, Devices(("2", "3"), [])) == {
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "CUDA_VISIBLE_DEVICES": "2,3",
    }


def test_it_serves_under_its_name_and_leaves_nothing(start: Start) -> None:
    served = start(name="quill")
    assert models_at(served.url) == ["quill"]
    pid = served.pid
    assert pid is not None
    assert f"serving quill at {served.url}, pid {pid}" in served.log.read_text()
    assert served.revive(0) == 0
    assert served.pid == pid
    served.close()
    assert not lives(pid)


def test_a_killed_server_is_started_once_for_all_who_ask(start: Start) -> None:
    served = start()
    assert served.start_number == -1
    _ = served.url
    kill(served.pid)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(served.revive, [0] * 8)) == [1] * 8
    assert models_at(served.url) == ["writer"]
    assert served.revive(0) == 1
    assert served.log.read_text().count("tokenmill: start") == 2


def test_a_server_that_is_not_well_is_started_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_HEALTH_TRIES", 1)
    ill = tmp_path / "ill"
    served = start(*TINY, "--ill", str(ill))
    _, first = served.url, served.pid
    assert first is not None
    ill.touch()
    reviving = threading.Thread(target=served.revive, args=[0])
    reviving.start()
    assert ends(first)
    ill.unlink()
    reviving.join()
    assert (served.start_number, models_at(served.url)) == (1, ["writer"])


def test_what_ends_at_once_is_told_with_the_end_of_its_log(start: Start) -> None:
    script = "print(*range(200), 'CUDA out of memory', sep='\\n'); raise SystemExit(3)"
    served = start(sys.executable, "-c", script)
    with pytest.raises(EndpointError) as told:
        _ = served.url
    message = str(told.value)
    assert "model writer ended with exit code 3 before it was ready" in message
    assert message.splitlines()[-1] == "CUDA out of memory"
    assert message.splitlines()[1:3] == ["81", "82"]
    with pytest.raises(EndpointError, match="CUDA out of memory"):
        served.revive(0)
    assert served.log.read_text().count("tokenmill: start") == 1


def test_a_module_that_lacks_is_told_with_what_to_install(start: Start) -> None:
    script = "raise ModuleNotFoundError(\"No module named 'vllm'\")"
    with pytest.raises(EndpointError, match=r"pip install 'tokenmill\[gpu\]'"):
        _ = start(sys.executable, "-c", script).url


def test_what_cannot_be_run_is_told(start: Start, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="exit code 127 before it was ready"):
        _ = start(str(tmp_path / "absent")).url


def test_a_server_that_never_gets_ready_is_ended(start: Start) -> None:
    served = start(*ECHO, "--faults", "never_ready", start_timeout=1)
    with pytest.raises(EndpointError, match=r"not ready after 1 s \(`start_timeout`\)"):
        _ = served.url
    assert served.pid is None


def test_another_program_at_the_port_is_not_taken_for_the_server(start: Start) -> None:
    served = start(*TINY, "--renamed", "other", start_timeout=2)
    with pytest.raises(EndpointError, match="was not ready"):
        _ = served.url


def test_restarts_without_success_have_an_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RESTARTS", 2)
    served = start()
    _ = served.url
    for number in range(3):
        kill(served.pid)
        assert served.revive(number) == number + 1
        if number == 0:
            served.answered(1)
    kill(served.pid)
    with pytest.raises(EndpointError, match="died 3 times in a row before any request succeeded"):
        served.revive(3)
    with pytest.raises(EndpointError, match="died 3 times"):
        _ = served.url


def test_a_start_that_is_under_way_can_be_broken_off(start: Start, tmp_path: Path) -> None:
    up = tmp_path / "up"
    os.mkfifo(up)
    served = start(*TINY, "--never-ready", str(up))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: served.url)
        assert up.read_text() == "up"
        pid = served.pid
        assert pid is not None
        served.close()
        with pytest.raises(EndpointError, match="was told to end before it was ready"):
            waiting.result()
    assert not lives(pid)


def test_what_a_server_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    note = tmp_path / "stubborn"
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(note)!r}, 'w').write(str(os.getpid())); print('up', flush=True);"
        "time.sleep(1000)"
    )
    script = (
        "import runpy, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {stubborn!r}],"
        " stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdout.readline()\n"
        f"runpy.run_path({TINY[-1]!r}, run_name='__main__')\n"
    )
    served = start(sys.executable, "-S", "-c", script)
    _ = served.url
    first = int(note.read_text())
    kill(served.pid)
    assert served.revive(0) == 1
    assert not lives(first)
    second = int(note.read_text())
    assert lives(second)
    served.close()
    assert not lives(second)


def test_the_server_ends_when_its_owner_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMILL_VLLM_COMMAND", shlex.join(TINY))
    with worker("own", tmp_path, vllm_model()) as owner:
        url, pid = told_by(owner)
        assert models_at(url) == ["writer"]
        owner.kill()
        assert ends(pid)


def test_upstreams_of_endpoints() -> None:
    model = ModelConfig(engine="endpoint", model="m", url="http://127.0.0.1:9/v1/")
    found = upstream(model)
    assert isinstance(found, Endpoint)
    assert (found.url, found.revive(0)) == ("http://127.0.0.1:9/v1", 0)
    echo = ModelConfig(engine="endpoint", model="m", url="echo:")
    assert upstream(echo).url == upstream(echo).url
    assert json.dumps(models_at(upstream(echo).url)) == '["echo-rules-no-model"]'
