"""What this plugin brings: the default registry and the two readers that it needs. Strings only."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import ReaderComponent, RegistryComponent, hookimpl


@hookimpl
def nexus_registries() -> Iterable[RegistryComponent]:
    """The default registry."""
    yield RegistryComponent(
        name="starter",
        target="nexus_starter:registry.yaml",
        summary="Five small real teachers (prose, code, digits, tones, motion) into one student",
    )


@hookimpl
def nexus_readers() -> Iterable[ReaderComponent]:
    """Readers of what is generated rather than stored."""
    yield ReaderComponent(
        name="keypad-tones",
        target="nexus_starter.readers:KeypadTones",
        summary="Telephone keypad tones in noise, generated from a seed",
        options="nexus_starter.readers:KeypadTones",
    )
    yield ReaderComponent(
        name="moving-digits",
        target="nexus_starter.readers:MovingDigits",
        summary="Films of a moving handwritten digit, generated from a seed",
        options="nexus_starter.readers:MovingDigits",
    )
