"""What sounds: the playhead agrees with it to 20 ms after a jump to anywhere, and a link to a file plays by itself."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from resources.ports import Ports
from tests.dawa_assets.http.train_mode.material import add_audio, comes, open_set, with_sets
from tests.dawa_assets.intake.material import new_artist, rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

RATE = 44_100
EVERY = 7.3  # seconds between clicks: no whole number of any codec's frames
MAX_COUNT = 0.020  # seconds

# Listens to what the page's player gives out, and notes at once where the playhead is and how long ago the latest click
# sounded, counted in samples. What the page shows is drawn from the same `currentTime`.
_TAP = """
() => {
  const audio = document.querySelector(".audio-panel audio");
  const context = new AudioContext({ sampleRate: 44100 });
  const tap = new AnalyserNode(context, { fftSize: 32768 });
  context.createMediaElementSource(audio).connect(tap).connect(context.destination);
  window.heard = async (start) => {
    await context.resume();
    audio.currentTime = start;
    if (audio.seeking) await new Promise((resolve) => audio.addEventListener("seeked", resolve, { once: true }));
    await audio.play();
    const samples = new Float32Array(tap.fftSize);
    const found = [];
    while (found.length < 9) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      tap.getFloatTimeDomainData(samples);
      const position = audio.currentTime;
      const at = samples.findIndex((sample) => Math.abs(sample) > 0.2);
      if (at >= 0 && position > start + 0.2) found.push(position - (samples.length - at) / context.sampleRate);
      else if (position > start + 3) throw new Error("no click was heard");
    }
    audio.pause();
    do {
      await new Promise((resolve) => setTimeout(resolve, 20));
      tap.getFloatTimeDomainData(samples);
    } while (samples.some((sample) => Math.abs(sample) > 0.2)); // what the tap still holds of it
    return found;
  };
}
"""


def clicks(path: Path, seconds: float) -> None:
    """Write silence with a click of 2 ms every `EVERY` seconds, block by block, as the file's name says."""
    import av
    import soundfile

    def blocks() -> Iterator[np.ndarray]:
        length = int(seconds * RATE)
        for start in range(0, length, RATE * 10):
            block = np.zeros(min(RATE * 10, length - start), np.float32)
            for number in range(int(start / RATE / EVERY), int((start / RATE + 10) / EVERY) + 1):
                at = round(number * EVERY * RATE) - start
                if number and 0 <= at < len(block):
                    block[at : at + 88] = 0.8
            yield block

    codec = {".mp3": "libmp3lame", ".m4a": "aac"}.get(path.suffix)
    if codec is None:
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for block in blocks():
                file.write(block)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        written = 0
        for block in blocks():
            frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, written
            written += len(block)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def _give(ports: Ports, summary: dict[str, Any], slug: str, path: Path) -> None:
    """Make a file the audio of a set's item, as if it had been taken in."""
    key = f"artists/{slug}/{path.name}"
    ports.bucket.put(key, path.read_bytes())
    with ports.database.transaction() as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute(
            "update training_items set audio_path = %s, audio_hash = %s where als_summary_id = %s",
            [key, hashlib.sha256(path.read_bytes()).hexdigest(), summary["id"]],
        )


def _is_true(page: "Page", numbers: list[int]) -> None:
    page.evaluate(_TAP)
    off = {}
    for number in numbers:
        at = number * EVERY
        off[number] = median(page.evaluate("(start) => heard(start)", at - 0.31)) - at
    assert max(map(abs, off.values())) < MAX_COUNT, off


def test_it_agrees_with_an_mp3_before_it_is_saved_and_after(
    site: str, site_ports: Ports, page: "Page", tmp_path: Path
) -> None:
    artist, (song,) = with_sets(site_ports, "Clicks", 1)
    clicks(tmp_path / "song 1.mp3", 34)
    open_set(page, site, artist, song["parse_id"])
    add_audio(page, tmp_path / "song 1.mp3")
    page.locator(".waveform").wait_for()
    _is_true(page, [2])
    _give(site_ports, song, artist.slug, tmp_path / "song 1.mp3")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").or_(page.get_by_role("button", name="Cancel the upload")).click()
    page.reload()
    page.get_by_text("LUFS").wait_for()
    _is_true(page, [4])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg"])
def test_it_agrees_with_a_file_of_an_hour(
    site: str, site_ports: Ports, page: "Page", tmp_path: Path, suffix: str
) -> None:
    artist, (song,) = with_sets(site_ports, f"An hour of {suffix}", 1)
    path = tmp_path / f"hour.{suffix}"
    clicks(path, 3_600)
    _give(site_ports, song, artist.slug, path)
    page.set_default_timeout(240_000)  # the server decodes the hour, once
    open_set(page, site, artist, song["parse_id"])
    page.get_by_text("LUFS").wait_for()
    assert rows(site_ports, "select 1 from training_items where audio_path = %s", f"artists/{artist.slug}/{path.name}")
    _is_true(page, [492, 3, 250, 411, 100])


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_sound_whose_link_is_opened_plays(page: "Page", site: str, site_ports: Ports, form: str) -> None:
    import soundfile

    artist, file = new_artist(site_ports, f"Heard as {form}"), io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(88_200) / 20), 44_100, format=form)
    site_ports.bucket.put(f"artists/{artist.slug}/tone.{form}", file.getvalue())
    page.goto(f"{site}/files/artists/{artist.slug}/tone.{form}")
    comes(page, lambda: page.evaluate("document.querySelector('video, audio')?.currentTime > 0.2"))
    assert page.evaluate("document.querySelector('video, audio').duration") == pytest.approx(2.0, abs=0.1)


def test_a_linked_picture_is_shown_and_a_fake_runs_no_script(
    page: "Page", site: str, site_ports: Ports, problems: list[str]
) -> None:
    from PIL import Image

    artist, file = new_artist(site_ports, "Seen"), io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "PNG")
    site_ports.bucket.put(f"artists/{artist.slug}/seen.png", file.getvalue())
    page.goto(f"{site}/files/artists/{artist.slug}/seen.png")
    comes(page, lambda: page.evaluate("document.images[0]?.naturalWidth === 40"))
    script = b"<html><script>document.title = 'ran'</script>"
    for name in ("script.png", "script.wav", "script.txt"):
        site_ports.bucket.put(f"artists/{artist.slug}/{name}", script)
        page.goto(f"{site}/files/artists/{artist.slug}/{name}")
        assert page.title() != "ran"
    problems.clear()  # the broken picture and the broken sound are said on the console
