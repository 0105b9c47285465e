"""Drivers and frameworks that stand beside those of test_drivers, with two servers in transaction mode while others make them change hands: whatever keeps one
that it does not need soon waits for itself."""
import datetime

from harness import HERE, live, node_folder, on, takes
from test_drivers import PREPARED, Churn, Driver_story

RUBY = """
require 'sequel'
require 'sequel/extensions/migration'
require 'tmpdir'
db = Sequel.connect(adapter: 'postgres', host: ENV['PGHOST'], port: ENV['PGPORT'], database: 'app', user: 'app', max_connections: 6)
def must(true_) = true_ || raise('wrong')
begin
  Dir.mktmpdir do |folder|
    File.write("#{folder}/001_words.rb", 'Sequel.migration { change { create_table(:sequel_words) { primary_key :id; String :v, unique: true } } }')
    2.times { Sequel::Migrator.run(db, folder, use_advisory_lock: true) }
  end
  words = db[:sequel_words]
  8.times.map { |i| Thread.new {
    db.transaction(isolation: i.odd? ? :serializable : :committed, retry_on: [Sequel::SerializationFailure]) do
      id = words.insert(v: "v#{i}")
      begin
        db.transaction(savepoint: true) { words.insert(v: "v#{i}") }
        raise 'twice'
      rescue Sequel::UniqueConstraintViolation
      end
      must words.where(id: id).for_update.first[:v] == "v#{i}"
    end } }.each(&:join)
  by_v = words.where(v: :$v).prepare(:first, :sequel_by_v)
  40.times { |i| must by_v.call(v: "v#{i % 8}")[:v] == "v#{i % 8}" }
  numbers = db['SELECT generate_series(1, 1500) AS g']
  [{ rows_per_fetch: 100 }, { rows_per_fetch: 500, hold: true }].each { |way| must numbers.use_cursor(**way).map { |row| row[:g] } == [*1..1500] }
  Thread.new { sleep 0.2; db.notify(:sequel, payload: 'said') }
  must db.listen(:sequel, timeout: 20) { |_, _, payload| must payload == 'said' }
  must words.count == 8
ensure
  db.drop_table?(:sequel_words, :schema_info)
end
puts 'well'
"""


@on(*PREPARED)
class Frameworks(Driver_story):
    servers = 2

    @takes(200)
    def of_javascript(self):
        """postgres.js, Knex, Kysely, Drizzle, pg-boss, graphile-worker."""
        if live.kind == "pgweir":
            self.environment["INVENTED"] = "1"
        folder = node_folder()
        with Churn(self.proxy, 3):
            self._told(self._run("node", folder / "others.js"), servers=False)

    def sequel_of_ruby(self):
        with Churn(self.proxy, 3):
            self.assertEqual("well\n", self._run("ruby", "-e", RUBY))

    def pg8000_which_prepares_each_statement_under_a_name(self):
        import pg8000
        host, port = self.proxy.address
        with Churn(self.proxy, 3):
            connection = pg8000.connect(user="app", host=host, port=port, database="app")
            self.addCleanup(connection.close)
            cursor = connection.cursor()
            for number in range(40):
                cursor.execute("SELECT %s::int + 1, %s::int[], %s::bytea", (number, [number, 2], b"\x00\xff"))
                self.assertEqual([number + 1, [number, 2], b"\x00\xff"], list(cursor.fetchone()))
                connection.commit()
            with self.assertRaisesRegex(pg8000.ProgrammingError, "division by zero"):
                cursor.execute("SELECT 1/0")
            connection.rollback()
            connection.autocommit = True
            cursor.execute("SELECT generate_series(1, 90)")
            self.assertEqual(4095, sum(row[0] for row in cursor))

    def odbc_in_each_of_its_ways(self):
        """As it is; with a cursor for whatever it reads; with texts in the place of parameters; and by what it takes back when a statement fails: nothing, all, that statement."""
        for way in ("", "UseDeclareFetch=1;Fetch=10", "UseServerSidePrepare=0", "Protocol=7.4-0", "Protocol=7.4-1", "Protocol=7.4-2;UseDeclareFetch=1"):
            with self.subTest(way), Churn(self.proxy, 3):
                self._odbc(way)

    def _odbc(self, way):
        import pyodbc
        host, port = self.proxy.address
        connection = pyodbc.connect(f"DRIVER=PostgreSQL Unicode;Server={host};Port={port};Database=app;Uid=app;SSLmode=disable;{way}")
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE odbc(a int, b text, c timestamp) ON COMMIT DROP")
        rows = [(n, f"v{n}", datetime.datetime(2020, 1, 2)) for n in range(30)]
        cursor.executemany("INSERT INTO odbc VALUES (?, ?, ?)", rows)
        cursor.execute("SELECT a, b, c FROM odbc ORDER BY a")
        self.assertEqual(rows, [tuple(row) for row in cursor])
        connection.commit()
        for number in range(15):
            cursor.execute("SELECT CAST(? AS int) + 1, CAST(? AS text)", (number, f"v{number}"))
            self.assertEqual((number + 1, f"v{number}"), tuple(cursor.fetchone()))
            connection.commit()
        cursor.execute("SELECT generate_series(1, 300)")
        cursor.fetchmany(5)
        self.assertEqual(9, connection.cursor().execute("SELECT 9").fetchone()[0])
        self.assertEqual(295, len(cursor.fetchall()))
        with self.assertRaises(pyodbc.Error):
            cursor.execute("SELECT 1/0")
        connection.rollback()


