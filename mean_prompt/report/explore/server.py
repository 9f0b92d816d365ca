"""The explorer's server: the page, its files and the map, for this machine alone."""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import gradio as gr
from fastapi import FastAPI, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from mean_prompt.report.explore.page import build_page, theme
from mean_prompt.report.page.page import plotly_script

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mean_prompt.report.explore.explorer import Explorer
    from mean_prompt.system import Address

#: Gradio compiles small functions in the page, and Plotly styles elements.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: Previews for social networks, in which Gradio puts addresses of its own.
_PREVIEW: Final = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>', re.DOTALL)
_HEAD: Final = (
    '<link rel="stylesheet" href="./explorer/page.css">'
    '<script src="./explorer/page.js" defer></script>'
)


def explorer_app(explorer: Explorer, text: str, address: Address) -> ASGIApp:
    """Return the server's application.

    Args:
        explorer: analyses texts.
        text: the string of the first column.
        address: the address that the server is bound to.
    """
    app = FastAPI(openapi_url=None)
    figure = json.dumps(explorer.figure)

    @app.get("/explorer/map.json")
    def the_map() -> Response:
        return Response(figure, media_type="application/json")

    @app.get("/explorer/plotly.js")
    def plotly() -> Response:
        return Response(plotly_script(), media_type="text/javascript")

    @app.get("/explorer/page.js")
    def page_script() -> Response:
        return Response(_asset("page.js"), media_type="text/javascript")

    @app.get("/explorer/page.css")
    def page_style() -> Response:
        return Response(_asset("page.css"), media_type="text/css")

    gr.mount_gradio_app(
        app,
        build_page(explorer, text),
        path="/",
        server_name=address.host,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        head=_HEAD,
    )
    return Guard(app, address)


class Guard:
    """Answers only the explorer's own page, and keeps that from reaching other hosts.

    A page elsewhere can make its own name resolve to this address, and then read everything here;
    so the name in the request must be the server's own.

    Args:
        app: the application that is guarded.
        address: the address that the server is bound to.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers.get("host"), headers.get("origin"))
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        if scope["path"] == "/":
            scope = {**scope, "headers": _uncompressed(scope["headers"])}
            send = _Plain(send)
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, host: str | None, origin: str | None) -> str | None:
        if not self._address.admits(host):
            return "the explorer answers to its own address alone"
        if origin is not None and urlsplit(origin).netloc != host:
            return "the explorer answers its own page alone"
        return None


class _Plain:
    """Removes what is for other hosts from the page that is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._parts.append(message.get("body", b""))
        if message.get("more_body") or self._start is None:
            return
        body = _PREVIEW.sub(b"", b"".join(self._parts))
        MutableHeaders(scope=self._start)["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending


def _uncompressed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name != b"accept-encoding"]


def _asset(name: str) -> str:
    return (files("mean_prompt.report.explore") / "assets" / name).read_text("utf-8")


def serve(app: ASGIApp, listening: socket.socket, **options: Any) -> None:  # noqa: ANN401
    """Serve an application until Ctrl-C or SIGTERM.

    Args:
        app: the application.
        listening: the socket.
        options: of uvicorn.
    """
    import uvicorn

    # Pages hold a stream open, which must not delay the end.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, **options
    )
    # Having shut down, uvicorn raises the Ctrl-C again.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
