"""Text to token ids, by the fastest engine that gives exactly what the tokenizer.json means.

Hugging Face `tokenizers` is what trainers load the same file with, so it is the reference.
gigatoken is far faster, so it is taken when it knows the tokenizer and agrees with the reference
on `EQUALITY_SAMPLE` and on the text of every added token; that check runs at each start.

Measured on one core of a server (AMD EPYC), vocabulary of 8,000, 11,660 documents of 4 KB (48 MB
of books, code and mathematics in random order): gigatoken 105 MB/s at first sight and 220 MB/s once
its cache knows the words, tokenizers 2.3 MB/s. Encoding, EOD, order, gathering and writing to disk
take together 12,300 documents (50 MB) a second at first sight and 43,000 (178 MB) after, against
660 documents (2.7 MB) a second for `encode_batch` of tokenizers alone.

A document that contains the characters `<|endoftext|>` must not end there: it was written by
somebody on the web. Control tokens (those marked special, and the EOD) are therefore never matched
in text; their characters are encoded like all others. Added tokens that are not special (Qwen3's
`<think>`) are matched, as `tokenizers` does. A tokenizer that spells a control token from ordinary
characters is refused when it is loaded, and an EOD that appears in text nevertheless is an error.

The EOD ends a document; the token that ends a turn of a chat does not, though the chat versions of
a model name it as their `eos_token` (Qwen3: `<|im_end|>`). Such a token is refused as EOD, and
where the vocabulary is Qwen's (151,643 tokens and control tokens behind them; Qwen2 technical
report, arXiv:2407.10671, section 2) the EOD must be 151643, `<|endoftext|>`, which separates the
documents that its models were trained on.

A tokenizer is a tokenizer.json, a folder that holds one, a `.tiktoken` file of ranks
(`tiktoken_ranks.py`) or the name of a repository of the Hugging Face hub (`hub.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from token_shards.batch import TokenBatch
from token_shards.engines import Engine, GigatokenEngine, TokenizersEngine
from token_shards.equality_sample import EQUALITY_SAMPLE
from token_shards.hub import resolve_tokenizer
from token_shards.indexed_dataset import token_dtype
from token_shards.tiktoken_ranks import SUFFIX, config_beside, tokenizer_json_of_ranks

EngineChoice = Literal["auto", "gigatoken", "tokenizers"]
QWEN_CONTROL_IDS: Final = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
"""Where Qwen2, Qwen2.5 and Qwen3 have their first control tokens; the 151,643 below are merged."""
CHAT_TOKENS: Final = frozenset(
    {
        *("<|im_start|>", "<|im_end|>"),  # ChatML: Qwen and many others
        *("<|eot_id|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>"),  # Llama 3
        *("<start_of_turn>", "<end_of_turn>"),  # Gemma
        *("<|end|>", "<|user|>", "<|assistant|>", "<|system|>"),  # Phi-3
        *("[INST]", "[/INST]"),  # Mistral
    }
)
"""Marks of turns in chat formats; none of them ends a document."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokenizer:
    """A loaded tokenizer; made by `load_tokenizer`."""

    eod_id: int
    """Id of the token that ends a document; `encode` never gives it."""
    eod_token: str
    """Its text."""
    vocab_size: int
    """Largest token id + 1, added tokens included."""
    fingerprint: str
    """32 hex digits of blake2b over the bytes of tokenizer.json, a NUL byte and the EOD text; those
    of ranks are over the tokenizer.json that means the same."""
    fallback_reason: str | None
    """Why engine "auto" took `tokenizers`; None when it took gigatoken or was not asked to."""
    _engine: Engine

    @property
    def engine(self) -> str:
        """Library and version that encodes, as in `gigatoken 0.10.0`."""
        return self._engine.name

    @property
    def engine_statement(self) -> str:
        """One line for people: which engine encodes, and why where it is the slow one."""
        if self.fallback_reason is None:
            return f"tokenizer: {self.engine}"
        return (
            f"tokenizer: {self.engine}, tens of times slower than gigatoken, which cannot be "
            f"used: {self.fallback_reason}"
        )

    @property
    def dtype(self) -> type[np.uint16] | type[np.int32]:
        """Type in which a trainer expects the ids on disk."""
        return token_dtype(self.vocab_size)

    def encode(self, texts: pa.LargeStringArray) -> TokenBatch:
        """Encodes each text as a whole, without BOS, EOD or truncation.

        Args:
            texts: large_string[num_texts] without nulls; may be a slice.

        Returns:
            The tokens of each text; an empty text has none.

        Raises:
            ValueError: `texts` has another type or a null, or a text gave the EOD token.
        """
        _check_texts(texts)
        batch = self._engine.encode(texts)
        if self.eod_id in batch.ids:
            token = int(np.argmax(batch.ids == self.eod_id))
            row = int(np.searchsorted(batch.offsets, token, side="right")) - 1
            raise ValueError(
                f"text {row} of the batch is encoded with the end-of-document token "
                f"{self.eod_id} inside; take a tokenizer whose merges cannot spell it"
            )
        return batch

    def count(self, texts: pa.LargeStringArray) -> npt.NDArray[np.int64]:
        """Gives the number of tokens of each text, int64[num_texts]; see `encode`."""
        return self.encode(texts).lengths


