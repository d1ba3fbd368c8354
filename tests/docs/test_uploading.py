"""The code of docs/uploading.md, run in a browser as it stands there: by fetch, by supabase-js and by tus-js-client."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dawa_assets.tables.artists import Artist
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.browsers import browser as browser
from tests.dawa_assets.http.serving import new_user, protected, server, token
from tests.dawa_assets.intake.material import content, keys, new_artist, wav
from tests.fakes.storage.storage_server import StorageServer
from tests.loopback import QuietHandler, serving
from tests.npm_packages import file_of
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "uploading.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"^```js\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
_GIVEN = """
const given = (name, url) => fetch(url).then((a) => a.blob()).then((b) => new File([b], name, { type: b.type }));
"""
SMALL, LARGE = wav(220), wav(330) + bytes(1000) + os.urandom(13 * 2**20)


class _Dashboard(QuietHandler):
    """A site of its own with an empty page and the two files that it uploads."""

    def do_GET(self) -> None:  # noqa: N802 - called so by the base class
        body = {"/small.wav": SMALL, "/large.wav": LARGE}.get(self.path, b"<!doctype html><title>dashboard</title>")
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav" if self.path.endswith(".wav") else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving(_Dashboard) as address:
        yield address


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    with StorageServer(tmp_path) as made:
        made.told_scheme = "http"  # a hosted project is reached by https, and says so
        yield made


@pytest.fixture
def hosted(ports: Ports, storage: StorageServer, tmp_path: Path) -> Ports:
    bucket = SupabaseBucket(storage.url, storage.secret_key, resume_folder=tmp_path / "parts")
    return replace(ports, bucket=bucket)


@pytest.fixture
def dashboard(browser: "Browser", site: str) -> "Iterator[Page]":
    """A page of another origin than `dawa serve` and Storage, with the code of the docs in it."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(site)
    page.add_script_tag(content=CODE)
    page.add_script_tag(content=_GIVEN)
    yield page
    context.close()


def _upload(page: "Page", ports: Ports, artist: Artist, site: str, send: str, **names: str) -> Any:
    """Send files by the page's `uploadAll`; `names` are the uploaded names by the site's own."""
    settings = ports.settings.model_copy(update={"web_origins": (site,)})
    open_to = protected(replace(ports, settings=settings), password=False, secret=True)
    given = [[name, f"/{of}.wav"] for of, name in names.items()]
    with server(open_to) as base:
        return page.evaluate(
            f"""async ([dawa, token, artistId, names]) => {{
                const files = await Promise.all(names.map(([name, url]) => given(name, url)));
                const upload = await uploadAll(dawa, token, artistId, files, {send});
                return [upload.id, await callDawa(dawa, token, "GET", `?artistId=${{artistId}}`)];
            }}""",
            [
                base,
                token(new_user(ports, artist)),
                str(artist.id),
                given,
            ],
        )


@pytest.fixture
def by_libraries(dashboard: "Page", storage: StorageServer) -> str:
    """The page with the two libraries in it, and how `send` is made of them."""
    dashboard.add_script_tag(path=file_of("@supabase/supabase-js", "dist/umd/supabase.js"))
    dashboard.add_script_tag(path=file_of("tus-js-client", "dist/tus.min.js"))
    return f"sendByLibraries(supabase.createClient('{storage.url}', '{storage.publishable_key}'), tus)"


def _check(ports: Ports, artist: Artist, answer: Any, small: str = "small.wav", large: str = "large.wav") -> None:
    upload_id, sent = answer
    folder = f"inbox/{artist.slug}/{upload_id}"
    assert keys(ports.bucket, folder) == sorted([f"{folder}/_complete", f"{folder}/{small}", f"{folder}/{large}"])
    assert content(ports.bucket, f"{folder}/{small}") == SMALL
    assert content(ports.bucket, f"{folder}/{large}") == LARGE
    [upload] = [upload for upload in sent["uploads"] if upload["id"] == upload_id]
    assert {file["path"]: file["state"] for file in upload["files"]} == {small: "arrived", large: "arrived"}


def test_supabase_js_and_tus_js_client_send_to_storage(
    dashboard: "Page", by_libraries: str, hosted: Ports, storage: StorageServer, nova: Artist, site: str
) -> None:
    answer = _upload(dashboard, hosted, nova, site, by_libraries, small="klein süß.wav", large="groß & laut.wav")
    _check(hosted, nova, answer, "klein süß.wav", "groß & laut.wav")
    assert len(storage.called("PUT", "^/object/upload/sign")) == 1
    assert len(storage.called("PATCH")) == 3


