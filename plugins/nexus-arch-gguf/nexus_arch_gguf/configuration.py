"""Configurations of transformers' classes, made of metadata and of what the tensors tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nexus_specs import NexusError
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from .bounds import bounded
from .fields import WHOLE, head_width, settable, values, whole
from .layout import Layout
from .rotary import rotary
from .source import Source

ROUTED = re.compile(r"blk\.(\d+)\.ffn_gate_inp\.weight")
"""Layers with experts."""
DENSE = ("first_k_dense_replace", "num_dense_layers")
"""Fields that say how many layers come before them."""
BIASES: Mapping[str, tuple[str, ...]] = {
    "attention_bias": ("attn_q.bias", "attn_qkv.bias", "attn_output.bias", "attn_q_a.bias"),
    "mlp_bias": ("ffn_up.bias", "ffn_down.bias"),
    "qkv_bias": ("attn_q.bias",),
    "attention_out_bias": ("attn_output.bias",),
    "norm_bias": ("attn_norm.bias", "ffn_norm.bias", "output_norm.bias"),
    "use_bias": ("ffn_up.bias", "attn_q.bias", "ssm_in.bias"),
    **dict.fromkeys(("use_conv_bias", "mamba_conv_bias"), ("ssm_conv1d.bias",)),
    "mamba_proj_bias": ("ssm_in.bias",),
    "projectors_bias": ("ssm_out.bias",),
}
"""Fields that say whether there are biases -> tensors that are there if so."""
GENERATIVE = ("ForCausalLM", "ForConditionalGeneration")
"""How the names of classes end whose tokens see none behind them."""


def configuration(source: Source, layout: Layout) -> PreTrainedConfig:
    """The configuration that the metadata describes. NexusError where it describes none."""
    bounded(source, layout)
    return made(source, layout, lambda: _made(source, layout))


def made(source: Source, layout: Layout, make: Callable[[], PreTrainedConfig]) -> PreTrainedConfig:
    """The configuration that somebody makes of fields, of the layout's class. NexusError where it cannot be made."""
    try:
        found = make()
    except NexusError:
        raise
    except Exception as error:                              # whatever a damaged file makes of a rule or of a class
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(".")
        raise NexusError(
            f"'{source.path}': no {layout.head} can be made of its metadata: {said}.{noughts(source)} Fetch or convert "
            "the file again."
        ) from error
    found.architectures = [layout.head]
    return found


def noughts(source: Source) -> str:
    """A sentence about the numbers of a model's metadata that are 0: where a class fails, one of them is why as a rule,
    and the class does not name it. "" where none is."""
    of_model = ((key, value) for key, value in source.metadata.items() if key.startswith(f"{source.architecture}."))
    found = [key for key, value in of_model if type(value) is int and not value]
    return f" Look at what is 0: {', '.join(found)}." if found else ""


def _made(source: Source, layout: Layout) -> PreTrainedConfig:
    if source.get("{arch}.attention.causal") is False and layout.head.endswith(GENERATIVE):
        raise NexusError(
            f"'{source.path}' is an encoder: in its {layout.head} every token sees all others "
            f"('{source.architecture}.attention.causal' is false), and in transformers' those before it alone. "
            "It cannot be opened here; name the model's folder of safetensors."
        )
    outer = layout.kind.config_class
    inner = (getattr(outer, "sub_configs", None) or {}).get("text_config")
    kind = inner or outer
    known = kind()
    known.allow_global_per_layer_attribute_access = True
    found = values(source, known)
    found |= rotary(source, known, head_width(source)) | _implied(source, known)
    _without_drafts(source, found, known)
    if (embedding := source.tensors.get("token_embd.weight")) is not None:
        found["vocab_size"] = embedding.shape[0]
    found["tie_word_embeddings"] = "output.weight" not in source.places
    found |= layout.fixed
    _fit(source, found, known)
    if layout.fill is not None:
        layout.fill(source, found)
    tied = found["tie_word_embeddings"]
    config = kind(**found) if inner is None else outer(text_config=found, tie_word_embeddings=tied)
    text = config.get_text_config()
    _check_window(source, text)
    config.use_cache = text.use_cache = False
    return config


