"""Checkpoints whose model is a program that lies beside the weights. It runs where the registry trusts that very commit
(`trust: owner/name@COMMIT`), and nowhere else; its files are checked against the hashes of the commit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_specs.installed import STOPS
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from nexus_torch import hub

from ..folder import CONFIG, parsed
from ..inputs.collate import Preprocessor
from ..text.vocabulary import check_tokenizer
from ..weights.checkpoint import HuggingFaceCheckpoint
from .classes import skeleton
from .limits import check
from .reading import cleaned, said
from .trusting import trusted, untrusted

TOKENIZER = "tokenizer_config.json"


class RemotePreprocessor(Preprocessor):
    """Its tokenizer may be a class of its own commit as well."""

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `auto_map` names, the fast one first; without one, as of any checkpoint."""
        file = self.home / TOKENIZER
        mapped = parsed(file).get("auto_map") if file.is_file() else None
        named = mapped.get("AutoTokenizer") if isinstance(mapped, Mapping) else None
        for reference in reversed(named if isinstance(named, list) else [named]):
            if isinstance(reference, str):
                check_tokenizer(self.home)
                kind = _class(self.home, {"auto_map": {"AutoTokenizer": reference}}, "AutoTokenizer")
                return self._load(kind, "tokenizer")
        return self._load(AutoTokenizer, "tokenizer.json", config=PreTrainedConfig())  # else it is asked for once more


class RemoteCheckpoint(HuggingFaceCheckpoint):
    """A checkpoint whose configuration and model are classes of its own commit."""

    prepares = RemotePreprocessor

    def __init__(self, home: Path, *, weightless: bool = False) -> None:
        values = parsed(home / CONFIG)
        self.kind = _class(home, values, "AutoModelForCausalLM", "AutoModel")
        super().__init__(home, _config(home, values), weightless=weightless)

    def bare(self) -> PreTrainedModel:
        """The module on the meta device, of the commit's own class."""
        return skeleton(self.config, self.kind)


def open_remote(source: str, home: Path, *, weightless: bool = False) -> RemoteCheckpoint:
    """The checkpoint behind a source whose code is trusted. NexusError where it is not."""
    if not trusted(home):
        raise NexusError(untrusted(source, home, parsed(home / CONFIG)))
    hub.trusted_code(home)
    return RemoteCheckpoint(home, weightless=weightless)


def _config(home: Path, values: Mapping[str, Any]) -> PreTrainedConfig:
    check(values, str(home / CONFIG))
    kind = _class(home, values, "AutoConfig")
    config: PreTrainedConfig = kind.from_dict(cleaned(values))
    config.use_cache = False
    return config


def _class(home: Path, values: Mapping[str, Any], *names: str) -> Any:
    """The first class that `auto_map` names, from a file of this very commit."""
    mapped = values.get("auto_map")
    for name in names:
        reference = mapped.get(name) if isinstance(mapped, Mapping) else None
        if not isinstance(reference, str):
            continue
        if "--" in reference:
            raise NexusError(f"'{home}' takes its program from another repository ({reference}), which is never run.")
        module = reference.partition(".")[0]
        if not (home / f"{module}.py").is_file():
            raise NexusError(f"'{home}' names the program {module}.py, which its commit does not hold.")
        return _loaded(home, reference)
    raise NexusError(f"'{home}' names no program for {' or '.join(names)} in auto_map. Use a loader plugin for it.")


def _loaded(home: Path, reference: str) -> Any:
    """A class of a program. NexusError for whatever keeps it from being imported: it is a stranger's, and may want
    packages that are not here."""
    try:
        return get_class_from_dynamic_module(reference, str(home), local_files_only=True)
    except STOPS:
        raise
    except BaseException as error:
        raise NexusError(
            f"The program of '{home}' cannot be loaded ({reference}): {type(error).__name__}: {said(error)}. Install "
            "what it needs, or name a commit that runs with this version of transformers."
        ) from error
