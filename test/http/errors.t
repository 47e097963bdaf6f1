#!/usr/bin/perl
# Everything that is refused: with the status and the code of the contract, as a problem document, and without
# a trace in the database.
use strict;
use warnings;
use MIME::Base64 qw(encode_base64url);
use Digest::SHA qw(hmac_sha256 hmac_sha512);
use RentalTest;
use Test::More;

my $nowhere = '00000000-0000-7000-8000-000000000000';
my $orders = '/api/orders/orders/';

# An endpoint with an argument of every type, beside the ones that are there.
sql(q{
	DROP SCHEMA IF EXISTS check_types CASCADE;
	CREATE SCHEMA check_types;
	GRANT USAGE ON SCHEMA check_types TO rental_shim;
	CREATE FUNCTION check_types.echo(t text DEFAULT NULL, u uuid DEFAULT NULL, b boolean DEFAULT NULL, s smallint DEFAULT NULL,
		i integer DEFAULT NULL, l bigint DEFAULT NULL, n numeric DEFAULT NULL, z timestamptz DEFAULT NULL, d date DEFAULT NULL,
		j jsonb DEFAULT NULL, a integer[] DEFAULT NULL) RETURNS jsonb
		LANGUAGE sql AS $$ SELECT jsonb_build_object('t', t, 'u', u, 'b', b, 's', s, 'i', i, 'l', l, 'n', n::text, 'z', z, 'd', d, 'j', j, 'a', a) $$;
	DELETE FROM rental.endpoint WHERE path = '/api/check-types/';
	INSERT INTO rental.endpoint (method, path, function, auth, tag, summary, rate_class)
		SELECT m, '/api/check-types/', 'check_types.echo', '{public}', 'check', 'Echo', r FROM (VALUES ('GET', 'read'), ('POST', 'write')) v(m, r)});

