"""Source code as input: folders of repositories, and rows that name a repository and a path."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_given import assert_same, in_blocks

from pipelines.config import ConfigError, ExtractConfig, SourceConfig, load_corpus
from pipelines.extract.code_files import CODE_TYPES, CodeConfig, code_media_type, split_path
from pipelines.extract.inputs import InputRange, read_settings, source_identity
from pipelines.extract.markup import extract_records
from pipelines.extract.records import read_records
from pipelines.extract.sources import UNKNOWN, list_source
from pipelines.workspace.schema import ASKED

FILES = {
    "octo/tool/src/main.py": b"import os\r\n\r\nprint('<b>no page</b>')   \r\n",
    "octo/tool/index.html": "<html><body><p>größer</p></body></html>\n".encode(),
    "octo/tool/Makefile": b"all:\n\techo '%PDF-1.4'\n",
    "octo/tool/logo.png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "octo/tool/evil.py": bytes(range(256)) * 4,
    "octo/tool/app.min.js": b"var a=1;",
    "octo/README.md": b"# an owner, no repository\n",
    "kana/lib/a.rs": "fn main() { /* \u6570\u3048\u308b */ }\n".encode("shift_jis"),
    "kana/lib/empty.py": b"",
}
SETTINGS = ExtractConfig()


def rows_of(source: SourceConfig, folder: Path) -> dict[str, dict[str, object]]:
    """File -> what came of it."""
    found: dict[str, dict[str, object]] = {}
    for listed in list_source(source, part_bytes=1 << 30):
        if listed.format == UNKNOWN:
            found[listed.file] = {"format": UNKNOWN}
            continue
        place = InputRange(url=listed.url, file=listed.file, format=listed.format)
        for batch in read_records(place, read_settings(source, SETTINGS)):
            (record,) = batch.to_pylist()
            told = {"format": listed.format, "meta": dict(record["meta"])}
            if record["outcome"] == ASKED:
                (text,) = extract_records(batch, settings=SETTINGS).to_pylist()
                told |= {"text": text["text"], "type": text["media_type"], "why": text["reason"]}
            else:
                told |= {"why": record["reason"]}
            found[listed.file] = told
    return found


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "repos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "repos"


def test_folders_of_repositories_give_code_as_it_was_written(repositories: Path) -> None:
    source = SourceConfig(name="code", path=str(repositories), code=CodeConfig(folders=2))
    found = rows_of(source, repositories)
    assert sorted(found) == sorted(FILES)
    tool = {"repository": "octo/tool"}
    assert found["octo/tool/src/main.py"] == {
        "format": "code",
        "meta": {**tool, "path": "src/main.py"},
        "text": "import os\n\nprint('<b>no page</b>')",
        "type": "text/x-python",
        "why": None,
    }
    page = found["octo/tool/index.html"]
    assert (page["type"], page["why"]) == ("text/x-html", None)
    assert page["text"] == "<html><body><p>größer</p></body></html>"
    assert found["octo/tool/Makefile"]["type"] == "text/x-makefile"
    assert found["octo/README.md"]["meta"] == {"path": "octo/README.md"}
    assert found["kana/lib/a.rs"]["text"] == "fn main() { /* \u6570\u3048\u308b */ }"
    assert found["kana/lib/empty.py"]["why"] == "empty_file"
    for name in ("octo/tool/logo.png", "octo/tool/evil.py", "octo/tool/app.min.js"):
        assert found[name] == {"format": UNKNOWN}


def test_without_the_key_nothing_changes(repositories: Path) -> None:
    source = SourceConfig(name="files", path=str(repositories))
    found = rows_of(source, repositories)
    assert found["octo/tool/src/main.py"] == {"format": UNKNOWN}
    assert found["octo/tool/index.html"]["type"] == "text/html"
    assert "code" not in source_identity(source)
    one = SourceConfig(name="files", path=str(repositories / "kana/lib/a.rs"), format="code")
    (row,) = rows_of(one, repositories).values()
    assert (row["type"], row["meta"]) == ("text/x-rust", {})


COLUMNS = CodeConfig(repository_column="repo_name", path_column="file", license_column="licenses")
ROWS = [
    {"text": "x = 1\n", "repo_name": "octo/tool", "file": "a/b.py", "licenses": "MIT", "stars": 3},
    {"text": "y\n", "repo_name": "octo/tool", "file": "c.rs", "language": "Rust", "lang": "rs"},
    {"text": "z\n", "repo_name": "", "file": "Dockerfile", "licenses": ["MIT", "Apache-2.0"]},
    {"text": "w\n", "repository": "own", "repo_name": "other", "file": 7},
    {"text": "v\n", "repository": "own", "path": "p.py"},
    {"text": "u\n", "repo_name": None, "file": "no ending", "licenses": []},
]


@pytest.mark.parametrize("plain", [False, True], ids=["odd", "plain"])
def test_rows_name_repository_and_path(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "code.jsonl"
    rows = ROWS[:1] * 20 if plain else ROWS
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = SourceConfig(name="code", path=str(path), code=COLUMNS, license="unknown")
    place = InputRange(url=str(path), file=path.name, format="jsonl")
    assert_same(source, place, len(rows))
    documents = in_blocks(source, place)[0].to_pylist()
    told = [(dict(one["meta"]), one["media_type"], one["license"]) for one in documents]
    first = {"repository": "octo/tool", "path": "a/b.py", "stars": "3"}
    assert told[0] == (first, "text/x-python", "MIT")
    assert {one["declared_language"] for one in documents} == {None}
    if plain:
        assert told == told[:1] * 20
        return
    rust = {"repository": "octo/tool", "path": "c.rs", "language": "Rust", "lang": "rs"}
    assert told[1:] == [
        (rust, "text/x-rust", "unknown"),
        ({"repo_name": "", "path": "Dockerfile"}, "text/x-dockerfile", "MIT AND Apache-2.0"),
        ({"repository": "other", "file": "7"}, "text/plain", "unknown"),
        ({"repository": "own", "path": "p.py"}, "text/x-python", "unknown"),
        ({"path": "no ending"}, "text/plain", "unknown"),
    ]


def test_parquet_names_them_too(tmp_path: Path) -> None:
    path = tmp_path / "code.parquet"
    names = ("text", "repo_name", "file", "licenses")
    columns = {name: [row.get(name) for row in ROWS[:2]] for name in names}
    columns["licenses"] = [["MIT", "BSD-3-Clause"], None]
    pq.write_table(pa.table(columns), path)
    source = SourceConfig(name="code", path=str(path), code=COLUMNS)
    place = InputRange(url=str(path), file=path.name, format="parquet")
    assert_same(source, place, 2)
    documents = in_blocks(source, place)[0].to_pylist()
    assert [one["license"] for one in documents] == ["MIT AND BSD-3-Clause", None]
    assert [one["media_type"] for one in documents] == ["text/x-python", "text/x-rust"]
    assert dict(documents[0]["meta"]) == {"repository": "octo/tool", "path": "a/b.py"}


def test_names_of_files_say_their_languages() -> None:
    assert code_media_type("a.b/SConstruct.PY") == "text/x-python"
    assert code_media_type("x/CMakeLists.txt") == "text/x-cmake"
    assert code_media_type(".gitignore") is None
    assert code_media_type("data.bin") is None
    assert len(CODE_TYPES) > 80
    assert split_path("a/b/c.py", 2) == ("a/b", "c.py")
    assert split_path("a/b.py", 2) == (None, "a/b.py")


def test_mistakes_in_the_key_are_told(tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(
        "name: c\nsources: [{name: s, path: x, code: {folder: 2}}]\ntokenizer: t.json\n"
    )
    with pytest.raises(ConfigError, match="unknown key 'folder'; did you mean 'folders'"):
        load_corpus(path)
