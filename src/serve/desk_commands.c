/* The console's commands: they become events that the core understands, or letters to the keeper; SHOWs become renderings of one snapshot. It
 * has no private door. */
#include <stdlib.h>

#include "base/text.h"
#include "serve/desk.h"
#include "serve/guest.h"
#include "serve/log_forms.h"
#include "serve/reaper.h"
#include "serve/takeover.h"
#include "view/rows.h"

/* ---- SHOW ---- */

/* One row of one text. */
static void answer_one(struct guest *guest, const char *name, const char *value)
{
	struct column column = { name, COLUMN_TEXT };
	struct buf text = { 0 };
	struct writer w = writer_to(&text);
	size_t mark;

	message_row_description(&w, &column, 1);
	mark = message_row_begin(&w, 1);
	message_row_text(&w, value);
	message_row_end(&w, mark);
	message_command_complete(&w, guest->desk->command.tag);
	desk_finish(guest, &text);
}

static void done_with_notice(struct guest *guest, const char *message, const char *detail)
{
	struct complaint notice = {
		.severity = SEVERITY_NOTICE, .sqlstate = SQLSTATE_SUCCESS, .message = message, .detail = detail
	};
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	message_complaint(&w, &notice);
	message_command_complete(&w, guest->desk->command.tag);
	desk_finish(guest, &text);
}

static void show_descriptors(struct guest *guest)
{
	struct buf text = { 0 };
	struct writer w;

	if (!guest->admin) {
		desk_complain(guest, SQLSTATE_INSUFFICIENT_PRIVILEGE, "admin access needed",
			"SHOW FDS hands over sockets: not to users who are in stats_users only.");
		return;
	}
	if (!forerunner_show(guest, &text)) {
		buf_fini(&text);
		guest_end(guest, NULL, "sockets could not be handed over");
		return;
	}
	w = writer_to(&text);
	message_command_complete(&w, "SHOW");
	desk_finish(guest, &text);
}

void desk_census(struct guest *guest, struct snapshot *snapshot)
{
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	if (!guest->desk->busy)
		return;
	if (snapshot->refused_memory) {
		desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
		return;
	}
	if (guest->desk->without_ours)
		rows_show_bouncers(&w, snapshot, guest->desk->command.argument);
	else
		rows_show(&w, snapshot, guest->desk->command.argument);
	if (!writer_ok(&w)) {
		buf_fini(&text);
		desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
		return;
	}
	desk_finish(guest, &text);
}

static void show(struct guest *guest, const struct console_command *command)
{
	const char *nearest;
	char message[160], hint[160];
	unsigned parts;

	if (strcmp(command->argument, "help") == 0) {
		done_with_notice(guest, "Console usage", console_help());
		return;
	}
	if (strcmp(command->argument, "fds") == 0) {
		show_descriptors(guest);
		return;
	}
	if (!command->argument[0] || !rows_known(command->argument, &parts)) {
		nearest = text_nearest(command->argument, rows_names());
		if (guest_is_bouncers(guest))
			text_format(message, sizeof message, "invalid command '%s', use SHOW HELP;", command->text);
		else
			text_format(message, sizeof message, "invalid command '%s%s%s', use SHOW HELP;", command->word,
				*command->argument ? " " : "", command->argument);
		text_format(hint, sizeof hint, "Perhaps you meant SHOW %s.", nearest ? nearest : "HELP");
		desk_complain(guest, SQLSTATE_SYNTAX_ERROR, message, nearest ? hint : NULL);
		return;
	}
	census_begin(guest, parts);
}

/* ---- commands ---- */

