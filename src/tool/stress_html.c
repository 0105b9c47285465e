#include <stdlib.h>

#include "base/text.h"
#include "tool/stress_names.h"
#include "tool/stress_report.h"

/* One page, to be mailed, archived by a CI job, opened years later without a network: everything is in it, and the policy in its head lets
 * the browser fetch nothing even if a text of a stranger's had slipped through the escaping. */

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\n"
	"<title>pgweir stress</title><style>\n"
	":root{--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5c6675;--rule:#dde2e9;--rest:#e9f0fa;--sockets:#a9b4c4;--sessions:#1d5fd1;"
	"--clients:#7b3fc4;--transaction:#c96a00;--waiting:#c2255c;--servers:#0b7d74;--bad:#b3261e;--bad-page:#fdecea;--good:#1a7f43;"
	"--good-page:#e8f6ed;--open:#6b5b00;--open-page:#fbf4d8}\n"
	"@media(prefers-color-scheme:dark){:root{--page:#11151b;--card:#1a2029;--ink:#e6eaf0;--soft:#98a3b3;--rule:#303846;--rest:#202b3b;"
	"--sockets:#566173;--sessions:#6ea3ff;--clients:#b78bf0;--transaction:#f0a04b;--waiting:#f0769b;--servers:#4cc2b6;--bad:#ff8a80;"
	"--bad-page:#3a1f1e;--good:#6fd897;--good-page:#183022;--open:#e3cf72;--open-page:#332d14}}\n"
	"*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
	"main{max-width:1080px;margin:0 auto;padding:24px 16px 64px}h1{font-size:20px;margin:0}h2{font-size:16px;margin:0 0 10px}\n"
	".soft,header p{color:var(--soft);margin:2px 0 16px;overflow-wrap:anywhere}\n"
	"section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 18px;margin:0 0 16px}\n"
	".verdict{border-left:6px solid}.verdict p{margin:6px 0 0}.verdict .say{font-size:18px;font-weight:600;margin:0}\n"
	".bad{background:var(--bad-page);border-color:var(--bad)}.bad .say{color:var(--bad)}\n"
	".good{background:var(--good-page);border-color:var(--good)}.good .say{color:var(--good)}\n"
	".open{background:var(--open-page);border-color:var(--open)}.open .say{color:var(--open)}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin:0 0 16px}\n"
	".tiles div{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:10px 14px}\n"
	".tiles b{display:block;font-size:22px;font-variant-numeric:tabular-nums;line-height:1.25}.tiles span{color:var(--soft);font-size:13px}\n"
	".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:16px}.two section{margin:0}\n"
	".two{margin:0 0 16px}figure{margin:0}figcaption{color:var(--soft);font-size:13px}.scroll{overflow-x:auto}\n"
	"table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--rule);"
	"text-align:right;white-space:nowrap}th{color:var(--soft);font-weight:500;font-size:13px}th:first-child,td:first-child{text-align:left}\n"
	"td.text{text-align:left;white-space:normal;overflow-wrap:anywhere}tr:last-child td{border-bottom:0}\n"
	"code{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}.holds{color:var(--good)}.fails{color:var(--bad)}.unknown{color:var(--open)}\n"
	"svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:12px;paint-order:stroke;stroke:var(--card);stroke-width:3px}svg .left{text-anchor:end}svg .mid,svg .below{text-anchor:"
	"middle}svg .value{fill:var(--ink);font-size:14px;font-weight:600}.grid{stroke:var(--rule)}.axis{stroke:var(--soft)}\n"
	".wave{stroke:var(--rule);stroke-dasharray:3 3}.limit{stroke:var(--bad);stroke-dasharray:6 4}.mark{stroke:var(--ink);stroke-dasharray:2 3}\n"
	"rect.rest{fill:var(--rest)}.line{fill:none;stroke-width:2;stroke-linejoin:round}.area{fill:var(--sockets);fill-opacity:.35;stroke:var(--sockets)}\n"
	".line.sessions{stroke:var(--sessions)}.line.transaction{stroke:var(--transaction)}.line.clients{stroke:var(--clients)}\n"
	".line.waiting{stroke:var(--waiting)}.line.servers{stroke:var(--servers)}.bar.before{fill:var(--sockets)}.bar.left-behind{fill:var(--bad)}\n"
	".bar.time{fill:var(--sessions)}.legend{margin:0 0 8px;font-size:13px;color:var(--soft)}.legend span{margin-right:16px;white-space:nowrap}\n"
	".legend i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:6px}i.sockets{background:var(--sockets)}\n"
	"i.sessions{background:var(--sessions)}i.transaction{background:var(--transaction)}i.clients{background:var(--clients)}\n"
	"i.waiting{background:var(--waiting)}i.servers{background:var(--servers)}i.rest{background:var(--rest);border:1px solid var(--rule)}\n"
	".name0{stroke:#1d5fd1}.name1{stroke:#c96a00}.name2{stroke:#1a7f43}.name3{stroke:#c2255c}.name4{stroke:#7b3fc4}.name5{stroke:#0b8f9a}"
	".name6{stroke:#a08000}.name7{stroke:#7a8494}i.name0{background:#1d5fd1}i.name1{background:#c96a00}i.name2{background:#1a7f43}"
	"i.name3{background:#c2255c}i.name4{background:#7b3fc4}i.name5{background:#0b8f9a}i.name6{background:#a08000}i.name7{background:#7a8494}\n"
	"@media(prefers-color-scheme:dark){.name0{stroke:#6ea3ff}.name1{stroke:#f0a04b}.name2{stroke:#6fd897}.name3{stroke:#f0769b}.name4{stroke:#b78bf0}"
	".name5{stroke:#4cc2b6}.name6{stroke:#d9c04a}.name7{stroke:#98a3b3}i.name0{background:#6ea3ff}i.name1{background:#f0a04b}"
	"i.name2{background:#6fd897}i.name3{background:#f0769b}i.name4{background:#b78bf0}i.name5{background:#4cc2b6}i.name6{background:#d9c04a}"
	"i.name7{background:#98a3b3}}\n"
	"@media(max-width:640px){svg.wide{width:720px}}\n"
	"i.before{background:var(--sockets)}i.left-behind{background:var(--bad)}\n"
	"</style></head><body><main>\n";

