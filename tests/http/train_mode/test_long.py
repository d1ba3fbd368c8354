"""What takes long: the playhead against the audio of an hour, and 500 sets in the library."""

import io
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from benchmarks.train_mode import MOST_MILLISECONDS, SETS, fill, library_script
from resources.ports import Ports
from tests.http.serving import TEXT
from tests.http.train_mode.material import add_audio, comes, open_set, save_button, with_sets
from tests.intake.material import rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

RATE, HOUR = 8000, 3600
EVERY = 0.5  # seconds from click to click
MOST_OFF = 0.02

_HEAR = """
async () => {
  const audio = document.querySelector(".audio-panel audio");
  const context = new AudioContext();
  const node = context.createScriptProcessor(256, 1, 1);
  context.createMediaElementSource(audio).connect(node).connect(context.destination);
  window.heard = [];
  node.onaudioprocess = (event) => {
    const samples = event.inputBuffer.getChannelData(0);
    const first = samples.findIndex((sample) => Math.abs(sample) > 0.4);
    if (first < 0) return;
    // This block is heard as the next one: its samples lie so far behind what the page says is playing now.
    const ago = context.currentTime - (event.playbackTime - (256 - first) / context.sampleRate);
    window.heard.push(audio.currentTime - Math.max(ago, 0));
  };
  await context.resume();
}
"""


def hour_of_clicks() -> bytes:
    """An hour of silence with a click of a millisecond every half second."""
    samples = np.zeros(HOUR * RATE, dtype="<i2")
    starts = (np.arange(0, HOUR, EVERY) * RATE).astype(int)
    for offset in range(8):
        samples[starts + offset] = 28_000
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return target.getvalue()


def test_the_playhead_agrees_with_the_audio_of_an_hour(
    site: str, site_ports: Ports, page: "Page", audio_file: Callable[[str, bytes], Path]
) -> None:
    artist, (song,) = with_sets(site_ports, "Hour", 1)
    open_set(page, site, artist, song["parse_id"])
    add_audio(page, audio_file("hour.wav", hour_of_clicks()))
    page.get_by_text("arrived – not saved yet").wait_for(timeout=240_000)
    page.locator("#prompt").fill(TEXT.replace("122", "121"))
    page.get_by_text("Rules kept", exact=True).wait_for()
    save_button(page).click()
    comes(
        page,
        lambda: rows(site_ports, "select 1 from training_items where artist_id = %s and status = 'ready'", artist.id),
    )
    page.get_by_text("LUFS").wait_for(timeout=240_000)
    page.evaluate(_HEAR)
    box = page.locator(".waveform").bounding_box()
    assert box is not None
    for share in (0.0003, 0.5, 0.25, 0.99):
        page.mouse.click(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.6)
        page.wait_for_timeout(300)
        page.evaluate("heard.length = 0")
        page.keyboard.press("Space")
        comes(page, lambda: page.evaluate("heard.length") >= 4)
        page.keyboard.press("Space")
        places = page.evaluate("heard")
        off = [abs((place + EVERY / 2) % EVERY - EVERY / 2) for place in places]
        assert abs(places[0] - share * HOUR) < HOUR * 0.01
        assert max(off) < MOST_OFF, (share, places)


def test_500_sets_stand_and_are_filtered_within_a_tenth_of_a_second_of_script(
    site: str, site_ports: Ports, page: "Page"
) -> None:
    slug = fill(site_ports, SETS)
    took = library_script(page, site, slug)
    assert max(took.values()) < MOST_MILLISECONDS, took


def test_a_user_goes_on_where_events_are_cut(site: str, site_ports: Ports, page: "Page", problems: list[str]) -> None:
    artist, (song,) = with_sets(site_ports, "Polled", 1)
    page.route(re.compile("/events$"), lambda route: route.abort())
    page.goto(f"{site}/#/{artist.slug}/library")
    page.locator("li.set").wait_for()
    item = rows(site_ports, "select id from training_items where artist_id = %s", artist.id)[0]["id"]
    httpx.post(
        f"{site}/api/artists/{artist.id}/items/{item}/exclude", json={"reason": "not cleared"}
    ).raise_for_status()
    page.locator("li.set .badge[data-badge=excluded]").wait_for()
    assert song["parse_id"]
    page.close()
    problems.clear()  # the cut streams
