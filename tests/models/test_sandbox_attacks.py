"""Programs that try to get out of the sandbox (`attacks/`), and what must not happen.

Each says `ESCAPED` where something worked that must not; what counts is looked at from outside:
servers that count connections, files, processes. All run in every back end of the machine.
"""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.models.sandbox import CodeLimits, CodeResult, CodeRun, Sandbox, open_sandbox
from pipelines.models.sandbox_filter import denied_calls

ATTACKS = Path(__file__).parent / "attacks"
MEGABYTE = 1 << 20
SECRET = "the-secret-of-the-test"


@pytest.fixture(scope="module", params=["bubblewrap", "namespaces"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if (
        request.param == "bubblewrap"
        and not shutil.which("bwrap")
        and os.environ.get("CI") != "true"
    ):
        pytest.skip("bubblewrap is not installed; CI installs it")
    return open_sandbox(request.param)


def attack(
    sandbox: Sandbox,
    name: str,
    stdin: str = "",
    *,
    packages: tuple[str, ...] = (),
    **limits: float,
) -> CodeResult:
    files = {
        "main.py": (ATTACKS / f"{name}.py").read_text(),
        "attempts.py": (ATTACKS / "attempts.py").read_text(),
    }
    found = CodeLimits(**({"seconds": 20, "cpu_seconds": 10} | limits))  # type: ignore[arg-type]
    run = CodeRun(files=files, stdin=stdin, packages=packages, limits=found)
    result = sandbox.run(run)
    assert "ESCAPED" not in result.stdout, result.stdout
    return result


def assert_done(result: CodeResult) -> list[str]:
    """The program went to its end; gives its last line as words."""
    assert (result.outcome, result.stderr) == ("ok", "")
    last = result.stdout.splitlines()[-1].split()
    assert last[0] == "done"
    return last


def processes_named(mark: str) -> list[str]:
    """Processes of this machine whose command line has a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def install_bait(
    sandbox: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes],
    mode: int,
) -> str:
    """Makes a package of files of that mode, in a folder open to all; gives its name."""
    (folder / "bait").mkdir()
    for file, content in files.items():
        (folder / "bait" / file).write_bytes(content)
        (folder / "bait" / file).chmod(mode)
    (folder / "bait").chmod(0o777)
    name = f"bait-{sandbox.name}-{mode:o}"  # a new one each time: what is shown is remembered
    about = folder / f"bait_{sandbox.name}_{mode:o}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    record = "".join(f"bait/{file},,\n" for file in files)
    (about / "RECORD").write_text(f"{record}{about.name}/METADATA,,\n")
    monkeypatch.syspath_prepend(folder)
    return name


class Counting:
    """TCP and UDP servers on all addresses that count who comes."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("", 0))
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(("", 0))
        self.address = socket.gethostbyname(socket.gethostname())

    def came(self) -> list[str]:
        """Every packet of this machine is there before its sender goes on."""
        found = []
        for name, server in (("tcp", self.tcp), ("udp", self.udp)):
            server.setblocking(False)
            try:
                found.append(
                    f"{name} {server.accept()[1] if name == 'tcp' else server.recv(100)!r}"
                )
            except BlockingIOError:
                continue
        return found


@pytest.fixture
def servers() -> Iterator[Counting]:
    counting = Counting()
    with counting.tcp, counting.udp:
        yield counting


def test_network_is_out_of_reach(sandbox: Sandbox, servers: Counting) -> None:
    ports = [server.getsockname()[1] for server in (servers.tcp, servers.udp)]
    assert_done(attack(sandbox, "network", f"{ports[0]} {ports[1]} {servers.address}"))
    assert servers.came() == []
    with socket.create_connection(("127.0.0.1", ports[0])):
        assert len(servers.came()) == 1  # it does count


def test_unix_sockets_of_the_host_are_out_of_reach(sandbox: Sandbox, tmp_path: Path) -> None:
    names = [f"@sandbox-test-{os.getpid()}", str(tmp_path / "socket")]
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as named:
        abstract.bind("\0" + names[0][1:])
        named.bind(names[1])
        for server in (abstract, named):
            server.listen()
            server.setblocking(False)
        assert_done(attack(sandbox, "unix_sockets", " ".join(names)))
        for server in (abstract, named):
            with pytest.raises(BlockingIOError):
                server.accept()


def test_fork_bomb_stays_within_its_processes(sandbox: Sandbox) -> None:
    result = attack(sandbox, "fork_bomb", processes=12, cpu_seconds=0.3)
    assert result.stdout.splitlines()[0] == "11 BlockingIOError"  # the twelfth is itself
    assert result.outcome == "timed_out"


def test_threads_count_as_processes(sandbox: Sandbox) -> None:
    result = attack(sandbox, "thread_bomb", processes=12)
    assert (result.outcome, result.stdout) == ("ok", "11\n")


def test_memory_of_one_process_is_bounded(sandbox: Sandbox) -> None:
    result = attack(sandbox, "memory_of_one", memory_bytes=256 * MEGABYTE)
    assert result.outcome == "out_of_memory"
    assert 128 < int(result.stdout) <= 256


def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    assert attack(sandbox, "memory_of_many", memory_bytes=256 * MEGABYTE).outcome == "out_of_memory"


def test_shared_memory_is_not_counted_twice(sandbox: Sandbox) -> None:
    result = attack(
        sandbox, "shared_memory_is_counted_once", memory_bytes=384 * MEGABYTE, seconds=60
    )
    assert (result.outcome, result.stdout) == ("ok", "0\n")


def test_memory_that_nobody_counts_cannot_be_had(sandbox: Sandbox) -> None:
    result = attack(sandbox, "uncounted_memory")
    assert_done(result)
    descriptors = next(line for line in result.stdout.splitlines() if "descriptors" in line)
    assert int(descriptors.split()[1]) < 256


def test_disk_and_its_files_are_bounded(sandbox: Sandbox) -> None:
    result = attack(sandbox, "disk_filling", file_bytes=4 * MEGABYTE)
    filled, made = (line.split() for line in result.stdout.splitlines())
    assert 3 * MEGABYTE < int(filled[1]) <= 4 * MEGABYTE
    assert 1000 < int(made[1]) < 4096


def test_sparse_files_are_bounded(sandbox: Sandbox) -> None:
    assert assert_done(attack(sandbox, "sparse_file")) == ["done", "0"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(("what", "unit"), [("text", "x"), ("nul", "\0"), ("garbage", "\ufffd")])
def test_endless_output_is_cut(sandbox: Sandbox, stream: str, what: str, unit: str) -> None:
    result = attack(sandbox, "endless_output", f"{stream} {what}", output_bytes=100_000)
    assert result.outcome == "output_limit"
    assert getattr(result, stream) == unit * 100_000


@pytest.mark.parametrize("how", ["sleeps", "sleeps closed many"])
def test_time_runs_out_whatever_is_ignored(sandbox: Sandbox, how: str) -> None:
    result = attack(sandbox, "stubborn", how, seconds=0.4)
    assert (result.outcome, result.stdout) == ("timed_out", "begun\n")


@pytest.mark.parametrize("how", ["works", "works many"])
def test_cpu_time_runs_out_whatever_is_ignored(sandbox: Sandbox, how: str) -> None:
    result = attack(sandbox, "stubborn", how, cpu_seconds=0.2)
    assert (result.outcome, result.stdout) == ("timed_out", "begun\n")
    assert result.seconds < 20


def test_daemons_end_with_the_run(sandbox: Sandbox) -> None:
    mark = f"daemon-of-{os.getpid()}-{sandbox.name}"
    assert_done(attack(sandbox, "daemon", mark))
    assert processes_named(mark) == []


def test_environment_and_files_of_the_worker_are_out_of_sight(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_TEST_SECRET", SECRET)
    canary = tmp_path / "secret"
    canary.write_text(SECRET)
    canary.chmod(0o644)
    home, checkout = Path.home(), Path(__file__).parents[2]
    paths = [canary, home, home / ".bashrc", checkout, checkout / "pyproject.toml", "/home"]
    paths += ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/resolv.conf", "/var", "/sys"]
    paths += [f"/proc/{pid}/{name}" for pid in (1, "self", os.getpid()) for name in ("environ", "")]
    paths += [
        "/",
        "/dev",
        "/usr",
        "/oldroot",
        "/mnt",
        "/boot",
        "/run",
        "/usr/share",
        "/usr/bin",
        "/sbin",
    ]
    result = attack(sandbox, "reading", "\n".join(map(str, paths)))
    assert_done(result)
    assert SECRET not in result.stdout
    known = ["HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"]
    assert f"environment {known}" in result.stdout


def test_other_processes_are_out_of_sight(sandbox: Sandbox) -> None:
    result = attack(sandbox, "processes")
    assert_done(result)
    assert "seen []" in result.stdout


def test_nothing_outside_the_work_folder_can_be_changed(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = install_bait(sandbox, tmp_path, monkeypatch, {"open.py": b"1"}, 0o666)
    module = Path(os.__file__)
    before = module.stat()
    assert_done(attack(sandbox, "writing", packages=(name,)))
    assert [path.name for path in (tmp_path / "bait").iterdir()] == ["open.py"]
    assert (tmp_path / "bait" / "open.py").read_bytes() == b"1"
    after = module.stat()
    assert (before.st_mtime, before.st_mode, before.st_size) == (
        after.st_mtime,
        after.st_mode,
        after.st_size,
    )
    assert not list(module.parent.glob("planted*"))
    assert not list(Path("/usr/lib").glob("planted*"))


def test_links_and_paths_do_not_lead_out(sandbox: Sandbox, tmp_path: Path) -> None:
    canary = tmp_path / "secret"
    canary.write_text(SECRET)
    result = attack(sandbox, "links", str(canary))
    assert assert_done(result)[1].startswith("/work/") or result.stdout.endswith("done /\n")
    assert SECRET not in result.stdout
    assert canary.stat().st_nlink == 1


def test_open_files_of_the_worker_are_not_inherited(sandbox: Sandbox, tmp_path: Path) -> None:
    canary = tmp_path / "open"
    canary.write_text(SECRET)
    with canary.open("r+") as file:
        os.set_inheritable(file.fileno(), True)
        high = os.dup2(file.fileno(), 300, inheritable=True)
        assert_done(attack(sandbox, "descriptors"))
        os.close(high)
    assert canary.read_text() == SECRET


def test_nobody_else_can_be_killed(sandbox: Sandbox) -> None:
    here = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: here.append(number))
    try:
        result = attack(sandbox, "killing", str(os.getpid()))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert result.stdout.endswith("done\n")
    assert (result.outcome, here) == ("ok", [])


def test_dangerous_calls_are_denied(sandbox: Sandbox) -> None:
    calls = denied_calls(os.uname().machine)
    assert {"ptrace", "bpf", "keyctl", "mount", "io_uring_setup", "process_vm_readv"} <= set(calls)
    told = "\n".join(f"{name} {number}" for name, number in calls.items())
    assert_done(attack(sandbox, "calls", told))


def test_no_namespace_and_no_right_can_be_had(sandbox: Sandbox) -> None:
    assert assert_done(attack(sandbox, "namespaces"))[1:] == ["(65534,", "65534,", "65534)"]


def test_the_machine_is_out_of_reach(sandbox: Sandbox) -> None:
    before = time.time()
    result = attack(sandbox, "machine")
    assert_done(result)
    assert "devices ['null', 'zero', 'random']" in result.stdout
    assert time.time() >= before


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other tables of calls exist on x86")
def test_calls_by_another_table_are_death(sandbox: Sandbox) -> None:
    result = attack(sandbox, "other_calling_ways")
    assert (result.outcome, result.stdout) == ("killed", "denied x32 socket OSError\n")


def test_limits_cannot_be_lifted(sandbox: Sandbox) -> None:
    assert assert_done(attack(sandbox, "limits")) == ["done", "(0,", "0)", "True"]


def test_nothing_is_left_for_the_next_run(sandbox: Sandbox) -> None:
    source = (ATTACKS / "left_behind.py").read_text()
    for _ in range(2):
        result = sandbox.run(CodeRun(files={"main.py": source}))
        assert (result.outcome, result.stdout) == ("ok", "found False\n")
    assert not list(Path("/dev/shm").glob("*sandbox_leftover*"))
    assert not Path("/tmp/leftover").exists()


def test_packages_of_the_project_are_out_of_sight(sandbox: Sandbox) -> None:
    assert assert_done(attack(sandbox, "imports")) == ["done", "[]"]


def test_another_program_is_as_confined(sandbox: Sandbox) -> None:
    assert assert_done(attack(sandbox, "other_program")) == ["done", "libm.so.6"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that runs as root")
def test_programs_of_root_give_no_rights(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(shutil.which("id") or "/usr/bin/id").read_bytes()
    name = install_bait(sandbox, tmp_path, monkeypatch, {"id": program}, 0o6755)
    result = attack(sandbox, "setuid", packages=(name,))
    assert result.stdout == "mode 0o6755\neffective 65534\neffective 65534\n", result


def test_good_programs_go_on_beside_bad_ones(sandbox: Sandbox) -> None:
    good = CodeRun(files={"main.py": "print(sum(map(int, input().split())))"}, stdin="1 2 3")
    bad = [
        ("fork_bomb", "", {"cpu_seconds": 0.2}),
        ("memory_of_many", "", {"memory_bytes": 128 * MEGABYTE}),
        ("endless_output", "stdout text", {"output_bytes": 1000}),
        ("killing", str(os.getpid()), {}),
    ]
    with ThreadPoolExecutor(8) as threads:
        attacks = [threads.submit(attack, sandbox, a, told, **lim) for a, told, lim in bad]
        found = list(threads.map(sandbox.run, [good] * 12))
        assert [one.result().outcome for one in attacks] == [
            "timed_out",
            "out_of_memory",
            "output_limit",
            "ok",
        ]
    assert [(one.outcome, one.stdout) for one in found] == [("ok", "6\n")] * 12
    assert threading.active_count() < 50
