// The JDBC driver through a pooler. Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`:
// on how many servers the prepared statement ran. PG* variables say where; SESSION_DATABASE is in session mode.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Stories {
	interface Story { void run() throws Exception; }

	static Connection open(String database, String extra) throws SQLException {
		String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + database
			+ "?user=" + System.getenv("PGUSER") + "&sslmode=disable&gssEncMode=disable&connectTimeout=10&socketTimeout=30" + extra;
		return DriverManager.getConnection(url);
	}

	static Connection open() throws SQLException { return open(System.getenv("PGDATABASE"), "&prepareThreshold=1"); }

	static void want(boolean is, String what) { if (!is) throw new AssertionError(what); }

	static void failsWith(String state, Story story) throws Exception {
		try {
			story.run();
		} catch (SQLException error) {
			want(state.equals(error.getSQLState()), "wanted " + state + ", got " + error.getSQLState() + " " + error.getMessage());
			return;
		}
		throw new AssertionError("wanted " + state + ", got no error");
	}

	static void aQueryIsAnswered() throws Exception {
		try (Connection c = open(); Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT 1")) {
			want(r.next() && r.getInt(1) == 1, "1");
		}
	}

	static void parametersArrive() throws Exception {
		try (Connection c = open(); PreparedStatement s = c.prepareStatement("SELECT ?::int + 1, ?::text, ?::bytea, ?::text")) {
			for (int n = 0; n < 10; n++) {
				s.setInt(1, n);
				s.setString(2, "grün");
				s.setBytes(3, new byte[] {0, -1, 1});
				s.setNull(4, Types.VARCHAR);
				try (ResultSet r = s.executeQuery()) {
					want(r.next() && r.getInt(1) == n + 1 && r.getString(2).equals("grün") && Arrays.equals(r.getBytes(3), new byte[] {0, -1, 1})
						&& r.getString(4) == null, "a row of its own");
				}
			}
		}
	}

	static void aServerSideStatementSurvivesAChangeOfServers() throws Exception {
		Set<Integer> seen = new HashSet<>();
		try (Connection c = open(); PreparedStatement s = c.prepareStatement("SELECT pg_backend_pid(), ?::int")) {
			for (int n = 0; n < 150; n++) {
				s.setInt(1, n);
				try (ResultSet r = s.executeQuery()) {
					want(r.next() && r.getInt(2) == n, "sent " + n);
					seen.add(r.getInt(1));
				}
				if (n % 10 == 0)
					Thread.sleep(2);
			}
		}
		System.out.println("servers " + seen.size());
	}

	/** It reads what it has in binary by the types of an earlier Describe, and prepares a statement anew when it is told that they are others. */
	static void aColumnIsReadByTheTypeThatItHas() throws Exception {
		try (Connection c = open(); Statement ddl = c.createStatement(); Connection reader = open();
			PreparedStatement s = reader.prepareStatement("SELECT a FROM jdbc_column")) {
			ddl.execute("DROP TABLE IF EXISTS jdbc_column");
			ddl.execute("CREATE TABLE jdbc_column AS SELECT 7 AS a");
			for (String type : new String[] {"int", "bigint", "int", "float8", "int"}) {
				ddl.execute("ALTER TABLE jdbc_column ALTER a TYPE " + type);
				for (int n = 0; n < 40; n++) {
					try (ResultSet r = s.executeQuery()) {
						want(r.next() && r.getInt(1) == 7, "7 as " + type + ", not " + r.getInt(1));
					}
					if (n % 10 == 0)
						Thread.sleep(2);
				}
			}
			ddl.execute("DROP TABLE jdbc_column");
		}
	}

	static void manyStatementsAreOpenedAndClosed() throws Exception {
		try (Connection c = open(System.getenv("PGDATABASE"), "&prepareThreshold=1&preparedStatementCacheQueries=5")) {
			for (int n = 0; n < 60; n++) {
				try (PreparedStatement s = c.prepareStatement("SELECT " + n % 13 + " + ?")) {
					s.setInt(1, n);
					try (ResultSet r = s.executeQuery()) {
						want(r.next() && r.getInt(1) == n % 13 + n, "sent " + n);
					}
				}
			}
		}
	}

	static void aBatchIsCarriedOut() throws Exception {
		try (Connection c = open()) {
			c.setAutoCommit(false);
			try (Statement s = c.createStatement()) { s.execute("CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP"); }
			try (PreparedStatement s = c.prepareStatement("INSERT INTO t VALUES (?, ?)")) {
				for (int n = 0; n < 1000; n++) {
					s.setInt(1, n);
					s.setString(2, "v" + n);
					s.addBatch();
				}
				want(s.executeBatch().length == 1000, "1000 results");
			}
			try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT count(*), sum(n) FROM t")) {
				want(r.next() && r.getInt(1) == 1000 && r.getInt(2) == 499500, "1000 rows");
			}
			c.commit();
		}
	}

	static void anErrorInABatchLeavesTheConnectionWell() throws Exception {
		try (Connection c = open(); PreparedStatement s = c.prepareStatement("SELECT 1 / ?")) {
			boolean failed = false;
			for (int n : new int[] {2, 1, 0, 1}) {
				s.setInt(1, n);
				s.addBatch();
			}
			try { s.executeBatch(); } catch (SQLException error) { failed = true; }
			want(failed, "the batch failed");
			try (Statement t = c.createStatement(); ResultSet r = t.executeQuery("SELECT 5")) { want(r.next() && r.getInt(1) == 5, "5"); }
		}
	}

	static void anErrorInATransactionIsItsOwn() throws Exception {
		try (Connection c = open(); Statement s = c.createStatement()) {
			c.setAutoCommit(false);
			failsWith("22012", () -> s.execute("SELECT 1/0"));
			failsWith("25P02", () -> s.execute("SELECT 1"));
			c.rollback();
			try (ResultSet r = s.executeQuery("SELECT 2")) { want(r.next() && r.getInt(1) == 2, "2"); }
			c.commit();
		}
	}

	static void aCursorFetchesByParts() throws Exception {
		try (Connection c = open()) {
			c.setAutoCommit(false);
			try (PreparedStatement s = c.prepareStatement("SELECT n FROM generate_series(1, 1000) n")) {
				s.setFetchSize(50);
				int rows = 0;
				try (ResultSet r = s.executeQuery()) {
					while (r.next())
						want(r.getInt(1) == ++rows, "row " + rows);
				}
				want(rows == 1000, "1000 rows");
			}
			c.commit();
		}
	}

	static void copyGoesBothWays() throws Exception {
		try (Connection c = open()) {
			c.setAutoCommit(false);
			try (Statement s = c.createStatement()) { s.execute("CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP"); }
			CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
			StringBuilder in = new StringBuilder();
			for (int n = 0; n < 3000; n++)
				in.append(n).append("\tv").append(n).append('\n');
			want(copy.copyIn("COPY t FROM STDIN", new StringReader(in.toString())) == 3000, "3000 rows in");
			StringWriter out = new StringWriter();
			copy.copyOut("COPY (SELECT * FROM t ORDER BY n) TO STDOUT", out);
			want(out.toString().equals(in.toString()), "the same text out");
			c.commit();
		}
	}

	static void aCancelHitsItsQuery() throws Exception {
		try (Connection c = open(); Statement s = c.createStatement()) {
			Thread other = new Thread(() -> {
				try { Thread.sleep(300); s.cancel(); } catch (Exception error) { System.out.println("# " + error); }
			});
			other.start();
			failsWith("57014", () -> s.execute("SELECT pg_sleep(20)"));
			other.join(5000);
			try (ResultSet r = s.executeQuery("SELECT 3")) { want(r.next() && r.getInt(1) == 3, "3"); }
		}
	}

	static void aNoticeArrives() throws Exception {
		try (Connection c = open(); Statement s = c.createStatement()) {
			s.execute("DO $$ BEGIN RAISE NOTICE 'from java'; END $$");
			want(s.getWarnings() != null && s.getWarnings().getMessage().contains("from java"), "a warning");
		}
	}

	static void aSessionKeepsWhatItHas() throws Exception {
		try (Connection c = open()) {
			try (Statement s = c.createStatement()) {
				s.execute("SET search_path = java, public");
				s.execute("SELECT set_config('app.tenant', 'j1', false)");
				s.execute("CREATE TEMP TABLE kept AS SELECT 7 AS n");
			}
			c.setAutoCommit(false);
			try (Statement s = c.createStatement()) { s.execute("SET work_mem = '9MB'"); }
			c.rollback();
			c.setAutoCommit(true);
			for (int round = 0; round < 2; round++) {
				for (int n = 0; n < 25; n++) {
					try (PreparedStatement s = c.prepareStatement("SELECT current_setting('search_path') || current_setting('app.tenant')"
							+ " || current_setting('work_mem')"); ResultSet r = s.executeQuery()) {
						r.next();
						want(r.getString(1).equals("java, publicj14MB"), "its own settings, not " + r.getString(1));
					}
					if (n % 5 == 0) Thread.sleep(3);
				}
				if (round > 0) break;
				try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT n FROM kept")) {
					r.next();
					want(r.getInt(1) == 7, "its own table");
				}
				try (Statement s = c.createStatement()) { s.execute("DROP TABLE kept"); }
			}
		}
	}

	static void listenAndNotifyInSessionMode() throws Exception {
		String database = System.getenv("SESSION_DATABASE");
		try (Connection listener = open(database, ""); Connection speaker = open(database, "")) {
			try (Statement s = listener.createStatement()) { s.execute("LISTEN java_tide"); }
			try (Statement s = speaker.createStatement()) { s.execute("SELECT pg_notify('java_tide', 'high')"); }
			var heard = listener.unwrap(PGConnection.class).getNotifications(10000);
			want(heard != null && heard.length == 1 && heard[0].getParameter().equals("high"), "one notification");
		}
	}

	public static void main(String[] arguments) {
		Map<String, Story> stories = new LinkedHashMap<>();
		stories.put("a_query_is_answered", Stories::aQueryIsAnswered);
		stories.put("parameters_arrive", Stories::parametersArrive);
		stories.put("a_server_side_statement_survives_a_change_of_servers", Stories::aServerSideStatementSurvivesAChangeOfServers);
		if (System.getenv("TRANSPARENT") != null)
			stories.put("a_column_is_read_by_the_type_that_it_has", Stories::aColumnIsReadByTheTypeThatItHas);
		stories.put("many_statements_are_opened_and_closed", Stories::manyStatementsAreOpenedAndClosed);
		stories.put("a_batch_is_carried_out", Stories::aBatchIsCarriedOut);
		stories.put("an_error_in_a_batch_leaves_the_connection_well", Stories::anErrorInABatchLeavesTheConnectionWell);
		stories.put("an_error_in_a_transaction_is_its_own", Stories::anErrorInATransactionIsItsOwn);
		stories.put("a_cursor_fetches_by_parts", Stories::aCursorFetchesByParts);
		stories.put("copy_goes_both_ways", Stories::copyGoesBothWays);
		stories.put("a_cancel_hits_its_query", Stories::aCancelHitsItsQuery);
		if (System.getenv("TRANSPARENT") != null)
			stories.put("a_session_keeps_what_it_has", Stories::aSessionKeepsWhatItHas);
		stories.put("a_notice_arrives", Stories::aNoticeArrives);
		stories.put("listen_and_notify_in_session_mode", Stories::listenAndNotifyInSessionMode);
		for (var each : stories.entrySet()) {
			try {
				each.getValue().run();
				System.out.println("ok " + each.getKey());
			} catch (Throwable error) {
				System.out.println("not ok " + each.getKey() + ": " + String.valueOf(error).replace('\n', '|'));
			}
		}
	}
}
