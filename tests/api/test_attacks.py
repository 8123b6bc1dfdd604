"""A stranger's page in a real browser, on the same machine as the studio: it must get nowhere."""

import dataclasses
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.api.browser import STRANGER, needs_chromium, visit
from tests.api.edge import LOOPBACK, Written, make_app, serve

ATTACK = """
<!doctype html><body>
<iframe name="frame"></iframe>
<form id="form" target="frame" method="post" enctype="text/plain" action="{target}/prompts/1/copy"></form>
<script>
const json = JSON.stringify({{ text: "by script" }});
const attempts = {{
  plain: () => fetch("{target}/prompts/2/copy", {{ method: "POST", mode: "no-cors", body: json }}),
  json: () => fetch("{target}/prompts", {{
    method: "POST", body: json, headers: {{ "Content-Type": "application/json" }} }}),
  read: () => fetch("{target}/prompts/7").then((answer) => answer.text()),
  remove: () => fetch("{target}/prompts/7", {{ method: "DELETE" }}),
  embed: () => fetch("{target}/prompts/8", {{ mode: "no-cors" }}),
}};
form.submit();
(async () => {{
  for (const [name, attempt] of Object.entries(attempts)) {{
    const outcome = await attempt().then((a) => a.status ?? `read ${{a}}`, () => "stopped");
    document.body.append(` ${{name}}=${{outcome}};`);
  }}
  document.body.append(" done");
}})();
</script>
"""
SITE = """
<!doctype html><body><script>
fetch("/prompts", {
  method: "POST",
  body: JSON.stringify({ text: "by its own page" }),
  headers: { "Content-Type": "application/json" },
}).then((answer) => document.body.append(`wrote ${answer.status}`));
</script>
"""


def stranger(target: str) -> Starlette:
    async def show(_: Request) -> Response:
        return HTMLResponse(ATTACK.format(target=target))

    return Starlette(routes=[Route("/", show)])


@needs_chromium
def test_a_stranger_s_page_changes_nothing_and_reads_nothing(tmp_path: Path) -> None:
    written = Written()
    with serve(make_app(written=written)) as port, serve(stranger(f"http://127.0.0.1:{port}")) as their_port:
        for host in (STRANGER, "127.0.0.1"):  # another site, and another port of the same one
            shown, _ = visit(f"http://{host}:{their_port}/", profile=tmp_path / host)
            outcomes = shown.split("</script>")[-1]
            assert "done" in outcomes
            for name in ("json", "read", "remove"):
                assert f"{name}=stopped" in outcomes
    assert written.prompts == []


@needs_chromium
def test_a_rebound_name_gets_nothing(tmp_path: Path) -> None:
    with serve(make_app()) as port:
        shown, _ = visit(f"http://{STRANGER}:{port}/prompts/7", profile=tmp_path)
    assert '"code":"foreign_host"' in shown
    assert '"number":7' not in shown


@needs_chromium
def test_the_studio_s_own_page_writes(tmp_path: Path) -> None:
    written = Written()
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(SITE)
    options = dataclasses.replace(LOOPBACK, site_folder=site)
    with serve(make_app(options, written=written)) as port:
        shown, complaints = visit(f"http://127.0.0.1:{port}/", profile=tmp_path / "profile")
    assert "wrote 201" in shown
    assert [prompt.text for prompt in written.prompts] == ["by its own page"]
    assert complaints == []
