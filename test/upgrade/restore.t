#!/usr/bin/perl
# pg_dump | psql makes the same database again: every table equal, timelines sound, and it takes the next order.
use strict;
use warnings;
use File::Temp 'tempdir';
use Test::More;

my ($from, $to) = ('check_dumped', 'check_restored');
my $dump = tempdir(CLEANUP => 1) . '/dump.sql';

sub sql
{
	my ($database, $sql) = @_;
	open my $psql, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-c', $sql or die "psql: $!";
	my $out = do { local $/; <$psql> };
	close $psql or die "psql failed on $database: $sql";
	chomp $out;
	return $out;
}

sub contents
{
	my ($database) = @_;
	my %of;
	for my $table (split /\n/, sql($database, "SELECT relname FROM pg_class WHERE relnamespace = 'rental'::regnamespace AND relkind = 'r'"))
	{
		next if $table =~ /^(timelines|facts_.*)$/;    # derived: how it is cut, or folded, depends on the order of changes
		$of{$table} = sql($database, "SELECT count(*) || ' rows ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM rental.$table t");
	}
	return \%of;
}

my $short = "SELECT md5(string_agg(s::text, '' ORDER BY s::text)) FROM rental.shortages s";
my $revenue = "SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM rental.report_revenue('2020-01-01', '2040-01-01', 'day', by_vendor => true) r";
my $steps = "SELECT md5(string_agg(x::text, '' ORDER BY x::text)) FROM (SELECT p.id, s.* FROM rental.products p,
	LATERAL rental.availability_steps(p.id, tstzrange(date_trunc('year', now()), date_trunc('year', now()) + interval '2 years')) s) x";

for my $database ($from, $to)
{
	system('dropdb', '--if-exists', '--force', $database);
	system('createdb', $database) == 0 or die "createdb failed";
}
sql($from, "SET client_min_messages = warning; CREATE EXTENSION rental CASCADE");
sql($from, "SELECT rental.demo_load(1)");
# what demonstration data lack: units and their assignment, a hold that has expired, an own endpoint, a session, an example
sql($from, <<'SQL');
SET search_path = rental, public;
CREATE FUNCTION public.hello(name text DEFAULT 'you') RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
INSERT INTO endpoint (method, path, function, auth, tag, summary) VALUES ('GET', '/api/hello/', 'public.hello', '{public}', 'own', 'Says hello');
SELECT auth_signup('own@restore.example', 'long enough', 'Own', 'vendor', business_name => 'Restore');
SELECT auth_signup('cust@restore.example', 'long enough', 'Customer');
DO $$
DECLARE
	vendor uuid := (SELECT id FROM rental.vendors WHERE slug = 'restore');
	product uuid := (rental.product_create('Numbered', vendor_id => vendor, tracking => 'serialised', day_rate => 9.99)).id;
	unit uuid := (rental.unit_create(product, 'N-1')).id;
	customer uuid := (SELECT id FROM rental.users WHERE email = 'cust@restore.example');
BEGIN
	PERFORM rental.unit_create(product, 'N-2');
	PERFORM rental.blackout_create(product, now() + interval '20 days', now() + interval '22 days', unit_id => unit, reason => 'repair');
	PERFORM rental.act_as(customer, 'customer');
	PERFORM rental.example_create('kept');
	PERFORM rental.order_place(jsonb_build_array(jsonb_build_object('product_id', product, 'quantity', 1, 'unit_ids', jsonb_build_array(unit),
		'start_at', to_char(now() + interval '5 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'end_at', to_char(now() + interval '9 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))));
	UPDATE rental.reservations SET expires_at = now() - interval '1 hour' WHERE product_id = product;
