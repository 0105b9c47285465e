'use strict';
const assert = require('assert');
const { PrismaClient } = require('made');
const { PrismaPg } = require('@prisma/adapter-pg');
const sleep = (ms) => new Promise((w) => setTimeout(w, ms));
const many = (n, work) => Promise.all(Array.from({ length: n }, (_, i) => work(i)));
const open = (more = {}) => new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.URL, max: 4, ...more }), transactionOptions: { maxWait: 20000, timeout: 20000 } });
(async () => {
  const db = open();
  await db.ship.deleteMany(); await db.harbour.deleteMany(); await db.cargo.deleteMany();
  // nested writes
  const made = await db.harbour.create({ data: { name: 'Hamburg', kind: 'LOCK', depth: '12.50', tags: ['a', 'grün'], extra: { n: [1, null] }, mark: Buffer.from([0, 255, 7]), big: 9007199254740993n, opened: new Date(0),
    ships: { create: [{ name: 'Elbe', length: 5, cargo: { create: [{ what: 'tea' }, { what: 'tin' }] } }, { name: 'Alster' }] } }, include: { ships: { include: { cargo: true } } } });
  console.log(JSON.stringify(made, (k, v) => k == 'id' || k == 'harbourId' ? undefined : typeof v === 'bigint' ? String(v) : v));
  const tea = made.ships[0].cargo[0].id;
  await db.ship.update({ where: { id: made.ships[1].id }, data: { name: 'Alster 2', length: { increment: 3 }, cargo: { connect: { id: tea }, create: { what: 'rum' } } } });
  console.log(JSON.stringify(await db.ship.findMany({ orderBy: { name: 'asc' }, select: { name: true, length: true, cargo: { select: { what: true }, orderBy: { what: 'asc' } }, harbour: { select: { name: true, _count: true } } } })));
  // errors
  await assert.rejects(db.harbour.create({ data: { name: 'Hamburg', depth: 1 } }), (e) => (console.log(e.code, JSON.stringify(e.meta, (k,v)=>k=='driverAdapterError'?{c:v.cause,n:v.name}:v)), e.code === 'P2002'));
  await assert.rejects(db.ship.create({ data: { name: 'x', harbourId: 999999 } }), (e) => (console.log(e.code, JSON.stringify(e.meta, (k,v)=>k=='driverAdapterError'?{c:v.cause,n:v.name}:v)), e.code === 'P2003'));
  await assert.rejects(db.ship.update({ where: { id: 99999 }, data: { name: 'x' } }), (e) => (console.log(e.code, JSON.stringify(e.meta, (k,v)=>k=='driverAdapterError'?{c:v.cause,n:v.name}:v)), e.code === 'P2025'));
  await assert.rejects(db.$queryRaw`SELECT 1/0`, (e) => (console.log(e.code, JSON.stringify(e.meta, (k,v)=>k=='driverAdapterError'?{c:v.cause,n:v.name}:v)), e.code === 'P2010'));
  // interactive transactions
  await many(12, (n) => db.$transaction(async (tx) => {
    await tx.harbour.create({ data: { name: `h${n}`, depth: n, ships: { createMany: { data: [{ name: `s${n}` }, { name: `t${n}` }] } } } });
    await tx.$executeRaw`SELECT set_config('app.n', ${String(n)}, true)`;
    const [r] = await tx.$queryRaw`SELECT current_setting('app.n') AS n, count(*)::int AS c FROM "Harbour" WHERE name = ${`h${n}`}`;
    assert.deepStrictEqual(r, { n: String(n), c: 1 });
  }, { isolationLevel: n % 2 ? 'Serializable' : 'ReadCommitted' }).catch((e) => { if (e.code !== 'P2034') throw e; }));
  await assert.rejects(db.$transaction(async (tx) => { await tx.ship.deleteMany(); throw new Error('back'); }), /back/);
  await assert.rejects(db.$transaction(async (tx) => { await tx.ship.create({ data: { name: 'late' } }); await sleep(600); await tx.ship.count(); }, { timeout: 300 }), (e) => (console.log(e.code), e.code === 'P2028'));
  // batch
  const batch = await db.$transaction([db.cargo.create({ data: { what: 'oil' } }), db.cargo.count(), db.$queryRaw`SELECT 5 AS five`]);
  console.log(JSON.stringify(batch.slice(1)));
  await assert.rejects(db.$transaction([db.cargo.create({ data: { what: 'lost' } }), db.harbour.create({ data: { name: 'Hamburg', depth: 1 } })]), (e) => e.code === 'P2002');
  console.log('lost', await db.cargo.count({ where: { what: 'lost' } }), 'late', await db.ship.count({ where: { name: 'late' } }));
  // upsert, createMany skipDuplicates, groupBy, aggregate, createManyAndReturn
  console.log(JSON.stringify(await db.harbour.upsert({ where: { name: 'Kiel' }, create: { name: 'Kiel', depth: 3 }, update: { depth: 4 }, select: { name: true, depth: true } })));
  console.log(JSON.stringify(await db.harbour.upsert({ where: { name: 'Kiel' }, create: { name: 'Kiel', depth: 3 }, update: { depth: 4 }, select: { name: true, depth: true } })));
  console.log(JSON.stringify(await db.harbour.createMany({ data: [{ name: 'Kiel', depth: 3 }, { name: 'Bonn', depth: 3 }], skipDuplicates: true })));
  console.log(JSON.stringify(await db.harbour.groupBy({ by: ['kind'], _count: true, _max: { name: true }, orderBy: { kind: 'asc' }, where: { NOT: { name: { startsWith: 'h' } } } })));
  console.log(JSON.stringify(await db.cargo.createManyAndReturn({ data: [{ what: 'x' }, { what: 'y' }], select: { what: true } })));
  // raw
  console.log(JSON.stringify(await db.$queryRawUnsafe('SELECT $1::int + 1 AS n, $2::text AS t, (now() - now())::text AS i, ARRAY[1,2] AS a, $3::jsonb AS j, $4::timestamptz AT TIME ZONE \'UTC\' AS d', 41, 'x', { a: 1 }, new Date(0))));
  console.log(await db.$executeRaw`UPDATE "Cargo" SET what = what WHERE what IN ('x', 'y')`);
  await many(60, async (n) => { const [r] = await db.$queryRaw`SELECT ${n}::int + 1 AS n`; assert.strictEqual(r.n, n + 1); });
  await many(30, async (n) => assert.strictEqual((await db.harbour.findMany({ where: { name: { in: ['Kiel', 'Bonn'] }, depth: { gte: 3 } }, include: { ships: true } })).length, 2));
  await db.$disconnect();
  // settings
  const other = open({ options: '-c statement_timeout=400 -c search_path=public', application_name: 'prisma app' });
  console.log(JSON.stringify(await other.$queryRaw`SELECT current_setting('statement_timeout') AS a, current_setting('application_name') AS b, current_setting('search_path') AS c`));
  await assert.rejects(other.$queryRaw`SELECT pg_sleep(20)::text`, (e) => (console.log(e.code, JSON.stringify(e.meta, (k,v)=>k=='driverAdapterError'?{c:v.cause,n:v.name}:v)), true));
  await other.$disconnect();
  console.log('well');
})().catch((e) => { console.error('FAILED', e.code, String(e.message).slice(-300), String(e.stack).match(/stories.js:\d+/)?.[0]); process.exit(1); });
