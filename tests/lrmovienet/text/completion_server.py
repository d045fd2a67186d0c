"""A server on this machine that speaks OpenAI's protocol, with answers from a function."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Reply(Exception):
    """What to send instead of an answer."""

    def __init__(self, status, body="", headers=(), kind="application/json"):
        self.status, self.headers, self.kind = status, dict(headers), kind
        self.body = body if isinstance(body, bytes) else body.encode()


def error(status, message, **headers):
    return Reply(status, json.dumps({"error": {"message": message}}), headers)


class Served:
    """What was asked, and how many requests were under way at once."""

    def __init__(self, answer):
        self.answer = answer
        self.requests, self.headers, self.paths = [], [], []
        self.under_way = self.most = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def counted(self):
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def prompts(self):
        return [prompt_of(request) for request in self.requests]


def prompt_of(request):
    return request["prompt"] if "prompt" in request else request["messages"][-1]["content"]


@contextlib.contextmanager
def serving(answer):
    """A server whose completions are `answer(request)`: a text, or a Reply that is raised.

    Yields its address, ending in /v1, and what it was asked.
    """
    served = Served(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with served.counted():
                with served.lock:
                    served.requests.append(request)
                    served.headers.append({k.lower(): v for k, v in self.headers.items()})
                    served.paths.append(self.path)
                try:
                    reply = completed(self.path, served.answer(request))
                except Reply as given:
                    reply = given
            with contextlib.suppress(OSError):  # a client that waits no longer
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completed(path, text, finish="stop"):
    """A whole answer in the protocol's form."""
    text, finish = text if isinstance(text, tuple) else (text, finish)
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "finish_reason": finish}
    if path == "/v1/chat/completions":
        choice["message"] = {"role": "assistant", "content": text}
    elif path == "/v1/completions":
        choice["text"] = text
    else:
        raise error(404, "no such path")
    body = {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice],
            "usage": usage}  # fmt: skip
    return Reply(200, json.dumps(body))
