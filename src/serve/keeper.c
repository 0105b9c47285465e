/* The keeper is the main thread: it reads the configuration, opens the doors, starts the workers, and then waits for signals and for
 * the few commands that concern the whole process (RELOAD, SET, SHUTDOWN). It holds no clients and no servers. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "io/vouch.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/supervisor.h"
#include "serve/listening.h"
#include "serve/load.h"
#include "serve/log_forms.h"
#include "serve/mail.h"
#include "serve/reload.h"
#include "serve/serve.h"
#include "serve/survey.h"
#include "serve/takeover.h"
#include "serve/web.h"
#include "serve/worker.h"

/* A successor takes our place.
 *
 *   STAYS --SHUTDOWN TAKEN_OVER--> SHUTS --all workers have--> SHUT --SHUTDOWN TAKEN_OVER--> LEAVES --the last client has left--> done
 *     ^                                                          |
 *     +------ the doors open again ------ its console is gone ---+
 *
 *  SHUTS: `successor_lost` tells that its console is gone by now. */
enum leaving { STAYS, SHUTS, SHUT, LEAVES };

struct keeper {
	const struct serve_setup *setup;
	struct house *house;
	struct loop *loop;
	struct mailbox *mailbox;
	struct web *web;   /* NULL: there is none */
	bool quitting;     /* SIGTERM or SIGINT was heard once: the next one means now */
	bool doors_closed; /* for good, to TCP: it waits for clients to leave */
	bool done;
	struct takeover takeover; /* -R: the process whose place we take */
	enum leaving leaving;
	bool successor_lost;
	struct client_ref asker;   /* the successor's console */
	struct letter_reply *shut; /* SHUTS: its answer */
	uint32_t successor;        /* its process id */
};

/* ---- ends ---- */

static void close_doors(struct keeper *keeper)
{
	keeper->doors_closed = true;
	house_open_doors(keeper->house, false, false);
}

static void shut_down(struct keeper *keeper, enum shutdown_mode mode)
{
	struct event event = { .kind = EVENT_SHUTDOWN, .now = clock_now(), .mode = mode };

	if (mode == SHUTDOWN_NOW || keeper->quitting) {
		supervisor_say("STOPPING=1\nSTATUS=Shutting down");
		keeper->done = true;
		return;
	}
	keeper->quitting = true;
	supervisor_say("STOPPING=1\nSTATUS=Shutting down: waiting for %s",
		mode == SHUTDOWN_CLIENTS ? "clients to leave" : "servers to be free");
	if (mode == SHUTDOWN_CLIENTS)
		close_doors(keeper);
	house_step(keeper->house, &event);
}

static void pause_all(struct keeper *keeper, enum event_kind kind)
{
	struct event event = { .kind = kind, .now = clock_now(), .database = NO_DATABASE };

	house_step(keeper->house, &event);
}

static void pause_by_signal(struct keeper *keeper, int number)
{
	bool pauses = number == SIGUSR1;
	struct totals_picture totals;
	const char *does;

	lock_take(keeper->house->lock);
	core_totals(keeper->house->core, &totals);
	lock_drop(keeper->house->lock);
	if (keeper->quitting)
		does = "but shutting down";
	else if (pauses)
		does = totals.paused || totals.suspended ? "but already paused/suspended" : "pausing all activity";
	else
		does = totals.suspended                  ? "continuing from SUSPEND"
			: totals.paused || totals.killed ? "continuing from PAUSE"
							 : "but not paused/suspended";
	log_line(LOG_LOG, "got %s, %s", pauses ? "SIGUSR1" : "SIGUSR2", does);
	if (!keeper->quitting)
		pause_all(keeper, pauses ? EVENT_PAUSE : EVENT_RESUME);
}

