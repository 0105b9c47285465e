"""What runbooks, log watchers and scripts of PgBouncer's users do and read, played against pgweir called pgbouncer and against PgBouncer."""
import os
import re
import time

from harness import Pooler, Story, live, on, wait_until
from wire import Client, query


class Log(Story):
    """The forms that pgBadger, fail2ban and people's own patterns look for."""
    kinds = ("pgweir", "pgbouncer")

    HEAD = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+ \[\d+\] "

    def _says(self, pooler, level, pattern):
        whole = re.compile(self.HEAD + level + " " + pattern + "$", re.M)
        wait_until(f"the log has a line like {level} {pattern}", lambda: whole.search(pooler.log()))

    def connections_are_told_of_as_pgbouncer_tells_of_them(self):
        pooler = self.pooler(called="pgbouncer", settings={"server_idle_timeout": 1})
        with pooler.client() as client:
            client.value("SELECT 1")
            port = client.socket.getsockname()[1]
        peer = rf"app/app@127\.0\.0\.1:{port}"
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: {peer} login attempt: db=app user=app tls=no( replication=no)?")
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: {peer} closing because: client close request \(age=\d+s\)")
        server = rf"S-0x[0-9a-f]+: app/app@127\.0\.0\.1:{self.pg.port}"
        self._says(pooler, "LOG", rf"{server} new connection to server \(from 127\.0\.0\.1:\d+\)")
        self._says(pooler, "LOG", rf"{server} closing because: server idle timeout \(age=\d+s\)")

    def a_client_of_the_unix_socket_is_known_by_its_process(self):
        pooler = self.pooler(called="pgbouncer")
        with Client(pooler.socket_path) as client:
            client.value("SELECT 1")
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: app/app@unix\({os.getpid()}\):{pooler.port} login attempt: db=app user=app .*")

    def who_is_refused_is_told_of_with_address_and_reason(self):
        pooler = self.pooler(called="pgbouncer", settings={"auth_type": "md5"}, userlist={"app": "right"})
        self.refused(pooler.client, password="wrong")
        self.refused(pooler.client, password="right", database="nosuch")
        for reason in ("password authentication failed", "no such database: nosuch"):
            self._says(pooler, "WARNING", rf"C-0x[0-9a-f]+: \S+/app@127\.0\.0\.1:\d+ pooler error: {reason}")
            self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: \S+/app@127\.0\.0\.1:\d+ closing because: {reason} \(age=\d+s\)")

    def what_is_asked_of_the_console_is_told(self):
        pooler = self.pooler(called="pgbouncer")
        console = pooler.console()
        for command in ("RELOAD", "PAUSE", "RESUME", "PAUSE app", "RESUME app", "DISABLE app", "ENABLE app", "RECONNECT", "KILL app", "RESUME app",
                        "SUSPEND", "RESUME"):
            console.query(command)
        self.refused(console.query, "SHOW TIDES", says="invalid command 'SHOW TIDES', use SHOW HELP;")
        for words in ("RELOAD", "PAUSE", "RESUME", "PAUSE 'app'", "RESUME 'app'", "DISABLE 'app'", "ENABLE 'app'", "RECONNECT", "KILL 'app'", "SUSPEND"):
            self._says(pooler, "LOG", words + " command issued")
        self._says(pooler, "WARNING", r"C-0x[0-9a-f]+: pgbouncer/admin@127\.0\.0\.1:\d+ pooler error: invalid command 'SHOW TIDES', use SHOW HELP;")

    def the_start_is_told_of(self):
        pooler = self.pooler(called="pgbouncer")
        self._says(pooler, "LOG", rf"listening on 127\.0\.0\.1:{pooler.port}")
        self._says(pooler, "LOG", rf"listening on unix:{pooler.folder}/\.s\.PGSQL\.{pooler.port}")
        self._says(pooler, "LOG", r"kernel file descriptor limit: \d+.*; max_client_conn: 1000.*")
        self._says(pooler, "LOG", r"process up: PgBouncer 1\.\d+\.\d+, .*")

    @on("pgweir")
    def the_number_of_a_line_is_that_of_show(self):
        pooler = self.pooler(called="pgbouncer")
        client = pooler.client()
        client.value("SELECT 1")
        number = next(row["ptr"] for row in pooler.show("CLIENTS") if row["database"] == "app")
        self._says(pooler, "LOG", rf"C-{number}: app/app@\S+ login attempt: .*")

    @on("pgweir")
    def as_pgweir_the_log_says_who_asked_and_no_value(self):
        pooler = self.pooler()
        console = pooler.console()
        console.query("SET auth_ldap_options = 'ldapbindpasswd=secret'")
        console.query("PAUSE app")
        self._says(pooler, "LOG", r"C-\d+\.\d+\.\d+: pgbouncer/admin@127\.0\.0\.1:\d+ PAUSE 'app' command issued")
        self._says(pooler, "LOG", r"C-\d+\.\d+\.\d+: pgbouncer/admin@127\.0\.0\.1:\d+ SET 'auth_ldap_options' command issued")
        self.assertNotIn("secret", pooler.log())
