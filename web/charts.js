// The last hour as small charts that share their time: what waits, what is lent and idle, what is asked, and how long clients wait.
// A line's kind (filled, thin, dashed) says what it is as well as its colour does. Nothing is drawn where nothing is known.

import { clock, count, drawing, duration, element, say } from './words.js';

const SPANS = [10, 30, 60], WIDTH = 360, HEIGHT = 60; // minutes: the shortest that holds all that is known
const SEEN = 600, GAP = 15; // moments that the page has seen itself, and seconds after which it was away

const charts = [
	{ title: 'Waiting', unit: count, lines: [{ of: 'waiting', name: 'clients', look: 'waits' }] },
	{ title: 'Servers', unit: count, lines: [{ of: 'lent', name: 'lent', look: 'lent' }, { of: 'idle', name: 'idle', look: 'idle' }] },
	{ title: 'Queries a second', unit: count, lines: [{ of: 'queries_per_second', name: '', look: 'asked' }] },
	{ title: 'Waited, 99 of 100', unit: duration, lines: [{ of: 'wait_p99', name: 'at most', look: 'asked' }] },
];

// The lowest of 1, 2, 5, 10, 20, ... that nothing exceeds: a scale that does not jump about.
function ceiling(most) {
	const power = 10 ** Math.floor(Math.log10(most));
	// A line at the very edge would be taken for the frame.
	return [1, 2, 5, 10, 20].map((step) => step * power).find((each) => each >= most * 1.05);
}

// Runs of what is known, as one path; a run of one sample is a short dash.
function path(times, values, x, y, down) {
	let text = '', open = null;
	const close = (i) => {
		if (open === null)
			return;
		const end = i - 1 > open ? '' : 'h1.5';
		text += end + (down ? `V${HEIGHT}H${x(times[open]).toFixed(1)}Z` : '');
		open = null;
	};
	times.forEach((time, i) => {
		if (values[i] === null || values[i] === undefined)
			return close(i);
		text += `${open === null ? 'M' : 'L'}${x(time).toFixed(1)},${y(values[i]).toFixed(1)}`;
		open ??= i;
	});
	close(times.length);
	return text;
}

function nearest(times, moment) {
	let best = 0;
	times.forEach((time, i) => {
		if (Math.abs(time - moment) < Math.abs(times[best] - moment))
			best = i;
	});
	return best;
}

export class Charts {
	constructor(place) {
		this.place = place;
		this.cursor = null; // seconds since 1970
		this.figures = charts.map((chart) => this.figure(chart));
		this.caption = element('p', { class: 'caption' });
		place.replaceChildren(...this.figures.map((figure) => figure.place), this.caption);
		place.addEventListener('pointermove', (event) => this.point(event));
		place.addEventListener('pointerleave', () => this.move(null));
		place.addEventListener('blur', () => this.move(null));
		place.addEventListener('keydown', (event) => this.pressed(event));
	}

	figure(chart) {
		const paths = chart.lines.map((line) => ({ area: drawing('path', { class: `area ${line.look}` }),
			line: drawing('path', { class: `line ${line.look}`, 'vector-effect': 'non-scaling-stroke' }) }));
		const cursor = drawing('path', { class: 'cursor', 'vector-effect': 'non-scaling-stroke' });
		const top = element('span', { class: 'top' }), now = chart.lines.map(() => element('b'));
		const legend = element('span', { class: 'now' }, ...(chart.lines.length === 1 ? now : chart.lines.flatMap((line, i) => [
			drawing('svg', { viewBox: '0 0 18 8', class: 'key', 'aria-hidden': 'true' }, drawing('path', { d: 'M0,4H18', class: `line ${line.look}` })),
			`${line.name} `, now[i]])));
		const svg = drawing('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
			...[1, 2, 3, 4].map((fifth) => drawing('path', { class: 'grid', d: `M${WIDTH * fifth / 5},0V${HEIGHT}`, 'vector-effect': 'non-scaling-stroke' })),
			...paths.flatMap((each) => [each.area, each.line]), cursor);
		const place = element('figure', {}, element('figcaption', {}, element('span', {}, chart.title), legend),
			element('div', { class: 'plot' }, svg, top));
		return { chart, paths, cursor, top, now, svg, place };
	}

