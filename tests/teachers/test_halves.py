"""Two encoders in one space: a picture or a text alone is embedded as with whatever stands beside it."""

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_specs import Budget, Installed, Sample
from tiny_teachers.rows import by_name


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves") / "siglip"
    by_name()["siglip2-so400m"].build(folder)
    return folder


def embedding(folder, **fields):
    lookup = Installed()
    checkpoint = lookup.open(str(folder))
    batch = checkpoint.collate([Sample(key="0", fields=fields)])
    with lookup.make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher, torch.no_grad():
        return batch, checkpoint.read(teacher.module(**batch), batch).outputs["embedding"][0]


def test_each_half_alone(siglip):
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    model = hf.SiglipModel.from_pretrained(siglip).eval()
    batch, seen = embedding(siglip, image=picture)
    _, both = embedding(siglip, image=picture, text="x = [1, 2]")
    torch.testing.assert_close(seen, both)
    with torch.no_grad():
        wanted = model.get_image_features(pixel_values=batch["pixel_values"])
        wanted = getattr(wanted, "pooler_output", wanted)[0]
    torch.testing.assert_close(seen, wanted / wanted.norm(), atol=1e-5, rtol=1e-5)

    batch, read = embedding(siglip, text="x = [1, 2]")
    assert batch["input_ids"].shape == (1, 64), "the model learned with its padding"
    with torch.no_grad():
        wanted = model.get_text_features(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"))
        wanted = getattr(wanted, "pooler_output", wanted)[0]
    torch.testing.assert_close(read, wanted / wanted.norm(), atol=1e-5, rtol=1e-5)
