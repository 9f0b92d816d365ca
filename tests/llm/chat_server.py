"""A real OpenAI-compatible server, and a proxy before it that misbehaves if it is asked to."""

import asyncio
import base64
import http.client
import json
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: The word in a question that makes the proxy misbehave.
TRIGGER = "ghost"


@contextmanager
def serving(model):
    """Run ``transformers serve`` for a model in a thread; yield the URL of its API."""
    from transformers.cli.serve import Serve

    class Server(Serve):
        def start_server(self):
            """Start a thread that also closes its event loop."""
            self._thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))
            self._thread.start()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(str(model), host="127.0.0.1", port=port, device="cpu", non_blocking=True)
    try:
        _await_health(port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill_server()


def _await_health(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError):
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                connection.close()
                return
        connection.close()
        time.sleep(0.02)
    raise AssertionError("the server did not start")


class Proxy(ThreadingHTTPServer):
    """Forwards to a server; a question with TRIGGER gets the fault that the path names.

    ``http://.../hang/v1`` hangs, ``.../busy/v1`` is busy once, and so on: see the handlers.
    """

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target)
        self.times = {}
        self.requests = []
        self.status = 418
        self.over = threading.Event()

    def url(self, fault="forward"):
        return f"http://127.0.0.1:{self.server_port}/{fault}/v1"

    def handle_error(self, request, client_address):
        """Print nothing about clients that left: the point of several tests."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def misbehaving(target):
    """Run a proxy before a server."""
    proxy = Proxy(target)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.path.split("/")[1]
        if TRIGGER not in json.loads(body)["messages"][-1]["content"]:
            fault = "forward"
        times = self.server.times.setdefault(fault, [])
        times.append(time.monotonic())
        getattr(self, fault.replace("-", "_"))(body, len(times))

    def forward(self, body, _count):
        target = self.server.target
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{target.path}/chat/completions", body, headers)
            response = connection.getresponse()
            self._start(response.status, response.headers["Content-Type"])
            self.wfile.write(response.read())
        finally:
            connection.close()

    def hang(self, _body, _count):
        self.server.over.wait()

    def echo(self, _body, _count):
        """Refuse with what the request held, as a careless server does."""
        sent = self.path, self.headers["Authorization"]
        self.server.requests.append(sent)
        basic, _, pair = sent[1].partition(" ")
        words = base64.b64decode(pair).decode() if basic == "Basic" else ""
        self._refuse(self.server.status, f"{self.server.status}: {sent} {words}")

    def busy(self, body, count):
        if count == 1:
            self._refuse(429, "slow down", {"Retry-After": "0.7"})
        else:
            self.forward(body, count)

    def broken(self, _body, _count):
        self._refuse(500, "it broke")

    def too_busy(self, _body, _count):
        self._refuse(429, "come back tomorrow", {"Retry-After": "86400"})

    def too_long(self, _body, _count):
        self._refuse(400, "the context is too long")

    def locked(self, _body, _count):
        self._refuse(401, "wrong key")

    def unknown(self, _body, _count):
        self._refuse(404, "no such model")

    def empty(self, _body, _count):
        self._start(200, "text/event-stream")
        self._piece("")
        self.wfile.write(b"data: [DONE]\n\n")

    def endless(self, _body, _count):
        self._start(200, "text/event-stream")
        while not self.server.over.is_set():
            self._piece("Rewrite it as a sea shanty, and then again. ")

    def endless_blank(self, _body, _count):
        self._start(200, "text/event-stream")
        while not self.server.over.is_set():
            self._piece("")
            time.sleep(0.05)

    def garbage(self, _body, _count):
        self._start(200, "text/event-stream")
        self.wfile.write(b'data: {"choices": [\n\n')

    def cut_off(self, _body, _count):
        self._start(200, "text/event-stream", {"Content-Length": "100000"})
        self._piece("Rewrite")

    def _start(self, status, kind, headers=None):
        self.send_response(status)
        for name, value in ({"Content-Type": kind} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status, message, headers=None):
        self._start(status, "application/json", headers)
        self.wfile.write(json.dumps({"error": {"message": message}}).encode())

    def _piece(self, text):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        self.wfile.write(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
