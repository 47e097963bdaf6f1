#!/usr/bin/perl
# Many clients at once want what only some of them can have.
use strict;
use warnings;
use RentalTest;
use Test::More;

use constant CLIENTS => 64;

my $orders = '/api/orders/orders/';
my $vendor = vendor();
my @customers = map { customer() } 1 .. 8;

# outcome ANSWERS, [STATUS, CODE]: what came, counted: "201:1 409:63"; other errors than the one named stand out.
sub outcome
{
	my ($answers, $status, $code) = @_;
	my %count;

	for my $answer (@$answers)
	{
		my @flaws = $answer->{status} >= 400 ? problem_flaws($answer, $status, $code) : ();
		$count{ $answer->{status} . (@flaws ? " (@flaws: $answer->{text})" : '') }++;
	}
	return join ' ', map { "$_:$count{$_}" } sort keys %count;
}

# order_all PRODUCT, BODY...: every client places one of the orders; their answers.
sub order_all
{
	my (@bodies) = @_;
	return race(map { raw_request('POST', $orders, as => $customers[ $_ % @customers ], body => $bodies[ $_ % @bodies ]) } 1 .. CLIENTS);
}

# overbooked: places and times where the open reservations sum to more than there is, by plain SQL.
sub overbooked
{
	return sql(q{
		WITH steps AS (
			SELECT product_id, location_id, lower(blocked) AS at, quantity AS step FROM rental.reservations WHERE state <> 'released'
			UNION ALL
			SELECT product_id, location_id, upper(blocked), -quantity FROM rental.reservations WHERE state <> 'released'
		), taken AS (
			SELECT product_id, location_id, at, sum(step) OVER (PARTITION BY product_id, location_id ORDER BY at
				RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS pieces
			FROM steps
		)
		SELECT count(*) FROM taken t JOIN rental.stock s USING (product_id, location_id)
		WHERE t.pieces > s.quantity + (SELECT count(*) FROM rental.units u
			WHERE u.product_id = t.product_id AND u.location_id = t.location_id AND u.in_service @> t.at)});
}

sub held
{
	my ($product) = @_;
	return sql("SELECT coalesce(sum(quantity), 0) FROM rental.reservations WHERE product_id = '$product->{id}' AND state <> 'released'");
}

for my $round (1 .. 5)
{
	my $product = product($vendor, 1);
	my @answers = order_all(order_body($product));

	is(outcome(\@answers, 409, 'insufficient_stock'), '201:1 409:63', "round $round: one of 64 gets the last piece");
	is(held($product), 1, 'and holds it');
	my ($winner) = grep { $_->{status} == 201 } @answers;
	is(sql("SELECT count(*) FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id WHERE i.product_id = '$product->{id}'"), 1,
		'the others have left no order behind');
	is(sql("SELECT status FROM rental.orders WHERE id = '$winner->{json}{id}'"), 'pending', 'the one who was told so has it');
}

my $ten = product($vendor, 10);
is(outcome([ order_all(order_body($ten)) ], 409, 'insufficient_stock'), '201:10 409:54', 'ten of 64 get ten pieces');
is(held($ten), 10, 'and hold them');
is_deeply([ map { $_->{available} }
	@{ call('GET', "/api/catalog/products/$ten->{id}/availability/?from=" . at(9) . '&to=' . at(14))->{json}{results} } ],
	[ 10, 0, 10 ], 'nothing is free, for as long as they are held');

my $some = product($vendor, 10);
my @answers = order_all(map { order_body($some, quantity => $_) } 1 .. 4);
unlike(outcome(\@answers, 409, 'insufficient_stock'), qr/[(]/, 'orders of 1 to 4 pieces: placed, or not enough stock');
my $got = 0;
$got += $_->{json}{items}[0]{quantity} for grep { $_->{status} == 201 } @answers;
is(held($some), $got, 'what was answered is what is held');
cmp_ok($got, '<=', 10, 'and no more than there is');
cmp_ok($got, '>=', 7, 'and no less than what the largest order leaves over');

# Orders that overlap in part: no moment may have more than two.
my $two = product($vendor, 2);
@answers = order_all(map { order_body($two, start_at => at(10 + $_), end_at => at(13 + $_)) } 0 .. 5);
unlike(outcome(\@answers, 409, 'insufficient_stock'), qr/[(]/, 'periods that overlap: placed, or not enough stock');
is(held($two), scalar(grep { $_->{status} == 201 } @answers), 'what was answered is what is held');

# Two products in either order: nobody waits for the other for ever.
my @pair = map { product($vendor, 10) } 1, 2;
my @both = map { order_body($_)->{items}[0] } @pair;
@answers = order_all({ items => [@both] }, { items => [ reverse @both ] });
is(outcome(\@answers, 409, 'insufficient_stock'), '201:10 409:54', 'ten of 64 get two things each, whichever they name first');
is_deeply([ map { held($_) } @pair ], [ 10, 10 ], 'and hold both');

# One numbered unit
my $serialised = product($vendor, undef, tracking => 'serialised');
my ($unit) = map { call('POST', "/api/catalog/products/$serialised->{id}/units/", as => $vendor, body => { code => "U-$_" })->{json} } 1 .. 3;
@answers = order_all(order_body($serialised, unit_ids => [ $unit->{id} ]));
is(outcome(\@answers, 409, 'insufficient_stock'), '201:1 409:63', 'one of 64 gets the unit that all of them name');

# Stock that changes under the orders
my $changing = product($vendor, 5);
@answers = race(
	map {
		$_ % 4
		  ? raw_request('POST', $orders, as => $customers[ $_ % 8 ], body => order_body($changing))
		  : raw_request('PUT', "/api/catalog/products/$changing->{id}/stock/", as => $vendor, body => { quantity => $_ % 8 ? 3 : 8 })
	} 1 .. CLIENTS);
is(scalar(grep { $_->{status} !~ /^(?:200|201|409)$/ } @answers), 0, 'orders and changes of stock: each done or refused');
cmp_ok(held($changing), '<=', sql("SELECT quantity FROM rental.stock WHERE product_id = '$changing->{id}'"),
	'no more is held than there is in the end');

# One order, everybody at once
my $order = place($customers[0], product($vendor, 1));
is(outcome([ race((raw_request('POST', "$orders$order->{id}/confirm/", as => $vendor)) x 32) ], 409, 'invalid_state'),
	'200:1 409:31', 'an order is confirmed once');
is(outcome([ race((raw_request('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $order->{id} })) x 32) ],
		409, 'already_exists'),
	'201:1 409:31', 'and billed once');
is(outcome([ race((raw_request('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $order->{id}, amount => '0.50' })) x 32) ]),
	'201:32', 'every payment is taken');
is(call('GET', "$orders$order->{id}/", as => $vendor)->{json}{balance}, '14.00', 'and none is lost');
is(outcome([ race((raw_request('POST', "$orders$order->{id}/cancel/", as => $vendor), raw_request('POST', "$orders$order->{id}/dispatch/", as => $vendor)) x 16) ],
		409, 'invalid_state'),
	'200:1 409:31', 'an order is either cancelled or sent out');

# Coupons
expect(call('POST', '/api/catalog/coupons/', as => $vendor, body => { code => 'LAST', percent => 50, most_uses => 1 }), 201, 'a coupon for one');
my $plenty = product($vendor, CLIENTS);
is(outcome([ order_all({ %{ order_body($plenty) }, coupon => 'LAST' }) ], 422, 'rule_violated'), '201:1 422:63', 'of all who want its last use one gets it');
is(sql("SELECT uses || ' ' || (SELECT count(*) FROM rental.coupon_uses u WHERE u.coupon_id = c.id) FROM rental.coupons c WHERE code = 'LAST'"), '1 1', 'and it is used once');

# Numbers
my $counting = product($vendor, 32);
my @placed = map { place($customers[ $_ % 8 ], $counting) } 1 .. 32;
is(outcome([ race(map { raw_request('POST', "$orders$_->{id}/confirm/", as => $vendor) } @placed) ]), '200:32', '32 orders are confirmed');
is(outcome([ race(map { raw_request('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $_->{id} }) } @placed) ]),
	'201:32', 'and billed');
is(sql("SELECT count(*) || ' ' || min(n) || ' ' || max(n) = count(*) || ' 1 ' || count(*)
		FROM (SELECT split_part(number, '-', 3)::integer AS n FROM rental.invoices WHERE vendor_id = '$vendor->{user}{vendor_id}') v"),
	't', 'the numbers of invoices have no gap');
is(sql("SELECT count(DISTINCT number) = count(*) AND max(split_part(number, '-', 3)::integer) <= (SELECT last FROM rental.number_series WHERE series = 'ORD' AND vendor_id = '$vendor->{user}{vendor_id}')
		FROM rental.orders WHERE vendor_id = '$vendor->{user}{vendor_id}'"),
	't', 'and those of orders are all different');

# One refresh token, one address
my @renewed = race((raw_request('POST', '/api/auth/refresh/', body => { refresh => $customers[0]{refresh} })) x 100);
is((grep { $_->{status} == 200 } @renewed), 100, 'a hundred uses of one refresh token at once are answered');
is(keys %{ { map { $_->{json}{refresh} => 1 } @renewed } }, 1, 'with one successor');
is(sql("SELECT count(*) FROM rental.refresh_tokens t JOIN rental.sessions s ON s.id = t.session_id WHERE s.user_id = '$customers[0]{user}{id}'"),
	2, 'of which there is one');
my %account = (email => 'race-' . random_text(10) . '@example.com', password => random_text(16), name => 'X');
is(outcome([ race((raw_request('POST', '/api/auth/signup/', body => \%account)) x 8) ], 409, 'already_exists'),
	'201:1 409:7', 'an address has one account');

is(overbooked(), 0, 'nothing anywhere is promised twice');
is(sql('SELECT count(*) FROM rental.stock_verify()'), 0, 'the stock is sound');

done_testing;
