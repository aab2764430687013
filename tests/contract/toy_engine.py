"""A model server for tests: a real process with a real port and secret, and no model."""

import argparse
import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version="toy, version 1.2.3")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret-file", type=Path, help="left out, the secret is in TOY_SECRET")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--starts", type=Path, help="append our pid here")
    parser.add_argument("--fail-starts", type=int, default=0, help="exit at once in the first so many starts")
    parser.add_argument("--silent-starts", type=int, default=0, help="never be ready in the first so many starts")
    parser.add_argument("--silent", action="store_true", help="never be ready")
    parser.add_argument("--deaf", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--child", action="store_true", help="have a child process of its own")
    parser.add_argument("--model", nargs="*", help="ignored")
    parser.add_argument("--private", type=Path, help="print what is in this file")
    parser.add_argument("--talk", type=int, default=0, help="print that many lines")
    return parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with what this process knows of itself."""

    secret = ""
    is_silent = False
    child_pid = 0

    def do_GET(self) -> None:
        if self.headers.get("authorization") != f"Bearer {self.secret}":
            self.answer(401, {})
        elif self.path == "/crash":
            os._exit(7)
        elif self.is_silent:
            self.answer(503, {})
        elif self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": "toy-model", "object": "model"}]})
        elif self.path == "/metrics":
            self.answer(200, None, 'toy_running{slot="0"} 1\ntoy_running{slot="1"} 2\ntoy_waiting 4\n')
        else:
            about: dict[str, object] = {"pid": os.getpid(), "child": self.child_pid, "argv": sys.argv}
            self.answer(200, about | {"environment": dict(os.environ)})  # noqa: TID251 - what reached us

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers.get("authorization") != f"Bearer {self.secret}":
            self.answer(401, {})
        elif self.path == "/v1/completions" and asked["model"] == "toy-model" and not self.is_silent:
            self.answer(200, {"choices": [{"text": "1", "index": 0, "finish_reason": "length"}]})
        else:
            self.answer(404, {})

    def answer(self, status: int, body: dict[str, object] | None, text: str = "") -> None:
        content = (text if body is None else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def note_start(path: Path, fail_starts: int) -> int:
    with path.open("a+") as starts:
        starts.write(f"{os.getpid()}\n")
        starts.flush()
        starts.seek(0)
        count = len(starts.readlines())
    if count <= fail_starts:
        sys.exit(f"toy: start {count} fails as asked")
    return count


def main() -> None:
    options = read_arguments()
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    count = note_start(options.starts, options.fail_starts) if options.starts is not None else 0
    if options.secret_file is not None:
        Handler.secret = options.secret_file.read_text()
    else:
        Handler.secret = os.environ["TOY_SECRET"]  # noqa: TID251 - what reached us
    Handler.is_silent = options.silent or 0 < count <= options.silent_starts
    if options.child:
        Handler.child_pid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
    if options.private is not None:
        print(options.private.read_text(), flush=True)  # noqa: T201 - engines print
    for number in range(options.talk):
        print(f"toy: line {number}", flush=True)  # noqa: T201 - engines print
    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
