#!/usr/bin/perl
# The life of orders against a small model of it, at random: several connections place, offer, accept, confirm, cancel, hand
# out, take back, extend, change and let expire; after every step the order, the stock and the money are what the model
# says, the books agree by plain SQL, and the timelines agree with the books. Some steps are two at once on two
# connections, of which the model takes either order.
#
# MODEL_STEPS=2000   MODEL_SEED=1   MODEL_VERIFY=1: how often, in steps, the timelines are computed anew
use strict;
use warnings;
use IPC::Open2;
use List::Util qw(min max sum0);
use POSIX ();
use Storable 'dclone';
use Test::More;

my $steps = $ENV{MODEL_STEPS} || 2000;
my $seed = $ENV{MODEL_SEED} || 1;
my $verify = $ENV{MODEL_VERIFY} || 1;
srand($seed);

# Connections

my @connections;

sub connection_open
{
	my $pid = open2(my $out, my $in, qw(psql -X -A -t -q -F | -v ON_ERROR_STOP=1));
	$in->autoflush(1);
	my $connection = { out => $out, in => $in, pid => $pid };
	push @connections, $connection;
	return $connection;
}

sub ask
{
	my ($connection, $query) = @_;
	print { $connection->{in} } "$query\n;\n\\echo .\n";
}

sub answer
{
	my ($connection) = @_;
	my @lines;
	while (defined(my $line = readline $connection->{out}))
	{
		chomp $line;
		return join "\n", @lines if $line eq '.';
		push @lines, $line;
	}
	BAIL_OUT("a connection ended: seed $seed");
}

sub sql
{
	my ($query, $connection) = @_;
	$connection //= $connections[0];
	ask($connection, $query);
	return answer($connection);
}

END
{
	my $status = $?;
	for my $connection (@connections)
	{
		close $connection->{in};
		waitpid $connection->{pid}, 0;
	}
	$? = $status;
}

connection_open() for 1 .. 4;

# The shop: two counted products, a kit of both, and units

