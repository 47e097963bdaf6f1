#!/usr/bin/perl
# The server is told to stop while it has work: what has arrived is answered, streams end, and nothing keeps it.
# A drain time of ten minutes shows that it stops because all is done, not because its time is up.
use strict;
use warnings;
use RentalTest;
use IO::Select;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE'; # a server that closes a connection ends no test

my %patient = (RENTAL_RATE_LIMITS => 'off', RENTAL_THREADS => 2, RENTAL_DRAIN_TIMEOUT => 600000, RENTAL_CLIENT_TIMEOUT => 600000);
use constant STOPS => 60; # seconds within which it must stop

sub metric
{
	my ($server, $name) = @_;
	my ($value) = call('GET', '/metrics', url => $server->{admin})->{text} =~ /^\Q$name\E (-?\d+)$/m;
	return $value;
}

# Under load: clients that keep their connection, clients that open one for each request, and some that write

my $customer = customer();
for my $round (1 .. 5)
{
	my $server = shim_start(%patient);
	my $login = call('POST', '/api/auth/login/', url => $server->{url},
		body => { email => $customer->{email}, password => $customer->{password} })->{json};
	my $clients = load($server, 12, 30, sub {
		my ($client, $turn) = @_;
		return raw_request('POST', '/api/examples/', as => $login, body => { name => "stop $round" }) if $client % 4 == 3;
		return raw_request('GET', '/api/examples/', headers => [ $client % 2 ? 'Connection: close' : () ]);
	});
	sleep 0.5;
	kill 'TERM', $server->{pid};
	$server->{asked} = 1;
	my ($count, $created) = results($clients);
	is($count->{lost} // 0, 0, "round $round: no request was lost by the stop")
	  or diag(join ', ', map { "$_: $count->{$_}" } sort keys %$count);
	is($count->{refused}, 12, 'every client was refused in the end');
	cmp_ok($count->{$_} // 0, '>', 10, "many were answered with $_ before") for 200, 201;
	is(sql("SELECT count(*) FROM rental.examples WHERE name = 'stop $round' AND owner_id = '$customer->{user}{id}'"), scalar @$created,
		'what was made is what was said to be made');
	is(shim_stop($server, STOPS), 0, 'the server stops by itself');
	sql("DELETE FROM rental.examples WHERE name LIKE 'stop %'");
}

# Streams: two hundred that are read, and some that are not, whose account is told more than fits

my $server = shim_start(%patient, RENTAL_ADMIN_PORT => shim_port(), RENTAL_HEARTBEAT => 600000);

sub account
{
	my $account = customer();
	return call('POST', '/api/auth/login/', url => $server->{url},
		body => { email => $account->{email}, password => $account->{password} })->{json};
}

sub follow
{
	my ($account, $buffer) = @_;
	my $socket = raw_open($server->{url});

	setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $buffer if $buffer;
	print $socket raw_request('GET', '/api/notify/stream/', as => $account);
	return { socket => $socket, text => '', select => IO::Select->new($socket) };
}

# seen TEXT, STREAM...: how many of the streams say that.
sub seen
{
	my ($wanted, @streams) = @_;
	my $end = time + 20;
	my $seen = 0;

	for my $stream (@streams)
	{
		while (index($stream->{text}, $wanted) < 0)
		{
			my $left = $end - time;
			last if $left <= 0 || !$stream->{select}->can_read($left);
			last if !sysread $stream->{socket}, $stream->{text}, 65536, length $stream->{text};
		}
		$seen++ if index($stream->{text}, $wanted) >= 0;
	}
	return $seen;
}

# publish ACCOUNT, COUNT, SIZE: so many events of that size, which commit together
sub publish
{
	my ($account, $count, $size) = @_;
	sql("SELECT count(rental.stream_publish('user:$account->{user}{id}', 'filler', jsonb_build_object('n', n, 'x', repeat('z', $size))))
		FROM generate_series(1, $count) n");
}

my ($good, $lazy) = map { account() } 1 .. 2;
my @read = map { follow($good) } 1 .. 200;
is(seen("\nid: ", @read), 200, 'two hundred streams are open');
publish($good, 100, 300);
is(seen('"n": 100,', @read), 200, 'many events at once reach all');
is(scalar(grep { join(' ', $_->{text} =~ /"n": (\d+)/g) ne join(' ', 1 .. 100) } @read), 0, 'each, in order');
is(metric($server, 'rental_streams_dropped_total'), 0, 'who reads is not dropped');

my @unread = map { follow($lazy, 4096) } 1 .. 31;
is(seen("\nid: ", @unread), 31, 'thirty-one are open whose readers read no more');
my $told = 0;
while ($told < 2000 && metric($server, 'rental_streams_dropped_total') < 30)
{
	publish($lazy, 20, 6900);
	$told += 20;
	close shift(@unread)->{socket} if $told == 20;
}
is(metric($server, 'rental_streams_dropped_total'), 30, 'they are dropped when too much waits for them, save one that left before');
ok(wait_until(sub { metric($server, 'rental_streams') == 200 }, 20), 'and gone');
push @unread, map { follow($lazy, 4096) } 1 .. 3;
is(seen("\nid: ", @unread[ -3 .. -1 ]), 3, 'others come');
publish($lazy, 20, 6900) for 1 .. 30;
kill 'TERM', $server->{pid};
$server->{asked} = 1;
is(seen("\r\n0\r\n\r\n", @read), 200, 'when the server stops, streams end in order');
is(shim_stop($server, STOPS), 0, 'and neither they nor who does not read keep it');
sql("DELETE FROM rental.stream_events WHERE type = 'filler'");

done_testing();
