// The details of one row: everything that SHOW tells of it, and what belongs to it. They live on while they are looked at; Esc leads back.

import { Charts } from './charts.js';
import { isIdle, leasesOf, wait } from './headline.js';
import { duration, element, many, originName, plain, say } from './words.js';

const seconds = new Set(['age', 'in_state', 'transaction_age', 'oldest', 'exhausted_in', 'oldest_quiet', 'oldest_hold', 'median_rest',
	'median_life', 'executing_time', 'in_transaction_time']);

function value(key, each) {
	if (each === null || each === '')
		return '–';
	if (seconds.has(key))
		return duration(each);
	if (key.endsWith('_us') && typeof each === 'number')
		return duration(each / 1e6);
	return plain(each);
}

function facts(row, without = []) {
	return element('dl', { class: 'facts' }, ...Object.entries(row).filter(([key]) => !without.includes(key))
		.map(([key, each]) => element('div', {}, element('dt', {}, key), element('dd', {}, value(key, each)))));
}

const text = (title, words) => (words ? [element('h3', {}, title), element('p', { class: 'said' }, plain(words))] : []);
const statement = (title, words) => (words ? [element('h3', {}, title), element('pre', {}, plain(words))] : []);
const command = (words) => [element('h3', {}, 'On the console'), element('pre', {}, words)];

function list(title, rows, line, open) {
	return rows.length === 0 ? [] : [element('h3', {}, `${title} (${rows.length})`), element('ul', { class: 'links' }, ...rows.slice(0, 50).map((row) => {
		const button = element('button', { type: 'button' }, line(row));
		button.addEventListener('click', () => open(row));
		return element('li', {}, button);
	}))];
}

const kinds = { process: 'process', tls_name: 'name in the certificate', route: 'route', controller: 'controller', action: 'action', job: 'job' };

function part(row) {
	const holds = row.holding > 0 ? `, ${row.holding} idle in transaction, the longest for ${duration(row.oldest_hold)}` : '';
	const quiet = row.quiet > 0 ? `, ${row.quiet} quiet, the longest for ${duration(row.oldest_quiet)}` : '';
	return `${plain(row.value)}: ${many(row.clients, 'client')}${quiet}${holds}`;
}

// Whom an origin consists of. They come in the order in which they are to be read: by kind, those that forgot most first.
function parts(origin, picture) {
	const rows = picture.breakdowns.filter((each) => each.origin === origin);
	if (rows.length === 0 && picture.left_out.breakdowns > 0)
		return [element('p', { class: 'said' }, 'What it consists of is not in this picture: SHOW BREAKDOWNS tells.')];
	return Object.entries(kinds).flatMap(([by, title]) => {
		const own = rows.filter((each) => each.by === by);
		return own.length === 0 ? [] : [element('h3', {}, `By ${title} (${own.length})`),
			element('ul', { class: 'parts' }, ...own.map((row) => element('li', {}, part(row))))];
	});
}

const lease = (row) => `${originName(row)} ${plain(row.state)} for ${duration(row.in_state)}: ${plain(row.statement ?? '–')}`;
const keyOfLease = (row) => `${row.client} ${row.server}`;

export class Details {
	constructor(dialog, state) {
		Object.assign(this, { dialog, state, stack: [] });
		this.title = dialog.querySelector('h2');
		this.body = dialog.querySelector('#details-body');
		dialog.querySelector('#back').addEventListener('click', () => this.back());
		dialog.addEventListener('cancel', (event) => {
			event.preventDefault();
			this.back();
		});
	}

	get isOpen() {
		return this.dialog.open;
	}

	open(kind, key) {
		this.stack.push({ kind, key: String(key) });
		this.shown = null;
		if (!this.dialog.open) {
			this.from = document.activeElement;
			this.dialog.showModal();
		}
		this.update();
		this.title.focus();
		this.dialog.scrollTop = 0;
	}

	back() {
		this.stack.pop();
		this.shown = null;
		if (this.stack.length > 0) {
			this.update();
			this.title.focus();
			return;
		}
		this.close();
	}

	close() {
		this.stack = [];
		this.charts = null;
		if (this.dialog.open)
			this.dialog.close();
		if (this.from?.isConnected)
			this.from.focus({ preventScroll: true });
	}