my $start = 1780304400;    # 2026-06-01 09:00 UTC
my $clock = $start;
sub at { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
my ($vendor, $customer) = map { sprintf '00000000-0000-7000-8000-0000000000%02x', $_ } 1, 2;
my %product = (
	P => { cents => 1000, value => 4000, parts => { P => 1 } },
	Q => { cents => 750, value => 2000, parts => { Q => 1 } },
	K => { cents => 2000, value => 9000, parts => { P => 1, Q => 2 } },
	S => { cents => 1500, value => 30000, parts => { S => 1 } });
my %capacity = (P => [ [ 0, 8 ] ], Q => [ [ 0, 10 ] ], S => [ [ 0, 4 ] ]);

sql("SET client_min_messages = warning; SET rental.clock = '${\at($clock)}'");
sql(qq{
	INSERT INTO rental.users (id, email, password_hash, name, role) VALUES ('$customer', 'model\@example.com', '!', 'C', 'customer');
	INSERT INTO rental.vendors (id, name, slug, hold_time) VALUES ('$vendor', 'V', 'v', '2 days');
	INSERT INTO rental.locations (vendor_id, name) VALUES ('$vendor', 'Main');
	SELECT rental.price_settings_set(vendor_id => '$vendor', late_free => '2 hours', late_per_day => 5, late_per_hour => 0.7, late_cap => 12) IS NULL;
	SELECT rental.order_policy_set('$vendor', cancellation => '[{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]') IS NULL;
	CREATE FUNCTION public.model_try(what text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE answer text; code text;
	BEGIN
		EXECUTE what INTO answer;
		RETURN 'ok ' || COALESCE(answer, '');
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME;
		RETURN CASE WHEN SQLSTATE LIKE 'RT%' THEN code ELSE SQLSTATE || ' ' || SQLERRM END;
	END \$\$});
for my $name (qw(P Q S K))
{
	my $p = $product{$name};
	$p->{id} = sql(sprintf q{SELECT id FROM rental.product_create('%s', vendor_id => '%s', day_rate => %s, replacement_value => %s, tracking => '%s')},
		$name, $vendor, $p->{cents} / 100, $p->{value} / 100, { K => 'kit', S => 'serialised' }->{$name} // 'bulk');
}
sql("SELECT rental.stock_set('$product{$_}{id}', $capacity{$_}[0][1])") for qw(P Q);
sql("SELECT rental.unit_create('$product{S}{id}', 'S$_')") for 1 .. $capacity{S}[0][1];
sql("SELECT rental.component_put('$product{K}{id}', '$product{$_}{id}', $product{K}{parts}{$_})") for qw(P Q);

# The model: orders that live, by id, and the capacity of each product over time

my %allowed = map { $_ => 1 } ('draft quoted', 'quoted draft', 'quoted pending', 'pending confirmed', 'draft rejected', 'pending rejected',
	(map { "$_ cancelled" } qw(draft quoted pending confirmed)), 'quoted expired', 'pending expired', 'confirmed active', 'active returned', 'returned completed');
my @states = qw(draft quoted pending confirmed active returned completed cancelled rejected expired);
my $state = { orders => {}, capacity => \%capacity };

sub is_live { return $_[0]{status} =~ /^(confirmed|active)$/ || ($_[0]{status} eq 'pending' && $_[0]{expires} > $clock) }
sub line_left { return $_[0]{q} - $_[0]{back} }

# taken STATE, PRODUCT: [start, end, pieces] of all that is promised.
sub taken
{
	my ($s, $name) = @_;
	my @taken;
	for my $order (grep { is_live($_) } values %{ $s->{orders} })
	{
		for my $line (@{ $order->{lines} })
		{
			my $n = line_left($line) * ($product{ $line->{product} }{parts}{$name} // 0);
			push @taken, [ $line->{start}, $line->{end}, $n ] if $n > 0;
		}
	}
	return \@taken;
}

# free STATE, PRODUCT, FROM, TO: the least that is free in that time.
sub free
{
	my ($s, $name, $from, $to) = @_;
	my $taken = taken($s, $name);
	my @changes = @{ $s->{capacity}{$name} };
	my @points = grep { $_ >= $from && $_ < $to } $from, (map { ($_->[0], $_->[1]) } @$taken), (map { $_->[0] } @changes);
	return min(map {
			my $t = $_;
			sum0(map { $_->[0] <= $t ? $_->[1] : 0 } @changes) - sum0(map { $_->[0] <= $t && $t < $_->[1] ? $_->[2] : 0 } @$taken)
	} @points);
}

# fits STATE, LINES: whether what is promised can be served during all those lines.
sub fits
{
	my ($s, @lines) = @_;
	for my $line (@lines)
	{
		for my $name (keys %{ $product{ $line->{product} }{parts} })
		{
			return 0 if free($s, $name, $line->{start}, $line->{end}) < 0;
		}
	}
	return 1;
}

sub price
{
	my ($line) = @_;
	my $days = POSIX::ceil(($line->{end} - $line->{start}) / 86400);
	$line->{total} = $product{ $line->{product} }{cents} * max($days, 1) * $line->{q};
	return $line;
}

# late_fee LINE: what a piece costs in cents that comes back now.
sub late_fee
{
	my ($line) = @_;
	my $late = $clock - $line->{end} - 2 * 3600;
	return 0 if $late <= 0;
	return min(1200, 500 * int($late / 86400) + min(500, 70 * POSIX::ceil($late % 86400 / 3600)));
}

sub total { return sum0(map { $_->{total} } @{ $_[0]{lines} }) }
sub has_units { return scalar grep { $_->{product} eq 'S' } @{ $_[0]{lines} } }

# settle ORDER: what follows from its items.
sub settle
{
	my ($order) = @_;
	$order->{status} = 'active' if $order->{status} eq 'confirmed' && grep { $_->{out} > 0 } @{ $order->{lines} };
	$order->{status} = 'returned' if $order->{status} eq 'active' && !grep { $_->{back} < $_->{q} } @{ $order->{lines} };
	return;
}

# A step: what is asked of the database, and what the model makes of it. Its model function changes the state and
# returns ok or the code of the error; one that is refused changes nothing, so it works on a copy.
sub in_state
{
	my ($order, @states) = @_;
	return scalar grep { $order->{status} eq $_ } @states;
}

my %model = (
	quote => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted));
		price($_) for @{ $order->{lines} };
		@$order{qw(status expires)} = ('quoted', $clock + 14 * 86400);
		return 'ok';
	},
	accept => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, 'quoted') && $order->{expires} > $clock;
		@$order{qw(status expires)} = ('pending', $clock + 2 * 86400);
		return fits($s, @{ $order->{lines} }) ? 'ok' : 'insufficient_stock';
	},
	confirm => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, 'pending');
		$order->{status} = 'confirmed';
		return fits($s, @{ $order->{lines} }) ? 'ok' : 'insufficient_stock';
	},
	reject => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, qw(draft pending));
		$order->{status} = 'rejected';
		return 'ok';
	},
	cancel => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted pending confirmed));
		my $hours = (min(map { $_->{start} } @{ $order->{lines} }) - $clock) / 3600;
		$order->{fee} = total($order) - POSIX::floor(total($order) * ($hours >= 48 ? 100 : $hours >= 24 ? 50 : 0) / 100 + 0.5) if $order->{status} eq 'confirmed';
		$order->{status} = 'cancelled';
		return 'ok';
	},
	dispatch => sub {
		my ($s, $order, @moves) = @_;
		return 'invalid_state' unless in_state($order, qw(confirmed active));
		@moves = map { [ $_, $_->{q} - $_->{out} ] } grep { $_->{q} > $_->{out} } @{ $order->{lines} } unless @moves;
		return 'invalid_state' unless @moves;
		for my $move (@moves)
		{
			my ($line) = grep { $_->{id} eq $move->[0]{id} } @{ $order->{lines} };
			return 'invalid_value' if $move->[1] > $line->{q} - $line->{out};
			$line->{out} += $move->[1];
		}
		settle($order);
		return 'ok';
	},
	return => sub {
		my ($s, $order, @moves) = @_;
		return 'invalid_state' unless in_state($order, 'active');
		@moves = map { [ $_, $_->{out} - $_->{back}, 'good', 0 ] } grep { $_->{out} > $_->{back} } @{ $order->{lines} } unless @moves;
		return 'invalid_state' unless @moves;
		for my $move (@moves)
		{
			my ($line) = grep { $_->{id} eq $move->[0]{id} } @{ $order->{lines} };
			my ($n, $condition, $charge) = @$move[ 1 .. 3 ];
			return 'invalid_value' if $n > $line->{out} - $line->{back};
			$line->{back} += $n;
			$line->{ $condition eq 'lost' ? 'lost' : 'damaged' } += $n if $condition ne 'good';
			$order->{charges} += $condition eq 'lost' ? $product{ $line->{product} }{value} * $n : $charge + late_fee($line) * $n;
			push @{ $s->{capacity}{ $line->{product} } }, [ $clock, -$n ] if $condition eq 'lost';
		}
		settle($order);
		return 'ok';
	},
	close => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, 'returned');
		$order->{status} = 'completed';
		return 'ok';
	},
	extend => sub {
		my ($s, $order, $end) = @_;
		return 'invalid_state' unless in_state($order, qw(pending confirmed active));
		my @longer = grep { line_left($_) > 0 } @{ $order->{lines} };
		return 'invalid_state' unless @longer;
		return 'invalid_value' if grep { $end <= $_->{end} } @longer;
		my @split;
		for my $line (@longer)
		{
			if ($line->{back} > 0)
			{
				push @split, { %$line, id => undef, q => $line->{back}, out => $line->{back}, total => $line->{total} / $line->{q} * $line->{back} };
				@$line{qw(q out back damaged lost)} = (line_left($line), $line->{out} - $line->{back}, 0, 0, 0);
			}
			$line->{end} = $end;
			price($line);
		}
		my $ok = fits($s, @longer);
		push @{ $order->{lines} }, @split;
		return $ok ? 'ok' : 'insufficient_stock';
	},
	change => sub {
		my ($s, $order, $id, $n) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted pending confirmed active));
		my ($line) = grep { $_->{id} eq $id } @{ $order->{lines} };
		return 'invalid_state' if $line->{out} > 0 && $n > $line->{q};
		return 'invalid_value' if $n < max($line->{out}, 1);
		my $more = $n > $line->{q};
		$line->{q} = $n;
		price($line);
		$order->{status} = 'draft' if $order->{status} eq 'quoted';
		settle($order);
		return !$more || fits($s, $line) ? 'ok' : 'insufficient_stock' if is_live($order);
		return 'ok';
	},
	remove => sub {
		my ($s, $order, $id) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted pending confirmed active));
		my ($line) = grep { $_->{id} eq $id } @{ $order->{lines} };
		return 'invalid_state' if $line->{out} > 0 || @{ $order->{lines} } == 1;
		@{ $order->{lines} } = grep { $_ != $line } @{ $order->{lines} };
		$order->{status} = 'draft' if $order->{status} eq 'quoted';
		settle($order);
		return 'ok';
	},
	pay => sub {
		my ($s, $order, $amount) = @_;
		return 'invalid_state' if in_state($order, qw(cancelled rejected expired));
		$order->{paid} += $amount;
		return 'ok';
	},
);
my %function = (close => 'order_close', pay => 'payment_record', change => 'order_item_change', remove => 'order_item_remove',
	map { $_ => "order_$_" } qw(quote accept confirm reject cancel dispatch return extend));

