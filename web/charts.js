// The last hour as small charts that share their time: what waits, what is lent and idle, what is asked, and how long clients wait.
// A line's kind (filled, thin, dashed) says what it is as well as its colour does. Nothing is drawn where nothing is known.

import { clock, count, drawing, duration, element, say } from './words.js';

const SPANS = [10, 30, 60], WIDTH = 360, HEIGHT = 60; // minutes: the shortest that holds all that is known

const charts = [
	{ title: 'Waiting', unit: count, lines: [{ of: 'waiting', name: 'clients', look: 'waits' }] },
	{ title: 'Servers', unit: count, lines: [{ of: 'lent', name: 'lent', look: 'lent' }, { of: 'idle', name: 'idle', look: 'idle' }] },
	{ title: 'Queries a second', unit: count, lines: [{ of: 'queries_per_second', name: '', look: 'asked' }] },
	{ title: 'Wait of 99 in 100', unit: duration, lines: [{ of: 'wait_p99', name: 'at most', look: 'asked' }] },
];

// The lowest of 1, 2, 5, 10, 20, ... that nothing exceeds: a scale that does not jump about.
function ceiling(most) {
	const power = 10 ** Math.floor(Math.log10(most));
	return [1, 2, 5, 10].map((step) => step * power).find((each) => each >= most * 0.999);
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
		const top = element('span', { class: 'top' }), now = element('span', { class: 'now' });
		const legend = chart.lines.length > 1 ? element('span', { class: 'legend' }, ...chart.lines.flatMap((line) => [
			drawing('svg', { viewBox: '0 0 18 8', class: 'key', 'aria-hidden': 'true' }, drawing('path', { d: 'M0,4H18', class: `line ${line.look}` })),
			line.name])) : '';
		const svg = drawing('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
			...[1, 2, 3, 4].map((fifth) => drawing('path', { class: 'grid', d: `M${WIDTH * fifth / 5},0V${HEIGHT}`, 'vector-effect': 'non-scaling-stroke' })),
			...paths.flatMap((each) => [each.area, each.line]), cursor);
		const place = element('figure', {}, element('figcaption', {}, element('b', {}, chart.title), legend, now),
			element('div', { class: 'plot' }, svg, top));
		return { chart, paths, cursor, top, now, svg, place };
	}

	// `live` is what is so at this moment: the end of every line that has one.
	update(history, series, live, name) {
		this.times = [...history.times, live.time];
		this.name = name;
		this.end = live.time;
		this.span = 60 * (SPANS.find((minutes) => this.end - this.times[0] <= 60 * minutes) ?? SPANS.at(-1));
		this.values = {};
		for (const chart of charts)
			for (const { of } of chart.lines)
				this.values[of] = [...(series?.[of] ?? history.times.map(() => null)), live[of] ?? null];
		this.draw();
	}

	draw() {
		const x = (time) => WIDTH * (1 - (this.end - time) / this.span);
		const from = Math.max(0, this.times.findIndex((time) => time >= this.end - this.span)), times = this.times.slice(from);
		for (const { chart, paths, cursor, top, now, svg } of this.figures) {
			const all = chart.lines.map((line) => this.values[line.of].slice(from));
			const most = Math.max(0, ...all.flat().filter((value) => value !== null));
			const scale = ceiling(most || 1), y = (value) => HEIGHT - 1 - (HEIGHT - 4) * value / scale;
			all.forEach((values, i) => {
				paths[i].line.setAttribute('d', path(times, values, x, y, false));
				paths[i].area.setAttribute('d', path(times, values, x, y, true));
			});
			const at = this.cursor === null ? null : this.nearest(times);
			const told = chart.lines.map((line, i) => {
				const known = at === null ? all[i].findLast((value) => value !== null) : all[i][at];
				return `${chart.lines.length > 1 ? `${line.name} ` : ''}${known === null || known === undefined ? '–' : chart.unit(known)}`;
			}).join(', ');
			cursor.setAttribute('d', at === null ? '' : `M${x(times[at]).toFixed(1)},0V${HEIGHT}`);
			say(now, told);
			say(top, chart.unit(scale));
			svg.setAttribute('aria-label', `${chart.title}: ${told}, at most ${chart.unit(most)} in the last ${this.span / 60} minutes`);
			svg.dataset.most = most;
		}
		say(this.caption, `${this.name} · ${this.cursor === null ? `the last ${this.span / 60} minutes, until ${clock(this.end)}, a line for every ${this.span / 300} of them` :
			`at ${clock(times[this.nearest(times)])}`}`);
	}

	nearest(times) {
		let best = 0;
		times.forEach((time, i) => {
			if (Math.abs(time - this.cursor) < Math.abs(times[best] - this.cursor))
				best = i;
		});
		return best;
	}

	move(cursor) {
		this.cursor = cursor;
		if (this.times)
			this.draw();
	}

	point(event) {
		const plot = event.target.closest('.plot')?.getBoundingClientRect();
		if (plot && this.times)
			this.move(this.end - this.span * (1 - (event.clientX - plot.left) / plot.width));
	}

	pressed(event) {
		if (!this.times || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight'))
			return;
		event.preventDefault();
		const at = this.cursor === null ? this.times.length - 1 : this.nearest(this.times) + (event.key === 'ArrowLeft' ? -1 : 1);
		this.move(this.times[Math.max(0, Math.min(this.times.length - 1, at))]);
	}
}
