"""Ranks of tiktoken to the tokenizer.json that means the same.

A `.tiktoken` file has one token a line, `base64(bytes) rank`, and nothing else: neither the
expression that splits text before merging nor the special tokens. Both are taken from

1. `tokenizer_config.json` in the same folder, where it says them: `pat_str` (a name of `SPLITS`, or
   an expression) and `special_tokens` (text to id), which are the names of tiktoken's own
   arguments, or `added_tokens_decoder`, which is Hugging Face's; and `normalizer`, "NFC" or null;
2. else the name of the file, for `KNOWN`: the encodings that OpenAI and Qwen published.

Nothing is guessed beyond that, for a wrong split changes every token and fails nowhere.

How the merges come back. tiktoken merges, again and again, the adjacent pair whose joined bytes
have the lowest rank. A text that ends up with the token t had exactly the pieces of t alone before
the last merge, because merges that lie within t do not see what surrounds it. So the last two
pieces of t, merged alone, are the one pair that ever makes t, and the list of these pairs by rank
is the list of merges. A token that merging cannot reach is found only when it is a whole piece of
the split: tiktoken looks those up first, and `ignore_merges` of `tokenizers` does the same.

Possessive quantifiers (`\\p{N}{1,3}+`) are written without: the expressions match the same, and the
engine of `tokenizers` reads that one as a repeated group.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from token_shards.training import QWEN2_SPLIT

SUFFIX: Final = ".tiktoken"
CONFIG_NAME: Final = "tokenizer_config.json"
_CONTRACTIONS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPLITS: Final = {
    "r50k": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": _CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    + r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    + rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": QWEN2_SPLIT,
}
"""Name -> expression. `r50k` is GPT-2's, `qwen2` that of all Qwen models to Qwen3; the three of
OpenAI are those of `tiktoken_ext/openai_public.py` of openai/tiktoken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    """What a file of ranks does not say."""

    split: str
    special_tokens: Mapping[str, int]
    nfc: bool = False


