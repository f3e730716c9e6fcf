# Forks, pipes, sockets, alarms and threads of perl.
perl -e '
my $p = fork // die; if (!$p) { exit 7 } waitpid $p, 0; print $? >> 8, "\n";
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 30; }; print $@;
use Socket; socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); syswrite $a, "hello"; sysread $b, my $got, 9; print "$got\n";
use threads; print join(",", map { $_->join } map { my $n = $_; threads->create(sub { $n * $n }) } 1 .. 12), "\n";
use Digest::SHA "sha256_hex"; print sha256_hex("lupine" x 1000), "\n"; print `printf shell`, "\n"; printf "%.15g\n", exp 1;'
