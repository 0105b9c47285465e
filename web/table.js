// A table that lives: its rows keep their place in the document, and whoever has chosen one keeps it, while figures change.
//
// A column: title, value (of a row, to sort by), show (text or an element; the value itself where it is left out), kind ('number',
// 'text', 'long'), narrow (true: shown on a phone as well), first ('up' or 'down': how its first sort goes). What is alike there is in the
// order of `ties`, if the table has one, else in that of the picture.

import { element, plain, say } from './words.js';

const MOST = 200; // rows in the document

export class Table {
	constructor(options) {
		Object.assign(this, options);
		this.sorted = { column: this.columns.findIndex((column) => column.title === options.sort) };
		this.sorted.down = this.columns[this.sorted.column].first === 'down';
		this.rows = [];
		this.places = new Map();
		this.filter = '';
		this.build();
	}

	build() {
		this.heads = this.columns.map((column, i) => {
			const button = element('button', { type: 'button', tabindex: '-1', title: column.hint ?? null }, column.title);
			button.addEventListener('click', () => this.sortBy(i));
			return element('th', { scope: 'col', class: this.looks(column) }, button);
		});
		this.body = element('tbody');
		this.more = element('p', { class: 'more' });
		this.table = element('table', { role: 'grid', 'aria-label': this.name },
			element('thead', {}, element('tr', {}, ...this.heads)), this.body);
		this.place = element('div', { class: 'scroll' }, this.table, this.more);
		this.body.addEventListener('keydown', (event) => this.pressed(event));
		this.body.addEventListener('click', (event) => {
			const row = event.target.closest('tr');
			if (row && !String(getSelection()))
				this.open(row.dataset.key);
		});
		this.body.addEventListener('focusin', (event) => this.choose(event.target.closest('tr')));
		this.showSorting();
	}

	looks(column) {
		return `${column.kind ?? 'text'}${column.narrow ? '' : ' wide'}`;
	}

	sortBy(i) {
		this.sorted = { column: i, down: i === this.sorted.column ? !this.sorted.down : this.columns[i].first === 'down' };
		this.showSorting();
		this.draw();
	}

	// By keys: the next column that is seen, or the same one the other way round.
	sortOn(reverse) {
		if (reverse)
			return this.sortBy(this.sorted.column);
		let i = this.sorted.column;
		do
			i = (i + 1) % this.columns.length;
		while (this.heads[i].offsetParent === null && i !== this.sorted.column);
		return i === this.sorted.column ? undefined : this.sortBy(i);
	}

	showSorting() {
		this.heads.forEach((head, i) => {
			if (i === this.sorted.column)
				head.setAttribute('aria-sort', this.sorted.down ? 'descending' : 'ascending');
			else
				head.removeAttribute('aria-sort');
		});
	}

	update(rows) {
		this.rows = rows;
		this.draw();
	}

	chosen() {
		const column = this.columns[this.sorted.column], sign = this.sorted.down ? -1 : 1;
		const value = (row) => column.value(row) ?? (column.kind === 'number' ? -Infinity : '');
		const wanted = this.filter.toLowerCase();
		return this.rows
			.filter((row) => !wanted || Object.values(row).some((each) => String(each).toLowerCase().includes(wanted)))
			.map((row, i) => ({ row, i, by: value(row) }))
			.sort((a, b) => (a.by < b.by ? -sign : a.by > b.by ? sign : this.ties?.(a.row, b.row) || a.i - b.i))
			.map((each) => each.row);
	}

	draw() {
		const all = this.chosen(), shown = all.slice(0, MOST), keys = new Set(shown.map((row) => String(this.keyOf(row))));
		const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
		for (const [key, place] of this.places) {
			if (keys.has(key))
				continue;
			place.remove();
			this.places.delete(key);
		}
		shown.forEach((row, i) => {
			const key = String(this.keyOf(row));
			let place = this.places.get(key);
			if (!place) {
				place = element('tr', { tabindex: '-1', 'data-key': key },
					...this.columns.map((column) => element('td', { class: this.looks(column) })));
				this.places.set(key, place);
			}
			this.write(place, row);
			if (this.body.children[i] !== place)
				this.body.insertBefore(place, this.body.children[i] ?? null);
		});
		// A row that is moved in the document loses the focus; one that is gone gives it to its neighbour.
		if (focused !== null && !this.body.contains(document.activeElement))
			(this.places.get(focused) ?? this.body.firstElementChild ?? this.place).focus({ preventScroll: true });
		if (!this.body.querySelector('[tabindex="0"]'))
			this.body.firstElementChild?.setAttribute('tabindex', '0');
		const left = all.length - shown.length;
		say(this.more, left > 0 ? `and ${left} more: filter them` : all.length > 0 ? '' : this.rows.length > 0 ? 'None of them has that in it.' : this.empty);
	}

	write(place, row) {
		const look = this.mark?.(row) ?? '';
		if (place.className !== look)
			place.className = look;
		this.columns.forEach((column, i) => {
			const cell = place.children[i], shown = column.show ? column.show(row) : plain(column.value(row));
			if (shown instanceof Node)
				cell.replaceChildren(shown);
			else
				say(cell, shown);
		});
	}

	choose(row) {
		if (!row)
			return;
		for (const other of this.body.querySelectorAll('[tabindex="0"]'))
			other.setAttribute('tabindex', '-1');
		row.setAttribute('tabindex', '0');
	}

	focus() {
		(this.body.querySelector('[tabindex="0"]') ?? this.place).focus();
	}

	pressed(event) {
		const row = event.target.closest('tr'), rows = [...this.body.children], at = rows.indexOf(row);
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
		if (event.altKey || event.ctrlKey || event.metaKey)
			return;
		if (event.key === 'Enter') {
			event.preventDefault();
			this.open(row.dataset.key);
		} else if (event.key === 's' || event.key === 'S') {
			this.sortOn(event.key === 'S');
		} else if (to !== undefined) {
			event.preventDefault();
			rows[Math.max(0, Math.min(rows.length - 1, to))].focus();
		}
	}
}