def test_tus_js_client_goes_on_where_it_was_cut(
    dashboard: "Page", by_libraries: str, hosted: Ports, storage: StorageServer, nova: Artist, site: str
) -> None:
    storage.fail(method="PATCH", cut_request_after=2_000_000)
    storage.fail(method="PATCH", skip=2, lose_answer=True)
    answer = _upload(dashboard, hosted, nova, site, by_libraries, small="small.wav", large="large.wav")
    _check(hosted, nova, answer)
    assert len(storage.called("POST", "^/upload/resumable/sign$")) == 1, "it was begun once"


def test_a_page_that_was_closed_is_gone_on_with_by_the_next(
    dashboard: "Page", by_libraries: str, hosted: Ports, storage: StorageServer, nova: Artist, site: str
) -> None:
    settings = hosted.settings.model_copy(update={"web_origins": (site,)})
    held = storage.fail(method="PATCH", skip=1, delay=20, cut=True)
    with server(protected(replace(hosted, settings=settings), password=False, secret=True)) as base:
        given = [base, token(new_user(hosted, nova)), str(nova.id)]
        dashboard.evaluate(
            f"""async ([dawa, token, artistId]) => {{
                const file = await given("large.wav", "/large.wav");
                uploadAll(dawa, token, artistId, [file], {by_libraries});
            }}""",
            given,
        )
        until(lambda: held.times == 0)  # the second part is on its way
        dashboard.reload()
        dashboard.add_script_tag(content=CODE)
        dashboard.add_script_tag(path=file_of("@supabase/supabase-js", "dist/umd/supabase.js"))
        dashboard.add_script_tag(path=file_of("tus-js-client", "dist/tus.min.js"))
        upload_id = dashboard.evaluate(
            f"""async ([dawa, token, artistId]) => {{
                const file = await fetch("/large.wav").then((a) => a.blob()).then((b) => new File([b], "large.wav"));
                const [sent] = (await callDawa(dawa, token, "GET", "")).uploads.filter((each) => !each.isClosed);
                const upload = await callDawa(dawa, token, "GET", `/${{sent.id}}`);
                for (const each of upload.files) await {by_libraries}(each, file, upload);
                await callDawa(dawa, token, "POST", `/${{sent.id}}/complete`, {{}});
                return sent.id;
            }}""",
            given,
        )
    assert content(hosted.bucket, f"inbox/nova/{upload_id}/large.wav") == LARGE
    assert len(storage.called("POST", "^/upload/resumable/sign$")) == 1, "it was begun once"


def test_fetch_sends_to_storage_and_goes_on(
    dashboard: "Page", hosted: Ports, storage: StorageServer, nova: Artist, site: str
) -> None:
    storage.fail(method="PATCH", cut_request_after=2_000_000)
    answer = _upload(dashboard, hosted, nova, site, "sendByFetch(dawa, token)", small="small.wav", large="large.wav")
    _check(hosted, nova, answer)


def test_fetch_sends_to_a_folder_bucket(dashboard: "Page", ports: Ports, nova: Artist, site: str) -> None:
    answer = _upload(dashboard, ports, nova, site, "sendByFetch(dawa, token)", small="small.wav", large="large.wav")
    _check(ports, nova, answer)


def test_two_pages_send_the_same_name(dashboard: "Page", hosted: Ports, nova: Artist, site: str) -> None:
    ids = []
    for _ in range(2):
        answer = _upload(
            dashboard, hosted, nova, site, "sendByFetch(dawa, token)", small="small.wav", large="large.wav"
        )
        _check(hosted, nova, answer)
        ids.append(answer[0])
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("[{name: 'a.wav', size: 6 * 2 ** 30, type: 'audio/wav'}]", "larger than 1,073,741,824 bytes"),
        ("[new File(['x'], 'a.wav', {type: 'image/png'})]", "its content type image/png is neither audio's"),
    ],
)
def test_the_page_gets_one_line_for_what_is_refused(
    dashboard: "Page", hosted: Ports, nova: Artist, site: str, files: str, said: str
) -> None:
    settings = hosted.settings.model_copy(update={"web_origins": (site,)})
    with server(protected(replace(hosted, settings=settings), password=False, secret=True)) as base:
        given = [base, token(new_user(hosted, nova)), str(nova.id)]
        error = dashboard.evaluate(
            f"([dawa, token, artist]) => uploadAll(dawa, token, artist, {files}).catch((e) => e.message)", given
        )
    assert said in error
    assert "\n" not in error
