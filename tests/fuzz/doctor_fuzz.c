/* Settings modules, URLs and source of strangers, as the doctor reads them; and its rules on what came of it. */
#include "base/text.h"
#include "tool/doctor_django.h"
#include "tool/doctor_rules.h"
#include "tool/doctor_scan.h"
#include "tool/doctor_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct doctor_facts facts;
	struct span text = span_of(data, size), options;
	struct doctor_report report = { 0 };
	char said[400], error[128], name[64], value[64], out[256];

	memset(&facts, 0, sizeof facts);
	django_read(&facts, "settings.py", text, said, sizeof said);
	scan_text(&facts.code, "settings.py", text, SCAN_PROSE);
	if (facts.app_count < DOCTOR_APPS_MAX && url_read(text, &facts.apps[facts.app_count], error, sizeof error))
		facts.app_count++;
	url_for(text, false, out, sizeof out);
	url_is_postgres(text);
	options = text;
	while (options_next(&options, name, sizeof name, value, sizeof value)) {
		sql_name(name, out, sizeof out);
		sql_text(value, out, sizeof out);
		shell_word(value, out, 8);
	}
	doctor_look(&facts, &report);
	doctor_report_fini(&report);
	doctor_facts_fini(&facts);
	return 0;
}
