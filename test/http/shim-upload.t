#!/usr/bin/perl
# Files that come in and go out: what is taken, what is refused and leaves nothing behind, how much memory it takes.
use strict;
use warnings;
use Digest::SHA 'sha256_hex';
use File::Find;
use File::Temp;
use RentalTest;
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{PIPE} = 'IGNORE';
use constant MOST => 4 << 20;

my $directory = File::Temp->newdir;
my $server = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_UPLOAD_DIR => "$directory", RENTAL_MAX_UPLOAD => MOST,
	RENTAL_ADMIN_PORT => shim_port(), RENTAL_THREADS => 2);
my @there = (url => $server->{url});

# login ACCOUNT, [SERVER]: the account, with a token of that server
sub login
{
	my ($account, $at) = @_;
	my $answer = call('POST', '/api/auth/login/', url => ($at // $server)->{url}, body => { email => $account->{email}, password => $account->{password} });
	return { %$account, %{ $answer->{json} } };
}
my $vendor = vendor();
my $shop = login($vendor);
my $other = login(vendor());
my $customer = login(customer());
my $product = product($vendor, 1);
my $path = "/api/catalog/products/$product->{id}/images/";

# files: those that the server keeps, and those that it should not have
sub files
{
	my @found;
	find({ no_chdir => 1, wanted => sub { push @found, $_ if -f } }, "$directory");
	return map { s{^\Q$directory\E/}{}r } @found;
}

sub image
{
	my ($kind, $size) = @_;
	my %magic = (png => "\x89PNG\r\n\x1a\n", jpeg => "\xff\xd8\xff\xe0", webp => "RIFF\x10\0\0\0WEBP", gif => 'GIF89a', pdf => '%PDF-1.7', svg => '<svg ');
	my $start = $magic{$kind} . random_text(32);
	return $start . 'x' x ($size - length $start);
}

# form PARTS: a multipart/form-data body; each part is [name, data, file name]
sub form
{
	my (@parts) = @_;
	my $boundary = 'b' . random_text(20);
	my $body = '';
	for (@parts)
	{
		my ($name, $data, $file) = @$_;
		$body .= "--$boundary\r\nContent-Disposition: form-data; name=\"$name\"" . (defined $file ? "; filename=\"$file\"\r\nContent-Type: text/html" : '') . "\r\n\r\n$data\r\n";
	}
	return (raw => "$body--$boundary--\r\n", headers => { 'Content-Type' => "multipart/form-data; boundary=$boundary" });
}

# As a form, and as it is

my $png = image('png', 3000);
my $answer = call('POST', $path, @there, as => $shop, form(['image', $png, '../../etc/a "picture".png']));
is($answer->{status}, 201, 'an image comes as a form') or diag($answer->{text});
is($answer->{json}{file_type}, 'image/png', 'what it is, its bytes say');
is($answer->{json}{file_size}, 3000, 'it has its size');
my $key = sha256_hex($png);
is_deeply([ files() ], [ substr($key, 0, 2) . "/$key" ], 'its file is named by its content');
is((stat "$directory/" . (files())[0])[2] & 07777, 0600, 'and is nobody else\'s to read');
my $original = "/api/catalog/images/$answer->{json}{id}/original/";
my $got = call('GET', $original, @there);
is($got->{status}, 200, 'it can be had');
ok($got->{text} eq $png, 'as it came');
is($got->{headers}{'content-type'}, 'image/png', 'as what it is');
is($got->{headers}{'content-length'}, 3000, 'with its length');
is($got->{headers}{etag}, "\"$key\"", 'its tag is its hash');
is($got->{headers}{'cache-control'}, 'public, max-age=31536000, immutable', 'to be kept for ever');
is($got->{headers}{'x-content-type-options'}, 'nosniff', 'and not to be guessed at');
like($got->{headers}{'content-disposition'}, qr/^inline; filename\*=UTF-8''/, 'with a name for who saves it');
my $head = call('HEAD', $original, @there);
is_deeply([ $head->{status}, $head->{text}, $head->{headers}{'content-length'} ], [ 200, '', 3000 ], 'HEAD tells the same');
is(call('GET', $original, @there, headers => { 'If-None-Match' => $got->{headers}{etag} })->{status}, 304, 'who has it is told so');
is(call('GET', $original =~ s{/$}{}r, @there)->{status}, 200, 'the path may end without a slash');
is(call('GET', $original =~ s/original/$_/r, @there)->{status}, 404, "there is no size $_") for 'large', 'thumb', '..';
for my $kind (qw(jpeg webp))
{
	my $data = image($kind, 2000);
	my $made = call('POST', $path, @there, as => $shop, raw => $data, headers => { 'Content-Type' => 'image/png' });
	is($made->{status}, 201, "$kind comes as it is");
	is($made->{json}{file_type}, "image/$kind", 'and is what it is, whatever it is called');
	is($made->{json}{file_name}, undef, 'without a name');
	ok(call('GET', "/api/catalog/images/$made->{json}{id}/original/", @there)->{text} eq $data, 'it comes back');
}
my $large = image('png', MOST);
my $made = call('POST', $path, @there, as => $shop, form(['image', $large, 'large.png']));
is($made->{status}, 201, 'the largest that may be') or diag($made->{text});
ok(call('GET', "/api/catalog/images/$made->{json}{id}/original/", @there)->{text} eq $large, 'comes back whole');
my @names = (
	'C:\\pictures\\lens.png' => 'lens.png', '/etc/passwd' => 'passwd', '.htaccess' => 'htaccess', "\xc3\xa4.png" => "\xe4.png",
	"bad\xff.png" => undef, '' => undef, '..' => undef, "a\tb.png" => 'ab.png');
while (my ($given, $kept) = splice @names, 0, 2)
{
	my $named = call('POST', $path, @there, as => $shop, form(['image', $png, $given =~ s/\\/\\\\/gr]));
	is($named->{json}{file_name}, $kept, "the name '" . ($given =~ s/[^ -~]/?/gr) . "' becomes " . (defined $kept ? 'one that is good' : 'none'));
}
is(scalar(grep { $_ eq substr($key, 0, 2) . "/$key" } files()), 1, 'the same content is one file');
my $list = call('GET', $path, @there)->{json};
is(scalar @{ $list->{results} }, 12, 'all images are listed');
my $chunked = raw_open($server->{url});
print $chunked "POST $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $shop->{access}\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
  . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } unpack('(a1000)*', $png)) . "0\r\n\r\n";
