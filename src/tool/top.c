#include <curses.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/terminal.h"
#include "tool/manual.h"
#include "tool/table.h"
#include "tool/top_reap.h"
#include "tool/top_source.h"

/* `pgweir top`: who holds the connections, now and in the last minutes.
 *
 *     source --look--> view --lay--> page (lines of text) --> screen (here), or standard output
 *
 *     top_source    the console of pgweir or PgBouncer, or PostgreSQL itself
 *     top_model.h   what is known at one moment
 *     top_page      its layout, which knows no terminal; top_lease: the page of one lease; top_inside: what an origin consists of
 *     top_json      for scripts
 *     top_reap      what `r` does on PostgreSQL itself
 *
 * Nothing is changed at the server, but by `r` and its confirmation. */

enum status { STATUS_FINE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

struct options {
	bool once, json, ascii;
	time_us interval, in_transaction, active; /* the last two: how long is too long for `r` on PostgreSQL itself */
	const char *url;
};

static int print_once(const struct options *o, struct top_source *source)
{
	static struct top_past past;
	struct top_view view = { 0 };
	struct top_screen screen = { .width = 110, .ascii = o->ascii, .from = source->from };
	struct top_page page;
	char problem[400];

	source->inside = o->json;
	if (!top_source_look(source, &view, problem, sizeof problem)) {
		show_lines(stderr,
			"pgweir top: ", source->trouble.trouble == CONNECT_FINE ? problem : source->trouble.text);
		return STATUS_FAILED;
	}
	if (o->json) {
		top_print_json(&view, stdout);
	} else {
		top_past_add(&past, &view);
		for (screen.list = TOP_ORIGINS; screen.list <= TOP_LEASES; screen.list++) {
			top_lay(&page, &view, &past, &screen);
			/* The second time only the list. */
			for (size_t i = 0, on = screen.list == TOP_ORIGINS; i < page.count; i++) {
				on |= i > 0 && page.lines[i].style == STYLE_TITLE;
				if (on)
					puts(page.lines[i].text);
			}
			top_page_fini(&page);
		}
	}
	top_view_fini(&view);
	return STATUS_FINE;
}

/* ------------------------------------------------------------------------------- the screen */

struct top {
	struct top_source *source;
	struct top_reap reap;
	struct top_view view;
	struct top_past past;
	struct top_screen screen;
	struct top_page page;
	char message[600];
	bool colours, paused, filtering, seen;
	int64_t doomed; /* the client, or PostgreSQL's process, that `y` would end; or 0 */
	time_us next, interval;
};

static void draw(struct top *top)
{
	static const attr_t bold[] = { A_NORMAL, A_BOLD, A_BOLD, A_REVERSE, A_DIM, A_BOLD };
	static const short pairs[] = { 0, 4, 1, 0, 0, 3 };
	static const char keys[] = "q end  Tab list  Enter in  Esc back  s sort  w wait  / filter  r reap  p pause",
			  few[] = "q end Tab s w / r p";

	getmaxyx(stdscr, top->screen.height, top->screen.width);
	top->screen.message = top->message;
	top->screen.from = top->source->from;
	top->screen.keys = top->doomed                 ? "y end it   any other key: no"
		: top->filtering                       ? "type what to look for; Enter keeps it, Esc shows all"
		: top->paused                          ? "paused: p goes on   q end"
		: top->screen.in_lease                 ? "Esc back  r reap  p pause  q end"
		: top->screen.width < (int)sizeof keys ? few
						       : keys;
	top_page_fini(&top->page);
	top_lay(&top->page, &top->view, &top->past, &top->screen);
	erase();
	for (size_t i = 0; i < top->page.count && (int)i < top->screen.height; i++) {
		enum top_style style = top->page.lines[i].style;

		attrset(bold[style] | (top->colours ? (attr_t)COLOR_PAIR(pairs[style]) : 0));
		mvaddstr((int)i, 0, top->page.lines[i].text);
	}
	attrset(A_NORMAL);
	refresh();
}

static void look(struct top *top)
{
	char problem[400];

	top->source->inside = top->screen.drilled;
	if (top_source_look(top->source, &top->view, problem, sizeof problem)) {
		if (!top->seen)
			top->message[0] = 0;
		top->seen = true;
		top_past_add(&top->past, &top->view);
	} else {
		text_format(top->message, sizeof top->message, "%s: %s; trying again",
			top->seen ? "the server went away" : "no connection", problem);
		top->seen = false;
	}
	top->next = clock_now() + top->interval;
}

/* Show what would be done, and ask where there is something to ask. */
static void begin_reap(struct top *top)
{
	bool direct = top->view.kind == TOP_POSTGRESQL, goes = false;
	int64_t chosen = direct ? top->page.chosen_process : top->page.chosen_client;

	if (!top->source->connection)
		text_copy(top->message, sizeof top->message, "there is no connection to do it by");
	else if (top->view.kind == TOP_PGBOUNCER)
		text_copy(top->message, sizeof top->message,
			"PgBouncer has no REAP: look at its PostgreSQL with pgweir top URL, or pgweir reap URL");
	else if (chosen == 0 || !(top->screen.in_lease || top->screen.list == TOP_LEASES))
		text_copy(top->message, sizeof top->message, "choose a lease first: Tab");
	else if (direct)
		goes = top_reap_plan(&top->reap, top->source->connection, chosen, top->message, sizeof top->message);
	else
		goes = top_source_reap(top->source, chosen, false, top->message, sizeof top->message);
	top->doomed = goes ? chosen : 0;
}

static void finish_reap(struct top *top)
{
	if (top->view.kind == TOP_POSTGRESQL) {
		/* Its audit goes to standard error: where that is this terminal, it must be the shell's again meanwhile. */
		if (terminal_columns(stderr) > 0)
			endwin();
		top_reap_act(&top->reap, top->source->connection, top->message, sizeof top->message);
	} else {
		top_source_reap(top->source, top->doomed, true, top->message, sizeof top->message);
	}
}

static void take_filter_key(struct top *top, int key)
{
	size_t length = strlen(top->screen.filter);

	if (key == 27)
		top->screen.filter[0] = 0;
	if (key == 27 || key == '\n' || key == KEY_ENTER)
		top->filtering = false;
	else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && length > 0)
		top->screen.filter[length - 1] = 0;
	else if (key >= ' ' && key < 127 && length + 1 < sizeof top->screen.filter)
		text_format(top->screen.filter + length, 2, "%c", key);
}

