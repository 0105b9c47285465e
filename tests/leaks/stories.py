"""The stories: what is played, what it is, and how one can see that it is so without believing the pooler's verdict.

A Load is an application and its truth. `evidence` counts, in a Sample, what has leaked (or what looks as if); it must reach
`at_least`, or the application is not what it claims to be. One with a cure is played a second time, cured: then it must not
reach that, and is a healthy load like the others.
"""
import dataclasses
import sys

from harness import free_port, postgres_programs
from judge import NAMED_WITHIN
from stage import JARS, Program

CLIENT, SERVER, NOT_US = "client", "server", "not us"


@dataclasses.dataclass
class Load:
    name: str                       # also its application_name
    stack: str
    tells: str                      # what happens, in a few words
    crew: object                    # what starts it: a function of Place, giving Programs
    evidence: object                # how many have leaked: a function of Sample
    at_least: int                   # so many must
    pattern: str = None             # of the catalogue; None: nothing leaks
    family: str = None
    cure: bool = False              # it can be played cured
    seconds: int = 60               # the longest that it is played; a leak ends as soon as it is named
    database: str = "app"           # "whole" is in session mode
    user: str = "app"               # as whom it logs in
    needs: tuple = ()
    network: bool = False           # it lives in a Network, which is cut
    names: tuple = ()               # other application_names that it goes by; JDBC says its name only after the login
    settings: dict = dataclasses.field(default_factory=dict)
    within: int = NAMED_WITHIN      # seconds from its start in which its family must be named
    shy: bool = False               # a pooler may rightly take longer than a story to say so; it must say nothing else
    small: bool = False             # one of the few that ./test plays
    cured: bool = False


@dataclasses.dataclass
class Place:
    """Where an application finds its database."""
    host: str
    port: int
    database: str
    user: str
    name: str
    cured: bool
    direct_port: int                # PostgreSQL itself, to make tables there
    network: object = None

    @property
    def environment(self):
        return {"PGHOST": self.host, "PGPORT": str(self.port), "PGDATABASE": self.database, "PGUSER": self.user, "APP_NAME": self.name,
                "CURED": str(int(self.cured))}


# How the applications are started ---------------------------------------------------------

def script(file, every, *more, network=False):
    """An application that is one Python script."""
    def crew(place):
        return [Program(sys.executable, file, *more, "--host", place.host, "--port", place.port, "--database", place.database,
                        "--user", place.user, "--name", place.name, "--every", every, *(["--cured"] if place.cured else []),
                        network=place.network if network else None)]
    return crew


def positional(*argv, every):
    """One that takes HOST PORT DATABASE USER NAME SECONDS [cured]."""
    def crew(place):
        return [Program(*argv, place.host, place.port, place.database, place.user, place.name, every, *(["cured"] if place.cured else []))]
    return crew


def visitors(what, url, every=1, ends=False):
    return Program(sys.executable, "visitors.py", what, url, "--every", every, folder=".", ends=ends)


def web(*argv, visits, path, every=1, scheme="http", ends=False, readers=False, **environment):
    """A web application that listens at PORT, and its visitors. With `readers`, others read a page without mistakes meanwhile."""
    def crew(place):
        port = free_port()
        server = Program(*[word.replace("PORT", str(port)) for word in argv], port=port, **place.environment | environment)
        others = [visitors("get", f"http://127.0.0.1:{port}/page")] if readers else []
        return [server, *others, visitors(visits, f"{scheme}://127.0.0.1:{port}{path}", every, ends)]
    return crew


def chat(place):
    """The application of the founding incident, as examples/chat has it."""
    port = free_port()
    database = {"DATABASE_HOST": place.host, "DATABASE_NAME": place.database, "DATABASE_USER": place.user, "PGAPPNAME": place.name,
                "PGSSLMODE": "disable", "ASGI_THREADS": "24", "CHAT_THINK_SECONDS": "0.3"}
    return [Program(sys.executable, "manage.py", "migrate", before=True, folder="chat", **database | {"DATABASE_PORT": str(place.direct_port)}),
            Program("daphne", "-p", port, "lfg.asgi:application", port=port, folder="chat", **database, DATABASE_PORT=str(place.port)),
            visitors("chat", f"ws://127.0.0.1:{port}/ws/chat/", 0.5)]


