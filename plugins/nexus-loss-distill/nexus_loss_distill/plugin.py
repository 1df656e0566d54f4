"""What this plugin offers: losses on outputs."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import LossComponent, hookimpl


@hookimpl
def nexus_losses() -> Iterable[LossComponent]:
    """Forward KL to the teacher, and cross-entropy on what the data carry."""
    yield LossComponent(
        name="forward_kl",
        target="nexus_loss_distill.forward_kl:ForwardKl",
        summary="KL(teacher || student): sparse next-token distributions, or classes at a temperature",
        options="nexus_loss_distill.options:ForwardKlOptions",
        records=("logits",),
    )
    yield LossComponent(
        name="cross_entropy",
        target="nexus_loss_distill.cross_entropy:CrossEntropy",
        summary="Cross-entropy on the observed tokens or the known labels; needs no teacher",
        options="nexus_loss_distill.options:CrossEntropyOptions",
    )
