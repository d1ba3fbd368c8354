"""Which other sites' pages may read answers in a browser (CORS): those of DAWA_WEB_ORIGINS, and no other.

Nothing here lets anybody in: who may ask is in `access.py`. No cookies are involved, a page sends a header of its own.
"""

from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from modal_app.web.error_responses import error_answer
from modal_app.web.messages import PASSWORD_FIELD

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_SENT = ("Authorization", "Content-Type", "If-Range", "Range", PASSWORD_FIELD)
_READ = ("Accept-Ranges", "Content-Disposition", "Content-Range", "Location", "Retry-After", "WWW-Authenticate")


class Cors(CORSMiddleware):
    """Wraps an app: answers browsers' questions beforehand, and lets pages of these origins read every answer.

    To stand outside of all that may answer, so that a page can read refusals too.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READ,
            allow_private_network=True,  # a browser asks so before a page of the internet reaches this machine
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return what a browser is told before it sends; a refusal has the form of all errors."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        line = "pages of this origin may not send this here; DAWA_WEB_ORIGINS names the origins that may"
        if self.is_allowed_origin(request_headers["origin"]):
            line = f"pages may send {', '.join(_METHODS)} with the headers {', '.join(_SENT)} here, and no others"
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return error_answer(HTTPStatus.FORBIDDEN, line, kept)
