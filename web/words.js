// Numbers, durations and strangers' texts as they are shown; and the one way in which this page makes elements.

const SVG = 'http://www.w3.org/2000/svg';

// Control characters, and those that turn the direction of what stands beside them, are written out. The server has done so for most
// names already; those of pools and databases come as they are.
export function plain(text) {
	return String(text ?? '').replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

export function count(number) {
	return number === null || number === undefined ? '–' : Number(number).toLocaleString('en', { maximumFractionDigits: 1 });
}

export function many(number, one, several = `${one}s`) {
	return `${count(number)} ${number === 1 ? one : several}`;
}

// Two units at most: what is read at a glance. No line breaks between a number and its unit.
export function duration(seconds) {
	return inWords(seconds).replaceAll(' ', '\u00a0');
}

function inWords(seconds) {
	if (seconds === null || seconds === undefined || Number.isNaN(Number(seconds)))
		return '–';
	if (seconds <= 0)
		return '0 s';
	if (seconds < 0.001)
		return `${Math.ceil(seconds * 1e6)} µs`;
	if (seconds < 0.1)
		return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
	if (seconds < 10)
		return `${seconds.toFixed(1)} s`;
	const whole = Math.round(seconds);
	if (whole < 120)
		return `${whole} s`;
	if (whole < 7200)
		return `${Math.floor(whole / 60)} min${whole < 600 && whole % 60 ? ` ${whole % 60} s` : ''}`;
	if (whole < 172800)
		return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
	return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function clock(seconds, withSeconds = true) {
	return new Date(seconds * 1000).toLocaleTimeString('en-GB',
		{ hour: '2-digit', minute: '2-digit', ...(withSeconds && { second: '2-digit' }) });
}

// Who an origin is, as short as it can be told: what it calls itself, and where it comes from.
export function originName(row) {
	return plain(`${row.application_name || row.user}@${row.address ?? row.addr}`);
}

// Attributes that are null or false are left out; children that are strings become text, never markup.
function fill(made, attributes, children) {
	for (const [name, value] of Object.entries(attributes))
		if (value !== null && value !== undefined && value !== false)
			made.setAttribute(name, value === true ? '' : value);
	made.append(...children);
	return made;
}

export function element(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
	return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Only what differs is written: a text that is written again loses what a person has marked in it.
export function say(place, text) {
	if (place.textContent !== text)
		place.textContent = text;
}
