#!/usr/bin/perl
# connections.pl URL IDLE STREAMS TOKEN [ADDRESS]: opens them, from that address of this machine, says "open", and holds
# them until its input ends. For each line of input it says how many of the streams have said that text, and waits up to
# a minute for it.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes 'time';

my ($url, $idle, $streams, $token, $address) = @ARGV;
my ($host, $port) = $url =~ m{^http://([\d.]+):(\d+)};
my (@idle, @streams);

sub connection
{
	return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 15,
		defined $address ? (LocalAddr => $address) : ()) // die "no connection: $!\n";
}

for (1 .. $idle)
{
	my $socket = connection();
	syswrite $socket, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" if $_ % 2;
	push @idle, $socket;
}
for (1 .. $streams)
{
	my $socket = connection();
	syswrite $socket, "GET /api/notify/stream/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
	sysread $socket, my $text, 15;
	$text =~ / 200/ or die "no stream: $text\n";
	push @streams, { socket => $socket, text => '' };
}
$| = 1;
print "open\n";
while (defined(my $wanted = <STDIN>))
{
	my $end = time + 60;
	my $said = 0;

	chomp $wanted;
	for my $stream (@streams)
	{
		while (index($stream->{text}, $wanted) < 0)
		{
			my $left = $end - time;
			last if $left <= 0 || !IO::Select->new($stream->{socket})->can_read($left);
			last if !sysread $stream->{socket}, $stream->{text}, 65536, length $stream->{text};
		}
		$said++ if index($stream->{text}, $wanted) >= 0;
	}
	print "$said\n";
}
