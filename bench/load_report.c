/* What came of it, as one line of JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_parts.h"

/* Open loop: what is late at the end is as bad as what came late. */
static uint64_t count_overdue(struct thread *t, uint64_t end)
{
	uint64_t overdue = 0, period = (uint64_t)(1e9 * want.clients / want.rate);

	for (int i = 0; i < t->client_count; i++) {
		struct client *c = &t->clients[i];

		for (uint32_t k = 0; c->state == ASKING && k < c->asked; k++) {
			uint64_t start = c->started[(c->done_at + k) % (uint32_t)want.depth];

			if (start < end && end - start > period) {
				histogram_add(&t->latency, end - start);
				overdue++;
			}
		}
		for (uint64_t start = c->next_start; start + period < end; start += period) {
			histogram_add(&t->latency, end - start);
			overdue++;
		}
	}
	return overdue;
}

static int compare_counts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

void report(struct thread *threads, double elapsed, double login_seconds, const struct usage *before,
	const struct usage *after)
{
	struct histogram all = { 0 };
	uint64_t *work = must_have(calloc((size_t)want.clients, sizeof(*work)));
	uint64_t finished = 0, errors = 0, refused = 0, overdue = 0, received = 0;
	const char *first_error = "";
	double mean, spread = 0;
	int count = 0;

	for (int i = 0; i < want.threads; i++) {
		struct thread *t = &threads[i];

		if (want.rate > 0)
			overdue += count_overdue(t, now_ns());
		histogram_merge(&all, &t->latency);
		errors += t->errors;
		refused += t->refused;
		received += t->received;
		if (first_error[0] == '\0')
			first_error = t->first_error;
		for (int k = 0; k < t->client_count; k++)
			finished += work[count++] = t->clients[k].finished;
	}
	qsort(work, (size_t)count, sizeof(*work), compare_counts);
	mean = count > 0 ? (double)finished / count : 0;
	for (int i = 0; i < count; i++)
		spread += ((double)work[i] - mean) * ((double)work[i] - mean);
	printf("{\"mode\":\"%s\",\"clients\":%d,\"threads\":%d,\"depth\":%d,\"rate\":%.0f,", mode_names[want.mode],
		want.clients, want.threads, want.depth, want.rate);
	printf("\"seconds\":%.4f,\"transactions\":%llu,\"tps\":%.1f,", elapsed, (unsigned long long)finished,
		(double)finished / elapsed);
	printf("\"received_megabytes_per_second\":%.2f,", (double)received / 1e6 / elapsed);
	if (want.mode == BULK || want.mode == COPY)
		printf("\"megabytes_per_second\":%.1f,\"megabytes\":%llu,",
			(double)finished * (double)want.megabytes / elapsed,
			(unsigned long long)(finished * want.megabytes));
	printf("\"latency_ms\":{\"mean\":%.4f,\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p99.9\":%.4f,\"max\":%.4f},",
		histogram_mean(&all) / 1e6, histogram_at(&all, 0.5) / 1e6, histogram_at(&all, 0.9) / 1e6,
		histogram_at(&all, 0.99) / 1e6, histogram_at(&all, 0.999) / 1e6, (double)all.max / 1e6);
	printf("\"work\":{\"min\":%llu,\"p1\":%llu,\"p99\":%llu,\"max\":%llu,\"deviation\":%.5f},",
		(unsigned long long)work[0], (unsigned long long)work[count / 100],
		(unsigned long long)work[count - 1 - count / 100], (unsigned long long)work[count - 1],
		mean > 0 ? sqrt(spread / count) / mean : 0);
	printf("\"errors\":%llu,\"refused\":%llu,\"overdue\":%llu,\"first_error\":", (unsigned long long)errors,
		(unsigned long long)refused, (unsigned long long)overdue);
	print_text(first_error);
	printf(",\"login_seconds\":%.3f,\"watched\":[", login_seconds);
	for (int i = 0; i < want.watched_count; i++)
		printf("%s{\"pid\":%d,\"cpu_us\":%.1f,\"user_us\":%.0f,\"system_us\":%.0f,\"switches\":%llu,"
		       "\"threads\":%d,\"rss_kb\":%llu,\"pss_kb\":%llu,\"peak_kb\":%llu}",
			i > 0 ? "," : "", want.watched[i], after[i].cpu_us - before[i].cpu_us,
			after[i].user_us - before[i].user_us, after[i].system_us - before[i].system_us,
			(unsigned long long)(after[i].switches - before[i].switches), after[i].threads,
			(unsigned long long)after[i].rss_kb, (unsigned long long)after[i].pss_kb,
			(unsigned long long)after[i].peak_kb);
	printf("]}\n");
	free(work);
}

void report_idle(struct thread *threads)
{
	uint64_t still = 0, refused = 0;
	const char *first_error = "";

	for (int i = 0; i < want.threads; i++) {
		refused += threads[i].refused;
		if (first_error[0] == '\0')
			first_error = threads[i].first_error;
		for (int k = 0; k < threads[i].client_count; k++)
			still += threads[i].clients[k].state == RESTING || threads[i].clients[k].state == ASKING;
	}
	printf("{\"still\":%llu,\"refused\":%llu,\"first_error\":", (unsigned long long)still,
		(unsigned long long)refused);
	print_text(first_error);
	printf("}\n");
	fflush(stdout);
}
