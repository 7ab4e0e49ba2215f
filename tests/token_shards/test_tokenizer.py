import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from token_shards.engines import GigatokenEngine, TokenizersEngine
from token_shards.tokenizer import EngineChoice, Tokenizer, load_tokenizer, tokenizer_fingerprint

Change = Callable[[dict[str, Any]], None]
ChangedTokenizer = Callable[[Change], Path]

ENGINES: tuple[EngineChoice, ...] = ("gigatoken", "tokenizers")
TEXTS = ["Hello world", "", "Привет, мир!", "नमस्ते 🌍", "道可道。非常道。\n\n  x = 1\n"]


def array(texts: list[str]) -> pa.LargeStringArray:
    result: pa.LargeStringArray = pa.array(texts, pa.large_string())
    return result


@lru_cache
def load_once(file: Path, engine: EngineChoice) -> Tokenizer:
    return load_tokenizer(file, engine=engine)


def plain_tokens(file: Path, texts: list[str]) -> list[list[int]]:
    """Tokens by the library that defines the format, one text after the other."""
    reference = tokenizers.Tokenizer.from_file(str(file))
    reference.encode_special_tokens = True
    reference.no_truncation()
    reference.no_padding()
    return [reference.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_several_scripts_gives_the_tokens_of_the_reference(
    tokenizer_json: Path, engine: EngineChoice
) -> None:
    batch = load_tokenizer(tokenizer_json, engine=engine).encode(array(TEXTS))
    assert [batch.document(i).tolist() for i in range(len(batch))] == plain_tokens(
        tokenizer_json, TEXTS
    )
    assert batch.ids.dtype == np.int32
    assert batch.offsets.dtype == np.int64


@settings(deadline=None)  # the first call loads
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=8))
def test_encode_any_text_is_equal_in_both_engines_and_decodes_to_it(
    tokenizer_json: Path, texts: list[str]
) -> None:
    fast, slow = (load_once(tokenizer_json, engine).encode(array(texts)) for engine in ENGINES)
    assert np.array_equal(fast.ids, slow.ids)
    assert np.array_equal(fast.offsets, slow.offsets)
    decoder = tokenizers.Tokenizer.from_file(str(tokenizer_json))
    assert [decoder.decode(fast.document(i).tolist()) for i in range(len(texts))] == texts


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_sliced_array_gives_the_tokens_of_the_slice(
    tokenizer_json: Path, engine: EngineChoice
) -> None:
    tokenizer = load_tokenizer(tokenizer_json, engine=engine)
    batch = tokenizer.encode(array(TEXTS).slice(2, 2))
    assert [batch.document(i).tolist() for i in range(2)] == plain_tokens(
        tokenizer_json, TEXTS[2:4]
    )
    assert len(tokenizer.encode(array(TEXTS).slice(2, 0))) == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_encode_without_text_gives_no_tokens(
    tokenizer_json: Path, engine: EngineChoice, texts: list[str]
) -> None:
    batch = load_tokenizer(tokenizer_json, engine=engine).encode(array(texts))
    assert batch.offsets.tolist() == [0] * (len(texts) + 1)
    assert batch.ids.tolist() == []


def test_encode_more_texts_than_one_call_takes_keeps_every_text(tokenizer_json: Path) -> None:
    texts = [f"text number {i} 😀" for i in range(600)]
    batch = load_tokenizer(tokenizer_json, engine="tokenizers").encode(array(texts))
    assert [batch.document(i).tolist() for i in range(600)] == plain_tokens(tokenizer_json, texts)


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_text_of_special_tokens_gives_no_control_token(
    tokenizer_json: Path, engine: EngineChoice
) -> None:
    tokenizer = load_tokenizer(tokenizer_json, engine=engine)
    texts = ["<|endoftext|>", "a<|endoftext|>b <|im_start|>\n<|im_end|>", "<|endoftext|>" * 3]
    batch = tokenizer.encode(array(texts))
    assert not np.isin(batch.ids, [597, 598, 599]).any()
    decoder = tokenizers.Tokenizer.from_file(str(tokenizer_json))
    decoded = [decoder.decode(batch.document(i).tolist()) for i in range(len(texts))]
    assert decoded == texts


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_text_of_an_eod_not_marked_special_gives_no_control_token(
    changed_tokenizer: ChangedTokenizer, engine: EngineChoice
) -> None:
    def unmark(config: dict[str, Any]) -> None:
        config["added_tokens"][0]["special"] = False

    tokenizer = load_tokenizer(changed_tokenizer(unmark), engine=engine)
    assert tokenizer.eod_id not in tokenizer.encode(array(["a <|endoftext|> b"])).ids


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_added_token_that_is_not_special_is_matched_as_the_reference_does(
    changed_tokenizer: ChangedTokenizer, engine: EngineChoice
) -> None:
    def add(config: dict[str, Any]) -> None:
        extra = {"id": 600, "content": "<think>", "special": False}
        config["added_tokens"].append(config["added_tokens"][0] | extra)

    tokenizer = load_tokenizer(changed_tokenizer(add), engine=engine)
    assert tokenizer.encode(array(["<think>"])).ids.tolist() == [600]
    assert tokenizer.vocab_size == 601


