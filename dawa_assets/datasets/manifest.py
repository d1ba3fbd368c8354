"""The manifest beside a dataset's zip: what is in it and where each entry came from. A pure projection."""

import json

from dawa_assets.datasets.zip import Archive, entry_names
from dawa_assets.tables.datasets import Dataset, WantedItem

FORMAT = "dawa-dataset/1"


def manifest_bytes(dataset: Dataset, artist: str, items: list[WantedItem], sizes: list[int], archive: Archive) -> bytes:
    """JSON in UTF-8 with keys in order: the same dataset gives the same bytes.

    `sizes` are the audio's, in bytes, item by item.
    """
    entries = []
    for position, (item, size) in enumerate(zip(items, sizes, strict=True), start=1):
        audio, text = entry_names(position, item.audio_format)
        entries.append(
            {
                "audio": audio,
                "audio_bytes": size,
                "audio_sha256": item.audio_hash,
                "text": text,
                "text_bytes": len(item.prompt_text.encode()),
                "training_item_id": str(item.id),
                "item_key": item.item_key,
                "prompt_id": None if item.prompt_id is None else str(item.prompt_id),
                "parse_id": item.parse_id,
            }
        )
    content = {
        "format": FORMAT,
        "artist": artist,
        "fingerprint": dataset.fingerprint,
        "zip": {"key": dataset.storage_path, "bytes": archive.size, "sha256": archive.sha256},
        "entries": entries,
    }
    return (json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
