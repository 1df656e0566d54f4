"""A stream of copies beside the one that computes, on one device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor


class Lane(Protocol):
    """Orders copies against what computes. Events have `synchronize()`, which waits on the host."""

    def mark(self) -> Any:
        """An event: all that was sent to the stream that computes until now."""

    def copying(self, free: Any) -> AbstractContextManager[None]:
        """What is sent inside goes to the stream of copies, after the event `free`."""

    def sums(self, weights: Iterable[Tensor]) -> Tensor:
        """The sums of the floating ones, on the host once the copies have passed."""

    def copied(self) -> Any:
        """An event: all copies that were sent until now. Inside `copying`."""

    def wait(self, event: Any) -> None:
        """What computes next waits for an event."""


class Stream:
    """The `Lane` of an accelerator (CUDA and others), through torch's streams and events."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.stream = torch.Stream(self.device)

    def mark(self) -> torch.Event:
        """On the stream of the calling thread."""
        return torch.accelerator.current_stream(self.device).record_event()

    @contextmanager
    def copying(self, free: torch.Event) -> Iterator[None]:
        """Memory that is taken inside belongs to the stream of copies."""
        with torch.no_grad(), self.stream:
            self.stream.wait_event(free)
            yield

    def sums(self, weights: Iterable[Tensor]) -> Tensor:
        """float32, in page-locked memory; without types of eight bits, which have no sum."""
        found = [
            each.sum(dtype=torch.float32) for each in weights
            if each.is_floating_point() and each.dtype.itemsize > 1 and each.device.type == self.device.type
        ]  # fmt: skip
        there = torch.empty(len(found), pin_memory=True)
        return there.copy_(torch.stack(found), non_blocking=True) if found else there

    def copied(self) -> torch.Event:
        """On the stream of copies."""
        return self.stream.record_event()

    def wait(self, event: torch.Event) -> None:
        """The stream of the calling thread."""
        torch.accelerator.current_stream(self.device).wait_event(event)
