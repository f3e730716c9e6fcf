/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest's first process: sets the machine up as /.lupine/init.conf says, runs one program,
 * reaps what others leave, reports on the console, and ends the machine.
 *
 * The configuration is a sequence of NUL-terminated fields: a magic word, then directives with
 * their arguments, then "end". Directives are obeyed in order; src/guest/config.rs writes them
 * and documents each.
 *
 * Markers, each on a line of its own, for the program that watches the console:
 *   lupine-init: started
 *   lupine-init: exit status=N
 *   lupine-init: exit signal=N
 *   lupine-init: skipped STEP: REASON
 *   lupine-init: error STEP: REASON
 */
#include "sys.h"

#define CONFIG "/.lupine/init.conf"
#define MAGIC "lupine-init 1"

enum { SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGKILL = 9, SIGUSR1 = 10, SIGUSR2 = 12, SIGTERM = 15,
       SIGCHLD = 17, SIGCONT = 18, SIGWINCH = 28, SIGPWR = 30 };
enum { S_IFCHR = 0020000 };
enum { MS_RDONLY = 1, MS_REMOUNT = 32 };
enum { EXIT_INIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

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
static long kml_option = -1;
static int interactive;
static int optional; /* the directive at hand may fail */
static int is_first; /* process 1 of the machine or of its namespace */
static int failure_status = EXIT_INIT_FAILED;
static int failure_pipe = -1; /* takes a byte when the program cannot be executed */

/* ---- messages ---- */

struct line {
	char text[512];
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

static const struct {
	int number;
	const char *text;
} REASONS[] = {
	{ EPERM, "not permitted" },
	{ ENOENT, "no such file" },
	{ EIO, "input/output error" },
	{ E2BIG, "arguments and environment are too large" },
	{ ENOEXEC, "not an executable format of this kernel (CONFIG_BINFMT_ELF, CONFIG_BINFMT_SCRIPT)" },
	{ ENOMEM, "out of memory" },
	{ EACCES, "permission denied" },
	{ EBUSY, "busy" },
	{ EEXIST, "exists" },
	{ ENODEV, "no such device or file system in this kernel" },
	{ ENOTDIR, "not a directory" },
	{ EISDIR, "a directory" },
	{ EINVAL, "invalid" },
	{ ENOSPC, "no space left" },
	{ EROFS, "read-only file system" },
	{ ENAMETOOLONG, "name too long" },
	{ ENOSYS, "system call missing in this kernel" },
	{ ELOOP, "too many symbolic links" },
	{ ELIBBAD, "broken ELF interpreter" },
	{ EAFNOSUPPORT, "address family missing in this kernel (CONFIG_INET)" },
	{ ENETUNREACH, "network unreachable" },
};

static void add_reason(struct line *line, long error)
{
	for (size_t i = 0; i < LENGTH(REASONS); i++) {
		if (REASONS[i].number == -error) {
			add(line, REASONS[i].text);
			add(line, " ");
		}
	}
	add(line, "(errno ");
	add_number(line, -error);
	add(line, ")");
}

/* What to turn on in the kernel when a mount fails for want of the file system. */
static const struct {
	const char *type, *option;
} FILE_SYSTEMS[] = {
	{ "proc", "CONFIG_PROC_FS" },	 { "sysfs", "CONFIG_SYSFS" },
	{ "tmpfs", "CONFIG_TMPFS" },	 { "devtmpfs", "CONFIG_DEVTMPFS" },
	{ "devpts", "CONFIG_UNIX98_PTYS" }, { "mqueue", "CONFIG_POSIX_MQUEUE" },
	{ "cgroup2", "CONFIG_CGROUPS" }, { "hugetlbfs", "CONFIG_HUGETLBFS" },
};

__attribute__((noreturn)) static void end_machine(void);

/* Reports a step that failed, and ends the machine unless the step is optional. */
static void failed(const char *step, const char *subject, const char *detail, long error)
{
	struct line line = { .used = 0 };
	add(&line, optional ? "lupine-init: skipped " : "lupine-init: error ");
	add(&line, step);
	add(&line, " ");
	add(&line, subject);
	add(&line, ": ");
	add_reason(&line, error);
	if (detail) {
		add(&line, "; ");
		add(&line, detail);
	}
	print(&line);
	if (optional)
		return;
	if (is_first)
		end_machine();
	if (failure_pipe >= 0)
		write_all(failure_pipe, "", 1);
	sys(SYS_exit, failure_status);
}

/* ---- memory ---- */

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

/* ---- small parts ---- */

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

static u32 dotted(const char *text)
{
	u8 bytes[4] = { 0 };
	u32 result;
	for (int i = 0; i < 4; i++) {
		for (; *text >= '0' && *text <= '9'; text++)
			bytes[i] = (u8)(bytes[i] * 10 + (*text - '0'));
		if (*text == '.')
			text++;
	}
	memcpy(&result, bytes, sizeof result);
	return result;
}

static struct sockaddr_in internet(u32 address)
{
	return (struct sockaddr_in){ .family = AF_INET, .address = address };
}

/* include/uapi/linux/if.h */
struct interface_request {
	char name[16];
	union {
		struct sockaddr_in address;
		u16 flags;
		u8 room[24];
	};
};

/* include/uapi/linux/route.h */
struct route_request {
	u64 pad1;
	struct sockaddr_in destination, gateway, mask;
	u16 flags, pad2;
	u64 pad3;
	void *pad4;
	u16 metric;
	char *device;
	u64 mtu, window;
	u16 irtt;
};

enum { SIOCADDRT = 0x890b, SIOCGIFFLAGS = 0x8913, SIOCSIFFLAGS = 0x8914, SIOCSIFADDR = 0x8916,
       SIOCSIFNETMASK = 0x891c };

static struct interface_request request_for(const char *name)
{
	struct interface_request request = { .name = "" };
	size_t n = length(name);
	memcpy(request.name, name, n < 15 ? n : 15);
	return request;
}

/* ---- directives ---- */

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

/* up INTERFACE */
static void do_up(char **f)
{
	enum { IFF_UP = 1 };
	struct interface_request request = request_for(f[0]);
	long fd = sys(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = fd;
	if (result >= 0)
		result = sys(SYS_ioctl, fd, SIOCGIFFLAGS, &request);
	if (result >= 0) {
		request.flags |= IFF_UP;
		result = sys(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
	}
	if (fd >= 0)
		sys(SYS_close, fd);
	if (result < 0)
		failed("bring up", f[0], fd < 0 ? "CONFIG_NET, CONFIG_INET" : NULL, result);
}

/* address INTERFACE ADDRESS NETMASK GATEWAY, all dotted; the gateway may be empty */
static void do_address(char **f)
{
	enum { RTF_UP = 1, RTF_GATEWAY = 2 };
	struct interface_request request = request_for(f[0]);
	struct route_request route = { .destination = internet(0),
				       .gateway = internet(dotted(f[3])),
				       .mask = internet(0),
				       .flags = RTF_UP | RTF_GATEWAY };
	int was_optional = optional;
	long fd = sys(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = fd;
	request.address = internet(dotted(f[1]));
	if (result >= 0)
		result = sys(SYS_ioctl, fd, SIOCSIFADDR, &request);
	request.address = internet(dotted(f[2]));
	if (result >= 0)
		result = sys(SYS_ioctl, fd, SIOCSIFNETMASK, &request);
	if (result < 0) {
		failed("set address of", f[0],
		       result == -ENODEV ? "CONFIG_VIRTIO_NET and its bus" : NULL, result);
	} else {
		do_up(f);
		result = *f[3] ? sys(SYS_ioctl, fd, SIOCADDRT, &route) : 0;
		if (result < 0 && result != -EEXIST)
			failed("set gateway", f[3], NULL, result);
	}
	optional = was_optional;
	if (fd >= 0)
		sys(SYS_close, fd);
}

/* rlimit RESOURCE SOFT HARD, as numbers; -1 is without limit */
static void do_rlimit(char **f)
{
	u64 limit[2] = { (u64)number(f[1]), (u64)number(f[2]) };
	long result = sys(SYS_prlimit64, 0, number(f[0]), limit, NULL);
	if (result < 0)
		failed("set resource limit", f[0], NULL, result);
}

static void do_arg(char **f) { push(&arguments, f[0]); }
static void do_env(char **f) { push(&environment, f[0]); }
static void do_cwd(char **f) { directory = f[0]; }
static void do_kml(char **f) { kml_option = number(f[0]); }

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
	{ "kml", 1, do_kml },	      { "interactive", 0, do_interactive },
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

/* ---- the console ---- */

/* Without a /dev/console in the image the kernel starts us without open files. */
static void open_console(void)
{
	enum { F_GETFD = 1 };
	if (sys(SYS_fcntl, 1, F_GETFD) >= 0)
		return;
	long fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0) {
		sys(SYS_mkdir, "/dev", 0755);
		sys(SYS_mknod, "/dev/console", S_IFCHR | 0600, 5 << 8 | 1);
		fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	}
	if (fd < 0 && sys(SYS_mount, "devtmpfs", "/dev", "devtmpfs", 0, NULL) >= 0)
		fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	for (int target = 0; fd >= 0 && target < 3; target++)
		sys(SYS_dup2, fd, target);
	if (fd > 2)
		sys(SYS_close, fd);
}

/* Makes the console the caller's, so that an interrupt character typed there is a SIGINT. */
static void own_console(void)
{
	enum { TIOCSCTTY = 0x540e };
	sys(SYS_setsid);
	sys(SYS_ioctl, 1, TIOCSCTTY, 0);
}

/* ---- the program ---- */

static void set_identity(void)
{
	long result;
	if (user < 0)
		return;
	result = sys(SYS_setgroups, group_count, groups);
	if (result >= 0)
		result = sys(SYS_setresgid, group, group, group);
	if (result >= 0)
		result = sys(SYS_setresuid, user, user, user);
	if (result < 0 && !(user == 0 && group == 0 && group_count == 0))
		failed("change", "user and groups",
		       result == -ENOSYS ? "CONFIG_MULTIUSER" : NULL, result);
}

static const char *search_path(void)
{
	for (size_t i = environment.count; i-- > 0;) {
		const char *entry = environment.items[i];
		if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H' &&
		    entry[4] == '=')
			return entry + 5;
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Replaces this process by the program; returns the error of the most telling attempt. */
static long execute(void)
{
	char path[4096];
	char *name = arguments.items[0];
	size_t n = length(name);
	long worst = -ENOENT;
	int has_slash = 0;
	for (size_t i = 0; i < n; i++)
		has_slash |= name[i] == '/';
	if (has_slash)
		return sys(SYS_execve, name, arguments.items, environment.items);
	for (const char *at = search_path();;) {
		size_t used = 0;
		for (; *at && *at != ':'; at++)
			if (used < sizeof path)
				path[used++] = *at;
		if (used + 1 + n + 1 <= sizeof path) {
			if (used)
				path[used++] = '/';
			memcpy(path + used, name, n + 1);
			long error = sys(SYS_execve, path, arguments.items, environment.items);
			if (error != -ENOENT && error != -ENOTDIR)
				worst = error;
			else if (sys(SYS_access, path, 0) == 0)
				return error; /* it is there, its interpreter is not */
		}
		if (!*at++)
			return worst;
	}
}

/* In the child: becomes the program, or reports why not. */
__attribute__((noreturn)) static void become_program(u64 no_signals)
{
	long error;
	is_first = 0;
	if (interactive) {
		own_console();
	} else {
		long null = sys(SYS_open, "/dev/null", O_RDONLY);
		sys(SYS_setpgid, 0, 0);
		if (null >= 0)
			sys(SYS_dup2, null, 0);
		if (null > 0)
			sys(SYS_close, null);
	}
	set_identity();
	error = directory ? sys(SYS_chdir, directory) : 0;
	if (error < 0)
		failed("enter", directory, NULL, error);
	enum { SIG_SETMASK = 2 };
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
	sys(SYS_umask, 022);
	/* A kernel without the option refuses, and the program runs in user mode. */
	if (kml_option >= 0)
		sys(SYS_prctl, kml_option, 1, 0, 0, 0);
	error = execute();
	failure_status = error == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	failed("run", arguments.items[0],
	       error == -ENOENT ? "is it in the image, and its loader or #! interpreter?" : NULL,
	       error);
	for (;;)
		sys(SYS_exit, failure_status);
}

static void report_end(int status)
{
	struct line line = { .used = 0 };
	int signal = status & 0x7f;
	add(&line, "\nlupine-init: exit ");
	add(&line, signal ? "signal=" : "status=");
	add_number(&line, signal ? signal : status >> 8 & 0xff);
	print(&line);
}

/* Runs the program, passing signals on to it and reaping every orphan, until it ends. */
static void supervise(void)
{
	static const u8 PASSED_ON[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH,
					SIGCONT };
	enum { SIG_BLOCK = 0, WNOHANG = 1 };
	u64 mask = 1ul << (SIGCHLD - 1) | 1ul << (SIGINT - 1) | 1ul << (SIGPWR - 1);
	int status = 0, failure[2];
	long ended = 0, told;
	char byte;

	for (size_t i = 0; i < LENGTH(PASSED_ON); i++)
		mask |= 1ul << (PASSED_ON[i] - 1);
	sys(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof mask);
	if (!interactive)
		own_console();

	/* The child's end closes when the program is executed, after a byte where it cannot be. */
	long result = sys(SYS_pipe2, failure, O_CLOEXEC);
	if (result < 0)
		failed("open", "a pipe", NULL, result);
	long child = sys(SYS_fork);
	if (child < 0)
		failed("fork", arguments.items[0], NULL, child);
	if (child == 0) {
		failure_pipe = failure[1];
		become_program(0);
	}
	sys(SYS_close, failure[1]);
	while ((told = sys(SYS_read, failure[0], &byte, 1)) == -EINTR)
		;
	sys(SYS_close, failure[0]);
	if (told == 0) {
		struct line line = { .used = 0 };
		add(&line, "lupine-init: started");
		print(&line);
	}
	for (;;) {
		do
			ended = sys(SYS_wait4, -1, &status, WNOHANG, NULL);
		while (ended > 0 && ended != child);
		if (ended == child)
			break;
		long signal = sys(SYS_rt_sigtimedwait, &mask, NULL, NULL, sizeof mask);
		if (signal == SIGINT || signal == SIGPWR)
			sys(SYS_kill, child, SIGTERM); /* the console or the machine asks to end */
		else if (signal > 0 && signal != SIGCHLD)
			sys(SYS_kill, child, signal);
	}
	report_end(status);
}

/* Ends what still runs, writes everything to the disk, and resets the machine. */
static void end_machine(void)
{
	enum { MAGIC1 = (int)0xfee1dead, MAGIC2 = 672274793, RESTART = 0x01234567 };
	enum { WNOHANG = 1 };
	struct { long seconds, nanoseconds; } pause = { 0, 10000000 };
	u64 child_ended = 1ul << (SIGCHLD - 1);

	sys(SYS_kill, -1, SIGTERM);
	for (int i = 0; i < 50; i++) {
		long ended;
		while ((ended = sys(SYS_wait4, -1, NULL, WNOHANG, NULL)) > 0)
			;
		if (ended < 0)
			break; /* nobody is left */
		sys(SYS_rt_sigtimedwait, &child_ended, NULL, &pause, sizeof child_ended);
	}
	sys(SYS_kill, -1, SIGKILL);
	sys(SYS_sync);
	sys(SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	sys(SYS_reboot, MAGIC1, MAGIC2, RESTART, NULL);
	for (;;)
		sys(SYS_exit, EXIT_INIT_FAILED);
}

static int start(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	is_first = 1;
	open_console();
	read_configuration();
	open_console(); /* a mount of /dev may have brought it */
	if (arguments.count == 0)
		failed("read", CONFIG, "it names no program to run", -EINVAL);
	push(&environment, NULL); /* an empty environment is a list, too */
	environment.count--;
	supervise();
	end_machine();
}