@pytest.mark.parametrize("engine", ENGINES)
def test_encode_ignores_truncation_padding_and_bos_of_the_file(
    changed_tokenizer: ChangedTokenizer, tokenizer_json: Path, engine: EngineChoice
) -> None:
    def limit(config: dict[str, Any]) -> None:
        limited = tokenizers.Tokenizer.from_str(json.dumps(config))
        limited.enable_truncation(max_length=2)
        limited.enable_padding(length=20, pad_id=0, pad_token="x")
        limited.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", 598)]
        )
        config.update(json.loads(limited.to_str()))

    batch = load_tokenizer(changed_tokenizer(limit), engine=engine).encode(array(TEXTS))
    assert [batch.document(i).tolist() for i in range(len(batch))] == plain_tokens(
        tokenizer_json, TEXTS
    )


def test_encode_marks_newer_than_the_tables_of_the_reference_gives_its_tokens(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    file = changed_tokenizer(lambda config: config.update(normalizer={"type": "NFC"}))
    texts = [
        "e\u0301",
        "a\u0301\u1ac6\u0323 x",
        "plain",
        "\u0323\u10d24\u0301",
        "\u0915\u0d3b\u0323",
    ]
    tokenizer = load_tokenizer(file, engine="gigatoken")
    batch = tokenizer.encode(array(texts))
    assert [batch.document(i).tolist() for i in range(len(texts))] == plain_tokens(file, texts)


def test_gigatoken_engine_drops_its_cache_between_batches_gives_the_same_tokens(
    tokenizer_json: Path,
) -> None:
    config = json.loads(tokenizer_json.read_text())
    engine = GigatokenEngine(config, TokenizersEngine(config), max_cached_bytes=1)
    expected = plain_tokens(tokenizer_json, TEXTS)
    for _ in range(3):
        batch = engine.encode(array(TEXTS))
        assert [batch.document(i).tolist() for i in range(len(TEXTS))] == expected


def test_count_gives_the_length_of_each_text(tokenizer_json: Path) -> None:
    counts = load_tokenizer(tokenizer_json).count(array(TEXTS))
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(ids) for ids in plain_tokens(tokenizer_json, TEXTS)]


def test_encode_null_is_refused_with_its_row(tokenizer_json: Path) -> None:
    texts: pa.LargeStringArray = pa.array(["a", None], pa.large_string())
    with pytest.raises(ValueError, match="text 1 of the batch is null"):
        load_tokenizer(tokenizer_json).encode(texts)


@pytest.mark.parametrize(
    "texts", [pa.array(["a"]), pa.chunked_array([["a"]], pa.large_string()), ["a"]]
)
def test_encode_other_types_is_refused(tokenizer_json: Path, texts: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match="encode takes one large_string array"):
        load_tokenizer(tokenizer_json).encode(texts)


def test_load_trained_tokenizer_chooses_gigatoken(tokenizer_json: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_json)
    assert tokenizer.engine.startswith("gigatoken 0.")
    assert tokenizer.fallback_reason is None
    assert tokenizer.engine_statement == f"tokenizer: {tokenizer.engine}"
    assert load_tokenizer(tokenizer_json, engine="tokenizers").fallback_reason is None
    assert (tokenizer.eod_id, tokenizer.vocab_size, tokenizer.dtype) == (597, 600, np.uint16)


def use_other_split(config: dict[str, Any]) -> None:
    config["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W+"


def use_second_split(config: dict[str, Any]) -> None:
    # gigatoken 0.10 reads this file, but leaves the second split out.
    config["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (use_other_split, r"gigatoken .* cannot load it: Unknown pre_tokenizer"),
        (use_second_split, r"gigatoken .* and tokenizers .* encode .* differently"),
    ],
)
def test_load_unsuitable_for_gigatoken_falls_back_or_fails_when_demanded(
    changed_tokenizer: ChangedTokenizer, change: Change, reason: str
) -> None:
    file = changed_tokenizer(change)
    tokenizer = load_tokenizer(file)
    assert tokenizer.engine.startswith("tokenizers 0.")
    assert tokenizer.fallback_reason is not None
    with pytest.raises(ValueError, match=reason):
        raise ValueError(tokenizer.fallback_reason)
    assert tokenizer.engine_statement == (
        f"tokenizer: {tokenizer.engine}, tens of times slower than gigatoken, which cannot be "
        f"used: {tokenizer.fallback_reason}"
    )
    batch = tokenizer.encode(array(TEXTS))
    assert [batch.document(i).tolist() for i in range(len(TEXTS))] == plain_tokens(file, TEXTS)
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(file, engine="gigatoken")


def test_load_eod_not_in_vocabulary_names_file_and_special_tokens(tokenizer_json: Path) -> None:
    with pytest.raises(ValueError, match="'</s>' is not in its vocabulary") as error:
        load_tokenizer(tokenizer_json, eod="</s>")
    assert str(tokenizer_json) in str(error.value)
    assert "its special tokens are: <|endoftext|>; name" in str(error.value)


