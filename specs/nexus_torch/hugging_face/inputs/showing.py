"""What samples show of a checkpoint, from the tensors that its processor makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nexus_specs import Batch, Blueprint, Sample, Shown, standing_out
from torch import Tensor, nn
from transformers import PreTrainedConfig

from nexus_torch.usual import usual

from ..quiet import quiet
from .alive import LEAST
from .collate import Preprocessor
from .holding import NOTHING, given, held, making, unmet
from .passing import passing
from .seeing import pair, tower, whole

MARKS = tuple(f"{kind}_token_{name}" for kind in ("image", "video", "audio") for name in ("id", "index"))
"""Names of the tokens that stand for what is seen or heard."""
SEEN = ("pixel", "image", "flattened", "patch", "video")
"""How arguments begin that are made of pictures and films."""
HEARD = ("input_features", "audio", "input_values", "speech")
"""Likewise, of sounds."""
COLOURS = 3


class Showing:
    """What of a checkpoint tells what samples show."""

    described: Blueprint
    preprocessor: Preprocessor

    def bare(self) -> nn.Module:
        """The module on the meta device."""
        raise NotImplementedError

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its tokenizer or processor."""
        raise NotImplementedError

    @quiet()
    def shown(self, samples: Sequence[Sample], paths: Sequence[str] = ()) -> Shown | None:
        """What samples show of it, as the tensors of those say that stand out; None where nothing differs."""
        kinds, blueprint = set(self.preprocessor.takes), self.described
        speaks = "audio" in blueprint.gives and len(blueprint.stacks) > 1 and blueprint.parameters >= LEAST
        if not {"image", "video", "audio"} & kinds:
            return self._spoken(samples) if speaks else None
        few = standing_out(samples)
        batches, bare = [self.collate([each]) for each in few], self.bare()
        large = blueprint.parameters >= LEAST
        lit = [batch for batch in batches if large and any(name.startswith((*SEEN, *HEARD)) for name in batch)]
        layers = {stack.path: stack.layers for stack in blueprint.stacks}
        beside = [each.path for each in blueprint.outside]
        known = held(bare, max(lit, key=given), layers, beside) if lit else NOTHING
        found = shown(blueprint, self.bare() if lit else bare, batches, passes=not known.most)
        dark = not any(name.startswith((*SEEN, *HEARD)) for batch in batches for name in batch)
        if "text" in kinds and dark and large:
            away = unmet(self.bare(), batches[0], blueprint)                # and what joins them to the text
            found = replace(found, unmet=tuple(dict.fromkeys((*found.unmet, *away))))
        if not known.most:
            return found
        made = max(making(each, batch) for each, batch in zip(few, batches, strict=True))
        return replace(found, given=max(map(given, batches)), making=made,
                       held=known.most, waits=known.waits, behind=known.behind)  # fmt: skip

    @quiet()
    def usual(self) -> tuple[Sample | None, str]:
        """A sample as it usually comes, and what that is in words; (None, "") for what takes texts alone."""
        takes, gives = self.described.takes, self.described.gives
        return usual(takes, gives, self.preprocessor.feature_extractor.sampling_rate if "audio" in takes else 0)

    def _spoken(self, samples: Sequence[Sample]) -> Shown:
        """Of what speaks: which of its parts no text comes to (a codec, a decoder in depth)."""
        blueprint, few = self.described, standing_out(samples)
        away = unmet(self.bare(), self.collate(few[:1]), blueprint)
        return Shown(seen=blueprint.seen, places=blueprint.places, unmet=away, passing=blueprint.passing)


def shown(blueprint: Blueprint, module: nn.Module, batches: Sequence[Batch], *, passes: bool = True) -> Shown:
    """What batches of one sample each show at most. `passes`: a whole forward is looked at where nothing else tells."""
    config: Any = module.config
    beside = "text" in blueprint.takes                      # else what sees is all that there is
    towers = {stack.path: found for stack in blueprint.stacks
              if (found := tower(module, stack.path, beside=beside)) is not None}  # fmt: skip
    widths = {stack.path: max(stack.widths, default=0) for stack in blueprint.stacks}
    seen = [patches(found, batch) * widths[path] for path, found in towers.items() for batch in batches]
    dark = beside and not any(name.startswith((*SEEN, *HEARD)) for batch in batches for name in batch)
    most = 0 if dark else max(seen, default=0) or blueprint.seen
    return Shown(
        seen=most,
        places=max(_places(config, batch, blueprint.places) for batch in batches),
        unmet=tuple(towers) if dark else (),
        passing=0 if beside or most or not passes else max(passing(module, batch) for batch in batches),
    )


def patches(config: PreTrainedConfig, batch: Batch) -> int:
    """Positions that a tower has of the pictures and films of a batch: the rows of what is cut already; else pixels by
    the patch."""
    height, width = pair(getattr(config, "patch_size", None)) or (1, 1)
    colours = whole(config, "num_channels") or whole(config, "in_channels") or COLOURS
    deep = whole(config, "tubelet_size") or 1

    def of(given: Tensor) -> int:
        flat, cut = given.shape[-1], colours * height * width * (deep if given.ndim > 4 else 1)
        return int(given.numel() // max(1, flat if given.ndim < 4 else cut))

    return sum(of(each) for name, each in batch.items() if name.startswith("pixel_values") and isinstance(each, Tensor))


def _places(config: PreTrainedConfig, batch: Batch, usual: int) -> int:
    """Positions of a text that stand for what is seen or heard; as many as usual where no token stands for it."""
    if not any(name.startswith((*SEEN, *HEARD)) for name in batch):
        return 0
    ids, marks = batch.get("input_ids"), {found for name in MARKS if (found := whole(config, name))}
    if not isinstance(ids, Tensor):
        return usual
    return int(sum((ids == mark).sum() for mark in marks)) or usual
