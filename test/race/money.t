#!/usr/bin/perl
# 32 connections issue, pay, credit, refund, capture, pay out and tell events at random while backends and the
# postmaster are killed: numbers have no gaps, the trial balance is zero, no refund exceeds its payment, every payment
# that was acknowledged is there, ledger_verify() finds nothing, and clients met no error but refusals and lost sessions. Then the same event a thousand times from fifty
# connections, and a charge whose answer was lost, with its idempotency key.
#
# MONEY_SECONDS=6 of each of the two rounds   MONEY_SEED=1   MONEY_KILLS=4 backends a round
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;
use Time::HiRes qw(sleep time);

my $here = abs_path(dirname(__FILE__));
my $cluster = "$here/../../script/cluster";
my $seconds = $ENV{MONEY_SECONDS} || 6;
my $seed = $ENV{MONEY_SEED} || 1;
my $kills = $ENV{MONEY_KILLS} // 4;
my $dir = tempdir('rental-money-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{KEEP});
my $rundir = "$dir/run";
chmod 0755, $dir;
delete @ENV{ grep { /^PG/ && $_ ne 'PG_CONFIG' } keys %ENV };
srand $seed;

sub run { system(@_) == 0 or die "@_ failed" }
run($cluster, 'init', $rundir, 'fsync=off', 'max_connections=120', 'deadlock_timeout=200ms');
run($cluster, 'start', $rundir);
for (split /\n/, `$cluster env $rundir`) { $ENV{$1} = $2 if /^(PG\w+)=(.*)$/ }
$ENV{PGDATABASE} = 'money';
my $test = $$;
END { local $?; if ($$ == $test && $rundir && -d $rundir) { system($cluster, "stop", $rundir); system($cluster, "remove", $rundir) unless $ENV{KEEP} } }
run('createdb', 'money');
run('psql', '-Xqo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-c', 'SET client_min_messages = warning', '-f', "$here/money.sql");

sub sql
{
	my $out = `psql -XAtq -v ON_ERROR_STOP=1 -c "$_[0]" 2>&1`;
	chomp $out;
	return $out;
}

# client N, UNTIL, LOG: steps at random, twenty by one psql; what was answered goes to the log
sub client
{
	my ($n, $until, $log) = @_;
	srand $seed * 1000 + $n;
	open my $out, '>', $log or die;
	open STDERR, '>', "$log.errors" or die;
	while (time < $until)
	{
		my $steps = join '', map { sprintf "SELECT money_step(%d, %d, %d);\n", 1 + rand 100, rand 1e6, 1 + rand 3000 } 1 .. 20;
		open my $psql, '-|', 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', map { ('-c', $_) } split /\n/, $steps or die;
		while (<$psql>) { print $out $_; $out->flush }
		close $psql or sleep 0.1;
	}
	exit 0;
}

# what psql says of a server that is gone for a while; 57P01 to 57P03 are its SQLSTATEs, 08006 that of a lost connection
my @gone = ('psql: error: connection to server', 'server closed the connection unexpectedly', 'connection to server was lost', 'no connection to the server',
	"\tThis probably means", "\tbefore or while processing", "\tIs the server running", 'DETAIL:  Consistent recovery state', 'FATAL:  the database system is', 'FATAL:  terminating connection',
	'WARNING:  terminating connection because of crash', 'DETAIL:  The postmaster has commanded', 'HINT:  In a moment you should', 'could not receive data from server');
my $gone = join '|', '$', map { quotemeta } @gone;
my %refusal = map { $_ => 1 } 'RT400 missing_field', 'RT409 invalid_state', 'RT409 already_exists', 'RT422 invalid_value';

# unexpected FILE...: what clients were told but for refusals, and sessions that were lost
sub unexpected
{
	my %seen;
	for my $file (@_)
	{
		open my $lines, '<', $file or die;
		while (<$lines>)
		{
			chomp;
			if (/^refused (\S+ \S*)/) { $seen{$_}++ unless $refusal{$1} }
			elsif (/^(?:invoice|payment|done) \S+$|^nothing$/) { }
			elsif (/^\w+:  (\w{5})$/) { $seen{$_}++ unless $1 =~ /^57P0[123]$|^08006$/ }
			else { $seen{$_}++ unless /^(?:$gone)/ }
		}
	}
	return join "\n", map { "$seen{$_} times: $_" } sort keys %seen;
}

my %step = (refunds => [ 46, 60 ], 'credit notes' => [ 61, 72 ], events => [ 73, 84 ], 'captures and releases' => [ 89, 93 ],
	payouts => [ 94, 95 ], dunning => [ 96, 97 ], 'write-offs, interest and ends' => [ 98, 100 ]);

sub sound
{
	my ($when) = @_;
	is(sql("SELECT count(*) || coalesce(min(problem), '') FROM rental.ledger_verify()"), '0', "$when: ledger_verify() finds nothing");
	is(sql("SELECT count(*) || coalesce(min(difference::text), '') FROM rental.report_verify()"), '0', "$when: report_verify() finds nothing");
	is(sql("SELECT count(*) FROM (SELECT count(*) AS n, max(right(number, 6)::int) AS last FROM rental.invoices GROUP BY vendor_id, left(number, 3)) s WHERE n <> last"), 0, "$when: numbers have no gaps");
	is(sql("SELECT count(*) FROM (SELECT FROM rental.ledger_entries GROUP BY vendor_id HAVING sum(amount) <> 0) e"), 0, "$when: the trial balance is zero");
	is(sql("SELECT count(*) FROM rental.payments p WHERE p.amount < (SELECT sum(r.amount) FROM rental.payments r WHERE r.parent_id = p.id AND r.status = 'succeeded')"), 0, "$when: no refund exceeds its payment");
}

diag("seed $seed");
for my $round (1, 2)
{
	my $postmaster = sql("SELECT pg_read_file('postmaster.pid')") =~ /^(\d+)/ ? $1 : die "no postmaster";
	my $until = time + $seconds;
	my @pids = map { my $pid = fork() // die; client($round * 100 + $_, $until, "$dir/log.$round.$_") if $pid == 0; $pid } 1 .. 32;
	my $killed = 0;
	for (1 .. $kills)
	{
		sleep $seconds / ($kills + 2);
		my $victim = $round == 2 && $_ == $kills ? $postmaster
		  : sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
		next unless $victim =~ /^\d+$/;
		kill 9, $victim and $killed++;
		next unless $victim == $postmaster;
		for (1 .. 100) { last unless `pgrep -P $postmaster` || -d "/proc/$postmaster"; sleep 0.1 }
		sleep 1;
		run($cluster, 'start', $rundir);
	}
	waitpid $_, 0 for @pids;
	for (1 .. 300) { last if sql('SELECT 1') eq '1'; sleep 0.1 }
	my $what = $round == 1 ? 'backends' : 'backends and the postmaster';
	cmp_ok($killed, '>', 0, "$what were killed: $killed");
	is(unexpected(map { ("$dir/log.$round.$_", "$dir/log.$round.$_.errors") } 1 .. 32), '', 'clients met no error but refusals and lost sessions');
	my $logs = join '', map { open my $log, '<', "$dir/log.$round.$_" or die; local $/; <$log> // '' } 1 .. 32;
	my @acknowledged = $logs =~ /^payment (\S+)$/mg;
	my @numbers = $logs =~ /^invoice (\S+)$/mg;
	cmp_ok(scalar @acknowledged, '>', 20, 'many payments were acknowledged: ' . @acknowledged);
	cmp_ok(scalar @numbers, '>', 10, 'and invoices: ' . @numbers);
	for my $done ($logs =~ /^done (\d+)$/mg)
	{
		$_->[2]++ for grep { $done >= $_->[0] && $done <= $_->[1] } values %step;
	}
	is(sql("SELECT count(*) FROM rental.payments WHERE id IN (" . join(',', map { "'$_'" } @acknowledged) . ")"), scalar @acknowledged, 'every one of them is there');
	is(sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'money'"), 0, 'nobody met a deadlock');
	sound("after killing $what");
}

cmp_ok($step{$_}[2] // 0, '>', 2, "and there were $_: " . ($step{$_}[2] // 0)) for sort keys %step;

# The same event, a thousand times from fifty connections
my $payment = sql("SELECT id FROM rental.payment_record((SELECT min(id::text)::uuid FROM rental.orders), 12.34, 'timeout', gateway => 'test')");
my $paid = sql("SELECT paid FROM rental.orders WHERE id = (SELECT min(id::text)::uuid FROM rental.orders)");
my $postings = sql("SELECT count(*) FROM rental.ledger_entries");
my $body = qq({\\"id\\":\\"same\\",\\"payment_id\\":\\"$payment\\",\\"type\\":\\"chargeback\\",\\"amount\\":\\"1.23\\"});
open my $script, '>', "$dir/same.pgbench" or die;
(my $text = "SELECT rental.payment_webhook('test', b, rental.gateway_sign('test', b)) FROM (SELECT '$body') x (b);\n") =~ s/\\"/"/g;
print $script $text;
close $script;
my $said = `pgbench -n -c 50 -j 2 -t 20 -f $dir/same.pgbench 2>&1`;
like($said, qr{actually processed: 1000/1000}, 'an event comes a thousand times, and is received each time') || diag($said);
is(sql("SELECT count(*) FROM rental.payment_events WHERE event_id = 'same'"), 1, 'it is known once');
is(sql("SELECT paid - $paid FROM rental.orders WHERE id = (SELECT min(id::text)::uuid FROM rental.orders)"), '11.11', 'what it charges back was taken, and went back, once');
is(sql("SELECT count(DISTINCT posting_id) FROM rental.ledger_entries WHERE payment_id = '$payment'"), 2, 'by one posting, and one of its commission');

# A charge whose answer was lost: the statement as the server makes it, its backend killed at a random moment
my $user = sql("SELECT id FROM rental.users WHERE role = 'customer' LIMIT 1");
my $order = sql("SELECT min(id::text) FROM rental.orders");
my $lost = 0;
for my $try (1 .. 12)
{
	my $amount = 5000 + $try;
	my $request = "SELECT rental.response_keep(CASE WHEN rental.request_claim('key $try', 'f') "
	  . "THEN rental.response(rental.payment_record('$order', $amount, 'success', gateway => 'test')) END, 201) WHERE rental.request_begin(E'$user\\ncustomer\\n\\n\\n\\n\\n/api/orders/payments/')";
	my $pid = fork() // die;
	if ($pid == 0)
	{
		open STDERR, '>', '/dev/null';
		open STDOUT, '>', '/dev/null';
		$ENV{PGAPPNAME} = "lost $try";
		exec 'psql', '-XAtq', '-c', $request, '-c', 'SELECT pg_sleep(5)';
	}
	my $backend = '';
	for (1 .. 200) { last if ($backend = sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'lost $try'")) =~ /^\d+$/ }
	sleep rand 0.05 if $try % 2;
	kill 9, $backend if $backend =~ /^\d+$/;
	kill 9, $pid;
	waitpid $pid, 0;
	for (1 .. 300) { last if sql('SELECT 1') eq '1'; sleep 0.1 }
	$lost++ if $backend =~ /^\d+$/;
	my $answer;
	for (1 .. 300) { last if ($answer = sql($request)) =~ /"status"/; sleep 0.1 }
	like($answer, qr/"status":"succeeded"/, "charge $try is answered when it is asked for again");
	sql($request) for 1 .. 2;
	is(sql("SELECT count(*) FROM rental.payments WHERE order_id = '$order' AND amount = $amount"), 1, "charge $try was made once");
}
is($lost, 12, 'each lost its backend');
sound('at the end');
done_testing();
