package Model;

# A small model of a shop: its orders, what is free of each product over time, and what everything costs, in cents. It knows
# nothing of how the database works. Each action changes a state and returns ok, or the code of the error; who applies
# one to a copy (see apply) need not undo what was refused.
use strict;
use warnings;
use List::Util qw(max min sum0);
use POSIX qw(ceil);
use Storable 'dclone';

use constant { DAY => 86400, EVER => 9e9, HOLD => 2 * 86400, QUOTE => 14 * 86400, TAX => 19, DELIVERY => 700 };

our $clock;
our %product = (
	P => { cents => 1000, value => 4000, parts => { P => 1 } },
	Q => { cents => 755, value => 2000, parts => { Q => 1 } },
	K => { cents => 2001, value => 9000, parts => { P => 1, Q => 2 } },
	S => { cents => 1503, value => 30000, parts => { S => 1 } });
our %coupon = (TENTH => { percent => 10 }, FIVER => { amount => 500 }, FEW => { percent => 33 });

# The ways of an order; what follows from its items can go two steps at once, and so can what a policy does alone
our %way = map { $_ => 1 } ('draft quoted', 'quoted draft', 'quoted pending', 'pending confirmed', 'draft rejected', 'pending rejected',
	(map { "$_ cancelled" } qw(draft quoted pending confirmed)), 'quoted expired', 'pending expired', 'confirmed active', 'active returned', 'returned completed');
our %through = map { $_ => 1 } 'confirmed returned', 'quoted confirmed';

sub new_state
{
	return { orders => {}, capacity => { P => [ [ 0, 8 ] ], Q => [ [ 0, 10 ] ], S => [ [ 0, 4 ] ] }, policy => {}, waiver => 125, exempt => { S => 1 },
		uses => { map { $_ => 0 } keys %coupon }, most => { FEW => 3 } };
}

sub in_state
{
	my ($order, @states) = @_;
	return scalar grep { $order->{status} eq $_ } @states;
}
sub is_void { return in_state($_[0], qw(cancelled rejected expired)) }
sub has_expired { return in_state($_[0], qw(pending quoted)) && $_[0]{expires} <= $clock }
sub line_of { my ($order, $id) = @_; my ($line) = grep { defined $_->{id} && $_->{id} eq $id } @{ $order->{lines} }; return $line }

# Stock

sub holds { return in_state($_[0], qw(confirmed active)) || ($_[0]{status} eq 'pending' && !has_expired($_[0])) }

