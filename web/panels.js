// What stands on the screen below the charts: five tables, and which columns each has.

import { held, isIdle, lasting, wait } from './headline.js';
import { Table } from './table.js';
import { clock, count, drawing, duration, element, originName, plain } from './words.js';

// Lent is a full bar, idle one of half the height, free an empty frame: shapes, so that colour is not needed.
function bar(pool) {
	const size = Math.max(pool.pool_size ?? 0, pool.sv_active + pool.sv_idle, 1), at = (servers) => (100 * servers / size).toFixed(1);
	return drawing('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img',
		'aria-label': `${pool.sv_active} lent and ${pool.sv_idle} idle of ${size}` },
	drawing('rect', { class: 'free', width: '100', height: '10' }),
	drawing('rect', { class: 'lent', width: at(pool.sv_active), height: '10' }),
	drawing('rect', { class: 'idle', x: at(pool.sv_active), y: '5', width: at(pool.sv_idle), height: '5' }));
}

const number = (title, value, more = {}) => ({ title, kind: 'number', first: 'down', value, show: (row) => count(value(row)), ...more });
const time = (title, value, more = {}) => ({ title, kind: 'number', first: 'down', value, show: (row) => duration(value(row)), ...more });
const name = { title: 'origin', narrow: true, value: originName };
const where = { title: 'database', value: (row) => plain(`${row.database} (${row.user})`) };
const asked = { title: 'statement', kind: 'long', value: (row) => plain(row.statement ?? '') };

function seconds(value) {
	return value === null ? null : value / 1e6;
}

const gravity = ['low', 'growing', 'urgent'];

// What somebody waits for by now has ended badly already.
function ending(leak) {
	return leak.ended ? 'over' : leak.exhausted_in > 1 ? duration(leak.exhausted_in) : leak.severity === 'urgent' ? 'now' : '–';
}

export function panels(state) {
	const leaking = (origin) => state.leaking.has(origin);
	const mark = (origin) => (origin && leaking(origin) ? 'leaks' : '');
	const flag = (row, origin) => element('span', {}, leaking(origin) ? element('abbr', { class: 'flag', title: 'leaks' }, 'leak ') : '', originName(row));
	return [
		{ id: 'leaks', title: 'Who leaks', empty: 'Nobody, as far as can be told.', rows: (picture) => picture.leaks,
			keyOf: (row) => row.id, sort: 'severity', mark: (row) => (row.ended ? 'over' : row.severity === 'urgent' ? 'bad' : 'leaks'),
			columns: [
				{ title: 'severity', first: 'down', value: (row) => (row.ended ? -1 : gravity.indexOf(row.severity)),
					show: (row) => (row.ended ? 'over' : plain(row.severity)) },
				{ ...name, show: (row) => originName(row) },
				{ title: 'holds', narrow: true, kind: 'number', first: 'down', value: (row) => row.servers || row.clients,
					show: held },
				number('a minute', (row) => row.growth_per_minute, { hint: 'how many more it holds each minute' }),
				{ title: 'ends badly in', narrow: true, kind: 'number', first: 'up', hint: 'when what it takes is all that there is',
					value: (row) => row.exhausted_in ?? Infinity, show: (row) => ending(row) },
				{ title: 'leak', value: (row) => plain(`${row.pattern} ${row.name}, ${row.confidence} % sure`), kind: 'long' },
			] },
		{ id: 'origins', title: 'Who holds what', empty: 'No client is here.', rows: (picture) => picture.origins,
			keyOf: (row) => row.id || originName(row), sort: 'lent', mark: (row) => mark(row.id),
			// Most hold nothing; among them who waits must not be looked for.
			ties: (a, b) => b.waiting - a.waiting || b.clients - a.clients, columns: [
				{ ...name, show: (row) => flag(row, row.id) },
				number('lent', (row) => row.lent, { narrow: true }),
				number('waiting', (row) => row.waiting, { narrow: true }),
				number('clients', (row) => row.clients, { narrow: true }),
				number('parked', (row) => row.parked),
				time('longest hold', (row) => row.oldest_hold),
				{ ...where, kind: 'long' },
			] },
		{ id: 'pools', title: 'Pools', empty: 'No pool yet.', rows: (picture) => picture.pools,
			keyOf: (row) => `${row.database}\n${row.user}`, sort: 'waiting', mark: (row) => (row.failing ? 'bad' : row.cl_waiting > 0 ? 'waits' : ''),
			columns: [
				{ title: 'pool', narrow: true, value: (row) => plain(`${row.database}/${row.user}`) },
				{ title: 'servers', narrow: true, first: 'down', value: (row) => row.sv_active / Math.max(1, row.pool_size ?? 1), show: bar },
				number('lent', (row) => row.sv_active, { narrow: true, show: (row) => `${row.sv_active}/${row.pool_size ?? '–'}` }),
				number('idle', (row) => row.sv_idle),
				number('waiting', (row) => row.cl_waiting, { narrow: true }),
				time('longest wait', wait, { show: (row) => (row.cl_waiting > 0 ? duration(wait(row)) : '–') }),
				number('clients', (row) => row.cl_total),
				time('longest lease', (row) => seconds(row.oldest_lease_us)),
				{ title: '', kind: 'long', value: (row) => plain(row.failing) },
			] },
		{ id: 'leases', title: 'Leases', empty: 'No server is lent.', rows: (picture) => picture.leases,
			keyOf: (row) => `${row.client} ${row.server}`, sort: 'for', mark: (row) => mark(row.origin), columns: [
				{ ...name, show: (row) => flag(row, row.origin) },
				{ ...where, title: 'pool' },
				{ title: 'state', narrow: true, value: (row) => `${plain(row.state)}${row.pin ? ', pinned' : ''}`,
					show: (row) => element('span', { class: isIdle(row) ? 'rests' : '' }, `${plain(row.state)}${row.pin ? ', pinned' : ''}`) },
				time('for', (row) => row.in_state, { narrow: true, hint: 'how long it has been in this state' }),
				time('lent for', (row) => row.age),
				asked,
			] },
		{ id: 'budget', title: 'PostgreSQL', empty: 'No PostgreSQL server is known yet.', rows: (picture) => picture.budget,
			keyOf: (row) => `${row.host}:${row.port}`, sort: 'server', mark: (row) => (row.problem ? 'bad' : ''), columns: [
				{ title: 'server', narrow: true, value: (row) => plain(`${row.host}:${row.port}`) },
				number('ours', (row) => row.ours, { narrow: true }),
				number('others', (row) => row.others),
				number('free', (row) => row.free, { narrow: true }),
				number('usable', (row) => row.usable, { hint: 'max_connections without what is reserved' }),
				number('budget', (row) => row.target),
				number('waiting', (row) => row.cl_waiting),
				{ title: 'state', narrow: true, kind: 'long', value: (row) => plain(row.problem ? `${row.state}: ${row.problem}` : row.state) },
			] },
	];
}

