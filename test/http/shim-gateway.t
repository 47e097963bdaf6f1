#!/usr/bin/perl
# What the gateway does around a call: done once, conditions, compression, origins, memory.
use strict;
use warnings;
use RentalTest;
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE'; # a server that closes a connection ends no test

my $customer = customer();
my $vendor = vendor();
my $answer;

sub key { return { 'Idempotency-Key' => $_[0] } }

# Idempotency-Key

my $key = random_text(20);
my $first = call('POST', '/api/examples/', as => $customer, body => { name => 'Once' }, headers => key($key));
is($first->{status}, 201, 'a request with a key is done');
is($first->{headers}{'idempotency-replayed'}, undef, 'it is not a replay');
my $again = call('POST', '/api/examples/', as => $customer, body => { name => 'Once' }, headers => key($key));
is($again->{status}, 201, 'the same again has the same status');
is($again->{text}, $first->{text}, 'and the same body');
is($again->{headers}{'idempotency-replayed'}, 'true', 'and says that it is a replay');
is(sql("SELECT count(*) FROM rental.examples WHERE owner_id = '$customer->{user}{id}'"), 1, 'the work was done once');
my $before = snapshot();
refused(call('POST', '/api/examples/', as => $customer, body => { name => 'Other' }, headers => key($key)),
	$before, 422, 'idempotency_key_reused', undef, 'the key with another body');
refused(call('POST', '/api/examples/?note=x', as => $customer, body => { name => 'Once' }, headers => key($key)),
	$before, 422, 'idempotency_key_reused', undef, 'the key with another target');
is(call('POST', '/api/examples/', as => $vendor, body => { name => 'Once' }, headers => key($key))->{status}, 201,
	'another caller may use the same key');
is(sql("SELECT count(*) FROM rental.examples WHERE name = 'Once'"), 2, 'for work of its own');
refused(call('POST', '/api/examples/', as => $customer, body => { name => 'x' }, headers => key('x' x 256)),
	snapshot(), 400, 'invalid_field', 'Idempotency-Key', 'a key that is too long');

$key = random_text(20);
is(call('POST', '/api/examples/', as => $customer, body => { name => '' }, headers => key($key))->{status}, 422,
	'a request that fails');
is(call('POST', '/api/examples/', as => $customer, body => { name => 'Now' }, headers => key($key))->{status}, 201,
	'leaves its key free');

# ten at once: one does the work, each other replays it or is told that it is under way
$key = random_text(20);
my @answers = race(map { raw_request('POST', '/api/examples/', as => $customer, body => { name => 'Race' },
	headers => ["Idempotency-Key: $key"]) } 1 .. 10);
is(scalar(grep { $_->{status} == 201 && !$_->{headers}{'idempotency-replayed'} } @answers), 1, 'of ten at once one does the work');
is(scalar(grep { !($_->{status} == 201 || ($_->{status} == 409 && $_->{json}{code} eq 'idempotency_conflict')) } @answers), 0,
	'the others replay it, or conflict');
is(sql("SELECT count(*) FROM rental.examples WHERE name = 'Race'"), 1, 'which was done once');

# under way in another transaction: told at once
$key = random_text(20);
call('POST', '/api/examples/', as => $customer, body => { name => 'Held' }, headers => key($key));
sql("BEGIN");
sql("DELETE FROM rental.idempotency_keys WHERE key = '$key'");
sql("ROLLBACK");
$answer = call('POST', '/api/auth/login/', body => { email => $customer->{email}, password => $customer->{password} },
	headers => key($key));
is($answer->{status}, 200, 'a log-in may have a key');
$again = call('POST', '/api/auth/login/', body => { email => $customer->{email}, password => $customer->{password} },
	headers => key($key));
is($again->{status}, 200, 'but what brings tokens is done anew');
isnt($again->{json}{refresh}, $answer->{json}{refresh}, 'and never kept');
is(sql("SELECT count(*) FROM rental.idempotency_keys WHERE response LIKE '%refresh%'"), 0, 'no table holds a token');
sql("UPDATE rental.idempotency_keys SET created_at = created_at - interval '25 hours' WHERE response LIKE '%\"Race\"%'");
$key = sql("SELECT key FROM rental.idempotency_keys WHERE response LIKE '%\"Race\"%'");
is(call('POST', '/api/examples/', as => $customer, body => { name => 'A day later' }, headers => key($key))->{status}, 201,
	'after a day a key is free again');

