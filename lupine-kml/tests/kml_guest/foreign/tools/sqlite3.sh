# A database of some thousand rows, changed by two writers at a time.
sqlite3 base <<'SQL'
PRAGMA journal_mode = WAL;
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
	INSERT INTO t SELECT i, printf('name-%05d', (i * 7919) % 4001), i * 0.5 FROM n;
CREATE INDEX by_name ON t (name);
BEGIN; UPDATE t SET value = value + 1 WHERE id % 3 = 0; DELETE FROM t WHERE id % 10 = 0; COMMIT;
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO words SELECT name || ' of ' || id FROM t WHERE id < 500;
SELECT count(*), sum(value), max(name) FROM t;
SELECT count(*) FROM words WHERE words MATCH 'of';
CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0);
SQL
add() {
	for _ in $(seq 40); do
		sqlite3 -cmd '.timeout 60000' base 'BEGIN IMMEDIATE; UPDATE counter SET n = n + 1; COMMIT'
	done
}
add & add &
wait
sqlite3 base 'SELECT n FROM counter; VACUUM; PRAGMA integrity_check; SELECT json_group_array(id) FROM t WHERE id < 20'
sqlite3 base .dump | md5sum
sqlite3 :memory: '.read /dev/stdin' <<< 'SELECT sqrt(2), upper("lupine"), hex(zeroblob(4));'