# apply STATE, STEP: the state after a step of one order, and its outcome.
sub apply
{
	my ($s, $step) = @_;
	my $next = dclone($s);
	my $outcome = $model{ $step->{action} }->($next, $next->{orders}{ $step->{order} }, @{ $step->{args} // [] });
	return ($outcome, $outcome eq 'ok' ? $next : $s);
}

sub money { return sprintf '%d.%02d', POSIX::floor($_[0] / 100), $_[0] % 100 }
sub one_of { return $_[ int rand @_ ] }

sub items_json
{
	return '[' . join(',', map {
			my ($line, $n, $condition, $charge) = @$_;
			sprintf '{"item_id":"%s","quantity":%d%s%s}', $line->{id}, $n, defined $condition ? ",\"condition\":\"$condition\"" : '',
			  $condition && $condition eq 'damaged' ? sprintf(',"charge":"%s"', money($charge)) : ''
	} @_) . ']';
}

# step_make: a step at random, mostly one that makes sense.
sub step_make
{
	my ($pair) = @_;
	my @orders = sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} };
	my $order = one_of(@orders) or return;
	my %sensible = (draft => [qw(quote quote change remove reject cancel)], quoted => [qw(accept accept accept cancel quote change)],
		pending => [qw(confirm confirm confirm reject cancel change remove extend pay)], confirmed => [qw(dispatch dispatch dispatch change remove cancel extend pay)],
		active => [qw(return return return dispatch extend change pay)], returned => [qw(close close pay)]);
	my $action = rand() < 0.15 ? one_of(sort keys %model) : one_of(@{ $sensible{ $order->{status} } });
	my $expired = $order->{status} eq 'pending' && $order->{expires} <= $clock;
	$action = one_of(qw(confirm cancel reject)) if $expired && $action =~ /^(extend|change|remove)$/;
	$action = 'confirm' if $pair && $action =~ /^(extend|change|remove|pay)$/;
	my $step = { action => $action, order => $order->{id}, args => [], sql => '' };
	my $line = one_of(@{ $order->{lines} });
	if ($action eq 'dispatch' && !$pair && rand() < 0.6)
	{
		my $left = $line->{q} - $line->{out};
		my $n = $left > 0 && rand() < 0.9 ? 1 + int rand $left : $left + 1;
		$step->{args} = [ [ $line, $n ] ];
		$step->{sql} = ", items => '" . items_json([ $line, $n ]) . "'";
	}
	elsif ($action eq 'return' && !$pair && rand() < 0.7)
	{
		my $left = $line->{out} - $line->{back};
		my $n = $left > 0 && rand() < 0.9 ? 1 + int rand $left : $left + 1;
		my $condition = one_of(qw(good good good damaged lost));
		# what is lost must not be promised to others, of which the model knows nothing; and the shop must not run dry
		if ($condition eq 'lost')
		{
			my $name = $line->{product};
			$condition = 'good' if !$capacity{$name} || $name eq 'S' || sum0(map { $_->[1] } @{ $state->{capacity}{$name} }) - $n < 4
			  || free($state, $name, $clock, 9e9) < $n;
		}
		my $move = [ $line, $n, $condition, $condition eq 'damaged' ? 100 + int rand 400 : 0 ];
		$step->{args} = [$move];
		$step->{sql} = ", items => '" . items_json($move) . "'";
	}
	elsif ($action eq 'extend')
	{
		my $end = max(map { $_->{end} } @{ $order->{lines} }) + 86400 * (1 + int rand 3);
		$end -= 5 * 86400 if rand() < 0.1;
		$step->{args} = [$end];
		$step->{sql} = ", '${\at($end)}'";
	}
	elsif ($action eq 'change')
	{
		my $n = int rand 6;
		$step->{args} = [ $line->{id}, $n ];
		$step->{sql} = ", '$line->{id}', $n";
	}
	elsif ($action eq 'remove')
	{
		$step->{args} = [ $line->{id} ];
		$step->{sql} = ", '$line->{id}'";
	}
	elsif ($action eq 'pay')
	{
		my $amount = int rand 10000;
		$step->{args} = [$amount];
		$step->{sql} = ", ${\money($amount)}";
	}
	return $step;
}

