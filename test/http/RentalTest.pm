package RentalTest;

# What the HTTP tests share: calls of the server under test, the form of its errors, SQL beside it, accounts and
# goods of their own, raw connections, and servers of their own. Perl's core modules only.
#
# It reads RENTAL_URL, RENTAL_SHIM and libpq's PG* from the environment. Nothing here depends on what another
# test has left in the database.

use strict;
use warnings;
use Cwd 'abs_path';
use Exporter 'import';
use File::Basename 'dirname';
use File::Temp;
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use IPC::Open2;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(call expect problem_flaws refused snapshot sql wait_until
  customer vendor demo at product order_body place
  raw_open raw_request raw_read raw_exchange race load results
  shim_start shim_stop shim_port shim_log cluster cluster_make cluster_standby cluster_database random_text encode_json true false);

use constant TIMEOUT => 15;

sub true  { return JSON::PP::true }
sub false { return JSON::PP::false }

my $url = $ENV{RENTAL_URL} or die "RENTAL_URL is not set: run this by `make check`\n";
my $shim_binary = $ENV{RENTAL_SHIM} or die "RENTAL_SHIM is not set: run this by `make check`\n";
my $json = JSON::PP->new->utf8->canonical;
my $serial = 0;

sub random_text
{
	my ($length) = @_;
	open my $in, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
	read($in, my $bytes, $length) == $length or die "no random bytes";
	return substr(unpack('H*', $bytes), 0, $length);
}

# Calls

# HTTP::Tiny writes a body after its head: without this the second waits for the first to be acknowledged.
{
	no warnings 'redefine';
	my $connect = HTTP::Tiny::Handle->can('connect');
	*HTTP::Tiny::Handle::connect = sub {
		my $handle = $connect->(@_);
		setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1 or die "setsockopt: $!";
		return $handle;
	};
}
my $http = HTTP::Tiny->new(agent => 'rental-test', timeout => TIMEOUT, keep_alive => 1);

