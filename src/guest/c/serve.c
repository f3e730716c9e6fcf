/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The smallest server of a unikernel: `serve PORT` prints a line, then answers every HTTP request
 * on that TCP port with it.
 */
#include "greeting.h"
#include "sys.h"

static const char RESPONSE[] = "HTTP/1.0 200 OK\r\n"
			       "Content-Type: text/plain\r\n"
			       "Content-Length: 29\r\n"
			       "Connection: close\r\n"
			       "\r\n";
_Static_assert(sizeof(GREETING) - 1 == 29, "the Content-Length above");

static int fail(const char *step)
{
	write_all(2, "serve: cannot ", 14);
	write_all(2, step, length(step));
	write_all(2, "\n", 1);
	return 1;
}

static int port_of(const char *text)
{
	long port = 0;
	for (; *text >= '0' && *text <= '9' && port < 65536; text++)
		port = port * 10 + (*text - '0');
	return *text == 0 && port > 0 && port < 65536 ? (int)port : -1;
}

/* Reads a request up to the empty line that ends its head, or as far as it comes. */
static void read_head(int connection)
{
	char bytes[512];
	int newlines = 0;
	for (;;) {
		long count = sys(SYS_read, connection, bytes, sizeof bytes);
		if (count <= 0)
			return;
		for (long i = 0; i < count; i++) {
			if (bytes[i] == '\n')
				newlines++;
			else if (bytes[i] != '\r')
				newlines = 0;
			if (newlines == 2)
				return;
		}
	}
}

static int serve(int port)
{
	enum { SOL_SOCKET = 1, SO_REUSEADDR = 2, SHUT_WR = 1 };
	struct sockaddr_in any = { .family = AF_INET, .port = big_endian((u16)port) };
	int one = 1;
	int listener = (int)sys(SYS_socket, AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		return fail("open a socket: CONFIG_NET and CONFIG_INET are needed");
	sys(SYS_setsockopt, listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (sys(SYS_bind, listener, &any, sizeof any) < 0)
		return fail("bind the port");
	if (sys(SYS_listen, listener, 16) < 0)
		return fail("listen on the port");
	for (;;) {
		int connection = (int)sys(SYS_accept, listener, NULL, NULL);
		if (connection == -EINTR)
			continue;
		if (connection < 0)
			return fail("accept a connection");
		read_head(connection);
		write_all(connection, RESPONSE, sizeof(RESPONSE) - 1);
		write_all(connection, GREETING, sizeof(GREETING) - 1);
		sys(SYS_shutdown, connection, SHUT_WR);
		sys(SYS_close, connection);
	}
}

static int start(int argc, char **argv)
{
	if (write_all(1, GREETING, sizeof(GREETING) - 1) < 0)
		return 1;
	int port = argc < 2 ? -1 : port_of(argv[1]);
	return port < 0 ? fail("read the port: a number from 1 to 65535 is needed") : serve(port);
}