# free STATE, PRODUCT, FROM, TO: the least that is free in that time; below zero where more is promised than there is.
sub free
{
	my ($s, $name, $from, $to) = @_;
	my @changes = @{ $s->{capacity}{$name} };
	my @taken;
	for my $line (map { @{ $_->{lines} } } grep { holds($_) } values %{ $s->{orders} })
	{
		my $n = ($line->{q} - $line->{back}) * ($product{ $line->{product} }{parts}{$name} // 0);
		push @taken, [ $line->{start}, $line->{end}, $n ] if $n > 0 && $line->{start} < $to && $line->{end} > $from;
	}
	my @points = grep { $_ >= $from && $_ < $to } $from, map { $_->[0] } @taken, @changes;
	return min map {
		my $t = $_;
		sum0(map { $_->[0] <= $t ? $_->[1] : 0 } @changes) - sum0(map { $_->[0] <= $t && $t < $_->[1] ? $_->[2] : 0 } @taken)
	} @points;
}

# served STATE, CLAIM...: whether there is enough for what is newly claimed, [product, from, to]; what was promised before may lack.
sub served
{
	my ($s, @claims) = @_;
	for my $claim (@claims)
	{
		free($s, $_, @$claim[ 1, 2 ]) < 0 and return 'insufficient_stock' for keys %{ $product{ $claim->[0] }{parts} };
	}
	return 'ok';
}
sub claims { return map { [ @$_{qw(product start end)} ] } @_ }

# Money

# rounded N, OF: the quotient, half-up.
sub rounded { return POSIX::floor((2 * $_[0] + $_[1]) / (2 * $_[1])) }
sub days { my ($line) = @_; return max(1, ceil(($line->{end} - $line->{start}) / DAY)) }
sub undiscounted { my ($line) = @_; return $product{ $line->{product} }{cents} * days($line) * $line->{q} }
sub coupon_of { my ($order) = @_; return $coupon{ $order->{coupon} // '' } // {} }
sub taxed
{
	my ($line) = @_;
	$line->{tax} = rounded(TAX * ($line->{subtotal} - $line->{discount}), 100);
	$line->{total} = $line->{subtotal} - $line->{discount} + $line->{tax};
	return;
}

# spread AMOUNT, LINES: as discounts, by largest remainder.
sub spread
{
	my ($amount, @lines) = @_;
	my $sum = sum0(map { $_->{subtotal} } @lines);
	$_->{discount} = int($amount * $_->{subtotal} / $sum) for @lines;
	my @next = sort {
		($amount * $b->{subtotal} % $sum) <=> ($amount * $a->{subtotal} % $sum) || $b->{subtotal} <=> $a->{subtotal}
		  || $product{ $a->{product} }{id} cmp $product{ $b->{product} }{id} || $a->{start} <=> $b->{start} || $a->{end} <=> $b->{end}
	} @lines;
	$_->{discount}++ for @next[ 0 .. $amount - sum0(map { $_->{discount} } @lines) - 1 ];
	return;
}

# priced ORDER, LINES: these get their price anew; the sums follow.
sub priced
{
	my ($order, @lines) = @_;
	my $coupon = coupon_of($order);
	for my $line (@lines)
	{
		$line->{subtotal} = undiscounted($line);
		$line->{discount} = 0;
	}
	@lines = @{ $order->{lines} } if $coupon->{amount};
	my $sum = sum0(map { $_->{subtotal} } @lines);
	spread($coupon->{amount} ? min($coupon->{amount}, $sum) : rounded($sum * $coupon->{percent}, 100), @lines) if %$coupon && @lines;
	taxed($_) for @lines;
	$order->{waiver} = rounded($order->{waiver_percent} * sum0(map { $_->{subtotal} - $_->{discount} } grep { !$_->{exempt} } @{ $order->{lines} }), 1000);
	return;
}
sub total { my ($order) = @_; return sum0(map { $_->{total} } @{ $order->{lines} }) + $order->{delivery} + $order->{waiver} }
sub deposit { my ($order) = @_; return rounded(20 * (total($order) - $order->{delivery}), 100) }
sub is_paid { return $_[0]{paid} >= total($_[0]) }

# early ORDER, LINE, PIECES: what pieces that come back now cost too much: their price less that of this time, and the waiver's part of it.
sub early
{
	my ($order, $line, $n) = @_;
	return 0 if $clock >= $line->{end};
	my $short = { %$line, q => $n, end => max($clock, $line->{start} + 900) };
	$short->{subtotal} = undiscounted($short);
	$short->{discount} = rounded($short->{subtotal} * (coupon_of($order)->{percent} // 0), 100);
	taxed($short);
	my $net = rounded(($line->{subtotal} - $line->{discount}) * $n, $line->{q}) - ($short->{subtotal} - $short->{discount});
	return max(0, rounded($line->{total} * $n, $line->{q}) - $short->{total}) + ($line->{exempt} || $net < 0 ? 0 : rounded($order->{waiver_percent} * $net, 1000));
}

# late LINE: what a piece costs that comes back now: 5.00 a day and 0.70 an hour after two hours, and no more than 12.00.
sub late
{
	my ($line) = @_;
	my $late = $clock - $line->{end} - 2 * 3600;
	return $late <= 0 ? 0 : min(1200, 500 * int($late / DAY) + min(500, 70 * ceil($late % DAY / 3600)));
}

# What follows

sub settle
{
	my ($order) = @_;
	$order->{status} = 'active' if $order->{status} eq 'confirmed' && grep { $_->{out} > 0 } @{ $order->{lines} };
	$order->{status} = 'returned' if $order->{status} eq 'active' && !grep { $_->{back} < $_->{q} } @{ $order->{lines} };
	return;
}

# confirmed STATE, ORDER: claims anew what a hold that has ended had.
sub confirmed
{
	my ($s, $order) = @_;
	my @claims = has_expired($order) ? claims(@{ $order->{lines} }) : ();
	$order->{status} = 'confirmed';
	return served($s, @claims);
}
sub confirms_alone { my ($s, $order) = @_; return $s->{policy}{auto} && (!$s->{policy}{pay} || is_paid($order)) }
sub ended
{
	my ($s, $order, $status) = @_;
	$order->{status} = $status;
	$s->{uses}{ $order->{coupon} }-- if defined $order->{coupon};
	return 'ok';
}

# changed STATE, ORDER, LINES, CLAIMS: after items have changed, of which these get a new price.
sub changed
{
	my ($s, $order, $lines, @claims) = @_;
	priced($order, @$lines);
	$order->{status} = 'draft' if $order->{status} eq 'quoted';
	settle($order);
	return in_state($order, 'draft') ? 'ok' : served($s, @claims);
}

# longer STATE, ORDER, END: all that is not back stays until then; what is back becomes a line of its own.
sub longer
{
	my ($s, $order, $end) = @_;
	my @longer = grep { $_->{back} < $_->{q} } @{ $order->{lines} };
	return 'invalid_state' unless @longer;
	return 'missing_field' unless defined $end;
	return 'invalid_value' if grep { $end <= $_->{end} } @longer;
	my @claims = map { [ $_->{product}, $_->{end}, $end ] } @longer;
	for my $line (grep { $_->{back} > 0 } @longer)
	{
		my $part = { %$line, id => undef, q => $line->{back}, out => $line->{back}, map { $_ => rounded($line->{$_} * $line->{back}, $line->{q}) } qw(subtotal discount tax) };
		$part->{total} = $part->{subtotal} - $part->{discount} + $part->{tax};
		$line->{$_} -= $part->{$_} for qw(q out subtotal discount tax);
		@$line{qw(back damaged lost)} = (0, 0, 0);
		push @{ $order->{lines} }, $part;
	}
	$_->{end} = $end for @longer;
	priced($order, @longer);
	return served($s, @claims);
}

my @changing = qw(draft quoted pending confirmed active);
my @staying = qw(pending confirmed active);

our %action = (
	place => sub {
		my ($s, $order) = @_;
		if (defined(my $code = $order->{coupon}))
		{
			return 'rule_violated' if defined $s->{most}{$code} && $s->{uses}{$code} >= $s->{most}{$code};
			$s->{uses}{$code}++;
		}
		$_->{exempt} = $s->{exempt}{ $_->{product} } ? 1 : 0 for @{ $order->{lines} };
		priced($order, @{ $order->{lines} });
		return 'ok' if in_state($order, 'draft');
		$order->{status} = 'confirmed' if confirms_alone($s, $order);
		return served($s, claims(@{ $order->{lines} }));
	},
	quote => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted));
		priced($order, @{ $order->{lines} });
		@$order{qw(status expires)} = ('quoted', $clock + QUOTE);
		return 'ok';
	},
	accept => sub {
		my ($s, $order, $by) = @_;
		return 'invalid_state' unless in_state($order, 'quoted') && !has_expired($order);
		return 'invalid_period' if $by eq 'customer' && grep { $_->{start} < $clock - 3600 } @{ $order->{lines} };
		@$order{qw(status expires)} = ('pending', $clock + HOLD);
		$order->{status} = 'confirmed' if confirms_alone($s, $order);
		return served($s, claims(@{ $order->{lines} }));
	},
	confirm => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, 'pending') && (!$s->{policy}{pay} || is_paid($order));
		return confirmed($s, $order);
	},
	pay => sub {
		my ($s, $order, $by, $amount) = @_;
		return 'invalid_state' if is_void($order);
		$order->{paid} += $amount;
		return in_state($order, 'pending') && $s->{policy}{pay} && confirms_alone($s, $order) ? confirmed($s, $order) : 'ok';
	},
	reject => sub {
		my ($s, $order) = @_;
		return in_state($order, qw(draft pending)) ? ended($s, $order, 'rejected') : 'invalid_state';
	},
	cancel => sub {
		my ($s, $order, $by) = @_;
		return 'invalid_state' unless in_state($order, qw(draft quoted pending confirmed));
		my $hours = (min(map { $_->{start} } @{ $order->{lines} }) - $clock) / 3600;
		$order->{fee} = total($order) - rounded(total($order) * ($hours >= 48 ? 100 : $hours >= 24 ? 50 : 0), 100) if in_state($order, 'confirmed') && $by eq 'customer';
		return ended($s, $order, 'cancelled');
	},
	dispatch => sub {
		my ($s, $order, $by, $id, $n) = @_;
		return 'invalid_state' unless in_state($order, qw(confirmed active));
		my @moves = map { [ $_, $_->{q} - $_->{out} ] } grep { $_->{q} > $_->{out} } @{ $order->{lines} };
		@moves = [ line_of($order, $id), $n ] if defined $id;
		return 'invalid_state' unless @moves;
		return 'not_found' unless $moves[0][0];
		for (@moves)
		{
			my ($line, $out) = @$_;
			return 'invalid_value' if $out > $line->{q} - $line->{out};
			$line->{out} += $out;
		}
		settle($order);
		return 'ok';
	},
	return => sub {
		my ($s, $order, $by, $id, $n, $condition, $charge) = @_;
		return 'invalid_state' unless in_state($order, 'active');
		my @moves = map { [ $_, $_->{out} - $_->{back} ] } grep { $_->{out} > $_->{back} } @{ $order->{lines} };
		@moves = [ line_of($order, $id), $n ] if defined $id;
		return 'invalid_state' unless @moves;
		return 'not_found' unless $moves[0][0];
		$condition //= 'good';
		for (@moves)
		{
			my ($line, $pieces) = @$_;
			return 'invalid_value' if $pieces > $line->{out} - $line->{back};
			return 'rule_violated' if $condition eq 'damaged' && $charge && $order->{waiver_percent} && !$line->{exempt};
			$line->{back} += $pieces;
			$line->{$condition} += $pieces unless $condition eq 'good';
			my $of = $product{ $line->{product} };
			if ($condition eq 'lost')
			{
				$order->{charges} += $of->{value} * $pieces;
				push @{ $s->{capacity}{$_} }, [ $clock, -$pieces * $of->{parts}{$_} ] for keys %{ $of->{parts} };
			}
			else
			{
				$order->{charges} += ($charge // 0) + late($line) * $pieces - ($s->{policy}{prorate} ? early($order, $line, $pieces) : 0);
			}
		}
		settle($order);
		return 'ok';
	},
	charge => sub {
		my ($s, $order, $by, $amount) = @_;
		return 'invalid_state' unless in_state($order, qw(active returned));
		$order->{charges} += $amount;
		return 'ok';
	},
	close => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, 'returned');
		$order->{status} = 'completed';
		return 'ok';
	},
	extend => sub {
		my ($s, $order, $by, $end) = @_;
		return 'invalid_state' unless in_state($order, @staying);
		if ($by eq 'customer' && ($s->{policy}{ask} || grep { $_->{out} > $_->{back} && $_->{end} < $clock } @{ $order->{lines} }))
		{
			my $tried = dclone($s);
			my $its = $tried->{orders}{ $order->{id} };
			my $outcome = longer($tried, $its, $end);
			$order->{extension} = [ $end, total($its) - total($order) ] if $outcome eq 'ok';
			return $outcome;
		}
		$end //= ($order->{extension} // [])->[0];
		$order->{extension} = undef;
		return longer($s, $order, $end);
	},
	drop => sub {
		my ($s, $order) = @_;
		return 'invalid_state' unless in_state($order, @staying) && $order->{extension};
		$order->{extension} = undef;
		return 'ok';
	},
	add => sub {
		my ($s, $order, $by, $line) = @_;
		return 'invalid_state' unless in_state($order, @changing);
		push @{ $order->{lines} }, { %$line, exempt => $s->{exempt}{ $line->{product} } ? 1 : 0 };
		return changed($s, $order, [ $order->{lines}[-1] ], claims($line));
	},
	change => sub {
		my ($s, $order, $by, $id, $n, $end) = @_;
		return 'invalid_state' unless in_state($order, @changing);
		my $line = line_of($order, $id) // return 'not_found';
		$end = $line->{end} unless defined $end;
		return 'invalid_state' if $line->{out} > 0 && ($n > $line->{q} || $end != $line->{end});
		return 'invalid_value' if $n < max($line->{out}, 1);
		my $claims_anew = $n > $line->{q} || $end != $line->{end};
		@$line{qw(q end)} = ($n, $end);
		return changed($s, $order, [$line], $claims_anew ? claims($line) : ());
	},
	remove => sub {
		my ($s, $order, $by, $id) = @_;
		return 'invalid_state' unless in_state($order, @changing);
		my $line = line_of($order, $id) // return 'not_found';
		return 'invalid_state' if $line->{out} > 0 || @{ $order->{lines} } == 1;
		@{ $order->{lines} } = grep { $_ != $line } @{ $order->{lines} };
		return changed($s, $order, []);
	},
	# what the caller foresaw of the units, which the model does not tell apart
	swap => sub { my ($s, $order, $by, $outcome) = @_; return $outcome },
	stock => sub {
		my ($s, undef, $by, $name, $more, $force) = @_;
		$s->{capacity}{$name}[0][1] += $more;
		return $more < 0 && !$force && free($s, $name, $clock, EVER) < 0 ? 'conflict' : 'ok';
	},
);