static void tell_core(struct guest *guest, enum event_kind kind)
{
	struct house *house = guest->worker->house;
	struct console_command *command = &guest->desk->command;
	struct event event = {
		.kind = kind,
		.now = guest->worker->now,
		.client = guest_ref(guest),
		.worker = guest->worker->index,
		.database = NO_DATABASE,
	};
	struct database_rules rules = { 0 };
	char message[160];

	if (command->argument[0]) {
		if (config_is_console(command->argument)) {
			if (kind == EVENT_RESUME) {
				desk_begin_waiting(guest);
				desk_answer(guest, "it is never paused");
				return;
			}
			text_format(message, sizeof message, "cannot %s admin db: %s",
				kind == EVENT_PAUSE                ? "pause"
					: kind == EVENT_KILL       ? "kill"
					: kind == EVENT_DISABLE    ? "disable"
					: kind == EVENT_ENABLE     ? "enable"
					: kind == EVENT_RECONNECT  ? "reconnect"
					: kind == EVENT_WAIT_CLOSE ? "wait in"
								   : "do this to",
				command->argument);
			desk_complain(guest, SQLSTATE_NOT_IN_STATE, message, NULL);
			return;
		}
		/* A database that is configured but that nobody has used yet is known too. */
		lock_take(house->lock);
		event.database = core_database_find(house->core, span_text(command->argument));
		if (event.database == NO_DATABASE &&
			config_database(guest->worker->config, span_text(command->argument)))
			event.database = core_database(house->core, span_text(command->argument), &rules);
		lock_drop(house->lock);
		if (event.database == NO_DATABASE) {
			text_format(message, sizeof message, "no such database: %s", command->argument);
			desk_complain(guest, SQLSTATE_UNDEFINED_DATABASE, message, NULL);
			return;
		}
	} else if (kind == EVENT_DISABLE || kind == EVENT_ENABLE) {
		desk_complain(guest, SQLSTATE_SYNTAX_ERROR, "a database is required", NULL);
		return;
	}
	desk_begin_waiting(guest);
	guest->desk->with_core = true;
	worker_step(guest->worker, &event);
}

void desk_reap(struct guest *guest, const struct letter_reap *letter)
{
	struct buf text = { 0 };
	char summary[REAP_SUMMARY];

	if (!guest->desk->busy)
		return;
	guest_log(guest, LOG_LOG, "%s", reaper_summary(letter, summary));
	if (reaper_answer(letter, &text)) {
		desk_finish(guest, &text);
		return;
	}
	buf_fini(&text);
	desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
}

static void no_such_origin(struct guest *guest, uint32_t number)
{
	char message[80];

	text_format(message, sizeof message, "there is no origin %u", number);
	desk_complain(guest, SQLSTATE_UNDEFINED_OBJECT, message, "SHOW ORIGINS lists them.");
}

static void reap(struct guest *guest, const struct console_command *command)
{
	struct house *house = guest->worker->house;
	bool known = command->reap != CONSOLE_REAP_ORIGIN || command->numbers[0] == 0;

	if (!known) {
		lock_take(house->lock);
		known = origin_of_number(&house->origins, command->numbers[0]) != NULL;
		lock_drop(house->lock);
	}
	if (!known)
		no_such_origin(guest, command->numbers[0]);
	else if (!reaper_ask(guest, command))
		desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
}

static void protect(struct guest *guest, const struct console_command *command)
{
	struct house *house = guest->worker->house;
	struct origin *origin;

	lock_take(house->lock);
	origin = origin_of_number(&house->origins, command->numbers[0]);
	if (origin)
		atomic_store(&origin->is_protected, command->verb == VERB_PROTECT);
	lock_drop(house->lock);
	if (origin) {
		guest_log(guest, LOG_LOG, "origin %u is %s", command->numbers[0],
			command->verb == VERB_PROTECT ? "protected from the reaper" : "not protected any more");
		desk_done(guest, command->tag);
		return;
	}
	no_such_origin(guest, command->numbers[0]);
}

void desk_answer(struct guest *guest, const char *problem)
{
	struct desk *desk = guest->desk;
	char message[200];

	if (!desk->busy)
		return;
	if (!problem) {
		desk_done(guest, desk->command.tag);
		return;
	}
	if (desk->command.verb == VERB_RESUME && desk->command.argument[0]) {
		text_format(message, sizeof message, "database %s is not paused", desk->command.argument);
		problem = message;
	}
	desk_complain(guest, strcmp(problem, PROBLEM_CANCELED) == 0 ? SQLSTATE_QUERY_CANCELED : SQLSTATE_NOT_IN_STATE,
		problem, NULL);
}

/* The letter that tells of its end is there from the beginning: at the end nobody could be told that memory is refused. */
static bool is_successor(struct desk *desk)
{
	if (!desk->left)
		desk->left = calloc(1, sizeof *desk->left);
	return desk->left;
}

