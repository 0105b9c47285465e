// What the dashboard's first line says, without a browser: node headline.js FOLDER, where the files of web/ lie as modules.

const assert = require('node:assert');

const pool = { database: 'app', user: 'app', cl_waiting: 0, sv_active: 0, sv_idle: 0, maxwait: 0, maxwait_us: 0, pool_size: 20, failing: '' };
const lease = { origin: 1, user: 'app', database: 'app', application_name: 'web', addr: '10.0.0.7', state: 'idle in transaction', in_state: 41 };
const leak = { id: 7, origin: 1, pattern: 'L9', name: 'a stream', family: 'server', severity: 'urgent', confidence: 90, clients: 18, servers: 18,
	exhausted_in: null, ended: null, user: 'app', application_name: 'web', address: '10.0.0.7', cure: 'Close it.' };
const picture = (more) => ({ time: 1e9, paused: false, draining: false, clients: 3, clients_max: 100, clients_at_door: 0, pools: [pool], leases: [],
	leaks: [], ...more });
const waits = { ...pool, cl_waiting: 12, maxwait: 7 };
const times = (n, each) => Array.from({ length: n }, () => each);

import(`${process.argv[2]}/headline.js`).then(({ headline, holders }) => {
	const says = (more, level, sentence, cure) => {
		const told = headline(picture(more)), plain = (text) => text.replaceAll('\u00a0', ' ');
		assert.deepStrictEqual([told.level, plain(told.sentence)], [level, sentence]);
		if (cure !== undefined)
			assert.ok(cure ? told.cure.includes(cure) : told.cure === '', told.cure);
	};
	says({}, 'good', 'Nobody waits.', '');
	says({ pools: [] }, 'good', 'Nobody waits.', '');
	says({ pools: [waits], leases: [...times(18, lease), ...times(2, { ...lease, origin: 2, application_name: 'reports', state: 'executing' })],
		leaks: [leak] }, 'bad', '12 clients wait for servers of app; web@10.0.0.7 holds 18 of 20, idle in transaction for 41 s.', 'Close it.');
	says({ pools: [{ ...waits, pool_size: 3000 }], leases: times(1000, lease), left_out: { leases: 9 } }, 'bad',
		'12 clients wait for servers of app; web@10.0.0.7 holds at least 1,000 of 3,000, idle in transaction for 41 s.');
	// Another's leak is no cure for this.
	says({ pools: [waits], leases: times(18, lease), leaks: [{ ...leak, origin: 5 }] }, 'bad',
		'12 clients wait for servers of app; web@10.0.0.7 holds 18 of 20, idle in transaction for 41 s.', 'No leak is named yet');
	// A queue that moves is no trouble.
	says({ pools: [{ ...waits, cl_waiting: 1, maxwait: 0, maxwait_us: 20000 }], leases: times(3, { ...lease, state: 'executing', in_state: 0.5 }) }, 'look',
		'1 client waits for servers of app, the longest for 20 ms; web@10.0.0.7 holds 3 of 20, executing for 0.5 s.', '');
	// One ended long ago does not count.
	says({ leaks: [{ ...leak, ended: '2026-11-26' }] }, 'good', 'Nobody waits.', '');
	says({ leaks: [{ ...leak, severity: 'low' }] }, 'look', 'Nobody waits, but web@10.0.0.7 leaks 18 servers.', 'Close it.');
	// An application that waits for itself holds nothing of ours.
	const own = { ...leak, pattern: 'L7', family: 'not us', clients: 4, servers: 0, cure: 'Look there.' };
	says({ leaks: [own] }, 'bad', 'Nobody waits here, but web@10.0.0.7 waits for its own pool: neither pgweir nor PostgreSQL is to blame.', 'Look there.');
	says({ leaks: [{ ...own, severity: 'low' }] }, 'look',
		'Nobody waits here, but web@10.0.0.7 may wait for its own pool: neither pgweir nor PostgreSQL is to blame.', 'Look there.');
	assert.match(headline(picture({ leaks: [{ ...leak, exhausted_in: 700 }] })).sentence.replaceAll('\u00a0', ' '),
		/^Nobody waits, but web@10\.0\.0\.7 leaks 18 servers; it ends badly in 11 min, at \d\d:\d\d\.$/);
	says({ pools: [{ ...waits, failing: 'no route to host' }] }, 'bad', '12 clients wait for servers of app; no server can be opened: no route to host.');
	says({ pools: [{ ...pool, failing: 'no route to host' }] }, 'bad', 'Nobody waits, but no server of app can be opened: no route to host.');
	// PostgreSQL is down and nobody has asked for it yet: the monitor knows.
	const down = { host: '10.0.0.1', port: 5432, state: 'failed', problem: 'connection to server at 10.0.0.1:5432: Connection refused', ours: 0 };
	const unreached = 'Nobody waits, but PostgreSQL can not be reached: connection to server at 10.0.0.1:5432: Connection refused.';
	says({ budget: [{ ...down, state: 'reads' }, down] }, 'bad', unreached, '');
	says({ budget: [down], leaks: [{ ...leak, severity: 'low' }] }, 'bad', unreached);
	says({ budget: [{ ...down, ours: 3 }] }, 'good', 'Nobody waits.');
	says({ budget: [{ ...down, problem: 'password authentication failed for user "app"' }] }, 'good', 'Nobody waits.');
	says({ budget: [down], pools: [waits] }, 'bad', '12 clients wait for servers of app; none of 20 servers is lent.');
	// Others have PostgreSQL's connections: that holds the pool down, and not who has its few servers.
	const full = { host: '10.0.0.1', port: 5432, state: 'reads', problem: '', ours: 4, target: 4, others: 22, usable: 27, cl_waiting: 12, full_since: null,
		others_by: 'cron: 22' };
	const taken = '12 clients wait for servers of app; web@10.0.0.7 holds 3 of 20, idle in transaction for 41 s; ' +
		'PostgreSQL at 10.0.0.1:5432 has no room for more';
	const few = { ...waits, sv_active: 3 };
	says({ budget: [full], pools: [few], leases: times(3, lease) }, 'bad', `${taken}: others have 22 of its 27.`, '(pgweir reap): cron: 22.');
	says({ budget: [full], pools: [few], leases: times(3, lease), leaks: [leak] }, 'bad', `${taken}: others have 22 of its 27.`, 'Close it.');
	says({ budget: [{ ...full, target: null, full_since: '2026-11-28', others_by: '' }], pools: [few], leases: times(3, lease) }, 'bad', `${taken}.`, '');
	const taken20 = '12 clients wait for servers of app; web@10.0.0.7 holds 20 of 20, idle in transaction for 41 s.';
	says({ budget: [full], pools: [{ ...waits, sv_active: 20 }], leases: times(20, lease) }, 'bad', taken20, 'No leak is named yet');
	says({ budget: [{ ...full, target: 9 }], pools: [few], leases: times(3, lease) }, 'bad',
		'12 clients wait for servers of app; web@10.0.0.7 holds 3 of 20, idle in transaction for 41 s.', 'No leak is named yet');
	says({ paused: true, pools: [waits] }, 'look', 'pgweir is paused: who asks for a server waits until RESUME. 12 clients wait.');
	says({ draining: true }, 'look', 'Nobody waits. pgweir drains: it ends when 3 clients have gone.');
	says({ clients_at_door: 4 }, 'bad', '4 clients wait at the door: as many are here as max_client_conn and open files allow.');
	// The pool whose clients wait longest, named with its user where the database has several.
	says({ pools: [{ ...waits, cl_waiting: 30, maxwait: 1 }, { ...waits, user: 'other', maxwait: 9 }] }, 'bad',
		'12 clients wait for servers of app/other; none of 20 servers is lent.');
	// Names that turn or break the line are written out.
	says({ pools: [{ ...waits, database: 'a\u202eb\n' }] }, 'bad', '12 clients wait for servers of a\\u{202e}b\\u{a}; none of 20 servers is lent.');
	assert.deepStrictEqual(holders([lease, { ...lease, origin: 2 }, { ...lease, origin: 2 }]).map((each) => [each.origin, each.leases]), [[2, 2], [1, 1]]);
	console.log('ok');
});
