#!/usr/bin/perl
# Vendors' settings, teams and customers: who sees and changes what, over HTTP.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $nowhere = '00000000-0000-7000-8000-000000000000';
my $owner = vendor(currency => 'EUR', time_zone => 'Europe/Berlin');
my $stranger = vendor();
my $customer = customer();
my $admin = demo('admin');
my $id = $owner->{user}{vendor_id};
my $path = "/api/users/vendors/$id/";
my $settings = "${path}settings/";
my $members = "${path}members/";

# again ACCOUNT: a fresh log-in, as after a change of role; a token of the very second of the change is not good.
sub again
{
	my ($account) = @_;
	my $answer;
	wait_until(sub {
		$answer = call('POST', '/api/auth/login/', body => { email => $account->{email}, password => $account->{password} });
		return $answer->{status} == 200 && call('GET', '/api/users/me/', as => $answer->{json})->{status} == 200;
	}) or BAIL_OUT("cannot log in: $answer->{text}");
	return { %{ $answer->{json} }, email => $account->{email}, password => $account->{password} };
}

sub deny
{
	my ($status, $code, $field, $name, $method, $target, @with) = @_;
	my $before = snapshot();
	return refused(call($method, $target, @with), $before, $status, $code, $field, $name);
}

# A team, made over HTTP

my %team = map { $_ => customer() } qw(manager staff second);
for my $role (qw(manager staff))
{
	my $made = expect(call('POST', $members, as => $owner, body => { email => uc $team{$role}{email}, role => $role }), 201, "an owner takes in: $role");
	is($made->{role}, $role, 'with that role');
	is($made->{user_id}, $team{$role}{user}{id}, 'by the address');
	ok(wait_until(sub { call('GET', '/api/users/me/', as => $team{$role})->{status} == 401 }, 2), 'whose tokens of before are dead');
	$team{$role} = again($team{$role});
	is($team{$role}{user}{role}, 'vendor', 'and who is of the vendor now');
	is($team{$role}{user}{vendor_id}, $id, 'of this one');
}
is_deeply([ map { $_->{role} } @{ call('GET', $members, as => $team{staff})->{json}{results} } ], [qw(owner manager staff)], 'the team sees itself');
deny(403, 'forbidden', undef, "another vendor's owner does not see it", 'GET', $members, as => $stranger);
deny(403, 'forbidden', undef, 'nor a customer', 'GET', $members, as => $customer);
deny(404, 'not_found', undef, 'there is no team of no vendor', 'GET', "/api/users/vendors/$nowhere/members/", as => $admin);
is(scalar @{ call('GET', $members, as => $admin)->{json}{results} }, 3, 'an administrator sees it');
deny(409, 'already_exists', 'user_id', 'an account is in one team', 'POST', $members, as => $owner,
	body => { user_id => $stranger->{user}{id}, role => 'staff' });
deny(404, 'not_found', 'email', 'an address without an account', 'POST', $members, as => $owner, body => { email => 'x@example.com', role => 'staff' });
deny(422, 'invalid_value', 'role', 'a role that is none', 'POST', $members, as => $owner, body => { user_id => $customer->{user}{id}, role => 'chief' });
deny(400, 'missing_field', 'email', 'nobody', 'POST', $members, as => $owner, body => { role => 'staff' });
deny(400, 'unknown_field', 'is_active', 'a field that is none', 'POST', $members, as => $owner,
	body => { user_id => $customer->{user}{id}, role => 'staff', is_active => true });
deny(403, 'forbidden', undef, "$$_[0] takes in $$_[1]", 'POST', $members, as => $$_[2], body => { user_id => $customer->{user}{id}, role => $$_[1] })
  for [ 'a manager', 'owner', $team{manager} ], [ 'a manager', 'manager', $team{manager} ], [ 'staff', 'staff', $team{staff} ],
  [ 'another owner', 'staff', $stranger ], [ 'a customer', 'staff', $customer ];
deny(403, 'forbidden', undef, "a manager changes $$_[0]", $$_[1], "$members$$_[2]{user}{id}/", as => $team{manager}, $$_[3] ? (body => { role => $$_[3] }) : ())
  for [ 'staff to a manager', 'PATCH', $team{staff}, 'manager' ], [ 'himself', 'PATCH', $team{manager}, 'owner' ], [ 'the owner', 'PATCH', $owner, 'staff' ],
  [ 'the owner away', 'DELETE', $owner ];
deny(409, 'conflict', 'role', 'the last owner is not demoted', 'PATCH', "$members$owner->{user}{id}/", as => $owner, body => { role => 'manager' });
deny(409, 'conflict', undef, 'and does not leave', 'DELETE', "$members$owner->{user}{id}/", as => $owner);
deny(404, 'not_found', undef, 'who is no member', 'DELETE', "$members$customer->{user}{id}/", as => $owner);
deny(403, 'forbidden', undef, 'a vendor takes from no other team', 'DELETE', "$members$team{staff}{user}{id}/", as => $stranger);

