"""What a person does, in a browser: bring music in, choose, generate, save and next, export; and nothing gets lost.

A whole sequence is what a person does in ten minutes; the browser takes ten seconds for it.
"""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import soundfile

from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.tables.artists import Artist
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, TEXT, pair, protected, server
from tests.dawa_assets.http.train_mode.conftest import with_settings
from tests.dawa_assets.http.train_mode.material import add_audio, comes, generate, open_set, save_button, with_sets
from tests.dawa_assets.intake.material import als, content, drop, new_artist, rows, wav
from tests.fakes.storage.storage_server import StorageServer
from tests.modal_app.audio.conftest import synthesise

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PART = 8 * 2**20  # bytes of an upload's part


def test_the_whole_sequence_gives_what_the_bare_api_gives(
    site: str, site_ports: Ports, open_page: "Page", audio_file: Callable[[str, bytes], Path]
) -> None:
    ports = site_ports
    nova, _ = with_sets(ports, "Nova of the sequence", 3)
    open_page.goto(f"{site}/#/{nova.slug}/library")
    open_page.locator("li.set").nth(2).wait_for()
    open_page.get_by_label("Sort").select_option("name")
    for number in (1, 2, 3):
        open_page.get_by_label(f"Choose song {number}", exact=True).check(force=True)
    open_page.get_by_role("button", name="Work through them").click()
    for number in (1, 2, 3):
        open_page.get_by_role("heading", level=1, name=f"song {number}").wait_for()
        add_audio(open_page, audio_file(f"song {number}.wav", wav(200 + number)))
        open_page.get_by_text("arrived – not saved yet").wait_for()
        generate(open_page)
        open_page.get_by_text("Rules kept", exact=True).wait_for()
        save_button(open_page).click()
    open_page.get_by_role("heading", level=1, name="Dataset").wait_for()
    open_page.get_by_text("3/3").wait_for()
    open_page.get_by_role("button", name="Export dataset").click()
    link = open_page.get_by_role("link", name="Download the zip (3 pairs)")
    link.wait_for()
    theirs = httpx.get(httpx.URL(site).join(link.get_attribute("href") or "")).raise_for_status().content

    twin, same = with_sets(ports, "Twin of the sequence", 3)
    with httpx.Client(base_url=site, timeout=60) as api:
        for number, summary in enumerate(same, start=1):
            parse = summary["parse_id"]
            prompt = api.post("/api/train", json={"artistId": str(twin.id), "parseId": parse}).json()["prompt"]
            names = {"alsFilename": summary["als_filename"], "projectName": summary["project_name"]}
            body = pair(twin, parse, wav(200 + number), promptText=prompt, **names)
            assert api.post("/api/train/save", json=body).json()["success"] is True
        exported = api.post("/api/train/export", json={"artistId": str(twin.id)}).json()
        assert exported["itemCount"] == 3
        ours = api.get(exported["datasetUrl"]).raise_for_status().content
    assert theirs == ours
    assert len(zipfile.ZipFile(io.BytesIO(theirs)).namelist()) == 6
    assert _rows(ports, nova) == _rows(ports, twin)
    assert _files(ports, nova) == _files(ports, twin)


def _rows(ports: Ports, artist: Artist) -> list[dict[str, Any]]:
    """An artist's saved pairs as far as two artists' can be the same."""
    columns = (
        "als_filename, project_name, status, prompt_text, audio_hash, audio_format, audio_duration_seconds, "
        "prompt_file_hash, model_name, system_prompt_version, item_key is null as is_pair, error"
    )
    query = f"select {columns} from training_items where artist_id = %s order by als_filename, item_key nulls last"
    return rows(ports, query, artist.id)


def _files(ports: Ports, artist: Artist) -> list[tuple[str, bytes]]:
    stored = ports.bucket.list(f"artists/{artist.slug}/training")
    return sorted((each.key.rpartition("/")[2], content(ports.bucket, each.key)) for each in stored)


def test_a_set_keeps_the_keys_when_the_order_changes(site: str, site_ports: Ports, open_page: "Page") -> None:
    artist, _ = with_sets(site_ports, "Order", 3)
    open_page.goto("about:blank")  # else the sets of the test before are taken for these
    open_page.goto(f"{site}/#/{artist.slug}/library")
    open_page.locator("li.set").nth(2).wait_for()
    open_page.keyboard.press("j")
    names = "[...document.querySelectorAll('li.set a.name')].map((link) => link.textContent)"
    held = open_page.evaluate("document.activeElement.textContent")
    before = open_page.evaluate(names)
    assert held in before
    for order in open_page.locator("select[aria-label=Sort] option").evaluate_all("all => all.map((one) => one.value)"):
        open_page.evaluate(
            "(order) => { const sort = document.querySelector('select[aria-label=Sort]');"
            " sort.value = order; sort.dispatchEvent(new Event('change')); }",
            order,
        )
        assert open_page.evaluate("document.activeElement.textContent") == held
        if open_page.evaluate(names) != before:
            break
    assert open_page.evaluate(names) != before


