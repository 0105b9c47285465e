/* SQL's DEALLOCATE of a statement that was prepared by the protocol. The server knows it under our name, so the text must say that one.
 * psycopg 3 sends this whenever it has prepared more than it wants to keep; psqlODBC does too, and within a transaction it has a savepoint around it in
 * the same Query. And whether a text may DEALLOCATE all of them.
 *
 * By the extended protocol the name goes when the portal was executed: until then nothing has happened to it.
 *
 * A look at the first letter decides for nearly every statement that it is none of ours. */
#include <stdlib.h>

#include "base/text.h"
#include "serve/extras.h"
#include "serve/relay.h"
#include "session/look.h"

#define NAME_MAX_BYTES 256

/* A portal that was bound to an unnamed DEALLOCATE. Also when it was executed: the server may have skipped that, and a rollback to a savepoint keeps the
 * portals that were there before it. */
struct ending {
	struct ending *next;
	uint32_t id;      /* of the statement that ends */
	size_t portal_at; /* of its name, in: */
	char texts[];     /* the client's name for the statement, and the portal's, each with its zero */
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static struct span skip_spaces(struct span text)
{
	while (text.length > 0 && is_space(text.at[0]))
		text = span_skip(text, 1);
	return text;
}

struct span relay_take_word(struct span *text)
{
	struct span rest = skip_spaces(*text);
	size_t n = 0;

	while (n < rest.length &&
		(rest.at[n] == '_' || rest.at[n] == '$' || rest.at[n] >= 0x80 ||
			(rest.at[n] >= '0' && rest.at[n] <= '9') || (rest.at[n] >= 'a' && rest.at[n] <= 'z') ||
			(rest.at[n] >= 'A' && rest.at[n] <= 'Z')))
		n++;
	*text = span_skip(rest, n);
	return span_of(rest.at, n);
}

bool relay_is_over(struct span text)
{
	text = skip_spaces(text);
	if (text.length > 0 && text.at[0] == ';')
		text = skip_spaces(span_skip(text, 1));
	return text.length == 0;
}

/* A name as SQL reads it: "as it is", or folded to small letters. */
static bool take_name(struct span *text, char out[NAME_MAX_BYTES])
{
	struct span rest = skip_spaces(*text), word;
	size_t n = 0, i;

	if (rest.length > 0 && rest.at[0] == '"') {
		for (i = 1; i < rest.length && n + 1 < NAME_MAX_BYTES; i++) {
			if (rest.at[i] == '"' && (i + 1 == rest.length || rest.at[i + 1] != '"')) {
				*text = span_skip(rest, i + 1);
				out[n] = 0;
				return n > 0;
			}
			if (rest.at[i] == '"')
				i++;
			out[n++] = (char)rest.at[i];
		}
		return false;
	}
	word = relay_take_word(text);
	if (word.length == 0 || word.length >= NAME_MAX_BYTES)
		return false;
	for (i = 0; i < word.length; i++)
		out[i] = (char)(word.at[i] >= 'A' && word.at[i] <= 'Z' ? word.at[i] + 32 : word.at[i]);
	out[word.length] = 0;
	return true;
}

/* DEALLOCATE [PREPARE] of one name, and what stands behind it. */
static bool take_deallocate(struct span *text, char name[NAME_MAX_BYTES])
{
	struct span before;

	*text = skip_spaces(*text);
	if (text->length < 12 || (text->at[0] | 0x20) != 'd' ||
		!text_equal_nocase(relay_take_word(text), span_text("deallocate")))
		return false;
	before = *text;
	if (text_equal_nocase(relay_take_word(text), span_text("prepare")))
		return take_name(text, name);
	*text = before;
	/* Of ALL its answer's tag says what it did. */
	return take_name(text, name) && (skip_spaces(before).at[0] == '"' || strcmp(name, "all") != 0);
}

/* That is all. */
static bool is_deallocate(struct span text, char name[NAME_MAX_BYTES])
{
	return text.length < RELAY_DEALLOCATE_MAX && take_deallocate(&text, name) && relay_is_over(text);
}

static bool take_semicolon(struct span *text)
{
	*text = skip_spaces(*text);
	if (text->length == 0 || text->at[0] != ';')
		return false;
	*text = span_skip(*text, 1);
	return true;
}

/* RELEASE [SAVEPOINT] of one name, and nothing behind it. */
static bool is_release(struct span text)
{
	char name[NAME_MAX_BYTES];
	struct span before;

	if (!text_equal_nocase(relay_take_word(&text), span_text("release")))
		return false;
	before = text;
	if (!text_equal_nocase(relay_take_word(&text), span_text("savepoint")))
		text = before;
	return take_name(&text, name) && relay_is_over(text);
}

/* SAVEPOINT a;DEALLOCATE b;RELEASE a. */
static bool is_within_savepoint(struct span text, char name[NAME_MAX_BYTES], struct relay_around *around)
{
	struct span rest = skip_spaces(text), behind;
	char savepoint[NAME_MAX_BYTES];

	if (text.length >= RELAY_DEALLOCATE_MAX || rest.length == 0 || (rest.at[0] | 0x20) != 's' ||
		!text_equal_nocase(relay_take_word(&rest), span_text("savepoint")) || !take_name(&rest, savepoint) ||
		!take_semicolon(&rest))
		return false;
	around->before = span_of(text.at, (size_t)(rest.at - text.at));
	if (!take_deallocate(&rest, name))
		return false;
	around->behind = behind = rest;
	return take_semicolon(&behind) && is_release(behind);
}

bool relay_deallocates(const struct guest *guest, struct span text, struct span *name)
{
	static _Thread_local char room[NAME_MAX_BYTES];

	if ((names_count(&guest->names) == 0 && pending_is_none(guest)) || !is_deallocate(text, room))
		return false;
	*name = span_text(room);
	return true;
}

bool relay_query_deallocates(
	const struct guest *guest, struct span text, struct span *name, struct relay_around *around)
{
	static _Thread_local char room[NAME_MAX_BYTES];

	*around = (struct relay_around){ 0 };
	if (relay_deallocates(guest, text, name))
		return true;
	if ((names_count(&guest->names) == 0 && pending_is_none(guest)) || !is_within_savepoint(text, room, around))
		return false;
	*name = span_text(room);
	return true;
}

struct statement *relay_ended_by(const struct guest *guest, const struct statement *unnamed, struct span *name)
{
	return relay_deallocates(guest, statement_text(unnamed), name) ? pending_get(guest, *name) : NULL;
}

/* Where that of this portal hangs; NULL: there is none. */
static struct ending **place_of(struct guest *guest, struct span portal)
{
	struct ending **at;

