#!/usr/bin/perl
# Every kind of text that calls itself JSON, by class: what a document may be (y), what it may not (n), and what
# readers differ in (i). Each comes as a whole body, and as a member's value where that makes sense. Never a crash,
# never a 500: what is a good request is done, all else is refused for what it is.
use strict;
use warnings;
use utf8;
no warnings "qw";    # commas and signs are what is meant
use Encode qw(encode);
use RentalTest;
use Test::More;

$SIG{PIPE} = 'IGNORE';
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_THREADS => 1);
my $account = customer();
my $login = call('POST', '/api/auth/login/', url => $server->{url}, body => { email => $account->{email}, password => $account->{password} })->{json};

# bytes are written \xHH; other characters stand for themselves, in UTF-8
sub bytes { return encode('UTF-8', $_[0]) =~ s/<([0-9a-f]{2})>/chr hex $1/ger }

# A jsonb argument takes any value, so its endpoint shows what is JSON and what is not
sql(q{CREATE FUNCTION public.any_json(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb_build_object('kind', jsonb_typeof(value)) $$});
sql(q{INSERT INTO rental.endpoint (method, path, function, auth, status, rate_class, tag, summary)
	VALUES ('POST', '/api/any-json/', 'public.any_json', '{public}', 200, 'read', 'test', 'Any JSON')});
ok(wait_until(sub { call('POST', '/api/any-json/', url => $server->{url}, raw => '{"value":1}')->{status} == 200 }), 'there is an endpoint for any JSON');

# Values. Each list: text, ...
my %values = (
	'y number' => [ qw(0 -0 1 -1 12 123456789 1.5 -1.5 0.0 0.1 -0.1 1e1 1E1 1e+1 1e-1 1E+1 1E-1 0e1 0e+1 0e0 -0e-0 1.0e1 1.25E-2 123e65 20e1
		123.456789 1.7976931348623157e308 5e-324 2.2250738585072014e-308 9007199254740993 -9007199254740993 9223372036854775807 9223372036854775808
		-9223372036854775808 -9223372036854775809 18446744073709551616 123123123123123123123123123123 0.000000000000000000000000000001),
		'9' x 100, '-' . '9' x 100, '0.' . '3' x 200, '1' . '0' x 300 ],
	'n number' => [ qw(+1 01 -01 00 -00 012 - + -- ++1 -+1 +-1 .1 -.1 1. -1. 1.e1 .e1 1e 1E 1e+ 1e- 1e+- 1ee1 1e1e1 1.1.1 1..1 1e1.5 0x1 0xff 0b1 0o7 1_000
		1a 1f NaN nan -NaN Infinity -Infinity +Infinity Inf inf 1- 1+ 1+2 1-2 1/2 1* $1 1% 2.e3 2.e-3 2.e+3 0e 0e+ 0E 0E+ 0.e1 0.3e 0.3e+ 0.1.2 -a -1a -foo 1ea 1e0x
		-2. .-1 0_1), "１", "1 000", '1,000', '१', "-\x{2212}1", '9.e+', 'e1', 'E', '1eE2', '١' ],
	'i number' => [ '1e999', '-1e999', '1e-999', '0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999969999999006', '-1e+9999', '1.5e+9999',
		'123123e100000', '-123123e100000', '1e' . '9' x 40, '1e-' . '9' x 40, '9' x 5000, '0.' . '0' x 5000 . '1', '1e131072', '1e-16383' ],
	'y string' => [ '""', '" "', '"a"', '"abc def"', '"\\""', '"\\\\"', '"\\/"', '"/"', '"\\b\\f\\n\\r\\t"', '"\\u0041"', '"\\u00e9"', '"\\u20ac"', '"\\uABCD"', '"\\uabcd"',
		'"\\ud83d\\ude00"', '"\\uD834\\uDD1E"', '"\\udbff\\udfff"', '"\\uFFFF"', '"\\uFFFE"', '"\\uFDD0"', '"\\u007f"', '"\\u0080"', '"\\u2028\\u2029"', '"\\u0001"', '"\\u001f"',
		'"\\u0022"', '"\\u005C"', '"\\u000a"', '"é"', '"€"', '"😀"', '"𝄞"', "\"\x{7f}\"", "\"\x{80}\"", "\"\x{2028}\"", "\"\x{2029}\"", "\"\x{feff}\"", "\"\x{200b}\"", "\"\x{10ffff}\"", "\"\x{ffff}\"", '"a/*b*/c"',
		'"//x"', '"\\\\a"', '"\\\\u0000"', '"\\\\n"', '"\'"', '"{}[],:"', '"null"', '"' . 'a' x 60000 . '"', '"' . '\\u0041' x 1000 . '"', "\"e\x{301}\"", '"\\uD83D\\uDE00\\u200D"' ],
	'n string' => [ q('a'), q('a"), q("a'), '"', '"a', 'a"', 'a', '"\\"', '"\\', '"\\x41"', '"\\a"', '"\\v"', '"\\0"', '"\\1"', '"\\\'"', '"\\ "', '"\\u"', '"\\u1"', '"\\u12"', '"\\u123"', '"\\u00g0"',
		'"\\U0041"', '"\\u{41}"', '"\\u+041"', '"\\u 041"', "\"\t\"", "\"\n\"", "\"\r\"", "\"<00>\"", "\"<01>\"", "\"<1f>\"", "\"\\\n\"", "\"\\\t\"", '"a" "b"', '"a"b', '"é' , '\\u0022a\\u0022', "\x{201c}a\x{201d}", '`a`', '"\\😀"', '"\\u😀"', '"\\<00>"',
		'"\\ud83d\\u"', '"\\ud83d\\u1"', '"\\ud83d\\x"', '\\"a\\"', '"\\u00A"', '"""', '"\\\\""' ],
	'i string' => [ '"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\udc00\\ud800"', '"\\ud800a"', '"\\ud800\\n"', '"\\ud800\\u0041"', '"a\\udfff"', '"\\uDBFF"', '"\\u0000"', '"a\\u0000b"',
		'"<ff>"', '"<fe>"', '"<80>"', '"<c0><80>"', '"<c0><af>"', '"<c1><bf>"', '"<c3>"', '"<c3><28>"', '"<e2><82>"', '"<e2><28><a1>"', '"<e0><80><80>"', '"<ed><a0><80>"', '"<ed><bf><bf>"', '"<ed><a0><bd><ed><b8><80>"',
		'"<f0><9f><98>"', '"<f0><80><80><80>"', '"<f4><90><80><80>"', '"<f5><80><80><80>"', '"<f8><88><80><80><80>"', '"<fc><84><80><80><80><80>"', '"<e9>"', '"<a0>"', '"a<cc>"' ],
	'y literal' => [ 'true', 'false', 'null' ],
	'n literal' => [ qw(True TRUE False NULL Null nul nulll tru truee fals falsee t f n undefined None nil yes no on off void NaN() true1 nullnull true,false), 'tr ue', "nu\nll", "tru<00>", 'tru\\u0065', '' ],
	'y array' => [ '[]', '[ ]', "[\t\n\r ]", '[1]', '[1,2,3]', '[ 1 , 2 ]', '[[]]', '[[],[]]', '[{}]', '[null]', '["",""]', '[1,[2,[3,[4]]]]', '[true,false,null,0,"",[],{}]', '[' x 500 . ']' x 500, '[' . join(',', 1 .. 5000) . ']',
		"[1\n]", "[\n1]", '[[[[[[[[[[0]]]]]]]]]]' ],
	'n array' => [ '[', ']', '[]]', '[[]', '[1', '[1,', '[,1]', '[,]', '[1,,2]', '[1,]', '[1 2]', '[1;2]', '[1:2]', '["a":1]', '[1}', '{1]', '(1)', '[1,2', '["a', '[a]', '[1,\'a\']', '[-]', '[1]x', '[1][2]', '[,,]', "[1,\n1\n,1", '[*]', '[""', '["",]', '[3[4]]', '["a" "b"]', '[1,/*c*/2]', '[1 //c',
		"[1,\x{2003}2]", "[1,\x{a0}2]", "[\x{feff}1]", "[<0b>1]", "[<0c>1]", '[<00>]', '[<ff>]', '[\\n1]', '[++1]' ],
	'y object' => [ '{}', '{ }', '{"a":1}', '{"a":1,"b":2}', '{ "a" : 1 }', '{"":0}', '{"a":{}}', '{"a":{"b":{"c":[]}}}', '{"\\u0061":1}', '{"a b":1}', '{"é":1}', '{"__proto__":1}', '{"constructor":{}}', '{"a":null}', '{"$ref":"#"}', '{"1":1}', '{"a\\nb":1}',
		'{"' . 'k' x 5000 . '":1}', '{"a":' x 300 . '1' . '}' x 300, '{' . join(',', map { "\"k$_\":$_" } 1 .. 2000) . '}', "{\"a\"\n:\r\n1\t}" ],
	'n object' => [ '{', '}', '{}}', '{"a"}', '{"a":}', '{"a":1', '{"a":1,', '{"a":1,}', '{,"a":1}', '{,}', '{"a":1,,"b":2}', '{"a" 1}', '{"a"=1}', '{"a"::1}', '{a:1}', "{'a':1}", '{1:1}', '{null:1}', '{true:1}', '{[]:1}', '{{}:1}', '{"a":1;"b":2}', '{"a":1 "b":2}', '{"a":a}', '{"a":1]', '{"a":"b}', '{"a":/*c*/1}',
		'{/*c*/}', '{"a":1}#', '{"a":1}/**/', '{"a":1}//', '{"a":1}/', '{:1}', '{"a",1}', '{"a":1:2}', '{"a":(1)}', '{"\\u00":1}', '{"a\\x":1}', '{"<ff>":1}', '{"a":{}', '{"\\ud800":1}', '{"\\u0000":1}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":{"b":1,"b":1}}', '{"":1,"":1}', '{...}', '<a/>', '{"a" b}', '{9999E1:1}', '{"x":null,"x":null}' ],
	'i deep' => [ '[' x 3000 . ']' x 3000, '[' x 100000, '[' x 100000 . ']' x 100000, '{"a":' x 3000 . '1' . '}' x 3000, '{"a":' x 50000, '[{"a":' x 30000, '{"a":[' x 2000 . ']}' x 2000, '[[[' . '"' x 1000, ('[' x 1000 . ']' x 1000 . ',') x 3 ],
);

# Whole bodies, beside what the values make
my @bodies = ('', ' ', "\n", "\t", '<00>', '<ff>', '<ef>', '<ef><bb>', '<ef><bb><bf>', '<ef><bb><bf>{"value":1}', '<fe><ff><00>{', '<ff><fe>{<00>}<00>', '<00>{<00>}', '<ff><fe><00><00>{<00><00><00>', '{"value":1}<00>', '{"value":1}{"value":2}', "{\"value\":1}\n{\"value\":2}",
	'{"value":1} x', '{"value":1},', ',{"value":1}', '"value"', '1', 'null', 'true', '[]', '[{"value":1}]', '{"value":1}<1a>', '<1b>{}', '{"value":1}<0c>', "{\"value\":1}\x{a0}", "\x{2028}{\"value\":1}", "\x{feff}{\"value\":1}", "{\"value\":1}\x{feff}", '{"Value":1}', '{"value":1,"other":2}',
	'{"value":1,"value":1}', '{"value":1,"v\\u0061lue":1}', '{}', '{"":1}', '{"value"', '{"value":', 'value=1', '--b', '%7B%22value%22%3A1%7D', '<?xml version="1.0"?>', 'callback({"value":1})', ")]}',\n{\"value\":1}", 'for(;;);{"value":1}', '# {"value":1}', '---', '{"value":1}' . ' ' x 50000, ' ' x 50000 . '{"value":1}',
	'{"value":1}' . "\r\n" x 100, '{"' . 'x' x 100000 . '":1}', '{"value":1' . ',"x":1' x 5000 . '}');

my ($count, %wrong) = (0);
sub try
{
	my ($class, $text, $raw) = @_;
	my $answer = call('POST', '/api/any-json/', url => $server->{url}, raw => $raw);
	my $shown = substr($text, 0, 80) =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ger;

	$count++;
	push @{ $wrong{$class} }, "$answer->{status}: $shown"
	  if $answer->{status} !~ ($class =~ /^y/ ? qr/^200$/ : $class =~ /^n/ ? qr/^400$/ : qr/^(200|400)$/) || ($answer->{status} == 400 && !$answer->{json}{code});
	return;
}
for my $class (sort keys %values)
{
	my $before = $count;
	# null is no value for an argument that is required, so it is tried inside a list
	try($class, $_, bytes('{"value":' . ($_ eq 'null' ? "[$_]" : $_) . '}')) for @{ $values{$class} };
	is(join("\n", @{ $wrong{$class} // [] }), '', "$class: " . ($count - $before) . ' as a value');
}
for my $class (grep { /^n/ } sort keys %values)
{
	# what is no value is no list's element either, nor a document
	my $before = $count;
	delete $wrong{$class};
	try($class, $_, bytes("{\"value\":[1,$_,2]}")), try($class, $_, bytes($_)) for grep { $_ ne '' && $_ ne 'true,false' && $_ ne '"a" "b"' } @{ $values{$class} };
	is(join("\n", @{ $wrong{$class} // [] }), '', "$class: " . ($count - $before) . ' as an element and as a body');
}
my $before = $count;
for my $text (@bodies)
{
	my $good = $text =~ /^\s*\{"value":1\}\s*$/ && $text !~ /[^ -~\r\n\t]/;
	try($good ? 'y body' : 'n body', $text, bytes($text));
}
is(join("\n", map { @{ $wrong{$_} // [] } } 'y body', 'n body'), '', ($count - $before) . ' whole bodies');
cmp_ok($count, '>=', 318, "there are enough: $count");

# the same as a text, where the database's own text is what comes back
my $lost = 0;
for my $text (grep { length() < 4000 } @{ $values{'y string'} })
{
	my $answer = call('POST', '/api/any-json/', url => $server->{url}, raw => bytes("{\"value\":$text}"));
	my $example = call('POST', '/api/examples/', url => $server->{url}, as => $login, raw => bytes('{"name":"kept","note":' . $text . '}'));
	my $wanted = JSON::PP->new->utf8->allow_nonref->decode(bytes($text));
	$lost++ unless $answer->{status} == 200 && $example->{status} == 201 && $example->{json}{note} eq $wanted;
}
is($lost, 0, 'every good string comes back as it was');
sql("DELETE FROM rental.endpoint WHERE path = '/api/any-json/'");
sql('DROP FUNCTION public.any_json');
is(shim_stop($server), 0, 'the server has survived all of it');

done_testing();
