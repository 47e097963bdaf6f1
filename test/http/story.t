#!/usr/bin/perl
# The main job, end to end: a vendor and a customer meet, and money changes hands.
use strict;
use warnings;
use RentalTest;
use Test::More;

my $timestamp = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/;
my $uuid = qr/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
my $answer;

# fields ROW, NAMES, NAME: the row has all these members, be they null.
sub fields
{
	my ($row, $names, $name) = @_;
	return is(join(' ', grep { !exists $row->{$_} } split ' ', $names), '', $name);
}

# available PRODUCT: what is free over the five days from the ninth on, in steps.
sub available
{
	my ($product) = @_;
	my $found = expect(
		call('GET', "/api/catalog/products/$product->{id}/availability/?from=" . at(9) . '&to=' . at(14)),
		200, 'availability is answered');

	return [ map { [ @$_{qw(start_at end_at available)} ] } @{ $found->{results} } ];
}

sub act
{
	my ($who, $order, $action, $body) = @_;
	return expect(call('POST', "/api/orders/orders/$order->{id}/$action/", as => $who, defined $body ? (body => $body) : ()),
		200, "$action is done");
}

# Where one starts

my $root = expect(call('GET', '/api/'), 200, 'the root answers');
is($root->{name}, 'rental', 'the root says what this is');
is($root->{version}, sql('SELECT rental.version()'), 'and which version');
for my $name (sort keys %{ $root->{links} })
{
	next if $name eq 'auth';
	my $status = call('GET', $root->{links}{$name})->{status};
	ok($status == 200 || $status == 401, "the link to $name leads somewhere");
}

# Accounts

my $email = 'Story-' . random_text(12) . '@Example.com';
my $password = random_text(20);
my $customer = expect(
	call('POST', '/api/auth/signup/', body => { email => $email, password => $password, name => ' Jo Doe ', phone => '+49 30 1' }),
	201, 'a customer signs up');
fields($customer, 'access refresh expires_at user', 'a sign-up answers a session');
fields($customer->{user}, 'id email name phone role vendor_id is_active created_at', 'with the account');
is($customer->{user}{email}, lc $email, 'addresses are kept in lower case');
is($customer->{user}{name}, 'Jo Doe', 'names are trimmed');
is($customer->{user}{role}, 'customer', 'a customer is what one is by default');
is($customer->{user}{vendor_id}, undef, 'an absent value is null');
is($customer->{user}{is_active}, true, 'a boolean is a boolean');
like($customer->{user}{id}, $uuid, 'an id is a UUID');
like($customer->{user}{created_at}, $timestamp, 'a time is RFC 3339 in UTC');
like($customer->{access}, qr/^[\w-]+\.[\w-]+\.[\w-]+$/, 'the access token is a JWT');
unlike(sql("SELECT password_hash FROM rental.users WHERE email = '\L$email\E'"), qr/\Q$password\E/, 'the password is not stored');
like(sql("SELECT password_hash FROM rental.users WHERE email = '\L$email\E'"), qr/^\$argon2id\$/, 'but its Argon2id hash');

my $business = 'Story Böhm & Söhne ' . random_text(8);
my $vendor = expect(
	call('POST', '/api/auth/signup/', body => {
			email => 'story-' . random_text(12) . '@example.com', password => random_text(20), name => 'Vera Vendor',
			role => 'vendor', business_name => $business, currency => 'EUR', time_zone => 'Europe/Berlin' }),
	201, 'a vendor signs up');
my $vendor_id = $vendor->{user}{vendor_id};
like($vendor_id, $uuid, 'a vendor has a vendor_id');
is(expect(call('GET', "/api/users/vendors/$vendor_id/"), 200, 'the vendor stands in the directory')->{name}, $business,
	'under its name, in UTF-8');
is_deeply(
	[ map { $_->{name} } @{ expect(call('GET', "/api/users/vendors/$vendor_id/locations/"), 200, 'it has locations')->{results} } ],
	['Main'], 'one, to begin with');

my $login = expect(call('POST', '/api/auth/login/', body => { email => uc $email, password => $password }), 200, 'the customer logs in');
is($login->{user}{id}, $customer->{user}{id}, 'as the same user, whatever the case of the address');
is_deeply(expect(call('GET', '/api/users/me/', as => $login), 200, 'users/me answers'), $customer->{user}, 'with the own account');

# The demonstration's accounts

for my $role (qw(admin vendor customer))
{
	my $account = demo($role);
	is($account->{user}{role}, $role, "the demonstration's $role logs in");
	is(expect(call('GET', '/api/users/me/', as => $account), 200, 'and is known')->{role}, $role, "as $role");
}

