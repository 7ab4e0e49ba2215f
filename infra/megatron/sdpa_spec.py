"""Attention by PyTorch alone, for machines that have neither Transformer Engine nor Apex.

Megatron-LM's own unfused attention holds heads x length x length scores: at 32,768 tokens that is
more than a GPU has. This file is an argument of its `--spec`:

    --transformer-impl local --spec sdpa_spec layer_spec      (with this folder on PYTHONPATH)

The mask of `--reset-attention-mask` is honoured; it costs length x length bytes a sequence. Not for
context parallelism, packed `thd` sequences or attention dropout, which are refused.
Written against Megatron-LM core_v0.16.1 (`megatron/core/transformer/dot_product_attention.py`).
"""

from typing import Any

import torch
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer.dot_product_attention import DotProductAttention
from megatron.training import get_args
from torch.nn.functional import scaled_dot_product_attention


class TorchAttention(DotProductAttention):
    """Core attention over tensors of [length, batch, heads, head size]."""

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        attn_mask_type: Any = None,  # noqa: ANN401 - Megatron's AttnMaskType; causal here
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: Any = None,  # noqa: ANN401
    ) -> torch.Tensor:
        """[length, batch, heads x head size]; a mask is True where a token must not be seen."""
        if packed_seq_params is not None or attention_bias is not None:
            raise NotImplementedError("this attention takes neither packed sequences nor a bias")
        heads_first = [tensor.permute(1, 2, 0, 3) for tensor in (query, key, value)]
        seen = None if attention_mask is None else ~attention_mask
        mixed = scaled_dot_product_attention(
            *heads_first,
            attn_mask=seen,
            is_causal=seen is None,
            scale=self.softmax_scale,
            enable_gqa=query.size(2) != key.size(2),
        )
        return mixed.permute(2, 0, 1, 3).reshape(query.size(0), query.size(1), -1)


def _layer_spec() -> Any:  # noqa: ANN401 - Megatron's ModuleSpec
    args = get_args()
    spec = get_gpt_layer_local_spec(
        args.num_experts,
        args.moe_grouped_gemm,
        args.qk_layernorm,
        normalization=args.normalization,
    )
    spec.submodules.self_attention.submodules.core_attention = TorchAttention
    return spec


# Megatron takes an object, not a function, and imports this file once its arguments are parsed.
layer_spec = _layer_spec()
