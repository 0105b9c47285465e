// Drivers and frameworks beside node-postgres, each at its everyday work through a pooler of few servers. Prints `ok NAME` or `not ok NAME: why`
// for each claim. PG* variables say where; INVENTED: process ids are the pooler's.
'use strict';
const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { Client, Pool } = require('pg');

const url = `postgresql://${process.env.PGUSER}@${process.env.PGHOST}:${process.env.PGPORT}/${process.env.PGDATABASE}`;
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
const many = (count, work) => Promise.all(Array.from({ length: count }, (_, n) => work(n)));

async function until(what, true_) {
  for (let wait = 0; !true_(); wait++) {
    if (wait === 2000) throw new Error(`in vain: ${what}`);
    await sleep(10);
  }
}

async function inFolder(work) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'others-'));
  try { return await work(folder); } finally { fs.rmSync(folder, { recursive: true }); }
}

// Nobody keeps a server: of two, two strangers can be in transactions at once.
async function nobodyKeepsAServer() {
  const pool = new Pool({ max: 2, connectionTimeoutMillis: 20000 });
  const clients = await many(2, () => pool.connect());
  await Promise.all(clients.map((client) => client.query('BEGIN; SELECT 1')));
  await Promise.all(clients.map((client) => client.query('COMMIT')));
  clients.forEach((client) => client.release());
  await pool.end();
}

async function postgresJs(prepare) {
  const sql = require('postgres')({ max: 5, prepare, onnotice: () => {}, connection: { statement_timeout: 20000 } });
  try {
    await sql`CREATE TABLE IF NOT EXISTS tides(id serial PRIMARY KEY, v text, a int[], j jsonb)`;
    await sql`INSERT INTO tides ${sql([{ v: 'ebb', a: [1, 2], j: { n: 1 } }, { v: 'flood', a: [], j: null }], 'v', 'a', 'j')}`;
    assert.deepStrictEqual({ ...(await sql`SELECT v, a, j FROM tides WHERE v = ${'ebb'}`)[0] }, { v: 'ebb', a: [1, 2], j: { n: 1 } });
    await many(60, async (n) => assert.strictEqual((await sql`SELECT ${n}::int + 1 AS n`)[0].n, n + 1));
    let seen = 0;
    for await (const rows of sql`SELECT generate_series(1, 500)`.cursor(70)) seen += rows.length;
    assert.strictEqual(seen, 500);
    await assert.rejects(sql.begin(async (within) => {
      await within`DELETE FROM tides`;
      await assert.rejects(within.savepoint((deeper) => deeper`SELECT 1/0`), { code: '22012' });
      throw new Error('back');
    }), /back/);
    assert.strictEqual((await sql`SELECT count(*)::int AS n FROM tides`)[0].n, 2);
    assert.strictEqual((await sql.begin('isolation level serializable', (within) => within`SHOW transaction_isolation`))[0].transaction_isolation, 'serializable');
    const slow = sql`SELECT pg_sleep(20)`;
    const ended = assert.rejects(slow, { code: '57014' });
    await sleep(200);
    slow.cancel();
    await ended;
    let heard;
    const listener = await sql.listen('tides', (payload) => { heard = payload; });
    await sql.notify('tides', 'high');
    await until('a notification', () => heard === 'high');
    await listener.unlisten();
    await sql`ALTER TABLE tides ADD extra int DEFAULT 5`;
    assert.strictEqual((await sql`SELECT * FROM tides WHERE v = ${'ebb'}`)[0].extra, 5);
  } finally {
    await sql`DROP TABLE IF EXISTS tides`;
    await sql.end();
  }
}

