"""The web studio on another site, in a real browser: it signs in, writes, reads and plays, and nobody else's does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.api.browser import STRANGER, needs_chromium, visit
from tests.api.edge import serve
from tests.api.team import gather
from tests.servers import free_port
from tests.studios import Desk
from text2song.api.main import build_api

PAGE = """
<!doctype html><body><script>
const api = "{api}";
const say = (text) => document.body.append(` ${{text}};`);
const ask = (path, options) => fetch(api + path, {{ credentials: "include", ...options }});
const json = {{ "Content-Type": "application/json" }};
(async () => {{
  const before = await ask("/prompts").then((a) => a.status, () => "stopped");
  say(`before=${{before}}`);
  const session = await ask("/session", {{ method: "POST", headers: json, body: JSON.stringify({{ key: "{key}" }}) }});
  const token = (await session.json()).csrf_token;
  say(`signed in=${{session.status}}`);
  say(`reads=${{(await ask("/audio/{audio_id}")).status}}`);
  say(`without token=${{(await ask("/prompts", {{ method: "POST", headers: json, body: '{{"text":"a"}}' }})).status}}`);
  const headers = {{ ...json, "X-CSRF-Token": token }};
  const written = await ask("/prompts", {{ method: "POST", headers, body: '{{"text":"a"}}' }});
  say(`with token=${{written.status}}`);
  say(`location=${{written.headers.get("Location") !== null}}`);
  say(`missing=${{(await (await ask("/nowhere")).json()).code}}`);
  const heard = await new Promise((resolve) => {{
    const audio = new Audio();
    audio.crossOrigin = "use-credentials";
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = () => resolve(`error ${{audio.error.message}}`);
    audio.src = api + "/audio/{audio_id}/stream";
  }});
  say(`heard=${{heard}}`);
  say(`signed out=${{(await ask("/session", {{ method: "DELETE", headers }})).status}}`);
  say(`after=${{(await ask("/prompts")).status}}`);
  say("done");
}})().catch((error) => say(`stopped by ${{error}}; done`));
</script>
"""


def page(*, api: str, key: str, audio_id: str) -> Starlette:
    async def show(_: Request) -> Response:
        return HTMLResponse(PAGE.format(api=api, key=key, audio_id=audio_id))

    return Starlette(routes=[Route("/", show)])


def said(document: str) -> dict[str, str]:
    words = document.split("</script>")[-1].split("</body>")[0]
    pairs = [part.strip().partition("=") for part in words.split(";") if part.strip()]
    return {name: value for name, _, value in pairs}


@needs_chromium
def test_the_site_of_the_settings_does_everything_and_a_stranger_s_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    team = gather(desk)
    audio_id = team.sample(visibility="shared")
    api_port = free_port()
    found: dict[str, dict[str, str]] = {}
    with serve(page(api=f"http://127.0.0.1:{api_port}", key=team.owner.key, audio_id=audio_id)) as page_port:
        origin = f"http://{STRANGER}:{page_port}"
        for name, allowed in (("site", origin), ("stranger", "https://studio.example")):
            settings = desk.studio.settings.model_copy(update={"web_origin": (allowed,)})
            app: Any = build_api(replace(desk.studio, settings=settings))
            with serve(app, port=api_port):
                shown, console = visit(f"{origin}/", profile=tmp_path / name)
                found[name] = said(shown)
                assert "done" in found[name], console
    assert found["site"] == {
        "before": "401",
        "signed in": "200",
        "reads": "200",
        "without token": "403",
        "with token": "201",
        "location": "true",
        "missing": "path_not_found",
        "heard": "0.5",
        "signed out": "204",
        "after": "401",
        "done": "",
    }
    assert found["stranger"]["before"] == "stopped"
    assert "signed in" not in found["stranger"]
