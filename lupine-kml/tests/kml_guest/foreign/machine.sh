# Makes a kernel that has just started a machine for Debian's programs.
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t debugfs debugfs /sys/kernel/debug 2> /dev/null
mkdir -p /dev/pts /dev/shm
busybox mount -t devpts devpts /dev/pts
busybox mount -t tmpfs tmpfs /dev/shm
busybox mount -t tmpfs tmpfs /tmp
busybox mount -t tmpfs tmpfs /run
ln -sf /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -sf /proc/self/fd/${n%:*} /dev/${n#*:}; done
busybox hostname guest 2> /dev/null
busybox ip link set lo up
if busybox ip link set eth0 up 2> /dev/null; then
	busybox ip address add 10.0.2.15/24 dev eth0
	busybox ip route add default via 10.0.2.2
fi
