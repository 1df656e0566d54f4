"""A reader of data that lie on a hub, and one of data that are here."""

from nexus_specs import ReaderComponent, hookimpl


@hookimpl
def nexus_readers():
    yield ReaderComponent(name="away", target="away_parts:Away", summary="Reads", options="away_parts:Options")
    yield ReaderComponent(name="parted", target="away_parts:Parted", summary="Reads", options="away_parts:Options")
    yield ReaderComponent(name="here", target="away_parts:Here", summary="Reads")
