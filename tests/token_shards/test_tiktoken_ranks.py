"""Ranks against the library that defines them: tiktoken, built from the same ranks, no network."""

import base64
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pytest
import tiktoken
import tiktoken_ext.openai_public  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from token_shards.equality_sample import EQUALITY_SAMPLE
from token_shards.tiktoken_ranks import KNOWN, SPLITS, tokenizer_json_of_ranks
from token_shards.tokenizer import Tokenizer, load_tokenizer, tokenizer_files, tokenizer_json
from token_shards.training import QWEN2_SPLIT

Ranks = Mapping[bytes, int]
Published = Mapping[str, Mapping[str, Any]]
EOD = "<|endoftext|>"
SPLITS_OF = {"r50k": "r50k_base", "cl100k": "cl100k_base", "o200k": "o200k_base", "qwen2": "qwen"}
MIXED = (
    " \n\r\t\u00a0\u2003'sTtdmlLveRE.,/!<|>0123Bb\u0663\u00bd\u00e9\u4e2d\u65e5\u017f\u0301"
    "\u0085\u01c5\U0001f44d\u200d"
)
"""Characters at which the splits differ: spaces, line ends, contractions, cases, digits, marks."""


def write_ranks(file: Path, ranks: Ranks, **config: Any) -> Path:  # noqa: ANN401
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    file.write_text("".join(lines))
    if config:
        file.with_name("tokenizer_config.json").write_text(json.dumps(config))
    return file


