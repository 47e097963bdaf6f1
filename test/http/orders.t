#!/usr/bin/perl
# Orders over HTTP: offers, parts, changes, policies, who may do what; and the diagram of their states.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $orders = '/api/orders/orders/';
my ($vendor, $customer, $other) = (vendor(), customer(), customer());
my $product = product($vendor, 10, replacement_value => '80.00');
my $policy = "/api/users/vendors/$vendor->{user}{vendor_id}/order-policy/";

sub act
{
	my ($who, $order, $action, $body) = @_;
	return call('POST', "$orders$order->{id}/$action/", as => $who, defined $body ? (body => $body) : ());
}

# The diagram is the table

open my $doc, '<', 'doc/orders.md' or die "doc/orders.md: $!";
my @drawn = map { /^\t(\S+) --> (\w+): (\w+)$/ ? join(' ', $1 eq '[*]' ? '-' : $1, $2, $3) : () } <$doc>;
is(join("\n", @drawn), sql("SELECT COALESCE(from_status, '-') || ' ' || to_status || ' ' || action FROM rental.order_transitions()"),
	'the diagram of the states is drawn from their table');

# An offer

my $draft = expect(call('POST', $orders, as => $customer, body => { %{ order_body($product, quantity => 4) }, draft => true }), 201, 'a draft');
is($draft->{status}, 'draft', 'is a draft');
is(act($customer, $draft, 'quote')->{status}, 403, 'a customer makes no offer');
my $quoted = expect(act($vendor, $draft, 'quote', { note => 'for you' }), 200, 'the vendor does');
is("$quoted->{status} $quoted->{total}", 'quoted 120.00', 'at its price');
my $quotes = expect(call('GET', "$orders$draft->{id}/quotes/", as => $customer), 200, 'it is listed');
is($quotes->{results}[0]{items}[0]{total}, '120.00', 'with its lines');
is_deeply([ problem_flaws(act($customer, $draft, 'accept', { version => 2 }), 409, 'conflict', 'version') ], [], 'another version is not accepted');
is(act($other, $draft, 'accept')->{status}, 404, 'nor by somebody else');
is(expect(act($customer, $draft, 'accept', { version => 1 }), 200, 'this one is')->{status}, 'pending', 'and holds its stock');

# Items

my $item = $draft->{items}[0]{id};
my $changed = expect(call('PATCH', "$orders$draft->{id}/items/$item/", as => $customer, body => { quantity => 5 }), 200, 'an item is changed');
is("$changed->{total} $changed->{items}[0]{quantity}", '150.00 5', 'and priced anew');
my $added = expect(call('POST', "$orders$draft->{id}/items/", as => $customer,
	body => { product_id => $product->{id}, quantity => 1, start_at => at(10), end_at => at(11) }), 201, 'one is added');
is($added->{total}, '160.00', 'and counts');
my ($second) = grep { $_ ne $item } map { $_->{id} } @{ $added->{items} };
is(expect(call('DELETE', "$orders$draft->{id}/items/$second/", as => $customer), 200, 'and removed')->{total}, '150.00', 'and does not count');
is_deeply([ problem_flaws(call('DELETE', "$orders$draft->{id}/items/$item/", as => $customer), 409, 'invalid_state') ], [], 'the last one stays');
is_deeply([ problem_flaws(call('PATCH', "$orders$draft->{id}/items/$item/", as => $customer, body => { quantity => 11 }), 409, 'insufficient_stock') ],
	[], 'more than there is is refused');

# Out and back

expect(act($vendor, $draft, 'confirm'), 200, 'confirmed');
is_deeply([ problem_flaws(act($vendor, $draft, 'dispatch', { items => [ { item_id => $item, quantity => 6 } ] }), 422, 'invalid_value', 'items[0].quantity') ],
	[], 'no more goes out than there is');
my $out = expect(act($vendor, $draft, 'dispatch', { items => [ { item_id => $item, quantity => 2 } ] }), 200, 'some pieces go out');
is_deeply([ @$out{qw(status partly_out is_paid overdue)} ], [ 'active', true, false, false ], 'and the order is active');
expect(act($vendor, $draft, 'dispatch'), 200, 'and the others');
is(act($other, $draft, 'extend', { end_at => at(14) })->{status}, 404, 'nobody else extends it');
is(expect(act($customer, $draft, 'extend', { end_at => at(14) }), 200, 'the customer does')->{total}, '200.00', 'for the price of the whole time');
my $back = expect(act($vendor, $draft, 'return', { items => [ { item_id => $item, quantity => 1, condition => 'lost' }, { item_id => $item, quantity => 2, condition => 'damaged', charge => '7.50' } ] }),
	200, 'some come back, or do not');
