"""Checks of towers: an adapter that fits the core, a module with the promised shapes, options that make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..components import resolve
from ..data import Sample
from ..models import Blueprint
from ..students import Adapter, Tower
from ..teachers import Profile
from .base import ComponentTests
from .blueprints import blueprint
from .decoders import check_decoders
from .values import close, finite, flat, is_json, same_batch, shape


def check_adapter(tower: Tower, core: Blueprint, profiles: Sequence[Profile]) -> None:
    """It changes layers that the core has."""
    adapter = tower.adapter(core, profiles)
    assert isinstance(adapter, Adapter), f"`adapter` gave a {type(adapter).__name__}. Return a nexus_specs.Adapter."
    allowed = {"how": ("lora", "cross_attention"), "vocabulary": ("core", "own")}
    for field, values in allowed.items():
        assert getattr(adapter, field) in values, (
            f"The adapter has {field}='{getattr(adapter, field)}'. Allowed: {', '.join(values)}."
        )
    count = core.largest_stack.count
    outside = [layer for layer in adapter.layers if not 0 <= layer < count]
    assert not outside, f"The adapter names the layers {outside}; the core has 0 to {count - 1}. Clip to the core."
    width = max(core.largest_stack.widths)
    assert 1 <= adapter.rank <= width, (
        f"The adapter's rank is {adapter.rank}. Keep it between 1 and the width, {width}."
    )
    assert adapter.embeddings >= 0, f"`embeddings` is {adapter.embeddings}. Give a rank, or 0 for none."


def check_build(tower: Tower, core: Blueprint, profiles: Sequence[Profile]) -> Any:
    """A module whose start depends on the seed alone, or None."""
    import torch

    built = []
    for _ in range(2):
        torch.manual_seed(0)
        built.append(tower.build(core, profiles))
    one, other = built
    if one is None or other is None:
        return None
    assert isinstance(one, torch.nn.Module), f"`build` gave a {type(one).__name__}. Return a torch module or None."
    assert one is not other, "`build` gave the same module twice. Make a new one: tower and control train apart."
    first, second = one.state_dict(), other.state_dict()
    equal = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert equal, "Two builds after one `torch.manual_seed` differ. Draw weights from torch's global generator alone."
    assert any(parameter.requires_grad for parameter in one.parameters()), (
        "Nothing in the module can be trained. Leave `requires_grad` on for its own weights."
    )
    return one


def check_collate(tower: Tower, samples: Sequence[Sample]) -> Mapping[str, Any]:
    """A row for each sample, the same each time."""
    batch = tower.collate(samples)
    rows = {name: shape(value)[0] for name, value in batch.items() if shape(value)}
    assert rows and set(rows.values()) == {len(samples)}, (
        f"`collate` of {len(samples)} samples gave first dimensions {rows}. Give one row for each sample."
    )
    changed = same_batch(batch, tower.collate(samples))
    assert not changed, f"`collate` gave other {', '.join(changed)} the second time. Draw nothing at random in it."
    return batch


def check_encode(module: Any, batch: Mapping[str, Any], count: int, width: int) -> Any:
    """[B, n, D], finite, with a gradient."""
    latents = module.encode(**batch)
    found = shape(latents)
    assert len(found) == 3 and found[0] == count and found[2] == width, (
        f"`encode` gave shape {found}. Return [B, n, D] = [{count}, n, {width}], D the width of the core: "
        f"end with a linear layer to `core.largest_stack.widths`."
    )
    assert finite(latents), "`encode` gave values that are not finite. Normalise the input (uint8 / 255)."
    module.zero_grad()
    latents.square().sum().backward()
    grads = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    assert any(any(number != 0.0 for number in flat(grad)) for grad in grads), (
        "No gradient reaches the module through `encode`. Compute with its parameters, without no_grad or detach."
    )
    return latents.detach()


def check_independence(tower: Tower, module: Any, samples: Sequence[Sample]) -> None:
    """A sample is encoded the same alone: no batch statistics, no padding that counts."""
    module.eval()
    whole = module.encode(**tower.collate(samples))
    for index, sample in enumerate(samples):
        alone = module.encode(**tower.collate([sample]))
        least = min(shape(alone)[1], shape(whole)[1])
        assert close(alone[0][:least], whole[index][:least], 1e-3), (
            "A sample is encoded differently beside others. Mask padding, and use layer or group norm, not batch norm."
        )


def check_decode(module: Any, latents: Any, width: int) -> None:
    """[B, C], where the tower does not answer in text."""
    import torch

    count = shape(latents)[0]
    found = shape(module.decode(torch.ones(count, width), latents))
    assert len(found) == 2 and found[0] == count and found[1] > 1, (
        f"`decode` gave shape {found}. Return [B, C] = [{count}, C]: one value for each class."
    )


def check_config(tower: Tower, again: Tower, core: Blueprint, profiles: Sequence[Profile]) -> None:
    """A release makes the tower again from `config()` alone, as it is after `build`."""
    config = tower.config()
    assert is_json(config), f"`config` gave {config!r}, which JSON does not keep. Use str, int, float, bool, list."
    assert again.config() == config, (
        f"A tower made with `config()` has another one: {again.config()!r} instead of {config!r}. "
        f"Return every option that it was made with, resolved."
    )
    assert again.adapter(core, profiles) == tower.adapter(core, profiles), (
        "A tower made with `config()` has another adapter. Keep in `config` what the adapter depends on."
    )
    shapes = _shapes(tower.build(core, profiles))
    assert _shapes(again.build(core, ())) == shapes, (
        "A tower made with `config()` builds other parameters without its teachers' profiles. After `build`, return in "
        "`config` the sizes that were found: a release has no teacher to ask."
    )


def _shapes(module: Any) -> dict[str, list[int]]:
    return {} if module is None else {name: shape(value) for name, value in module.state_dict().items()}


class TowerTests(ComponentTests):
    """A tower, on a small core."""

    kind = "tower"

    def core(self) -> Blueprint:
        """The core it stands on."""
        return blueprint()

    def profiles(self) -> Sequence[Profile]:
        """Profiles of its teachers."""
        return ()

    def samples(self) -> Sequence[Sample]:
        """What it perceives; needed where `build` gives a module."""
        return ()

    def test_adapter_fits_the_core(self) -> None:
        check_adapter(self.component(), self.core(), self.profiles())

    def test_building_depends_on_the_seed_alone(self) -> None:
        check_build(self.component(), self.core(), self.profiles())

    def test_it_encodes(self) -> None:
        tower, width = self.component(), max(self.core().largest_stack.widths)
        module = check_build(tower, self.core(), self.profiles())
        if module is None:
            return
        assert self.samples(), "The tower has a module of its own. Give `samples()` that it can perceive."
        latents = check_encode(module, check_collate(tower, self.samples()), len(self.samples()), width)
        check_independence(tower, module, self.samples())
        if hasattr(module, "decode"):
            check_decode(module, latents, width)

    def test_config_makes_it_again(self) -> None:
        tower = self.component()
        tower.build(self.core(), self.profiles())
        again = resolve(self.descriptor().target)(**tower.config())
        check_config(tower, again, self.core(), self.profiles())

    def test_decoders_of_others_are_declared_whole(self) -> None:
        tower = self.component()
        tower.build(self.core(), self.profiles())
        check_decoders(tower, resolve(self.descriptor().target)(**tower.config()))
