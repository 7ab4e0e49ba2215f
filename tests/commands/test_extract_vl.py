"""`extract --models`: pages read by a model of rules, and what is said of mistakes."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from pipelines.cli import main

MODELS = "models:\n  reader: {engine: endpoint, url: 'echo:', model: org/reader-1, in_flight: 4}\n"
VL = ("--option", "pdf.ocr=vl", "--option", "pdf.ocr_model=reader")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    page = Image.new("L", (200, 300), 255)
    ImageDraw.Draw(page).rectangle((40, 40, 160, 52), fill=0)
    page.save(tmp_path / "page.png")
    (tmp_path / "models.yaml").write_text(MODELS)
    return tmp_path


def call(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    *more: str | Path,
) -> tuple[int, str]:
    words = ["tokenmill", "extract", "--input", folder / "page.png", "--output", folder / "out"]
    monkeypatch.setattr(sys, "argv", [*map(str, words), *map(str, more)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, "".join(capfd.readouterr())


def test_a_page_is_read_by_a_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--models", folder / "models.yaml", "--processes", "1", *VL)
    code, said = call(monkeypatch, capfd, folder, *words)
    assert code == 0, said
    (path,) = (folder / "out" / "documents").glob("*/*.parquet")
    (document,) = pq.read_table(path).to_pylist()
    assert "| width | 200 |" in document["text"]
    assert document["provenance"]["model"] == "reader-1"
    assert "Pages read by the model: ok 1" in said
    assert "It was asked 1 times (0 answered earlier) and wrote" in said


def test_mistakes_are_told_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    other = folder / "other.yaml"
    other.write_text(MODELS.replace("reader:", "writer:").replace("in_flight", "in_flihgt"))
    empty = folder / "empty.yaml"
    empty.write_text("name: x\n")
    writer = folder / "writer.yaml"
    writer.write_text(MODELS.replace("reader:", "writer:"))
    cases = {
        VL: "--models: missing",
        (*VL, "--models", other): "models.writer.in_flihgt: unknown key 'in_flihgt'; did you mean",
        (*VL, "--models", empty): "found no mapping `models`",
        (*VL, "--models", folder / "none.yaml"): "cannot be read",
        (*VL, "--models", writer): "extract.pdf.ocr_model: found 'reader'; allowed are",
        VL[:2]: "belong together",
    }
    for words, told in cases.items():
        code, said = call(monkeypatch, capfd, folder, *words)
        assert code != 0
        assert told in " ".join(said.split())
    assert not (folder / "out").exists()