def _check_window(source: Source, text: Any) -> None:
    """NexusError for local layers that nobody says how far they see."""
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()) and not getattr(text, "sliding_window", None):
        raise NexusError(
            f"'{source.path}' has local layers, and nothing says how far they see: the metadata "
            f"'{source.architecture}.attention.sliding_window' is missing. Convert the model again."
        )


def _implied(source: Source, known: PreTrainedConfig) -> dict[str, Any]:
    """What the tensors and arrays say: biases that are there, a width of heads without a field, local layers."""
    found: dict[str, Any] = {}
    for name, endings in BIASES.items():
        if isinstance(getattr(known, name, None), bool):
            found[name] = any(each.endswith(endings) for each in source.places)
    if not hasattr(known, "head_dim") and isinstance(width := source.get("{arch}.attention.key_length"), int):
        found["head_dim"] = width
    if (said := source.get("{arch}.hidden_activation")) is not None:
        if said not in ACT2FN:
            raise NexusError(
                f"'{source.path}': the metadata '{source.architecture}.hidden_activation' is {said!r:.60}, which "
                "transformers does not know; silu, gelu and gelu_pytorch_tanh are usual. Convert the model again."
            )
        found |= {each: said for each in ("hidden_activation", "hidden_act") if settable(known, each)}
    pattern = source.get("{arch}.attention.sliding_window_pattern")
    if isinstance(pattern, list) and hasattr(known, "layer_types"):
        found["layer_types"] = ["sliding_attention" if each else "full_attention" for each in pattern]
    return found


def _without_drafts(source: Source, found: dict[str, Any], known: PreTrainedConfig) -> None:
    """Trailing blocks that only predict drafts are no layers of the model."""
    drafts = whole(source, "nextn_predict_layers")
    name = known.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    if drafts and isinstance(found.get(name), int):
        found[name] -= min(drafts, found[name] - 1)


def _fit(source: Source, found: dict[str, Any], known: PreTrainedConfig) -> None:
    """Old converters wrote widths by rule of thumb; the tensors are right."""
    down, keys = source.tensors.get("blk.0.ffn_down.weight"), source.tensors.get("blk.0.attn_k.weight")
    if down is not None and len(down.shape) == 2 and isinstance(found.get("intermediate_size"), int):
        found["intermediate_size"] = down.shape[1]
    width = head_width(source)
    uniform = source.get("{arch}.attention.key_length_swa") is None
    heads = found.get("num_key_value_heads", 0 if settable(known, "num_key_value_heads") else None)
    if keys is not None and width and uniform and isinstance(heads, int):
        found["num_key_value_heads"] = keys.shape[0] // width
    if width and "head_dim" not in found and settable(known, "head_dim"):
        found["head_dim"] = width
    sparse = [int(match[1]) for each in source.places if (match := ROUTED.match(each))]
    if sparse and (name := next((each for each in DENSE if settable(known, each)), None)):
        found[name] = min(sparse)
    _shared(source, found, known)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if name not in found and isinstance(getattr(known, name, None), int):
            found[name] = None                              # a default of the class is another vocabulary's
        if isinstance(number := found.get(name), int) and number >= found.get("vocab_size", number + 1):
            found[name] = None
        if found.get(name, 0) is None and not _optional(type(known), name):
            found[name] = 0


def _shared(source: Source, found: dict[str, Any], known: PreTrainedConfig) -> None:
    """How many experts see every token, where no metadata says it: theirs lie side by side, each as wide as another."""
    name = next((each for each in WHOLE["expert_shared_count"] if settable(known, each)), None)
    said = source.get("{arch}.expert_shared_count") is not None
    width = whole(source, "expert_feed_forward_length")
    rows = next((info.shape[0] for key, info in source.tensors.items() if key.endswith(".ffn_up_shexp.weight")), 0)
    if name and not said and rows and width and rows % width == 0:
        found[known.attribute_map.get(name, name)] = rows // width


def _optional(kind: type[PreTrainedConfig], name: str) -> bool:
    """Whether a field may be None."""
    return "None" in str(kind.__annotations__.get(name, "None"))
