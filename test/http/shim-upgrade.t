#!/usr/bin/perl
# ALTER EXTENSION UPDATE under load: what connections have prepared is made anew, and nobody sees an error. The later
# versions stand in a PostgreSQL of this test's own, made of links to the one under test.
use strict;
use warnings;
use File::Basename 'dirname';
use File::Path 'make_path';
use File::Temp 'tempdir';
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $versions = 12;

# PostgreSQL finds its files beside its program, wherever that stands: so its programs are copied, all else is linked.
my $config = $ENV{PG_CONFIG} // 'pg_config';
my %at = map { chomp(my $path = `$config --$_`); ($_ => $path) } qw(bindir pkglibdir sharedir);
my $top = tempdir(CLEANUP => 1);
chmod 0755, $top;
make_path(map { dirname($top . $_) } $at{pkglibdir}, $at{sharedir});
make_path("$top$at{bindir}", "$top$at{sharedir}/extension");
system('cp', (map { "$at{bindir}/$_" } qw(postgres initdb pg_ctl pg_config psql createdb)), "$top$at{bindir}") == 0 or die 'no copy';
symlink $at{pkglibdir}, "$top$at{pkglibdir}" or die "symlink: $!" unless -e "$top$at{pkglibdir}";
for my $file (glob "$at{sharedir}/* $at{sharedir}/extension/*")
{
	symlink $file, "$top$file" or die "symlink $file: $!" unless -e "$top$file";
}
$ENV{PG_CONFIG} = "$top$at{bindir}/pg_config";

# Each later version gives examples and the root's answer another column, the root an argument in place of the one before,
# and makes the functions of all endpoints anew.
my $version = "0.1.0";
for my $next (1 .. $versions)
{
	open my $script, '>', "$top$at{sharedir}/extension/rental--$version--$next.sql" or die "no script: $!";
	print $script <<"SQL";
SET LOCAL search_path = rental, pg_catalog;
ALTER TABLE examples ADD COLUMN later_$next text NOT NULL DEFAULT 'since $next';
DO \$do\$
DECLARE
	f record;
	body text := pg_get_viewdef('example_view'::regclass);
BEGIN
	EXECUTE 'CREATE OR REPLACE VIEW example_view AS ' || regexp_replace(body, E'\\n +FROM', ', examples.later_$next FROM');
	FOR f IN SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS definition, p.proacl FROM pg_proc p
		WHERE p.pronamespace = 'rental'::regnamespace AND p.proname <> 'api_root'
			AND p.oid IN (SELECT function FROM endpoint_function)
		ORDER BY p.oid
	LOOP
		EXECUTE format('DROP FUNCTION %s', f.name);
		EXECUTE f.definition;
		EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rental_shim', f.name);
	END LOOP;
END \$do\$;
DO \$do\$ BEGIN EXECUTE 'DROP FUNCTION ' || (SELECT oid::regprocedure FROM pg_proc WHERE proname = 'api_root' AND pronamespace = 'rental'::regnamespace); END \$do\$;
CREATE TYPE api_view_$next AS (name text, version text, later integer, more_$next text);
CREATE FUNCTION api_root(also_$next boolean DEFAULT false) RETURNS api_view_$next LANGUAGE sql STABLE AS \$f\$ SELECT ('rental', rental.version(), $next, 'more')::rental.api_view_$next \$f\$;
GRANT EXECUTE ON FUNCTION api_root(boolean) TO rental_shim;
SQL
	# whoever asks with the arguments of the version before finds out that they have changed; what is new has to be told
	print $script "NOTIFY rental_endpoint;\n" if $next == $versions;
	close $script;
	$version = $next;
}

cluster_make('full_page_writes=off', 'fsync=off');
cluster_database('upgrade');
sql("ALTER EXTENSION rental UPDATE TO '1'");
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0, RENTAL_THREADS => 2);
my @there = (url => $server->{url});

