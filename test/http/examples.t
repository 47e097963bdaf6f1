#!/usr/bin/perl
# The smallest module from end to end, what holds for every endpoint, and endpoints that a user adds.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $owner = customer();
my $other = customer();
my $list = '/api/examples/';

# Make, read, replace, delete

my $answer = call('POST', $list, as => $owner, body => { name => "Beispiel \x{2603}", note => "a\tnote" });
my $example = expect($answer, 201, 'an example is made');
is_deeply([ sort keys %$example ], [qw(created_at id name note owner_id updated_at)], 'it has its fields');
is_deeply([ @$example{qw(name note owner_id)} ], [ "Beispiel \x{2603}", "a\tnote", $owner->{user}{id} ], 'and its values');
my $path = "$list$example->{id}/";
is_deeply(expect(call('GET', $path), 200, 'anybody reads it'), $example, 'as it is');
my $replaced = expect(call('PUT', $path, as => $owner, body => { name => 'other' }), 200, 'its owner replaces it');
is_deeply([ @$replaced{qw(id name note owner_id created_at)} ], [ $example->{id}, 'other', undef, $owner->{user}{id}, $example->{created_at} ],
	'all of it');
cmp_ok($replaced->{updated_at}, 'gt', $example->{updated_at}, 'which shows when');

my $before = snapshot();
refused(call('PUT', $path, as => $other, body => { name => 'mine' }), $before, 403, 'forbidden', undef, 'nobody else replaces it');
refused(call('DELETE', $path, as => $other), $before, 403, 'forbidden', undef, 'nor deletes it');
refused(call('DELETE', $path), $before, 401, 'unauthenticated', undef, 'least of all nobody');
refused(call('POST', $list, as => $owner, body => { name => ' ' }), $before, 422, 'invalid_value', 'name', 'it needs a name');
refused(call('POST', $list, as => $owner, body => { name => 'x' x 201 }), $before, 422, 'invalid_value', 'name', 'which has an end');
expect(call('PUT', $path, as => demo('admin'), body => { name => 'moderated' }), 200, 'but an administrator may');

$answer = call('DELETE', $path, as => $owner);
expect($answer, 204, 'its owner deletes it');
is($answer->{text}, '', 'which has nothing to say');
$before = snapshot();
refused(call('GET', $path), $before, 404, 'not_found', undef, 'it is gone');
refused(call('DELETE', $path, as => $owner), $before, 404, 'not_found', undef, 'for good');
refused(call('PUT', $path, as => $owner, body => { name => 'x' }), $before, 404, 'not_found', undef, 'and does not come back');

# Pages, newest first

my @ids = reverse map { call('POST', $list, as => $owner, body => { name => "page $_" })->{json}{id} } 1 .. 7;
my $page = expect(call('GET', "$list?page_size=3&count=exact"), 200, 'a page is answered');
is($page->{count}, sql('SELECT count(*) FROM rental.examples'), 'count=exact counts');
my @seen;
my $next = "$list?page_size=3";
for (1 .. 3)
{
	$page = call('GET', $next)->{json};
	push @seen, map { $_->{id} } @{ $page->{results} };
	$next = $page->{next} // last;
}
is_deeply([ @seen[ 0 .. 6 ] ], \@ids, 'the newest come first');
my $new = call('POST', $list, as => $owner, body => { name => 'late' })->{json};
$page = call('GET', $page->{previous})->{json};
is_deeply([ map { $_->{id} } @{ $page->{results} } ], [ @ids[ 3 .. 5 ] ], 'a new row shifts no page');
is(scalar @{ call('GET', "$list?page_size=1")->{json}{results} }, 1, 'a page may have one row');
is(call('GET', "$list?page_size=1")->{json}{results}[0]{id}, $new->{id}, 'the newest');
$page = call('GET', "$list?cursor=after." . '0' x 32)->{json};
is_deeply([ $page->{results}, $page->{next} ], [ [], undef ], 'a page after the end is empty');

# What holds for every endpoint

$path = "$list$new->{id}";
for my $pair ([ $list, '/api/examples' ], [ "$path/", $path ], [ "$list?page_size=1", '/api/examples?page_size=1' ], [ '/api/', '/api' ])
{
	my @same = map { call('GET', $_) } @$pair;
	is($same[1]{status}, 200, "$$pair[1] works without its slash");
	is_deeply([ @{ $same[1]{json} }{qw(name results id)} ], [ @{ $same[0]{json} }{qw(name results id)} ], 'and answers the same');
}
is(call('GET', $path =~ s/.$/sprintf '%%%02x', ord $&/er)->{status}, 200, 'a percent-encoded path is the same path');

