"""What makes batches of samples for one model: chosen by its class, told by its configuration and its files."""

from __future__ import annotations

import inspect
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedModel

from ..blueprint import context_of
from ..configuration.catalogue import is_head_of
from ..configuration.classes import is_alone, is_paired, takes
from ..configuration.giving import gives, writer
from ..configuration.reading import text_part
from ..folder import parsed
from ..text.decoding import channels_of, decodes, rereads, start_of, transduces
from ..text.texts import begins
from .choosing import ChoicePreprocessor
from .collate import Preprocessor
from .filming import FilmPreprocessor
from .films import arguments_of, follows, side_of
from .seeing import frames_of, hidden_patch

GENERATION = "generation_config.json"
"""The file that may name a decoder's start token."""


def prepared(
    home: Path, config: PreTrainedConfig, module: PreTrainedModel, prepares: type[Preprocessor], positions: int
) -> Preprocessor:
    """That of a folder, of its whole configuration. `prepares` is the class where nothing asks for another, `positions`
    how many tokens of a text have a learned position."""
    kind = type(module)
    films = follows(kind)
    arguments = arguments_of(kind) if films else frozenset(inspect.signature(kind.forward).parameters)
    context = context_of(config)
    generation = parsed(home / GENERATION) if (home / GENERATION).is_file() else {}
    chooses = ChoicePreprocessor if is_head_of(kind.__name__, "MULTIPLE_CHOICE") else prepares
    writes = decodes(config, kind.__name__, arguments)
    made = (FilmPreprocessor if films else chooses)(
        home,
        takes(kind),
        generative=gives(kind) == ("text",),
        context=min(context, positions) if positions and context else context,
        channels=int(getattr(config, "num_channels", 3) or 3),
        arguments=arguments,
        decoder_start=start_of(config, generation) if writes else None,
        transduces=transduces(kind.__name__),
        channels_out=channels_of(config),
        paired=is_paired(kind),
    )
    made.generation, made.begins = generation, begins(config)
    made.frames, made.patch = frames_of(config), hidden_patch(config)
    made.alone = is_alone(config, kind) or writer(module) is not module     # a decoder inside sees padding (BLIP)
    made.rereads = writes and rereads(kind)
    if gives(kind) == ("label",):
        text = text_part(config)
        made.padded_with = getattr(text, "pad_token_id", None)
        made.counted = getattr(text, "eos_token_id", None) if config.is_encoder_decoder else None
    if isinstance(made, FilmPreprocessor):
        made.side = side_of(config)
    return made
