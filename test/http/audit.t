#!/usr/bin/perl
# The audit trail over HTTP: a story leaves its traces, with the request that each came from and without any secret.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $admin = demo('admin');
my $since = sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");

# A story with every kind of secret in it

my $vendor = vendor();
my $customer = customer(phone => '+1 555 0199');
my $login = call('POST', '/api/auth/login/', body => { email => $vendor->{email}, password => $vendor->{password} })->{json};
my $key = call('POST', '/api/keys/', as => $login, body => { name => 'audited' });
expect($key, 201, 'a vendor makes a key');
my $product = product($vendor, 3);
my $order = place($customer, $product);
my $confirmed = call('POST', "/api/orders/orders/$order->{id}/confirm/", as => $vendor, headers => { 'X-Request-Id' => 'audit-' . $order->{number} });
expect($confirmed, 200, 'confirms an order');
expect(call('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $order->{id}, amount => '5.00' }), 201, 'enters a payment');
expect(call('DELETE', "/api/keys/$key->{json}{id}/", as => $vendor), 204, 'ends the key');
expect(call('POST', '/api/auth/logout/', body => { refresh => $login->{refresh} }), 204, 'and logs out');

# The administrator reads

sub trail
{
	my ($query, $name) = @_;
	return expect(call('GET', "/api/audit/?$query", as => $admin), 200, $name)->{results};
}

my ($change) = @{ trail("row_id=$order->{id}&table_name=orders", 'the trail of an order is there') };
is($change->{action}, 'update', 'its last change is an update');
my ($confirm) = grep { ($_->{new}{status} // '') eq 'confirmed' } @{ trail("request_id=audit-$order->{number}", 'and of a request') };
is_deeply([ @$confirm{qw(action actor_id actor_role vendor_id session_id client_address sql_user row_id)} ],
	[ 'update', $vendor->{user}{id}, 'vendor', $order->{vendor_id}, $confirm->{session_id}, '127.0.0.1', undef, $order->{id} ],
	'it says who did it, as what, for whom, from where');
like($confirm->{session_id} // '', qr/^[0-9a-f-]{36}$/, 'in which log-in');
is($confirm->{old}{status}, 'pending', 'what it was before');
ok(!exists $confirm->{new}{total}, 'and nothing that did not change');
is_deeply([ map { "$_->{table_name} $_->{action}" } @{ trail("row_id=$key->{json}{id}", 'the trail of a key is there') } ],
	[ 'api_keys update', 'api_keys insert' ], 'newest first');
my ($signup) = @{ trail("row_id=$customer->{user}{id}", 'the trail of an account is there') };
is_deeply([ @$signup{qw(actor_id actor_role)}, $signup->{new}{phone} ], [ undef, 'anonymous', '+1 555 0199' ], 'made by nobody known');
my @sessions = grep { $_->{table_name} eq 'sessions' } @{ trail("from=$since&page_size=100", 'the trail of a time is there') };
is(scalar @sessions, 1, 'of sessions their end is recorded');
is(call('GET', '/api/audit/?from=2100-01-01T00:00:00Z', as => $admin)->{text}, '{"count":null,"next":null,"previous":null,"results":[]}',
	'none from the future');
is_deeply([ grep { $_->{vendor_id} ne $order->{vendor_id} } @{ trail("vendor=$order->{vendor_id}&page_size=100", 'the trail of a vendor is there') } ],
	[], 'and no other');
my $page = expect(call('GET', "/api/audit/?actor_id=$vendor->{user}{id}&page_size=2&count=exact", as => $admin), 200, 'in pages');
my $next = expect(call('GET', $page->{next}, as => $admin), 200, 'one after the other');
cmp_ok($page->{results}[1]{id}, 'gt', $next->{results}[0]{id}, 'backwards in time');
is($page->{count}, sql("SELECT count(*) FROM rental.audit WHERE actor_id = '$vendor->{user}{id}'"), 'counted if asked for');

# Nobody else does

my $before = snapshot();
refused(call('GET', '/api/audit/'), $before, 401, 'unauthenticated', undef, 'nobody else reads it');
refused(call('GET', "/api/audit/?row_id=$order->{id}", as => $_), $before, 403, 'forbidden', undef, 'not even what they did') for $vendor, $customer;

# No secret is in it: neither any that the database has, nor any that the story used

my @columns = split /\n/, sql(q{
	SELECT format('SELECT %I::text FROM rental.%I', a.attname, c.relname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		AND (a.atttypid = 'bytea'::regtype OR a.attname ~ 'hash|secret|payout')});
cmp_ok(scalar @columns, '>=', 3, 'there are columns with secrets');
for my $column (@columns)
{
	my $hidden = "SELECT count(*) FROM rental.audit a, ($column) s(secret) WHERE length(secret) > 4 AND strpos(a::text, trim(leading '\\\\x' FROM secret)) > 0";
	is(sql($hidden), 0, "no value of: $column");
}
for my $secret ($vendor->{password}, $vendor->{refresh}, $vendor->{access}, $login->{refresh}, substr($key->{json}{key}, 12), 'argon2', '\\\\x')
{
	is(sql("SELECT count(*) FROM rental.audit a WHERE strpos(a::text, '$secret') > 0"), 0, 'nor ' . substr($secret, 0, 8) . '…');
}

done_testing();
