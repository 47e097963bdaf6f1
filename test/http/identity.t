#!/usr/bin/perl
# Accounts over HTTP: passwords and their limits, renewing and stealing tokens, log-ins, addresses, profiles, erasure.
use strict;
use warnings;
use utf8;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep);

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $admin = demo('admin');

sub login { return call('POST', '/api/auth/login/', body => { email => $_[0], password => $_[1] }) }
sub renew { return call('POST', '/api/auth/refresh/', body => { refresh => $_[0] }) }
sub status_of { return call('GET', '/api/users/me/', as => $_[0])->{status} }
sub problem { return join ' ', map { $_ // '-' } $_[0]{status}, $_[0]{json}{code} }

# mailed USER, TEMPLATE: recipient and token of the last e-mail
sub mailed
{
	my ($user, $template) = @_;
	return split /\|/, sql("SELECT recipient || '|' || (data ->> 'token') FROM rental.notifications WHERE user_id = '$user->{user}{id}'
		AND template = '$template' ORDER BY id DESC LIMIT 1");
}

# Passwords

my $n = 0;
sub try_signup { return call('POST', '/api/auth/signup/', body => { email => 'pw' . ++$n . random_text(8) . '@example.com', name => 'P', password => $_[0] }) }
is(problem(try_signup($_)), '422 invalid_value', 'not a password: ' . substr($_, 0, 12))
  for 'x' x 7, 'x' x 129, 'password', 'PassWord123', 'qwertyuiop', '12345678', 'iloveyou';
is(try_signup($_)->{status}, 201, 'a password: ' . substr($_, 0, 12)) for 'x y z q 8', 'a1' x 64, 'correct horse', 'ßüöä猫犬鳥花';

# the same letters, composed and not, are the same address, name and password
my $composed = "caf\x{e9} \x{f1}and\x{fa}";
my $decomposed = "cafe\x{301} n\x{303}andu\x{301}";
my $local = "Jos\x{e9}" . random_text(8);
my $answer = call('POST', '/api/auth/signup/', body => { email => "$local\@Example.COM", name => $decomposed, password => $decomposed });
is($answer->{json}{user}{name}, $composed, 'names are composed');
is($answer->{json}{user}{email}, lc "$local\@example.com", 'addresses are in lower case');
(my $spelt = uc $local) =~ s/\x{c9}/E\x{301}/;
is(login("$spelt\@EXAMPLE.com", $composed)->{status}, 200, 'however they are spelt');
is(problem(call('POST', '/api/auth/signup/', body => { email => "$spelt\@example.com", name => 'X', password => $composed })), '409 already_exists', 'and unique');

# an old hash is renewed by a log-in
my $old = customer();
sql("SET rental.argon2_memory = 64; SET rental.argon2_passes = 1");
sql("UPDATE rental.users SET password_hash = replace(password_hash, 't=2', 't=3') WHERE id = '$old->{user}{id}'");
is(problem(login($old->{email}, $old->{password})), '401 invalid_credentials', 'the parameters in the hash count');
sql("UPDATE rental.users SET password_hash = (SELECT password_hash FROM rental.users WHERE id = '$answer->{json}{user}{id}') WHERE id = '$old->{user}{id}'");
is(login($old->{email}, $composed)->{status}, 200, 'a hash with other parameters still counts');
is(sql("SELECT password_hash ~ '^[\$]argon2id[\$]v=19[\$]m=19456,t=2,p=1[\$]' FROM rental.users WHERE id = '$old->{user}{id}'"), 't', 'it has those that are set');

# Guessing: known and unknown addresses read the same, and after twenty tries the right password does, too

my $victim = customer();
my %read;
for my $email ($victim->{email}, 'nobody-' . random_text(8) . '@example.com')
{
	for my $try (1 .. 20)
	{
		my $wrong = login($email, "wrong password $try");
		$read{ join ' ', $wrong->{status}, $wrong->{text} =~ s/"request_id":"\w+"//r, sort keys %{ $wrong->{headers} } }++;
	}
}
is_deeply([ values %read ], [40], 'forty wrong passwords read the same') or diag(join "\n", keys %read);
is(problem(login($victim->{email}, $victim->{password})), '401 invalid_credentials', 'after twenty the right one does not help');
is(status_of($victim), 200, 'who is logged in stays so');
sql("UPDATE rental.login_attempts SET since = since - interval '61 minutes'");
is(login($victim->{email}, $victim->{password})->{status}, 200, 'after an hour it does again');
login($victim->{email}, 'wrong password') for 1 .. 19;
is(login($victim->{email}, $victim->{password})->{status}, 200, 'the twentieth try may be right');
is(login($victim->{email}, 'wrong password')->{status}, 401, 'and is the end of counting') for 1 .. 3;
is(login($victim->{email}, $victim->{password})->{status}, 200, 'which began anew');
# of many at once no more are looked at than one after the other
login($victim->{email}, 'wrong password') for 1 .. 15;
race((raw_request('POST', '/api/auth/login/', body => { email => $victim->{email}, password => 'wrong again' })) x 10);
is(problem(login($victim->{email}, $victim->{password})), '401 invalid_credentials', 'tries at once are all counted');
sql('DELETE FROM rental.login_attempts');

# Renewing

my $thief = login($victim->{email}, $victim->{password})->{json};
my $second = renew($thief->{refresh})->{json};
is(renew($thief->{refresh})->{json}{refresh}, $second->{refresh}, 'a lost answer comes again');
my $third = renew($second->{refresh})->{json};
isnt($third->{refresh}, $second->{refresh}, 'each token has its own successor');
is(status_of($third), 200, 'the session is good');
sql("UPDATE rental.refresh_tokens t SET used_at = used_at - interval '11 seconds' FROM rental.sessions s WHERE s.id = t.session_id AND s.user_id = '$victim->{user}{id}'");
is(problem(renew($thief->{refresh})), '401 invalid_token', 'a token that comes again later is refused');
is(problem(renew($third->{refresh})), '401 invalid_token', 'and the whole session with it');
ok(wait_until(sub { status_of($third) == 401 && status_of($second) == 401 }, 5), 'its access tokens die');
is(status_of($victim), 200, 'another session lives on');
is(sql("SELECT count(*) FROM rental.refresh_tokens WHERE length(hash) <> 32"), 0, 'tokens are kept as hashes');
my $late = login($victim->{email}, $victim->{password})->{json};
sql("UPDATE rental.sessions SET expires_at = now() WHERE user_id = '$victim->{user}{id}' AND revoked_at IS NULL");
is(problem(renew($late->{refresh})), '401 invalid_token', 'thirty days after the log-in it ends');

# Sessions

my $person = customer();
my @logins = map { login($person->{email}, $person->{password})->{json} } 1 .. 3;
my $list = expect(call('GET', '/api/auth/sessions/?count=exact', as => $logins[0]), 200, 'sessions are listed');
is($list->{count}, 4, 'all of them');
is_deeply([ map { $_->{is_current} ? 1 : 0 } @{ $list->{results} } ], [ 0, 0, 1, 0 ], 'newest first, with the one that asks');
is(join(',', sort keys %{ $list->{results}[0] }), 'client_address,created_at,expires_at,id,is_current,last_used_at', 'without secrets');
is(call('DELETE', "/api/auth/sessions/$list->{results}[0]{id}/", as => $logins[0])->{status}, 204, 'one is ended');
ok(wait_until(sub { status_of($logins[2]) == 401 }, 5), 'and its tokens die');
is(problem(renew($logins[2]{refresh})), '401 invalid_token', 'the refresh token as well');
is(problem(call('DELETE', "/api/auth/sessions/$list->{results}[0]{id}/", as => $logins[0])), '404 not_found', 'it is gone');
is(problem(call('DELETE', "/api/auth/sessions/$list->{results}[1]{id}/", as => customer())), '404 not_found', "nobody ends another's");
is(call('DELETE', '/api/auth/sessions/', as => $logins[0])->{status}, 204, 'all others are ended');
ok(wait_until(sub { status_of($logins[1]) == 401 && status_of($person) == 401 }, 5), 'all of them');
is(status_of($logins[0]), 200, 'but the one that asked');

# The password

$person->{$_} = $logins[0]{$_} for qw(access refresh);
my $other = login($person->{email}, $person->{password})->{json};
is(problem(call('POST', '/api/auth/password/change/', as => $person, body => { current_password => 'not this one', new_password => 'quite another' })),
	'401 invalid_credentials', 'who changes the password must know it');
is(problem(call('POST', '/api/auth/password/change/', as => $person, body => { current_password => $person->{password}, new_password => 'password1' })),
	'422 invalid_value', 'the new one must be good');
is(call('POST', '/api/auth/password/change/', as => $person, body => { current_password => $person->{password}, new_password => 'quite another' })->{status},
	204, 'it is changed');
ok(wait_until(sub { status_of($other) == 401 }, 5), 'which ends other sessions');
is(status_of($person), 200, 'and not this one');
is(problem(login($person->{email}, $person->{password})), '401 invalid_credentials', 'the old one is no good');
is(login($person->{email}, 'quite another')->{status}, 200, 'the new one is');

my $queued = sql('SELECT count(*) FROM rental.notifications');
for my $email ($person->{email}, 'nobody-' . random_text(8) . '@example.com')
{
	my $reset = call('POST', '/api/auth/password/reset/', body => { email => $email });
	is("$reset->{status} $reset->{text}", '202 ', 'a reset is answered alike');
}
is(sql('SELECT count(*) FROM rental.notifications'), $queued + 1, 'one e-mail goes out');
my ($to, $token) = mailed($person, 'reset_password');
is($to, $person->{email}, 'to the account');
is(sql("SELECT count(*) FROM rental.tokens WHERE encode(hash, 'hex') = '$token'"), 0, 'its token is kept as a hash');
is(problem(call('POST', '/api/auth/password/reset/confirm/', body => { token => $token, new_password => 'short' })), '422 invalid_value', 'the new one must be good');
is(problem(call('POST', '/api/auth/password/reset/confirm/', body => { token => random_text(64), new_password => 'a third one' })), '422 rule_violated', 'a token cannot be guessed');
is(call('POST', '/api/auth/password/reset/confirm/', body => { token => $token, new_password => 'a third one' })->{status}, 204, 'the token sets another');
is(problem(call('POST', '/api/auth/password/reset/confirm/', body => { token => $token, new_password => 'a fourth one' })), '422 rule_violated', 'once');
ok(wait_until(sub { status_of($person) == 401 }, 5), 'and ends all sessions');
$person = { %$person, %{ login($person->{email}, 'a third one')->{json} } };
ok($person->{user}{email_verified}, 'who got the e-mail has the address');
call('POST', '/api/auth/password/reset/', body => { email => $person->{email} });
(undef, $token) = mailed($person, 'reset_password');
sql("UPDATE rental.tokens SET expires_at = now() WHERE user_id = '$person->{user}{id}'");
is(problem(call('POST', '/api/auth/password/reset/confirm/', body => { token => $token, new_password => 'a fourth one' })), '422 rule_violated', 'for an hour');

# The address

my $fresh = customer();
ok(!$fresh->{user}{email_verified}, 'a new address is not verified');
my (undef, $verify) = mailed($fresh, 'verify_email');
is(call('POST', '/api/auth/email/verify/send/', as => $fresh)->{status}, 202, 'the token is sent again');
is(problem(call('POST', '/api/auth/email/verify/', body => { token => $verify })), '422 rule_violated', 'after which the first is no good');
($to, $verify) = mailed($fresh, 'verify_email');
is(problem(call('POST', '/api/auth/password/reset/confirm/', body => { token => $verify, new_password => 'a fourth one' })), '422 rule_violated', 'it is for this alone');
ok(expect(call('POST', '/api/auth/email/verify/', body => { token => $verify }), 200, 'the address is verified')->{email_verified}, 'as the account says');
my $new = 'new-' . random_text(8) . '@example.com';
is(problem(call('POST', '/api/auth/email/change/', as => $fresh, body => { email => $new, password => 'wrong' })), '401 invalid_credentials', 'another address needs the password');
is(call('POST', '/api/auth/email/change/', as => $fresh, body => { email => $new, password => $fresh->{password} })->{status}, 202, 'a token goes to it');
is(call('GET', '/api/users/me/', as => $fresh)->{json}{email}, $fresh->{email}, 'nothing changes yet');
($to, $verify) = mailed($fresh, 'verify_email');
is($to, $new, 'to the new one');
is(expect(call('POST', '/api/auth/email/verify/', body => { token => $verify }), 200, 'it comes back')->{email}, $new, 'and the address is the new one');
is(call('POST', '/api/auth/email/change/', as => $fresh, body => { email => $person->{email}, password => $fresh->{password} })->{status}, 202, 'nobody learns which addresses are taken');
($to, $verify) = mailed($fresh, 'verify_email');
is(problem(call('POST', '/api/auth/email/verify/', body => { token => $verify })), '409 already_exists', 'but none is taken twice');

# Account and profile

is(expect(call('PATCH', '/api/users/me/', as => $fresh, body => { phone => '+49 30 1' }), 200, 'a phone')->{phone}, '+49 30 1', 'is kept');
is_deeply([ @{ call('PATCH', '/api/users/me/', as => $fresh, body => { name => 'Other' })->{json} }{qw(name phone)} ], [ 'Other', '+49 30 1' ], 'what is not given stays');
is(call('PATCH', '/api/users/me/', as => $fresh, body => { phone => '' })->{json}{phone}, undef, 'an empty one clears it');
is(problem(call('PUT', '/api/users/me/', as => $fresh, body => { phone => '1' })), '400 missing_field', 'PUT takes the whole');
my %address = (line1 => 'Hauptstr. 1', postal_code => '10115', city => 'Berlin', country => 'DE');
my $profile = expect(call('PUT', '/api/users/profile/', as => $fresh,
	body => { name => 'Fresh', phone => '1', address => \%address, avatar => 'https://example.com/a.png', locale => 'de-DE', time_zone => 'Europe/Berlin' }), 200, 'a profile');
is_deeply($profile, { user_id => $fresh->{user}{id}, name => 'Fresh', phone => '1', address => \%address, avatar => 'https://example.com/a.png', locale => 'de-DE', time_zone => 'Europe/Berlin' }, 'is kept');
is_deeply(call('GET', '/api/users/profile/', as => $fresh)->{json}, $profile, 'and read');
is_deeply(call('PATCH', '/api/users/profile/', as => $fresh, body => { avatar => '', address => {} })->{json}, { %$profile, avatar => undef, address => undef }, 'and cleared');
for my $wrong ([ address => { %address, country => 'Germany' }, 'address.country' ], [ address => { %address, planet => 'x' }, 'address.planet' ], [ address => { city => 'B' }, 'address.line1' ],
	[ avatar => 'javascript:alert(1)' ], [ locale => 'German' ], [ locale => 'de-de' ], [ time_zone => 'Mars/Olympus' ])
{
	my $flawed = call('PATCH', '/api/users/profile/', as => $fresh, body => { $wrong->[0] => $wrong->[1] });
	ok($flawed->{status} =~ /^4(00|22)$/ && $flawed->{json}{errors}{ $wrong->[2] // $wrong->[0] }, "not a $wrong->[0]: " . ($wrong->[2] // $wrong->[1])) or diag($flawed->{text});
}
is(call('PATCH', '/api/users/profile/', as => $fresh, body => { locale => $_ })->{status}, 200, "a locale: $_") for qw(de pt-BR zh-Hant-TW es-419);

# Administration

is(problem(call('GET', '/api/users/', as => $fresh)), '403 forbidden', 'accounts are for administrators');
$list = expect(call('GET', "/api/users/?search=$new&count=exact", as => $admin), 200, 'who find one by its address');
is($list->{results}[0]{id}, $fresh->{user}{id}, 'the right one');
is($list->{count}, 1, 'alone');
is_deeply([ grep { $_->{role} ne 'vendor' } @{ call('GET', '/api/users/?role=vendor&page_size=100', as => $admin)->{json}{results} } ], [], 'or all of a role');
is(problem(call('PATCH', "/api/users/$fresh->{user}{id}/", as => $admin, body => { role => 'vendor' })), '422 invalid_value', "a team's role is not given so");
is(call('PATCH', "/api/users/$fresh->{user}{id}/", as => $admin, body => { is_active => \0 })->{status}, 200, 'an account is shut out');
ok(wait_until(sub { status_of($fresh) == 401 }, 5), 'its tokens die');
is(problem(login($new, $fresh->{password})), '401 invalid_credentials', 'nor can it log in');
is(call('PATCH', "/api/users/$fresh->{user}{id}/", as => $admin, body => { is_active => \1 })->{status}, 200, 'until it is let in again');
my $vendor = vendor();
is(problem(call('PATCH', "/api/users/$vendor->{user}{id}/", as => $admin, body => { role => 'customer' })), '409 invalid_state', 'a member leaves the team first');
my @admins = split /\n/, sql("SELECT id FROM rental.users WHERE role = 'admin' AND is_active");
if (@admins == 1)
{
	is(problem(call('PATCH', "/api/users/$admins[0]/", as => $admin, body => { is_active => \0 })), '409 conflict', 'the last administrator stays');
}
my @two = map { customer() } 1, 2;
call('PATCH', "/api/users/$_->{user}{id}/", as => $admin, body => { role => 'admin' }) for @two;
sleep 1.1; # a token of the second in which the role changed is not good
$_ = { %$_, %{ login($_->{email}, $_->{password})->{json} } } for @two;
is($two[0]{user}{role}, 'admin', 'a customer becomes an administrator');
sql("UPDATE rental.users SET is_active = false WHERE role = 'admin' AND id NOT IN ('$two[0]{user}{id}', '$two[1]{user}{id}')");
my @demoted = race(map { raw_request('PATCH', "/api/users/$two[1 - $_]{user}{id}/", as => $two[$_], body => { role => 'customer' }) } 0, 1);
is((grep { $_->{status} == 200 } @demoted), 1, 'of two who demote each other one stays');
sql("UPDATE rental.users SET is_active = true WHERE id = ANY ('{" . join(',', @admins) . "}')");
sleep 1.1;
$admin = demo('admin');

# Erasure

my $gone = customer(name => 'Erasmus Gone', phone => '0123');
my $thing = product($vendor, 3);
my $order = place($gone, $thing);
call('PUT', "/api/users/vendors/$vendor->{user}{vendor_id}/order-policy/", as => $vendor, body => { delivers => true, terms_version => '1', terms => 'Terms' });
my $delivered = call('POST', '/api/orders/orders/', as => $gone, body => { %{ order_body($thing) }, note => 'For Erasmus',
	delivery => { method => 'delivery', address => { recipient => 'Erasmus', line1 => 'Way 1', city => 'Town', country => 'DE' } },
	terms => { version => '1', signature => 'https://example.com/Erasmus.png' } });
is($delivered->{status}, 201, 'who goes, had ordered') || diag($delivered->{text});
is(call('POST', '/api/orders/cart/items/', as => $gone, body => order_body($thing)->{items}[0])->{status}, 201, 'and has a cart');
is(problem(call('POST', '/api/users/me/erase/', as => $gone, body => { password => $gone->{password} })), '409 conflict', 'orders end first');
is(call('POST', "/api/orders/orders/$_/cancel/", as => $gone, body => { reason => 'Erasmus goes' })->{status}, 200, 'which they do') for $order->{id}, $delivered->{json}{id};
call('PATCH', '/api/users/profile/', as => $gone, body => { address => \%address });
is(problem(call('POST', '/api/users/me/erase/', as => $gone, body => { password => 'wrong' })), '401 invalid_credentials', 'the password is asked');
is(problem(call('POST', '/api/users/me/erase/', as => $vendor, body => { password => $vendor->{password} })), '409 conflict', 'a team is left first');
is(call('POST', '/api/users/me/erase/', as => $gone, body => { password => $gone->{password} })->{status}, 204, 'an account is erased');
ok(wait_until(sub { status_of($gone) == 401 }, 5), 'its tokens die');
is(problem(login($gone->{email}, $gone->{password})), '401 invalid_credentials', 'nobody logs in');
is(sql("SELECT count(*) FROM rental.orders WHERE customer_id = '$gone->{user}{id}'"), 2, 'its orders are there');
is(sql("SELECT count(*) FROM rental.carts WHERE customer_id = '$gone->{user}{id}'"), 0, 'its cart is not');
is(sql("SELECT terms_version || COALESCE(client_address, '') FROM rental.order_contracts WHERE order_id = '$delivered->{json}{id}'"), '1', 'what it accepted is known, not from where');
for my $table (split /\n/, sql("SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'rental'::regnamespace AND relkind = 'r'"))
{
	my $left = sql("SELECT count(*) FROM $table t WHERE t::text ~ 'Erasmus|$gone->{email}'");
	is($left, 0, "$table tells nothing of it") if $left;
}
pass('no table tells whose it was');
is(call('POST', '/api/auth/signup/', body => { email => $gone->{email}, name => 'Again', password => $gone->{password} })->{status}, 201, 'the address is free again');
is(call('DELETE', "/api/users/$two[0]{user}{id}/", as => $admin)->{status}, 204, 'an administrator erases, too');
is(problem(call('DELETE', "/api/users/$two[0]{user}{id}/", as => $admin)), '404 not_found', 'once');
is(problem(call('PATCH', "/api/users/$two[0]{user}{id}/", as => $admin, body => { is_active => \1 })), '409 invalid_state', 'what is erased stays so');

# an API key is not the person
my $key = call('POST', '/api/keys/', as => $vendor, body => { name => 'K' })->{json}{key};
is(problem(call($_->[0], $_->[1], as => $key, $_->[2] ? (body => $_->[2]) : ())), '403 forbidden', "not with a key: $_->[0] $_->[1]")
  for [ 'GET', '/api/auth/sessions/' ], [ 'DELETE', '/api/auth/sessions/' ], [ 'POST', '/api/auth/password/change/', { current_password => 'x', new_password => 'some other one' } ],
  [ 'POST', '/api/auth/email/change/', { email => 'x@example.com', password => 'x' } ], [ 'POST', '/api/users/me/erase/', { password => 'x' } ];

done_testing;