is_deeply([ @$back{qw(status partly_returned charges balance)} ], [ 'active', true, '87.50', '287.50' ], 'and are charged');
is(scalar @{ expect(call('GET', "$orders$draft->{id}/charges/", as => $customer), 200, 'the charges are listed')->{results} }, 2, 'both');
is(expect(act($vendor, $draft, 'return'), 200, 'the rest comes back')->{status}, 'returned', 'and the order is returned');
expect(call('POST', "$orders$draft->{id}/charges/", as => $vendor, body => { amount => '2.50', reason => 'cleaning' }), 201, 'something else is charged');
is(expect(act($vendor, $draft, 'close'), 200, 'it is closed')->{status}, 'completed', 'and complete');
my $then = expect(call('GET', "$orders$draft->{id}/as-of/?at=$quoted->{updated_at}", as => $customer), 200, 'it can be seen as it was');
is("$then->{status} $then->{total} $then->{items}[0]{quantity}", 'quoted 120.00 4', 'when it was offered');
is(sql("SELECT count(*) FROM rental.stock_verify()"), 0, 'the stock is sound');
is(call('GET', "/api/catalog/products/$product->{id}/availability/?from=" . at(20) . '&to=' . at(21))->{json}{results}[0]{available}, 9, 'what is lost is gone');

# Late

my $settings = '/api/catalog/price-settings/';
my @late = (
	[ 'three hours are free, the fourth costs', { late_free => '3 hours', late_per_day => '100', late_per_hour => '10' }, at(-9, 14), '10.00' ],
	[ '28 hours, 3 of them free', { late_free => '3 hours', late_per_day => '100', late_per_hour => '10' }, at(-8, 14), '110.00' ],
	[ '28 hours, the free ones charged after all', { late_free => '3 hours', late_deducts_free => false, late_per_day => '100', late_per_hour => '10' }, at(-8, 14), '140.00' ],
	[ '50 the first day, then 100', { late_steps => [ { days => 1, amount => '50' }, { days => 1, amount => '100' } ] }, at(-6), '250.00' ],
	[ 'steps up to a cap', { late_steps => [ map { { days => $_->[0], amount => $_->[1] } } [ 2, '20' ], [ 3, '40' ], [ 1, '100' ] ], late_cap => '250' }, at(-3), '250.00' ]);
for my $case (@late)
{
	my ($name, $set, $back_at, $fee) = @$case;
	expect(call('PUT', $settings, as => $vendor, body => $set), 200, $name);
	my $late = expect(call('POST', $orders, as => $vendor, body => { %{ order_body($product, quantity => 2, start_at => at(-10), end_at => at(-9)) }, customer_id => $customer->{user}{id} }), 201, 'entered after the fact');
	act($vendor, $late, $_)->{status} == 200 or BAIL_OUT("cannot $_") for qw(confirm dispatch);
	my $one = [ { item_id => $late->{items}[0]{id}, quantity => 1 } ];
	is(expect(act($vendor, $late, 'return', { items => $one, returned_at => at(-9) }), 200, 'one piece is in time')->{charges}, '0.00', 'and costs nothing more');
	is(expect(act($vendor, $late, 'return', { returned_at => $back_at }), 200, 'the other one is not')->{charges}, $fee, 'and costs its fee');
	my ($charge) = @{ expect(call('GET', "$orders$late->{id}/charges/", as => $customer), 200, 'it is listed')->{results} };
	is_deeply([ @$charge{qw(kind quantity amount order_item_id)} ], [ 'late', 1, $fee, $late->{items}[0]{id} ], 'once');
}

# The damage waiver

