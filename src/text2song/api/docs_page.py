"""The API's documentation as pages that need no network: `/docs` and `/docs/problems`.

Swagger UI's files come from the package fastapi-offline, of which nothing is imported. It must be
Swagger UI 5 or later: FastAPI writes OpenAPI 3.1, which version 4 refuses to show.
"""

import html
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from text2song.api.problems import EDGE_KINDS, KINDS, Kind
from text2song.errors import MissingPart
from text2song.names import INSTALLING

# Swagger UI draws its icons from data: URLs; no script and no style is inline
PAGE_CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{media}; media-src 'self'{media}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_FILES: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_START: Final = """\
SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
"""
_STYLE: Final = """\
body { margin: 0; font-family: system-ui, sans-serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.4rem 0.8rem; border-bottom: 1px solid #ccc; }
tr:target { background: #fff3c4; }
.notice { margin: 0; padding: 0.8rem 1.2rem; background: #fff3c4; color: #222; line-height: 1.5; }
@media (prefers-color-scheme: dark) {
  html:has(main) { background: #16181d; color: #e6e6e6; }
  tr:target { background: #4a3d00; }
}
"""
_DOCS: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Text2Song Studio: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
{notices}
<div id="docs"></div>
<noscript>This page needs JavaScript; the same description, as JSON, is at /openapi.json.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_PROBLEMS: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Text2Song Studio: problems</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<main>
<h1>Problems</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457). Its <code>code</code> is one of these and
stays the same from version to version; its <code>detail</code> says what to do next.</p>
<table>
<thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</html>
"""


Notices = Callable[[], Sequence[str]]
"""What whoever opens the documentation must know now, in sentences; `code` stands in backticks."""


def docs_router(notices: Notices, *, media_origin: str | None = None) -> APIRouter:
    """`/docs`, `/docs/problems` and the files that they load.

    Who tries an endpoint there may play and fetch from `media_origin`, where a storage serves its bytes.

    Raises:
        MissingPart: Swagger UI's files are not installed.
    """
    folder = _swagger_folder()
    router = APIRouter(include_in_schema=False)
    problems_page = _PROBLEMS.format(rows="\n".join(_row(*entry) for entry in _all_kinds().items()))
    policy = PAGE_CONTENT_POLICY.format(media=f" {media_origin}" if media_origin else "")

    @router.get("/docs")
    def show_docs() -> Response:
        return _page(_DOCS.replace("{notices}", "\n".join(map(_notice, notices()))), policy=policy)

    @router.get("/docs/problems")
    async def show_problems() -> Response:
        return _page(problems_page, policy=policy)

    @router.get("/docs/start.js")
    async def send_start() -> Response:
        return Response(_START, media_type="text/javascript")

    @router.get("/docs/page.css")
    async def send_style() -> Response:
        return Response(_STYLE, media_type="text/css")

    @router.get("/docs/{name}")
    async def send_file(name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404)
        return FileResponse(folder / name, media_type=_FILES[name])

    return router


def _swagger_folder() -> Path:
    # found without importing it: all that is wanted are files
    found = importlib.util.find_spec("fastapi_offline")
    if found is None or not found.submodule_search_locations:
        raise MissingPart(f"the documentation's page is not installed: {INSTALLING.format(extra='server')}.")
    return Path(found.submodule_search_locations[0]) / "static"


def _page(text: str, *, policy: str) -> Response:
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def _notice(text: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return f'<p class="notice" role="status">{marked}</p>'


def _all_kinds() -> dict[str, Kind]:
    kinds = {cls.code: kind for cls, kind in KINDS.items()} | dict(EDGE_KINDS)
    return dict(sorted(kinds.items(), key=lambda entry: (entry[1].status, entry[0])))


def _row(code: str, kind: Kind) -> str:
    title = html.escape(kind.title)
    return f'<tr id="{code}"><td><code>{code}</code></td><td>{kind.status}</td><td>{title}</td></tr>'