	// `live` is what is so at this moment. What was seen while the page was looked at is finer than the server's samples, and takes their place.
	update(history, series, live, name) {
		if (name !== this.name || live.time - this.seen.at(-1)?.time > GAP)
			this.seen = [];
		if (this.seen.at(-1)?.time !== live.time)
			this.seen.push(live);
		this.seen = this.seen.slice(-SEEN);
		this.name = name;
		this.end = live.time;
		const sampled = history.times.map((time, i) => ({ time, i })).filter(({ time }) => time < this.seen[0].time);
		this.known = {};
		for (const { of } of charts.flatMap((chart) => chart.lines)) {
			const at = (i) => series?.[of]?.[i] ?? null;
			const points = !(of in live) ? history.times.map((time, i) => ({ time, value: at(i) })) :
				[...sampled.map(({ time, i }) => ({ time, value: at(i) })), ...this.seen.map((each) => ({ time: each.time, value: each[of] }))];
			this.known[of] = { times: points.map((each) => each.time), values: points.map((each) => each.value) };
		}
		const began = Math.min(history.times[0] ?? this.end, this.seen[0].time);
		this.span = 60 * (SPANS.find((minutes) => this.end - began <= 60 * minutes) ?? SPANS.at(-1));
		this.draw();
	}

	draw() {
		const from = this.end - this.span, x = (time) => WIDTH * (time - from) / this.span;
		for (const { chart, paths, cursor, top, now, svg } of this.figures) {
			const lines = chart.lines.map(({ of }) => {
				const { times, values } = this.known[of], first = times.findIndex((time) => time >= from);
				return first < 0 ? { times: [], values: [] } : { times: times.slice(first), values: values.slice(first) };
			});
			const most = Math.max(0, ...lines.flatMap((line) => line.values).filter((value) => value !== null));
			const scale = ceiling(most || 1), y = (value) => HEIGHT - 1 - (HEIGHT - 4) * value / scale;
			lines.forEach(({ times, values }, i) => {
				paths[i].line.setAttribute('d', path(times, values, x, y, false));
				paths[i].area.setAttribute('d', path(times, values, x, y, true));
			});
			const told = lines.map(({ times, values }, i) => {
				const known = this.cursor === null ? values.findLast((value) => value !== null) : values[nearest(times, this.cursor)];
				return known === null || known === undefined ? '–' : chart.unit(known);
			});
			cursor.setAttribute('d', this.cursor === null ? '' : `M${x(this.cursor).toFixed(1)},0V${HEIGHT}`);
			told.forEach((each, i) => say(now[i], each));
			say(top, chart.unit(scale));
			svg.setAttribute('aria-label', `${chart.title}: ${told.map((each, i) => `${chart.lines[i].name} ${each}`).join(', ')}; at most ${chart.unit(most)} in the last ${this.span / 60} minutes`);
			svg.dataset.most = most;
		}
		say(this.caption, `${this.name} · ${this.cursor === null ? `the last ${this.span / 60} min, until ${clock(this.end)}; ` +
			`a dotted line every ${this.span / 300}\u00a0min` : `at ${clock(this.cursor)}`}`);
	}

	move(cursor) {
		this.cursor = cursor;
		if (this.known)
			this.draw();
	}

	point(event) {
		const plot = event.target.closest('.plot')?.getBoundingClientRect();
		if (plot && this.known)
			this.move(this.end - this.span * (1 - (event.clientX - plot.left) / plot.width));
	}

	pressed(event) {
		if (!this.known || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight'))
			return;
		event.preventDefault();
		const { times } = this.known.waiting, step = event.key === 'ArrowLeft' ? -1 : 1;
		const at = this.cursor === null ? times.length - 1 : nearest(times, this.cursor) + step;
		this.move(times[Math.max(0, Math.min(times.length - 1, at))]);
	}
}
