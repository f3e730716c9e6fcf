# A cluster made, filled and changed by several clients, stopped and started again.
bin=$(ls -d /usr/lib/postgresql/*/bin)
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
chown postgres .
as $bin/initdb -D data -A trust -k --no-instructions > initdb 2>&1 || cat initdb
as $bin/pg_ctl -D data -w -t 300 -l log -o "-k $PWD -c listen_addresses='' -c shared_buffers=16MB" start > /dev/null || cat log
client() { as "$bin/$1" -h "$PWD" "${@:2}"; }
client pgbench -q -i -s 1 postgres > /dev/null 2>&1; echo "filled $?"
client pgbench -n -c 3 -t 30 postgres > said 2>&1; echo "changed $?"
grep 'actually processed' said
client psql -At postgres <<'SQL'
SELECT count(*) FROM pgbench_history;
SELECT (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history);
CREATE TABLE t AS SELECT i, md5(i::text) AS h FROM generate_series(1, 3000) i;
CREATE INDEX ON t (h);
SELECT count(*), max(h) FROM t WHERE h < '8';
BEGIN; DELETE FROM t WHERE i % 2 = 0; ROLLBACK;
SELECT count(*) FROM t;
CHECKPOINT;
SQL
as $bin/pg_ctl -D data -w -t 300 -m fast restart -l log > /dev/null; echo "again $?"
client psql -At postgres -c 'SELECT count(*), min(h) FROM t'
client pg_isready | grep -o 'accepting.*'
as $bin/pg_ctl -D data -w -t 300 stop > /dev/null; echo "stopped $?"
as $bin/pg_controldata data | grep 'cluster state'
as $bin/pg_checksums --check -D data 2>&1 | grep 'Bad checksums'
grep PANIC log
echo ended
