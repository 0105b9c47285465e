"""libpq itself, by ctypes: what drivers that stand on it can ask for, and psql does not show.

It is the library that lies beside the programs of the PostgreSQL that was asked for (`tests/live/run --postgres FOLDER`)."""
import ctypes
import pathlib
import select
import time

import wire
from harness import live

OK, BAD = 0, 1                                  # ConnStatusType
READING, WRITING, POLLED, FAILED = 1, 2, 3, 0   # PostgresPollingStatusType
EMPTY, COMMAND, TUPLES, COPY_OUT, COPY_IN, ERROR, SINGLE, SYNCED, ABORTED, CHUNK = 0, 1, 2, 3, 4, 7, 9, 10, 11, 12   # ExecStatusType
POINTERS = ("PQconnectdb", "PQexec", "PQgetResult", "PQcancelCreate", "PQprepare", "PQclosePrepared", "PQclosePortal", "PQexecPrepared", "PQdescribePrepared")
TEXTS = ("PQerrorMessage", "PQresultErrorMessage", "PQresultErrorField", "PQgetvalue", "PQcmdStatus", "PQparameterStatus", "PQcancelErrorMessage", "PQsslAttribute")


class Failed(Exception):
    pass


def library():
    """The library, or nothing where there is none."""
    if library.loaded is None and live.postgres:
        found = pathlib.Path(live.postgres).parent / "lib" / "libpq.so.5"
        if found.exists():
            library.loaded = ctypes.CDLL(str(found))
            for names, kind in ((POINTERS, ctypes.c_void_p), (TEXTS, ctypes.c_char_p)):
                for name in names:
                    if hasattr(library.loaded, name):
                        getattr(library.loaded, name).restype = kind
    return library.loaded


library.loaded = None


class Connection:
    """One connection of libpq's; `words` are a conninfo string's."""

    def __init__(self, address, **words):
        self.pq = library()
        words = {"host": address[0], "port": address[1], "user": "app", "dbname": "app", "connect_timeout": 20, **words}
        self.of = ctypes.c_void_p(self.pq.PQconnectdb(" ".join(f"{key}='{value}'" for key, value in words.items()).encode()))
        self.notices = []
        if self.pq.PQstatus(self.of) != OK:
            said = self.pq.PQerrorMessage(self.of).decode()
            self.close()
            raise Failed(said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.of:
            self.pq.PQfinish(self.of)
            self.of = None

    @property
    def protocol(self):
        return self.pq.PQfullProtocolVersion(self.of)

    @property
    def trouble(self):
        return self.pq.PQerrorMessage(self.of).decode()

    def parameter(self, name):
        value = self.pq.PQparameterStatus(self.of, name.encode())
        return value.decode() if value is not None else None

    def tls(self, what):
        value = self.pq.PQsslAttribute(self.of, what.encode())
        return value.decode() if value is not None else None

    # Results

    def _result(self, pointer):
        """(status, rows, SQLSTATE, message) of a PGresult, which is freed."""
        if not pointer:
            return None
        pointer = ctypes.c_void_p(pointer)
        columns = self.pq.PQnfields(pointer)
        rows = [tuple(self.pq.PQgetvalue(pointer, row, column).decode() for column in range(columns)) for row in range(self.pq.PQntuples(pointer))]
        state = self.pq.PQresultErrorField(pointer, ord("C"))
        told = (self.pq.PQresultStatus(pointer), rows, state and state.decode(), self.pq.PQresultErrorMessage(pointer).decode())
        self.pq.PQclear(pointer)
        return told

    def _done(self, told):
        if told[0] in (ERROR, ABORTED):
            raise Failed(f"{told[2]} {told[3]}")
        return told[1]

    def query(self, sql):
        return self._done(self._result(self.pq.PQexec(self.of, sql.encode())))

    def value(self, sql):
        rows = self.query(sql)
        return rows[0][0] if rows else None

    def prepare(self, name, sql):
        self._done(self._result(self.pq.PQprepare(self.of, name.encode(), sql.encode(), 0, None)))

    def run(self, name):
        return self._done(self._result(self.pq.PQexecPrepared(self.of, name.encode(), 0, None, None, None, 0)))

    def close_prepared(self, name):
        self._done(self._result(self.pq.PQclosePrepared(self.of, name.encode())))

    def close_portal(self, name):
        self._done(self._result(self.pq.PQclosePortal(self.of, name.encode())))

    # One thing at a time, and several

    def send(self, sql):
        self._sent(self.pq.PQsendQuery(self.of, sql.encode()))

    def send_params(self, sql):
        self._sent(self.pq.PQsendQueryParams(self.of, sql.encode(), 0, None, None, None, None, 0))

    def _sent(self, did):
        if not did:
            raise Failed(self.trouble)

    def pipeline(self, on=True):
        self._sent((self.pq.PQenterPipelineMode if on else self.pq.PQexitPipelineMode)(self.of))

    def sync(self, flush=True):
        self._sent(self.pq.PQpipelineSync(self.of) if flush else self.pq.PQsendPipelineSync(self.of))

    def flush(self):
        while self.pq.PQflush(self.of) == 1:
            select.select([], [self.pq.PQsocket(self.of)], [], 1)

    def in_chunks(self, rows):
        self._sent(self.pq.PQsetChunkedRowsMode(self.of, rows))

    def next(self, timeout=20):
        """The next result, or None at the end of a statement's; it waits in Python, so that a story's time can end it."""
        deadline = time.monotonic() + timeout * wire.PATIENCE
        while self.pq.PQisBusy(self.of):
            if time.monotonic() > deadline:
                raise wire.Late("a result")
            self.flush()
            select.select([self.pq.PQsocket(self.of)], [], [], 0.5)
            self._sent(self.pq.PQconsumeInput(self.of))
        return self._result(self.pq.PQgetResult(self.of))

    def results(self):
        """Those of one statement."""
        told = []
        while (one := self.next()) is not None:
            told.append(one)
        return told

    # Cancels, as libpq 17 has them: encrypted as the connection is

    def cancel(self, blocking=True, wait=True):
        request = ctypes.c_void_p(self.pq.PQcancelCreate(self.of))
        try:
            if blocking:
                did = self.pq.PQcancelBlocking(request)
            else:
                did = self.pq.PQcancelStart(request)
                deadline = time.monotonic() + 20 * wire.PATIENCE
                while did and (state := self.pq.PQcancelPoll(request)) != POLLED:
                    if state == FAILED or time.monotonic() > deadline:
                        did = 0
                        break
                    one = [self.pq.PQcancelSocket(request)]
                    select.select(one if state == READING else [], one if state == WRITING else [], [], 1)
            if not did:
                raise Failed(self.pq.PQcancelErrorMessage(request).decode())
        finally:
            self.pq.PQcancelFinish(request)
