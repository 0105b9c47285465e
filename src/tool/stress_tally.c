#include <string.h>

#include "base/text.h"
#include "tool/stress.h"

const char *const stress_phase_names[PHASES] = { "baseline", "warm-up", "ramp", "hold", "burst", "drain", "settle" };

const char *const stress_abuse_names[ABUSE_KINDS + 1] = { "none", "reset", "leave", "silent", "stop-reading", "slow",
	"no-goodbye", "transaction", NULL };

void tally_trouble(struct stress_tally *t, const char *text)
{
	char shown[STRESS_TEXT];

	text_escape(shown, sizeof shown, text_trim(span_text(text)));
	for (size_t i = 0; i < t->trouble_count; i++) {
		if (strcmp(t->troubles[i].text, shown) == 0) {
			t->troubles[i].count++;
			return;
		}
	}
	if (t->trouble_count == STRESS_TROUBLES) {
		t->other_troubles++;
		return;
	}
	text_copy(t->troubles[t->trouble_count].text, sizeof t->troubles[0].text, shown);
	t->troubles[t->trouble_count++].count = 1;
}

struct stress_tally_phase tally_total(const struct stress_tally *t)
{
	struct stress_tally_phase sum = { 0 };

	for (size_t i = 0; i < PHASES; i++) {
		const struct stress_tally_phase *p = &t->phases[i];

		sum.opened += p->opened;
		sum.failed += p->failed;
		sum.dropped += p->dropped;
		sum.asked += p->asked;
		sum.answered += p->answered;
		sum.wrong += p->wrong;
		sum.abused += p->abused;
		histogram_merge(&sum.connect, &p->connect);
		histogram_merge(&sum.reply, &p->reply);
	}
	return sum;
}
