# nginx with two workers, asked by several clients at a time.
mkdir site logs
seq 5000 > site/page
cat > conf <<CONF
user root;
worker_processes 2;
pid $PWD/pid;
error_log $PWD/logs/error;
events { worker_connections 128; }
http {
	access_log $PWD/logs/access;
	server { listen 127.0.0.1:8080; root $PWD/site; gzip on; gzip_types *; }
}
CONF
nginx -c "$PWD/conf" -e "$PWD/logs/error"; echo "started $?"
python3 - <<'PYTHON'
import hashlib, threading, urllib.request, urllib.error
seen = []
def ask(n):
    for _ in range(n):
        with urllib.request.urlopen("http://127.0.0.1:8080/page", timeout=60) as answer:
            seen.append(hashlib.sha256(answer.read()).hexdigest()[:8])
threads = [threading.Thread(target=ask, args=(25,)) for _ in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(seen), set(seen))
try:
    urllib.request.urlopen("http://127.0.0.1:8080/none", timeout=60)
except urllib.error.HTTPError as error:
    print(error.code)
PYTHON
nginx -c "$PWD/conf" -s reload 2> /dev/null; echo "reloaded $?"
nginx -c "$PWD/conf" -s quit 2> /dev/null; echo "quit $?"
for _ in $(seq 300); do [ -e pid ] || break; sleep 0.1; done
ls pid 2> /dev/null
wc -l < logs/access
grep -e alert -e emerg logs/error
echo ended
