"""`/docs`: every route with its fields, to be read and tried out. All that the page loads comes from this server."""

from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

from dawa_assets.http.errors import RefusedRequestError

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_offline"  # has Swagger UI as it is published
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dawa: routes</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<main id="routes"></main>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/begin.js"></script>
</body>
</html>
"""
_BEGIN = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#routes",
  deepLinking: true,
  validatorUrl: null,
});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
async def page() -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/begin.js")
async def begin() -> Response:
    """What the page begins with, apart from it, so that it may run no script that stands in a text."""
    return Response(_BEGIN, media_type="text/javascript")


@router.get("/docs/{name}")
async def asset(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> FileResponse:
    """A file of Swagger UI, out of its package."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise RefusedRequestError(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the package {_PACKAGE} is not installed; install the project anew"
        )
    return FileResponse(Path(found.origin).with_name("static") / name, headers={"Cache-Control": "max-age=86400"})
