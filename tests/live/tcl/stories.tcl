package require tdbc::postgres
proc must {x} { if {!$x} { error "wrong" } }
set db [tdbc::postgres::connection new -host $env(PGHOST) -port $env(PGPORT) -user app -db app -sslmode disable]
$db allrows {CREATE TABLE tcl_t(id serial PRIMARY KEY, v text UNIQUE, d date, n numeric(8,2))}
set s [$db prepare {INSERT INTO tcl_t(v, d, n) VALUES(:v, :d, :n) RETURNING id}]
foreach i {1 2 3 4 5 6 7 8 9 10} { set v "grün$i"; set d 2020-01-0[expr {$i % 9 + 1}]; set n $i.25; $s foreach row {puts $row} }
set q [$db prepare {SELECT v, n FROM tcl_t WHERE id = :id}]
for {set i 0} {$i < 40} {incr i} { set id [expr {$i % 10 + 1}]; puts [$q allrows -as lists] }
$db transaction { $db allrows {UPDATE tcl_t SET n = n + 1 WHERE id = 1} }
catch { $db transaction { $db allrows {DELETE FROM tcl_t}; error back } } why
puts "$why [$db allrows -as lists {SELECT count(*), sum(n) FROM tcl_t}]"
catch { set v grün1; $s allrows } why opts
puts "$why [dict get $opts -errorcode]"
$db begintransaction; $db allrows {INSERT INTO tcl_t(v) VALUES('x')}; $db rollback
puts [$db tables tcl_t]; puts [dict keys [$db columns tcl_t]]; puts [$db primarykeys tcl_t]
$db configure -isolation serializable
puts [$db allrows -as lists {SHOW transaction_isolation}]
$db configure -isolation readcommitted
puts [$db configure -encoding]
catch {$db configure -encoding iso8859-1} why; puts $why
puts [$db allrows -as lists {SELECT 'grün'}]

$q close; $s close
$db allrows {DROP TABLE tcl_t}
$db close
puts well