def test_a_queue_is_there_again_after_a_reload(site: str, site_ports: Ports, open_page: "Page") -> None:
    artist, _ = with_sets(site_ports, "Queue", 3)
    open_page.goto("about:blank")  # else the sets of the test before are taken for these
    open_page.goto(f"{site}/#/{artist.slug}/library")
    open_page.locator("li.set").nth(2).wait_for()
    open_page.keyboard.press("j")
    open_page.keyboard.press("x")
    open_page.keyboard.press("j")
    open_page.keyboard.press("x")
    open_page.get_by_text("2 sets chosen").wait_for()
    open_page.keyboard.press("q")
    open_page.get_by_text("1 of 2 in the queue").wait_for()
    first = open_page.get_by_role("heading", level=1).inner_text()
    open_page.reload()
    open_page.get_by_text("1 of 2 in the queue").wait_for()
    assert open_page.get_by_role("heading", level=1).inner_text() == first
    open_page.keyboard.press("]")
    open_page.get_by_text("2 of 2 in the queue").wait_for()
    open_page.goto(f"{site}/#/{artist.slug}/library")
    open_page.get_by_text("Queue: 0 of 2 done").wait_for()
    open_page.get_by_role("button", name="End the queue").click()
    open_page.get_by_text("Queue: 0 of 2 done").wait_for(state="hidden")
    open_page.reload()
    open_page.locator("li.set").nth(2).wait_for()
    assert open_page.locator(".queue-line").is_hidden()


