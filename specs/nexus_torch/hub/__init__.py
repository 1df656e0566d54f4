"""Checkpoints and data sets on the Hugging Face hub: names, listings, small files, ranges of bytes.

Nothing here fetches a file of weights unless it is asked to by `fetch`: what a loader needs (configuration, tokenizer,
index) comes with `snapshot`, and where tensors lie with `header`, which reads the first bytes of a file. The hub is
`HF_ENDPOINT`, the token that of `hf auth login`, the cache the one that all Hugging Face tools share.
"""

from .cache import snapshot_folder
from .errors import HubError
from .fetching import Known, Watch, check_room, download, fetch, room_for, sized
from .headers import header, kept_head
from .listing import Listing, resolve
from .names import Address, HubId, parse
from .origins import latest, origin
from .ranges import RangeFile, stream
from .snapshots import behind, place, snapshot, trusted_code, weights
from .telling import File

__all__ = [
    "Address",
    "File",
    "HubError",
    "HubId",
    "Known",
    "Listing",
    "RangeFile",
    "Watch",
    "behind",
    "check_room",
    "download",
    "fetch",
    "header",
    "kept_head",
    "latest",
    "origin",
    "parse",
    "place",
    "resolve",
    "room_for",
    "sized",
    "snapshot",
    "snapshot_folder",
    "stream",
    "trusted_code",
    "weights",
]
