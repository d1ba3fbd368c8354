"""The last half of the chain with the real worker in its own process, from two ready items to a LoRA that is heard."""

import io
import shutil
from dataclasses import replace
from uuid import uuid4

import pytest
import soundfile

from dawa_assets.datasets.build import build_dataset
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.segments.tag import tag_segments
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.preview import render_preview
from dawa_assets.training.runs import train_lora
from resources.ports import Ports
from tests.dawa_assets.training.catalogue import open_catalogue, tone, view


@pytest.mark.slow
def test_from_ready_items_to_a_lora_that_is_heard_and_restored(ports: Ports) -> None:
    settings = ports.settings.model_copy(update={"train_steps": 4, "preview_seconds": 1.0})
    ports = replace(ports, settings=settings)
    catalogue = open_catalogue(ports, f"Artist {uuid4().hex[:8]}")
    catalogue.add("one", tone(6, 220))
    catalogue.add("two", tone(6, 330))
    build_dataset(ports, catalogue.slug)
    prepare_segments(ports, catalogue.slug)
    assert tag_segments(ports, catalogue.slug).tagged == 2
    trained = train_lora(ports, catalogue.slug)
    assert (trained.state, trained.examples, len(trained.losses)) == ("trained", 2, 4)
    judged = evaluate_lora(ports, catalogue.slug)
    assert (judged.promoted_run_id, judged.verdict in ("better", "no better")) == (trained.run_id, True)
    assert judged.lora_path == f"loras/{catalogue.slug}_{settings.model_name}.safetensors"
    published = settings.data_root / judged.lora_path
    adapter, seen = published.read_bytes(), view(ports, catalogue.slug)

    preview = render_preview(ports, catalogue.slug)
    assert (preview.rendered, preview.differs) == (2, True)
    for file in preview.files:
        with ports.bucket.open(file.key) as stream:
            assert soundfile.info(io.BytesIO(stream.read())).duration >= 1

    shutil.rmtree(settings.data_root)
    tags = tag_segments(ports, catalogue.slug)
    again = train_lora(ports, catalogue.slug)
    assert (tags.tagged, again.state, again.run_id) == (0, "unchanged", trained.run_id)
    assert evaluate_lora(ports, catalogue.slug).state == "unchanged"
    assert published.read_bytes() == adapter
    assert view(ports, catalogue.slug) == seen
    assert render_preview(ports, catalogue.slug).state == "unchanged"
