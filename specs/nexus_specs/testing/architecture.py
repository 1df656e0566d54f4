"""Checks of loaders: what they claim, what they say a checkpoint is, and that its parts make the whole model."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoints import Checkpoint
from ..components import ArchitectureComponent, resolve
from ..data import Sample
from ..installed import Installed
from ..work import Lookup
from .base import ComponentTests
from .catalogue import check_catalogue
from .claims import check_agreement, check_blueprint, check_match, check_reads_no_weights
from .parts import check_collate, check_extents, check_parts, check_skeleton


class ArchitectureTests(ComponentTests):
    """A loader, on at least one small checkpoint of its own."""

    kind = "architecture"

    def sources(self) -> Sequence[str]:
        """Checkpoints that it opens."""
        raise NotImplementedError("Give `sources()`: at least one small checkpoint that the loader opens.")

    def samples(self) -> Sequence[Sample]:
        """Samples that these checkpoints take."""
        raise NotImplementedError("Give `samples()`: a few samples that the checkpoint takes.")

    def foreign(self) -> Sequence[str]:
        """Sources that belong to nobody."""
        text, empty = self.folder / "notes.txt", self.folder / "empty"
        text.write_text("no checkpoint", encoding="utf-8")
        empty.mkdir(exist_ok=True)
        return ["", str(self.folder / "missing"), str(text), str(empty)]

    def lookup(self) -> Lookup:
        """What `open` is given."""
        return Installed()

    def checkpoints(self) -> Sequence[Checkpoint]:
        """The sources, opened."""
        architecture = self.component()
        return [architecture.open(source, self.lookup()) for source in self.sources()]

    def test_rows_of_its_catalogue_say_how_it_is_found(self) -> None:
        descriptor = self.descriptor()
        if isinstance(descriptor, ArchitectureComponent) and descriptor.catalogue:
            check_catalogue(resolve(descriptor.catalogue)())

    def test_it_claims_its_own_and_no_other(self) -> None:
        check_match(self.component(), self.sources(), self.foreign())

    def test_blueprint_is_complete(self) -> None:
        for source in self.sources():
            check_blueprint(self.component().inspect(source))

    def test_open_and_inspect_agree(self) -> None:
        for source, checkpoint in zip(self.sources(), self.checkpoints(), strict=True):
            check_agreement(self.component(), source, checkpoint)

    def test_inspect_reads_no_weights(self) -> None:
        for number, source in enumerate(self.sources()):
            place = self.folder / str(number)
            place.mkdir()
            check_reads_no_weights(self.component(), source, place)

    def test_extents_lie_in_their_files(self) -> None:
        for checkpoint in self.checkpoints():
            check_extents(checkpoint)

    def test_parts_make_the_whole_model(self) -> None:
        for checkpoint in self.checkpoints():
            check_parts(checkpoint)

    def test_skeleton_holds_no_numbers(self) -> None:
        for checkpoint in self.checkpoints():
            check_skeleton(checkpoint)

    def test_collate_is_deterministic(self) -> None:
        for checkpoint in self.checkpoints():
            check_collate(checkpoint, self.samples())