# Settings

is(call('GET', $settings, as => $_)->{status}, 200, 'the team sees the settings') for $owner, $team{manager}, $team{staff}, $admin;
deny(403, 'forbidden', undef, 'others do not', 'GET', $settings, as => $_) for $stranger, $customer;
my %change = (
	name => 'Party Gear', slug => 'party-gear-' . random_text(8), tax_number => 'DE811907980', default_tax => '19.00', minimum_notice => '2 hours',
	opening_hours => [ { weekday => 'monday', open => '08:00', close => '18:30' } ], hold_time => '6 hours', buffer_after => '1 hour',
	terms => 'Handle with care.', payout_details => 'DE02 1203 0000 0000 2020 51');
my $changed = expect(call('PATCH', $settings, as => $owner, body => \%change), 200, 'an owner changes them');
is_deeply([ map { $changed->{$_} } qw(name slug tax_number default_tax payout_details terms terms_version minimum_notice opening_hours) ],
	[ @change{qw(name slug tax_number default_tax payout_details terms)}, 1, '02:00:00', $change{opening_hours} ], 'to what was given');
my $after = expect(call('PATCH', $path, as => $team{manager}, body => { tax_number => undef, buffer_after => '2 hours' }), 200, 'a manager does, at the other path');
is_deeply([ @$after{qw(tax_number buffer_after name payout_details)} ], [ undef, '02:00:00', 'Party Gear', undef ],
	'null clears, what is absent stays, and payouts are not a manager\'s');
my $public = expect(call('GET', $path), 200, 'everybody sees a part');
is_deeply([ sort keys %$public ], [ sort qw(id name slug currency time_zone opening_hours minimum_notice terms terms_version is_active created_at) ], 'and no more');
is_deeply(call('GET', $path, as => $owner)->{json}, $public, 'its owner sees the same there');
deny(403, 'forbidden', undef, "$$_[0]: $$_[1]", 'PATCH', $settings, as => $$_[2], body => { $$_[1] => $$_[3] })
  for [ 'staff', 'name', $team{staff}, 'x' ], [ 'another owner', 'name', $stranger, 'x' ], [ 'a customer', 'name', $customer, 'x' ];
deny(403, 'forbidden', $$_[1], "$$_[0]: $$_[1]", 'PATCH', $settings, as => $$_[2], body => { $$_[1] => $$_[3] })
  for [ 'an owner', 'commission', $owner, '0' ], [ 'an owner', 'is_active', $owner, false ], [ 'a manager', 'payout_details', $team{manager}, 'mine' ];
deny(400, 'unknown_field', $_, "nobody sets $_", 'PATCH', $settings, as => $owner, body => { $_ => 'x' })
  for qw(id created_at terms_version role vendor given total);
deny(400, 'duplicate_field', 'vendor_id', 'nor moves to another vendor', 'PATCH', $settings, as => $owner, body => { vendor_id => $stranger->{user}{vendor_id} });
deny(400, 'invalid_field', 'name', 'null where there must be something', 'PATCH', $settings, as => $owner, body => { name => undef });
deny(422, 'invalid_value', $$_[0], "no such $$_[0]", 'PATCH', $settings, as => $owner, body => { $$_[0] => $$_[1] })
  for [ 'slug', 'A b' ], [ 'currency', 'euro' ], [ 'time_zone', 'Mars' ], [ 'default_tax', '101' ], [ 'minimum_notice', '400 days' ], [ 'hold_time', '0' ];
deny(422, 'invalid_value', 'opening_hours[0].close', 'hours that make no sense', 'PATCH', $settings, as => $owner,
	body => { opening_hours => [ { weekday => 'monday', open => '10:00', close => '09:00' } ] });
deny(400, 'unknown_field', 'opening_hours[0].day', 'nor with fields that are none', 'PATCH', $settings, as => $owner,
	body => { opening_hours => [ { day => 1 } ] });
deny(409, 'already_exists', 'slug', "another vendor's slug", 'PATCH', "/api/users/vendors/$stranger->{user}{vendor_id}/", as => $stranger, body => { slug => $change{slug} });
my $etag = call('GET', $settings, as => $owner)->{headers}{etag};
is(call('PATCH', $settings, as => $owner, body => { terms => 'New terms.' }, headers => { 'If-Match' => $etag })->{json}{terms_version}, 2, 'with If-Match');
deny(412, 'precondition_failed', undef, 'which is stale then', 'PATCH', $settings, as => $owner, body => { terms => 'Other terms.' }, headers => { 'If-Match' => $etag });
is(call('PATCH', $settings, as => $admin, body => { commission => '12.5' })->{json}{commission}, '12.5', 'an administrator sets the commission');

# Orders: notice, buffers, currency, and a vendor that is shut

