// The page: who is logged in, what was asked last and when, and what is on the screen after each answer.

import { Charts } from './charts.js';
import { Details } from './details.js';
import { headline, lasting } from './headline.js';
import { about, build, figures } from './panels.js';
import { clock, duration, element, plain, say } from './words.js';

const EVERY = 1000, SLOWEST = 5000, PATIENCE = 5000, HISTORY = 10000; // milliseconds

const $ = (id) => document.getElementById(id);
const state = { picture: null, history: { times: [], process: {}, pools: [] }, leaking: new Set(), panels: [], session: null };
let charts, details, timer = 0, asking = false, paused = false, silentSince = null, answeredAt = 0, historyAt = 0;

// ---- asking

class Refused extends Error {
	constructor(status, words) {
		super(words);
		this.status = status;
	}
}

async function ask(path, options = {}) {
	const response = await fetch(path, { ...options, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(PATIENCE) });
	const told = await response.json();
	if (!response.ok)
		throw new Refused(response.status, told.error ?? `status ${response.status}`);
	return told;
}

// One question at a time; the next one later where the answer took long, so that a hundred pages do not make a slow server slower.
async function look() {
	clearTimeout(timer);
	if (asking || !state.session || document.hidden || paused)
		return;
	asking = true;
	const began = performance.now();
	let pause = EVERY;
	try {
		if (began - historyAt >= HISTORY || historyAt === 0) {
			state.history = await ask('/api/history.json');
			historyAt = began;
		}
		const picture = await ask('/api/snapshot.json');
		if (state.session)
			answered(picture);
		pause = Math.min(SLOWEST, Math.max(EVERY, 10 * (performance.now() - began)));
	} catch (error) {
		if (error instanceof Refused && error.status === 401)
			leave('The visit has ended: log in again.');
		else
			unanswered(error);
	} finally {
		asking = false;
	}
	if (state.session)
		timer = setTimeout(look, pause);
}

function answered(picture) {
	state.picture = picture;
	state.leaking = new Set(lasting(picture).map((leak) => leak.origin));
	silentSince = null;
	answeredAt = Date.now();
	$('silence').hidden = true;
	document.body.classList.remove('stale');
	draw();
	tellLink();
}

function unanswered(error) {
	silentSince ??= Date.now();
	const why = error instanceof Refused ? `pgweir says: ${error.message}` : error instanceof SyntaxError ? 'what it says is no JSON' : 'nothing came back';
	$('silence').hidden = false; // first, so that what follows is heard
	say($('silent'), `The server does not answer: ${plain(why)}.`);
	say($('since'), `So it has been for ${duration((Date.now() - silentSince) / 1000)}. ` +
		(state.picture ? `What is below is of ${clock(state.picture.time)}. ` : '') + 'It is asked again all the time.');
	document.body.classList.add('stale');
	say($('sentence'), state.picture ? $('sentence').textContent : 'Nothing is known yet.');
	tellLink();
}

function tellLink() {
	say($('link'), paused ? 'paused' : silentSince ? 'no answer' : answeredAt ? state.picture?.draining ? 'live, draining' : 'live' : 'asking');
	$('link').className = paused ? 'paused' : silentSince ? 'silent' : 'live';
}

// ---- drawing

const signs = { good: '✓', look: '!', bad: '✕' };

function draw() {
	const { picture } = state, first = headline(picture);
	$('headline').className = first.level;
	say($('sign'), signs[first.level]);
	say($('sentence'), first.sentence);
	say($('cure'), first.cure);
	// Who listens to the page hears of a change, not of each second of it.
	if ($('aloud').dataset.of !== first.sentence.replace(/[\d.]+/g, '')) {
		$('aloud').dataset.of = first.sentence.replace(/[\d.]+/g, '');
		say($('aloud'), `${first.sentence} ${first.cure}`);
	}
	document.title = `${signs[first.level]} ${first.sentence.split(/[;,]/)[0]} · pgweir`;

	const told = figures(picture), place = $('figures');
	if (place.children.length === 0)
		place.append(...told.map(() => element('div', {}, element('dt'), element('dd', {}, element('b'), element('span')))));
	told.forEach(([name, value, more], i) => {
		const [term, said] = place.children[i].children;
		say(term, name);
		say(said.firstChild, value);
		say(said.lastChild, more);
	});
	const sum = (of) => picture.pools.reduce((total, pool) => total + of(pool), 0);
	charts.update(state.history, state.history.process, { time: picture.time, waiting: sum((pool) => pool.cl_waiting),
		lent: sum((pool) => pool.sv_active), idle: sum((pool) => pool.sv_idle) }, 'All pools');
	for (const panel of state.panels) {
		const rows = panel.rows(picture), missing = picture.left_out[panel.id] ?? 0;
		panel.table.update(rows);
		say(panel.left, `${rows.length + missing || ''}${missing ? ` (${missing} not told)` : ''}`);
	}
	details.update();
	say($('about'), about(picture));
}

