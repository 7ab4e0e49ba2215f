"""The sandbox seen by those who use it; what must not get out is in test_sandbox_attacks.py."""

import os
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.models.sandbox import CodeLimits, CodeResult, CodeRun, Sandbox, open_sandbox
from pipelines.models.sandbox_filter import MACHINES, denied_calls, seccomp_filter
from pipelines.models.sandbox_view import packages_shown, standard_view

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox()


def run(sandbox: Sandbox, source: str, stdin: str = "", **limits: float) -> CodeResult:
    found = CodeLimits(**limits)  # type: ignore[arg-type]
    return sandbox.run(CodeRun(files={"main.py": source}, stdin=stdin, limits=found))


def test_output_of_a_program(sandbox: Sandbox) -> None:
    result = run(sandbox, "import sys; print(input()[::-1]); sys.stderr.write('noté')", "días\n")
    assert (result.outcome, result.exit_code) == ("ok", 0)
    assert (result.stdout, result.stderr) == ("saíd\n", "noté")
    assert 0 < result.seconds < 10


@pytest.mark.parametrize(
    ("source", "outcome", "code"),
    [
        ("exit(3)", "failed", 3),
        ("1 / 0", "failed", 1),
        ("import os; os._exit(137)", "failed", 137),  # what a shell would take for a signal
        ("import os; os.kill(os.getpid(), 11)", "killed", None),
        ("import os; os.kill(os.getpid(), 9)", "killed", None),
        ("raise MemoryError('no more')", "out_of_memory", 1),
        ("def f(): f()\nf()", "failed", 1),
        ("print('unclosed", "failed", 1),
    ],
)
def test_ends_of_programs(sandbox: Sandbox, source: str, outcome: str, code: int | None) -> None:
    result = run(sandbox, source)
    assert (result.outcome, result.exit_code) == (outcome, code)


def test_text_goes_in_and_out_unchanged(sandbox: Sandbox) -> None:
    text = "漢字 \0 \ud800 हिन्दी\r\n" * 40_000  # more than a pipe holds
    result = run(
        sandbox, "import sys; b = sys.stdin.buffer.read(); sys.stdout.buffer.write(b)", text
    )
    assert result.outcome == "output_limit"
    result = run(sandbox, "import sys; print(len(sys.stdin.buffer.read()))", text)
    assert result.stdout == f"{len(text.encode(errors='surrogatepass'))}\n"
    result = run(sandbox, r"import sys; sys.stdout.buffer.write(b'\xe6\xbc a\0')")
    assert (result.outcome, result.stdout) == ("ok", "\ufffd a\0")


def test_stdin_that_nobody_reads_holds_nothing_up(sandbox: Sandbox) -> None:
    assert run(sandbox, "import sys; sys.stdin.close(); print(1)", "x" * (1 << 22)).stdout == "1\n"


def test_folders_commands_and_temporary_files(sandbox: Sandbox) -> None:
    files = {
        "package/__init__.py": "",
        "package/deep/values.py": "ANSWER = 42",
        "tests/check.py": "import sys, os, tempfile\n"
        "from package.deep.values import ANSWER\n"
        "with tempfile.NamedTemporaryFile('w+') as f:\n"
        "    f.write(str(ANSWER)); f.seek(0); print(f.read(), f.name[:5], os.getcwd(), sys.argv)\n",
    }
    command = ("python", "-c", "import runpy; runpy.run_module('tests.check')", "word")
    result = sandbox.run(CodeRun(files=files, command=command))
    assert (result.stderr, result.stdout) == ("", "42 /tmp/ /work ['-c', 'word']\n")
    result = sandbox.run(CodeRun(files={}, command=("gcc", "x.c")))
    assert (result.outcome, result.exit_code) == ("failed", 127)
    assert result.stderr.startswith("cannot start gcc: ")


def test_what_programs_usually_do_works(sandbox: Sandbox) -> None:
    source = """
import asyncio, multiprocessing, subprocess, sys, threading, concurrent.futures, decimal, sqlite3
def double(n): return 2 * n
if __name__ == "__main__":
    print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout)
    print(subprocess.run(["python3", "-c", "print(2)"], capture_output=True).stdout)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(double, range(3)))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        print(list(pool.map(double, range(3))))
    print(asyncio.run(asyncio.sleep(0, "slept")))
    print(sqlite3.connect("a.db").execute("select 3").fetchall())
    lines = []
    sys.settrace(lambda frame, event, arg: lines.append(frame.f_lineno))
    double(1)
    sys.settrace(None)
    print(lines)
"""
    result = run(sandbox, source)
    assert (result.outcome, result.stderr) == ("ok", "")
    assert result.stdout.splitlines() == [
        "b'1\\n'",
        "b'2\\n'",
        "[0, 2, 4]",
        "[0, 2, 4]",
        "slept",
        "[(3,)]",
        "[3]",
    ]