expect(call('PATCH', $settings, as => $owner, body => { minimum_notice => '12 days' }), 200, 'a long notice');
my $product = product($owner, 5);
is(sql("SELECT buffer_after FROM rental.products WHERE id = '$product->{id}'"), '02:00:00', 'a new product has the vendor\'s buffer');
deny(422, 'rule_violated', 'items[0].start_at', 'a customer is too late', 'POST', '/api/orders/orders/', as => $customer, body => order_body($product));
is(call('POST', '/api/orders/orders/', as => $customer, body => order_body($product, start_at => at(20), end_at => at(22)))->{status}, 201, 'or early enough');
is(call('POST', '/api/orders/orders/', as => $team{staff}, body => { %{ order_body($product) }, customer_id => $customer->{user}{id} })->{status}, 201,
	'the team may do without');
deny(409, 'conflict', 'currency', 'the currency stays, since there are orders', 'PATCH', $settings, as => $owner, body => { currency => 'USD' });
expect(call('PATCH', $settings, as => $admin, body => { is_active => false }), 200, 'an administrator shuts the vendor');
ok(wait_until(sub { call('GET', $path)->{status} == 404 }, 2), 'nobody sees it then');
is(call('GET', $path, as => $owner)->{status}, 200, 'but its team');
deny(422, 'rule_violated', 'items[0].product_id', 'and nobody orders', 'POST', '/api/orders/orders/', as => $customer,
	body => order_body($product, start_at => at(20), end_at => at(22)));
expect(call('PATCH', $settings, as => $admin, body => { is_active => true }), 200, 'and opens it again');

# Customers

my $seen = expect(call('GET', '/api/users/customers/?count=exact', as => $team{staff}), 200, 'the team sees its customers');
is($seen->{count}, 1, 'all of them');
is_deeply([ @{ $seen->{results}[0] }{qw(id email orders)} ], [ $customer->{user}{id}, $customer->{email}, 2 ], 'with their orders');
is_deeply($seen->{results}[0]{spent}, [ { currency => 'EUR', amount => '0.00' } ], 'and what they paid');
is(call('GET', '/api/users/customers/', as => $stranger)->{json}{results}[0], undef, 'another vendor does not see them');
deny(403, 'forbidden', undef, 'nor by naming the vendor', 'GET', "/api/users/customers/?vendor_id=$id", as => $stranger);
deny(403, 'forbidden', undef, 'nor a customer', 'GET', '/api/users/customers/', as => $customer);
is(call('GET', "/api/users/customers/?search=$customer->{email}", as => $admin)->{json}{results}[0]{id}, $customer->{user}{id}, 'an administrator finds anybody');
is(call('GET', "/api/users/customers/?search=$customer->{email}&vendor_id=$stranger->{user}{vendor_id}", as => $admin)->{json}{results}[0], undef,
	'or nobody where there is none');

# Roles change at once, and who leaves is a customer again

my $product_path = '/api/catalog/products/';
is(call('PATCH', "$members$team{manager}{user}{id}/", as => $owner, body => { role => 'staff' })->{json}{role}, 'staff', 'a manager becomes staff');
deny(403, 'forbidden', undef, 'and is no manager, with the same token', 'PATCH', $settings, as => $team{manager}, body => { name => 'x' });
is(call('POST', $product_path, as => $team{manager}, body => { name => 'Daily work' })->{status}, 201, 'but works on');
is(call('PATCH', "$members$team{manager}{user}{id}/", as => $owner, body => { role => 'owner' })->{status}, 200, 'or an owner');
is(call('DELETE', "$members$owner->{user}{id}/", as => $owner)->{status}, 204, 'then the first may leave');
ok(wait_until(sub { call('GET', $settings, as => $owner)->{status} == 401 }, 2), 'with the tokens of before');
$owner = again($owner);
is($owner->{user}{role}, 'customer', 'and is a customer');
is(call('GET', $settings, as => $owner)->{status}, 403, 'to whom the settings are nothing');
is(call('DELETE', "$members$team{staff}{user}{id}/", as => $team{staff})->{status}, 204, 'staff may leave too');

# Two owners who demote each other at once

my $first = vendor();
my $pair = $first->{user}{vendor_id};
my $joining = customer();
expect(call('POST', "/api/users/vendors/$pair/members/", as => $first, body => { user_id => $joining->{user}{id}, role => 'owner' }), 201, 'a second owner');
$joining = again($joining);
for my $round (1 .. 5)
{
	my @answers = race(map { raw_request('PATCH', "/api/users/vendors/$pair/members/$$_[1]{user}{id}/", as => $$_[0], body => { role => 'staff' }) }
		  [ $first, $joining ], [ $joining, $first ]);
	is_deeply([ sort map { $_->{status} } @answers ], [ 200, 403 ], "round $round: one is demoted, the other refused");
	is(sql("SELECT count(*) FROM rental.vendor_members WHERE vendor_id = '$pair' AND role = 'owner'"), 1, 'and one owner is left');
	sql("UPDATE rental.vendor_members SET role = 'owner' WHERE vendor_id = '$pair'");
}

done_testing;
