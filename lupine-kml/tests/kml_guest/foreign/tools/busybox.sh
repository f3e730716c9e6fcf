# The static busybox as a shell and by its applets.
busybox sh -c '
for i in $(busybox seq 40); do echo "row $i $((i * i % 17))"; done > rows
busybox sort -n -k3 rows | busybox awk "{ s += \$3 * NR } END { print s }"
busybox tar cf all.tar rows && busybox gzip -c all.tar | busybox gunzip | busybox cmp - all.tar && echo same
busybox sha256sum rows
busybox find . -type f | busybox sort
busybox vi --help 2> /dev/null | busybox head -n 1
busybox dd if=/dev/zero bs=1k count=100 2> /dev/null | busybox md5sum
(busybox sleep 60 & p=$!; kill $p; wait $p; echo "ended $?")
echo "6 7 * p" | busybox dc
echo "2^200" | busybox bc
'
