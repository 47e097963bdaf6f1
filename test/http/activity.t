#!/usr/bin/perl
# What the servers tell of calls after their answers: looks, searches, cart steps, and what could not be had.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $vendor = vendor();
my $vendor_id = $vendor->{user}{vendor_id};
my $other = vendor();
my $customer = customer();
my $camera = product($vendor, 2, day_rate => '45.00');
my $lamp = product($vendor, 1, day_rate => '10.00');
my $thing = product($other, 1);
my $path = "/api/catalog/products/$camera->{id}/";
my @when = (start_at => at(10), end_at => at(13));
my $query = join '&', "start_at=$when[1]", "end_at=$when[3]";
my $wide = 'from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z';

# kept WHERE: how many rows of activity there are, when there are as many as expected, or after three seconds.
sub kept
{
	my ($where, $wanted) = @_;
	my $count = sub { sql("SELECT count(*) FROM rental.activity WHERE $where") };
	wait_until(sub { $count->() == $wanted }, 4);
	return $count->();
}

sub lost
{
	my ($product) = @_;
	return sql("SELECT string_agg(concat_ws(' ', source, quantity, value, currency), ', ' ORDER BY id) FROM rental.lost_demand WHERE product_id = '$product->{id}'");
}

# Looks

expect(call('GET', $path), 200, 'a look');
expect(call('GET', $path), 200, 'the same again') for 1 .. 3;
is(kept("product_id = '$camera->{id}'", 1), 1, 'who looks again at once, has looked once');
is(call('GET', $path)->{headers}{'x-cache'}, 'HIT', 'a later look, from the cache');
is(kept("product_id = '$camera->{id}'", 2), 2, 'counts');
expect(call('GET', $path, as => $customer), 200, 'one by who is logged in');
call('GET', $path, as => $vendor);
call('HEAD', $path);
call('GET', "/api/catalog/products/$vendor_id/");
is(kept("product_id = '$camera->{id}' AND kind = 'view'", 3), 3, 'three looks are kept, those of the cache too; not the vendor\'s own, a HEAD, or what is not there');
is(sql("SELECT string_agg(DISTINCT vendor_id::text, ',') || count(user_id) FROM rental.activity WHERE product_id = '$camera->{id}'"), "${vendor_id}0",
	'with the vendor, and without who looked');
is(sql("SELECT count(*) FROM rental.activity a WHERE a::text LIKE '%127.0.0.1%'"), 0, 'and no address');
is(sql("SELECT count(DISTINCT visitor) FROM rental.activity WHERE product_id = '$camera->{id}'"), 1, 'one client is one visitor');

# Searches, and what they did not find

expect(call('GET', "${path}price/?$query&quantity=2", as => $customer), 200, 'a price of what is there');
expect(call('GET', "${path}availability/?from=$when[1]&to=$when[3]", as => $customer), 200, 'a look at days');
is(kept("product_id = '$camera->{id}' AND kind = 'search'", 2), 2, 'two searches');
is(sql("SELECT count(*) FROM rental.activity WHERE product_id = '$camera->{id}' AND kind = 'search' AND start_at = '$when[1]' AND end_at = '$when[3]'"), 2, 'with their periods');
is(lost($camera), '', 'nothing was missing');
for my $turn (3 .. 5)
{
	expect(call('GET', "${path}price/?$query&quantity=5", as => $customer), 200, 'a price of more than there is');
	kept("product_id = '$camera->{id}' AND kind = 'search'", $turn);
}
is(kept("product_id = '$camera->{id}' AND kind = 'search'", 5), 5, 'three more');
is(lost($camera), 'search 3 405.00 EUR', 'three pieces were missing, once, and what they cost: 3 × 3 × 45.00');

# A cart

expect(call('POST', '/api/orders/cart/items/', as => $customer, body => { product_id => $camera->{id}, quantity => 6, @when }), 201, 'the same into the cart');
is(kept("kind = 'cart' AND product_id = '$camera->{id}'", 1), 1, 'a step of the cart');
is(lost($camera), 'cart 4 540.00 EUR', 'is the same wish, one step further, by the most that was missing');

# A refused order