static void take_signal(struct keeper *keeper, int number)
{
	char error[512];

	switch (number) {
	case SIGHUP:
		log_line(LOG_LOG, "got SIGHUP, re-reading config");
		(void)reload(keeper->setup, keeper->house, error, sizeof error);
		break;
	case SIGTERM:
		log_ending(keeper->house->config, number, keeper->quitting);
		shut_down(keeper, SHUTDOWN_CLIENTS);
		break;
	case SIGINT:
		log_ending(keeper->house->config, number, keeper->quitting);
		shut_down(keeper, SHUTDOWN_SERVERS);
		break;
	case SIGQUIT:
		log_ending(keeper->house->config, number, keeper->quitting);
		shut_down(keeper, SHUTDOWN_NOW);
		break;
	case SIGUSR1:
	case SIGUSR2:
		pause_by_signal(keeper, number);
		break;
	default:
		break;
	}
}

/* ---- a successor takes our place ---- */

/* False: `problem`. Else the answer comes when all doors are shut. */
static bool begin_leaving(struct keeper *keeper, const struct letter_command *command, char *problem, size_t size)
{
	if (keeper->leaving != STAYS || keeper->quitting) {
		text_copy(problem, size, "this process is about to end already");
		return false;
	}
	if (!forerunner_begin(keeper->house, command, problem, size))
		return false;
	keeper->successor = command->successor;
	keeper->asker = command->asker;
	keeper->successor_lost = false;
	keeper->leaving = SHUTS;
	return true;
}

static bool is_successor(const struct keeper *keeper, struct client_ref asker)
{
	return keeper->asker.worker == asker.worker && handle_equal(keeper->asker.client, asker.client);
}

static void forget_answer(struct keeper *keeper)
{
	free(keeper->shut);
	keeper->shut = NULL;
}

/* Nobody else serves, or ever will. */
static void stay(struct keeper *keeper)
{
	forget_answer(keeper);
	keeper->leaving = STAYS;
	log_line(LOG_WARNING,
		"process %u is gone before it served: it does not take over, and this one accepts connections again",
		keeper->successor);
	forerunner_stay(keeper->house);
	if (keeper->doors_closed)
		close_doors(keeper);
}

static void leave(struct keeper *keeper)
{
	struct house *house = keeper->house;
	struct letter_reply *reply = keeper->shut;

	if (atomic_load(&house->stopping))
		return;
	if (keeper->leaving == SHUTS && forerunner_is_shut(house)) {
		keeper->leaving = SHUT;
		if (keeper->successor_lost) {
			stay(keeper);
			return;
		}
		keeper->shut = NULL;
		if (house->back_door)
			text_copy(reply->problem, sizeof reply->problem, listener_address(house->back_door)->path);
		mailbox_post(house->workers[keeper->asker.worker]->mailbox, &reply->letter);
	}
	if (keeper->leaving == LEAVES && forerunner_is_left(house) && !keeper->done) {
		log_line(LOG_LOG, "the last client has left");
		keeper->done = true;
	}
}

/* The successor serves. */
static void yield(struct keeper *keeper)
{
	keeper->leaving = LEAVES;
	forerunner_yield(keeper->house);
	web_stop(&keeper->web); /* its port is the successor's now */
	log_line(LOG_LOG,
		"process %u has taken over and accepts all new connections; this one ends when its clients have left",
		keeper->successor);
	/* We are the one whom a supervisor hears, and from now on the successor is. */
	supervisor_say("MAINPID=%u\nSTATUS=Taken over from process %u", keeper->successor, process_id());
	supervisor_close();
	leave(keeper);
}

static void successor_left(struct keeper *keeper, struct client_ref asker)
{
	if (!is_successor(keeper, asker))
		return;
	keeper->successor_lost = true;
	if (keeper->leaving == SHUT)
		stay(keeper);
}

/* ---- commands ---- */