def test_runs_do_not_differ(sandbox: Sandbox) -> None:
    source = "print({str(n) for n in range(50)}, hash('x'))"
    assert len({run(sandbox, source).stdout for _ in range(2)}) == 1


def test_many_at_once(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(run, sandbox, "print(input())", str(n)) for n in range(24)]
        assert [one.result().stdout for one in runs] == [f"{n}\n" for n in range(24)]


def test_packages_asked_for_can_be_imported(sandbox: Sandbox) -> None:
    test = "import pytest, numpy\ndef test_sum(tmp_path): assert numpy.arange(4).sum() == 6\n"
    code = CodeRun(
        files={"test_sum.py": test},
        command=("python", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        packages=("pytest", "numpy"),
        limits=CodeLimits(memory_bytes=2 << 30, seconds=60, cpu_seconds=60),
    )
    result = sandbox.run(code)
    assert (result.outcome, result.exit_code) == ("ok", 0), result
    assert "1 passed" in result.stdout
    assert "/packages/pluggy" in {inside for _, inside in packages_shown(("pytest",))}


def test_packages_that_are_not_there_are_complained_about(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="package 'no-such-thing' was asked for in the sandbox"):
        sandbox.run(CodeRun(files={}, packages=("no-such-thing",)))


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", "a\0b", "./x", "a//b", "a/"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names are relative"):
        CodeRun(files={name: ""})


def test_senseless_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a command"):
        CodeRun(files={}, command=())
    with pytest.raises(ValueError, match="limit processes of a code run must be above 0, not 0"):
        CodeLimits(processes=0)
    with pytest.raises(ValueError, match="have 9 bytes, its limit is 8"):
        CodeRun(files={"a": "漢字漢"}, limits=CodeLimits(file_bytes=8))


def test_the_view_holds_an_interpreter_and_little_else() -> None:
    view = standard_view()
    shown = [inside for _, inside in view.shown]
    assert any(Path(view.interpreter).is_relative_to(one) for one in shown)
    stdlib = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    assert any(Path(stdlib).resolve().is_relative_to(one) for one in shown)
    for closed in (Path.home(), CHECKOUT, Path("/etc/passwd"), Path("/usr/bin/env")):
        assert not any(closed.is_relative_to(one) for one in shown)


@pytest.mark.parametrize("machine", list(MACHINES))
def test_jumps_of_the_filter_stay_within_it(machine: str) -> None:
    program = seccomp_filter(machine)
    steps = [program[at : at + 8] for at in range(0, len(program), 8)]
    assert len(steps) <= 4096  # BPF_MAXINSNS
    for at, step in enumerate(steps):
        if step[0] & 7 == 5:  # a jump
            assert at + 1 + max(step[2], step[3]) < len(steps)
    assert len(set(denied_calls(machine).values())) == len(denied_calls(machine))


def test_another_machine_has_no_filter() -> None:
    with pytest.raises(ValueError, match="no table of system calls for s390x"):
        seccomp_filter("s390x")


def open_elsewhere(*before: str) -> str:
    """What `open_sandbox` says in a process started by other programs."""
    source = "from pipelines.models.sandbox import *\ntry: print(open_sandbox().name)\n"
    source += "except SandboxError as error: print(error)"
    done = subprocess.run(
        [*before, sys.executable, "-c", source],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_without_user_namespaces_the_sandbox_says_so() -> None:
    script = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "
    script += '--inh-caps=-all --securebits=+noroot "$@"'
    said = open_elsewhere("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
    assert said.startswith("no sandbox for generated code on this machine")
    assert "user.max_user_namespaces is 0: sysctl user.max_user_namespaces=" in said
    assert "namespaces: OSError" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="the attacks ran as an ordinary user already")
def test_attacks_of_an_ordinary_user(tmp_path: Path) -> None:
    """Root's interpreter may lie in root's home, so the user gets it and the checkout elsewhere."""
    user = "12345"
    places = {
        Path(sys.base_prefix).resolve(): tmp_path / "python",
        CHECKOUT: tmp_path / "checkout",
        Path(sysconfig.get_path("purelib")): tmp_path / "packages",
    }
    script = []
    for source, target in places.items():
        target.mkdir()
        script.append(f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(target))}")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, int(user), int(user))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/") and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    chosen = (
        "fork_bomb or together or disk or environment or killed or no_right or changed or daemons"
    )
    interpreter = tmp_path / "python" / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", str(interpreter)]
    command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(home / "t")]
    command += ["tests/models/test_sandbox_attacks.py", "-k", chosen]
    script += [f"cd {tmp_path}/checkout", f"exec {shlex.join(command)}"]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(script)],
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": f"{tmp_path}/packages",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CI": os.environ.get("CI", ""),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
