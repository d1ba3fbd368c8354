"""From a file's channels to those that a generator is trained on. Pure functions."""

import math

import numpy as np

from modal_app.audio.pcm import Signal

_CENTRE = math.sqrt(0.5)
# ITU-R BS.775-4, annex 4, table 2: what each loudspeaker gives to the left and the right one. The low-frequency
# channel is left out, as it says there.
_TO_STEREO = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_CENTRE, _CENTRE),
    "LFE": (0.0, 0.0),
    "BL": (_CENTRE, 0.0),
    "BR": (0.0, _CENTRE),
    "SL": (_CENTRE, 0.0),
    "SR": (0.0, _CENTRE),
    "BC": (0.5, 0.5),
}


def mono(channels: Signal) -> Signal:
    """Return the mean of the channels: (channels, n) to (n,)."""
    if len(channels) == 2:
        sides: Signal = channels[0] + channels[1]
        sides *= np.float32(0.5)
        return sides
    mixed: Signal = channels[0].copy()
    for channel in channels[1:]:
        mixed += channel
    mixed /= len(channels)
    return mixed


def stereo(channels: Signal, mixed: Signal, positions: tuple[str, ...] | None) -> Signal:
    """Two sides of shape (n, 2): a stereo file's own, surround folded down by ITU-R BS.775, else the mean in both.

    Args:
        channels: (channels, n).
        mixed: their mean.
        positions: the channels' loudspeakers, where they are known.
    """
    if len(channels) == 2:
        return np.stack(list(channels), axis=1)
    known = positions is not None and len(positions) == len(channels) > 2 and {"FL", "FR"} <= set(positions)
    if not known or positions is None or not set(positions) <= set(_TO_STEREO):
        return np.stack([mixed, mixed], axis=1)
    gains = np.array([_TO_STEREO[name] for name in positions], np.float32)
    folded: Signal = np.einsum("cn,cs->ns", channels, gains)
    return folded
