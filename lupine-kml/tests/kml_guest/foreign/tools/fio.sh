# Every block that is written is read again and compared.
job() {
	fio --name="$1" --directory=. --size=2m --verify=crc32c --verify_fatal=1 --randseed=7 --output-format=terse "${@:2}" > said 2>&1
	echo "$1 $?"
	rm -f "$1".*
}
for engine in sync psync vsync pvsync pvsync2 mmap posixaio libaio; do
	job $engine --ioengine=$engine --rw=randwrite --bs=4k
done
job mixed --rw=randrw --bsrange=1k-64k --ioengine=psync --numjobs=3
job threads --rw=write --bs=8k --ioengine=psync --thread --numjobs=4
job synced --rw=randwrite --bs=4k --ioengine=psync --fsync=8 --size=512k
