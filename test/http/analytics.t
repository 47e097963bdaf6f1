#!/usr/bin/perl
# Every example of doc/analytics.md, run as an analyst.
use strict;
use warnings;
use RentalTest;
use Test::More;

open my $in, '<:encoding(UTF-8)', 'doc/analytics.md' or BAIL_OUT("doc/analytics.md: $!");
my $text = do { local $/; <$in> };
my @examples = $text =~ /^```sql\n(.*?)^```/msg;
my $analyst = 'check_analyst_' . $$;

cmp_ok(scalar @examples, '>=', 7, scalar(@examples) . ' examples');
sql("CREATE ROLE $analyst LOGIN IN ROLE rental_analyst");
for my $example (@examples)
{
	my ($about) = $example =~ /FROM\s+(rental\w*\.\w+)/;

	open my $psql, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', "SET SESSION AUTHORIZATION $analyst", '-c', $example or die "psql: $!";
	my $rows = () = <$psql>;
	close $psql;
	is($?, 0, "an example from $about: $rows rows");
	cmp_ok($rows, '>', 0, 'which tells something') unless $example =~ /HAVING sum|report_suggestions/; # no row is good news
}
for my $view (split /\n/, sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'rental_analytics'::regnamespace AND relkind = 'v'}))
{
	like($text, qr/`$view`/, "doc/analytics.md names $view");
}
sql("DROP ROLE $analyst");
done_testing();
