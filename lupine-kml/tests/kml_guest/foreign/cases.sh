#!/bin/bash
# Runs programs that others wrote, with the tests that came with them, and says how each case ended:
#
#   cases.sh SUITE|SUITE/CASE...
#
# A line "case SUITE/CASE RESULT" for each; what a tool printed goes before it, behind "| ". At the
# end: "cases done". Of a suite it leaves out the cases that the file $CASES_LEFT_OUT names, one a line, a
# reason behind each.
export LC_ALL=C HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Python's own regression tests, in a process each. What a test needs of hardware, network or
# hours it leaves out itself, by default; but on a virtual machine a test of its sockets waits for the
# host for good.
python_list() {
	(cd /usr/lib/python3.11/test && ls -d test_*.py test_*/) | sed 's/\.py$//; s,/$,,' | sort -u
}
python_case() {
	(cd /tmp && timeout -k 5 "${CASE_LIMIT:-600}" python3 -m test -v -i "*VSOCK*" "$1") < /dev/null 2>&1 |
		sed -n 's/^Ran \([0-9]*\) tests\? in.*/ran \1/p; /^OK\( (.*)\)\?$/p; /^FAILED (.*)$/p
			s/^Tests result: //p; s/^\(FAIL\|ERROR\): \([^ ]*\) .*/\1:\2/p' | sort | tr '\n' ,
}

# Perl's own tests, by the installed perl: of each how many of its checks passed, failed and were
# skipped.
perl_list() {
	(cd /perl/t && ls {base,cmd,comp,io,op,re,uni,mro,lib}/*.t)
}
perl_case() {
	{
		(cd /perl/t && timeout -k 5 "${CASE_LIMIT:-300}" ./perl "$1" < /dev/null 2> /dev/null)
		echo "status $?"
	} | awk '/^ok .*# *(skip|SKIP)/ { skipped++; next } /^not ok .*# *[Tt][Oo][Dd][Oo]/ { todo++; next }
		/^ok/ { passed++ } /^not ok/ { failed++ } /^status/ { status = $2 }
		END { printf "%d-passed,%d-failed,%d-skipped,%d-todo,status-%d\n",
			passed, failed, skipped, todo, status }'
}

# A tool is a script: how it ended and what it printed are its result.
tools_list() {
	(cd /foreign/tools && ls -- *.sh) | sed 's/\.sh$//'
}
tools_case() {
	local folder said status
	folder=$(mktemp -d /var/tmp/case.XXXXXX)
	chmod 755 "$folder"
	said=$(cd "$folder" && timeout -k 5 "${CASE_LIMIT:-900}" bash "/foreign/tools/$1.sh" < /dev/null 2>&1)
	status=$?
	rm -rf "$folder"
	sed 's/^/| /' <<< "$said" >&3
	echo "status-$status,$(md5sum <<< "$said" | cut -c1-12)"
}

# Each stressor of stress-ng: a few rounds of its work, which it checks itself. What it has to say of a
# machine that lacks something goes before the line.
stress_list() {
	stress-ng --stressors | tr ' ' '\n'
}
stress_case() {
	local folder said status as skipped= apart='unshare --pid --fork --kill-child --mount-proc'
	folder=$(mktemp -d /var/tmp/case.XXXXXX)
	chmod 777 "$folder"
	# Among processes of its own, for some send signals to all that they see; but events of processes are
	# told to the first namespace only. Some will not run as root.
	[ "$1" = netlink-proc ] && apart=
	for as in '' 'setpriv --reuid 65534 --regid 65534 --clear-groups'; do
		said=$(cd "$folder" && $apart $as timeout -k 5 "${CASE_LIMIT:-120}" stress-ng "--$1" 1 "--$1-ops" 20 --timeout 5 --verify \
			--pathological --oomable --vm-bytes 32m --mmap-bytes 32m --malloc-bytes 16m --mremap-bytes 16m \
			--hdd-bytes 8m --iomix-bytes 8m --bigheap-growth 1m < /dev/null 2>&1)
		status=$?
		grep -q 'run as root\|without root' <<< "$said" || break
	done
	rm -rf "$folder"
	grep -v 'dispatching hogs\|second run\|run completed' <<< "$said" | sed 's/^/| /' >&3
	grep -q 'skipping\|skipped\|unsupported' <<< "$said" && skipped=,skipped
	echo "status-$status$skipped"
}

one() {
	local result
	exec 3>&1
	result=$("$1_case" "$2" | tr ' ' - | tr -d '\r')
	echo "case $1/$2 ${result:-none}"
}

# As many at a time as CASES_AT_A_TIME says: most wait more than they work.
start() {
	while [ "$(jobs -rp | wc -l)" -ge "${CASES_AT_A_TIME:-1}" ]; do
		wait -n
	done
	one "$@" &
}

# The cases of a suite, by their names with it.
cases() {
	"$1_list" | sed "s|^|$1/|" | grep -vxFf <(sed '/^#/d; s/ .*//' "${CASES_LEFT_OUT:-/dev/null}")
}

for asked; do
	[ "${asked%%/*}" = "$asked" ] && asked=$(cases "$asked")
	for case in $asked; do
		start "${case%%/*}" "${case#*/}"
	done
done
wait
echo 'cases done'
