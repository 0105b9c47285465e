#ifndef PGWEIR_SIM_KINDS_H
#define PGWEIR_SIM_KINDS_H

#include "lives.h"

/* The kinds of origins, leaking and healthy. Each draws its sizes, rates, times and hints from the generator. */
struct kind {
	const char *name;
	const char *truth;       /* the number of the pattern; NULL: healthy */
	enum leak_family family; /* what it costs, in transaction mode */
	unsigned enough;         /* that many lost connections (or happenings) are enough to tell it */
	unsigned weight;         /* how often, relative to the others */
	void (*make)(struct rng *, struct play *);
};
extern const struct kind leaking_kinds[], healthy_kinds[];
extern const size_t leaking_kinds_count, healthy_kinds_count;

#define MS  MILLISECOND_US
#define S   SECOND_US
#define MIN (60 * SECOND_US)

/* A number between these; of spans and rates (per second) small ones are as likely as large ones. */
unsigned pick_count(struct rng *rng, unsigned least, unsigned most);
time_us pick_span(struct rng *rng, time_us least, time_us most);
double pick_rate(struct rng *rng, double least, double most);

/* Always this. */
struct range steady(time_us value);

/* What lives are made of: one quick question, and then `ending`; a request of a web application. */
struct life asks_once(enum ending ending);
struct life web_work(struct rng *rng);

/* Into the play: visitors of its process. An `until` of 0 is never. */
void add_flow(struct play *play, struct visit_flow flow);

/* Into the play. An `until` of 0 is never; the pool opens at `opens`, its least members log in `within` that. */
struct source *add_source(struct play *play, struct source source);
struct app_pool *add_pool(struct play *play, struct app_pool pool, time_us opens, time_us within);

/* A pool with as many requests a second, from its beginning. */
void healthy_pool(struct rng *rng, struct play *play, unsigned least, unsigned most, double requests);

/* fleets.c */
void make_scaling_out(struct rng *rng, struct play *play);
void make_two_sets(struct rng *rng, struct play *play);
void make_analysts(struct rng *rng, struct play *play);
void make_listening_workers(struct rng *rng, struct play *play);
void make_functions(struct rng *rng, struct play *play);
void make_many_small_pools(struct rng *rng, struct play *play);
void make_customers(struct rng *rng, struct play *play);

#endif
