#!/usr/bin/perl
# The repository agrees with itself: versions, tests and their expected outputs, C functions and their SQL.
use strict;
use warnings;
use File::Basename;
use JSON::PP;
use Test::More;

chdir dirname(__FILE__) . '/../..' or die "no repository: $!";

sub slurp
{
	my ($path) = @_;
	open my $in, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$in>;
}

sub names
{
	my ($glob, $suffix) = @_;
	return sort map { basename($_, $suffix) } grep { !m{/rental--} } glob $glob;
}

# The version stands in rental.control; PGXN wants it in META.json as well.
my ($version) = slurp('rental.control') =~ /^default_version\s*=\s*'([^']+)'/m;
my $meta = decode_json(slurp('META.json'));
like($version, qr/^\d+\.\d+\.\d+$/, 'rental.control has a version');
is($meta->{version}, $version, 'META.json has the version of rental.control');
is($meta->{provides}{rental}{version}, $version, 'and so has what it provides');
like(-e 'CHANGELOG.md' ? slurp('CHANGELOG.md') : '', qr/\Q$version\E|Unreleased/i, 'CHANGELOG.md knows the version');

# Every test has its expected output, and every expected output its test.
my %of = (
	'regression tests' => [ [ names('sql/*.sql', '.sql') ], [ names('expected/*.out', '.out') ] ],
	'isolation specs' => [
		[ names('test/isolation/specs/*.spec', '.spec') ],
		[ names('test/isolation/expected/*.out', '.out') ]
	]);
for my $kind (sort keys %of)
{
	my ($tests, $outputs) = @{ $of{$kind} };
	my %known = map { $_ => 1 } @$tests;

	# name_1.out is pg_regress's second accepted output of `name`
	my @first = grep { !(/^(.+)_\d$/ && $known{$1}) } @$outputs;
	cmp_ok(scalar @$tests, '>', 0, "there are $kind");
	is_deeply(\@first, $tests, "$kind and their expected outputs are the same set");
}

# The parts of the install script: numbered, no number twice, plain CREATE.
my (%number, @misnamed, @replacing);
for my $part (glob 'sql/install/*')
{
	my ($n) = basename($part) =~ /^(\d\d)_[a-z0-9_]+\.sql$/;
	push @misnamed, $part if !defined $n || $number{$n}++;
	push @replacing, $part if slurp($part) =~ /^\s*CREATE\s+OR\s+REPLACE/im;
}
is_deeply(\@misnamed, [], 'parts of the install script are NN_name.sql, each number once');
is_deeply(\@replacing, [], 'the install script never replaces what is there');

# A C function that SQL names exists, and one that C offers is named by SQL.
my $sql = join "\n", map { slurp($_) } glob 'sql/install/*.sql';
my (%in_c, %in_sql);
for my $function ($sql =~ /^CREATE FUNCTION ((?:(?!^CREATE ).)*?AS 'MODULE_PATHNAME'[^;]*);/gmsi)
{
	my ($name) = $function =~ /^(\w+)/;
	my ($symbol) = $function =~ /'MODULE_PATHNAME',\s*'(\w+)'/;
	$in_sql{ $symbol // $name } = 1;
}
for my $source (glob 'src/extension/*.c')
{
	my $text = slurp($source);
	$in_c{$1} = 1 while $text =~ /^PG_FUNCTION_INFO_V1\((\w+)\)/gm;
}
is_deeply([ sort keys %in_sql ], [ sort keys %in_c ], 'C functions in SQL are those in C');

# Sources keep to the layers and say what they are for.
my @sources = glob 'src/*/*.[ch]';
is_deeply([ grep { slurp($_) !~ m{\A/\*} } @sources ], [], 'every C file opens with a comment');
is_deeply(
	[ grep { $_ ne 'src/extension/plan.c' && slurp($_) =~ /\bSPI_(?:connect|execute|exec|prepare|cursor|finish)/ }
	  glob 'src/extension/*.c' ],
	[], 'only plan.c calls SPI');

# No work is left for later in the tree, scripts can run, and text files end with a line end.
my @files = split /\0/, `git ls-files -z --cached --others --exclude-standard 2>/dev/null`;
@files = grep { -f } @files ? @files : map { chomp; $_ } `find . -type f -not -path './.*/*' -not -path './build/*'`;
my $unfinished = join '|', map { "\\b$_\\b" } 'TO' . 'DO', 'FIX' . 'ME', 'X' . 'XX';
my (@unfinished, @unended, @unrunnable);
for my $file (@files)
{
	my $text = slurp($file);
	next if $text =~ /\0/ || $file =~ m{^test/fuzz/corpus/};    # what is not text
	push @unfinished, $file if $text =~ /$unfinished/;
	push @unended, $file if $text ne '' && $text !~ /\n\z/;
	push @unrunnable, $file if $text =~ /\A#!/ && $file !~ /\.t$/ && !-x $file;
}
cmp_ok(scalar @files, '>', 10, 'the files of the tree are listed');
is_deeply(\@unfinished, [], 'no file says that something is still to be done');
is_deeply(\@unended, [], 'every text file ends with a line end');
is_deeply(\@unrunnable, [], 'every script can be run');

done_testing();