const stories = {
  postgres_js: () => postgresJs(true),
  postgres_js_that_prepares_nothing: () => postgresJs(false),

  knex_migrates_and_works: () => inFolder(async (directory) => {
    for (const n of [1, 2])
      fs.writeFileSync(`${directory}/00${n}_made.js`, `exports.up = (k) => k.schema.createTable('made_${n}', (t) => { t.increments(); t.string('v').unique(); });
        exports.down = (k) => k.schema.dropTable('made_${n}');`);
    const knex = require('knex')({ client: 'pg', connection: url, searchPath: ['public', 'knex'], migrations: { directory }, pool: { min: 0, max: 5,
      afterCreate: (client, done) => client.query("SET app.who = 'knex'", (error) => done(error, client)) } });
    try {
      await knex.migrate.latest();
      await many(20, (n) => knex.transaction(async (outer) => {
        await outer('made_1').insert({ v: `v${n}` });
        await assert.rejects(outer.transaction((inner) => inner('made_1').insert({ v: `v${n}` })), { code: '23505' });
        assert.strictEqual((await outer('made_1').where({ v: `v${n}` }).forUpdate().first()).v, `v${n}`);
        assert.deepStrictEqual((await outer.raw("SELECT current_setting('app.who') AS who, current_setting('search_path') AS path")).rows[0],
          { who: 'knex', path: 'public, knex' });
      }));
      await knex.migrate.rollback(undefined, true);
    } finally {
      await knex.schema.dropTableIfExists('knex_migrations').dropTableIfExists('knex_migrations_lock');
      await knex.destroy();
    }
  }),

  kysely_migrates_and_works: async () => {
    const { Kysely, PostgresDialect, Migrator, sql } = require('kysely');
    const db = new Kysely({ dialect: new PostgresDialect({ pool: new Pool({ max: 4 }) }) });
    const migrator = new Migrator({ db, migrationTableName: 'kysely_told', migrationLockTableName: 'kysely_lock', provider: { getMigrations: async () => ({
      a: { up: (k) => k.schema.createTable('kysely_a').addColumn('id', 'serial', (c) => c.primaryKey()).addColumn('v', 'text', (c) => c.unique()).execute() },
      b: { up: (k) => k.schema.alterTable('kysely_a').addColumn('n', 'integer', (c) => c.defaultTo(7)).execute() } }) } });
    try {
      // It holds an advisory lock of its transaction meanwhile.
      const both = await many(2, () => migrator.migrateToLatest());
      assert.deepStrictEqual(both.map(({ error }) => error), [undefined, undefined]);
      await many(12, (n) => db.transaction().setIsolationLevel(n % 2 ? 'repeatable read' : 'read committed').execute(async (within) => {
        const { id } = await within.insertInto('kysely_a').values({ v: `v${n}` }).returning('id').executeTakeFirstOrThrow();
        await sql`SELECT set_config('app.k', ${String(n)}, true)`.execute(within);
        assert.deepStrictEqual((await sql`SELECT current_setting('app.k') AS k, ${id}::int AS id`.execute(within)).rows, [{ k: String(n), id }]);
        assert.strictEqual((await within.selectFrom('kysely_a').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()).n, 7);
      }));
      await assert.rejects(db.insertInto('kysely_a').values({ v: 'v1' }).execute(), { code: '23505' });
      await db.connection().execute(async (one) => {
        await sql`SET statement_timeout = '300ms'`.execute(one);
        await assert.rejects(sql`SELECT pg_sleep(20)`.execute(one), { code: '57014' });
        await sql`RESET statement_timeout`.execute(one);
      });
      await many(50, async (n) => assert.strictEqual((await db.selectNoFrom(sql`${n}::int + 1`.as('n')).executeTakeFirst()).n, n + 1));
    } finally {
      await sql`DROP TABLE IF EXISTS kysely_a, kysely_told, kysely_lock`.execute(db);
      await db.destroy();
    }
  },

  drizzle_migrates_and_works: () => inFolder(async (migrationsFolder) => {
    const { drizzle } = require('drizzle-orm/node-postgres');
    const { migrate } = require('drizzle-orm/node-postgres/migrator');
    const { pgTable, serial, text, integer, jsonb } = require('drizzle-orm/pg-core');
    const { eq, sql, relations } = require('drizzle-orm');
    const harbours = pgTable('drizzle_harbours', { id: serial('id').primaryKey(), name: text('name').unique(), extra: jsonb('extra') });
    const ships = pgTable('drizzle_ships', { id: serial('id').primaryKey(), name: text('name'), harbour: integer('harbour').references(() => harbours.id) });
    const schema = { harbours, ships, ofHarbours: relations(harbours, (_) => ({ ships: _.many(ships) })),
      ofShips: relations(ships, (_) => ({ harbour: _.one(harbours, { fields: [ships.harbour], references: [harbours.id] }) })) };
    fs.mkdirSync(`${migrationsFolder}/meta`);
    fs.writeFileSync(`${migrationsFolder}/meta/_journal.json`, JSON.stringify({ version: '7', dialect: 'postgresql',
      entries: ['0000_made', '0001_more'].map((tag, idx) => ({ idx, version: '7', when: idx + 1, tag, breakpoints: true })) }));
    fs.writeFileSync(`${migrationsFolder}/0000_made.sql`, `CREATE TABLE drizzle_harbours(id serial PRIMARY KEY, name text UNIQUE);
      --> statement-breakpoint
      CREATE TABLE drizzle_ships(id serial PRIMARY KEY, name text, harbour int REFERENCES drizzle_harbours);`);
    fs.writeFileSync(`${migrationsFolder}/0001_more.sql`, 'ALTER TABLE drizzle_harbours ADD extra jsonb;');
    const pool = new Pool({ max: 4 });
    const db = drizzle(pool, { schema });
    try {
      for (const _ of [1, 2]) await migrate(db, { migrationsFolder });
      const [{ id }] = await db.insert(harbours).values({ name: 'Kiel', extra: { a: [1] } }).returning();
      await db.insert(ships).values([{ name: 'x', harbour: id }, { name: 'y', harbour: id }]);
      const found = await db.query.harbours.findMany({ with: { ships: { columns: { name: true } } } });
      assert.deepStrictEqual(found, [{ id, name: 'Kiel', extra: { a: [1] }, ships: [{ name: 'x' }, { name: 'y' }] }]);
      await many(12, (n) => db.transaction(async (within) => {
        await within.insert(harbours).values({ name: `h${n}` });
        await assert.rejects(within.transaction((deeper) => deeper.insert(harbours).values({ name: 'Kiel' })), (error) => (error.cause ?? error).code === '23505');
        assert.strictEqual((await within.select().from(harbours).where(eq(harbours.name, `h${n}`)).for('update')).length, 1);
      }, { isolationLevel: 'repeatable read', accessMode: 'read write' }));
      const byName = db.select({ name: harbours.name }).from(harbours).where(eq(harbours.name, sql.placeholder('name'))).prepare('by_name');
      await many(60, async (n) => assert.deepStrictEqual(await byName.execute({ name: `h${n % 12}` }), [{ name: `h${n % 12}` }]));
      assert.strictEqual(await db.$count(harbours), 13);
    } finally {
      await db.execute(sql`DROP TABLE IF EXISTS drizzle_ships, drizzle_harbours`);
      await db.execute(sql`DROP SCHEMA IF EXISTS drizzle CASCADE`);
      await pool.end();
    }
  }),

  // Knex says pg_cancel_backend(processID) of a query that is late.
  nobody_else_is_ended_by_a_clients_process_id: async () => {
    const client = new Client();
    await client.connect();
    assert.ok(!process.env.INVENTED || client.processID > 4194304, `a process may have the id ${client.processID}`);
    await client.end();
  },

  what_drizzles_migrations_say_keeps_no_server: async () => {
    const pool = new Pool({ max: 4, connectionTimeoutMillis: 20000 });
    const blocks = [`DO $$ BEGIN CREATE TYPE "drizzled" AS ENUM('sad', 'ok'); EXCEPTION WHEN duplicate_object THEN null; END $$;`,
      'CREATE TABLE "drizzle_a" ("id" serial PRIMARY KEY, "how" "drizzled")',
      `DO $$ BEGIN ALTER TABLE "drizzle_a" ADD CONSTRAINT "itself" FOREIGN KEY ("id") REFERENCES "public"."drizzle_a"("id") ON DELETE set null;
       EXCEPTION WHEN duplicate_object THEN null; END $$;`];
    try {
      const clients = await many(4, () => pool.connect());
      for (const [n, block] of blocks.entries()) await clients[n].query(block);
      await nobodyKeepsAServer();
      clients.forEach((client) => client.release());
    } finally {
      await pool.query('DROP TABLE IF EXISTS drizzle_a; DROP TYPE IF EXISTS drizzled');
      await pool.end();
    }
  },

  // It makes a function that runs EXECUTE, in one message with a lock and SET LOCAL, and calls it at once.
  two_of_pg_boss_share_a_queue: async () => {
    const PgBoss = require('pg-boss');
    const bosses = [1, 2].map(() => new PgBoss({ connectionString: url, max: 4 }));
    const trouble = [], done = new Map();
    try {
      for (const boss of bosses) boss.on('error', (error) => trouble.push(error));
      // In turn: of two at once, one meets the other's new schema where a session of PostgreSQL was used before, directly too.
      for (const boss of bosses) await boss.start();
      await bosses[0].createQueue('tide');
      for (const boss of bosses)
        await boss.work('tide', { batchSize: 4, pollingIntervalSeconds: 0.5 }, async (jobs) => jobs.forEach(({ id }) => done.set(id, (done.get(id) ?? 0) + 1)));
      await many(20, (n) => bosses[n % 2].send('tide', { n }));
      await until('20 jobs done', () => done.size === 20);
      assert.deepStrictEqual([...new Set(done.values())], [1]);
      assert.deepStrictEqual(trouble, []);
      await nobodyKeepsAServer();
    } finally {
      await Promise.all(bosses.map((boss) => boss.stop({ graceful: false })));
    }
  },

  graphiles_workers_are_woken: async () => {
    const { run, makeWorkerUtils, Logger } = require('graphile-worker');
    const done = [], logger = new Logger(() => () => {});
    const options = { connectionString: url, concurrency: 3, noHandleSignals: true, pollInterval: 600000, logger,
      taskList: { tide: async ({ n }, { query }) => { await query('SELECT 1'); done.push(n); } } };
    const workers = [await run(options), await run(options)];
    const utils = await makeWorkerUtils({ connectionString: url, logger });
    try {
      await many(20, (n) => utils.addJob('tide', { n }));
      await until('20 jobs done', () => done.length === 20);
      await sleep(100);
      await utils.addJob('tide', { n: 20 }, { queueName: 'in turn' });       // nobody looks by himself for ten minutes
      await until('they are woken', () => done.length === 21);
      assert.strictEqual(new Set(done).size, 21);
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
      await utils.release();
    }
  },
};

require('./play')(stories);
