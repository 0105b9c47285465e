/* The accounts of a process, and the histogram. See load.h. */
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < HISTOGRAM_FINE)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns); /* at least 6 */
	power = power > 41 ? 41 : power;
	return (power - 5) * HISTOGRAM_FINE + (unsigned)((ns >> (power - 6)) & (HISTOGRAM_FINE - 1));
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
	unsigned power = bucket / HISTOGRAM_FINE + 5;
	uint64_t width;

	if (bucket < HISTOGRAM_FINE)
		return bucket;
	width = (uint64_t)1 << (power - 6);
	return (double)(((uint64_t)1 << power) + (bucket % HISTOGRAM_FINE) * width) + (double)width / 2;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	h->counts[bucket_of(ns)]++;
	h->count++;
	h->sum += (double)ns;
	if (ns > h->max)
		h->max = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->counts[i] += from->counts[i];
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
}

double histogram_at(const struct histogram *h, double share)
{
	uint64_t rank = (uint64_t)(share * (double)h->count), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen > rank)
			return value_of(i) < (double)h->max ? value_of(i) : (double)h->max;
	}
	return (double)h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->count == 0 ? 0 : h->sum / (double)h->count;
}

static uint64_t field_of(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256];
	uint64_t value = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name), NULL, 10);
	if (file != NULL)
		fclose(file);
	return value;
}

/* Field `number` of /proc/PID/stat, counted from 1 as in proc(5). */
static double ticks_of(int pid, int number)
{
	char path[64], line[1024], *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		die_errno("cannot watch process %d", pid);
	fclose(file);
	at = strrchr(line, ')') + 1; /* a name may hold blanks */
	for (int i = 3; i < number; i++)
		at = strchr(at + 1, ' ');
	return strtod(at, NULL);
}

struct usage usage_of(int pid)
{
	struct usage usage = { 0 };
	char path[300];
	struct dirent *entry;
	DIR *tasks;
	double tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);

	usage.user_us = ticks_of(pid, 14) * tick_us;
	usage.system_us = ticks_of(pid, 15) * tick_us;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		unsigned long long ns = 0;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		usage.threads++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
		file = fopen(path, "r");
		if (file != NULL) {
			if (fscanf(file, "%llu", &ns) == 1)
				usage.cpu_us += (double)ns / 1e3;
			fclose(file);
		}
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, entry->d_name);
		usage.switches += field_of(path, "voluntary_ctxt_switches:") +
			field_of(path, "nonvoluntary_ctxt_switches:");
	}
	if (tasks != NULL)
		closedir(tasks);
	if (usage.cpu_us == 0) /* a kernel without CONFIG_SCHED_INFO */
		usage.cpu_us = usage.user_us + usage.system_us;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	usage.rss_kb = field_of(path, "VmRSS:");
	usage.peak_kb = field_of(path, "VmHWM:");
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	usage.pss_kb = field_of(path, "Pss:");
	return usage;
}