is(raw_read($chunked)->{status}, 201, 'in chunks as well');

# Idempotency-Key: the same file is the same request, whatever the form's boundary
my %key = ('Idempotency-Key' => random_text(20));
my @twice = map { my %form = form(['image', $png, 'x.png']); call('POST', $path, @there, as => $shop, raw => $form{raw}, headers => { %{ $form{headers} }, %key }) } 1 .. 2;
is($twice[1]{text}, $twice[0]{text}, 'the same file with the same key is done once');
is($twice[1]{headers}{'idempotency-replayed'}, 'true', 'and said again');

# What is refused, and leaves nothing

my @kept = sort(files());
sub turned_away
{
	my ($name, $status, $code, $field, $method, $target, @with) = @_;
	my $before = snapshot();
	refused(call($method, $target, @there, @with), $before, $status, $code, $field, $name);
	is_deeply([ sort(files()) ], \@kept, "$name: no file is left");
}
my @image = (raw => image('png', 1000), headers => { 'Content-Type' => 'image/png' });
turned_away('nobody', 401, 'unauthenticated', undef, 'POST', $path, @image);
turned_away('a customer', 403, 'forbidden', undef, 'POST', $path, as => $customer, @image);
turned_away('another vendor', 403, 'forbidden', undef, 'POST', $path, as => $other, @image);
turned_away('a product that is none', 404, 'not_found', 'product_id', 'POST', '/api/catalog/products/00000000-0000-7000-8000-000000000000/images/', as => $shop, @image);
turned_away("a file of kind $_", 415, 'unsupported_media_type', 'image', 'POST', $path, as => $shop, form(['image', image($_, 500), "$_.png"])) for qw(gif pdf svg);
turned_away('one byte too much', 413, 'payload_too_large', 'image', 'POST', $path, as => $shop, form(['image', image('png', MOST + 1), 'a.png']));
turned_away('far too much', 413, 'payload_too_large', undef, 'POST', $path, as => $shop, form(['image', image('png', 2 * MOST), 'a.png']));
turned_away('no body', 400, 'missing_field', 'image', 'POST', $path, as => $shop);
turned_away('an empty file', 400, 'missing_field', 'image', 'POST', $path, as => $shop, form(['image', '', 'a.png']));
turned_away('a form without the file', 400, 'unknown_field', 'picture', 'POST', $path, as => $shop, form(['picture', $png, 'a.png']));
turned_away('a field that is not known', 400, 'unknown_field', 'colour', 'POST', $path, as => $shop, form(['image', $png, 'a.png'], [ 'colour', 'red' ]));
turned_away("the field $_, which is the server's to fill", 400, 'unknown_field', $_, 'POST', $path, as => $shop, form([ $_, 'x' ], ['image', $png, 'a.png']))
  for qw(file file_size file_type file_name);
