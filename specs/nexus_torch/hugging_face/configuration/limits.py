"""Whether a configuration can be meant: numbers that no model has are refused before anything is built of them.

A config.json is a stranger's. A count of layers of 1e9 would build modules until the memory is gone, a width of 1e9
asks for buffers that no machine holds. Limits lie far above every model known (the largest counts of 2026: 128
layers, 512 experts, 262,144 words, widths of 16,384, contexts of 10 million).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nexus_specs import NexusError

DEEPEST, MOST_KEYS = 12, 400_000
"""Configurations inside each other; entries in all (names of 100,000 classes both ways are 200,000)."""
LARGEST_FILE, LARGEST_INDEX = 8 << 20, 32 << 20
"""Bytes of a config.json, and of the list of a checkpoint's tensors (12.6 MB for 140,000 tensors)."""
MOST_VALUES = 300_000
"""Values in one of these files."""
LIMITS: tuple[tuple[str, int], ...] = (
    (r"(num_|n_)?(\w+_)*(hidden_)?(layers?|depths?|blocks|stages)", 512),
    (r"(num_|n_)?(\w+_)*experts", 16_384),
    (r"(num_|n_)?(\w+_)*(codebooks|quantizers)", 1024),
    (r"(num_|n_)?(\w+_)*(heads?|groups?|frames|queries|tiles)", 65_536),
    (r"(\w+_)*(hidden_size|d_model|n_embd|embed_dim|intermediate_size|ffn_dim|d_ff|mlp_dim|dim|width|rank)",
     1 << 22),
    (r"(\w+_)*(num_inputs|group_num|per_block|per_stack|feedforward_networks|num_flows|codes_total|block_number)",
     512),
    (r"(\w+_)*cycles", 64),
    (r"(\w+_)*(num_labels|num_classes|n_classes)", 1 << 17),
    (r"(\w+_)*vocab_size", 1 << 26),
    (r"(\w+_)*(positions|position_embeddings|n_ctx|context_length|length|seq_len)", 1 << 26),
    (r"(\w+_)*(image_size|patch_size|num_mel_bins|num_channels)", 1 << 16),
)  # fmt: skip
COMPILED = tuple((re.compile(pattern), limit) for pattern, limit in LIMITS)
WHOLE = re.compile(r"(num_hidden_layers|num_layers|n_layers?|hidden_size|d_model|n_embd|vocab_size|num_attention_heads"
                   r"|n_heads?|num_key_value_heads|intermediate_size|head_dim)")  # fmt: skip
"""What is a whole number wherever it stands."""
ANYTHING = 1 << 53
"""No whole number is larger (JSON's own limit); contexts of 1e30 are written as floats."""
LONGEST, LONGEST_STAGES = 1 << 16, 1 << 10
"""Numbers of a list: special tokens, or a factor for each column of a head; and whole numbers of one that may be a
layer or a stage each."""
TOKENS = re.compile(r"\w*(tokens?|ids?|words)(_\w+)?")
LAYER_EXPERTS = 1 << 20
"""Layers times experts (half as many in a Doge, whose experts are rows of a table)."""


def check(config: Mapping[str, Any], place: str) -> None:
    """NexusError for the first number that cannot be meant; `place` names the file."""
    budget = [MOST_KEYS]
    for path, problem in _problems(config, "", 0, budget):
        raise NexusError(
            f"'{place}': {path} {problem}. No such model exists: the file is damaged or not a model's. "
            "Fetch config.json again from where the weights come from."
        )


def _problems(config: Mapping[str, Any], path: str, depth: int, budget: list[int]) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        yield path, f"lies more than {DEEPEST} configurations deep"
        return
    budget[0] -= len(config)
    if budget[0] < 0:
        yield path or "the file", f"has more than {MOST_KEYS:,} entries"
        return
    for name, value in config.items():
        here = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping):
            yield from _problems(value, here, depth + 1, budget)
        else:
            yield from ((here, each) for each in _wrong(str(name), value))
    yield from _product(config, path)


def _wrong(name: str, value: Any) -> Iterator[str]:
    """What is the matter with one entry, if anything."""
    if isinstance(value, list):
        if len(value) > _longest(name, value):
            yield f"has {len(value):,} entries"
        for each in value[:MOST_KEYS]:
            if isinstance(each, (int, float)):
                yield from _wrong(name, each)
    elif isinstance(value, (str, float)) and WHOLE.fullmatch(name):
        yield f"is {value!r}; it is a whole number"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from _out_of_range(name, value)


def _longest(name: str, value: list[Any]) -> int:
    """How many entries a list may have: whole numbers may each ask for a layer, unless they are tokens."""
    if not all(isinstance(each, (int, float)) for each in value):
        return MOST_KEYS
    return LONGEST if TOKENS.fullmatch(name) or any(isinstance(each, float) for each in value) else LONGEST_STAGES


def _out_of_range(name: str, value: int) -> Iterator[str]:
    if WHOLE.fullmatch(name) and value < 0:
        yield f"is {value}; it cannot be below 0"
    if abs(value) > ANYTHING:
        yield "is a number of more than 53 bits"
    limit = next((limit for pattern, limit in COMPILED if pattern.fullmatch(name)), ANYTHING)
    if value > limit:
        yield f"is {value:,}; at most {limit:,} is read"


def _product(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Layers times experts: each can be meant where both together cannot."""
    layers = max((value for name, value in _whole(config) if COMPILED[0][0].fullmatch(name)), default=0)
    experts = max((value for name, value in _whole(config) if COMPILED[1][0].fullmatch(name)), default=0)
    if layers * experts > LAYER_EXPERTS:
        yield path or "the file", f"asks for {layers * experts:,} experts in all its layers"


def _whole(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield str(name), value
