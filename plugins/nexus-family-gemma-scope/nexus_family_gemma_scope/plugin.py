"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import ArchitectureComponent, hookimpl


@hookimpl
def nexus_architectures() -> Iterator[ArchitectureComponent]:
    """The loader."""
    yield ArchitectureComponent(
        name="gemma-scope",
        target="nexus_family_gemma_scope.architecture:GemmaScope",
        summary="Sparse autoencoders of Gemma Scope 2: FOLDER takes activations, FOLDER#MODEL what the model takes",
        catalogue="nexus_family_gemma_scope.catalogue:rows",
    )
