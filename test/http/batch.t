#!/usr/bin/perl
# Reads share transactions: one that fails, runs out of time or comes from somebody else never changes what its
# neighbours get. One thread with one connection, so that all that comes at once stands in one batch.
use strict;
use warnings;
use RentalTest;
use Test::More;
use Time::HiRes ();

my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0, RENTAL_READ_CONNECTIONS => 1,
	RENTAL_STATEMENT_TIMEOUT => 1000, RENTAL_ADMIN_PORT => shim_port());
my $there = $server->{url};
my $schema = 'check_batch';

sql("DROP SCHEMA IF EXISTS $schema CASCADE;
	CREATE SCHEMA $schema;
	GRANT USAGE ON SCHEMA $schema TO rental_shim;
	CREATE FUNCTION $schema.echo(t text) RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT t \$\$;
	CREATE FUNCTION $schema.refuse(state text) RETURNS text LANGUAGE plpgsql STABLE
		AS \$\$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = state; END \$\$;
	CREATE FUNCTION $schema.doze(seconds numeric) RETURNS text LANGUAGE plpgsql STABLE
		AS \$\$ BEGIN PERFORM pg_sleep(seconds); RETURN 'awake'; END \$\$;
	CREATE FUNCTION $schema.mark(t text) RETURNS text LANGUAGE plpgsql VOLATILE
		AS \$\$ BEGIN PERFORM set_config('check.mark', t, true); RETURN t; END \$\$;
	CREATE FUNCTION $schema.marked() RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT coalesce(current_setting('check.mark', true), '') \$\$;
	CREATE FUNCTION $schema.transaction() RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT now()::text \$\$;
	INSERT INTO rental.endpoint (method, path, function, auth, tag, summary, rate_class)
		SELECT 'GET', '/api/batch/' || f || '/', '$schema.' || f, '{public}', 'check', f, 'read'
		FROM unnest('{echo,refuse,doze,mark,marked,transaction}'::text[]) f");
ok(wait_until(sub { call('GET', '/api/batch/echo/?t=x', url => $there)->{status} == 200 }), 'the endpoints are there');

# at_once REQUEST...: all sent by clients that are connected already; their answers.
my @sockets;

sub at_once
{
	my (@requests) = @_;

	push @sockets, raw_open($there) while @sockets < @requests;
	for my $i (0 .. $#requests)
	{
		my $sent = syswrite $sockets[$i], $requests[$i];
		die "a request did not fit the socket\n" unless defined $sent && $sent == length $requests[$i];
	}
	return map { raw_read($sockets[$_]) // BAIL_OUT('a connection was closed') } 0 .. $#requests;
}

sub get
{
	my ($path, %with) = @_;
	return raw_request('GET', "/api/$path", %with);
}

# wrong_echoes ANSWERS, TEXTS: those that are not the echo of their text; undef: any answer will do
sub wrong_echoes
{
	my ($answers, $texts) = @_;
	return grep { defined $texts->[$_] && "$answers->[$_]{status} $answers->[$_]{text}" ne "200 \"$texts->[$_]\"" } 0 .. $#$texts;
}

# each is prepared, and so may share, from here on
at_once(map { get($_) } qw(batch/echo/?t=x batch/refuse/?state=RT404 batch/transaction/ batch/marked/ batch/mark/?t=x));
my %times;
for my $round (1 .. 20)
{
	$times{ $_->{text} }++ for at_once((get('batch/transaction/')) x 30);
}
cmp_ok(scalar keys %times, '<', 600, 'reads that come at once share transactions');

# failures among good reads
my (@wrong, @flaws);
for my $round (1 .. 60)
{
	my (@requests, @texts, %refused);

	for my $i (0 .. 29)
	{
		if (($i * 7 + $round) % 5 == 0)
		{
			my $state = ('RT404', '22023', 'RT409', '40001')[($i + $round) % 4];
			$refused{$i} = { RT404 => 404, 22023 => 400, RT409 => 409, 40001 => 503 }->{$state};
			push @texts, undef;
			push @requests, get("batch/refuse/?state=$state");
		}
		else
		{
			push @texts, "r${round}i$i";
			push @requests, get("batch/echo/?t=r${round}i$i");
		}
	}
	my @answers = at_once(@requests);
	push @wrong, wrong_echoes(\@answers, \@texts);
	push @flaws, grep { $answers[$_]{status} != $refused{$_} } keys %refused;
}
is(scalar @wrong, 0, 'a read that fails changes no answer of its neighbours');
is(scalar @flaws, 0, 'and gets its own error');

# statements that run out of time
for my $round (1 .. 3)
{
	my @texts = map { $_ == 14 ? undef : "t$round-$_" } 0 .. 29;
	my @answers = at_once(map { defined ? get("batch/echo/?t=$_") : get('batch/doze/?seconds=5') } @texts);

	push @wrong, wrong_echoes(\@answers, \@texts);
	push @flaws, grep { !defined $texts[$_] && $answers[$_]{status} != 504 } 0 .. 29;
	at_once(get('batch/doze/?seconds=0')); # it is quick again, and shares
	at_once(get('batch/doze/?seconds=0'));
}
is(scalar @wrong, 0, 'nor does one that runs out of time');
is(scalar @flaws, 0, 'which is answered 504');

# who calls
sub log_in
{
	my ($account) = @_;
	return call('POST', '/api/auth/login/', url => $there,
		body => { email => $account->{email}, password => $account->{password} })->{json};
}

my @accounts = map { log_in(customer()) } 1 .. 3;
at_once(get('users/me/', as => $accounts[0]));
my $strangers = 0;
for my $round (1 .. 40)
{
	my (@requests, @wanted);

	for my $i (0 .. 29)
	{
		my $who = ($i * 5 + $round) % 4;
		my $bad = ($i + $round) % 6 == 0;

		push @requests, $bad ? get('batch/refuse/?state=RT403', as => $accounts[0]) : get('users/me/', $who < 3 ? (as => $accounts[$who]) : ());
		push @wanted, $bad ? undef : $who < 3 ? $accounts[$who]{user}{email} : 401;
	}
	my @answers = at_once(@requests);
	for my $i (0 .. 29)
	{
		next unless defined $wanted[$i];
		$strangers++ if $wanted[$i] ne ($answers[$i]{status} == 401 ? 401 : $answers[$i]{json}{email} // '');
	}
}
is($strangers, 0, 'and nobody is taken for the caller before');

my $vendor = vendor();
my $hidden = product($vendor, undef);
my $path = "catalog/products/$hidden->{id}/";
sql("UPDATE rental.products SET is_active = false WHERE id = '$hidden->{id}'");
$vendor = log_in($vendor);
at_once(get($path, as => $vendor));
my %seen;
for my $round (1 .. 20)
{
	my @answers = at_once(map { get($path, $_ % 4 == 0 ? () : (as => $vendor)) } 0 .. 29);
	$seen{ $_ % 4 == 0 ? 'nobody' : 'vendor' }{ $answers[$_]{status} }++ for 0 .. 29;
}
is_deeply(\%seen, { nobody => { 404 => 160 }, vendor => { 200 => 440 } }, 'who does not log in has no rights of the caller before');

# what may leave something in its transaction is alone in it
my $marks = 0;
for my $round (1 .. 20)
{
	my @answers = at_once(map { $_ % 3 == 0 ? get("batch/mark/?t=m$round") : get('batch/marked/') } 0 .. 29);
	$marks += grep { $_ % 3 != 0 && $answers[$_]{text} ne '""' } 0 .. 29;
}
is($marks, 0, 'what a volatile function sets for its transaction, no other call sees');

# a client that leaves takes nobody along
for my $round (1 .. 20)
{
	my @texts = map { "l$round-$_" } 0 .. 19;
	my @leaving = map { raw_open($there) } 1 .. 5;

	print $_ get('batch/refuse/?state=RT404') for @leaving;
	close $_ for @leaving;
	my @answers = at_once(map { get("batch/echo/?t=$_") } @texts);
	push @wrong, wrong_echoes(\@answers, \@texts);
}
is(scalar @wrong, 0, 'a client that leaves takes nobody along');

# one connection that sends on while it waits: each answer in its order
my $socket = raw_open($there);
print $socket map { get("batch/echo/?t=p$_") } 1 .. 10;
is(join(' ', map { raw_read($socket)->{text} } 1 .. 10), join(' ', map { "\"p$_\"" } 1 .. 10), 'what is sent early is answered in its order');
print $socket get('batch/doze/?seconds=0.2');
select undef, undef, undef, 0.05;
print $socket get('batch/echo/?t=later');
is(raw_read($socket)->{text}, '"awake"', 'a request that comes while another one is under way');
is(raw_read($socket)->{text}, '"later"', 'is answered after it');
print $socket get('batch/doze/?seconds=0.2');
shutdown $socket, 1;
is(raw_read($socket)->{text}, '"awake"', 'who has said that nothing follows is answered');
is(raw_read($socket), undef, 'and then the connection ends');

# with a second connection, what comes while one is busy for long does not wait behind it
my $two = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_CACHE_BYTES => 0, RENTAL_READ_CONNECTIONS => 2, RENTAL_THREADS => 1);
call('GET', $_, url => $two->{url}) for ('/api/batch/echo/?t=x', '/api/batch/doze/?seconds=0') x 2;
my $behind = 0;
for my $round (1 .. 5)
{
	my $busy = raw_open($two->{url});
	print $busy get('batch/doze/?seconds=0.5');
	select undef, undef, undef, 0.05;
	my $begun = Time::HiRes::time();
	my @answers = map { call('GET', "/api/batch/echo/?t=$_", url => $two->{url}) } 1 .. 10;
	$behind++ if Time::HiRes::time() - $begun > 0.3 || grep { $_->{status} != 200 } @answers;
	raw_read($busy);
	call('GET', '/api/batch/doze/?seconds=0', url => $two->{url}) for 1 .. 2; # it is quick again, and shares
}
is($behind, 0, 'nobody waits behind a read that takes long');
is(shim_stop($two), 0, 'that server stops');

sql("DELETE FROM rental.endpoint WHERE path LIKE '/api/batch/%'; DROP SCHEMA $schema CASCADE");
is(shim_stop($server), 0, 'the server stops');
done_testing;
