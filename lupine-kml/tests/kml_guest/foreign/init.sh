#!/bin/bash
# The first process of a guest: runs the cases that the kernel's command line names ("cases=A,B"), else
# those of the list beside this file, and ends the machine.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec < /dev/null > /dev/console 2>&1
. /foreign/machine.sh
asked=
for word in $(cat /proc/cmdline); do
	case $word in cases=*) asked=$(tr , ' ' <<< "${word#cases=}") ;; esac
done
bash /foreign/cases.sh ${asked:-$(grep -v '^#' /foreign/guest.list)}
cat /proc/kml
busybox reboot -f