for my $where ($list, "$path/", '/api/nothing/', '/healthz')
{
	my $get = call('GET', $where);
	my $socket = raw_open();
	print $socket raw_request('HEAD', $where) . raw_request('GET', '/healthz');
	my $head = raw_read($socket, 'HEAD');
	is($head->{status}, $get->{status}, "HEAD $where has the status of GET");
	is($head->{headers}{$_}, $get->{headers}{$_}, "and its $_") for qw(content-type content-length);
	is(raw_read($socket)->{json}{status}, 'alive', 'and no body');
}

for my $pair ([ $list, 'GET, HEAD, POST, OPTIONS' ], [ "$path/", 'GET, HEAD, PUT, DELETE, OPTIONS' ], [ '/api/auth/login', 'POST, OPTIONS' ])
{
	$answer = call('OPTIONS', $$pair[0]);
	is_deeply([ @$answer{qw(status text)}, $answer->{headers}{allow} ], [ 204, '', $$pair[1] ], "OPTIONS $$pair[0]");
}

for my $given ('abc-123_X.y', 'a', 'x' x 64)
{
	is(call('GET', $_, headers => { 'X-Request-Id' => $given })->{headers}{'x-request-id'}, $given, "X-Request-Id comes back from $_")
	  for $list, '/api/nothing/', '/healthz';
}
for my $given ('', 'a b', 'a"b', "\x{e9}", '<x>', 'x' x 300)
{
	my $answer = (raw_exchange(raw_request('GET', $list, headers => ["X-Request-Id: $given"])))[0];
	my $id = $answer->{headers}{'x-request-id'} // '';
	ok($answer->{status} == 200 && $id ne $given && $id =~ /^[\w.-]{8,64}$/, 'unless it is not sane: another is given')
	  or diag($given, ": $answer->{status} $answer->{text}");
}
isnt(call('GET', $list)->{headers}{'x-request-id'}, call('GET', $list)->{headers}{'x-request-id'}, 'no two requests get the same');
is(call('GET', $list)->{headers}{'x-content-type-options'}, 'nosniff', 'no answer is sniffed');
like(call('GET', $list)->{headers}{'content-type'}, qr{^application/json}, 'what is answered is JSON');
is(call('GET', $list)->{headers}{'cache-control'}, 'no-store', 'and not kept by caches');

# Endpoints that a user adds: a function and a row

my $schema = 'check_added';
sql(qq{
	DELETE FROM rental.endpoint WHERE path LIKE '/api/added/%';
	DROP SCHEMA IF EXISTS $schema CASCADE;
	CREATE SCHEMA $schema;
	GRANT USAGE ON SCHEMA $schema TO rental_shim;
	CREATE TYPE $schema.greeting AS (text text, at timestamptz, price numeric, tags text[]);
	CREATE FUNCTION $schema.greet(name text, times integer DEFAULT 2, price numeric DEFAULT 1.50, tags text[] DEFAULT '{a,b}')
		RETURNS $schema.greeting LANGUAGE sql STABLE
		AS \$\$ SELECT repeat('hi ' || name || ' ', times), timestamptz '2026-11-23 12:00+02', price, tags \$\$;
	CREATE FUNCTION $schema.numbers(upto integer) RETURNS SETOF integer LANGUAGE sql IMMUTABLE AS \$\$ SELECT generate_series(1, upto) \$\$;
	CREATE FUNCTION $schema.nothing() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION $schema.write_in_get() RETURNS text LANGUAGE plpgsql
		AS \$\$ BEGIN DELETE FROM rental.examples; RETURN 'done'; END \$\$;
	CREATE FUNCTION $schema.fail(state text) RETURNS text LANGUAGE plpgsql
		AS \$\$ BEGIN RAISE EXCEPTION 'secret of the house' USING ERRCODE = state; END \$\$;
	INSERT INTO rental.endpoint (method, path, function, auth, status, tag, summary, rate_class) VALUES
		('GET', '/api/added/greet/{name}/', '$schema.greet', '{public}', 200, 'added', 'Greet', 'read'),
		('POST', '/api/added/greet/', '$schema.greet', '{vendor,admin}', 202, 'added', 'Greet', 'write'),
		('GET', '/api/added/numbers/', '$schema.numbers', '{public}', 200, 'added', 'Numbers', 'read'),
		('POST', '/api/added/nothing/', '$schema.nothing', '{user}', 204, 'added', 'Nothing', 'write'),
		('GET', '/api/added/write/', '$schema.write_in_get', '{public}', 200, 'added', 'Write', 'read'),
		('POST', '/api/added/fail/', '$schema.fail', '{public}', 200, 'added', 'Fail', 'write'),
		('GET', '/api/added/none/', '$schema.is_not_there', '{public}', 200, 'added', 'None', 'read')});
