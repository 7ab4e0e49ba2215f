"""Servers of infra/runners end with the program that started them, however that ends."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import ServerError, Servers, free_port, pathing_jar

RUNNERS = Path(__file__).parents[2] / "infra" / "runners"
LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
time.sleep(600)
"""


def gone(process: int) -> bool:
    """Waits for the end of a process that is not a child of this one."""
    try:
        watch = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        import select

        return bool(select.select([watch], [], [], 30)[0])
    finally:
        os.close(watch)


def test_server_listens_when_started_and_is_gone_afterwards(tmp_path: Path) -> None:
    port = free_port()
    with Servers(tmp_path) as servers:
        server = servers.start("one", [sys.executable, "-c", LISTEN, str(port)], port=port)
        assert server.poll() is None
        assert servers.log("one") == "listens\n"
    assert server.returncode == -signal.SIGTERM


def test_server_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    fails = [sys.executable, "-c", "print('no such jar'); raise SystemExit(3)"]
    with Servers(tmp_path) as servers, pytest.raises(ServerError, match=r"with 3 (?s:.*)no such"):
        servers.start("one", fails, port=free_port())


def test_server_ends_when_its_program_is_killed(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys; from pathlib import Path; from processes import Servers\n"
        "servers = Servers(Path(sys.argv[1]))\n"
        "run = [sys.executable, '-c', sys.argv[3], sys.argv[2]]\n"
        "print(servers.start('one', run, port=int(sys.argv[2])).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(port), LISTEN],
        cwd=RUNNERS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        server = int(program.stdout.readline())
        program.kill()
    assert gone(server)


def test_pathing_jar_folds_its_lines_as_a_manifest_must(tmp_path: Path) -> None:
    jars = [tmp_path / f"{'long-name' * 9}-{n}.jar" for n in range(3)]
    jar = pathing_jar(tmp_path / "all.jar", "org.example.Main", jars)
    text = zipfile.ZipFile(jar).read("META-INF/MANIFEST.MF").decode()
    assert max(map(len, text.splitlines())) <= 72
    joined = text.replace("\n ", "").splitlines()
    assert joined[1] == "Main-Class: org.example.Main"
    assert joined[2] == "Class-Path: " + " ".join(path.as_uri() for path in jars)