def load_tokenizer(
    path: str | Path, *, engine: EngineChoice = "auto", eod: str = "<|endoftext|>"
) -> Tokenizer:
    """Loads a tokenizer and chooses its engine.

    Args:
        path: A tokenizer.json, a folder that holds one, a .tiktoken file, or a hub name.
        engine: "gigatoken" or "tokenizers", or "auto": gigatoken where it gives the same ids.
        eod: Text of the token that ends a document.

    Returns:
        The tokenizer.

    Raises:
        ValueError: There is no such file, it is no usable tokenizer, `eod` is not in its
            vocabulary or does not end documents, or gigatoken was demanded and cannot serve.
    """
    if engine not in get_args(EngineChoice):
        raise ValueError(
            f"tokenizer engine is {engine!r}; choose {', '.join(get_args(EngineChoice))}"
        )
    file = tokenizer_file(path)
    try:
        data = _json_of(file)
        config = _with_control_token(_parse(data), eod)
        reference = TokenizersEngine(config)
        vocabulary = reference.vocabulary
        _check_eod(eod, vocabulary, _control_tokens(config))
        _check_qwen_eod(eod, vocabulary, len(config["model"]["vocab"]))
        _check_unspeakable(reference, config)
        chosen, reason = _choose(engine, reference, config)
    except ValueError as error:
        raise ValueError(f"tokenizer {file}: {error}") from error
    return Tokenizer(
        eod_id=vocabulary[eod],
        eod_token=eod,
        vocab_size=max(vocabulary.values()) + 1,
        fingerprint=_fingerprint(data, eod),
        fallback_reason=reason,
        _engine=chosen,
    )


def _check_texts(texts: pa.LargeStringArray) -> None:
    if not isinstance(texts, pa.LargeStringArray):
        found = getattr(texts, "type", type(texts).__name__)
        raise ValueError(
            f"texts are {type(texts).__name__} of {found}; encode takes one large_string array "
            "(cast the column, combine its chunks)"
        )
    if texts.null_count:
        row = texts.is_null().to_numpy(zero_copy_only=False).argmax()
        raise ValueError(f"text {row} of the batch is null; every document has a text")


def tokenizer_fingerprint(path: str | Path, *, eod: str = "<|endoftext|>") -> str:
    """Gives what `Tokenizer.fingerprint` would be, without loading an engine.

    Raises:
        ValueError: There is no such file, or its ranks are broken.
    """
    return _fingerprint(tokenizer_json(path), eod)


def _fingerprint(data: bytes, eod: str) -> str:
    return blake2b(data + b"\0" + eod.encode(), digest_size=16).hexdigest()


def tokenizer_file(path: str | Path) -> Path:
    """Gives the file that a path or hub name means; see `hub.resolve_tokenizer`.

    Raises:
        ValueError: There is no such file.
    """
    return resolve_tokenizer(path)


def tokenizer_files(path: str | Path) -> list[Path]:
    """Gives all files that decide what the tokenizer does.

    Raises:
        ValueError: There is no such file.
    """
    file = tokenizer_file(path)
    beside = config_beside(file) if file.suffix == SUFFIX else None
    return [file] if beside is None else [file, beside]


def tokenizer_json(path: str | Path) -> bytes:
    """Gives the tokenizer.json, as it is on disk or as ranks are converted to it.

    Raises:
        ValueError: There is no such file, or its ranks are broken.
    """
    file = tokenizer_file(path)
    try:
        return _json_of(file)
    except ValueError as error:
        raise ValueError(f"tokenizer {file}: {error}") from error


