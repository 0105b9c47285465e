"""Eight languages log in by SCRAM through TLS, with the certificate verified; those whose driver can tie the login to the TLS connection do.

Each asks with a parameter, provokes an error, and goes on: "42 22012 by_scram"."""
import asyncio
import os
import shutil
import subprocess

import asyncpg
import psycopg

import papers
import wire
from harness import JDBC, full_only, live, node_folder, takes
from test_tls import Encrypted

PASSWORD = "sea-salt"

RUBY = """
require 'pg'
c = PG.connect(ARGV[0])
print c.exec_params('SELECT $1::int + 1', [41])[0].values[0], ' '
begin
  c.exec('SELECT 1 / 0')
rescue PG::Error => e
  print e.result.error_field(PG::PG_DIAG_SQLSTATE), ' '
end
print c.exec('SELECT current_user').getvalue(0, 0)
"""

PERL = """
use DBI;
my $c = DBI->connect("dbi:Pg:$ARGV[0]", undef, undef, {RaiseError => 1, PrintError => 0});
print $c->selectrow_array('SELECT ?::int + 1', undef, 41), ' ';
eval { $c->do('SELECT 1 / 0') };
print $c->state, ' ', $c->selectrow_array('SELECT current_user');
$c->disconnect;
"""

PHP = """
$c = pg_connect($argv[1]) or exit('no connection');
echo pg_fetch_result(pg_query_params($c, 'SELECT $1::int + 1', [41]), 0, 0), ' ';
pg_send_query($c, 'SELECT 1 / 0');
echo pg_result_error_field(pg_get_result($c), PGSQL_DIAG_SQLSTATE), ' ';
while (pg_get_result($c)) { }
echo pg_fetch_result(pg_query($c, 'SELECT current_user'), 0, 0);
"""

NODE = """
const { Client } = require('pg'), fs = require('fs');
(async () => {
    const [port, root, password] = process.argv.slice(1);
    const c = new Client({ host: 'localhost', port, user: 'by_scram', database: 'app', password, ssl: { ca: fs.readFileSync(root) } });
    await c.connect();
    const sum = (await c.query('SELECT $1::int + 1 AS sum', [41])).rows[0].sum;
    const state = await c.query('SELECT 1 / 0').catch((error) => error.code);
    console.log(sum, state, (await c.query('SELECT current_user AS me')).rows[0].me);
    await c.end();
})();
"""

JAVA = """
import java.sql.*;
public class Language {
    public static void main(String[] words) throws Exception {
        try (Connection c = DriverManager.getConnection(words[0]); PreparedStatement p = c.prepareStatement("SELECT ?::int + 1");
             Statement s = c.createStatement()) {
            p.setInt(1, 41);
            ResultSet sum = p.executeQuery();
            sum.next();
            String state = "none";
            try { s.execute("SELECT 1 / 0"); } catch (SQLException e) { state = e.getSQLState(); }
            ResultSet me = s.executeQuery("SELECT current_user");
            me.next();
            System.out.println(sum.getInt(1) + " " + state + " " + me.getString(1));
        }
    }
}
"""

GO = """
package main

import (
	"database/sql"
	"fmt"
	"os"

	"github.com/lib/pq"
)

func main() {
	c, err := sql.Open("postgres", os.Args[1])
	if err != nil {
		panic(err)
	}
	defer c.Close()
	var sum int
	var me string
	if err = c.QueryRow("SELECT $1::int + 1", 41).Scan(&sum); err != nil {
		panic(err)
	}
	_, err = c.Exec("SELECT 1 / 0")
	state := err.(*pq.Error).Code
	if err = c.QueryRow("SELECT current_user").Scan(&me); err != nil {
		panic(err)
	}
	fmt.Println(sum, state, me)
}
"""


class Languages(Encrypted):
    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(userlist={"by_scram": PASSWORD}, settings=self._towards_clients("require", auth_type="scram-sha-256"))
        self.root = self.authority.certificate
        self.place = f"host=localhost port={self.proxy.port} user=by_scram dbname=app password={PASSWORD} sslmode=verify-full sslrootcert={self.root}"

    def _says(self, *words, wanted="42 22012 by_scram", **options):
        words = [str(word) for word in words]
        self.assertTrue(shutil.which(words[0]), f"no {words[0]} here: tools/packages says what installs it")
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * wire.PATIENCE, **options)
        self.assertEqual((wanted, 0), (done.stdout.decode(errors="replace").strip(), done.returncode))

    @property
    def bound(self):
        """What libpq takes, which then logs in by SCRAM-SHA-256-PLUS or not at all."""
        return self.place + " channel_binding=require"

    def c_logs_in_bound(self):
        self._says("psql", "-XAtq", "-v", "ON_ERROR_STOP=0", "-c", "SELECT 41 + 1", "-c", r"\set VERBOSITY sqlstate", "-c", "SELECT 1 / 0",
                   "-c", "SELECT current_user", self.bound, wanted="42\nERROR:  22012\nby_scram")

    def python_logs_in_bound(self):
        with psycopg.connect(self.bound, autocommit=True) as connection:
            self.assertEqual((42,), connection.execute("SELECT %s::int + 1", (41,)).fetchone())
            with self.assertRaises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1 / 0")
            self.assertEqual(("by_scram",), connection.execute("SELECT current_user").fetchone())

        async def speak():
            connection = await asyncpg.connect(host="localhost", port=self.proxy.port, user="by_scram", database="app",
                                               password=PASSWORD, ssl=self._context(), timeout=20 * wire.PATIENCE)
            try:
                self.assertEqual(42, await connection.fetchval("SELECT $1::int + 1", 41))
                with self.assertRaises(asyncpg.DivisionByZeroError):
                    await connection.execute("SELECT 1 / 0")
                self.assertEqual("by_scram", await connection.fetchval("SELECT current_user::text"))
            finally:
                await connection.close()
        asyncio.run(speak())

    def ruby_logs_in_bound(self):
        self._says("ruby", "-e", RUBY, self.bound)

    def perl_logs_in_bound(self):
        self._says("perl", "-e", PERL, self.bound.replace(" ", ";"))

    def php_logs_in_bound(self):
        self._says("php", "-r", PHP, self.bound)

    @takes(200)
    @full_only
    def javascript_logs_in(self):
        self._says("node", "-e", NODE, self.proxy.port, self.root, PASSWORD, cwd=node_folder())

    @takes(120)
    @full_only
    def java_logs_in(self):
        program = self.folder / "Language.java"
        program.write_text(JAVA)
        self._says("java", "-XX:TieredStopAtLevel=1", "-cp", JDBC, program,
                   f"jdbc:postgresql://localhost:{self.proxy.port}/app?user=by_scram&password={PASSWORD}&sslmode=verify-full&sslrootcert={self.root}")

    @takes(180)
    @full_only
    def go_logs_in(self):
        program = self.folder / "language.go"
        program.write_text(GO)
        self._says("go", "run", program, self.place, env={
            **os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": "/usr/share/gocode", "GOCACHE": str(live.folder / "gocache")})

    def one_that_trusts_another_authority_does_not_get_in(self):
        stranger = papers.Authority(self.own_folder(), "stranger").certificate
        elsewhere = self.bound.replace(str(self.root), str(stranger))
        for words in (("ruby", "-e", RUBY), ("php", "-r", PHP)):
            done = subprocess.run([*words, elsewhere], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60 * wire.PATIENCE)
            self.assertIn("certificate verify failed", done.stdout.decode(errors="replace"))
