#!/usr/bin/perl
# 64 connections at all isolation levels place, confirm, cancel, extend, repair and let expire: nothing is
# overbooked, by a check in plain SQL, nobody meets a deadlock, and the timelines are sound. Then the same
# while backends and the postmaster are killed.
#
# RACE_ATTEMPTS=4000 in all   RACE_SEED=1   RACE_CRASHES=2
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;
use Time::HiRes 'sleep';

my $here = abs_path(dirname(__FILE__));
my $cluster = "$here/../../script/cluster";
my $attempts = $ENV{RACE_ATTEMPTS} || 4000;
my $seed = $ENV{RACE_SEED} || 1;
my $crashes = $ENV{RACE_CRASHES} // 2;
my $dir = tempdir('rental-race-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{KEEP});
my $rundir = "$dir/run";
chmod 0755, $dir;
delete @ENV{ grep { /^PG/ && $_ ne 'PG_CONFIG' } keys %ENV };

sub run { system(@_) == 0 or die "@_ failed" }
run($cluster, 'init', $rundir, 'fsync=off', 'max_connections=120', 'deadlock_timeout=200ms', 'shared_buffers=256MB');
run($cluster, 'start', $rundir);
for (split /\n/, `$cluster env $rundir`) { $ENV{$1} = $2 if /^(PG\w+)=(.*)$/ }
$ENV{PGDATABASE} = 'race';
END { local $?; if ($rundir && -d $rundir) { system($cluster, "stop", $rundir); system($cluster, "remove", $rundir) unless $ENV{KEEP} } }

run('createdb', 'race');
run('psql', '-Xqo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-c', 'SET client_min_messages = warning', '-f', "$here/setup.sql");

sub sql
{
	my $out = `psql -XAtq -v ON_ERROR_STOP=1 -c "$_[0]" 2>&1`;
	chomp $out;
	return $out;
}

# start a crowd at each isolation level; returns process ids by level
sub crowd
{
	my ($each, $clients, $seconds, $log) = @_;
	my %pid;
	my @levels = ('read committed', 'repeatable read', 'serializable');
	for my $i (0 .. 2)
	{
		my $pid = fork() // die "fork: $!";
		if ($pid == 0)
		{
			$ENV{PGOPTIONS} = "-c default_transaction_isolation=" . ($levels[$i] =~ s/ /\\ /r);
			open STDOUT, '>', "$log.$i";
			open STDERR, '>&', \*STDOUT;
			exec('pgbench', '-n', '-M', 'prepared', '-c', $clients->[$i], '-j', 2, '-f', "$here/race.pgbench", '--max-tries=1000',
				"--random-seed=" . ($seed * 10 + $i), $seconds ? ('-T', $seconds) : ('-t', int($each / $clients->[$i])));
		}
		$pid{ $levels[$i] } = $pid;
	}
	return \%pid;
}

sub sound
{
	my ($when) = @_;
	is(sql("SELECT count(*) FROM overbooked"), 0, "$when: nothing is overbooked, by plain SQL");
	is(sql("SELECT string_agg(DISTINCT problem, ', ') FROM rental.stock_verify()"), '', "$when: the timelines agree with the reservations");
	is(sql("SELECT count(*) FROM (SELECT unit_id, blocked, lead(lower(blocked)) OVER (PARTITION BY unit_id ORDER BY blocked) AS next FROM rental.unit_assignments) a WHERE next < upper(blocked)"),
		0, "$when: no unit serves two at once");
	is(sql("SELECT count(*) FROM rental.number_series s WHERE s.series = 'ORD' AND s.last < (SELECT max(split_part(o.number, '-', 3)::int) FROM rental.orders o WHERE o.vendor_id = s.vendor_id)"),
		0, "$when: no order has a number that is still to be given out");
	is(sql("SELECT count(*) FROM rental.report_verify()"), 0, "$when: the facts agree with the books");
}

diag("seed $seed, $attempts attempts");
my $pids = crowd($attempts / 3, [ 22, 21, 21 ], 0, "$dir/out");
for my $level (sort keys %$pids) { waitpid($pids->{$level}, 0); is($?, 0, "everybody at $level finished") }
my $done = 0;
for my $i (0 .. 2)
{
	open my $log, '<', "$dir/out.$i" or die;
	my $text = do { local $/; <$log> };
	$done += $1 if $text =~ /transactions actually processed: (\d+)/;
	diag($text) if $text !~ /transactions actually processed/ || $text =~ /aborted|ERROR/;
}
cmp_ok($done, '>=', $attempts * 0.98, "all attempts were made: $done");
is(sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'race'"), 0, 'nobody met a deadlock');
cmp_ok(sql("SELECT count(*) FROM rental.orders"), '>', $attempts / 20, 'many orders were accepted: ' . sql("SELECT count(*) FROM rental.orders"));
sound('after the race');
is(sql("SELECT rental.stock_rebuild() > 0"), 't', 'the timelines can be made anew');
sound('after the rebuild');

for my $crash (1 .. $crashes)
{
	$seed += 100;
	my $postmaster = sql("SELECT pg_read_file('postmaster.pid')") =~ /^(\d+)/ ? $1 : die "no postmaster";
	my $what = $crash % 2 ? 'a backend' : 'the postmaster';
	$pids = crowd(0, [ 6, 5, 5 ], 20, "$dir/crash");
	sleep 1.5;
	my $victim = $crash % 2 ? sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' AND state = 'active' LIMIT 1") : $postmaster;
	like($victim, qr/^\d+$/, "there is $what to kill");
	kill 9, $victim;
	waitpid($_, 0) for values %$pids;
	if ($victim == $postmaster)
	{
		for (1 .. 100) { last unless `pgrep -P $postmaster` || -d "/proc/$postmaster"; sleep 0.1 }
		sleep 1;
		run($cluster, 'start', $rundir);
	}
	for (1 .. 300) { last if sql('SELECT 1') eq '1'; sleep 0.1 }
	cmp_ok(sql("SELECT count(*) FROM rental.orders"), '>', 0, "after killing $what it is back");
	sound("after killing $what");
}
done_testing();
