// The first line: in one sentence what is wrong, and what cures it. Pure: a picture in, words out.

import { count, duration, many, originName, plain, clock } from './words.js';

const BRIEF = 1; // seconds that a client may wait without anything being wrong

export function isIdle(lease) {
	return lease.state.startsWith('idle');
}

export function lasting(picture) {
	return picture.leaks.filter((leak) => leak.ended === null || leak.ended === '');
}

export function wait(pool) {
	return pool.maxwait + pool.maxwait_us / 1e6;
}

export function poolName(pool, picture) {
	const alone = picture.pools.filter((other) => other.database === pool.database).length === 1;
	return plain(alone ? pool.database : `${pool.database}/${pool.user}`);
}

// Leases by who holds them, those who hold most first; among equals who has rested longest.
export function holders(leases) {
	const groups = new Map();
	for (const lease of leases) {
		const key = lease.origin || originName(lease);
		const group = groups.get(key) ?? { origin: lease.origin, name: originName(lease), leases: 0, idle: 0, rest: 0, work: 0 };
		group.leases++;
		if (isIdle(lease)) {
			group.idle++;
			if (lease.in_state >= group.rest)
				[group.rest, group.state] = [lease.in_state, lease.state];
		} else {
			group.work = Math.max(group.work, lease.in_state);
		}
		groups.set(key, group);
	}
	return [...groups.values()].sort((a, b) => b.leases - a.leases || b.rest - a.rest);
}

export function leasesOf(pool, picture) {
	const own = picture.leases.filter((lease) => lease.database === pool.database);
	const exact = own.filter((lease) => lease.user === pool.user);
	return exact.length > 0 ? exact : own; // a pool may log in as another user than its clients
}

function whatItDoes(group) {
	return group.idle * 2 >= group.leases ? `${plain(group.state)} for ${duration(group.rest)}` : `executing for ${duration(group.work)}`;
}

function ending(leak, picture) {
	return leak.exhausted_in === null ? '' :
		`; it ends badly in ${duration(leak.exhausted_in)}, at ${clock(picture.time + leak.exhausted_in, false)}`;
}

export function held(leak) {
	return leak.servers > 0 ? many(leak.servers, 'server') : many(leak.clients, 'client');
}

const gravity = { urgent: 0, growing: 1, low: 2 };

export function worstFirst(leaks) {
	return [...leaks].sort((a, b) => (gravity[a.severity] ?? 3) - (gravity[b.severity] ?? 3) ||
		(a.exhausted_in ?? Infinity) - (b.exhausted_in ?? Infinity) || b.servers - a.servers || b.clients - a.clients);
}

function cureOf(leak) {
	return `${plain(leak.pattern)}, ${leak.confidence} % sure: ${plain(leak.name)}. ${plain(leak.cure)}`;
}

// Why a pool that may have more servers gets none: PostgreSQL is full of others, or says that it is full.
function noRoom(pool, picture) {
	const own = pool.sv_active + pool.sv_idle;
	if (pool.pool_size && own >= pool.pool_size)
		return undefined;
	return (picture.budget ?? []).find((server) => server.cl_waiting > 0 &&
		(server.target === null ? Boolean(server.full_since) : server.ours >= server.target));
}

