"""How well a set's onsets and pitches fit a sound's at every place, by FFT cross-correlation. Numbers only, no answer.

Both sides are treated alike. Onsets: 10 ms grid, mean and deviation over 1 s taken out, so that neither level nor
density counts; the set's are bells of 20 ms, as a player's or an encoder's hand is not surer. Chroma: 0.1 s, each frame
to unit length. A place's value is the correlation over what overlaps (at least 30 % of the shorter), times the
root of that share, so that a little that fits by chance at an edge is worth little.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dawa_assets.ableton.onsets import SongOnsets
from modal_app.audio.alignment_features import CHROMA_A_SECOND, ONSETS_A_SECOND, AlignmentFeatures

SAME_PLACE_SECONDS = 0.1
NEAR_SECONDS = 0.75  # a beat at 80 BPM

_BELL_FRAMES = 2.0
_LOUDNESS = 30.0  # many that begin together are heard as one loud beginning: their sum is taken to this logarithm
_NARROW_TO_BROAD = (24, 72)
_LEAST_BREADTH = 0.2
_LOCAL_FRAMES = ONSETS_A_SECOND
_QUIET = 0.1  # of the whole's deviation: what deviates less there is near to silence and not raised up
_FAINT = 0.2
_LEAST_OVERLAP = 0.3
_LEAST_PITCHED = 0.2  # of the frames; with fewer, pitches say nothing
_FRAMES = ONSETS_A_SECOND // CHROMA_A_SECOND

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OtherPlace:
    """Another place that fits well: `lag` in seconds as in `Fit`, and by how much it is `below` the best one."""

    lag: float
    below: float


@dataclass(frozen=True)
class Fit:
    """The best place: `lag` in seconds is the song's time at the sound's zero.

    `score` is the sum of what onsets and chroma come to there; `chroma` is None where no pitches are known, and
    `transposed` what it comes to in the best of the other eleven keys. `near` is the best other place within
    `NEAR_SECONDS`, where the beat is taken for another one, `far` the best of all others.
    So many `frames` of 10 ms overlap, and in the set something begins at so many `moments` of them.
    """

    lag: float
    score: float
    onsets: float
    chroma: float | None
    transposed: float
    near: OtherPlace
    far: OtherPlace
    frames: int
    moments: int

    @property
    def margin(self) -> float:
        """How much any other place is below this one, at least."""
        return min(self.near.below, self.far.below)


@dataclass(frozen=True)
class SoundProfile:
    """A sound's features, ready to be compared."""

    onsets: Values
    chroma: Values

    @classmethod
    def of(cls, audio: AlignmentFeatures) -> "SoundProfile":
        """Return the features of a file, each to its own level."""
        return cls(_onset_profile(audio.onsets.astype(np.float64)), _chroma_profile(audio.chroma.astype(np.float64)))


def best_fit(song: SongOnsets, sound: SoundProfile, fewest_moments: int) -> Fit | None:
    """Return where song and sound fit best; None where nothing that overlaps has enough moments to count."""
    grid, moments = _grid(song)
    onsets = _correlation(_onset_profile(grid)[:, None], sound.onsets[:, None])
    first = 1 - len(sound.onsets)
    lags = np.arange(first, len(grid))
    starts, stops = _overlap(len(grid), len(sound.onsets))
    known = np.append(0, np.cumsum(moments))
    counts = known[stops] - known[starts]
    onsets[counts < fewest_moments] = -1.0
    if onsets.max() <= -1.0:
        return None
    chroma = _chroma(song)
    pitches, held = None, None
    if np.any(chroma, axis=1).mean() >= _LEAST_PITCHED and sound.chroma.any():
        held = _chroma_profile(chroma)
        at = _correlation(held, sound.chroma)
        pitches = np.interp(lags / _FRAMES, np.arange(1 - len(sound.chroma), len(chroma)), at)
    total = onsets if pitches is None else np.where(onsets > -1.0, onsets + pitches, -1.0)
    best = int(np.argmax(total))
    same, near = (round(seconds * ONSETS_A_SECOND) for seconds in (SAME_PLACE_SECONDS, NEAR_SECONDS))
    apart = np.abs(np.arange(len(total)) - best)
    return Fit(
        lag=(first + best + _summit(total, best)) / ONSETS_A_SECOND,
        score=float(total[best]),
        onsets=float(onsets[best]),
        chroma=None if pitches is None else float(pitches[best]),
        transposed=0.0 if held is None else _transposed(held, sound.chroma, round(float(lags[best]) / _FRAMES)),
        near=_other_place(total, lags, best, (apart > same) & (apart <= near)),
        far=_other_place(total, lags, best, apart > near),
        frames=int(stops[best] - starts[best]),
        moments=int(counts[best]),
    )


def _other_place(total: Values, lags: npt.NDArray[np.int64], best: int, among: npt.NDArray[np.bool_]) -> OtherPlace:
    others = np.where(among, total, -1.0)
    found = int(np.argmax(others))
    return OtherPlace(float(lags[found]) / ONSETS_A_SECOND, float(total[best] - max(others[found], 0.0)))


