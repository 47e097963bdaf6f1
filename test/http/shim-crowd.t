#!/usr/bin/perl
# Ten thousand connections that are idle, then ten thousand event streams: others are served beside them, there is
# no thread more, and little memory is taken. The limit of open files must allow it (ulimit -Hn).
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use IPC::Open2;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
use constant CROWD => 10000;
use constant HOLDERS => 4;

my $holder = abs_path(dirname(__FILE__) . '/../bench/floor/connections.pl');
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_ADMIN_PORT => shim_port(), RENTAL_THREADS => 2,
	RENTAL_CLIENT_TIMEOUT => 600000, RENTAL_HEARTBEAT => 600000, RENTAL_DRAIN_TIMEOUT => 600000);
my $account = customer();
my $login = call('POST', '/api/auth/login/', url => $server->{url},
	body => { email => $account->{email}, password => $account->{password} })->{json};

# status NAME: a figure of the server's process
sub status
{
	open my $in, '<', "/proc/$server->{pid}/status" or die "no server: $!";
	my ($value) = join('', <$in>) =~ /^$_[0]:\s+(\d+)/m;
	return $value;
}

sub metric
{
	my ($value) = call('GET', '/metrics', url => $server->{admin})->{text} =~ /^$_[0] (\d+)$/m;
	return $value;
}

# hold IDLE, STREAMS: processes that hold so many in all, each from an address of its own
sub hold
{
	my ($idle, $streams) = map { $_ / HOLDERS } @_;
	my @crowd;

	for my $number (1 .. HOLDERS)
	{
		my $pid = open2(my $out, my $in, 'sh', '-c', 'ulimit -n $(ulimit -Hn) && exec "$@"', 'sh',
			$holder, $server->{url}, $idle, $streams, $login->{access}, '127.0.0.' . (100 + $number));
		push @crowd, { pid => $pid, in => $in, out => $out };
	}
	is(join('', map { readline($_->{out}) // "none\n" } @crowd), "open\n" x HOLDERS, 'all are open');
	return @crowd;
}

sub let_go
{
	for my $holder (@_)
	{
		close $holder->{in};
		waitpid $holder->{pid}, 0;
	}
}

# served NAME: others are, also while a hundred dawdle over their requests
sub served
{
	my ($name) = @_;
	my @slow = map { raw_open($server->{url}) } 1 .. 100;
	my $request = raw_request('GET', '/api/');
	my $good = 0;

	for my $i (0 .. 19)
	{
		print $_ substr $request, $i, 1 for @slow;
		$good++ if call('GET', '/api/examples/', url => $server->{url})->{status} == 200;
		$good++ if call('POST', '/api/examples/', url => $server->{url}, as => $login, body => { name => 'beside' })->{status} == 201;
	}
	is($good, 40, "beside $name and a hundred that dawdle others are served");
	print $_ substr $request, 20 for @slow;
	is(scalar(grep { (raw_read($_) // { status => 0 })->{status} == 200 } @slow), 100, 'and who dawdles in the end');
}

my ($threads, $memory) = (status('Threads'), status('VmRSS'));
my @crowd = hold(CROWD, 0);
cmp_ok(metric('rental_connections'), '>=', CROWD, 'ten thousand connections are open');
my $taken = status('VmRSS') - $memory;
cmp_ok($taken, '<', 100 * 1024, "they take less than 100 MiB: $taken KiB");
served('ten thousand idle connections');
let_go(@crowd);
ok(wait_until(sub { metric('rental_connections') < 50 }, 30), 'they leave nothing behind');

$memory = status('VmRSS');
@crowd = hold(0, CROWD);
is(metric('rental_streams'), CROWD, 'ten thousand streams are open');
$taken = status('VmRSS') - $memory;
my $most = $ENV{SANITIZE} ? 96 : 24;    # AddressSanitizer puts room around everything
cmp_ok($taken / CROWD, '<', $most, "each takes less than $most KiB: $taken KiB");
is(status('Threads'), $threads, 'and there is no thread more');
served('ten thousand streams');
sql("SELECT rental.stream_publish('user:$login->{user}{id}', 'crowd', '{\"n\": 4711}')");
print { $_->{in} } "4711\n" and $_->{in}->flush for @crowd;
my $heard = 0;
$heard += readline($_->{out}) // 0 for @crowd;
is($heard, CROWD, 'all hear an event');
kill 'TERM', $server->{pid};
$server->{asked} = 1;
is(shim_stop($server, 60), 0, 'with ten thousand streams open the server stops by itself');
let_go(@crowd);
sql("DELETE FROM rental.stream_events WHERE type = 'crowd'");

done_testing();
