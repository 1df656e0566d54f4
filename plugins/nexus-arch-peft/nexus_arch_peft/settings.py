"""adapter_config.json: what the adapter stands on, how its products are scaled, and what is refused."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hub.names import written
from nexus_torch.hugging_face.folder import parsed

from .telling import parameters, tokens, told

LONGEST_PATTERN, MOST_REPEATED, MOST_CHOICES, MOST_PATTERNS = 256, 2, 4, 4096
"""Characters of a pattern, parts of any length in it, places where it goes one way or the other, and patterns."""
PLAIN = re.compile(r"[\w.-]+")
"""The name of a module: its dots stand for any character, as PEFT has them, and nothing is tried twice."""
SECONDS = 5.0
"""Of this machine's time for all patterns of an adapter that are more than names."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "eva")
"""Initialisations after which the adapter fits another base than the one it names; EVA does not, and is let through."""
KINDS: Mapping[str, str] = {
    "LORA": "lora_alpha", "ADALORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha", "IA3": "", "VERA": "", "OFT": "",
    "BOFT": "", "HRA": "", "FOURIERFT": "", "DELORA": "", "MISS": "", "LN_TUNING": "", "RANDLORA": "", "VBLORA": "",
    "ROAD": "", "TRAINABLE_TOKENS": "", "C3A": "", "GRALORA": "", "SHIRA": "", "HIRA": "", "PVERA": "",
}  # fmt: skip
"""Kinds whose numbers become part of the weights of a base -> the field with what scales them."""
UNSAID = 8
"""Alpha, and rank, of which the file does not speak: PEFT's own for every kind of KINDS that has them."""
UNFOLLOWED = (
    "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "monteclora_config", "use_bdlora",
    "use_qalora", "velora_config",
)  # fmt: skip
"""Fields that ask for more than a product added to a weight."""


@dataclass(frozen=True)
class Settings:
    """What a merge needs to know."""

    base: str
    """As the adapter names it: a folder or a name on the hub; "" where it does not."""
    revision: str
    alpha: float
    alphas: Mapping[str, float]
    """Pattern of module paths -> alpha."""
    stabilised: bool
    """Scaled by alpha / sqrt(rank) instead of alpha / rank."""
    dora: bool
    kind: str = "LORA"
    rank: int = 1
    ranks: Mapping[str, float] = field(default_factory=dict)
    """Pattern of module paths -> rank, for kinds whose tensors do not show it."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What kinds that make a weight anew are told: TOLD of them."""
    tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """End of a module's path ("": any) -> the tokens whose rows were trained."""
    parameters: tuple[str, ...] = ()
    """Ends of the names of parameters that are targeted themselves."""
    task: str = ""
    """What it was trained for, as PEFT calls it ("SEQ_CLS"); "" where it does not say."""
    wraps: str = ""
    """The class of transformers that it was trained on, which PEFT writes where there is no task."""
    spent: list[float] = field(default_factory=lambda: [0.0], repr=False, compare=False)
    """Seconds that patterns have taken so far."""

    def scaling(self, module: str, rank: int) -> float:
        """What a product of this rank is multiplied with. AdaLoRA has one alpha, beside which nothing is a rank."""
        if self.kind == "ADALORA":
            return (self.alpha if self.alpha > 0 else rank) / (rank + 1e-5)
        if self.kind == "LOKR":
            rank = max(1, int(self._of(module, self.ranks, self.rank)))
        return self._of(module, self.alphas, self.alpha) / (rank**0.5 if self.stabilised else rank)

    def tokens_of(self, module: str) -> tuple[int, ...]:
        """The tokens whose rows in this embedding the adapter holds."""
        return next((found for end, found in self.tokens.items() if module.endswith(end)), ())

    def _of(self, module: str, patterns: Mapping[str, float], default: float) -> float:
        found = (value for pattern, value in patterns.items() if self._fits(pattern, module))
        return float(next(found, default))

    def _fits(self, pattern: str, module: str) -> bool:
        if PLAIN.fullmatch(pattern):
            return self._names(pattern, module)
        begun = time.process_time()
        fits = re.match(rf"(.*\.)?({pattern})$", module) is not None
        self.spent[0] += time.process_time() - begun
        if self.spent[0] > SECONDS:
            raise NexusError(
                f"alpha_pattern of an adapter of '{self.base}' takes more than {SECONDS:g} seconds to compare with the "
                "names of its modules. Write names instead of patterns there."
            )
        return fits

    @staticmethod
    def _names(pattern: str, module: str) -> bool:
        """Whether a module's path ends in a name, whose dots stand for any character."""
        rest = len(module) - len(pattern)
        if rest < 0 or not module.endswith(pattern.rpartition(".")[2]) or (rest and module[rest - 1] != "."):
            return False
        return all(one in (".", other) for one, other in zip(pattern, module[rest:], strict=True))


