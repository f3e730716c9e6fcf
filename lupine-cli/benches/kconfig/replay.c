/*
 * Answers commands from a file instead of running them, so that conf itself can
 * be measured, and compared without waiting for compilers. CONF_ANSWERS names the file: for each command three strings, each
 * ended by a zero byte: the command, what it prints, and what it complains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FILE *replay_popen(const char *command, const char *mode);
int replay_pclose(FILE *stream);

static char *answers;
static size_t size;

static void load(void)
{
	const char *name = getenv("CONF_ANSWERS");
	FILE *file = name ? fopen(name, "r") : NULL;
	long end;

	if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0) {
		perror("CONF_ANSWERS");
		exit(100);
	}
	rewind(file);
	size = end;
	answers = malloc(size + 1);
	if (!answers || fread(answers, 1, size, file) != size)
		exit(100);
	answers[size] = 0;
	fclose(file);
}

FILE *replay_popen(const char *command, const char *mode)
{
	char *at, *text;

	if (!answers)
		load();
	for (at = answers; at < answers + size;) {
		text = at + strlen(at) + 1;
		if (!strcmp(at, command)) {
			fputs(text + strlen(text) + 1, stderr);
			/* No stream can be opened on nothing. */
			if (!*text)
				return fopen("/dev/null", mode);
			return fmemopen(text, strlen(text), mode);
		}
		at = text + strlen(text) + 1;
		at += strlen(at) + 1;
	}
	fprintf(stderr, "no answer to: %s\n", command);
	exit(101);
}

int replay_pclose(FILE *stream)
{
	return fclose(stream);
}
