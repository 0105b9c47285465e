"""What PgBouncer 1.25 has by name, held against what we have: settings, keys of entries, columns and types of every SHOW, flags, signals.

What is other on purpose stands in the tables here with its reason, and for users in doc/differences.md.
"""
import pathlib
import re
import signal
import subprocess

from harness import Story, live, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]

# key | default as SHOW CONFIG prints it (*: another text of the same meaning) | unit | may RELOAD and SET change it
SETTINGS = """
admin_users||list|yes
application_name_add_host|0|0/1|yes
auth_dbname||name|yes
auth_file||path|yes
auth_hba_file||path|yes
auth_ident_file||path|yes
auth_ldap_options||string|yes
auth_query|*|SQL|yes
auth_type|md5|enum|yes
auth_user||name|yes
autodb_idle_timeout|3600|s|yes
cancel_wait_timeout|10|s|yes
client_idle_timeout|0|s|yes
client_login_timeout|60|s|yes
client_tls13_ciphers||list|yes
client_tls_ca_file||path|yes
client_tls_cert_file||path|yes
client_tls_ciphers|default|list|yes
client_tls_dheparams|auto|enum|yes
client_tls_ecdhcurve|auto|name|yes
client_tls_key_file||path|yes
client_tls_protocols|secure|list|yes
client_tls_sslmode|disable|enum|yes
conffile||path|yes
default_pool_size|20|count|yes
disable_pqexec|0|0/1|no
dns_max_ttl|15|s|yes
dns_nxdomain_ttl|15|s|yes
dns_zone_check_period|0|s|yes
idle_transaction_timeout|0|s|yes
ignore_startup_parameters||list|yes
job_name|pgbouncer|name|no
listen_addr||list|no
listen_backlog|128|count|no
listen_port|6432|port|no
log_connections|1|0/1|yes
log_disconnections|1|0/1|yes
log_pooler_errors|1|0/1|yes
log_stats|1|0/1|yes
logfile||path|yes
login_notify_message||string|yes
max_client_conn|100|count|yes
max_db_client_connections|0|count|yes
max_db_connections|0|count|yes
max_packet_size|2147483647|bytes|yes
max_prepared_statements|200|count|yes
max_user_client_connections|0|count|yes
max_user_connections|0|count|yes
min_pool_size|0|count|yes
peer_id|0|1..16383|yes
pidfile||path|no
pkt_buf|4096|bytes|no
pool_mode|session|enum|yes
pool_idle_timeout|0|s|yes
query_timeout|0|s|yes
query_wait_notify|5|s (int)|yes
query_wait_timeout|120|s|yes
reserve_pool_size|0|count|yes
reserve_pool_timeout|5|s|yes
resolv_conf||path|no
sbuf_loopcnt|5|count|yes
scram_iterations|4096|count|yes
server_check_delay|30|s|yes
server_check_query|<empty>|SQL|yes
server_connect_timeout|15|s|yes
server_fast_close|0|0/1|yes
server_idle_timeout|600|s|yes
server_lifetime|3600|s|yes
server_login_retry|15|s|yes
server_reset_query|DISCARD ALL|SQL|yes
server_reset_query_always|0|0/1|yes
server_round_robin|0|0/1|yes
server_tls13_ciphers||list|yes
server_tls_ca_file||path|yes
server_tls_cert_file||path|yes
server_tls_ciphers|default|list|yes
server_tls_key_file||path|yes
server_tls_protocols|secure|list|yes
server_tls_sslmode|prefer|enum|yes
so_reuseport|0|0/1|no
stats_period|60|s (int)|yes
stats_users||list|yes
suspend_timeout|10|s|yes
syslog|0|0/1|yes
syslog_facility|daemon|name|yes
syslog_ident|pgbouncer|name|yes
tcp_defer_accept|1|0/1|yes
tcp_keepalive|1|0/1|yes
tcp_keepcnt|0|count|yes
tcp_keepidle|0|s|yes
tcp_keepintvl|0|s|yes
tcp_socket_buffer|0|bytes|yes
tcp_user_timeout|0|ms|yes
track_extra_parameters|IntervalStyle|list|no
transaction_timeout|0|s|yes
unix_socket_dir|/tmp|path|no
unix_socket_group||name/gid|no
unix_socket_mode|0777|octal|no
user||name|no
verbose|0|0..3|yes
"""

