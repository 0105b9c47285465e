#include "tool/stress_assert.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "tool/memory.h"

/* The text becomes nodes in one array of bounded size, each node after those it is made of; so judging is one walk from the first to
 * the last, and no text, however deep its parentheses, costs more than that. "Unknown" is a third answer, as in SQL: what is not known
 * neither holds nor fails, unless the rest decides. */

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, MORE, MORE_EQUAL };

struct side {
	char name[40]; /* "": a number */
	double value;
	enum stress_unit unit;
};

struct node {
	enum { NODE_COMPARE, NODE_NOT, NODE_AND, NODE_OR } kind;
	size_t left, right; /* of AND, OR; NOT has left alone */
	enum comparison comparison;
	struct side sides[2];
	size_t from, length; /* of a comparison: where it stands in the text */
};

#define NODES_MAX 200

struct assertion {
	char text[ASSERT_LENGTH_MAX + 1];
	struct node nodes[NODES_MAX];
	size_t count;
};

struct parser {
	struct assertion *into;
	struct stress_metrics names;
	const char *text;
	size_t at, length, clauses;
	unsigned depth;
	char *error;
	size_t error_size;
};

static bool either(struct parser *, size_t *node);

static bool complain(struct parser *p, size_t at, const char *what)
{
	text_format(p->error, p->error_size, "%s, at letter %zu of '%.*s'", what, at + 1, (int)p->length, p->text);
	return false;
}

static void skip_space(struct parser *p)
{
	while (p->at < p->length && (p->text[p->at] == ' ' || p->text[p->at] == '\t' || p->text[p->at] == '\n'))
		p->at++;
}

static bool take(struct parser *p, const char *token)
{
	size_t n = strlen(token);

	skip_space(p);
	if (p->length - p->at < n || memcmp(p->text + p->at, token, n) != 0)
		return false;
	p->at += n;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool node_new(struct parser *p, struct node node, size_t *out)
{
	if (p->into->count == NODES_MAX)
		return complain(p, p->at, "too long: this is more than anybody reads");
	*out = p->into->count;
	p->into->nodes[p->into->count++] = node;
	return true;
}

static bool read_name(struct parser *p, struct side *side)
{
	size_t from = p->at, length;
	const struct stress_metric *metric;
	const char *nearest;
	char words[200];

	while (p->at < p->length && (is_letter(p->text[p->at]) || is_digit(p->text[p->at])))
		p->at++;
	length = p->at - from;
	if (length >= sizeof side->name)
		return complain(p, from, "no figure has so long a name");
	text_copy_span(side->name, sizeof side->name, span_of(p->text + from, length));
	if (pattern_number(side->name, &side->value)) {
		side->name[0] = 0;
		side->unit = UNIT_PATTERN;
		return true;
	}
	metric = metrics_find(&p->names, side->name, &nearest);
	if (metric) {
		side->unit = metric->unit;
		return true;
	}
	text_format(words, sizeof words, "no figure is called '%s'%s%s%s", side->name, nearest ? " (perhaps '" : "",
		nearest ? nearest : "", nearest ? "'?)" : " (the list: pgweir stress --help, doc/stress.md)");
	return complain(p, from, words);
}

static bool read_number(struct parser *p, struct side *side)
{
	size_t from = p->at, digits;
	char number[40];
	time_us duration;

	while (p->at < p->length && (is_digit(p->text[p->at]) || p->text[p->at] == '.'))
		p->at++;
	digits = p->at - from;
	while (p->at < p->length && is_letter(p->text[p->at]))
		p->at++;
	if (digits >= sizeof number)
		return complain(p, from, "this number is too long");
	if (p->at - from > digits) {
		if (!text_to_duration(span_of(p->text + from, p->at - from), &duration))
			return complain(p, from,
				"this is no time; a time is a number with its unit, such as 200ms, 1.5s or 2m");
		side->unit = UNIT_TIME;
		side->value = (double)duration / (double)SECOND_US;
		return true;
	}
	text_copy_span(number, sizeof number, span_of(p->text + from, digits));
	if (number[0] == '.' || number[digits - 1] == '.' || strchr(number, '.') != strrchr(number, '.'))
		return complain(p, from, "this is no number");
	side->value = strtod(number, NULL);
	side->unit = take(p, "%") ? UNIT_PERCENT : UNIT_COUNT;
	return true;
}

static bool read_side(struct parser *p, struct side *side)
{
	skip_space(p);
	if (p->at == p->length)
		return complain(p, p->at, "a figure or a number is missing");
	if (is_digit(p->text[p->at]) || p->text[p->at] == '.')
		return read_number(p, side);
	if (is_letter(p->text[p->at]))
		return read_name(p, side);
	return complain(
		p, p->at, p->text[p->at] == '-' ? "no figure is ever below 0" : "a figure or a number is wanted here");
}

static bool read_comparison(struct parser *p, enum comparison *out)
{
	static const struct {
		const char *token;
		enum comparison is;
	} tokens[] = { { "==", EQUAL }, { "!=", NOT_EQUAL }, { "<=", LESS_EQUAL }, { ">=", MORE_EQUAL }, { "<", LESS },
		{ ">", MORE } };

	size_t at;

	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		if (take(p, tokens[i].token)) {
			*out = tokens[i].is;
			return true;
		}
	}
	at = p->at;
	return complain(p, at, take(p, "=") ? "to compare, write ==" : "one of == != < <= > >= is wanted here");
}

