"""Stands in for the app where the stack around it is tested: answers its health path and the list of models."""

from __future__ import annotations

import json
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"data": [{"id": "fake-model"}], "database": os.environ["CUSTOMHOUSE_DATABASE_URL"]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["CUSTOMHOUSE_PORT"])), Handler).serve_forever()
    except KeyboardInterrupt:
        print("stopped in order")