turned_away('the same in the query', 400, 'unknown_field', 'file', 'POST', "$path?file=" . 'a' x 64, as => $shop, @image);
turned_away('two files', 400, 'duplicate_field', 'image', 'POST', $path, as => $shop, form(['image', $png, 'a.png'], ['image', $png, 'b.png']));
turned_away('JSON', 415, 'unsupported_media_type', undef, 'POST', $path, as => $shop, body => { image => 'x' });
turned_away('a large body elsewhere', 413, 'payload_too_large', undef, 'POST', '/api/examples/', as => $shop, raw => '{"name":"' . 'x' x (2 << 20) . '"}');
my %good = form(['image', $png, 'a.png']);
my ($boundary) = $good{headers}{'Content-Type'} =~ /boundary=(.*)/;
my %broken = (
	'no boundary' => [ 'multipart/form-data', $good{raw} ],
	'another boundary' => [ 'multipart/form-data; boundary=other', $good{raw} ],
	'an empty boundary' => [ 'multipart/form-data; boundary=""', $good{raw} ],
	'a boundary that is too long' => [ 'multipart/form-data; boundary=' . 'b' x 71, $good{raw} ],
	'a boundary of strange characters' => [ 'multipart/form-data; boundary="a<b"', $good{raw} ],
	'a form without its end' => [ $good{headers}{'Content-Type'}, substr $good{raw}, 0, -length("\r\n--$boundary--\r\n") ],
	'only a boundary' => [ $good{headers}{'Content-Type'}, "--$boundary" ],
	'a part without a name' => [ $good{headers}{'Content-Type'}, $good{raw} =~ s/; name="image"//r ],
	'a part without a disposition' => [ $good{headers}{'Content-Type'}, $good{raw} =~ s/Content-Disposition/X-Disposition/r ],
	'a part with a name that does not end' => [ $good{headers}{'Content-Type'}, $good{raw} =~ s/name="image"/name="image/r =~ s/filename="a.png"/filename=a/r ],
	'a part with a huge head' => [ $good{headers}{'Content-Type'}, $good{raw} =~ s/Content-Type:/'X-A: ' . 'b' x 5000 . "\r\nContent-Type:"/er ],
	'something before the form' => [ $good{headers}{'Content-Type'}, "hello\r\n$good{raw}" ]);
turned_away("a form with $_", 400, 'bad_request', undef, 'POST', $path, as => $shop, raw => $broken{$_}[1], headers => { 'Content-Type' => $broken{$_}[0] }) for sort keys %broken;

# clients that leave midway
for my $round (1 .. 50)
{
	my $socket = raw_open($server->{url});
	print $socket "POST $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $shop->{access}\r\nContent-Type: image/png\r\nContent-Length: " . MOST . "\r\n\r\n",
	  substr $large, 0, 1000 + $round * 80000;
	close $socket;
}
ok(wait_until(sub { call('GET', '/metrics', url => $server->{admin})->{text} =~ /^rental_connections [1-4]$/m }), 'fifty leave amid their file');
is_deeply([ sort(files()) ], \@kept, 'and nothing is left of it');

# taken away again
turned_away('taking away what is another vendor\'s', 403, 'forbidden', undef, 'DELETE', "/api/catalog/images/$answer->{json}{id}/", as => $other);
is(call('DELETE', "/api/catalog/images/$answer->{json}{id}/", @there, as => $shop)->{status}, 204, 'an image can be taken away');
is(call('GET', $original, @there)->{status}, 404, 'and is gone');
is(call('DELETE', "/api/catalog/images/$answer->{json}{id}/", @there, as => $shop)->{status}, 404, 'for good');
sql("UPDATE rental.products SET is_active = false WHERE id = '$product->{id}'");
is(call('GET', "/api/catalog/images/$made->{json}{id}/original/", @there)->{status}, 404, 'images of an archived product are not shown');
is(call('GET', "/api/catalog/images/$made->{json}{id}/original/", @there, as => $shop)->{status}, 200, 'but to its vendor');
sql("UPDATE rental.products SET is_active = true WHERE id = '$product->{id}'");
unlink "$directory/" . substr(sha256_hex($large), 0, 2) . '/' . sha256_hex($large);
my $gone = call('GET', "/api/catalog/images/$made->{json}{id}/original/", @there);
is($gone->{status}, 503, 'a file that cannot be read is no crash');
is(shim_stop($server), 0, 'the server ends in order');

# A hundred MiB: into a file, not into memory

my $huge = 100 << 20;
my $roomy = shim_start(RENTAL_RATE_LIMITS => 'off', RENTAL_UPLOAD_DIR => "$directory", RENTAL_MAX_UPLOAD => $huge, RENTAL_CLIENT_TIMEOUT => 60000);
sub anonymous
{
	open my $in, '<', "/proc/$roomy->{pid}/status" or die "no server: $!";
	my ($kib) = join('', <$in>) =~ /^RssAnon:\s+(\d+)/m;
	return $kib;
}
my $again = login($vendor, $roomy);
my $first = anonymous();
my $most = 0;
my $socket = raw_open($roomy->{url});
my $sum = Digest::SHA->new(256);
print $socket "POST $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $again->{access}\r\nContent-Type: image/png\r\nContent-Length: $huge\r\n\r\n";
for (my $sent = 0; $sent < $huge; $sent += 1 << 20)
{
	my $piece = $sent == 0 ? image('png', 1 << 20) : 'y' x (1 << 20);
	$sum->add($piece);
	print $socket $piece;
	$most = anonymous() - $first if anonymous() - $first > $most;
}
$answer = raw_read($socket, 'POST', 60);
is($answer->{status}, 201, 'a hundred MiB are taken, where they may be') or diag($answer->{text});
$most = anonymous() - $first if anonymous() - $first > $most;
my $bound = $ENV{SANITIZE} ? 32768 : 8192;
cmp_ok($most, '<', $bound, "and take less than $bound KiB of memory: $most KiB");
is(scalar(grep { m{/} && -s "$directory/$_" == $huge } files()), 1, 'they are a file');
my $digest = $sum->hexdigest;
ok((grep { $_ eq substr($digest, 0, 2) . "/$digest" } files()), 'with the right name');
open my $pipe, '-|', 'curl', '-s', "$roomy->{url}/api/catalog/images/$answer->{json}{id}/original/" or die 'no curl';
binmode $pipe;
my $back = Digest::SHA->new(256)->addfile($pipe)->hexdigest;
is($back, $digest, 'and come back as they were');
$most = anonymous() - $first;
cmp_ok($most, '<', $bound, "which takes no memory either: $most KiB");
is(shim_stop($roomy), 0, 'this server ends in order, too');

# No directory, no files; a directory that is none, no server

my $without = shim_start(RENTAL_RATE_LIMITS => 'off');
my $none = call('POST', $path, url => $without->{url}, as => login($vendor, $without), @image);
is_deeply([ problem_flaws($none, 503, 'unavailable') ], [], 'without a directory nothing is taken');
is(shim_stop($without), 0, 'that server ends in order');
my $text = do {
	local %ENV = (PATH => $ENV{PATH}, RENTAL_DATABASE_URL => 'postgresql:///x', RENTAL_JWT_SECRET => 's' x 32, RENTAL_UPLOAD_DIR => "$directory/none", PORT => shim_port());
	`$server->{binary} 2>&1`;
};
ok($? >> 8 == 1 && $text =~ /RENTAL_UPLOAD_DIR/, 'a directory that is not there ends the start');

done_testing();
