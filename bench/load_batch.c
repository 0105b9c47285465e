/* What the load generator's clients send: built once, before the first of them is born. */
#include <stdio.h>
#include <stdlib.h>

#include "load_parts.h"

uint8_t *message(uint8_t *at, char type, const void *body, size_t length)
{
	at[0] = (uint8_t)type;
	be32_put(at + 1, (uint32_t)length + 4);
	memcpy(at + 5, body, length);
	return at + 5 + length;
}

uint8_t *parse_message(uint8_t *at, const char *name, const char *sql)
{
	uint8_t *end = at + 5;

	end = (uint8_t *)stpcpy((char *)end, name) + 1;
	end = (uint8_t *)stpcpy((char *)end, sql) + 1;
	be16_put(end, 0);
	end += 2;
	at[0] = 'P';
	be32_put(at + 1, (uint32_t)(end - at - 1));
	return end;
}

static uint8_t *bind_message(uint8_t *at, const char *name)
{
	uint8_t body[64] = { 0 };
	size_t length = strlen(name);

	memcpy(body + 1, name, length);
	return message(at, 'B', body, 1 + length + 1 + 6);
}

const char statement_name[] = "bench";

void prepare_batch(void)
{
	uint8_t *at = want.batch = must_have(malloc(strlen(want.sql) + 512));
	char text[64];

	switch (want.mode) {
	case EXTENDED:
	case PIPELINED:
		at = parse_message(at, "", want.sql);
		at = bind_message(at, "");
		at = message(at, 'D', "P", 2);
		at = message(at, 'E', "\0\0\0\0", 5);
		at = message(at, 'S', "", 0);
		break;
	case PREPARED:
		at = bind_message(at, statement_name);
		at = message(at, 'E', "\0\0\0\0", 5);
		at = message(at, 'S', "", 0);
		break;
	case COPY:
		at = message(at, 'Q', "COPY bench_copy FROM STDIN", 27);
		break;
	case BULK:
		if (strcmp(want.sql, "SELECT 1") == 0) {
			snprintf(text, sizeof(text), "TABLE bulk_%llu", (unsigned long long)want.megabytes);
			at = message(at, 'Q', text, strlen(text) + 1);
			break;
		}
		at = message(at, 'Q', want.sql, strlen(want.sql) + 1);
		break;
	case SIMPLE:
	case CONNECT:
	case IDLE:
	case HOLD:
		at = message(at, 'Q', want.sql, strlen(want.sql) + 1);
		break;
	}
	want.batch_length = (size_t)(at - want.batch);
	if (want.vary) {
		want.number = memmem(want.batch, want.batch_length, "000000", 6);
		if (!want.number || want.threads > 1 || want.mode == PIPELINED)
			die("--vary: what is said has no 000000, or it is said by several threads, or in a pipeline");
	}
	if (want.mode == PIPELINED && want.depth > 1) {
		want.batch = must_have(realloc(want.batch, want.batch_length * (size_t)want.depth));
		for (int i = 1; i < want.depth; i++)
			memcpy(want.batch + want.batch_length * (size_t)i, want.batch, want.batch_length);
	}
	if (want.mode == COPY) {
		enum { ROWS = 128, ROW = 1000 };
		uint8_t row[ROW];

		memset(row, 'x', ROW - 1);
		row[ROW - 6] = '\n'; /* the message adds five bytes of its own */
		at = want.copy_rows = must_have(malloc(ROWS * (ROW + 5)));
		for (int i = 0; i < ROWS; i++)
			at = message(at, 'd', row, ROW - 5);
		want.copy_rows_length = (size_t)(at - want.copy_rows);
	}
}

void vary_batch(void)
{
	uint8_t *digit = want.number + 6;

	while (digit-- > want.number && ++*digit > '9')
		*digit = '0';
}
