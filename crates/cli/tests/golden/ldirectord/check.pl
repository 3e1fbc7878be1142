# The same in Perl, within ldirectord.
my $server = $ARGV[2];
open(my $file, '<', "/run/ldirectord/perl-$server") or exit(1);
my ($word, $number) = split(' ', <$file>);
close($file);
exit($number);
