"""What the hub answers instead of what was asked for, in words for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from nexus_specs import NexusError

from .names import HubId, written
from .settings import endpoint, notes_folder, offline
from .waiting import seconds_of, wanted

LOGIN = "hf auth login"


class HubError(NexusError):
    """Something on the hub is missing, closed or out of reach."""


class Unreachable(HubError):
    """The hub does not answer; what was fetched before may still do."""


class Unknown(HubError):
    """No such repository, or none that may be seen."""


@contextmanager
def in_words(hub: HubId) -> Iterator[None]:
    """Turns what the hub and the network raise into a HubError about this repository."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(_gated(hub)) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(_revision(hub)) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise Unknown(_missing(hub)) from error
    except errors.RemoteEntryNotFoundError as error:
        raise HubError(f"'{hub}' is not on the hub: its repository has no such file at this revision.") from error
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable(not_here(hub)) from error
    except errors.HfHubHTTPError as error:
        raise _refused(hub, error) from error
    except errors.HTTPError as error:
        raise unreachable(hub, error) from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(_no_hub(hub)) from error
    except UnicodeEncodeError as error:
        raise HubError(
            f"HF_TOKEN holds {error.object[error.start]!r}, which stands in no token: '{hub.name}' was not asked for. "
            f"Set it to a token of {endpoint()}/settings/tokens, or unset it and type `{LOGIN}`."
        ) from error


@contextmanager
def kept_for(hub: HubId) -> Iterator[None]:
    """Turns what the system says of a cache that cannot be written into a HubError that says how to name another."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        variable = "NEXUS_CACHE" if str(error.filename).startswith(str(notes_folder())) else "HF_HUB_CACHE"
        raise HubError(
            f"What comes of '{hub}' cannot be kept: {error.strerror} ({error.filename}). "
            f"Set {variable} to a folder that can be written, or mend that one."
        ) from error


def not_here(hub: HubId) -> str:
    """The message for what is not in the cache while the hub must not be asked."""
    return (
        f"'{hub}' is neither a folder here nor in the cache, and HF_HUB_OFFLINE forbids asking the hub. Unset "
        f"HF_HUB_OFFLINE, or fetch it where there is a network: hf download {_type(hub)}{hub.name}"
    )


def unreachable(hub: HubId, error: Exception) -> Unreachable:
    """The error for a hub that does not answer."""
    here = "was not fetched yet" if hub.kind == "dataset" else "is not a folder here"
    return Unreachable(
        f"'{hub}' {here}, and the hub ({endpoint()}) cannot be reached: {_reason(error)}. "
        "Check the network, HTTPS_PROXY and HF_ENDPOINT, or name what lies on this machine."
    )


def _no_hub(hub: HubId) -> str:
    """The message where something else than a hub answers."""
    here = "was not fetched yet" if hub.kind == "dataset" else "is not a folder here"
    return (
        f"'{hub}' {here}, and {endpoint()} answers with something else than the hub's data: a proxy or the login page "
        "of a network stands between, as a rule. Open it in a browser and log in, or set HTTPS_PROXY, or HF_ENDPOINT "
        "to the hub or a mirror of it; or name what lies on this machine."
    )


def _type(hub: HubId) -> str:
    return "--repo-type dataset " if hub.kind == "dataset" else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}{f': {error}' if str(error) else ''}"


def _gated(hub: HubId) -> str:
    return (
        f"'{hub.name}' is gated: its owner asks for agreement first. Accept the terms at {_page(hub)}, then type "
        f"`{LOGIN}` with a token of that account (or set HF_TOKEN)."
    )


def _page(hub: HubId) -> str:
    return f"{endpoint()}/{'datasets/' if hub.kind == 'dataset' else ''}{hub.name}"


def _revision(hub: HubId) -> str:
    names = _revisions(hub)
    near = get_close_matches(hub.revision, names, 1)
    hint = f" Did you mean '{written(near[0])}'?" if near else ""
    if re.fullmatch(r"[0-9a-f]{7,39}", hub.revision):
        hint = " A commit is written with all of its 40 digits."
    known = f" Branches and tags: {', '.join(names[:8])}." if names else ""
    return f"'{hub.name}' has no revision '{hub.revision}'.{hint}{known}"


def _revisions(hub: HubId) -> list[str]:
    from huggingface_hub import HfApi

    try:
        refs = HfApi(endpoint=endpoint()).list_repo_refs(hub.name, repo_type=hub.kind)
    except Exception:  # a hint is not worth a second error
        return []
    return [each.name for each in (*refs.branches, *refs.tags)]


def _missing(hub: HubId) -> str:
    near = _alike(hub)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return (
        f"'{hub.name}' is neither a folder here nor a {hub.kind} on the hub ({endpoint()}).{hint} "
        f"If it is private, type `{LOGIN}` first."
    )


def _alike(hub: HubId) -> list[str]:
    """Names on the hub that are close to this one."""
    from huggingface_hub import HfApi

    if offline():
        return []
    api, word = HfApi(endpoint=endpoint()), hub.name.rpartition("/")[2]
    search = api.list_datasets if hub.kind == "dataset" else api.list_models
    try:
        found = [each.id for each in search(search=word, limit=20) if each.id != hub.name]
    except Exception:  # a hint is not worth a second error
        return []
    return get_close_matches(hub.name, found, 3, 0.5) or found[:3]


def _refused(hub: HubId, error: Exception) -> HubError:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    if status == 401:
        return HubError(f"The hub does not show '{hub.name}' to this account (401). Type `{LOGIN}` first.")
    if status == 403:
        said = " ".join(str(getattr(response, "headers", {}).get("x-error-message") or "").split())[:300]
        return HubError(
            f"The hub does not let this account's token read '{hub.name}' (403{f': {said}' if said else ''}). Accept "
            f"what its owner asks for at {_page(hub)}; a fine-grained token needs the right to read gated repositories "
            f"({endpoint()}/settings/tokens). Then type `{LOGIN}` (or set HF_TOKEN)."
        )
    if status == 429:
        wait = wanted(seconds_of(getattr(response, "headers", {})))
        return HubError(f"The hub was asked for '{hub.name}' too often (429). Wait {wait}, or type `{LOGIN}`.")
    if status == 404:
        return Unknown(_missing(hub))
    said = f"{status} {getattr(response, 'reason_phrase', '')}".strip()
    if status < 500 and status != 408:
        return HubError(f"The hub does not give '{hub.name}' ({said}). Look at {_page(hub)}, or name another.")
    return Unreachable(f"The hub ({endpoint()}) failed on '{hub.name}' ({said}). Try again later.")
