"""What a checkpoint's generation_config.json says of its answers: where a turn ends, which tokens are forced or never
said. How they are searched for (sampling, beams, assistants, caches) is not the file's here: answers are greedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import NexusError
from transformers import GenerationConfig, PreTrainedModel

from ..configuration.reading import said
from ..inputs.fields import GENERATION, check_values

SEARCH = frozenset({
    "do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
    "num_beams", "num_beam_groups", "early_stopping", "length_penalty", "diversity_penalty", "penalty_alpha",
    "dola_layers", "constraints", "force_words_ids", "num_return_sequences", "low_memory", "use_mtp", "token_healing",
    "use_cache", "cache_implementation", "cache_config", "max_cache_len", "watermarking_config", "is_assistant",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind",
    "assistant_early_exit", "assistant_ensemble_weight", "target_lookbehind", "prompt_lookup_num_tokens",
    "max_matching_ngram_size", "speculation_type", "compile_config", "disable_compile", "continuous_batching_config",
    "prefill_chunk_size", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "return_dict_in_generate", "max_length", "max_new_tokens", "max_time", "custom_generate", "transformers_version",
})  # fmt: skip
"""Fields that say how an answer is searched for, how long it may be, and what else is handed out with it."""
LARGEST, LONGEST = 1 << 26, 1 << 10
"""No whole number is larger (ids of words are the largest), and no run of tokens that may not come twice is longer."""
TOKENS = ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id")
"""Fields that config.json may say where the other file does not."""


def configure(module: PreTrainedModel, told: Mapping[str, Any], name: str) -> GenerationConfig | None:
    """Puts what a file says on the module whose answers it is of; what stands there of config.json stays where the file
    names no token for it. `told` is {} where there is no such file. NexusError for what is none; `name` is the
    checkpoint's."""
    before = module.generation_config
    if not told:
        return before
    _check(told, name)
    try:
        made = GenerationConfig(**{key: value for key, value in told.items() if key not in SEARCH})
        made.validate()
    except Exception as error:                              # a file can be wrong in any way
        check_values(f"{name}/{GENERATION}", GENERATION, told)
        raise NexusError(
            f"The generation_config.json of '{name}' cannot be used: {said(error)}. Fetch the file again, or take it "
            "away."
        ) from error
    for each in TOKENS:
        if getattr(made, each, None) is None and before is not None:
            setattr(made, each, getattr(before, each, None))
    module.generation_config = made
    return made


def _check(told: Mapping[str, Any], name: str) -> None:
    """NexusError for numbers over which transformers would count without end, and for ends that are no texts."""
    for key, value in told.items():
        most = LONGEST if "ngram" in key else LARGEST
        if isinstance(value, int) and key not in SEARCH and abs(value) > most:
            raise NexusError(f"The generation_config.json of '{name}' says {value} for {key}: at most {most:,}.")
    ends = told.get("stop_strings") or ""
    if not isinstance(ends, str) and not (isinstance(ends, list) and all(isinstance(each, str) for each in ends)):
        raise NexusError(
            f"The generation_config.json of '{name}' says {ends!r:.60} for stop_strings: a text, or a list of texts."
        )
