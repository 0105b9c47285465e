"""A stream is played to one of two, and what came back is compared.

Directly, the client waits at each WAIT until everything is answered: as many ReadyForQuery as it asked for, or PostgreSQL has read all
that was said and waits for more: a COPY swallows a Sync, and behind an error a Query is passed over. Silence alone tells nothing, since on a
busy machine a backend that was woken may not come to run for long. Through the
pooler it waits for exactly as many messages as came directly, so that both are asked the same questions at the same points of the
conversation, and nothing depends on how fast either is.

What may differ, and nothing else:

* the process id and key of BackendKeyData, and the process id of a notification;
* when ParameterStatus and NotificationResponse come; what the client believes of the parameters and what it has heard at each
  ReadyForQuery may not. (What others NOTIFY is said while nothing is asked, so that it is a matter of the answers behind it. Where a text that is
  put together has the LISTEN, it may be heard later, and what ends listening may come before it: what was heard directly by then is waited for.)
* which line of PostgreSQL's source refuses a message in an aborted block: that of a Parse of ours before it may be first;
* which message it was that came during a COPY, in the error about it: one of ours may have come before it;
* which line of its source says that a statement has other columns than it had: where a server has them from a Parse of ours, no line of PostgreSQL's does;
* the schema of a PL/pgSQL function in the context of a message: it is there or not by the search_path of who used it first in a server;
* what PostgreSQL says of itself at DEBUG: its caches are filled or not by who had a server before;
* a Bind with the wrong number of values on a server that has not seen the statement yet: refused for an aborted block, or for a table that is gone;
* a Describe of a statement without rows in an aborted block, or of any that names a table or function that is gone or has other columns: refused at once, not behind its
  parameters, and the rest of the stream is left out;
* a level of isolation that is set in the batch of a Describe of a statement: refused or not, by whether the server has to read that (anew, when others have made or
  dropped anything: so it is directly too), and the rest is left out;
* numbers that PostgreSQL draws for the occasion: oids of what was made (they are numbered as they appear) and of pg_temp_N.
"""
import pathlib
import re
import select
import struct
import time

import streams
import wire

QUIET_SECONDS = 0.01
SILENCES = 2                    # of QUIET_SECONDS, while nothing was asked
ANSWER_SECONDS = 20
FIRST_OWN_OID = 16384
IN_ABORTED_BLOCK = re.compile(rb"\0L\d+\0Rexec_\w+\0")
OTHER_COLUMNS = re.compile(rb"\0F[^\0]*\0L\d+(\0RRevalidateCachedQuery\0)")
GONE = re.compile(rb"\0C(42P01\0Mrelation \"|42883\0Mfunction )lane\d+\.(made2?|later)\b")
BEFORE_ANY_QUERY = b"\0C25001\0MSET TRANSACTION ISOLATION LEVEL must be called before any query\0"
DURING_COPY = re.compile(rb"(unexpected message type) 0x[0-9a-f]{2} ")
OF_SCHEMA = re.compile(rb"(PL/pgSQL function )lane\d+\.")
TEMPORARY = re.compile(rb"pg_(toast_)?temp_\d+")
HIDDEN_LISTEN = b"EXECUTE 'LISTEN"
ASKS = b"QSF"                   # answered with ReadyForQuery

# Said at the end of every stream: leave a COPY, a batch and a transaction that are open, and say that this is the end.
FAREWELL = [streams.WAIT, streams.Message("CopyFail", wire.copy_fail("the end")), streams.Message("Sync", wire.SYNC), streams.WAIT,
            streams.Message("Query SELECT 'the end'", wire.query("SELECT 'the end'")), streams.WAIT]


class Heard:
    """One answer: `messages` as (kind, body), and `at[n]` is the number of them that had come when the n-th WAIT was over.
    `beliefs` has the parameters at each ReadyForQuery, the login's first; `known` how many notifications had come by then, and
    `told[n]` how many before the n-th turn was said. `listen_is_hidden`: a text that is put together may have said it."""

    def __init__(self):
        self.messages, self.at, self.beliefs, self.late = [], [], [], False
        self.notified, self.known, self.told = [], [], []
        self.listen_is_hidden = False