/* To be brought along by a letter that asks for something. NULL: memory is refused. */
static struct letter_reply *reply_new(const struct guest *guest)
{
	struct letter_reply *reply = calloc(1, sizeof *reply);

	if (!reply)
		return NULL;
	reply->letter.kind = LETTER_REPLY;
	reply->asker = guest_ref(guest);
	reply->ok = true;
	return reply;
}

static void ask_keeper(struct guest *guest, enum command_kind kind)
{
	struct console_command *command = &guest->desk->command;
	struct letter_command *letter = calloc(1, sizeof *letter);
	struct letter_reply *reply = reply_new(guest);

	if (!letter || !reply || (kind == COMMAND_TAKEN_OVER && !is_successor(guest->desk))) {
		free(letter);
		free(reply);
		desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
		return;
	}
	letter->reply = reply;
	letter->letter.kind = LETTER_COMMAND;
	letter->command = kind;
	letter->asker = guest_ref(guest);
	letter->mode = command->shutdown == CONSOLE_SHUTDOWN_SERVERS ? SHUTDOWN_SERVERS
		: command->shutdown == CONSOLE_SHUTDOWN_CLIENTS      ? SHUTDOWN_CLIENTS
								     : SHUTDOWN_NOW;
	letter->successor = command->numbers[0];
	text_copy(letter->key, sizeof letter->key, command->key);
	text_copy(letter->value, sizeof letter->value, command->value);
	desk_begin_waiting(guest);
	mailbox_post(guest->worker->house->keeper_mailbox, &letter->letter);
}

void desk_reply(struct guest *guest, const struct letter_reply *reply)
{
	struct console_command *command = &guest->desk->command;
	char tag[400];

	if (!guest->desk->busy)
		return;
	if (!reply->ok && command->verb == VERB_RELOAD) {
		desk_complain(guest, SQLSTATE_CONFIG_FILE_ERROR, "RELOAD failed, see logs for additional details",
			reply->problem);
		return;
	}
	if (!reply->ok && command->verb == VERB_KILL_CLIENT) {
		desk_complain(guest, SQLSTATE_INVALID_PARAMETER_VALUE, reply->problem, NULL);
		return;
	}
	if (!reply->ok && command->verb == VERB_SHUTDOWN) {
		desk_complain(guest, SQLSTATE_NOT_IN_STATE, reply->problem, NULL);
		return;
	}
	if (!reply->ok) {
		desk_complain(guest, SQLSTATE_INVALID_PARAMETER_VALUE, "SET failed", reply->problem);
		return;
	}
	if (command->shutdown == CONSOLE_SHUTDOWN_TAKEN_OVER) {
		answer_one(guest, "back_door", reply->problem);
		return;
	}
	if (reply->ok && command->verb == VERB_RELOAD && reply->problem[0]) {
		done_with_notice(guest, "what needs a restart stays as it is", reply->problem);
		return;
	}
	if (command->verb == VERB_SET)
		text_format(tag, sizeof tag, "SET %s=%s", command->key, command->value);
	else
		text_copy(tag, sizeof tag, command->tag);
	desk_done(guest, tag);
}

static void kill_client(struct guest *guest)
{
	struct letter_reply *reply;
	struct letter_kill *letter;
	int64_t number;

	if (!text_to_i64(span_text(guest->desk->command.argument), &number) || number <= 0 || number > INT32_MAX) {
		desk_complain(guest, SQLSTATE_INVALID_PARAMETER_VALUE, "invalid client pointer supplied",
			"KILL_CLIENT takes the id that SHOW CLIENTS prints.");
		return;
	}
	letter = calloc(1, sizeof *letter);
	reply = reply_new(guest);
	if (!letter || !reply) {
		free(letter);
		free(reply);
		desk_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
		return;
	}
	letter->reply = reply;
	letter->letter.kind = LETTER_KILL;
	letter->number = (uint32_t)number;
	letter->asker = guest_ref(guest);
	desk_begin_waiting(guest);
	worker_post(guest->worker, 0, &letter->letter);
}

