#!/usr/bin/perl
# Prices over HTTP: what a vendor sets, what a customer is shown, and the worked examples.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $vendor = vendor();
my $other = vendor();
my $customer = customer();
my $product = product($vendor, 10);
my $path = "/api/catalog/products/$product->{id}";

sub problem { return join ' ', map { $_ // '-' } $_[0]{status}, $_[0]{json}{code}, join ',', keys %{ $_[0]{json}{errors} // {} } }
sub rates { return expect(call('PUT', "$path/rates/", as => $vendor, body => $_[0]), 200, 'rates are set') }

# price DAYS, [query]: of a rental that begins on 1 June
sub price
{
	my ($days, $query, %options) = @_;
	my $end = POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(1906538400 + int(86400 * $days)));
	return call('GET', "$path/price/?start_at=2030-06-01T10:00:00Z&end_at=$end" . ($query // ''), %options);
}
sub total { my $answer = price(@_); return $answer->{json}{total} // problem($answer) }

sub tiers { return [ map { my ($length, $unit, $amount) = split ' ', $_; { length => $length + 0, unit => $unit, amount => $amount } } @_ ] }

rates({ tiers => tiers('1 day 100.00', '3 day 250.00', '1 week 500.00') });
is(total(8), '600.00', 'optimal: a week and a day');
is(total(2), '200.00', 'two days');
is_deeply([ map { "$_->{description} $_->{amount}" } @{ price(6)->{json}{lines} } ], ['1 week 500.00'], 'six days are explained');
rates({ strategy => 'tiered', tiers => tiers('1 day 50', '2 day 75'), extra_day => '20.00' });
is(total(4), '115.00', 'tiered');
rates({ strategy => 'multiplier', amount => '100.00', factors => [ 1, 1, 0.7, 0.5, 0.5 ] });
is(total(5), '370.00', 'multiplier');
my $rule = expect(call('POST', '/api/catalog/price-rules/', as => $vendor,
	body => { name => '6 to 20', kind => 'quantity', min_quantity => 6, max_quantity => 20, percent => '-10', product_id => $product->{id} }), 201, 'a step of quantity');
is(total(5, '&quantity=8'), '2664.00', 'times eight');
rates({ strategy => 'fixed', amount => '100.00', days => 4, extra_percent => 10 });
is(total(6), '120.00', 'fixed');
rates({ unit => 'hour', tiers => tiers('1 hour 10'), leeway => '15 minutes' });
is(price(70 / 1440)->{json}{units}, 1, 'an hour with leeway');
is(price(76 / 1440)->{json}{units}, 2, 'two hours');
my $whole = expect(call('GET', "$path/rates/"), 200, 'the whole price is public');
is_deeply([ @$whole{qw(strategy unit counting tiers)} ], [ 'optimal', 'hour', 'clock', [ { length => 1, unit => 'hour', amount => '10' } ] ], 'as it was set')
  or diag(encode_json($whole));

for my $wrong (
	[ 'tiers[1].length', { tiers => tiers('3 day 1', '1 day 1') } ], [ 'tiers[0].amount', { tiers => tiers('1 day 1.001') } ], [ 'tiers[0].unit', { tiers => tiers('1 year 1') } ],
	[ 'tiers[0].unit', { tiers => tiers('1 hour 1') } ], [ 'tiers[0].amount', { tiers => tiers('1 day -1') } ], [ 'amount', {} ], [ 'tiers', { amount => 1, tiers => tiers('1 day 1') } ],
	[ 'strategy', { amount => 1, strategy => 'dear' } ], [ 'leeway', { amount => 1, leeway => '2 days' } ], [ 'factors', { amount => 1, factors => [ -1 ] } ], [ 'minimum', { amount => 1, minimum => -1 } ])
{
	my $answer = call('PUT', "$path/rates/", as => $vendor, body => $wrong->[1]);
	ok($answer->{status} =~ /^4(00|22)$/ && $answer->{json}{errors}{ $wrong->[0] }, "no rates: $wrong->[0]") or diag($answer->{status}, $answer->{text});
}
is(problem(call('PUT', "$path/rates/", as => $other, body => { amount => 1 })), '403 forbidden ', "nor another vendor's");

# seasons, groups, coupons, taxes
rates({ amount => '10.00' });
expect(call('POST', '/api/catalog/price-rules/', as => $vendor, body => { name => 'June', kind => 'season', from_date => '2030-06-01', to_date => '2030-06-30', percent => 20 }), 201, 'a season');
is(total(1), '12.00', 'raises the price');
is_deeply([ map { $_->{name} } @{ call('GET', '/api/catalog/price-rules/', as => $vendor)->{json}{results} } ], [ '6 to 20', 'June' ], 'the vendor sees its rules');
is_deeply(call('GET', '/api/catalog/price-rules/', as => $other)->{json}{results}, [], 'another one does not');
is(problem(call('DELETE', "/api/catalog/price-rules/$rule->{id}/", as => $other)), '404 not_found rule_id', 'nor takes one away');
is(call('DELETE', "/api/catalog/price-rules/$rule->{id}/", as => $vendor)->{status}, 204, 'who made it does');
is(problem(call('POST', '/api/catalog/price-rules/', as => $vendor, body => { name => 'X', kind => 'season', percent => 1, product_id => product($other, 1)->{id} })), '404 not_found product_id', 'a rule is for own products');
my $group = expect(call('POST', '/api/catalog/customer-groups/', as => $vendor, body => { name => 'Regulars', percent => 10 }), 201, 'a group');
my $members = "/api/catalog/customer-groups/$group->{id}/members/$customer->{user}{id}/";
is(problem(call('PUT', $members, as => $vendor)), '404 not_found user_id', 'only who has ordered is a customer');
place($customer, $product);
is(call('PUT', $members, as => $vendor)->{status}, 204, 'a customer is put into it');
is(total(1, '', as => $customer), '10.80', 'and pays less');
is(total(1), '12.00', 'nobody else does');
expect(call('POST', '/api/catalog/coupons/', as => $vendor, body => { code => 'welcome', amount => '5.00', most_uses => 3 }), 201, 'a coupon');
is(total(1, '&coupon=Welcome'), '7.00', 'takes something off');
is(problem(price(1, '&coupon=NONE')), '422 rule_violated coupon', 'another word does not');
is(problem(call('POST', '/api/catalog/coupons/', as => $vendor, body => { code => 'WELCOME', percent => 1 })), '409 already_exists code', 'codes are unique');
my $coupon = call('GET', '/api/catalog/coupons/', as => $vendor)->{json}{results}[0];
is(call('PATCH', "/api/catalog/coupons/$coupon->{id}/", as => $vendor, body => { is_active => \0 })->{status}, 200, 'a coupon ends');
is(problem(price(1, '&coupon=welcome')), '422 rule_violated coupon', 'and is no good');
# an order keeps its coupon, and gives it back when nothing comes of it
my $buyer = customer();
my ($first, $second) = map { product($vendor, 10, day_rate => '10.00') } 1 .. 2;
call('POST', '/api/catalog/coupons/', as => $vendor, body => { code => $_->[0], $_->[1] => $_->[2], most_uses => 1 }) for [ 'PERCENT', 'percent', 10 ], [ 'AMOUNT', 'amount', '6.00' ];
sub uses { return sql("SELECT uses FROM rental.coupons WHERE code = '$_[0]' AND vendor_id = '$vendor->{user}{vendor_id}'") }
for my $code (qw(PERCENT AMOUNT))
{
	my @items = map { { product_id => $_->{id}, quantity => 1, start_at => at(10), end_at => at(11) } } $first, $second;
	my $placed = expect(call('POST', '/api/orders/orders/', as => $buyer, body => { items => \@items, coupon => lc $code }), 201, "an order with $code");
	my $order = "/api/orders/orders/$placed->{id}/";
	my $line = $placed->{items}[0]{id};

	is_deeply([ @{$placed}{qw(subtotal discount total)} ], $code eq 'PERCENT' ? [ '20.00', '2.00', '18.00' ] : [ '20.00', '6.00', '14.00' ], 'is cheaper');
	is(uses($code), 1, 'and uses it');
	is(problem(call('POST', '/api/orders/orders/', as => $buyer, body => { items => \@items, coupon => $code })), '422 rule_violated coupon', 'up');
	my $more = expect(call('PATCH', "${order}items/$line/", as => $buyer, body => { quantity => 3 }), 200, 'more of an item');
	is_deeply([ @{$more}{qw(subtotal discount total)} ], $code eq 'PERCENT' ? [ '40.00', '4.00', '36.00' ] : [ '40.00', '6.00', '34.00' ], 'keeps the coupon');
	is($more->{items}[1]{discount}, $code eq 'PERCENT' ? '1.00' : '1.50', 'of which the other item has its part');
	my $less = expect(call('DELETE', "${order}items/$line/", as => $buyer), 200, 'less');
	is_deeply([ @{$less}{qw(subtotal discount total)} ], $code eq 'PERCENT' ? [ '10.00', '1.00', '9.00' ] : [ '10.00', '6.00', '4.00' ], 'does, too');
	is(expect(call('POST', "${order}cancel/", as => $buyer), 200, 'it is cancelled')->{status}, 'cancelled', 'and ends');
	is(uses($code), 0, 'the coupon is free again');
	my $draft = expect(call('POST', '/api/orders/orders/', as => $buyer, body => { items => \@items, coupon => $code, draft => \1 }), 201, 'a draft with it');
	is(expect(call('POST', "/api/orders/orders/$draft->{id}/quote/", as => $vendor), 200, 'is offered')->{total}, $placed->{total}, 'with it');
}
# an amount is spread anew when an order changes, at the prices of then for what did not change
{
	my @items = map { { product_id => $_->{id}, quantity => 1, start_at => at(20), end_at => at(21) } } $first, $second;
	call('POST', '/api/catalog/coupons/', as => $vendor, body => { code => 'SPREAD', amount => '6.00' });
	my $placed = expect(call('POST', '/api/orders/orders/', as => $buyer, body => { items => \@items, coupon => 'SPREAD' }), 201, 'an order with an amount off');
	my $order = "/api/orders/orders/$placed->{id}/";

	expect(call('PUT', "/api/catalog/products/$first->{id}/rates/", as => $vendor, body => { amount => '12.00' }), 200, 'a price goes up');
	expect(call('PUT', "/api/catalog/products/$second->{id}/rates/", as => $vendor, body => { amount => '13.00', shortest => '2 days' }), 200, 'and another');
	my $more = expect(call('PATCH', "${order}items/$placed->{items}[0]{id}/", as => $buyer, body => { quantity => 2 }), 200, 'one item is changed');
	is_deeply([ map { @$_{qw(unit_price subtotal discount total)} } @{ $more->{items} } ],
		[ '12.00', '24.00', '4.24', '19.76', '10.00', '10.00', '1.76', '8.24' ], 'the other keeps its price');
	is_deeply([ @{$more}{qw(subtotal discount tax total)} ], [ '34.00', '6.00', '0.00', '28.00' ], 'and the order has the sums');
	my $added = expect(call('POST', "${order}items/", as => $buyer, body => { product_id => $first->{id}, quantity => 1, start_at => at(22), end_at => at(23) }), 201, 'another is added');
	is_deeply([ map { @$_{qw(unit_price discount)} } @{ $added->{items} } ], [ '12.00', '3.13', '10.00', '1.30', '12.00', '1.57' ], 'and has its part of the coupon');
	is_deeply([ @{$added}{qw(subtotal discount total)} ], [ '46.00', '6.00', '40.00' ], 'all of it');
}
my $tax = expect(call('POST', '/api/catalog/taxes/', as => $vendor, body => { name => 'VAT', percent => 19 }), 201, 'a tax');
is_deeply([ @{ price(1)->{json} }{qw(subtotal tax total)} ], [ '12.00', '2.28', '14.28' ], 'is added');
my $light = expect(call('POST', '/api/catalog/taxes/', as => $vendor, body => { name => 'Light', percent => 7, is_default => \0 }), 201, 'another');
is(call('PUT', "$path/taxes/", as => $vendor, body => { tax_rate_ids => [ $light->{id} ] })->{status}, 204, "a product's own");
is(price(1)->{json}{tax}, '0.84', 'counts instead');
is(problem(call('PUT', "$path/taxes/", as => $vendor, body => { tax_rate_ids => [ $other->{user}{id} ] })), '404 not_found tax_rate_ids', 'one that is there');
is(price(1)->{json}{tax}, '0.84', 'and nothing changes otherwise');
my $settings = { deposit => 'percent_items', deposit_percent => 50, late_per_day => '10.00', late_steps => [ { days => 1, amount => '5.00' } ] };
is(expect(call('PUT', '/api/catalog/price-settings/', as => $vendor, body => $settings), 200, 'settings')->{late_steps}[0]{amount}, '5.00', 'are kept');
is(price(1)->{json}{deposit}, '6.00', 'and count');
is(problem(call('PUT', '/api/catalog/price-settings/', as => $vendor, body => { deposit => 'much' })), '422 invalid_value deposit', 'if they are good');

# the product itself
is(expect(call('PATCH', "$path/", as => $vendor, body => { name => 'Another name', buffer_after => '2 hours' }), 200, 'a product is changed')->{name}, 'Another name', 'in what is given');
is(problem(call('PATCH', "$path/", as => $other, body => { name => 'Mine' })), '403 forbidden ', 'by its vendor');
is(call('DELETE', "$path/", as => $vendor)->{status}, 204, 'it is archived');
is(call('GET', "$path/")->{status}, 404, 'and not shown any more');
is(call('PATCH', "$path/", as => $vendor, body => { is_active => \1 })->{status}, 200, 'until it comes back');
is(call('GET', "$path/")->{status}, 200, 'for all');

done_testing;
