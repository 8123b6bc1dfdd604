"""The way to an OpenID Connect provider and back in a real browser, which decides where its cookies go."""

import queue
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.api.browser import looked_at, needs_chromium
from tests.api.edge import serve
from tests.api.openid_provider import OpenIdProvider, serving, with_provider
from tests.servers import free_port
from tests.studios import Clock
from text2song.api.main import build_api
from text2song.studio import Studio

PAGE = """
<!doctype html><body><script>
const here = new URL(location);
if (!here.searchParams.has("begun") && !document.referrer && !sessionStorage.begun) {{
  sessionStorage.begun = "1";
  location = "{api}/session/oidc";
}} else {{
  fetch("{api}/session", {{ credentials: "include" }})
    .then((answer) => answer.json())
    .then((told) => fetch("/said", {{ method: "POST", body: JSON.stringify(told) }}));
}}
</script>
"""


@needs_chromium
def test_a_real_browser_goes_and_comes_back(studio: Studio, clock: Clock, tmp_path: Path) -> None:
    said: queue.Queue[dict[str, Any]] = queue.Queue()
    api_port = free_port()

    async def show(_: Request) -> Response:
        return HTMLResponse(PAGE.format(api=f"http://127.0.0.1:{api_port}"))

    async def hear(request: Request) -> Response:
        said.put(await request.json())
        return Response(status_code=204)

    site = Starlette(routes=[Route("/", show), Route("/said", hear, methods=["POST"])])
    provider = OpenIdProvider(clock, redirect_url=f"http://127.0.0.1:{api_port}/session/oidc/callback")
    with serving(provider), serve(site) as page_port:
        known = with_provider(studio, provider)
        home = f"http://127.0.0.1:{page_port}"
        known = replace(known, settings=known.settings.model_copy(update={"web_origin": (home,)}))
        app: Any = build_api(known)
        with serve(app, port=api_port), looked_at(f"{home}/", profile=tmp_path / "profile"):
            assert said.get(timeout=60)["user"]["name"] == "Ada"
