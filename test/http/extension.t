#!/usr/bin/perl
# Keeping something longer over HTTP where the vendor is asked first.
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
is(sql("SELECT count(*) FROM rental.stock_verify()"), 0, 'the stock is sound');

done_testing();