# Not so here: key -> (default, changeable). `no`: without a meaning here, and SET says so.
OTHER = {
    "sbuf_loopcnt": ("5", "no"),
    "resolv_conf": ("", "yes"),         # more than PgBouncer
}

# What doc/settings.md calls a unit that the table above calls otherwise.
UNITS = {"0..3": "level", "SQL": "SQL", "s (int)": "s"}

DATABASE_KEYS = """host port dbname user password auth_user auth_query auth_dbname pool_size min_pool_size reserve_pool_size
    connect_query pool_mode query_wait_timeout load_balance_hosts max_db_connections max_db_client_connections server_lifetime
    client_encoding datestyle timezone application_name""".split()
USER_KEYS = """pool_mode pool_size reserve_pool_size max_user_connections max_user_client_connections query_timeout
    idle_transaction_timeout client_idle_timeout transaction_timeout query_wait_timeout""".split()

TEXT, INT4, INT8, NUMERIC, BYTEA = 25, 23, 20, 1700, 17
TYPES = {"t": TEXT, "4": INT4, "8": INT8, "n": NUMERIC, "b": BYTEA}
LINE = """type:t user:t database:t replication:t state:t addr:t port:4 local_addr:t local_port:4 connect_time:t request_time:t wait:4
    wait_us:4 close_needed:4 ptr:t link:t remote_pid:4 tls:t application_name:t prepared_statements:4 id:4"""
BUFFERS = " recv_pos:4 pkt_pos:4 pkt_remain:4 send_pos:4 send_remain:4 pkt_avail:4 send_avail:4"
COUNTS = ("server_assignment_count xact_count query_count {received} {sent} xact_time query_time wait_time client_parse_count"
          " server_parse_count bind_count").format


def numeric(prefix, names):
    return " ".join(f"{prefix}{name}:n" for name in names.split())


SHOWS = {
    "CLIENTS": LINE,
    "SERVERS": LINE,
    "SOCKETS": LINE + BUFFERS,
    "ACTIVE_SOCKETS": LINE + BUFFERS,
    "POOLS": """database:t user:t cl_active:4 cl_waiting:4 cl_active_cancel_req:4 cl_waiting_cancel_req:4 sv_active:4 sv_active_cancel:4
        sv_being_canceled:4 sv_idle:4 sv_used:4 sv_tested:4 sv_login:4 maxwait:4 maxwait_us:4 pool_mode:t load_balance_hosts:t""",
    "PEER_POOLS": "peer_id:4 cl_active_cancel_req:4 cl_waiting_cancel_req:4 sv_active_cancel:4 sv_login:4",
    "DATABASES": """name:t host:t port:4 database:t force_user:t pool_size:4 min_pool_size:4 reserve_pool_size:4 server_lifetime:4 pool_mode:t
        load_balance_hosts:t max_connections:4 current_connections:4 max_client_connections:4 current_client_connections:4 paused:4
        disabled:4""",
    "USERS": """name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:4 current_connections:4
        max_user_client_connections:4 current_client_connections:4""",
    "PEERS": "peer_id:4 host:t port:4 pool_size:4",
    "LISTS": "list:t items:4",
    "STATS": "database:t " + numeric("total_", COUNTS(received="received", sent="sent"))
             + " " + numeric("avg_", COUNTS(received="recv", sent="sent")),
    "STATS_TOTALS": "database:t " + numeric("", COUNTS(received="bytes_received", sent="bytes_sent")),
    "STATS_AVERAGES": "database:t " + numeric("", " ".join(COUNTS(received="bytes_received", sent="bytes_sent").split()[:8]))
                      + " " + numeric("avg_", "client_parse_count server_parse_count bind_count"),
    "TOTALS": "name:t value:n",
    "CONFIG": "key:t value:t default:t changeable:t",
    "STATE": "key:t value:t",
    "MEM": "name:t size:4 used:4 free:4 memtotal:4",
    "DNS_HOSTS": "hostname:t ttl:8 addrs:t",
    "DNS_ZONES": "zonename:t serial:8 count:4",
    "VERSION": "version:t",
    "FDS": """fd:4 task:t user:t database:t addr:t port:4 cancel:8 link:4 client_encoding:t std_strings:t datestyle:t timezone:t password:t
        scram_client_key:b scram_server_key:b""",
}
LISTS = """databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones
    dns_queries dns_pending""".split()
