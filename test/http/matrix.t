#!/usr/bin/perl
# Who may do what: every endpoint × every kind of caller × every place where an id stands.
#
# A line of @matrix below is an endpoint: method, path, who may call it, an example of its arguments, options. Columns are
# separated by two blanks or more. The suite fails for an endpoint without a line and for a line without an endpoint; an
# endpoint may have several lines, say for arguments that another kind of caller may give. Two businesses stand behind
# it: customer A ordered from vendor A, customer B from vendor B, and each has its own of everything.
#
#   {order_id}   in path or arguments: an id that is somebody's. Whoever is not meant to gets A's id here while all other ids of
#                the request are their own, for each such place in turn, and must be answered 401, 403 or 404 with nothing of
#                A's in the body and nothing changed in the database; and so A, with B's.
#   <order_id>   a value that anybody may use: an id of A's, or what %value below says.
#
# Who: public    everybody
#      user      everybody who is logged in, about their own affairs
#      person    the same in person, not by an API key
#      vendors   every vendor's team, about their own affairs, and administrators
#      party     customer A and vendor A's team, who share it; administrators
#      team      vendor A's team, administrators
#      boss      vendor A's owner, administrators; nobody else of the team
#      owner     customer A, who made it; administrators
#      keepers   every vendor's owner, about their own affairs, and administrators
#      self      vendor A's owner, whose own it is, nobody else; own: administrators and the API key, too; ender: administrators, too
#      customers customers, about their own affairs; shopper: customer A, whose own it is
#      admin     administrators
#
# Then every reading endpoint is called by everybody who may, and every writing one by one of them with objects made for it
# (%fresh), so that lines do not depend on each other. Options: product=serial or kit (its {product_id} is such a one),
# order=draft, quoted, confirmed, asked, active, returned, assigned or swappable (the state that its order must have), also=422 (another status of a refusal),
# image (the body is one), passing (somebody who joined just for it), product=member (its {user_id} is of the team) or cart (its {item_id} is in a cart), except=team (which may do it with anybody's ids: a vendor takes orders for any customer), empty (a list by somebody
# else's id is empty rather than refused), stream (the answer does not end).
#
# A new kind of id is made for both sides where %id is filled, and in %fresh if a call uses it up; what must not show anywhere
# else goes into %thing.
#
# Last, mass assignment: no writing endpoint takes a field that it does not declare, such as role or total; where it
# declares one of them, %declared says what becomes of a caller who reaches too far.
use strict;
use warnings;
use RentalTest;
use Test::More;

