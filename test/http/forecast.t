#!/usr/bin/perl
# Forecasts: of series whose answer is known or reckoned here by another program; of products; and what follows from them.
use strict;
use warnings;
use List::Util qw(max min sum0);
use RentalTest;
use Test::More;

# series DEMAND, WEEKS, SEASON: what forecast_series() answers.
sub series
{
	my ($y, $weeks, $season) = @_;
	my $row = sql("SELECT to_jsonb(f) FROM rental.forecast_series(ARRAY[" . join(',', @$y) . "]::double precision[], $weeks, " . ($season // 52) . ') f');
	return JSON::PP->new->decode($row);
}

# near A, B, NAME: equal but for rounding.
sub near
{
	my ($got, $wanted, $name, $slack) = @_;
	return ok(defined $got && abs($got - $wanted) <= ($slack // 1e-6) * max(1, abs $wanted), $name) || diag('got ', $got // 'null', ", wanted $wanted");
}

sub mean { return @_ ? sum0(@_) / @_ : 0 }

# smooth MODEL, Y, SEASON, PARAMETERS, WEEKS: the textbook's recursions (Hyndman and Athanasopoulos, 8.2 to 8.4), written anew: the
# component form with the smoothing equations, not the error correction form. Returns the squared errors and the forecasts.
sub smooth
{
	my ($model, $y, $m, $p, $weeks) = @_;
	my ($alpha, $phi) = ($p->{alpha}, $model eq 'simple' ? 1 : $p->{phi});
	my $beta = $model eq 'simple' ? 0 : $p->{beta};
	my ($l, $b, @s, $sse);

	if ($model eq 'holt_winters')
	{
		my ($one, $two) = (mean(@$y[ 0 .. $m - 1 ]), mean(@$y[ $m .. 2 * $m - 1 ]));
		$b = ($two - $one) / $m;
		$l = $one - $b * ($m + 1) / 2;
		@s = map { ($y->[$_] + $y->[ $m + $_ ] - $one - $two) / 2 - $b * ($_ - ($m - 1) / 2) } 0 .. $m - 1;
	}
	else
	{
		my $half = int(@$y / 2);
		@s = (0) x @$y;
		($l, $b) = (mean(@$y[ 0 .. min(3, $#$y) ]), 0);
		$b = (mean(@$y[ $half .. $#$y ]) - mean(@$y[ 0 .. $half - 1 ])) / ($half) if $model eq 'damped_trend';
		$l = $y->[0] - $b if $model eq 'damped_trend';
	}
	for my $t (0 .. $#$y)
	{
		my $season = $model eq 'holt_winters' ? $s[$t] : 0;
		my $level = $alpha * ($y->[$t] - $season) + (1 - $alpha) * ($l + $phi * $b);
		$sse += ($y->[$t] - $l - $phi * $b - $season)**2;
		push @s, $p->{gamma} * ($y->[$t] - $l - $phi * $b) + (1 - $p->{gamma}) * $season if $model eq 'holt_winters';
		($l, $b) = ($level, $beta * ($level - $l) + (1 - $beta) * $phi * $b);
	}
	my @forecast = map {
		my $h = $_;
		max(0, $l + $b * sum0(map { $phi**$_ } 1 .. $h) + ($model eq 'holt_winters' ? $s[ @$y + ($h - 1) % $m ] : 0))
	} 1 .. $weeks;
	return ($sse, @forecast);
}

# agrees NAME, Y, SEASON, MODEL: forecasts are those of the textbook for the parameters found, and no grid finds better ones.
sub agrees
{
	my ($name, $y, $m, $model) = @_;
	my $f = series($y, 10, $m);
	is($f->{model}, $model, "$name: $model") or return $f;
	my ($sse, @forecast) = smooth($model, $y, $m, $f, 10);
	near($f->{sse}, $sse, "$name: the same errors");
	near(max(map { abs($f->{forecast}[$_] - $forecast[$_]) } 0 .. 9), 0, "$name: the same forecasts", 1e-6 * max(1, @forecast));
	my $least = 9**9**9;
	for my $alpha (0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
	{
		for my $beta ($model eq 'simple' ? 0 : (0.02, 0.1, 0.3, 0.6))
		{
			for my $phi ($model eq 'simple' ? 1 : (0.8, 0.9, 0.97))
			{
				for my $gamma ($model eq 'holt_winters' ? (0.01, 0.1, 0.3) : 0)
				{
					my ($at) = smooth($model, $y, $m, { alpha => $alpha, beta => $beta, phi => $phi, gamma => $gamma * (1 - $alpha) }, 1);
					$least = $at if $at < $least;
				}
			}
		}
	}
	cmp_ok($f->{sse}, '<=', $least * 1.001, "$name: no grid finds better parameters");
	return $f;
}

# noise: the same numbers each time, about normal, of variance 1
my $state = 42;
sub noise { return sum0(map { $state = ($state * 1103515245 + 12345) % 2147483648; $state / 2147483648 - 0.5 } 1 .. 12) }

# Known series

for my $n (1, 3, 10, 60, 160)
{
	my $f = series([ (7) x $n ], 5);
	is_deeply([ $f->{model}, @{ $f->{forecast} } ], [ 'mean', (7) x 5 ], "$n times 7 is 7 again, exactly");
	is($f->{mae}, $n >= 3 ? '0.0000' + 0 : undef, 'with no error') if $n >= 3;
}
is_deeply(series([], 2)->{forecast}, [ 0, 0 ], 'nothing known: nothing is forecast');
is_deeply(series([ (0) x 30 ], 2)->{forecast}, [ 0, 0 ], 'never wanted: nothing is forecast');
is_deeply([ @{ series([ 1, 2, 6 ], 1) }{qw(model forecast)} ], [ 'mean', [3] ], 'three points: their mean');
{
	my @y = map { max(0, 10 + 0.5 * noise()) } 1 .. 60;
	my $f = series(\@y, 1);
	near($f->{forecast}[0], 10, 'noise about 10 is forecast as about 10', 0.05);
}
agrees('a level that moves', [ map { 20 + 8 * ($_ > 20) - 11 * ($_ > 40) + 0.5 * noise() } 1 .. 60 ], 52, 'simple');
agrees('a trend', [ map { 5 + 3 * $_ + noise() } 1 .. 40 ], 52, 'damped_trend');
{
	my @y = map { max(0, 20 + 15 * sin(2 * 3.14159265 * $_ / 52) + 0.02 * $_ + noise()) } 1 .. 160;
	my $f = agrees('a year\'s season', \@y, 52, 'holt_winters');
	cmp_ok($f->{mae}, '<', 0.7 * $f->{naive_mae}, "beats the naive forecast: $f->{mae} to $f->{naive_mae}");
	cmp_ok($f->{mase}, '<', 2, 'mase of four weeks ahead');
	my @next = map { 20 + 15 * sin(2 * 3.14159265 * $_ / 52) + 0.02 * $_ } 161 .. 170;
	cmp_ok(mean(map { abs($f->{forecast}[$_] - $next[$_]) } 0 .. 9), '<', 2, 'and goes on as the season does');
	near($f->{naive_mae}, mean(map { my $o = $_; map { abs($y[$_] - $y[ $o - 1 ]) } $o .. min($o + 3, 159) } 148 .. 159), 'the naive error, reckoned here', 1e-4);
	near($f->{seasonal_naive_mae}, mean(map { my $o = $_; map { abs($y[$_] - $y[ $_ - 52 ]) } $o .. min($o + 3, 159) } 148 .. 159), 'the seasonal naive error', 1e-4);
}
agrees('a short season', [ map { (12, 30, 18, 4)[ $_ % 4 ] + noise() } 0 .. 39 ], 4, 'holt_winters');
{
	# Croston's method, corrected by Syntetos and Boylan, with the alpha that leaves the least squared errors
	my @y = map { $_ % 5 == 3 ? 2 + $_ % 3 : 0 } 0 .. 39;
	my ($least, $forecast) = (9**9**9);
	for my $alpha (map { 0.03 * $_ } 1 .. 10)
	{
		my ($z, $p, $q, $sse) = (undef, undef, 1, 0);
		for my $d (@y)
		{
			$sse += ($d - (defined $z ? (1 - $alpha / 2) * $z / $p : 0))**2;
			if ($d > 0)
			{
				($z, $p) = defined $z ? ($alpha * $d + (1 - $alpha) * $z, $alpha * $q + (1 - $alpha) * $p) : ($d, $q);
				$q = 0;
			}
			$q++;
		}
		($least, $forecast) = ($sse, (1 - $alpha / 2) * $z / $p) if $sse < $least;
	}
	my $f = series(\@y, 3);
	is($f->{model}, 'croston', 'demand that is mostly zero');
	near($f->{forecast}[$_], $forecast, 'the same forecast') for 0, 2;
}
{
	# the back-test, where the model is the mean of all that is known: each step by hand
	my @y = (4, 6, 5);
	my $f = series(\@y, 1);
	is($f->{points}, 1, 'one point to test');
	near($f->{mae}, 0, 'mean of 4 and 6, and 5 came');
	near($f->{naive_mae}, 1, 'where 6 was the last');
}
is(call('GET', '/api/analytics/reports/forecast/?weeks=0', as => demo('vendor'))->{json}{code}, 'invalid_value', 'no weeks are refused');
is(call('GET', '/api/analytics/reports/suggestions/?weeks=105', as => demo('vendor'))->{json}{code}, 'invalid_value', 'and too many');

# Products: rentals of thirty weeks, and something that was lost

my $vendor = vendor(time_zone => 'Europe/Vienna');
my $other = vendor();
my $customer = customer();
my $id = $vendor->{user}{vendor_id};
my $camera = product($vendor, 3, day_rate => '40.00');
my $shelf = product($vendor, 10);
my $new = product($vendor, 10);
sql(qq{
	UPDATE rental.products SET created_at = now() - interval '400 days' WHERE id IN ('$camera->{id}', '$shelf->{id}');
	DO \$\$
	DECLARE
		monday timestamptz := date_trunc('week', now() AT TIME ZONE 'Europe/Vienna') AT TIME ZONE 'Europe/Vienna';
		start timestamptz;
		placed uuid;
	BEGIN
		FOR w IN 1..30 LOOP
			start := monday - make_interval(weeks => w) + interval '30 hours';
			PERFORM set_config('rental.clock', (start - interval '2 days')::text, true);
			placed := (rental.order_place(jsonb_build_array(
				jsonb_build_object('product_id', '$camera->{id}', 'quantity', 1 + w % 2, 'start_at', start, 'end_at', start + interval '2 days'),
				jsonb_build_object('product_id', '$camera->{id}', 'quantity', 1, 'start_at', start + interval '1 day', 'end_at', start + interval '3 days')),
				customer_id => '$customer->{user}{id}')).id;
			PERFORM rental.order_confirm(placed);
			IF w % 10 = 0 THEN
				PERFORM rental.order_cancel(placed);
			END IF;
		END LOOP;
		PERFORM set_config('rental.clock', '', true);
	END \$\$;
	INSERT INTO rental.lost_demand (vendor_id, product_id, start_at, end_at, quantity, value, currency, reason, source, who, day, created_at)
		SELECT '$id', '$camera->{id}', d, d + interval '1 day', 4, 160, 'EUR', 'insufficient_stock', 'order', n::text, current_date, now() - interval '1 hour'
		FROM generate_series(1, 12) n, LATERAL (SELECT (date_trunc('week', now() AT TIME ZONE 'Europe/Vienna') - make_interval(weeks => n) + interval '60 hours') AT TIME ZONE 'Europe/Vienna' AS d) x});
# the demand in plain SQL: at each start of a rental or wish in the week, or at its beginning, all that goes on then
my $demand = sql(qq{
	WITH want AS (
		SELECT i.start_at, i.end_at, i.quantity FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id
		WHERE i.product_id = '$camera->{id}' AND o.status NOT IN ('draft', 'quoted', 'cancelled', 'rejected', 'expired') AND i.start_at < now()
		UNION ALL SELECT start_at, end_at, quantity FROM rental.lost_demand WHERE product_id = '$camera->{id}'
	), week AS (
		SELECT k AT TIME ZONE 'Europe/Vienna' AS f, (k + interval '1 week') AT TIME ZONE 'Europe/Vienna' AS t
		FROM generate_series((SELECT date_trunc('week', min(start_at) AT TIME ZONE 'Europe/Vienna') FROM want),
			date_trunc('week', now() AT TIME ZONE 'Europe/Vienna') - interval '1 week', interval '1 week') k
	)
	SELECT array_agg(COALESCE((SELECT max((SELECT sum(x.quantity) FROM want x WHERE x.start_at <= p.at AND x.end_at > p.at))
		FROM (SELECT w.f AS at UNION ALL SELECT start_at FROM want WHERE start_at >= w.f AND start_at < w.t) p), 0) ORDER BY w.f) FROM week w});
my $report = expect(call('GET', "/api/analytics/reports/forecast/?product_id=$camera->{id}&weeks=6", as => $vendor), 200, 'the report')->{results};
my @known = $demand =~ /(\d+)/g;
my $same = series(\@known, 6);
is($report->[0]{known_weeks}, scalar @known, scalar(@known) . " weeks are known: $demand");
cmp_ok(max(@known), '==', 7, 'seven at once were wanted');
is_deeply([ map { $_->{forecast} + 0 } @$report ], [ map { sprintf('%.2f', $_) + 0 } @{ $same->{forecast} } ], 'the forecast of that series');
is_deeply([ @{ $report->[0] }{qw(model product_id product_name)}, $report->[0]{mae} + 0, $report->[0]{naive_mae} + 0 ],
	[ $same->{model}, $camera->{id}, $camera->{name}, $same->{mae} + 0, $same->{naive_mae} + 0 ], 'with its model and back-test');
is($report->[0]{week_at}, sql(q{SELECT to_char((date_trunc('week', now() AT TIME ZONE 'Europe/Vienna') AT TIME ZONE 'Europe/Vienna') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')}),
	'from this week on, on the vendor\'s clock');
is_deeply([ map { $_->{forecast} } @{ call('GET', "/api/analytics/reports/forecast/?product_id=$new->{id}&weeks=2", as => $vendor)->{json}{results} } ], [ '0.00', '0.00' ], 'nothing of what nobody wanted');
is(scalar @{ call('GET', '/api/analytics/reports/forecast/?weeks=2', as => $vendor)->{json}{results} }, 6, 'all products');
is_deeply(call('GET', "/api/analytics/reports/forecast/?product_id=$camera->{id}", as => $other)->{json}{results}, [], 'another vendor is told nothing');

# Suggestions

my $suggested = expect(call('GET', '/api/analytics/reports/suggestions/?weeks=6', as => $vendor), 200, 'suggestions')->{results};
my $peak = max(map { $_->{forecast} } @$report);
is_deeply([ map { [ @$_{qw(action product_id pieces capacity lost_pieces lost_value currency)} ] } @$suggested ],
	[ [ 'buy', $camera->{id}, POSIX::ceil($peak - 3), 3, 48, '1920', 'EUR' ], [ 'retire', $shelf->{id}, 10, 10, 0, undef, 'EUR' ] ],
	'buy what is wanted, part with what is old and unused, and leave what is new alone') || diag(explain($suggested));
near($suggested->[0]{forecast_peak}, $peak, 'by the highest forecast');
near($suggested->[0]{utilisation}, sql(qq{SELECT sum(i.quantity * extract(epoch FROM i.end_at - i.start_at)) / (3 * 26 * 7 * 86400.0) FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id
	WHERE i.product_id = '$camera->{id}' AND o.status = 'confirmed' AND i.start_at > now() - interval '26 weeks'}), 'and the time it was rented', 0.02);
like($suggested->[0]{reason}, qr/\Q$suggested->[0]{forecast_peak}\E pieces are forecast.* 3 there are.* 48 pieces were missing, worth 1920/, 'explained by the figures');
like($suggested->[1]{reason}, qr/0\.0 % of the possible time of 10 pieces/, 'and so is the other');
is_deeply(call('GET', '/api/analytics/reports/suggestions/', as => $other)->{json}{results}, [], 'another vendor gets its own');
done_testing();