expect(call('PUT', $settings, as => $vendor, body => {}), 200, 'no fee again');
my $waived = { %{ order_body($product, quantity => 2, start_at => at(40), end_at => at(41)) }, damage_waiver => true };
is_deeply([ problem_flaws(call('POST', $orders, as => $customer, body => $waived), 422, 'rule_violated', 'damage_waiver') ], [], 'no waiver is taken that nobody sells');
expect(call('PUT', $settings, as => $vendor, body => { waiver_percent => 12.5 }), 200, 'the vendor sells one');
my $covered = expect(call('POST', $orders, as => $customer, body => $waived), 201, 'an order takes it');
is_deeply([ @$covered{qw(subtotal waiver total balance)} ], [ '20.00', '2.50', '22.50', '22.50' ], 'for its part of the items');
expect(call('PUT', $settings, as => $vendor, body => { waiver_percent => 20 }), 200, 'it gets dearer');
is(expect(call('PATCH', "$orders$covered->{id}/items/$covered->{items}[0]{id}/", as => $customer, body => { quantity => 3 }), 200, 'one more piece')->{waiver}, '3.75', 'at the percentage of then');
act($vendor, $covered, $_)->{status} == 200 or BAIL_OUT("cannot $_") for qw(confirm dispatch);
my $bill = expect(call('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $covered->{id} }), 201, 'it is billed');
is(join(' ', $bill->{total}, map { $_->{kind} } @{ $bill->{lines} }), '33.75 item waiver', 'with the waiver');
my @pieces = map { { item_id => $covered->{items}[0]{id}, quantity => 1, condition => $_ } } qw(damaged lost);
is_deeply([ problem_flaws(act($vendor, $covered, 'return', { items => [ { %{ $pieces[0] }, charge => '5' } ] }), 422, 'rule_violated', 'items[0].charge') ], [], 'damage that it covers is not charged');
is(expect(act($vendor, $covered, 'return', { items => \@pieces }), 200, 'damaged and lost')->{charges}, '80.00', 'costs what is lost');
expect(call('PUT', $settings, as => $vendor, body => {}), 200, 'nor is one sold any more');

# Policies

is(expect(call('GET', $policy), 200, 'everybody sees the policy')->{confirmation}, 'manual', 'which is by hand at first');
is(call('PUT', $policy, as => vendor(), body => {})->{status}, 403, 'another vendor does not set it');
is(call('PUT', $policy, as => $customer, body => {})->{status}, 403, 'nor a customer');
is_deeply([ problem_flaws(call('PUT', $policy, as => $vendor, body => { cancellation => [ { hours_before => 1, percent => 200 } ] }), 422, 'invalid_value', 'cancellation[0].percent') ],
	[], 'nobody gets back more than all');
expect(call('PUT', $policy, as => $vendor, body => { confirmation => 'auto', cancellation => [ { hours_before => 10000 % 8784, percent => 40 } ],
	terms_version => '1', terms => 'Be careful.', delivers => true, delivery_fee => '9.90' }), 200, 'it is set');
is_deeply([ problem_flaws(call('POST', $orders, as => $customer, body => order_body($product)), 422, 'rule_violated', 'terms') ], [], 'then the terms must be accepted');
my $sent = expect(call('POST', $orders, as => $customer, body => { %{ order_body($product, start_at => at(90), end_at => at(91)) }, terms => { version => '1', signature => 'data:image/png;base64,AAAA' },
	delivery => { method => 'delivery', address => { line1 => 'Here 1', city => 'There', country => 'DE' } } }), 201, 'and the order is');
is_deeply([ @$sent{qw(status fee total expires_at)} ], [ 'confirmed', '9.90', '19.90', undef ], 'confirmed at once, with the fee');
my $contract = expect(call('GET', "$orders$sent->{id}/contract/", as => $customer), 200, 'what was accepted is kept');
is_deeply([ @$contract{qw(terms terms_version accepted_by client_address signature)} ], [ 'Be careful.', '1', $customer->{user}{id}, '127.0.0.1', 'data:image/png;base64,AAAA' ], 'by whom, from where, and signed');
is($contract->{accepted_at}, $sent->{created_at}, 'and when');
is(call('GET', "$orders$sent->{id}/contract/", as => $other)->{status}, 404, 'and shown to nobody else');
my $cancelled = expect(act($customer, $sent, 'cancel', { reason => 'rain' }), 200, 'who cancels');
is_deeply([ @$cancelled{qw(status cancellation_fee balance refund_due)} ], [ 'cancelled', '11.94', '11.94', '0.00' ], 'owes what the policy says');


# Payment first

expect(call('PUT', $policy, as => $vendor, body => { confirmation => 'auto', payment => 'before_confirmation' }), 200, 'who orders pays first');
my $unpaid = expect(call('POST', $orders, as => $customer, body => order_body($product, start_at => at(100), end_at => at(102))), 201, 'an order');
is($unpaid->{status}, 'pending', 'waits');
is_deeply([ problem_flaws(act($vendor, $unpaid, 'confirm'), 409, 'invalid_state') ], [], 'even for the vendor');
for my $case ([ '19.99', 'pending' ], [ '0.01', 'confirmed' ])
{
	expect(call('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $unpaid->{id}, amount => $case->[0] }), 201, "$case->[0] is paid");
	is(expect(call('GET', "$orders$unpaid->{id}/", as => $customer), 200, 'then')->{status}, $case->[1], "it is $case->[1]");
}

done_testing();