@pytest.mark.parametrize("eod", ["<|im_end|>", "<|im_start|>", "<|eot_id|>"])
def test_load_token_of_a_chat_as_eod_is_refused_though_it_is_in_the_vocabulary(
    tokenizer_json: Path, eod: str
) -> None:
    with pytest.raises(ValueError, match=r"marks a turn of a chat .* are: <\|endoftext\|>$"):
        load_tokenizer(tokenizer_json, eod=eod)


def give_ids(base: int, tokens: tuple[str, ...]) -> Change:
    """A change that gives control tokens ids from `base` on; the ids between stay free."""

    def change(config: dict[str, Any]) -> None:
        blank = config["added_tokens"][0]
        ids = {token: base + number for number, token in enumerate(tokens)}
        config["added_tokens"] = [blank | {"id": i, "content": t} for t, i in ids.items()]
        config["model"]["vocab"].update(ids)  # else the library numbers them in a row

    return change


QWEN_CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>")


def test_load_vocabulary_of_qwen_asserts_the_id_of_the_eod(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    file = changed_tokenizer(give_ids(151643, QWEN_CONTROL_TOKENS))
    tokenizer = load_tokenizer(file)
    assert (tokenizer.eod_id, tokenizer.vocab_size, tokenizer.dtype) == (151643, 151647, np.int32)
    with pytest.raises(ValueError, match=r"eod '<\|fim_pad\|>' has the id 151646 .* 151643"):
        load_tokenizer(file, eod="<|fim_pad|>")


def test_load_vocabulary_of_qwen_with_tokens_in_another_order_is_refused(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    swapped = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
    file = changed_tokenizer(give_ids(151643, swapped))
    with pytest.raises(ValueError, match=r"'<\|endoftext\|>' has the id 151645 in a vocabulary"):
        load_tokenizer(file)


def test_load_as_many_tokens_as_qwen_merges_asserts_the_id_of_the_eod(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    def fill(config: dict[str, Any]) -> None:
        config["added_tokens"] = [config["added_tokens"][0] | {"id": 1000}]
        vocab = config["model"]["vocab"]
        vocab |= {f"\u0120{number}": number for number in range(len(vocab), 151643)}
        vocab["<|endoftext|>"] = vocab.pop("\u01201000")

    file = changed_tokenizer(fill)
    with pytest.raises(ValueError, match="has the id 1000 in a vocabulary of Qwen"):
        load_tokenizer(file, engine="tokenizers")


def test_load_vocabulary_larger_than_that_of_qwen_keeps_its_own_eod(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    tokenizer = load_tokenizer(changed_tokenizer(give_ids(248044, QWEN_CONTROL_TOKENS)))
    assert tokenizer.eod_id == 248044


def spell_eod_alone(config: dict[str, Any]) -> None:
    config["model"]["vocab"]["<|endoftext|>"] = 597
    config["model"]["ignore_merges"] = True
    config["pre_tokenizer"] = config["pre_tokenizer"]["pretokenizers"][1]


def spell_eod_behind_z(config: dict[str, Any]) -> None:
    spell_eod_alone(config)
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    split["pattern"] = {"Regex": r"(?<=z)<\|endoftext\|>|."}
    config["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [split, config["pre_tokenizer"]],
    }


def test_load_model_that_spells_a_control_token_is_refused(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    with pytest.raises(ValueError, match="would become the control token 597"):
        load_tokenizer(changed_tokenizer(spell_eod_alone))


def test_encode_eod_spelt_in_a_rare_context_is_an_error(
    changed_tokenizer: ChangedTokenizer,
) -> None:
    tokenizer = load_tokenizer(changed_tokenizer(spell_eod_behind_z))
    with pytest.raises(ValueError, match=r"text 2 of the batch .* end-of-document token 597"):
        tokenizer.encode(array(["a", "", "xz<|endoftext|>", "b"]))


def test_load_dropout_is_refused(changed_tokenizer: ChangedTokenizer) -> None:
    with pytest.raises(ValueError, match=r"model\.dropout is 0\.1"):
        load_tokenizer(changed_tokenizer(lambda config: config["model"].update(dropout=0.1)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        ("{", "it is not JSON"),
        ("[]", "has no 'model'"),
        ('{"model": {"type": "Other"}}', "tokenizers .* cannot load it"),
    ],
)
def test_load_unusable_file_says_why(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(error.value)


def test_load_unknown_engine_lists_the_engines(tokenizer_json: Path) -> None:
    with pytest.raises(ValueError, match="choose auto, gigatoken, tokenizers"):
        load_tokenizer(tokenizer_json, engine="tiktoken")  # type: ignore[arg-type]


def test_load_folder_or_file_gives_the_same_fingerprint_and_eod_enters_it(
    tokenizer_json: Path,
) -> None:
    by_file = load_tokenizer(tokenizer_json)
    by_folder = load_tokenizer(str(tokenizer_json.parent), engine="tokenizers")
    assert by_file.fingerprint == by_folder.fingerprint
    assert len(by_file.fingerprint) == 32
    other = tokenizer_fingerprint(tokenizer_json, eod="<|fim_pad|>")
    assert by_file.fingerprint == tokenizer_fingerprint(tokenizer_json) != other