@on(*PREPARED)
class Foreign(Driver_story):
    """PostgreSQL itself as the client: what postgres_fdw and dblink say."""
    servers = 2

    def setUp(self):
        super().setUp()
        self.outer = self.pg.admin("app2", timeout=60)
        self.addCleanup(self.outer.close)
        self.far = self.pg.admin("app")
        self.far.query("CREATE TABLE berths(id int PRIMARY KEY, v int, at timestamptz, iv interval); GRANT ALL ON berths TO PUBLIC")
        self.addCleanup(self.far.close)
        self.addCleanup(self.far.query, "DROP TABLE berths")

    def _with(self, extension):
        self.outer.query(f"CREATE EXTENSION {extension}")
        self.addCleanup(self.outer.query, f"SET client_min_messages = error; DROP EXTENSION {extension} CASCADE")

    def postgres_fdw_reads_and_writes(self):
        self._with("postgres_fdw")
        host, port = self.proxy.address
        outer = self.outer
        outer.query(f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname 'app', sslmode 'disable',"
                    " fetch_size '7', batch_size '10', use_remote_estimate 'true', async_capable 'true');"
                    "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'app', password_required 'false');"
                    "IMPORT FOREIGN SCHEMA public LIMIT TO (berths) FROM SERVER far INTO public")
        with Churn(self.proxy, 3):
            outer.query("INSERT INTO berths SELECT n, n * 2, '2020-01-01 00:00+00', '1 day' FROM generate_series(1, 60) n")
            outer.query("SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'")
            self.assertEqual(["3", "01/01/2020 09:00:00 JST", "1 day"],
                             list(outer.query("SELECT id, at, iv FROM berths WHERE at = '01/01/2020 09:00' AND id = 3").rows[0]))
            outer.query("BEGIN")
            outer.query("UPDATE berths SET v = v + 1 WHERE id < 10")
            outer.query("SAVEPOINT a")
            self.assertEqual("22012", outer.simple("UPDATE berths SET v = 1 / (id - 3)").error.sqlstate)
            outer.query("ROLLBACK TO a")
            outer.query("DELETE FROM berths WHERE id = 60")
            outer.query("COMMIT")
            self.assertEqual(["59", str(sum(2 * n for n in range(1, 60)) + 9)], list(outer.query("SELECT count(*), sum(v) FROM berths").rows[0]))
            outer.query("PREPARE by_id(int) AS SELECT v FROM berths WHERE id = $1")
            self.assertEqual([str(2 * n) for n in range(20, 30)], [outer.value(f"EXECUTE by_id({n})") for n in range(20, 30)])
            outer.query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM berths ORDER BY id; MOVE 20 IN c")
            self.assertEqual("21", outer.value("FETCH c"))
            outer.query("COMMIT")
            self.far.query("CREATE VIEW slow AS SELECT pg_sleep(60)::text AS x; GRANT SELECT ON slow TO PUBLIC")
            self.addCleanup(self.far.query, "DROP VIEW slow")
            outer.query("CREATE FOREIGN TABLE slow(x text) SERVER far OPTIONS (use_remote_estimate 'false'); SET statement_timeout = 300")
            self.assertEqual("57014", outer.simple("SELECT * FROM slow").error.sqlstate)
            outer.query("RESET ALL")
            self.assertEqual("59", outer.value("SELECT count(*) FROM berths"))
            outer.query("SELECT postgres_fdw_disconnect_all()")

    def dblink_holds_two_conversations(self):
        self._with("dblink")
        host, port = self.proxy.address
        outer = self.outer
        with Churn(self.proxy, 1):
            for name in "ab":
                outer.query(f"SELECT dblink_connect('{name}', 'host={host} port={port} dbname=app user=app sslmode=disable')")
            outer.query("SELECT dblink_exec('a', 'INSERT INTO berths VALUES (1, 1)')")
            outer.query("SELECT dblink_exec('a', 'BEGIN'), dblink_exec('a', 'UPDATE berths SET v = 2')")
            other = "SELECT v FROM dblink('b', 'SELECT v FROM berths') t(v int)"
            self.assertEqual("1", outer.value(other))
            outer.query("SELECT dblink_exec('a', 'COMMIT')")
            self.assertEqual("2", outer.value(other))
            outer.query("SELECT dblink_open('a', 'c', 'SELECT generate_series(1, 20)')")
            self.assertEqual("15", outer.value("SELECT sum(n) FROM dblink_fetch('a', 'c', 5) t(n int)"))
            outer.query("SELECT dblink_close('a', 'c')")
            outer.query("SELECT dblink_send_query('b', 'SELECT pg_sleep(60)'), pg_sleep(0.2)")
            self.assertEqual("OK", outer.value("SELECT dblink_cancel_query('b')"))
            self.assertEqual("57014", outer.simple("SELECT * FROM dblink_get_result('b') t(a text)").error.sqlstate)
            outer.query("SELECT * FROM dblink_get_result('b') t(a text)")
            outer.query("SELECT dblink_exec('b', 'LISTEN linked'), dblink_exec('a', 'NOTIFY linked, ''said''')")
            outer.query("SELECT pg_sleep(0.3)")
            self.assertEqual("said", outer.value("SELECT extra FROM dblink_get_notify('b')"))
            outer.query("SELECT dblink_disconnect('a'), dblink_disconnect('b')")
