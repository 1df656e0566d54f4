"""What makes tensors of samples: a checkpoint's tokenizer, processors and extractors, each read when it is needed."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_specs.installed import STOPS
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoTokenizer,
    AutoVideoProcessor,
    PreTrainedTokenizerFast,
)

from ..configuration.reading import told
from ..folder import copy_preprocessor, parsed
from ..text.pieces import readable
from ..text.vocabulary import VOCABULARIES, check_tokenizer
from . import processor
from .fields import PICTURES, TOKENIZER, check_fields
from .named import check_classes, program

LIBRARIES = frozenset({".model", ".spm", ".tiktoken"})
"""Endings of vocabularies that other libraries have written."""
_LIBRARY = re.compile(r"(\w+) requires the (\w+) library")
TEMPLATE = "chat_template.json"
"""Where a processor's files say how a conversation is written."""


class Makers:
    """Those of one folder."""

    home: Path
    risk = False
    """Whether a regular expression of its tokenizer may go on without end."""

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, made when it is needed first."""
        return self.words()

    def words(self) -> Any:
        """The tokenizer. Some classes make an empty one where there are no files: that is none."""
        if not any((self.home / name).is_file() for name in VOCABULARIES):
            raise NexusError(
                f"'{self.home}' has no tokenizer.json, nor any other vocabulary. Put the tokenizer's files of the "
                "checkpoint beside its weights."
            )
        self.risk = check_tokenizer(self.home)
        if own := program(self.home):
            made = self._without(own)
        else:
            with readable():
                made = self._load(AutoTokenizer, "tokenizer.json", **told(self.home))
        if not getattr(made, "chat_template", None) and (self.home / TEMPLATE).is_file():
            template = parsed(self.home / TEMPLATE).get("chat_template")
            made.chat_template = template if isinstance(template, str) else None
        return made

    def keep(self, home: Path, folder: Path) -> None:
        """Copies the files of a checkpoint that say how inputs become tensors. A tokenizer in files of other libraries,
        or that is a program, is kept as a tokenizer.json: transformers alone could not read it there."""
        copy_preprocessor(home, folder)
        own = program(self.home)
        others = any((self.home / name).suffix in LIBRARIES and (self.home / name).is_file() for name in VOCABULARIES)
        if not own and (not others or (self.home / "tokenizer.json").is_file()):
            return
        with suppress(NexusError):                          # what reads no text needs none
            if getattr(self.tokenizer, "is_fast", False):
                self.tokenizer.init_kwargs.pop("auto_map", None)
                self.tokenizer.save_pretrained(folder)

    def _without(self, own: str) -> Any:
        """The tokenizer of a checkpoint that brings a program for it: what tokenizer.json says, where it has one."""
        if (self.home / "tokenizer.json").is_file():
            return self._load(PreTrainedTokenizerFast, "tokenizer.json")
        raise NexusError(
            f"The tokenizer of '{self.home.name}' is a program of its makers ({own}), which is never run, and there is "
            "no tokenizer.json. Put one of the same vocabulary beside the weights, or give the samples `input_ids`."
        )

    @cached_property
    def image_processor(self) -> Any:
        """The image processor, in its version for Pillow."""
        return self._load(AutoImageProcessor, "preprocessor_config.json", backend="pil")

    @cached_property
    def feature_extractor(self) -> Any:
        """The feature extractor for sound."""
        return self._load(AutoFeatureExtractor, "preprocessor_config.json")

    @cached_property
    def processor(self) -> Any:
        """What makes one input of several modalities."""
        makers = {"tokenizer": "tokenizer", "image_processor": "image_processor",
                  "feature_extractor": "feature_extractor", "audio_processor": "feature_extractor"}  # fmt: skip

        def part(name: str) -> Any:
            if name == "video_processor":
                return self._load(AutoVideoProcessor, "video_preprocessor_config.json")
            if name not in makers:
                raise NexusError(f"The processor of '{self.home.name}' wants a part '{name}' that is not known here.")
            return getattr(self, makers[name])

        return processor.load(self.home, part)

    @cached_property
    def writes(self) -> bool:
        """Whether that writes the places of pictures itself."""
        return processor.writes(self.processor)

    def _load(self, kind: Any, file: str, **more: Any) -> Any:
        check_classes(self.home)
        try:
            return kind.from_pretrained(self.home, trust_remote_code=False, local_files_only=True, **more)
        except (NexusError, *STOPS):
            raise
        except BaseException as error:                      # a missing file is anything from OSError to Rust's panic
            if isinstance(error, ImportError):
                raise NexusError(f"transformers needs more for '{self.home}': {_needed(error)}") from error
            check_fields(self.home, *(TOKENIZER if kind is AutoTokenizer else PICTURES))
            raise NexusError(
                f"'{self.home}' has no {file} that transformers can use here: {error}\n"
                "Put the preprocessor's files of the checkpoint beside its weights."
            ) from error


def _needed(error: ImportError) -> str:
    """What a class asks for, and what to type, in one line."""
    text = " ".join(str(error).split())
    if (found := _LIBRARY.match(text)) is None:
        return text[:300]
    name = found[2].lower()                                 # SentencePiece: of Marian, M2M-100, SpeechT5
    return (
        f"{found[1]} needs {found[2]}, which is not installed. Type: pip install {name}. Or give the samples the "
        "arguments of the forward ready made."
    )
