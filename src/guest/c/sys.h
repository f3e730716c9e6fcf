/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a static program needs in order to speak with Linux on x86-64 without a C library: system
 * calls, the few constants used here (from the kernel's include/uapi), and an entry point.
 */
#ifndef LUPINE_SYS_H
#define LUPINE_SYS_H

#if !defined(__x86_64__) || !defined(__LP64__)
#error "the guest programs are written for x86-64 Linux"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef unsigned long size_t;

#define NULL ((void *)0)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_stat = 4, SYS_fstat = 5,
	SYS_mmap = 9, SYS_munmap = 11, SYS_rt_sigaction = 13,
	SYS_rt_sigprocmask = 14, SYS_ioctl = 16, SYS_access = 21, SYS_dup2 = 33, SYS_pause = 34,
	SYS_nanosleep = 35,
	SYS_getpid = 39, SYS_socket = 41, SYS_accept = 43, SYS_shutdown = 48, SYS_bind = 49,
	SYS_listen = 50, SYS_socketpair = 53,
	SYS_setsockopt = 54, SYS_clone = 56, SYS_fork = 57, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61,
	SYS_kill = 62, SYS_fcntl = 72, SYS_chdir = 80, SYS_mkdir = 83, SYS_symlink = 88,
	SYS_setsid = 112, SYS_setgroups = 116, SYS_setresuid = 117, SYS_setresgid = 119,
	SYS_rt_sigtimedwait = 128, SYS_mknod = 133, SYS_arch_prctl = 158, SYS_sync = 162,
	SYS_mount = 165, SYS_reboot = 169, SYS_sethostname = 170, SYS_pipe2 = 293,
	SYS_prlimit64 = 302, SYS_setpgid = 109, SYS_getppid = 110, SYS_umask = 95,
	SYS_futex = 202, SYS_clock_gettime = 228, SYS_lstat = 6, SYS_readlink = 89, SYS_ptrace = 101,
	SYS_statfs = 137, SYS_openat = 257, SYS_newfstatat = 262, SYS_readlinkat = 267,
	SYS_faccessat = 269, SYS_unshare = 272, SYS_setns = 308, SYS_statx = 332, SYS_clone3 = 435,
	SYS_openat2 = 437, SYS_faccessat2 = 439,
};

/* include/uapi/asm-generic/errno-base.h, errno.h */
enum {
	EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENOEXEC = 8, EAGAIN = 11, ENOMEM = 12,
	EACCES = 13, EBUSY = 16, EEXIST = 17, ENODEV = 19, ENOTDIR = 20, EISDIR = 21,
	EINVAL = 22, ENOTTY = 25, ENOSPC = 28, EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38,
	ELOOP = 40, E2BIG = 7, ELIBBAD = 80, EAFNOSUPPORT = 97, EADDRINUSE = 98, ENETUNREACH = 101,
};

enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_NOCTTY = 0400, O_TRUNC = 01000,
       O_CLOEXEC = 02000000 };
enum { AF_UNIX = 1, AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_CLOEXEC = 02000000 };

struct sockaddr_in {
	u16 family;
	u16 port; /* big-endian */
	u32 address; /* big-endian */
	u8 zero[8];
};

/* The result is negative on failure: -errno. */
#ifdef SYS6_OUT_OF_LINE
/* One site for all calls, as a C library's syscall(3) has it. */
long sys6(long n, long a, long b, long c, long d, long e, long f);
__asm__(".globl sys6\n"
	"sys6:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	ret\n"
	".type sys6, @function\n"
	".size sys6, . - sys6\n");
#else
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#endif
#define SYS_CHOOSE(_0, _1, _2, _3, _4, _5, _6, name, ...) name
#define SYS0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(n, a, b, c, d, e, f) \
	sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* sys(SYS_name, up to six arguments of any scalar type) */
#define sys(...) SYS_CHOOSE(__VA_ARGS__, SYS6, SYS5, SYS4, SYS3, SYS2, SYS1, SYS0, )(__VA_ARGS__)

/* The compiler may call these by itself. */
void *memcpy(void *to, const void *from, size_t count)
{
	u8 *t = to;
	const u8 *f = from;
	while (count--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int value, size_t count)
{
	u8 *t = to;
	while (count--)
		*t++ = (u8)value;
	return to;
}

__attribute__((unused)) static size_t length(const char *text)
{
	size_t n = 0;
	while (text[n])
		n++;
	return n;
}

__attribute__((unused)) static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Writes all of it, or as much as the descriptor takes. */
__attribute__((unused)) static long write_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		long n = sys(SYS_write, fd, bytes, count);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? n : -EIO;
		bytes += n;
		count -= (size_t)n;
	}
	return 0;
}

__attribute__((unused)) static u16 big_endian(u16 value)
{
	return (u16)(value << 8 | value >> 8);
}

/* Called with the initial stack pointer: argc, argv, NULL, envp, NULL. */
static int start(int argc, char **argv);

__attribute__((noreturn, used)) static void start_on(long *stack)
{
	sys(SYS_exit, start((int)stack[0], (char **)(stack + 1)));
	for (;;)
		;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start_on\n"
	"	hlt\n");

#endif
