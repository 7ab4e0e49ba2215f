"""What a document may be asked for by, and what of a PDF is told."""

from pathlib import Path

import pymupdf
import pytest
import typer
from typer.testing import CliRunner

from pipelines.commands import tracing
from pipelines.config import ExtractConfig, PdfConfig, SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.sources import list_source
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.tracing import find, shard_token
from pipelines.workspace.workspace import Workspace

LINES = """\
{"url": "http://a.example/ja/%E5%92%8C%E7%B4%99.html", "text": "障子を通して差し込む朝の光。"}
{"url": "https://b.example/wiki/tide?page=2", "text": "Часы у причала спешат на четверть часа."}
{"url": "http://c.example/copy/b.example/wiki/tide", "text": "The tide clock is wrong."}
{"url": "http://c.example/notatide", "text": "ساعة المد في الميناء تخطئ بربع ساعة."}
{"url": "http://d.example/clock", "text": "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है।"}
{"url": "http://c.example/copy/d.example/clock", "text": "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาที"}
{"url": "http://c.example/wiki/empty", "text": ""}
not json
"""


def pdf() -> bytes:
    """Three pages of print; the settings below allow two."""
    with pymupdf.open() as document:
        for number in range(3):
            page = document.new_page()
            for line in range(8):
                text = f"On page {number} the miller lends his two horses to farm {line}."
                page.insert_text((60, 100 + 14 * line), text, fontsize=11)
        data: bytes = document.tobytes()
    return data


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("traced")
    inputs = folder / "inputs"
    (inputs / "deep").mkdir(parents=True)
    (inputs / "lines.jsonl").write_text(LINES, encoding="utf-8")
    (inputs / "deep" / "horses.pdf").write_bytes(pdf())
    made = Workspace.create(str(folder / "w"))
    source = SourceConfig(name="mixed", path=str(inputs), url_column="url")
    Inventory(made.storage, "mixed").extend(list_source(source, 1 << 30), 1 << 30)
    job = ExtractJob(source, ExtractConfig(pdf=PdfConfig(ocr="none", max_pages=2)))
    made.ledger.declare(job.generation)
    children = Children(Limits(processes=1))
    job.run(made, PartKey("mixed", 0), children)
    children.close()
    return made


@pytest.mark.parametrize(
    ("what", "endings"),
    [
        ("http://a.example/ja/%E5%92%8C%E7%B4%99.html", ["E7%B4%99.html"]),
        ("HTTP://A.example:80/ja/和紙.html", ["E7%B4%99.html"]),
        ("a.example/ja/和紙.html", ["E7%B4%99.html"]),
        ("ja/和紙.html", ["E7%B4%99.html"]),
        ("/%E5%92%8C%E7%B4%99.html", ["E7%B4%99.html"]),
        ("tide", ["tide", "tide?page=2"]),  # and not `notatide`
        ("wiki/tide?page=2", ["tide?page=2"]),
        ("b.example/wiki/tide?page=2", ["tide?page=2"]),
        ("http://b.example/wiki/tide", []),  # a whole URI is no ending
        ("wiki/empty", ["empty"]),
        ("/", []),
        ("", []),
    ],
)
def test_uris_match_whole_or_from_a_slash_on(
    workspace: Workspace, what: str, endings: list[str]
) -> None:
    documents, rejects = find(workspace, what)
    uris = [d.uri or "" for d in documents] + [r.row["uri"] for r in rejects]
    found = sorted(uri.rpartition("/")[2] for uri in uris)
    assert len(found) == len(endings)
    assert all(uri.endswith(ending) for uri, ending in zip(found, endings, strict=True)), found


def test_closest_name_wins(workspace: Workspace) -> None:
    """The whole of one URI is also the ending of another."""
    for what in ("d.example/clock", "http://d.example/clock"):
        ((found,), _) = find(workspace, what)
        assert found.uri == "http://d.example/clock"
    assert len(find(workspace, "clock")[0]) == 2


def test_file_and_offset_name_each_record(workspace: Workspace) -> None:
    data, places = LINES.encode(), []
    for line in data.splitlines():
        places.append(data.index(line))
    for row, offset in enumerate(places):
        for what in (f"lines.jsonl:{offset}", f"lines.jsonl at {offset}"):
            documents, rejects = find(workspace, what)
            assert len(documents) == (row < 6)
            assert len(rejects) == (row >= 6)
            assert [d.locator["offset"] for d in documents] == [offset] * (row < 6)
    assert find(workspace, f"lines.jsonl:{places[1] + 1}") == ([], [])
    ((found,), _) = find(workspace, "deep/horses.pdf:0")
    assert find(workspace, found.id.hex()) == ([found], [])
    assert find(workspace, "horses.pdf") == ([found], [])


def test_shard_and_file_are_told_apart() -> None:
    assert shard_token("shards/s@1a2b3c4d/first/all-00000-5e6f.bin:7") == (
        "shards/s@1a2b3c4d/first/all-00000-5e6f.bin",
        7,
    )
    for what in ("shards/notes.jsonl:7", "lines.jsonl:7", "shards/s@1a2b3c4d/x", "http://s:80"):
        assert shard_token(what) is None


def run(workspace: Workspace, what: str) -> str:
    app = typer.Typer()
    tracing.register(app)
    result = CliRunner().invoke(app, [workspace.url, what], catch_exceptions=False)
    return result.output


def test_pages_of_a_pdf_are_told(workspace: Workspace) -> None:
    told = run(workspace, "horses.pdf").splitlines()
    assert "  text of pages: 1 2, pages 3, rejected_pages 1" in told
    assert [line for line in told if "page 3 rejected: page_limit" in line]
    assert not [line for line in told if "page 1 rejected" in line]
    assert "  provenance: natural, depth 0" in told


def test_several_matches_are_listed_to_choose_from(workspace: Workspace) -> None:
    told = run(workspace, "lines.jsonl").splitlines()
    assert told[0] == "6 documents and 2 rejects match 'lines.jsonl':"
    assert told[-1] == "choose one: trace its first column"
    assert len(told) == 10
    for line in told[1:-1]:
        chosen = run(workspace, line.split()[0]).splitlines()
        assert chosen[0].startswith("rejected by" if "rejected: " in line else "document: ")
        assert sum(not choice.startswith("  ") for choice in chosen) == 1 + (
            "rejected: " not in line  # a document also says that it was not drawn
        )


def test_nothing_found_says_what_to_give(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no document.*'nowhere'.*FILE:OFFSET"):
        run(workspace, "nowhere")
