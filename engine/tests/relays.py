"""A server between two others: it keeps what it is sent, and fails when told to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Answer = tuple[int, bytes | Iterator[bytes]]


@dataclass
class Request:
    """What has come."""

    path: str
    headers: httpx.Headers
    body: bytes


@dataclass
class Relay:
    """Passes requests on to `target`, unless `answer` answers them."""

    target: str
    url: str = ""
    answer: Callable[[Request], Answer] | None = None
    requests: list[Request] = field(default_factory=list)

    def pass_on(self, method: str, request: Request) -> Answer:
        self.requests.append(request)
        if self.answer:
            return self.answer(request)
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        url = self.target.rstrip("/") + request.path
        answer = httpx.request(method, url, headers=headers, content=request.body, trust_env=False)
        return answer.status_code, answer.content


@contextmanager
def relay(target: str = "", port: int = 0) -> Iterator[Relay]:
    """Serve on a port of 127.0.0.1."""
    found = Relay(target)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.path, httpx.Headers(list(self.headers.items())), body)
            status, answered = found.pass_on(self.command, request)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if isinstance(answered, bytes):
                self.send_header("Content-Length", str(len(answered)))
            self.end_headers()
            for part in [answered] if isinstance(answered, bytes) else answered:
                self.wfile.write(part)

        do_POST = do_GET  # noqa: N815  # as the library has it

        def log_message(self, *_: object) -> None:
            """Not logged."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that gives up is no error of the server's."""

    with Server(("127.0.0.1", port), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()
