"""What this distribution offers."""

from collections.abc import Iterator

from nexus_specs import Component, hookimpl


@hookimpl
def nexus_engines() -> Iterator[Component]:
    """The engine."""
    yield Component(
        name="sli",
        target="nexus_engine_sli.engine:Sli",
        summary="Runs any checkpoint, resident or streamed: every weight is read once per corpus, not once per batch",
    )