def _transposed(song: Values, sound: Values, lag: int) -> float:
    """Return the highest correlation of chroma at a lag, in frames, where the song stood in another key."""
    song, sound = song[max(0, lag) :], sound[max(0, -lag) :]
    frames = min(len(song), len(sound))
    song, sound = song[:frames], sound[:frames]
    energy = float(np.sqrt((song**2).sum() * (sound**2).sum())) + 1e-12
    return max(float((np.roll(song, semitones, axis=1) * sound).sum()) for semitones in range(1, 12)) / energy


def _grid(song: SongOnsets) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return the set's onsets as bells on the grid, and where on it anything begins."""
    from scipy.ndimage import gaussian_filter1d

    last = float(song.seconds.max()) if len(song.seconds) else 0.0
    frames = int(max(song.length_seconds, last) * ONSETS_A_SECOND) + 2
    places = song.seconds * ONSETS_A_SECOND
    before = np.floor(places).astype(np.int64)
    after = places - before
    weights = song.weights * _breadth(song)
    grid = np.bincount(before, weights * (1 - after), frames) + np.bincount(before + 1, weights * after, frames)
    bells = gaussian_filter1d(grid, _BELL_FRAMES, mode="constant") * (_BELL_FRAMES * np.sqrt(2 * np.pi))
    moments = np.zeros(frames, np.int64)
    moments[(np.unique(before // 3) * 3)] = 1
    return np.log1p(_LOUDNESS / 5 * bells), moments


def _breadth(song: SongOnsets) -> Values:
    """Return how much of the spectrum each onset raises: all for drums and high notes, the less the lower a note is."""
    lowest, highest = _NARROW_TO_BROAD
    by_pitch = np.clip((song.pitches - lowest) / (highest - lowest), _LEAST_BREADTH, 1.0)
    return np.where(song.pitches >= 0, by_pitch, 1.0)


def _onset_profile(onsets: Values) -> Values:
    """Take out the local mean and deviation."""
    from scipy.ndimage import uniform_filter1d

    mean = uniform_filter1d(onsets, _LOCAL_FRAMES, mode="constant")
    variance = np.maximum(uniform_filter1d(onsets**2, _LOCAL_FRAMES, mode="constant") - mean**2, 0.0)
    profile: Values = (onsets - mean) / (np.sqrt(variance) + _QUIET * np.sqrt(variance.mean()) + 1e-12)
    return profile


def _chroma(song: SongOnsets) -> Values:
    """Return how much of each pitch class is held in the set, of shape (frames, 12)."""
    frames = int(max(song.length_seconds, float(song.ends.max(initial=0.0))) * CHROMA_A_SECOND) + 2
    chroma = np.zeros((frames, 12))
    middle = _FRAMES // 2  # a frame's time is its middle
    for pitch_class in range(12):
        chosen = (song.pitches >= 0) & (song.pitches % 12 == pitch_class)
        if not chosen.any():
            continue
        weights = song.weights[chosen]
        begins, ends = (
            np.minimum(np.rint(times[chosen] * ONSETS_A_SECOND).astype(np.int64) + middle, frames * _FRAMES)
            for times in (song.seconds, song.ends)
        )
        size = frames * _FRAMES + 1
        held = np.cumsum(np.bincount(begins, weights, size) - np.bincount(ends, weights, size))
        chroma[:, pitch_class] = np.maximum(held[:-1].reshape(frames, _FRAMES).mean(axis=1), 0.0)
    chroma[chroma < 1e-9] = 0.0
    return chroma


def _chroma_profile(chroma: Values) -> Values:
    """Take out what all classes have in common, and the level but of frames that are near to silence."""
    rooted = np.sqrt(chroma)
    rooted = rooted - rooted.mean(axis=1, keepdims=True)
    power = (rooted**2).sum(axis=1, keepdims=True)
    profile: Values = rooted / (np.sqrt(power) + _FAINT * np.sqrt(power.mean() if len(power) else 0.0) + 1e-12)
    return profile


def _overlap(song: int, sound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each lag, from 1 - sound on, from where to where in the song the two overlap."""
    lags = np.arange(1 - sound, song)
    return np.maximum(0, lags), np.minimum(song, lags + sound)


def _correlation(song: Values, sound: Values) -> Values:
    """Return for each lag how alike what overlaps is, times the root of its share; -1 where that is too little.

    Args:
        song: of shape (frames, dimensions).
        sound: likewise.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(song) + len(sound), True)
    products = np.zeros(size)
    for column, other in zip(song.T, sound.T, strict=True):
        products += irfft(rfft(column, size) * np.conj(rfft(other, size)), size)
    products = np.concatenate([products[size - len(sound) + 1 :], products[: len(song)]])
    lags = np.arange(1 - len(sound), len(song))
    starts, stops = _overlap(len(song), len(sound))
    energies = [np.append(0.0, np.cumsum((side**2).sum(axis=1))) for side in (song, sound)]
    energy = (energies[0][stops] - energies[0][starts]) * (energies[1][stops - lags] - energies[1][starts - lags])
    share = (stops - starts) / min(len(song), len(sound))
    least = 1e-6 * energies[0][-1] * energies[1][-1]
    fit = products / np.sqrt(np.maximum(energy, least + 1e-12)) * np.sqrt(share)
    return np.where(share >= _LEAST_OVERLAP, fit, -1.0)


def _summit(values: Values, best: int) -> float:
    """Return how far from a highest value the summit of the parabola through it and its neighbours lies."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = (float(each) for each in values[best - 1 : best + 2])
    curve = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve < 0 else 0.0