END $$;
SQL
# stock that moves, something sold for good, and a shortage accepted by force
sql($from, <<'SQL');
DO $$
DECLARE
	vendor uuid := (SELECT id FROM rental.vendors WHERE slug = 'restore');
	main uuid := (SELECT id FROM rental.locations WHERE vendor_id = vendor);
	customer uuid := (SELECT id FROM rental.users WHERE email = 'cust@restore.example');
	chairs uuid := (rental.product_create('Chairs', vendor_id => vendor, day_rate => 1)).id;
	candles uuid := (rental.product_create('Candles', vendor_id => vendor, kind => 'sale', day_rate => 1)).id;
	kit uuid := (rental.product_create('Kit', vendor_id => vendor, tracking => 'kit', day_rate => 1)).id;
	placed uuid;
BEGIN
	PERFORM rental.stock_set(chairs, 10), rental.stock_set(candles, 10), rental.component_put(kit, chairs, 2);
	PERFORM rental.stock_move(chairs, 3, now() + interval '40 days', main, NULL);
	placed := (rental.order_place(jsonb_build_array(
		jsonb_build_object('product_id', kit, 'quantity', 3, 'start_at', '2030-02-01T00:00:00Z', 'end_at', '2030-02-05T00:00:00Z'),
		jsonb_build_object('product_id', candles, 'quantity', 4, 'start_at', '2030-02-01T00:00:00Z', 'end_at', '2030-02-05T00:00:00Z')),
		customer_id => customer)).id;
END $$;
SQL
sql($from, <<'SQL');
DO $$
DECLARE
	chairs uuid := (SELECT id FROM rental.products WHERE name = 'Chairs');
BEGIN
	PERFORM rental.order_confirm((SELECT id FROM rental.orders WHERE customer_id = (SELECT id FROM rental.users WHERE email = 'cust@restore.example') ORDER BY id DESC LIMIT 1));
	PERFORM rental.stock_set(chairs, 4, force => true);
END $$;
SQL
# more was promised in the past, and not taken back, than there is by now
sql($from, <<'SQL');
DO $$
DECLARE
	benches uuid := (rental.product_create('Benches', vendor_id => (SELECT id FROM rental.vendors WHERE slug = 'restore'), day_rate => 1)).id;
BEGIN
	PERFORM rental.stock_set(benches, 3);
	PERFORM rental.order_confirm((rental.order_place(jsonb_build_array(jsonb_build_object('product_id', benches, 'quantity', 3,
		'start_at', to_char(now() - interval '3 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'end_at', to_char(now() - interval '2 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))),
		customer_id => (SELECT id FROM rental.users WHERE email = 'cust@restore.example'))).id);
	PERFORM rental.stock_set(benches, 1);
END $$;
SQL
# prices, terms, an order that was offered, accepted and is half out, one that came back broken, and a cart
sql($from, <<'SQL');
DO $$
DECLARE
	vendor uuid := (SELECT id FROM rental.vendors WHERE slug = 'restore');
	customer uuid := (SELECT id FROM rental.users WHERE email = 'cust@restore.example');
	tables uuid := (rental.product_create('Tables', vendor_id => vendor, day_rate => 1)).id;
	lines jsonb := jsonb_build_array(jsonb_build_object('product_id', tables, 'quantity', 2, 'start_at', '2030-04-01T00:00:00Z', 'end_at', '2030-04-05T00:00:00Z'));
	placed uuid;
	line uuid;
