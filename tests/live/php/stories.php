<?php
// PHP through a pooler: PDO with native and with emulated prepares, and the older pgsql functions. Prints `ok NAME` or
// `not ok NAME: why` for each claim, and `servers N`: on how many servers one prepared statement ran. PG* variables say where.

function must($true, $why = 'wrong')
{
	if (!$true)
		throw new Exception($why);
}

function claim($name, $story)
{
	try {
		$story();
		echo "ok $name\n";
	} catch (Throwable $e) {
		echo "not ok $name: ", strtok($e->getMessage(), "\n"), "\n";
	}
}

function open_pdo($options = [])
{
	return new PDO('pgsql:sslmode=disable', null, null, $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

foreach (['native' => false, 'emulated' => true] as $mode => $emulate) {
	$db = open_pdo([PDO::ATTR_EMULATE_PREPARES => $emulate]);

	claim("{$mode}_parameters_arrive", function () use ($db) {
		$s = $db->prepare('SELECT ?::int + 1, ?::text, ?::text');
		for ($i = 0; $i < 40; $i++) {
			$s->execute([$i, "grün $i", null]);
			must($s->fetch(PDO::FETCH_NUM) === [$i + 1, "grün $i", null]);
		}
	});
	claim("{$mode}_statements_that_go_at_once", function () use ($db) {
		for ($i = 0; $i < 60; $i++) {
			$s = $db->prepare("SELECT $i + ?::int");
			$s->execute([1]);
			must($s->fetchColumn() == $i + 1);
		}
	});
	claim("{$mode}_ids_of_new_rows", function () use ($db, $mode) {
		try {
			$db->query('SELECT lastval()'); // an application's very first question may be in vain (doc/transparency.md)
		} catch (PDOException $e) {
		}
		$db->exec("DROP TABLE IF EXISTS php_$mode");
		$db->exec("CREATE TABLE php_$mode(id serial, note text)");
		$s = $db->prepare("INSERT INTO php_$mode(note) VALUES (:note)");
		for ($i = 1; $i <= 20; $i++) {
			$s->execute([':note' => "n$i"]);
			must($db->lastInsertId("php_{$mode}_id_seq") == $i, 'of the sequence');
			must($db->lastInsertId() == $i, 'of lastval()');
		}
	});
	claim("{$mode}_a_transaction_is_rolled_back", function () use ($db, $mode) {
		$db->beginTransaction();
		$db->exec("DELETE FROM php_$mode");
		must($db->inTransaction());
		$db->rollBack();
		must($db->query("SELECT count(*) FROM php_$mode")->fetchColumn() == 20);
	});
	claim("{$mode}_errors_have_their_codes", function () use ($db) {
		$code = function ($sql) use ($db) {
			try {
				$db->query($sql);
			} catch (PDOException $e) {
				return $e->getCode();
			}
		};
		must($code('SELECT 1/0') == '22012');
		$db->beginTransaction();
		must($code('SELECT nothing') == '42703');
		must($code('SELECT 1') == '25P02');
		$db->rollBack();
		must($db->query('SELECT 1')->fetchColumn() == 1);
	});
	claim("{$mode}_a_scrollable_cursor", function () use ($db) {
		$db->beginTransaction();
		$s = $db->prepare('SELECT generate_series(1, 50)', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
		$s->execute();
		for ($n = 0; $s->fetch(); $n++);
		must($n == 50, "$n rows");
		must($s->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_FIRST)[0] == 1);
		$s = null;
		$db->commit();
	});
	claim("{$mode}_copy_both_ways", function () use ($db, $mode) {
		$db->pgsqlCopyFromArray("php_$mode", ["100\ta\n", "101\tb\n"]);
		must(count($db->pgsqlCopyToArray("php_$mode")) == 22);
	});
	claim("{$mode}_notifications_arrive", function () use ($db, $mode) {
		$db->exec("LISTEN php_$mode");
		$db->exec("NOTIFY php_$mode, 'said'");
		$heard = $db->pgsqlGetNotify(PDO::FETCH_ASSOC, 10000);
		must($heard && $heard['payload'] == 'said');
		$db->exec('UNLISTEN *');
	});
	claim("{$mode}_large_objects", function () use ($db) {
		$db->beginTransaction();
		$oid = $db->pgsqlLOBCreate();
		$file = $db->pgsqlLOBOpen($oid, 'w');
		fwrite($file, 'hello');
		fclose($file);
		$file = $db->pgsqlLOBOpen($oid, 'r');
		must(fread($file, 5) == 'hello');
		fclose($file);
		$db->pgsqlLOBUnlink($oid);
		$db->commit();
	});
	claim("{$mode}_bytes_and_booleans", function () use ($db) {
		$s = $db->prepare('SELECT ?::bool, ?::bytea');
		$s->bindValue(1, true, PDO::PARAM_BOOL);
		$s->bindValue(2, "a\0b", PDO::PARAM_LOB);
		$s->execute();
		$row = $s->fetch(PDO::FETCH_NUM);
		must($row[0] === true && stream_get_contents($row[1]) == "a\0b");
	});
	$db = null;
}

claim('a_persistent_connection_is_used_again', function () {
	for ($i = 0; $i < 5; $i++)
		must(open_pdo([PDO::ATTR_PERSISTENT => true])->query('SELECT 1')->fetchColumn() == 1);
});

$c = pg_connect('sslmode=disable');
$servers = [];
claim('a_named_statement_survives_a_change_of_servers', function () use ($c, &$servers) {
	must(pg_prepare($c, 'mine', 'SELECT pg_backend_pid(), $1::int'));
	for ($i = 0; $i < 60; $i++) {
		$row = pg_fetch_row(pg_execute($c, 'mine', [$i]));
		must($row[1] == $i);
		$servers[$row[0]] = true;
		usleep(1000);
	}
});
claim('what_pgsql_asks_of_the_catalogue', function () use ($c) {
	must(pg_meta_data($c, 'php_native')['note']['type'] == 'text');
	must(pg_version($c)['server'] != '');
	must(pg_parameter_status($c, 'server_encoding') == 'UTF8');
});
claim('two_statements_in_one_and_a_cancel', function () use ($c) {
	pg_send_query($c, 'SELECT 1; SELECT 2');
	for ($n = 0; pg_get_result($c); $n++);
	must($n == 2);
	pg_send_query($c, 'SELECT pg_sleep(60)');
	usleep(300000);
	must(pg_cancel_query($c));
	must(pg_fetch_result(pg_query($c, 'SELECT 3'), 0, 0) == 3);
});
claim('pconnect_pings_and_connects_anew', function () {
	$p = pg_pconnect('sslmode=disable');
	must(pg_ping($p) && pg_connection_status($p) === PGSQL_CONNECTION_OK && pg_connection_reset($p));
});
claim('the_state_of_a_transaction_is_known', function () use ($c) {
	must(pg_transaction_status($c) === PGSQL_TRANSACTION_IDLE);
	pg_query($c, 'BEGIN');
	must(pg_transaction_status($c) === PGSQL_TRANSACTION_INTRANS);
	@pg_query($c, 'SELECT 1/0');
	must(pg_transaction_status($c) === PGSQL_TRANSACTION_INERROR);
	pg_query($c, 'ROLLBACK');
	must(pg_transaction_status($c) === PGSQL_TRANSACTION_IDLE);
});
echo 'servers ', count($servers), "\n";
