'use strict';
const assert = require('assert');
const { MikroORM, EntitySchema, LockMode } = require('@mikro-orm/postgresql');
const many = (n, work) => Promise.all(Array.from({ length: n }, (_, i) => work(i)));
class Harbour {} class Ship {}
const H = new EntitySchema({ class: Harbour, tableName: 'mikro_harbour', properties: { id: { primary: true, type: 'number', autoincrement: true }, name: { type: 'string', unique: true }, extra: { type: 'json', nullable: true }, version: { type: 'number', version: true }, ships: { kind: '1:m', entity: () => Ship, mappedBy: 'harbour', cascade: ['persist', 'remove'] } } });
const S = new EntitySchema({ class: Ship, tableName: 'mikro_ship', properties: { id: { primary: true, type: 'number', autoincrement: true }, name: { type: 'string' }, at: { type: 'Date', nullable: true }, harbour: { kind: 'm:1', entity: () => Harbour, nullable: true } } });
(async () => {
  const orm = await MikroORM.init({ entities: [H, S], clientUrl: process.env.URL, pool: { min: 0, max: 4 } });
  const gen = orm.getSchemaGenerator();
  await gen.updateSchema({ safe: true });
  console.log(JSON.stringify(await gen.getUpdateSchemaSQL({ safe: true })));
  const em = orm.em.fork();
  const h = em.create(Harbour, { name: 'Kiel', extra: { a: 1 }, version: 1 }); h.ships.add(em.create(Ship, { name: 'x', at: new Date(0) }), em.create(Ship, { name: 'y' }));
  await em.persistAndFlush(h);
  console.log(JSON.stringify(await orm.em.fork().find(Harbour, {}, { populate: ['ships'] })));
  await many(12, (n) => orm.em.fork().transactional(async (tx) => {
    tx.create(Harbour, { name: `h${n}`, version: 1 }); await tx.flush();
    await assert.rejects(tx.transactional(async (deep) => { deep.create(Harbour, { name: 'Kiel', version: 1 }); }), (e) => e.code === '23505' && e.name === 'UniqueConstraintViolationException');
  }).catch((e) => { if (e.code !== '23505') throw e; }));
  await many(10, (n) => orm.em.fork().transactional(async (tx) => { const k = await tx.findOneOrFail(Harbour, { name: 'Kiel' }, { lockMode: LockMode.PESSIMISTIC_WRITE }); k.extra = { n }; }));
  const [a, b] = [orm.em.fork(), orm.em.fork()]; const [x, y] = await Promise.all([a.findOneOrFail(Harbour, { name: 'Kiel' }), b.findOneOrFail(Harbour, { name: 'Kiel' })]);
  x.extra = 1; y.extra = 2; await a.flush(); await assert.rejects(b.flush(), (e) => (console.log(e.name), true));
  const bulk = orm.em.fork(); for (let i = 0; i < 50; i++) bulk.create(Ship, { name: `b${i}`, harbour: h.id }); await bulk.flush();
  const up = orm.em.fork(); for (const s of await up.find(Ship, { name: { $like: 'b%' } })) s.name += '!'; await up.flush();
  console.log(await orm.em.fork().count(Ship, { name: { $like: '%!' } }), JSON.stringify(await orm.em.fork().createQueryBuilder(Ship, 's').select('s.harbour').groupBy('s.harbour').orderBy({ harbour: 1 }).execute()));
  await orm.em.fork().upsert(Harbour, { name: 'Kiel', extra: { up: true }, version: 99 });
  console.log(JSON.stringify(await orm.em.getConnection().execute('SELECT extra FROM mikro_harbour WHERE name = ?', ['Kiel'])));
  await gen.dropSchema(); await orm.close();
  console.log('well');
})().catch((e) => { console.log('FAILED', e.code, e.stack.slice(0, 600)); process.exit(1); });