/* One pattern is no more than another. */
static bool can_be_compared(struct parser *p, const struct node *node)
{
	if (node->sides[0].unit != UNIT_PATTERN || node->comparison == EQUAL || node->comparison == NOT_EQUAL)
		return true;
	return complain(p, node->from, "patterns are compared with == and != alone");
}

/* A number without a unit takes a percentage's, but never a time's: some would read seconds there and others milliseconds. */
static bool same_kind(struct parser *p, struct side sides[2], size_t from)
{
	static const char *const kinds[] = { "a count", "a time (write its unit: 200ms, 1.5s)", "a percentage",
		"a pattern (L1 to L28, none)" };
	char words[160];

	for (int i = 0; i < 2; i++) {
		if (!sides[i].name[0] && sides[i].unit == UNIT_COUNT && sides[!i].unit == UNIT_PERCENT)
			sides[i].unit = UNIT_PERCENT;
	}
	if (sides[0].unit == sides[1].unit)
		return true;
	text_format(words, sizeof words, "the left side is %s, the right side %s", kinds[sides[0].unit],
		kinds[sides[1].unit]);
	return complain(p, from, words);
}

static bool compare(struct parser *p, size_t *out)
{
	struct node node = { .kind = NODE_COMPARE };

	skip_space(p);
	node.from = p->at;
	if (p->clauses == ASSERT_CLAUSES_MAX)
		return complain(p, p->at, "too long: this is more than anybody reads");
	p->clauses++;
	if (!read_side(p, &node.sides[0]) || !read_comparison(p, &node.comparison) || !read_side(p, &node.sides[1]))
		return false;
	node.length = p->at - node.from;
	return same_kind(p, node.sides, node.from) && can_be_compared(p, &node) && node_new(p, node, out);
}

static bool one(struct parser *p, size_t *out)
{
	struct node not = { .kind = NODE_NOT };
	size_t opened;
	bool good;

	if (p->depth == ASSERT_DEPTH_MAX)
		return complain(p, p->at, "too deep: this is more than anybody reads");
	p->depth++;
	skip_space(p);
	opened = p->at;
	if (take(p, "!")) {
		good = one(p, &not .left) && node_new(p, not, out);
	} else if (take(p, "(")) {
		good = either(p, out);
		if (good && !take(p, ")"))
			good = complain(p, opened, "this '(' is not closed");
	} else {
		good = compare(p, out);
	}
	p->depth--;
	return good;
}

static bool both(struct parser *p, size_t *out)
{
	struct node node = { .kind = NODE_AND };

	if (!one(p, out))
		return false;
	while (take(p, "&&")) {
		node.left = *out;
		if (!one(p, &node.right) || !node_new(p, node, out))
			return false;
	}
	return true;
}

static bool either(struct parser *p, size_t *out)
{
	struct node node = { .kind = NODE_OR };

	if (!both(p, out))
		return false;
	while (take(p, "||")) {
		node.left = *out;
		if (!both(p, &node.right) || !node_new(p, node, out))
			return false;
	}
	return true;
}

struct assertion *assertion_parse(struct span text, char *error, size_t error_size)
{
	struct assertion *a = memory_new(1, sizeof *a);
	struct parser p = { .into = a, .error = error, .error_size = error_size };
	size_t root;