BEGIN
	PERFORM rental.stock_set(tables, 10);
	PERFORM rental.price_rule_create('Summer', 'season', percent => 10, from_date => '2030-04-01', to_date => '2030-05-01', vendor_id => vendor);
	PERFORM rental.tax_rate_create('VAT', 20, vendor_id => vendor), rental.coupon_create('TEN', percent => 10, vendor_id => vendor);
	PERFORM rental.customer_group_join((rental.customer_group_create('Friends', 5, vendor_id => vendor)).id, customer);
	PERFORM rental.price_settings_set(waiver_percent => 3, vendor_id => vendor);
	PERFORM rental.order_policy_set(vendor, terms_version => '1', terms => 'Handle with care', extension => 'manual');
	FOR i IN 1..2 LOOP
		placed := (rental.order_place(lines, customer_id => customer, draft => true, terms => '{"version": "1"}', coupon => 'TEN', damage_waiver => true)).id;
		PERFORM rental.order_quote(placed), rental.order_accept(placed), rental.order_confirm(placed);
		line := (SELECT id FROM rental.order_items WHERE order_id = placed);
		PERFORM rental.order_dispatch(placed, jsonb_build_array(jsonb_build_object('item_id', line, 'quantity', i)));
	END LOOP;
	PERFORM rental.order_return(placed, items => jsonb_build_array(jsonb_build_object('item_id', line, 'condition', 'damaged', 'quantity', 1)));
	PERFORM rental.order_charge_add(placed, 3, 'cleaning');
	PERFORM rental.act_as(customer, 'customer');
	PERFORM rental.order_extend((SELECT min(order_id::text)::uuid FROM rental.order_items WHERE product_id = tables), '2030-04-06T00:00:00Z');
	PERFORM rental.cart_add(tables, 1, '2030-07-01T00:00:00Z', '2030-07-02T00:00:00Z');
	PERFORM rental.activity_record(jsonb_build_array(jsonb_build_object('kind', 'search', 'visitor', 'somebody', 'args',
		jsonb_build_object('product_id', tables, 'start_at', '2030-07-01T00:00:00Z', 'end_at', '2030-07-02T00:00:00Z', 'quantity', '50'))));
END $$;
SQL
# money of every kind
sql($from, <<'SQL');
DO $$
DECLARE
	vendor uuid := (SELECT id FROM rental.vendors WHERE slug = 'restore');
	o uuid := (SELECT id FROM rental.orders WHERE vendor_id = vendor AND status = 'active' ORDER BY id DESC LIMIT 1);
	product uuid := (SELECT product_id FROM rental.order_items WHERE order_id = o LIMIT 1);
	paid uuid;
	body text;
BEGIN
	PERFORM rental.gateway_set('test', true, 'a secret to be restored'), rental.gateway_set('acme', true, 'another secret, as long');
	PERFORM rental.billing_settings_set(country => 'AT', vendor_id => vendor), rental.product_taxes_replace(product, '{}', 'reduced');
	PERFORM rental.customer_tax_set((SELECT customer_id FROM rental.orders WHERE id = o), 'AT', vendor_id => vendor);
	PERFORM rental.invoice_credit((rental.invoice_issue(o)).id, 1);
	PERFORM rental.payment_capture((rental.payment_record(o, 5, kind => 'deposit')).id, 1), rental.payment_record(o, 1, gateway => 'acme');
	paid := (rental.payment_record(o, 5, 'timeout', gateway => 'test')).id;
	body := format('{"id":"event","payment_id":"%s","type":"succeeded"}', paid);
	PERFORM rental.payment_webhook('test', body, rental.gateway_sign('test', body));
	PERFORM rental.payment_refund(paid, 1), count(*) FROM rental.payout_run();
	o := (SELECT id FROM rental.orders WHERE vendor_id = vendor AND id <> o AND status IN ('confirmed', 'active') ORDER BY id LIMIT 1);
	PERFORM rental.billing_plan_set(o, 'month'), rental.invoice_issue(o, draft => true);
END $$;
SQL
is(sql($from, "SELECT count(*) FROM rental.ledger_verify()"), 0, 'the books to be dumped are sound');
is(sql($from, "SELECT string_agg(t, ', ') FROM unnest('{billing_plans,billing_cycles,order_returns,billing_settings,customer_taxes,product_tax_classes,gateway_settings,gateway_requests,invoice_taxes,ledger_entries,payment_events,payouts,payout_postings,price_rules,tax_rates,coupons,coupon_uses,customer_group_members,price_settings,order_terms,order_policies,
	order_quotes,order_contracts,order_history,order_charges,cart_items}'::text[]) t WHERE query_to_xml(format('SELECT FROM rental.%I', t), true, true, '')::text !~ '<row'"), '',
	'there are rows of prices, orders and a cart');