# ETag, If-None-Match, If-Match

my $path = "/api/examples/$first->{json}{id}/";
$answer = call('GET', $path);
my $etag = $answer->{headers}{etag};
like($etag, qr/^"[0-9a-f]{32}"$/, 'a resource has an entity tag');
$again = call('GET', $path, headers => { 'If-None-Match' => $etag });
is($again->{status}, 304, 'who has it is told so');
is($again->{text}, '', 'without a body');
is($again->{headers}{etag}, $etag, 'but with the tag');
is(call('GET', $path, headers => { 'If-None-Match' => '"000000000000000000000000", W/' . $etag })->{status}, 304, 'in a list, weak');
is(call('GET', $path, headers => { 'If-None-Match' => '"000000000000000000000000"' })->{status}, 200, 'another tag is no match');
$answer = call('HEAD', $path);
is($answer->{headers}{etag}, $etag, 'HEAD has the tag');
is($answer->{text}, '', 'and no body');
$before = snapshot();
refused(call('PUT', $path, as => $customer, body => { name => 'Lost' }, headers => { 'If-Match' => '"000000000000000000000000"' }),
	$before, 412, 'precondition_failed', undef, 'a change of what has changed');
refused(call('PUT', $path, as => $customer, body => { name => 'Lost' }, headers => { 'If-Match' => "W/$etag" }),
	$before, 412, 'precondition_failed', undef, 'a weak tag does not do for a change');
refused(call('DELETE', $path, as => $customer, headers => { 'If-Match' => 'nonsense' }),
	$before, 412, 'precondition_failed', undef, 'nor does what is no tag');
is(call('PUT', $path, as => $customer, body => { name => 'Kept' }, headers => { 'If-Match' => $etag })->{status}, 200,
	'with the right tag it is done');
$etag = call('GET', $path)->{headers}{etag};
@answers = race(map { raw_request('PUT', $path, as => $customer, body => { name => "Race $_" }, headers => ["If-Match: $etag"]) } 1 .. 8);
is(join(' ', sort map { $_->{status} } @answers), join(' ', 200, (412) x 7), 'of eight changes of one state one passes');
is(call('DELETE', $path, as => $customer, headers => { 'If-Match' => '*' })->{status}, 204, 'a star is whatever is there');

# Compression

call('POST', '/api/examples/', as => $customer, body => { name => "Packed $_", note => 'x' x 200 }) for 1 .. 10;
my $plain = call('GET', '/api/examples/');
my $packed = call('GET', '/api/examples/', headers => { 'Accept-Encoding' => 'br;q=0.7, gzip;q=0.8' });
is($packed->{headers}{'content-encoding'}, 'gzip', 'a long answer is compressed for who likes');
cmp_ok(length $packed->{text}, '<', length($plain->{text}) / 3, 'which makes it smaller');
gunzip(\$packed->{text} => \my $unpacked);
is($unpacked, $plain->{text}, 'and nothing else');
isnt($packed->{headers}{etag}, $plain->{headers}{etag}, 'it has a tag of its own');
is(call('GET', '/api/examples/', headers => { 'If-None-Match' => $packed->{headers}{etag} })->{status}, 304, 'which is as good');
like($packed->{headers}{vary}, qr/accept-encoding/, 'caches are told what it depends on');
my $gzip_tag = $packed->{headers}{etag};
$packed = call('GET', '/api/examples/', headers => { 'Accept-Encoding' => 'gzip, deflate, br' });
is($packed->{headers}{'content-encoding'}, 'br', 'who takes brotli as well gets that');
cmp_ok(length $packed->{text}, '<', length($plain->{text}) / 3, 'which is small too');
is(`curl -s --compressed -H 'Accept-Encoding: br' $ENV{RENTAL_URL}/api/examples/`, $plain->{text}, 'and says the same');
isnt($packed->{headers}{etag}, $gzip_tag, 'under another tag');
like($packed->{headers}{vary}, qr/accept-encoding/, 'of which caches are told');
is(call('GET', '/api/examples/', headers => { 'If-None-Match' => $packed->{headers}{etag} })->{status}, 304, 'it is as good');
my @wanted = (
	'' => undef, 'gzip' => 'gzip', 'br' => 'br', 'GZIP' => 'gzip', 'x-gzip' => 'gzip', 'deflate' => undef, 'gzip, br' => 'br', 'br,gzip' => 'br',
	'gzip;q=0' => undef, 'br;q=0, gzip' => 'gzip', 'gzip;q=0.000' => undef, 'gzip;q=0.001' => 'gzip', 'gzip;q=1, br;q=0.999' => 'gzip',
	'gzip;q=0.5, br;q=0.5' => 'br', 'gzip ; q=0.5 , br ; q=0.4' => 'gzip', '*' => 'br', '*;q=0' => undef, '*, br;q=0' => 'gzip', '*;q=0.1, gzip' => 'gzip',
	'identity' => undef, 'identity, gzip;q=0.5' => undef, 'identity;q=0.4, gzip;q=0.5' => 'gzip', 'br;q=2' => undef, 'br;q=-1' => undef, 'br;q=' => undef,
	'br;q=0.1234, gzip;q=0.1' => 'gzip', 'br;x=1' => undef, ', ,gzip,' => 'gzip', 'brotli' => undef, 'bra, gzipped' => undef, 'br;q=1.000' => 'br');
