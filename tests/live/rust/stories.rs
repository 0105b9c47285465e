// tokio-postgres through a pooler: it prepares all that has parameters, sends many requests over one connection without waiting for the answer to any,
// closes a statement whenever the last of its owners goes, and takes a transaction back in passing. Prints `ok NAME` or `not ok NAME: why` for each
// claim, and `servers N`: on how many servers its statements ran. PG* variables say where.
use std::collections::HashSet;
use std::env::var;
use std::future::{poll_fn, Future};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::{pin_mut, SinkExt, StreamExt, TryStreamExt};
use postgres_types::{FromSql, ToSql, Type};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Error, IsolationLevel, NoTls, SimpleQueryMessage};

type Told = Result<(), Box<dyn std::error::Error>>;

fn config() -> Config {
    let mut config = Config::new();
    config.host(&var("PGHOST").unwrap()).port(var("PGPORT").unwrap().parse().unwrap()).user(&var("PGUSER").unwrap()).dbname(&var("PGDATABASE").unwrap());
    config
}

async fn log_in(config: Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn is(error: Option<Error>, state: SqlState) {
    let error = error.expect("no error");
    assert_eq!(error.code(), Some(&state), "{error}");
}

async fn parameters_arrive(client: &mut Client, servers: &mut HashSet<i32>) -> Told {
    let statement = client.prepare("SELECT pg_backend_pid(), $1::int + 1, $2::text, $3::bytea, $4::text, $5::float8[]").await?;
    for n in 0..40 {
        let row = client.query_one(&statement, &[&n, &"grün", &&b"\x00\xff"[..], &None::<&str>, &vec![0.1, -1e300]]).await?;
        servers.insert(row.get(0));
        assert_eq!((row.get(1), row.get(2), row.get(3), row.get(4)), (n + 1, "grün", &b"\x00\xff"[..], None::<&str>));
        assert_eq!(row.get::<_, Vec<f64>>(5), [0.1, -1e300]);
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn requests_need_not_wait_for_answers(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    let client = &*client;
    let statement = &client.prepare("SELECT $1::int * 2").await?;
    let told = try_join_all((0..200).map(|n| async move { Ok::<_, Error>((n, client.query_one(statement, &[&n]).await?.get::<_, i32>(0))) })).await?;
    assert!(told.iter().all(|(n, twice)| n * 2 == *twice));
    // Each prepares a statement of its own, uses it once and closes it.
    let told = try_join_all((0..60).map(|n: i32| async move {
        Ok::<_, Error>((n, client.query_one(&*format!("SELECT $1::int + {n}"), &[&n]).await?.get::<_, i32>(0)))
    })).await?;
    assert!(told.iter().all(|(n, twice)| n * 2 == *twice));
    Ok(())
}

async fn an_error_hurts_its_own_request_alone(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    let client = &*client;
    let statement = &client.prepare("SELECT 10 / $1::int").await?;
    let told = join_all((0..40).map(|n: i32| async move { client.query_one(statement, &[&(n % 4)]).await })).await;
    for (n, one) in told.into_iter().enumerate() {
        match n % 4 {
            0 => is(one.err(), SqlState::DIVISION_BY_ZERO),
            by => assert_eq!(one?.get::<_, i32>(0), 10 / by as i32),
        }
    }
    is(client.prepare("SELECT nothing FROM nowhere").await.err(), SqlState::UNDEFINED_TABLE);
    is(client.batch_execute("SELECT 1; SELECT 1/0; SELECT 2").await.err(), SqlState::DIVISION_BY_ZERO);
    Ok(())
}

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "tide")]
enum Tide {
    #[postgres(name = "ebb")]
    Ebb,
    #[postgres(name = "flood")]
    Flood,
}

#[derive(Debug, PartialEq, ToSql, FromSql)]
#[postgres(name = "sound")]
struct Sound {
    fathoms: i32,
    tide: Tide,
}

// It asks what a type is with statements of its own, while it prepares another.
async fn types_are_looked_up_by_the_way(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    client.batch_execute("DROP TYPE IF EXISTS tide CASCADE; DROP TYPE IF EXISTS sound CASCADE; CREATE TYPE tide AS ENUM ('ebb', 'flood'); CREATE TYPE sound AS (fathoms int, tide tide)").await?;
    for _ in 0..3 {
        let sound = Sound { fathoms: 3, tide: Tide::Flood };
        let row = client.query_one("SELECT $1::sound, $2::tide[]", &[&sound, &vec![Tide::Ebb]]).await?;
        assert_eq!((row.get::<_, Sound>(0), row.get::<_, Vec<Tide>>(1)), (sound, vec![Tide::Ebb]));
        client.clear_type_cache();
    }
    client.batch_execute("DROP TYPE sound; DROP TYPE tide").await?;
    Ok(())
}

async fn a_transaction_that_is_dropped_is_taken_back(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    client.batch_execute("TRUNCATE moorings").await?;
    for n in 0..20 {
        {
            let transaction = client.transaction().await?;
            transaction.execute("INSERT INTO moorings VALUES ($1)", &[&n]).await?;
            if n % 2 == 0 {
                is(transaction.execute("SELECT 1 / $1::int", &[&0]).await.err(), SqlState::DIVISION_BY_ZERO);
            }
        }
        let transaction = client.build_transaction().isolation_level(IsolationLevel::Serializable).read_only(true).start().await?;
        assert_eq!(transaction.query_one("SELECT current_setting('transaction_isolation'), count(*) FROM moorings", &[]).await?.get::<_, i64>(1), 0);
        transaction.commit().await?;
    }
    let mut transaction = client.transaction().await?;
    transaction.execute("INSERT INTO moorings VALUES (1)", &[]).await?;
    {
        let savepoint = transaction.savepoint("deeper").await?;
        savepoint.execute("INSERT INTO moorings VALUES (2)", &[]).await?;
    }
    let savepoint = transaction.transaction().await?;
    savepoint.execute("INSERT INTO moorings VALUES (3)", &[]).await?;
    savepoint.commit().await?;
    transaction.commit().await?;
    let rows = client.query("SELECT id FROM moorings ORDER BY id", &[]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 3]);
    Ok(())
}

