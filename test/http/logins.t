#!/usr/bin/perl
# What a log-in tells a stranger, which is nothing, and what five hundred at once do to the others, which is nothing either.
use strict;
use warnings;
use IO::Select;
use RentalTest;
use Test::More;

my $known = customer();
my $shut = customer();
my $keyless = customer();
sql("UPDATE rental.users SET is_active = false WHERE id = '$shut->{user}{id}'");
sql("UPDATE rental.users SET password_hash = '!' WHERE id = '$keyless->{user}{id}'");

# told ANSWER: all that a client is told, but for the name of the request and the time.
sub told
{
	my ($answer) = @_;
	my %headers = %{ $answer->{headers} };
	my $text = $answer->{text} =~ s/"\Q$headers{'x-request-id'}\E"/"ID"/r;

	delete @headers{qw(date x-request-id)};
	return join "\n", $answer->{status}, (map { "$_: $headers{$_}" } sort keys %headers), $text;
}

sub attempt
{
	my ($email, $password) = @_;
	return call('POST', '/api/auth/login/', body => { email => $email, password => $password // random_text(16) });
}

my $wrong = attempt($known->{email});
is(join('; ', problem_flaws($wrong, 401, 'invalid_credentials')), '', 'a wrong password is refused');
unlike(told($wrong), qr/\Q$known->{email}\E|$wrong->{headers}{'x-request-id'}/, 'what is compared below names neither account nor request');
my %strangers = (
	'an unknown address' => [ 'nobody-' . random_text(12) . '@example.com' ],
	'an unknown address of another length' => [ 'n@' . 'x' x 200 . '.example' ],
	'an account that is shut' => [ $shut->{email} ],
	'an account that is shut, by its right password' => [ $shut->{email}, $shut->{password} ],
	'an account without a password' => [ $keyless->{email} ],
	'an account without a password, by what stands for it' => [ $keyless->{email}, '!' ],
	'another password, of one letter' => [ $known->{email}, 'x' ],
	'another password, of ten thousand' => [ $known->{email}, 'x' x 10_000 ],
	'an empty password' => [ $known->{email}, '' ],
);
is(told(attempt(@{ $strangers{$_} })), told($wrong), "$_ is answered the same") for sort keys %strangers;
is(attempt(uc $known->{email}, $known->{password})->{status}, 200, 'an address is known in any case');

# Five hundred at once, where two may hash and a hundred may wait

my $server = shim_start(RENTAL_PASSWORD_CONNECTIONS => 2, RENTAL_QUEUE_LIMIT => 100, RENTAL_REQUEST_TIMEOUT => 120_000,
	RENTAL_STATEMENT_TIMEOUT => 60_000, RENTAL_CLIENT_TIMEOUT => 120_000, RENTAL_RATE_LIMITS => 'off');
my $me = call('POST', '/api/auth/login/', url => $server->{url}, body => { email => $known->{email}, password => $known->{password} })->{json};
my @sockets = map { raw_open($server->{url}) } 1 .. 500;
for my $i (0 .. $#sockets)
{
	my $account = $i % 2 ? { email => "nobody-$i\@example.com", password => 'wrong password' } : $known;
	my $request = raw_request('POST', '/api/auth/login/', body => { email => $account->{email}, password => $account->{password} });
	syswrite($sockets[$i], $request) == length $request or die "a request did not fit the socket\n";
}
my $select = IO::Select->new(@sockets);
my (%others, $most);
$most = 0;
while ((() = $select->can_read(0)) < @sockets)
{
	$others{ call('GET', '/api/users/me/', url => $server->{url}, as => $me)->{status} }++;
	my $hashing = sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rental_shim' AND state = 'active' AND query LIKE '%auth\\_login%'");
	$most = $hashing if $hashing > $most;
}
my %answers;
$answers{ raw_read($_, 'POST', 120)->{status} }++ for @sockets;
is(join(' ', sort keys %others), 200, 'while five hundred log in, the others are served');
cmp_ok($others{200}, '>=', 10, "each time ($others{200} times)");
is(join(' ', grep { !/^(200|401|429|503)$/ } sort keys %answers), '', 'who cannot log in is told so: ' . join(', ', map { "$answers{$_} × $_" } sort keys %answers));
cmp_ok(($answers{200} // 0) + ($answers{401} // 0) + ($answers{429} // 0), '>=', 100, 'those that could wait were heard');
cmp_ok($answers{503} // 0, '>=', 300, 'and the rest sent away at once, rather than kept in memory');
cmp_ok($most, '>=', 1, 'processes were seen to hash');
cmp_ok($most, '<=', 2, "but no more than two at a time ($most), each with its memory");
is(attempt($known->{email}, $known->{password})->{status}, 200, 'then there is room again');
is(shim_stop($server), 0, 'the server stops in order');

done_testing();