my $vendor = vendor();
my $other_vendor = vendor();
my $customer = customer();
my $other = customer();
my $admin = demo('admin');
my $product = product($vendor, 5);
my $foreign = product($other_vendor, 5);
my $without_rate = product($vendor, 5, day_rate => undef);
my $without_stock = product($vendor);
my $serialised = product($vendor, undef, tracking => 'serialised');
my $order = place($customer, $product, quantity => 2);
my $cancelled = place($customer, $product);
call('POST', "$orders$cancelled->{id}/cancel/", as => $customer)->{status} == 200 or BAIL_OUT('cannot cancel');
my $billed = place($customer, $product);
call('POST', "$orders$billed->{id}/confirm/", as => $vendor)->{status} == 200 or BAIL_OUT('cannot confirm');
my $invoice = call('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $billed->{id} })->{json};
my $payment = call('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $billed->{id}, amount => '1.00' })->{json};
my $example = call('POST', '/api/examples/', as => $customer, body => { name => 'mine' })->{json};
ok($invoice->{id} && $payment->{id} && $example->{id}, 'there is something to be refused');
ok(wait_until(sub { call('GET', '/api/check-types/')->{status} == 200 }), 'and an endpoint with every type');

my $before = snapshot();

# deny STATUS, CODE, FIELD, NAME, METHOD, PATH, call's options: the request is refused so.
sub deny
{
	my ($status, $code, $field, $name, $method, $path, @with) = @_;
	my $answer = call($method, $path, @with);
	refused($answer, $before, $status, $code, $field, $name);
	return $answer;
}

# The body

my @malformed = (
	'cut off' => '{"name":',
	'a list' => '[{"name":"x"}]',
	'a string' => '"name"',
	'a number' => '1',
	'null' => 'null',
	'white space' => " \n",
	'followed by more' => '{"name":"x"} {}',
	'with a trailing comma' => '{"name":"x",}',
	'with single quotes' => "{'name':'x'}",
	'with a comment' => '{"name":"x"/**/}',
	'not UTF-8' => "{\"name\":\"\xff\"}",
	'with half a surrogate pair' => '{"name":"\ud800"}',
	'with a zero character' => '{"name":"a\u0000b"}',
	'with NaN' => '{"name":NaN}',
	'with a control character' => "{\"name\":\"a\nb\"}",
	'nested very deeply' => '{"name":' . '[' x 100_000 . ']' x 100_000 . '}',
	'with a byte order mark' => "\xef\xbb\xbf{\"name\":\"x\"}");
while (my ($what, $raw) = splice @malformed, 0, 2)
{
	deny(400, 'malformed_json', undef, "a body that is $what", 'POST', '/api/examples/', as => $customer, raw => $raw);
}
deny(400, 'missing_field', 'name', 'no body at all', 'POST', '/api/examples/', as => $customer);
deny(400, 'missing_field', 'name', 'an empty object', 'POST', '/api/examples/', as => $customer, raw => '{}');
deny(400, 'invalid_field', 'name', 'null for what is required', 'POST', '/api/examples/', as => $customer, raw => '{"name":null}');
deny(400, 'unknown_field', 'colour', 'an unknown field', 'POST', '/api/examples/', as => $customer, raw => '{"name":"x","colour":1}');
deny(400, 'unknown_field', 'Name', 'a field in another case', 'POST', '/api/examples/', as => $customer, raw => '{"Name":"x"}');
deny(400, 'unknown_field', '', 'a field without a name', 'POST', '/api/examples/', as => $customer, raw => '{"name":"x","":1}');
deny(400, 'duplicate_field', undef, 'a field given twice', 'POST', '/api/examples/', as => $customer, raw => '{"name":"x","name":"y"}');
deny(400, 'duplicate_field', undef, 'the same field escaped', 'POST', '/api/examples/', as => $customer, raw => '{"name":"x","n\u0061me":"y"}');
deny(400, 'duplicate_field', undef, 'a nested field given twice', 'POST', $orders, as => $customer,
	raw => '{"items":[{"quantity":1,"quantity":2}]}');
deny(400, 'duplicate_field', 'order_id', 'a field of the path in the body too', 'POST', "$orders$order->{id}/cancel/", as => $customer,
	raw => "{\"order_id\":\"$order->{id}\"}");
deny(400, 'duplicate_field', 'product_id', 'a field of the path in the query too', 'GET',
	"/api/catalog/products/$product->{id}/?product_id=$nowhere");
deny(400, 'duplicate_field', 'page_size', 'a field twice in the query', 'GET', '/api/examples/?page_size=2&page_size=3');
deny(400, 'unknown_field', 'colour', 'an unknown field in the query', 'GET', '/api/examples/?colour=red');
deny(400, 'unknown_field', 'user_id', 'what is not an argument of the endpoint', 'GET', "/api/examples/?user_id=$nowhere");

deny(415, 'unsupported_media_type', undef, "a body of type $_", 'POST', '/api/examples/', as => $customer, raw => '{"name":"x"}',
	headers => { 'Content-Type' => $_ })
  for 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'application/xml';
refused((raw_exchange("POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $customer->{access}\r\n"
			  . "Content-Length: 12\r\n\r\n{\"name\":\"x\"}"))[0], $before, 415, 'unsupported_media_type', undef, 'a body of no type');
deny(400, 'bad_request', undef, 'a body where there is none', 'GET', '/api/examples/', raw => '{}');

my $large = '{"name":"' . 'x' x (1 << 20) . '"}';
deny(413, 'payload_too_large', undef, 'a body over 1 MiB', 'POST', '/api/examples/', as => $customer, raw => $large);
refused((raw_exchange("POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
			  . "Transfer-Encoding: chunked\r\n\r\n" . join('', map { sprintf "%x\r\n%s\r\n", 65536, 'x' x 65536 } 1 .. 20) . "0\r\n\r\n"))[0],
	$before, 413, 'payload_too_large', undef, 'the same in chunks');
deny(422, 'invalid_value', 'name', 'a body of nearly 1 MiB is read', 'POST', '/api/examples/', as => $customer,
	raw => '{"name":"' . 'x' x ((1 << 20) - 100) . '"}');

# Types, in the body and in the query

my %wrong = (
	t => [ 1, true, [], {} ],
	u => [ 1, 'abc', "{$nowhere}", substr($nowhere, 0, 35), "$nowhere ", '0' x 32 ],
	b => [ 1, 'true', 'yes', '' ],
	s => [ 1.5, '1', 32768, -32769, true, [] ],
	i => [ 1.5, '1', 2147483648, -2147483649, \'1e3', \'1.0', \'99999999999999999999999999' ],
	l => [ '1', \'9223372036854775808', \'-9223372036854775809', \'1.5', true ],
	n => [ 'x', '', '1e5', \'1e5', '1,5', 'NaN', 'Infinity', ' 1', '0x10', true, \('9' x 200) ],
	z => [
		1, '', 'now', 'infinity', 'tomorrow', '2026-11-23', '2026-11-23T10:00:00', '2026-11-23 10:00:00', '2026-11-23T10:00Z',
		'2026-02-30T10:00:00Z', '2026-13-01T10:00:00Z', '2026-11-23T24:00:01Z', '2026-11-23T10:00:00+25:00', '2026-11-23T10:00:00 CET',
		'0000-01-01T00:00:00Z', '2026-11-23T10:00:00.Z'
	],
	d => [ 1, '', 'today', '2026-11-31', '2025-02-29', '23.11.2026', '2026-11-23T00:00:00Z', '2026-1-1' ],
	a => [ 1, '1,2', {}, ['1'], [ 1, undef ], [ 1, [2] ], [1.5], [2147483648] ]);
for my $type (sort keys %wrong)
{
	for my $value (@{ $wrong{$type} })
	{
		my $raw = ref $value eq 'SCALAR' ? $$value : JSON::PP->new->utf8->canonical->allow_nonref->encode($value);
		deny(400, 'invalid_field', $type, "the field $type is not $raw", 'POST', '/api/check-types/', raw => "{\"$type\":$raw}");
	}
}
deny(400, 'invalid_field', substr($_, 0, 1), "in a query, not $_", 'GET', "/api/check-types/?$_")
  for 'u=abc', 'b=1', 's=32768', 'i=', 'i=+1', 'i=1%20', 'l=x', 'n=1e5', 'n=NaN', 'z=now', 'z=2026-11-23T10:00:00', 'd=2026-11-31',
  'j={', 'j=', 'a=1,x', 'a=1,,2', 't=%ff', 't=%00', 't=%zz';
my $right = call('POST', '/api/check-types/',
	raw => "{\"t\":\"\\u00e9\\n\\\"\",\"u\":\"\U$nowhere\E\",\"b\":false,\"s\":-32768,\"i\":2147483647,\"l\":9223372036854775807,"
	  . '"n":"12345678901234567890.123456789","z":"2026-11-23T10:00:00.5+02:00","d":"2028-02-29","j":{"k":[1,"\u20ac"]},"a":[1,-2]}');
is_deeply($right->{json},
	{ t => "\x{e9}\n\"", u => $nowhere, b => false, s => -32768, i => 2147483647, l => 9223372036854775807,
		n => '12345678901234567890.123456789', z => '2026-11-23T08:00:00.5+00:00', d => '2028-02-29', j => { k => [ 1, "\x{20ac}" ] },
		a => [ 1, -2 ] },
	'values of every type arrive as they are');
is_deeply([ @{ call('GET', '/api/check-types/?t=a%2Bb+c%26d&b=true&n=0.10&a=1,2&a=3&j=%7B%22k%22:1%7D')->{json} }{qw(t b n a j)} ],
	[ 'a+b c&d', true, '0.10', [ 1, 2, 3 ], { k => 1 } ], 'in a query as well');

# Lists

deny(400, 'invalid_field', 'page_size', "page_size=$_", 'GET', "/api/catalog/products/?page_size=$_")
  for 0, -1, 101, 'x', '', 99999999999;
deny(400, 'invalid_field', 'cursor', "cursor=$_", 'GET', "/api/catalog/products/?cursor=$_")
  for 'x', '', 'after.', 'after.zz', 'after.' . '0' x 31, 'after.' . '0' x 33, 'before.%2B' . '0' x 31, "sideways.$nowhere";
deny(400, 'invalid_field', 'count', 'another count than the exact one', 'GET', '/api/catalog/products/?count=about');
deny(400, 'invalid_field', 'vendor', 'a filter that is no id', 'GET', '/api/catalog/products/?vendor=acme');

# An order's items

sub no_order
{
	my ($status, $code, $field, $name, $body) = @_;
	return deny($status, $code, $field, $name, 'POST', $orders, as => $customer, ref $body ? (body => $body) : (raw => $body));
}

my %item = %{ order_body($product)->{items}[0] };

sub item { return { items => [ { %item, @_ } ] } }

no_order(400, 'missing_field', 'items', 'no items', {});
no_order(400, 'invalid_field', 'items', 'items that are no list', { items => {} });
no_order(400, 'invalid_field', 'items', 'items that are text', { items => 'x' });
no_order(400, 'invalid_field', 'items', 'an order of nothing', { items => [] });
no_order(400, 'invalid_field', 'items', 'an order of 101 items', { items => [ (\%item) x 101 ] });
no_order(400, 'invalid_field', 'items[0]', 'an item that is no object', { items => [1] });
no_order(400, 'unknown_field', 'items[0].x', 'an unknown field of an item', item(x => 1));
no_order(400, 'unknown_field', 'items[1].price', 'of the second item', { items => [ \%item, { %item, price => '0.01' } ] });
for my $field (qw(product_id quantity start_at end_at))
{
	my %part = %item;
	delete $part{$field};
	no_order(400, 'missing_field', "items[0].$field", "an item without $field", { items => [ \%part ] });
	no_order(400, 'missing_field', "items[0].$field", "an item whose $field is null", item($field => undef));
}
no_order(400, 'invalid_field', 'items[0].product_id', "product_id $_", item(product_id => $_)) for 'abc', 1, "{$nowhere}";
no_order(400, 'invalid_field', 'items[0].quantity', 'quantity ' . (ref $_ || $_), item(quantity => $_))
  for '2', 1.5, 3000000000, true, [];
no_order(422, 'invalid_value', 'items[0].quantity', "quantity $_", item(quantity => $_)) for 0, -1, 1000001;
for my $time ('2026-06-01T10:00:00', '2026-06-01', 'now', 'infinity', '2026-02-30T10:00:00Z', '2026-06-01T25:00:00Z', 1,
	'2026-06-01T10:00:00+99:00')
{
	no_order(400, 'invalid_field', 'items[0].start_at', "start_at $time", item(start_at => $time));
}
no_order(422, 'invalid_period', 'items[0].end_at', 'a period that ends before it starts', item(start_at => at(13), end_at => at(10)));
no_order(422, 'invalid_period', 'items[0].end_at', 'an empty period', item(end_at => at(10)));
(my $soon = at(10)) =~ s/00:00Z$/05:00Z/;
no_order(422, 'invalid_period', 'items[0].end_at', 'a period of 5 minutes', item(end_at => $soon));
no_order(422, 'invalid_period', 'items[0].end_at', 'a period of 6 years', item(end_at => at(10 + 6 * 366)));
no_order(409, 'insufficient_stock', undef, 'more than there is', item(quantity => 6));
no_order(409, 'insufficient_stock', undef, 'more than is free', item(quantity => 3));
no_order(409, 'insufficient_stock', undef, 'together more than is free', { items => [ \%item, { %item, quantity => 2 } ] });
no_order(409, 'insufficient_stock', 'items[0].product_id', 'what is not in stock', item(product_id => $without_stock->{id}));
no_order(422, 'invalid_value', 'items[0].product_id', 'what has no price', item(product_id => $without_rate->{id}));
no_order(404, 'not_found', 'items[0].product_id', 'an unknown product', item(product_id => $nowhere));
no_order(404, 'not_found', 'items[0].unit_ids', 'an unknown unit', item(product_id => $serialised->{id}, unit_ids => [$nowhere]));
no_order(422, 'invalid_value', 'items[1].product_id', 'goods of two vendors',
	{ items => [ \%item, { %item, product_id => $foreign->{id} } ] });
no_order(422, 'invalid_value', 'items[0].product_id', 'goods of another vendor than the one named',
	{ %{ item() }, vendor_id => $other_vendor->{user}{vendor_id} });
no_order(422, 'invalid_value', 'note', 'a note without end', { %{ item() }, note => 'x' x 4001 });
no_order(403, 'forbidden', 'customer_id', 'an order for somebody else', { %{ item() }, customer_id => $other->{user}{id} });
deny(404, 'not_found', 'customer_id', 'an order for nobody', 'POST', $orders, as => $vendor, body => { %{ item() }, customer_id => $nowhere });

# What is not there, or not one's own

my %by_id = (
	product_id => '/api/catalog/products/',
	order_id => $orders,
	invoice_id => '/api/orders/invoices/',
	payment_id => '/api/orders/payments/',
	example_id => '/api/examples/',
	vendor_id => '/api/users/vendors/');
for my $field (sort keys %by_id)
{
	my $path = "$by_id{$field}$nowhere/";

	deny(404, 'not_found', undef, "nothing at $path", 'GET', $path, as => $customer);
	for my $id ('abc', '1', "%7B$nowhere%7D", "$nowhere%20")
	{
		(my $bad = $path) =~ s/\Q$nowhere\E/$id/;
		deny(400, 'invalid_field', $field, "no id at $bad", 'GET', $bad, as => $customer);
	}
}
deny(404, 'not_found', undef, "$_ of an unknown order", 'POST', "$orders$nowhere/$_/", as => $vendor)
  for qw(confirm cancel dispatch return);
deny(404, 'not_found', undef, "someone else's order: $_", 'GET', "$orders$order->{id}/$_", as => $other) for '', 'events/';
deny(404, 'not_found', undef, "someone else's order: cancel", 'POST', "$orders$order->{id}/cancel/", as => $other);
deny(404, 'not_found', undef, "another vendor's order: $_", 'POST', "$orders$order->{id}/$_/", as => $other_vendor)
  for qw(confirm cancel dispatch return);
deny(404, 'not_found', undef, "another vendor's order: invoice", 'POST', '/api/orders/invoices/', as => $other_vendor,
	body => { order_id => $billed->{id} });
deny(404, 'not_found', undef, "another vendor's order: payment", 'POST', '/api/orders/payments/', as => $other_vendor,
	body => { order_id => $billed->{id}, amount => '1.00' });
deny(404, 'not_found', undef, "$$_[0] of somebody else", 'GET', "/api/orders/$$_[0]/$$_[1]{id}/", as => $$_[2])
  for map { ([ 'invoices', $invoice, $_ ], [ 'payments', $payment, $_ ]) } $other, $other_vendor;
is_deeply(call('GET', $_, as => $other)->{json}{results}, [], "nothing of somebody else in $_")
  for $orders, '/api/orders/invoices/', '/api/orders/payments/', "/api/orders/payments/?order=$billed->{id}";

# What one may not do

deny(403, 'forbidden', undef, "a customer may not $_ an order", 'POST', "$orders$order->{id}/$_/", as => $customer)
  for qw(confirm dispatch return);
deny(403, 'forbidden', undef, 'nor issue an invoice', 'POST', '/api/orders/invoices/', as => $customer, body => { order_id => $billed->{id} });
deny(403, 'forbidden', undef, 'nor enter a payment', 'POST', '/api/orders/payments/', as => $customer,
	body => { order_id => $billed->{id}, amount => '1.00' });
deny(403, 'forbidden', undef, 'nor make a product', 'POST', '/api/catalog/products/', as => $customer, body => { name => 'x' });
deny(403, 'forbidden', undef, 'nor look at revenue', 'GET', '/api/analytics/reports/revenue/?from=' . at(0) . '&to=' . at(1), as => $customer);
deny(403, 'forbidden', undef, 'a vendor may not make a category', 'POST', '/api/catalog/categories/', as => $vendor, body => { name => 'x' });
deny(403, 'forbidden', undef, "nor a product of another vendor", 'POST', '/api/catalog/products/', as => $vendor,
	body => { name => 'x', vendor_id => $other_vendor->{user}{vendor_id} });
deny(403, 'forbidden', undef, "nor set another's stock", 'PUT', "/api/catalog/products/$foreign->{id}/stock/", as => $vendor, body => { quantity => 9 });
deny(403, 'forbidden', undef, "nor another's price", 'PUT', "/api/catalog/products/$foreign->{id}/rates/", as => $vendor, body => { amount => 1 });
deny(403, 'forbidden', undef, "nor look at another's revenue", 'GET',
	'/api/analytics/reports/revenue/?from=' . at(0) . '&to=' . at(1) . "&vendor_id=$other_vendor->{user}{vendor_id}", as => $vendor);
deny(403, 'forbidden', undef, "nor at another's units", 'GET', "/api/catalog/products/$foreign->{id}/units/", as => $vendor);
deny(403, 'forbidden', undef, "nor order for somebody else's customer at another vendor", 'POST', $orders, as => $vendor,
	body => { %{ item(product_id => $foreign->{id}) }, customer_id => $customer->{user}{id} });

# Every endpoint that is not public wants to know who calls.
my @closed = map { [ split /\|/ ] } split /\n/,
  sql("SELECT method, path FROM rental.endpoint WHERE NOT 'public' = ANY (auth) ORDER BY path, method");
cmp_ok(scalar @closed, '>', 15, 'there are endpoints that are not public');
for my $endpoint (@closed)
{
	my ($method, $path) = @$endpoint;
	$path =~ s/\{\w+\}/$nowhere/g;
	my $answer = deny(401, 'unauthenticated', undef, "an anonymous $method $path", $method, $path);
	like($answer->{headers}{'www-authenticate'} // '', qr/^Bearer/, 'which says how to be somebody');
}

# The state that things are in

deny(409, 'invalid_state', undef, "$_ of an order that waits", 'POST', "$orders$order->{id}/$_/", as => $vendor) for qw(dispatch return);
deny(409, 'invalid_state', undef, "$_ of a cancelled order", 'POST', "$orders$cancelled->{id}/$_/", as => $vendor)
  for qw(confirm cancel dispatch return);
deny(409, 'invalid_state', undef, "confirming twice", 'POST', "$orders$billed->{id}/confirm/", as => $vendor);
deny(409, 'invalid_state', undef, 'an invoice of an order that waits', 'POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $order->{id} });
deny(409, 'already_exists', undef, 'a second invoice', 'POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $billed->{id} });
deny(409, 'invalid_state', undef, 'a payment for a cancelled order', 'POST', '/api/orders/payments/', as => $vendor,
	body => { order_id => $cancelled->{id}, amount => '1.00' });
deny(422, 'invalid_value', 'amount', "a payment of $_", 'POST', '/api/orders/payments/', as => $vendor,
	body => { order_id => $billed->{id}, amount => "$_" }) for '-1.00', '1.005', '1000000000000';
deny(422, 'invalid_value', 'method', 'a payment in shells', 'POST', '/api/orders/payments/', as => $vendor,
	body => { order_id => $billed->{id}, amount => '1.00', method => 'shells' });
deny(422, 'invalid_value', 'paid_at', 'a payment of tomorrow', 'POST', '/api/orders/payments/', as => $vendor,
	body => { order_id => $billed->{id}, amount => '1.00', paid_at => at(2) });
deny(409, 'conflict', 'quantity', 'less stock than is promised', 'PUT', "/api/catalog/products/$product->{id}/stock/", as => $vendor,
	body => { quantity => 2 });
deny(422, 'invalid_value', 'quantity', 'negative stock', 'PUT', "/api/catalog/products/$product->{id}/stock/", as => $vendor, body => { quantity => -1 });
deny(422, 'invalid_value', undef, 'counted stock of a serialised product', 'PUT', "/api/catalog/products/$serialised->{id}/stock/",
	as => $vendor, body => { quantity => 1 });
deny(404, 'not_found', 'location_id', "stock at another vendor's place", 'PUT', "/api/catalog/products/$product->{id}/stock/", as => $vendor,
	body => { quantity => 9, location_id => sql("SELECT id FROM rental.locations WHERE vendor_id = '$other_vendor->{user}{vendor_id}'") });
deny(404, 'not_found', 'category_id', 'a product in an unknown category', 'POST', '/api/catalog/products/', as => $vendor,
	body => { name => 'x', category_id => $nowhere });
deny(422, 'invalid_value', 'tracking', 'a product of no known kind', 'POST', '/api/catalog/products/', as => $vendor,
	body => { name => 'x', tracking => 'none' });
deny(422, 'invalid_value', 'name', 'a product without a name', 'POST', '/api/catalog/products/', as => $vendor, body => { name => ' ' });

my $price = "/api/catalog/products/$product->{id}/price/";
deny(422, 'invalid_period', 'end_at', 'the price of a period that ends before it starts', 'GET', "$price?start_at=" . at(2) . '&end_at=' . at(1));
deny(422, 'invalid_value', 'quantity', 'the price of nothing', 'GET', "$price?start_at=" . at(1) . '&end_at=' . at(2) . '&quantity=0');
deny(400, 'missing_field', 'end_at', 'the price of a period without an end', 'GET', "$price?start_at=" . at(1));
deny(422, 'invalid_period', undef, 'availability backwards', 'GET',
	"/api/catalog/products/$product->{id}/availability/?from=" . at(2) . '&to=' . at(1));
deny(422, 'invalid_period', 'to', 'revenue backwards', 'GET', '/api/analytics/reports/revenue/?from=' . at(2) . '&to=' . at(1), as => $vendor);
deny(400, 'invalid_field', 'granularity', 'revenue by the fortnight', 'GET',
	'/api/analytics/reports/revenue/?from=' . at(1) . '&to=' . at(2) . '&granularity=fortnight', as => $vendor);

# Accounts

my %account = (email => 'errors-' . random_text(10) . '@example.com', password => random_text(16), name => 'X');
deny(409, 'already_exists', 'email', 'an address that has an account', 'POST', '/api/auth/signup/', body => { %account, email => uc $customer->{email} });
deny(422, 'invalid_value', 'email', "an address like $_", 'POST', '/api/auth/signup/', body => { %account, email => $_ })
  for 'x', '@', 'a@', '@b', 'a b@c', 'a@b@c', 'x' x 250 . '@b.de';
deny(422, 'invalid_value', 'password', 'a password of ' . length, 'POST', '/api/auth/signup/', body => { %account, password => $_ })
  for '', 'short77', 'x' x 129;
deny(422, 'invalid_value', 'role', "signing up as $_", 'POST', '/api/auth/signup/', body => { %account, role => $_ }) for qw(admin owner);
deny(400, 'missing_field', 'business_name', 'a vendor without a business', 'POST', '/api/auth/signup/', body => { %account, role => 'vendor' });
deny(422, 'invalid_value', 'business_name', 'a customer with a business', 'POST', '/api/auth/signup/', body => { %account, business_name => 'x' });
deny(422, 'invalid_value', 'currency', 'a currency that is none', 'POST', '/api/auth/signup/',
	body => { %account, role => 'vendor', business_name => 'x', currency => 'eur' });
deny(422, 'invalid_value', 'time_zone', 'a time zone that is none', 'POST', '/api/auth/signup/',
	body => { %account, role => 'vendor', business_name => 'x', time_zone => 'Mars/Olympus' });
my @logins = (
	deny(401, 'invalid_credentials', undef, 'a wrong password', 'POST', '/api/auth/login/',
		body => { email => $customer->{email}, password => random_text(16) }),
	deny(401, 'invalid_credentials', undef, 'an unknown address', 'POST', '/api/auth/login/',
		body => { email => $account{email}, password => random_text(16) }));
delete $_->{json}{request_id} for @logins;
is_deeply($logins[0]{json}, $logins[1]{json}, 'which nobody can tell apart');
deny(401, 'invalid_token', undef, "a refresh token $_", 'POST', '/api/auth/refresh/', body => { refresh => $_ })
  for 'x', '0' x 64, substr($customer->{access}, 0, 64);
is(call('POST', '/api/auth/logout/', body => { refresh => '0' x 64 })->{status}, 204, 'logging out of nothing is no error');

# Where there is nothing

deny(404, 'not_found', undef, "nothing at $_", 'GET', $_)
  for '/', '/nothing', '/api/nothing/', '/api/examples//', '//api/examples/', '/api/examples/../examples/', '/API/examples/', '/api/auth/',
  "/api/examples%2F$example->{id}/";
deny(400, 'bad_request', undef, "a path like $_", 'GET', $_) for '/api/%zz/', '/api/%ff/', '/api/%00/';
deny(400, 'bad_request', undef, 'a path without end', 'GET', '/api/' . 'x' x 9000);
for my $wrong ([ 'DELETE', '/api/catalog/products/', 'GET, HEAD, POST, OPTIONS' ], [ 'POST', "$orders$order->{id}/", 'GET, HEAD, OPTIONS' ],
	[ 'GET', '/api/auth/login/', 'POST, OPTIONS' ], [ 'PATCH', "/api/examples/$example->{id}/", 'GET, HEAD, PUT, DELETE, OPTIONS' ],
	[ 'PURGE', '/api/examples/', 'GET, HEAD, POST, OPTIONS' ], [ 'get', '/api/', 'GET, HEAD, OPTIONS' ], [ 'POST', '/healthz', 'GET, HEAD' ])
{
	my ($method, $path, $allow) = @$wrong;
	my $answer = (raw_exchange(raw_request($method, $path)))[0];
	refused($answer, $before, 405, 'method_not_allowed', undef, "no $method $path");
	is($answer->{headers}{allow}, $allow, 'which says what there is');
}

# Messages that a proxy might read in another way are refused, and nothing after them is believed.
my $smuggled = "GET /api/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
my %framing = (
	'two lengths' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
	'two equal lengths' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	'a length beside chunks' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	'a length that is signed' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\n{}",
	'a length that is a list' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2, 2\r\n\r\n{}",
	'bare line feeds' => "GET /api/ HTTP/1.1\nHost: localhost\n\n",
	'a folded field' => "GET /api/ HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n",
	'two hosts' => "GET /api/ HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n",
	'no host' => "GET /api/ HTTP/1.1\r\n\r\n",
	'a chunk that is none' => "POST /api/examples/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
for my $what (sort keys %framing)
{
	my @answers = raw_exchange($framing{$what} . $smuggled);
	refused($answers[0], $before, 400, 'bad_request', undef, "a message with $what");
	is(scalar @answers, 1, 'ends its connection');
}

# Tokens: a server whose key is known, so that each is wrong in one way only.

my $shim = shim_start(RENTAL_ACCESS_TTL => 1);
my $now = time;
my %claims = (sub => $customer->{user}{id}, role => 'customer', iss => 'rental', aud => 'rental', iat => $now, exp => $now + 600);
my %header = (alg => 'HS256', typ => 'at+jwt');

sub token
{
	my ($header, $claims, $sign) = @_;
	my $text = join '.', map { encode_base64url(ref $_ ? encode_json($_) : $_) } $header, $claims;
	$sign //= sub { hmac_sha256($_[0], $shim->{secret}) };
	return "$text." . encode_base64url($sign->($text));
}

sub bad_token
{
	my ($token, $name, $code) = @_;
	return refused(call('GET', '/api/users/me/', url => $shim->{url}, as => $token), $before, 401, $code // 'invalid_token', undef, $name);
}

my $good = token(\%header, \%claims);
is(call('GET', '/api/users/me/', url => $shim->{url}, as => $good)->{status}, 200, 'a good token is good');
bad_token($customer->{access}, "another server's token");
bad_token(token(\%header, \%claims, sub { hmac_sha256($_[0], random_text(64)) }), 'a token signed with another key');
bad_token(token(\%header, \%claims, sub { '' }), 'a token without a signature');
bad_token(token({ %header, alg => 'none' }, \%claims, sub { '' }), 'a token with alg none');
bad_token(token({ %header, alg => $_ }, \%claims), "a token with alg $_, signed by HS256") for qw(none None hs256 HS512 RS256);
bad_token(token({ %header, alg => 'HS512' }, \%claims, sub { hmac_sha512($_[0], $shim->{secret}) }), 'a token with alg HS512');
bad_token(token({ %header, typ => $_ }, \%claims), "a token of type $_") for qw(JWT rt+jwt AT+JWT);
bad_token(token({ alg => 'HS256' }, \%claims), 'a token of no type');
bad_token(token({ %header, $_ => 'x' }, \%claims), "a token whose header has $_") for qw(kid jku x5u crit zip);
bad_token(token('{"alg":"none","alg":"HS256","typ":"at+jwt"}', \%claims), 'a token with alg given twice');
bad_token(token(\%header, { %claims, exp => $now - 1 }), 'an expired token', 'expired_token');
bad_token(token(\%header, { %claims, exp => $now - 1 }, sub { hmac_sha256($_[0], random_text(64)) }), 'an expired token that is forged');
bad_token(token(\%header, { %claims, nbf => $now + 600 }), 'a token that is not good yet');
bad_token(token(\%header, { %claims, $_ => 'other' }), "a token with another $_") for qw(iss aud exp nbf sub sid);
for my $claim (qw(iss aud exp sub role))
{
	my %part = %claims;
	delete $part{$claim};
	bad_token(token(\%header, \%part), "a token without $claim");
}
bad_token(token(\%header, { %claims, exp => "$claims{exp}" }), 'a token whose exp is text');
bad_token(token(\%header, { %claims, role => 'root' }), 'a token with a role that there is not');
bad_token(token(\%header, "{\"sub\":\"$nowhere\"," . substr(encode_json(\%claims), 1)), 'a token with sub given twice');
my @parts = split /\./, $good;
bad_token(join('.', $parts[0], encode_base64url(encode_json({ %claims, role => 'admin' })), $parts[2]), 'a token with another role put in');
bad_token($_, 'a token cut or mended: ' . length) for "$parts[0].$parts[1].", "$parts[0].$parts[1]", "$good=", "$good.x", "$good ", ".$good",
  substr($good, 0, -1), 'x', '..', 'x' x 5000, 'rk_' . random_text(40);
bad_token($customer->{refresh}, 'a refresh token');
deny(401, 'invalid_token', undef, "the scheme $_", 'GET', '/api/users/me/', url => $shim->{url}, headers => { Authorization => "$_ $good" })
  for qw(Basic Token);
refused((raw_exchange("GET /api/users/me/ HTTP/1.1\r\nHost: localhost\r\n" . "Authorization: Bearer $good\r\n" x 2 . "\r\n", $shim->{url}))[0],
	$before, 401, 'invalid_token', undef, 'two tokens');
deny(401, 'invalid_token', undef, 'a bad token where none is needed', 'GET', '/api/examples/', url => $shim->{url}, as => 'x');
deny(401, 'invalid_token', undef, 'an order by a forged token', 'POST', $orders, url => $shim->{url}, body => item(),
	as => token(\%header, \%claims, sub { hmac_sha256($_[0], random_text(64)) }));
deny(401, 'expired_token', undef, 'an order by an expired token', 'POST', $orders, url => $shim->{url}, body => item(),
	as => token(\%header, { %claims, exp => $now - 1 }));

my $login = call('POST', '/api/auth/login/', url => $shim->{url}, body => { email => $other->{email}, password => $other->{password} })->{json};
my $expired;
ok(wait_until(sub { ($expired = call('GET', '/api/users/me/', url => $shim->{url}, as => $login))->{status} == 401 }, 5),
	'a token of the server\'s own stops being good');
$before = snapshot();
refused($expired, $before, 401, 'expired_token', undef, 'when its time is over');
is(call('POST', '/api/auth/refresh/', url => $shim->{url}, body => { refresh => $login->{refresh} })->{status}, 200, 'but its session goes on');
is(shim_stop($shim), 0, 'the server of its own ends well');

is(sql('SELECT count(*) FROM rental.stock_verify()'), 0, 'the stock is sound');

sql("DELETE FROM rental.endpoint WHERE path = '/api/check-types/'; DROP SCHEMA check_types CASCADE");
ok(wait_until(sub { call('GET', '/api/check-types/')->{status} == 404 }), 'the endpoint of its own is gone');

done_testing;