# apply STATE, STEP: the outcome of a step, and the state after it.
sub apply
{
	my ($s, $step) = @_;
	my $next = dclone($s);
	my $order = $next->{orders}{ $step->{order} // '' };
	if ($step->{action} eq 'place')
	{
		$order = $next->{orders}{ $step->{order} } = dclone($step->{new});
	}
	my $outcome = $action{ $step->{action} }->($next, $order, $step->{by}, @{ $step->{args} // [] });
	return ($outcome, $outcome eq 'ok' ? $next : $s);
}

# expire STATE: the orders whose time is over.
sub expire
{
	my ($s) = @_;
	my @over = grep { has_expired($_) } values %{ $s->{orders} };
	ended($s, $_, 'expired') for @over;
	return @over;
}

# forget STATE: what can matter no more: orders that ended, and changes of the stock before any order began.
sub forget
{
	my ($s) = @_;
	delete $s->{orders}{$_} for grep { in_state($s->{orders}{$_}, qw(completed cancelled rejected expired)) } keys %{ $s->{orders} };
	my $since = min($clock, map { $_->{start} } map { @{ $_->{lines} } } values %{ $s->{orders} });
	for my $changes (values %{ $s->{capacity} })
	{
		my @old = grep { $_->[0] <= $since } @$changes;
		@$changes = ([ 0, sum0(map { $_->[1] } @old) ], grep { $_->[0] > $since } @$changes);
	}
	return;
}

sub money { my ($cents) = @_; return sprintf '%s%d.%02d', $cents < 0 ? '-' : '', abs($cents) / 100, abs($cents) % 100 }

# order_text ORDER: all that there is to know of it, as the query of the test has it.
sub order_text
{
	my ($order) = @_;
	my $due = is_void($order) ? $order->{fee} : total($order) + $order->{charges};
	my $extension = in_state($order, @staying) ? $order->{extension} : undef;
	return join '|', $order->{status}, (map { money($_) } $order->{waiver}, deposit($order), total($order), @$order{qw(charges fee paid)}, $due - $order->{paid}),
	  $extension ? "$extension->[0] ${\money($extension->[1])}" : '',
	  join ', ', map { join ' ', @$_{qw(product q out back damaged lost)}, (map { money($_) } @$_{qw(subtotal discount tax total)}), $_->{end} }
	  sort { ($a->{id} // 'z') cmp ($b->{id} // 'z') } @{ $order->{lines} };
}

1;
