"""Step3-VL of parts that transformers has: the image encoder of Step 3.7 and the decoder of Qwen3.

That the encoder is the same (47 layers of width 1536 over 728 pixels) and what the tensors are called is in vLLM's
`step_vl.py` and in llama.cpp's converter, which has one class for both; transformers' own rules for the encoder of Step
3.7 (fused query, key and value, rotary pairs) apply to it unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexus_torch.hugging_face.configuration.reading import family_config
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, Qwen3Config, Qwen3Model, Step3p7Config, Step3p7VisionConfig
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_outputs import MoeModelOutputWithPast
from transformers.models.step3p7.modeling_step3p7 import (
    Step3p7ForConditionalGeneration,
    Step3p7Model,
    Step3p7PreTrainedModel,
    Step3p7VisionModel,
)

from .catalogue import MODEL_TYPE

MOVED = {
    r"^vision_model\.": "model.vision_model.",
    r"^vit_large_projector\.": "model.multi_modal_projector.",
    r"^model\.embed_tokens\.": "model.language_model.embed_tokens.",
    r"^model\.layers\.": "model.language_model.layers.",
    r"^model\.norm\.": "model.language_model.norm.",
}
"""Beginnings of names in the file -> in the model."""


class StepRoboticsConfig(Step3p7Config):
    """The configuration of Step3-VL: as Step 3.7's, with a Qwen3 decoder."""

    model_type = MODEL_TYPE
    sub_configs_defaults = {"vision_config": Step3p7VisionConfig, "text_config": Qwen3Config}  # noqa: RUF012


class StepDecoder(Qwen3Model):
    """A Qwen3 decoder whose output has the field that the model around it reads: there are no experts, so None."""

    def forward(self, *args: Any, **kwargs: Any) -> MoeModelOutputWithPast:
        """As Qwen3Model's."""
        found = super().forward(*args, **kwargs)
        return MoeModelOutputWithPast(
            last_hidden_state=found.last_hidden_state,
            past_key_values=found.past_key_values,
            hidden_states=found.hidden_states,
            attentions=found.attentions,
        )


class StepVLModel(Step3p7Model):
    """Image encoder, projector, decoder; the forward is Step 3.7's."""

    config: StepRoboticsConfig

    def __init__(self, config: StepRoboticsConfig) -> None:
        Step3p7PreTrainedModel.__init__(self, config)
        self.vision_model = Step3p7VisionModel(config.vision_config)
        self.language_model = StepDecoder(config.text_config)
        self.vocab_size = config.text_config.vocab_size
        wide = config.vision_config.hidden_size * 4  # two convolutions halve the grid and double the channels
        self.multi_modal_projector = nn.Linear(wide, config.text_config.hidden_size, bias=config.projector_bias)
        self.image_placeholder_token_id = config.image_token_id
        self.post_init()


class StepVLForConditionalGeneration(Step3p7ForConditionalGeneration):
    """Step3-VL with its head."""

    config: StepRoboticsConfig

    def __init__(self, config: StepRoboticsConfig) -> None:
        Step3p7PreTrainedModel.__init__(self, config)
        self.model = StepVLModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()


def read_config(home: Path) -> PreTrainedConfig:
    """The configuration of a folder. NexusError for one that is not readable."""
    config = family_config(home, StepRoboticsConfig)
    config.architectures = [StepVLForConditionalGeneration.__name__]
    return config


register_checkpoint_conversion_mapping(
    MODEL_TYPE,
    [WeightRenaming(source_patterns=old, target_patterns=new) for old, new in MOVED.items()],
    overwrite=True,
)
# Its tokenizer loads without a word about a type that transformers does not know.
AutoConfig.register(MODEL_TYPE, StepRoboticsConfig, exist_ok=True)
