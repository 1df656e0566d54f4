"""The reader of data sets on the hub: fetched at one commit, file by file, and read like tables on the disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, get_args

from nexus_specs import NexusError, Origin, Sample, Split
from nexus_torch import hub

from ..apart import ADVICE
from ..options import HubOptions
from ..rows import Malformed, Row
from ..tables import Table
from .columns import Columns
from .files import Files, files_of
from .tables import converted, parquet_rows

LAYOUT, BY_NAME, CARVED = 1, 2, 3
"""Raised when the same files give other samples than before: with `columns`, by names alone, and where a part is carved
out of a split."""
ASKED = ("prompt", "messages", "text")
"""Of these the first that a sample has is what a model is shown: what it is to say may stand in the others."""
LEFT_OUT = ("malformed", "revision", "sets")
"""Options that are no part of what is read: the content of the files is, by their hashes."""
SPLITS = get_args(Split)
MEDIA = frozenset({"text", "messages", "image", "audio", "video"})


class Hub:
    """Kind "reader": a data set of the Hugging Face hub. Nothing is fetched before `samples` is first asked."""

    def __init__(self, **options: Any) -> None:
        self.options = HubOptions(**options)
        shared = {"malformed": self.options.malformed}
        commits = self.options.revision.split("+") if self.options.revision else [""] * len(self.options.sets)
        pairs = zip(self.options.sets, [*commits, *[""] * len(self.options.sets)], strict=False)
        self.inner = tuple(Hub(**(shared | dict(each) | ({"revision": at} if at else {}))) for each, at in pairs)
        self.table = Table(window=self.options.window, rate=self.options.rate, frames=self.options.frames)
        if bool(self.options.id) == bool(self.inner):
            raise NexusError("Name one data set (id: owner/name) or several (sets: [{id: ...}, ...]), not both.")

    def fingerprint(self, split: Split) -> str:
        """Of the options, and of the hashes of the files as the hub names them: nothing is fetched for it."""
        layout = LAYOUT if self.options.columns or self.inner else BY_NAME
        if not self.inner and self._carved(self._owner(split)):
            layout = CARVED
        digest = hashlib.sha256(f"{layout} {split} {self._said()}".encode())
        for each in self.inner:
            digest.update(each.fingerprint(split).encode())
        for name in self._names(split):
            file = self.files.listing.files.get(name)
            digest.update(f"\0{name}\0{file.key if file else ''}".encode())
        return digest.hexdigest()

    def _said(self) -> list[tuple[str, str]]:
        """The options that decide what is read."""
        options = dataclasses.asdict(self.options)
        return sorted((name, repr(value)) for name, value in options.items() if name not in LEFT_OUT)

    def samples(self, split: Split, start: int = 0) -> Iterator[Sample]:
        """In the order of the files and of their rows, from `start` on; what is missing is fetched first."""
        broken = Malformed(self.options.malformed)
        found = (sample for each in self.inner for sample in each.samples(split)) if self.inner else (
            self._samples(split, broken)
        )  # fmt: skip
        yield from islice(found, start, self.options.limit or None)
        broken.report()

    def origin(self, splits: Iterable[Split] = SPLITS) -> Origin | None:
        """The commit, and what these parts take; of several sets, all of them, joined by "+". NexusError for a column
        that the card of the set has not: it is known before anything is fetched."""
        parts = tuple(splits)
        if self.inner:
            known = [found for each in self.inner if (found := each.origin(parts)) is not None]
            return Origin(
                source=" + ".join(each.source for each in known),
                commit="+".join(each.commit for each in known),
                bytes=sum(each.bytes for each in known),
                missing=sum(each.missing for each in known),
                rows=sum(each.rows for each in known) if all(each.rows for each in known) else 0,
            )
        Columns(self.options.columns, f"'{self.named.name}'").check(self.files.columns)
        names = dict.fromkeys(name for split in parts for name in self._names(split))
        listing, home = self.files.listing, hub.snapshot_folder(self.files.listing.hub)
        sizes = {name: listing.files[name].size for name in names if name in listing.files}
        return Origin(
            source=str(listing.hub),
            commit=listing.commit,
            bytes=sum(sizes.values()),
            missing=sum(size for name, size in sizes.items() if not (home / name).exists()),
            rows=self._rows(parts),
        )

    def _rows(self, splits: Iterable[Split]) -> int:
        """Rows that are read for these parts, as the repository says; 0 where it does not."""
        places = {self.splits.get(split, self.splits[self.donor]) for split in splits}
        names = {name.strip() for place in places for name in place.split("+")}
        counts = [self.files.rows.get(name, 0) for name in names]
        return sum(counts) if all(counts) else 0

    def latest(self) -> str:
        """The commit of its revision as the hub has it now, of several sets joined by "+"; "" where nobody can tell."""
        if self.inner:
            known = [each.latest() for each in self.inner]
            return "+".join(known) if all(known) else ""
        return self.named.commit or hub.latest(f"hub:{self.named}")

    @cached_property
    def named(self) -> hub.HubId:
        """The data set at its revision."""
        found = hub.parse(f"hub:datasets/{self.options.id.removeprefix('hub:').removeprefix('datasets/')}")
        if found is None or found.path:
            raise NexusError(f"'{self.options.id}' is no data set of the hub. Write its name as owner/name.")
        return found.at(self.options.revision) if self.options.revision else found

    @cached_property
    def files(self) -> Files:
        """Its files, by split."""
        return files_of(self.named, self.options.config)

    @cached_property
    def splits(self) -> Mapping[str, str]:
        """Part -> split of the hub, as the options say or as the names suggest."""
        if self.options.splits:
            if unknown := set(self.options.splits) - set(SPLITS):
                raise NexusError(f"splits: there is no part '{min(unknown)}'. The parts: {', '.join(SPLITS)}.")
            learned, judged = (
                {each.strip() for each in self.options.splits.get(part, "").split("+")} - {""}
                for part in ("train", "held_out")
            )
            if learned & judged:
                both = f"splits: '{min(learned & judged)}' is both train and held_out. {ADVICE}"
                raise NexusError(f"{both}; leave held_out out here.")
            return dict(self.options.splits)
        known = list(self.files.splits)
        usual = {"train": ("train",), "development": ("validation", "dev"), "held_out": ("test",)}
        found = {part: next((name for name in names if name in known), "") for part, names in usual.items()}
        return {part: name for part, name in found.items() if name} or {"train": known[0]}

    @property
    def donor(self) -> str:
        """The part whose split is divided where others have none of their own."""
        return "train" if "train" in self.splits else next(iter(self.splits))

    def _names(self, split: Split) -> tuple[str, ...]:
        """The files that a part is read from."""
        if split not in SPLITS:
            raise NexusError(f"There is no part '{split}'. The parts of all data: {', '.join(SPLITS)}.")
        return () if self.inner else self.files.of(self.splits.get(split, self.splits[self.donor]))

    def _samples(self, split: Split, broken: Malformed) -> Iterator[Sample]:
        columns = Columns(self.options.columns, f"'{self.named.name}'")
        owner = self._owner(split)
        for name, number, values in self._tables(split, columns.read()):
            row = Row(where=f"{self.named.name}/{name}:{number}", values=values)
            fields = columns.fields(values)
            if not set(self.options.columns or values) & MEDIA:
                raise NexusError(
                    f"'{self.named.name}' has no text, messages, image, audio or video by name. Its columns: "
                    f"{', '.join(map(str, values))}. Say which is which: columns: {{text: NAME}}"
                )
            if not set(fields) & MEDIA:
                broken.empty(row.where)
            elif self._part(row, fields, owner) == split:
                yield from self._decoded(row, fields, broken)

    def _owner(self, split: Split) -> str:
        """The part whose split a part is read from."""
        return split if split in self.splits else self.donor

    def _carved(self, owner: str) -> bool:
        """Whether a part's split is divided between it and parts that have none of their own."""
        return owner == self.donor and len(self.splits) < len(SPLITS)

    def _part(self, row: Row, fields: Mapping[str, Any], owner: str) -> str:
        """The part that a row belongs to: that of its split, or one that has no split of its own. Rows of one source
        stay together, and those that show a model the same: what it is to say must not be known from another part."""
        if not self._carved(owner):
            return owner
        asked = next((name for name in ASKED if name in fields), "")
        shown = {name: value for name, value in fields.items() if name == asked or name in MEDIA - set(ASKED)}
        share = Row(where=row.where, values=shown).share(fields.get("source"))
        return owner if share in self.splits else share

    def _decoded(self, row: Row, fields: Mapping[str, Any], broken: Malformed) -> Iterator[Sample]:
        found = self.table.fields(row, {"source": row.where, **fields})
        yield from broken.samples(row.where, found, self.options.domain)

    def _tables(self, split: Split, columns: tuple[str, ...]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
        names = self._names(split)
        hub.check_room(hub.snapshot_folder(self.files.listing.hub), self._missing(names), f"'{self.named.name}'")
        if self.files.tables:
            for name in names:
                rows = parquet_rows(hub.fetch(self.files.listing, name), columns)
                yield from ((name, number, values) for number, values in enumerate(rows, 1))
        else:
            place = self.splits.get(split, self.splits[self.donor])
            rows = (
                row for each in place.split("+") for row in converted(self.files, self.options.config, each.strip())
            )
            yield from ((place, number, values) for number, values in enumerate(rows, 1))

    def _missing(self, names: tuple[str, ...]) -> int:
        listing, home = self.files.listing, hub.snapshot_folder(self.files.listing.hub)
        return sum(listing.files[name].size for name in names if name in listing.files and not (home / name).exists())