/* What stands around a text of others. */
static void around(struct buf *out, const char *before, const char *text, const char *after)
{
	report_raw(out, before);
	report_escape(out, text);
	report_raw(out, after);
}

static void add_verdict(const struct stress_result *r, struct buf *out)
{
	static const char *const looks[] = { "open", "good", "bad", "bad" };
	const struct stress_verdict *v = &r->verdict;
	char words[600];

	verdict_words(v, r->plan, words, sizeof words);
	report_add(out, "<section class=\"verdict %s\"><p class=\"say\">", looks[v->kind]);
	report_escape(out, words);
	report_raw(out, "</p>\n");
	if (v->kind != VERDICT_UNKNOWN)
		report_add(out, "<p>Confidence %u %% after %u wave%s.", v->confidence, v->waves, text_plural(v->waves));
	if (v->kind == VERDICT_GROWING)
		report_add(out, " Nine times in ten it is between %.1f and %.1f for each 100 sockets.", v->per_100_low,
			v->per_100_high);
	if (v->kind != VERDICT_UNKNOWN)
		report_raw(out, "</p>\n");
	if (v->why[0])
		around(out, "<p>Told by: ", v->why, ".</p>\n");
	if (v->pattern) {
		around(out, "<p>Cause: ", v->pattern->cause, "</p>\n");
		around(out, "<p><b>Cure:</b> ", v->pattern->cure, "</p>\n");
	}
	if (r->left.count > 0 && v->kind != VERDICT_NONE && r->left.statement[0])
		around(out, "<p>The oldest that was left behind ran last: <code>", r->left.statement, "</code></p>\n");
	if (r->stopped[0])
		around(out, "<p><b>Ended early:</b> ", r->stopped, "</p>\n");
	report_raw(out, "</section>\n");
}

static void add_knee(const struct stress_result *r, struct buf *out)
{
	const struct knee *k = &r->knee;
	char words[600], connect[40], reply[40];

	if (!r->plan->knee)
		return;
	knee_words(k, r->plan->knee, words, sizeof words);
	around(out, "<section class=\"verdict open\"><p class=\"say\">", words, "</p>\n");
	if (k->limit[0])
		around(out, "<p>In the way: ", k->limit, "</p>\n");
	if (r->stopped[0])
		around(out, "<p><b>Ended early:</b> ", r->stopped, "</p>\n");
	report_raw(out,
		"</section>\n<section><h2>Level by level</h2><div class=\"scroll\" tabindex=\"0\"><table><tr><th>sockets</th><th>open p99</th><th>answer p99</th>"
		"<th>errors</th><th>served as wanted</th></tr>\n");
	for (unsigned i = 0; i < k->count; i++) {
		const struct knee_level *l = &k->levels[i];

		report_add(out, "<tr><td>%u</td><td>%s</td><td>%s</td><td>%llu</td><td class=\"%s\">", l->sockets,
			text_duration(connect, sizeof connect, l->p99_connect),
			text_duration(reply, sizeof reply, l->p99_reply), (unsigned long long)l->errors,
			l->held ? "holds" : "fails");
		around(out, "", l->held ? "yes" : l->why, "</td></tr>\n");
	}
	report_raw(out, "</table></div></section>\n");
}

