#!/bin/bash
# The first process of a guest: nginx and redis for a load from outside, beside stressors in here.
# A line "phase NAME" when one begins: load (shortly, to fill what is filled once), quiet, load (for
# "minutes=N" of the kernel's command line, which is in the environment), quiet, end. In the quiet, a
# line "memory" with the KiB that are free, in slabs, kernel stacks and page tables.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec < /dev/null > /dev/console 2>&1
. /foreign/machine.sh

mkdir -p /tmp/site /var/log/nginx
seq 2000 > /tmp/site/page
cat > /tmp/nginx.conf <<'CONF'
user www-data;
worker_processes 2;
events { worker_connections 256; }
http { access_log off; server { listen 80; root /tmp/site; } }
CONF
chmod -R a+rX /tmp/site
nginx -c /tmp/nginx.conf || echo 'fault: nginx did not start'
redis-server --bind 0.0.0.0 --protected-mode no --save '' --daemonize yes --logfile /tmp/redis.log > /dev/null ||
	echo 'fault: redis did not start'

stressors=(brk clone context epoll eventfd exec fault fifo fork fp-error futex get hdd iomix itimer kill
	madvise malloc mmap mmapfork mprotect mq mremap msg nanosleep pipe poll pthread sem sem-sysv shm sigabrt
	sigchld sigfpe sigfd sigq sigrt sigsegv sigsuspend sock sockpair splice stack switch tee timer timerfd
	udp utime vfork vm wait yield zombie)

# Three stressors at a time until the end of the phase.
stress() {
	local until=$((SECONDS + $1)) chosen=() said
	while [ $SECONDS -lt $until ]; do
		chosen=($(shuf -n 3 -e "${stressors[@]}"))
		said=$(cd /var/tmp && stress-ng $(printf -- '--%s 1 ' "${chosen[@]}") --vm-bytes 32m --mmap-bytes 32m --hdd-bytes 8m \
			--iomix-bytes 8m --malloc-bytes 16m --mremap-bytes 16m --timeout 15 --verify 2>&1)
		case $? in
		0) echo "stressed ${chosen[*]}" ;;
		*) echo "fault: stress-ng ${chosen[*]}: $said" ;;
		esac
	done
}

quiet() {
	echo 'phase quiet'
	sleep 15
	sync
	echo 3 > /proc/sys/vm/drop_caches
	sleep 5
	awk '{ sub(":", "", $1); of[$1] = $2 }
		END { print "memory", of["MemFree"], of["Slab"], of["KernelStack"], of["PageTables"] }' /proc/meminfo
}

echo 'phase load'
stress 90
quiet
echo 'phase load'
stress $((minutes * 60))
quiet
echo 'phase end'
[ "$(pgrep -c nginx)" = 3 ] || echo 'fault: a process of nginx is gone'
[ "$(redis-cli ping)" = PONG ] || echo 'fault: redis is gone'
cat /proc/kml
busybox reboot -f
