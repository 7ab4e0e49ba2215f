"""Servers that stand in for vLLM in tests: the echo server and programs that fail, as processes."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.models.settings import ModelConfig

TINY = (sys.executable, "-S", str(Path(__file__).with_name("tiny_server.py")))
ECHO = (sys.executable, "-m", "pipelines.models.echo")
ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


def vllm_model(**changes: object) -> ModelConfig:
    """A model that is served here."""
    return ModelConfig.model_validate(
        {"engine": "vllm", "model": "org/writer", "start_timeout": PATIENCE_S, **changes}
    )


def ends(pid: int) -> bool:
    """Whether a process ends; waits for it."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], PATIENCE_S)[0])
    finally:
        os.close(watched)


def lives(pid: int) -> bool:
    """Whether there is such a process now."""
    return Path(f"/proc/{pid}").exists()


def kill(pid: int | None) -> None:
    """As `kill -9`."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def models_at(url: str) -> list[str]:
    """What a server lists."""
    with urllib.request.urlopen(f"{url}/models") as answer:
        return [one["id"] for one in json.load(answer)["data"]]


@contextmanager
def worker(kind: str, folder: Path, model: ModelConfig) -> Iterator[subprocess.Popen[str]]:
    """A process that uses a server; killed at the end if it is still there."""
    told = model.model_dump_json(exclude_unset=True)
    script = str(Path(__file__).with_name("server_worker.py"))
    process = subprocess.Popen(
        [sys.executable, script, kind, str(folder), told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def told_by(process: "subprocess.Popen[str]") -> tuple[str, int]:
    """URL and process id of the server that a worker uses."""
    assert process.stdout is not None
    url, pid = process.stdout.readline().split()
    return url, int(pid)