is(call('POST', '/api/orders/orders/', as => $customer, body => order_body($camera, quantity => 3))->{status}, 409, 'an order that is refused');
ok(wait_until(sub { lost($camera) eq 'order 4 540.00 EUR' }, 4), 'the last step of the wish') || diag(lost($camera));
{
	my $body = order_body($camera, quantity => 1);
	push @{ $body->{items} }, { product_id => $lamp->{id}, quantity => 4, start_at => at(40), end_at => at(41) };
	is(call('POST', '/api/orders/orders/', as => $customer, body => $body)->{status}, 409, 'one of whose lines one is refused');
	ok(wait_until(sub { lost($lamp) eq 'order 3 30.00 EUR' }, 4), 'that line is lost') || diag(lost($lamp));
	is(lost($camera), 'order 4 540.00 EUR', 'and the other is not');
}
is(call('POST', '/api/orders/orders/', as => customer(), body => order_body($lamp, quantity => 4, start_at => at(40), end_at => at(41)))->{status}, 409, 'another customer wants the same');
ok(wait_until(sub { lost($lamp) eq 'order 3 30.00 EUR, order 3 30.00 EUR' }, 4), 'which is another wish') || diag(lost($lamp));
# in the same words, but the answer of a colleague who takes orders counts as the customer's
my $placed = place($customer, $camera, quantity => 1);
is(call('POST', "/api/orders/orders/$placed->{id}/confirm/", as => $vendor)->{status}, 200, 'an order that is confirmed');

# Reports

my $report = expect(call('GET', "/api/analytics/reports/lost-demand/?$wide", as => $vendor), 200, 'the report')->{results};
is_deeply($report, [
	{ product_id => $camera->{id}, product_name => $camera->{name}, currency => 'EUR', wishes => 1, searched => 0, carted => 0, ordered => 1, quantity => 4, value => '540.00' },
	{ product_id => $lamp->{id}, product_name => $lamp->{name}, currency => 'EUR', wishes => 2, searched => 0, carted => 0, ordered => 2, quantity => 6, value => '60.00' } ],
	'in pieces and money, the most valuable first');
is_deeply(expect(call('GET', "/api/analytics/reports/lost-demand/?$wide&product_id=$lamp->{id}", as => $vendor), 200, 'of one product')->{results}, [ $report->[1] ], 'is that one');
is_deeply(expect(call('GET', "/api/analytics/reports/lost-demand/?$wide", as => $other), 200, 'another vendor')->{results}, [], 'sees nothing of it');
is(call('GET', "/api/analytics/reports/lost-demand/?$wide&vendor_id=$vendor_id", as => $other)->{status}, 403, 'nor by name');
my $funnel = expect(call('GET', "/api/analytics/reports/funnel/?$wide", as => $vendor), 200, 'the funnel')->{results};
is_deeply([ map { [ @$_{qw(step events visitors)} ] } @$funnel ],
	[ [ 'views', 3, 1 ], [ 'searches', 5, 1 ], [ 'carts', 1, 1 ], [ 'orders', 1, 1 ], [ 'confirmed', 1, 1 ], [ 'completed', 0, 0 ] ], 'from looks to orders');
is_deeply([ map { $_->{of_step_before} } @$funnel ], [ undef, '1.6667', '0.2000', '1.0000', '1.0000', '0.0000' ], 'each over the step before');
is_deeply([ map { $_->{of_first} } @$funnel ], [ '1.0000', '1.6667', '0.3333', '0.3333', '0.3333', '0.0000' ], 'and over the first');
is(sql("SELECT string_agg(events::text, ' ') FROM (SELECT rental.act_as('$vendor->{user}{id}')) a, rental.report_funnel('2000-01-01', '2100-01-01')"),
	join(' ', map { sql("SELECT count(*) FROM rental.activity WHERE vendor_id = '$vendor_id' AND kind IN ($_)") } "'view'", "'search'", "'cart','checkout'") . ' ' . join(' ',
		map { sql("SELECT count(*) FROM rental.orders o WHERE vendor_id = '$vendor_id' AND status NOT IN ('draft', 'quoted') AND $_") } 'true',
		q{EXISTS (SELECT FROM rental.order_events e WHERE e.order_id = o.id AND e.kind = 'confirmed')}, q{status = 'completed'}), 'as plain SQL counts');

# The switch, who, and how long

