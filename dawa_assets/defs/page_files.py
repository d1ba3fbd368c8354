"""Files of an asset's page, to be seen and heard: links where files are served (DAWA_SERVE_URL), else what fits in.

A picture that is linked shows in place by some hundred bytes of the event log. Without an address, or where a password
or a token is asked for, which a picture on a page can't send, it is stored there itself, as small as it goes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.defs.metadata import escaped, file_url, picture, picture_at
from dawa_assets.defs.step import Shown
from dawa_assets.pipeline.files_address import are_shown_to_everybody
from dawa_assets.plots.page_pictures import keep_pictures
from resources.ports import Ports

MAX_SOUNDS = 6
_MAX_TEXT = 999  # characters: the UI shows no longer text in place, but a button for it


@dataclass(frozen=True)
class Sound:
    """A sound of the bucket: its name, its key, what is said of it, and which seconds of it are meant (None: all)."""

    name: str
    key: str
    detail: str = ""
    seconds: tuple[float, float] | None = None


def stored_picture(ports: Ports, slug: str, key: str, title: str) -> Shown:
    """Return a picture of the bucket under its title; nothing where it is not there, or not the artist's."""
    if own_object(ports.bucket, slug, key) is None:
        return {}
    if (address := _address_of_pictures(ports)) is not None:
        return {title: picture_at(file_url(address, key), title)}
    with ports.bucket.open(key) as stream:
        return {title: picture(stream.read(), title)}


def drawn_pictures(
    ports: Ports, slug: str, names: Mapping[str, str], of: str, draw: Callable[[], Mapping[str, bytes]]
) -> Shown:
    """Return pictures that are drawn for this page under their titles.

    Where they can be linked to they are kept by their `names`, and drawn only if `of` is another text than before.
    """
    address = _address_of_pictures(ports)
    if address is None:
        return {title: picture(png, title) for title, png in draw().items()}
    keys = keep_pictures(ports.bucket, slug, names, of, draw)
    return {title: picture_at(file_url(address, key), title) for title, key in keys.items()}


def _address_of_pictures(ports: Ports) -> str | None:
    """Return where pages may link to pictures: not where a browser would have to say who it is."""
    return ports.settings.serve_url if are_shown_to_everybody(ports.settings) else None


def sounds(ports: Ports, slug: str, found: Sequence[Sound]) -> Shown:
    """Return links to an artist's sounds, which play when they are opened: the first that find room in the page.

    Nothing where files are not served.
    """
    address = ports.settings.serve_url
    own = [sound for sound in found if is_own(slug, sound.key)]
    if address is None or not own:
        return {}
    lines: list[str] = []
    for sound in own[:MAX_SOUNDS]:
        part = "" if sound.seconds is None else f"#t={sound.seconds[0]:g},{sound.seconds[1]:g}"
        detail = f", {sound.detail}" if sound.detail else ""
        line = f"- [{escaped(sound.name)}]({file_url(address, sound.key)}{part}){detail}"
        if lines and sum(map(len, lines)) + len(lines) + len(line) > _MAX_TEXT:
            break
        lines.append(line)
    return {"listen": dg.MetadataValue.md("\n".join(lines))}
