#!/usr/bin/perl
# The worked examples of pricing over HTTP, each with the settings of a vendor and its exact answer. test/pgtap/pricing.sql has
# them in SQL.
use strict;
use warnings;
use RentalTest;
use Test::More;

my %vendor = map { $_ => vendor(time_zone => 'Europe/Berlin', currency => $_) } qw(EUR JPY KWD);
my %product = map { $_ => product($vendor{$_}, 20) } keys %vendor;

sub settings { return expect(call('PUT', '/api/catalog/price-settings/', as => $vendor{EUR}, body => $_[0]), 200, 'settings') }
sub tiers { return [ map { my ($length, $unit, $amount) = split ' ', $_; { length => $length + 0, unit => $unit, amount => $amount } } @_ ] }

# cost WANTED, NAME, RATES, FROM, TO, [query]: WANTED is [field, value, ...] of the price.
sub cost
{
	my ($wanted, $name, $rates, $from, $to, %query) = @_;
	my $currency = delete $query{currency} // 'EUR';
	my $path = "/api/catalog/products/$product{$currency}{id}/";
	call('PUT', "${path}rates/", as => $vendor{$currency}, body => $rates)->{status} == 200 or BAIL_OUT("no rates for $name") if $rates;
	my $query = join '&', map { my $value = $query{$_}; "$_=$value" } sort keys %query;
	s/\+/%2B/g for $from, $to;
	my $price = expect(call('GET', "${path}price/?start_at=$from&end_at=$to&$query"), 200, $name);
	my %wanted = @$wanted;
	is_deeply({ map { $_ => $price->{$_} } keys %wanted }, \%wanted, join ' ', map { "$_ $wanted{$_}" } sort keys %wanted);
	is(sprintf('%.3f', $price->{subtotal} - $price->{discount} + $price->{tax} + ($query{damage_waiver} ? $price->{waiver} : 0)), sprintf('%.3f', $price->{total}), 'which its parts sum to');
	return $price;
}
sub days { return ('2030-06-03T10:00:00Z', sprintf '2030-06-%02dT10:00:00Z', 3 + $_[0]) }

# strategies

my $optimal = { tiers => tiers('1 day 100', '3 day 250', '1 week 500') };
cost([ total => $_->[1] ], "optimal, $_->[0] days", $optimal, days($_->[0])) for [ 8, '600.00' ], [ 2, '200.00' ], [ 6, '500.00' ];
my $last = 0;
for my $n (1 .. 20)
{
	my $total = call('GET', sprintf('/api/catalog/products/%s/price/?start_at=%s&end_at=%s', $product{EUR}{id}, days($n)))->{json}{total};
	cmp_ok($total, '>=', $last, "$n days are not cheaper than fewer");
	$last = $total;
}
my $tiered = { strategy => 'tiered', tiers => tiers('1 day 50', '2 day 75'), extra_day => '20' };
cost([ total => '115.00' ], 'tiered, 4 days', $tiered, days(4));
my $ten = { amount => '10' };
cost([ total => '10.00' ], 'up to 24 hours', $ten, days(1));
cost([ total => '20.00' ], 'over 24 hours', $ten, '2030-06-03T10:00:00Z', '2030-06-04T10:00:01Z');
my $multiplier = { strategy => 'multiplier', amount => '100', factors => [ 1, 1, 0.7, 0.5, 0.5 ] };
cost([ total => '370.00' ], 'multiplier, 5 days', $multiplier, days(5));
my $many = expect(call('POST', '/api/catalog/price-rules/', as => $vendor{EUR}, body => { name => '6 to 20', kind => 'quantity', min_quantity => 6, max_quantity => 20, percent => '-10' }),
	201, 'a step of quantity');
cost([ unit_price => '333.00', total => '2664.00' ], '8 pieces', $multiplier, days(5), quantity => 8);
cost([ unit_price => '370.00' ], '5 pieces', $multiplier, days(5), quantity => 5);
cost([ total => '120.00' ], 'fixed, 6 days', { strategy => 'fixed', amount => '100', days => 4, extra_percent => 10 }, days(6));

# units of charge, in Berlin

my @night = ('2030-01-02T11:00:00+01:00', '2030-01-03T09:00:00+01:00');
my @longer = ('2030-01-02T11:00:00+01:00', '2030-01-03T11:30:00+01:00');
cost([ units => 1 ], 'by the clock', $ten, @night);
cost([ units => 2 ], 'by the calendar', { %$ten, counting => 'calendar' }, @night);
cost([ units => 2 ], 'half an hour over a day', $ten, @longer);
cost([ units => 1 ], 'within the leeway', { %$ten, leeway => '60 minutes' }, @longer);
my $hourly = { unit => 'hour', tiers => tiers('1 hour 10') };
my @hour = ('2030-01-02T11:00:00Z', '2030-01-02T12:10:00Z');
cost([ units => 2, unit => 'hour' ], 'an hour and ten minutes', $hourly, @hour);
cost([ units => 1 ], 'with leeway', { %$hourly, leeway => '15 minutes' }, @hour);
my $half = { %$ten, leeway => '30 minutes' };
cost([ units => 1 ], '24:30', $half, '2030-01-02T11:00:00Z', '2030-01-03T11:30:00Z');
cost([ units => 2 ], '24:35', $half, '2030-01-02T11:00:00Z', '2030-01-03T11:35:00Z');
for my $counting (qw(clock calendar))
{
	cost([ units => 1 ], "a day of 23 hours by the $counting", { %$ten, counting => $counting }, '2030-03-31T00:00:00+01:00', '2030-04-01T00:00:00+02:00');
	cost([ units => 1 ], "a day of 25 hours by the $counting", { %$ten, counting => $counting }, '2030-10-27T00:00:00+02:00', '2030-10-28T00:00:00+01:00');
}
cost([ total => '20.00' ], 'Friday to Monday with the weekend as a day', { %$ten, weekend_as_day => true }, '2030-06-07T10:00:00+02:00', '2030-06-10T10:00:00+02:00');
cost([ total => '30.00' ], 'and without', $ten, '2030-06-07T10:00:00+02:00', '2030-06-10T10:00:00+02:00');