def _json_of(file: Path) -> bytes:
    return tokenizer_json_of_ranks(file) if file.suffix == SUFFIX else file.read_bytes()


def _parse(data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ValueError("it has no 'model'; this is not the tokenizer.json of tokenizers")
    if config["model"].get("dropout"):
        raise ValueError(
            f"model.dropout is {config['model']['dropout']}, which makes tokens random; "
            "set it to null"
        )
    return config


def _with_control_token(config: dict[str, Any], eod: str) -> dict[str, Any]:
    """Marks the EOD as special where it is an added token, so that text cannot match it."""
    added = [
        token | {"special": bool(token["special"] or token["content"] == eod)}
        for token in config.get("added_tokens") or []
    ]
    return config | {"added_tokens": added}


def _control_tokens(config: dict[str, Any]) -> list[str]:
    return [token["content"] for token in config["added_tokens"] if token["special"]]


def _check_eod(eod: str, vocabulary: Mapping[str, int], control_tokens: list[str]) -> None:
    possible = [token for token in control_tokens if token not in CHAT_TOKENS]
    if eod in CHAT_TOKENS:
        raise ValueError(
            f"eod is {eod!r}, which marks a turn of a chat and not the end of a document, though "
            "chat versions of a model name it as their eos_token; its special tokens that can end "
            f"a document are: {', '.join(possible) or 'none'}"
        )
    if eod not in vocabulary:
        available = ", ".join(possible) or "none"
        raise ValueError(
            f"the end-of-document token {eod!r} is not in its vocabulary; its special tokens are: "
            f"{available}; name one of them as eod"
        )


def _check_qwen_eod(eod: str, vocabulary: Mapping[str, int], num_merged: int) -> None:
    """Refuses another EOD than that of the Qwen models, where the vocabulary is theirs.

    It is theirs where one of its control tokens has its id there, or there are as many below them.
    """
    first = QWEN_CONTROL_IDS["<|endoftext|>"]
    is_qwen = num_merged == first or any(
        vocabulary.get(token) == id_ for token, id_ in QWEN_CONTROL_IDS.items()
    )
    if is_qwen and vocabulary[eod] != first:
        raise ValueError(
            f"eod {eod!r} has the id {vocabulary[eod]} in a vocabulary of Qwen, whose models end "
            f"documents with <|endoftext|>, {first}; set eod to that, and take the tokenizer.json "
            "as Qwen published it"
        )


def _check_unspeakable(reference: TokenizersEngine, config: dict[str, Any]) -> None:
    """Refuses a tokenizer in which the characters of a control token give that token.

    The unknown token is exempt: ordinary text gives it where the vocabulary has holes.
    """
    vocabulary = reference.vocabulary
    for token in _control_tokens(config):
        if token == config["model"].get("unk_token"):
            continue
        spelt = reference.encode(_large_strings([token, f"a{token}b", f" {token}\n"])).ids
        if vocabulary[token] in spelt:
            raise ValueError(
                f"the characters {token!r} in a document would become the control token "
                f"{vocabulary[token]}, because its model can spell it; remove it from the "
                "model's vocabulary and merges (it stays in added_tokens)"
            )


def _choose(
    engine: EngineChoice, reference: TokenizersEngine, config: dict[str, Any]
) -> tuple[Engine, str | None]:
    """Gives the engine to use and, where "auto" had to take the reference, why."""
    if engine == "tokenizers":
        return reference, None
    try:
        fast = GigatokenEngine(config, reference)
        _check_equal(fast, reference, config)
    except ValueError as error:
        if engine == "gigatoken":
            raise ValueError(f"{error}; choose engine 'auto' or 'tokenizers'") from error
        return reference, str(error)
    return fast, None


def _check_equal(fast: Engine, reference: Engine, config: dict[str, Any]) -> None:
    added = [token["content"] for token in config["added_tokens"]]
    sample = [*EQUALITY_SAMPLE, *(f"a {token} b{token}" for token in added)]
    texts = _large_strings(sample)
    found, expected = fast.encode(texts), reference.encode(texts)
    for row, text in enumerate(sample):
        if not np.array_equal(found.document(row), expected.document(row)):
            raise ValueError(
                f"{fast.name} and {reference.name} encode {text!r} differently: "
                f"{found.document(row)[:12]} and {expected.document(row)[:12]}"
            )


def _large_strings(texts: list[str]) -> pa.LargeStringArray:
    array: pa.LargeStringArray = pa.array(texts, pa.large_string())
    return array