/* False: end. */
static bool take_key(struct top *top, int key)
{
	struct top_screen *screen = &top->screen;

	if (top->doomed) {
		if (key == 'y')
			finish_reap(top);
		else
			text_copy(top->message, sizeof top->message, "nobody was ended");
		top->doomed = 0;
		top->next = 0;
		return true;
	}
	if (top->filtering) {
		take_filter_key(top, key);
		return true;
	}
	if (top->seen)
		top->message[0] = 0;
	/* Inside of a lease there is no list to walk through. */
	if (screen->in_lease && key != 'q' && key != 'r' && key != 'p') {
		screen->in_lease = key != 27 && key != KEY_LEFT && key != KEY_BACKSPACE;
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case KEY_UP:
	case 'k':
		screen->chosen -= screen->chosen > 0;
		break;
	case KEY_DOWN:
	case 'j':
		screen->chosen++;
		break;
	case '\t':
		screen->list = screen->list == TOP_ORIGINS ? TOP_LEASES : TOP_ORIGINS;
		screen->drilled = false;
		screen->chosen = 0;
		break;
	case '\n':
	case KEY_ENTER:
		if (screen->list == TOP_ORIGINS && top->page.rows > 0) {
			screen->of = top->page.chosen_origin;
			screen->drilled = true;
			screen->list = TOP_LEASES;
			screen->chosen = 0;
			top->next = 0;
		} else if (screen->list == TOP_LEASES && top->page.rows > 0) {
			screen->lease.client = top->page.chosen_client;
			screen->lease.process = top->page.chosen_process;
			screen->in_lease = true;
		}
		break;
	case 27:
		screen->list = screen->drilled ? TOP_ORIGINS : screen->list;
		screen->drilled = false;
		break;
	case 's':
		screen->sort = (screen->sort + 1) % TOP_SORTS;
		break;
	case 'w':
		screen->list = TOP_LEASES;
		screen->sort = SORT_WAITING;
		screen->chosen = 0;
		break;
	case '/':
		top->filtering = true;
		break;
	case 'r':
		begin_reap(top);
		break;
	case 'p':
		top->paused = !top->paused;
		break;
	}
	return true;
}

