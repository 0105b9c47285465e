#include <string.h>

#include "base/text.h"
#include "tool/stress.h"

const char *const stress_phase_names[PHASES] = { "baseline", "warm-up", "ramp", "hold", "burst", "drain", "settle" };

const char *const stress_abuse_names[ABUSE_KINDS + 1] = { "none", "reset", "leave", "silent", "stop-reading", "slow",
	"no-goodbye", "come-and-go", "transaction", "state", "cancel", "copy", NULL };

static void trouble_add(struct stress_tally *t, const char *shown, uint64_t count)
{
	for (size_t i = 0; i < t->trouble_count; i++) {
		if (strcmp(t->troubles[i].text, shown) == 0) {
			t->troubles[i].count += count;
			return;
		}
	}
	if (t->trouble_count == STRESS_TROUBLES) {
		t->other_troubles += count;
		return;
	}
	text_copy(t->troubles[t->trouble_count].text, sizeof t->troubles[0].text, shown);
	t->troubles[t->trouble_count++].count = count;
}

void tally_trouble(struct stress_tally *t, const char *text)
{
	char shown[STRESS_TEXT];

	text_escape(shown, sizeof shown, text_trim(span_text(text)));
	trouble_add(t, shown, 1);
}

void tally_add(struct stress_tally_phase *sum, const struct stress_tally_phase *p)
{
	sum->opened += p->opened;
	sum->failed += p->failed;
	sum->dropped += p->dropped;
	sum->asked += p->asked;
	sum->answered += p->answered;
	sum->wrong += p->wrong;
	sum->abused += p->abused;
	histogram_merge(&sum->connect, &p->connect);
	histogram_merge(&sum->reply, &p->reply);
}

void tally_merge(struct stress_tally *into, const struct stress_tally *from)
{
	for (size_t i = 0; i < PHASES; i++)
		tally_add(&into->phases[i], &from->phases[i]);
	for (size_t i = 0; i < from->trouble_count; i++)
		trouble_add(into, from->troubles[i].text, from->troubles[i].count);
	into->other_troubles += from->other_troubles;
}

struct stress_tally_phase tally_total(const struct stress_tally *t)
{
	struct stress_tally_phase sum = { 0 };

	for (size_t i = 0; i < PHASES; i++)
		tally_add(&sum, &t->phases[i]);
	return sum;
}
