#!/usr/bin/perl
# The cart: kept on the server, priced and checked at each look, and one order a vendor at the checkout, all or nothing.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $cart = '/api/orders/cart/';
my ($first, $second, $customer, $other) = (vendor(), vendor(), customer(), customer());
my ($drill, $tent) = (product($first, 2), product($second, 3));
my $unpriced = product($first, 1, day_rate => undef);

sub put
{
	my ($who, $product, %fields) = @_;
	return call('POST', "${cart}items/", as => $who, body => { product_id => $product->{id}, quantity => 1, start_at => at(10), end_at => at(12), %fields });
}
sub look { return expect(call('GET', $cart, as => $_[0] // $customer), 200, 'the cart is shown') }

is_deeply(look(), { items => [], vendors => [], is_ready => false }, 'it is empty at first');
my $before = snapshot();
look();
is(snapshot(), $before, 'a look writes nothing');
refused(call('POST', "${cart}checkout/", as => $customer, body => {}), $before, 409, 'invalid_state', undef, 'nothing cannot be ordered');
refused(put($customer, $drill, quantity => 0), $before, 422, 'invalid_value', 'quantity', 'nothing cannot be put in');
refused(put($customer, $drill, end_at => at(10)), $before, 422, 'invalid_period', 'end_at', 'nor for no time');
refused(put($customer, { id => '00000000-0000-7000-8000-000000000000' }), $before, 404, 'not_found', 'product_id', 'nor what there is not');
refused(put($first, $drill), $before, 403, 'forbidden', undef, 'a vendor has no cart');
is(call('GET', $cart)->{status}, 401, 'nor has a stranger');

expect(put($customer, $drill, quantity => 2), 201, 'something is put in');
my $full = expect(put($customer, $tent, end_at => at(11)), 201, 'and something of another vendor');
is($full->{is_ready}, true, 'it can be ordered');
my ($drills) = grep { $_->{product_id} eq $drill->{id} } @{ $full->{items} };
my ($tents) = grep { $_->{product_id} eq $tent->{id} } @{ $full->{items} };
is_deeply([ @$drills{qw(vendor_id product_name quantity unit_price total available problem detail)} ],
	[ $first->{user}{vendor_id}, $drill->{name}, 2, '20.00', '40.00', 2, undef, undef ], 'each item has its price and what is free');
is_deeply({ map { ($_->{vendor_id} => $_->{total}) } @{ $full->{vendors} } },
	{ $first->{user}{vendor_id} => '40.00', $second->{user}{vendor_id} => '10.00' }, 'each vendor its sum');
is(scalar @{ look($other)->{items} }, 0, 'nobody else sees it');
is(call('DELETE', "${cart}items/$drills->{id}/", as => $other)->{status}, 404, 'or changes it');
is(sql("SELECT count(*) FROM rental.reservations WHERE product_id = '$drill->{id}'"), 0, 'it takes no stock');

# What changes meanwhile shows

expect(call('PUT', "/api/catalog/products/$drill->{id}/rates/", as => $first, body => { amount => '12.00' }), 200, 'a price changes');
my $taken = place($other, $drill, start_at => at(11), end_at => at(13));
my $changed = look();
($drills) = grep { $_->{product_id} eq $drill->{id} } @{ $changed->{items} };
is_deeply([ @$drills{qw(unit_price available problem)} ], [ '24.00', 1, 'insufficient_stock' ], 'the cart shows it, and that too few are left');
is($changed->{is_ready}, false, 'so it cannot be ordered');
is_deeply([ map { $_->{vendor_id} } @{ $changed->{vendors} } ], [ $second->{user}{vendor_id} ], 'and is not summed');
$before = snapshot();
refused(call('POST', "${cart}checkout/", as => $customer, body => {}), $before, 409, 'insufficient_stock', undef, 'the checkout is all or nothing');
expect(put($customer, $unpriced), 201, 'what has no price can be wished for');
my ($wish) = grep { $_->{product_id} eq $unpriced->{id} } @{ look()->{items} };
is("$wish->{problem} " . ($wish->{total} // 'null'), 'invalid_value null', 'and says so');
expect(call('DELETE', "${cart}items/$wish->{id}/", as => $customer), 200, 'it is taken out');
refused(call('PATCH', "${cart}items/$drills->{id}/", as => $customer, body => { end_at => at(9) }), snapshot(), 422, 'invalid_period', 'end_at', 'a wrong change is refused');
is(expect(call('PATCH', "${cart}items/$drills->{id}/", as => $customer, body => { quantity => 1 }), 200, 'fewer will do')->{is_ready}, true, 'and can be ordered');

# The checkout

expect(call('POST', '/api/catalog/coupons/', as => $second, body => { code => 'TENTS', percent => 50, most_uses => 1 }), 201, 'a vendor has a coupon');
my $cheaper = expect(call('GET', "$cart?coupon=tents", as => $customer), 200, 'which the cart takes');
is_deeply({ map { ($_->{vendor_id} => $_->{discount}) } @{ $cheaper->{vendors} } }, { $first->{user}{vendor_id} => '0.00', $second->{user}{vendor_id} => '5.00' }, 'at that vendor');
is_deeply([ problem_flaws(call('GET', "$cart?coupon=OTHER", as => $customer), 422, 'rule_violated', 'coupon') ], [], 'another word is refused');
expect(call('PUT', "/api/users/vendors/$first->{user}{vendor_id}/order-policy/", as => $first, body => { terms_version => '7', terms => 'Be kind.' }), 200, 'one vendor has terms');
my ($asks) = grep { $_->{vendor_id} eq $first->{user}{vendor_id} } @{ look()->{vendors} };
is($asks->{terms_version}, '7', 'the cart names them');
expect(call('PUT', '/api/catalog/price-settings/', as => $first, body => { waiver_percent => 10 }), 200, 'and sells a damage waiver');
$before = snapshot();
refused(call('POST', "${cart}checkout/", as => $customer, body => {}), $before, 422, 'rule_violated', 'terms', 'they must be accepted');
refused(call('POST', "${cart}checkout/", as => $customer, body => { terms => [ { vendor_id => $first->{user}{vendor_id}, version => '7' } ], coupon => 'OTHER' }),
	$before, 422, 'rule_violated', 'coupon', 'and a coupon must be good');
my $order = { terms => [ { vendor_id => $first->{user}{vendor_id}, version => '7' } ], note => 'thanks', coupon => 'Tents', damage_waiver => true };
refused(call('POST', "${cart}checkout/", as => $customer, body => $order), $before, 422, 'rule_violated', 'damage_waiver', 'which all must sell that are asked for it');
refused(call('GET', "$cart?damage_waiver=true", as => $customer), $before, 422, 'rule_violated', 'damage_waiver', 'as a look tells');
is_deeply({ map { ($_->{vendor_id} => $_->{waiver}) } @{ look()->{vendors} } }, { $first->{user}{vendor_id} => '2.40', $second->{user}{vendor_id} => undef }, 'and what it would cost');
expect(call('PUT', '/api/catalog/price-settings/', as => $second, body => { waiver_percent => 20 }), 200, 'so does the other one');
my $seen = expect(call('GET', "$cart?coupon=tents&damage_waiver=true", as => $customer), 200, 'the cart with all that');
my $done = expect(call('POST', "${cart}checkout/", as => $customer, body => $order),
	201, 'with them it becomes orders');
is_deeply([ sort map { join ' ', @$_{qw(vendor_id status total note)} } @{ $done->{orders} } ],
	[ sort "$first->{user}{vendor_id} pending 26.40 thanks", "$second->{user}{vendor_id} pending 6.00 thanks" ], 'one a vendor');
my @amounts = qw(vendor_id subtotal discount tax waiver deposit total);
is_deeply([ map { my $order = $_; { map { $_ => $order->{$_} } @amounts } } @{ $done->{orders} } ],
	[ map { my $look = $_; { map { $_ => $look->{$_} } @amounts } } @{ $seen->{vendors} } ], 'which cost what the cart said');
is(scalar(grep { defined $_->{expires_at} } @{ $done->{orders} }), 2, 'whose holds expire');
is(scalar @{ look()->{items} }, 0, 'and the cart is empty');
is(sql("SELECT count(*) FROM rental.stock_verify()"), 0, 'the stock is sound');

# Two checkouts of one cart at once

expect(put($customer, $tent, start_at => at(30), end_at => at(31)), 201, 'one more');
my @raced = race((raw_request('POST', "${cart}checkout/", as => $customer, body => {})) x 4);
is_deeply([ sort map { $_->{status} } @raced ], [ 201, 409, 409, 409 ], 'of four checkouts at once one orders');
is(sql("SELECT count(*) FROM rental.order_items WHERE product_id = '$tent->{id}' AND quantity = 1"), 2, 'once');

done_testing();
