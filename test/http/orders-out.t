#!/usr/bin/perl
# Orders whose pieces are out, over HTTP: staying out longer where the vendor is asked first, the exchange of a unit, an early return.
use strict;
use warnings;
use RentalTest;
use Test::More;

my ($vendor, $customer, $other) = (vendor(), customer(), customer());
my $product = product($vendor, 2);
my $policy = "/api/users/vendors/$vendor->{user}{vendor_id}/order-policy/";
my $order = place($customer, $product, quantity => 2);
my $path = "/api/orders/orders/$order->{id}/";
expect(call('POST', "${path}confirm/", as => $vendor), 200, 'an order is confirmed');

is(expect(call('PUT', $policy, as => $vendor, body => { extension => 'manual' }), 200, 'a vendor wants to be asked')->{extension}, 'manual', 'about what stays out longer');
is_deeply([ problem_flaws(call('PUT', $policy, as => $vendor, body => { extension => 'never' }), 422, 'invalid_value', 'extension') ], [], 'or not');
my $asked = expect(call('POST', "${path}extend/", as => $customer, body => { end_at => at(15) }), 200, 'a customer asks');
is_deeply([ @$asked{qw(status total)}, $asked->{items}[0]{end_at} ], [ 'confirmed', '60.00', at(13) ], 'which changes nothing yet');
is_deeply($asked->{extension}, { end_at => at(15), difference => '40.00' }, 'but tells what it would cost');
is_deeply(expect(call('GET', $path, as => $vendor), 200, 'the vendor')->{extension}, $asked->{extension}, 'sees it');
my $before = snapshot();
refused(call('POST', "${path}extend/", as => $customer, body => { end_at => at(12) }), $before, 422, 'invalid_value', 'end_at', 'what cannot be is refused at once');
refused(call('POST', "${path}extend/", as => $customer, body => {}), $before, 400, 'missing_field', 'end_at', 'the customer grants nothing');
refused(call('POST', "${path}extend/", as => $other, body => { end_at => at(15) }), $before, 404, 'not_found', undef, 'nobody else asks');
refused(call('DELETE', "${path}extension/", as => $other), $before, 404, 'not_found', undef, 'nor declines');
my $rival = place($other, $product, quantity => 1, start_at => at(14), end_at => at(16));
refused(call('POST', "${path}extend/", as => $vendor), snapshot(), 409, 'insufficient_stock', 'quantity', 'it is granted if its stock is still free');
expect(call('POST', "/api/orders/orders/$rival->{id}/cancel/", as => $other), 200, 'which it is');
my $granted = expect(call('POST', "${path}extend/", as => $vendor), 200, 'then');
is_deeply([ @$granted{qw(total extension)}, $granted->{items}[0]{end_at} ], [ '100.00', undef, at(15) ], 'it is granted as it was asked for');
refused(call('DELETE', "${path}extension/", as => $vendor), snapshot(), 409, 'invalid_state', undef, 'and is no wish any more');
expect(call('POST', "${path}extend/", as => $customer, body => { items => [ { item_id => $order->{items}[0]{id}, end_at => at(17) } ] }), 200, 'another wish, for an item');
is(expect(call('DELETE', "${path}extension/", as => $vendor, body => { reason => 'promised' }), 200, 'is declined')->{extension}, undef, 'and gone');
is_deeply([ map { $_->{kind} } @{ expect(call('GET', "${path}events/", as => $customer), 200, 'all of it')->{results} } ],
	[ qw(placed confirmed extension_asked extended extension_asked extension_dropped) ], 'is in the history');

# A unit that breaks while it is out is exchanged

my $serial = product($vendor, undef, tracking => 'serialised');
my %unit = map { $_ => expect(call('POST', "/api/catalog/products/$serial->{id}/units/", as => $vendor, body => { code => $_ }), 201, "unit $_")->{id} } qw(A B);
sub out
{
	my ($what, %fields) = @_;
	my $made = expect(call('POST', '/api/orders/orders/', as => $vendor, body => { %{ order_body($what, start_at => at(-2), end_at => at(6), %fields) }, customer_id => $customer->{user}{id} }), 201, 'an order');
	expect(call('POST', "/api/orders/orders/$made->{id}/$_/", as => $vendor), 200, $_) for qw(confirm dispatch);
	return $made;
}
my $broken = out($serial, unit_ids => [ $unit{A} ]);
my $swap = "/api/orders/orders/$broken->{id}/units/swap/";
refused(call('POST', $swap, as => $customer, body => { from_unit_id => $unit{A}, unit_id => $unit{B} }), snapshot(), 403, 'forbidden', undef, 'a customer exchanges no unit');
is_deeply(expect(call('POST', $swap, as => $vendor, body => { from_unit_id => $unit{A}, unit_id => $unit{B} }), 200, 'the vendor does')->{items}[0]{units}, ['B'], 'and the other is out');
refused(call('POST', $swap, as => $vendor, body => { from_unit_id => $unit{A}, unit_id => $unit{B} }), snapshot(), 404, 'not_found', 'from_unit_id', 'once');
expect(call('POST', "/api/catalog/products/$serial->{id}/blackouts/", as => $vendor, body => { start_at => at(1), end_at => at(5), unit_id => $unit{A}, reason => 'broken' }), 201, 'the first can be repaired');
is(expect(call('POST', "/api/orders/orders/$broken->{id}/return/", as => $vendor, body => { items => [ { item_id => $broken->{items}[0]{id}, unit_ids => [ $unit{B} ] } ] }), 200, 'the other comes back')->{status},
	'returned', 'and ends it');

# Back early: by the vendor's policy

for my $case ([ 'none', '0.00' ], [ 'prorate', '-80.00' ])
{
	my ($early, $charges) = @$case;
	expect(call('PUT', $policy, as => $vendor, body => { early_return => $early }), 200, "early returns: $early");
	my $short = out(product($vendor, 3), quantity => 2, start_at => at(-4), end_at => at(4));
	is(expect(call('POST', "/api/orders/orders/$short->{id}/return/", as => $vendor, body => { returned_at => at(0, 0) }), 200, 'four days early')->{charges}, $charges, "is charged $charges");
	my @charges = @{ expect(call('GET', "/api/orders/orders/$short->{id}/charges/", as => $customer), 200, 'which is listed')->{results} };
	is_deeply([ map { "$_->{kind} $_->{quantity} $_->{amount}" } @charges ], $early eq 'none' ? [] : [ "early_return 2 $charges" ], 'so');
}
is(sql("SELECT count(*) FROM rental.stock_verify()"), 0, 'the stock is sound');

done_testing();
