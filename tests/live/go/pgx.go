// Go's pgx through a pooler, in its three ways to ask: statements it prepares and keeps, an unnamed one for each, and the simple
// protocol. Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`: on how many servers its statements ran. PG*
// variables say where.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var (
	ctx     = context.Background()
	servers = map[int]bool{}
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func want(true bool, format string, values ...interface{}) {
	if !true {
		panic(fmt.Sprintf(format, values...))
	}
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func parametersArrive(pool *pgxpool.Pool, table string) {
	var n, pid int
	var t string
	var b []byte
	var nothing *string
	for i := 0; i < 40; i++ {
		check(pool.QueryRow(ctx, "SELECT pg_backend_pid(), $1::int + 1, $2::text, $3::bytea, $4::text", i, "grün", []byte{0, 255, 1}, nil).Scan(&pid, &n, &t, &b, &nothing))
		want(n == i+1 && t == "grün" && string(b) == "\x00\xff\x01" && nothing == nil, "got %d %s %v %v", n, t, b, nothing)
		servers[pid] = true
		time.Sleep(time.Millisecond)
	}
}

func manyGoroutinesShareAPool(pool *pgxpool.Pool, table string) {
	done := make(chan error, 200)
	for i := 0; i < 200; i++ {
		go func(i int) {
			var n int
			var t string
			err := pool.QueryRow(ctx, "SELECT $1::int, $2::text", i, fmt.Sprint("t", i)).Scan(&n, &t)
			if err == nil && (n != i || t != fmt.Sprint("t", i)) {
				err = fmt.Errorf("sent %d, got %d %s", i, n, t)
			}
			if err == nil {
				_, err = pool.Exec(ctx, "INSERT INTO "+table+" (id, note) VALUES ($1, $2)", i, "note")
			}
			done <- err
		}(i)
	}
	for i := 0; i < 200; i++ {
		check(<-done)
	}
}

func aBatchIsAnsweredInOrder(pool *pgxpool.Pool, table string) {
	batch := &pgx.Batch{}
	for i := 0; i < 20; i++ {
		batch.Queue("SELECT id FROM "+table+" WHERE id = $1", i)
	}
	batch.Queue("UPDATE "+table+" SET note = $1 WHERE id < $2", "changed", 5)
	results := pool.SendBatch(ctx, batch)
	for i := 0; i < 20; i++ {
		var id int
		check(results.QueryRow().Scan(&id))
		want(id == i, "%d instead of %d", id, i)
	}
	tag, err := results.Exec()
	check(err)
	want(tag.RowsAffected() == 5, "%s", tag)
	check(results.Close())
}

func anErrorEndsItsBatch(pool *pgxpool.Pool, table string) {
	var n int
	batch := &pgx.Batch{}
	batch.Queue("SELECT 1")
	batch.Queue("SELECT 1 / $1::int", 0)
	batch.Queue("SELECT 2")
	results := pool.SendBatch(ctx, batch)
	check(results.QueryRow().Scan(&n))
	err := results.QueryRow().Scan(&n)
	results.Close()
	want(code(err) == "22012", "%v", err)
}

func copyGoesIn(pool *pgxpool.Pool, table string) {
	rows := make([][]interface{}, 500)
	for i := range rows {
		rows[i] = []interface{}{int32(1000 + i), "copied"}
	}
	n, err := pool.CopyFrom(ctx, pgx.Identifier{table}, []string{"id", "note"}, pgx.CopyFromRows(rows))
	check(err)
	want(n == 500, "%d rows", n)
}

func aTransactionHasItsLevelAndSavepoints(pool *pgxpool.Pool, table string) {
	check(pool.BeginTxFunc(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var level string
		var rows int
		check(tx.QueryRow(ctx, "SHOW transaction_isolation").Scan(&level))
		want(level == "serializable", "%s", level)
		savepoint, err := tx.Begin(ctx)
		check(err)
		_, err = savepoint.Exec(ctx, "SELECT 1/0")
		want(code(err) == "22012", "%v", err)
		check(savepoint.Rollback(ctx))
		check(tx.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&rows))
		want(rows == 700, "%d rows", rows)
		return nil
	}))
	var level string
	check(pool.QueryRow(ctx, "SHOW transaction_isolation").Scan(&level))
	want(level == "read committed", "%s", level)
}

// pgx asks anew once its statement has failed, and says so to who asked first.
func otherColumnsAreFoundOut(pool *pgxpool.Pool, table string) {
	var note string
	const wanted = "SELECT note FROM %s WHERE id = $1"
	check(pool.QueryRow(ctx, fmt.Sprintf(wanted, table), 7).Scan(&note))
	_, err := pool.Exec(ctx, "ALTER TABLE "+table+" ALTER note TYPE varchar(100), ADD more int")
	check(err)
	for i := 0; i < 16; i++ {
		if err = pool.QueryRow(ctx, fmt.Sprintf(wanted, table), 7).Scan(&note); err != nil {
			want(code(err) == "0A000", "%v", err)
		}
	}
	check(err)
	want(note == "note", "%s", note)
}

