/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals and their handlers. */
#ifndef LUPINE_SIGNAL_H
#define LUPINE_SIGNAL_H

#include "sys.h"

enum { SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGTRAP = 5, SIGKILL = 9, SIGUSR1 = 10, SIGUSR2 = 12,
       SIGTERM = 15, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGWINCH = 28, SIGPWR = 30 };

/* arch/x86/include/uapi/asm/signal.h */
struct sigaction {
	void (*handler)(int);
	u64 flags;
	void (*restorer)(void);
	u64 mask;
};
enum { SA_RESTORER = 0x04000000 };

void restore(void);
__asm__("restore:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n");

#endif
