# Perl's DBD::Pg through a pooler, with its three ways to prepare. Prints `ok NAME` or `not ok NAME: why` for each claim, and
# `servers N`: on how many servers one prepared statement ran. PG* variables say where.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:pg_types);

$| = 1;
binmode STDOUT, ':utf8';

sub must { die(($_[1] // 'wrong') . "\n") unless $_[0] }

sub claim {
	my ($name, $story) = @_;
	eval { $story->(); 1 } and return print "ok $name\n";
	print "not ok $name: ", (split /\n/, $@)[0], "\n";
}

# What a statement fails with.
sub state_of { my ($db, $sql) = @_; eval { $db->do($sql) }; return $db->state }

my %servers;
my %ways = (
	never   => { pg_server_prepare => 0 },
	always  => { pg_server_prepare => 1, pg_switch_prepared => 1 },
	at_third => { pg_server_prepare => 1, pg_switch_prepared => 3 },
);
for my $way (sort keys %ways) {
	my $db = DBI->connect('dbi:Pg:sslmode=disable', '', '', { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, %{$ways{$way}} });

	claim "${way}_parameters_arrive" => sub {
		for my $i (1 .. 40) {
			my @row = $db->selectrow_array('SELECT ?::int + 1, ?::text, ?::text', undef, $i, "grün $i", undef);
			must($row[0] == $i + 1 && $row[1] eq "grün $i" && !defined $row[2], "@row[0, 1]");
		}
	};
	claim "${way}_a_statement_survives_a_change_of_servers" => sub {
		my $s = $db->prepare('SELECT pg_backend_pid(), $1::int * 2');
		for my $i (1 .. 60) {
			$s->execute($i);
			my ($pid, $twice) = $s->fetchrow_array;
			$s->finish;
			must($twice == 2 * $i);
			$servers{$pid} = 1;
			select undef, undef, undef, 0.001;
		}
	};
	claim "${way}_ids_of_new_rows" => sub {
		state_of($db, 'SELECT lastval()'); # an application's very first question may be in vain (doc/transparency.md)
		$db->do("DROP TABLE IF EXISTS perl_$way");
		$db->do("CREATE TABLE perl_$way (id serial PRIMARY KEY, note text, b bytea)");
		my $s = $db->prepare("INSERT INTO perl_$way (note, b) VALUES (?, ?)");
		$s->bind_param(2, undef, { pg_type => PG_BYTEA });
		for my $i (1 .. 20) {
			$s->execute("n$i", "a\0b");
			my $id = $db->last_insert_id(undef, undef, "perl_$way", undef);
			must($id == $i, "$id instead of $i");
		}
		must($db->selectrow_array("SELECT b FROM perl_$way WHERE id = 7") eq "a\0b", 'its bytes');
	};
	claim "${way}_a_savepoint_takes_an_error_back" => sub {
		$db->begin_work;
		$db->do('SAVEPOINT s');
		must(state_of($db, 'SELECT 1/0') eq '22012');
		must(state_of($db, 'SELECT 1') eq '25P02');
		$db->do('ROLLBACK TO s');
		must($db->selectrow_array("SELECT count(*) FROM perl_$way") == 20);
		$db->commit;
	};
	claim "${way}_copy_both_ways" => sub {
		$db->do("COPY perl_$way (note) FROM STDIN");
		$db->pg_putcopydata("c$_\n") for 1 .. 100;
		$db->pg_putcopyend;
		$db->do("COPY perl_$way (note) TO STDOUT");
		my ($rows, $row) = (0);
		$rows++ while $db->pg_getcopydata($row) >= 0;
		must($rows == 120, "$rows rows");
	};
	claim "${way}_notifications_arrive" => sub {
		$db->do("LISTEN perl_$way");
		$db->do("NOTIFY perl_$way, 'said'");
		my $heard;
		for (1 .. 100) {
			last if $heard = $db->pg_notifies;
			select undef, undef, undef, 0.1;
		}
		must($heard && $heard->[2] eq 'said');
		$db->do("UNLISTEN perl_$way");
	};
	claim "${way}_a_setting_stays" => sub {
		$db->do("SET TimeZone = 'Asia/Tokyo'");
		for (1 .. 20) {
			must($db->selectrow_array('SHOW TimeZone') eq 'Asia/Tokyo');
			select undef, undef, undef, 0.005;
		}
		$db->do('RESET TimeZone');
	};
	claim "${way}_asked_and_fetched_later_or_cancelled" => sub {
		my $s = $db->prepare('SELECT pg_sleep(0.2), 5', { pg_async => PG_ASYNC });
		$s->execute;
		$s->pg_result;
		must(($s->fetchrow_array)[1] == 5);
		$s = $db->prepare('SELECT pg_sleep(60)', { pg_async => PG_ASYNC });
		$s->execute;
		select undef, undef, undef, 0.3;
		$db->pg_cancel;
		must($db->selectrow_array('SELECT 7') == 7);
	};
	claim "${way}_the_catalogue_is_read" => sub {
		must($db->ping);
		must(@{ $db->table_info(undef, 'public', 'perl%', 'TABLE')->fetchall_arrayref } > 0, 'tables');
		must(@{ $db->column_info(undef, 'public', "perl_$way", '%')->fetchall_arrayref } == 3, 'columns');
		must(($db->primary_key(undef, 'public', "perl_$way"))[0] eq 'id', 'key');
	};
	claim "${way}_a_cursor_with_hold" => sub {
		$db->do('DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 100)');
		for my $n (1 .. 5) {
			must($db->selectall_arrayref('FETCH 10 FROM held')->[0][0] == 10 * $n - 9);
		}
		$db->do('CLOSE held');
	};
	claim "${way}_large_objects" => sub {
		$db->begin_work;
		my $both = $db->{pg_INV_WRITE} | $db->{pg_INV_READ};
		my $oid = $db->pg_lo_creat($both);
		my $file = $db->pg_lo_open($oid, $both);
		my $said = '';
		$db->pg_lo_write($file, 'hello', 5);
		$db->pg_lo_lseek($file, 0, 0);
		$db->pg_lo_read($file, $said, 5);
		$db->pg_lo_unlink($oid);
		$db->commit;
		must($said eq 'hello', $said);
	};
	$db->disconnect;
}
print 'servers ', scalar keys %servers, "\n";