def tokens(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    batch = tokenizer.encode(pa.array(texts, pa.large_string()))
    return [batch.document(row).tolist() for row in range(len(texts))]


@pytest.fixture(scope="session")
def published() -> Published:
    """What tiktoken says of the encodings of OpenAI, without their ranks; and Qwen's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
        found = {
            name: getattr(tiktoken_ext.openai_public, name)()
            for name in ("r50k_base", "cl100k_base", "o200k_base")
        }
    return found | {"qwen": {"pat_str": QWEN2_SPLIT}}


@pytest.fixture(scope="session")
def ranks() -> Ranks:
    """A small vocabulary, trained by tiktoken's own lesson on BPE."""
    from tiktoken._educational import bpe_train

    return bpe_train(" ".join(EQUALITY_SAMPLE * 2), 450, QWEN2_SPLIT)


@pytest.fixture(scope="session")
def pairs(ranks: Ranks, published: Published, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    """Name of a split -> our tokenizer and tiktoken's, of the same ranks."""
    found = {}
    for split, name in SPLITS_OF.items():
        folder = tmp_path_factory.mktemp(split)
        said = {"pat_str": split, "special_tokens": {EOD: 450}}
        found[split] = (
            load_tokenizer(write_ranks(folder / "own.tiktoken", ranks, **said)),
            tiktoken.Encoding(
                split,
                pat_str=published[name]["pat_str"],
                mergeable_ranks=dict(ranks),
                special_tokens={EOD: 450},
            ),
        )
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_ranks_give_the_tokens_of_tiktoken_by_the_fast_engine(pairs: Any, split: str) -> None:  # noqa: ANN401
    ours, theirs = pairs[split]
    texts = [*EQUALITY_SAMPLE, *("".join(three) for three in product(MIXED, repeat=3))][:9000]
    assert tokens(ours, texts) == [theirs.encode_ordinary(text) for text in texts]
    assert ours.engine.startswith("gigatoken")
    assert (ours.eod_id, ours.vocab_size) == (450, 451)


@settings(deadline=None)  # the machine may be busy
@given(text=st.text(st.one_of(st.sampled_from(MIXED), st.characters(codec="utf-8")), max_size=40))
def test_ranks_give_the_tokens_of_tiktoken_for_any_text(pairs: Any, text: str) -> None:  # noqa: ANN401
    for ours, theirs in pairs.values():
        assert tokens(ours, [text]) == [theirs.encode_ordinary(text)]


def test_folder_with_ranks_is_the_tokenizer_json_that_it_is_converted_to(
    ranks: Ranks, tmp_path: Path
) -> None:
    said = {"pat_str": "cl100k", "special_tokens": {EOD: 450}}
    file = write_ranks(tmp_path / "own.tiktoken", ranks, **said)
    converted = tmp_path / "converted" / "tokenizer.json"
    converted.parent.mkdir()
    converted.write_bytes(tokenizer_json(tmp_path))
    by_ranks, by_json = load_tokenizer(tmp_path), load_tokenizer(converted)
    assert by_ranks.fingerprint == by_json.fingerprint
    assert tokens(by_ranks, list(EQUALITY_SAMPLE)) == tokens(by_json, list(EQUALITY_SAMPLE))
    assert tokenizer_files(tmp_path) == [file, tmp_path / "tokenizer_config.json"]
    assert tokenizer_files(converted) == [converted]


def test_token_that_no_merge_reaches_is_found_as_a_whole_piece(tmp_path: Path) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"qu": 256, b" zebra": 257, b"ick": 258}
    said = {"pat_str": "cl100k", "special_tokens": {EOD: 259}}
    ours = load_tokenizer(write_ranks(tmp_path / "own.tiktoken", ranks, **said))
    theirs = tiktoken.Encoding(
        "own", pat_str=SPLITS["cl100k"], mergeable_ranks=ranks, special_tokens={}
    )
    texts = ["a zebra", "a zebras", "quick", "ick", "icky", "zebra"]
    assert tokens(ours, texts) == [theirs.encode_ordinary(text) for text in texts]
    assert tokens(ours, ["a zebra"]) == [[97, 257]]


def test_ids_of_special_tokens_are_kept_where_ranks_and_they_leave_holes(
    ranks: Ranks, tmp_path: Path
) -> None:
    decoder = {"460": {"content": EOD, "special": True}, "470": {"content": "<|x|>"}}
    said = {"pat_str": "o200k", "added_tokens_decoder": decoder}
    tokenizer = load_tokenizer(write_ranks(tmp_path / "own.tiktoken", ranks, **said))
    assert (tokenizer.eod_id, tokenizer.vocab_size) == (460, 471)
    for found in tokens(tokenizer, [f"a{EOD}b", "<|x|>", EOD]):
        assert not {460, 470} & set(found)


def filler(num_ranks: int) -> Ranks:
    """Single bytes, then pairs, then triples: as many ranks as a published file has."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    for size in (2, 3):
        for token in product(range(256), repeat=size):
            if len(ranks) == num_ranks:
                return ranks
            ranks[bytes(token)] = len(ranks)
    return ranks


def test_published_names_say_split_and_special_tokens_as_tiktoken_does(
    published: Published,
) -> None:
    for name, (num_ranks, known) in KNOWN.items():
        if name != "qwen":
            assert known.special_tokens == published[name]["special_tokens"]
            assert num_ranks <= min(known.special_tokens.values())


def test_file_called_qwen_gives_its_ids_and_normalises(tmp_path: Path) -> None:
    ranks = filler(151643)
    tokenizer = load_tokenizer(write_ranks(tmp_path / "qwen.tiktoken", ranks), engine="gigatoken")
    assert (tokenizer.eod_id, tokenizer.vocab_size) == (151643, 151851)
    theirs = tiktoken.Encoding(
        "qwen", pat_str=QWEN2_SPLIT, mergeable_ranks=dict(ranks), special_tokens={}
    )
    texts = ["e\u0301tude", "naïve 123", "\u4e2d\u6587", EOD]
    assert tokens(tokenizer, texts) == [theirs.encode_ordinary(normalize("NFC", t)) for t in texts]


@pytest.mark.parametrize(
    ("lines", "config", "message"),
    [
        ("IQ== 0\nIg==\n", {}, r"line 2 is b'Ig=='; a file of ranks has"),
        ("I!== 0\n", {}, "line 1 is"),
        ("IQ== 0\nIg== 0\n", {}, "2 tokens and 1 ranks"),
        ("IQ== 0\n", {}, r"255 of the 256 single bytes have no rank \(first: 0x00\)"),
        (None, {}, r"own.tiktoken is none of r50k_base.tiktoken, .* write tokenizer_config.json"),
        (None, {"pat_str": r"\p{N}{1,3}+|\s+"}, "has a possessive quantifier"),
        (None, {"pat_str": "qwen2", "normalizer": "NFKC"}, "normalizer is 'NFKC'"),
        (
            None,
            {"pat_str": "qwen2", "special_tokens": {EOD: 97}},
            r"has the id 97, .* rank of b'a'",
        ),
        (None, {"pat_str": "qwen2", "special_tokens": {EOD: 300, "b": 300}}, "have the same id"),
        (None, {"pat_str": "qwen2"}, "is not in its vocabulary; its special tokens are: none"),
    ],
)
def test_broken_or_wordless_ranks_are_refused_with_the_file(
    tmp_path: Path, lines: str | None, config: dict[str, Any], message: str
) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    file = write_ranks(tmp_path / "own.tiktoken", ranks, **config)
    if lines is not None:
        file.write_text(lines)
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(file)
    assert str(error.value).startswith(f"tokenizer {file}: ")


def test_published_name_with_other_ranks_is_refused(ranks: Ranks, tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "cl100k_base.tiktoken", ranks)
    with pytest.raises(ValueError, match=r"has 100,256 ranks where it was published, and 450 here"):
        tokenizer_json_of_ranks(file)