TOTALS = COUNTS(received="client_bytes", sent="server_bytes").replace("client_parse", "ps_client_parse") \
    .replace("server_parse", "ps_server_parse").replace("bind_count", "ps_bind_count").split()


class Parity(Story):
    kinds = ("pgweir",)

    def settings_have_pgbouncers_names_order_defaults_and_reloadability(self):
        # What the harness sets shows as a value, not as a default.
        rows = self.pooler(called="pgbouncer").show("CONFIG")
        wanted = [line.split("|") for line in SETTINGS.split("\n") if line]
        names = [key for key, *_ in wanted]
        self.assertEqual(names, [row["key"] for row in rows][:len(names)])
        for (key, default, _, changeable), row in zip(wanted, rows):
            expected = OTHER.get(key, (default, changeable))
            self.assertEqual(expected, (row["default"] if default != "*" else "*", row["changeable"]), key)

    def settings_have_pgbouncers_units(self):
        said = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \| (?:live|restart)", (ROOT / "doc/settings.md").read_text(), re.M))
        times = [line.split("|")[0] for line in SETTINGS.split("\n") if line and line.split("|")[2] in ("s", "s (int)", "ms", "bytes")
                 and line.split("|")[0] in said]
        self.assertGreater(len(times), 20)
        for line in SETTINGS.split("\n"):
            if line and line.split("|")[0] in times:
                key, _, unit, _ = line.split("|")
                self.assertEqual(UNITS.get(unit, unit), said[key], key)

    def a_time_takes_decimals_and_a_switch_takes_0_and_1(self):
        console = self.pooler(called="pgbouncer").console()
        console.query("SET query_timeout = 1.5")
        self.assertEqual("1.5", next(row["value"] for row in console.query("SHOW CONFIG").dicts() if row["key"] == "query_timeout"))
        for words in ("SET query_timeout = 10s", "SET server_round_robin = on", "SET server_round_robin = yes"):
            self.refused(console.query, words, says="SET failed")

    def entries_take_pgbouncers_keys(self):
        value = {"host": "127.0.0.1,localhost", "load_balance_hosts": "disable", "pool_mode": "session", "connect_query": "'SELECT 1'", "auth_query": "'SELECT 1'",
                 "client_encoding": "UTF8", "datestyle": "ISO", "timezone": "GMT"}
        whole = lambda keys: " ".join(f"{key}={value.get(key, '3')}" for key in keys)
        pooler = self.pooler(called="pgbouncer", databases={"app": "dbname=app", "every": whole(DATABASE_KEYS)},
                             users={"third": whole(USER_KEYS)})
        row = next(row for row in pooler.show("DATABASES") if row["name"] == "every")
        self.assertEqual(("3", "3", "3", "3", "session", "disable", "3", "3"),
                         tuple(row[key] for key in ("pool_size", "min_pool_size", "reserve_pool_size", "server_lifetime", "pool_mode",
                                                    "load_balance_hosts", "max_connections", "max_client_connections")))
        row = next(row for row in pooler.show("USERS") if row["name"] == "third")
        self.assertEqual(("3", "3", "session", "3", "3"),
                         tuple(row[key].strip() for key in ("pool_size", "reserve_pool_size", "pool_mode", "max_user_connections",
                                                            "max_user_client_connections")))
        self.assertNotIn("not built", pooler.log())

    def every_show_has_pgbouncers_columns_and_types_and_no_other(self):
        pooler = self.pooler(called="pgbouncer")
        pooler.client().value("SELECT 1")
        console, whole = pooler.console(), pooler.console(database="pgweir")
        for what, columns in SHOWS.items():
            wanted = [(name, TYPES[kind]) for name, kind in (each.split(":") for each in columns.split())]
            with self.subTest(what):
                reply = console.query(f"SHOW {what}")
                self.assertEqual(wanted, list(reply.columns))
                self.assertEqual(["SHOW"], reply.tags)
                self.assertLessEqual(set(wanted), set(whole.query(f"SHOW {what}").columns))
        for what, name in (("POOLS", "failing"), ("STATS", "total_client_login_count")):
            self.assertIn(name, whole.query(f"SHOW {what}").names)
        self.assertEqual(LISTS, [row["list"] for row in console.query("SHOW LISTS").dicts()][:len(LISTS)])
        self.assertEqual(["active", "paused", "suspended"], [row["key"] for row in console.query("SHOW STATE").dicts()][:3])
        self.assertEqual([f"total_{name}" for name in TOTALS] + [f"avg_{name}" for name in TOTALS],
                         [row["name"] for row in console.query("SHOW TOTALS").dicts()])

    def a_view_by_dblink_reads_the_console(self):
        """As pgbouncer_fdw does: a table with one column more, or with a text in a column of numbers, is an error to it."""
        pg = live.pg
        with pg.admin("app") as admin:
            admin.query("CREATE EXTENSION IF NOT EXISTS dblink")
        pooler = self.pooler(called="pgbouncer", databases={"app": "dbname=app", "two": f"host=127.0.0.1,127.0.0.1 port={pg.port} dbname=app"})
        pooler.client().value("SELECT 1")
        sql = {"t": "text", "4": "int", "8": "bigint", "n": "numeric", "b": "bytea"}
        connection = f"host={pooler.socket_folder} port={pooler.port} user=admin dbname=pgbouncer"
        for what, columns in SHOWS.items():
            if what == "FDS":
                continue
            columns = ", ".join(f'"{name}" {sql[kind]}' for name, kind in (each.split(":") for each in columns.split()))
            with self.subTest(what), pg.admin("app") as admin:
                admin.query(f"SELECT * FROM dblink('{connection}', 'SHOW {what}') AS x({columns})")
        balance = {row["name"]: row["load_balance_hosts"] for row in pooler.show("DATABASES")}
        self.assertEqual({"app": None, "two": "round-robin", "pgbouncer": None}, balance)
        self.assertEqual({None}, {row["load_balance_hosts"] for row in pooler.show("POOLS")})

    def flags_are_pgbouncers(self):
        pooler = self.pooler(called="pgbouncer")
        program = pooler.command()[0]

        def run(*arguments):
            return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=60, text=True)
        for flag in ("-V", "--version"):
            done = run(flag)
            self.assertEqual((0, "PgBouncer 1.25.2"), (done.returncode, done.stdout.splitlines()[0]))
        for flag in ("-h", "--help"):
            done = run(flag)
            self.assertEqual(0, done.returncode)
            for word in ("--daemon", "--quiet", "--reboot", "--user", "--verbose", "--version", "--help", "-d", "-q", "-R", "-u", "-v", "-V", "-h"):
                self.assertIn(word, done.stdout)
        for wrong in ((), ("--no-such",), ("one.ini", "two.ini"), ("/no/such/file.ini",), ("-d", str(pooler.ini))):
            done = run(*wrong)
            self.assertEqual(1, done.returncode, wrong)
            self.assertNotEqual("", done.stderr, wrong)

    def signals_do_what_they_do_at_pgbouncer(self):
        pooler = self.pooler(called="pgbouncer")
        state = lambda: {row["key"]: row["value"] for row in pooler.show("STATE")}
        client = pooler.client()
        client.value("SELECT 1")
        for number, says in ((signal.SIGUSR2, "got SIGUSR2, but not paused/suspended"), (signal.SIGUSR1, "got SIGUSR1, pausing all activity"),
                             (signal.SIGUSR1, "got SIGUSR1, but already paused/suspended"), (signal.SIGUSR2, "got SIGUSR2, continuing from PAUSE")):
            pooler.process.send_signal(number)
            pooler.await_log(says)
            paused = "no" if number == signal.SIGUSR2 else "yes"
            wait_until(says, lambda: state()["paused"] == paused)
        pooler.process.send_signal(signal.SIGPIPE)
        pooler.process.send_signal(signal.SIGHUP)
        pooler.await_log("configuration reloaded")
        self.assertEqual("1", client.value("SELECT 1"))
        pooler.process.send_signal(signal.SIGINT)
        self.assertEqual(0, pooler.wait())

        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)):
            pooler = self.pooler(called="pgbouncer")
            busy = pooler.client()
            busy.begin()
            pooler.process.send_signal(first)
            pooler.await_log("shutting down, waiting")
            self.assertEqual("1", busy.value("SELECT 1"))
            pooler.process.send_signal(second)
            self.assertEqual(0, pooler.wait())
        pooler = self.pooler(called="pgbouncer")
        pooler.client().begin()
        pooler.process.send_signal(signal.SIGQUIT)
        self.assertEqual(0, pooler.wait())
