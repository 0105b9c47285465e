"""L10: an HTTP call in the middle of a transaction. psycopg 3 with its own pool, and threads.

Nothing leaks: each transaction ends. But its server does nothing for six seconds of it, and twenty such requests need twenty servers."""
import http.server
import threading
import time
import urllib.request

import psycopg_pool

from asked import asked

options = asked(__doc__)
THINKS = 6


class Model(http.server.BaseHTTPRequestHandler):
    """The language model, somewhere on the net."""

    def do_GET(self):
        time.sleep(THINKS)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"an answer")

    def log_message(self, *_):
        pass


model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
threading.Thread(target=model.serve_forever, daemon=True).start()
pool = psycopg_pool.ConnectionPool(options.dsn, min_size=2, max_size=8)


def think():
    with urllib.request.urlopen(f"http://127.0.0.1:{model.server_port}/", timeout=30) as reply:
        return reply.read().decode()


def chat(number):
    if options.cured:
        text = think()
        with pool.connection() as connection:
            connection.execute("SELECT name FROM product WHERE id = %s", (number,))
            connection.execute("UPDATE product SET name = %s WHERE id = %s", (text, number))
        return
    # The mistake: the first statement opens the transaction, and the model is asked before it ends.
    with pool.connection() as connection:
        connection.execute("SELECT name FROM product WHERE id = %s", (number,))
        text = think()
        connection.execute("UPDATE product SET name = %s WHERE id = %s", (text, number))


def visitor(number):
    while True:
        chat(number)
        time.sleep(options.every)


for number in range(1, 7):
    threading.Thread(target=visitor, args=(number,)).start()
    time.sleep(0.7)
