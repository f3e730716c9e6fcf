# A server under its own benchmark, its files judged by its own checkers.
redis-server --port 7777 --appendonly yes --save '' --daemonize no > log 2>&1 &
server=$!
for _ in $(seq 300); do
	redis-cli -p 7777 ping > /dev/null 2>&1 && break
	sleep 0.2
done
redis-benchmark -p 7777 -n 2000 -c 10 -q -t set,get,incr,lpush,lpop,sadd,hset,zadd,mset > bench && grep -c 'requests per second' bench
for i in $(seq 50); do echo "SET key:$i value$((i * i))"; done | redis-cli -p 7777 | sort | uniq -c
redis-cli -p 7777 EVAL 'local s = 0 for i = 1, 50 do s = s + #redis.call("get", "key:" .. i) end return s' 0
redis-cli -p 7777 SAVE
redis-cli -p 7777 BGREWRITEAOF
while [ "$(redis-cli -p 7777 INFO persistence | grep -c 'aof_rewrite_in_progress:0')" = 0 ]; do sleep 0.2; done
redis-cli -p 7777 DBSIZE
redis-cli -p 7777 SHUTDOWN
wait $server
echo "ended $?"
redis-check-rdb dump.rdb | grep -o 'RDB looks OK.*'
redis-check-aof appendonlydir/*.manifest | grep -o 'All AOF files.*'