static void take_command(struct keeper *keeper, const struct letter_command *command)
{
	struct letter_reply *reply = command->reply;

	/* It came too late: its console is gone, and nobody reads the workers' mail any more. */
	if (atomic_load(&keeper->house->stopping)) {
		free(reply);
		return;
	}
	switch (command->command) {
	case COMMAND_RELOAD:
		reply->ok = reload(keeper->setup, keeper->house, reply->problem, sizeof reply->problem);
		break;
	case COMMAND_SET:
		reply->ok = reload_with(keeper->setup, keeper->house, command, reply->problem, sizeof reply->problem);
		break;
	case COMMAND_SHUTDOWN:
		shut_down(keeper, command->mode);
		break;
	case COMMAND_TAKEN_OVER:
		if (keeper->leaving == SHUT && is_successor(keeper, command->asker)) {
			yield(keeper);
			break;
		}
		reply->ok = begin_leaving(keeper, command, reply->problem, sizeof reply->problem);
		if (reply->ok) {
			keeper->shut = reply;
			return;
		}
		break;
	case COMMAND_SUCCESSOR_LEFT:
		successor_left(keeper, command->asker);
		return;
	}
	mailbox_post(keeper->house->workers[command->asker.worker]->mailbox, &reply->letter);
}

static void nobody_is_left(struct keeper *keeper)
{
	if (!keeper->done)
		log_nobody_left(keeper->house->config, keeper->doors_closed);
	keeper->done = true;
}

static void read_mail(struct keeper *keeper)
{
	struct letter *letter;

	while ((letter = mailbox_take(keeper->mailbox))) {
		if (letter->kind == LETTER_COMMAND)
			take_command(keeper, (const struct letter_command *)(void *)letter);
		else if (letter->kind == LETTER_STOP)
			nobody_is_left(keeper);
		else if (letter->kind == LETTER_LEAVING)
			leave(keeper);
		if (letter->kind == LETTER_SURVEY)
			survey_judge(keeper->house, letter, clock_now());
		else if (letter->kind == LETTER_REAP)
			survey_reaped(keeper->house, letter);
		else if (letter->kind == LETTER_CENSUS)
			web_deliver(keeper->web, (struct letter_census *)(void *)letter);
		else if (letter->kind == LETTER_QUESTION || letter->kind == LETTER_VOUCH)
			web_tell(keeper->web, letter);
		else
			free(letter);
	}
}

static void keeper_turn(struct keeper *keeper)
{
	struct completion done;

	loop_wait(keeper->loop, survey_look(keeper->house, clock_now()));
	while (loop_next(keeper->loop, &done))
		if (done.kind == DONE_SIGNAL)
			take_signal(keeper, done.error);
	read_mail(keeper);
}

/* ---- the whole ---- */

static int failed(const char *error)
{
	log_line(LOG_FATAL, "%s", error);
	pidfile_remove(); /* before anybody hears of the end, and starts the next */
	process_daemon_says(error);
	return 1;
}

static bool open_web(struct keeper *keeper, char *error, size_t error_size)
{
	if (!keeper->house->config->http_listen[0])
		return true;
	keeper->web = web_open(keeper->house, keeper->house->config, error, error_size);
	return keeper->web != NULL;
}

/* There is no way back: what fails is told, and we go on. */
static void complete_takeover(struct keeper *keeper)
{
	const struct config *config = keeper->house->config;
	char error[512];

	takeover_complete(&keeper->takeover, keeper->house);
	if (config->pidfile && config->pidfile[0] && !pidfile_take_over(config->pidfile, error, sizeof error))
		log_line(LOG_ERROR, "%s", error);
	if (!open_web(keeper, error, sizeof error)) {
		log_line(LOG_ERROR, "%s; going on without it", error);
	} else if (keeper->web && !web_start(keeper->web)) {
		log_line(LOG_ERROR, "could not start a thread: %s; going on without http_listen", strerror(errno));
		web_stop(&keeper->web);
	}
	log_line(LOG_LOG, "took over; the process before this one ends when its clients have left");
}

/* A forerunner first: until it has heard it, a supervisor hears only that one. */
static void tell_that_we_serve(struct keeper *keeper, uint32_t workers)
{
	if (keeper->takeover.line)
		complete_takeover(keeper);
	supervisor_open(keeper->setup->notify_socket);
	supervisor_say("READY=1\nSTATUS=Serving with %u workers\nMAINPID=%u", workers, process_id());
	process_daemon_says(NULL);
}

