#!/usr/bin/perl
# A hot standby that answers reads: it does; whoever has written sees it, however far behind the standby is; when it goes
# away no read is lost; when it is back it is used again. With a primary and a standby of this test's own.
use strict;
use warnings;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $primary = cluster_make('fsync=off', 'full_page_writes=off');
cluster_database('standby');
sql('SELECT rental.demo_load(1)');
my ($standby, $read_url) = cluster_standby();

# at_standby QUERY: by a connection of its own
sub at_standby
{
	my $out = `psql -XAtq -v ON_ERROR_STOP=1 -d '$read_url&user=postgres' -c "$_[0]"`;
	chomp $out;
	return $out;
}
is(at_standby('SELECT pg_is_in_recovery()'), 't', 'there is a standby');

# which of the two answers; one that wants to write, though it says that it is STABLE; one that only the primary has
sql('CREATE FUNCTION public.where_am_i() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_is_in_recovery() $$;
	CREATE FUNCTION public.not_here() RETURNS text LANGUAGE plpgsql STABLE AS $$
		BEGIN IF pg_is_in_recovery() THEN RAISE EXCEPTION USING ERRCODE = $x$42883$x$; END IF; RETURN $x$here$x$; END $$;
	GRANT EXECUTE ON FUNCTION public.where_am_i(), public.not_here() TO rental_shim;
	INSERT INTO rental.endpoint (method, path, function, auth, tag, summary) VALUES
		($$GET$$, $$/api/where/$$, $$public.where_am_i$$, $${public}$$, $$own$$, $$x$$), ($$GET$$, $$/api/not-here/$$, $$public.not_here$$, $${public}$$, $$own$$, $$x$$)');
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0, RENTAL_THREADS => 2, RENTAL_READ_DATABASE_URL => "$read_url&user=rental_shim",
	RENTAL_ADMIN_PORT => shim_port());
my @there = (url => $server->{url});

sub metric
{
	my ($name) = @_;
	return call('GET', '/metrics', url => $server->{admin})->{text} =~ /^\Q$name\E (\d+)$/m ? $1 : BAIL_OUT("no metric $name");
}
sub replica { return metric('rental_pool_connections{pool="replica"}') }
sub where { my (@as) = @_; return call('GET', '/api/where/', @there, @as)->{text} }
sub account
{
	my $answer = call('POST', '/api/auth/signup/', @there, body => { email => random_text(12) . '@example.com', password => random_text(16), name => 'A Tester' });
	return expect($answer, 201, 'an account');
}
# caught_up: the standby has all, and the server knows
sub caught_up { my (@as) = @_; return wait_until(sub { where(@as) eq 'true' }, 10) }

# It is used

ok(wait_until(sub { replica() == 4 }), 'it is connected by each thread');
ok(caught_up(), 'reads go to the standby');
is(join(' ', map { where() } 1 .. 10), join(' ', ('true') x 10), 'all of them');
cmp_ok(at_standby("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rental_shim' AND query LIKE '%where_am_i%'"), '>', 0, 'as it knows itself');
is(call('GET', '/api/not-here/', @there)->{text}, '"here"', 'what fails there is asked of the primary');

my ($writer, $reader) = (account(), account());
ok(caught_up(as => $_), 'what an account wrote has come there') for $writer, $reader;

# Every endpoint that reads can do so there, by an account that has not written: nothing is asked of the primary again