async fn a_portal_is_read_in_parts(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    for _ in 0..5 {
        let transaction = client.transaction().await?;
        let portal = transaction.bind("SELECT generate_series(1, $1::int)", &[&25]).await?;
        let other = transaction.bind("SELECT generate_series(101, $1::int)", &[&125]).await?;
        let mut seen = vec![];
        loop {
            let rows = transaction.query_portal(&portal, 7).await?;
            if rows.is_empty() {
                break;
            }
            seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
            assert_eq!(transaction.query_portal(&other, 1).await?.len(), 1);
        }
        assert_eq!(seen, (1..=25).collect::<Vec<i32>>());
        transaction.rollback().await?;
    }
    Ok(())
}

async fn copy_goes_both_ways(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    client.batch_execute("TRUNCATE moorings").await?;
    let sink = client.copy_in("COPY moorings FROM STDIN").await?;
    pin_mut!(sink);
    for n in 0..1000 {
        sink.send(Bytes::from(format!("{n}\tv{n}\n"))).await?;
    }
    assert_eq!(sink.finish().await?, 1000);
    let out: Vec<Bytes> = client.copy_out("COPY (SELECT id FROM moorings ORDER BY id) TO STDOUT").await?.try_collect().await?;
    assert_eq!(out.concat(), (0..1000).map(|n| format!("{n}\n")).collect::<String>().into_bytes());
    {
        // One that is dropped fails at the server, which nobody waits for.
        let sink = client.copy_in("COPY moorings FROM STDIN").await?;
        pin_mut!(sink);
        sink.send(Bytes::from("5000\tlost\n")).await?;
        sink.flush().await?;
    }
    assert_eq!(client.query_one("SELECT count(*) FROM moorings", &[]).await?.get::<_, i64>(0), 1000);
    {
        let out = client.copy_out("COPY (SELECT generate_series(1, 20000)) TO STDOUT").await?;
        pin_mut!(out);
        out.next().await.unwrap()?;
    }
    let sink = client.copy_in::<_, Bytes>("COPY moorings FROM STDIN").await?;
    pin_mut!(sink);
    sink.send(Bytes::from("no number\n")).await?;
    is(sink.finish().await.err(), SqlState::INVALID_TEXT_REPRESENTATION);
    Ok(())
}