class Listener:
    def __init__(self, address, stream, database):
        self.heard = Heard()
        self.oids = {}
        self.over = False
        self.ready = self.asked = 0
        self.client = None
        try:
            self.client = wire.Client(address, user=stream.user, database=database, parameters=stream.login, timeout=ANSWER_SECONDS)
            self.believe()
        except wire.Refused as refused:
            self.heard.messages.append((b"E", repr(sorted(refused.fields.items())).encode()))
            self.over = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Say goodbye and wait until the other side has closed, so that a backend is gone with all it had."""
        if not self.client:
            return
        try:
            self.client.send(wire.TERMINATE)
            self.client.expect_closed()
        except (wire.Closed, wire.Late, OSError):
            pass
        self.client.socket.close()

    def believe(self):
        self.heard.beliefs.append(dict(self.client.parameters))
        self.heard.known.append(len(self.heard.notified))

    def send(self, messages):
        self.asked += sum(message.kind in ASKS for message in messages)
        try:
            self.client.send(*(message.data for message in messages))
        except (wire.Closed, wire.Late):
            pass                # reading tells

    def read(self, timeout):
        """One message; False when none came in time."""
        try:
            kind, body = self.client.read(timeout)
        except wire.Late:
            return False
        except wire.Closed:
            self.heard.messages.append((b"closed", b""))
            self.over = True
            return True
        if kind == b"A":
            self.heard.notified.append(body[4:])
        elif kind == b"Z":
            self.ready += 1
            self.believe()
        if kind not in b"AS" and not (kind == b"N" and b"\0VDEBUG" in body):
            self.heard.messages.append((kind, self.plain(kind, body)))
        return True

    def rests(self, waits):
        """Whether PostgreSQL has read all that was said, answered what it would, and waits for more. That it waits is also what is seen of a
        backend that was woken and has not come to run yet; but what is said over a Unix socket wakes it at once, so that it does not sleep.
        (The beginning of a message may be here, of one that it has not sent whole: nobody asked it to flush.)"""
        state = pathlib.Path(f"/proc/{self.client.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "S" and waits(self.client.pid) and not select.select([self.client.socket], [], [], 0)[0]

    def plain(self, kind, body):
        """The message without what PostgreSQL draws for the occasion."""
        if kind == b"T":
            body = bytearray(body)
            count, = struct.unpack_from("!h", body)
            at = 2
            for _ in range(count):
                at = body.index(b"\0", at) + 1
                self.number_oid(body, at)
                self.number_oid(body, at + 6)
                at += 18
        elif kind == b"t":
            body = bytearray(body)
            for number in range(struct.unpack_from("!h", body)[0]):
                self.number_oid(body, 2 + 4 * number)
        elif kind == b"E" and b"\0C25P02\0" in body:
            body = IN_ABORTED_BLOCK.sub(b"\0", body)
        elif kind == b"E" and b"\0C0A000\0" in body:
            body = OTHER_COLUMNS.sub(rb"\1", bytes(body))
        if kind in b"EN":
            body = OF_SCHEMA.sub(rb"\1", bytes(body))
        return DURING_COPY.sub(rb"\1 N ", TEMPORARY.sub(rb"pg_temp_N", bytes(body)))

    def number_oid(self, body, at):
        oid, = struct.unpack_from("!I", body, at)
        if oid >= FIRST_OWN_OID:
            struct.pack_into("!I", body, at, self.oids.setdefault(oid, FIRST_OWN_OID + len(self.oids)))


def _turns(messages):
    """What is said up to each WAIT, and what others say before that, while the client has all its answers."""
    turn, others = [], []
    for each in messages:
        if each is streams.WAIT:
            yield others, turn
            turn, others = [], []
        elif each.kind == streams.OTHERS:
            if turn:
                yield others, turn
                turn, others = [], []
            others.append(each.data)
        else:
            turn.append(each)


def play(address, stream, database, others_say, waits=None, after=None, patience=ANSWER_SECONDS):
    """Play `stream`; what was heard. Directly, over a Unix socket, `waits(pid)` says whether that backend waits for its client. With `after`, what was heard
    directly, wait for as many messages as came there, each for `patience` at most."""
    with Listener(address, stream, database) as listener:
        listener.heard.listen_is_hidden = any(each is not streams.WAIT and each.kind != streams.OTHERS and HIDDEN_LISTEN in each.data for each in stream.messages)
        for number, (others, turn) in enumerate(_turns(stream.messages + FAREWELL)):
            if listener.over:
                break
            for sql in others:
                others_say(sql)
            if any(others) and after is None:
                _let_it_hear(listener)
            elif any(others) and number < len(after.told) and (listener.heard.listen_is_hidden or any(_may_unlisten(each) for each in turn)):
                _read_as_many(listener, listener.heard.notified, after.told[number], patience)
            listener.heard.told.append(len(listener.heard.notified))
            listener.send(turn)
            if after is None:
                _read_all(listener, turn, waits)
            elif not _read_as_many(listener, listener.heard.messages, after.at[number] if number < len(after.at) else len(after.messages), patience):
                listener.heard.late = True
                break
            listener.heard.at.append(len(listener.heard.messages))
    return listener.heard


def _read_all(listener, turn, waits):
    """Read until nothing more can come: the last that was said asks for ReadyForQuery and all of those are there, or PostgreSQL rests."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not listener.over:
        if listener.ready >= listener.asked and (not turn or turn[-1].kind in ASKS):
            return
        if listener.read(QUIET_SECONDS):
            continue
        if listener.rests(waits):
            return
        if time.monotonic() > deadline:
            raise wire.Late("PostgreSQL does not answer, and does not wait for its client")


