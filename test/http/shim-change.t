#!/usr/bin/perl
# What changes while the server runs: endpoints and the functions behind them under load, errors that pass when tried
# again, the server's own end. And its command line.
use strict;
use warnings;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
my $schema = 'check_change';
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0, RENTAL_THREADS => 2);
my $there = $server->{url};

sql("DROP SCHEMA IF EXISTS $schema CASCADE;
	CREATE SCHEMA $schema;
	GRANT USAGE ON SCHEMA $schema TO rental_shim;
	CREATE FUNCTION $schema.version() RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT '0' \$\$;
	CREATE SEQUENCE $schema.attempts;
	CREATE FUNCTION $schema.flaky(state text, failures integer) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS \$\$
		BEGIN
			IF nextval('$schema.attempts') <= failures THEN RAISE EXCEPTION 'not now' USING ERRCODE = state; END IF;
			RETURN currval('$schema.attempts');
		END \$\$;
	CREATE FUNCTION $schema.doze(seconds numeric) RETURNS text LANGUAGE plpgsql STABLE AS \$\$ BEGIN PERFORM pg_sleep(seconds); RETURN 'awake'; END \$\$;
	INSERT INTO rental.endpoint (method, path, function, auth, status, tag, summary, rate_class) VALUES
		('GET', '/api/change/version/', '$schema.version', '{public}', 200, 'check', 'x', 'read'),
		('GET', '/api/change/doze/', '$schema.doze', '{public}', 200, 'check', 'x', 'read'),
		('POST', '/api/change/flaky/', '$schema.flaky', '{public}', 200, 'check', 'x', 'read')");
ok(wait_until(sub { call('GET', '/api/change/version/', url => $there)->{status} == 200 }), 'the endpoints are there');

# The endpoints are read again and again, and the function is dropped and made anew with another type, under load
my $clients = load($server, 8, 4, sub { raw_request('GET', '/api/change/version/') });
my @types = ('text', 'integer', 'numeric', 'date', 'uuid[]');
my $changes = 0;
my $end = time + 3;
while (time < $end)
{
	my $type = $types[ ++$changes % @types ];
	sql("BEGIN;
		DROP FUNCTION $schema.version();
		CREATE FUNCTION $schema.version() RETURNS $type LANGUAGE sql STABLE AS \$\$ SELECT NULL::$type \$\$;
		" . ($changes % 3 ? "UPDATE rental.endpoint SET summary = 'x $changes' WHERE path = '/api/change/version/';" : '') . '
		COMMIT');
	sleep 0.05;
}
my $count = results($clients);
is(join(' ', sort keys %$count), 200, "$changes changes under load: every request is answered")
  or diag(join ', ', map { "$_: $count->{$_}" } sort keys %$count);
cmp_ok($changes, '>=', 10, 'there were many changes');
cmp_ok($count->{200} // 0, '>', 500, 'and many requests');

# Errors that pass: four attempts in all
for my $state ('40001', '40P01')
{
	for my $failures (0 .. 4)
	{
		sql("ALTER SEQUENCE $schema.attempts RESTART");
		my $answer = call('POST', '/api/change/flaky/', url => $there, body => { state => $state, failures => $failures });
		my ($status, $attempts) = $failures < 4 ? (200, $failures + 1) : (503, 4);

		is("$answer->{status} " . sql("SELECT last_value FROM $schema.attempts"), "$status $attempts", "$state, $failures times");
		is($answer->{headers}{'retry-after'}, 1, 'who is refused may come back') if $status == 503;
	}
}
sql("ALTER SEQUENCE $schema.attempts RESTART");
is(call('POST', '/api/change/flaky/', url => $there, body => { state => '22023', failures => 1 })->{status}, 400, 'another error');
is(sql("SELECT last_value FROM $schema.attempts"), 1, 'is not tried again');

# Its end: a request that had begun to come is told, and what is under way is finished
my $busy = raw_open($there);
print $busy raw_request('GET', '/api/change/doze/?seconds=1');
my ($ready, $begun) = map { my $socket = raw_open($there); print $socket substr raw_request('GET', $_), 0, 8; $socket } '/readyz', '/api/change/version/';
sleep 0.2;
kill 'TERM', $server->{pid};
$server->{asked} = 1;
sleep 0.2;
print $ready substr raw_request('GET', '/readyz'), 8;
print $begun substr raw_request('GET', '/api/change/version/'), 8;
my $answer = raw_read($ready);
is($answer->{status}, 503, 'a server that stops is not ready');
like($answer->{json}{detail}, qr/stopping/, 'and says why');
$answer = raw_read($begun);
is("$answer->{status} $answer->{headers}{connection}", '200 close', 'a request that had begun to come is answered, the last one of its connection');
is(raw_read($busy)->{text}, '"awake"', 'so is one under way');
is(shim_stop($server), 0, 'then it ends');
sql("DELETE FROM rental.endpoint WHERE path LIKE '/api/change/%'; DROP SCHEMA $schema CASCADE");

# The command line
my $binary = $ENV{RENTAL_SHIM};
sub run
{
	my (@arguments) = @_;
	local %ENV = (PATH => $ENV{PATH}, RENTAL_DATABASE_URL => 'postgresql:///x', RENTAL_JWT_SECRET => 's' x 32);
	open my $out, '-|', 'sh', '-c', '"$@" 2>&1', 'sh', $binary, @arguments or die "cannot run: $!";
	my $text = join '', <$out>;
	close $out;
	return ($? >> 8, $text);
}
my $version = sql('SELECT rental.version()');
is_deeply([ run('--version') ], [ 0, "rental-shim $version\n" ], '--version');
my ($status, $help) = run('--help');
is($status, 0, '--help');
for my $name (qw(database-url read-database-url bind port admin-bind cors-origins trusted-hops tls-cert tls-key http2 threads
	read-connections write-connections password-connections queue-limit max-body statement-timeout request-timeout drain-timeout log-level))
{
	like($help, qr/--$name\b/, "which tells of --$name");
}
is_deeply([ run('--check-config') ], [ 0, "the settings are valid\n" ], '--check-config');
for my $wrong (
	[ 'threads', '--threads=many', '--check-config' ],
	[ 'needs a value', '--check-config', '--threads' ],
	[ 'unknown flag', '--thread=1' ],
	[ 'unknown flag', 'start' ],
	[ 'RENTAL_LOG_LEVEL', '--log-level', 'loud' ],
	[ 'RENTAL_BIND', '--bind=localhost' ],
	[ 'RENTAL_STATEMENT_TIMEOUT', '--statement-timeout=20000' ])
{
	my ($wanted, @arguments) = @$wrong;
	($status, my $text) = run(@arguments);
	ok($status == 2 && $text =~ /\Q$wanted\E/i && ($text =~ tr/\n//) == 1, "refused: @arguments") or diag("$status $text");
}

done_testing();