async fn a_stream_may_be_left(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    for _ in 0..5 {
        let rows = client.query_raw("SELECT generate_series(1, $1::int)", [50000]).await?;
        pin_mut!(rows);
        assert_eq!(rows.try_next().await?.unwrap().get::<_, i32>(0), 1);
        assert_eq!(rows.try_next().await?.unwrap().get::<_, i32>(0), 2);
    }
    let given_up = timeout(Duration::from_millis(30), client.query("SELECT pg_sleep(0.2)", &[])).await;
    assert!(given_up.is_err());
    assert_eq!(client.query_one("SELECT 7", &[]).await?.get::<_, i32>(0), 7);
    Ok(())
}

async fn a_cancel_ends_what_runs(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    for _ in 0..5 {
        let token = client.cancel_token();
        let began = Instant::now();
        let slow = client.batch_execute("SELECT pg_sleep(30)");
        let cancel = async {
            sleep(Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await
        };
        let (slow, cancelled) = tokio::join!(slow, cancel);
        cancelled?;
        is(slow.err(), SqlState::QUERY_CANCELED);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    Ok(())
}

async fn notifications_come_in_order(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    let (listener, mut connection) = config().connect(NoTls).await?;
    let (told, mut hears) = futures_channel::mpsc::unbounded();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(note) = message {
                told.unbounded_send(note.payload().to_string()).ok();
            }
        }
    });
    listener.batch_execute("LISTEN moorings").await?;
    for n in 0..20 {
        client.execute("SELECT pg_notify('moorings', $1::text)", &[&n.to_string()]).await?;
        if n % 5 == 0 {
            assert_eq!(listener.query_one("SELECT $1::int", &[&n]).await?.get::<_, i32>(0), n);
        }
    }
    for n in 0..20 {
        assert_eq!(timeout(Duration::from_secs(20), hears.next()).await?, Some(n.to_string()));
    }
    listener.batch_execute("UNLISTEN *").await?;
    Ok(())
}

async fn settings_are_its_own(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    let mut asks = config();
    asks.options("-c TimeZone=Asia/Tokyo -c statement_timeout=20000").application_name("moored");
    let own = log_in(asks).await?;
    client.batch_execute("SET TIME ZONE 'America/New_York'; SET datestyle = 'SQL, DMY'").await?;
    for _ in 0..20 {
        for (one, zone, style) in [(&own, "Asia/Tokyo", "ISO, MDY"), (&*client, "America/New_York", "SQL, DMY")] {
            let row = one.query_one("SELECT current_setting('TimeZone'), current_setting('DateStyle')", &[]).await?;
            assert_eq!((row.get(0), row.get(1)), (zone, style));
        }
        match &own.simple_query("SHOW application_name").await?[0] {
            SimpleQueryMessage::Row(row) => assert_eq!(row.get(0), Some("moored")),
            _ => panic!("no row"),
        }
        sleep(Duration::from_millis(2)).await;
    }
    client.batch_execute("RESET ALL").await?;
    Ok(())
}

// What pools of it say when they take one back: all that DISCARD ALL would, less the plans.
async fn a_pool_may_clean_up(client: &mut Client, _: &mut HashSet<i32>) -> Told {
    let statement = client.prepare_typed("SELECT $1 + 1", &[Type::INT4]).await?;
    for n in 0..10 {
        client.batch_execute("CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES;").await?;
        assert_eq!(client.query_one(&statement, &[&n]).await?.get::<_, i32>(0), n + 1);
    }
    Ok(())
}

async fn told(name: &str, story: impl Future<Output = Told>) {
    match timeout(Duration::from_secs(60), story).await {
        Ok(Ok(())) => println!("ok {name}"),
        Ok(Err(error)) => println!("not ok {name}: {error:?}"),
        Err(_) => println!("not ok {name}: it took more than a minute"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Told {
    let mut servers = HashSet::new();
    let mut client = log_in(config()).await?;
    client.batch_execute("DROP TABLE IF EXISTS moorings; CREATE TABLE moorings(id int, note text)").await?;
    macro_rules! tell {
        ($($story:ident),* $(,)?) => {$(told(stringify!($story), $story(&mut client, &mut servers)).await;)*};
    }
    tell!(parameters_arrive, requests_need_not_wait_for_answers, an_error_hurts_its_own_request_alone, types_are_looked_up_by_the_way,
          a_transaction_that_is_dropped_is_taken_back, a_portal_is_read_in_parts, copy_goes_both_ways, a_stream_may_be_left, a_cancel_ends_what_runs,
          notifications_come_in_order, settings_are_its_own, a_pool_may_clean_up);
    println!("servers {}", servers.len());
    client.batch_execute("DROP TABLE moorings").await?;
    Ok(())
}
