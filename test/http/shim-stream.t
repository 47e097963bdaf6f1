#!/usr/bin/perl
# Server-sent events: nothing missed, nothing twice, no reader waited for.
use strict;
use warnings;
use RentalTest;
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE'; # a server that closes a connection ends no test

my $server = shim_start(RENTAL_HEARTBEAT => 1000, RENTAL_ADMIN_PORT => shim_port(), RENTAL_THREADS => 2);
my $vendor = vendor();
my $login = sub {
	call('POST', '/api/auth/login/', url => $server->{url}, body => { email => $_[0]{email}, password => $_[0]{password} })->{json};
};
my $who = $login->($vendor);
my $topic = "user:$vendor->{user}{id}";
my $shop = "vendor:$vendor->{user}{vendor_id}";

sub publish
{
	my ($to, $type, $data) = @_;
	return sql("SELECT rental.stream_publish('$to', '$type', '$data')");
}

# follow ACCOUNT, [Last-Event-ID], [PATH]: an open stream.
sub follow
{
	my ($account, $last, $path) = @_;
	my $socket = raw_open($server->{url});

	print $socket raw_request('GET', $path // '/api/notify/stream/', as => $account, headers => [ defined $last ? "Last-Event-ID: $last" : () ]);
	return { socket => $socket, text => '', select => IO::Select->new($socket) };
}

# seen STREAM, PATTERN, [SECONDS]: whether the stream has said that in time.
sub seen
{
	my ($stream, $pattern, $seconds) = @_;
	my $end = time + ($seconds // 5);

	until ($stream->{text} =~ $pattern)
	{
		my $left = $end - time;
		return 0 if $left <= 0 || $stream->{closed};
		next unless $stream->{select}->can_read($left);
		$stream->{closed} = 1 if !sysread $stream->{socket}, $stream->{text}, 65536, length $stream->{text};
	}
	return 1;
}

sub events { my @data = $_[0]{text} =~ /^data: (.*)$/mg; return @data }

publish($topic, 'before', '{"n": 0}');
my $stream = follow($who);
ok(seen($stream, qr/^id: (\S+)$/m), 'a stream opens and says where it stands');
like($stream->{text}, qr{^HTTP/1\.1 200 OK\r\n}, 'it is a success');
like($stream->{text}, qr{^content-type: text/event-stream\r$}m, 'of server-sent events');
like($stream->{text}, qr{^cache-control: no-store\r$}m, 'which nothing keeps');
publish($topic, 'order.confirmed', '{"n": 1}');
ok(seen($stream, qr/^id: \S+\nevent: order\.confirmed\ndata: \{"n": 1\}\n\n/m), 'an event arrives');
publish($shop, 'order.placed', '{"n": 2}');
ok(seen($stream, qr/^event: order\.placed$/m), 'so does one of the vendor\'s team');
publish('user:00000000-0000-7000-8000-000000000001', 'other', '{"n": 99}');
sql("BEGIN");
publish($topic, 'never', '{"n": 98}');
sql("ROLLBACK");
publish($topic, 'last', '{"n": 3}');
ok(seen($stream, qr/"n": 3/), 'order is kept');
is(join(' ', events($stream)), '{"n": 1} {"n": 2} {"n": 3}', 'nothing of before, of others, or rolled back');
my ($last) = reverse $stream->{text} =~ /^id: (\S+)$/mg;
like($last, qr/^\d+\.\d+$/, 'the id has a number for each topic');
ok(seen($stream, qr/^:$/m, 4), 'a silent stream has a heartbeat');

# away and back
close $stream->{socket};
publish($topic, 'missed', '{"n": 4}');
publish($shop, 'missed', '{"n": 5}');
$stream = follow($who, $last);
ok(seen($stream, qr/"n": 5/), 'who comes back with the last id gets what it missed');
is(join(' ', sort(events($stream))), '{"n": 4} {"n": 5}', 'all of it, once');
my $nonsense = follow($who, 'x.y');
ok(seen($nonsense, qr/^id: \S+$/m), 'an id that is none begins anew');
is(join(' ', events($nonsense)), '', 'without the past');

# while events come in, others resume: each sees every number once
my $counter = 0;
my @readers;
for my $round (1 .. 40)
{
	publish($topic, 'count', '{"n": ' . (1000 + $round) . '}');
	push @readers, follow($who, $last) if $round % 4 == 0;
}
publish($topic, 'count', '{"n": 2000}');
my $wrong = 0;
for my $reader (@readers)
{
	$wrong++ unless seen($reader, qr/"n": 2000/);
	my @numbers = grep { $_ > 1000 } map { /(\d+)/ } events($reader);
	$wrong++ if join(' ', @numbers) ne join(' ', 1001 .. 1040, 2000);
}
is($wrong, 0, 'ten that resume in the midst of forty events see each once, in order');

# an order's events: for its customer and its vendor's team, from when it is there
my $customer = customer();
my $order = place($customer, product($vendor, 5), quantity => 2);
my $tracking = "/api/orders/tracking/$order->{id}/stream/";
my $act = sub { expect(call('POST', "/api/orders/orders/$order->{id}/$_[1]/", url => $server->{url}, as => $_[0], body => $_[2] // {}), 200, "$_[1]") };
is(sql("SELECT count(*) FROM rental.stream_events WHERE topic = 'order:$order->{id}'"), 0, 'placing tells nobody');
is(call('GET', $tracking, url => $server->{url}, as => $login->(customer()))->{status}, 404, 'nobody else follows an order');
is(call('GET', $tracking, url => $server->{url}, as => $login->(vendor()))->{status}, 404, 'nor another vendor');
is(call('GET', $tracking, url => $server->{url})->{status}, 401, 'nor does nobody');
my $buyer = $login->($customer);
my @sides = map { follow($_, undef, $tracking) } $buyer, $who;
ok(seen($_, qr/^id: \S+$/m), 'an order is followed') for @sides;
$act->($who, 'confirm');
for my $side (@sides)
{
	ok(seen($side, qr/^event: order\.confirmed\ndata: \{"kind":"confirmed","actor_id":"$vendor->{user}{id}","created_at":"[^"]+","data":null\}$/m), 'it is confirmed');
	close $side->{socket};
}
($last) = reverse $sides[0]{text} =~ /^id: (\S+)$/mg;
my $item = { item_id => $order->{items}[0]{id}, quantity => 1 };
$act->($who, 'dispatch');
$act->($who, 'return', { items => [ map { { %$item, condition => 'damaged', reason => "\x{1f4a5}" x 1000 } } 1 .. 2 ] });
my $late = follow($buyer, $last, $tracking);
ok(seen($late, qr/^event: order\.returned\ndata: \{"kind":"returned",.*"data":null\}$/m), 'what is too long for an event is left out, and no reason to refuse the work');
is(join(' ', $late->{text} =~ /^event: (\S+)$/mg), 'order.dispatched order.returned', 'who comes back gets what it missed, once');
close $late->{socket};
($last) = reverse $late->{text} =~ /^id: (\S+)$/mg;
sql("UPDATE rental.stream_events SET created_at = '2020-01-01Z' WHERE topic = 'order:$order->{id}'");
publish($topic, 'sweep', '{"n": 6}');
is(sql("SELECT count(*) FROM rental.stream_events WHERE topic = 'order:$order->{id}' AND created_at < '2021-01-01Z'"), 0, 'what is old is swept');
$act->($who, 'close');
$late = follow($buyer, $last, $tracking);
ok(seen($late, qr/^event: order\.closed$/m), 'who comes back late');
is(join(' ', $late->{text} =~ /^event: (\S+)$/mg), 'order.closed', 'gets what is still there');
ok((sort { $a <=> $b } $last, $late->{text} =~ /^id: (\d+)$/mg)[0] == $last, 'under numbers that do not start again');

# refusals
is(call('GET', '/api/notify/stream/', url => $server->{url})->{status}, 401, 'a stream needs somebody');
ok(defined sql("DO \$\$ BEGIN PERFORM rental.stream_publish('$topic', 'large', jsonb_build_object('x', repeat('y', 7001)));
	RAISE 'accepted'; EXCEPTION WHEN SQLSTATE 'RT422' THEN NULL; END \$\$"), 'a large event is refused');

# the connection that hears of events breaks: streams end, so that clients come back and resume
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rental-shim'");
ok(seen($stream, qr/\r\n0\r\n\r\n$/, 5), 'when events may be missed, a stream ends in order');
my ($resume) = reverse $stream->{text} =~ /^id: (\S+)$/mg;
ok(wait_until(sub { call('GET', '/readyz', url => $server->{url})->{status} == 200 }, 5), 'the server is back');
sleep 0.3;
publish($topic, 'after', '{"n": 3001}');
$stream = follow($who, $resume);
ok(seen($stream, qr/"n": 3001/), 'and nothing is lost');

# a reader that does not read is dropped
my $lazy = follow($who);
seen($lazy, qr/^id:/m);
setsockopt($lazy->{socket}, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096);
my $filler = 'z' x 6900;
for my $round (1 .. 600)
{
	publish($topic, 'flood', "{\"x\": \"$filler\"}");
	next if $round % 50;
	last if call('GET', '/metrics', url => $server->{admin})->{text} =~ /^rental_streams_dropped_total [1-9]/m;
}
# the server may still be behind with what was published
ok(wait_until(sub { call('GET', '/metrics', url => $server->{admin})->{text} =~ /^rental_streams_dropped_total [1-9]/m }, 20),
	'a reader that does not read is dropped');
is(call('GET', '/healthz', url => $server->{url})->{status}, 200, 'and nobody else waits');
sql("DELETE FROM rental.stream_events WHERE type = 'flood'");

# log out: the stream ends as well
$stream = follow($who);
seen($stream, qr/^id:/m);
call('POST', '/api/auth/logout/', url => $server->{url}, body => { refresh => $who->{refresh} });
ok(seen($stream, qr/\r\n0\r\n\r\n$/, 2), 'a session that ends takes its streams with it');

# many streams: no thread, little memory
sub memory { open my $in, '<', "/proc/$server->{pid}/status" or die; my ($kb) = join('', <$in>) =~ /VmRSS:\s+(\d+)/; return $kb }
$who = $login->($vendor);
my $before = memory();
my @many = map { follow($who) } 1 .. 200;
my $open = grep { seen($_, qr/^id:/m) } @many;
is($open, 200, 'two hundred streams at once');
cmp_ok((memory() - $before) / 200, '<', 60, 'take less than 60 KiB each');
publish($topic, 'all', '{"n": 5000}');
is(scalar(grep { seen($_, qr/"n": 5000/) } @many), 200, 'and all hear an event');

# stop
kill 'TERM', $server->{pid};
$server->{asked} = 1;
is(scalar(grep { seen($_, qr/\r\n0\r\n\r\n$/) } @many), 200, 'when the server stops, streams end in order');
is(shim_stop($server), 0, 'and it stops');

done_testing();
