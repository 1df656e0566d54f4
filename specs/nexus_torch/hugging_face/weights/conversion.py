"""From the names in a file to the names in a module, by transformers' own rules.

transformers 5 renames, splits and merges weights as it loads them (fused experts, moved prefixes): a copy by equal
name fills 1 of 120 parameters of Qwen3-Omni and none of Gemma 3. Its converters touch only the keys that they are
given, so the keys of one layer load one layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    Concatenate,
    MergeModulelist,
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)


class Conversion:
    """The way of every stored key into one model."""

    def __init__(self, module: PreTrainedModel) -> None:
        self.module = module
        self.known = module.state_dict()
        self.rules = get_model_conversion_mapping(module)

    def targets(self, keys: list[str]) -> dict[str, tuple[str, str | None]]:
        """Stored key -> (name in the module, pattern of its converter or None); unknown keys are left out: weights
        for training only, or of a head that this class has not."""
        rules = deepcopy(self.rules)                        # some renamings remember what they saw
        renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
        found = {}
        for key in sorted(keys, key=dot_natural_key):
            name, pattern = self._renamed(key, renamings, converters)
            if name not in self.known and key in self.known:
                name, pattern = self._renamed(key, [], [])
            if name in self.known:
                found[key] = (name, pattern)
        return found

    @property
    def several(self) -> Mapping[str, Sequence[str]]:
        """Pattern of a stored tensor that becomes several -> what they are called."""
        rules = [rule for rule in self.rules if isinstance(rule, WeightConverter) and len(rule.target_patterns) > 1]
        return {pattern: rule.target_patterns for rule in rules for pattern in rule.source_patterns}

    def made(self, targets: Mapping[str, tuple[str, str | None]]) -> set[str]:
        """The names in the module that `assemble` gives of these: a converter may make several of one tensor."""
        found, several = {name for name, _ in targets.values()}, self.several
        for name, pattern in targets.values():
            others = several.get(pattern or "", ())
            one = next((each for each in others if each in name), None)
            found |= {name.replace(one, each) for each in others} if one else set()
        return found

    def assemble(self, raw: Mapping[str, Tensor], targets: Mapping[str, tuple[str, str | None]]) -> dict[str, Tensor]:
        """Stored tensors -> the module's, by full name."""
        rules = [rule for rule in self.rules if isinstance(rule, WeightConverter)]
        converters = {pattern: rule for rule in rules for pattern in rule.source_patterns}
        result: dict[str, Tensor] = {}
        waiting: dict[str, WeightConverter] = {}
        for key in sorted(raw, key=dot_natural_key):
            name, pattern = targets[key]
            if pattern is None:
                result[name] = raw[key]
                continue
            rule = waiting.setdefault(name, _in_place(deepcopy(converters[pattern])))
            rule.add_tensor(name, key, pattern, lambda key=key: raw[key])
        for name, rule in waiting.items():
            made = rule.convert(name, model=self.module, config=self.module.config)
            result |= {target: each[0] if isinstance(each, list) else each for target, each in made.items()}
        return result

    def _renamed(self, key: str, renamings: Any, converters: Any) -> tuple[str, str | None]:
        found: tuple[str, str | None] = rename_source_key(
            key, renamings, converters, self.module.base_model_prefix, self.known
        )
        return found


class Beside:
    """What `MergeModulelist` and `Concatenate` make of each expert's matrices [R, C]: those of several kinds on top of
    each other [E, R + R', C]. Each goes to its place at once, so that a layer is there twice and never more; they would
    be stacked by kind before they are put together, which takes two thirds of a layer beside it."""

    def __init__(self, operations: Sequence[Any]) -> None:
        self.operations = operations

    def convert(
        self, given: dict[str, Any], source_patterns: Sequence[str], target_patterns: Sequence[str], **more: Any
    ) -> dict[str, Tensor]:
        """As an operation of transformers does."""
        kinds = [pattern for pattern in source_patterns if pattern in given]
        if not _alike([given[kind] for kind in kinds]):
            for each in self.operations:
                given = each.convert(given, source_patterns=source_patterns, target_patterns=target_patterns, **more)
            return given
        rows = [len(given[kind][0]) for kind in kinds]
        one = given[kinds[0]][0]
        made, at = one.new_empty(len(given[kinds[0]]), sum(rows), *one.shape[1:]), 0
        for kind, count in zip(kinds, rows, strict=True):
            for place, each in zip(made, given.pop(kind), strict=True):
                place[at : at + count] = each
            at += count
        return {target_patterns[0]: made}


def _in_place(rule: Any) -> Any:
    """The same rule, which puts experts together without copies between."""
    kinds = [(type(each), getattr(each, "dim", None)) for each in rule.operations]
    if kinds == [(MergeModulelist, 0), (Concatenate, 1)] and len(rule.target_patterns) == 1:
        rule.operations = [Beside(rule.operations)]
    return rule


def _alike(kinds: Sequence[Any]) -> bool:
    """Whether there are as many matrices of each kind, of one dtype, alike in each kind and as long in all."""
    if not kinds or not all(isinstance(some, list) and some and len(some) == len(kinds[0]) for some in kinds):
        return False
    shapes = [{each.shape for each in some} for some in kinds]
    dtypes = {(each.dtype, each.device) for some in kinds for each in some}
    return len(dtypes) == 1 and all(len(each) == 1 and len(next(iter(each))) > 1 for each in shapes) and (
        len({next(iter(each))[1:] for each in shapes}) == 1
    )
