"""`extract` of plain files: a page, a PDF, a picture, a book; lists of paths; what is refused."""

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.annotate.compiling import EXTRACT_NOTE, are_packages_uncompiled
from pipelines.cli import main
from pipelines.config import SourceConfig
from pipelines.extract.sources import list_source
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.workspace import Workspace
from tests.extract.office.office_files import epub, xhtml
from tests.extract.pdf_files import PARAGRAPH, column, pdf_of

PAGE = (
    "<html lang=de><head><title>Die Uhr</title></head><body><article><h1>Die Uhr</h1><p>Die Uhr "
    "am Hafen geht um eine Viertelstunde nach, und niemanden stört es, denn die Fähre fährt seit "
    "jeher nach der Glocke der Kirche, und die geht recht.</p></article></body></html>"
)
CHAPTER = "国境の長いトンネルを抜けると雪国であった。夜の底が白くなった。"


class Told(NamedTuple):
    code: int
    out: str
    err: str


class Caller:
    """Calls `tokenmill extract` within this process, as the console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd

    def __call__(self, *args: str | Path) -> Told:
        words = ["tokenmill", "extract", *map(str, args)]
        self._monkeypatch.setattr(sys, "argv", words)
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Told(ended.value.code, out, err)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Caller:
    return Caller(monkeypatch, capfd)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "page.html").write_text(PAGE, encoding="utf-8")
    (folder / "two.pdf").write_bytes(pdf_of(column(PARAGRAPH, 72, 100, 60), []))
    (folder / "book.epub").write_bytes(epub({"one.xhtml": xhtml(f"<p>{CHAPTER}</p>")}))
    blank = io.BytesIO()
    Image.new("L", (400, 300), 255).save(blank, "PNG")
    (folder / "nothing.png").write_bytes(blank.getvalue())
    return folder


def documents(out: Path) -> dict[str, str]:
    """File -> its text."""
    tables = map(pq.read_table, out.glob("documents/**/*.parquet"))
    rows = [row for table in tables for row in table.to_pylist()]
    return {row["locator"]["file"]: row["text"] for row in rows}


def test_folder_of_many_formats_gives_documents_and_reasons(
    inputs: Path, tmp_path: Path, call: Caller
) -> None:
    out = tmp_path / "out"
    args = ("--input", inputs, "--output", out, "--processes", "1", "--option", "pdf.ocr=none")
    told = call(*args)
    assert told.code == 0, told.err
    assert re.search(r"^in +4 +3 +1 +0 +0\.00$", told.out, re.MULTILINE), told.out
    assert "Pages of documents: 3 = text 1, ocr 0, blank 2, rejected 0" in told.out
    texts = documents(out)
    assert sorted(texts) == ["book.epub", "page.html", "two.pdf"]
    assert CHAPTER in texts["book.epub"]
    assert "und die geht recht." in texts["page.html"]
    assert texts["two.pdf"].split() == PARAGRAPH.split()
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    again = call(*args)
    assert (again.code, again.out) == (0, told.out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == written


def test_list_of_paths_lies_below_the_base(inputs: Path, tmp_path: Path, call: Caller) -> None:
    listed = tmp_path / "some.paths.gz"
    listed.write_bytes(gzip.compress(b"in/page.html\nin/book.epub\n"))
    out = tmp_path / "out"
    told = call("--input", f"cc={listed}", "--base", tmp_path, "--output", out, "--processes", "1")
    assert told.code == 0, told.err
    assert sorted(documents(out)) == ["in/book.epub", "in/page.html"]


def test_base_without_a_list_is_refused(inputs: Path, tmp_path: Path, call: Caller) -> None:
    told = call("--input", inputs, "--base", tmp_path, "--output", tmp_path / "out")
    assert told.code == 2
    assert f"--base: found '{tmp_path}' and no list of paths among the inputs" in told.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--output", "out"), "--input: missing"),
        (("--input", "in"), "--output: missing"),
        (("--input", "in", "--output", "out", "--option", "pdf.ocr"), "--option: found 'pdf.ocr'"),
        (("--input", "in", "--output", "out", "--option", "no_key=1"), "no_key"),
        (("--input", "in", "--output", "out", "--option", "html_engine=x"), "html_engine"),
        (("--input", "absent", "--output", "out"), "matches no file"),
        (("--input", "in", "--input", "other/in", "--output", "out"), "both called 'in'"),
        (("--wrong",), "--wrong"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    args: tuple[str, ...],
    message: str,
    inputs: Path,
    call: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(inputs.parent)
    told = call(*args)
    assert told.code == 2
    assert message in told.err
    assert not list(inputs.parent.glob("out/documents/**/*.parquet"))


PACKAGED = """
import numpy as np
from annotators.text.kernels import kernel

@kernel
def total(values):
    return values.sum()
"""


def test_packages_whose_kernels_were_never_compiled_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "summing"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sums.py").write_text(PACKAGED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import summing.sums  # type: ignore[import-not-found]

    assert are_packages_uncompiled(["summing"])
    assert are_packages_uncompiled(["pipelines.extract.pages", "summing"])
    assert not are_packages_uncompiled(["summing.absent"])
    assert summing.sums.total(np.ones(3)) == 3
    assert not are_packages_uncompiled(["summing"])


SAYING = """
import sys
from pipelines.progress import Progress
from pipelines.stages import RunOptions, Stages
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

workspace = Workspace.create(sys.argv[1])
options = RunOptions(workspace=workspace.url, limits=Limits(processes=1))
stages = Stages(workspace, options, Progress())
for part in sys.argv[2:]:
    stages.say_compiling([PartKey("in", int(part))])
    print("end of", part, file=sys.stderr)
"""


def test_extraction_says_beforehand_that_it_compiles(inputs: Path, tmp_path: Path) -> None:
    (inputs / "plain.txt").write_text("no kernel reads it", encoding="utf-8")
    workspace = Workspace.create(str(tmp_path / "out"))
    inventory = Inventory(workspace.storage, "in")
    inventory.extend(list_source(SourceConfig(name="in", path=str(inputs)), 1), 1)
    parts = {span.file: span.part for span in inventory.spans()}
    assert len(set(parts.values())) == 5
    asked = [str(parts[name]) for name in ("plain.txt", "nothing.png", "page.html", "two.pdf")]
    # Elsewhere, for kernels know their folder from when they are made; and none lies in this one.
    made = subprocess.run(
        [sys.executable, "-c", SAYING, workspace.url, *asked],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "COLUMNS": "300"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    ends = [f"end of {part}" for part in asked]
    assert made.stderr.splitlines() == [*ends[:2], EXTRACT_NOTE, ends[2], EXTRACT_NOTE, ends[3]]
