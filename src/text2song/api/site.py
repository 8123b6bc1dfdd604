"""The built web studio under `/studio/`, with a content policy that allows its own scripts and no others."""

import base64
import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_INLINE_SCRIPT: Final = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_POLICY: Final = (
    "default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:{media}; connect-src 'self'{media}; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


class SitePages(StaticFiles):
    """Static files; each page's inline scripts, which the build writes, are allowed by their digests."""

    def __init__(self, folder: Path, *, media_origin: str | None = None) -> None:
        super().__init__(directory=folder, html=True)
        self._media_origin = media_origin

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or that it has not changed; both with the page's policy."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        if os.fspath(full_path).endswith(".html"):
            policy = content_policy(Path(full_path), stat_result.st_mtime_ns, self._media_origin)
            response.headers["Content-Security-Policy"] = policy
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        """What is at `path`; the site's own `404.html` where nothing is."""
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse) and response.status_code == 404 and response.stat_result:
            # Starlette makes this one response without `file_response`
            return self.file_response(response.path, response.stat_result, scope, 404)
        return response


@lru_cache(maxsize=256)
def content_policy(
    page: Path,
    modified_ns: int,  # noqa: ARG001  # a rebuilt page is another page
    media_origin: str | None = None,
) -> str:
    """The policy for one page: CSP Level 3, section 6.7.2, digests what stands between the tags.

    It may play and fetch from `media_origin` as from the site itself.
    """
    scripts = _INLINE_SCRIPT.findall(page.read_bytes())
    digests = sorted({base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts})
    return _POLICY.format(
        hashes="".join(f" 'sha256-{digest}'" for digest in digests),
        media=f" {media_origin}" if media_origin else "",
    )
