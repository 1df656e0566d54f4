"""What this plugin offers: a loss on hidden states."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import LossComponent, hookimpl


@hookimpl
def nexus_losses() -> Iterable[LossComponent]:
    """Activation anchoring."""
    yield LossComponent(
        name="activation_anchor",
        target="nexus_loss_anchor.anchor:ActivationAnchor",
        summary="Normalised error and cosine to the teacher's states at critical layers; decays to zero",
        options="nexus_loss_anchor.options:AnchorOptions",
        records=("states",),
    )
