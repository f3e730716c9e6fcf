/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Network interfaces by ioctl, so that the guest needs neither netlink nor IP_PNP.
 */
#ifndef LUPINE_NETWORK_H
#define LUPINE_NETWORK_H

#include "report.h"

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
	if (fd >= 0)
		sys(SYS_close, fd);
}

#endif
