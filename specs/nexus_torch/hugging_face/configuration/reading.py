"""A config.json as transformers' configuration: checked, and without anything in it that fetches or runs code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from nexus_specs import NexusError
from transformers import PreTrainedConfig, backbone_utils
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ..folder import CONFIG, configuration, parsed
from .limits import check
from .meant import model_type as meant
from .odd import odd, refuse_nothing
from .quantisers import with_quantiser

DROPPED = re.compile(r"\w*implementation(_internal)?|_?use_kernels|kernel_config|allow_all_kernels|auto_map|"
                     r"custom_pipelines?|trust_remote_code|"
                     r"(use_)?return_dict|output_hidden_states|output_attentions|torchscript")  # fmt: skip
"""Left out wherever they stand: an implementation (of attention, of experts) is a kernel that transformers would fetch
("owner/kernel") and run, a map names code of the checkpoint. Nexus chooses implementations itself. What a forward gives
beside its result, and in what form, is for whoever calls it to say."""

NETWORKS = frozenset({"backbone", "architecture"})
"""Say by name which network of timm a model stands on. A name of the hub ("owner/name", "hf-hub:owner/name") would be
asked for there, and what came would pass no check of ours."""

NOISES = ("noise_scale", "noise_scale_duration")
"""How loud the noise is that a model of speech draws in its forward (VITS)."""
INNER = ("text_config", "decoder", "generator", "text_encoder")
"""Where transformers looks for the configuration of what reads or writes text."""
TABLES = ("quantization_config", "compression_config", "id2label", "label2id")
LISTS = re.compile(r"\.? (?:Errors:|Should contain one of|doesn't match any type in) ")
SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def read_config(home: Path) -> PreTrainedConfig:
    """The configuration of a folder. NexusError where there is none that this transformers can read."""
    return build_config(with_quantiser(parsed(home / CONFIG), home), str(home / CONFIG))


def build_config(values: Mapping[str, Any], place: str) -> PreTrainedConfig:
    """The configuration of a parsed config.json; `place` names it in errors."""
    check(values, place)
    _check_forms(values, place)
    _check_networks(values, place)
    if named := meant(values):
        values = {**values, "model_type": named}
    model_type = values.get("model_type")
    if model_type == "mistral" and "layer_types" in values:             # as AutoConfig reads it
        model_type = "ministral"
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise NexusError(
            f"'{place}' names the model type {model_type!r}, which transformers {transformers.__version__} does not "
            "know. Code from a checkpoint is never run: update transformers, or install a loader plugin for this "
            "family (`nexus list architectures` shows what is known)."
        )
    return _made(CONFIG_MAPPING[model_type], values, place)


def told(home: Path) -> dict[str, PreTrainedConfig]:
    """What an automatic class must be told of a folder: the configuration where it cannot be read from config.json,
    which names no model type, or one that transformers does not know, or a dtype that torch has not ("auto")."""
    values = configuration(str(home))
    named, dtype = meant(values), values.get("dtype")
    unread = named != values.get("model_type") or not (dtype is None or _is_dtype(dtype))
    return {"config": CONFIG_MAPPING[named]()} if named and unread else {}


def _check_forms(values: Mapping[str, Any], place: str) -> None:
    """NexusError for classes that are no list of words, and for a quantisation or labels that are no table."""
    for name, value in values.items():
        words = isinstance(value, list) and all(isinstance(each, str) for each in value)
        right = words if name == "architectures" else isinstance(value, Mapping) or name not in TABLES
        if not right and value is not None:
            form = "a list of class names" if name == "architectures" else "a table"
            shown = repr(value)[:60]
            raise NexusError(f"'{place}' says {shown} for `{name}`, which is {form}. Mend the file, or fetch it again.")


def _check_networks(values: Mapping[str, Any], place: str) -> None:
    """NexusError for a network that lies elsewhere, at any depth."""
    described = isinstance(values.get("backbone_config"), Mapping)
    for name, value in values.items():
        named = name in NETWORKS and isinstance(value, str) and not described
        if named and re.search(r"[/:\\]", value):
            raise NexusError(
                f"'{place}' stands on the {name} {value[:100]!r}, whose configuration would be fetched from elsewhere "
                "unseen. Put that configuration into `backbone_config`, as newer checkpoints have it."
            )
        inner = value if isinstance(value, list) else [value]
        for each in inner:
            if isinstance(each, Mapping):
                _check_networks(each, place)


@contextmanager
def _alone() -> Iterator[None]:
    """Nothing is asked of the hub: transformers asks it whether a backbone's name is one of its own."""
    asked, backbone_utils.hf_api = backbone_utils.hf_api, _Nowhere
    try:
        yield
    finally:
        backbone_utils.hf_api = asked