my @matrix = split /\n/, <<'END';
GET     /api/                                                           public
GET     /api/schema/                                                    public
GET     /api/audit/                                                     admin    {"vendor":"<vendor_id>"}
POST    /api/auth/signup/                                               public   {"email":"<new_email>","password":"<new_password>","name":"New"}
POST    /api/auth/login/                                                public   {"email":"<email>","password":"<password>"}
POST    /api/auth/refresh/                                              public   {"refresh":"<refresh>"}
POST    /api/auth/logout/                                               public   {"refresh":"<refresh>"}
POST    /api/auth/password/change/                                      person   {"current_password":"<password>","new_password":"<password>"}
POST    /api/auth/password/reset/                                       public   {"email":"<email>"}
POST    /api/auth/password/reset/confirm/                               public   {"token":"<reset_token>","new_password":"<new_password>"}
POST    /api/auth/email/verify/                                         public   {"token":"<verify_token>"}
POST    /api/auth/email/verify/send/                                    person
POST    /api/auth/email/change/                                         person   {"email":"<new_email>","password":"<password>"}
GET     /api/auth/sessions/                                             person
DELETE  /api/auth/sessions/                                             person
DELETE  /api/auth/sessions/{session_id}/                                self
GET     /api/users/me/                                                  user
PUT     /api/users/me/                                                  user     {"name":"<new_name>"}
PATCH   /api/users/me/                                                  user     {"name":"<new_name>"}
POST    /api/users/me/erase/                                            person   {"password":"<password>"}  passing
GET     /api/users/profile/                                             user
PUT     /api/users/profile/                                             user     {"name":"<new_name>"}
PATCH   /api/users/profile/                                             user     {"locale":"de"}
GET     /api/users/                                                     admin
GET     /api/users/customers/                                           vendors
GET     /api/users/{user_id}/                                           admin
PATCH   /api/users/{user_id}/                                           admin    {"is_active":true}
DELETE  /api/users/{user_id}/                                           admin
GET     /api/users/vendors/                                             public
GET     /api/users/vendors/<vendor_id>/                                 public
PATCH   /api/users/vendors/{vendor_id}/                                 boss     {"minimum_notice":"0"}
GET     /api/users/vendors/{vendor_id}/settings/                        team
PATCH   /api/users/vendors/{vendor_id}/settings/                        boss     {"minimum_notice":"0"}
GET     /api/users/vendors/{vendor_id}/members/                         team
POST    /api/users/vendors/{vendor_id}/members/                         boss     {"role":"staff","email":"<joining_email>"}
PATCH   /api/users/vendors/{vendor_id}/members/{user_id}/               boss     {"role":"staff"}  product=member
DELETE  /api/users/vendors/{vendor_id}/members/{user_id}/               boss     {}  product=member
GET     /api/users/vendors/<vendor_id>/locations/                       public
GET     /api/users/vendors/<vendor_id>/order-policy/                    public
PUT     /api/users/vendors/{vendor_id}/order-policy/                    boss
GET     /api/catalog/categories/                                        public
POST    /api/catalog/categories/                                        admin    {"name":"<new_name>"}
GET     /api/catalog/products/                                          public   {"page_size":100}
POST    /api/catalog/products/                                          vendors  {"name":"<new_name>","day_rate":"1.00"}
POST    /api/catalog/products/                                          team     {"name":"<new_name>","vendor_id":"{vendor_id}"}
GET     /api/catalog/products/<product_id>/                             public
GET     /api/catalog/products/<product_id>/availability/                public   {"from":"<start_at>","to":"<end_at>"}
GET     /api/catalog/products/<product_id>/calendar/                    public   {"first_day":"2030-01-01"}
GET     /api/catalog/products/<product_id>/price/                       public   {"start_at":"<start_at>","end_at":"<end_at>"}
PATCH   /api/catalog/products/{product_id}/                             team     {"shortage_limit":0}
DELETE  /api/catalog/products/{product_id}/                             team     {}  product=waste
GET     /api/catalog/products/<product_id>/rates/                       public
PUT     /api/catalog/products/{product_id}/taxes/                       team     {"tax_rate_ids":["{tax_rate_id}"]}
GET     /api/catalog/price-rules/                                       team     {"vendor_id":"{vendor_id}"}
POST    /api/catalog/price-rules/                                       team     {"name":"<new_name>","kind":"season","percent":0,"product_id":"{product_id}","from_date":"2029-01-01","to_date":"2029-01-02","vendor_id":"{vendor_id}"}
DELETE  /api/catalog/price-rules/{rule_id}/                             team
GET     /api/catalog/customer-groups/                                   team     {"vendor_id":"{vendor_id}"}
POST    /api/catalog/customer-groups/                                   team     {"name":"<new_name>","percent":0,"vendor_id":"{vendor_id}"}
DELETE  /api/catalog/customer-groups/{group_id}/                        team
PUT     /api/catalog/customer-groups/{group_id}/members/{user_id}/      team     {}  product=buyer
DELETE  /api/catalog/customer-groups/{group_id}/members/{user_id}/      team     {}  product=buyer
GET     /api/catalog/coupons/                                           team     {"vendor_id":"{vendor_id}"}
POST    /api/catalog/coupons/                                           team     {"code":"<code>","percent":1,"vendor_id":"{vendor_id}"}
PATCH   /api/catalog/coupons/{coupon_id}/                               team     {"most_uses":5}
GET     /api/catalog/taxes/                                             team     {"vendor_id":"{vendor_id}"}
POST    /api/catalog/taxes/                                             team     {"name":"<new_name>","percent":0,"is_default":false,"vendor_id":"{vendor_id}"}
DELETE  /api/catalog/taxes/{tax_rate_id}/                               team
GET     /api/catalog/price-settings/                                    team     {"vendor_id":"{vendor_id}"}
PUT     /api/catalog/price-settings/                                    team     {"deposit":"none","vendor_id":"{vendor_id}"}
PUT     /api/catalog/products/{product_id}/rates/                       team     {"amount":"10.00"}
PUT     /api/catalog/products/{product_id}/stock/                       team     {"quantity":900,"location_id":"{location_id}"}
POST    /api/catalog/products/{product_id}/stock/moves/                 team     {"quantity":1,"to_location":"{location_id}"}
POST    /api/catalog/products/{product_id}/stock/moves/                 team     {"quantity":1,"from_location":"{location_id}"}
GET     /api/catalog/products/{product_id}/blackouts/                   team
POST    /api/catalog/products/{product_id}/blackouts/                   team     {"start_at":"<start_at>","end_at":"<end_at>","unit_id":"{unit_id}"}       product=serial
POST    /api/catalog/products/{product_id}/blackouts/                   team     {"start_at":"<start_at>","end_at":"<end_at>","location_id":"{location_id}","quantity":1}
DELETE  /api/catalog/blackouts/{blackout_id}/                           team
GET     /api/catalog/products/<product_id>/components/                  public   {}                                             product=kit
POST    /api/catalog/products/{product_id}/components/                  team     {"component_id":"{component_id}","quantity":2}  product=kit also=422
DELETE  /api/catalog/products/{product_id}/components/{component_id}/   team     {}                                             product=kit
GET     /api/catalog/products/{product_id}/units/                       team     {}                                             product=serial
POST    /api/catalog/products/{product_id}/units/                       team     {"code":"<new_name>","location_id":"{location_id}"}  product=serial
POST    /api/catalog/units/{unit_id}/move/                              team     {"location_id":"{location_id}"}
POST    /api/catalog/units/{unit_id}/retire/                            team
GET     /api/catalog/products/<product_id>/images/                      public
POST    /api/catalog/products/{product_id}/images/                      team     {}  image
DELETE  /api/catalog/images/{image_id}/                                 team
GET     /api/catalog/images/<image_id>/<size>/                          public
GET     /api/orders/orders/                                             user
POST    /api/orders/orders/                                             user     {"items":[{"product_id":"<product_id>","quantity":1,"start_at":"<start_at>","end_at":"<end_at>"}]}
POST    /api/orders/orders/                                             party    {"items":[{"product_id":"<product_id>","quantity":1,"start_at":"<start_at>","end_at":"<end_at>"}],"customer_id":"{customer_id}"}  except=team
GET     /api/orders/orders/{order_id}/                                  party
GET     /api/orders/orders/{order_id}/events/                           party
POST    /api/orders/orders/{order_id}/cancel/                           party    {"reason":"no more"}
GET     /api/orders/tracking/{order_id}/stream/                         party    {}                                             stream
GET     /api/orders/orders/{order_id}/quotes/                           party
GET     /api/orders/orders/{order_id}/charges/                          party
GET     /api/orders/orders/{order_id}/contract/                         party
GET     /api/orders/orders/{order_id}/as-of/                            party    {"at":"<now>"}
POST    /api/orders/orders/{order_id}/quote/                            team     {}                                             order=draft
POST    /api/orders/orders/{order_id}/accept/                           party    {}                                             order=quoted
POST    /api/orders/orders/{order_id}/confirm/                          team
POST    /api/orders/orders/{order_id}/reject/                           team
POST    /api/orders/orders/{order_id}/dispatch/                         team     {}                                             order=confirmed
POST    /api/orders/orders/{order_id}/return/                           team     {}                                             order=active
POST    /api/orders/orders/{order_id}/extend/                           party    {"end_at":"<later_at>"}                        order=active
DELETE  /api/orders/orders/{order_id}/extension/                        party    {}                                             order=asked
POST    /api/orders/orders/{order_id}/close/                            team     {}                                             order=returned
POST    /api/orders/orders/{order_id}/items/                            party    {"product_id":"<product_id>","quantity":1,"start_at":"<start_at>","end_at":"<end_at>"}  order=draft
PATCH   /api/orders/orders/{order_id}/items/{item_id}/                  party    {"quantity":1}                                 order=draft
DELETE  /api/orders/orders/{order_id}/items/{item_id}/                  party    {}                                             order=draft
POST    /api/orders/orders/{order_id}/charges/                          team     {"amount":"1.00","reason":"cleaning"}          order=active
POST    /api/orders/orders/{order_id}/units/                            team     {}                                             order=assigned
POST    /api/orders/orders/{order_id}/units/swap/                       team     {"from_unit_id":"{from_unit_id}","unit_id":"{unit_id}"}  order=swappable
GET     /api/orders/cart/                                               customers
POST    /api/orders/cart/items/                                         customers  {"product_id":"<product_id>","quantity":1,"start_at":"<start_at>","end_at":"<end_at>"}
PATCH   /api/orders/cart/items/{item_id}/                               shopper  {"quantity":2}                                 product=cart
DELETE  /api/orders/cart/items/{item_id}/                               shopper  {}                                             product=cart
POST    /api/orders/cart/checkout/                                      customers
GET     /api/orders/invoices/                                           user
POST    /api/orders/invoices/                                           team     {"order_id":"{order_id}"}                      order=confirmed
GET     /api/orders/invoices/{invoice_id}/                              party
POST    /api/orders/invoices/                                           team     {"order_id":"{order_id}","draft":true}         order=confirmed
DELETE  /api/orders/invoices/{invoice_id}/                              team     {}                                             product=draft
POST    /api/orders/invoices/{invoice_id}/issue/                        team     {}                                             product=draft
POST    /api/orders/invoices/{invoice_id}/credit/                       team     {"amount":"1.00"}                              product=issued
POST    /api/orders/invoices/{invoice_id}/write-off/                    team     {}                                             product=issued
POST    /api/orders/invoices/{invoice_id}/interest/                     team     {}                                             product=overdue
POST    /api/orders/invoices/dunning/                                   team     {"vendor_id":"{vendor_id}"}
PUT     /api/orders/orders/{order_id}/billing/                          team     {"cycle":"month"}                              order=confirmed
GET     /api/orders/billing-settings/                                   team     {"vendor_id":"{vendor_id}"}
PUT     /api/orders/billing-settings/                                   boss     {"due_days":0,"interest_percent":10,"vendor_id":"{vendor_id}"}
PUT     /api/orders/customer-taxes/{user_id}/                           team     {"country":"AT","vendor_id":"{vendor_id}"}     product=buyer
POST    /api/orders/payments/{payment_id}/capture/                      team     {"amount":"0.50"}                              product=deposit
POST    /api/orders/payments/{payment_id}/release/                      team     {}                                             product=deposit
POST    /api/orders/payments/{payment_id}/refund/                       team     {"amount":"0.50"}
POST    /api/orders/payments/webhooks/<gateway>/                        public   {}                                             webhook
GET     /api/orders/payouts/                                            vendors
POST    /api/orders/payouts/                                            admin
GET     /api/orders/payouts/{payout_id}/                                team
GET     /api/settings/gateways/                                         admin
PATCH   /api/settings/gateways/<gateway>/                               admin    {"tolerance_seconds":300}
GET     /api/analytics/reports/                                         vendors
GET     /api/analytics/reports/orders/                                  team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/cancellations/                           team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/seasonality/                             team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/ranking/                                 team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/utilisation/                             team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/stock-turn/                              team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/units/                                   team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/inventory/                               team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/customers/                               team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/cohorts/                                 team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/durations/                               team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/late/                                    team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/overdue/                                 team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/receivables/                             team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/deposits/                                team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/commission/                              team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
PUT     /api/catalog/products/{product_id}/purchase-cost/               team     {"amount":"1.00"}
GET     /api/analytics/dashboard/                                       team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/metrics/                                         team     {"vendor_id":"{vendor_id}"}
POST    /api/analytics/fold/                                            admin
GET     /api/analytics/reports/revenue-by/                              team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/lost-demand/                             team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/forecast/                                team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/suggestions/                             team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/funnel/                                  team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/taxes/                                   team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/trial-balance/                           team     {"vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/customer-balances/                       team     {"vendor_id":"{vendor_id}"}
GET     /api/orders/payments/                                           user
GET     /api/orders/payments/                                           party    {"order":"{order_id}"}                         empty
POST    /api/orders/payments/                                           team     {"order_id":"{order_id}","amount":"1.00"}      order=confirmed
GET     /api/orders/payments/{payment_id}/                              party
GET     /api/analytics/reports/revenue/                                 vendors  {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z"}
GET     /api/analytics/reports/revenue/                                 team     {"from":"2020-01-01T00:00:00Z","to":"2040-01-01T00:00:00Z","vendor_id":"{vendor_id}"}
GET     /api/analytics/reports/shortages/                               team     {"vendor_id":"{vendor_id}"}
GET     /api/keys/                                                      vendors
POST    /api/keys/                                                      keepers  {"name":"key"}
GET     /api/keys/{key_id}/                                             own
PATCH   /api/keys/{key_id}/                                             self     {"name":"<new_name>"}
POST    /api/keys/{key_id}/rotate/                                      self
DELETE  /api/keys/{key_id}/                                             ender
GET     /api/usage/                                                     vendors
GET     /api/notify/stream/                                             user     {}                                             stream
GET     /api/examples/                                                  public
POST    /api/examples/                                                  user     {"name":"<new_name>"}
GET     /api/examples/<example_id>/                                     public
PUT     /api/examples/{example_id}/                                     owner    {"name":"<new_name>"}
DELETE  /api/examples/{example_id}/                                     owner
END
# what may be reported to somebody, may be exported to them
push @matrix, map { s{/reports/}{/export/}r } grep { m{^GET\s+/api/analytics/reports/\w} } @matrix;

# What mass assignment tries, everywhere
my @fields = qw(id role vendor_id is_active status total balance paid created_at updated_at owner_id user_id customer_id actor_id);
# Where such a field is an argument: what it is set to, by whom, and what that is answered
my %declared = (
	'POST /api/auth/signup/ role' => [ 'admin', 'anonymous', 422 ],
	'PATCH /api/users/{user_id}/ role' => [ 'admin', 'customer_a', 403 ],
	'PATCH /api/users/{user_id}/ is_active' => [ JSON::PP::true, 'customer_a', 403 ],
	'PATCH /api/users/{user_id}/ user_id' => [ '{user_id.b}', 'admin', 400 ],
	'DELETE /api/users/{user_id}/ user_id' => [ '{user_id.b}', 'admin', 400 ],
	(map { ("PATCH /api/users/vendors/{vendor_id}/$_ vendor_id" => [ '{vendor_id.b}', 'owner_a', 400 ],
		"PATCH /api/users/vendors/{vendor_id}/$_ is_active" => [ JSON::PP::false, 'owner_a', 403 ]) } '', 'settings/'),
	'POST /api/users/vendors/{vendor_id}/members/ vendor_id' => [ '{vendor_id.b}', 'owner_a', 400 ],
	'POST /api/users/vendors/{vendor_id}/members/ role' => [ 'owner', 'staff_a', 403 ],
	'POST /api/users/vendors/{vendor_id}/members/ user_id' => [ '{user_id.b}', 'staff_a', 403 ],
	(map { ("$_ /api/users/vendors/{vendor_id}/members/{user_id}/ vendor_id" => [ '{vendor_id.b}', 'owner_a', 400 ],
		"$_ /api/users/vendors/{vendor_id}/members/{user_id}/ user_id" => [ '{user_id.b}', 'owner_a', 400 ]) } qw(PATCH DELETE)),
	'PUT /api/users/vendors/{vendor_id}/order-policy/ vendor_id' => [ '{vendor_id.b}', 'owner_a', 400 ],
	'PATCH /api/users/vendors/{vendor_id}/members/{user_id}/ role' => [ 'owner', 'staff_a', 403 ],
	(map { ("$_ vendor_id" => [ '{vendor_id}', 'owner_b', 403 ]) } 'POST /api/catalog/price-rules/', 'POST /api/catalog/customer-groups/', 'POST /api/catalog/coupons/',
		'POST /api/catalog/taxes/', 'PUT /api/catalog/price-settings/'),
	(map { ("$_ /api/catalog/customer-groups/{group_id}/members/{user_id}/ user_id" => [ '{user_id.b}', 'owner_a', 400 ]) } qw(PUT DELETE)),
	'PATCH /api/catalog/products/{product_id}/ is_active' => [ JSON::PP::false, 'customer_a', 403 ],
	'PATCH /api/catalog/coupons/{coupon_id}/ is_active' => [ JSON::PP::false, 'customer_a', 403 ],
	'POST /api/catalog/products/ vendor_id' => [ '{vendor_id}', 'owner_b', 403 ],
	# an order with a vendor who does not have the product
	'POST /api/orders/orders/ vendor_id' => [ '{vendor_id.b}', 'customer_a', 422 ],
	'POST /api/orders/orders/ customer_id' => [ '{customer_id}', 'customer_b', 403 ],
	(map { ("$_ vendor_id" => [ '{vendor_id}', 'owner_b', 403 ]) } 'POST /api/orders/invoices/dunning/', 'PUT /api/orders/billing-settings/',
		'PUT /api/orders/customer-taxes/{user_id}/'),
	'PUT /api/orders/customer-taxes/{user_id}/ user_id' => [ '{user_id.b}', 'owner_a', 400 ],
	'POST /api/orders/payouts/ vendor_id' => [ '{vendor_id}', 'owner_a', 403 ],
	'PATCH /api/settings/gateways/{gateway}/ is_active' => [ JSON::PP::false, 'owner_a', 403 ],
);

# Two businesses

my %mark = map { $_ => "mark-$_-" . random_text(12) } qw(a b);
my (%actor, %id, %login, %thing);

# login ACCOUNT: a log-in of its own, so that what one line ends, others do not miss.
sub login
{
	my ($account) = @_;
	return expect(call('POST', '/api/auth/login/', body => { email => $account->{email}, password => $account->{password} }), 200, 'a log-in');
}

# hire VENDOR, NAME: somebody of the vendor's team, who is not its owner.
sub hire
{
	my ($vendor, $name) = @_;
	my $email = "$name-" . random_text(8) . '@example.com';

	sql(qq{
		INSERT INTO rental.users (email, password_hash, name, role)
			SELECT '$email', password_hash, '$name', 'vendor' FROM rental.users WHERE id = '$vendor->{user}{id}';
		INSERT INTO rental.vendor_members (vendor_id, user_id, role)
			SELECT '$vendor->{user}{vendor_id}', id, 'staff' FROM rental.users WHERE email = '$email'});
	return login({ email => $email, password => $vendor->{password} });
}

# made ANSWER: what a call made, for objects that the test itself needs.
sub made
{
	my ($answer) = @_;
	$answer->{status} =~ /^20[014]$/ or BAIL_OUT("the test cannot set itself up: $answer->{status} $answer->{text}");
	return $answer->{json};
}

for my $side (qw(a b))
{
	my %email = map { $_ => "$_-$mark{$side}\@example.com" } qw(owner customer);
	my $owner = { %{ vendor(name => "Owner $mark{$side}", email => $email{owner}) }, email => $email{owner} };
	my $staff = hire($owner, "staff-$mark{$side}");
	my $customer = { %{ customer(name => "Customer $mark{$side}", email => $email{customer}, phone => $mark{$side}) }, email => $email{customer} };
	my $at = sub { made(call(shift, shift, as => $owner, @_)) };
	my $vendor_id = $owner->{user}{vendor_id};

	@login{ "owner_$side", "staff_$side", "customer_$side" } = ($owner, $staff, $customer);
	my $product = product($owner, 1000);
	my $component = product($owner, 1000);
	my $serial = product($owner, undef, tracking => 'serialised');
	my $kit = product($owner, undef, tracking => 'kit');
	sql("INSERT INTO rental.locations (vendor_id, name) VALUES ('$vendor_id', 'Second')");
	$at->('POST', "/api/catalog/products/$kit->{id}/components/", body => { component_id => $component->{id} });
	my $unit = $at->('POST', "/api/catalog/products/$serial->{id}/units/", body => { code => "unit $mark{$side}" });
	my $blackout = $at->('POST', "/api/catalog/products/$product->{id}/blackouts/",
		body => { start_at => at(50), end_at => at(51), quantity => 1, reason => "reason $mark{$side}" });
	$at->('PUT', "/api/users/vendors/$vendor_id/order-policy/", body => { terms_version => '1', terms => "terms" });
	my $order = made(call('POST', '/api/orders/orders/', as => $customer,
		body => { %{ order_body($product) }, note => "note $mark{$side}", terms => { version => '1' } }));
	$at->('PUT', "/api/users/vendors/$vendor_id/order-policy/", body => {});
	my $cart = made(call('POST', '/api/orders/cart/items/', as => $customer, body => order_body($product)->{items}[0]));
	my $billed = made(call('POST', '/api/orders/orders/', as => $customer, body => { %{ order_body($product) }, note => "note $mark{$side}" }));
	$at->('POST', "/api/orders/orders/$billed->{id}/confirm/");
	my $invoice = $at->('POST', '/api/orders/invoices/', body => { order_id => $billed->{id} });
	my $payment = $at->('POST', '/api/orders/payments/', body => { order_id => $billed->{id}, amount => '2.00' });
	made(call('PATCH', '/api/settings/gateways/test/', as => demo('admin'), body => { is_active => true, secret => 'the secret of the matrix' }));
	my $online = made(call('POST', '/api/orders/payments/', as => $customer, body => { order_id => $billed->{id}, amount => '3.00', gateway => 'test' }));
	my $payout = call('POST', '/api/orders/payouts/', as => demo('admin'), body => { vendor_id => $vendor_id })->{json}{results}[0];
	my $image = $at->('POST', "/api/catalog/products/$product->{id}/images/", image());
	my $rule = $at->('POST', '/api/catalog/price-rules/', body => { name => "rule $mark{$side}", kind => 'season', percent => 0, from_date => '2029-01-01', to_date => '2029-01-02' });
	my $group = $at->('POST', '/api/catalog/customer-groups/', body => { name => "group $mark{$side}", percent => 0 });
	my $coupon = $at->('POST', '/api/catalog/coupons/', body => { code => random_text(12), percent => 1 });
	my $tax = $at->('POST', '/api/catalog/taxes/', body => { name => "tax $mark{$side}", percent => 0, is_default => false });
	my $example = made(call('POST', '/api/examples/', as => $customer, body => { name => 'example' }));
	my $key = made(call('POST', '/api/keys/', as => $owner, body => { name => "key $mark{$side}", scopes => ['*:read'] }));

	$id{$side} = {
		vendor_id => $vendor_id,
		customer_id => $customer->{user}{id},
		user_id => $customer->{user}{id},
		'user_id.member' => hire($owner, "colleague-$mark{$side}")->{user}{id},
		session_id => sql("SELECT id FROM rental.sessions WHERE user_id = '$owner->{user}{id}' ORDER BY id LIMIT 1"),
		product_id => $product->{id},
		'product_id.serial' => $serial->{id},
		'product_id.kit' => $kit->{id},
		component_id => $component->{id},
		location_id => sql("SELECT id FROM rental.locations WHERE vendor_id = '$vendor_id' AND name = 'Main'"),
		unit_id => $unit->{id},
		from_unit_id => $unit->{id},
		blackout_id => $blackout->{id},
		order_id => $order->{id},
		item_id => $order->{items}[0]{id},
		'item_id.cart' => $cart->{items}[0]{id},
		invoice_id => $invoice->{id},
		payment_id => $payment->{id},
		payout_id => $payout->{id},
		'payment_id.test' => $online->{id},
		image_id => $image->{id},
		rule_id => $rule->{id},
		group_id => $group->{id},
		coupon_id => $coupon->{id},
		tax_rate_id => $tax->{id},
		'product_id.waste' => product($owner, 1)->{id},
		'user_id.buyer' => $customer->{user}{id},
		example_id => $example->{id},
		key_id => $key->{id} };
	# what must never show where it is not meant to: texts that were planted, and ids that nobody else can have
	$thing{$side} = [ $mark{$side}, @{ $id{$side} }{qw(unit_id blackout_id order_id item_id item_id.cart invoice_id payment_id payout_id key_id rule_id group_id coupon_id tax_rate_id)}, $billed->{id} ];
	$login{"key_$side"} = $key->{key};
}
%actor = (anonymous => undef, admin => demo('admin'), key => $login{key_a}, map { $_ => $login{$_} } qw(customer_a customer_b staff_a owner_a owner_b));

my %may = (
	public => [qw(anonymous customer_a customer_b staff_a owner_a owner_b admin key)],
	user => [qw(customer_a customer_b staff_a owner_a owner_b admin key)],
	person => [qw(customer_a customer_b staff_a owner_a owner_b admin)],
	vendors => [qw(staff_a owner_a owner_b admin key)],
	party => [qw(staff_a owner_a customer_a admin key)],
	team => [qw(staff_a owner_a admin key)],
	boss => [qw(owner_a admin)],
	owner => [qw(customer_a admin)],
	keepers => [qw(owner_a owner_b admin key)],
	self => [qw(owner_a)],
	own => [qw(owner_a admin key)],
	ender => [qw(owner_a admin)],
	customers => [qw(customer_a customer_b)],
	shopper => [qw(customer_a)],
	admin => [qw(admin)],
);
# The key of the test has the narrowest scope there is: it reads what its owner may, and writes nothing.
my $key_may = sub { my ($row) = @_; return $row->{method} eq 'GET' };

my $joiner = customer();

sub image { return (raw => pack('H*', '89504e470d0a1a0a0000000d49484452') . "\0" x 100, headers => { 'Content-Type' => 'image/png' }) }

# webhook: an event of the gateway test, as it signs it
sub webhook
{
	my $body = '{"id":"' . random_text(12) . "\",\"payment_id\":\"$id{a}{'payment_id.test'}\",\"type\":\"processing\"}";
	return (raw => $body, headers => { 'Content-Type' => 'text/plain', 'Rental-Signature' => sql("SELECT rental.gateway_sign('test', '$body')") });
}

# Values for <name>, and objects for a call that goes through

my %value = (
	email => sub { $login{customer_a}{email} },
	password => sub { $login{customer_a}{password} },
	refresh => sub { login($login{customer_a})->{refresh} },
	new_email => sub { 'new-' . random_text(12) . '@example.com' },
	new_password => sub { random_text(16) },
	new_name => sub { 'new ' . random_text(12) },
	reset_token => sub {
		my $account = customer();
		call('POST', '/api/auth/password/reset/', body => { email => $account->{email} });
		return mailed($account, 'reset_password');
	},
	verify_token => sub { mailed(customer(), 'verify_email') },
	joining_email => sub { $joiner->{email} },
	size => sub { 'original' },
	gateway => sub { 'test' },
	code => sub { random_text(12) },
	start_at => sub { at(20) },
	end_at => sub { at(22) },
	later_at => sub { at(40) },
	now => sub { sql("SELECT to_json(now()) #>> '{}'") },
);

# mailed ACCOUNT, TEMPLATE: the token of the last e-mail to it
sub mailed
{
	my ($account, $template) = @_;
	return sql("SELECT data ->> 'token' FROM rental.notifications WHERE user_id = '$account->{user}{id}' AND template = '$template' ORDER BY id DESC LIMIT 1");
}

# order STATE: an order of customer A's that nobody has touched.
sub order
{
	my ($state) = @_;
	my $serial = $state =~ /^(assigned|swappable)$/;
	my $body = order_body({ id => $id{a}{ $serial ? 'product_id.serial' : 'product_id' } }, start_at => at(30), end_at => at(31));
	if ($state =~ /^(draft|quoted)$/)
	{
		$body->{draft} = true;
		push @{ $body->{items} }, { %{ $body->{items}[0] }, start_at => at(32), end_at => at(33) };
	}
	my $order = made(call('POST', '/api/orders/orders/', as => $login{customer_a}, body => $body));
	my @steps = { pending => [], draft => [], quoted => ['quote'], confirmed => ['confirm'], asked => ['confirm'], active => [qw(confirm dispatch)], returned => [qw(confirm dispatch return)], assigned => ['confirm'], swappable => [qw(confirm units)] }->{$state}
	  or die "no such state: $state";
	made(call('POST', "/api/orders/orders/$order->{id}/$_/", as => $login{owner_a})) for @{ $steps[0] };
	return $order->{id} if $state ne 'asked';
	my $policy = "/api/users/vendors/$id{a}{vendor_id}/order-policy/";
	made(call('PUT', $policy, as => $login{owner_a}, body => { extension => 'manual' }));
	made(call('POST', "/api/orders/orders/$order->{id}/extend/", as => $login{customer_a}, body => { end_at => at(33) }));
	made(call('PUT', $policy, as => $login{owner_a}, body => {}));
	return $order->{id};
}

sub fresh_unit
{
	return made(call('POST', "/api/catalog/products/$id{a}{'product_id.serial'}/units/", as => $login{owner_a}, body => { code => random_text(12) }))->{id};
}

my %fresh = (
	order_id => sub { order($_[0]{order} // 'pending') },
	item_id => sub {
		my ($options, $made) = @_;
		return sql("SELECT min(id::text) FROM rental.order_items WHERE order_id = '$made->{order_id}'") unless ($options->{product} // '') eq 'cart';
		return made(call('POST', '/api/orders/cart/items/', as => $login{customer_a}, body => order_body({ id => $id{a}{product_id} })->{items}[0]))->{items}[-1]{id};
	},
	unit_id => sub { fresh_unit() },
	from_unit_id => sub {
		my ($options, $made) = @_;
		return sql("SELECT a.unit_id FROM rental.unit_assignments a JOIN rental.reservations r ON r.id = a.reservation_id
			JOIN rental.order_items i ON i.id = r.order_item_id WHERE i.order_id = '$made->{order_id}'");
	},
	blackout_id => sub {
		made(call('POST', "/api/catalog/products/$id{a}{product_id}/blackouts/", as => $login{owner_a},
			body => { start_at => at(60), end_at => at(61), quantity => 1 }))->{id};
	},
	image_id => sub { made(call('POST', "/api/catalog/products/$id{a}{product_id}/images/", as => $login{owner_a}, image()))->{id} },
	(map { my ($id, $path, $body) = @$_; ($id => sub { made(call('POST', "/api/catalog/$path/", as => $login{owner_a}, body => $body))->{id} }) }
		[ 'rule_id', 'price-rules', { name => 'fresh', kind => 'season', percent => 0, from_date => '2029-01-01' } ], [ 'tax_rate_id', 'taxes', { name => 'fresh', percent => 0, is_default => false } ]),
	group_id => sub {
		my $group = made(call('POST', '/api/catalog/customer-groups/', as => $login{owner_a}, body => { name => 'fresh', percent => 0 }));
		made(call('PUT', "/api/catalog/customer-groups/$group->{id}/members/$id{a}{'user_id.buyer'}/", as => $login{owner_a}));
		return $group->{id};
	},
	invoice_id => sub {
		my $state = $_[0]{product} // 'issued';
		my $invoice = made(call('POST', '/api/orders/invoices/', as => $login{owner_a}, body => { order_id => order('confirmed'), draft => $state eq 'draft' ? true : false }));
		# a due date of long ago, as only a superuser can have it
		sql("ALTER TABLE rental.invoices DISABLE TRIGGER invoice_guard; UPDATE rental.invoices SET due_at = due_at - interval '1 year' WHERE id = '$invoice->{id}';
			ALTER TABLE rental.invoices ENABLE ALWAYS TRIGGER invoice_guard; INSERT INTO rental.billing_settings (vendor_id, interest_percent) VALUES ('$id{a}{vendor_id}', 10)
			ON CONFLICT (vendor_id) DO UPDATE SET interest_percent = 10") if $state eq 'overdue';
		return $invoice->{id};
	},
	payment_id => sub {
		my $kind = ($_[0]{product} // '') eq 'deposit' ? 'deposit' : 'charge';
		my $order = order('active');
		made(call('POST', "/api/orders/orders/$order/charges/", as => $login{owner_a}, body => { amount => '1.00', reason => 'a dent' }));
		return made(call('POST', '/api/orders/payments/', as => $login{owner_a}, body => { order_id => $order, amount => '2.00', kind => $kind }))->{id};
	},
	example_id => sub { made(call('POST', '/api/examples/', as => $login{customer_a}, body => { name => 'fresh' }))->{id} },
	session_id => sub { sql("SELECT id FROM rental.sessions WHERE user_id = '" . login($login{owner_a})->{user}{id} . "' ORDER BY id DESC LIMIT 1") },
	user_id => sub {
		return $id{a}{'user_id.buyer'} if ($_[0]{product} // '') eq 'buyer';
		return customer()->{user}{id} if ($_[0]{product} // '') ne 'member';
		return made(call('POST', "/api/users/vendors/$id{a}{vendor_id}/members/", as => $login{owner_a}, body => { role => 'staff', email => customer()->{email} }))->{user_id};
	},
	key_id => sub { made(call('POST', '/api/keys/', as => $login{owner_a}, body => { name => 'fresh' }))->{id} },
);

# Rows

my $json = JSON::PP->new->utf8->canonical;
my (@rows, %known);
for my $line (@matrix)
{
	my ($method, $path, $who, @rest) = split /\s{2,}/, $line;
	my $args = @rest && $rest[0] =~ /^\{/ ? shift @rest : '{}';
	my %options = map { /^(\w+)=(\w+)$/ ? ($1 => $2) : ($_ => 1) } map { split / / } @rest;
	my $template = $path =~ s/<(\w+)>/{$1}/gr;

	$may{$who} && eval { $json->decode($args) } or BAIL_OUT("this line cannot be read: $line");
	my %ids = map { $_ => 1 } "$path $args" =~ /\{(\w+)\}/g;
	push @rows, { method => $method, path => $path, template => $template, who => $who, args => $args, options => \%options,
		ids => [ sort keys %ids ], name => "$method $template" . (@rest || $args ne '{}' ? " ($who)" : '') };
	$known{"$method $template"} = 1;
}
my %endpoint = map { my ($method, $path, $status) = split /\|/; ("$method $path" => $status) }
  split /\n/, sql("SELECT method, path, status FROM rental.endpoint WHERE builtin");
is(join(', ', grep { !$known{$_} } sort keys %endpoint), '', 'every endpoint has a line in @matrix of test/http/matrix.t');
is(join(', ', grep { !$endpoint{$_} } sort keys %known), '', 'every line has an endpoint');
BAIL_OUT('the matrix is not that of the endpoints') unless Test::More->builder->is_passing;

# fill TEXT, ROW, IDS: the text with its values in place.
sub fill
{
	my ($text, $row, $ids) = @_;
	my $pick = sub {
		my ($name, $from) = @_;
		my $special = "$name." . ($row->{options}{product} // '');
		my $of = $from // {};
		return $of->{$special} // $of->{$name} // die "no value for $name in $row->{name}\n";
	};

	$text =~ s/<(\w+)>/$value{$1} ? $value{$1}->() : $pick->($1, $id{a})/ge;
	$text =~ s/\{(\w+)\}/$pick->($1, $ids)/ge;
	return $text;
}

# request ROW, IDS, AS, [more fields]: method, path and options of a call.
sub request
{
	my ($row, $ids, $as, $more) = @_;
	my $args = { %{ $json->decode(fill($row->{args}, $row, $ids)) }, %{ $more // {} } };
	my $path = fill($row->{path}, $row, $ids);

	if ($row->{method} =~ /^(GET|DELETE)$/ || $row->{options}{image})
	{
		my $query = join '&', map { "$_=" . ($args->{$_} =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ger) } sort keys %$args;
		return ($row->{method}, $path . ($query ne '' ? "?$query" : ''), as => $as, $row->{options}{image} ? image() : ());
	}
	return ($row->{method}, $path, as => $as, webhook()) if $row->{options}{webhook};
	return ($row->{method}, $path, as => $as, body => $args);
}

# mixed SIDE, ID: the ids of one side, but for one, which is the other's.
sub mixed
{
	my ($side, $name) = @_;
	my $other = $side eq 'a' ? 'b' : 'a';
	my %ids = %{ $id{$side} };

	$ids{$_} = $id{$other}{$_} for grep { /^\Q$name\E(\.|$)/ } keys %ids;
	return \%ids;
}

# shown ANSWER, SIDE: what of that side's an answer shows.
sub shown
{
	my ($answer, @sides) = @_;
	my $text = $answer->{text} =~ s/"instance":"[^"]*"//r;    # the path that was asked for

	return grep { index($text, $_) >= 0 } map { @{ $thing{$_} } } @sides;
}

# stream_status METHOD, PATH, options: the status of an answer that does not end.
sub stream_status
{
	my ($method, $path, %with) = @_;
	my $socket = raw_open();
	my $text = '';

	print $socket raw_request($method, $path, %with);
	while ($text !~ /\r\n/ && sysread $socket, $text, 4096, length $text) { }
	close $socket;
	return $text =~ m{^HTTP/1\.1 (\d{3})} ? $1 : 0;
}

# Refusals: one test a line, which names every call that went wrong

my $calls = 0;
for my $row (@rows)
{
	next if $row->{who} eq 'public';
	my %allowed = map { $_ => 1 } @{ $may{ $row->{who} } };
	my (@tries, @wrong);

	$allowed{key} &&= $key_may->($row);
	for my $name (sort keys %actor)
	{
		my $side = $name =~ /_b$/ ? 'b' : 'a';
		push @tries, [ $name, $id{a}, 'all of A\'s' ] unless $allowed{$name};
		next if $name =~ /^(anonymous|admin)$/ || ($name =~ /^(staff|owner)_a$/ && ($row->{options}{except} // '') eq 'team');
		push @tries, map { [ $name, mixed($side, $_), "the other's $_" ] } @{ $row->{ids} };
	}
	my $before = snapshot();
	for my $try (@tries)
	{
		my ($name, $ids, $what) = @$try;
		my $answer = call(request($row, $ids, $actor{$name}));
		my @wanted = $name eq 'anonymous' ? 401 : (403, 404, $row->{options}{also} // ());
		# a list by somebody else's id may be empty
		my $empty = $row->{options}{empty} && $answer->{status} == 200 && !@{ $answer->{json}{results} };

		$calls++;
		push @wrong, "$name with $what: $answer->{status} " . substr($answer->{text}, 0, 200) unless $empty || grep { $_ == $answer->{status} } @wanted;
		push @wrong, "$name with $what is shown $_" for shown($answer, 'a', 'b');
	}
	push @wrong, 'the database was changed' if snapshot() ne $before;
	is(join("\n", @wrong), '', "$row->{name}: " . @tries . ' others are refused');
}
cmp_ok($calls, '>', 200, "$calls calls were refused");

# What is allowed: every reading call

for my $row (grep { $_->{method} eq 'GET' } @rows)
{
	my @wrong;
	my $status = $endpoint{"$row->{method} $row->{template}"};

	for my $name (@{ $may{ $row->{who} } })
	{
		next if $name eq 'key' && !$key_may->($row);
		my $ids = $id{ $name =~ /_b$/ ? 'b' : 'a' };
		my @request = request($row, $ids, $actor{$name});

		if ($row->{options}{stream})
		{
			my $got = stream_status(@request);
			push @wrong, "$name: $got" if $got != $status;
			next;
		}
		my $answer = call(@request);
		push @wrong, "$name: $answer->{status} " . substr($answer->{text}, 0, 200) if $answer->{status} != $status;
		push @wrong, "$name is shown $_" for shown($answer, $name eq 'anonymous' ? qw(a b) : $name eq 'admin' ? () : $name =~ /_b$/ ? 'a' : 'b');
	}
	is(join("\n", @wrong), '', "$row->{name}: who may, reads, and sees nobody else's");
}

# and one of each writing call

my %first = (public => 'anonymous', map { $_ => $may{$_}[0] } qw(user person vendors party team boss owner keepers self own ender customers shopper admin));
for my $row (grep { $_->{method} ne 'GET' } @rows)
{
	my %ids = %{ $id{a} };
	$ids{$_} = $fresh{$_}->($row->{options}, \%ids) for grep { $fresh{$_} } sort { ($b eq 'order_id') <=> ($a eq 'order_id') || $a cmp $b } @{ $row->{ids} };
	delete @ids{ map { "$_.$row->{options}{product}" } grep { $fresh{$_} } @{ $row->{ids} } } if $row->{options}{product};
	my $name = $first{ $row->{who} };
	local $login{customer_a} = $row->{options}{passing} ? customer() : $login{customer_a};
	my $answer = call(request($row, \%ids, $row->{options}{passing} ? $login{customer_a} : $actor{$name}));

	is($answer->{status}, $endpoint{"$row->{method} $row->{template}"}, "$row->{name}: $name may") || diag($answer->{text});
	is(join(', ', shown($answer, 'b')), '', 'and sees nobody else\'s');
}

# Mass assignment

my %argument = map { $_ => 1 } split /\n/, sql("SELECT method || ' ' || path || ' ' || name FROM rental.endpoint_argument");
my %tried;
for my $row (grep { $_->{method} ne 'GET' } @rows)
{
	my $name = $first{ $row->{who} };
	my (@tries, @wrong);

	next if $tried{"$row->{method} $row->{template}"}++;
	for my $field (@fields)
	{
		my $key = "$row->{method} $row->{template} $field";

		if (!$argument{$key})
		{
			my ($method, $path, %with) = request($row, $id{a}, $actor{$name});
			push @tries, [ $field, 400, 'unknown_field', request($row, $id{a}, $actor{$name}, { $field => 1 }) ] unless $row->{options}{webhook};
			push @tries, [ $field, 400, 'unknown_field', $method, "$path?$field=1", %with ];
		}
		elsif ($declared{$key})
		{
			my ($value, $as, $status) = @{ $declared{$key} };
			$value =~ s/^\{(\w+)(?:\.(\w))?\}$/$id{ $2 \/\/ 'a' }{$1}/e;
			push @tries, [ $field, $status, undef, request($row, $id{ $as =~ /_b$/ ? 'b' : 'a' }, $actor{$as}, { $field => $value }) ];
		}
		else
		{
			push @wrong, "$field is an argument that %declared does not explain";
		}
	}
	my $before = snapshot();
	for my $try (@tries)
	{
		my ($field, $status, $code, @request) = @$try;
		my $answer = call(@request);
		my @flaws = problem_flaws($answer, $status, $code // $answer->{json}{code}, $code ? $field : ());
		push @wrong, "$field: " . join('; ', @flaws) . ': ' . substr($answer->{text}, 0, 200) if @flaws;
	}
	push @wrong, 'the database was changed' if snapshot() ne $before;
	is(join("\n", @wrong), '', "$row->{method} $row->{template}: no field that is not its own");
}
is(join(', ', grep { !$argument{$_} } sort keys %declared), '', 'what %declared explains, is there');
{
	my $before = snapshot();
	my @wrong;
	for my $field (@fields, qw(unit_price dispatched returned order_id))
	{
		my $answer = call('POST', '/api/orders/orders/', as => $login{customer_a}, body => order_body({ id => $id{a}{product_id} }, $field => 1));
		push @wrong, map { "$field: $_" } problem_flaws($answer, 400, 'unknown_field', "items[0].$field");
	}
	push @wrong, 'the database was changed' if snapshot() ne $before;
	is(join("\n", @wrong), '', 'nor has an item of an order');
}

done_testing();
