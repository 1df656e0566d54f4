"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import Component, hookimpl


@hookimpl
def nexus_profilers() -> Iterator[Component]:
    """The profiler."""
    yield Component(
        name="niwt",
        target="nexus_profile_niwt.profiler:Niwt",
        options="nexus_profile_niwt.options:NiwtOptions",
        summary="Exact mean-ablation of every layer in one pass, and the principal directions of the critical ones",
    )
