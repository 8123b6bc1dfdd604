"""The web studio on another origin, in a real browser: its page signs in and plays, and no other does.

Over TLS, since browsers keep no cookie of another site without it.
"""

import queue
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.api.browser import looked_at, needs_chromium
from tests.api.edge import serve
from tests.api.team import gather
from tests.jobs.tls import PAIR
from tests.servers import free_port
from tests.studios import Desk
from text2song.api.main import build_api
from text2song.studio import Studio

ANY_CERTIFICATE = ("--ignore-certificate-errors",)
PAGE = """
<!doctype html><body><script>
const api = "{api}";
const said = {{}};
const ask = (path, options) => fetch(api + path, {{ credentials: "include", ...options }});
const json = {{ "Content-Type": "application/json" }};
const post = (path, headers, body) => ask(path, {{ method: "POST", headers, body: JSON.stringify(body) }});
(async () => {{
  said["before"] = await ask("/prompts").then((answer) => answer.status, () => "stopped");
  const session = await post("/session", json, {{ key: "{key}" }});
  const token = (await session.json()).csrf_token;
  said["signed in"] = session.status;
  said["reads"] = (await ask("/audio/{audio_id}")).status;
  said["without token"] = (await post("/prompts", json, {{ text: "a" }})).status;
  const headers = {{ ...json, "X-CSRF-Token": token }};
  const written = await post("/prompts", headers, {{ text: "a" }});
  said["with token"] = written.status;
  said["location"] = written.headers.get("Location") !== null;
  said["missing"] = (await (await ask("/nowhere")).json()).code;
  said["heard"] = await new Promise((resolve) => {{
    const audio = new Audio();
    audio.crossOrigin = "use-credentials";
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = () => resolve(`error ${{audio.error.message}}`);
    audio.src = api + "/audio/{audio_id}/stream";
  }});
  said["signed out"] = (await ask("/session", {{ method: "DELETE", headers }})).status;
  said["after"] = (await ask("/prompts")).status;
}})()
  .catch((error) => (said.error = `${{error}}`))
  .finally(() => fetch("/said", {{ method: "POST", body: JSON.stringify(said) }}));
</script>
"""


@dataclass
class Site:
    """The page's own server, which the page tells in the end how it fared."""

    api: str
    key: str
    audio_id: str
    said: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/", self.show), Route("/said", self.hear, methods=["POST"])])

    async def show(self, _: Request) -> Response:
        return HTMLResponse(PAGE.format(api=self.api, key=self.key, audio_id=self.audio_id))

    async def hear(self, request: Request) -> Response:
        self.said.put(await request.json())
        return Response(status_code=204)


@dataclass(frozen=True)
class Home:
    """Where page and API live, and so what the browser makes of them."""

    page: str
    api: str
    preferences: str = "{}"
    has_bucket: bool = False


SAME_SITE = Home(page="studio.example", api="api.studio.example")
OTHER_SITE = Home(
    page="studio.example",
    api="127.0.0.1",
    preferences='{"profile": {"cookie_controls_mode": 0}}',  # some browsers keep no cookies of other sites
)
BUCKET = Home(page="studio.example", api="api.studio.example", has_bucket=True)
DONE = {
    "before": 401,
    "signed in": 200,
    "reads": 200,
    "without token": 403,
    "with token": 201,
    "location": True,
    "missing": "path_not_found",
    "heard": 0.5,
    "signed out": 204,
    "after": 401,
}
STOPPED = {"before": "stopped", "error": "TypeError: Failed to fetch"}


def prefer(preferences: str, *, profile: Path) -> Path:
    """The profile, with these preferences of whoever sits before the browser."""
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(preferences)
    return profile


def furnish(request: pytest.FixtureRequest, desk: Desk, *, home: Home, path: str) -> Studio:
    """The studio, with the sound in a bucket where there is one."""
    if not home.has_bucket:
        return desk.studio
    blobs = request.getfixturevalue("object_store").open()
    blobs.put(desk.studio.blobs.read(path), folder="audio", suffix=".flac")
    return replace(desk.studio, blobs=blobs)


@needs_chromium
@pytest.mark.parametrize(
    "home",
    [
        pytest.param(SAME_SITE, id="beside it"),
        pytest.param(OTHER_SITE, id="on another site"),
        pytest.param(BUCKET, id="with a bucket"),
    ],
)
def test_the_page_that_the_settings_name_does_everything_and_another_nothing(
    request: pytest.FixtureRequest, desk: Desk, tmp_path: Path, home: Home
) -> None:
    team = gather(desk)
    api_port = free_port()
    pair = tmp_path / "pair.pem"
    pair.write_text(PAIR.lstrip())
    audio_id = team.sample(visibility="shared")
    path = team.owner.ask("GET", f"/audio/{audio_id}").json()["storage_path"]
    studio = furnish(request, desk, home=home, path=path)
    site = Site(api=f"https://{home.api}:{api_port}", key=team.owner.key, audio_id=audio_id)
    with serve(site.app(), certificate=pair) as page_port:
        origin = f"https://{home.page}:{page_port}"
        for allowed, expected in ((origin, DONE), ("https://other.example", STOPPED)):
            settings = desk.studio.settings.model_copy(
                update={"web_origin": (allowed,), "allowed_hosts": (home.api,)}
            )
            app: Any = build_api(replace(studio, settings=settings))
            profile = prefer(home.preferences, profile=tmp_path / f"as {len(expected)}")
            with (
                serve(app, port=api_port, certificate=pair),
                looked_at(f"{origin}/", profile=profile, flags=ANY_CERTIFICATE),
            ):
                assert site.said.get(timeout=60) == expected