is(sql($from, "SELECT count(*) FROM rental.orders WHERE extension IS NOT NULL AND waiver > 0"), 1, 'one with a waiver, and a wish to keep it longer');
cmp_ok(sql($from, "SELECT count(*) FROM rental.shortages"), '>', 0, 'there is a shortage');
is(sql($from, "SELECT count(*) FROM rental.stock_verify()"), 0, 'the database to be dumped is sound');
is(sql($from, "SELECT rental.report_fold(100), (SELECT count(*) FROM rental.report_verify())"), '100|0', 'its facts, too, some of them folded');
cmp_ok(sql($from, "SELECT count(DISTINCT table_name) FROM rental.audit WHERE action = 'insert'"), '>=', 10, 'the audit trail has rows of most tables');

my $said = `bash -c "set -o pipefail; pg_dump '$from' 2>&1 >'$dump' && psql -XAtq -v ON_ERROR_STOP=1 -d '$to' -f '$dump' 2>&1 >/dev/null"`;
is($?, 0, 'pg_dump and psql go through');
is($said, '', 'without a warning');

my ($before, $after) = (contents($from), contents($to));
cmp_ok(scalar(grep { !/^0 rows/ } values %$before), '>=', 18, 'most tables have rows to compare');
is($after->{$_}, $before->{$_}, "$_ is the same") for sort keys %$before;
is(sql($to, "SELECT count(*) FROM rental.stock_verify()"), 0, 'the restored timelines are sound');
is(sql($to, "SELECT count(*) FROM rental.ledger_verify()"), 0, 'and so are the books');
is(sql($to, "SELECT count(*) FROM rental.report_verify()"), 0, 'and the facts');
is(sql($to, $revenue), sql($from, $revenue), 'reports are the same');
is(sql($to, "SELECT rental.report_fold() > 0, (SELECT count(*) FROM rental.report_verify())"), 't|0', 'also when what came back is folded');
is(sql($to, $steps), sql($from, $steps), 'availability is the same everywhere');
is(sql($to, $short), sql($from, $short), 'shortages are the same');
is(sql($to, "SELECT count(*) FROM rental.endpoint_catalog()"), sql($from, "SELECT count(*) FROM rental.endpoint_catalog()"), 'so are the endpoints');
my $order = "SELECT number FROM rental.order_place((SELECT jsonb_build_array(jsonb_build_object('product_id', id, 'quantity', 1,
	'start_at', '2030-06-01T10:00:00Z', 'end_at', '2030-06-03T10:00:00Z')) FROM rental.products ORDER BY id LIMIT 1),
	customer_id => (SELECT id FROM rental.users WHERE email = 'cust\@restore.example'))";
my $number = sql($to, $order);
like($number, qr/^ORD-\d{4}-\d{6}$/, 'the restored database takes the next order');
is($number, sql($from, $order), 'with the number that the old one would give');
is(sql($to, "SELECT action FROM rental.audit WHERE table_name = 'orders' ORDER BY id DESC LIMIT 1"), 'insert', 'and records it in the audit trail');

# a dump in PostgreSQL's own format, and one of INSERT statements
for my $form ([ 'custom format', "pg_dump -Fc '$from' | pg_restore -e -d '$to'" ],
	[ 'INSERT statements', "pg_dump --rows-per-insert=50 '$from' | psql -XAtq -v ON_ERROR_STOP=1 -d '$to' >/dev/null" ])
{
	my ($name, $command) = @$form;
	system('dropdb', '--force', $to);
	system('createdb', $to);
	is(system('bash', '-c', "set -o pipefail; $command"), 0, "$name: restored without an error");
	is(sql($to, "SELECT count(*) FROM rental.stock_verify()"), 0, "$name: timelines are sound");
	is(sql($to, "SELECT count(*) FROM rental.report_verify()"), 0, "$name: facts are sound");
	is_deeply(contents($to), contents($from), "$name: all tables are the same");
}

system('dropdb', '--force', $_) for $from, $to;
done_testing();
