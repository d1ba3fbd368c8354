"""A file whose link is opened in a tab of its own: from a page of Dagster's UI, from a mail."""

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from PIL import Image

from resources.ports import Ports
from tests.http.train_mode.material import comes
from tests.intake.material import new_artist

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_a_sound_plays(page: "Page", site: str, site_ports: Ports, form: str) -> None:
    artist = new_artist(site_ports, f"Heard as {form}")
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(88_200) / 20), 44_100, format=form)
    site_ports.bucket.put(f"artists/{artist.slug}/tone.{form}", file.getvalue())
    page.goto(f"{site}/files/artists/{artist.slug}/tone.{form}")
    comes(page, lambda: page.evaluate("document.querySelector('video, audio')?.currentTime > 0.2"))
    assert page.evaluate("document.querySelector('video, audio').duration") == pytest.approx(2.0, abs=0.1)


def test_a_picture_shows_and_what_claims_to_be_one_runs_nothing(
    page: "Page", site: str, site_ports: Ports, problems: list[str]
) -> None:
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