sub account
{
	my (%fields) = @_;
	my $answer = call('POST', '/api/auth/signup/', @there,
		body => { email => random_text(12) . '@example.com', password => random_text(16), name => 'A Tester', %fields });
	return expect($answer, 201, 'an account');
}
my $vendor = account(role => 'vendor', business_name => 'Upgraded');
my $customer = account();
my $product = expect(call('POST', '/api/catalog/products/', @there, as => $vendor, body => { name => 'Thing', day_rate => '10.00' }), 201, 'a product');
expect(call('PUT', "/api/catalog/products/$product->{id}/stock/", @there, as => $vendor, body => { quantity => 1000000 }), 200, 'in stock');
my $order = expect(call('POST', '/api/orders/orders/', @there, as => $customer, body => order_body($product)), 201, 'an order');

# every kind of connection: reads that share transactions, writes, and passwords
my @requests = (
	sub { raw_request('GET', '/api/') },
	sub { raw_request('GET', '/api/examples/?page_size=3') },
	sub { raw_request('POST', '/api/examples/', as => $customer, body => { name => "x $_[0]" }) },
	sub { raw_request('GET', "/api/orders/orders/$order->{id}/", as => $customer) },
	sub { raw_request('POST', '/api/orders/orders/', as => $customer, body => order_body($product)) },
	sub { raw_request('GET', "/api/catalog/products/?search=thing", headers => ['Connection: close']) });
my $clients = load($server, 8, 3 + $versions * 0.6, sub { my ($client, $turn) = @_; $requests[ ($client + $turn) % @requests ]->($turn) });
sleep 1;
for my $next (2 .. $versions)
{
	# requests lock the view and its table in whichever order they need them, so an update may be the victim of a deadlock
	my $tries = 0;
	until (system("psql -Xqc \"ALTER EXTENSION rental UPDATE TO '$next'\" 2>>$top/errors") == 0)
	{
		++$tries < 5 or BAIL_OUT(scalar `cat $top/errors`);
	}
	sleep 0.4;
}
my ($count, $created) = results($clients);
is(join(' ', sort keys %$count), '200 201', ($versions - 1) . " updates under load: every request is answered")
  or diag(join(', ', map { "$_: $count->{$_}" } sort keys %$count), "\n", join "\n", grep { /"(error|warning)"|:503/ } split /\n/, shim_log($server));
cmp_ok($count->{$_} // 0, '>', 200, "many with $_") for 200, 201;
is(sql('SELECT extversion FROM pg_extension WHERE extname = $$rental$$'), $versions, 'the extension is the last version');
is(sql('SELECT count(*) FROM rental.examples') + sql('SELECT count(*) FROM rental.orders') - 1, scalar(@$created), 'what was made is there, once');

# and on whichever connection, the new answers
ok(wait_until(sub { call('GET', "/api/?also_$versions=true", @there)->{status} == 200 }), 'a new argument is taken');
my $root = { name => 'rental', version => sql('SELECT rental.version()'), later => $versions, "more_$versions" => 'more' };
is_deeply([ map { call('GET', "/api/?also_$versions=true", @there)->{json} } 1 .. 20 ], [ ($root) x 20 ], 'the root answers as the last version has it');
for my $example ((map { call('GET', '/api/examples/', @there)->{json}{results}[0] } 1 .. 5),
	(map { call('POST', '/api/examples/', @there, as => $customer, body => { name => 'new' })->{json} } 1 .. 5))
{
	is(join(' ', grep { ($example->{"later_$_"} // '') ne "since $_" } 1 .. $versions), '', 'an example has all that was added');
}
is(call('GET', "/api/orders/orders/$order->{id}/", @there, as => $customer)->{json}{id}, $order->{id}, 'an order is what it was');
is(sql('SELECT count(*) FROM rental.stock_verify()'), 0, 'the stock is sound');
is(shim_stop($server), 0, 'the server ends in order');

done_testing();