def test_a_cut_upload_goes_on_after_a_reload_where_it_stopped(
    site: str, site_ports: Ports, page: "Page", audio_file: Callable[[str, bytes], Path], problems: list[str]
) -> None:
    artist, (song,) = with_sets(site_ports, "Cut", 1)
    # Many bytes of little music: whoever decodes it does little.
    whole = io.BytesIO()
    soundfile.write(whole, synthesise((PART + 300_000) // 6, 2, rate=96_000), 96_000, format="WAV", subtype="PCM_24")
    file = audio_file("long.wav", whole.getvalue())
    offsets: list[int] = []
    is_cut = True

    def part(route: Any) -> None:
        offset = int(re.search(r"offset=(\d+)", route.request.url).group(1))  # type: ignore[union-attr]
        offsets.append(offset)
        if offset and is_cut:
            route.abort("connectionreset")
        else:
            route.fallback()

    page.context.route(re.compile(r"/uploads/.*offset="), part)
    open_set(page, site, artist, song["parse_id"])
    add_audio(page, file)
    comes(page, lambda: PART in offsets)
    page.get_by_text("the line is down").first.wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.get_by_text(re.compile(r"stopped at 9\d %")).wait_for()
    is_cut = False
    offsets.clear()
    add_audio(page, file)
    page.get_by_text("arrived – not saved yet").wait_for()
    assert offsets == [PART]
    page.locator("#prompt").fill(TEXT.replace("122", "121"))
    save_button(page).click()
    comes(
        page,
        lambda: (
            page.evaluate("1")
            and rows(site_ports, "select id from training_items where artist_id = %s and status = 'ready'", artist.id)
        ),
    )
    (saved,) = rows(
        site_ports, "select audio_path from training_items where artist_id = %s and status = 'ready'", artist.id
    )
    assert content(site_ports.bucket, saved["audio_path"]) == file.read_bytes()
    page.close()
    problems[:] = [line for line in problems if "ERR_CONNECTION_RESET" not in line]


def test_a_double_click_saves_once_and_a_bad_file_is_refused(
    site: str, site_ports: Ports, page: "Page", audio_file: Callable[[str, bytes], Path]
) -> None:
    artist, (song,) = with_sets(site_ports, "Double", 1)
    open_set(page, site, artist, song["parse_id"])
    add_audio(page, audio_file("noise.wav", b"RIFF this is no audio at all" * 20))
    page.locator(".drop-zone.refused .problem").wait_for()
    assert "noise.wav" in page.locator(".drop-zone.refused .problem").inner_text()
    add_audio(page, audio_file("song.wav", wav(440)))
    page.get_by_text("arrived – not saved yet").wait_for()
    posted: list[str] = []
    page.on(
        "request",
        lambda request: (
            posted.append(request.url) if request.method == "POST" and request.url.endswith("/pairs") else None
        ),
    )
    page.locator("#prompt").fill(TEXT.replace("122", "121"))
    page.get_by_text("Rules kept", exact=True).wait_for()
    save_button(page).dblclick()
    comes(
        page,
        lambda: (
            page.evaluate("1")
            and rows(site_ports, "select 1 from training_items where artist_id = %s and item_key is null", artist.id)
        ),
    )
    page.get_by_text("song 1 is saved.").first.wait_for()
    assert len(posted) == 1
    saved = rows(site_ports, "select id from training_items where artist_id = %s and item_key is null", artist.id)
    assert len(saved) == 1


def test_the_browser_does_not_decode_a_small_but_very_long_file(
    site: str, site_ports: Ports, open_page: "Page", audio_file: Callable[[str, bytes], Path]
) -> None:
    artist, (song,) = with_sets(site_ports, "Silent", 1)
    whole = io.BytesIO()
    soundfile.write(whole, np.zeros(45 * 60 * 8_000, np.int16), 8_000, format="FLAC")
    assert len(whole.getvalue()) < 1_000_000  # and half a gigabyte as the samples that a browser makes of it
    open_set(open_page, site, artist, song["parse_id"])
    add_audio(open_page, audio_file("silent.flac", whole.getvalue()))
    open_page.get_by_text("Its waveform shows once it is saved.").wait_for()
    open_page.get_by_text("arrived – not saved yet").wait_for()
    open_page.get_by_role("button", name="Remove").click()
    add_audio(open_page, audio_file("song.wav", wav(330)))
    open_page.locator(".waveform").wait_for()
    open_page.get_by_text("arrived – not saved yet").wait_for()
    open_page.get_by_role("button", name="Remove").click()
    open_page.get_by_text("Drop the bounce of this set anywhere").wait_for()


def test_unsaved_text_is_asked_about_kept_as_a_draft_and_undone(site: str, site_ports: Ports, page: "Page") -> None:
    artist, (song,) = with_sets(site_ports, "Draft", 1)
    open_set(page, site, artist, song["parse_id"])
    prompt = page.locator("#prompt")
    prompt.press_sequentially("My own words")
    page.get_by_text("2 of 10 rules broken").or_(page.get_by_text("rules broken")).first.wait_for()
    page.get_by_role("link", name="Library").first.click()
    page.get_by_role("dialog").get_by_text("Leave without saving?").wait_for()
    page.get_by_role("button", name="Cancel").click()
    assert prompt.input_value() == "My own words"
    page.get_by_role("link", name="Library").first.click()
    page.get_by_role("button", name="Leave, keep the draft").click()
    page.locator("li.set").wait_for()
    seen: list[str] = []
    page.on("dialog", lambda dialog: (seen.append(dialog.type), dialog.accept()))
    open_set(page, site, artist, song["parse_id"])
    assert prompt.input_value() == "My own words"
    page.get_by_text("Your draft of").wait_for()
    page.reload()
    assert seen == ["beforeunload"]
    prompt.wait_for()
    assert prompt.input_value() == "My own words"
    prompt.focus()
    page.keyboard.type("!")
    page.get_by_role("button", name="Undo").click()
    assert prompt.input_value() == "My own words"


def test_a_text_changed_by_somebody_else_is_not_overwritten(
    site: str, site_ports: Ports, page: "Page", problems: list[str]
) -> None:
    artist, (song,) = with_sets(site_ports, "Conflict", 1)
    with httpx.Client(base_url=site) as api:
        saved = api.post("/api/train/save", json=pair(artist, song["parse_id"], promptText=TEXT)).json()[
            "trainingItemId"
        ]
        open_set(page, site, artist, f"{song['parse_id']}/{saved}")
        page.route("**/live-sets/**", lambda route: route.abort())  # the page hears nothing of it
        page.route("**/events", lambda route: route.abort())
        page.locator("#prompt").fill("Mine, with a rolling bass line.\nBPM: 121")
        theirs = "Theirs, with a patient bass line.\nBPM: 121"
        api.put(f"/api/artists/{artist.id}/items/{saved}/text", json={"text": theirs}).raise_for_status()
        page.get_by_text("Rules kept", exact=True).wait_for()
        save_button(page).click()
        dialog = page.get_by_role("dialog", name="Two texts")
        dialog.get_by_text("Theirs, with").wait_for()
        dialog.get_by_role("button", name="Save mine").click()
        mine = f"/api/artists/{artist.id}/items/{saved}"
        comes(page, lambda: api.get(mine).json()["text"].startswith("Mine"))
        texts = [each["text"] for each in api.get(f"/api/artists/{artist.id}/items/{saved}").json()["texts"]]
        assert theirs in texts
    page.close()
    problems.clear()  # what was aborted, and the 409


def _drop(page: "Page", target: "Locator", path: Path) -> None:
    """Drop a file or folder from outside of the browser, as a file manager does."""
    box = target.bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    session.detach()


def test_a_dropped_folders_unmatched_files_are_paired_by_hand(
    site: str, site_ports: Ports, open_page: "Page", tmp_path: Path
) -> None:
    artist = new_artist(site_ports, "Dropped")
    files = {
        "One/one.als": als(121),
        "One/one.wav": wav(301),
        "Two/two.als": als(122),
        "Three/three.als": als(123),
        "Bounces/stranger.wav": wav(302),
        "Bounces/other.wav": wav(303),
        "Bounces/notes.txt": b"no music",
    }
    for name, body in files.items():
        (tmp_path / "Album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Album" / name).write_bytes(body)
    open_page.goto(f"{site}/#/{artist.slug}/library")
    open_page.get_by_text("No Live Set yet").wait_for()
    _drop(open_page, open_page.locator("main"), tmp_path / "Album")
    open_page.get_by_text("1 file left out").wait_for()
    open_page.locator("li.set").nth(2).wait_for()
    waiting = open_page.get_by_role("list", name="Bounces without a set")
    waiting.locator("li").nth(1).wait_for()
    open_page.get_by_text("2 bounces without a set").wait_for()
    assert sorted(waiting.locator("strong").all_inner_texts()) == ["other.wav", "stranger.wav"]

    def bounce(name: str) -> bytes | None:
        found = rows(
            site_ports,
            "select audio_path from training_items where artist_id = %s and als_filename = %s",
            artist.id,
            f"{name}.als",
        )
        path = found[0]["audio_path"] if found else None
        return content(site_ports.bucket, path) if path else None

    assert [bounce(name) for name in ("one", "two", "three")] == [files["One/one.wav"], None, None]
    waiting.locator("li", has_text="stranger.wav").drag_to(open_page.locator("li.set", has_text="two"))
    comes(open_page, lambda: bounce("two") == files["Bounces/stranger.wav"])
    open_page.get_by_text("1 bounce without a set").wait_for()
    waiting.get_by_role("button", name="Choose its set").focus()
    open_page.keyboard.press("Enter")
    open_page.get_by_role("dialog", name="Whose bounce is other.wav?").wait_for()
    open_page.keyboard.type("three")
    open_page.keyboard.press("Tab")
    open_page.keyboard.press("Space")
    open_page.keyboard.press("Enter")
    comes(open_page, lambda: bounce("three") == files["Bounces/other.wav"])
    waiting.wait_for(state="detached")


@pytest.mark.parametrize("kind", ["tus", "put"])
def test_a_file_goes_to_storage_and_resumes_after_a_cut(
    site_ports: Ports,
    page: "Page",
    tmp_path: Path,
    audio_file: Callable[[str, bytes], Path],
    problems: list[str],
    kind: str,
) -> None:
    """A large file goes up in parts, and on where it was cut; a small one whose answer was lost is there already."""
    with StorageServer(tmp_path) as storage:
        bucket = SupabaseBucket(storage.url, storage.secret_key, resume_folder=tmp_path / "parts")
        hosted = with_settings(protected(replace(site_ports, bucket=bucket)), supabase_url=storage.url)
        artist = new_artist(hosted, f"Hosted {kind}")
        drop(hosted, artist.slug, {"Song/song.als": als(120)})
        take_in_live_sets(hosted, artist.slug)
        file = audio_file("song.wav", wav(310, seconds=394 if kind == "tus" else 20))
        storage.fail(method="PATCH", path="/upload/resumable/sign", cut_request_after=100_000)
        storage.fail(method="PUT", path="/object/upload/sign", lose_answer=True)
        with server(hosted) as base:
            page.goto(f"{base}/#/{artist.slug}/library")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.locator("li.set").wait_for()
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Add music").first.click()
            chooser.value.set_files(file)
            page.locator("li.set").get_by_text("Needs prompt").wait_for()
            page.close()
        sent = [call for call in storage.called(path="^/(object/upload|upload/resumable)/sign/") if call.received > 2]
        assert {call.method for call in sent} == {"PATCH" if kind == "tus" else "PUT"}
        if kind == "tus":
            assert (sent[-1].headers["upload-offset"], sent[-1].status) == ("100000", 204)
        (item,) = rows(hosted, "select audio_path from training_items where artist_id = %s", artist.id)
        assert content(bucket, item["audio_path"]) == file.read_bytes()
    problems[:] = [line for line in problems if not re.search("ERR_(CONNECTION_RESET|EMPTY_RESPONSE)|40[019]", line)]
