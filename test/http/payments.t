#!/usr/bin/perl
# Events of a payment gateway, signed by its secret: late, repeated, in any order, forged, and many at once; and charges
# whose answer is lost.
use strict;
use warnings;
use Digest::SHA 'hmac_sha256_hex';
use IO::Handle;
use RentalTest;
use Test::More;

my $secret = random_text(40);
my $vendor = vendor();
my $customer = customer();
my $product = product($vendor, 100);
my $hooks = '/api/orders/payments/webhooks/test/';

sql("SELECT rental.gateway_set('test', true, '$secret', 300)");

# payment METHOD, AMOUNT: a charge of the gateway for a confirmed order of its own
sub payment
{
	my ($method, $amount) = @_;
	my $order = place($customer, $product);

	expect(call('POST', "/api/orders/orders/$order->{id}/confirm/", as => $vendor), 200, 'an order is confirmed');
	return expect(call('POST', '/api/orders/payments/', as => $customer,
			body => { order_id => $order->{id}, amount => $amount, gateway => 'test', method => $method }), 201, "a charge by $method is asked for");
}

sub signature
{
	my ($body, %with) = @_;
	my $at = $with{at} // time;
	return "t=$at,v1=" . hmac_sha256_hex("$at.$body", $with{secret} // $secret);
}

sub event { my ($payment, $id, $type, %more) = @_; return encode_json({ id => $id, payment_id => $payment->{id}, type => $type, %more }) }
sub deliver { my ($body, $signature) = @_; return call('POST', $hooks, raw => $body, headers => { 'Rental-Signature' => $signature // signature($body) }) }
sub status_of { my ($payment) = @_; return call('GET', "/api/orders/payments/$payment->{id}/", as => $customer)->{json}{status} }
sub balance_of { my ($payment) = @_; return call('GET', "/api/orders/orders/$payment->{order_id}/", as => $customer)->{json}{balance} }

# Who may tell
my $payment = payment('timeout', '4.00');
is(status_of($payment), 'processing', 'nobody knows yet how it ends');
my $body = event($payment, 'first-' . random_text(8), 'succeeded');
my $before = snapshot();
for my $forged (
	[ 'without a signature', '' ],
	[ 'signed by another secret', signature($body, secret => random_text(40)) ],
	[ 'signed too long ago', signature($body, at => time - 301) ],
	[ 'signed for a time to come', signature($body, at => time + 360) ],
	[ 'with the signature of another body', signature("$body ") ],
	[ 'with a signature that is none', 't=soon,v1=' . 'f' x 64 ],
	[ 'with another time than was signed', signature($body) =~ s/t=(\d+)/'t=' . ($1 + 1)/er ])
{
	refused(deliver($body, $forged->[1]), $before, 401, 'invalid_credentials', undef, "an event $forged->[0] is refused");
}
refused(deliver('[]'), $before, 400, 'invalid_field', 'event', 'an event is an object');
refused(deliver('{"id":'), $before, 400, 'malformed_json', undef, 'in JSON');
my $other = event($payment, 'x', 'exploded');
refused(deliver($other), $before, 400, 'invalid_field', 'type', 'of a type that is known');
$other = encode_json({ id => 'x', payment_id => '00000000-0000-7000-8000-00000000dead', type => 'succeeded' });
refused(deliver($other), $before, 404, 'not_found', undef, 'about a payment that is there');
$other = event($payment, 'x', 'succeeded', amount => '5.00');
refused(deliver($other), $before, 422, 'invalid_value', 'amount', 'and of its amount');
refused(call('POST', '/api/orders/payments/webhooks/nobody/', raw => $body, headers => { 'Rental-Signature' => signature($body) }),
	$before, 404, 'not_found', undef, 'a gateway that is not there tells nothing');

# Once and for all
is(deliver($body)->{status}, 200, 'a signed event is received');
is(status_of($payment), 'succeeded', 'and counts');
my $paid = balance_of($payment);
$before = snapshot();
is(deliver($body)->{status}, 200, 'it may come again');
is(snapshot(), $before, 'and changes nothing');
is(deliver(event($payment, 'late', 'processing'))->{status}, 200, 'what is told too late is received');
is(status_of($payment), 'succeeded', 'and does not take the payment back');
is(balance_of($payment), $paid, 'nor the money');

# A thousand times, from fifty connections at a time
$payment = payment('timeout', '3.00');
$body = event($payment, 'same-' . random_text(8), 'succeeded');
my $total = balance_of($payment);
my %count;
for (1 .. 20)
{
	$count{ $_->{status} }++ for race((raw_request('POST', $hooks, raw => $body, headers => [ 'Rental-Signature: ' . signature($body) ])) x 50);
}
is_deeply(\%count, { 200 => 1000 }, 'an event comes a thousand times, and is received each time');
is($total - balance_of($payment), 3, 'the money came once');
is(sql("SELECT count(DISTINCT posting_id) FROM rental.ledger_entries e WHERE payment_id = '$payment->{id}' AND NOT EXISTS (
		SELECT FROM rental.ledger_entries c WHERE c.posting_id = e.posting_id AND c.account LIKE 'commission%')"), 1, 'and was posted once');
is(sql('SELECT count(*) FROM rental.ledger_verify()'), 0, 'the books are sound');

# The answer of a charge is lost: its database session ends before it is done, or the client is gone before it hears
for my $lost ('the session', 'the client')
{
	my $order = place($customer, $product);
	my %charge = (as => $customer, body => { order_id => $order->{id}, amount => '2.00', gateway => 'test', method => 'success' });
	my $key = random_text(16);

	expect(call('POST', "/api/orders/orders/$order->{id}/confirm/", as => $vendor), 200, 'an order is confirmed');
	open my $psql, '|-', 'psql', '-XAtq' or die "psql: $!";
	$psql->autoflush(1);
	print $psql "SET application_name = 'holder'; BEGIN; SELECT FROM rental.orders WHERE id = '$order->{id}' FOR UPDATE;\n";
	ok(wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND state = 'idle in transaction'") eq '1' }), 'its row is locked');
	my $socket = raw_open();
	syswrite $socket, raw_request('POST', '/api/orders/payments/', %charge, headers => [ "Idempotency-Key: $key" ]);
	my $waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'rental_shim'";
	ok(wait_until(sub { sql("SELECT count(*) $waiting") eq '1' }), 'a charge waits for it');
	if ($lost eq 'the session')
	{
		sql("SELECT pg_terminate_backend(pid) $waiting");
		is(raw_read($socket)->{status}, 503, 'its session ends, and that is said');
	}
	close $socket;
	print $psql "COMMIT;\n";
	close $psql;
	my $again;
	ok(wait_until(sub { ($again = call('POST', '/api/orders/payments/', %charge, headers => { 'Idempotency-Key' => $key }))->{status} == 201 }),
		"$lost was lost: the charge is asked for again with its key, and answered");
	is($again->{json}{status}, 'succeeded', 'it succeeded');
	is(sql("SELECT count(*) || ' ' || sum(amount) FROM rental.payments WHERE order_id = '$order->{id}' AND kind = 'charge'"), '1 2.00', 'once');
}
# Dunning is in nobody's way: it passes over an invoice that somebody has, which has its turn in the next run
expect(call('PUT', '/api/orders/billing-settings/', as => $vendor, body => { due_days => 0, dunning_days => [1] }), 200, 'what is due is due at once');
my @invoices;
for (1 .. 2)
{
	my $order = place($customer, $product);
	expect(call('POST', "/api/orders/orders/$order->{id}/confirm/", as => $vendor), 200, 'an order is confirmed');
	push @invoices, expect(call('POST', '/api/orders/invoices/', as => $vendor, body => { order_id => $order->{id} }), 201, 'and billed');
}
my $dun = "SET statement_timeout = '10s'; SET rental.clock = '" . sql("SELECT now() + interval '2 days'") . "'; SELECT string_agg(invoice_id::text, ' ') FROM rental.dunning_run('$invoices[0]{vendor_id}')";
open my $holder, '|-', 'psql', '-XAtq' or die "psql: $!";
$holder->autoflush(1);
print $holder "SET application_name = 'holder'; BEGIN; SELECT FROM rental.invoices WHERE id = '$invoices[0]{id}' FOR UPDATE;\n";
ok(wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND state = 'idle in transaction'") eq '1' }), 'somebody has the first one');
is(sql($dun), $invoices[1]{id}, 'the second is dunned');
print $holder "COMMIT;\n";
close $holder;
is(sql($dun), $invoices[0]{id}, 'and the first the next time');
is(sql($dun), '', 'each once');
is(sql('SELECT count(*) FROM rental.ledger_verify()'), 0, 'the books are still sound');
done_testing();