static void refuse_unknown(struct guest *guest, const struct console_command *command)
{
	static const char *const commands[] = { "SHOW", "SET", "RELOAD", "PAUSE", "SUSPEND", "RESUME", "RECONNECT",
		"KILL", "KILL_CLIENT", "DISABLE", "ENABLE", "WAIT_CLOSE", "SHUTDOWN", "REAP", "PROTECT", "UNPROTECT",
		NULL };
	char message[160], hint[100], word[sizeof command->word];
	const char *nearest;

	text_copy(word, sizeof word, command->word);
	for (char *c = word; *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	nearest = text_nearest(word, commands);
	text_format(message, sizeof message, "invalid command '%s', use SHOW HELP;",
		guest_is_bouncers(guest) ? command->text : command->word);
	if (command->verb == VERB_BAD) {
		desk_complain(guest, SQLSTATE_SYNTAX_ERROR, guest_is_bouncers(guest) ? message : "bad arguments",
			"SHOW HELP tells what each command takes.");
		return;
	}
	if (nearest)
		text_format(hint, sizeof hint, "Perhaps you meant %s.", nearest);
	else
		text_copy(hint, sizeof hint, "SHOW HELP tells what there is.");
	desk_complain(guest, SQLSTATE_SYNTAX_ERROR, message, hint);
}

/* Whoever changes something is told of in the log; PgBouncer's line does not say who. */
static void log_issued(const struct guest *guest, const struct console_command *command)
{
	char text[COMMAND_TEXT];

	log_command(command->tag, command->key[0] ? command->key : command->argument, text);
	if (guest_is_bouncers(guest))
		log_line(LOG_LOG, "%s", text);
	else
		guest_log(guest, LOG_LOG, "%s", text);
}

void desk_obey(struct guest *guest, struct span query)
{
	struct console_command *command = &guest->desk->command;
	struct buf text = { 0 };
	struct writer w = writer_to(&text);
	struct complaint ignored = {
		.severity = SEVERITY_NOTICE, .sqlstate = SQLSTATE_SUCCESS, .message = "SET ignored"
	};

	console_parse(query, command);
	atomic_fetch_add(&guest->worker->house->commands, 1);
	if (command->admin_only && !guest->admin) {
		desk_complain(guest, SQLSTATE_INSUFFICIENT_PRIVILEGE, "admin access needed",
			"This user is in stats_users only; commands need admin_users.");
		return;
	}
	if (command->admin_only)
		log_issued(guest, command);
	switch (command->verb) {
	case VERB_EMPTY:
		message_empty(&w, 'I');
		desk_finish(guest, &text);
		break;
	case VERB_UNKNOWN:
	case VERB_BAD:
		refuse_unknown(guest, command);
		break;
	case VERB_SHOW:
		show(guest, command);
		break;
	case VERB_FAKE_SHOW:
		answer_one(guest, command->key, command->value);
		break;
	case VERB_FAKE_SET:
		message_complaint(&w, &ignored);
		message_command_complete(&w, "SET");
		desk_finish(guest, &text);
		break;
	case VERB_SET:
		ask_keeper(guest, COMMAND_SET);
		break;
	case VERB_RELOAD:
		ask_keeper(guest, COMMAND_RELOAD);
		break;
	case VERB_SHUTDOWN:
		ask_keeper(guest,
			command->shutdown == CONSOLE_SHUTDOWN_TAKEN_OVER ? COMMAND_TAKEN_OVER : COMMAND_SHUTDOWN);
		break;
	case VERB_REAP:
		reap(guest, command);
		break;
	case VERB_PROTECT:
	case VERB_UNPROTECT:
		protect(guest, command);
		break;
	case VERB_PAUSE:
		tell_core(guest, EVENT_PAUSE);
		break;
	case VERB_SUSPEND:
		tell_core(guest, EVENT_SUSPEND);
		break;
	case VERB_RESUME:
		tell_core(guest, EVENT_RESUME);
		break;
	case VERB_RECONNECT:
		tell_core(guest, EVENT_RECONNECT);
		break;
	case VERB_KILL:
		tell_core(guest, EVENT_KILL);
		break;
	case VERB_DISABLE:
		tell_core(guest, EVENT_DISABLE);
		break;
	case VERB_ENABLE:
		tell_core(guest, EVENT_ENABLE);
		break;
	case VERB_WAIT_CLOSE:
		tell_core(guest, EVENT_WAIT_CLOSE);
		break;
	case VERB_KILL_CLIENT:
		kill_client(guest);
		break;
	}
}
