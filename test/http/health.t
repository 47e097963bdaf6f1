#!/usr/bin/perl
# The server under bad weather: clients that leave, a database that stalls or goes away, and its own end.
use strict;
use warnings;
use IO::Socket::INET;
use RentalTest;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

my $pid = $ENV{RENTAL_SHIM_PID} or die "RENTAL_SHIM_PID is not set: run this by `make check`\n";
my $orders = '/api/orders/orders/';

# Health

is_deeply(expect(call('GET', '/healthz'), 200, 'it is alive'), { status => 'alive' }, 'and says so');
is_deeply(expect(call('GET', '/readyz'), 200, 'it is ready'), { status => 'ready', version => sql('SELECT rental.version()') },
	'and says in which version');

# Clients that leave in the middle

my $customer = customer();
my $vendor = vendor();
my $product = product($vendor, 1000);

sub descriptors { return scalar(() = glob "/proc/$pid/fd/*") }

# busy: what the servers are doing in the database, or have left open there
sub busy { return sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rental_shim' AND state <> 'idle'") }

call('GET', $_) for ('/api/catalog/products/') x 20;
my $files = descriptors();
cmp_ok($files, '>', 5, 'the descriptors of the server can be counted');
my $order = raw_request('POST', $orders, as => $customer, body => order_body($product));
my $login = raw_request('POST', '/api/auth/login/', body => { email => $customer->{email}, password => random_text(16) });
my $read = raw_request('GET', '/api/catalog/products/?page_size=100');
my @moments = (
	substr($read, 0, 10), substr($read, 0, -2), $read, $read x 20, substr($order, 0, -5), $order, $login, '',
	raw_request('GET', '/api/users/me/', as => $customer), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
for my $n (0 .. 199)
{
	my $socket = raw_open();
	syswrite $socket, $moments[ $n % @moments ];
	# half of them wait for the server to begin; every other one leaves with a reset
	sleep 0.002 if int($n / @moments) % 2;
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $n % 3;
	close $socket;
}
ok(kill(0, $pid), 'the server survives 200 clients that leave in the middle');
expect(call('GET', '/readyz'), 200, 'it is ready');
ok(wait_until(sub { busy() == 0 }), 'nothing is left running in the database');
ok(wait_until(sub { descriptors() <= $files }, 5), 'and no connection is left open') or diag(descriptors(), " instead of $files");
is((grep { call('GET', '/api/users/me/', as => $customer)->{json}{id} ne $customer->{user}{id} } 1 .. 50), 0, 'everybody gets their own answers');
is(sql("SELECT count(*) FROM rental.reservations r WHERE product_id = '$product->{id}'"),
	sql("SELECT count(*) FROM rental.order_items WHERE product_id = '$product->{id}'"), 'an order is done in full or not at all');
is(sql('SELECT count(*) FROM rental.stock_verify()'), 0, 'the stock is sound');

# The log: every request, and nothing that lets a reader in

my $id = 'log-' . random_text(12);
expect(call('GET', '/api/users/me/', as => $customer, headers => { 'X-Request-Id' => $id }), 200, 'a request with a name');
my $log;
ok(wait_until(sub {
	open my $in, '<:raw', $ENV{RENTAL_SHIM_LOG} or die "$ENV{RENTAL_SHIM_LOG}: $!";
	local $/;
	$log = <$in>;
	return $log =~ /^\{.*"\Q$id\E".*\}$/m;
}), 'is found in the log');
unlike($log, qr/\Q$customer->{$_}\E/, "the $_ is not") for qw(access refresh password);

# A server of its own, so that nobody else waits

my $shim = shim_start(RENTAL_STATEMENT_TIMEOUT => 300, RENTAL_DRAIN_TIMEOUT => 5000);

sub server { return (url => $shim->{url}) }

# while_locked ORDER, CODE: the order's row is locked while the code runs, and free again afterwards.
sub while_locked
{
	my ($order, $code) = @_;
	sql("BEGIN; SELECT FROM rental.orders WHERE id = '$order->{id}' FOR UPDATE");
	my @result = eval { $code->() };
	my $failed = $@;
	sql('ROLLBACK');
	die $failed if $failed;
	return @result;
}

sub waiting { return sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rental_shim' AND wait_event_type = 'Lock'") }

# The server's tokens are its own.
my $session = call('POST', '/api/auth/login/', server(), body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $placed = place($customer, $product);
my $slow;
my $started = time;
my $before = snapshot();
while_locked($placed, sub { $slow = call('POST', "$orders$placed->{id}/confirm/", server(), as => $session) });
refused($slow, $before, 504, 'timed_out', undef, 'a database that stalls is a time-out');
cmp_ok(time - $started, '<', 3, 'in time');
is(call('POST', "$orders$placed->{id}/confirm/", server(), as => $session)->{status}, 200, 'after which all is well');

# One stalled request holds up nobody else.
my $next = place($customer, $product);
while_locked($next, sub {
	my $socket = raw_open($shim->{url});
	print $socket raw_request('POST', "$orders$next->{id}/confirm/", as => $session);
	ok(wait_until(sub { waiting() > 0 }), 'a request waits');
	is((grep { call('GET', '/api/users/me/', server(), as => $session)->{status} != 200 } 1 .. 10), 0, 'the others do not');
	is(call('POST', '/api/examples/', server(), as => $session, body => { name => 'x' })->{status}, 201, 'writers neither');
	is(raw_read($socket)->{status}, 504, 'it times out');
});

# The database closes the connections.
my $mine = sql("SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = 'rental_shim'");
cmp_ok(sql("SELECT cardinality('$mine'::integer[])"), '>=', 8, 'the servers have connections');
sql("SELECT pg_terminate_backend(p) FROM unnest('$mine'::integer[]) p");
my %seen;
ok(wait_until(sub { $seen{ my $status = call('GET', '/readyz', server())->{status} }++; $status == 200 && busy() == 0
			&& sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rental_shim'") >= 8 }, 10),
	'closed connections are made again');
is(join(' ', grep { !/^(?:200|503)$/ } keys %seen), '', 'until then it is not ready, and says so');
for my $where ($shim->{url}, $ENV{RENTAL_URL})
{
	ok(wait_until(sub { call('GET', '/api/examples/', url => $where)->{status} == 200 }, 10), 'reads work again');
	my $who = $where eq $shim->{url} ? $session : $vendor;
	ok(wait_until(sub { call('POST', '/api/examples/', url => $where, as => $who, body => { name => 'y' })->{status} == 201 }, 10), 'and writes');
}
ok(wait_until(sub { call('POST', '/api/auth/login/', url => $ENV{RENTAL_URL},
			body => { email => $vendor->{email}, password => $vendor->{password} })->{status} == 200 }, 10), 'and passwords');
is(shim_stop($shim), 0, 'it ends well');

# Its end

$shim = shim_start(RENTAL_STATEMENT_TIMEOUT => 10000, RENTAL_REQUEST_TIMEOUT => 15000, RENTAL_DRAIN_TIMEOUT => 10000);
$session = call('POST', '/api/auth/login/', server(), body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $last = place($customer, $product);
my $idle = raw_open($shim->{url});
print $idle raw_request('GET', '/healthz');
is(raw_read($idle)->{status}, 200, 'a connection is open and idle');
my $busy = raw_open($shim->{url});
while_locked($last, sub {
	print $busy raw_request('POST', "$orders$last->{id}/confirm/", as => $session);
	ok(wait_until(sub { waiting() > 0 }), 'a request is under way');
	kill 'TERM', $shim->{pid};
	$shim->{asked} = 1;
	is(raw_read($idle), undef, 'asked to end, it closes what is idle');
	ok(wait_until(sub { !IO::Socket::INET->new(PeerAddr => $shim->{url} =~ s{^http://}{}r, Timeout => 1) }, 3), 'it takes nothing new');
	ok(kill(0, $shim->{pid}), 'but it waits for what is under way');
});
my $answer = raw_read($busy);
is_deeply([ $answer->{status}, $answer->{json}{status} ], [ 200, 'confirmed' ], 'which is answered');
is(shim_stop($shim), 0, 'then it ends well');
ok(wait_until(sub { busy() == 0 }), 'and leaves nothing in the database');

# An end that cannot wait
$shim = shim_start(RENTAL_DRAIN_TIMEOUT => 200, RENTAL_STATEMENT_TIMEOUT => 10000, RENTAL_REQUEST_TIMEOUT => 15000);
$session = call('POST', '/api/auth/login/', server(), body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $cut = place($customer, $product);
while_locked($cut, sub {
	my $socket = raw_open($shim->{url});
	print $socket raw_request('POST', "$orders$cut->{id}/confirm/", as => $session);
	ok(wait_until(sub { waiting() > 0 }), 'a request is under way that does not end');
	$started = time;
	is(shim_stop($shim, 5), 0, 'it ends all the same');
	cmp_ok(time - $started, '<', 3, 'when the time for that is up');
});

# A server that cannot start says why.
for my $wrong ([ RENTAL_JWT_SECRET_FILE => '/nonexistent' ], [ RENTAL_THREADS => 'many' ], [ RENTAL_DATABASE_URL => '' ])
{
	my ($name, $value) = @$wrong;
	local %ENV = (PATH => $ENV{PATH}, RENTAL_DATABASE_URL => 'postgresql:///x', RENTAL_JWT_SECRET_FILE => $shim->{key}->filename, $name => $value);
	my $said = `exec '$shim->{binary}' --check-config 2>&1`;
	is($? >> 8, 2, "$name=$value is refused");
	like($said, qr/^rental-shim: .*\Q$name\E.*\n\z/, 'in a line that names it');
}

expect(call('GET', '/readyz'), 200, 'the server of all tests is ready');

done_testing;
