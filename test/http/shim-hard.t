#!/usr/bin/perl
# What is meant to break the server: smuggled requests, strange JSON, clients that leave or dawdle, a database that
# goes away, a stop under load. RENTAL_SEED replays the random part.
use strict;
use warnings;
use RentalTest;
use File::Temp;
use IO::Select;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $seed = $ENV{RENTAL_SEED} // int(rand 1e9);
srand $seed;
note "RENTAL_SEED=$seed";

my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_ADMIN_PORT => shim_port(), RENTAL_THREADS => 2,
	RENTAL_CLIENT_TIMEOUT => 3000);
my @there = (url => $server->{url});
my $customer = customer();
my $login = call('POST', '/api/auth/login/', @there, body => { email => $customer->{email}, password => $customer->{password} })->{json};

sub metric
{
	my ($name, $of) = @_;
	my ($value) = call('GET', '/metrics', url => ($of // $server)->{admin})->{text} =~ /^\Q$name\E (-?\d+)$/m;
	return $value;
}

# Request smuggling: each with a second request behind it, which must never be answered

my $second = "GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n";
my $post = "POST /api/auth/logout/ HTTP/1.1\r\n";
my $get = "GET /api/ HTTP/1.1\r\n";
my $type = "Content-Type: application/json\r\n";
my %smuggled = (
	'two lengths' => "${post}Host: x\r\n${type}Content-Length: 15\r\nContent-Length: 1\r\n\r\n{\"refresh\":\"0\"}",
	'the same length twice' => "${post}Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
	'length and encoding' => "${post}Host: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	'encoding and length' => "${post}Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	'a length with a sign' => "${post}Host: x\r\nContent-Length: +0\r\n\r\n",
	'a list of lengths' => "${post}Host: x\r\nContent-Length: 0, 0\r\n\r\n",
	'a negative length' => "${post}Host: x\r\nContent-Length: -1\r\n\r\n",
	'an empty length' => "${post}Host: x\r\nContent-Length:\r\n\r\n",
	'a length in hexadecimal' => "${post}Host: x\r\nContent-Length: 0x0\r\n\r\n",
	'a length beyond 64 bits' => "${post}Host: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
	'two encodings' => "${post}Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	'an unknown encoding' => "${post}Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	'a list of encodings' => "${post}Host: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	'a chunk size that is none' => "${post}Host: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
	'a negative chunk' => "${post}Host: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
	'a huge chunk' => "${post}Host: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
	'a folded field' => "${get}Host: x\r\nX-A: b\r\n Content-Length: 5\r\n\r\n",
	'a folded encoding' => "${post}Host: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	'bare line feeds' => "GET /api/ HTTP/1.1\nHost: x\n\n",
	'one bare line feed' => "${get}Host: x\nX-A: b\r\n\r\n",
	'no Host' => "${get}X-A: b\r\n\r\n",
	'two Hosts' => "${get}Host: x\r\nHost: y\r\n\r\n",
	'a length with a blank before the colon' => "${post}Host: x\r\nContent-Length : 4\r\n\r\n",
	'an encoding with a blank before the colon' => "${post}Host: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	'a blank before the colon' => "${get}Host : x\r\n\r\n",
	'an encoding in HTTP/1.0' => "POST /api/auth/logout/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	'a carriage return in a value' => "${get}Host: x\rY: z\r\n\r\n",
	'a zero byte' => "${get}Host: x\0\r\n\r\n",
	'HTTP/2 without having asked' => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
);
for my $name (sort keys %smuggled)
{
	my $socket = raw_open($server->{url});
	my $text = '';

	print $socket $smuggled{$name} . $second;
	my $select = IO::Select->new($socket);
	my $closed = 0;
	while ($select->can_read(5))
	{
		my $read = sysread $socket, $text, 65536, length $text;
		$closed = 1, last if !$read;
	}
	my @answers = $text =~ m{^HTTP/1\.1 (\d+)}mg;
	ok($closed && @answers <= 1 && !grep({ $_ < 400 } @answers), "smuggling: $name") or diag("closed $closed: $text");
}
my $body = '{"refresh":"0"}';
my @answers = raw_exchange("${post}Host: x\r\n${type}Transfer-Encoding: chunked\r\n\r\nf\r\n$body\r\n0\r\n\r\n$second", $server->{url});
is(join(' ', map { $_->{status} } @answers), '204', 'after chunks, good as they are, the connection closes as well');
@answers = raw_exchange("${post}Host: x\r\n${type}Content-Length: ${\length $body}\r\n\r\n$body" x 2 . $second, $server->{url});
is(join(' ', map { $_->{status} } @answers), '204 204 200', 'after a body of a given length it goes on');
@answers = raw_exchange($second x 3, $server->{url});
is(join(' ', map { $_->{status} } @answers), '200 200 200', 'requests without bodies may follow each other');

# JSON of every kind: hand-made classes, and seeded mutations of them

no warnings "qw"; # a comma is what is meant
my @json = ('[]', '1', '"x"', 'null', 'true', '', ' ', '{', '}', '{]', '[}', '{}', '{"name":"a"', '{"name":"a"]', '{"name"}', '{"name":}', '{name:"a"}',
	"{'name':'a'}", '{"name":"a",}', '{,"name":"a"}', '{"name":"a",,"note":"b"}', '{"name":"a" "note":"b"}', '{"name":"a"} x', '{"name":"a"}{"name":"b"}',
	'{"name":"a"}//c', '{"name":"a"/*c*/}', '{"name":"a","name":"b"}', '{"name":"a","n\u0061me":"b"}', '{"name":"\u0000"}', '{"name":"\ud800"}',
	'{"name":"\udc00"}', '{"name":"\ud800\u0041"}', '{"name":"\ud83d\ude00"}', '{"name":"\uZZZZ"}', '{"name":"\u00"}', '{"name":"\x"}', '{"name":"\\"}',
	"{\"name\":\"\xff\"}", "{\"name\":\"\xc0\x80\"}", "{\"name\":\"\xed\xa0\x80\"}", "{\"name\":\"\xf4\x90\x80\x80\"}", "{\"name\":\"\xe2\x82\"}",
	"\xef\xbb\xbf{\"name\":\"a\"}", "\xff\xfe{\0\"\0", "{\"name\":\"a\tb\"}", "{\"name\":\"a\nb\"}", "{\"name\":\"a\0b\"}", "\0", "{\"name\":\"a\"}\0",
	'{"name":1e999}', '{"name":-1e999}', '{"name":1e-999}', '{"name":' . ('9' x 400) . '}', '{"name":0.' . ('1' x 400) . '}', '{"name":01}', '{"name":-}',
	'{"name":+1}', '{"name":.5}', '{"name":5.}', '{"name":1e}', '{"name":0x1}', '{"name":NaN}', '{"name":Infinity}', '{"name":-Infinity}', '{"name":--1}',
	'{"name":1_000}', '{"name":nul}', '{"name":TRUE}', '{"name":truefalse}', '{"name":[]}', '{"name":{}}', '{"name":[[[]]]}', '{"name":null}', '{"note":"x"}',
	'{"name":"a","note":null}', '{"name":"a","zzz":1}', '{"name":"a","":1}', '{"":""}', '{"name":"' . ('x' x 100000) . '"}', '{"' . ('k' x 100000) . '":1}',
	'[' x 100000, '{"name":' . ('[' x 100000) . (']' x 100000) . '}', '{"name":' . ('{"a":' x 50000) . '1' . ('}' x 50000) . '}', '{"name":"a","note":' . '[' x 5000,
	'{' . join(',', map { "\"k$_\":$_" } 1 .. 5000) . '}', '{"name":"' . ('\u0041' x 1000) . '"}', "{\"name\":\"\xe2\x80\xa8\"}", "{\"name\" :\r\n\t \"a\" }", "{\"name\":\"a\"\x0b}",
	"{\"name\":\"a\"\xc2\xa0}", "\xe2\x80\x8b{}", '{"given":["name"],"name":"a"}', '{"name":"%s%n%00"}', '{"name":"a\\\\"}', '{"__proto__":{},"name":"a"}');
my $made = @json;
while (@json < 400)
{
	my $text = $json[ rand $made ];
	$text = substr $text, 0, 300;
	for (0 .. rand 3)
	{
		my $at = int rand(1 + length $text);
		my $kind = int rand 4;
		if ($kind == 0) { substr($text, $at, 1) = chr int rand 256 }
		elsif ($kind == 1) { substr($text, $at, 0) = substr $text, rand(1 + length $text), rand 10 }
		elsif ($kind == 2) { substr($text, $at, 1 + int rand 4) = '' if $at < length $text }
		else { substr($text, $at, 0) = (qw({ } [ ] " \\ : , 1e9 null \u0000 \ud800 -0 1.0))[ rand 15 ] // '' }
	}
	push @json, $text;
}
my (@bad, %seen);
for my $text (@json)
{
	my $answer = call('POST', '/api/examples/', @there, as => $login, raw => $text);
	$seen{ $answer->{status} }++;
	push @bad, "$answer->{status}: " . substr($text, 0, 200) unless $answer->{status} =~ /^(201|400|422)$/;
	push @bad, 'not well formed: ' . substr($text, 0, 200) if $answer->{status} >= 400 && !$answer->{json}{code};
}
is(join("\n", @bad), '', scalar(@json) . ' kinds of JSON: each is made, or refused for what it is');
cmp_ok($seen{400} // 0, '>', 100, 'most are refused');
cmp_ok($seen{201} // 0, '>', 5, 'some are good');

# Clients that leave in the midst of a request

my $connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rental-shim' AND datname = current_database()";
my $before = sql($connected);
my $good = encode_json({ email => $customer->{email}, password => 'not the password' });
for my $round (1 .. 25)
{
	my @sockets;
	for my $i (1 .. 40)
	{
		my $socket = raw_open($server->{url});
		my $request = $i % 4 == 0 ? raw_request('POST', '/api/auth/login/', raw => $good)
		  : $i % 4 == 1 ? raw_request('POST', '/api/examples/', as => $login, body => { name => 'left' })
		  : raw_request('GET', '/api/catalog/products/?search=' . rand);
		$request = substr $request, 0, rand length $request if $i % 5 == 0;
		print $socket $request;
		push @sockets, $socket;
	}
	for my $socket (@sockets)
	{
		setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); # a reset, not a farewell
		close $socket;
	}
}
ok(wait_until(sub { metric('rental_requests_in_flight') == 1 }, 20), 'a thousand clients left, and no request is left');
is(metric("rental_pool_queries{pool=\"$_\"}"), 0, "the $_ pool is idle") for qw(read write password);
ok(wait_until(sub { metric('rental_connections') <= 3 }, 10), 'no connection is left');
is(sql($connected), $before, 'no database connection is lost');

# Idle and slow clients do not stop others

my @idle = map { raw_open($server->{url}) } 1 .. 300;
my @slow = map { raw_open($server->{url}) } 1 .. 100;
my $dribble = raw_request('GET', '/api/', headers => [ map { "X-$_: y" } 1 .. 50 ]);
my ($slowest, $failed) = (0, 0);
my $started = time;
for my $i (0 .. 19)
{
	for my $socket (@slow)
	{
		print $socket substr $dribble, $i, 1;
	}
	my $begun = time;
	$failed++ if call('GET', '/api/catalog/products/', @there)->{status} != 200;
	$slowest = time - $begun if time - $begun > $slowest;
	sleep 0.02;
}
is($failed, 0, 'beside 300 idle and 100 dawdling connections others are served');
cmp_ok($slowest, '<', 1, 'without delay');
ok(wait_until(sub { metric('rental_connections') <= 3 }, 10), 'who takes too long is cut off');
close $_ for @idle, @slow;

# Load

# the database goes away for a second, under load
my $clients = load($server, 6, 4);
sleep 0.7;
sql("ALTER ROLE rental_shim NOLOGIN");
sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'rental_shim' AND datname = current_database()");
ok(wait_until(sub { call('GET', '/readyz', @there)->{status} == 503 }, 2), 'without the database the server is not ready');
sleep 0.5;
sql("ALTER ROLE rental_shim LOGIN");
my $back = time;
ok(wait_until(sub { call('GET', '/readyz', @there)->{status} == 200 }, 5), 'it is back within five seconds');
ok(wait_until(sub { call('GET', '/api/examples/', @there)->{status} == 200 }, 5), 'and answers');
my $result = results($clients);
cmp_ok($result->{200}, '>', 10, 'requests before and after were answered');
cmp_ok($result->{503}, '>', 0, 'those in between were told to come back');
delete $result->{reopened};
is(join(' ', sort keys %$result), '200 503', 'nothing else happened to any of them');

# a stop under load
$clients = load($server, 8, 4);
my @at_work = map { my $socket = raw_open($server->{url}); print $socket raw_request('POST', '/api/auth/login/', raw => $good); $socket } 1 .. 6;
sleep 0.7;
kill 'TERM', $server->{pid};
$server->{asked} = 1;
is(scalar(grep { (raw_read($_) // { status => 0 })->{status} == 401 } @at_work), 6, 'what was under way is finished');
$result = results($clients);
cmp_ok($result->{200}, '>', 10, 'requests were answered');
is($result->{lost} // 0, 0, 'none was lost by the stop');
is(shim_stop($server), 0, 'the server ends in order');

# A standby that is away (shim-standby.t has one that is there)

my %database = (RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0);
my $url = "postgresql:///$ENV{PGDATABASE}?host=$ENV{PGHOST}&port=$ENV{PGPORT}&user=rental_shim&application_name=standby";
my $binary = $ENV{RENTAL_SHIM};
my $with = shim_start(%database, RENTAL_READ_DATABASE_URL => 'postgresql:///x?host=/nonexistent', RENTAL_ADMIN_PORT => shim_port());
is(call('GET', '/api/examples/', url => $with->{url})->{status}, 200, 'reads are answered without the standby');
is(metric('rental_pool_connections{pool="replica"}', $with), 0, 'which is away');
shim_stop($with);

# TLS, HTTP/2 by choice, and a new certificate without a restart

my $directory = File::Temp->newdir;
chmod 0755, "$directory";
sub certificate
{
	my ($name) = @_;
	system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name -addext subjectAltName=IP:127.0.0.1 "
		. "-keyout $directory/key.pem -out $directory/cert.pem 2>/dev/null") == 0 or die 'no certificate';
}
certificate('first');
my $port = shim_port();
my $tls_url = "https://127.0.0.1:$port";
my $tls = shim_start(%database, PORT => $port, RENTAL_TLS_CERT => "$directory/cert.pem", RENTAL_TLS_KEY => "$directory/key.pem", RENTAL_HTTP2 => 1,
	RENTAL_ADMIN_PORT => shim_port());
sub curl { return scalar `curl -s -m 5 --cacert $directory/cert.pem @_` }
like(curl("-i --http1.1 $tls_url/api/"), qr{^HTTP/1\.1 200.*strict-transport-security: max-age=\d+}s, 'HTTP/1.1 over TLS, with HSTS');
is(curl("--http2 -o /dev/null -w '%{http_version} %{http_code}' $tls_url/api/"), '2 200', 'HTTP/2 by choice');
is(curl("--http2 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d '{\"refresh\":\"x\"}' $tls_url/api/auth/logout/"), '204', 'with a body');
is(curl("--tls-max 1.1 -o /dev/null -w '%{http_code}' $tls_url/api/"), '000', 'no TLS before 1.2');
sub subject { return scalar `openssl s_client -connect 127.0.0.1:$port </dev/null 2>/dev/null | grep -m1 CN` }
like(subject(), qr/first/, 'the certificate is the one of the file');
certificate('second');
kill 'HUP', $tls->{pid};
ok(wait_until(sub { subject() =~ /second/ }, 3), 'after SIGHUP it is the new one');
is(shim_stop($tls), 0, 'and it stops');

# Settings that cannot be

sub refuses
{
	my ($wanted, %settings) = @_;
	my $text = do {
		local %ENV = (PATH => $ENV{PATH}, RENTAL_DATABASE_URL => $url, RENTAL_JWT_SECRET => 's' x 32, %settings);
		`$binary --check-config 2>&1`;
	};
	my $status = $? >> 8;
	ok($status == 2 && $text =~ /$wanted/ && ($text =~ tr/\n//) == 1, "refused: @{[%settings]}") or diag("$status $text");
}
refuses('RENTAL_JWT_SECRET', RENTAL_JWT_SECRET => 'short');
refuses('RENTAL_RATE_LIMITS', RENTAL_RATE_LIMITS => 'read=many');
refuses('RENTAL_CORS_ORIGINS', RENTAL_CORS_ORIGINS => '*');
refuses('RENTAL_CORS_ORIGINS', RENTAL_CORS_ORIGINS => 'https://shop.example/');
refuses('RENTAL_TLS_CERT', RENTAL_TLS_CERT => '/nonexistent');
refuses('RENTAL_TLS_CERT', RENTAL_TLS_CERT => '/nonexistent', RENTAL_TLS_KEY => '/nonexistent');
refuses('RENTAL_HTTP2', RENTAL_HTTP2 => 1);
refuses('RENTAL_TRUSTED_HOPS', RENTAL_TRUSTED_HOPS => -1);
refuses('RENTAL_JWKS_FILE', RENTAL_JWKS_FILE => '/nonexistent');
refuses('PORT', PORT => 'http');
refuses('RENTAL_READ_DATABASE_URL', RENTAL_READ_DATABASE_URL => 'mysql://x');

done_testing();