// The tables in their places, in the order of the keys that lead to them.
export function build(place, state, open) {
	const columns = [element('div'), element('div')];
	place.append(...columns);
	return panels(state).map((panel, i) => {
		const table = new Table({ ...panel, name: panel.title, open: (key) => open(panel.id, key) });
		const left = element('span', { class: 'left' });
		const section = element('section', { class: 'panel', id: panel.id },
			element('h2', {}, element('kbd', { 'aria-hidden': 'true' }, String(i + 1)), ` ${panel.title} `, left), table.place);
		columns[i < 2 ? 0 : 1].append(section);
		return { ...panel, table, left };
	});
}

export function figures(picture) {
	const sum = (of) => picture.pools.reduce((total, pool) => total + of(pool), 0);
	const least = picture.left_out.pools ? '≥ ' : ''; // not all pools are told
	const waiting = sum((pool) => pool.cl_waiting), longest = Math.max(0, ...picture.pools.filter((pool) => pool.cl_waiting > 0).map(wait));
	return [
		['waiting', least + count(waiting), waiting > 0 ? `the longest for ${duration(longest)}` : ''],
		['lent', least + count(sum((pool) => pool.sv_active)), `of ${count(sum((pool) => pool.pool_size ?? 0))} servers`],
		['idle', least + count(sum((pool) => pool.sv_idle)), 'servers'],
		['clients', count(picture.clients), `room for ${count(picture.clients_max)}`],
		['at the door', count(picture.clients_at_door), ''],
		['leaks', count(lasting(picture).length), ''],
		['queries/s', count(picture.stats.reduce((total, row) => total + row.avg_query_count, 0)), ''],
	];
}

export function about(picture) {
	return `${plain(picture.version)}, since ${new Date(picture.started * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC ` +
		`(${duration(picture.uptime)}), as it was at ${clock(picture.time)}`;
}