while (my ($accept, $encoding) = splice @wanted, 0, 2)
{
	is(call('GET', '/api/examples/', headers => { 'Accept-Encoding' => $accept })->{headers}{'content-encoding'}, $encoding,
		"'$accept' is answered by " . ($encoding // 'neither'));
}
my ($mine) = grep { $_->{owner_id} eq $customer->{user}{id} } @{ call('GET', '/api/examples/?page_size=100')->{json}{results} };
call('PUT', "/api/examples/$mine->{id}/", as => $customer, body => { name => 'Long', note => 'y' x 1500 })->{status} == 200 or BAIL_OUT('no change');
for my $encoding (qw(br gzip))
{
	my $tag = call('GET', "/api/examples/$mine->{id}/", headers => { 'Accept-Encoding' => $encoding })->{headers}{etag};
	like($tag, qr/^"[0-9a-f]{32}-(br|gz)"$/, "a resource by $encoding has a tag");
	is(call('PUT', "/api/examples/$mine->{id}/", as => $customer, body => { name => "By $encoding", note => 'y' x 1500 }, headers => { 'If-Match' => $tag })->{status},
		200, 'by which it can be changed');
}

# Cross-origin calls, on a server that allows some

my $server = shim_start(RENTAL_CORS_ORIGINS => 'https://shop.example,https://admin.example', RENTAL_RATE_LIMITS => 'off');
my @there = (url => $server->{url});
$answer = call('GET', '/api/', @there, headers => { Origin => 'https://shop.example' });
is($answer->{headers}{'access-control-allow-origin'}, 'https://shop.example', 'a listed origin may read');
like($answer->{headers}{vary}, qr/origin/, 'caches are told that it depends on the origin');
is($answer->{headers}{'access-control-allow-credentials'}, undef, 'cookies are not asked for');
for my $origin ('https://evil.example', 'https://shop.example.evil.example', 'http://shop.example', 'null', 'https://shop.example,https://admin.example')
{
	is(call('GET', '/api/', @there, headers => { Origin => $origin })->{headers}{'access-control-allow-origin'}, undef,
		"$origin may not");
}
$answer = call('OPTIONS', '/api/examples/', @there, headers => { Origin => 'https://admin.example', 'Access-Control-Request-Method' => 'POST' });
is($answer->{status}, 204, 'a preflight is answered');
like($answer->{headers}{'access-control-allow-methods'}, qr/POST/, 'with the methods');
like($answer->{headers}{'access-control-allow-headers'}, qr/idempotency-key/, 'and the headers');
is(call('GET', '/api/none/', @there, headers => { Origin => 'https://shop.example' })->{headers}{'access-control-allow-origin'},
	'https://shop.example', 'errors can be read too');
is(call('GET', '/api/', headers => { Origin => 'https://shop.example' })->{headers}{'access-control-allow-origin'}, undef,
	'without a list nobody may');

# Security headers

$answer = call('GET', '/api/');
is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'content types are not to be guessed');
is($answer->{headers}{'referrer-policy'}, 'no-referrer', 'no referrer');
like($answer->{headers}{'content-security-policy'}, qr/default-src 'none'/, 'nothing is to be loaded');
is($answer->{headers}{'strict-transport-security'}, undef, 'no HSTS without TLS');

# The cache: the server has one thread, so that all meet

my $product = product($vendor, 5);
my $product_path = "/api/catalog/products/$product->{id}/";
is(call('GET', $product_path, @there)->{headers}{'x-cache'}, 'MISS', 'the first answer is fetched');
my $hit; # news of the product, made by way of another server, may still be on their way
ok(wait_until(sub { ($hit = call('GET', $product_path, @there))->{headers}{'x-cache'} eq 'HIT' }), 'another one is remembered');
like($hit->{headers}{age}, qr/^\d+$/, 'with its age');
is($hit->{text}, call('GET', $product_path)->{text}, 'and the same as anybody gets');
is(call('GET', $product_path, @there, as => $vendor)->{headers}{'x-cache'}, undef, 'who is logged in is never answered from memory');
is(call('GET', $product_path, @there, headers => { 'If-None-Match' => $hit->{headers}{etag} })->{status}, 304, 'a remembered answer has its tag');
is(call('HEAD', $product_path, @there)->{headers}{'content-length'}, length $hit->{text}, 'and answers HEAD');

for my $encoding (qw(br gzip))
{
	my @path = ("/api/catalog/products/?search=$encoding&vendor=", @there, headers => { 'Accept-Encoding' => $encoding });
	product($vendor, 1, name => "$encoding $_", description => 'd' x 100) for 1 .. 12;
	$path[0] =~ s/vendor=/vendor=$vendor->{user}{vendor_id}/;
	ok(wait_until(sub { $hit = call('GET', @path); $hit->{headers}{'x-cache'} eq 'HIT' }), 'a long answer is remembered');
	is($hit->{headers}{'content-encoding'}, $encoding, "also by $encoding");
	is(`curl -s --compressed -H 'Accept-Encoding: $encoding' '$server->{url}$path[0]'`, call('GET', $path[0], @there)->{text}, 'and the same');
}

# own writes are seen at once, by the server that wrote; a token of the other server is of no use there
my $own = call('POST', '/api/auth/login/', @there, body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $stale = 0;
for my $round (1 .. 50)
{
	call('GET', $product_path, @there);
	call('PUT', "${product_path}rates/", @there, as => $own, body => { amount => "$round.00" })->{status} == 200
	  or BAIL_OUT('a price cannot be set');
	$stale++ if call('GET', $product_path, @there)->{json}{rate}{amount} ne "$round.00";
}
is($stale, 0, 'who wrote and reads back sees what was written, fifty times');

# what changed elsewhere is forgotten soon, and what has not changed is kept
my $other = product($vendor, 1);
wait_until(sub { call('GET', "/api/catalog/products/$other->{id}/", @there)->{headers}{'x-cache'} eq 'HIT' });
call('GET', $product_path, @there);
sql("UPDATE rental.products SET name = 'Renamed in SQL' WHERE id = '$product->{id}'");
ok(wait_until(sub { call('GET', $product_path, @there)->{json}{name} eq 'Renamed in SQL' }, 1), 'a change in SQL is seen within a second');
is(call('GET', "/api/catalog/products/$other->{id}/", @there)->{headers}{'x-cache'}, 'HIT', 'another product is still remembered');
call('GET', '/api/catalog/products/?search=Renamed', @there);
sql("UPDATE rental.vendors SET name = 'New sign ' || id WHERE id = '$vendor->{user}{vendor_id}'");
ok(wait_until(sub { call('GET', "/api/catalog/products/$other->{id}/", @there)->{json}{vendor_name} =~ /^New sign/ }, 1),
	'so is a change of what the answer is made of');
isnt(call('GET', '/api/catalog/products/00000000-0000-7000-8000-000000000000/', @there)->{headers}{'x-cache'}, 'HIT', 'an error')
  for 1 .. 2;
$answer = call('GET', '/api/examples/', @there);
is($answer->{headers}{'x-cache'}, undef, 'what is not marked is not remembered');

# a change that rolls back tells nobody
call('GET', $product_path, @there);
call('GET', $product_path, @there);
sql("BEGIN");
sql("UPDATE rental.products SET name = 'Never' WHERE id = '$product->{id}'");
sql("ROLLBACK");
is(call('GET', $product_path, @there)->{headers}{'x-cache'}, 'HIT', 'what was rolled back is no change');

# a server that hears nothing remembers nothing
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rental-shim' AND query LIKE '%endpoint_catalog%'");
sql("UPDATE rental.products SET name = 'Unheard' WHERE id = '$product->{id}'");
ok(wait_until(sub { my $seen = call('GET', $product_path, @there); $seen->{status} == 200 && $seen->{json}{name} eq 'Unheard' }, 3),
	'when the news were cut off, nothing old is served');
ok(wait_until(sub { (call('GET', $product_path, @there)->{headers}{'x-cache'} // '') eq 'HIT' }, 5), 'and it remembers again');

# bounded, and off by one variable
my $small = shim_start(RENTAL_CACHE_BYTES => 200000, RENTAL_RATE_LIMITS => 'off', RENTAL_ADMIN_PORT => shim_port());
call('GET', "/api/catalog/products/?search=$_", url => $small->{url}) for 1 .. 600;
my ($bytes) = call('GET', '/metrics', url => $small->{admin})->{text} =~ /^rental_cache_bytes (\d+)$/m;
cmp_ok($bytes, '<=', 200000, 'the memory has its bound');
my ($evicted) = call('GET', '/metrics', url => $small->{admin})->{text} =~ /^rental_cache_evictions_total (\d+)$/m;
cmp_ok($evicted, '>', 0, 'the oldest made room');
my $off = shim_start(RENTAL_CACHE_BYTES => 0);
call('GET', $product_path, url => $off->{url});
is(call('GET', $product_path, url => $off->{url})->{headers}{'x-cache'}, undef, 'without memory nothing is remembered');
is(shim_stop($_), 0, 'a server of its own stops in order') for $server, $small, $off;

# Misses of one target at once: of both threads together one asks. The answer is held up until all have come.
sql(q{CREATE FUNCTION public.held_up(n integer) RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS
	$$BEGIN PERFORM pg_advisory_xact_lock_shared(4711); IF n > 1 THEN RAISE 'no such number' USING ERRCODE = 'RT404', CONSTRAINT = 'not_found';
	END IF; RETURN jsonb_build_object('n', n); END$$});
sql(q{INSERT INTO rental.endpoint (method, path, function, auth, status, rate_class, tag, summary, cache_seconds, cache_tags)
	VALUES ('GET', '/api/held-up/', 'public.held_up', '{public}', 200, 'read', 'test', 'Held up', 60, '{held}')});
# a thread takes half of the connections and no more, so both have their ten
my $two = shim_start(RENTAL_THREADS => 2, RENTAL_MAX_CONNECTIONS => 20, RENTAL_RATE_LIMITS => 'off', RENTAL_ADMIN_PORT => shim_port());
my $figure = sub { call('GET', '/metrics', url => $two->{admin})->{text} =~ /^rental_cache_requests_total\{result="$_[0]"\} (\d+)$/m ? $1 : -1 };
for my $way ('found', 'not found')
{
	my ($misses, $joined) = map { $figure->($_) } qw(miss joined);
	my $target = '/api/held-up/?n=' . ($way eq 'found' ? 1 : 2);

	sql("SELECT pg_advisory_lock(4711)");
	my @sockets = map { raw_open($two->{url}) } 1 .. 20;
	print $_ raw_request('GET', $target, headers => ['Connection: close']) for @sockets;
	ok(wait_until(sub { $figure->('joined') == $joined + 19 }), "$way: nineteen of twenty wait for the one that asks");
	is($figure->('miss'), $misses + 1, "$way: which is one in both threads");
	ok(wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rental-shim' AND wait_event = 'advisory'") == 1 }),
		"$way: so is the query");
	sql("SELECT pg_advisory_unlock(4711)");
	my @got = map { raw_read($_) // { status => 0, text => '' } } @sockets;
	is(scalar(grep { $_->{status} == ($way eq 'found' ? 200 : 404) } @got), 20, "$way: all are answered");
	is(scalar(grep { $_->{text} =~ /^\{"n": ?1\}$/ } @got), $way eq 'found' ? 20 : 0, "$way: with what it found");
	close $_ for @sockets;
}
sql("DELETE FROM rental.endpoint WHERE path = '/api/held-up/'");
sql("DROP FUNCTION public.held_up");
is(shim_stop($two), 0, 'and it stops in order');

done_testing();