sub step_sql
{
	my ($step) = @_;
	my $as = $step->{action} eq 'cancel' ? "SELECT rental.act_as('$customer', 'customer');" : '';
	my $what = "SELECT id FROM rental.$function{$step->{action}}('$step->{order}'$step->{sql})";
	$what =~ s/'/''/g;
	return "BEGIN; SET LOCAL rental.clock = '${\at($clock)}'; $as SELECT public.model_try('$what'); COMMIT";
}

# What stays of an answer: ok or the code.
sub outcome { my ($text) = @_; $text =~ s/^\s+//; return $text =~ /^ok/ ? 'ok' : $text }

# The books, by plain SQL

my $order_query = q{SELECT o.status, o.total, o.charges, o.cancellation_fee, o.paid, v.balance, (SELECT string_agg(concat_ws(' ', p.name, i.quantity, i.dispatched,
	i.returned, i.damaged, i.lost, i.total, extract(epoch FROM i.end_at)::bigint), ', ' ORDER BY i.id) FROM rental.order_items i JOIN rental.products p ON p.id = i.product_id WHERE i.order_id = o.id)
	FROM rental.orders o JOIN rental.order_view v ON v.id = o.id WHERE o.id = '%s'};
my $books = q{
	SELECT string_agg(what, '; ') FROM (
		SELECT 'sums of ' || o.number AS what FROM rental.orders o WHERE o.updated_at >= '%1$s'
			AND (o.total <> (SELECT sum(total) FROM rental.order_items WHERE order_id = o.id) + o.fee OR o.charges <> (SELECT COALESCE(sum(amount), 0) FROM rental.order_charges WHERE order_id = o.id)
				OR o.paid <> (SELECT COALESCE(sum(amount), 0) FROM rental.payments WHERE order_id = o.id))
		UNION ALL
		SELECT 'overbooked ' || p.name FROM rental.reservations r JOIN rental.products p ON p.id = r.product_id
		WHERE r.state IN ('hold', 'firm', 'out') AND (r.state <> 'hold' OR r.expires_at > '%1$s') AND upper(r.blocked) > '%1$s' AND (
			SELECT sum(x.quantity) FROM rental.reservations x WHERE x.product_id = r.product_id AND x.state IN ('hold', 'firm', 'out') AND (x.state <> 'hold' OR x.expires_at > '%1$s')
				AND x.blocked @> lower(r.blocked)) > (SELECT sum(c.quantity) FROM rental.stock_capacity c WHERE c.product_id = r.product_id AND c.period @> lower(r.blocked))
		UNION ALL
		SELECT 'two at once of unit ' || a.unit_id FROM rental.unit_assignments a JOIN rental.unit_assignments b ON b.unit_id = a.unit_id AND b.id > a.id AND b.blocked && a.blocked
	) w};

sub order_text
{
	my ($order) = @_;
	my $due = in_state($order, qw(cancelled rejected expired)) ? $order->{fee} : total($order) + $order->{charges};
	my $balance = $due - $order->{paid};
	return join '|', $order->{status}, money(total($order)), money($order->{charges}), money($order->{fee}), money($order->{paid}),
	  ($balance < 0 ? '-' : '') . money(abs $balance),
	  join(', ', map { join ' ', @$_{qw(product q out back damaged lost)}, money($_->{total}), $_->{end} } sort { ($a->{id} // 'z') cmp ($b->{id} // 'z') } @{ $order->{lines} });
}

my (%done, %refused, $what);
my $number = 0;

sub wrong
{
	my ($why) = @_;
	fail("step $number: $why");
	diag("MODEL_SEED=$seed MODEL_STEPS=$number replays it; the step was: $what");
	done_testing();
	exit 1;
}

# look ORDER...: those orders, the stock and the books are as the model has them.
sub look
{
	for my $id (@_)
	{
		my $order = $state->{orders}{$id};
		my $is = sql(sprintf $order_query, $id);
		my $wanted = order_text($order);
		# lines that were split off have ids of their own
		if (grep { !defined $_->{id} } @{ $order->{lines} })
		{
			my ($rest) = $is =~ /\|([^|]*)$/;
			my @ids = split /\n/, sql("SELECT id FROM rental.order_items WHERE order_id = '$id' ORDER BY id");
			my %known = map { $_->{id} => 1 } grep { defined $_->{id} } @{ $order->{lines} };
			my @new = grep { !$known{$_} } @ids;
			for my $line (grep { !defined $_->{id} } @{ $order->{lines} })
			{
				$line->{id} = shift @new or wrong('a line was not split off');
			}
			$wanted = order_text($order);
		}
		wrong("the order is $is, and should be $wanted") if $is ne $wanted;
		if (!$allowed{"$order->{was} $order->{status}"} && $order->{was} ne $order->{status} && !($order->{was} eq 'confirmed' && $order->{status} eq 'returned'))
		{
			wrong("$order->{was} became $order->{status}");
		}
		$order->{was} = $order->{status};
		delete $state->{orders}{$id} if in_state($order, qw(completed cancelled rejected expired));
	}
	my $from = $clock + 3600 * int rand 240;
	my $to = $from + 3600 * (1 + int rand 96);
	my @names = qw(P Q S);
	my $free = sql(join(' ', 'BEGIN; SET LOCAL rental.clock =', "'${\at($clock)}';", 'SELECT', join(', ', map { "rental.availability('$product{$_}{id}', tstzrange('${\at($from)}', '${\at($to)}'))" } @names), '; COMMIT'));
	my $wanted = join '|', map { free($state, $_, $from, $to) } @names;
	wrong("of @names are free $free from ${\at($from)} to ${\at($to)}, and should be $wanted") if $free ne $wanted;
	my $flaws = sql(sprintf $books, at($clock));
	wrong($flaws) if $flaws ne '';
	return if $number % $verify && $number != $steps;
	my $problems = sql("SELECT string_agg(problem, ', ') FROM rental.stock_verify()");
	wrong("the timelines: $problems") if $problems ne '';
}

# place: a new order, or a draft.
sub place
{
	my ($connection) = @_;
	my $draft = rand() < 0.3 ? 1 : 0;
	my @lines = map {
		my $from = (int($clock / 3600) + 1 + int rand 72) * 3600;
		price({ product => one_of(qw(P P Q K S)), q => 1 + int rand 3, start => $from, end => $from + 86400 * (1 + int rand 4),
			out => 0, back => 0, damaged => 0, lost => 0 })
	} 1 .. 1 + int rand 2;
	my $items = '[' . join(',', map { sprintf '{"product_id":"%s","quantity":%d,"start_at":"%s","end_at":"%s"}', $product{ $_->{product} }{id}, $_->{q}, at($_->{start}), at($_->{end}) } @lines) . ']';
	$what = ($draft ? 'draft ' : 'place ') . $items;
	my $answer = sql("BEGIN; SET LOCAL rental.clock = '${\at($clock)}'; SELECT public.model_try(\$q\$SELECT id FROM rental.order_place('$items', customer_id => '$customer', draft => ${\($draft ? 'true' : 'false')})\$q\$); COMMIT", $connection);
	my $next = dclone($state);
	my $order = $next->{orders}{new} = { n => $number, status => $draft ? 'draft' : 'pending', was => $draft ? 'draft' : 'pending', expires => $clock + 2 * 86400, lines => \@lines,
		charges => 0, fee => 0, paid => 0 };
	my $wanted = $draft || fits($next, @lines) ? 'ok' : 'insufficient_stock';
	wrong("it was $answer, and should be $wanted") if outcome($answer) ne $wanted;
	$wanted eq 'ok' ? $done{place}++ : $refused{place}++;
	return if $wanted ne 'ok';
	my ($id) = $answer =~ /^ok (\S+)/;
	$order->{id} = $id;
	$next->{orders}{$id} = delete $next->{orders}{new};
	my @ids = split /\n/, sql("SELECT id FROM rental.order_items WHERE order_id = '$id' ORDER BY id");
	$_->{id} = shift @ids for @lines;
	$state = $next;
	return $id;
}

# serve: whether the database may refuse for want of a unit what the count of units allows.
sub may_lack_units
{
	my ($step) = @_;
	return $step->{action} =~ /^(dispatch|extend)$/ && has_units($state->{orders}{ $step->{order} });
}

sub take
{
	my ($step, $got) = @_;
	my ($wanted, $next) = apply($state, $step);
	return if $got eq 'insufficient_stock' && $wanted eq 'ok' && may_lack_units($step);
	wrong("it was $got, and should be $wanted") if $got ne $wanted;
	$got eq 'ok' ? $done{ $step->{action} }++ : $refused{ $step->{action} }++;
	$state = $next;
}

for my $step_number (1 .. $steps)
{
	$number = $step_number;
	my $dice = rand;
	my @seen;
	$clock += 60 * (1 + int rand 150);
	if (keys %{ $state->{orders} } < 4 || ($dice < 0.2 && keys %{ $state->{orders} } < 14))
	{
		my $id = place(one_of(@connections));
		push @seen, $id if $id;
	}
	elsif ($dice < 0.23)
	{
		$what = 'expire';
		my $n = sql("BEGIN; SET LOCAL rental.clock = '${\at($clock)}'; SELECT rental.stock_expire_holds(); COMMIT", one_of(@connections));
		my @over = grep { in_state($_, qw(pending quoted)) && $_->{expires} <= $clock } values %{ $state->{orders} };
		wrong("$n orders expired, and should be " . @over) if $n != @over;
		$_->{status} = 'expired' for @over;
		$done{expire} += @over;
		@seen = map { $_->{id} } @over;
	}
	elsif ($dice < 0.27)
	{
		# by raw SQL no state can be reached that is none of the next, nor one that follows from the items
		my $order = one_of(sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} });
		my $to = one_of(grep { $_ ne $order->{status} } @states);
		$what = "raw $order->{status} -> $to";
		my $got = outcome(sql("BEGIN; SELECT public.model_try(\$q\$UPDATE rental.orders SET status = '$to' WHERE id = '$order->{id}' RETURNING id\$q\$); ROLLBACK", one_of(@connections)));
		my $wanted = $allowed{"$order->{status} $to"} && $to !~ /^(active|returned)$/ ? 'ok' : 'invalid_state';
		wrong("it was $got, and should be $wanted") if $got ne $wanted;
		@seen = ($order->{id});
		$done{raw}++;
	}
	elsif ($dice < 0.35)
	{
		# two at once: either may come first
		my @steps = grep { $_ } step_make(1), step_make(1);
		next if $steps[0]{order} eq $steps[1]{order};
		my @two = @connections[ 0, 1 + int rand 3 ];
		$what = join ' with ', map { "$_->{action} of $state->{orders}{ $_->{order} }{status} $_->{order}" } @steps;
		ask($two[$_], step_sql($steps[$_])) for 0, 1;
		my @got = map { outcome(answer($_)) } @two;
		my (@ways, @wanted);
		for my $way ([ 0, 1 ], [ 1, 0 ])
		{
			my $next = $state;
			my $fits = 1;
			for my $i (@$way)
			{
				my ($wanted, $after) = apply($next, $steps[$i]);
				push @wanted, $wanted;
				if ($got[$i] eq 'insufficient_stock' && $wanted eq 'ok' && may_lack_units($steps[$i])) { next }
				$fits = 0 if $wanted ne $got[$i];
				$next = $after;
			}
			push @ways, $next if $fits;
		}
		wrong("they were @got, and in no order could be: @wanted") unless @ways;
		$state = $ways[0];
		$done{pair}++;
		@seen = map { $_->{order} } @steps;
	}
	else
	{
		my $step = step_make(0);
		$what = "$step->{action} of $state->{orders}{ $step->{order} }{status} $step->{order}$step->{sql}";
		take($step, outcome(sql(step_sql($step), one_of(@connections))));
		@seen = ($step->{order});
	}
	look(@seen);
}

pass("seed $seed, $steps steps: " . join ', ', map { "$done{$_} $_" } sort keys %done);
cmp_ok($done{$_} // 0, '>=', $steps / 1000, "$_ was done often enough: " . ($done{$_} // 0)) for qw(place quote accept confirm cancel dispatch return close extend change pay pair raw expire);
cmp_ok(sum0(values %refused), '>', $steps / 50, 'and the model refused often enough: ' . sum0(values %refused));
cmp_ok(sql("SELECT count(*) FROM rental.order_charges WHERE kind = 'late'"), '>=', $steps / 1000, 'and what came back late was charged often enough');
is(sql("SELECT count(*) FROM rental.orders o WHERE NOT EXISTS (SELECT FROM rental.order_events e WHERE e.order_id = o.id)"), 0, 'every order has a history');
done_testing();
