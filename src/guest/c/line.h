/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A line of the console, put together and written at once. */
#ifndef LUPINE_LINE_H
#define LUPINE_LINE_H

#include "sys.h"

struct line {
	char text[1024];
	size_t used;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->used < sizeof(line->text) - 1)
		line->text[line->used++] = *text++;
}

static void add_number(struct line *line, long number)
{
	char digits[21];
	size_t at = sizeof digits;
	u64 rest = number < 0 ? (u64)-number : (u64)number;
	digits[--at] = 0;
	do
		digits[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		digits[--at] = '-';
	add(line, digits + at);
}

static void print(struct line *line)
{
	line->text[line->used++] = '\n';
	write_all(1, line->text, line->used);
}

#endif
