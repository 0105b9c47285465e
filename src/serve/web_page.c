#include "serve/web_page.h"

#include <string.h>

/* Narrower than what io/http.c says on every answer; a browser holds to both. Trusted types: no script of the page can make markup of a text,
 * not even by mistake, so that no name that a stranger chose becomes any. */
#define POLICY \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; " \
	"require-trusted-types-for 'script'; trusted-types 'none'"

const struct page_file *page_find(const char *path)
{
	for (size_t i = 0; i < page_files_count; i++)
		if (strcmp(page_files[i].path, path) == 0)
			return &page_files[i];
	return NULL;
}

bool page_write(const struct page_file *file, struct http_reply *reply)
{
	reply->type = file->type;
	http_reply_line(reply, "Content-Security-Policy", POLICY);
	return buf_add(&reply->body, file->bytes, file->length);
}
