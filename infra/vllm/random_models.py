"""Model folders with random weights, in the architectures that tokenmill serves.

    python infra/vllm/random_models.py FOLDER

For machines to which no weights can be brought: vLLM loads these as it loads real ones, so that
the whole way of a request can be run and clocked, but what they answer is noise, never ends by
itself and has no form.

- text: Qwen3 of 8 layers, hidden size 1024, 16 query and 8 key-value heads of 128; 143 M weights.
- vision: Qwen2.5-VL of 8 layers, hidden size 1024, and 8 vision layers of 640; 167 M weights.
- qwen3-8b, qwen2.5-vl-7b: the published sizes, without weights, for `--load-format dummy`.

The sizes are those of the models' config.json but for the vocabulary: a tokenizer of 8192 entries
is trained here, on the sources of the installed transformers, and carries Qwen's special tokens.
Its chat template writes what Qwen3's writes for messages without tools, `enable_thinking` included,
with images where they stand in a message. Needs torch and transformers.
"""

import argparse
import os
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY: Final = 8192
SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
THINKING: Final = ("<think>", "</think>")
"""Ordinary tokens, as in Qwen3, so that they stay in the text of an answer."""
CONTEXT: Final = 32768
SPREAD: Final = 0.06
"""Standard deviation of weights, three times the usual: with 0.02 the small models give all tokens
nearly one probability."""

CHAT_TEMPLATE: Final = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- else %}
{%- for part in message.content %}
{%- if part.type in ('image', 'image_url') %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- else %}
{{- part.text }}
{%- endif %}
{%- endfor %}
{%- endif %}
{%- if not (loop.last and continue_final_message | default(false)) %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""


def train_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE over Python sources; the same on each run of one version of transformers."""
    sources = sorted(Path(transformers.__file__).parent.glob("*.py"))
    texts = [path.read_text(encoding="utf-8")[:20_000] for path in sources]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(THINKING),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    trained.add_tokens(list(THINKING))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def text_config(
    tokenizer: transformers.PreTrainedTokenizerFast, **sizes: int
) -> transformers.Qwen3Config:
    """Configuration of a Qwen3."""
    return transformers.Qwen3Config(
        **_common(tokenizer), **sizes, tie_word_embeddings=False, architectures=["Qwen3ForCausalLM"]
    )


def vision_config(
    tokenizer: transformers.PreTrainedTokenizerFast, text: dict[str, int], vision: dict[str, Any]
) -> transformers.Qwen2_5_VLConfig:
    """Configuration of a Qwen2.5-VL: pictures in patches of 14 pixels, 2 x 2 of them a token."""
    positions = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
    patches = {
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "in_channels": 3,
        "tokens_per_second": 2,
    }
    tokens = ("image_pad", "video_pad", "vision_start", "vision_end")
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return transformers.Qwen2_5_VLConfig(
        text_config={**_common(tokenizer), **text, "rope_parameters": positions},
        vision_config={**patches, **vision, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=False,
        dtype="bfloat16",
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        **{
            name: tokenizer.convert_tokens_to_ids(f"<|{token}|>")
            for name, token in zip(names, tokens, strict=True)
        },
    )


def _common(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "initializer_range": SPREAD,
        "dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    }


def write(folder: Path) -> None:
    """Writes the four model folders."""
    tokenizer = train_tokenizer()
    text = {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    qwen3_8b = {
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    _write_weights(
        transformers.Qwen3ForCausalLM, text_config(tokenizer, **text), folder / "text", tokenizer
    )
    _write_config(text_config(tokenizer, **qwen3_8b), folder / "qwen3-8b", tokenizer)
    processor = _processor(tokenizer)
    small = vision_config(
        tokenizer,
        {
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
        },
        {
            "depth": 8,
            "hidden_size": 640,
            "num_heads": 8,
            "intermediate_size": 1712,
            "fullatt_block_indexes": [3, 7],
        },
    )
    qwen_vl_7b = vision_config(
        tokenizer,
        {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
        {
            "depth": 32,
            "hidden_size": 1280,
            "num_heads": 16,
            "intermediate_size": 3420,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
    )
    _write_weights(
        transformers.Qwen2_5_VLForConditionalGeneration, small, folder / "vision", processor
    )
    _write_config(qwen_vl_7b, folder / "qwen2.5-vl-7b", processor)


def _processor(
    tokenizer: transformers.PreTrainedTokenizerFast,
) -> transformers.Qwen2_5_VLProcessor:
    # Largest picture: 1605632 pixels, what a page of 1288 pixels on its longest side stays below.
    return transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            patch_size=14, temporal_patch_size=2, merge_size=2, min_pixels=3136, max_pixels=1605632
        ),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(
            patch_size=14, temporal_patch_size=2, merge_size=2
        ),
        chat_template=CHAT_TEMPLATE,
    )


def _write_weights(
    architecture: type[transformers.PreTrainedModel],
    config: transformers.PreTrainedConfig,
    folder: Path,
    beside: transformers.PreTrainedTokenizerFast | transformers.Qwen2_5_VLProcessor,
) -> None:
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = architecture(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    beside.save_pretrained(folder)
    millions = sum(weights.numel() for weights in model.parameters()) / 1e6
    print(f"{folder}: {millions:.0f} M weights")


def _write_config(
    config: transformers.PreTrainedConfig,
    folder: Path,
    beside: transformers.PreTrainedTokenizerFast | transformers.Qwen2_5_VLProcessor,
) -> None:
    config.save_pretrained(folder)
    beside.save_pretrained(folder)
    print(f"{folder}: no weights; serve with --load-format dummy")


def main() -> None:
    """Writes the folders below the one that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    write(options.folder)


if __name__ == "__main__":
    main()
