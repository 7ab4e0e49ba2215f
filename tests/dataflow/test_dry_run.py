"""`tokenmill run --dry-run`, whole: what stands on this disk is told, and ends it with code 2."""

from pathlib import Path

import pytest
from dataflow_line import GOOD
from small_corpus import write_corpus

from pipelines.cli import main
from pipelines.config import load_corpus


def dry_run(monkeypatch: pytest.MonkeyPatch, corpus: Path) -> int:
    words = ["tokenmill", "run", str(corpus), "--workspace=gs://bucket/w", "--dry-run", *GOOD]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("glob", ["", "/**/*"], ids=["folder", "glob"])
def test_sources_on_this_disk_are_told_once_each(
    glob: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = [{"name": name, "path": f"{name}{glob}"} for name in ("pages", "notes")]
    corpus = write_corpus(tmp_path, sources=sources)
    assert dry_run(monkeypatch, corpus) == 2
    told = capsys.readouterr().out.splitlines()
    for source in load_corpus(corpus).sources:
        assert str(source.path).endswith(f"{source.name}{glob}")
        (line,) = [one for one in told if str(source.path) in one]
        assert line.startswith(
            f"problem: sources.{source.name}.path: found {source.path} on this machine's disk"
        )


def test_a_source_that_only_a_later_job_reads_is_told_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = {"seeds": ["https://example.org/"], "contact": "me@example.org"}
    sources = [{"name": "web", "crawl": crawl}, {"name": "notes", "path": "notes"}]
    corpus = write_corpus(tmp_path, sources=sources)
    assert dry_run(monkeypatch, corpus) == 2
    told = capsys.readouterr().out
    assert f"problem: sources.notes.path: found {tmp_path}/notes on this machine's disk" in told
    assert "Then follow, each from what was committed before it: Extract and annotate" in told
