#include <string.h>

#include "core/leak_state.h"

/* The catalogue, and which of its patterns the signs speak for.
 *
 * Several patterns look the same on the wire: a connection that a dead thread of an ASGI server keeps (L1) and one that a dead
 * greenlet keeps (L6) both ask once and are never heard of again. What speaks to us, and what kind of program it is, decide
 * between those; where neither is known, the most common one is named. The family never depends on a guess: it says what is
 * held, which is seen. A pattern without a sign is in the table because people ask for it by number; its text says under
 * which other name it appears. */

const struct leak_pattern leak_patterns[] = {
	/* clang-format off */
	{ .number = "L1", .name = "a connection per request, kept by a thread that is gone (ASGI)", .family = FAMILY_CLIENT,
		.cause = "Under ASGI every request may run in a thread of its own. With CONN_MAX_AGE above 0 Django leaves the thread's connection open for the next request, and the thread never gets one.",
		.looks = "Idle clients whose login, last statement and last change lie within a second, of all ages; in pg_stat_activity, without a pooler, the same of idle sessions.",
		.sign = "Logins go on beside quiet siblings; each new client has one burst and is never heard of again. A known ASGI server, or at least six a minute of an unknown program. Where garbage collection ends most of them: Django under an ASGI server whose process can be seen to have more connections than threads, by leak_siblings at least, three times before many ended at once within two minutes.",
		.cure = "Set CONN_MAX_AGE = 0 (or use Django's own pool), and DISABLE_SERVER_SIDE_CURSORS = True behind a pooler in transaction mode. Threads of your own (an executor, threading.Thread) must close their connections themselves, in a finally: see L5." },
	{ .number = "L2", .name = "a request cut short never says that it ended (Django 5.0)", .family = FAMILY_CLIENT,
		.cause = "A request whose browser went away is cancelled before it signals its end, on which the connection would have been closed.",
		.looks = "As L1; the births follow requests that were cut short.",
		.cure = "Use a later release than Django 5.0.0, and CONN_MAX_AGE = 0. On the wire it is L1, and is reported as that." },
	{ .number = "L3", .name = "one connection for each thread of a pool of threads", .family = FAMILY_CLIENT,
		.cause = "asyncio.to_thread and sync_to_async(thread_sensitive=False) run in a pool of min(32, cores + 4) threads for each process; each thread keeps its connection, and no request ever ends there.",
		.looks = "A constant number of idle clients for each process, for hours.",
		.sign = "It grows like L1 and then stops, while the program goes on working: as many as there are threads, most of them quiet for long. Or, without any growth, of Django under an ASGI server whose threads can be seen: at least six clients are each used by one thread only, always the same, also after crowds in which a pool would have dealt them anew.",
		.cure = "Wrap what touches the database in channels.db.database_sync_to_async, or close the connection at the end of each call with close_old_connections() and CONN_MAX_AGE = 0." },
	{ .number = "L4", .name = "a task cancelled while its thread works", .family = FAMILY_CLIENT,
		.cause = "The task that awaits sync_to_async is cancelled; the thread finishes afterwards, and nobody is there to close its connection.",
		.looks = "As L1; the births follow cancelled requests.",
		.sign = "As L1, of Django under a known ASGI server, where others that began with the same statement are closed as soon as they have done their work: it keeps no connections, and these were forgotten.",
		.cure = "Use database_sync_to_async, which closes in a finally, for everything that touches the ORM." },
	{ .number = "L5", .name = "a thread of the program's own ends without closing its connection", .family = FAMILY_CLIENT,
		.cause = "threading.Thread, ThreadPoolExecutor and the executors of libraries give every thread its own connection; nobody calls connections.close_all() when it ends.",
		.looks = "Idle clients, one for each thread that ever was, the oldest of them days old.",
		.sign = "As L1, slowly: less than six a minute, from a program that is no known ASGI server; of any speed with asyncpg; under an ASGI server, where its process can be seen to have a thread more for each, which lives; or of Django there, where others, with other statements, are closed as soon as they have done their work.",
		.cure = "End the work of every thread with connections.close_all() (or the close of your driver) in a finally." },
	{ .number = "L6", .name = "a connection per greenlet (gevent, eventlet)", .family = FAMILY_CLIENT,
		.cause = "Thread-local becomes greenlet-local: every greenlet opens a connection of its own and dies with it open.",
		.looks = "One idle client for each request, until its maximum age if it has one.",
		.sign = "As L1, of a program that runs on gevent or eventlet: its command line says so, or, of a worker of gunicorn's that has renamed itself, what it has loaded.",
		.cure = "Set CONN_MAX_AGE = 0, or use a pool made for greenlets (django-db-geventpool)." },
	{ .number = "L7", .name = "the application's own pool has run dry", .family = FAMILY_NOT_US,
		.cause = "Connections are taken from a pool inside the application and not given back; whoever wants one waits there. The database rests, and so does the pooler.",
		.looks = "The application times out; here few clients, all idle, none waiting, and PostgreSQL idle.",
		.sign = "Where the application's process can be seen and is a server itself: it asked all the time and then nothing any more, and since then people come to it who get no answer, which was not so before; it neither computes nor waits for anybody else, all its clients rest, nobody waits here and servers are free (see Visitors above). Elsewhere a hint, never more than 25 percent: an origin known for a day and a night, whose clients never rested for long, stops at once with all of them connected, while nobody waits here and servers are free.",
		.cure = "Look into the application's pool, not here: give connections back in a finally; for Celery call close_old_connections at task_postrun. If all of them have been given back, it waits for a lock of its own." },
	{ .number = "L8", .name = "a stream that ends without giving back its connection", .family = FAMILY_NOT_US,
		.cause = "A streamed answer takes a connection from the application's pool and does not return it when the stream is torn down.",
		.looks = "What needs no database answers in milliseconds, everything else after its timeout; here nobody waits.",
		.cure = "Give it back in the generator's finally. From here it is L7: the wait is inside the application." },
	{ .number = "L9", .name = "a transaction for as long as a stream or a tab is open", .family = FAMILY_SERVER,
		.cause = "A session that a dependency yields (FastAPI's Depends) ends when the response ends; for SSE and websockets that is when the tab is closed.",
		.looks = "As many clients idle in a transaction as tabs are open.",
		.sign = "Three or more clients idle in a transaction far beyond the origin's habit.",
		.cure = "Use a short session for what the stream needs at its start, and close it before the first byte is streamed." },
	{ .number = "L10", .name = "a call to somewhere else inside a transaction", .family = FAMILY_SERVER,
		.cause = "An HTTP request or a language model is waited for with a transaction open. Nothing is lost, but the server does nothing meanwhile.",
		.looks = "maxwait is high and so is the number of servers lent, while PostgreSQL's processors idle.",
		.sign = "Holds of seconds to a minute that end by themselves, and four fifths or more of all leased time is spent idle in a transaction.",
		.cure = "Commit before the call and begin anew after it; keep only what must be atomic inside the transaction." },
	{ .number = "L11", .name = "a clean-up that was itself cancelled (asyncio)", .family = FAMILY_SERVER,
		.cause = "The rollback or close in a finally is awaited by a task that is being cancelled; it never runs, and the connection stays in its transaction.",
		.looks = "idle in transaction (aborted) for hours, with a SELECT or a BEGIN as the last statement.",
		.sign = "Clients of asyncpg idle far beyond the origin's habit in a transaction that has failed: the cancel came in the middle of a statement. Where it came between two, it is told as L9 or L13.",
		.cure = "Shield the clean-up (asyncio.shield, or anyio's shielded scope), and set idle_transaction_timeout as a net." },
	{ .number = "L12", .name = "a scheduled task that never ends its transaction", .family = FAMILY_SERVER,
		.cause = "Each run opens a session, reads, and neither commits nor closes.",
		.looks = "One or two more idle in transaction with every tick of a clock.",
		.sign = "Holds begin in equal steps, an equal time apart, and stay; five in a row.",
		.cure = "Open the task's session with a context manager, so that it ends with the run." },
	{ .number = "L13", .name = "a transaction that its holder forgot", .family = FAMILY_SERVER,
		.cause = "A thread hangs or a generator is abandoned between two statements. Recycling and pinging of pools act only on what comes back.",
		.looks = "One session idle in transaction, far older than all others.",
		.sign = "One or two clients idle in a transaction far beyond the origin's habit.",
		.cure = "Set idle_transaction_timeout, give each engine an application_name, and look at where the last statement was sent from." },
	{ .number = "L14", .name = "a client that is never released (node-postgres)", .family = FAMILY_SERVER,
		.cause = "pool.connect() hands out a client, and an error on the way skips its release().",
		.looks = "Clients idle or idle in transaction, up to the size of the application's pool; then it hangs.",
		.sign = "With node-postgres: idle in a transaction far beyond the origin's habit; or as L1, of clients that had one burst.",
		.cure = "Call release() in a finally, or use pool.query(), which releases by itself." },
	{ .number = "L15", .name = "a socket that opened after its pool gave up on it (node-postgres)", .family = FAMILY_CLIENT,
		.cause = "The pool's connection timeout fires, and the login succeeds afterwards; nobody knows of that connection.",
		.looks = "In pg_stat_activity: idle, and query_start is null.",
		.sign = "Clients of node-postgres that log in beside quiet siblings and never ask anything.",
		.cure = "Use a newer node-postgres, and a connectionTimeoutMillis above the time that a login takes." },
	{ .number = "L16", .name = "a new pool for each reload or request", .family = FAMILY_CLIENT,
		.cause = "Hot reload (Next.js, Prisma, Vite) or a handler builds a new pool and drops the old one without ending it.",
		.looks = "Blocks of as many idle clients as a pool has, each block logged in within a second.",
		.sign = "Logins in clumps of equal size beside quiet siblings, at least five (of node-postgres) or eight.",
		.cure = "Keep one pool: on globalThis where code is reloaded, at module level elsewhere." },
	{ .number = "L17", .name = "a result that is never closed (Go)", .family = FAMILY_SERVER,
		.cause = "A return before rows.Close() keeps the connection in use; nothing else ever closes it, and the number of connections has no limit by default.",
		.looks = "In pg_stat_activity: active, waiting for ClientWrite.",
		.sign = "A result that its client has not read for longer than leak_hold; with Go also a transaction idle far beyond the origin's habit, and clients as in L1.",
		.cure = "Write defer rows.Close() (and defer tx.Rollback()) right after the error check, and set SetMaxOpenConns." },
	{ .number = "L18", .name = "a connection that is not closed on an error path (Java)", .family = FAMILY_SERVER,
		.cause = "An exception passes by the close(), and the pool waits for that connection for ever.",
		.looks = "idle or idle in transaction, up to the size of the pool; the application waits for a connection.",
		.sign = "With JDBC: idle in a transaction far beyond the origin's habit; or as L1.",
		.cure = "Use try-with-resources, and set HikariCP's leakDetectionThreshold to see the line." },
	{ .number = "L19", .name = "a worker that is replaced and leaves its connection", .family = FAMILY_CLIENT,
		.cause = "A child inherits its parent's sockets, or a recycled worker drops its connection without closing it (django-q, Celery prefork).",
		.looks = "Idle clients of processes that are no more, or of the parent.",
		.sign = "As L1, of Celery or django-q.",
		.cure = "Call connections.close_all() in the child when it starts, and before a worker is recycled." },
	{ .number = "L20", .name = "connections to databases that were named at run time", .family = FAMILY_CLIENT,
		.cause = "close_old_connections() knows the configured aliases only; those that a router makes up stay open.",
		.looks = "Many pools of one or two servers.",
		.cure = "Close them yourself: walk over connections.databases. Each alias is an origin here, with few clients each; SHOW ORIGINS lists them." },
	{ .number = "L21", .name = "a connection dropped when its set-up failed", .family = FAMILY_CLIENT,
		.cause = "The socket is open and logged in, then a hook of the pool fails; the object is dropped and the socket is not closed.",
		.looks = "Idle clients that never asked, and as many open descriptors in the application.",
		.sign = "Clients that log in beside quiet siblings and never ask anything, of anything but node-postgres.",
		.cure = "Close the connection where its set-up fails, and look for that failure in the application's log." },
	{ .number = "L22", .name = "a LISTEN per tab or module", .family = FAMILY_SERVER,
		.cause = "Every subscriber opens a session of its own and does not close it when it leaves.",
		.looks = "Idle, last statement LISTEN; in session mode, or with shared_listen = 0, with a server each, until the pool is full.",
		.sign = "As L1, of clients whose last statement is a LISTEN.",
		.cure = "Let one session listen for all and pass on what it hears; close it when the last subscriber leaves." },
	{ .number = "L23", .name = "peers that vanish without a word", .family = FAMILY_CLIENT,
		.cause = "A pod is killed, a NAT or load balancer forgets an idle connection, a laptop sleeps: no FIN ever comes.",
		.looks = "Clients that PostgreSQL or a pooler without probes shows as connected for days.",
		.sign = "Three or more clients of one origin in ten minutes whose network did not answer any more.",
		.cure = "Keep tcp_keepalive on here and in the clients, and below the idle time of what lies between; end pods with SIGTERM and time to close." },
	{ .number = "L24", .name = "statements whose client is gone", .family = FAMILY_SERVER,
		.cause = "The client goes away in the middle (a timeout, a closed tab) and PostgreSQL goes on with the statement.",
		.looks = "In pg_stat_activity: active, with nobody who reads the answer.",
		.sign = "Three or more in ten minutes that went on after their client.",
		.cure = "Set statement_timeout below the time that the application waits; abandoned_query = cancel ends them when the client leaves." },
	{ .number = "L25", .name = "a session lock where sessions are shared", .family = FAMILY_SERVER,
		.cause = "pg_advisory_lock() lasts as long as the server's session. In transaction mode its client keeps a server for that long (transparency = full), or the server is somebody else's in the next moment (protocol, off).",
		.looks = "A lock in pg_locks whose holder is idle, and whose last statement is somebody else's.",
		.sign = "A session advisory lock taken in transaction mode.",
		.cure = "Use pg_advisory_xact_lock(), or give this application a database entry with pool_mode = session." },
	{ .number = "L26", .name = "a session per tab (DBeaver, pgAdmin)", .family = FAMILY_CLIENT,
		.cause = "Graphical tools open a session for each tab and keep it. Five are how they work.",
		.looks = "A handful of idle clients for each person, with the tool's application_name.",
		.sign = "As L1, of a tool for people, from forty clients on.",
		.cure = "Limit them: max_user_client_connections for people's users, or the tool's own setting for one connection per database." },
	{ .number = "L27", .name = "the pooler itself", .family = FAMILY_NOT_US,
		.cause = "A pooler lends a server that is not done, or waits for an answer that can not come.",
		.looks = "A server that is lent and never comes back, with no client.",
		.cure = "Report it. pgweir proves each server free before it is lent, and ends with a report where its own books do not agree." },
	{ .number = "L28", .name = "a deploy: old and new at once", .family = FAMILY_CLIENT,
		.cause = "For some minutes the old processes and the new ones hold their pools. This is no leak.",
		.looks = "Twice as many clients as usual, half of them recent; then as many as usual.",
		.cure = "Smaller pools, or limits that have room for both. It never is a verdict: clients that come all at once are not taken for a leak until they have more than doubled the origin and go on coming." },
	/* clang-format on */
};
const size_t leak_patterns_count = sizeof leak_patterns / sizeof *leak_patterns;

