"""Kept waveforms: a damaged one is measured again."""

import numpy as np
import pytest

from dawa_assets.items.waveforms import waveform_of
from resources.ports import Ports
from tests.modal_app.audio.odd_files import RATE, chirps, wav

KEY = "artists/nova/training/0/audio.wav"


@pytest.mark.parametrize("damage", ["cut", "middle", "method", "encrypted", "empty"])
def test_what_was_damaged_on_the_disk_is_measured_again(ports: Ports, damage: str) -> None:
    ports.bucket.put(KEY, wav(chirps(RATE)))
    sha256, whole = waveform_of(ports, KEY, None)
    (place,) = (ports.settings.home / "cache" / "waveforms").rglob("*.npz")
    kept = place.read_bytes()
    middle, entry = kept.index(b".npy") + 30, kept.index(b"PK\x01\x02")
    place.write_bytes(
        {
            "cut": kept[: len(kept) // 2],
            "middle": kept[:middle] + bytes(b ^ 0xFF for b in kept[middle : middle + 16]) + kept[middle + 16 :],
            "method": kept[: entry + 10] + b"\x63" + kept[entry + 11 :],
            "encrypted": kept[: entry + 8] + b"\x01" + kept[entry + 9 :],
            "empty": b"",
        }[damage]
    )
    again, measured = waveform_of(ports, KEY, sha256)
    assert again == sha256
    np.testing.assert_array_equal(measured.low, whole.low)
    assert place.read_bytes()[:4] == b"PK\x03\x04"
    assert waveform_of(ports, KEY, sha256)[1].loudness == whole.loudness