my $database = sql('SELECT current_database()');
sql("ALTER DATABASE $database SET rental.activity = off");
{
	my $shim = shim_start();
	expect(call('GET', $path, url => $shim->{url}), 200, 'a look while it is off');
	is(call('POST', '/api/orders/orders/', url => $shim->{url}, as => expect(call('POST', '/api/auth/login/', url => $shim->{url},
		body => { email => $customer->{email}, password => $customer->{password} }), 200, 'a log-in'), body => order_body($lamp, quantity => 9))->{status}, 409, 'and a refused order');
	is(shim_stop($shim), 0, 'the server tells what it has before it stops');
	is(kept("kind = 'view' AND product_id = '$camera->{id}'", 4), 3, 'nothing is kept');
	is(lost($lamp), 'order 3 30.00 EUR, order 3 30.00 EUR', 'of what was lost neither');
}
sql("ALTER DATABASE $database RESET rental.activity; ALTER DATABASE $database SET rental.activity_users = on");
{
	my $shim = shim_start(RENTAL_DATABASE_URL => "postgresql:///$ENV{PGDATABASE}?host=$ENV{PGHOST}&port=$ENV{PGPORT}&user=rental_shim");
	my $user = expect(call('POST', '/api/auth/login/', url => $shim->{url}, body => { email => $customer->{email}, password => $customer->{password} }), 200, 'a log-in');
	expect(call('GET', "/api/catalog/products/$thing->{id}/", url => $shim->{url}, as => $user), 200, 'a look where users are kept');
	is(shim_stop($shim), 0, 'the server stops');
	is(sql("SELECT user_id FROM rental.activity WHERE product_id = '$thing->{id}'"), $customer->{user}{id}, 'has the user, and came before the server stopped');
}
sql("ALTER DATABASE $database RESET rental.activity_users");
{
	my $shim = shim_start(RENTAL_TRUSTED_HOPS => 1);
	call('GET', "/api/catalog/products/$thing->{id}/", url => $shim->{url}, headers => { 'X-Forwarded-For' => sprintf '10.1.%d.%d', $_ / 256, $_ % 256 }) for 1 .. 1200;
	is(kept("product_id = '$thing->{id}'", 1201), 1201, 'many come in batches, none is lost while the database is there');
	is(sql("SELECT count(DISTINCT visitor) FROM rental.activity WHERE product_id = '$thing->{id}'"), 1201, 'each a visitor of its own');
	shim_stop($shim);
}
{
	my $shim = shim_start(RENTAL_TRUSTED_HOPS => 1, RENTAL_ADMIN_PORT => shim_port());
	my $before = sql('SELECT count(*) FROM rental.activity');
	for my $word ('a' .. 'd')
	{
		call('GET', "/api/catalog/products/?search=$word&page_size=$_", url => $shim->{url}, headers => { 'X-Forwarded-For' => '10.9.9.9' }) for 1 .. 100;
	}
	my ($robots) = call('GET', '/metrics', url => $shim->{admin})->{text} =~ /^rental_activity_robots_total (\d+)$/m;
	cmp_ok($robots, '>', 0, 'who looks at four hundred lists at once is a robot');
	is(kept('true', $before + 400 - $robots), $before + 400 - $robots, 'of which only the first looks of a second are told');
	shim_stop($shim);
}
is(sql("SELECT rental.activity_record('[{\"kind\":\"view\",\"visitor\":\"x\",\"args\":{\"product_id\":\"no\"}},{\"kind\":\"nonsense\"},{\"kind\":\"view\",\"visitor\":\"x\",\"args\":{}}]')"), 1,
	'what makes no sense is left out by itself');
is(sql('SELECT rental.activity_purge()'), 0, 'nothing is old');
sql("UPDATE rental.activity SET at = at - interval '91 days' WHERE kind = 'view' AND product_id = '$camera->{id}'; UPDATE rental.lost_demand SET created_at = created_at - interval '91 days'
	WHERE product_id = '$camera->{id}'");
is(sql('SELECT rental.activity_purge()'), 3, 'what is older than ninety days goes');
is(sql("SELECT count(*) FILTER (WHERE who = id::text) || ' ' || count(*) FILTER (WHERE who <> id::text) FROM rental.lost_demand WHERE vendor_id = '$vendor_id'"), '1 2',
	'of what was lost only by whom');
done_testing();
