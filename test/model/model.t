#!/usr/bin/perl
# The life of orders against a small model of it (Model.pm), at random: over several connections orders are placed, from the
# cart, too, offered, accepted, paid, confirmed, cancelled, handed out, taken back, early, late, damaged or lost, extended, with the
# vendor's leave or without, changed, charged, and expire, while the vendor changes its policy and its stock, also by force, and units are
# exchanged. After every step the orders, their money and the stock are what the model says; the stock is counted by plain SQL, too.
# Some steps are two or three at once, perhaps on one order, for which there must be an order in which the model takes them.
#
# MODEL_STEPS=2000   MODEL_SEED=1   MODEL_VERIFY=50: how often, in steps, everything there is is verified
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use IPC::Open2;
use List::Util qw(max min shuffle sum0);
use Model;
use POSIX ();
use Test::More;

my $steps = $ENV{MODEL_STEPS} || 2000;
my $seed = $ENV{MODEL_SEED} || 1;
my $verify = $ENV{MODEL_VERIFY} || 50;
srand($seed);
*clock = \$Model::clock;
our $clock = 1780304400;    # 2026-06-01 09:00 UTC
my %product = %Model::product;

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

sub at { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
sub one_of { return $_[ int rand @_ ] }
sub money { return Model::money($_[0]) }
# in_time QUERY: as one message and one transaction, at the model's time
sub in_time { my (@queries) = @_; return join ' \; ', 'BEGIN', "SET LOCAL rental.clock = '${\at($clock)}'", @queries, 'COMMIT' }

my ($vendor, $customer) = map { sprintf '00000000-0000-7000-8000-0000000000%02x', $_ } 1, 2;
my $state = Model::new_state();

sub policy_sql
{
	my ($policy, $waiver) = ($state->{policy}, $state->{waiver});
	return sprintf(q{SELECT rental.order_policy_set('%s', confirmation => '%s', payment => '%s', early_return => '%s', extension => '%s', delivers => true, delivery_fee => %s,
		cancellation => '[{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]') IS NULL;},
		$vendor, $policy->{auto} ? 'auto' : 'manual', $policy->{pay} ? 'before_confirmation' : 'none', $policy->{prorate} ? 'prorate' : 'none', $policy->{ask} ? 'manual' : 'auto', money(Model::DELIVERY))
	  . sprintf(q{SELECT rental.price_settings_set(vendor_id => '%s', deposit => 'percent_total', deposit_percent => 20, waiver_percent => %s, late_free => '2 hours', late_per_day => 5,
		late_per_hour => 0.7, late_cap => 12) IS NULL;}, $vendor, $waiver / 10)
	  . join(' ', map { "UPDATE rental.product_rates SET waiver_exempt = ${\($state->{exempt}{$_} ? 'true' : 'false')} WHERE product_id = '$product{$_}{id}';" } sort keys %product)
	  . "UPDATE rental.coupons SET most_uses = $state->{most}{FEW} WHERE code = 'FEW'";
}

sql(qq{SET client_min_messages = warning; SET rental.clock = '${\at($clock)}';
	INSERT INTO rental.users (id, email, password_hash, name, role) VALUES ('$customer', 'model\@example.com', '!', 'C', 'customer');
	INSERT INTO rental.vendors (id, name, slug, hold_time) VALUES ('$vendor', 'V', 'v', '2 days');
	INSERT INTO rental.locations (vendor_id, name) VALUES ('$vendor', 'Main');
	SELECT rental.tax_rate_create('VAT', ${\Model::TAX}, vendor_id => '$vendor') IS NULL;
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
		$name, $vendor, money($p->{cents}), money($p->{value}), { K => 'kit', S => 'serialised' }->{$name} // 'bulk');
}
my %quantity = map { $_ => $state->{capacity}{$_}[0][1] } qw(P Q);
sql("SELECT rental.stock_set('$product{$_}{id}', $quantity{$_})") for qw(P Q);
my $units = $state->{capacity}{S}[0][1];
sql("SELECT rental.unit_create('$product{S}{id}', 'S$_')") for 1 .. $units;
sql("SELECT rental.component_put('$product{K}{id}', '$product{$_}{id}', $product{K}{parts}{$_})") for qw(P Q);
for my $code (sort keys %Model::coupon)
{
	my $coupon = $Model::coupon{$code};
	sql("SELECT rental.coupon_create('$code', vendor_id => '$vendor', " . ($coupon->{percent} ? "percent => $coupon->{percent}" : "amount => ${\money($coupon->{amount})}") . ') IS NULL');
}
sql(policy_sql());

# The books, by plain SQL: an order; what is free, at one time and at the worst of all; and whether sums are right

sql(q{PREPARE order_text(uuid) AS SELECT o.status, o.waiver, o.deposit, o.total, o.charges, o.cancellation_fee, o.paid, v.balance,
	(extract(epoch FROM (v.extension ->> 'end_at')::timestamptz)::bigint) || ' ' || (v.extension ->> 'difference'),
	(SELECT string_agg(concat_ws(' ', p.name, i.quantity, i.dispatched, i.returned, i.damaged, i.lost, i.subtotal, i.discount, i.tax, i.total, extract(epoch FROM i.end_at)::bigint), ', ' ORDER BY i.id)
	 FROM rental.order_items i JOIN rental.products p ON p.id = i.product_id WHERE i.order_id = o.id)
	FROM rental.orders o JOIN rental.order_view v ON v.id = o.id WHERE o.id = $1});
sql(q{PREPARE items(uuid) AS SELECT id FROM rental.order_items WHERE order_id = $1 ORDER BY id});
sub books
{
	my ($name, $orders) = @_;
	return qq{PREPARE $name(timestamptz, uuid[]) AS
	WITH taken AS MATERIALIZED (SELECT r.product_id, r.quantity, r.blocked FROM rental.order_items i JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id
		WHERE $orders AND r.state <> 'released' AND (r.state <> 'hold' OR r.expires_at > \$1)),
	capacity AS MATERIALIZED (SELECT product_id, sum(quantity) FILTER (WHERE period \@> \$1) AS quantity FROM rental.stock_capacity GROUP BY 1)
	SELECT (SELECT string_agg((SELECT min(c.quantity - COALESCE((SELECT sum(t.quantity) FROM taken t WHERE t.product_id = p.id AND t.blocked \@> at), 0))
			FROM (SELECT \$1 AS at UNION SELECT lower(t.blocked) FROM taken t WHERE t.product_id = p.id AND lower(t.blocked) > \$1) points)::text, ' ' ORDER BY p.name)
		FROM rental.products p JOIN capacity c ON c.product_id = p.id WHERE p.tracking <> 'kit'),
	(SELECT string_agg('sums of ' || o.number, ', ') FROM rental.orders o, LATERAL (SELECT o.id AS order_id) i WHERE $orders AND
		(o.total <> (SELECT sum(total) FROM rental.order_items x WHERE x.order_id = o.id) + o.fee + o.waiver OR o.charges <> (SELECT COALESCE(sum(amount), 0) FROM rental.order_charges x WHERE x.order_id = o.id)
		OR o.paid <> (SELECT COALESCE(sum(amount), 0) FROM rental.payments x WHERE x.order_id = o.id)))};
}
sql(books('books', 'i.order_id = ANY ($2)'));
sql(books('all_books', '$2 IS NULL'));
sql(q{PREPARE flaws AS SELECT string_agg(what, ', ') FROM (
	SELECT problem FROM rental.stock_verify()
	UNION ALL SELECT 'two at once of unit ' || a.unit_id FROM rental.unit_assignments a JOIN rental.unit_assignments b ON b.unit_id = a.unit_id AND b.id > a.id AND b.blocked && a.blocked
	UNION ALL SELECT 'stock taken by ' || o.number FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id JOIN rental.reservations r ON r.order_item_id = i.id
		WHERE o.status NOT IN ('pending', 'confirmed', 'active') AND r.state <> 'released'
	UNION ALL SELECT 'uses of ' || c.code FROM rental.coupons c WHERE c.uses <> (SELECT count(*) FROM rental.coupon_uses u WHERE u.coupon_id = c.id)
	UNION ALL SELECT 'no history of ' || o.number FROM rental.orders o WHERE NOT EXISTS (SELECT FROM rental.order_events e WHERE e.order_id = o.id)) w (what)});

# Steps

my %function = (close => 'order_close', pay => 'payment_record', change => 'order_item_change', remove => 'order_item_remove', add => 'order_item_add', charge => 'order_charge_add',
	drop => 'order_extension_drop', swap => 'order_swap_unit', map { $_ => "order_$_" } qw(quote accept confirm reject cancel dispatch return extend));
my %sensible = (draft => [qw(quote quote change remove add reject cancel)], quoted => [qw(accept accept accept cancel quote change add)],
	pending => [qw(confirm confirm confirm reject cancel change remove add extend pay pay)], confirmed => [ ('dispatch') x 4, qw(change remove add cancel extend pay) ],
	active => [ ('return') x 7, ('dispatch') x 3, qw(extend extend change add pay charge) ], returned => [qw(close close pay charge)]);
my (%done, %refused, $what, $number);

sub lines_make
{
	my ($most) = @_;
	return map {
		my $from = (int($clock / 3600) + 1 + int rand 72) * 3600;
		{ product => one_of(qw(P P Q K S)), q => 1 + int rand 3, start => $from, end => $from + Model::DAY * (1 + int rand 4), map { $_ => 0 } qw(out back damaged lost subtotal discount) }
	} 1 .. 1 + int rand $most;
}

sub items_sql { return '[' . join(',', map { sprintf '{"product_id":"%s","quantity":%d,"start_at":"%s","end_at":"%s"}', $product{ $_->{product} }{id}, $_->{q}, at($_->{start}), at($_->{end}) } @_) . ']' }
sub item_sql { my (%item) = @_; return "items => '[{" . join(',', map { "\"$_\":" . (ref $item{$_} ? '["' . join('","', @{ $item{$_} }) . '"]' : "\"$item{$_}\"") =~ s/^"(\d+)"$/$1/r } sort keys %item) . "}]'" }

# place_make: an order, a draft, or what is in a cart.
sub place_make
{
	my ($no_cart) = @_;
	my $draft = rand() < 0.3;
	my @lines = lines_make(3);
	my $new = { n => $number, status => $draft ? 'draft' : 'pending', was => $draft ? 'draft' : 'pending', expires => $clock + Model::HOLD, lines => \@lines, charges => 0, fee => 0, paid => 0,
		delivery => rand() < 0.2 ? Model::DELIVERY : 0, waiver_percent => rand() < 0.4 ? $state->{waiver} : 0, coupon => rand() < 0.4 ? one_of(sort keys %Model::coupon) : undef };
	my @more = ($new->{coupon} ? "coupon => '$new->{coupon}'" : (), $new->{waiver_percent} ? 'damage_waiver => true' : ());
	my $step = { action => 'place', order => 'new' . ++$done{tried}, by => 'customer', new => $new, cart => !$draft && !$no_cart && rand() < 0.4 };
	push @more, q{delivery => '{"method":"delivery","address":{"line1":"1 Road","city":"Town","country":"DE"}}'} if $new->{delivery};
	$step->{sql} = $step->{cart} ? 'SELECT o.id FROM rental.cart_checkout(' . join(', ', @more) . ') c, unnest(c.orders) o'
	  : 'SELECT id FROM rental.order_place(' . join(', ', "'" . items_sql(@lines) . "'", @more, $draft ? 'draft => true' : ()) . ')';
	return $step;
}

# swap_make ORDER, STEP: a unit of the order for another; what comes of it is foreseen from the assignments as they are.
sub swap_make
{
	my ($order, $step) = @_;
	my @units = split /\n/, sql("SELECT id FROM rental.units WHERE product_id = '$product{S}{id}' AND in_service \@> '${\at($clock)}'::timestamptz ORDER BY id");
	my @own = split /\n/, sql("SELECT DISTINCT a.unit_id FROM rental.order_items i JOIN rental.reservations r ON r.order_item_id = i.id JOIN rental.unit_assignments a ON a.reservation_id = r.id WHERE i.order_id = '$order->{id}' AND r.state <> 'released' ORDER BY 1");
	my %own = map { $_ => 1 } @own;
	my @others = grep { !$own{$_} } @units;
	my ($from, $to) = (one_of(@own ? @own : @units), one_of(@others && rand() < 0.9 ? @others : @units));
	my $busy = sql("SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM rental.unit_assignments o WHERE o.unit_id = '$to' AND upper(o.blocked) > CASE r.state WHEN 'out' THEN GREATEST(lower(a.blocked), LEAST(upper(a.blocked), '${\at($clock)}'::timestamptz)) ELSE lower(a.blocked) END AND lower(o.blocked) < upper(a.blocked))
		OR (\$\$$from\$\$ = \$\$$to\$\$)), count(*) FILTER (WHERE upper(a.blocked) > '${\at($clock)}'), count(*) FROM rental.order_items i JOIN rental.reservations r ON r.order_item_id = i.id JOIN rental.unit_assignments a ON a.reservation_id = r.id AND a.unit_id = '$from' WHERE i.order_id = '$order->{id}' AND r.state <> 'released'");
	my ($taken, $own, $all) = split /\|/, $busy;
	# one that is overdue is to be extended first
	return unless $own && $own == $all;
	$step->{args} = [ $taken ? 'insufficient_stock' : 'ok' ];
	$step->{sql} = ", '$from', '$to'";
	return 1;
}

# step_make: a step at random, mostly one that makes sense.
sub step_make
{
	my ($at_once, $of) = @_;
	my @orders = sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} };
	my $order = $of // one_of(@orders);
	my $action = rand() < 0.12 ? one_of(sort grep { !/^(place|stock|swap)$/ } keys %Model::action) : one_of(@{ $sensible{ $order->{status} } });
	if (!$at_once && rand() < 0.08)
	{
		# a unit that is out can be exchanged
		my @with_units = grep { grep { $_->{product} eq 'S' && $_->{out} > $_->{back} && $_->{end} > $clock } @{ $_->{lines} } } @orders;
		($order, $action) = (one_of(@with_units), 'swap') if @with_units;
	}
	$action = 'return' if $action eq 'add' && @{ $order->{lines} } > 6;
	$action = one_of(qw(extend drop)) if $order->{extension} && rand() < 0.4;
	$action = one_of(qw(confirm cancel reject)) if $order->{status} eq 'pending' && Model::has_expired($order) && $action =~ /^(extend|change|add)$/;
	my $step = { action => $action, order => $order->{id}, by => 'system', args => [], sql => '' };
	my $line = one_of(@{ $order->{lines} });
	if ($action =~ /^(cancel|accept|drop)$/)
	{
		$step->{by} = one_of(qw(system customer));
	}
	elsif ($action eq 'dispatch' && rand() < 0.6)
	{
		my $left = $line->{q} - $line->{out};
		my $n = $left > 0 && rand() < 0.9 ? 1 + int rand $left : $left + 1;
		$step->{args} = [ $line->{id}, $n ];
		$step->{sql} = ', ' . item_sql(item_id => $line->{id}, quantity => $n);
	}
	elsif ($action eq 'return' && rand() < 0.6)
	{
		my $left = $line->{out} - $line->{back};
		my $n = $left > 0 && rand() < 0.9 ? 1 + int rand $left : $left + 1;
		my $condition = one_of(qw(good good good damaged damaged lost));
		my %more;
		if ($condition eq 'lost')
		{
			# the shop must not run dry; and which units others were to get the model does not know
			my @of = keys %{ $product{ $line->{product} }{parts} };
			$condition = 'good' if $n > $left || grep { sum0(map { $_->[1] } @{ $state->{capacity}{$_} }) < ($_ eq 'S' ? 4 : 7) } @of;
			if ($line->{product} eq 'S' && $condition eq 'lost')
			{
				# one that is out with somebody else by now cannot be lost
				my @out = split /\n/, sql("SELECT a.unit_id FROM rental.reservations r JOIN rental.unit_assignments a ON a.reservation_id = r.id WHERE r.order_item_id = '$line->{id}' AND r.state = 'out'
					AND NOT EXISTS (SELECT FROM rental.unit_assignments o JOIN rental.reservations x ON x.id = o.reservation_id WHERE o.unit_id = a.unit_id AND o.id <> a.id AND x.state = 'out' AND upper(o.blocked) > '${\at($clock)}') ORDER BY 1 LIMIT 1");
				($n, $more{unit_ids}) = (1, \@out);
				$condition = 'good' if $at_once || !@out || Model::free($state, 'S', $clock, Model::EVER) < 1;
			}
			delete $more{unit_ids} if $condition eq 'good';
		}
		my $charge = $condition eq 'damaged' && rand() < 0.7 ? 100 + int rand 400 : undef;
		$more{charge} = money($charge) if $charge;
		$more{condition} = $condition unless $condition eq 'good';
		$step->{args} = [ $line->{id}, $n, $condition, $charge ];
		$step->{sql} = ', ' . item_sql(item_id => $line->{id}, quantity => $n, %more);
	}
	elsif ($action eq 'extend')
	{
		my $end = max(map { $_->{end} } @{ $order->{lines} }) + Model::DAY * (1 + int rand 3);
		$end -= 5 * Model::DAY if rand() < 0.1;
		$step->{by} = one_of(qw(system customer)) unless $order->{extension};
		my $grants = $step->{by} eq 'system' && rand() < ($order->{extension} ? 0.8 : 0.1);
		$step->{args} = [ $grants ? undef : $end ];
		$step->{sql} = ", '${\at($end)}'" unless $grants;
	}
	elsif ($action eq 'add')
	{
		my ($new) = lines_make(1);
		$step->{args} = [$new];
		$step->{sql} = ", '$product{ $new->{product} }{id}', $new->{q}, '${\at($new->{start})}', '${\at($new->{end})}'";
	}
	elsif ($action eq 'change')
	{
		my $n = int rand 6;
		my $end = rand() < 0.3 ? max($line->{start} + Model::DAY, $line->{end} + Model::DAY * (int(rand 4) - 1)) : undef;
		$step->{args} = [ $line->{id}, $n, $end ];
		$step->{sql} = ", '$line->{id}', $n" . (defined $end ? ", end_at => '${\at($end)}'" : '');
	}
	elsif ($action eq 'remove')
	{
		$step->{args} = [ $line->{id} ];
		$step->{sql} = ", '$line->{id}'";
	}
	elsif ($action eq 'pay')
	{
		my $owed = Model::total($order) - $order->{paid};
		my $amount = $owed > 0 && rand() < 0.6 ? $owed : 1 + int rand 10000;
		$step->{args} = [$amount];
		$step->{sql} = ", ${\money($amount)}";
	}
	elsif ($action eq 'charge')
	{
		my $amount = 1 + int rand 2000;
		$step->{args} = [$amount];
		$step->{sql} = ", ${\money($amount)}, 'cleaning'";
	}
	elsif ($action eq 'swap')
	{
		return step_make($at_once, $of) if $at_once || !swap_make($order, $step);
	}
	$step->{sql} = "SELECT id FROM rental.$function{$action}('$order->{id}'$step->{sql})";
	return $step;
}

# stock_make: pieces more or fewer, by force perhaps, when who was promised them stays with the promise.
sub stock_make
{
	my $name = one_of(qw(P Q));
	my $is = sum0(map { $_->[1] } @{ $state->{capacity}{$name} });
	my $more = $is < 7 ? 1 + int rand 3 : $is > 12 ? -1 - int rand 3 : one_of(-2, -1, 1, 2);
	my $force = rand() < 0.3;
	$more = max($more, -$quantity{$name});
	return { action => 'stock', by => 'system', args => [ $name, $more, $force ], product => $name, more => $more,
		sql => "SELECT quantity FROM rental.stock_set('$product{$name}{id}', ${\($quantity{$name} + $more)}, force => ${\($force ? 'true' : 'false')})" };
}

sub step_sql
{
	my ($step) = @_;
	return in_time($step->{by} eq 'customer' ? "SELECT rental.act_as('$customer', 'customer')" : (), "SELECT public.model_try(\$q\$$step->{sql}\$q\$)");
}
sub step_text { my ($step) = @_; my $order = $state->{orders}{ $step->{order} // '' }; return "$step->{by} " . ($order ? "on $order->{status}" : '') . ": $step->{sql}" }

# What stays of an answer: ok or the code.
sub outcome { my ($text) = @_; $text =~ s/^\s+//; return $text =~ /^ok/ ? 'ok' : $text }

sub wrong
{
	my ($why) = @_;
	fail("step $number: $why");
	diag("MODEL_SEED=$seed MODEL_STEPS=$number replays it, but for what is at once; at ${\at($clock)}; the step was: $what");
	for my $order (sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} })
	{
		diag(join ' ', $order->{id}, 'until', at($order->{expires}), Model::order_text($order), map { at($_->{start}) } @{ $order->{lines} });
	}
	diag("capacity of $_: " . join ', ', map { "$_->[1] from ${\at($_->[0])}" } @{ $state->{capacity}{$_} }) for qw(P Q S);
	done_testing();
	exit 1;
}

# may_lack_units: whether the database may refuse for want of a unit, or because its own is lost, what the count of units allows.
sub may_lack_units
{
	my ($step) = @_;
	my $order = $step->{order} ? $state->{orders}{ $step->{order} } : undef;
	return $order && $step->{action} =~ /^(dispatch|extend|change)$/ && grep { $_->{product} eq 'S' } @{ $order->{lines} };
}

# cart_look CONNECTION, STEP: puts the step's lines into the cart; a look at it tells of each whether there is enough for it alone,
# and what those cost together.
sub cart_look
{
	my ($connection, $step) = @_;
	my $new = $step->{new};
	my @lines = @{ $new->{lines} };
	my @fit = map {
		my $line = $_;
		my $parts = $product{ $line->{product} }{parts};
		!grep { int(Model::free($state, $_, @$line{qw(start end)}) / $parts->{$_}) < $line->{q} } keys %$parts
	} @lines;
	my $used_up = $new->{coupon} && defined $state->{most}{ $new->{coupon} } && $state->{uses}{ $new->{coupon} } >= $state->{most}{ $new->{coupon} };
	my @arguments = (!$used_up && $new->{coupon} ? "coupon => '$new->{coupon}'" : (), $new->{waiver_percent} ? 'damage_waiver => true' : ());
	my $seen = sql(in_time("SELECT rental.act_as('$customer', 'customer')", 'DELETE FROM rental.cart_items',
		(map { "SELECT FROM rental.cart_add('$product{ $_->{product} }{id}', $_->{q}, '${\at($_->{start})}', '${\at($_->{end})}')" } @lines),
		"SELECT is_ready, (SELECT string_agg(COALESCE(i.problem, 'ok'), ' ' ORDER BY i.id) FROM unnest(items) i), (SELECT concat_ws(' ', discount, waiver, deposit, total) FROM unnest(vendors)) FROM rental.cart_get(${\join ', ', @arguments})"), $connection);
	$seen =~ s/^\s+//;
	my @priced = map { { %{ $lines[$_] }, exempt => $state->{exempt}{ $lines[$_]{product} } } } grep { $fit[$_] } 0 .. $#lines;
	my $whole = { %$new, delivery => 0, lines => \@priced, coupon => $used_up ? undef : $new->{coupon}, waiver_percent => $state->{waiver} };
	Model::priced($whole, @priced);
	my $waiver = $whole->{waiver};
	$whole->{waiver} = 0 unless $new->{waiver_percent};
	my $wanted = join '|', @priced == @lines ? 't' : 'f', join(' ', map { $_ ? 'ok' : 'insufficient_stock' } @fit),
	  @priced ? join(' ', map { money($_) } sum0(map { $_->{discount} } @priced), $waiver, Model::deposit($whole), Model::total($whole)) : '';
	wrong("the cart is $seen, and should be $wanted") if $seen ne $wanted;
	return;
}

# look STATES, SEEN...: one of the states is that of those orders, and is taken; the stock and the books are as it has them.
sub look
{
	my ($ways, @seen) = @_;
	my %live = map { $_ => 1 } map { keys %{ $_->{orders} } } @$ways;
	my $from = $clock + 3600 * int rand 240;
	my $to = $from + 3600 * (1 + int rand 96);
	my @counted = qw(P Q S);
	my @answers = split /\n/, sql(in_time((map { ("EXECUTE order_text('$_')", "EXECUTE items('$_')", "SELECT '--'") } @seen),
		'SELECT ' . join(', ', map { "rental.availability('$product{$_}{id}', tstzrange('${\at($from)}', '${\at($to)}'))" } @counted),
		"EXECUTE books('${\at($clock)}', '{" . join(',', sort keys %live) . "}')")), -1;
	my (%is, %items);
	for my $id (@seen)
	{
		$is{$id} = shift @answers;
		push @{ $items{$id} }, shift @answers while $answers[0] ne '--';
		shift @answers;
	}
	my $wanted;
	WAY: for my $way (@$ways)
	{
		for my $id (@seen)
		{
			my $order = $way->{orders}{$id};
			# new lines have ids of the database
			my %known = map { $_->{id} => 1 } grep { defined $_->{id} } @{ $order->{lines} };
			my @new = grep { !$known{$_} } @{ $items{$id} };
			$_->{id} = shift @new for grep { !defined $_->{id} } @{ $order->{lines} };
			$wanted = Model::order_text($order);
			next WAY if $is{$id} ne $wanted;
		}
		$wanted = undef;
		$state = $way;
		last;
	}
	wrong("the order is @is{@seen}, and should be $wanted") if defined $wanted;
	for my $order (map { $state->{orders}{$_} } @seen)
	{
		my $step = "$order->{was} $order->{status}";
		wrong("it became from $step") unless $order->{was} eq $order->{status} || $Model::way{$step} || $Model::through{$step} || $order->{steps_at_once};
		@$order{qw(was steps_at_once)} = ($order->{status}, 0);
	}
	my $free = shift @answers;
	my $free_wanted = join '|', map { max(0, Model::free($state, $_, $from, $to)) } @counted;
	wrong("of @counted are free $free from ${\at($from)} to ${\at($to)}, and should be $free_wanted") if $free ne $free_wanted;
	my $books = shift @answers;
	my $books_wanted = join(' ', map { Model::free($state, $_, $clock, Model::EVER) } @counted) . '|';
	wrong("the books have $books of @counted, and should have $books_wanted") if $books ne $books_wanted;
	Model::forget($state);
	return if $number % $verify && $number != $steps;
	$books = sql(in_time("EXECUTE all_books('${\at($clock)}', NULL)"));
	wrong("all books have $books of @counted, and should have $books_wanted") if $books ne $books_wanted;
	my $flaws = sql('EXECUTE flaws');
	wrong($flaws) if $flaws ne '';
	my $uses = sql('SELECT string_agg(code || uses, \' \' ORDER BY code) FROM rental.coupons');
	my $uses_wanted = join ' ', map { "$_$state->{uses}{$_}" } sort keys %Model::coupon;
	wrong("the coupons' uses are $uses, and should be $uses_wanted") if $uses ne $uses_wanted;
	return;
}

# orders_of LISTS...: every order in which some things can come.
sub orders_of
{
	my (@things) = @_;
	return [@things] if @things < 2;
	return map { my $i = $_; map { [ $things[$i], @$_ ] } orders_of(@things[ grep { $_ != $i } 0 .. $#things ]) } 0 .. $#things;
}

# run STEPS: on a connection each, at once; returns the states that the model can be in now, and which orders are concerned.
sub run
{
	my (@at_once) = @_;
	my @on = (shuffle @connections)[ 0 .. $#at_once ];
	$what = join "\nwith ", map { step_text($_) } @at_once;
	$_->{new} && $_->{cart} and cart_look($on[0], $_) for @at_once;
	ask($on[$_], step_sql($at_once[$_])) for 0 .. $#at_once;
	for my $i (0 .. $#at_once)
	{
		my $answer = answer($on[$i]);
		$at_once[$i]{got} = outcome($answer);
		($at_once[$i]{id}) = $answer =~ /ok (\S+)/;
	}
	my (@ways, %wanted);
	for my $order (orders_of(@at_once))
	{
		my $s = $state;
		my $fits = 1;
		for my $step (@$order)
		{
			my ($wanted, $after) = Model::apply($s, $step);
			$wanted{"$step->{action} $wanted"} = 1;
			next if $step->{got} =~ /^(insufficient_stock|conflict)$/ && $wanted =~ /^(ok|insufficient_stock)$/ && may_lack_units($step);
			$fits &&= $wanted eq $step->{got};
			last unless $fits;
			$s = $after;
		}
		next unless $fits;
		# what was placed has an id of the database's
		for my $step (grep { $_->{action} eq 'place' && $_->{got} eq 'ok' } @at_once)
		{
			my $order = $s->{orders}{ $step->{id} } = delete $s->{orders}{ $step->{order} };
			$order->{id} = $step->{id};
			$order->{was} = $order->{status};
		}
		push @ways, $s;
	}
	wrong('they were ' . join(', ', map { "$_->{action} $_->{got}" } @at_once) . ', and in no order could be; the model has ' . join ', ', sort keys %wanted) unless @ways;
	$_->{got} eq 'ok' ? $done{ $_->{cart} ? 'cart' : $_->{action} }++ : $refused{ $_->{action} }++ for @at_once;
	my %seen = map { ($_->{action} eq 'place' ? $_->{id} // '' : $_->{order} // '') => 1 } @at_once;
	delete $seen{''};
	return (\@ways, sort keys %seen);
}

for (1 .. $steps)
{
	$number = $_;
	my $dice = rand;
	my $orders = keys %{ $state->{orders} };
	$clock += 60 * (1 + int rand 150);
	if ($orders < 4 || ($dice < 0.2 && $orders < 14))
	{
		look(run(place_make(0)));
	}
	elsif ($dice < 0.23)
	{
		$what = 'expire';
		my $n = sql(in_time('SELECT rental.stock_expire_holds()'), one_of(@connections));
		my @over = Model::expire($state);
		wrong("$n orders expired, and should be " . @over) if $n != @over;
		$done{expire} += @over;
		look([$state], map { $_->{id} } @over);
	}
	elsif ($dice < 0.24)
	{
		$state->{policy} = { map { $_ => rand() < 0.5 } qw(auto pay prorate ask) };
		$state->{waiver} = one_of(75, 100, 125);
		$state->{exempt} = { map { $_ => rand() < 0.3 } keys %product };
		$state->{most}{FEW} = max(1, $state->{uses}{FEW} + int rand 4);
		$what = 'policy';
		sql(policy_sql(), one_of(@connections));
		$done{policy}++;
		look([$state]);
	}
	elsif ($dice < 0.26)
	{
		if (sum0(map { $_->[1] } @{ $state->{capacity}{S} }) < 4)
		{
			$units++;
			$what = 'a new unit';
			sql("SELECT rental.unit_create('$product{S}{id}', 'S$units')");
			$state->{capacity}{S}[0][1]++;
			look([$state]);
		}
		else
		{
			my $step = stock_make();
			my ($ways) = run($step);
			$quantity{ $step->{product} } += $step->{more} if $step->{got} eq 'ok';
			look($ways);
		}
	}
	elsif ($dice < 0.28)
	{
		# by raw SQL no state can be reached that is none of the next, nor one that follows from the items
		my $order = one_of(sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} });
		my $to = one_of(grep { $_ ne $order->{status} } qw(draft quoted pending confirmed active returned completed cancelled rejected expired));
		$what = "raw $order->{status} -> $to";
		my $got = outcome(sql("BEGIN; SELECT public.model_try(\$q\$UPDATE rental.orders SET status = '$to' WHERE id = '$order->{id}' RETURNING id\$q\$); ROLLBACK", one_of(@connections)));
		my $wanted = $Model::way{"$order->{status} $to"} && $to !~ /^(active|returned)$/ ? 'ok' : 'invalid_state';
		wrong("it was $got, and should be $wanted") if $got ne $wanted;
		$done{raw}++;
		look([$state], $order->{id});
	}
	elsif ($dice < 0.4)
	{
		my $of = rand() < 0.3 ? one_of(sort { $a->{n} <=> $b->{n} } values %{ $state->{orders} }) : undef;
		my @at_once = map { !$of && $orders < 14 && rand() < 0.2 ? place_make(1) : step_make(1, $of) } 1 .. 2 + int rand 2;
		my ($ways, @seen) = run(@at_once);
		for my $way (@$ways)
		{
			$way->{orders}{$_}{steps_at_once} = 1 for @seen;
		}
		$done{'at once'}++;
		$done{'at once on one order'}++ if $of;
		look($ways, @seen);
	}
	else
	{
		look(run(step_make(0)));
	}
}

delete $done{tried};
pass("seed $seed, $steps steps: " . join ', ', map { "$done{$_} $_" } sort keys %done);
pass('refused: ' . join ', ', map { "$refused{$_} $_" } sort keys %refused);
cmp_ok($done{$_} // 0, '>=', $steps / 2000, "$_ was done often enough: " . ($done{$_} // 0))
  for (grep { !/^(drop|swap)$/ } sort keys %Model::action), 'cart', 'policy', 'raw', 'expire', 'at once', 'at once on one order';
cmp_ok($done{$_} // 0, '>=', $steps / 5000, "$_ was done often enough: " . ($done{$_} // 0)) for qw(drop swap);
cmp_ok(sum0(values %refused), '>', $steps / 50, 'and the model refused often enough');
cmp_ok(sql("SELECT count(*) FROM rental.order_charges WHERE kind = '$_'"), '>=', $steps / 2000, "and $_ was charged often enough") for qw(early_return late damage loss);
cmp_ok(sql("SELECT count(*) FROM rental.order_events WHERE kind = '$_'"), '>=', $steps / 5000, "and there was $_ often enough") for qw(extension_asked extension_dropped unit_swapped);
cmp_ok(sql('SELECT count(*) FROM rental.orders WHERE waiver > 0 AND discount > 0 AND fee > 0'), '>=', $steps / 5000, 'and orders with all that often enough');
done_testing();