def _let_it_hear(listener):
    """A backend that is sent a message when it is just told of a notification may come to that first."""
    for _ in range(SILENCES):
        while listener.read(QUIET_SECONDS) and not listener.over:
            pass


def _may_unlisten(message):
    return b"UNLISTEN" in message.data or b"DISCARD" in message.data


def _read_as_many(listener, heard, count, patience):
    while len(heard) < count and not listener.over:
        if not listener.read(patience):
            return False
    return True


def _is_refused_at_describe(heard, number, pair):
    """In an aborted block, or for a name that means nothing any more; what follows can not be compared. Of a statement without rows PostgreSQL
    looks at the names only when it is bound."""
    if pair[0][0] != b"t" or pair[1][0] != b"E":
        return False
    statuses = [body for kind, body in heard.messages[:number] if kind == b"Z"]
    behind = heard.messages[number + 1:number + 2]
    return ((b"\0C25P02\0" in pair[1][1] and statuses[-1:] == [b"E"]) or behind == [pair[1]]
            or (behind == [(b"n", b"")] and GONE.search(pair[1][1]) is not None))


def _is_level_behind_describe(heard, number, pair):
    """To read a text takes a snapshot, before which the level is to be set."""
    if {each[0] for each in pair} != {b"C", b"E"}:
        return False
    complete, error = sorted(pair)
    if complete[1] not in (b"START TRANSACTION\0", b"BEGIN\0", b"SET\0") or BEFORE_ANY_QUERY not in error[1]:
        return False
    ends = [at for at, (kind, _) in enumerate(heard.messages[:number]) if kind == b"Z"]
    return any(kind == b"t" for kind, _ in heard.messages[ends[-1] if ends else 0:number])


def _is_refused_sooner(direct, pooled):
    return (direct[0] == pooled[0] == b"E" and b"\0C08P01\0Mbind message supplies" in direct[1]
            and (b"\0C25P02\0" in pooled[1] or b"\0Fparse_" in pooled[1]))


def difference(direct, pooled):
    """None, or the first difference as lines to read."""
    for number in range(max(len(direct.messages), len(pooled.messages))):
        pair = [heard.messages[number] if number < len(heard.messages) else (b"nothing", b"") for heard in (direct, pooled)]
        if _is_refused_at_describe(direct, number, pair) or _is_level_behind_describe(direct, number, pair):
            return None
        if pair[0] != pair[1] and not _is_refused_sooner(*pair):
            turn = sum(at <= number for at in direct.at)
            before = [f"  both      {shown(*each)}" for each in direct.messages[max(0, number - 6):number]]
            return [f"answer {number + 1}, after wait {turn}"] + before + [f"  direct    {shown(*pair[0])}", f"  pooled    {shown(*pair[1])}"]
    if pooled.late:
        return ["the pooler fell silent"]
    for number, (ours, theirs) in enumerate(zip(direct.beliefs, pooled.beliefs)):
        if ours != theirs:
            other = [f"  {name}: direct {ours.get(name)!r}, pooled {theirs.get(name)!r}"
                     for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
            return [f"parameters at ReadyForQuery {number}"] + other
    if direct.notified != pooled.notified:
        return [f"notifications: direct {direct.notified}", f"               pooled {pooled.notified}"]
    for number, pair in enumerate(zip(direct.known, pooled.known)):
        if pair[0] != pair[1] and not direct.listen_is_hidden:
            return [f"notifications heard at ReadyForQuery {number}: direct {pair[0]}, pooled {pair[1]}"]
    return None


def shown(kind, body):
    if kind in (b"E", b"N"):
        fields = wire.fields_of(body)
        return f"{kind.decode()} " + " ".join(f"{key}={value!r}" for key, value in fields.items() if key not in "SV")
    return f"{kind.decode()} {body[:160]!r}"