function whoWaits(pool, picture) {
	const groups = holders(leasesOf(pool, picture));
	const holder = groups[0];
	const leaks = worstFirst(lasting(picture));
	const leak = holder && leaks.find((each) => each.origin === holder.origin && each.family !== 'not us');
	let sentence = `${many(pool.cl_waiting, 'client waits', 'clients wait')} for servers of ${poolName(pool, picture)}`;
	let cure = leak ? cureOf(leak) : '';
	if (wait(pool) < BRIEF)
		sentence += `, the longest for ${duration(wait(pool))}`;
	if (pool.failing)
		sentence += `; no server can be opened: ${plain(pool.failing)}`;
	else if (holder)
		sentence += `; ${holder.name} holds ${picture.left_out?.leases ? 'at least ' : ''}${count(holder.leases)} of ${count(pool.pool_size ?? pool.sv_active)}, ${whatItDoes(holder)}`;
	else
		sentence += `; none of ${many(pool.pool_size ?? 0, 'server')} is lent`;
	const full = pool.failing ? undefined : noRoom(pool, picture);
	if (full)
		sentence += `; PostgreSQL at ${plain(full.host)}:${full.port} has no room for more` +
			(full.target === null ? '' : `: others have ${count(full.others)} of its ${count(full.usable)}`);
	if (!leak && full)
		cure = full.others_by ? `Lead the others through pgweir as well, or end what they left (pgweir reap): ${plain(full.others_by)}.` : '';
	else if (!leak && wait(pool) >= BRIEF && holder && !pool.failing)
		cure = 'No leak is named yet. Its leases say what they asked first and last.';
	return { level: wait(pool) < BRIEF && !pool.failing && !leak ? 'look' : 'bad', sentence: `${sentence}.`, cure,
		leak: leak?.id, origin: holder?.origin };
}

export function headline(picture) {
	const waiting = picture.pools.filter((pool) => pool.cl_waiting > 0)
		.sort((a, b) => wait(b) - wait(a) || b.cl_waiting - a.cl_waiting);
	const leaks = worstFirst(lasting(picture));
	const failing = picture.pools.find((pool) => pool.failing);
	// Nobody has asked for a server since PostgreSQL went away, but the monitor has. One that is not let in is another matter.
	const silent = (picture.budget ?? []).find((server) => server.state === 'failed' && server.ours === 0 &&
		/^(connection to server|could not translate)/.test(server.problem));
	if (picture.paused)
		return { level: 'look', sentence: `pgweir is paused: who asks for a server waits until RESUME. ${many(
			waiting.reduce((sum, pool) => sum + pool.cl_waiting, 0), 'client waits', 'clients wait')}.`, cure: '' };
	if (waiting.length > 0)
		return whoWaits(waiting[0], picture);
	if (picture.clients_at_door > 0)
		return { level: 'bad', sentence: `${many(picture.clients_at_door, 'client waits', 'clients wait')} at the door: ` +
			'as many are here as max_client_conn and open files allow.', cure: leaks[0] ? cureOf(leaks[0]) : '', leak: leaks[0]?.id };
	if (failing)
		return { level: 'bad', sentence: `Nobody waits, but no server of ${poolName(failing, picture)} can be opened: ${plain(failing.failing)}.`,
			cure: '' };
	if (silent)
		return { level: 'bad', sentence: `Nobody waits, but PostgreSQL can not be reached: ${plain(silent.problem)}.`, cure: '' };
	if (leaks.length > 0 && leaks[0].family === 'not us')
		return { level: leaks[0].severity === 'urgent' ? 'bad' : 'look', sentence: `Nobody waits here, but ${originName(leaks[0])} ` +
			`${leaks[0].severity === 'urgent' ? 'waits' : 'may wait'} for its own pool: neither pgweir nor PostgreSQL is to blame.`,
			cure: cureOf(leaks[0]), leak: leaks[0].id, origin: leaks[0].origin };
	if (leaks.length > 0)
		return { level: leaks[0].severity === 'urgent' ? 'bad' : 'look', sentence: `Nobody waits, but ${originName(leaks[0])} leaks ` +
			`${held(leaks[0])}${ending(leaks[0], picture)}.`, cure: cureOf(leaks[0]), leak: leaks[0].id, origin: leaks[0].origin };
	if (picture.draining)
		return { level: 'look', sentence: `Nobody waits. pgweir drains: it ends when ${many(picture.clients, 'client has', 'clients have')} gone.`,
			cure: '' };
	return { level: 'good', sentence: 'Nobody waits.', cure: '' };
}
