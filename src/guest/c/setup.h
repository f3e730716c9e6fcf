/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The configuration: a sequence of NUL-terminated fields: a magic word, then directives with
 * their arguments, then "end". Directives are obeyed in order; src/guest/config.rs writes them
 * and documents each.
 */
#ifndef LUPINE_SETUP_H
#define LUPINE_SETUP_H

#include "network.h"

#define CONFIG "/.lupine/init.conf"
#define MAGIC "lupine-init 1"
#define TRACER "/.lupine/trace"

enum { S_IFCHR = 0020000 };

/* A growing list of pointers that ends with NULL, as execve wants it. */
struct list {
	char **items;
	size_t count, room;
};

static struct list arguments, environment;
static u32 *groups;
static size_t group_count, group_room;
static char *directory;
static long user = -1, group = -1;
static long stop_signal = 15; /* SIGTERM */
static int interactive, kernel_mode;

static void *allocate(size_t size)
{
	enum { PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22 };
	long address = sys(SYS_mmap, 0, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
	if (address < 0) {
		optional = 0;
		failed("allocate", "memory", NULL, address);
	}
	return (void *)address;
}

static void push(struct list *list, char *item)
{
	if (list->count + 1 >= list->room) {
		size_t room = list->room ? list->room * 2 : 512;
		char **items = allocate(room * sizeof *items);
		memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = item;
	list->items[list->count] = NULL;
}

/* A number: decimal, octal with a leading zero, or negative. */
static long number(const char *text)
{
	u64 value = 0, base;
	int negative = *text == '-';
	text += negative;
	base = *text == '0' ? 8 : 10;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * base + (u64)(*text - '0');
	return (long)(negative ? -value : value);
}

/* Makes a directory and those above it; what exists is left alone. */
static long make_directories(char *path, long mode)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		sys(SYS_mkdir, path, 0755);
		*at = '/';
	}
	long result = sys(SYS_mkdir, path, mode);
	return result == -EEXIST ? 0 : result;
}

/* mount SOURCE TARGET TYPE FLAGS DATA */
static void do_mount(char **f)
{
	const char *detail = NULL;
	make_directories(f[1], 0755);
	long result = sys(SYS_mount, f[0], f[1], f[2], number(f[3]), *f[4] ? f[4] : NULL);
	if (result >= 0)
		return;
	for (size_t i = 0; result == -ENODEV && i < LENGTH(FILE_SYSTEMS); i++)
		if (equal(f[2], FILE_SYSTEMS[i].type))
			detail = FILE_SYSTEMS[i].option;
	failed("mount", f[1], detail, result);
}

/* mkdir PATH MODE */
static void do_mkdir(char **f)
{
	long result = make_directories(f[0], number(f[1]));
	if (result < 0)
		failed("mkdir", f[0], NULL, result);
}

/* symlink CONTENT PATH */
static void do_symlink(char **f)
{
	long result = sys(SYS_symlink, f[0], f[1]);
	if (result < 0 && result != -EEXIST)
		failed("symlink", f[1], NULL, result);
}

/* chardev PATH MODE MAJOR MINOR */
static void do_chardev(char **f)
{
	long major = number(f[2]), minor = number(f[3]);
	long device = (minor & 0xff) | major << 8 | (minor & ~0xffL) << 12;
	long result = sys(SYS_mknod, f[0], S_IFCHR | number(f[1]), device);
	if (result < 0 && result != -EEXIST)
		failed("mknod", f[0], NULL, result);
}