my @actors = map {
	my ($role, $email, $password) = split /\|/;
	my $answer = call('POST', '/api/auth/login/', @there, body => { email => $email, password => $password });
	expect($answer, 200, "$role logs in");
} split /\n/, sql('SELECT role, email, password FROM rental.demo_accounts()');
my %value = (size => 'full', from => '2026-01-01T00:00:00Z', to => '2026-02-01T00:00:00Z', start_at => at(10), end_at => at(12), first_day => '2026-01-01', at => at(0), name => 'revenue');
my %table = (user_id => 'users', customer_id => 'users');
$value{lc $_} //= sql("SELECT id FROM rental.${\($table{$_} // s/_id$/s/r)} ORDER BY id LIMIT 1") for qw(product_id order_id vendor_id user_id customer_id invoice_id payment_id);
my @read;
for my $line (split /\n/, sql(q{SELECT e.path, string_agg(a.name, ' ') FILTER (WHERE a.required AND e.path NOT LIKE '%{' || a.name || '}%')
	FROM rental.endpoint e LEFT JOIN rental.endpoint_argument a USING (method, path)
	WHERE e.method = 'GET' AND NOT e.stream AND NOT e.csv AND NOT e.download AND e.cache_seconds = 0 GROUP BY 1 ORDER BY 1}))
{
	my ($path, $required) = split /\|/, $line;
	(my $target = $path) =~ s/\{(\w+)\}/$value{$1} \/\/ '00000000-0000-4000-8000-000000000000'/ge;
	$target .= '?' . join '&', map { "$_=" . ($value{$_} // 1) } split / /, $required // '';
	next if $path =~ /not-here/;
	for my $actor (@actors)
	{
		my $before = metric('rental_database_retries_total');
		my $answer = call('GET', $target, @there, as => $actor);
		next if $answer->{status} != 200;
		is(metric('rental_database_retries_total'), $before, "$path can be read there");
		push @read, $path;
		last;
	}
}
cmp_ok(scalar @read, '>', 70, 'so can most') or diag(join "\n", @read);

# Who wrote reads it; the others see what the standby has

my @mine = (@there, as => $writer);
at_standby('SELECT pg_wal_replay_pause()');
ok(wait_until(sub { at_standby('SELECT pg_get_wal_replay_pause_state()') eq 'paused' }), 'the standby stays behind');
my $example = expect(call('POST', '/api/examples/', @mine, body => { name => 'just written' }), 201, 'something is written');
sub seen { my (@as) = @_; return scalar grep { $_->{id} eq $example->{id} } @{ call('GET', '/api/examples/', @there, @as)->{json}{results} } }
my $end = time + 7;
my ($writer_sees, $reader_sees, $turns) = (0, 0, 0);
while (time < $end)
{
	$turns++;
	$writer_sees += seen(as => $writer);
	$reader_sees += seen(as => $reader);
	sleep 0.1;
}
is($writer_sees, $turns, "who wrote sees it, each time of $turns, as long as the standby is behind");
is($reader_sees, 0, 'who did not reads from the standby, which does not have it');
is(where(as => $reader), 'true', 'indeed');
is(call('GET', "/api/examples/$example->{id}/", @there, as => $reader)->{status}, 200, 'but nobody is told that there is no such thing');
at_standby('SELECT pg_wal_replay_resume()');
ok(caught_up(as => $writer), 'when it has come up, who wrote reads there again');
is(seen(as => $writer), 1, 'and sees it there');
my $account = account();
my $lost = grep { my $name = random_text(8); my $made = call('PUT', '/api/users/me/', @there, as => $account, body => { name => $name });
	$made->{status} != 200 || call('GET', '/api/users/me/', @there, as => $account)->{json}{name} ne $name } 1 .. 200;
is($lost, 0, '200 writes, each of them read at once');

# It goes away under load, and comes back

sub request
{
	my ($client, $turn) = @_;
	return raw_request('POST', '/api/examples/', as => $writer, body => { name => "x $turn" }) if $client == 1;
	return raw_request('GET', '/api/examples/', as => $reader, headers => [ $client % 2 ? 'Connection: close' : () ]);
}
for my $way ('in order', 'at once')
{
	my $clients = load($server, 8, 5, \&request);
	sleep 1;
	my ($pid) = at_standby(q{SELECT pg_read_file('postmaster.pid')}) =~ /^(\d+)/;
	$way eq 'in order' ? cluster('stop', $standby) : kill('QUIT', $pid);    # pg_ctl stop -m immediate
	ok(wait_until(sub { !-d "/proc/$pid" }, 30), "$way: the standby has gone");
	is(where(as => $reader), 'false', "$way: the primary answers");
	is(call('GET', '/readyz', @there)->{status}, 200, "$way: the server is ready without it");
	sleep 1;
	cluster('start', $standby);
	my ($count) = results($clients);
	delete $count->{reopened};
	is(join(' ', sort keys %$count), '200 201', "$way: no request is lost")
	  or diag(join ', ', map { "$_: $count->{$_}" } sort keys %$count);
	cmp_ok($count->{200} // 0, '>', 500, "$way: many were answered");
	ok(wait_until(sub { replica() == 4 }), "$way: it is connected again");
	ok(caught_up(as => $reader), "$way: and used again");
	ok(caught_up(as => $writer), "$way: by who wrote, too");
}

is(shim_stop($server), 0, 'the server ends in order');
done_testing();
