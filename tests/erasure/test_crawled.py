"""What was crawled is erased, between rounds and between passes, and the crawl goes on without."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from crawling import POLITE, Crawled, crawl, job_of, run_part

from pipelines.crawl.site_server import serve_site
from pipelines.erasure.erasing import erase
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.takedown import entries_of, take_down
from pipelines.workspace.workspace import Workspace

SITE = "http://site.example/"
SECRET = "紫色の渡し船の秘密は灯台守だけが知っている。"
PUBLIC = "Часы у причала спешат на четверть часа"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    site = tmp_path / "site"
    (site / "private").mkdir(parents=True)
    (site / "index.html").write_text("<a href=private/quillwort.html>x</a><a href=ru.html>y</a>")
    deeper = "<a href=/private/deeper.html>z</a>"
    (site / "private" / "quillwort.html").write_text(f"<p>{SECRET} {deeper}", "utf-8")
    (site / "private" / "deeper.html").write_text(f"<p>{SECRET}{SECRET}", "utf-8")
    (site / "ru.html").write_text(f"<p>{PUBLIC}", "utf-8")
    with serve_site(site, "site.example") as number:
        yield number


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1))
    yield made
    made.close()


def told(workspace: Workspace) -> str:
    """All that the archives, the tables of the crawl and its ledger hold."""
    folder = Path(workspace.url)
    texts = [gzip.decompress(path.read_bytes()) for path in folder.rglob("*.warc.gz")]
    texts += [path.read_bytes() for path in folder.rglob("*") if path.suffix == ".json"]
    rows = [repr(row).encode() for row in tables(workspace)]
    return b"\n".join([*texts, *rows]).decode("utf-8", "replace")


def tables(workspace: Workspace) -> Iterator[object]:
    from pipelines.workspace.parts import read_table

    for name in workspace.ledger.generations():
        for entry in workspace.ledger.entries(name):
            for ref in entry.files:
                if ref.path.endswith(".parquet"):
                    yield from read_table(workspace.storage, ref).to_pylist()


def outcomes(crawled: Crawled) -> list[str]:
    return [f"{row['url']} {row['outcome']}" for row in crawled.rows if row["kind"] == "page"]


def test_a_further_pass_asks_for_nothing_that_was_erased(
    port: int, children: Children, tmp_path: Path
) -> None:
    first = crawl(tmp_path / "w", port, [SITE], children, {})
    workspace = first.workspace
    assert SECRET in told(workspace)
    assert len(outcomes(first)) == 4
    take_down(workspace.storage, entries_of([f"{SITE}private"]), "a letter")
    done = erase(workspace)
    assert (done.documents, done.records) == (0, 2)
    left = told(workspace)
    assert SECRET not in left
    assert PUBLIC in left
    assert "deeper.html" not in left
    # The start page, which links there, stands as it was; the takedown must be compared.
    assert left.count("quillwort") == gzip.decompress(
        next((tmp_path / "w" / "raw" / "web").glob("part-00000-*")).read_bytes()
    ).count(b"quillwort")
    again = crawl(tmp_path / "w", port, [SITE], children, {"passes": 2})
    assert again.faults() == []
    before = outcomes(first)
    asked = [line for line in outcomes(again) if line.startswith("http")]
    assert asked == [f"{SITE} fetched", f"{SITE}ru.html fetched"] * 2
    assert len(outcomes(again)) == len(before) + 2
    assert SECRET not in told(workspace)


def test_a_round_that_is_planned_learns_of_it_when_it_is_done(
    port: int, children: Children, tmp_path: Path
) -> None:
    workspace, job = Workspace.create(str(tmp_path / "w")), job_of(port, [SITE], {**POLITE})
    workspace.ledger.declare(job.generation)
    for key in job.next_round(workspace):
        run_part(workspace, job, key, children)
    planned = job.next_round(workspace)
    take_down(workspace.storage, entries_of([f"{SITE}private"]), "a letter")
    erase(workspace)
    assert job.next_round(workspace) == planned
    done = crawl(tmp_path / "w", port, [SITE], children, {})
    assert done.faults() == []
    pages = {row["url"]: row["reason"] for row in done.rows if row["kind"] == "page"}
    assert pages == {
        SITE: None,
        f"{SITE}ru.html": None,
        f"{SITE}private/quillwort.html": "taken_down",
    }
    assert SECRET not in told(workspace)
    erase(workspace)
    assert not any("quillwort" in repr(row) for row in tables(workspace))
    assert Crawled(workspace, done.job).faults() == []
