"""Workspaces in object stores: made by copying one from a disk, and read object by object."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from killed_erasures import StoppedClock
from object_stores import Store, gs_store, s3_store
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.erasure import erasing
from pipelines.workspace.children import Limits
from pipelines.workspace.inventory import inventory_file

# Children read objects themselves, with the credentials that were there when they were started:
# limits that no other test has make new ones.
NEW_CHILDREN = {
    "s3": Limits(processes=1, batch_timeout_s=63.0),
    "gs": Limits(processes=1, batch_timeout_s=64.0),
}
LEAN = {
    "annotators": ["planted:quoting"],
    "duplicates": {"levels": ["bytes"], "alarms": {"max_removed": 1.0, "max_cluster": 1.0}},
    "validation": None,
    "models": {},
    "synthesize": [],
}
"""Settings of `planted.write_corpus` that leave a third of the files."""
_TIME = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\+00:00|Z)")


@contextmanager
def opened_store(scheme: str) -> Iterator[Store]:
    """A store, while the clock of erasures stands still."""
    with (
        pytest.MonkeyPatch.context() as patch,
        {"s3": s3_store, "gs": gs_store}[scheme](patch) as made,
    ):
        patch.setattr(erasing, "datetime", StoppedClock)
        yield made


def upload(store: Store, workspace: Path, name: str) -> str:
    """Copies a workspace into a store; gives its URL.

    Archives of its own crawls are numbered by where they stand, as if they had been crawled there.
    """
    storage = store.storage(name)
    paths = sorted(path for path in workspace.rglob("*") if path.is_file())
    names = [str(path.relative_to(workspace)) for path in paths]
    storage.fs.put([str(path) for path in paths], [storage.path(name) for name in names])
    for name in names:
        if name.startswith("inventory/") and name.endswith(".parquet"):
            table = pq.read_table(workspace / name)
            urls = pc.replace_substring(table.column("url"), f"{workspace}/", f"{storage.url}/")
            place = table.schema.get_field_index("url")
            moved = table.set_column(place, table.schema.field("url"), urls)
            with storage.fs.open(storage.path(name), "wb") as file:
                file.write(inventory_file(moved))
    return storage.url


def download(store: Store, folder: Path) -> Path:
    """Copies every object of the bucket to a folder on disk."""
    other = fsspec.filesystem(store.scheme, skip_instance_cache=True)
    bucket = store.url.partition("://")[2]
    for path in other.find(store.url):
        target = folder / path.removeprefix(f"{bucket}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(other.cat_file(path))
    return folder


def contents(workspace: Path) -> dict[str, bytes]:
    """Every file of a workspace on disk but its leases, by its path."""
    return {
        name: path.read_bytes()
        for path in workspace.rglob("*")
        if path.is_file() and not (name := str(path.relative_to(workspace))).startswith("leases/")
    }


def is_dated(path: str) -> bool:
    """Whether a file says when or for how long, or where the workspace stands."""
    return path.split("/")[0] in ("inventory", "ledger", "takedowns", "repairs", "runs", "run.json")


def tell(workspace: str, words: Sequence[str], *, code: int = 0) -> str:
    """What a command prints, with `W` for the workspace wherever it is named, and `T` for times."""
    given = [word.replace("W", workspace) if word[:1] == "W" else word for word in words]
    result = CliRunner().invoke(build_app(words[0]), given, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return _TIME.sub("T", result.stdout.replace(workspace, "W"))


def told_alike(disk: str, stored: str, words: Sequence[str], *, code: int = 0) -> str:
    """Gives a command to both workspaces; gives what it prints, which must be the same.

    Args:
        disk: Workspace on a disk.
        stored: Its copy in a store.
        words: The command; a word that begins with `W` names the workspace.
        code: Exit code.
    """
    found = [tell(workspace, words, code=code) for workspace in (disk, stored)]
    assert found[0] == found[1]
    return found[1]


def fields_alike(disk: str, stored: str, words: Sequence[str], among: Sequence[str]) -> list[Any]:
    """Likewise, of a command that prints a JSON object; gives the values of some of its keys."""
    told = [json.loads(tell(workspace, words)) for workspace in (disk, stored)]
    found = [[one[key] for key in among] for one in told]
    assert found[0] == found[1]
    return found[1]
