"""An artist with everything that a repair may meet: sets, bounces, a rejected file, two datasets, a LoRA."""

import hashlib
import io
import json
from uuid import uuid4

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.coexistence.dashboard import export, parsed_by_its_parser, save
from tests.dawa_assets.intake.material import als, drop, new_artist, wav


def furnish(ports: Ports) -> Artist:
    """Make them, and give them."""
    artist = new_artist(ports)
    drop(ports, "nova", {"P/one.als": als(100), "P/one.wav": wav(200), "broken.als": b"no set"})
    build(ports)
    drop(ports, "nova", {"P/two.als": als(101), "P/two.wav": wav(300)})
    save(ports, artist, parsed_by_its_parser(ports, artist, "theirs.als"), audio=wav(400))
    export(ports, artist)
    build(ports)
    _train(ports, artist)
    return artist


def build(ports: Ports) -> None:
    """Take in what was uploaded, up to a dataset."""
    take_in_live_sets(ports, "nova")
    refresh_prompts(ports, "nova")
    update_training_items(ports, "nova")
    build_dataset(ports, "nova")


def _train(ports: Ports, artist: Artist) -> None:
    """A done run as the training leaves it, its files on the worker too."""
    run, files = uuid4(), {"adapter.safetensors": b"weights", "peft/adapter_config.json": b"{}"}
    for name, data in files.items():
        ports.bucket.put(f"artists/nova/loras/{run}/{name}", data)
        ports.compute.store(f"runs/{run}/{name}", io.BytesIO(data))
    ports.bucket.put(f"artists/nova/loras/{run}/preview-lora.wav", wav())
    metrics = {
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "sizes": {name: len(data) for name, data in files.items()},
    }
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_runs (id, artist_id, fingerprint, backend, base, model_name, parameters, state, "
            "metrics, adapter_key, promoted) values (%s, %s, 'f', 'b', 'b', 'm', '{}', 'done', %s, %s, true)",
            [run, artist.id, json.dumps(metrics), f"artists/nova/loras/{run}"],
        )
