# Sourced by the scripts of this directory: where things are, how to say and to fail, how to build and to
# install. It must work before any package is installed, so bash, coreutils, util-linux and perl-base only.

set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
EXTENSION=rental
VERSION=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$ROOT/$EXTENSION.control")

# What a caller's make, PostgreSQL set-up or sourced RUNDIR/env says must not reach what is started here
# (DATA names demo data for us and installed files for PGXS).
DEMO_DATA=${DATA-}
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL MAKEFILES DATA DESTDIR
unset RENTAL_URL RENTAL_ADMIN_URL DEMO_{ADMIN,VENDOR,CUSTOMER}_{EMAIL,PASSWORD}
for _name in ${!PG@}; do
	[ "$_name" = PG_CONFIG ] || unset "$_name"
done
unset _name

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# as_root COMMAND...: run it as root, by sudo when need be.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "this needs root, and there is no sudo: $*"
	fi
}

# pg_paths: where PostgreSQL is. Call it after script/deps.
pg_paths() {
	if [ -z "${PG_CONFIG-}" ]; then
		PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
		[ -x "$PG_CONFIG" ] || PG_CONFIG=pg_config
	fi
	command -v "$PG_CONFIG" >/dev/null || die "pg_config is not here: run script/deps"
	export PG_CONFIG
	PGBIN=$("$PG_CONFIG" --bindir)
	PGLIB=$("$PG_CONFIG" --pkglibdir)
	PGSHARE=$("$PG_CONFIG" --sharedir)
	PGTEST=$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")/test
	[ -x "$PGBIN/initdb" ] || die "the PostgreSQL server is not here: run script/deps"
}

# build_tree [VARIABLE=value...]: extension and shim, quiet unless something is wrong.
build_tree() {
	make -s --no-print-directory -C "$ROOT" -j"$(nproc)" "$@" all
}

# install_extension: into PostgreSQL's own directories, only when what stands there differs.
install_extension() {
	local file target changed=
	for file in "$EXTENSION.so" "$EXTENSION.control" "sql/$EXTENSION--$VERSION.sql" sql/upgrade/*.sql; do
		case $file in
			*'*'*) continue ;;
			*.so) target=$PGLIB/${file##*/} ;;
			*) target=$PGSHARE/extension/${file##*/} ;;
		esac
		cmp -s "$ROOT/$file" "$target" || changed=1
	done
	[ -n "$changed" ] || return 0
	say "installing $EXTENSION $VERSION into $PGLIB"
	as_root make -s --no-print-directory -C "$ROOT" PG_CONFIG="$PG_CONFIG" with_shim=no install >/dev/null
}

# free_port: a TCP port of 127.0.0.1 that nobody listens on, below the range of outgoing connections.
free_port() {
	local port try
	for try in {1..200}; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		if port_is_free "$port"; then
			echo "$port"
			return 0
		fi
	done
	die "no free port found"
}

port_is_free() {
	perl -MIO::Socket::INET -e '
		exit !IO::Socket::INET->new(Listen => 1, Proto => "tcp", ReuseAddr => 1,
			LocalAddr => "127.0.0.1", LocalPort => $ARGV[0])' "$1"
}

# kept_port FILE: the port kept in FILE if it is still free, else a new one, kept there.
kept_port() {
	local port=
	[ ! -r "$1" ] || read -r port <"$1" || true
	if [ -z "$port" ] || ! port_is_free "$port"; then
		port=$(free_port)
		echo "$port" >"$1"
	fi
	echo "$port"
}

# process_is PID TEXT: the process lives and its command line contains TEXT, so it is ours to end.
process_is() {
	[ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -- "$2"
}
