// node-postgres through a pooler. Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`:
// on how many servers the prepared statement ran. PG* variables say where; SESSION_DATABASE is in session mode.
'use strict';
const { Client, Pool } = require('pg');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const assert = require('assert');

async function withClient(work, options = {}) {
  const client = new Client({ connectionTimeoutMillis: 10000, ...options });
  client.on('error', () => {});
  await client.connect();
  try { return await work(client); } finally { await client.end(); }
}

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

const stories = {
  a_query_is_answered: () => withClient(async (client) => {
    assert.strictEqual((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  }),

  parameters_arrive: () => withClient(async (client) => {
    const { rows } = await client.query('SELECT $1::int + 1 AS n, $2::text AS t, $3::jsonb AS j, $4::bytea AS b, $5::int[] AS a, $6::text AS nothing',
      [41, 'grün', { a: [1, 2] }, Buffer.from([0, 255, 1]), [1, 2, 3], null]);
    assert.deepStrictEqual(rows[0], { n: 42, t: 'grün', j: { a: [1, 2] }, b: Buffer.from([0, 255, 1]), a: [1, 2, 3], nothing: null });
  }),

  a_named_statement_survives_a_change_of_servers: () => withClient(async (client) => {
    const seen = new Set();
    for (let n = 0; n < 150; n++) {
      const { rows } = await client.query({ name: 'who', text: 'SELECT pg_backend_pid() AS pid, $1::int AS n', values: [n] });
      assert.strictEqual(rows[0].n, n);
      seen.add(rows[0].pid);
      if (n % 10 === 0) await sleep(2);
    }
    console.log(`servers ${seen.size}`);
  }),

  the_same_name_in_two_clients_means_two_statements: () => withClient((one) => withClient(async (two) => {
    for (let n = 0; n < 20; n++) {
      const a = await one.query({ name: 'same', text: 'SELECT $1::int * 2 AS n', values: [n] });
      const b = await two.query({ name: 'same', text: 'SELECT $1::int * 3 AS n', values: [n] });
      assert.deepStrictEqual([a.rows[0].n, b.rows[0].n], [n * 2, n * 3]);
    }
  })),

  a_transaction_holds: () => withClient(async (client) => {
    await client.query('BEGIN');
    await client.query('CREATE TEMP TABLE t(n int) ON COMMIT DROP');
    await client.query('INSERT INTO t VALUES ($1), ($2)', [1, 2]);
    assert.strictEqual((await client.query('SELECT sum(n)::int AS s FROM t')).rows[0].s, 3);
    await client.query('COMMIT');
  }),

  an_error_in_a_transaction_is_its_own: () => withClient(async (client) => {
    await client.query('BEGIN');
    await assert.rejects(client.query('SELECT 1/0'), { code: '22012' });
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
    await client.query('ROLLBACK');
    assert.strictEqual((await client.query('SELECT 2 AS two')).rows[0].two, 2);
  }),

  queries_queued_at_once_come_back_in_order: () => withClient(async (client) => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => client.query('SELECT $1::int AS n', [n])));
    answers.forEach(({ rows }, n) => assert.strictEqual(rows[0].n, n));
  }),

  copy_goes_both_ways: () => withClient(async (client) => {
    await client.query('BEGIN');
    await client.query('CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP');
    await pipeline(Readable.from(Array.from({ length: 5000 }, (_, n) => `${n}\tv${n}\n`)), client.query(copyFrom('COPY t FROM STDIN')));
    let text = '';
    for await (const chunk of client.query(copyTo('COPY (SELECT * FROM t ORDER BY n) TO STDOUT'))) text += chunk;
    await client.query('COMMIT');
    const lines = text.trimEnd().split('\n');
    assert.strictEqual(lines.length, 5000);
    assert.strictEqual(lines[4999], '4999\tv4999');
  }),

  a_cancel_hits_its_query: () => withClient(async (client) => {
    const slow = client.query('SELECT pg_sleep(20)');
    slow.catch(() => {});
    await sleep(200);
    const other = new Client();
    other.on('error', () => {});
    other.cancel(client, client.activeQuery ?? client._getActiveQuery?.());
    await assert.rejects(slow, { code: '57014' });
    assert.strictEqual((await client.query('SELECT 3 AS n')).rows[0].n, 3);
  }),

  ...(process.env.TRANSPARENT ? { a_session_keeps_what_it_has: () => withClient(async (client) => {
    const look = async (table) => {
      for (let n = 0; n < 25; n++) {
        const { rows } = await client.query({ name: table ? 'kept' : 'look', text: `SELECT current_setting('search_path') AS path,
          current_setting('app.tenant') AS tenant, current_setting('work_mem') AS memory ${table ? ', (SELECT n FROM kept)' : ''}` });
        assert.deepStrictEqual(rows[0], { path: 'node, public', tenant: 'n1', memory: '4MB', ...(table ? { n: 7 } : {}) });
        if (n % 5 === 0) await sleep(3);
      }
    };
    await client.query('SET search_path = node, public');
    await client.query("SELECT set_config('app.tenant', $1, false)", ['n1']);
    await client.query("BEGIN; SAVEPOINT a; SET work_mem = '9MB'; ROLLBACK TO a; COMMIT");
    await look(false);
    await client.query('CREATE TEMP TABLE kept AS SELECT 7 AS n');
    await look(true);
    await client.query('DROP TABLE kept');
    await look(false);
  }) } : {}),

  a_notice_arrives: () => withClient(async (client) => {
    const notices = [];
    client.on('notice', (notice) => notices.push(notice.message));
    await client.query("DO $$ BEGIN RAISE NOTICE 'from node'; END $$");
    assert.ok(notices.includes('from node'));
  }),

  listen_and_notify_in_session_mode: () => withClient((listener) => withClient(async (speaker) => {
    const heard = new Promise((hear) => listener.on('notification', hear));
    await listener.query('LISTEN node_tide');
    await speaker.query("SELECT pg_notify('node_tide', 'high')");
    const late = sleep(10000).then(() => { throw new Error('no notification within 10 s'); });
    assert.strictEqual((await Promise.race([heard, late])).payload, 'high');
  }, { database: process.env.SESSION_DATABASE }), { database: process.env.SESSION_DATABASE }),

  ...(process.env.TRANSPARENT ? { listeners_hear_in_transaction_mode: async () => {
    const listeners = await Promise.all(Array.from({ length: 10 }, async (_, n) => {
      const client = new Client({ connectionTimeoutMillis: 10000 });
      const heard = [];
      client.on('error', () => {});
      client.on('notification', ({ channel, payload, processId }) => heard.push([channel, payload, processId === client.processID]));
      await client.connect();
      await client.query(`LISTEN node_all; LISTEN node_${n}`);
      return { client, heard, n };
    }));
    try {
      await withClient(async (speaker) => {
        for (let n = 0; n < 10; n++) await speaker.query(`SELECT pg_notify('node_all', '${n}'), pg_notify('node_${n}', 'own')`);
      });
      for (const { client, heard, n } of listeners) {
        await client.query(`NOTIFY node_${n}, 'last'`);
        for (let wait = 0; heard.length < 12 && wait < 1000; wait++) await sleep(10);
        const expected = Array.from({ length: 10 }, (_, number) => ['node_all', `${number}`, false]);
        expected.splice(n + 1, 0, [`node_${n}`, 'own', false]);
        assert.deepStrictEqual(heard, [...expected, [`node_${n}`, 'last', true]]);
      }
    } finally {
      await Promise.all(listeners.map(({ client }) => client.end()));
    }
  } } : {}),

  a_pool_of_its_own_gets_along: async () => {
    const pool = new Pool({ max: 20, connectionTimeoutMillis: 10000 });
    pool.on('error', () => {});
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query({ name: `p${n % 7}`, text: `SELECT $1::int + ${n % 7} AS n`, values: [n] })));
    answers.forEach(({ rows }, n) => assert.strictEqual(rows[0].n, n + (n % 7)));
    await pool.end();
  },
};

require('./play')(stories);
