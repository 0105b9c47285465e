// Go's lib/pq through a pooler. Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`:
// on how many servers the prepared statement ran. PG* variables say where; SESSION_DATABASE is in session mode.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
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
	if e, ok := err.(*pq.Error); ok {
		return string(e.Code)
	}
	return fmt.Sprint(err)
}

func open(extra string) *sql.DB {
	db, err := sql.Open("postgres", "sslmode=disable connect_timeout=10 "+extra)
	check(err)
	return db
}

func aQueryIsAnswered(db *sql.DB) {
	var one int
	check(db.QueryRow("SELECT 1").Scan(&one))
	want(one == 1, "got %d", one)
}

func parametersArrive(db *sql.DB) {
	var n int
	var t string
	var b []byte
	var nothing sql.NullString
	check(db.QueryRow("SELECT $1::int + 1, $2::text, $3::bytea, $4::text", 41, "grün", []byte{0, 255, 1}, nil).Scan(&n, &t, &b, &nothing))
	want(n == 42 && t == "grün" && string(b) == "\x00\xff\x01" && !nothing.Valid, "got %d %s %v %v", n, t, b, nothing)
}

func aPreparedStatementSurvivesAChangeOfServers(db *sql.DB) {
	conn, err := db.Conn(context.Background())
	check(err)
	defer conn.Close()
	stmt, err := conn.PrepareContext(context.Background(), "SELECT pg_backend_pid(), $1::int")
	check(err)
	defer stmt.Close()
	seen := map[int]bool{}
	for n := 0; n < 150; n++ {
		var pid, got int
		check(stmt.QueryRow(n).Scan(&pid, &got))
		want(got == n, "sent %d, got %d", n, got)
		seen[pid] = true
		if n%10 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	fmt.Printf("servers %d\n", len(seen))
}

func aTransactionHolds(db *sql.DB) {
	tx, err := db.Begin()
	check(err)
	_, err = tx.Exec("CREATE TEMP TABLE t(n int) ON COMMIT DROP")
	check(err)
	_, err = tx.Exec("INSERT INTO t VALUES ($1), ($2)", 1, 2)
	check(err)
	var sum int
	check(tx.QueryRow("SELECT sum(n) FROM t").Scan(&sum))
	want(sum == 3, "got %d", sum)
	check(tx.Commit())
}

func anErrorInATransactionIsItsOwn(db *sql.DB) {
	tx, err := db.Begin()
	check(err)
	_, err = tx.Exec("SELECT 1/0")
	want(code(err) == "22012", "got %v", err)
	_, err = tx.Exec("SELECT 1")
	want(code(err) == "25P02", "got %v", err)
	check(tx.Rollback())
	aQueryIsAnswered(db)
}

func copyGoesIn(db *sql.DB) {
	tx, err := db.Begin()
	check(err)
	_, err = tx.Exec("CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP")
	check(err)
	stmt, err := tx.Prepare(pq.CopyIn("t", "n", "v"))
	check(err)
	for n := 0; n < 3000; n++ {
		_, err = stmt.Exec(n, fmt.Sprintf("v%d", n))
		check(err)
	}
	_, err = stmt.Exec()
	check(err)
	check(stmt.Close())
	var count, sum int
	check(tx.QueryRow("SELECT count(*), sum(n) FROM t").Scan(&count, &sum))
	want(count == 3000 && sum == 2999*3000/2, "got %d rows, sum %d", count, sum)
	check(tx.Commit())
}

func aCancelHitsItsQuery(db *sql.DB) {
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	_, err := db.ExecContext(ctx, "SELECT pg_sleep(20)")
	want(code(err) == "57014" || strings.Contains(fmt.Sprint(err), "canceling") || err == context.DeadlineExceeded, "got %v", err)
	aQueryIsAnswered(db)
}

func aNoticeArrives(_ *sql.DB) {
	var heard []string
	base, err := pq.NewConnector("sslmode=disable connect_timeout=10")
	check(err)
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(base, func(notice *pq.Error) { heard = append(heard, notice.Message) }))
	defer db.Close()
	_, err = db.Exec("DO $$ BEGIN RAISE NOTICE 'from go'; END $$")
	check(err)
	want(len(heard) == 1 && heard[0] == "from go", "heard %v", heard)
}

func listenAndNotifyInSessionMode(_ *sql.DB) {
	name := "dbname=" + os.Getenv("SESSION_DATABASE")
	listener := pq.NewListener("sslmode=disable connect_timeout=10 "+name, time.Second, time.Second, nil)
	defer listener.Close()
	check(listener.Listen("go_tide"))
	db := open(name)
	defer db.Close()
	_, err := db.Exec("SELECT pg_notify('go_tide', 'high')")
	check(err)
	select {
	case heard := <-listener.Notify:
		want(heard != nil && heard.Extra == "high", "heard %v", heard)
	case <-time.After(10 * time.Second):
		panic("no notification within 10 s")
	}
}

func manyGoroutinesShareAPool(_ *sql.DB) {
	db := open("")
	defer db.Close()
	db.SetMaxOpenConns(20)
	done := make(chan error, 200)
	for n := 0; n < 200; n++ {
		go func(n int) {
			var got int
			err := db.QueryRow("SELECT $1::int", n).Scan(&got)
			if err == nil && got != n {
				err = fmt.Errorf("sent %d, got %d", n, got)
			}
			done <- err
		}(n)
	}
	for n := 0; n < 200; n++ {
		check(<-done)
	}
}

func main() {
	stories := []struct {
		name string
		run  func(*sql.DB)
	}{
		{"a_query_is_answered", aQueryIsAnswered},
		{"parameters_arrive", parametersArrive},
		{"a_prepared_statement_survives_a_change_of_servers", aPreparedStatementSurvivesAChangeOfServers},
		{"a_transaction_holds", aTransactionHolds},
		{"an_error_in_a_transaction_is_its_own", anErrorInATransactionIsItsOwn},
		{"copy_goes_in", copyGoesIn},
		{"a_cancel_hits_its_query", aCancelHitsItsQuery},
		{"a_notice_arrives", aNoticeArrives},
		{"listen_and_notify_in_session_mode", listenAndNotifyInSessionMode},
		{"many_goroutines_share_a_pool", manyGoroutinesShareAPool},
	}
	for _, story := range stories {
		func() {
			defer func() {
				if failure := recover(); failure != nil {
					fmt.Printf("not ok %s: %s\n", story.name, strings.ReplaceAll(fmt.Sprint(failure), "\n", " | "))
				} else {
					fmt.Printf("ok %s\n", story.name)
				}
			}()
			db := open("")
			defer db.Close()
			story.run(db)
		}()
	}
}
