#!/usr/bin/perl
# API keys: scopes, limits, rotation, usage, as a program meets them.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $nowhere = '00000000-0000-7000-8000-000000000000';
my $vendor = vendor();
my $other = vendor();
my $customer = customer();
my $admin = demo('admin');
my $product = product($vendor, 10);
my $order = place($customer, $product);
my $orders = '/api/orders/orders/';

sub key
{
	my (%fields) = @_;
	my $with = delete $fields{as} // $vendor;
	return expect(call('POST', '/api/keys/', as => $with, body => { name => 'test', %fields }), 201, 'a key: ' . join ' ', @{ $fields{scopes} // ['by default'] });
}

sub status { my ($key, $method, $path, @with) = @_; return call($method, $path, as => $key->{key}, @with)->{status} }

sub deny
{
	my ($status, $code, $field, $name, $method, $path, @with) = @_;
	my $before = snapshot();
	return refused(call($method, $path, @with), $before, $status, $code, $field, $name);
}

# Every endpoint asks for the scope of its tag and method, for keys alone

my $narrow = key(scopes => ['orders:read']);
is(status($narrow, 'GET', $orders), 200, 'orders:read reads orders');
is(status($narrow, 'GET', "$orders$order->{id}/"), 200, 'and one of them');
my $answer = call('POST', "$orders$order->{id}/confirm/", as => $narrow->{key});
is(join('; ', problem_flaws($answer, 403, 'forbidden')), '', 'it changes none');
is(sql("SELECT status FROM rental.orders WHERE id = '$order->{id}'"), 'pending', 'indeed');
my @endpoints = map { [ split /\|/ ] } split /\n/, sql('SELECT method, path, tag FROM rental.endpoint WHERE NOT stream ORDER BY path, method');
cmp_ok(scalar @endpoints, '>', 40, 'there are many endpoints');
my $changing = key(scopes => ['orders:write']);
for my $scope ([ $narrow, 'GET' ], [ $changing, 'other' ])
{
	my ($key, $kind) = @$scope;
	my @wrong;
	for my $endpoint (@endpoints)
	{
		my ($method, $path, $tag) = @$endpoint;
		next if $tag eq 'orders' && ($method eq 'GET') == ($kind eq 'GET');
		$path =~ s/\{\w+\}/$nowhere/g;
		my $result = call($method, $path, as => $key->{key}, $method eq 'GET' || $method eq 'DELETE' ? () : (body => {}));
		push @wrong, "$method $path: $result->{status}" if problem_flaws($result, 403, 'forbidden');
	}
	is_deeply(\@wrong, [], "$key->{scopes}[0] opens nothing else");
}
is(status($changing, 'POST', "$orders$order->{id}/confirm/"), 200, 'orders:write changes orders');
my $all = key(scopes => [ '*:read', 'catalog:write' ]);
is(status($all, 'GET', $_), 200, "*:read reads $_") for $orders, '/api/users/me/', '/api/catalog/products/', '/api/usage/';
is(status($all, 'POST', '/api/catalog/products/', body => { name => 'By key' }), 201, 'catalog:write makes a product');
is(status($all, 'PATCH', "/api/users/vendors/$vendor->{user}{vendor_id}/", body => { name => 'x' }), 403, 'but changes no settings');
my $default = key();
is_deeply($default->{scopes}, ['*:read'], 'by default a key reads');
is(status($default, 'POST', '/api/examples/', body => { name => 'x' }), 403, 'and does not write');
sql(q{CREATE SCHEMA IF NOT EXISTS check_keys; GRANT USAGE ON SCHEMA check_keys TO rental_shim;
	CREATE OR REPLACE FUNCTION check_keys.hello() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'hello' $$;
	INSERT INTO rental.endpoint (method, path, function, auth, tag, summary) VALUES ('GET', '/api/check-keys/', 'check_keys.hello', '{user}', 'check-keys', 'Says hello')});
ok(wait_until(sub { call('GET', '/api/check-keys/', as => $vendor)->{status} == 200 }), 'an endpoint that is added');
is(status(key(scopes => ['check-keys:read']), 'GET', '/api/check-keys/'), 200, 'has a scope of its own');
is(status($narrow, 'GET', '/api/check-keys/'), 403, 'which others are not');
sql(q{DELETE FROM rental.endpoint WHERE path = '/api/check-keys/'; DROP SCHEMA check_keys CASCADE});

# A key has no more rights than its owner, and makes no keys

my $write = key(scopes => [ '*:read', '*:write' ]);
is(status($write, 'POST', '/api/catalog/categories/', body => { name => 'x' }), 403, 'a vendor\'s key is no administrator');
is(status($write, 'PATCH', "/api/users/vendors/$other->{user}{vendor_id}/", body => { name => 'x' }), 403, 'nor another vendor');
deny(403, 'forbidden', undef, "and makes no key by $$_[0] $$_[1]", $$_[0], $$_[1], as => $write->{key}, $$_[2] ? (body => $$_[2]) : ())
  for [ 'POST', '/api/keys/', { name => 'x' } ], [ 'POST', "/api/keys/$narrow->{id}/rotate/" ],
  [ 'PATCH', "/api/keys/$write->{id}/", { scopes => [ '*:read', '*:write' ] } ], [ 'DELETE', "/api/keys/$narrow->{id}/" ];
deny(403, 'forbidden', undef, 'a customer has no keys', 'POST', '/api/keys/', as => $customer, body => { name => 'x' });
deny(404, 'not_found', undef, "another's key: $$_[0]", $$_[0], "/api/keys/$narrow->{id}/$$_[1]", as => $other, $$_[2] ? (body => $$_[2]) : ())
  for [ 'GET', '' ], [ 'PATCH', '', { name => 'mine' } ], [ 'DELETE', '' ], [ 'POST', 'rotate/' ];
deny(422, 'invalid_value', 'scopes', 'scopes that are none: ' . join(' ', @$_), 'POST', '/api/keys/', as => $vendor, body => { name => 'x', scopes => $_ })
  for [], ['read'], ['orders:delete'], ['nothing:read'], [ 'orders:read', '' ];
deny(400, 'unknown_field', $_, "nobody sets $_", 'POST', '/api/keys/', as => $vendor, body => { name => 'x', $_ => 'x' }) for qw(user_id key prefix hash role);
deny(400, 'unknown_field', $_, "nor changes $_", 'PATCH', "/api/keys/$narrow->{id}/", as => $vendor, body => { $_ => 'x' })
  for qw(user_id hash revoked_at created_at expires_at id);
my $seen = expect(call('GET', "/api/keys/$narrow->{id}/", as => $vendor), 200, 'its owner sees a key');
is_deeply([ $seen->{prefix}, $seen->{scopes}, exists $seen->{key}, exists $seen->{hash} ], [ $narrow->{prefix}, ['orders:read'], '', '' ], 'but never again the key');
is(call('GET', "/api/keys/?user_id=$vendor->{user}{id}", as => $admin)->{json}{results}[-1]{id}, $narrow->{id}, 'an administrator sees everybody\'s');

deny(400, 'invalid_field', 'key_id', 'an id that is none', $$_[0], "/api/keys/x/$$_[1]", as => $vendor) for [ 'GET', '' ], [ 'DELETE', '' ], [ 'POST', 'rotate/' ];
deny(404, 'not_found', undef, "no such key: $$_[0] $$_[1]", $$_[0], "/api/keys/$nowhere/$$_[1]", as => $vendor) for [ 'GET', '' ], [ 'PATCH', '' ], [ 'DELETE', '' ], [ 'POST', 'rotate/' ];

# Changes count within a second, and nothing else is refused meanwhile

is(status($write, 'POST', '/api/examples/', body => { name => 'x' }), 201, 'a key writes');
expect(call('PATCH', "/api/keys/$write->{id}/", as => $vendor, body => { scopes => ['*:read'] }), 200, 'it is narrowed');
ok(wait_until(sub { status($write, 'POST', '/api/examples/', body => { name => 'x' }) == 403 }, 1), 'and writes no more within a second');
my @while = map { status($write, 'GET', $orders) } 1 .. 5;
is_deeply(\@while, [ (200) x 5 ], 'it reads all the while');
expect(call('PATCH', "/api/keys/$write->{id}/", as => $vendor, body => { scopes => [ '*:read', '*:write' ] }), 200, 'widened');
ok(wait_until(sub { status($write, 'POST', '/api/examples/', body => { name => 'x' }) == 201 }, 1), 'it writes again');

# A limit of its own, whatever the classes have

my $limited = key(scopes => ['*:read'], rate_limit => 3);
my @answers = map { call('GET', $_, as => $limited->{key}) } $orders, '/api/users/me/', '/api/keys/', $orders;
is(join(' ', map { $_->{status} } @answers), '200 200 200 429', 'three requests a minute, of all kinds');
is($answers[0]{headers}{'ratelimit-policy'}, '"key";q=3;w=60', 'the policy is told');
is($answers[1]{headers}{'x-ratelimit-remaining'}, 1, 'and what is left');
is(join('; ', problem_flaws($answers[3], 429, 'rate_limited')), '', 'the refusal says when to come back');
is(status($narrow, 'GET', $orders), 200, 'another key of the same owner is not concerned');
is(call('GET', $orders, as => $vendor)->{status}, 200, 'nor the owner');
expect(call('PATCH', "/api/keys/$limited->{id}/", as => $vendor, body => { rate_limit => undef }), 200, 'without a limit');
ok(wait_until(sub { status($limited, 'GET', $orders) == 200 }, 1), 'it goes on');
my $classes = shim_start(RENTAL_RATE_LIMITS => 'read=2/60');
@answers = map { call('GET', $orders, as => $_, url => $classes->{url}) } $narrow->{key}, $narrow->{key}, $narrow->{key};
is(join(' ', map { $_->{status} } @answers), '200 200 429', 'then its class\'s limit counts');
expect(call('PATCH', "/api/keys/$narrow->{id}/", as => $vendor, body => { rate_limit => 100 }), 200, 'and its own instead');
ok(wait_until(sub { call('GET', $orders, as => $narrow->{key}, url => $classes->{url})->{status} == 200 }, 1), 'which may be more');

# Rotation

my $old = key(name => 'till', scopes => ['orders:read'], rate_limit => 1000);
my $new = expect(call('POST', "/api/keys/$old->{id}/rotate/", as => $vendor, body => {}), 201, 'a key is replaced');
is_deeply([ @$new{qw(name scopes rate_limit)} ], [ 'till', ['orders:read'], 1000 ], 'by one like it');
isnt($new->{key}, $old->{key}, 'that is another');
is(status($_, 'GET', $orders), 200, 'both are good') for $old, $new;
is(sql("SELECT extract(epoch FROM expires_at - created_at)::int BETWEEN 86399 AND 86401 FROM rental.api_keys WHERE id = '$old->{id}'"), 't', 'the old one for a day');
is(call('GET', "/api/keys/$new->{id}/", as => $vendor)->{json}{replaces}, $old->{id}, 'the new one says whose place it takes');
deny(409, 'invalid_state', undef, 'it is replaced once', 'POST', "/api/keys/$old->{id}/rotate/", as => $vendor, body => {});
deny(422, 'invalid_value', 'overlap', 'an overlap is at most 30 days', 'POST', "/api/keys/$new->{id}/rotate/", as => $vendor, body => { overlap => '31 days' });
my $third = expect(call('POST', "/api/keys/$new->{id}/rotate/", as => $vendor, body => { overlap => '0' }), 201, 'without an overlap');
ok(wait_until(sub { status($new, 'GET', $orders) == 401 }, 1), 'the old one is over within a second');
is(status($third, 'GET', $orders), 200, 'and the new one good');
my $once = random_text(16);
my %again = (as => $vendor, body => {}, headers => { 'Idempotency-Key' => $once });
my @twice = map { call('POST', "/api/keys/$third->{id}/rotate/", %again) } 1, 2;
is(join(' ', map { $_->{status} } @twice), '201 409', 'no table keeps the secret to give it out twice');
is(sql("SELECT count(*) FROM rental.idempotency_keys WHERE response LIKE '%$twice[0]{json}{key}%'"), 0, 'indeed');

my @rotations = race(map { raw_request('POST', "/api/keys/$default->{id}/rotate/", as => $vendor, body => {}) } 1 .. 8);
is(join(' ', sort map { $_->{status} } @rotations), join(' ', 201, (409) x 7), 'of many rotations at once one makes a key');
is(sql("SELECT count(*) FROM rental.api_keys WHERE replaces = '$default->{id}'"), 1, 'indeed');

# Usage, told in batches

my $counted = key(scopes => ['orders:read']);
is(call('GET', "/api/keys/$counted->{id}/", as => $vendor)->{json}{last_used_at}, undef, 'a key that was never used');
status($counted, 'GET', $orders) for 1 .. 5;
status($counted, 'GET', '/api/users/me/') for 1 .. 2;
call('GET', $orders, as => $counted->{key} =~ s/(.)$/$1 eq 'x' ? 'A' : 'x'/er);
sub usage { return call('GET', "/api/usage/?key_id=$_[0]{id}", as => $_[1] // $vendor)->{json}{results} }
ok(wait_until(sub { my $rows = usage($counted); @$rows && $rows->[0]{requests} == 7 }), 'its requests are counted');
my $rows = usage($counted);
is_deeply([ map { [ @$_{qw(requests errors name prefix)} ] } @$rows ], [ [ 7, 2, 'test', $counted->{prefix} ] ], 'with those refused');
like($rows->[0]{day}, qr/^\d{4}-\d\d-\d\d$/, 'by day');
ok(call('GET', "/api/keys/$counted->{id}/", as => $vendor)->{json}{last_used_at}, 'and it is known when it was used last');
is_deeply(usage($counted, $other), [], 'nobody else sees it');
is(usage($counted, $admin)->[0]{requests}, 7, 'but an administrator');
is(call('GET', '/api/usage/?from=2000-01-01&to=2000-12-31', as => $vendor)->{json}{results}[0], undef, 'of days there were');
is(call('GET', '/api/usage/?from=2000-13-01', as => $vendor)->{status}, 400, 'not of others');
is(call('GET', '/api/usage/', as => $customer)->{status}, 403, 'a customer has none');
my $brief = shim_start();
is(status($counted, 'GET', $orders, url => $brief->{url}), 200, 'another server is used') for 1 .. 2;
is(shim_stop($brief), 0, 'and stops');
is(sql("SELECT requests FROM rental.api_key_usage WHERE key_id = '$counted->{id}'"), 9, 'and has told all that it counted');

# A new owner of the rights, and none

is(call('DELETE', "/api/keys/$counted->{id}/", as => $vendor)->{status}, 204, 'a key is revoked');
ok(wait_until(sub { status($counted, 'GET', $orders) == 401 }, 1), 'and over within a second');
is(call('DELETE', "/api/keys/$third->{id}/", as => $admin)->{status}, 204, 'an administrator may, too');
ok(wait_until(sub { status($third, 'GET', $orders) == 401 }, 1), 'with the same effect');
sql("UPDATE rental.users SET is_active = false WHERE id = '$vendor->{user}{id}'");
ok(wait_until(sub { status($narrow, 'GET', $orders) == 401 }, 2), 'a key dies with its owner\'s account');

done_testing;
