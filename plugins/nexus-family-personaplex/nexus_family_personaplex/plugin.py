"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="personaplex",
        target="nexus_family_personaplex.architecture:PersonaPlex",
        summary="PersonaPlex and Moshi in Kyutai's format: speech and inner text, as transformers' Moshi with Mimi",
        catalogue="nexus_family_personaplex.catalogue:rows",
    )
