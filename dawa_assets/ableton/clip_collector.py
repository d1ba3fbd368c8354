"""Collects clips of both views, and what is played in them. One method for each place of `grammar.py`."""

import math

from dawa_assets.ableton.collector import Attributes, Collector
from dawa_assets.ableton.drafts import ClipDraft, Stroke
from dawa_assets.ableton.live_set import ArrangementClip, Scale, SessionClip
from dawa_assets.ableton.notes import Tally, Window
from dawa_assets.ableton.values import MAX_BEATS, colour, loose_number, number, scale, text

MAX_ONSETS = 400_000
"""What is kept of a set's onsets, the repetitions of loops included; the largest real set has some 60,000."""
_CLIP_WEIGHT, _MARKER_WEIGHT = 1.0, 0.5


class ClipCollector(Collector):
    """The clip at hand and its notes."""

    def __init__(self, *, with_onsets: bool = False) -> None:
        super().__init__()
        self._onsets_left = MAX_ONSETS if with_onsets else 0
        self._strokes: list[Stroke] = []
        self._clip = ClipDraft()
        self._slot = -1
        self._window = Window()
        self._pitch: int | None = None
        self._lane = (0.0, 0.0)
        self.collected: list[dict[str, str]] = []

    def clip(self, _tag: str, attributes: Attributes) -> None:
        """A clip of either view begins."""
        self._clip = ClipDraft(start=attributes.get("Time", "0"))

    def clip_start(self, _tag: str, attributes: Attributes) -> None:
        """Where it begins on the timeline, in beats."""
        self._clip.start = attributes.get("Value", "")

    def clip_end(self, _tag: str, attributes: Attributes) -> None:
        """Where it ends on the timeline, in beats."""
        self._clip.end = attributes.get("Value", "")

    def clip_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name, often empty."""
        self._clip.name = text(attributes.get("Value", ""))

    def clip_colour(self, _tag: str, attributes: Attributes) -> None:
        """Its own colour."""
        self._clip.colour = colour(attributes.get("Value", ""))

    def clip_disabled(self, _tag: str, attributes: Attributes) -> None:
        """Whether it is deactivated."""
        self._clip.disabled = attributes.get("Value") == "true"

    def clip_gain(self, _tag: str, attributes: Attributes) -> None:
        """The gain of an audio clip, as a factor."""
        gain = loose_number(attributes.get("Value"))
        self._clip.gain = gain if gain >= 0 else 1.0

    def loop_start(self, _tag: str, attributes: Attributes) -> None:
        """Where its loop begins, or what is played of it; in beats of its content."""
        self._clip.loop_start = attributes.get("Value", "")

    def loop_end(self, _tag: str, attributes: Attributes) -> None:
        """Where that ends."""
        self._clip.loop_end = attributes.get("Value", "")

    def loop_offset(self, _tag: str, attributes: Attributes) -> None:
        """How far behind the loop's start it is played from first."""
        self._clip.offset = attributes.get("Value", "")

    def loop_on(self, _tag: str, attributes: Attributes) -> None:
        """Whether it is repeated."""
        self._clip.loops = attributes.get("Value") == "true"

    def clip_warped(self, _tag: str, attributes: Attributes) -> None:
        """Whether an audio clip follows the tempo; else its content is counted in seconds."""
        self._clip.warped = attributes.get("Value") == "true"

    def warp_marker(self, _tag: str, attributes: Attributes) -> None:
        """A place of an audio clip's content that is tied to a beat, most often where something begins."""
        if self._onsets_left > len(self._clip.strokes):
            beat = loose_number(attributes.get("BeatTime"))
            if math.isfinite(beat):
                self._clip.strokes.append(Stroke(beat, _MARKER_WEIGHT))

    def end_arrangement_clip(self) -> None:
        """An arrangement clip is complete."""
        clip, track = self._clip, self._track
        start = number(clip.start, "the start of a clip", -MAX_BEATS, MAX_BEATS)
        end = number(clip.end, "the end of a clip", -MAX_BEATS, MAX_BEATS)
        self._keep(clip.name)
        track.arrangement_clips.append(
            ArrangementClip(start, max(start, end), clip.name, clip.colour, clip.active, clip.empty, clip.sample)
        )
        if clip.active and clip.notes is not None:
            track.arrangement_notes.add_all(clip.notes)
        if clip.active and self._onsets_left:
            self._keep_onsets(start, max(start, end))
        self._keep_scale(track.arrangement_scales, max(start, end) - start)

    def slot(self, _tag: str, _attributes: Attributes) -> None:
        """The next slot of the track's column in the session view."""
        self._slot += 1

    def end_session_clip(self) -> None:
        """A session clip is complete; once through, it is as long as its loop."""
        clip, track = self._clip, self._track
        self._keep(clip.name)
        length = loose_number(clip.loop_end) - loose_number(clip.loop_start)
        length = length if 0 < length <= MAX_BEATS else 0.0
        track.session_clips.append(
            SessionClip(self._slot, clip.name, clip.colour, clip.active, clip.empty, length, clip.sample)
        )
        if clip.active and clip.notes is not None:
            track.session_notes.add_all(clip.notes)
        self._keep_scale(track.session_scales, length)

    def clip_scale_root(self, _tag: str, attributes: Attributes) -> None:
        """The root of the clip's own scale, 0 = C."""
        self._clip.scale_root = attributes.get("Value", "")

    def clip_scale_name(self, _tag: str, attributes: Attributes) -> None:
        """The name of the clip's own scale, or from 12.1 its number."""
        self._clip.scale_name = text(attributes.get("Value", ""))

    def _keep_scale(self, scales: dict[Scale, float], beats: float) -> None:
        clip = self._clip
        if clip.scale_root and clip.active and (own := scale(clip.scale_root, clip.scale_name)) is not None:
            if own not in scales:
                self._keep(own.name)
            scales[own] = scales.get(own, 0.0) + beats

    # -- notes: Live writes a lane for each pitch, and the pitch after its notes ---------------------------

    def arrangement_notes(self, _tag: str, _attributes: Attributes) -> None:
        """The notes of an arrangement clip begin; they are repeated for as long as the clip is."""
        clip = self._clip
        self._begin_notes(loose_number(clip.end) - loose_number(clip.start))

    def session_notes(self, _tag: str, _attributes: Attributes) -> None:
        """The notes of a session clip begin; nobody knows how often it is played, so they count once."""
        self._begin_notes(loose_number(self._clip.loop_end) - loose_number(self._clip.loop_start))

    def note_pitch(self, _tag: str, attributes: Attributes) -> None:
        """Which pitch it was."""
        pitch = loose_number(attributes.get("Value"))
        self._pitch = int(pitch) if 0 <= pitch < 128 else None

    def end_note_lane(self) -> None:
        """All notes of the pitch have been passed."""
        self.count_collected()
        if self._onsets_left:
            self._end_lane_of_strokes()
        if self._pitch is not None and self._clip.notes is not None:
            self._clip.notes.add(self._pitch, *self._lane)
        self._lane = (0.0, 0.0)
        self._pitch = None

    def count_collected(self) -> None:
        """Count the notes passed since, each as often as the clip's loop comes to it; none that is switched off."""
        if self._onsets_left:
            self._keep_strokes()
        notes, beats = self._lane
        window = self._window
        loops, start, end, simple = window.loops, window.start, window.end, window.whole_repetitions
        for attributes in self.collected:
            try:
                time, duration = float(attributes["Time"]), float(attributes["Duration"])
            except (KeyError, ValueError):
                continue
            if not 0 < duration < MAX_BEATS or attributes.get("IsEnabled") == "false":
                continue
            if loops and not simple:
                times = window.plays(time)
            elif start <= time < end:
                times = simple or 1
            else:
                continue
            notes += times
            beats += times * duration
        self._lane = notes, beats
        self.collected.clear()

    def _begin_notes(self, duration: float) -> None:
        self._clip.notes = Tally()
        self._window = self._content(duration)

    def _content(self, duration: float) -> Window:
        """Return what of the clip's content is played in so many beats."""
        clip = self._clip
        start, end = loose_number(clip.loop_start), loose_number(clip.loop_end)
        if not end > start:
            return Window()
        offset = loose_number(clip.offset)
        first = start + (offset if math.isfinite(offset) else 0.0)
        known = 0 < duration <= MAX_BEATS
        return Window(start, end, first, duration if known else end - start, loops=clip.loops)

    # -- onsets, where they are asked for ------------------------------------------------------------------

    def _keep_strokes(self) -> None:
        """Keep the beginnings of the notes passed since, as loud as they are."""
        lane, room = self._strokes, self._onsets_left - len(self._clip.strokes)
        for attributes in self.collected[: max(0, room - len(lane))]:
            if attributes.get("IsEnabled") == "false":
                continue
            time, length = loose_number(attributes.get("Time")), loose_number(attributes.get("Duration"))
            velocity = min(loose_number(attributes.get("Velocity", "100")), 127.0)
            if math.isfinite(time) and 0 < length < MAX_BEATS and velocity > 0:
                lane.append(Stroke(time, velocity / 127, length))

    def _end_lane_of_strokes(self) -> None:
        """Give the lane's notes their pitch, which is written behind them."""
        if self._pitch is not None:
            self._clip.strokes += [stroke._replace(pitch=self._pitch) for stroke in self._strokes]
        self._strokes.clear()

    def _keep_onsets(self, start: float, end: float) -> None:
        """Keep when the strokes of an arrangement clip are played; of an audio clip also its start and its loop's."""
        clip = self._clip
        window, strokes = self._window, clip.strokes
        if clip.notes is None:
            window = self._content(end - start)
            # The last marker only says how the clip goes on behind the one before it.
            strokes = strokes[:-1] if clip.warped else []
            if window.loops and clip.warped:
                strokes = [*strokes, Stroke(window.start, _CLIP_WEIGHT)]
            self._keep_onset(start, Stroke(0.0, _CLIP_WEIGHT))
        for stroke in strokes:
            for after in window.occurrences(stroke.beat):
                if start + after >= end or not self._keep_onset(start + after, stroke):
                    break

    def _keep_onset(self, beat: float, stroke: Stroke) -> bool:
        """Keep one; False where there is no room for it."""
        if not self._onsets_left:
            return False
        track = self._track
        track.onset_beats.append(beat)
        track.onset_weights.append(stroke.weight)
        track.onset_pitches.append(stroke.pitch)
        track.onset_lengths.append(stroke.length)
        self._onsets_left -= 1
        if not self._onsets_left:
            self.warn(f"more than {MAX_ONSETS:,} notes and clips: what comes after them is not compared")
        return True
