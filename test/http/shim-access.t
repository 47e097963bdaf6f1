#!/usr/bin/perl
# Who gets in: tokens of every wrong kind, API keys, revocations, rate limits, proxies, operators.
use strict;
use warnings;
use RentalTest;
use Digest::SHA qw(hmac_sha256);
use File::Temp;
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE'; # a server that closes a connection ends no test

my $directory = File::Temp->newdir;
chmod 0755, "$directory";
my $server = shim_start(
	RENTAL_RATE_LIMITS => 'read=100000/60,write=100000/60,password=100000/60',
	RENTAL_ADMIN_PORT => shim_port(),
	RENTAL_JWKS_FILE => jwks(),
	RENTAL_JWT_PREVIOUS_SECRET => 'p' x 40);
my @there = (url => $server->{url});
my $json = JSON::PP->new->canonical->utf8;
my $user = customer();
my $id = $user->{user}{id};

sub openssl
{
	system('openssl', @_) == 0 or die "openssl @_ failed";
}

# jwks: makes an RSA and an Ed25519 key; the file of their public halves.
sub jwks
{
	local *STDERR;
	open STDERR, '>', '/dev/null';
	openssl('genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$directory/rsa.pem");
	openssl('genpkey', '-algorithm', 'ED25519', '-out', "$directory/ed.pem");
	my $modulus = `openssl rsa -in $directory/rsa.pem -noout -modulus`;
	$modulus =~ s/^Modulus=|\n//g;
	my $der = `openssl pkey -in $directory/ed.pem -pubout -outform DER`;
	my $path = "$directory/jwks.json";
	open my $out, '>', $path or die;
	print $out JSON::PP->new->encode({ keys => [
		{ kty => 'RSA', kid => 'r1', n => encode_base64url(pack 'H*', $modulus), e => 'AQAB' },
		{ kty => 'OKP', crv => 'Ed25519', kid => 'e1', x => encode_base64url(substr $der, -32) } ] });
	close $out;
	return $path;
}

sub claims
{
	my (%changed) = @_;
	my $now = time;
	my %claims = (sub => $id, role => 'customer', iss => 'rental', aud => 'rental', iat => int $now, exp => int $now + 60, %changed);

	delete $claims{$_} for grep { !defined $claims{$_} } keys %claims;
	return $json->encode(\%claims);
}

# token HEADER, CLAIMS, [KEY]: a signed token of any content.
sub token
{
	my ($header, $claims, $key) = @_;
	my $text = encode_base64url($header // '{"alg":"HS256","typ":"at+jwt"}') . '.' . encode_base64url($claims // claims());
	return $text . '.' . encode_base64url(hmac_sha256($text, $key // $server->{secret}));
}

sub public_token
{
	my ($key, $header, $claims) = @_;
	my $text = encode_base64url($header) . '.' . encode_base64url($claims // claims());
	open my $out, '>', "$directory/text" or die;
	print $out $text;
	close $out;
	openssl($key eq 'rsa' ? ('dgst', '-sha256', '-sign', "$directory/rsa.pem", '-out', "$directory/signature", "$directory/text")
		: ('pkeyutl', '-sign', '-inkey', "$directory/ed.pem", '-rawin', '-in', "$directory/text", '-out', "$directory/signature"));
	open my $in, '<:raw', "$directory/signature" or die;
	local $/;
	return $text . '.' . encode_base64url(<$in>);
}

sub status { return call('GET', '/api/users/me/', @there, as => $_[0])->{status} }

# Tokens

is(status(token()), 200, 'a token of the right form is accepted');
is(status(token(undef, undef, 'p' x 40)), 200, 'and one signed by the previous key');
my $hs = '{"alg":"HS256","typ":"at+jwt"';
my $rsa_public = `openssl rsa -in $directory/rsa.pem -pubout 2>/dev/null`;
my $good = token();
my ($head, $body, $signature) = split /\./, $good;
my %refused = (
	'alg none' => token('{"alg":"none","typ":"at+jwt"}'),
	'alg none without a signature' => encode_base64url('{"alg":"none","typ":"at+jwt"}') . ".$body.",
	'alg None' => token('{"alg":"None","typ":"at+jwt"}'),
	'alg in lower case' => token('{"alg":"hs256","typ":"at+jwt"}'),
	'another HMAC' => token('{"alg":"HS512","typ":"at+jwt"}'),
	'RS256 by an HMAC' => token('{"alg":"RS256","typ":"at+jwt"}'),
	'an RSA public key as HMAC key' => token('{"alg":"HS256","typ":"at+jwt","kid":"r1"}', undef, $rsa_public),
	'HS256 with a public key\'s name' => token('{"alg":"HS256","typ":"at+jwt","kid":"r1"}'),
	'a wrong key' => token(undef, undef, 'w' x 64),
	'an empty key' => token(undef, undef, ''),
	'expired' => token(undef, claims(exp => int(time) - 1)),
	'without an expiry' => token(undef, claims(exp => undef)),
	'an expiry as text' => token(undef, claims(exp => "9999999999")),
	'not valid yet' => token(undef, claims(nbf => int(time) + 100)),
	'another issuer' => token(undef, claims(iss => 'other')),
	'another audience' => token(undef, claims(aud => 'other')),
	'a list of audiences' => token(undef, claims(aud => ['rental'])),
	'no subject' => token(undef, claims(sub => undef)),
	'a subject that is no UUID' => token(undef, claims(sub => 'admin')),
	'no role' => token(undef, claims(role => undef)),
	'a role that is a number' => token(undef, claims(role => 5)),
	'a role that is too long' => token(undef, claims(role => 'x' x 64)),
	'type JWT' => token('{"alg":"HS256","typ":"JWT"}'),
	'no type' => token('{"alg":"HS256"}'),
	'a refresh token\'s type' => token('{"alg":"HS256","typ":"rt+jwt"}'),
	'a refresh token' => $user->{refresh},
	'crit' => token("$hs,\"crit\":[\"x\"]}"),
	'a kid that is a path' => token("$hs,\"kid\":\"../../dev/null\"}"),
	'a kid that is SQL' => token("$hs,\"kid\":\"' OR 1=1--\"}"),
	'jwk' => token("$hs,\"jwk\":{}}"),
	'jku' => token("$hs,\"jku\":\"http://127.0.0.1/\"}"),
	'a header with a member twice' => token('{"alg":"HS256","typ":"at+jwt","alg":"HS256"}'),
	'claims with a member twice' => token(undef, '{"role":"admin",' . substr(claims(), 1)),
	'an extra part' => "$good.x",
	'two parts' => "$head.$body",
	'no signature' => "$head.$body.",
	'padding' => "$good=",
	'a blank at the end' => "$good x",
	'nothing' => '',
	'dots' => '..',
	'garbage' => 'a.b.c',
	'far too long' => 'a' x 9000,
	'a header that is a list' => token('["HS256"]'),
	'claims that are a list' => token(undef, '[]'),
);
for my $name (sort keys %refused)
{
	my $answer = call('GET', '/api/users/me/', @there, headers => { Authorization => "Bearer $refused{$name}" });
	my $code = $name eq 'expired' ? 'expired_token' : 'invalid_token';
	is(join('; ', problem_flaws($answer, 401, $code)), '', "refused: $name");
}
my $accepted = 0;
is(status($good), 200, 'a token that the server remembers') for 1, 2;
for my $position (0 .. length($good) - 1)
{
	for my $bit (0, 3)
	{
		my $tampered = $good;
		substr($tampered, $position, 1) = chr(ord(substr $good, $position, 1) ^ (1 << $bit));
		next if $tampered =~ /[\r\n\0]/;
		$accepted++ if status($tampered) < 400;
	}
}
is($accepted, 0, 'no token with a changed bit is accepted');
is(call('GET', '/api/', @there, as => 'x')->{status}, 401, 'a bad token is refused even where none is needed');
is(call('GET', '/api/users/me/', @there, headers => { Authorization => 'Basic eDp5' })->{status}, 401, 'so is another scheme');

# Public keys

is(status(public_token('rsa', '{"alg":"RS256","typ":"at+jwt","kid":"r1"}')), 200, 'RS256 by a key of the JWKS');
is(status(public_token('ed', '{"alg":"EdDSA","typ":"at+jwt","kid":"e1"}')), 200, 'EdDSA by a key of the JWKS');
is(status(public_token('rsa', '{"alg":"RS256","typ":"at+jwt","kid":"e1"}')), 401, 'an algorithm of another key');
is(status(public_token('ed', '{"alg":"EdDSA","typ":"at+jwt","kid":"none"}')), 401, 'an unknown key');
is(status(public_token('ed', '{"alg":"EdDSA","typ":"at+jwt"}')), 401, 'no name of a key');
is(status(public_token('rsa', '{"alg":"RS256","typ":"at+jwt","kid":"r1"}', claims(exp => int(time) - 1))), 401, 'expired, by a public key');

# A session that ends takes its access tokens with it

my $session = call('POST', '/api/auth/login/', @there, body => { email => $user->{email}, password => $user->{password} })->{json};
my $second = call('POST', '/api/auth/login/', @there, body => { email => $user->{email}, password => $user->{password} })->{json};
is(status($session), 200, 'a session is good');
call('POST', '/api/auth/logout/', body => { refresh => $session->{refresh} });
ok(wait_until(sub { status($session) == 401 }, 1), 'logged out on another server, its access token dies within a second');
is(status($second), 200, 'another session of the same user lives');
my $late = shim_start(RENTAL_JWT_SECRET_FILE => $server->{key}->filename);
is(call('GET', '/api/users/me/', url => $late->{url}, as => $session)->{status}, 401, 'a server that starts later knows it');
is(call('GET', '/api/users/me/', url => $late->{url}, as => $second)->{status}, 200, 'and nothing else');
shim_stop($late);
sql("UPDATE rental.users SET is_active = false WHERE id = '$id'");
ok(wait_until(sub { status($second) == 401 }, 1), 'who is shut out is out within a second');

# API keys

my $vendor = vendor();
my $owner = call('POST', '/api/auth/login/', @there, body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $key = expect(call('POST', '/api/keys/', @there, as => $owner, body => { name => 'till', scopes => [ 'users:read', 'catalog:write', 'api:write' ] }), 201, 'a vendor makes an API key');
like($key->{key}, qr/^rk_[a-z2-9]{8}_[a-z2-9]{32}$/, 'which looks like one');
is(index($key->{key}, $key->{prefix}), 0, 'and begins with its prefix');
is(sql("SELECT count(*) FROM rental.api_keys k WHERE k::text LIKE '%" . substr($key->{key}, 12) . "%'"), 0, 'the key itself is not stored');
is(call('GET', '/api/users/me/', @there, as => $key->{key})->{json}{id}, $vendor->{user}{id}, 'it speaks for its owner');
is(call('POST', '/api/catalog/products/', @there, as => $key->{key}, body => { name => 'By key' })->{status}, 201, 'and may write');
is(call('POST', '/api/keys/', @there, as => $key->{key}, body => { name => 'more' })->{status}, 403, 'but makes no keys');
my $list = expect(call('GET', '/api/keys/', @there, as => $owner), 200, 'keys are listed');
is($list->{results}[0]{prefix}, $key->{prefix}, 'by their prefix');
ok(!exists $list->{results}[0]{key}, 'and never shown again');
my $reader = expect(call('POST', '/api/keys/', @there, as => $owner, body => { name => 'reader' }), 201, 'a key to read by');
is(status($reader->{key}), 200, 'reads');
is(call('POST', '/api/catalog/products/', @there, as => $reader->{key}, body => { name => 'x' })->{status}, 403, 'and does not write');
is(call('POST', '/api/keys/', @there, as => $owner, body => { name => 'x', scopes => ['root'] })->{status}, 422, 'there are no other scopes');
is(call('POST', '/api/keys/', @there, as => $owner, body => { name => 'x', expires_at => at(-1) })->{status}, 422, 'nor keys of the past');
my $brief = expect(call('POST', '/api/keys/', @there, as => $owner, body => { name => 'brief', expires_at => at(2) }), 201, 'a key with an end');
is(status($brief->{key}), 200, 'is good before it');
sql("UPDATE rental.api_keys SET expires_at = now() - interval '1 s' WHERE id = '$brief->{id}'");
ok(wait_until(sub { status($brief->{key}) == 401 }, 7), 'and not after it');
is(call('DELETE', "/api/keys/$key->{id}/", @there, as => vendor_at())->{status}, 404, 'nobody else revokes it');
is(call('DELETE', "/api/keys/$key->{id}/", as => call('POST', '/api/auth/login/', body => { email => $vendor->{email}, password => $vendor->{password} })->{json})->{status},
	204, 'its owner does, on another server');
ok(wait_until(sub { status($key->{key}) == 401 }, 1), 'and it is out within a second');
is(status($_), 401, 'no key: ' . substr($_, 0, 20)) for "rk_$key->{key}", 'rk_' . 'a' x 41, substr($key->{key}, 0, -1), uc $key->{key};

sub vendor_at
{
	my $somebody = vendor();
	return call('POST', '/api/auth/login/', @there, body => { email => $somebody->{email}, password => $somebody->{password} })->{json};
}

# Rate limits

my $strict = shim_start(RENTAL_RATE_LIMITS => 'read=10/60,write=3/3', RENTAL_TRUSTED_HOPS => 1, RENTAL_THREADS => 2);
my @strict = (url => $strict->{url});
sub from { return (headers => { 'X-Forwarded-For' => $_[0] }) }
my @answers = map { call('GET', '/api/examples/', @strict, from('192.0.2.1')) } 1 .. 12;
is(join(' ', map { $_->{status} } @answers), join(' ', (200) x 10, 429, 429), 'ten of twelve requests pass, over two threads');
is($answers[0]{headers}{'ratelimit-policy'}, '"read";q=10;w=60', 'the policy is told');
like($answers[0]{headers}{ratelimit}, qr/^"read";r=9;t=\d+$/, 'and what is left');
is($answers[3]{headers}{'x-ratelimit-remaining'}, 6, 'in the older form too');
is(join('; ', problem_flaws($answers[11], 429, 'rate_limited')), '', 'the refusal says when to come back');
cmp_ok($answers[11]{headers}{'retry-after'}, '<=', 7, 'which is when one request is free again');
is(call('GET', '/api/examples/', @strict, from('192.0.2.2'))->{status}, 200, 'another client is not concerned');
is(call('GET', '/api/examples/', @strict, from('6.6.6.6, 192.0.2.1'))->{status}, 429, 'what a client itself says of its address counts nothing');
is(call('GET', '/api/examples/', @strict, from('2001:db8:1:2:' . $_ . '::1'))->{status}, $_ > 10 ? 429 : 200, 'an IPv6 network is one client') for 1 .. 11;
is(call('GET', '/healthz', @strict)->{status}, 200, 'health checks have no limit') for 1 .. 12;
is(call('POST', '/api/auth/logout/', @strict, from('192.0.2.9'), body => { refresh => 'x' })->{status}, $_ > 3 ? 429 : 204, "write $_ of 4") for 1 .. 4;
ok(wait_until(sub { call('POST', '/api/auth/logout/', @strict, from('192.0.2.9'), body => { refresh => 'x' })->{status} == 204 }, 3), 'a bucket fills again');
is(call('GET', '/api/examples/', @there, from('192.0.2.1'))->{status}, 200, 'without trusted hops');
like(shim_log($server), qr/"client":"127\.0\.0\.1"/, 'the connection\'s address counts');
unlike(shim_log($server), qr/192\.0\.2\.1/, 'and the header nothing');

# Operators, and the log

my $metrics = call('GET', '/metrics', url => $server->{admin});
is($metrics->{status}, 200, 'operators have metrics');
like($metrics->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4}, 'in Prometheus\' form');
my @broken = grep { !/^(# (HELP|TYPE) rental_\w+ .+|rental_\w+(\{[^{}]*(\{\w+\}[^{}]*)*\})? -?[\d.]+)$/ } split /\n/, $metrics->{text};
is_deeply(\@broken, [], 'each line is well formed');
like($metrics->{text}, qr/^rental_requests_total\{method="GET",route="\/api\/users\/me\/",status="4xx"\} \d+$/m, 'requests by route and status');
like($metrics->{text}, qr/^rental_request_seconds_bucket\{method="GET",route="\/api\/users\/me\/",le="\+Inf"\} \d+$/m, 'and their durations');
like($metrics->{text}, qr/^$_/m, $_) for qw(rental_pool_queue rental_pool_waits_total rental_cache_requests_total rental_rate_limited_total rental_database_errors_total rental_streams);
unlike($metrics->{text}, qr/\Q$id\E|example\.com/, 'no metric names a user');
is(call('GET', '/metrics', @there)->{status}, 404, 'the public listener has none');
my ($answer) = raw_exchange("GET /metrics HTTP/1.1\r\nHost: operators:65535\r\nConnection: close\r\n\r\n", $server->{url});
is($answer->{status}, 404, 'whatever Host says');
is(call('GET', '/api/', url => $server->{admin})->{status}, 404, 'the operators\' listener has no API');
is(call('GET', '/readyz', url => $server->{admin})->{status}, 200, 'but health checks');
my $trace = random_text(32);
my $secret = random_text(16);
call('GET', "/api/examples/?cursor=$secret", @there, headers => { traceparent => "00-$trace-" . random_text(16) . '-01', 'X-Request-Id' => 'seen-1' });
ok(wait_until(sub { shim_log($server) =~ /"request_id":"seen-1","trace_id":"$trace"/ }, 2), 'the log has request and trace');
my $log = shim_log($server);
unlike($log, qr/\Q$secret\E/, 'no value of a query');
unlike($log, qr/\Q$_\E/, 'no credential') for $owner->{access}, $owner->{refresh}, $key->{key}, $vendor->{password};

# Keys change while the server runs

my $old = token();
is(status($old), 200, 'a token of the key so far is good') for 1, 2;
open my $out, '>', $server->{key}->filename or die;
print $out 'n' x 40;
close $out;
kill 'HUP', $server->{pid};
ok(wait_until(sub { status(token(undef, undef, 'n' x 40)) == 200 }, 2), 'SIGHUP: the new key is good');
is(status($old), 401, 'the old one is not');
open $out, '>', $server->{key}->filename or die;
print $out 'short';
close $out;
kill 'HUP', $server->{pid};
ok(wait_until(sub { shim_log($server) =~ /stay what they were/ }, 2), 'a bad key is refused');
is(status(token(undef, undef, 'n' x 40)), 200, 'and the last one stays');
is(shim_stop($_), 0, 'a server stops in order') for $server, $strict;

done_testing();
