"""Trains a byte-level BPE tokenizer of the Qwen kind, for corpora that bring none of their own.

Pre-tokenisation is the split expression of Qwen2 (`tokenizer.json` of Qwen/Qwen2-0.5B, unchanged
in Qwen3), which is that of GPT-4's cl100k_base (openai/tiktoken, `tiktoken_ext/openai_public.py`)
with single digits instead of groups of three. gigatoken has a SIMD splitter for exactly this
expression and refuses expressions that it does not know, so no other is offered.

Two choices differ from Qwen: no NFC normalizer, so that decoding gives the document's bytes back;
and only three special tokens, which stand behind the trained vocabulary as in Qwen and are
therefore no part of the merges: no text can spell them.
"""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""End of document, and the two marks of Qwen's chat format."""

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""How Qwen2 to Qwen3 split text before merging."""
_NUM_BYTES = 256


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains on the given texts; the same texts in any order give the same tokenizer.

    Args:
        texts: Documents, read once.
        vocab_size: Upper bound of the vocabulary with the 256 bytes and the special tokens, at
            least 259. Texts with too few different pairs give a smaller one.

    Returns:
        A tokenizer whose `save` writes the tokenizer.json that `load_tokenizer` takes.

    Raises:
        ValueError: vocab_size is too small, or there is no text.
    """
    smallest = _NUM_BYTES + len(SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size}; it must be at least {smallest} "
            f"({_NUM_BYTES} bytes and {len(SPECIAL_TOKENS)} special tokens)"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    seen = _Seen()
    tokenizer.train_from_iterator(seen.texts(texts), trainer)
    if not seen.num_chars:
        raise ValueError("there is no text to train on; give at least one document with text")
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return tokenizer


class _Seen:
    """Counts what passes to the trainer, which says nothing of an empty input."""

    def __init__(self) -> None:
        self.num_chars = 0

    def texts(self, texts: Iterable[str]) -> Iterable[str]:
        for text in texts:
            self.num_chars += len(text)
            yield text
