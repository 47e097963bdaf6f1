#!/usr/bin/perl
# HTTP/1.1 on the wire: connections that are kept, requests sent in one go or in pieces.
use strict;
use warnings;
use IO::Select;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep);

my $customer = customer();

sub numbered { return ("X-Request-Id: n-$_[0]") }

# closed SOCKET: the server has closed it, or does so in a moment.
sub closed
{
	my ($socket) = @_;
	return IO::Select->new($socket)->can_read(3) && sysread($socket, my $byte, 1) == 0;
}

# One after the other
my $socket = raw_open();
my @status;
for my $n (1 .. 50)
{
	print $socket raw_request('GET', $n % 2 ? '/api/examples/?page_size=2' : '/healthz', headers => [ numbered($n) ]);
	my $answer = raw_read($socket);
	push @status, "$answer->{status} $answer->{headers}{'x-request-id'}";
}
is_deeply(\@status, [ map { "200 n-$_" } 1 .. 50 ], 'a connection is kept for 50 requests');

# All at once: some from memory, some from the database, some refused
my @paths = ('/healthz', '/api/catalog/products/?page_size=5', '/api/nothing/', '/api/users/me/', '/api/examples/?page_size=x');
my @wanted = (200, 200, 404, 200, 400);
print $socket join '', map { raw_request('GET', $paths[ $_ % 5 ], as => $customer, headers => [ numbered($_) ]) } 0 .. 99;
my @answers = map { raw_read($socket) } 0 .. 99;
is_deeply([ map { "$_->{status} $_->{headers}{'x-request-id'}" } @answers ], [ map { "$wanted[$_ % 5] n-$_" } 0 .. 99 ],
	'a hundred pipelined requests are answered in their order');
is((grep { !defined $_->{json} } @answers), 0, 'each with its own body');
print $socket raw_request('GET', '/healthz', headers => ['Connection: close']);
is(raw_read($socket)->{headers}{connection}, 'close', 'who wants to close');
ok(closed($socket), 'is closed');

# Many connections with many requests each
my @sockets = map { raw_open() } 1 .. 40;
for my $i (0 .. $#sockets)
{
	print { $sockets[$i] } join '', map { raw_request('GET', '/api/examples/?page_size=1', headers => [ numbered("$i-$_") ]) } 1 .. 10;
}
my $right = 0;
for my $i (0 .. $#sockets)
{
	$right += grep { my $answer = raw_read($sockets[$i]); $answer->{status} == 200 && $answer->{headers}{'x-request-id'} eq "n-$i-$_" } 1 .. 10;
}
is($right, 400, '40 connections with 10 pipelined requests each get what is theirs');
close $_ for @sockets;

# A slow client
$socket = raw_open();
for my $byte (split //, raw_request('GET', '/healthz'))
{
	syswrite $socket, $byte;
	sleep 0.001;
}
is(raw_read($socket)->{json}{status}, 'alive', 'a request may come byte by byte');
my $request = raw_request('POST', '/api/examples/', as => $customer, body => { name => 'in pieces' });
my $half = length($request) - 8;
syswrite $socket, substr $request, 0, $half;
sleep 0.05;
syswrite $socket, substr $request, $half;
is(raw_read($socket)->{json}{name}, 'in pieces', 'and a body in pieces');

# A body of a given length is followed by the next request.
$socket = raw_open();
my $count = sql('SELECT count(*) FROM rental.examples');
my $one = raw_request('POST', '/api/examples/', as => $customer, body => { name => 'one' });
print $socket $one x 2;
is(raw_read($socket)->{status}, 201, 'a request with a body is done') for 1 .. 2;
is(sql('SELECT count(*) FROM rental.examples'), $count + 2, 'and the one that came with it');

# Chunks end their connection: what follows them is never read as a request.
my ($head, $body) = $one =~ /^(.*?\r\n)\r\n(.*)$/s;
$head =~ s/^Content-Length: \d+\r\n/Transfer-Encoding: chunked\r\n/mi or die;
$socket = raw_open();
print $socket sprintf("%s\r\n%x\r\n%s\r\n0\r\n\r\n", $head, length $body, $body) x 2;
my $answer = raw_read($socket);
is_deeply([ $answer->{status}, lc($answer->{headers}{connection} // '') ], [ 201, 'close' ], 'a request with chunks says that it is the last');
ok(closed($socket), 'and is');
is(sql('SELECT count(*) FROM rental.examples'), $count + 3, 'what came after it was not done');

# Nor is anything in the way of requests without bodies.
$socket = raw_open();
my $order = place($customer, product(vendor(), 1));
print $socket raw_request('POST', "/api/orders/orders/$order->{id}/cancel/", as => $customer) . raw_request('GET', '/healthz');
is(raw_read($socket)->{json}{status}, 'cancelled', 'a POST without a body');
is(raw_read($socket)->{json}{status}, 'alive', 'leaves its connection open');

# The other ways to send a body
$socket = raw_open();
print $socket "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $customer->{access}\r\n"
  . "Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"name\"\r\n5;x=y\r\n:\"in \r\n8\r\nchunks\"}\r\n0\r\n\r\n";
is(raw_read($socket)->{json}{name}, 'in chunks', 'a body in chunks');
$socket = raw_open();
print $socket "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $customer->{access}\r\n"
  . "Content-Type: APPLICATION/JSON\r\nContent-Length: 18\r\nExpect: 100-continue\r\n\r\n";
is(raw_read($socket)->{status}, 100, 'who asks first is told to go on');
print $socket '{"name":"expected"';
sleep 0.02;
close $socket;
is(sql("SELECT count(*) FROM rental.examples WHERE name = 'expected'"), 0, 'half a document is not done');
$socket = raw_open();
print $socket "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $customer->{access}\r\n"
  . "Content-Type: application/json\r\nContent-Length: 19\r\nExpect: 100-continue\r\n\r\n";
is(raw_read($socket)->{status}, 100, 'and again');
print $socket '{"name":"expected"}';
is(raw_read($socket)->{json}{name}, 'expected', 'the whole is');

# HTTP/1.0
$socket = raw_open();
print $socket "GET /healthz HTTP/1.0\r\n\r\n";
is(raw_read($socket)->{json}{status}, 'alive', 'HTTP/1.0 is answered');
ok(closed($socket), 'and closed');

# No HTTP/2 without TLS
$socket = raw_open();
print $socket raw_request('GET', '/healthz', headers => [ 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA' ]);
is(raw_read($socket)->{status}, 200, 'an offer to upgrade to HTTP/2 is not taken');

done_testing;