sub answer
{
	my ($status, $headers, $text) = @_;
	my %answer = (status => $status, headers => $headers, text => $text // '');
	$answer{json} = eval { $json->decode($answer{text}) }
	  if ($headers->{'content-type'} // '') =~ m{^application/(problem\+)?json};
	return \%answer;
}

# call METHOD, PATH, [as => account or token], [body => data | raw => text], [headers => {}], [url => server]
sub call
{
	my ($method, $path, %with) = @_;
	my %headers = %{ $with{headers} // {} };
	my $content = $with{raw};
	my $token = ref $with{as} ? $with{as}{access} : $with{as};

	if (defined $with{body})
	{
		$content = $json->encode($with{body});
	}
	$headers{'Content-Type'} //= 'application/json' if defined $content && !exists $headers{'Content-Type'};
	delete $headers{'Content-Type'} unless defined $headers{'Content-Type'};
	$headers{Authorization} //= "Bearer $token" if defined $token;
	my $response = $http->request($method, ($with{url} // $url) . $path,
		{ headers => \%headers, defined $content ? (content => $content) : () });
	return answer($response->{status}, $response->{headers}, $response->{content});
}

sub describe
{
	my ($answer) = @_;
	return "$answer->{status} " . substr($answer->{text}, 0, 600);
}

# expect ANSWER, STATUS, NAME: passes it on, or ends the test, since what follows stands on it.
sub expect
{
	my ($answer, $status, $name) = @_;
	ok($answer->{status} == $status && defined $answer->{headers}{'x-request-id'}, $name)
	  or BAIL_OUT("$name: wanted $status, got " . describe($answer));
	return $answer->{json};
}

# problem_flaws ANSWER, STATUS, CODE, [FIELD]: what keeps an answer from being that error; nothing if it is one.
sub problem_flaws
{
	my ($answer, $status, $code, $field) = @_;
	my $problem = $answer->{json};
	my $headers = $answer->{headers};
	my @flaws;

	push @flaws, "status $answer->{status}" if $answer->{status} != $status;
	push @flaws, 'content type ' . ($headers->{'content-type'} // 'missing')
	  if ($headers->{'content-type'} // '') ne 'application/problem+json';
	return (@flaws, 'not a JSON object') unless ref $problem eq 'HASH';
	for my $member (qw(type title detail instance code request_id))
	{
		push @flaws, "no $member" if !defined $problem->{$member} || ref $problem->{$member} || $problem->{$member} eq '';
	}
	push @flaws, 'status of the body' if ($problem->{status} // 0) != $status;
	push @flaws, 'code ' . ($problem->{code} // 'missing') if ($problem->{code} // '') ne $code;
	push @flaws, 'type ' . ($problem->{type} // 'missing') if ($problem->{type} // '') !~ /\Q$code\E$/;
	push @flaws, 'request_id differs from X-Request-Id'
	  if ($problem->{request_id} // '') ne ($headers->{'x-request-id'} // '-');
	push @flaws, 'no WWW-Authenticate' if $status == 401 && !$headers->{'www-authenticate'};
	push @flaws, 'no Allow' if $status == 405 && !$headers->{allow};
	push @flaws, 'no Retry-After' if ($status == 503 || $status == 429) && !$headers->{'retry-after'};
	if (defined $field)
	{
		my $messages = ref $problem->{errors} eq 'HASH' ? $problem->{errors}{$field} : undef;
		push @flaws, "no errors for $field"
		  unless ref $messages eq 'ARRAY' && @$messages && $messages->[0] && keys %{ $problem->{errors} } == 1;
	}
	push @flaws, 'it shows what is internal'
	  if $answer->{text} =~ /SQLSTATE|\bpg_|rental\.\w+\(|plpgsql|relation "|constraint "|src\/|\.c\b/;
	return @flaws;
}

# refused ANSWER, BEFORE, STATUS, CODE, [FIELD], NAME: it is that error, and no row of any table has changed.
sub refused
{
	my ($answer, $before, $status, $code, $field, $name) = @_;
	my @flaws = problem_flaws($answer, $status, $code, $field);

	push @flaws, 'it changed the database' if snapshot() ne $before;
	return ok(!@flaws, $name) || diag(join('; ', @flaws), "\n", describe($answer));
}

# SQL: one psql for the whole test

my ($psql_out, $psql_in, $psql_pid);

sub sql
{
	my ($query) = @_;
	my $end = 'end-' . ++$serial;
	my @lines;

	if (!$psql_pid)
	{
		local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
		$psql_pid = open2($psql_out, $psql_in, qw(psql -X -A -t -q -v ON_ERROR_STOP=1));
		binmode $_, ':encoding(UTF-8)' for $psql_out, $psql_in;
	}
	print $psql_in "$query\n;\n\\echo $end\n";
	$psql_in->flush;
	while (defined(my $line = <$psql_out>))
	{
		chomp $line;
		return join "\n", @lines if $line eq $end;
		push @lines, $line;
	}
	die "this failed: $query\n";
}

# snapshot: all rows of all tables, as one text that changes when any of them does; but for wrong passwords, which are
# remembered, and what the servers write by themselves a while after the request.
my $snapshot_query;

sub snapshot
{
	# who fails to order leaves a gap in the numbers of orders
	$snapshot_query //= sql(q{
		SELECT string_agg(format('SELECT %L, count(*), md5(string_agg(md5(t::text), '''' ORDER BY md5(t::text))) FROM %s t%s',
			c.oid::regclass, c.oid::regclass, CASE c.relname WHEN 'number_series' THEN $$ WHERE series <> 'ORD'$$ END), ' UNION ALL ' ORDER BY c.relname)
		FROM pg_class c WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind IN ('r', 'p')
			AND c.relname NOT IN ('login_attempts', 'api_key_usage', 'activity', 'lost_demand')});
	return sql("$snapshot_query ORDER BY 1");
}

# wait_until CODE, [SECONDS]: whether the code came true in time.
sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time + ($seconds // 10);

	until ($condition->())
	{
		return 0 if time > $end;
		sleep 0.02;
	}
	return 1;
}

# Accounts and goods

sub signup
{
	my (%fields) = @_;
	my $email = 'test-' . random_text(12) . '@example.com';
	my $password = random_text(16);
	my $answer = call('POST', '/api/auth/signup/',
		body => { email => $email, password => $password, name => 'A Tester', %fields });

	$answer->{status} == 201 or BAIL_OUT('cannot sign up: ' . describe($answer));
	return { %{ $answer->{json} }, email => $email, password => $password };
}

sub customer { return signup(@_) }

sub vendor
{
	return signup(role => 'vendor', business_name => 'Shop ' . random_text(8), @_);
}

# demo ROLE: logs the demonstration's account in.
sub demo
{
	my ($role) = @_;
	my $name = 'DEMO_' . uc $role;
	my $answer = call('POST', '/api/auth/login/',
		body => { email => $ENV{"${name}_EMAIL"}, password => $ENV{"${name}_PASSWORD"} });

	$answer->{status} == 200 or BAIL_OUT("the demo account $name cannot log in: " . describe($answer));
	return $answer->{json};
}

# at DAYS, [HOUR]: that hour of the day so many days from today, in UTC.
my $today = time;

sub at
{
	my ($days, $hour) = @_;
	return POSIX::strftime('%Y-%m-%dT', gmtime($today + 86400 * $days)) . sprintf('%02d:00:00Z', $hour // 10);
}

# product VENDOR, STOCK, [fields]: a product in stock at 10.00 a day.
sub product
{
	my ($vendor, $stock, %fields) = @_;
	my $answer = call('POST', '/api/catalog/products/', as => $vendor,
		body => { name => 'Thing ' . random_text(8), day_rate => '10.00', %fields });

	$answer->{status} == 201 or BAIL_OUT('cannot make a product: ' . describe($answer));
	my $product = $answer->{json};
	if (defined $stock)
	{
		$answer = call('PUT', "/api/catalog/products/$product->{id}/stock/", as => $vendor, body => { quantity => $stock });
		$answer->{status} == 200 or BAIL_OUT('cannot set the stock: ' . describe($answer));
	}
	return $product;
}

# order_body PRODUCT, [item fields]: one piece for the three days from the tenth on.
sub order_body
{
	my ($product, %fields) = @_;
	return {
		items => [
			{ product_id => $product->{id}, quantity => 1, start_at => at(10), end_at => at(13), %fields }
		]
	};
}

sub place
{
	my ($customer, $product, %fields) = @_;
	my $answer = call('POST', '/api/orders/orders/', as => $customer, body => order_body($product, %fields));

	$answer->{status} == 201 or BAIL_OUT('cannot place an order: ' . describe($answer));
	return $answer->{json};
}

# Raw connections

sub raw_open
{
	my ($server) = @_;
	my ($host, $port) = ($server // $url) =~ m{^http://([\d.]+):(\d+)$} or die "not an address: $url";
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => TIMEOUT)
	  or die "cannot connect to $host:$port: $!\n";

	$socket->autoflush(1);
	binmode $socket;
	return $socket;
}

# raw_request METHOD, PATH, [as, body, raw, headers => [lines]]: a request as it stands on the wire.
sub raw_request
{
	my ($method, $path, %with) = @_;
	my $token = ref $with{as} ? $with{as}{access} : $with{as};
	my $content = defined $with{body} ? $json->encode($with{body}) : $with{raw};
	my @lines = ("$method $path HTTP/1.1", 'Host: localhost');

	push @lines, "Authorization: Bearer $token" if defined $token;
	push @lines, 'Content-Type: application/json', 'Content-Length: ' . length $content if defined $content;
	push @lines, @{ $with{headers} // [] };
	return join("\r\n", @lines) . "\r\n\r\n" . ($content // '');
}

# parse TEXT-REF, METHOD: takes one whole answer off the front of the text; undef as long as there is none.
sub parse
{
	my ($text, $method) = @_;
	my $end = index $$text, "\r\n\r\n";

	return undef if $end < 0;
	my ($first, @lines) = split /\r\n/, substr($$text, 0, $end);
	my ($status) = $first =~ m{^HTTP/1\.1 (\d{3}) } or die "not an answer: $first\n";
	my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
	my $length = $status == 204 || $status < 200 || ($method // '') eq 'HEAD' ? 0 : $headers{'content-length'};
	die "an answer without Content-Length\n" unless defined $length;
	return undef if length($$text) < $end + 4 + $length;
	my $body = substr $$text, $end + 4, $length;
	$$text = substr $$text, $end + 4 + $length;
	return answer($status, \%headers, $body);
}

# raw_read SOCKET, [METHOD], [SECONDS]: the next answer; undef if the server closed first.
my %unread;

sub raw_read
{
	my ($socket, $method, $seconds) = @_;
	my $end = time + ($seconds // TIMEOUT);
	my $select = IO::Select->new($socket);
	my $text = \$unread{ fileno $socket };
	my $answer;

	$$text //= '';
	until ($answer = parse($text, $method))
	{
		my $left = $end - time;
		die "no answer in time\n" if $left <= 0 || !$select->can_read($left);
		if (!sysread $socket, $$text, 65536, length $$text)
		{
			my $rest = delete $unread{ fileno $socket };
			die "the answer was cut off\n" if $rest ne '';
			return undef;
		}
	}
	delete $unread{ fileno $socket } if $$text eq '';
	return $answer;
}

# raw_exchange REQUEST, [SERVER]: sends it on a connection of its own and returns every answer that comes.
sub raw_exchange
{
	my ($request, $server) = @_;
	my $socket = raw_open($server);
	my @answers;

	print $socket $request;
	shutdown $socket, 1;
	while (my $answer = raw_read($socket))
	{
		push @answers, $answer;
	}
	close $socket;
	return @answers;
}

# race REQUEST...: each on a connection of its own, all sent before any answer is read. Returns the answers.
sub race
{
	my (@requests) = @_;
	my @sockets = map { raw_open() } @requests;
	my @answers;

	for my $i (0 .. $#requests)
	{
		my $sent = syswrite $sockets[$i], $requests[$i];
		die "a request did not fit the socket\n" unless defined $sent && $sent == length $requests[$i];
	}
	for my $socket (@sockets)
	{
		push @answers, raw_read($socket) // answer(0, {}, 'closed without an answer');
		close $socket;
	}
	return @answers;
}

# Load: clients in processes of their own, which tell in the end how their requests went

# load SERVER, CLIENTS, SECONDS, [CODE]: they send one request after the other until the time is up or nobody listens.
# The code makes the request of a client's turn; every other client opens a connection for each.
sub load
{
	my ($server, $count, $seconds, $make) = @_;
	my @children;

	$make //= sub { raw_request('GET', '/api/examples/', headers => [ $_[0] % 2 ? 'Connection: close' : () ]) };
	for my $number (1 .. $count)
	{
		pipe my $out, my $in or die "no pipe: $!";
		my $pid = fork // die "cannot fork: $!";
		if ($pid == 0)
		{
			local $SIG{PIPE} = 'IGNORE';
			# or who writes would wait for a reader that is gone
			close $_ for $out, map { $_->[1] } @children;
			print $in $json->encode(load_client($server, $number, time + $seconds, $make));
			close $in;
			POSIX::_exit(0);
		}
		close $in;
		push @children, [ $pid, $out ];
	}
	return \@children;
}

# load_client counts answers by status; what was lost; and the texts of answers 201.
sub load_client
{
	my ($server, $number, $end, $make) = @_;
	my (%count, @created, $socket);

	for (my $turn = 0; time < $end; $turn++)
	{
		my $again = defined $socket;
		$socket //= IO::Socket::INET->new(PeerAddr => $server->{url} =~ m{//(.*)}, Timeout => TIMEOUT);
		if (!$socket)
		{
			$count{refused}++;
			last;
		}
		print $socket $make->($number, $turn);
		$socket->flush;
		my $answer = eval { raw_read($socket) };
		if (!$answer)
		{
			# a kept connection that closes just then has not taken the request (RFC 9112, 9.3.1)
			$count{ $again && $@ eq '' ? 'reopened' : 'lost' }++;
			undef $socket;
			next;
		}
		$count{ $answer->{status} }++;
		$count{'no Retry-After'}++ if $answer->{status} == 503 && !$answer->{headers}{'retry-after'};
		push @created, $answer->{text} if $answer->{status} == 201;
		undef $socket if ($answer->{headers}{connection} // '') eq 'close';
	}
	return { count => \%count, created => \@created };
}

# results CLIENTS: waits for them; the sums of their counts, and what was created.
sub results
{
	my ($children) = @_;
	my (%sum, @created);

	for my $child (@$children)
	{
		my ($pid, $out) = @$child;
		my $result = $json->decode(join '', <$out>);
		$sum{$_} += $result->{count}{$_} for keys %{ $result->{count} };
		push @created, map { $json->decode($_) } @{ $result->{created} };
		waitpid $pid, 0;
	}
	return wantarray ? (\%sum, \@created) : \%sum;
}

# Servers of a test's own

my %shims;

# shim_port: a port that nobody listens on.
sub shim_port
{
	my $listener = IO::Socket::INET->new(Listen => 1, Proto => 'tcp', LocalAddr => '127.0.0.1') or die "no port: $!";

	return $listener->sockport;
}

# shim_start %settings: a server of its own on the tests' database, with a key of its own.
sub shim_start
{
	my (%settings) = @_;
	my $listener = IO::Socket::INET->new(Listen => 1, Proto => 'tcp', LocalAddr => '127.0.0.1') or die "no port: $!";
	my $port = $listener->sockport;
	my $key = File::Temp->new;
	my $log = File::Temp->new;
	my $secret = random_text(64);
	my %environment = (
		PATH => $ENV{PATH},
		TZ => 'UTC',
		PORT => $port,
		RENTAL_BIND => '127.0.0.1',
		RENTAL_THREADS => 1,
		RENTAL_DATABASE_URL => "postgresql:///$ENV{PGDATABASE}?host=$ENV{PGHOST}&port=$ENV{PGPORT}&user=rental_shim",
		RENTAL_JWT_SECRET_FILE => $key->filename,
		%settings);

	print $key $secret;
	close $key;
	close $listener;
	my $pid = fork // die "cannot fork: $!";
	if ($pid == 0)
	{
		%ENV = %environment;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $log->filename;
		open STDERR, '>>', $log->filename;
		exec { $shim_binary } 'rental-shim' or POSIX::_exit(127);
	}
	my $shim = { pid => $pid, binary => $shim_binary, url => "http://127.0.0.1:$port", secret => $secret, key => $key, log => $log };
	$shim->{admin} = "http://127.0.0.1:$settings{RENTAL_ADMIN_PORT}" if $settings{RENTAL_ADMIN_PORT};
	$shims{$pid} = $shim;
	wait_until(sub { call('GET', '/readyz', url => $shim->{admin} // $shim->{url})->{status} == 200 })
	  or BAIL_OUT('a server of its own did not start: ' . shim_log($shim));
	return $shim;
}

sub shim_log
{
	my ($shim) = @_;
	open my $in, '<', $shim->{log}->filename or return '';
	local $/;
	return scalar <$in>;
}

# shim_stop SHIM, [SECONDS]: asks it to stop unless it has been asked; its wait status, undef if it does not end.
sub shim_stop
{
	my ($shim, $seconds) = @_;
	my $status;

	kill 'TERM', $shim->{pid} unless $shim->{asked};
	$shim->{asked} = 1;
	wait_until(sub { waitpid($shim->{pid}, POSIX::WNOHANG()) == $shim->{pid} && defined($status = $?) }, $seconds // TIMEOUT)
	  or return undef;
	delete $shims{ $shim->{pid} };
	return $status;
}

# PostgreSQL servers of a test's own

my @clusters;

# cluster ACTION, DIRECTORY, [arguments]: what script/cluster does.
sub cluster
{
	my (@arguments) = @_;
	my $script = abs_path(dirname(__FILE__) . '/../../script/cluster');

	system($script, @arguments) == 0 or BAIL_OUT("script/cluster @arguments failed");
	return $script;
}

# cluster_directory: a place for one; it is removed at the end.
sub cluster_directory
{
	my $top = File::Temp->newdir('rental-cluster-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{KEEP});

	chmod 0755, "$top";
	push @clusters, [ "$top/run", $top ];
	return "$top/run";
}

# cluster_start DIRECTORY: starts it; its PGHOST and the like.
sub cluster_start
{
	my ($directory) = @_;
	my $script = cluster('start', $directory);

	return map { /^(PG\w+)=(.*)$/ ? ($1 => $2) : () } split /\n/, `$script env $directory`;
}

# cluster_make [settings]: one that runs, and that PG* in the environment speaks of from now on; its directory.
sub cluster_make
{
	my (@settings) = @_;
	my $directory = cluster_directory();

	delete @ENV{ grep { /^PG/ && $_ ne 'PG_CONFIG' } keys %ENV };
	cluster('init', $directory, @settings);
	%ENV = (%ENV, cluster_start($directory));
	return $directory;
}

# cluster_standby: a hot standby of what PG* speak of, which runs; its directory, and an address without a user.
sub cluster_standby
{
	my $directory = cluster_directory();

	cluster('standby', $directory, "host=$ENV{PGHOST} port=$ENV{PGPORT} user=postgres");
	my %at = cluster_start($directory);
	return ($directory, "postgresql:///$ENV{PGDATABASE}?host=$at{PGHOST}&port=$at{PGPORT}");
}

# cluster_database NAME: a database with the extension there, for the tests' servers; PG* speak of it from now on.
sub cluster_database
{
	my ($name) = @_;

	$ENV{PGDATABASE} = $name;
	system('createdb', $name) == 0 or BAIL_OUT('createdb failed');
	sql('CREATE EXTENSION rental CASCADE; ALTER ROLE rental_shim LOGIN');
	return;
}

END
{
	my $status = $?;
	for my $pid (keys %shims)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	if ($psql_pid)
	{
		close $psql_in;
		waitpid $psql_pid, 0;
	}
	for my $cluster (reverse @clusters)
	{
		system(dirname(__FILE__) . '/../../script/cluster', $ENV{KEEP} ? 'stop' : 'remove', $cluster->[0]) if -d $cluster->[0];
	}
	$? = $status;
}

1;