const struct leak_pattern *leak_pattern_of(const char *number)
{
	for (size_t i = 0; i < leak_patterns_count; i++)
		if (strcmp(leak_patterns[i].number, number) == 0)
			return &leak_patterns[i];
	return NULL;
}

/* By kind of program first, which says how connections get lost; then by driver, which says in which language. */
static const char *const by_runtime[] = {
	[RUNTIME_ASGI] = "L1",
	[RUNTIME_GEVENT] = "L6",
	[RUNTIME_CELERY] = "L19",
	[RUNTIME_DJANGO_Q] = "L19",
	[RUNTIME_GUI] = "L26",
};
static const char *const clients_by_driver[] = {
	[DRIVER_ASYNCPG] = "L5",
	[DRIVER_NODE] = "L14",
	[DRIVER_JDBC] = "L18",
	[DRIVER_GO] = "L17",
};
static const char *const holds_by_driver[] = {
	[DRIVER_NODE] = "L14",
	[DRIVER_JDBC] = "L18",
	[DRIVER_GO] = "L17",
};

#define HINT(table, word) ((size_t)(word) < sizeof(table) / sizeof *(table) ? (table)[word] : NULL)

static bool is(const struct leak_pattern *pattern, const char *number)
{
	return pattern && strcmp(pattern->number, number) == 0;
}

