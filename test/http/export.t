#!/usr/bin/perl
# Exports: reports as CSV, in pieces that the client takes at its own speed.
use strict;
use warnings;
use utf8;
use RentalTest;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $vendor = vendor();
my $other = vendor();
my $customer = customer();
my $product = product($vendor, 10);

# rows TEXT: the cells of a CSV text (RFC 4180), read by a reader of its own.
sub rows
{
	my ($text) = @_;
	my (@rows, @row);

	while ($text =~ /\G(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\z)/gc)
	{
		my ($quoted, $plain, $end) = ($1, $2, $3);
		push @row, defined $quoted ? $quoted =~ s/""/"/gr : $plain eq '' ? undef : $plain;
		next if $end eq ',';
		push @rows, [@row] unless $end eq '' && @row == 1 && !defined $row[0];
		@row = ();
		last if $end eq '';
	}
	return \@rows;
}

# A report of the test's own, with every kind of value; and one without end

sql(q{
	CREATE SCHEMA own;
	GRANT USAGE ON SCHEMA own TO rental_shim;
	CREATE TYPE own.cells AS (n integer, "text, with comma" text, amount numeric, at timestamptz, day date, truth boolean, list text[], data jsonb, id uuid);
	CREATE TABLE own.texts (n integer, value text);
	CREATE FUNCTION own.cells(lowest integer DEFAULT 0) RETURNS SETOF own.cells LANGUAGE sql STABLE AS $$
		SELECT n, value, -1.50, '2026-03-29 01:30+01'::timestamptz, '2026-03-29'::date, n % 2 = 0, ARRAY['a', 'b"c'], '{"=k": [1, "x"]}'::jsonb,
			'00000000-0000-7000-8000-000000000001'::uuid FROM own.texts WHERE n >= lowest ORDER BY n $$;
	ALTER FUNCTION own.cells(integer) SECURITY DEFINER;
	CREATE FUNCTION own.numbers(rows bigint, stop bigint DEFAULT NULL) RETURNS TABLE (number bigint, label text, amount numeric) LANGUAGE sql STABLE AS $$
		SELECT i, 'row number ' || i, 10 / CASE WHEN i = stop THEN 0 ELSE 4 END::numeric FROM (SELECT generate_series(1, rows) AS i) s $$; -- in the list it keeps no rows
	CREATE FUNCTION own.sleeper(seconds integer) RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT pg_sleep(seconds)::text $$;
	CREATE FUNCTION own.none() RETURNS SETOF own.cells LANGUAGE sql STABLE AS $$ SELECT * FROM own.cells(1000000) $$;
	CREATE FUNCTION own.single() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1';
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA own TO rental_shim;
	INSERT INTO rental.endpoint (method, path, function, auth, tag, summary, csv)
		SELECT 'GET', '/api/own/' || name || '/', 'own.' || name, '{user}', 'own', name, true FROM unnest('{cells,numbers,sleeper,none,single}'::text[]) name;
});
my $shim = shim_start(RENTAL_ACCESS_TTL => 900, RENTAL_CLIENT_TIMEOUT => 1500, RENTAL_EXPORT_CONNECTIONS => 2);
my $user = expect(call('POST', '/api/auth/login/', url => $shim->{url}, body => { email => $vendor->{email}, password => $vendor->{password} }), 200, 'a log-in');
my @at = (url => $shim->{url}, as => $user);

# Cells

my @special = ('plain', '', 'a,b', 'say "x"', "two\nlines", "two\r\nlines", 'a;b', "a\tb", 'Zoë’s 照相機', ' =1+1', '-5', '-5.25', '12', '1e5',
	'=1+1', '+1', '-1+1', '@SUM(A1)', "\t=1", "\r=1", "\n=1", '=cmd|"/C calc"!A0', '-', '--5', '-5.', '＝1+1', '＋1', '－1', '＠x');
