#!/bin/bash
# The first process of a guest: runs cases, and ends the machine. What the kernel's command line says of
# "cases=A,B", CASE_LIMIT and CASES_AT_A_TIME is in the environment.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CASES_LEFT_OUT=/foreign/guest.left-out
exec < /dev/null > /dev/console 2>&1
. /foreign/machine.sh
bash /foreign/cases.sh ${cases//,/ }
cat /proc/kml
busybox reboot -f