/* Under an ASGI server Django either keeps the connections of all requests (L1) or of none. Where others of this program are closed as soon
 * as they have done their work, it is none; those that stay then are of requests that were cut short, if those that are closed began
 * in the same way, and else of threads that no request waits for. What garbage collection closes, it closes late. */
static bool is_closed_elsewhere(const struct signs *signs, const struct leak_facts *facts)
{
	return facts->django * 10 >= facts->quiet * 9 && signs->left_soon >= 5 &&
		signs->left_soon > 2 * signs->left_unused;
}

const struct leak_pattern *pattern_of_clients(
	const struct signs *signs, const struct leak_facts *facts, const struct leak_pattern *present)
{
	uint32_t unused = facts->silent + facts->once;
	const char *number = HINT(by_runtime, facts->runtime);
	double per_minute = 60 * signs->unused_trend.slope;

	if (facts->listeners * 2 > facts->quiet)
		return leak_pattern_of("L22");
	if (signs->even && (facts->driver == DRIVER_NODE || facts->driver == DRIVER_UNKNOWN) && !number)
		return leak_pattern_of("L16");
	/* Clumps are seen while they come. */
	if (is(present, "L16") && !signs->sprouts)
		return present;
	if (facts->silent * 2 > unused && facts->runtime != RUNTIME_GUI)
		return leak_pattern_of(facts->driver == DRIVER_NODE ? "L15" : "L21");
	if (signs->tied && !signs->sprouts && !signs->teeth)
		return leak_pattern_of("L3");
	if (signs->flat && (facts->runtime == RUNTIME_ASGI || (!number && !HINT(clients_by_driver, facts->driver))))
		return leak_pattern_of("L3");
	if (is(present, "L3") && !signs->sprouts)
		return present;
	/* What began with threads of its own is not said to have lost them while no more come. */
	if (facts->runtime == RUNTIME_ASGI &&
		(signs->threaded || (is(present, "L5") && !signs->sprouts && !signs->teeth)))
		return leak_pattern_of("L5");
	if (facts->runtime == RUNTIME_ASGI && is_closed_elsewhere(signs, facts))
		return leak_pattern_of(signs->left_alike * 4 >= signs->left_soon ? "L4" : "L5");
	if (!number)
		number = HINT(clients_by_driver, facts->driver);
	if (number)
		return leak_pattern_of(number);
	/* By shape: per request or per thread. Requests that become few are still requests. */
	if (is(present, "L1") || (is(present, "L5") && per_minute < 12))
		return present;
	return leak_pattern_of(per_minute >= 6 ? "L1" : "L5");
}

const struct leak_pattern *pattern_of_holds(
	const struct signs *signs, const struct leak_facts *facts, const struct leak_pattern *present)
{
	const char *number = HINT(holds_by_driver, facts->driver);

	if (signs->beat)
		return leak_pattern_of("L12");
	if (signs->slow && !signs->outlier)
		return leak_pattern_of("L10");
	if (present && (is(present, "L12") || !signs->outlier))
		return present;
	if (number)
		return leak_pattern_of(number);
	/* A cancel in the middle of a statement leaves its transaction failed, and the ROLLBACK never came. */
	if (facts->driver == DRIVER_ASYNCPG && facts->failed * 2 >= facts->holding)
		return leak_pattern_of("L11");
	return leak_pattern_of(facts->holding >= (is(present, "L9") ? 2 : 3) ? "L9" : "L13");
}