# rounding to the currency, once for each unit

cost([ total => '1.67' ], 'half of 3.33', { strategy => 'multiplier', amount => '3.33', factors => [0.5] }, days(1));
cost([ total => '6.68' ], 'four times', { strategy => 'multiplier', amount => '3.33', factors => [0.5] }, days(4));
call('POST', '/api/catalog/price-rules/', as => $vendor{JPY}, body => { name => 'many', kind => 'quantity', min_quantity => 2, percent => '-10' })->{status} == 201 or BAIL_OUT('no rule');
cost([ unit_price => '11111', currency => 'JPY' ], '12345 * 0.9 in yen', { amount => '12345' }, days(1), quantity => 2, currency => 'JPY');
cost([ unit_price => '0.503', currency => 'KWD' ], 'half of 1.005 in dinar', { strategy => 'multiplier', amount => '1.005', factors => [0.5] }, days(1), currency => 'KWD');

# the order of steps: base, season, quantity, coupon, tax; the deposit of the total

expect(call('POST', '/api/catalog/price-rules/', as => $vendor{EUR}, body => { name => 'June', kind => 'season', from_date => '2030-06-01', to_date => '2030-06-30', percent => 20 }), 201, 'a season');
expect(call('POST', '/api/catalog/coupons/', as => $vendor{EUR}, body => { code => 'FIVE', amount => '5' }), 201, 'a coupon');
expect(call('POST', '/api/catalog/taxes/', as => $vendor{EUR}, body => { name => 'VAT', percent => 19 }), 201, 'a tax');
settings({ deposit => 'percent_total', deposit_percent => 10 });
my $all = cost([ subtotal => '172.80', discount => '5.00', tax => '31.88', total => '199.68', deposit => '19.97' ],
	'all steps', $ten, days(2), quantity => 8, coupon => 'five');
is_deeply([ map { "$_->{step} $_->{amount}" } @{ $all->{lines} } ],
	[ 'base 20.00', 'season 4.00', 'quantity -2.40', 'coupon -5.00', 'tax 31.88' ], 'in this order');
settings({ deposit => 'percent_total', deposit_percent => 10, waiver_percent => 10 });
cost([ waiver => '16.78', total => '199.68', deposit => '19.97' ], 'a damage waiver is offered', undef, days(2), quantity => 8, coupon => 'five');
cost([ waiver => '16.78', total => '216.46', deposit => '21.65' ], 'or taken', undef, days(2), quantity => 8, coupon => 'five', damage_waiver => 'true');
settings({ deposit => 'percent_items', deposit_percent => 50 });
cost([ total => '28.56', deposit => '12.00' ], 'a deposit of the items', $ten, days(1), quantity => 2);
settings({ deposit => 'fixed' });
cost([ deposit => '21.00' ], 'of each piece', { %$ten, deposit => '7' }, days(1), quantity => 3);

# a rate of its own for a weekday: from Saturday to Monday

expect(call('POST', '/api/catalog/price-rules/', as => $vendor{EUR}, body => { name => 'Sundays', kind => 'season', weekdays => [7], amount => '40', priority => 1 }), 201, 'Sundays cost more');
cost([ unit_price => '52.00' ], 'a Saturday in June and a Sunday', $ten, '2030-06-08T10:00:00+02:00', '2030-06-10T10:00:00+02:00');

# orders: the order of their lines does not matter, and to price again what did not change changes nothing

my $customer = customer();
my @lines = map { { product_id => $_->[0]{id}, quantity => $_->[1], start_at => at($_->[2]), end_at => at($_->[2] + $_->[3]) } }
  [ $product{EUR}, 2, 10, 1 ], [ $product{EUR}, 1, 10, 2 ], map { [ product($vendor{EUR}, 20, day_rate => "$_.33"), $_, 10 + $_, 3 ] } 1 .. 4;
settings({ deposit => 'percent_total', deposit_percent => 10, waiver_percent => 7.5 });
expect(call('POST', '/api/catalog/coupons/', as => $vendor{EUR}, body => { code => 'ODD', amount => '7.77' }), 201, 'a coupon');
sub draft { return expect(call('POST', '/api/orders/orders/', as => $customer, body => { items => [@_], draft => true, coupon => 'odd', damage_waiver => true }), 201, 'a draft') }
sub amounts
{
	my ($order) = @_;
	return [ @$order{qw(subtotal discount tax waiver deposit total)}, sort map { join ' ', @$_{qw(product_id quantity start_at end_at unit_price subtotal discount tax total)} } @{ $order->{items} } ];
}
my $first = draft(@lines);
is_deeply(amounts(draft(reverse @lines)), amounts($first), 'the other way round it costs the same');
is_deeply(amounts(expect(call('POST', "/api/orders/orders/$first->{id}/quote/", as => $vendor{EUR}, body => {}), 200, "offer $_")), amounts($first), 'and when it is priced again') for 1, 2;
my $lines = 0;
$lines += 100 * $_->{total} for @{ $first->{items} };
is(sprintf('%.2f', $lines / 100 + $first->{waiver}), $first->{total}, 'its lines and the waiver sum to it');

done_testing();