/* file PATH MODE CONTENT: also sets a value below /proc/sys */
static void do_file(char **f)
{
	long fd = sys(SYS_open, f[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, number(f[1]));
	long result = fd < 0 ? fd : write_all((int)fd, f[2], length(f[2]));
	if (fd >= 0)
		sys(SYS_close, fd);
	if (result < 0)
		failed("write", f[0], NULL, result);
}

/* hostname NAME */
static void do_hostname(char **f)
{
	long result = sys(SYS_sethostname, f[0], length(f[0]));
	if (result < 0)
		failed("set hostname", f[0], NULL, result);
}

/* rlimit RESOURCE SOFT HARD, as numbers; -1 is without limit */
static void do_rlimit(char **f)
{
	u64 limit[2] = { (u64)number(f[1]), (u64)number(f[2]) };
	long result = sys(SYS_prlimit64, 0, number(f[0]), limit, NULL);
	if (result < 0)
		failed("set resource limit", f[0], NULL, result);
}

/* trace, before the first arg: the program runs under the tracer */
static void do_trace(char **f)
{
	(void)f;
	push(&arguments, TRACER);
}

/* deny REFUSAL, after trace and before the first arg: an option of the tracer */
static void do_deny(char **f) { push(&arguments, f[0]); }
static void do_arg(char **f) { push(&arguments, f[0]); }
static void do_env(char **f) { push(&environment, f[0]); }
static void do_cwd(char **f) { directory = f[0]; }

/* user UID GID */
static void do_user(char **f)
{
	user = number(f[0]);
	group = number(f[1]);
}

/* group GID: one supplementary group */
static void do_group(char **f)
{
	if (group_count == group_room) {
		size_t room = group_room ? group_room * 2 : 1024;
		u32 *more = allocate(room * sizeof *more);
		memcpy(more, groups, group_count * sizeof *more);
		groups = more;
		group_room = room;
	}
	groups[group_count++] = (u32)number(f[0]);
}

/* stop SIGNAL: what the program gets when it is asked to end */
static void do_stop(char **f) { stop_signal = number(f[0]); }

/* kml: the program runs in kernel mode, where the kernel has it */
static void do_kml(char **f)
{
	(void)f;
	kernel_mode = 1;
}

/* interactive: the program reads the console */
static void do_interactive(char **f)
{
	(void)f;
	interactive = 1;
}

static const struct {
	const char *name;
	int fields;
	void (*run)(char **fields);
} DIRECTIVES[] = {
	{ "mount", 5, do_mount },     { "mkdir", 2, do_mkdir },
	{ "symlink", 2, do_symlink }, { "chardev", 4, do_chardev },
	{ "file", 3, do_file },	      { "hostname", 1, do_hostname },
	{ "up", 1, do_up },	      { "address", 4, do_address },
	{ "rlimit", 3, do_rlimit },   { "arg", 1, do_arg },
	{ "env", 1, do_env },	      { "cwd", 1, do_cwd },
	{ "user", 2, do_user },	      { "group", 1, do_group },
	{ "stop", 1, do_stop },	      { "kml", 0, do_kml },
	{ "interactive", 0, do_interactive }, { "trace", 0, do_trace },
	{ "deny", 1, do_deny },
};

/* The field at *at, which moves past it; NULL where the configuration ends without one. */
static char *next_field(char **at, char *end)
{
	char *field = *at;
	while (*at < end)
		if (*(*at)++ == 0)
			return field;
	return NULL;
}

static void obey(char *at, char *end)
{
	char *fields[5];
	char *word = next_field(&at, end);
	if (!word || !equal(word, MAGIC))
		failed("read", CONFIG, "it is of another version", -EINVAL);
	while ((word = next_field(&at, end)) && !equal(word, "end")) {
		size_t i;
		if (equal(word, "optional")) {
			optional = 1;
			continue;
		}
		for (i = 0; i < LENGTH(DIRECTIVES); i++)
			if (equal(word, DIRECTIVES[i].name))
				break;
		if (i == LENGTH(DIRECTIVES)) {
			optional = 0;
			failed("read directive", word, CONFIG, -EINVAL);
		}
		for (int n = 0; n < DIRECTIVES[i].fields; n++) {
			fields[n] = next_field(&at, end);
			if (!fields[n]) {
				optional = 0;
				failed("read", CONFIG, "it is cut short", -EINVAL);
			}
		}
		DIRECTIVES[i].run(fields);
		optional = 0;
	}
	if (!word)
		failed("read", CONFIG, "it is cut short", -EINVAL);
}

/* Reads the whole configuration, of any size, and obeys it. */
static void read_configuration(void)
{
	size_t room = 1 << 16, used = 0;
	char *bytes = allocate(room);
	long fd = sys(SYS_open, CONFIG, O_RDONLY | O_CLOEXEC), count;
	if (fd < 0)
		failed("open", CONFIG, NULL, fd);
	while ((count = sys(SYS_read, fd, bytes + used, room - used)) > 0) {
		used += (size_t)count;
		if (used == room) {
			char *larger = allocate(room * 2);
			memcpy(larger, bytes, used);
			bytes = larger;
			room *= 2;
		}
	}
	if (count < 0)
		failed("read", CONFIG, NULL, count);
	sys(SYS_close, fd);
	obey(bytes, bytes + used);
}

#endif
