"""Which files of a data set hold which split: found out once by `datasets`, which knows all the ways to say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, NoReturn

from nexus_specs import NexusError
from nexus_torch import hub
from nexus_torch.hub.cache import write_whole
from nexus_torch.hub.errors import Unreachable, in_words
from nexus_torch.hub.listing import notes

CONVERTED = "refs/convert/parquet"
"""The branch on which the hub keeps its own parquet copy of a data set."""


@dataclass(frozen=True)
class Files:
    """The files of each split of one configuration, at one commit."""

    listing: hub.Listing
    splits: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows of each split, where the repository says them."""
    columns: tuple[str, ...] = ()
    """Names of the columns, where its card says them."""

    @property
    def tables(self) -> bool:
        """Whether all of them are parquet, which is read as it is."""
        return all(name.endswith(".parquet") for names in self.splits.values() for name in names)

    def of(self, splits: str) -> tuple[str, ...]:
        """The files of one split, or of several joined by "+". NexusError for one that is not there."""
        found: list[str] = []
        for each in (part.strip() for part in splits.split("+")):
            if each not in self.splits:
                raise NexusError(
                    f"'{self.listing.hub.name}' has no split '{each}'. Its splits: {', '.join(self.splits)}. "
                    "Say which is which in the data's options: splits: {train: NAME, held_out: NAME}"
                )
            found += self.splits[each]
        return tuple(found)


def files_of(name: hub.HubId, config: str) -> Files:
    """The files of a configuration. HubError for what the hub does not have or does not show."""
    listing = hub.resolve(name)
    kept = notes(listing.hub) / f"files-{config or 'default'}.json"
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        return Files(listing, {split: tuple(names) for split, names in known["splits"].items()}, known["rows"],
                     tuple(known["columns"]))  # fmt: skip
    except (OSError, ValueError, KeyError):
        pass
    if found := _by_folder(listing, config):
        return Files(listing, found)
    try:
        found = _asked(listing, config)
    except _Script:
        copy = _copy(name, config)
        return Files(copy, _by_folder(copy, config) or _nothing(name, config))
    write_whole(kept, json.dumps({"splits": found.splits, "rows": found.rows, "columns": found.columns}).encode())
    return found


def _copy(name: hub.HubId, config: str) -> hub.Listing:
    """The hub's own copy as parquet. NexusError where it made none."""
    try:
        return hub.resolve(name.at(CONVERTED))
    except Unreachable:
        raise
    except hub.HubError:                                    # it has no such branch
        _nothing(name, config)


class _Script(Exception):
    """The repository holds a program that makes the data, which is never run."""


def _by_folder(listing: hub.Listing, config: str) -> dict[str, tuple[str, ...]]:
    """Of the hub's own copy, which has no card: CONFIG/SPLIT/0000.parquet; {} for any other layout."""
    names = [PurePosixPath(name) for name in sorted(listing.files) if name.endswith(".parquet")]
    if "README.md" in listing.files or not names or any(len(name.parts) != 3 for name in names):
        return {}
    configs = list(dict.fromkeys(name.parts[0] for name in names))
    chosen = config or ("default" if "default" in configs else configs[0] if len(configs) == 1 else "")
    found: dict[str, list[str]] = {}
    for name in names:
        if name.parts[0] == chosen:
            found.setdefault(name.parts[1].removeprefix("partial-"), []).append(str(name))
    if not found:
        raise NexusError(_no_config(listing.hub, config, configs))
    return {split: tuple(files) for split, files in found.items()}


def _asked(listing: hub.Listing, config: str) -> Files:
    """As `datasets` resolves it from the repository's card and the names of its files."""
    from datasets import load_dataset_builder
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError, DatasetsError

    named = listing.hub
    with in_words(named):
        try:
            builder = load_dataset_builder(named.name, config or None, revision=named.commit)
        except RuntimeError as error:
            raise _Script from error
        except (DataFilesNotFoundError, EmptyDatasetError) as error:
            raise NexusError(f"'{named.name}' holds no files of data that `datasets` knows.") from error
        except DatasetsError as error:
            raise NexusError(f"`datasets` cannot read '{named.name}': {' '.join(str(error).split())}") from error
        except ValueError as error:
            raise NexusError(_no_config(named, config, _configs(named))) from error
    start = f"hf://datasets/{named.name}@{named.commit}/"
    files: Mapping[str, Any] = builder.config.data_files or {}
    splits = {str(split): tuple(str(each).removeprefix(start) for each in places) for split, places in files.items()}
    counts = builder.info.splits or {}
    rows = {split: int(counts[split].num_examples or 0) for split in splits if split in counts}
    return Files(listing, splits, rows, tuple(builder.info.features or ()))


def _configs(named: hub.HubId) -> list[str]:
    from datasets import get_dataset_config_names

    try:
        return [str(each) for each in get_dataset_config_names(named.name, revision=named.commit)]
    except Exception:  # a hint is not worth a second error
        return []


def _no_config(named: hub.HubId, config: str, known: list[str]) -> str:
    near = get_close_matches(config, known, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    what = f"no configuration '{config}'" if config else "several configurations"
    shown = f" There: {', '.join(known[:20])}{', …' if len(known) > 20 else ''}." if known else ""
    return f"'{named.name}' has {what}.{hint}{shown} Name one in the data's options: config: NAME"


def _nothing(named: hub.HubId, config: str) -> NoReturn:
    raise NexusError(
        f"'{named.name}' holds a program instead of data, which is never run, and the hub has no parquet copy of "
        f"{config or 'it'}. Use another data set, or fetch it by hand and name the files (reader parquet)."
    )
