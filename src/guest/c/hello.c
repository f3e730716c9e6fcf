/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The smallest application of a unikernel: prints a line and ends. */
#include "greeting.h"
#include "sys.h"

static int start(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return write_all(1, GREETING, sizeof(GREETING) - 1) < 0;
}
