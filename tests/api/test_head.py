import asyncio
import http.client

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from tests.api.edge import make_app, make_client, serve
from text2song.api.head import HeadFromGet
from text2song.api.openapi import openapi_document


def counting_router(runs: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/take")
    def read_take() -> Response:
        runs.append("GET /take")
        return Response(b"sound", headers={"ETag": '"abc"'})

    @router.get("/song")
    def read_song() -> Response:
        runs.append("GET /song")
        return StreamingResponse(iter([b"long"] * 3))

    @router.head("/song")
    def measure_song() -> Response:
        runs.append("HEAD /song")
        return Response(headers={"Content-Length": "12"})

    return router


def test_head_is_get_without_its_body() -> None:
    runs: list[str] = []
    client = make_client(make_app(extra=(counting_router(runs),)))
    got, headed = client.get("/take"), client.head("/take")
    assert headed.content == b""
    assert headed.status_code == got.status_code == 200
    for name in ("etag", "content-length"):
        assert headed.headers[name] == got.headers[name]
    assert runs == ["GET /take"] * 2


def test_a_route_with_its_own_head_keeps_it() -> None:
    runs: list[str] = []
    response = make_client(make_app(extra=(counting_router(runs),))).head("/song")
    assert (response.status_code, response.headers["content-length"]) == (200, "12")
    assert runs == ["HEAD /song"]


def test_where_there_is_no_get_there_is_no_head() -> None:
    router = APIRouter()
    router.add_api_route("/bell", lambda: None, methods=["POST"], name="ring_bell")
    client = make_client(make_app(extra=(router,)))
    response = client.head("/bell")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "POST", b"")
    assert client.head("/nowhere").status_code == 404
    assert client.head("/prompts/x").status_code == 422


def test_every_get_in_the_document_answers_head() -> None:
    app = make_app()
    client = make_client(app)
    gets = [path for path, item in app.openapi()["paths"].items() if "get" in item]
    assert gets
    for path in gets:
        assert client.head(path.replace("{number}", "7")).status_code == 200 or "trouble" in path
    assert '"head"' not in openapi_document(app)


def test_a_connection_stays_usable_after_head() -> None:
    with serve(make_app()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for method in ("HEAD", "GET", "HEAD"):
            connection.request(method, "/prompts/7")
            response = connection.getresponse()
            assert (response.status, response.headers["content-length"]) == (200, "12")
            assert response.read() == (b"" if method == "HEAD" else b'{"number":7}')
        connection.close()


def test_no_byte_of_the_body_leaves_even_where_the_server_would_send_it() -> None:
    sent: list[Message] = []

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(b"sound") if scope["method"] == "GET" else Response(status_code=405)
        await response(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "HEAD", "headers": []}
    asyncio.run(HeadFromGet(router)(scope, receive, send))
    start, body = sent
    assert (start["status"], body["body"], scope["method"]) == (200, b"", "HEAD")
    assert (b"content-length", b"5") in start["headers"]