static void add_tile(struct buf *out, const struct stress_result *r, const char *figure, const char *label)
{
	const struct stress_metric *m = metrics_find(&r->metrics, figure, NULL);
	char value[40];

	if (m && m->known)
		report_add(out, "<div><b>%s</b><span>%s</span></div>\n", metric_text(value, sizeof value, m), label);
}

static void add_tiles(const struct stress_result *r, struct buf *out)
{
	report_raw(out, "<div class=\"tiles\">\n");
	add_tile(out, r, "leaked", "connections leaked");
	add_tile(out, r, "leaked_per_100", "for each 100 sockets");
	add_tile(out, r, "peak", "connections at the peak");
	add_tile(out, r, "opened", "sockets opened");
	add_tile(out, r, "errors", "errors");
	add_tile(out, r, "p99_connect", "p99 to open");
	add_tile(out, r, "p99_reply", "p99 to answer");
	report_raw(out, "</div>\n");
}

static void add_assertion(const struct stress_result *r, struct buf *out)
{
	static const char *const words[] = { "holds", "fails", "unknown" };

	if (!r->asserted)
		return;
	report_add(out, "<section><h2>Asserted: <span class=\"%s\">%s</span></h2>", words[r->answer],
		r->answer == ASSERTION_HOLDS           ? "it holds"
			: r->answer == ASSERTION_FAILS ? "it does not hold"
						       : "not known");
	around(out, "<p><code>", r->plan->assertion, "</code></p><table>");
	for (size_t i = 0; i < r->clause_count; i++) {
		around(out, "<tr><td><code>", r->clauses[i].text, "</code></td>");
		around(out, "<td class=\"text\">", r->clauses[i].seen, "</td>");
		report_add(out, "<td class=\"%s\">%s</td></tr>\n", words[r->clauses[i].answer],
			words[r->clauses[i].answer]);
	}
	report_raw(out, "</table></section>\n");
}

static void add_duration(struct buf *out, const struct histogram *h, unsigned permille)
{
	char text[40];

	if (h->count == 0)
		report_raw(out, "<td>-</td>");
	else
		report_add(out, "<td>%s</td>", text_duration(text, sizeof text, histogram_quantile(h, permille)));
}

static void add_phases(const struct stress_result *r, struct buf *out)
{
	struct stress_tally_phase all = tally_total(&r->tally);

	report_raw(out,
		"<section><h2>By phase</h2><div class=\"scroll\" tabindex=\"0\"><table><tr><th>phase</th><th>opened</th><th>failed</th><th>dropped</th>"
		"<th>abused</th><th>asked</th><th>answers</th><th>wrong</th><th>open p50</th><th>p99</th><th>answer p50</th><th>p99</th></tr>\n");
	for (size_t i = PHASE_WARM_UP; i <= PHASES; i++) {
		const struct stress_tally_phase *p = i == PHASES ? &all : &r->tally.phases[i];

		if (i < PHASES && p->opened + p->failed + p->asked + p->answered + p->dropped == 0)
			continue;
		report_add(out,
			"<tr><td>%s</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td>",
			i == PHASES ? "<b>all</b>" : stress_phase_names[i], (unsigned long long)p->opened,
			(unsigned long long)p->failed, (unsigned long long)p->dropped, (unsigned long long)p->abused,
			(unsigned long long)p->asked, (unsigned long long)p->answered, (unsigned long long)p->wrong);
		add_duration(out, &p->connect, 500);
		add_duration(out, &p->connect, 990);
		add_duration(out, &p->reply, 500);
		add_duration(out, &p->reply, 990);
		report_raw(out, "</tr>\n");
	}
	report_raw(out, "</table></div></section>\n");
}

static void add_troubles(const struct stress_result *r, struct buf *out)
{
	const struct stress_tally *t = &r->tally;

	if (t->trouble_count == 0)
		return;
	report_raw(out, "<section><h2>Errors</h2><table><tr><th>what was said</th><th>times</th></tr>\n");
	for (size_t i = 0; i < t->trouble_count; i++) {
		around(out, "<tr><td class=\"text\">", t->troubles[i].text, "</td>");
		report_add(out, "<td>%llu</td></tr>\n", (unsigned long long)t->troubles[i].count);
	}
	if (t->other_troubles > 0)
		report_add(out, "<tr><td class=\"text\">others</td><td>%llu</td></tr>\n",
			(unsigned long long)t->other_troubles);
	report_raw(out, "</table></section>\n");
}