class _Nowhere:
    """A hub that has nothing."""

    def repo_exists(self, _: str) -> bool:
        """No."""
        return False


def family_config(home: Path, kind: type[PreTrainedConfig]) -> PreTrainedConfig:
    """The configuration of a folder whose model type transformers does not know, as a family's own class."""
    values = parsed(home / CONFIG)
    check(values, str(home / CONFIG))
    _check_forms(values, str(home / CONFIG))
    return _made(kind, values, str(home / CONFIG))


def _made(kind: type[PreTrainedConfig], values: Mapping[str, Any], place: str) -> PreTrainedConfig:
    refuse_nothing(kind, values, place)
    try:
        with _alone():
            config: PreTrainedConfig = kind.from_dict(cleaned(values))
    except ImportError as error:                            # a library that this very model needs
        raise NexusError(f"transformers needs more for '{place}': {said(error)}.") from error
    except Exception as error:                              # whatever a class says about numbers it was not made for
        why = said(error)
        more = odd(kind, values, why)
        raise NexusError(f"transformers cannot read '{place}': {why}.{more} Mend the file.") from error
    _settle(config)
    return config


def cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without what runs or fetches code, at every depth."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if DROPPED.fullmatch(str(name)):
            continue
        if name in ("dtype", "torch_dtype") and not _is_dtype(value):
            continue
        if name == "use_pretrained_backbone":
            value = False
        found[name] = _cleaned(value)
    return found


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"__float__"}:                         # how transformers writes what JSON has no number for
        return SPECIAL.get(str(value["__float__"]), 0.0)
    return cleaned(value)


def _is_dtype(value: Any) -> bool:
    return isinstance(value, str) and isinstance(getattr(torch, value.removeprefix("torch."), None), torch.dtype)


def text_part(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of what reads or writes text; the decoder's where there are two (MusicGen), and the whole
    where none can be told."""
    for sides in ({}, {"decoder": True}):
        try:
            found = config.get_text_config(**sides)
        except ValueError:                                  # several would do
            continue
        return found if isinstance(found, PreTrainedConfig) else config     # a table where its class has no such part
    return config


def _settle(config: PreTrainedConfig) -> None:
    """No forward keeps keys and values: every batch would hold its own. None adds noise: what is observed is one. A
    table in the place of a part that the class has not is left out: transformers takes it for a configuration."""
    for name in INNER:
        if isinstance(vars(config).get(name), Mapping) and name not in getattr(config, "__dataclass_fields__", {}):
            delattr(config, name)
    for each in {id(config): config, id(text := text_part(config)): text}.values():
        each.use_cache = False
    for name in NOISES:
        if isinstance(getattr(config, name, None), float):
            setattr(config, name, 0.0)
    if config.model_type == "vit_mae":                      # a share of all patches, by chance
        config.mask_ratio = 0.0


def said(error: BaseException) -> str:
    """An exception in one line of bearable length: without the lists of all that would have been right."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):                         # its text is the key alone
        return f"{text[:100]} is not known"
    return LISTS.split(text)[0][:400].rstrip(".")
