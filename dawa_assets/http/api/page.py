"""The page of Train Mode, from package data, and what it has to know before anybody signs in."""

import hashlib
import re
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from dawa_assets.http.errors import RefusedRequestError, errors
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service, service_of
from dawa_assets.intake.kinds import AUDIO_SUFFIXES, LIVE_SET_SUFFIX
from dawa_assets.intake.part_uploads import MAX_FILES, PART_BYTES
from resources.bucket.limits import MAX_UPLOAD_BYTES
from resources.bucket.storage_address import direct_storage
from resources.settings import Settings

router = APIRouter(tags=["page"])

_PAGE = files("dawa_assets.http").joinpath("train_mode")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "webmanifest": "application/manifest+json",
}


class SignInAnswer(Message):
    """Where users sign in by e-mail and password: the project's auth service, and its public key."""

    url: str = Field(examples=["https://abc.supabase.co/auth/v1"])
    key: str = Field(examples=["sb_publishable_…"])


class WriterAnswer(Message):
    """Who writes prompts."""

    model: str = Field(examples=["offline-v1"])
    system_prompt_version: str = Field(examples=["train-v1"])


class SessionAnswer(Message):
    """How to get in, and what is taken."""

    is_open: bool = Field(description="nobody has to sign in")
    takes_password: bool
    takes_token: bool
    sign_in: SignInAnswer | None
    writer: WriterAnswer
    audio_suffixes: list[str] = Field(examples=[[".mp3", ".wav"]])
    set_suffixes: list[str] = Field(examples=[[".als"]])
    most_bytes: int = Field(examples=[MAX_UPLOAD_BYTES], description="of one file")
    part_bytes: int = Field(examples=[PART_BYTES], description="of one request")
    most_files: int = Field(examples=[MAX_FILES], description="of one upload")


@router.get("/api/session", responses=errors(503))
async def session(service: Annotated[Service, Depends(service_of)]) -> SessionAnswer:
    """Tell how to sign in here, and what may be uploaded; nobody has to be signed in for it."""
    access, settings = service.access, service.ports.settings
    sign_in = None
    if access.by_token and settings.supabase_url and settings.supabase_publishable_key:
        url = f"{settings.supabase_url.rstrip('/')}/auth/v1"
        sign_in = SignInAnswer(url=url, key=settings.supabase_publishable_key)
    return SessionAnswer(
        is_open=access.is_open,
        takes_password=access.by_password,
        takes_token=access.by_token,
        sign_in=sign_in,
        writer=WriterAnswer(
            model=service.ports.prompt_writer.model_name, system_prompt_version=settings.system_prompt_version
        ),
        audio_suffixes=sorted(AUDIO_SUFFIXES),
        set_suffixes=[LIVE_SET_SUFFIX],
        most_bytes=MAX_UPLOAD_BYTES,
        part_bytes=PART_BYTES,
        most_files=MAX_FILES,
    )


@router.get("/", include_in_schema=False)
async def page(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Send the page of Train Mode."""
    return _sent("index.html", request, service.ports.settings)


@router.get("/train-mode/{path:path}", include_in_schema=False)
async def part_of_the_page(path: str, request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Send a script, a style or a picture of the page."""
    return _sent(path, request, service.ports.settings)


router.head("/", include_in_schema=False)(page)


def policy(settings: Settings) -> str:
    """The page's Content-Security-Policy: its own files, and the project's Storage and sign-in if there is one."""
    project = _origin(settings.supabase_url)
    uploads = _origin(direct_storage(settings.supabase_url or ""))
    sources = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob:{project}",
        "media-src": f"'self' blob:{project}",
        "font-src": "'self'",
        "connect-src": f"'self' blob:{project}{uploads if uploads != project else ''}",
        "worker-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",  # no text becomes markup, whatever a script does
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def _origin(url: str | None) -> str:
    """` https://abc.supabase.co`, with a blank before it; empty where there is no project."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    is_plain = re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", parts.netloc) is not None
    return f" {parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and is_plain else ""


def _sent(path: str, request: Request, settings: Settings) -> Response:
    names = path.split("/")
    kind = _TYPES.get(names[-1].rpartition(".")[2])
    place = _PAGE.joinpath(*names) if kind and all(map(_NAME.fullmatch, names)) else None
    if place is None or not place.is_file():
        raise RefusedRequestError(HTTPStatus.NOT_FOUND, "the page has no such part; open / for the page")
    content = place.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy(settings),
        "Cross-Origin-Opener-Policy": "same-origin",
        "ETag": tag,
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    body = b"" if request.method == "HEAD" else content
    return Response(body, headers=headers, media_type=cast("str", kind))
