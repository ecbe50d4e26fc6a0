"""Presigned URLs in a web page of another origin, in a real browser. browser.py ENDPOINT allowed|refused"""

import hashlib
import http.server
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading

from client import client

BUCKET = "pages"
TEXT = "from a page"
PART_BYTES = 5 << 20
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

PAGE = """<!doctype html><meta charset="utf-8"><title>uploads</title><script>
const urls = URLS;
async function use() {
  const seen = {};
  const headers = {'content-type': 'text/plain', 'x-amz-meta-from': 'page'};
  let answer = await fetch(urls.put, {method: 'PUT', headers, body: 'TEXT'});
  seen.put = [answer.status, answer.headers.get('etag')];
  answer = await fetch(urls.get);
  seen.get = [answer.status, await answer.text(), answer.headers.get('x-amz-meta-from')];
  seen.id = answer.headers.get('x-amz-request-id');
  answer = await fetch(urls.get, {headers: {range: 'bytes=5-5'}});
  seen.range = [answer.status, answer.headers.get('content-range'), await answer.text()];
  answer = await fetch(urls.none);
  seen.none = [answer.status, (await answer.text()).includes('<Code>NoSuchKey</Code>')];
  const part = new Uint8Array(PART_BYTES).fill(120);
  seen.parts = await Promise.all(urls.parts.map(async url => {
    const answer = await fetch(url, {method: 'PUT', body: part});
    return answer.headers.get('etag');
  }));
  answer = await fetch(urls.remove, {method: 'DELETE'});
  seen.remove = answer.status;
  return seen;
}
const report = seen => fetch('/seen', {method: 'POST', body: JSON.stringify(seen)});
use().then(report, error => report({error: String(error)}));
</script>"""


def serve(page, seen):
    """Serves a page on a port of its own, and puts what it reports into `seen`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = page if self.path == "/" else b""
            self.send_response(200 if body else 404)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            seen.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def browse(page):
    """What the page reports."""
    seen = queue.Queue()
    port = serve(page.encode(), seen)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile("w+") as log:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", f"http://localhost:{port}/"]
        browser = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            return seen.get(timeout=120)
        except queue.Empty:
            log.seek(0)
            sys.exit(f"the page has not reported: {log.read()[-3000:]}")
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def main():
    endpoint, expected = sys.argv[1:]
    s3 = client(endpoint, signature_version="s3v4")
    s3.create_bucket(Bucket=BUCKET)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]

    def url(operation, key, **more):
        return s3.generate_presigned_url(operation, Params=dict(Bucket=BUCKET, Key=key, **more), ExpiresIn=300)

    urls = {
        "put": url("put_object", "k", ContentType="text/plain", Metadata={"from": "page"}),
        "get": url("get_object", "k"),
        "none": url("get_object", "none"),
        "remove": url("delete_object", "k"),
        "parts": [url("upload_part", "parts", UploadId=upload, PartNumber=number) for number in (1, 2)],
    }
    page = PAGE.replace("URLS", json.dumps(urls)).replace("TEXT", TEXT).replace("PART_BYTES", str(PART_BYTES))
    seen = browse(page)
    print(seen)
    if expected == "refused":
        assert "TypeError" in seen["error"], seen
        assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
        return
    assert seen["put"] == [200, f'"{hashlib.md5(TEXT.encode()).hexdigest()}"'], seen
    assert seen["get"] == [200, TEXT, "page"], seen
    assert len(seen["id"]) == 16, seen
    assert seen["range"] == [206, f"bytes 5-5/{len(TEXT)}", TEXT[5]], seen
    assert seen["none"] == [404, True], seen
    assert seen["remove"] == 204, seen
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(seen["parts"], 1)]
    s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(Bucket=BUCKET, Key="parts")["ContentLength"] == 2 * PART_BYTES


if __name__ == "__main__":
    main()