// ---- coming and going

function enter(session) {
	state.session = session;
	$('login').hidden = true;
	$('dashboard').hidden = false;
	say($('who'), plain(session.user) + (session.admin ? '' : ' (looks only)'));
	$('logout').hidden = !session.csrf;
	[silentSince, answeredAt, historyAt] = [null, 0, 0];
	tellLink();
	look();
}

function leave(words) {
	state.session = null;
	state.picture = null;
	clearTimeout(timer);
	details.close();
	for (const panel of state.panels)
		panel.table.update([]);
	for (const id of ['sentence', 'cure', 'aloud', 'about'])
		say($(id), '');
	$('figures').replaceChildren();
	document.title = 'pgweir';
	$('dashboard').hidden = true;
	$('login').hidden = false;
	say($('refusal'), words);
	($('user').value ? $('password') : $('user')).focus();
}

async function logIn(event) {
	event.preventDefault();
	const body = new URLSearchParams({ user: $('user').value, password: $('password').value });
	say($('refusal'), '');
	try {
		const session = await ask('/login', { method: 'POST', body });
		$('password').value = '';
		enter(session);
	} catch (error) {
		say($('refusal'), error instanceof Refused ? `Refused: ${plain(error.message)}.` : 'The server does not answer.');
		$('password').select();
	}
}

async function logOut() {
	const { csrf } = state.session;
	try {
		await ask('/logout', { method: 'POST', headers: { 'X-CSRF-Token': csrf } });
		leave('You are logged out.');
	} catch (error) {
		if (error instanceof Refused && error.status === 401)
			leave('The visit had ended.');
		else
			unanswered(error);
	}
}

// Until the server says who we are, we do not know whether a form is wanted.
async function begin() {
	try {
		enter(await ask('/api/session.json'));
	} catch (error) {
		if (error instanceof Refused && error.status === 401)
			return leave('');
		$('dashboard').hidden = false;
		unanswered(error);
		setTimeout(begin, 2 * EVERY);
	}
}

// ---- hands

function pause() {
	paused = !paused;
	$('pause').setAttribute('aria-pressed', paused);
	say($('pause'), paused ? 'Go on' : 'Pause');
	tellLink();
	look();
}

function pressed(event) {
	if (event.ctrlKey || event.altKey || event.metaKey || !state.session)
		return;
	if (event.target === $('filter') && event.key === 'Escape') {
		$('filter').value = '';
		$('filter').dispatchEvent(new Event('input'));
		state.panels[0].table.focus();
	}
	if (event.target.matches('input') || details.isOpen)
		return;
	const panel = state.panels[Number(event.key) - 1];
	if (panel)
		panel.table.focus();
	else if (event.key === 'p')
		pause();
	else if (event.key === '/')
		$('filter').focus();
	else
		return;
	event.preventDefault();
}

details = new Details($('details'), state);
state.panels = build($('panels'), state, (kind, key) => details.open(kind, key));
charts = new Charts($('charts'));
$('login').addEventListener('submit', logIn);
$('logout').addEventListener('click', logOut);
$('pause').addEventListener('click', pause);
$('filter').addEventListener('input', () => {
	for (const panel of state.panels) {
		panel.table.filter = $('filter').value;
		panel.table.draw();
	}
});
document.addEventListener('keydown', pressed);
document.addEventListener('visibilitychange', look);
begin();