_OPENAI_FIM: Final = {"<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260}
_QWEN_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
KNOWN: Final[Mapping[str, tuple[int, _Encoding]]] = {
    "r50k_base": (50256, _Encoding(split="r50k", special_tokens={"<|endoftext|>": 50256})),
    "cl100k_base": (
        100256,
        _Encoding(
            split="cl100k",
            special_tokens={"<|endoftext|>": 100257, **_OPENAI_FIM, "<|endofprompt|>": 100276},
        ),
    ),
    "o200k_base": (
        199998,
        _Encoding(
            split="o200k",
            special_tokens={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
        ),
    ),
    # Qwen-7B, `tokenization_qwen.py`: NFC, three tokens of the chat format, 205 spare ones.
    "qwen": (
        151643,
        _Encoding(
            split="qwen2",
            special_tokens={
                text: 151643 + i
                for i, text in enumerate(
                    (*_QWEN_SPECIAL, *(f"<|extra_{number}|>" for number in range(205)))
                )
            },
            nfc=True,
        ),
    ),
}
"""Name of the file -> how many ranks it holds, and the rest."""


def tokenizer_json_of_ranks(file: Path) -> bytes:
    """Converts a file of ranks to the tokenizer.json that gives the same tokens.

    Args:
        file: `<name>.tiktoken`; a tokenizer_config.json beside it is read, where there is one.

    Returns:
        The JSON, the same bytes for the same ranks and settings. Takes about 10 microseconds a
        token.

    Raises:
        ValueError: The ranks are broken, or nothing says how text is split.
    """
    ranks = _read_ranks(file)
    encoding = _encoding_of(file, len(ranks))
    _check_special(encoding.special_tokens, ranks)
    return _write_json(ranks, encoding)


def config_beside(file: Path) -> Path | None:
    """Gives the tokenizer_config.json beside a file of ranks, where there is one."""
    config = file.with_name(CONFIG_NAME)
    return config if config.is_file() else None


def _read_ranks(file: Path) -> dict[bytes, int]:
    """Token to rank, in the order of ranks."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"line {number} is {line[:40]!r}; a file of ranks has a token in base64, a space "
                "and its rank in each line"
            ) from error
    if len(set(ranks.values())) != len(ranks) or not ranks:
        raise ValueError(f"it holds {len(ranks)} tokens and {len(set(ranks.values()))} ranks")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ValueError(
            f"{len(missing)} of the 256 single bytes have no rank (first: {missing[0]:#04x}); "
            "byte-level BPE starts from all of them"
        )
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def _encoding_of(file: Path, num_ranks: int) -> _Encoding:
    """Reads what is beside the file, or knows it by name."""
    config = config_beside(file)
    said = json.loads(config.read_text(encoding="utf-8")) if config else {}
    expected, known = KNOWN.get(file.name.removesuffix(SUFFIX), (num_ranks, None))
    if "pat_str" not in said:
        if known is None:
            raise ValueError(
                f"ranks do not say how text is split, and {file.name} is none of "
                f"{', '.join(name + SUFFIX for name in KNOWN)}; write {CONFIG_NAME} beside it, as "
                '{"pat_str": "cl100k", "special_tokens": {"<|endoftext|>": '
                f"{num_ranks}}}}}; pat_str is {', '.join(SPLITS)} or an expression"
            )
        if num_ranks != expected:
            raise ValueError(
                f"{file.name} has {expected:,} ranks where it was published, and {num_ranks:,} "
                f"here; if it is another vocabulary, name its pat_str in {CONFIG_NAME} beside it"
            )
        return known
    if said.get("normalizer") not in (None, "NFC"):
        raise ValueError(f'{CONFIG_NAME}: normalizer is {said["normalizer"]!r}; "NFC" or null')
    return _Encoding(
        split=_checked_split(said["pat_str"]),
        special_tokens=_special_tokens(said),
        nfc=said.get("normalizer") == "NFC",
    )


def _special_tokens(said: Mapping[str, Any]) -> dict[str, int]:
    if "special_tokens" in said:
        return {text: int(id_) for text, id_ in said["special_tokens"].items()}
    decoder = said.get("added_tokens_decoder", {})
    return {token["content"]: int(id_) for id_, token in decoder.items()}


def _checked_split(split: str) -> str:
    """A name of `SPLITS`, or an expression that both engines of expressions read alike."""
    if split in SPLITS:
        return split
    if re.search(r"[}]\+|(?<!\\)\$|\+\+|\*\+|\?\+", split):
        raise ValueError(
            f"{CONFIG_NAME}: pat_str {split!r} has a possessive quantifier or a $, which "
            f"`tokenizers` reads differently; choose {', '.join(SPLITS)}, or write it without"
        )
    return split


def _check_special(special: Mapping[str, int], ranks: Mapping[bytes, int]) -> None:
    ids = {rank: token for token, rank in ranks.items()}
    for text, id_ in special.items():
        if id_ in ids:
            raise ValueError(
                f"the special token {text!r} has the id {id_}, which is the rank of "
                f"{ids[id_]!r}; take ids that no rank has"
            )
    if len(set(special.values())) != len(special):
        raise ValueError("two special tokens have the same id")


def _write_json(ranks: Mapping[bytes, int], encoding: _Encoding) -> bytes:
    letters = _byte_letters()
    vocab = {token.decode("latin-1").translate(letters): rank for token, rank in ranks.items()}
    special = sorted(encoding.special_tokens.items(), key=lambda item: item[1])
    next_id = max(ranks.values()) + 1
    if len(ranks) != next_id or [id_ for _, id_ in special] != [
        *range(next_id, next_id + len(special))
    ]:
        vocab |= dict(special)  # `tokenizers` numbers added tokens in a row, unless these say else
    merges, all_reached = _merges(ranks)
    config = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(text, id_) for text, id_ in special],
        "normalizer": {"type": "NFC"} if encoding.nfc else None,
        "pre_tokenizer": _pre_tokenizer(encoding.split),
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": not all_reached,
            "vocab": vocab,
            "merges": [[part.decode("latin-1").translate(letters) for part in m] for m in merges],
        },
    }
    return json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode()


_BYTE_LEVEL: Final = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}


def _pre_tokenizer(split: str) -> dict[str, Any]:
    if split == "r50k":  # ByteLevel has this expression built in, and gigatoken knows it as such
        return _BYTE_LEVEL | {"use_regex": True}
    pattern = {"Regex": SPLITS.get(split, split)}
    cut = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, _BYTE_LEVEL]}


def _added_token(text: str, id_: int) -> dict[str, Any]:
    marks = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id_, "content": text, **marks, "special": True}


def _merges(ranks: Mapping[bytes, int]) -> tuple[list[tuple[bytes, bytes]], bool]:
    """The pair that makes each token, by rank, and whether there is one for every token."""
    pairs = [_last_pair(token, ranks) for token in ranks if len(token) > 1]
    found = [pair for pair in pairs if pair is not None]
    return found, len(found) == len(pairs)


def _last_pair(token: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes] | None:
    """Merges the bytes of a token until two pieces are left; None where that does not happen."""
    parts = [token[i : i + 1] for i in range(len(token))]
    get = ranks.get
    while len(parts) > 2:
        best, at = None, -1
        for i in range(len(parts) - 1):
            rank = get(parts[i] + parts[i + 1])
            if rank is not None and (best is None or rank < best):
                best, at = rank, i
        if best is None:
            return None
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def _byte_letters() -> dict[int, str]:
    """Byte -> the letter that stands for it in byte-level BPE.

    The printable characters of Latin-1 stand for themselves, the others are numbered from U+0100
    (openai/gpt-2, `encoder.py`, `bytes_to_unicode`).
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(0x100 + i) for i, b in enumerate(hidden)}
