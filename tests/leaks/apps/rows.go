// L17: Go's database/sql with lib/pq: rows that nobody closes.
//
//	rows HOST PORT DATABASE USER NAME SECONDS_BETWEEN [cured]
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"time"

	_ "github.com/lib/pq"
)

var kept []*sql.Rows

// first reads the first row that fits, of a table of many.
func first(db *sql.DB, cured bool) error {
	rows, err := db.Query("SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n")
	if err != nil {
		return err
	}
	// The mistake: an early return without `defer rows.Close()`. The rest of the result stays unread, its
	// connection is in use for ever, and database/sql opens another one for whoever comes next.
	if cured {
		defer rows.Close()
	}
	for rows.Next() {
		var n int
		var text string
		if err := rows.Scan(&n, &text); err != nil {
			return err
		}
		if n == 3 {
			kept = append(kept, rows)
			return nil
		}
	}
	return rows.Err()
}

func main() {
	every, err := strconv.ParseFloat(os.Args[6], 64)
	if err != nil {
		panic(err)
	}
	db, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%s dbname=%s user=%s application_name='%s' sslmode=disable",
		os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
	if err != nil {
		panic(err)
	}
	for {
		go func() {
			if err := first(db, len(os.Args) > 7); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
		time.Sleep(time.Duration(every * float64(time.Second)))
	}
}
