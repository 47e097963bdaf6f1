#!/usr/bin/perl
# connections.pl URL IDLE STREAMS TOKEN: opens them, says "open", and holds them until its input ends.
use strict;
use warnings;
use IO::Socket::INET;

my ($url, $idle, $streams, $token) = @ARGV;
my ($host, $port) = $url =~ m{^http://([\d.]+):(\d+)};
my @sockets;

sub connection
{
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 5) or die "no connection: $!\n";

	push @sockets, $socket;
	return $socket;
}

for (1 .. $idle)
{
	my $socket = connection();
	syswrite $socket, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" if $_ % 2;
}
for (1 .. $streams)
{
	my $socket = connection();
	syswrite $socket, "GET /api/notify/stream/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
	sysread $socket, my $text, 15;
	$text =~ / 200/ or die "no stream: $text\n";
}
$| = 1;
print "open\n";
1 while <STDIN>;
