// node-postgres, and what people do with its pool.
//
//   node pool.js MODE HOST PORT DATABASE USER NAME SECONDS_BETWEEN [cured]
//
//   error       L14: a client that is not released when its query fails
//   block       L14: the same, with a transaction open
//   race        L15: a wait for a client that is given up, and the client that comes all the same
//   reload      L16: a development server that makes a new pool each time a file is saved
//   rest        no mistake: a pool that had one busy moment, and is used a little ever since
'use strict';
const { Pool } = require('pg');

const [mode, host, port, database, user, name, every, ...more] = process.argv.slice(2);
const cured = more.includes('cured');
const options = { host, port: Number(port), database, user, application_name: name, max: 60, idleTimeoutMillis: 0 };
const pool = new Pool(options);
pool.on('error', () => {});
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

const modes = {
  async error() {
    const client = await pool.connect();
    try {
      await client.query('SELECT name FROM product WHERE id = $1', [1]);
      await client.query('SELECT price FROM product');          // there is no such column
      client.release();
    } catch (error) {
      // The mistake: only the good path releases. The cure: release() in finally.
      if (cured) client.release();
    }
  },

  async block() {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('UPDATE product SET stock = stock + 1 WHERE id = $1', [Math.ceil(Math.random() * 900)]);
      JSON.parse('{"an": answer}');                               // somebody sent us this
      await client.query('COMMIT');
      client.release();
    } catch (error) {
      // The mistake: no ROLLBACK and no release. The cure: both, in the catch.
      if (cured) { await client.query('ROLLBACK'); client.release(); }
    }
  },

  async race() {
    // The mistake: a client that is late is forgotten, and when it comes after all, it is never released.
    const coming = pool.connect();
    const first = Promise.race([coming, sleep(5).then(() => null)]);
    for (const until = Date.now() + 10; Date.now() < until;);    // a page is rendered; the event loop stands still
    const client = await first;
    if (client) {
      await client.query('SELECT 1');
      client.release();
    } else if (cured) {
      (await coming).release();                                   // the cure
    }
  },

  async reload() {
    // The mistake: a module that is loaded again makes its pool again, and nobody ends the old one.
    // The cure: keep it in globalThis.
    const mine = cured ? pool : new Pool(options);
    mine.on('error', () => {});
    await Promise.all([1, 2, 3, 4].map((id) => mine.query('SELECT name FROM product WHERE id = $1', [id])));
  },

  async rest() {
    if (pool.totalCount === 0) {
      await Promise.all(Array.from({ length: 12 }, () => pool.query('SELECT pg_sleep(0.3)')));
    }
    await pool.query('SELECT count(*) FROM product');
  },
};

(async () => {
  for (;;) {
    modes[mode]().catch((error) => console.error(error.message));
    await sleep(1000 * Number(every));
  }
})();
