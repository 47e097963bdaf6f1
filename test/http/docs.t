#!/usr/bin/perl
# The API document and its page: the document of /api/schema/ is what the database says, and a server gives out the
# files of its page and nothing else.
use strict;
use warnings;
use File::Temp;
use JSON::PP ();
use POSIX ();
use RentalTest;
use Test::More;

# The document

my $schema = expect(call('GET', '/api/schema/'), 200, 'the document is public');
is($schema->{openapi}, '3.1.0', 'it is OpenAPI 3.1');
is_deeply($schema, JSON::PP->new->decode(sql('SELECT rental.openapi()')), 'it is the one of the database');
my @paths = sort keys %{ $schema->{paths} };
cmp_ok(scalar @paths, '>', 20, 'it has paths');

# What is answered has the members that the document names.
sub schema_of
{
	my ($method, $path, $status) = @_;
	my $ref = $schema->{paths}{$path}{$method}{responses}{$status}{content}{'application/json'}{schema}{'$ref'};
	my ($component) = $ref =~ m{^#/components/schemas/(.+)$};
	return $schema->{components}{schemas}{$component};
}

sub may_be_null
{
	my ($property) = @_;
	return 1 unless grep { exists $property->{$_} } qw(type anyOf $ref);    # any JSON
	return 1 if ref $property->{type} eq 'ARRAY' && grep { $_ eq 'null' } @{ $property->{type} };
	return scalar grep { ($_->{type} // '') eq 'null' } @{ $property->{anyOf} // [] };
}

my $vendor = vendor();
my $customer = customer();
my $product = product($vendor, 2);
my $order = place($customer, $product);
for my $case (
	[ 'post', '/api/auth/signup/', 201, $customer, [qw(email password)] ],
	[ 'post', '/api/orders/orders/', 201, $order ],
	[ 'get', '/api/catalog/products/', 200, call('GET', '/api/catalog/products/')->{json} ],
	[ 'get', '/api/catalog/products/{product_id}/', 200, call('GET', "/api/catalog/products/$product->{id}/")->{json} ],
	[ 'get', '/api/users/me/', 200, call('GET', '/api/users/me/', as => $customer)->{json} ])
{
	my ($method, $path, $status, $answer, $added) = @$case;
	my $schema_of = schema_of($method, $path, $status);
	my %answer = %$answer;
	delete @answer{ @{ $added // [] } };
	is_deeply([ sort keys %answer ], [ sort keys %{ $schema_of->{properties} } ], "$method $path answers the members of its schema");
	my @null = grep { !defined $answer{$_} } keys %answer;
	is_deeply([ grep { !may_be_null($schema_of->{properties}{$_}) } @null ], [], 'and null only where it may');
}
# The page

my $outside = File::Temp->newdir;
my $directory = "$outside/docs";
mkdir $directory or die "$directory: $!";
my %file = ('index.html' => "<!DOCTYPE html>\n", 'a.js' => "let a;\n", 'a.css' => '', 'large.png' => random_text(100) x 30_000);
my %other = ('.hidden.js' => 'hidden', 'noextension' => 'none', 'strange.xyz' => 'strange');
for my $file (keys %file, keys %other)
{
	open my $out, '>', "$directory/$file" or die "$file: $!";
	print $out $file{$file} // $other{$file};
	close $out;
}
open my $secret, '>', "$outside/secret.js" or die $!;
print $secret 'secret';
close $secret;
my $shim = shim_start(RENTAL_DOCS_DIR => $directory);
my @at = (url => $shim->{url});
my %type = (
	'index.html' => 'text/html; charset=utf-8',
	'a.js' => 'text/javascript; charset=utf-8',
	'a.css' => 'text/css; charset=utf-8',
	'large.png' => 'image/png');
my %etag;

for my $file (sort keys %file)
{
	my $answer = call('GET', "/api/docs/$file", @at);
	is($answer->{status}, 200, "$file is there");
	ok($answer->{text} eq $file{$file}, 'whole');
	is($answer->{headers}{'content-type'}, $type{$file}, 'with its type');
	is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'which holds');
	$etag{$file} = $answer->{headers}{etag};
}
for my $path ('/api/docs', '/api/docs/', '/api/docs/?a=b')
{
	is(call('GET', $path, @at)->{text}, $file{'index.html'}, "$path is the page");
}
my $policy = call('GET', '/api/docs/', @at)->{headers}{'content-security-policy'};
like($policy, qr/default-src 'none'/, 'it has a policy');
unlike($policy, qr/unsafe|\*|http/, 'that allows nothing from outside, and no script in the page');
is(call('GET', '/healthz', @at)->{headers}{'content-security-policy'}, "default-src 'none'; frame-ancestors 'none'", 'other answers have the strict one');

my %distinct = map { $_ => 1 } values %etag;
is(scalar keys %distinct, scalar keys %file, 'every file has a tag of its own');
my $same = call('GET', '/api/docs/a.js', @at, headers => { 'If-None-Match' => "\"x\", W/$etag{'a.js'}" });
is("$same->{status} $same->{text}", '304 ', 'what the client has is not sent again');
is(call('GET', '/api/docs/a.js', @at, headers => { 'If-None-Match' => $etag{'index.html'} })->{status}, 200, 'what it has not is');
my $head = call('HEAD', '/api/docs/large.png', @at);
is("$head->{status} $head->{headers}{'content-length'} $head->{text}", '200 3000000 ', 'HEAD');
my $post = call('POST', '/api/docs/', @at, body => {});
is_deeply([ problem_flaws($post, 405, 'method_not_allowed'), $post->{headers}{allow} ], ['GET, HEAD'], 'and nothing else');

for my $path (
	'/api/docs/..', '/api/docs/../docs/a.js', '/api/docs/../secret.js', '/api/docs/%2e%2e/secret.js', '/api/docs/..%2fsecret.js',
	'/api/docs/%2e%2e%2fsecret.js', '/api/docs/..\\secret.js', '/api/docs//a.js', '/api/docs/./a.js', '/api/docs/a.js/', '/api/docs/a.js/../a.js',
	'/api/docs/a%2ejs', '/api/docs/A.JS', '/api/docs/.hidden.js', '/api/docs/noextension', '/api/docs/strange.xyz', '/api/docs/.', "/api/docs/$outside/secret.js",
	'/api/docs/index.html%00.js', '/api/docsa.js', '/api/docs.js', '/docs/a.js')
{
	my ($answer) = raw_exchange("GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", $shim->{url});
	ok($answer && ($answer->{status} == 404 || $answer->{status} == 400) && $answer->{text} !~ /secret'|let a|hidden'/, "nothing at $path")
	  or diag($answer ? "$answer->{status} $answer->{text}" : 'no answer');
}
is(shim_stop($shim), 0, 'the server stops in order');

# A directory that is named must be one.
my $empty = File::Temp->newdir;
for my $bad ([ "$outside/none", 'missing' ], [ "$empty", 'empty' ], [ "$outside/secret.js", 'a file' ])
{
	my $log = File::Temp->new;
	my $key = File::Temp->new;
	print $key random_text(64);
	close $key;
	my $pid = fork // die "cannot fork: $!";
	if ($pid == 0)
	{
		%ENV = (RENTAL_DATABASE_URL => 'postgresql:///none', RENTAL_JWT_SECRET_FILE => $key->filename, RENTAL_DOCS_DIR => $bad->[0], PORT => 1);
		open STDERR, '>', $log->filename;
		alarm 10; # should it start after all
		exec { $shim->{binary} } 'rental-shim' or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	open my $in, '<', $log->filename or die $!;
	my $text = join '', <$in>;
	ok($? >> 8 == 1 && $text =~ /cannot read \Q$bad->[0]\E/, "a server does not start when it is $bad->[1]") or diag("status $?: $text");
}

done_testing();