def django_q(place):
    """Its tables are made at PostgreSQL itself, then come its cluster and somebody who queues jobs."""
    environment = place.environment
    return [Program(sys.executable, "shop.py", "migrate", before=True,
                    **environment | {"PGPORT": str(place.direct_port), "PGDATABASE": "app"}),
            Program(sys.executable, "shop.py", "qcluster", **environment),
            Program(sys.executable, "shop.py", "queue", "120", **environment | {"APP_NAME": place.name + "-web"})]


def pgbench(place):
    return [Program(postgres_programs() / "pgbench", "-n", "-C", "-c", 8, "-j", 2, "-T", 100, "-R", 40, "-f", "one.sql", PGHOST=place.host,
                    PGPORT=str(place.port), PGDATABASE=place.database, PGUSER=place.user, PGAPPNAME=place.name, PGSSLMODE="disable")]


# The leaks -------------------------------------------------------------------------------

LEAKS = [
    Load("uvicorn-page", "Django under uvicorn", "persistent connections in a context that lives for one request",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "shop:asgi", visits="get", path="/page", every=0.6),
         lambda s: s.silent(5), 8, "L1", CLIENT, cure=True, small=True),
    Load("daphne-page", "Django under daphne", "persistent connections of threads that are gone, some of them ended by garbage collection",
         web("daphne", "-p", "PORT", "shop:asgi", visits="get", path="/page", every=0.3, NO_GAUGE="1"),
         lambda s: s.silent(2), 4, "L1", CLIENT),
    Load("daphne-chat", "Channels under daphne", "the founding incident: answers in threads of the default executor",
         chat, lambda s: s.silent(2), 8, "L3", CLIENT, shy=True),
    Load("uvicorn-summary", "Django under uvicorn", "asyncio.to_thread around the ORM",
         web("uvicorn", "--port", "PORT", "--workers", "3", "--log-level", "warning", "shop:plain_asgi", visits="waves", path="/summary",
             every=0.5, readers=True),
         lambda s: s.silent(2), 8, "L3", CLIENT, cure=True, shy=True, seconds=180, within=180),
    Load("uvicorn-estimate", "Django under uvicorn", "a task cancelled while its thread works, because its visitor left",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "shop:hasty_asgi", visits="leave", path="/estimate", every=0.7,
             MAX_AGE="0"),
         lambda s: s.silent(5), 8, "L4", CLIENT, cure=True),
    Load("daphne-upload", "Django under daphne", "an executor of its own for each upload",
         web("daphne", "-p", "PORT", "shop:plain_asgi", visits="get", path="/upload", every=1.2, readers=True),
         lambda s: s.silent(5), 8, "L5", CLIENT, cure=True),
    Load("gevent-page", "Django under gunicorn with gevent", "persistent connections in greenlets that live for one request",
         web("gunicorn", "-k", "gevent", "-b", "127.0.0.1:PORT", "shop:wsgi", visits="get", path="/page", every=0.6),
         lambda s: s.silent(5), 8, "L6", CLIENT, cure=True),
    Load("uvicorn-orders", "FastAPI under uvicorn, psycopg_pool", "the application's own pool is drained; neither pooler nor PostgreSQL is to blame",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "orders:app", visits="get", path="/order", every=0.3),
         lambda s: s.silent(6), 4, "L7", NOT_US, cure=True),
    Load("fastapi-stream", "FastAPI, SQLAlchemy, asyncpg", "a session held for as long as an event stream is open",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "stream:app", visits="stay", path="/events", every=2),
         lambda s: s.held(4), 4, "L9", SERVER, cure=True, small=True),
    Load("psycopg-llm", "psycopg 3 with psycopg_pool", "an HTTP call in the middle of a transaction",
         script("llm.py", 1), lambda s: s.held(4), 2, "L10", SERVER, cure=True),
    Load("asyncpg-cancelled", "asyncpg, anyio", "a clean-up that is cancelled as well",
         script("cancelled.py", 1), lambda s: s.held(4), 4, "L11", SERVER, cure=True),
    Load("psycopg-tick", "psycopg 3", "a scheduled task that reads and never commits",
         script("tick.py", 6), lambda s: s.held(4), 4, "L12", SERVER, cure=True, small=True),
    Load("asyncpg-hung", "SQLAlchemy, asyncpg", "a partner that never answers, asked within a transaction",
         script("hung.py", 0.3), lambda s: s.held(6), 2, "L13", SERVER, cure=True),
    Load("node-error", "node-postgres", "a client that is not released when its query fails",
         positional("node", "pool.js", "error", every=1), lambda s: s.silent(5), 6, "L14", CLIENT, cure=True, needs=("node",), small=True),
    Load("node-block", "node-postgres", "a client that is not released when its transaction fails",
         positional("node", "pool.js", "block", every=1.5), lambda s: s.held(4), 4, "L14", SERVER, cure=True, needs=("node",)),
    Load("node-race", "node-postgres", "a client that comes after its wait was given up",
         positional("node", "pool.js", "race", every=0.7), lambda s: s.silent(5), 6, "L15", CLIENT, cure=True, needs=("node",)),
    Load("node-reload", "node-postgres", "a new pool each time a module is loaded again",
         positional("node", "pool.js", "reload", every=3), lambda s: s.silent(5), 8, "L16", CLIENT, cure=True, needs=("node",)),
    Load("go-rows", "Go database/sql, lib/pq", "rows that nobody closes, most of them unread",
         positional("./rows", every=1.5), lambda s: s.unread(4), 4, "L17", SERVER, cure=True, needs=("go",)),
    Load("hikari-orders", "JDBC with HikariCP", "a connection that is not returned when an order is refused",
         positional("java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", f"{JARS}:classes", "Orders", every=1.5),
         lambda s: s.held(4), 4, "L18", SERVER, cure=True, needs=("java",), user="third", names=("",)),
    Load("django-q-recycle", "django-q", "a recycled worker whose helper inherited its connection",
         django_q, lambda s: s.silent(5), 4, "L19", CLIENT, cure=True, names=("django-q-recycle-web",)),
    Load("psycopg-setup", "psycopg 3", "a connection dropped when its set-up failed", script("setup.py", 0.4),
         lambda s: s.silent(5), 8, "L21", CLIENT, cure=True),
    Load("asyncpg-tabs", "asyncpg", "a LISTEN for each browser tab", script("tabs.py", 1.5),
         lambda s: s.silent(6) + sum(row["state"] == "active" for row in s.clients), 8, "L22", SERVER, cure=True, database="whole"),
    Load("pod-cut", "psycopg 3 with psycopg_pool", "a pod whose network is cut before it is killed",
         script("pod.py", 0.4, network=True), lambda s: s.silent(5), 4, "L23", CLIENT, network=True),
    Load("psycopg2-abandon", "psycopg 2", "workers killed in the middle of a query that goes on", script("abandon.py", 0.2),
         lambda s: s.abandoned(3), 4, "L24", SERVER, cure=True),
    Load("psycopg-locks", "psycopg 3 with psycopg_pool", "session advisory locks in transaction mode", script("locks.py", 1),
         lambda s: s.locked(0), 4, "L25", SERVER, cure=True),
]


