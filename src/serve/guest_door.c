/* The door that descriptors make.
 *
 * What bounds parked clients is the number of descriptors. Near it, new logins of the origin that has the most clients wait at the door,
 * outside the core, and look again now and then; at the limit all do. Some descriptors stay set aside for the console, for servers and
 * for cancels. So many that even those run out are told.
 *
 * Who has room is counted under its origin, from here to its end. */
#include "serve/guest.h"
#include "session/driver.h"

#define LOOK_AGAIN_US (100 * MILLISECOND_US)

static struct origin_name name_of(const struct guest *guest, char address[ADDRESS_TEXT])
{
	static const enum leak_driver drivers[] = {
		[SPOKEN_UNKNOWN] = DRIVER_UNKNOWN,
		[SPOKEN_LIBPQ] = DRIVER_LIBPQ,
		[SPOKEN_ASYNCPG] = DRIVER_ASYNCPG,
		[SPOKEN_NODE] = DRIVER_NODE,
		[SPOKEN_JDBC] = DRIVER_JDBC,
		[SPOKEN_GO] = DRIVER_GO,
	};
	const struct client_facts *facts = client_facts(guest->login);

	return (struct origin_name){
		.user = facts->user,
		.database = facts->database,
		.application_name = params_get(facts->params, span_text("application_name")),
		.address = address_host_text(stream_peer(guest->stream), address),
		.driver = drivers[driver_guess(facts->params, facts->manner)],
	};
}

/* There is room for it; it is counted under its origin then. */
static bool has_room(struct guest *guest, uint32_t clients)
{
	struct house *house = guest->worker->house;
	char address[ADDRESS_TEXT];
	struct origin_name name = name_of(guest, address);
	struct origin_keys keys = origin_keys(&name);
	bool room = clients <= house->clients_max;

	guest->origin_key = keys.origin;
	guest->group = keys.group;
	lock_take(house->lock);
	if (room && clients > house->clients_max - house->clients_max / 10)
		room = !origin_is_largest(&house->origins, guest->origin_key);
	if (room) {
		guest->origin = origin_enter(&house->origins, &name, guest->origin_key, guest->worker->now);
		origin_weigh(guest->origin, house->config);
	}
	lock_drop(house->lock);
	return room;
}

void guest_leave_origin(struct guest *guest)
{
	struct house *house = guest->worker->house;

	if (!guest->origin)
		return;
	lock_take(house->lock);
	origin_leave(guest->origin, guest->worker->now);
	lock_drop(house->lock);
	guest->origin = NULL;
}

static void say_door_is_shut(struct worker *worker, uint32_t clients)
{
	if (worker->now < worker->door_said + SECOND_US)
		return;
	worker->door_said = worker->now;
	log_line(LOG_WARNING,
		"%u clients are connected, near the limit of open files (%llu): new logins of the origin with the most clients wait at the door; raise the limit (ulimit -n, LimitNOFILE=)",
		clients, (unsigned long long)worker->house->descriptor_limit);
}

void guest_knock(struct guest *guest)
{
	struct worker *worker = guest->worker;
	struct house *house = worker->house;
	uint32_t clients = atomic_load(&house->clients);
	time_us limit = worker->config->client_login_timeout, again = worker->now + LOOK_AGAIN_US;

	if (!guest_keeps_pace(guest))
		return;
	if (client_facts(guest->login)->console) {
		if (limit > 0)
			timer_set(&worker->timers, &guest->timer, guest->connected + limit);
		guest_admitted(guest);
		return;
	}
	if (has_room(guest, clients)) {
		guest->counted = true;
		if (limit > 0)
			timer_set(&worker->timers, &guest->timer, guest->connected + limit);
		guest_step(guest, EVENT_CLIENT_ENTERS);
		return;
	}
	say_door_is_shut(worker, clients);
	if (clients > house->clients_max + house->clients_aside) {
		guest_refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "too many clients are connected to the pooler",
			"Its limit of open files is reached.",
			"Raise the limit of open files (ulimit -n, LimitNOFILE=).");
		return;
	}
	if (limit > 0 && again > guest->connected + limit)
		again = guest->connected + limit;
	timer_set(&worker->timers, &guest->timer, again);
}