	if (!guest->extras->ending)
		return NULL;
	for (at = &extras_of(guest)->ending; *at; at = &(*at)->next)
		if (span_is(portal, (*at)->texts + (*at)->portal_at))
			return at;
	return NULL;
}

void relay_no_ending(struct guest *guest, struct span portal)
{
	struct ending **at = place_of(guest, portal), *ending;

	if (!at)
		return;
	ending = *at;
	*at = ending->next;
	free(ending);
}

void relay_no_endings(struct extras *extras)
{
	struct ending *ending;

	while ((ending = extras->ending)) {
		extras->ending = ending->next;
		free(ending);
	}
}

bool relay_note_ending(struct guest *guest, struct span portal, const struct statement *ended, struct span name)
{
	struct extras *extras = extras_of(guest);
	struct ending *made = malloc(sizeof *made + name.length + 1 + portal.length + 1);

	if (!extras || !made) {
		free(made);
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return false;
	}
	made->id = ended->id;
	made->portal_at = name.length + 1;
	text_copy_span(made->texts, name.length + 1, name);
	text_copy_span(made->texts + made->portal_at, portal.length + 1, portal);
	made->next = extras->ending;
	extras->ending = made;
	return true;
}

bool relay_take_ending(struct guest *guest, struct span portal, bool *ends)
{
	struct ending **at = place_of(guest, portal);

	*ends = at;
	if (!at)
		return true;
	/* It may have been prepared on this server again, since the text was written. */
	prepared_doubt(guest->channel->prepared, (*at)->id);
	return pending_add(guest, span_text((*at)->texts), NULL);
}

bool relay_may_end_all(struct span text)
{
	struct span rest = skip_spaces(text), word;
	struct look look;

	if (rest.length == 0)
		return false;
	/* One statement with nothing in front of it: its first word says it. */
	if (rest.at[0] != '-' && rest.at[0] != '/' && !memchr(rest.at, ';', rest.length)) {
		if ((rest.at[0] | 0x20) != 'd')
			return false;
		word = relay_take_word(&rest);
		return text_equal_nocase(word, span_text("deallocate")) ||
			text_equal_nocase(word, span_text("discard"));
	}
	look_at(text, &look);
	return look.marks & LOOK_PREPARE;
}

static bool is_ending(const struct guest *guest, uint32_t id)
{
	const struct ending *ending = guest->extras->ending;

	while (ending && ending->id != id)
		ending = ending->next;
	return ending;
}

/* The text that ends it on this server, where it is there; one that does nothing and succeeds where it is not. Behind another of this transaction's it is
 * the former: whichever is executed first ends it, and PostgreSQL refuses the second. */
void relay_deallocate_text(struct guest *guest, struct statement *statement, char out[80])
{
	char name[STATEMENT_NAME];
	enum prepared_state state = prepared_look(guest->channel->prepared, statement, guest->channel->batch);

	statement_name(statement, name);
	if (state == PREPARED_READY || state == PREPARED_PENDING || is_ending(guest, statement->id)) {
		text_format(out, 80, "DEALLOCATE \"%s\"", name);
		prepared_doubt(guest->channel->prepared, statement->id);
	} else {
		text_format(out, 80, "UNLISTEN \"%s\"", name);
	}
}
