"""What a page shows of files: links where they are served, what fits into the event log where they are not."""

from dataclasses import replace

import dagster as dg
import pytest
from pydantic import SecretStr

from dawa_assets.artists.delete import delete_artist
from dawa_assets.defs.page_files import MAX_SOUNDS, Sound, drawn_pictures, sounds, stored_picture
from dawa_assets.pipeline.files_address import keep_port
from resources.ports import Ports
from tests.dawa_assets.intake.material import new_artist

PNG = b"\x89PNG"
KEY = "artists/nova/pages/waveforms.png"


def served(ports: Ports) -> Ports:
    return replace(ports, settings=ports.settings.model_copy(update={"serve_url": "http://127.0.0.1:9"}))


def draw(ports: Ports, png: bytes, of: str = "a track") -> dict[str, dg.MetadataValue]:
    names = {"waveforms": "waveforms", "none": "none"} if of == "no track" else {"waveforms": "waveforms"}
    return drawn_pictures(ports, "nova", names, of, lambda: {"waveforms": png})


def test_without_an_address_pictures_are_in_the_page_itself(ports: Ports) -> None:
    shown = draw(ports, PNG)
    assert str(shown["waveforms"].value).startswith("![waveforms](data:image/png;base64,")
    assert list(ports.bucket.list()) == []
    assert sounds(ports, "nova", [Sound("a", "artists/nova/a.wav")]) == {}


@pytest.mark.parametrize(
    ("given", "is_linked"),
    [
        ({"serve_url": "http://localhost:9"}, True),
        ({"serve_url": "https://music.example"}, False),
        ({"serve_url": "http://127.0.0.1:9", "app_password": SecretStr("x")}, False),
        ({"serve_url": "http://127.0.0.1:9", "supabase_url": "https://abc.supabase.co"}, False),
        ({"serve_url": "http://127.0.0.1:4711", "app_password": SecretStr("x")}, True),
    ],
)
def test_pictures_are_links_where_nobody_is_asked_who_they_are(
    ports: Ports, given: dict[str, object], is_linked: bool
) -> None:
    keep_port(ports.settings, 4711)  # what the UI serves beside itself
    shown = draw(replace(ports, settings=ports.settings.model_copy(update=given)), PNG)
    assert str(shown["waveforms"].value).startswith("[![" if is_linked else "![waveforms](data:")


def test_a_drawn_picture_is_kept_once_and_goes_with_the_artist(ports: Ports) -> None:
    new_artist(ports)
    first = draw(served(ports), PNG)
    made = list(ports.bucket.list())
    again = draw(served(ports), b"drawn otherwise by another machine")
    assert (made[0].key, list(ports.bucket.list())) == (KEY, made)
    assert first == again == stored_picture(served(ports), "nova", KEY, "waveforms")
    draw(served(ports), PNG[::-1], "another track")
    with ports.bucket.open(KEY) as stream:
        assert stream.read() == PNG[::-1]
    ports.bucket.delete([KEY])
    assert list(draw(served(ports), PNG, "no track")) == ["waveforms"]
    assert ports.bucket.stat(KEY) is not None
    delete_artist(ports, "nova", author="me")
    assert list(ports.bucket.list()) == []


def test_only_what_is_the_artist_s_own_is_linked_to(ports: Ports) -> None:
    ports.bucket.put("artists/other/a.png", PNG)
    assert stored_picture(served(ports), "nova", "artists/other/a.png", "a") == {}
    assert stored_picture(served(ports), "nova", "artists/nova/none.png", "a") == {}
    assert sounds(served(ports), "nova", [Sound("a", "artists/other/a.wav")]) == {}


def test_sounds_are_as_many_as_the_ui_shows_in_place(ports: Ports) -> None:
    name = "A [long] name of a project/Its Live Set"
    key = "artists/an-artist-of-many-words/training/00000000-0000-0000-0000-000000000000/audio.flac"
    found = [Sound(name, key, "its loudest segment, from 1:30", (90.0, 105.0))] * 20
    told = sounds(served(ports), "an-artist-of-many-words", found)["listen"]
    assert isinstance(told, dg.MarkdownMetadataValue)
    lines = str(told.value).splitlines()
    assert len(str(told.value)) < 1_000
    whole = f"http://127.0.0.1:9/files/{key}#t=90,105"
    assert lines[0] == rf"- [A \[long\] name of a project/Its Live Set]({whole}), its loudest segment, from 1:30"
    assert 3 <= len(lines) < MAX_SOUNDS