my %same = map { $_ => 1 } @special[0 .. 13];
{
	my $i = 0;
	sql('INSERT INTO own.texts VALUES ' . join ', ', map { sprintf "(%d, %s)", ++$i, 'E' . "'" . s/\\/\\\\/gr =~ s/'/''/gr =~ s/\r/\\r/gr =~ s/\n/\\n/gr =~ s/\t/\\t/gr . "'" } @special);
	sql('INSERT INTO own.texts VALUES (100, NULL)');
}
my $answer = call('GET', '/api/own/cells/?format=csv', @at);
is($answer->{status}, 200, 'an export');
is($answer->{headers}{'content-type'}, 'text/csv; charset=utf-8; header=present', 'is CSV in UTF-8 with a line of names');
is($answer->{headers}{'content-disposition'}, 'attachment; filename="cells.csv"', 'for saving, with a name');
is($answer->{headers}{'cache-control'}, 'no-store', 'and nobody keeps it');
my $text = $answer->{text};
utf8::decode($text) unless utf8::is_utf8($text);
my $rows = rows($text);
is_deeply(shift @$rows, [ 'n', 'text, with comma', qw(amount at day truth list data id) ], 'the names');
is(scalar @$rows, @special + 1, 'all rows');
for my $i (0 .. $#special)
{
	is($rows->[$i][1], $same{ $special[$i] } ? $special[$i] : "'$special[$i]", 'the text ' . $special[$i] =~ s/\s/ /gr);
}
is($rows->[-1][1], undef, 'null is nothing');
like($text, qr/^2,"",/m, 'an empty text is ""');
like($text, qr/\r\n\z/, 'lines end in CRLF');
is_deeply([ @{ $rows->[0] }[ 2 .. 8 ] ], [ '-1.50', '2026-03-29T00:30:00Z', '2026-03-29', 'false', '["a","b\"c"]', '{"=k": [1, "x"]}', '00000000-0000-7000-8000-000000000001' ],
	'numbers stay numbers; times, days, lists and objects are as in JSON');
is(scalar @{ rows(call('GET', '/api/own/cells/?lowest=28', @at)->{text}) }, 4, 'an argument of the report');
is(call('GET', '/api/own/none/', @at)->{text}, "n,\"text, with comma\",amount,at,day,truth,list,data,id\r\n", 'no rows are a line of names');
{
	my $head = call('HEAD', '/api/own/cells/', @at);
	is("$head->{status} $head->{headers}{'content-type'} " . length $head->{text}, '200 text/csv; charset=utf-8; header=present 0', 'HEAD');
}

# What is refused, and when

sub is_problem
{
	my ($name, $problem, @wanted) = @_;
	is(join('; ', problem_flaws($problem, @wanted)), '', $name) || diag($problem->{text});
}
is_problem('a report that there is not', call('GET', '/api/analytics/export/nothing/', as => $vendor), 404, 'not_found');
is_problem('an argument that it does not have', call('GET', '/api/own/cells/?most=1', @at), 400, 'unknown_field', 'most');
is_problem('one of a wrong type', call('GET', '/api/own/cells/?lowest=x', @at), 400, 'invalid_field', 'lowest');
is_problem('another format', call('GET', '/api/own/cells/?format=xlsx', @at), 400, 'invalid_field', 'format');
is_problem('nobody', call('GET', '/api/own/cells/', url => $shim->{url}), 401, 'unauthenticated');
is_problem('what is no set is not served', call('GET', '/api/own/single/', @at), 404, 'not_found');
is_problem('a failure in the first piece', call('GET', '/api/own/numbers/?rows=10&stop=5', @at), 400, 'invalid_field');
my $reports = '/api/analytics/export/revenue/?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z';
is_problem('a customer', call('GET', $reports, as => $customer), 403, 'forbidden');
is_problem('a report\'s own error', call('GET', $reports =~ s/2100/2019/r, as => $vendor), 422, 'invalid_period', 'to');

# stream REQUEST, SECONDS: what comes of an answer in time, and whether its end came.
sub stream
{
	my ($socket, $seconds, $most) = @_;
	my $end = time + $seconds;
	my $select = IO::Select->new($socket);
	my $got = '';

	while (time < $end && length $got < $most && $select->can_read($end - time))
	{
		sysread $socket, $got, 65536, length $got or last;
	}
	return $got;
}
{
	my $socket = raw_open($shim->{url});
	print $socket raw_request('GET', '/api/own/numbers/?rows=1000000&stop=900000', as => $user);
	my $got = stream($socket, 30, 1e9);
	like($got, qr{^HTTP/1\.1 200 }, 'a failure later comes after the status');
	ok(length $got > 1e6 && $got !~ /\r\n0\r\n\r\n\z/, 'the answer is cut off: its last chunk is missing') || diag(length $got);
	unlike($got, qr/division/, 'and nothing internal is shown');
}

# Reports

{
	my $order = place($customer, $product);
	expect(call('POST', "/api/orders/orders/$order->{id}/confirm/", as => $vendor), 200, 'an order');
	my $list = expect(call('GET', $reports =~ s/export/reports/r, as => $vendor), 200, 'the report')->{results};
	my $csv = rows(call('GET', $reports, as => $vendor)->{text});
	my @columns = split / /, sql(q{SELECT string_agg(c ->> 'name', ' ' ORDER BY n) FROM rental.report_catalog, jsonb_array_elements(columns) WITH ORDINALITY AS l (c, n) WHERE name = 'revenue'});
	is_deeply($csv->[0], \@columns, "the export has its columns: @columns");
	is_deeply([ map { my %row; @row{@columns} = @$_; \%row } @{$csv}[ 1 .. $#$csv ] ],
		[ map { my $row = $_; +{ map { ($_ => defined $row->{$_} ? "$row->{$_}" : undef) } keys %$row } } @$list ], 'and its rows');
	cmp_ok(scalar @$list, '>', 0, 'which are some');
	is(scalar @{ rows(call('GET', $reports, as => $other)->{text}) }, 1, 'another vendor sees nothing of them');
	is_problem('nor by name', call('GET', "$reports&vendor_id=$vendor->{user}{vendor_id}", as => $other), 403, 'forbidden');
	is(sql(q{SELECT count(*) FROM rental.endpoint r JOIN pg_proc p ON p.oid = to_regproc(r.function) AND p.proretset
		WHERE r.path LIKE '/api/analytics/reports/_%' AND NOT EXISTS (SELECT FROM rental.endpoint e
			WHERE e.path = replace(r.path, '/reports/', '/export/') AND e.csv AND e.function = r.function AND e.auth = r.auth)}), 0, 'every report has an export');
}

# Clients

my ($more, $whole) = $ENV{SANITIZE} ? (400, 600) : (8, 60);    # MiB; AddressSanitizer keeps what was freed for a while
sub backends { return sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%csv_begin%own.%' AND pid <> pg_backend_pid()}) }
sub rss { open my $in, '<', "/proc/$_[0]/status" or die; local $/; return <$in> =~ /VmRSS:\s+(\d+)/ ? $1 / 1024 : die }
{
	my $before = rss($shim->{pid});
	my $socket = raw_open($shim->{url});
	print $socket raw_request('GET', '/api/own/numbers/?rows=2000000', as => $user, headers => ['Connection: close']);
	my ($size, $end, $most) = (0, '', 0);
	while (my $got = sysread $socket, my $part, 262144)
	{
		$size += $got;
		$end = substr $end . $part, -20;
		$most = rss($shim->{pid}) if rss($shim->{pid}) > $most;
	}
	ok($size > 60e6 && $end =~ /\r\n0\r\n\r\n\z/, 'two million rows come, to the end');
	cmp_ok($most - $before, '<', $more, sprintf 'and take %.1f MiB more than none', $most - $before);
	cmp_ok($most, '<', $whole, sprintf 'of %.1f MiB', $most);
}
{
	my $socket = raw_open($shim->{url});
	print $socket raw_request('GET', '/api/own/numbers/?rows=100000000', as => $user);
	cmp_ok(length stream($socket, 20, 100_000), '>', 1000, 'some of it comes');
	ok(backends() == 1, 'an export under way');
	my $before = rss($shim->{pid});
	ok(wait_until(sub { backends() == 0 }, 15), 'a client that takes nothing is dropped, and its connection freed');
	cmp_ok(rss($shim->{pid}) - $before, '<', $more, 'meanwhile nothing piled up');
	my $rest = stream($socket, 5, 1e9);
	unlike($rest, qr/\r\n0\r\n\r\n\z/, 'what it then reads is cut off');
}
{
	my $socket = raw_open($shim->{url});
	print $socket raw_request('GET', '/api/own/numbers/?rows=100000000', as => $user);
	cmp_ok(length stream($socket, 20, 100_000), '>', 1000, 'some of it comes');
	close $socket;
	ok(wait_until(sub { backends() == 0 }, 10), 'a client that leaves frees the connection');
}
{
	my @sockets = map { raw_open($shim->{url}) } 1 .. 2;
	print $_ raw_request('GET', '/api/own/sleeper/?seconds=60', as => $user) for @sockets;
	ok(wait_until(sub { backends() == 2 }, 10), 'two exports wait for their first row');
	is_problem('a third one is too many', call('GET', '/api/own/cells/', @at), 503, 'unavailable');
	close $_ for @sockets;
	ok(wait_until(sub { backends() == 0 }, 10), 'their clients leave: the statements are stopped');
	is(call('GET', '/api/own/cells/', @at)->{status}, 200, 'and there is room again');
}
{
	my $slow = shim_start(RENTAL_EXPORT_TIMEOUT => 500, RENTAL_JWT_SECRET_FILE => $shim->{key}->filename);
	is_problem('one that takes too long', call('GET', '/api/own/sleeper/?seconds=60', url => $slow->{url}, as => $user), 504, 'timed_out');
	shim_stop($slow);
}
is(shim_stop($shim), 0, 'the server stops');
sql('DELETE FROM rental.endpoint WHERE NOT builtin AND path LIKE \'/api/own/%\'; DROP SCHEMA own CASCADE');
done_testing();
