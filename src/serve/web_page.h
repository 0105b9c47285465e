#ifndef PGWEIR_SERVE_WEB_PAGE_H
#define PGWEIR_SERVE_WEB_PAGE_H

#include "io/http.h"

/* The page for people at /, and what it is made of: files of web/, which tools/embed turns into this table when pgweir is built. They tell
 * nothing of this pgweir: the page asks for that, and for a password, by the paths of web.c. */
struct page_file {
	const char *path, *type;
	const unsigned char *bytes;
	size_t length;
};
extern const struct page_file page_files[];
extern const size_t page_files_count;

/* NULL: the page has no such file. */
const struct page_file *page_find(const char *path);

/* False: memory refused. */
bool page_write(const struct page_file *, struct http_reply *);

#endif
