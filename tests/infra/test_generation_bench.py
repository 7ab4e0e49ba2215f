"""The benchmark of generation, against the echo server in the place of vLLM."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def bench(tmp_path: Path, *options: str, echo: str = "") -> str:
    paths = [str(ROOT), str(ROOT / "tokenize")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(tmp_path),
        "TOKENMILL_VLLM_COMMAND": f"{sys.executable} -m pipelines.models.echo {echo}".strip(),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "generation.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_clients_get_all_tokens(tmp_path: Path) -> None:
    options = ("--requests", "24", "--rounds", "2", "--in-flight", "8", "--max-tokens", "16")
    told = bench(tmp_path, "text", "no-model", *options)
    rounds = re.findall(r"round (\d): (.*): (\d+) answers, (\d+) tokens", told)
    assert rounds == [
        ("1", "tokenmill", "24", "384"),
        ("1", "bare client", "24", "384"),
        ("2", "bare client", "24", "384"),
        ("2", "tokenmill", "24", "384"),
    ]


def test_a_server_that_is_killed_costs_no_answer(tmp_path: Path) -> None:
    options = ("--requests", "64", "--in-flight", "4", "--max-tokens", "16")
    told = bench(tmp_path, "kill", "no-model", *options, echo="--faults slow:1 --slow-seconds 0.2")
    rows = dict(re.findall(r"^│ (\S.*?) +│ (\S+) +│$", told, re.MULTILINE))
    assert rows["killed (SIGKILL)"] == "True"
    assert rows["restarts"] == "1"
    assert 16 <= int(rows["answered before"]) < 64
    assert rows["answers"] == rows["in the journal"] == "64"
    assert rows["in it twice"] == "0"
    assert rows["asked again: answered by the journal"] == "64"
    assert rows["same texts"] == "True"