static int run(struct keeper *keeper, uint32_t workers)
{
	struct house *house = keeper->house;
	char name[16];
	uint32_t i, started = 0;
	int status = 0;

	for (i = 0; i < workers; i++) {
		text_format(name, sizeof name, "worker %u", i);
		house->workers[i]->thread = thread_start(worker_run, house->workers[i], name);
		if (!house->workers[i]->thread) {
			log_line(LOG_FATAL, "could not start a thread: %s", strerror(errno));
			status = 1;
			keeper->done = true;
			break;
		}
		started++;
	}
	if (!keeper->done && keeper->web && !web_start(keeper->web)) {
		log_line(LOG_FATAL, "could not start a thread: %s", strerror(errno));
		status = 1;
		keeper->done = true;
	}
	if (!keeper->done)
		tell_that_we_serve(keeper, workers);
	while (!keeper->done)
		keeper_turn(keeper);
	web_stop(&keeper->web);
	house_stop(house);
	for (i = 0; i < started; i++)
		thread_join(&house->workers[i]->thread);
	for (; i < workers; i++)
		worker_run(house->workers[i]); /* it never ran: let it read the letter that ends it */
	resolver_stop();
	vouch_stop();
	house_sweep(house);
	read_mail(keeper);
	forget_answer(keeper);
	return status;
}

static bool begin_takeover(struct keeper *keeper, const struct config *config, char *error, size_t error_size)
{
	struct listen_setup listen = listening_setup(config);

	if (keeper->setup->sockets > 0) {
		text_format(error, error_size, "-R does not go with sockets that were handed over (socket activation)");
		return false;
	}
	return takeover_begin(&keeper->takeover, config, &listen, error, error_size);
}

static bool prepare_process(struct keeper *keeper, const struct config *config, char *error, size_t error_size)
{
	const struct serve_setup *setup = keeper->setup;

	if (setup->daemon && (!config->pidfile || !config->pidfile[0])) {
		text_format(error, error_size, "daemon mode (-d) needs a pidfile in the configuration");
		return false;
	}
	if (process_user() == 0)
		log_line(LOG_WARNING, "running as root: set `user` in the configuration to an account of its own");
	if (setup->reboot && !begin_takeover(keeper, config, error, error_size))
		return false;
	/* Who started it reads along until it has gone to the background. */
	if (setup->daemon &&
		((!keeper->takeover.line && !pidfile_is_free(config->pidfile, error, error_size)) ||
			!process_daemon(setup->quiet, error, error_size) ||
			!logfile_open(config->logfile, false, error, error_size)))
		return false;
	/* The forerunner's pid file stays its own until we are ready. */
	return keeper->takeover.line || !config->pidfile || !config->pidfile[0] ||
		pidfile_write(config->pidfile, error, error_size);
}

/* Everything through which anybody reaches us. */
static bool open_all(struct keeper *keeper, char *error, size_t error_size)
{
	struct house *house = keeper->house;
	unsigned sockets = keeper->setup->sockets;
	bool taking_over = keeper->takeover.line != NULL;

	if (sockets > 0 ? !listening_inherit(house, sockets, house->config, error, error_size)
			: !listening_begin(house, &keeper->takeover, house->config, error, error_size))
		return false;
	if (taking_over && !takeover_finish(&keeper->takeover, house, error, error_size))
		return false;
	return taking_over || open_web(keeper, error, error_size); /* or else its port is the forerunner's still */
}

/* Before anything is made: the log, the pid file and the socket's file are that user's, who opens the log anew at RELOAD, and to whom alone a
 * forerunner listens; and root follows nobody's links. */
static bool become(const struct serve_setup *setup, const struct config *config, char *error, size_t error_size)
{
	const char *user = setup->user ? setup->user : config->user;

	return !user || !user[0] || process_become(user, error, error_size);
}

/* What was read, while no house has taken it. */
static void setup_drop(struct house_setup *house)
{
	config_drop(house->config);
	secrets_drop(house->secrets);
	tls_pair_drop(&house->tls);
}