	if (text.length > ASSERT_LENGTH_MAX || memchr(text.at, 0, text.length)) {
		text_format(error, error_size, "longer than %d letters, or with a zero byte in it", ASSERT_LENGTH_MAX);
		goto failed;
	}
	/* So that no error can show what a terminal obeys. */
	for (size_t i = 0; i < text.length; i++) {
		if ((text.at[i] < ' ' && text.at[i] != '\t' && text.at[i] != '\n') || text.at[i] > '~') {
			text_format(error, error_size, "letter %zu is none that an assertion is made of", i + 1);
			goto failed;
		}
	}
	text_copy_span(a->text, sizeof a->text, text);
	p.text = a->text;
	p.length = text.length;
	metrics_names(&p.names);
	if (!either(&p, &root))
		goto failed;
	skip_space(&p);
	if (p.at < p.length) {
		complain(&p, p.at, "&& or || is wanted here, or the end");
		goto failed;
	}
	check(root == a->count - 1);
	return a;
failed:
	free(a);
	return NULL;
}

void assertion_free(struct assertion *a)
{
	free(a);
}

static bool value_of(const struct side *side, const struct stress_metrics *m, double *out)
{
	const struct stress_metric *metric;

	*out = side->value;
	if (!side->name[0])
		return true;
	metric = metrics_find(m, side->name, NULL);
	check(metric);
	*out = metric->value;
	return metric->known;
}

static enum assertion_answer judge_comparison(const struct node *n, const struct stress_metrics *m)
{
	double a, b;
	bool holds;

	if (!value_of(&n->sides[0], m, &a) || !value_of(&n->sides[1], m, &b))
		return ASSERTION_UNKNOWN;
	switch (n->comparison) {
	case EQUAL:
		holds = a >= b && a <= b;
		break;
	case NOT_EQUAL:
		holds = a < b || a > b;
		break;
	case LESS:
		holds = a < b;
		break;
	case LESS_EQUAL:
		holds = a <= b;
		break;
	case MORE:
		holds = a > b;
		break;
	default:
		holds = a >= b;
		break;
	}
	return holds ? ASSERTION_HOLDS : ASSERTION_FAILS;
}

static enum assertion_answer join(enum assertion_answer a, enum assertion_answer b, enum assertion_answer decides)
{
	if (a == decides || b == decides)
		return decides;
	return a == ASSERTION_UNKNOWN ? a : b;
}

enum assertion_answer assertion_judge(const struct assertion *a, const struct stress_metrics *m)
{
	enum assertion_answer answers[NODES_MAX];

	for (size_t i = 0; i < a->count; i++) {
		const struct node *n = &a->nodes[i];

		check(n->kind == NODE_COMPARE || (n->left < i && n->right < i));
		switch (n->kind) {
		case NODE_COMPARE:
			answers[i] = judge_comparison(n, m);
			break;
		case NODE_NOT:
			answers[i] = answers[n->left];
			if (answers[i] != ASSERTION_UNKNOWN)
				answers[i] = answers[i] == ASSERTION_HOLDS ? ASSERTION_FAILS : ASSERTION_HOLDS;
			break;
		case NODE_AND:
			answers[i] = join(answers[n->left], answers[n->right], ASSERTION_FAILS);
			break;
		case NODE_OR:
			answers[i] = join(answers[n->left], answers[n->right], ASSERTION_HOLDS);
			break;
		}
	}
	return answers[a->count - 1];
}

size_t assertion_clauses(
	const struct assertion *a, const struct stress_metrics *m, struct assertion_clause out[ASSERT_CLAUSES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct node *n = &a->nodes[i];
		struct assertion_clause *clause = &out[count];
		size_t length = 0;

		if (n->kind != NODE_COMPARE)
			continue;
		count++;
		text_copy_span(clause->text, sizeof clause->text, text_trim(span_of(a->text + n->from, n->length)));
		clause->seen[0] = 0;
		clause->answer = judge_comparison(n, m);
		for (int side = 0; side < 2; side++) {
			char value[40];

			if (!n->sides[side].name[0])
				continue;
			metric_text(value, sizeof value, metrics_find(m, n->sides[side].name, NULL));
			length += text_format(clause->seen + length, sizeof clause->seen - length, "%s%s = %s",
				length ? ", " : "", n->sides[side].name, value);
		}
	}
	return count;
}
