#!/usr/bin/perl
# The DVD shop's books, imported and held against the books themselves by queries of their own.
#
# DVDRENTAL names the directory of the books; PGHOST, PGPORT and PGUSER a cluster with the extension installed, in
# which the test makes databases of its own and drops them.
use strict;
use warnings;
use File::Basename;
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $here = dirname(__FILE__);
my $import = "$here/import";
my $books = $ENV{DVDRENTAL} or BAIL_OUT('DVDRENTAL=directory of the books is needed');
my @made;
my $test = $$;
$ENV{PGOPTIONS} = '-c client_min_messages=warning -c timezone=UTC -c datestyle=iso,ymd';
delete $ENV{PGTZ};

# psql(DATABASE, SQL): its rows, fields parted by |
sub psql
{
	my ($database, $sql) = @_;
	open(my $out, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-c', $sql) or die "psql: $!";
	chomp(my @rows = <$out>);
	close $out or die "psql failed on: $sql\n";
	return join "\n", @rows;
}

sub database
{
	my ($name) = @_;
	$name = "dvdrental_${name}_$test";
	psql('postgres', "CREATE DATABASE $name");
	push @made, $name;
	return $name;
}

END
{
	local $?;
	if ($$ == $test)
	{
		psql('postgres', "DROP DATABASE IF EXISTS $_ WITH (FORCE)") for @made;
	}
}

# run_import(DATABASE, ARGUMENT...): exit status and all that it printed
sub run_import
{
	my ($database, @args) = @_;
	local $ENV{PGDATABASE} = $database;
	my $pid = open(my $out, '-|') // die "fork: $!";
	if (!$pid)
	{
		open(STDERR, '>&', \*STDOUT);
		exec($import, @args) or POSIX::_exit(127);
	}
	my $said = do { local $/; <$out> };
	close $out;
	return ($? >> 8, $said);
}

# empty(DATABASE, SQL, NAME): the query finds nothing
sub empty
{
	my ($database, $sql, $name) = @_;
	is(psql($database, "$sql LIMIT 5"), '', $name);
}

my $db = database('books');

# What is refused before anything is touched
{
	my ($status, $said) = run_import($db, $books);
	isnt($status, 0, 'a database without the extension is refused');
	like($said, qr/no extension rental/, 'and told why');
	psql($db, 'CREATE EXTENSION rental CASCADE');
	($status, $said) = run_import($db, tempdir(CLEANUP => 1));
	isnt($status, 0, 'a directory without books is refused');
	like($said, qr/there is no store\.csv/, 'and told why');
	($status) = run_import($db);
	isnt($status, 0, 'no directory at all is refused');
	is(psql($db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'dvdrental'"), '0', 'and nothing was left behind');
}

# A witness: whenever a copy goes out, it notes how many of that film the store still offers at that moment.
psql($db, <<'SQL');
CREATE SCHEMA witness;
CREATE TABLE witness.seen (note text, at timestamptz, available integer);
CREATE FUNCTION witness.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO witness.seen SELECT o.note, NEW.created_at, rental.availability(i.product_id, tstzrange(NEW.created_at, NEW.created_at, '[]'))
		FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id WHERE o.id = NEW.order_id;
	RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT ON rental.order_events FOR EACH ROW WHEN (NEW.kind = 'dispatched') EXECUTE FUNCTION witness.look();
SQL

my $began = time;
my ($status, $said) = run_import($db, $books);
my $seconds = time - $began;
is($status, 0, 'the books are imported');
note($said);
note(sprintf 'in %.0f s', $seconds);
cmp_ok(scalar(() = $said =~ /^NOTICE:  \d+ of \d+ steps/mg), '>', 10, 'with progress shown');
like($said, qr/^ rentals +\| +16044 \| +16044 \| as orders: 16043 returned, 1 active$/m, 'and a report of what came in');
like($said, qr/^ closed +\| rental \| copy_went_out_again +\| +182 /m, 'of what was closed, by rule');
like($said, qr/^refused in all: 0$/m, 'and of what was refused: nothing');

# The books as they are, in tables of the test's own
psql($db, <<'SQL');
CREATE SCHEMA books;
CREATE TABLE books.film (film_id text, title text, description text, release_year text, rental_duration integer, rental_rate numeric,
	length text, replacement_cost numeric, rating text);
CREATE TABLE books.category (category_id text, name text);
CREATE TABLE books.film_category (film_id text, category_id text);
CREATE TABLE books.inventory (inventory_id integer, film_id text, store_id text);
CREATE TABLE books.customer (customer_id text, store_id text, first_name text, last_name text, email text, active text, create_date text,
	address text, district text, city text, country text, postal_code text, phone text);
CREATE TABLE books.rental (rental_id integer, rental_date timestamptz, inventory_id integer, customer_id text, return_date timestamptz, staff_id text);
CREATE TABLE books.payment (payment_id text, customer_id text, staff_id text, rental_id integer, amount numeric, payment_date timestamptz);
SQL
for my $table (qw(film category film_category inventory customer rental payment))
{
	system('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-c', "\\copy books.$table FROM '$books/$table.csv' (FORMAT csv, HEADER)") == 0
	  or BAIL_OUT("$table.csv could not be read");
}

# When each rental really ended: as booked; else when the copy went out again, found without window functions; else never
psql($db, <<'SQL');
CREATE INDEX ON books.rental (inventory_id, rental_date);
CREATE TABLE books.truth AS
SELECT r.rental_id, r.rental_date, r.inventory_id, r.return_date, n.rental_date AS next_date, n.rental_id AS next_id,
	i.film_id, i.store_id, f.rental_rate, f.rental_duration, c.email,
	CASE WHEN r.return_date IS NOT NULL THEN r.return_date WHEN n.rental_id IS NOT NULL THEN n.rental_date
		ELSE r.rental_date + f.rental_duration * interval '1 day' END AS end_date
FROM books.rental r JOIN books.inventory i USING (inventory_id) JOIN books.film f USING (film_id) JOIN books.customer c USING (customer_id)
LEFT JOIN LATERAL (SELECT x.rental_id, x.rental_date FROM books.rental x WHERE x.inventory_id = r.inventory_id
	AND (x.rental_date, x.rental_id) > (r.rental_date, r.rental_id) ORDER BY x.rental_date, x.rental_id LIMIT 1) n ON true;
CREATE INDEX ON books.truth (film_id, store_id);
ANALYZE books.truth;
SQL

# Counts
my %count = (
	'vendors' => [ 'SELECT count(*) FROM rental.vendors', 2 ],
	'categories' => [ 'SELECT count(*) FROM rental.categories', 16 ],
	'customers' => [ "SELECT count(*) FROM rental.users WHERE role = 'customer' AND password_hash = '!'", 599 ],
	'products' => [ 'SELECT count(*) FROM rental.products', psql($db, 'SELECT count(DISTINCT (film_id, store_id)) FROM books.inventory') ],
	'units' => [ 'SELECT count(*) FROM rental.units', 4581 ],
	'orders' => [ 'SELECT count(*) FROM rental.orders', 16044 ],
	'payments' => [ 'SELECT count(*) FROM rental.payments', 16049 ],
	'cents of payments' => [ 'SELECT sum(amount) FROM rental.payments', '67416.51' ],
	'payments of 0.00' => [ 'SELECT count(*) FROM rental.payments WHERE amount = 0', 24 ],
	'rentals with six payments' => [ 'SELECT count(*) FROM (SELECT FROM rental.payments GROUP BY order_id HAVING count(*) = 6) p', 1 ],
	'rentals with one payment' => [ 'SELECT count(*) FROM (SELECT FROM rental.payments GROUP BY order_id HAVING count(*) = 1) p', 16043 ],
	'orders paid in all' => [ 'SELECT sum(paid) FROM rental.orders', '67416.51' ],
	'report of refusals' => [ "SELECT count(*) FROM dvdrental.dvdrental_report WHERE verdict = 'refused'", 0 ],
);
is(psql($db, $count{$_}[0]), $count{$_}[1], "$_: $count{$_}[1]") for sort keys %count;
is(psql($db, 'SELECT status, count(*) FROM rental.orders GROUP BY status ORDER BY status'),
	psql($db, "SELECT CASE WHEN return_date IS NULL AND next_id IS NULL THEN 'active' ELSE 'returned' END AS status, count(*)
		FROM books.truth GROUP BY 1 ORDER BY 1"),
	'orders are returned, or still out, as the books have it');
is(psql($db, 'SELECT what, in_books, came_in FROM dvdrental.dvdrental_summary WHERE in_books <> came_in ORDER BY line'),
	'films|1000|958', 'only films without a copy stayed out');

# Closed rentals
is(psql($db, "SELECT count(*) FROM dvdrental.dvdrental_report WHERE verdict = 'closed'"), '182', 'closed rentals: 182');
empty($db, <<'SQL', 'those closed are the ones without a return date whose copy went out again, at the time it did');
SELECT rental_id, r.id, r.at, t.next_date FROM (SELECT * FROM books.truth WHERE return_date IS NULL AND next_id IS NOT NULL) t
FULL JOIN (SELECT * FROM dvdrental.dvdrental_report WHERE verdict = 'closed') r ON r.id = t.rental_id
WHERE r.id IS NULL OR t.rental_id IS NULL OR r.at <> t.next_date OR r.note NOT LIKE '%copy ' || t.inventory_id || ' %rental ' || t.next_id
SQL

# Every order is its rental: customer, vendor, product, copy, period
empty($db, <<'SQL', 'orders are for the books\' customer, film, store and period');
SELECT t.rental_id, o.number FROM books.truth t JOIN books.film f USING (film_id)
FULL JOIN rental.orders o ON o.note = 'rental ' || t.rental_id
LEFT JOIN rental.users u ON u.id = o.customer_id LEFT JOIN rental.vendors v ON v.id = o.vendor_id
LEFT JOIN rental.order_items i ON i.order_id = o.id LEFT JOIN rental.products p ON p.id = i.product_id
WHERE (u.email, v.slug, p.name, i.start_at, i.end_at, o.created_at, i.quantity, i.dispatched) IS DISTINCT FROM
	(lower(t.email), 'dvd-rental-' || t.store_id, f.title, t.rental_date, t.end_date, t.rental_date, 1, 1)
SQL
my $assignments = <<'SQL';
SELECT substr(o.note, 8)::integer AS rental_id, u.code::integer AS inventory_id, lower(a.blocked) AS start_at, upper(a.blocked) AS end_at
FROM rental.unit_assignments a JOIN rental.units u ON u.id = a.unit_id JOIN rental.reservations r ON r.id = a.reservation_id
JOIN rental.order_items i ON i.id = r.order_item_id JOIN rental.orders o ON o.id = i.order_id
SQL
empty($db, "(SELECT rental_id, inventory_id, rental_date, end_date FROM books.truth EXCEPT ALL ($assignments))
	UNION ALL (($assignments) EXCEPT ALL SELECT rental_id, inventory_id, rental_date, end_date FROM books.truth)",
	'every copy was out with the right order, from and to the moments in the books');
empty($db, <<'SQL', 'no copy is with two orders at once');
SELECT * FROM (SELECT unit_id, blocked, max(upper(blocked)) OVER (PARTITION BY unit_id ORDER BY lower(blocked), upper(blocked)
	ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy_until FROM rental.unit_assignments) a WHERE lower(blocked) < busy_until
SQL
empty($db, <<'SQL', 'units are the books\' copies, each of its film and store');
SELECT * FROM (SELECT code::integer, p.name, v.slug FROM rental.units u JOIN rental.products p ON p.id = u.product_id JOIN rental.vendors v ON v.id = u.vendor_id) u
FULL JOIN (SELECT inventory_id AS code, title AS name, 'dvd-rental-' || store_id AS slug FROM books.inventory JOIN books.film USING (film_id)) b
USING (code, name, slug) WHERE u IS NULL OR b IS NULL
SQL

# Availability: what the witness saw whenever a copy went out is the copies less those out, counted in the books.
# Rentals of one second were placed by their number, after all returns of that second.
is(psql($db, 'SELECT count(*), min(available), max(available) FROM witness.seen'), '16044|0|3', 'availability was looked at in each rental');
empty($db, <<'SQL', 'and was copies less rentals out, each time');
SELECT t.rental_id, s.at, s.available, c.copies - o.out FROM books.truth t LEFT JOIN witness.seen s ON s.note = 'rental ' || t.rental_id
CROSS JOIN LATERAL (SELECT count(*) AS copies FROM books.inventory i WHERE (i.film_id, i.store_id) = (t.film_id, t.store_id)) c
CROSS JOIN LATERAL (SELECT count(*) AS out FROM books.truth x WHERE (x.film_id, x.store_id) = (t.film_id, t.store_id)
	AND (x.rental_date, x.rental_id) <= (t.rental_date, t.rental_id) AND x.end_date > t.rental_date) o
WHERE s.at IS DISTINCT FROM t.rental_date OR s.available IS DISTINCT FROM c.copies - o.out
SQL
empty($db, <<'SQL', 'now all copies are there but the one that never came back, for as long as it was booked');
WITH moments(at) AS (SELECT rental_date FROM books.truth WHERE return_date IS NULL AND next_id IS NULL
	UNION ALL SELECT end_date - interval '1 second' FROM books.truth WHERE return_date IS NULL AND next_id IS NULL
	UNION ALL SELECT end_date FROM books.truth WHERE return_date IS NULL AND next_id IS NULL UNION ALL SELECT '2030-01-01')
SELECT p.name, v.slug, m.at FROM rental.products p JOIN rental.vendors v ON v.id = p.vendor_id CROSS JOIN moments m
JOIN books.film f ON f.title = p.name
WHERE rental.availability(p.id, tstzrange(m.at, m.at, '[]')) IS DISTINCT FROM
	(SELECT count(*) FROM books.inventory i WHERE i.film_id = f.film_id AND 'dvd-rental-' || i.store_id = v.slug) -
	(SELECT count(*) FROM books.truth t WHERE t.film_id = f.film_id AND 'dvd-rental-' || t.store_id = v.slug
		AND t.return_date IS NULL AND t.next_id IS NULL AND m.at >= t.rental_date AND m.at < t.end_date)
SQL
empty($db, 'SELECT * FROM rental.stock_verify()', 'timelines and reservations agree');

# Money
empty($db, <<'SQL', 'each payment is on its rental\'s order, to the cent and the microsecond');
(SELECT rental_id, amount, payment_date FROM books.payment
	EXCEPT ALL SELECT substr(o.note, 8)::integer, p.amount, p.created_at FROM rental.payments p JOIN rental.orders o ON o.id = p.order_id)
UNION ALL (SELECT substr(o.note, 8)::integer, p.amount, p.created_at FROM rental.payments p JOIN rental.orders o ON o.id = p.order_id
	EXCEPT ALL SELECT rental_id, amount, payment_date FROM books.payment)
SQL
empty($db, <<'SQL', 'an order costs the film\'s rate and 1.00 for each day begun beyond its days');
SELECT t.rental_id, o.total FROM books.truth t JOIN rental.orders o ON o.note = 'rental ' || t.rental_id
WHERE (o.currency, o.total) IS DISTINCT FROM ('USD', rental_rate + greatest(0, ceil(extract(epoch FROM end_date - rental_date) / 86400) - rental_duration))
SQL
empty($db, <<'SQL', 'every returned order has one invoice of its total, issued when it came back; the other has none');
SELECT o.number FROM books.truth t JOIN rental.orders o ON o.note = 'rental ' || t.rental_id LEFT JOIN rental.invoices n ON n.order_id = o.id
WHERE (n.total, n.issued_at) IS DISTINCT FROM (CASE WHEN o.status = 'returned' THEN o.total END, CASE WHEN o.status = 'returned' THEN t.end_date END)
SQL
empty($db, <<'SQL', 'invoice numbers have no gaps');
SELECT vendor_id, count(*) FROM rental.invoices GROUP BY vendor_id, split_part(number, '-', 2)
HAVING min(split_part(number, '-', 3)::integer) <> 1 OR max(split_part(number, '-', 3)::integer) <> count(DISTINCT number)
SQL
is(psql($db, "SELECT sum(paid), sum(orders), sum(billed) = (SELECT sum(total) FROM rental.invoices), count(DISTINCT currency)
	FROM rental.report_revenue('2022-01-01Z', '2023-01-01Z')"), '67416.51|16044|t|1', 'the revenue report has paid 67416.51 and 16044 orders');
is(psql($db, "SELECT start_at::date, paid FROM rental.report_revenue('2022-01-01Z', '2023-01-01Z') WHERE paid <> 0 ORDER BY 1"),
	psql($db, "SELECT date_trunc('month', payment_date)::date AS m, sum(amount) FROM books.payment GROUP BY m ORDER BY m"),
	'and by month what was paid in that month');
is(psql($db, 'SELECT count(*) FROM rental.report_verify()'), 0, 'the facts agree with the books');
my $plain = "$here/../../report/plain.sql";
for my $folded ('before', 'after')
{
	for my $report ("report_revenue('2022-01-01Z', '2023-01-01Z', 'month', by_vendor => true)", "report_revenue('2022-05-30 03:33Z', '2022-08-02 18:00Z', 'week')",
		"report_revenue('2022-06-15 03:33Z', '2022-06-17 18:00Z', 'hour')", "report_orders('2022-01-01Z', '2023-01-01Z')", "report_seasonality('2022-01-01Z', '2023-01-01Z')",
		"report_ranking('2022-05-30 03:33Z', '2022-08-02 18:00Z', 'category')", "report_ranking('2022-06-01Z', '2022-08-01Z', most => 10000)",
		"report_utilisation('2022-06-01Z', '2022-08-02 18:00Z')", "report_stock_turn('2022-01-01Z', '2023-01-01Z', 'vendor')", "report_units('2022-06-01Z', '2022-08-02 18:00Z')",
		"report_inventory()", "report_customers('2022-01-01Z', '2023-01-01Z', most => 10000)", "report_cohorts('2022-01-01Z', '2023-01-01Z')", "report_durations('2022-01-01Z', '2023-01-01Z', 'day')",
		"report_late('2022-01-01Z', '2023-01-01Z', 'week')", "report_receivables()")
	{
		my $told = `psql -XAtq -v ON_ERROR_STOP=1 -d $db -f $plain -c "SELECT (SELECT count(*) > 0 FROM pg_temp.$report), (SELECT count(*) FROM (SELECT * FROM rental.$report EXCEPT ALL SELECT * FROM pg_temp.$report) x), (SELECT count(*) FROM (SELECT * FROM pg_temp.$report EXCEPT ALL SELECT * FROM rental.$report) x)"`;
		chomp $told;
		like($told, $report =~ /receivables/ ? qr/^[tf]\|0\|0$/ : qr/^t\|0\|0$/, "$report equals plain SQL $folded folding");
	}
	cmp_ok(psql($db, 'SELECT rental.report_fold(10000000)'), '>', 0, 'it is folded') if $folded eq 'before';
}
my $paid_for = 'FROM books.payment p JOIN books.rental r USING (rental_id) JOIN books.inventory i USING (inventory_id)';
is(psql($db, "SELECT name, paid FROM rental.report_revenue_by('2022-01-01Z', '2023-01-01Z', 'category') ORDER BY 1"),
	psql($db, "SELECT c.name, sum(p.amount) $paid_for LEFT JOIN books.film_category f USING (film_id) LEFT JOIN books.category c USING (category_id) GROUP BY 1 ORDER BY 1"),
	'the report by category has what was paid for each, to the cent');
is(psql($db, "SELECT v.slug, r.paid FROM rental.report_revenue_by('2022-01-01Z', '2023-01-01Z', 'vendor') r JOIN rental.vendors v USING (id) ORDER BY 1"),
	psql($db, "SELECT 'dvd-rental-' || i.store_id, sum(p.amount) $paid_for GROUP BY 1 ORDER BY 1"), 'and the one by store');
is(psql($db, 'SELECT count(*) FROM rental.ledger_verify()'), '0', 'the ledger agrees with all of it');
is(psql($db, "SELECT sum(debit) - sum(credit), sum(debit) FILTER (WHERE account = 'cash') FROM rental.report_trial_balance()"), '0.00|67416.51', 'and balances');

# A second time
my $before = psql($db, 'SELECT (SELECT count(*) FROM rental.orders), (SELECT count(*) FROM rental.users), (SELECT count(*) FROM rental.payments)');
($status, $said) = run_import($db, $books);
isnt($status, 0, 'a second import is refused');
like($said, qr/the books are in the database \S+ already/, 'and told why');
is(psql($db, 'SELECT (SELECT count(*) FROM rental.orders), (SELECT count(*) FROM rental.users), (SELECT count(*) FROM rental.payments)'),
	$before, 'and changes nothing');

# Books with faults: what breaks a rule is refused and listed with the rule, the rest comes in.
{
	my $faulty = tempdir(CLEANUP => 1);
	my %file = (
		store => "store_id,address,district,city,country,postal_code,phone\n1,,,Town,,,\n",
		category => "category_id,name\n1,Action\n",
		film => "film_id,title,description,release_year,rental_duration,rental_rate,length,replacement_cost,rating\n1,A FILM,Of a film,2022,3,4.99,90,20.99,PG\n",
		film_category => "film_id,category_id\n1,1\n",
		customer => "customer_id,store_id,first_name,last_name,email,active,create_date,address,district,city,country,postal_code,phone\n"
		  . "1,1,ANN,ONE,ANN\@EXAMPLE.ORG,t,2022-02-14,,,,,,\n",
		inventory => "inventory_id,film_id,store_id\n1,1,1\n2,1,1\n",
		rental => "rental_id,rental_date,inventory_id,customer_id,return_date,staff_id\n"
		  . "1,2022-05-01 10:00:00,1,1,2022-05-03 10:00:00,1\n"
		  . "2,2022-05-02 10:00:00,1,1,2022-05-04 10:00:00,1\n"     # its copy is still out
		  . "3,2022-05-03 10:00:00,1,1,2022-05-05 10:00:00,1\n"     # the very second it came back
		  . "4,2022-05-06 10:00:00,1,1,2022-05-06 09:00:00,1\n"     # back before it went
		  . "5,2022-05-07 10:00:00,1,1,,1\n"                        # goes out again: closed
		  . "6,2022-05-09 10:00:00,1,1,,1\n"                        # never comes back
		  . "7,2022-05-09 10:00:00,99,1,,1\n"                       # no such copy
		  . "8,2022-05-09 10:00:00,2,99,2022-05-10 10:00:00,1\n",   # no such customer
		payment => "payment_id,customer_id,staff_id,rental_id,amount,payment_date\n"
		  . "1,1,1,1,4.99,2022-05-01 10:00:00\n2,1,1,2,4.99,2022-05-02 10:00:00\n3,1,1,3,-1.00,2022-05-02 10:00:00\n4,1,1,6,0.00,2022-04-01 10:00:00\n",
	);
	for my $name (keys %file)
	{
		open my $out, '>', "$faulty/$name.csv" or die "$name: $!";
		print $out $file{$name};
		close $out or die "$name: $!";
	}
	my $small = database('faulty');
	psql($small, 'CREATE EXTENSION rental CASCADE');
	($status, $said) = run_import($small, $faulty);
	is($status, 0, 'books with faults are imported') or diag($said);
	is(psql($small, 'SELECT verdict, what, id, rule FROM dvdrental.dvdrental_report ORDER BY verdict, what, id'), <<'REPORT' =~ s/\n\z//r, 'with what was closed and refused, by rule');
closed|rental|5|copy_went_out_again
refused|payment|2|rental_refused
refused|payment|3|invalid_value
refused|rental|2|insufficient_stock
refused|rental|4|invalid_period
refused|rental|7|not_found
refused|rental|8|not_found
REPORT
	is(psql($small, "SELECT note, status FROM rental.orders ORDER BY note"), "rental 1|returned\nrental 3|returned\nrental 5|returned\nrental 6|active",
		'the rest came in, and nothing of what was refused stayed behind');
	is(psql($small, 'SELECT sum(amount), count(*) FROM rental.payments'), '4.99|2', 'payments too');
	like($said, qr/^refused in all: 6$/m, 'and the report counts them');

	# as an import leaves it that was cut short
	psql($small, 'DROP TABLE dvdrental.dvdrental_summary');
	($status, $said) = run_import($small, $faulty);
	isnt($status, 0, 'a database where an import broke off is refused');
	like($said, qr/an import into the database \S+ broke off/, 'and told why');
}

done_testing();
