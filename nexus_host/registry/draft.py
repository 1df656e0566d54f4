"""A registry's text as it was read: every mistake in it, and the model once there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_specs import NexusError

from ..discovery import Plugins
from .cards import RegistryModel
from .catalogued import complete, unknown
from .checks import ComponentChecks, references
from .overrides import Override, apply
from .places import absent, settle
from .problems import Problem, refuse
from .reading import Document, read
from .shape import Shaped, validate

Select = Callable[[RegistryModel], tuple[str, ...]]
"""Says which teachers a run is about, by id."""
SECTIONS = ("teachers", "towers", "data")
"""Those with ids."""


@dataclass(frozen=True)
class Draft:
    """The values that were written at `path`, where they stand, and the model of those that are right."""

    path: Path
    plugins: Plugins
    document: Document
    shaped: Shaped

    @classmethod
    def read(
        cls,
        text: str,
        path: Path,
        plugins: Plugins,
        overrides: Sequence[Override] = (),
        datasets: Iterable[str] = (),
    ) -> Draft:
        """The draft of a text, with what flags lay over it and data sets that a catalogue knows."""
        document = read(text, shown(path))
        if document.data is not None or not document.problems:
            apply(document, overrides)
        if isinstance(document.data, dict):
            complete(document.data, plugins, datasets)
        return cls(path, plugins, document, validate(document.data))

    def problems(self) -> list[Problem]:
        """What is wrong in the file, whatever is installed."""
        data, problems = self.document.data, list(self.document.problems)
        if data is not None:
            problems += [each for each in self.shaped.problems if each.path not in self.document.unread]
        if isinstance(data, dict):
            written = {name: list(data[name]) if isinstance(data.get(name), dict) else [] for name in SECTIONS}
            problems += _new(unknown(data, self.plugins), problems)
            without = {each.path[:2] for each in problems if each.path[2:3] == ("datasets",)}
            found = (
                each for each in references(self.shaped, written) if each.path not in {(*at, "data") for at in without}
            )
            problems += _new(found, problems)
        return problems

    def unfit(self, before: Sequence[Problem], select: Select, *, files: bool) -> list[Problem]:
        """What of the teachers that are selected is not installed, or not there (with `files`); nothing of values in
        which something was found before."""
        if not isinstance(self.document.data, dict):
            return []
        model = self.shaped.model
        try:
            teachers = select(model)
        except NexusError:
            # said by itself once the file is right; cards that are not ready need nothing that is installed
            teachers = tuple(name for name, card in model.teachers.items() if card.status == "ready")
        used = _used(model, teachers)
        found = _new(ComponentChecks(self.shaped, self.plugins, used).problems(), before)
        if files:
            gone = absent(model, self.plugins, self.path.parent, self.document.places, used)
            found += _new(gone, [*before, *found])
        return found

    def model(self, problems: Sequence[Problem]) -> RegistryModel:
        """The model, with absolute paths. Raises RegistryError with the problems, if there is one."""
        document = self.document
        refuse(problems, document.places, document.source)
        settled = settle(document.data, self.shaped.model, self.plugins, self.path.parent, document.places)
        return validate(settled).model


def shown(path: Path) -> str:
    """A path as a person here would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _used(model: RegistryModel, teachers: Sequence[str]) -> Mapping[str, set[str]]:
    """Ids by section of what these teachers use."""
    cards = [model.teachers[name] for name in teachers]
    return {"teachers": set(teachers), "towers": {card.tower for card in cards}, "data": {card.data for card in cards}}


def _new(found: Iterator[Problem], before: Sequence[Problem]) -> list[Problem]:
    """Problems, less those of values in which something was found before."""
    known = {problem.path for problem in before}
    return [each for each in found if each.path not in known]
