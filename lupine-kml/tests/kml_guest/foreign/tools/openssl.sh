# Keys, certificates, ciphers, a handshake, and the speed test (its figures are not compared).
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key 2> /dev/null && echo key
openssl req -x509 -new -key key -subj /CN=localhost -days 30 -out cert && echo certificate
seq 2000 > text
openssl dgst -sha256 -sign key -out signature text
openssl x509 -in cert -pubkey -noout > public
openssl dgst -sha256 -verify public -signature signature text
for cipher in aes-256-cbc chacha20 camellia-128-cbc; do
	openssl enc -$cipher -pbkdf2 -iter 100 -pass pass:x -in text -out hidden &&
		openssl enc -d -$cipher -pbkdf2 -iter 100 -pass pass:x -in hidden | cmp - text && echo $cipher
done
for hash in md5 sha1 sha256 sha512 sha3-256 blake2b512 ripemd160; do
	openssl dgst -$hash text 2> /dev/null
done
openssl genrsa 1024 2> /dev/null | openssl rsa -check -noout 2>&1 | head -n 1
openssl prime -generate -bits 64 > /dev/null && echo prime
openssl s_server -quiet -accept 127.0.0.1:4433 -key key -cert cert -www > /dev/null 2>&1 &
server=$!
for _ in $(seq 100); do
	sleep 0.2
	{ printf 'GET / HTTP/1.0\r\n\r\n'; sleep 3; } |
		openssl s_client -quiet -connect 127.0.0.1:4433 -CAfile cert -verify_return_error 2> /dev/null > page
	grep -q 'HTTP/1.0 200' page && break
done
grep -o 'HTTP/1.0 200 ok' page
kill $server
openssl speed -seconds 1 -bytes 1024 sha256 aes-128-cbc ecdsap256 > speed 2> /dev/null && grep -c 256 speed > /dev/null && echo speed
