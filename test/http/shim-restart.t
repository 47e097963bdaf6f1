#!/usr/bin/perl
# PostgreSQL restarts under load, in order and as after a crash: clients see successes and 503 with Retry-After,
# nothing else; the server is back by itself, and has not forgotten what it said was done. In a cluster of its own.
use strict;
use warnings;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $rundir = cluster_make('full_page_writes=off');
cluster_database('restart');

# one_value QUERY: by a connection of its own, since the server goes away
sub one_value
{
	my $out = `psql -XAtq -v ON_ERROR_STOP=1 -c "$_[0]" 2>&1`;
	chomp $out;
	return $out;
}

# postmaster: its process, as its own file says
sub postmaster { return one_value("SELECT pg_read_file('postmaster.pid')") =~ /^(\d+)/ ? $1 : BAIL_OUT('no postmaster') }

my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_THREADS => 2);
my @there = (url => $server->{url});
my $account = call('POST', '/api/auth/signup/', @there,
	body => { email => 'restart@example.com', password => random_text(16), name => 'A Tester' })->{json};
BAIL_OUT('nobody can sign up') unless $account->{access};

# every third request makes something
sub request
{
	my ($client, $turn) = @_;
	return raw_request('POST', '/api/examples/', as => $account, body => { name => "from $client in turn $turn" }) if $turn % 3 == 0;
	return raw_request('GET', '/api/examples/', headers => [ $client % 2 ? 'Connection: close' : () ]);
}

my %ways = (
	'a restart in order' => sub { cluster('stop', $rundir) },
	'a crash' => sub {
		my $pid = postmaster();
		kill 'QUIT', $pid;    # pg_ctl stop -m immediate
		wait_until(sub { !-d "/proc/$pid" }, 60) or BAIL_OUT('PostgreSQL does not stop');
	});
my @all;
for my $way (sort keys %ways)
{
	my $clients = load($server, 8, 6, \&request);
	sleep 1;
	$ways{$way}->();
	ok(wait_until(sub { call('GET', '/readyz', @there)->{status} == 503 }, 10), "$way: without a database the server is not ready");
	sleep 0.5;
	cluster('start', $rundir);
	ok(wait_until(sub { call('GET', '/api/examples/', @there)->{status} == 200 }, 5), "$way: reads are answered within five seconds");
	ok(wait_until(sub { call('POST', '/api/examples/', @there, as => $account, body => { name => 'back' })->{status} == 201 }, 5),
		"$way: so are writes");
	ok(wait_until(sub { call('GET', '/readyz', @there)->{status} == 200 }, 5), "$way: and the server is ready");
	my ($count, $created) = results($clients);
	delete $count->{reopened};
	is(join(' ', sort keys %$count), '200 201 503', "$way: successes and 503 with Retry-After, nothing else")
	  or diag(join ', ', map { "$_: $count->{$_}" } sort keys %$count);
	cmp_ok($count->{$_} // 0, '>', 10, "$way: many were answered with $_") for 200, 201, 503;
	push @all, map { $_->{id} } @$created;
	my %there = map { $_ => 1 } split /\n/, one_value('SELECT id FROM rental.examples');
	is(scalar(grep { !$there{$_} } @all), 0, "$way: all that was said to be made is there: " . @all);
}
is(shim_stop($server), 0, 'the server ends in order');

done_testing();
