"""The explorer's web server: it serves its page, scripts and map to this machine only."""

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
#: Preview tags for social networks, in which Gradio puts URLs of its own site.
_PREVIEW: Final = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>', re.DOTALL)
_HEAD: Final = (
    '<link rel="stylesheet" href="./explorer/page.css">'
    '<script src="./explorer/page.js" defer></script>'
)


def explorer_app(explorer: Explorer, text: str, address: Address) -> ASGIApp:
    """Return the explorer as an ASGI application, with ``text`` in the page's first column."""
    app = FastAPI(openapi_url=None)
    assets = files("mean_prompt.report.explore") / "assets"
    served = {
        "map.json": (json.dumps(explorer.figure), "application/json"),
        "plotly.js": (plotly_script(), "text/javascript"),
        "page.js": ((assets / "page.js").read_text("utf-8"), "text/javascript"),
        "page.css": ((assets / "page.css").read_text("utf-8"), "text/css"),
    }

    @app.get("/explorer/{name}")
    def asset(name: str) -> Response:
        if name not in served:
            return Response(status_code=404)
        content, kind = served[name]
        return Response(content, media_type=kind)

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
    """ASGI middleware: answers only the explorer's own page, which may load nothing elsewhere.

    A foreign page can make its own host name resolve to this address (DNS rebinding) and then read
    all responses; so the host name in a request must be the server's own.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it if its host or origin is foreign."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers.get("host"), headers.get("origin"))
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        if scope["path"] == "/":
            plain = [row for row in scope["headers"] if row[0] != b"accept-encoding"]
            scope = {**scope, "headers": plain}
            send = _Plain(send)
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, host: str | None, origin: str | None) -> str | None:
        if not self._address.admits(host):
            return "the explorer answers to its own address alone"
        if origin is not None and urlsplit(origin).netloc != host:
            return "the explorer answers its own page alone"
        return None


class _Plain:
    """Removes the preview tags for social networks from a page while the page is sent."""

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


def serve(app: ASGIApp, listening: socket.socket, **options: Any) -> None:  # noqa: ANN401
    """Serve an ASGI application with uvicorn on an open socket until Ctrl-C or SIGTERM."""
    import uvicorn

    # Pages keep a stream open, which must not delay the shutdown.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, **options
    )
    # Having shut down, uvicorn raises the Ctrl-C again.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