	// A text that somebody marks, or a link that has the focus, is not taken away: what is the same stays.
	update() {
		if (this.stack.length === 0)
			return;
		const { kind, key } = this.stack.at(-1), panel = this.state.panels.find((each) => each.id === kind);
		const row = panel.rows(this.state.picture).find((each) => String(panel.keyOf(each)) === key);
		if (!row) {
			this.dialog.classList.add('gone');
			if (this.shown === null) {
				say(this.title, 'It is gone.');
				this.body.replaceChildren();
			} else if (!this.title.textContent.endsWith(' (gone)')) {
				this.title.append(' (gone)');
			}
			return;
		}
		this.dialog.classList.remove('gone');
		this.shown = row;
		const marked = !getSelection().isCollapsed && this.body.contains(getSelection().anchorNode);
		const [title, ...content] = this[kind](row);
		say(this.title, title);
		if (marked || this.body.querySelector(':active')) // a press of the mouse ends on what it began on
			return;
		const buttons = () => [...this.body.querySelectorAll('.links button')];
		const focused = buttons().indexOf(document.activeElement);
		this.body.replaceChildren(...content);
		if (focused >= 0)
			(buttons()[focused] ?? this.title).focus({ preventScroll: true });
	}

	related(row, origin) {
		const { picture } = this.state;
		return [...list('Leaks', picture.leaks.filter((each) => each.origin === origin && each !== row),
			(each) => `${plain(each.pattern)} ${plain(each.name)}, ${each.confidence} % sure`, (each) => this.open('leaks', each.id)),
		...list('Leases', picture.leases.filter((each) => each.origin === origin && each !== row), lease, (each) => this.open('leases', keyOfLease(each)))];
	}

	leaks(row) {
		return [`${plain(row.pattern)} ${plain(row.name)}`, ...text('Why we think so', row.evidence), ...text('The cure', row.cure),
			...statement('What it asked last', row.statement),
			...command(`REAP DRY RUN ORIGIN ${row.origin};`),
			...list('Origin', this.state.picture.origins.filter((each) => each.id === row.origin), originName, (each) => this.open('origins', each.id)),
			...this.related(row, row.origin), facts(row, ['evidence', 'cure', 'statement', 'name', 'pattern'])];
	}

	origins(row) {
		return [originName(row), ...statement('What it asked last', row.statement), ...this.related(row, row.id),
			...parts(row.id, this.state.picture), facts(row, ['statement'])];
	}

	leases(row) {
		return [`Lease of ${originName(row)}`, element('p', { class: 'said' }, `${plain(row.state)} for ${duration(row.in_state)}, lent for ` +
			`${duration(row.age)}${row.waiting > 0 ? `, ${row.waiting} wait for a server of its pool` : ''}.`),
		...text('Who waits', row.waiters), ...text('Pinned', row.pin), ...statement('What it asked first', row.first_statement), ...statement('What it asked last', row.statement),
		...(isIdle(row) ? command(`REAP DRY RUN CLIENT ${row.client};`) : []),
		...list('Origin', this.state.picture.origins.filter((each) => each.id === row.origin), originName, (each) => this.open('origins', each.id)),
		...list('Leaks', this.state.picture.leaks.filter((each) => each.origin === row.origin),
			(each) => `${plain(each.pattern)} ${plain(each.name)}`, (each) => this.open('leaks', each.id)),
		facts(row, ['statement', 'first_statement', 'pin', 'waiters'])];
	}

	pools(row) {
		const title = plain(`${row.database} (${row.user})`), own = this.chartsOf(row, title);
		return [title, ...text('No server can be opened', row.failing), own.place,
			...list('Leases', leasesOf(row, this.state.picture), lease, (each) => this.open('leases', keyOfLease(each))),
			facts({ ...row, maxwait: duration(wait(row)) }, ['maxwait_us', 'failing'])];
	}

	chartsOf(row, title) {
		const series = this.state.history.pools.find((each) => each.database === row.database && each.user === row.user);
		this.charts ??= new Charts(element('div', { class: 'charts', tabindex: '0', role: 'group', 'aria-label': 'The last hour of this pool' }));
		this.charts.update(this.state.history, series,
			{ time: this.state.picture.time, waiting: row.cl_waiting, lent: row.sv_active, idle: row.sv_idle }, title);
		return this.charts;
	}

	budget(row) {
		return [plain(`${row.host}:${row.port}`), ...text('Problem', row.problem), ...text('Others by', row.others_by), ...text('Limits', row.limits),
			facts(row, ['problem', 'others_by', 'limits'])];
	}
}
