"""The last half of the chain with MusicGen and the real worker in its own process, up to a LoRA that is heard."""

from dataclasses import replace
from uuid import uuid4

import pytest
import soundfile

from dawa_assets.datasets.build import build_dataset
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.segments.tag import tag_segments
from dawa_assets.training.examples import Examples, fingerprint_of, plan_for, train_request
from dawa_assets.training.runs import train_lora
from modal_app.adapters.file_format import read_card
from modal_app.config import BackendKind
from modal_app.protocol.training import GenerateRequest, InstallRequest
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.training.catalogue import open_catalogue, tone
from tests.modal_app.training.conftest import ignore


@pytest.mark.slow
def test_from_ready_items_to_a_lora_of_musicgen_that_is_heard(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWA_BACKEND", "musicgen")
    chosen = Settings.load().backend
    settings = ports.settings.model_copy(update={"backend": chosen, "train_steps": 4, "preview_seconds": 1.0})
    ports = replace(ports, settings=settings)
    catalogue = open_catalogue(ports, f"Artist {uuid4().hex[:8]}")
    catalogue.add("one", tone(6, 220))
    catalogue.add("two", tone(6, 330))
    build_dataset(ports, catalogue.slug)
    prepare_segments(ports, catalogue.slug)
    tag_segments(ports, catalogue.slug)

    trained = train_lora(ports, catalogue.slug)

    assert (trained.state, trained.examples, len(trained.losses)) == ("trained", 2, 4)
    name = {"producer_id": catalogue.slug, "model_name": settings.model_name}
    published = ports.compute.run(InstallRequest(run_id=str(trained.run_id), **name), ignore)
    card = read_card(settings.data_root / published.lora_path)
    assert (card.backend, card.base, card.run_id) == (BackendKind.MUSICGEN, "tiny", str(trained.run_id))
    rendered = ports.compute.run(
        GenerateRequest(
            job_id="heard",
            prompt="dub techno",
            lora_id=f"{catalogue.slug}:{settings.model_name}",
            duration_seconds=1.5,
            backend=BackendKind(settings.backend),
            base=settings.base,
            with_base=True,
        ),
        ignore,
    )
    with_lora, base = (settings.data_root / str(path) for path in (rendered.path, rendered.base_path))
    for path in (with_lora, base):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (32_000, 1, 48_000)
    assert rendered.lora == published.lora_path
    assert with_lora.read_bytes() != base.read_bytes()
    assert train_lora(ports, catalogue.slug).state == "unchanged"


def test_agreeing_to_a_licence_trains_nothing_again(ports: Ports) -> None:
    catalogue = open_catalogue(ports, f"Artist {uuid4().hex[:8]}")
    catalogue.add("one", tone(2, 220))
    dataset = build_dataset(ports, catalogue.slug)
    agreed = ports.settings.model_copy(update={"licence_accepted": "CC-BY-NC-4.0"})

    none = Examples([])
    before, after = (
        train_request(settings, "a", dataset, none, plan_for(settings, none), "run")
        for settings in (ports.settings, agreed)
    )

    assert after.parameters.licence_accepted == "CC-BY-NC-4.0"
    assert fingerprint_of(before) == fingerprint_of(after)
