# Pipes, substitutions, coprocesses, traps and jobs.
for i in {1..60}; do x=$(echo "$i" | { read -r n; echo $((n + 1)); }); done
echo "$x"
coproc cat
echo through >&"${COPROC[1]}"
read -r line <&"${COPROC[0]}"
echo "$line"
trap 'echo caught' USR1
kill -USR1 $$
sleep 60 &
kill $!
wait $!
echo "ended $?"
seq 300 | sort -R | sort -n | md5sum
seq 1 100 | xargs -P 4 -n 7 echo | tr ' ' '\n' | sort -n | paste -s -d+ | cut -c1-40
diff <(seq 1 5) <(seq 1 2 5)
mapfile -t lines < <(printf 'a\nb\nc\n')
echo "${#lines[@]}"