static void add_plan(const struct stress_result *r, struct buf *out)
{
	const struct stress_plan *p = r->plan;
	const struct {
		const char *name;
		time_us time;
	} times[] = { { "baseline", p->baseline },
		{ "ramp", p->ramp_rate ? p->sockets * SECOND_US / p->ramp_rate : p->ramp }, { "hold", p->hold },
		{ "burst", p->burst_for }, { "drain", p->drain }, { "settle", p->settle }, { "think", p->think } };
	char text[40];

	report_raw(out, "<section><h2>How it was done</h2>\n");
	if (p->knee)
		report_add(out, "<p>%u levels of at most %u sockets; %u in the warm-up.", r->knee.count, p->sockets,
			p->warm_up);
	else
		report_add(out, "<p>%u wave%s of %u sockets, and %u more in a burst%s; %u in the warm-up.", p->waves,
			text_plural(p->waves), p->sockets, p->burst,
			p->storm ? ", in which all are cut off and come back at once" : "", p->warm_up);
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		report_add(out, "%s %s %s", i ? "," : " Times:", times[i].name,
			text_duration(text, sizeof text, times[i].time));
	report_raw(out, ".");
	if (p->ramp_rate > 0)
		report_add(out, " The ramp was of %u sockets a second.", p->ramp_rate);
	if (p->ramp_steps > 0)
		report_add(out, " The ramp had %u step%s.", p->ramp_steps, text_plural(p->ramp_steps));
	for (unsigned i = 1; i < ABUSE_KINDS; i++) {
		if (p->abuse[i] > 0)
			report_add(out, " Abuse: %s %u %%.", stress_abuse_names[i], p->abuse[i]);
	}
	report_add(out, " Seed %llu.</p>\n", (unsigned long long)p->seed);
	if (p->message)
		around(out, "<p>Each socket asks: <code>", p->message, "</code></p>\n");
	for (size_t i = 0; i < sizeof r->notes / sizeof r->notes[0] && r->notes[i][0]; i++)
		around(out, "<p>Note: ", r->notes[i], "</p>\n");
	report_raw(out,
		"<p class=\"soft\">A connection counts as leaked when it is still held at rest, after everybody has gone home, beyond what was held "
		"before the first wave. Waits count from when a socket was due, not from when the load came round to it.</p></section>\n");
}

void report_html(const struct stress_result *r, FILE *to)
{
	struct stress_tally_phase all = tally_total(&r->tally);
	struct buf out = { 0 };
	char lasted[40], target[600];

	report_raw(&out, head);
	around(&out, "<header><h1>pgweir stress</h1><p>", report_target(r->plan, target, sizeof target), " &middot; ");
	around(&out, "", r->began, "");
	report_add(&out, " &middot; %s</p></header>\n", text_duration(lasted, sizeof lasted, r->lasted));
	add_knee(r, &out);
	if (!r->plan->knee)
		add_verdict(r, &out);
	add_tiles(r, &out);
	add_assertion(r, &out);
	if (r->timeline.count > 1) {
		report_raw(&out, "<section><h2>On one timeline</h2>\n");
		chart_timeline(r, &out);
		report_raw(&out, "</section>\n");
		names_html(r, &out);
	}
	report_raw(&out, "<div class=\"two\">\n");
	if (r->verdict.kind != VERDICT_UNKNOWN) {
		report_raw(&out,
			"<section><h2>Held at rest</h2><p class=\"legend\"><span><i class=\"before\"></i>as before, or allowed</span>"
			"<span><i class=\"left-behind\"></i>left behind</span></p>\n");
		chart_waves(r, &out);
		report_raw(&out, "</section>\n");
	}
	if (all.connect.count + all.reply.count > 0) {
		report_raw(&out, "<section><h2>How long it took</h2>\n");
		chart_times("to open a socket", &all.connect, &out);
		chart_times("to be answered", &all.reply, &out);
		report_raw(&out, "</section>\n");
	}
	report_raw(&out, "</div>\n");
	add_phases(r, &out);
	add_troubles(r, &out);
	add_plan(r, &out);
	report_raw(&out, "</main></body></html>\n");
	fwrite(out.at + out.start, 1, out.length, to);
	buf_fini(&out);
}