/* The loop, the mailbox and the house, which takes what was read. False: the kernel or memory refused. */
static bool move_in(struct keeper *keeper, struct house_setup *house)
{
	keeper->loop = loop_new(ENGINE_EPOLL);
	keeper->mailbox = keeper->loop ? mailbox_new(keeper->loop) : NULL;
	if (!keeper->mailbox || !loop_signals(keeper->loop))
		return false;
	keeper->house = house_new(house);
	house->config = NULL;
	house->secrets = NULL;
	house->tls = (struct tls_pair){ 0 };
	if (!keeper->house)
		return false;
	keeper->house->keeper_mailbox = keeper->mailbox;
	return true;
}

/* What root could read at the start, and the user whom we have become can not: served from today, and no RELOAD would be. */
static void log_unreadable(const struct serve_setup *setup, const struct config *config)
{
	const struct {
		const char *setting, *path;
	} files[] = { { "the file", setup->file }, { "auth_file", config->auth_file },
		{ "auth_hba_file", config->auth_hba_file }, { "auth_ident_file", config->auth_ident_file },
		{ "client_tls_key_file", config->client_tls_key_file },
		{ "client_tls_cert_file", config->client_tls_cert_file },
		{ "client_tls_ca_file", config->client_tls_ca_file },
		{ "server_tls_key_file", config->server_tls_key_file },
		{ "server_tls_cert_file", config->server_tls_cert_file },
		{ "server_tls_ca_file", config->server_tls_ca_file } };
	char name[64];

	if (!user_name(process_user(), name, sizeof name))
		text_copy(name, sizeof name, "this user");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (files[i].path && files[i].path[0] && !path_is_missing(files[i].path) &&
			!path_may_be_read(files[i].path))
			log_line(LOG_WARNING,
				"%s \"%s\" can not be read by %s, as whom this process goes on: RELOAD will fail until it can",
				files[i].setting, files[i].path, name);
}

static int keep(struct keeper *keeper, const struct house_setup *house)
{
	int status;

	log_start(keeper->house->config, keeper->house->secrets, house->workers, house->descriptor_limit);
	log_doubts(keeper->house->config, keeper->house->secrets, keeper->house->clients_max);
	log_crowd(house->workers, cores_count());
	log_unreadable(keeper->setup, keeper->house->config);
	status = run(keeper, house->workers);
	supervisor_close();
	return status;
}

/* Nobody can reach us: no worker ever ran. */
static void move_out(struct keeper *keeper, uint32_t workers)
{
	web_stop(&keeper->web);
	house_stop(keeper->house);
	for (uint32_t i = 0; i < workers; i++)
		worker_run(keeper->house->workers[i]);
	house_sweep(keeper->house);
}

int serve(const struct serve_setup *setup)
{
	struct keeper keeper = { .setup = setup };
	struct house_setup house = { .descriptor_limit = descriptors_raise() };
	char error[512];
	uint64_t keys[2];
	int status = 1;

	signals_block();
	entropy_fill(keys, sizeof keys);
	hash_set_key(keys[0], keys[1]);
	if (!load(setup, setup->file, NULL, &house.config, &house.secrets, &house.tls, error, sizeof error))
		return failed(error);
	if (setup->trial) {
		setup_drop(&house);
		return 0;
	}
	log_set_sink(logfile_sink);
	reload_log(setup, house.config);
	house.workers = house.config->workers > 0 ? (uint32_t)house.config->workers : cores_count();
	if (!become(setup, house.config, error, sizeof error) ||
		!logfile_open(house.config->logfile, !setup->quiet, error, sizeof error) ||
		!prepare_process(&keeper, house.config, error, sizeof error)) {
		setup_drop(&house);
		return failed(error);
	}
	if (!move_in(&keeper, &house)) {
		failed("out of memory or descriptors at the start");
	} else if (!open_all(&keeper, error, sizeof error)) {
		failed(error);
		move_out(&keeper, house.workers);
	} else {
		status = keep(&keeper, &house);
	}
	takeover_fini(&keeper.takeover);
	house_free(keeper.house);
	setup_drop(&house);
	mailbox_free(keeper.mailbox);
	loop_free(keeper.loop);
	pidfile_remove();
	log_line(LOG_LOG, "process down");
	logfile_close();
	return status;
}
