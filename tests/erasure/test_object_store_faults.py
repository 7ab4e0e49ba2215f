"""An erasure at s3:// or gs:// that is killed, cut off or disturbed ends as one that is not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_at_steps import STEPS
from killed_erasures import StoppedClock, state
from object_stores import Store
from planted import PLANTED, SECRET, found_in, run_planted, write_corpus
from proxy import Action, Seen
from stored import LEAN, contents, download, opened_store, tell, upload

from pipelines.erasure import erasing
from pipelines.erasure.swap import is_unfinished
from pipelines.workspace.patience import StoreAway
from pipelines.workspace.workspace import Workspace

KILLER = Path(__file__).with_name("killed_at_steps.py")
ERASED = [text for name, text in PLANTED.items() if name not in ("ar", "hi")]


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of which a part is forgotten."""
    corpus = write_corpus(tmp_path_factory.mktemp("lean"), **LEAN)
    run_planted(corpus, str(corpus.parent / "w"))
    copy = tmp_path_factory.mktemp("forgotten") / "w"
    shutil.copytree(corpus.parent / "w", copy)
    mirror = tell(str(copy), ["trace", "W", "/mirror.html"]).split()[1]
    named = ["--url", SECRET, "--id", mirror]
    tell(str(copy), ["forget", *named, "--reason", "a letter", "--workspace", "W"])
    return copy


@pytest.fixture(scope="module")
def wanted(forgotten: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str]]:
    """State and paths of a copy that was erased on a disk."""
    copy = tmp_path_factory.mktemp("erased") / "w"
    shutil.copytree(forgotten, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasing, "datetime", StoppedClock)
        tell(str(copy), ["erase", "W", "--yes", "--reason", "a letter"])
    return state(copy), {*contents(copy)}


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_store(request.param) as opened:
        yield opened


def assert_erased(store: Store, urls: list[str], wanted: tuple[str, set[str]], at: Path) -> None:
    """All workspaces of the store are what an erasure on a disk leaves, and nothing else is."""
    left = download(store, at)
    assert sorted(path.name for path in at.iterdir()) == sorted(url[-2:] for url in urls)
    for url in urls:
        assert state(url) == wanted[0], url
        assert {*contents(left / url[-2:])} == wanted[1], url
    for text in ERASED:
        assert found_in(left, text) == set()


def test_an_erasure_that_is_killed_at_any_step_goes_on_to_the_same_bytes(
    store: Store,
    forgotten: Path,
    wanted: tuple[str, set[str]],
    tmp_path: Path,
) -> None:
    urls = [upload(store, forgotten, f"w{number}") for number in range(len(STEPS))]
    assert {name[:2] for name in found_in(download(store, tmp_path / "b"), ERASED[0])} == {
        url[-2:] for url in urls
    }
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    done = subprocess.run(
        [sys.executable, str(KILLER), *urls],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(drafts), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(step, begun) for step, begun, _ in told] == [
        (step, number > 0) for number, step in enumerate(STEPS)
    ]
    assert [num for _, _, num in told] == [1, 0, 1, 0]
    assert list(drafts.iterdir()) == []
    assert_erased(store, urls, wanted, tmp_path / "left")


class From:
    """Requests from the n-th on of a kind."""

    def __init__(self, number: int, *methods: str) -> None:
        self._left, self._methods = number, methods

    def __call__(self, seen: Seen) -> bool:
        """Whether this is one."""
        self._left -= seen.method in self._methods
        return self._left <= 0


class Every:
    """Every n-th request."""

    def __init__(self, number: int, first: int) -> None:
        self._number, self._seen = number, -first

    def __call__(self, _: Seen) -> bool:
        """Whether this is one."""
        self._seen += 1
        return self._seen % self._number == 0


@pytest.mark.parametrize(
    ("number", "methods", "was_begun"),
    [(4, ("PUT", "POST"), False), (3, ("DELETE",), True)],
)
def test_an_erasure_whose_store_is_cut_off_goes_on_to_the_same_bytes(
    store: Store,
    forgotten: Path,
    wanted: tuple[str, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    methods: tuple[str, ...],
    was_begun: bool,
) -> None:
    url = upload(store, forgotten, "w0")
    monkeypatch.setenv("TOKENMILL_STORE_WAIT_S", "0.3")
    store.proxy.forget()
    store.proxy.fail("reset", From(number, *methods), times=10**9)
    with pytest.raises(StoreAway, match="run the same command again"):
        erasing.erase(Workspace.open(url), "a letter")
    monkeypatch.delenv("TOKENMILL_STORE_WAIT_S")
    store.proxy.forget()
    assert is_unfinished(Workspace.open(url).storage) is was_begun
    erasing.erase(Workspace.open(url), "a letter")
    assert_erased(store, [url], wanted, tmp_path)


def test_requests_that_are_lost_on_the_way_change_nothing(
    store: Store, forgotten: Path, wanted: tuple[str, set[str]], tmp_path: Path
) -> None:
    url = upload(store, forgotten, "w0")
    actions: tuple[Action, ...] = ("reset", "lose answer", "truncate answer", "503")
    met: list[str] = []
    store.proxy.forget()
    for number, action in enumerate(actions):
        every = Every(40, 10 * number)

        def when(seen: Seen, every: Every = every) -> bool:
            is_one = every(seen)
            met.extend([seen.method] * is_one)
            return is_one

        store.proxy.fail(action, when, times=10**9)
    erasing.erase(Workspace.open(url), "a letter")
    store.proxy.forget()
    assert len(met) > 30
    assert {"GET", "DELETE"} < {*met}
    assert_erased(store, [url], wanted, tmp_path)
