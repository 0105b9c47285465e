"""The dashboard as it is served: the very files of web/, with headers that let it do nothing but its work. What it does in a browser is in
test_dashboard.py."""
import contextlib
import http.client
import pathlib
import re
import shutil
import subprocess

import wire
from browser import USERS, http_settings
from harness import Pooler, Story

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Page(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.port, settings = http_settings()
        self.keep(Pooler(settings=settings, userlist=USERS)).start()

    def _ask(self, path, method="GET"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * wire.PATIENCE)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return response, response.read()

    def every_file_of_the_page_is_served_as_it_is_to_whoever_asks(self):
        files = list(WEB.iterdir())
        self.assertIn(WEB / "index.html", files)
        for path in files:
            response, body = self._ask("/" if path.name == "index.html" else f"/{path.name}")
            self.assertEqual((200, path.read_bytes()), (response.status, body), path.name)
            self.assertTrue(response.getheader("Content-Type").startswith(TYPES[path.suffix]), path.name)
            self.assertEqual("nosniff", response.getheader("X-Content-Type-Options"))

    def the_page_may_load_nothing_but_its_own_files_and_make_no_markup_of_texts(self):
        response, _ = self._ask("/")
        policies = [value for name, value in response.getheaders() if name == "Content-Security-Policy"]
        for word in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "require-trusted-types-for 'script'",
                     "trusted-types 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            self.assertIn(word, "; ".join(policies))
        self.assertNotIn("unsafe", "; ".join(policies))
        self.assertEqual("DENY", response.getheader("X-Frame-Options"))

    def nothing_in_it_asks_for_what_the_policy_forbids(self):
        page = (WEB / "index.html").read_text()
        self.assertEqual([], re.findall(r"\son\w+=|\sstyle=|<style|javascript:|https?://", page))
        self.assertEqual(["></script>"], re.findall(r"<script[^>]*src=\"/app.js\"(.*)", page))
        for path in WEB.glob("*.js"):
            self.assertEqual([], re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?://(?!www\.w3\.org/2000/svg)",
                                            path.read_text()), path.name)

    def what_it_shows_is_not_served_with_it(self):
        for path in ("/api/snapshot.json", "/api/history.json", "/api/session.json"):
            self.assertEqual(401, self._ask(path)[0].status)
        for path in ("/index.html", "/app", "/app.js/", "/../app.js", "//app.js", "/web/app.js"):
            self.assertEqual(404, self._ask(path)[0].status, path)
        self.assertEqual(405, self._ask("/app.js", "POST")[0].status)
        self.assertEqual((200, b""), (self._ask("/", "HEAD")[0].status, self._ask("/", "HEAD")[1]))

    def the_first_line_says_what_is_wrong(self):
        folder = self.own_folder()
        shutil.copytree(WEB, folder / "web")
        (folder / "web" / "package.json").write_text('{"type": "module"}')
        done = subprocess.run(["node", str(pathlib.Path(__file__).parent / "node" / "headline.js"), str(folder / "web")], capture_output=True,
                              text=True, timeout=30 * wire.PATIENCE)
        self.assertEqual((0, "ok\n"), (done.returncode, done.stdout), done.stderr)