def read(home: Path, *, named: bool = False) -> Settings:
    """The settings of an adapter folder. NexusError for what cannot be merged exactly. `named`: the base is named
    elsewhere, so that the adapter need not (PEFT does not write that of a model of diffusers)."""
    found = parsed(home / CONFIG)
    kind = str(found.get("peft_type", "")).upper()
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise NexusError(f"'{home}' is an adapter of the kind '{kind}', which is not read; {known} are. {_way(found)}")
    asked = [name for name in UNFOLLOWED if found.get(name)]
    if (begins := str(found.get("init_lora_weights")).lower()).startswith(CHANGES_THE_BASE) and begins != "eva":
        asked.append(f"init_lora_weights: {begins}")
    if asked:
        raise NexusError(f"The adapter '{home}' uses {', '.join(asked)}, which is not read. {_way(found)}")
    base = found.get("base_model_name_or_path")
    if named and not base:
        base = ""
    elif not isinstance(base, str) or not base:
        raise NexusError(f"'{home / CONFIG}' does not name the base. Write its folder or hub id into {_FIELD}.")
    return Settings(
        base=base,
        revision=str(found.get("revision") or ""),
        alpha=_number(home, found, KINDS[kind]) if KINDS[kind] else 1.0,
        alphas=_patterns(home, found.get("alpha_pattern") or {}, "alpha_pattern"),
        stabilised=kind == "LORA" and found.get("use_rslora") is True,
        dora=kind == "LORA" and found.get("use_dora") is True,
        kind=kind,
        rank=max(1, int(_number(home, found, "r"))) if kind == "LOKR" else 1,
        ranks=_patterns(home, found.get("rank_pattern") or {}, "rank_pattern") if kind == "LOKR" else {},
        told=told(home / CONFIG, found, kind),
        tokens=tokens(home / CONFIG, found, kind),
        parameters=parameters(home / CONFIG, found) if kind == "LORA" else (),
        task=str(found.get("task_type") or "").upper(),
        wraps=_wrapped(found.get("auto_mapping")),
    )


def base_of(home: Path, settings: Settings) -> str:
    """The source of the base: a folder beside the adapter or anywhere, else a name on the hub."""
    if (beside := home / settings.base).is_dir():
        return str(beside)
    if Path(settings.base).exists() or not settings.revision:
        return settings.base
    return f"{settings.base}@{written(settings.revision)}"


def _wrapped(found: Any) -> str:
    """The class that `auto_mapping` names; "" where it names none."""
    return str(found.get("base_model_class") or "") if isinstance(found, Mapping) else ""


def _number(home: Path, found: Mapping[str, Any], name: str) -> float:
    value = found.get(name, UNSAID)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NexusError(f"{name} is {value!r} in '{home / CONFIG}'; a number. Fetch the adapter again.")
    if not math.isfinite(value):
        raise NexusError(f"{name} is {value!r} in '{home / CONFIG}'; a finite number. Fetch the adapter again.")
    return float(value)


def _check_pattern(pattern: str) -> None:
    """ValueError for what may take for ever to match: a pattern is a stranger's, and repeated groups, many parts of any
    length, or many choices, try every way of cutting a name. Whitespace and comments may hide any of them."""
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"the pattern '{str(pattern)[:60]}' is longer than {LONGEST_PATTERN} characters")
    seen = re.sub(r"\(\?:", "(", re.sub(r"\\.", "e", pattern))
    repeated, chosen = len(re.findall(r"[*+{]", seen)), len(re.findall(r"[?|]", seen))
    hidden = re.search(r"\)[*+{?]|\(\?|[\s#]", seen)
    if hidden or repeated > MOST_REPEATED or chosen > MOST_CHOICES:
        raise ValueError(f"the pattern '{pattern[:60]}' repeats a group, or too much")
    re.compile(pattern)


def _patterns(home: Path, found: Any, name: str) -> dict[str, float]:
    try:
        for pattern in found:
            _check_pattern(pattern)
        values = {str(pattern): float(value) for pattern, value in found.items()}
        if not all(map(math.isfinite, values.values())) or len(values) > MOST_PATTERNS:
            raise ValueError("values that are no numbers, or too many")
        return values
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise NexusError(f"{name} in '{home / CONFIG}' cannot be read ({error}). Fetch it again.") from error


_FIELD = '"base_model_name_or_path"'
TASKS: Mapping[str, str] = {
    "CAUSAL_LM": "ForCausalLM", "SEQ_2_SEQ_LM": "ForSeq2SeqLM", "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification", "QUESTION_ANS": "ForQuestionAnswering",
    "FEATURE_EXTRACTION": "ForFeatureExtraction",
}  # fmt: skip
"""`task_type` of an adapter -> how PEFT's class for it is called: `AutoPeftModel` refuses one that has a task."""
BESIDE = (
    "ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "PROMPT_TUNING",
)  # fmt: skip
"""Kinds whose numbers stand beside the input or the states: no weight of the base holds them."""


def _way(found: Mapping[str, Any]) -> str:
    """What to type for an adapter that is not read."""
    if str(found.get("peft_type", "")).upper() in BESIDE:
        return (
            "What it learned stands before or beside the input and becomes no weight of the base, so that PEFT cannot "
            "merge it either. Name the base itself, or train a LoRA from it."
        )
    kind = f"AutoPeftModel{TASKS.get(str(found.get('task_type')), '')}"
    return (
        "Merge it once with PEFT, and use the folder that this writes: "
        f"peft.{kind}.from_pretrained(ADAPTER).merge_and_unload().save_pretrained(FOLDER)"
    )
