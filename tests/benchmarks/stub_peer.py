"""A service in place of a peer's, run as `kexue.benchmarks.peers.serving` is: two entities in each answer."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

settings = json.loads(Path(sys.argv[1]).read_text("utf-8"))
if settings["peer"] == "broken":
    sys.exit("no module named gliner")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        right = self.path == "/stub" and asked["labels"] == settings["entities"] and asked["text"] in settings["texts"]
        body = json.dumps({"entities": asked["labels"], "relations": []}).encode()
        self.send_response(200 if right and settings["options"] == {"workers": 3} else 400)
        self.send_header("transfer-encoding", "chunked")  # as Ray Serve does
        self.end_headers()
        for part in (body[:5], body[5:], b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def log_message(self, *arguments: object) -> None:
        pass


with ThreadingHTTPServer(("127.0.0.1", settings["port"]), Handler) as server:
    address, fields = f"http://127.0.0.1:{settings['port']}", {"labels": settings["entities"]}
    said = {"address": address, "path": "/stub", "fields": fields, "about": "stub 1.0", "alone": 12.5}
    print(json.dumps(said), flush=True)
    server.serve_forever()
