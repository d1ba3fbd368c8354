"""Leave to write one object straight to Storage: by whoever has it, this object alone, and for a while."""

import os
from dataclasses import replace

import httpx
import pytest

from dawa_assets.intake import part_uploads
from dawa_assets.intake.announced_files import GivenFile
from modal_app.errors import ConflictError
from resources.bucket.base import UploadLink
from resources.bucket.folder import FolderBucket
from resources.bucket.storage_address import direct_storage
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.dawa_assets.intake.material import keys, new_artist, wav
from tests.fakes.storage.storage_server import StorageServer

_TUS = {"Tus-Resumable": "1.0.0"}


def _send(link: UploadLink | None, whole: bytes) -> None:
    """What a browser does with a link."""
    assert link is not None
    headers = _TUS | link.headers
    if link.kind == "put":
        httpx.put(link.url, headers=link.headers, content=whole).raise_for_status()
        return
    made = httpx.post(
        link.url, headers=headers | {"Upload-Length": str(len(whole)), "Upload-Metadata": link.metadata}
    ).raise_for_status()
    place = f"{link.url}/{made.headers['location'].rpartition('/')[2]}"
    offset = 0
    while offset < len(whole):
        part = whole[offset : offset + link.chunk_bytes]
        more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        httpx.patch(place, headers=headers | more, content=part).raise_for_status()
        offset += len(part)
        if offset < len(whole):
            assert httpx.head(place, headers=headers).headers["upload-offset"] == str(offset)


def test_a_large_file_is_uploaded_by_a_link_in_parts(supabase: SupabaseBucket) -> None:
    whole = os.urandom(7 * 2**20)
    link = supabase.upload_link("inbox/nova/u1/süß.wav", len(whole))
    assert link is not None
    assert (link.kind, link.chunk_bytes) == ("tus", 6 * 2**20)
    _send(link, whole)
    with supabase.open("inbox/nova/u1/süß.wav") as stream:
        assert stream.read() == whole


def test_a_link_is_good_for_its_own_object_and_not_for_long(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    large = 7 * 2**20
    link, other = (supabase.upload_link(f"inbox/nova/u1/{name}.wav", large) for name in "ab")
    assert link is not None
    assert other is not None
    asked = {"Upload-Length": "1", "Upload-Metadata": other.metadata}
    assert httpx.post(link.url, headers=_TUS | link.headers | asked).status_code == 400
    assert httpx.post(link.url, headers=_TUS | {"x-signature": "x"} | asked).status_code == 400
    assert storage_server.secret_key not in str(link)


def test_a_small_file_is_uploaded_by_one_call(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    link, other = (supabase.upload_link(f"inbox/nova/u1/{name}.wav", 3) for name in ("süß", "b"))
    assert link is not None
    assert other is not None
    assert (link.kind, link.content_type, link.bucket) == ("put", "audio/x-wav", "dawa-exports")
    assert link.name == "inbox/nova/u1/s=C3=BC=C3=9F.wav"
    assert httpx.put(link.url.partition("?")[0], params={"token": other.token}, content=b"abc").status_code == 400
    _send(link, b"abc")
    assert supabase.stat("inbox/nova/u1/süß.wav") is not None
    again = httpx.put(link.url, headers=link.headers, content=b"xyz")
    assert (again.status_code, again.json()["statusCode"]) == (400, "409"), "nothing is replaced"
    with supabase.open("inbox/nova/u1/süß.wav") as stream:
        assert stream.read() == b"abc"
    assert storage_server.secret_key not in str(link)


@pytest.mark.parametrize(
    ("given", "direct"),
    [
        ("https://abcdefghijklmnopqrst.supabase.co", "https://abcdefghijklmnopqrst.storage.supabase.co"),
        ("https://abcdefghijklmnopqrst.supabase.co/storage/v1/", None),
        ("https://music.example.com", "https://music.example.com"),
        ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
        (
            "https://abcdefghijklmnopqrst.supabase.company.example",
            "https://abcdefghijklmnopqrst.supabase.company.example",
        ),
        ("https://supabase.co", "https://supabase.co"),
    ],
)
def test_large_files_go_to_a_hosted_project_s_direct_host(given: str, direct: str | None) -> None:
    wanted = direct or "https://abcdefghijklmnopqrst.storage.supabase.co/storage/v1/"
    assert direct_storage(given) == wanted


def test_a_folder_gives_no_link(bucket: FolderBucket) -> None:
    assert bucket.upload_link("inbox/nova/u1/a.wav", 1) is None


def test_inbox_files_are_uploaded_straight_to_storage(ports: Ports, supabase: SupabaseBucket) -> None:
    hosted, nova = replace(ports, bucket=supabase), new_artist(ports)
    upload = part_uploads.begin(hosted, nova, "inbox", [GivenFile("Söng/a.wav", len(wav())), GivenFile("notes.txt", 1)])
    [file, refused] = upload.files
    assert (file.state, refused.state, refused.link) == ("open", "refused", None)
    with pytest.raises(ConflictError, match="not in the bucket whole"):
        part_uploads.complete(hosted, nova, upload.id)
    with pytest.raises(ConflictError, match="takes no more bytes here"):
        part_uploads.receive(hosted.settings, nova, upload.id, 1, 0, b"x")
    _send(file.link, wav())
    assert [part_uploads.complete(hosted, nova, upload.id).state for _ in range(2)] == ["complete"] * 2
    folder = f"inbox/nova/{upload.id}"
    assert keys(supabase, folder) == [f"{folder}/Söng/a.wav", f"{folder}/_complete"]
    paired = part_uploads.begin(hosted, nova, "pair", [GivenFile("a.wav", 1)])
    assert paired.files[0].link is None