# What the vendor has

my $category = expect(
	call('POST', '/api/catalog/categories/', as => demo('admin'), body => { name => 'Story ' . random_text(10) }),
	201, 'an administrator makes a category');
like($category->{slug}, qr/^story-[0-9a-f]{10}$/, 'its slug comes from its name');

my $name = 'Story Drill ' . random_text(10);
$answer = call('POST', '/api/catalog/products/', as => $vendor,
	body => { name => $name, description => "two\nlines", category_id => $category->{id}, replacement_value => 349.5, day_rate => '12.50' });
my $product = expect($answer, 201, 'the vendor makes a product');
fields($product,
	'id vendor_id vendor_name category_id category_name name description tracking currency rate replacement_value is_active created_at',
	'a product has the fields of a product');
is($product->{category_name}, $category->{name}, 'it stands in its category');
like($answer->{text}, qr/"replacement_value":"349\.50?"/, 'an amount given as a number is answered as a decimal string');
like($answer->{text}, qr/"rate":\{"days":1,"amount":"12\.50","extra_day":"12\.50"/, 'the day rate is there');
is_deeply(expect(call('GET', "/api/catalog/products/$product->{id}/"), 200, 'anybody sees it'), $product, 'as it was answered');

my $path = "/api/catalog/products/$product->{id}";
is(expect(call('PUT', "$path/stock/", as => $vendor, body => { quantity => 3 }), 200, 'the vendor sets the stock')->{quantity}, 3,
	'to three pieces');
$answer = call('PUT', "$path/rates/", as => $vendor, body => { days => 2, amount => '30.00', extra_day => '10.00' });
expect($answer, 200, 'the vendor sets the price');
like($answer->{text}, qr/"rate":\{"days":2,"amount":"30\.00","extra_day":"10\.00"/, 'to 30 for two days and 10 for each other');

# Browsing

my @more = map { product($vendor, undef, name => "$name part $_") } 1 .. 4;
my $list = "/api/catalog/products/?vendor=$vendor_id&page_size=2";
my $page = expect(call('GET', $list), 200, 'a list is answered');
fields($page, 'count next previous results', 'a list is a page');
is($page->{count}, undef, 'nothing is counted unless asked for');
is($page->{previous}, undef, 'nothing is before the first page');
is(call('GET', "$list&count=exact")->{json}{count}, 5, 'count=exact counts all');
my @seen = map { $_->{id} } @{ $page->{results} };
my @pages = ($page);
for (1 .. 2)
{
	my $next = $page->{next};
	like($next, qr{^/api/catalog/products/\?}, 'next is a whole relative URL');
	$answer = call('GET', $next);
	$page = expect($answer, 200, 'which works');
	like($answer->{headers}{link}, qr/<\Q$page->{previous}\E>; rel="prev"/, 'previous stands in the Link header');
	push @pages, $page;
	push @seen, map { $_->{id} } @{ $page->{results} };
}
is($page->{next}, undef, 'nothing is after the last page');
is_deeply(\@seen, [ $product->{id}, map { $_->{id} } @more ], 'the pages hold every product once, in order');
like(call('GET', $list)->{headers}{link}, qr/^<\Q$pages[0]{next}\E>; rel="next"$/, 'next stands in the Link header');
$page = call('GET', $page->{previous})->{json};
is_deeply($page->{results}, $pages[1]{results}, 'previous leads back to the page before');
$page = call('GET', $page->{previous})->{json};
is_deeply($page->{results}, $pages[0]{results}, 'and to the first one');
is($page->{previous}, undef, 'before which there is nothing');
(my $word = lc $name) =~ s/ /+/g;
is(scalar @{ call('GET', "/api/catalog/products/?search=$word&page_size=100")->{json}{results} }, 5, 'search finds names, whatever the case');
is_deeply(call('GET', "/api/catalog/products/?search=$word%25nothing")->{json}{results}, [], 'and takes % as it is');
is_deeply([ map { $_->{id} } @{ call('GET', "/api/catalog/products/?category=$category->{id}")->{json}{results} } ],
	[ $product->{id} ], 'a category filters');

# Availability and price

is_deeply(available($product), [ [ at(9), at(14), 3 ] ], 'all pieces are free');
$answer = call('GET', "$path/price/?start_at=" . at(10) . '&end_at=' . at(14, 11) . '&quantity=2');
my $price = expect($answer, 200, 'the price is answered');
fields($price, 'product_id currency start_at end_at units unit quantity unit_price subtotal discount tax total deposit lines', 'a price has the fields of a price');
is($price->{units}, 5, 'a day begun counts');
like($answer->{text}, qr/"unit_price":"60\.00","subtotal":"120\.00"/, 'amounts are decimal strings');
is_deeply([ map { [ @$_{qw(units amount)} ] } @{ $price->{lines} } ], [ [ 2, '30.00' ], [ 3, '30.00' ] ], 'the parts explain the price');
(my $offset_start = at(10, 12)) =~ s/Z$/%2B02:00/;
is(call('GET', "$path/price/?start_at=$offset_start&end_at=" . at(12))->{json}{start_at}, at(10), 'input may have any offset');

# An order, and back

$answer = call('POST', '/api/orders/orders/', as => $login,
	body => { %{ order_body($product, quantity => 2) }, vendor_id => $vendor_id, note => 'please ring' });
my $order = expect($answer, 201, 'the customer places an order');
fields($order,
	'id number vendor_id customer_id status currency subtotal discount tax deposit total balance note expires_at created_at updated_at items',
	'an order has the fields of an order');
is($order->{status}, 'pending', 'it waits for the vendor');
like($order->{number}, qr/^ORD-\d{4}-000001$/, 'it is the vendor\'s first of the year');
is($order->{customer_id}, $customer->{user}{id}, 'it is the customer\'s');
is($order->{note}, 'please ring', 'it has its note');
like($answer->{text}, qr/"subtotal":"80\.00","discount":"0\.00","tax":"0\.00","fee":"0\.00","waiver":"0\.00","deposit":"0\.00","total":"80\.00","charges":"0\.00","cancellation_fee":"0\.00","balance":"80\.00"/,
	'its amounts are decimal strings');
like($order->{$_}, $timestamp, "$_ is RFC 3339 in UTC") for qw(expires_at created_at updated_at);
fields($order->{items}[0],
	'id order_id product_id product_name location_id quantity start_at end_at unit_price total dispatched returned units',
	'an item has the fields of an item');
is_deeply([ @{ $order->{items}[0] }{qw(start_at end_at quantity unit_price total)} ], [ at(10), at(13), 2, '40.00', '80.00' ],
	'it has its period and its price');
is_deeply(available($product), [ [ at(9), at(10), 3 ], [ at(10), at(13), 1 ], [ at(13), at(14), 3 ] ], 'the stock has gone down');

is(act($login, $order, 'cancel', { reason => 'changed plans' })->{status}, 'cancelled', 'the customer cancels it');
is_deeply(available($product), [ [ at(9), at(14), 3 ] ], 'the stock has come back');

# An order that goes all the way

$order = place($login, $product, quantity => 3);
like($order->{number}, qr/^ORD-\d{4}-000002$/, 'the next order has the next number');
my $confirmed = act($vendor, $order, 'confirm');
is($confirmed->{status}, 'confirmed', 'the vendor confirms');
is($confirmed->{expires_at}, undef, 'nothing expires any more');
$answer = call('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $order->{id} });
my $invoice = expect($answer, 201, 'the vendor issues the invoice');
fields($invoice, 'id kind credits_id number vendor_id order_id customer_id status currency subtotal tax tax_included total deposit paid credited written_off open overdue dunning_level seller buyer note period_start period_end issued_at due_at created_at lines taxes',
	'an invoice has the fields of an invoice');
like($invoice->{number}, qr/^INV-20\d\d-000001$/, 'it has the first number');
like($answer->{text}, qr/"subtotal":"120\.00","tax":"0\.00","tax_included":"0\.00","total":"120\.00"/, 'its amounts are decimal strings');
is(scalar @{ $invoice->{lines} }, 1, 'it has a line an item');
is_deeply([ @{ $invoice->{lines}[0] }{qw(line quantity unit_price total start_at end_at)} ],
	[ 1, 3, '40.00', '120.00', at(10), at(13) ], 'which says what is billed');
is_deeply(expect(call('GET', "/api/orders/invoices/$invoice->{id}/", as => $login), 200, 'the customer sees it'), $invoice, 'as it is');

my $payment = expect(
	call('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $order->{id}, amount => '50.00', method => 'cash' }),
	201, 'the vendor takes a payment');
fields($payment, 'id vendor_id order_id invoice_id parent_id customer_id kind amount currency method gateway status refunded captured released reason created_at',
	'a payment has the fields of a payment');
is_deeply([ @$payment{qw(amount currency method status customer_id)} ],
	[ '50.00', 'EUR', 'cash', 'succeeded', $customer->{user}{id} ], 'it is what was paid');
is(call('GET', "/api/orders/orders/$order->{id}/", as => $login)->{json}{balance}, '70.00', 'the balance is what is left');
expect(call('POST', '/api/orders/payments/', as => $vendor, body => { order_id => $order->{id}, amount => 70, method => 'transfer' }),
	201, 'the rest is transferred');
is(call('GET', "/api/orders/orders/$order->{id}/", as => $login)->{json}{balance}, '0.00', 'nothing is left to pay');
is_deeply([ map { $_->{amount} } @{ call('GET', "/api/orders/payments/?order=$order->{id}", as => $login)->{json}{results} } ],
	[ '70.00', '50.00' ], 'the customer sees both payments, newest first');
is_deeply(call('GET', "/api/orders/payments/$payment->{id}/", as => $login)->{json}, $payment, 'and each of them');

my $out = act($vendor, $order, 'dispatch');
is_deeply([ $out->{status}, $out->{items}[0]{dispatched} ], [ 'active', 3 ], 'the goods go out');
my $back = act($vendor, $order, 'return');
is_deeply([ $back->{status}, $back->{items}[0]{returned} ], [ 'returned', 3 ], 'and come back');
is_deeply(available($product), [ [ at(9), at(14), 3 ] ], 'and are free again');

my $events = expect(call('GET', "/api/orders/orders/$order->{id}/events/", as => $login), 200, 'the history is there')->{results};
is_deeply([ map { $_->{kind} } @$events ], [qw(placed confirmed invoiced paid paid dispatched returned)], 'every step is in it');
is_deeply([ map { $_->{actor_id} } @$events ], [ $customer->{user}{id}, ($vendor->{user}{id}) x 6 ], 'with who did it');
is_deeply([ map { $_->{data} } @$events[ 2, 3 ] ], [ { number => $invoice->{number} }, { amount => '50.00' } ], 'and what it was');

is_deeply([ map { $_->{id} } @{ call('GET', '/api/orders/orders/?status=returned', as => $_)->{json}{results} } ],
	[ $order->{id} ], 'each of the two finds the order in the own list')
  for $login, $vendor;
is(scalar @{ call('GET', '/api/orders/orders/', as => $vendor)->{json}{results} }, 2, 'the vendor has two orders in all');

# Units

my $camera = product($vendor, undef, tracking => 'serialised');
my @units = map {
	expect(call('POST', "/api/catalog/products/$camera->{id}/units/", as => $vendor, body => { code => $_ }), 201, "unit $_ is added")
} qw(C-1 C-2);
is_deeply([ map { $_->{code} } @{ call('GET', "/api/catalog/products/$camera->{id}/units/", as => $vendor)->{json}{results} } ],
	[qw(C-1 C-2)], 'the vendor sees the units');
my $with_unit = place($login, $camera, unit_ids => [ $units[1]{id} ]);
is_deeply($with_unit->{items}[0]{units}, ['C-2'], 'an order can name its unit');

# The report

my $report = '/api/analytics/reports/revenue/?from=' . at(-1) . '&to=' . at(2) . '&granularity=year';
$answer = call('GET', $report, as => $vendor);
my %sum = (orders => 0, billed => 0, paid => 0);
for my $row (@{ expect($answer, 200, 'the revenue report is answered')->{results} })
{
	$sum{$_} += $row->{$_} for keys %sum;
}
is_deeply(\%sum, { orders => 2, billed => 120, paid => 120 }, 'it shows what was billed and what was paid');
like($answer->{text}, qr/"billed":"120\.00","paid":"120\.00"/, 'in decimal strings');
is_deeply(call('GET', $report, as => vendor())->{json}{results}, [], 'another vendor sees nothing of it');

# Sessions

my $renewed = expect(call('POST', '/api/auth/refresh/', body => { refresh => $login->{refresh} }), 200, 'tokens are renewed');
isnt($renewed->{refresh}, $login->{refresh}, 'the refresh token is another one');
isnt($renewed->{access}, $login->{access}, 'and so is the access token');
expect(call('GET', '/api/users/me/', as => $renewed), 200, 'the new access token works');
$answer = call('POST', '/api/auth/logout/', body => { refresh => $renewed->{refresh} });
expect($answer, 204, 'the customer logs out');
is($answer->{text}, '', 'which has nothing to say');
my $before = snapshot();
refused(call('POST', '/api/auth/refresh/', body => { refresh => $renewed->{refresh} }), $before, 401, 'invalid_token', undef,
	'after which nothing is renewed');
is(sql("SELECT count(*) FROM rental.sessions WHERE user_id = '$customer->{user}{id}' AND revoked_at IS NULL"), 1,
	'the other session lives on');

is(sql('SELECT count(*) FROM rental.stock_verify()'), 0, 'the stock is sound');

done_testing;