static int run_screen(const struct options *o, struct top_source *source)
{
	static struct top top;
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	SCREEN *terminal;
	bool going = true;

	if (terminal_columns(stdout) == 0)
		return usage_error("top", "this is written to no terminal; use --once or --json", "");
	terminal = newterm(term, stdout, stdin);
	if (!terminal || !tigetstr("cup")) { /* without it the cursor can not be put anywhere */
		if (terminal)
			endwin();
		return usage_error("top", "this is no terminal that can be drawn on; use --once or --json. TERM is ",
			term ? term : "not set");
	}
	top = (struct top){ .source = source, .interval = o->interval, .screen = { .ascii = o->ascii } };
	top_reap_init(&top.reap);
	top.reap.options.in_transaction = o->in_transaction;
	top.reap.options.active = o->active;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	if (!(no_color && *no_color) && has_colors()) {
		start_color();
		use_default_colors();
		for (short i = 1; i <= 4; i++)
			init_pair(i, (const short[]){ 0, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_CYAN }[i], -1);
		top.colours = true;
	}
	while (going) {
		time_us rest = top.next - clock_now();
		int key;

		if (rest <= 0 && !top.paused && !top.doomed) {
			look(&top);
			rest = top.interval;
		}
		draw(&top);
		timeout((int)((rest > 0 ? rest : top.interval) / MILLISECOND_US) + 1);
		key = getch();
		if (key != ERR && key != KEY_RESIZE)
			going = take_key(&top, key);
	}
	endwin();
	delscreen(terminal);
	top_page_fini(&top.page);
	top_view_fini(&top.view);
	top_reap_fini(&top.reap);
	return STATUS_FINE;
}

/* False: it is none between these two, and the complaint is made. */
static bool read_duration(const char *wants, time_us least, time_us most, time_us *out)
{
	if (text_to_duration(span_text(optarg), out) && *out >= least && *out <= most)
		return true;
	usage_error("top", wants, optarg);
	return false;
}

int main(int argc, char **argv)
{
	static const struct option table[] = { { "once", no_argument, NULL, 'o' }, { "json", no_argument, NULL, 'j' },
		{ "ascii", no_argument, NULL, 'a' }, { "interval", required_argument, NULL, 'i' },
		{ "idle-in-transaction", required_argument, NULL, 't' }, { "active", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	static char name[] = "pgweir top"; /* what getopt begins its complaints with */
	static const time_us longest = (time_us)366 * 86400 * SECOND_US;
	struct options o = { .interval = 2 * SECOND_US, .in_transaction = REAP_IN_TRANSACTION };
	struct top_source source = { 0 };
	struct connect_error bad;
	int option, status;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	o.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		switch (option) {
		case 'o':
			o.once = true;
			break;
		case 'j':
			o.json = o.once = true;
			break;
		case 'a':
			o.ascii = true;
			break;
		case 'i':
			if (!read_duration(
				    "--interval wants 200ms to 1h, not ", SECOND_US / 5, 3600 * SECOND_US, &o.interval))
				return STATUS_USAGE;
			break;
		case 't':
			if (!read_duration("--idle-in-transaction wants 1s to 366d, not ", SECOND_US, longest,
				    &o.in_transaction))
				return STATUS_USAGE;
			break;
		case 'r':
			if (!read_duration("--active wants 1s to 366d, not ", SECOND_US, longest, &o.active))
				return STATUS_USAGE;
			break;
		case 'h':
			manual_help("top", stdout);
			return STATUS_FINE;
		default:
			manual_unknown_option("top", argv, optind);
			return STATUS_USAGE;
		}
	}
	if (argc - optind > 1)
		return usage_error("top", "one URL only, and not also ", argv[optind + 1]);
	source.url = optind < argc ? argv[optind] : "";
	if (!connect_reads(source.url, &bad)) { /* nothing that one might wait for */
		show_lines(stderr, "pgweir top: ", bad.text);
		return STATUS_USAGE;
	}
	status = o.once ? print_once(&o, &source) : run_screen(&o, &source);
	top_source_close(&source);
	return status;
}
