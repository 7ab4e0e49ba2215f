"""What is around a run goes wrong: the disk, the store, the clock, another run."""

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comparing_workspaces import Outcome, outcome_of
from fault_bench import Bench, Ended, Row

sys.path.append(str(Path(__file__).parents[1] / "line"))

_FULL = "the disk is full"
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
# In a mount namespace of its own: fill the disk, look, make room, go on.
_FILL = """
set -e
mount -t tmpfs -o size="$1" tmpfs "$2"
shift_to="$3"; small="$2"; shift 3
set +e
"$@" 2>"$shift_to/first.txt" >/dev/null
echo $? >"$shift_to/first.code"
cp -a "$small" "$shift_to/partial"
mount -o remount,size=512m "$small"
"$@" 2>"$shift_to/second.txt" >/dev/null
echo $? >"$shift_to/second.code"
cp -a "$small" "$shift_to/done"
"""
_READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
shift
exec "$@"
"""


def full_disks(bench: Bench, number: int) -> list[Row]:
    """A disk of a random size that cannot hold the result."""
    if reason := _no_namespace():
        return [Row("full disk", 0, True, True, 0, f"skipped: {reason}")]
    size = sum(path.stat().st_size for path in bench.whole.rglob("*") if path.is_file())
    rows = []
    for _ in range(number):
        share = bench.chance.uniform(0.15, 0.85)
        place, disk = bench.fresh(), bench.fresh()
        place.mkdir()
        disk.mkdir()
        # A file takes whole pages on a tmpfs: four times the bytes of so small a corpus.
        num_bytes = str(int(4 * size * share))
        command = [*_NAMESPACE, "sh", "-c", _FILL, "fill", num_bytes, str(disk), str(place)]
        bench.end(bench.start([*command, *bench.command(disk / "w")]))
        rows.append(_judge_disk(bench, place, share))
    return rows


def _judge_disk(bench: Bench, place: Path, share: float) -> Row:
    codes = [(place / f"{name}.code").read_text().strip() for name in ("first", "second")]
    words = (place / "first.txt").read_text()
    name = f"full disk at {share:.0%} of what is needed"
    if codes[0] == "0":
        return bench.compare(name, place / "done" / "w", 0, note="it was large enough")
    partial = outcome_of(str(place / "partial" / "w"))
    clear = words.count("error: ") == 1 and _FULL in words and "Traceback" not in words
    good = codes == ["1", "0"] and clear and not partial.faults
    note = "" if good else f"exit codes {codes}, {partial.faults[:2]}, {words[-300:]}"
    return bench.compare(name, place / "done" / "w", 1, survived=good, note=note)


def store_cut(bench: Bench, seconds: float) -> list[Row]:
    """The object store is away for a while in the middle of a run."""
    import fsspec
    from moto.server import ThreadedMotoServer
    from proxy import Proxy
    from small_corpus import run_small, write_corpus

    place = bench.fresh()
    corpus = write_corpus(place / "in")
    local = run_small(corpus, str(place / "local"), processes=1)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    script = [sys.executable, "-m", "pipelines.cli", "run", str(corpus), "--processes", "1"]
    command = [*script, "--workspace", "s3://mill/w"]
    with Proxy(host, port) as proxy, _credentials(proxy.url):
        fs = fsspec.filesystem("s3")
        fs.mkdir("mill")
        process = bench.start(command)
        wanted = bench.chance.randint(20, 80)
        while process.poll() is None and _puts(proxy) < wanted:
            time.sleep(0.05)
        met = process.poll() is None
        proxy.cut()
        time.sleep(seconds)
        proxy.heal()
        ended = bench.end(process)
        clear = ended.words.count("error: ") == 1 and "Traceback" not in ended.words
        good = ended.code == 0 or (ended.code == 1 and clear)
        again = bench.end(bench.start(command))
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        expected = outcome_of(local.workspace.url)
        made = outcome_of("s3://mill/w") if again.code == 0 else Outcome({}, (), 0)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()
    first = "waited and went on" if ended.code == 0 else f"ended with exit code {ended.code}"
    note = f"cut after {wanted} writes: it {first}; the next ended with {again.code}"
    if not good or again.code:
        note += f": {ended.words[-300:]} {again.words[-300:]}"
    name = f"object store cut for {seconds:g} s"
    lost = expected.documents - made.documents
    return [Row(name, int(met), good and again.code == 0, made == expected, lost, note)]


def _puts(proxy: object) -> int:
    return sum(seen.method in ("PUT", "POST") for seen in proxy.seen)  # type: ignore[attr-defined]


@contextmanager
def _credentials(url: str) -> Iterator[None]:
    given = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def two_drivers(bench: Bench) -> list[Row]:
    """Two drivers at once; then two that do not know of each other."""
    rows = []
    workspace = bench.fresh()
    pair = [bench.start(bench.command(workspace)) for _ in range(2)]
    ended = [bench.end(process) for process in pair]
    codes = sorted(one.code for one in ended)
    refused = [one for one in ended if one.code]
    clear = all("is in use by" in one.words and "Traceback" not in one.words for one in refused)
    note = f"exit codes {codes}"
    if not clear:
        note += f": {refused[0].words[-300:]}"
    good = codes == [0, 1] and clear
    rows.append(bench.verdict("two drivers at once", workspace, 1, survived=good, note=note))
    workspace = bench.fresh()
    pair = [bench.start(bench.command(workspace, "unleased")) for _ in range(2)]
    ended = [bench.end(process) for process in pair]
    codes = sorted(one.code for one in ended)
    note = f"exit codes {codes}"
    if any(codes):
        note += f": {next(one.words for one in ended if one.code)[-300:]}"
    rows.append(bench.verdict("two drivers, both writing", workspace, 1, note=note))
    return rows


def clock_jumps(bench: Bench) -> list[Row]:
    """The wall clock jumps by years; then the inputs get other times."""
    workspace = bench.fresh()
    first = bench.run(workspace, "jump")
    for path in bench.corpus.parent.joinpath("notes").iterdir():
        os.utime(path, (1e9, 1e9))
    note = "" if first.code == 0 else f"exit code {first.code}: {first.words[-300:]}"
    return [bench.verdict("clock jumps", workspace, 1, survived=first.code == 0, note=note)]


def closed_workspaces(bench: Bench) -> list[Row]:
    """The workspace cannot be written: one clear error, and nothing changes."""
    return [_read_only(bench), _denied(bench)]


def _half_done(bench: Bench) -> Path:
    workspace = bench.fresh()
    bench.run(workspace, "kill", "after", "deduplicate.clusters", "1")
    return workspace


def _read_only(bench: Bench) -> Row:
    name = "read-only workspace"
    if reason := _no_namespace():
        return Row(name, 0, True, True, 0, f"skipped: {reason}")
    workspace = _half_done(bench)
    before = _listing(workspace)
    prefix = [*_NAMESPACE, "sh", "-c", _READ_ONLY, "ro", str(workspace)]
    ended = bench.end(bench.start([*prefix, *bench.command(workspace)]))
    return _judge_closed(bench, name, workspace, before, ended)


def _denied(bench: Bench) -> Row:
    name = "permission denied"
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            return Row(name, 0, True, True, 0, "skipped: root may write everywhere, and no setpriv")
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    workspace = _half_done(bench)
    before = _listing(workspace)
    folders = [workspace, *(path for path in workspace.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    ended = bench.end(bench.start([*prefix, *bench.command(workspace)], HOME=tempfile.gettempdir()))
    for folder in folders:
        folder.chmod(0o755)
    return _judge_closed(bench, name, workspace, before, ended)


def _judge_closed(
    bench: Bench, name: str, workspace: Path, before: dict[str, int], ended: Ended
) -> Row:
    code, words = ended.code, ended.words
    told = re.search(r"[Rr]ead-only|[Pp]ermission denied", words) is not None
    good = code == 1 and told and "Traceback" not in words and _listing(workspace) == before
    note = f"exit code {code}" + ("" if good else f": {words[-400:]}")
    return bench.verdict(name, workspace, 1, survived=good, note=note)


def _listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def _no_namespace() -> str:
    """Why there is no mount namespace of one's own; empty where there is one."""
    if shutil.which("unshare") is None:
        return "no unshare(1)"
    probe = [*_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no mount namespace ({tried.stderr.strip()})"