ok(wait_until(sub { call('GET', '/api/added/numbers/?upto=1')->{status} == 200 }, 5), 'an endpoint is served as soon as its row is there');
is_deeply(call('GET', '/api/added/greet/J%C3%B6/')->{json},
	{ text => "hi J\x{f6} hi J\x{f6} ", at => '2026-11-23T10:00:00Z', price => '1.50', tags => [qw(a b)] },
	'its arguments are the request, its result is the answer');
is_deeply(call('GET', '/api/added/greet/x/?times=1&price=7&tags=c,d&tags=e')->{json},
	{ text => 'hi x ', at => '2026-11-23T10:00:00Z', price => '7', tags => [qw(c d e)] }, 'in the query as well');
is_deeply(call('GET', '/api/added/numbers/?upto=3')->{json}{results}, [ 1, 2, 3 ], 'a set is a list');
my $vendor = vendor();
$answer = call('POST', '/api/added/greet/', as => $vendor, body => { name => 'x', tags => [], times => undef });
is_deeply([ $answer->{status}, @{ $answer->{json} }{qw(text tags)} ], [ 202, 'hi x hi x ', [] ], 'null is the default');
is(call('POST', '/api/added/nothing/', as => $owner)->{status}, 204, 'void has no body');
$before = snapshot();
refused(call('POST', '/api/added/greet/', as => $owner, body => { name => 'x' }), $before, 403, 'forbidden', undef, 'its roles are checked');
refused(call('POST', '/api/added/greet/', as => $vendor, body => { name => 'x', n => 1 }), $before, 400, 'unknown_field', 'n', 'and its fields');
refused(call('GET', '/api/added/write/'), $before, 500, 'internal', undef, 'a GET that writes is an error');
refused(call('GET', '/api/added/none/'), $before, 404, 'not_found', undef, 'a row without its function is no endpoint');
my @states = ('22023' => [ 400, 'invalid_field' ], '23505' => [ 409, 'conflict' ], '23503' => [ 422, 'rule_violated' ], '23514' => [ 422, 'rule_violated' ],
	'57014' => [ 504, 'timed_out' ], '40001' => [ 503, 'unavailable' ], '40P01' => [ 503, 'unavailable' ], '53300' => [ 503, 'unavailable' ],
	'P0001' => [ 500, 'internal' ], 'XX000' => [ 500, 'internal' ], '42501' => [ 500, 'internal' ]);
while (my ($state, $wanted) = splice @states, 0, 2)
{
	$answer = call('POST', '/api/added/fail/', body => { state => $state });
	refused($answer, $before, @$wanted, undef, "an error of state $state");
	unlike($answer->{text}, qr/secret|\Q$state\E/, 'which shows nothing internal');
}

sql("CREATE OR REPLACE FUNCTION $schema.numbers(upto integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 42';
	UPDATE rental.endpoint SET status = 203 WHERE path = '/api/added/numbers/'");
ok(wait_until(sub { call('GET', '/api/added/numbers/?upto=1')->{status} == 203 }, 5), 'a changed row is taken up');
is_deeply(call('GET', '/api/added/numbers/?upto=1')->{json}{results}, [42], 'and so is a changed function');
sql("DROP FUNCTION $schema.greet(text, integer, numeric, text[]);
	CREATE FUNCTION $schema.greet(name text, loud boolean) RETURNS text LANGUAGE sql AS \$\$ SELECT upper(name) || loud \$\$;
	UPDATE rental.endpoint SET summary = 'Shout' WHERE path = '/api/added/greet/{name}/'");
ok(wait_until(sub { (call('GET', '/api/added/greet/x/?loud=true')->{text}) eq '"Xtrue"' }, 5), 'and one with other arguments');
refused(call('GET', '/api/added/greet/x/?times=1'), snapshot(), 400, 'unknown_field', 'times', 'the old ones are unknown');
sql("DELETE FROM rental.endpoint WHERE path LIKE '/api/added/%'; DROP SCHEMA $schema CASCADE");
ok(wait_until(sub { call('GET', '/api/added/numbers/?upto=1')->{status} == 404 }, 5), 'an endpoint ends with its row');

done_testing;