func aContextThatEndsCancels(pool *pgxpool.Pool, table string) {
	soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err := pool.Exec(soon, "SELECT pg_sleep(60)")
	want(err != nil && soon.Err() != nil, "%v", err)
	var one int
	check(pool.QueryRow(ctx, "SELECT 1").Scan(&one))
}

func notificationsArrive(pool *pgxpool.Pool, table string) {
	conn, err := pool.Acquire(ctx)
	check(err)
	defer conn.Release()
	_, err = conn.Exec(ctx, "LISTEN "+table)
	check(err)
	_, err = pool.Exec(ctx, "SELECT pg_notify('"+table+"', 'said')")
	check(err)
	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	heard, err := conn.Conn().WaitForNotification(soon)
	check(err)
	want(heard.Payload == "said", "%v", heard)
	_, err = conn.Exec(ctx, "UNLISTEN *")
	check(err)
}

func aNamedStatementSurvivesAChangeOfServers(pool *pgxpool.Pool, table string) {
	check(pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		_, err := conn.Conn().Prepare(ctx, "mine", "SELECT pg_backend_pid(), $1::int * 2")
		check(err)
		for i := 0; i < 50; i++ {
			var pid, twice int
			check(conn.QueryRow(ctx, "mine", i).Scan(&pid, &twice))
			want(twice == 2*i, "%d", twice)
			servers[pid] = true
			time.Sleep(time.Millisecond)
		}
		return conn.Conn().Deallocate(ctx, "mine")
	}))
}

func largeObjects(pool *pgxpool.Pool, table string) {
	check(pool.BeginFunc(ctx, func(tx pgx.Tx) error {
		objects := tx.LargeObjects()
		oid, err := objects.Create(ctx, 0)
		check(err)
		object, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
		check(err)
		_, err = object.Write([]byte("hello"))
		check(err)
		_, err = object.Seek(0, 0)
		check(err)
		said := make([]byte, 5)
		_, err = object.Read(said)
		check(err)
		want(string(said) == "hello", "%s", said)
		return objects.Unlink(ctx, oid)
	}))
}

func open(way string) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig("sslmode=disable connect_timeout=10 pool_max_conns=8")
	check(err)
	if way == "unnamed" {
		config.ConnConfig.BuildStatementCache = nil
	}
	config.ConnConfig.PreferSimpleProtocol = way == "simple"
	pool, err := pgxpool.ConnectConfig(ctx, config)
	check(err)
	return pool
}

func main() {
	stories := []struct {
		name   string
		run    func(*pgxpool.Pool, string)
		simple bool // in the simple protocol as well
	}{
		{"parameters_arrive", parametersArrive, false},
		{"many_goroutines_share_a_pool", manyGoroutinesShareAPool, true},
		{"a_batch_is_answered_in_order", aBatchIsAnsweredInOrder, true},
		{"an_error_ends_its_batch", anErrorEndsItsBatch, true},
		{"copy_goes_in", copyGoesIn, true},
		{"a_transaction_has_its_level_and_savepoints", aTransactionHasItsLevelAndSavepoints, true},
		{"other_columns_are_found_out", otherColumnsAreFoundOut, true},
		{"a_context_that_ends_cancels", aContextThatEndsCancels, true},
		{"notifications_arrive", notificationsArrive, true},
		{"a_named_statement_survives_a_change_of_servers", aNamedStatementSurvivesAChangeOfServers, true},
		{"large_objects", largeObjects, false},
	}
	for _, way := range []string{"kept", "unnamed", "simple"} {
		table := "pgx_" + way
		pool := open(way)
		_, err := pool.Exec(ctx, "DROP TABLE IF EXISTS "+table)
		check(err)
		_, err = pool.Exec(ctx, "CREATE TABLE "+table+" (id int, note text)")
		check(err)
		for _, story := range stories {
			if way == "simple" && !story.simple {
				continue
			}
			func() {
				defer func() {
					if failure := recover(); failure != nil {
						fmt.Printf("not ok %s_%s: %s\n", way, story.name, strings.ReplaceAll(fmt.Sprint(failure), "\n", " | "))
					} else {
						fmt.Printf("ok %s_%s\n", way, story.name)
					}
				}()
				story.run(pool, table)
			}()
		}
		pool.Close()
	}
	fmt.Printf("servers %d\n", len(servers))
}