# Healthy loads that look suspicious ----------------------------------------------------------

def silent(seconds):
    return lambda sample: sample.silent(seconds)


HEALTHY = [
    Load("pool-at-rest", "psycopg 3 with psycopg_pool", "a full pool that rests", script("steady.py", 5, "--uses", "all"),
         silent(5), 15, seconds=30, small=True),
    Load("pool-seldom", "node-postgres", "a pool that had one busy moment and is used a little ever since",
         positional("node", "pool.js", "rest", every=3), silent(5), 9, seconds=40, needs=("node",)),
    Load("nightly-batch", "psycopg 3", "long transactions with computing between their statements, and COPY", script("batch.py", 1),
         lambda s: s.held(0), 1, seconds=40),
    Load("long-report", "psycopg 2", "statements of eighteen seconds", script("report.py", 1),
         lambda s: sum(state == "active" and age > 10 for state, _, age, _ in s.backends), 3, seconds=40),
    Load("rolling-deploy", "psycopg 3 with psycopg_pool", "new pods log in while the old ones still rest (L28)", script("deploy.py", 0.3),
         lambda s: len(s.clients), 20, seconds=40, small=True),
    Load("pgAdmin 4 - DB:app", "psycopg 3", "a person with five tabs (L26)", script("gui.py", 1), lambda s: len(s.clients), 5, seconds=45,
         database="whole"),
    Load("listener", "psycopg 2", "listeners to whom nobody speaks", script("listener.py", 1), lambda s: len(s.clients), 2, seconds=40,
         database="whole"),
    Load("pgbench-C", "pgbench -C", "a login for each transaction", pgbench, lambda s: len(s.backends), 1, seconds=30),
    Load("slow-export", "psql", "slow readers that do get on", script("slow.py", 1), lambda s: s.unread(0), 2, seconds=40),
    Load("websocket-burst", "Channels under daphne", "sixty websockets that come and leave",
         web("daphne", "-p", "PORT", "shop:plain_asgi", visits="burst", path="/ws", scheme="ws", ends=True),
         lambda s: len(s.clients), 40, seconds=35),
    Load("daphne-goods", "Django under daphne", "a connection for each thread of an import, all closed at its end: a saw-tooth that is none of L1's",
         web("daphne", "-p", "PORT", "shop:plain_asgi", visits="get", path="/goods", every=4.5),
         lambda s: s.silent(2), 4, seconds=60),
    Load("gunicorn-recycle", "Django under gunicorn with uvicorn's workers", "kept connections of workers that are replaced after a few requests",
         web("gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "8", "--max-requests", "4", "-b", "127.0.0.1:PORT", "shop:plain_asgi",
             visits="crowd", path="/page", every=3),
         lambda s: s.silent(2), 3, seconds=60),
    Load("uvicorn-pooled", "psycopg 3 with psycopg_pool, under uvicorn", "a pool that grows with the threads that use it: all that is seen of L3",
         web("uvicorn", "--port", "PORT", "--workers", "2", "--log-level", "warning", "pooled:app", visits="waves", path="/summary",
             every=0.5),
         silent(2), 5, seconds=60),
    Load("uvicorn-full", "psycopg 3 with psycopg_pool, under uvicorn", "as many connections as threads, dealt in the same order: pairs that only a crowd parts",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "pooled:app", visits="waves", path="/summary", every=0.5, POOL_FULL="1"),
         silent(2), 3, seconds=60),
    Load("uvicorn-evening", "FastAPI under uvicorn, psycopg_pool", "a shop where nobody orders any more, while others wait for its news (not L7)",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "orders:app", visits="evening", path="/", every=0.3, CURED="1"),
         silent(8), 4, seconds=50),
    Load("uvicorn-partner", "FastAPI under uvicorn, psycopg_pool", "a shop whose partner hangs, who is asked before the database is (not L7)",
         web("uvicorn", "--port", "PORT", "--log-level", "warning", "orders:app", visits="get", path="/order", every=0.3, CURED="1", PARTNER="1"),
         silent(8), 4, seconds=50),
    Load("autoscaler", "asyncpg", "a fleet that grows by a pool at a time, of which a connection is used and the others are not",
         script("fleet.py", 3), silent(3), 80, seconds=60),
    Load("bursty-cron", "psql", "jobs that all start at once", script("cron.py", 5), lambda s: len(s.clients), 6, seconds=30, small=True),
    Load("used-in-turn", "psycopg 3 with psycopg_pool", "twelve connections, used in turn, each once in half a minute",
         script("steady.py", 2.5, "--uses", "some"), silent(8), 6, seconds=45),
]


def cured(load):
    """The same application, with the line that cures it: a healthy load."""
    return dataclasses.replace(load, name=load.name + "-cured", pattern=None, family=None, cured=True, seconds=30, cure=False,
                               small=False, names=tuple(name.replace(load.name, load.name + "-cured") for name in load.names))


ALL = LEAKS + HEALTHY + [cured(load) for load in LEAKS if load.cure]
