"""How other trainers want a dataset described. Pure: from what is known of tracks to the text of their files.

ACE-Step's own trainer reads one JSON file (a `.txt` beside a track would be its lyrics). Audiocraft reads a line of
JSON for each track, and a file of the track's name with what is known of the music. Both look paths up from where they
were started, so that paths here are absolute. Hugging Face's `audiofolder` has a line of JSON for each track too, with
paths from its own place. Sidecars are files of the track's name: caption, lyrics, and what else is known.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawa_assets.tables.datasets import ExportedTrack
from modal_app.protocol.training import CaptionPart
from modal_app.training.caption_rule import caption_parts, key_in, plain_tags

_INSTRUMENTAL = "[Instrumental]"
_ACE_SIGNATURES = ("2", "3", "4", "6")  # beats in a bar, of which the model knows these


@dataclass(frozen=True)
class Described:
    """A track with what decoding it told, and what its segments' texts have in common."""

    track: ExportedTrack
    path: Path
    seconds: float
    sample_rate: int
    texts: Sequence[str]

    @property
    def caption(self) -> str:
        """The prompt without its closing BPM line, which has a place of its own in every format."""
        return next((part.text for part in self._parts() if part.kind == "prompt"), "")

    @property
    def bpm(self) -> float | None:
        """The Live Set's tempo, else the one that the prompt ends with."""
        return next((float(part.text.removeprefix("BPM: ")) for part in self._parts() if part.kind == "tempo"), None)

    @property
    def key(self) -> str | None:
        """The Live Set's key, else the one that most of the segments with a key have."""
        if self.track.key is not None:
            return self.track.key
        found = Counter(key for text in self.texts if (key := key_in(text)))
        key, count = found.most_common(1)[0] if found else (None, 0)
        return key if 2 * count > found.total() else None

    @property
    def keywords(self) -> list[str]:
        """The words that at least half of the segments were tagged with, the most common first."""
        found = Counter(word for text in self.texts for word in dict.fromkeys(plain_tags(text)) if word)
        return [word for word, count in found.most_common() if 2 * count >= len(self.texts)]

    def _parts(self) -> list[CaptionPart]:
        return caption_parts(self.track.prompt_text, None, self.track.bpm)


def ace_step_manifest(name: str, tracks: Sequence[Described]) -> str:
    """Return the content of `dataset.json` for ACE-Step's trainer."""
    metadata = {
        "name": name,
        "custom_tag": "",
        "tag_position": "prepend",
        "num_samples": len(tracks),
        "all_instrumental": True,
        "genre_ratio": 0,
    }
    return _json({"metadata": metadata, "samples": [_ace_step_sample(track) for track in tracks]})


def audiocraft_line(track: Described) -> str:
    """Return the track's line of `data.jsonl`, with its line end."""
    line = {
        "path": str(track.path),
        "duration": track.seconds,
        "sample_rate": track.sample_rate,
        "amplitude": None,
        "weight": None,
        "info_path": None,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def audiocraft_info(artist: str, track: Described) -> str:
    """Return the content of the `.json` beside the track; what is unknown is empty, for every field must be there."""
    return _json(
        {
            "title": track.track.title,
            "artist": artist,
            "name": track.path.stem,
            "description": track.caption,
            "keywords": ", ".join(track.keywords),
            "key": track.key or "",
            "bpm": "" if track.bpm is None else track.bpm,
            "genre": "",
            "moods": [],
            "instrument": "Mix",
            "duration": track.seconds,
            "sample_rate": track.sample_rate,
            "file_extension": track.track.audio_format,
        }
    )


def audiofolder_line(track: Described) -> str:
    """Return the track's line of `metadata.jsonl`, with its line end.

    Every line has the same keys, and each key one type or null: columns are made of them.
    """
    line = {
        "file_name": f"{track.path.parent.name}/{track.path.name}",
        "text": track.caption,
        "title": track.track.title,
        "bpm": None if track.bpm is None else float(track.bpm),
        "key": track.key,
        "time_signature": track.track.time_signature,
        "keywords": ", ".join(track.keywords),
        "lyrics": _INSTRUMENTAL,
        "duration": float(track.seconds),
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def sidecars(track: Described) -> dict[str, str]:
    """Return the files beside the track, by how their names end: its caption, its lyrics, and all that is known.

    The JSON has the keys that ACE-Step's trainer takes from such a file.
    """
    sample = _ace_step_sample(track)
    known = ("caption", "lyrics", "bpm", "keyscale", "timesignature", "language", "is_instrumental", "duration")
    return {
        ".txt": sample["caption"] + "\n",
        ".lyrics.txt": sample["lyrics"] + "\n",
        ".json": _json({"title": track.track.title, **{name: sample[name] for name in known}}),
    }


def _ace_step_sample(track: Described) -> dict[str, Any]:
    beats = (track.track.time_signature or "").partition("/")[0]
    return {
        "id": f"track-{track.track.position:04d}",
        "audio_path": str(track.path),
        "filename": track.path.name,
        "caption": track.caption,
        "genre": "",
        "lyrics": _INSTRUMENTAL,
        "bpm": None if track.bpm is None else round(track.bpm),
        "keyscale": track.key or "",
        "timesignature": beats if beats in _ACE_SIGNATURES else "",
        "duration": round(track.seconds, 3),
        "language": "unknown",
        "is_instrumental": True,
        "labeled": True,
    }


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
