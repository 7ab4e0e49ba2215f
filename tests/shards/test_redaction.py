"""Redaction: what the shards of a stage hold in place of personal data, and what is counted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from small_corpus import run_small, write_corpus
from tokenizers import Tokenizer

from mixtures.spec import Stage
from pipelines.driver import RunResult
from pipelines.mix.cut_spans import spans_of
from pipelines.shards.check import shard_faults
from pipelines.shards.redaction import CUTS, cuts_of, encode_cut
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_table
from token_shards.indexed_dataset import read_index
from token_shards.tokenizer import load_tokenizer

PII = "annotators.pii.annotator:Pii"
PLAIN = "Nothing of anybody stands in this sentence, nor in 電話 nor in 🙂."
SECRET = (
    "Écrire à ann.lee@uni-köln.de ou bob@mail.example.org, serveur IP 93.184.216.34. 電話です。"
)
CUT = "Écrire à <email> ou <email>, serveur IP 93.184.216.34. 電話です。"
NUM_SHORT = 600  # between the two, so that the second is read in another batch than the first
STAGE = {
    "sequence_length": 64,
    "tokens": "max",
    "max_epochs": 2,
    "where": "source = 'notes' and num_tokens > 20",
}
MIXTURE = {
    "name": "small",
    "seed": 7,
    "stages": [
        {"name": "cut", "redact": ["email", "phone"], **STAGE},
        {"name": "whole", **STAGE},
    ],
}


def labels(spans: list[list[tuple[str, int, int]] | None]) -> pa.Table:
    fields = [("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
    rows = [
        None if row is None else [dict(zip(("kind", "start", "end"), s, strict=True)) for s in row]
        for row in spans
    ]
    ids = pa.array([bytes([row]) * 16 for row in range(len(spans))], pa.binary(16))
    return pa.table({"id": ids, "pii": pa.array(rows, pa.list_(pa.struct(fields)))})


def redacting(*kinds: str) -> Stage:
    return Stage(name="s", sequence_length=64, tokens="max", redact=kinds)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    path = write_corpus(folder, annotators=["language", PII], part_bytes=1 << 20)
    texts = [PLAIN, *(str(number) for number in range(NUM_SHORT)), SECRET]
    notes = [json.dumps({"text": text}) for text in texts]
    (path.parent / "notes" / "notes.jsonl").write_text("\n".join(notes) + "\n", encoding="utf-8")
    (path.parent / "small.yaml").write_text(yaml.safe_dump(MIXTURE, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def done(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run_small(corpus, str(tmp_path_factory.mktemp("out") / "w"))


def entry_of(done: RunResult, stage: str) -> Entry:
    job = next(job for job in done.shards if job.stage == stage)
    (entry,) = done.workspace.ledger.entries(job.generation, stage)
    return entry


def texts_of(done: RunResult, stage: str, corpus: Path) -> list[str]:
    """What a trainer reads, decoded; and that the map says where each document stands."""
    storage, entry = done.workspace.storage, entry_of(done, stage)
    index = read_index(storage.read(entry.file("idx").path))
    tokens = np.frombuffer(storage.read(entry.file("bin").path), index.dtype)
    mapped = read_table(storage, entry.file("map"), ["token_start", "token_end"]).to_pylist()
    tokenizer = Tokenizer.from_file(str(corpus.parent / "tokenizer.json"))
    return [tokenizer.decode(tokens[row["token_start"] : row["token_end"] - 1]) for row in mapped]


def test_shards_hold_the_kind_in_place_of_what_the_stage_redacts(
    done: RunResult, corpus: Path
) -> None:
    assert sorted(texts_of(done, "cut", corpus)) == sorted([PLAIN, CUT] * 2)
    assert sorted(texts_of(done, "whole", corpus)) == sorted([PLAIN, SECRET] * 2)


def test_counts_balance_and_say_what_was_cut(done: RunResult, corpus: Path) -> None:
    tokenizer = load_tokenizer(corpus.parent / "tokenizer.json")
    texts: pa.LargeStringArray = pa.array([PLAIN, SECRET, CUT], pa.large_string())
    plain, secret, cut = tokenizer.count(texts).tolist()
    assert entry_of(done, "cut").counts == {
        "tokens": 2 * (plain + cut) + 4,
        "document_tokens": 2 * (plain + secret),
        "eod": 4,
        "padding": 0,
        "cut_tokens": 2 * (cut - secret),
        "draws": 4,
        "documents": 2,
        "emptied": 0,
        "pieces": 4,
    }
    assert entry_of(done, "cut").detail["redacted"] == {"email": 4}
    assert sum(entry_of(done, "cut").detail["tokens_by_language"].values()) == 2 * (plain + cut) + 4
    assert entry_of(done, "whole").counts["cut_tokens"] == 0
    assert entry_of(done, "whole").counts["tokens"] == 2 * (plain + secret) + 4
    assert entry_of(done, "whole").detail["redacted"] == {}


def test_recount_of_redacted_shards_is_clean(done: RunResult) -> None:
    for stage in ("cut", "whole"):
        entry = entry_of(done, stage)
        terms = ("document_tokens", "eod", "padding", "cut_tokens")
        assert entry.counts["tokens"] == sum(entry.counts[term] for term in terms)
        assert list(shard_faults(done.workspace, entry)) == []


def test_other_redaction_is_another_generation_of_shards_over_the_same_labels(
    done: RunResult, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    shutil.copytree(done.workspace.url, tmp_path / "w")
    stages = [{**stage, "redact": ["ip"]} for stage in MIXTURE["stages"]]
    text = yaml.safe_dump({**MIXTURE, "stages": stages}, sort_keys=False)
    (tmp_path / "in" / "small.yaml").write_text(text)
    other = run_small(tmp_path / "in" / "corpus.yaml", str(tmp_path / "w"))
    assert {job.generation.fp for job in other.shards}.isdisjoint(
        job.generation.fp for job in done.shards
    )
    assert other.annotate == done.annotate
    wanted = SECRET.replace("93.184.216.34", "<ip>")
    assert sorted(texts_of(other, "cut", corpus)) == sorted([PLAIN, wanted] * 2)


def test_cuts_are_the_spans_of_the_chosen_kinds() -> None:
    table = labels([[("email", 0, 3), ("ip", 5, 9)], [], [("phone", 1, 2), ("email", 4, 6)]])
    spans = spans_of(redacting("email", "ip"), table)
    cuts = cuts_of(spans)
    assert cuts.type == CUTS
    assert [[tuple(cut.values()) for cut in row] for row in cuts.to_pylist()] == [
        [(0, 3, "<email>"), (5, 9, "<ip>")],
        [],
        [(4, 6, "<email>")],
    ]
    assert {kind: found.tolist() for kind, found in spans.by_kind().items()} == {
        "email": [1, 0, 1],
        "ip": [1, 0, 0],
    }
    assert cuts_of(spans_of(redacting("email"), labels([[], []]))).to_pylist() == [[], []]


def test_document_without_labels_is_not_written_uncut() -> None:
    with pytest.raises(ValueError, match=r"document (01){16} is to be drawn.*`pii is not null` to"):
        spans_of(redacting("email"), labels([[], None]))
    with pytest.raises(ValueError, match="redacts or cuts email, and the labels have no column"):
        spans_of(redacting("email"), labels([[]]).drop_columns(["pii"]))


def test_stage_that_redacts_without_labels_stops(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus.parent, tmp_path / "in")
    path = tmp_path / "in" / "corpus.yaml"
    path.write_text(path.read_text().replace(f"- {PII}\n", ""))
    # ValueError where the driver asks before any work; else out of a worker of the shards job.
    with pytest.raises((ValueError, RuntimeError), match="'pii'"):
        run_small(path, str(tmp_path / "w"))


def test_tokens_of_cut_texts_stand_where_the_texts_stood(corpus: Path) -> None:
    tokenizer = load_tokenizer(corpus.parent / "tokenizer.json")
    texts: pa.LargeStringArray = pa.array(["a", SECRET, "", "b"], pa.large_string())
    start = len("Écrire à ".encode())
    spans = [[], [("email", start, start + len("ann.lee@uni-köln.de".encode()))], [], []]
    cuts = cuts_of(spans_of(redacting("email"), labels(spans)))
    batch, uncut, is_emptied = encode_cut(tokenizer, texts, cuts)
    wanted = ["a", SECRET.replace("ann.lee@uni-köln.de", "<email>"), "", "b"]
    expected = tokenizer.encode(pa.array(wanted, pa.large_string()))
    assert batch.ids.tolist() == expected.ids.tolist()
    assert batch.offsets.tolist() == expected.offsets.tolist()
    assert uncut.tolist() == tokenizer.count(texts).tolist()
    assert is_emptied.tolist() == [False] * 4  # the third was empty before
